"""Spans: found again from token positions, in windows, in any script; moved answers; decoding
against brute force.
"""

from __future__ import annotations

import string
import unicodedata
from typing import Any

import numpy as np
import pytest

import jiantx as jx
from jiantx.features import encode_examples, load_features
from jiantx.metrics import Answer
from jiantx.sources import DataError
from jiantx.task_types.question_answering import QuestionExample
from jiantx.tokenization import special_tokens, tokenize

KINDS = ("tokenizer", "bert_tokenizer", "roberta_tokenizer", "t5_tokenizer")

# passage, question, answer
SENTENCES = {
    "en": (
        "The old ferry leaves the harbour at nine, and returns by dusk.",
        "When does it leave?",
        "at nine",
    ),
    "ar": (
        "وصل القطار إلى المحطة في الساعة الخامسة مساءً، ثم غادر.",
        "متى وصل القطار؟",
        "الساعة الخامسة",
    ),
    "hi": ("किताब मेज़ पर रखी है और लड़का नदी के पास बैठा है।", "लड़का कहाँ है?", "नदी के पास"),
    "zh": ("我们昨天在河边看见一只红色的猫，它正在吃鱼。", "猫在哪里?", "河边"),
    "th": ("แมวสีแดงนั่งอยู่ข้างแม่น้ำในตอนเช้า", "แมวอยู่ที่ไหน", "ข้างแม่น้ำ"),
    "tr": (
        "Çocuk, İstanbul'daki küçük evin önünde şarkı söylüyordu.",
        "Çocuk neredeydi?",
        "küçük evin önünde",
    ),
    "emoji": (
        "A 💡 light and 👩‍👩‍👧 family e\u0301t ﬁn. The end",
        "what?",
        "👩‍👩‍👧 family e\u0301t ﬁn",
    ),
}


def lettered(kind: str, given: Any) -> Any:
    """A tokenizer like a given one, whose pieces are the letters of the sentences."""
    from tokenizers import Tokenizer, models, normalizers

    text = " ".join(item for items in SENTENCES.values() for item in items)
    letters = sorted({*text, *unicodedata.normalize("NFKC", text), *string.ascii_letters} - {" "})
    backend = Tokenizer.from_str(given.backend_tokenizer.to_str())
    names = given.convert_ids_to_tokens(range(5))
    if kind == "bert_tokenizer":
        tokenize = [*names, *letters, *("##" + letter for letter in letters)]
        backend.model = models.WordPiece(
            {piece: i for i, piece in enumerate(tokenize)}, unk_token="[UNK]"
        )
        backend.normalizer = normalizers.BertNormalizer(lowercase=False)
    elif kind != "roberta_tokenizer":
        names = [name for name in names if name.startswith("<")]
        tokenize = [(name, 0.0) for name in names] + [
            (piece, -9.0) for piece in ("▁", "▁the", "▁cat", "▁dog", *letters)
        ]
        backend.model = models.Unigram(tokenize, unk_id=names.index("<unk>"))
    return type(given)(
        tokenizer_object=backend,
        model_max_length=512,
        model_input_names=given.model_input_names,
        **{
            name: str(token)
            for name, token in given.special_tokens_map.items()
            if name != "mask_token"
        },
    )


@pytest.fixture(params=KINDS, scope="module")
def any_tokenizer(request: pytest.FixtureRequest) -> Any:
    return lettered(request.param, request.getfixturevalue(request.param))


def task(rows: Any = (), **fields: Any) -> jx.QuestionAnswering:
    return jx.QuestionAnswering(**{"name": "asked", "source": jx.Rows({"train": rows}), **fields})


def row(
    context: str, answer: str | None, question: str = "where?", start: int | None = None
) -> dict[str, Any]:
    texts = [] if answer is None else [answer]
    starts = [] if answer is None else [context.index(answer) if start is None else start]
    return {
        "context": context,
        "question": question,
        "answers": {"text": texts, "answer_start": starts},
    }


def examples(mine: jx.QuestionAnswering, *rows: dict[str, Any]) -> list[QuestionExample]:
    return [mine.example(item, id=str(i), language="en") for i, item in enumerate(rows)]


def encoded(
    mine: jx.QuestionAnswering, tokenizer: Any, *rows: dict[str, Any], max_length: int | None = None
) -> list[Any]:
    return list(encode_examples(mine, examples(mine, *rows), tokenizer, max_length))


def span(feature: dict[str, Any], context: str) -> str | None:
    """The text at the gold positions; None for the first token, which stands for no answer here."""
    (first,), (last,), (head,) = (
        feature[c] for c in ("start_positions", "end_positions", "context_start")
    )
    if first == last == 0 and head > 0:
        return None
    return context[feature["offset_starts"][first - head] : feature["offset_ends"][last - head]]


def longer_context(context: str) -> str:
    return " ".join([context] * 3)


# --- features -------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", SENTENCES)
def test_gold_comes_back_to_the_letter(script: str, any_tokenizer: Any) -> None:
    """By offsets, for every layout of special tokens and every script."""
    context, question, answer = SENTENCES[script]
    (feature,) = encoded(task(), any_tokenizer, row(context, answer, question))
    actual = span(feature, context)
    assert actual is not None and actual.strip() == answer
    ids = feature["input_ids"]
    both = any_tokenizer(question, context)
    assert ids == both["input_ids"], (
        "the ids are those that the tokenizer itself gives for the pair"
    )
    if "token_type_ids" in feature:
        assert feature["token_type_ids"] == both["token_type_ids"]
    sides = both.sequence_ids()
    assert feature["context_start"] == [sides.index(1)], "no special token is counted"


@pytest.mark.parametrize("answer", ["猫", "鱼。", "我们昨天"])
def test_answers_at_the_edges(answer: str, any_tokenizer: Any) -> None:
    """The last token of the passage can be chosen."""
    context = "我们昨天在河边看见一只红色的猫，它正在吃鱼。"
    (feature,) = encoded(task(), any_tokenizer, row(context, answer))
    assert span(feature, context) == answer


def test_answer_inside_a_token_takes_the_token(tokenizer: Any) -> None:
    context = "the quickly cat"  # one piece
    (feature,) = encoded(task(), tokenizer, row(context, "quick"))
    assert (span(feature, context) or "").strip() == "quickly"


@pytest.mark.parametrize("script", SENTENCES)
def test_windows_cover_the_passage(script: str, any_tokenizer: Any) -> None:
    context, question, answer = SENTENCES[script]
    context = longer_context(context)
    start = context.rindex(answer)
    capacity = len(any_tokenizer(answer, add_special_tokens=False)["input_ids"]) + 8
    size = special_tokens(any_tokenizer, pair=True).size
    length = len(any_tokenizer(question, add_special_tokens=False)["input_ids"]) + size + capacity
    features = encoded(
        task(stride=5), any_tokenizer, row(context, answer, question, start), max_length=length
    )
    assert len(features) > 2
    covered = np.zeros(len(context), bool)
    with_answer = 0
    for feature in features:
        assert len(feature["input_ids"]) == feature["lengths"][0] <= length
        for first, last in zip(feature["offset_starts"], feature["offset_ends"], strict=True):
            covered[first:last] = True
        actual = span(feature, context)
        inside = (
            feature["offset_starts"][0] <= start
            and start + len(answer) <= feature["offset_ends"][-1]
        )
        well_inside = (
            feature["offset_starts"][0] < start and start + len(answer) < feature["offset_ends"][-1]
        )
        if actual is not None:
            assert inside and actual.strip() == answer
            with_answer += 1
        else:  # a window without the answer points to the first token; a letter of several bytes may be cut in two
            assert not well_inside
            assert feature["start_positions"] == feature["end_positions"] == [0]
    assert all(
        covered[i]
        for i, letter in enumerate(context)
        if unicodedata.category(letter) not in ("Zs", "Cf", "Mn")
    )
    assert with_answer >= 1
    first_tokens = [feature["offset_starts"][0] for feature in features]
    assert first_tokens == sorted(set(first_tokens)) and [
        feature["example"] for feature in features
    ] == [0] * len(features)


def test_windows_step_by_the_stride(tokenizer: Any) -> None:
    """The official scripts' doc_stride: tokens between the starts of two windows."""
    context = "a " * 50
    length = len(tokenize(tokenizer, ["who"])[0]) + special_tokens(tokenizer, pair=True).size + 20
    features = encoded(task(stride=10), tokenizer, row(context, None, "who"), max_length=length)
    starts = [feature["offset_starts"][0] for feature in features]
    sizes = {len(feature["offset_starts"]) for feature in features[:-1]}
    offsets = [
        o[0]
        for o in tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)[
            "offset_mapping"
        ]
    ]
    assert [offsets.index(start) for start in starts] == list(
        range(0, 10 * len(starts), 10)
    ) and sizes == {20}


@pytest.mark.parametrize("stride", [-5, 0, 1, 17, 128, 10_000])
def test_stride_is_guarded(stride: int, any_tokenizer: Any) -> None:
    """Max_length - stride - question <= 0 ended in the tokenizer's error."""
    context = "the cat sees a dog in the red house and eats " * 3
    features = encoded(task(stride=stride), any_tokenizer, row(context, "dog"), max_length=24)
    covered = {
        i
        for f in features
        for a, b in zip(f["offset_starts"], f["offset_ends"], strict=True)
        for i in range(a, b)
    }
    assert {i for i, letter in enumerate(context) if not letter.isspace()} <= covered, (
        "no gap between windows"
    )
    assert len(features) < 500


def test_long_question_is_cut_and_counted(any_tokenizer: Any) -> None:
    context = "the cat sees a dog"
    mine = task(max_question_length=10)
    short, long = encoded(
        mine, any_tokenizer, row(context, "dog"), row(context, "dog", "who " * 100)
    )
    assert (short["truncated"], long["truncated"]) == (0, 1)
    windows = encoded(mine, any_tokenizer, row(context * 30, None, "who " * 100), max_length=64)
    assert [window["truncated"] for window in windows] == [1, *[0] * (len(windows) - 1)] and len(
        windows
    ) > 1
    assert len(long["input_ids"]) < 64 and (span(long, context) or "").strip() == "dog"
    with pytest.raises(
        DataError,
        match=r"max_length 12 leaves no room for the passage beside a question of 10 tokens",
    ):
        encoded(mine, any_tokenizer, row(context, "dog", "who " * 100), max_length=12)


def test_passage_without_tokens(bert_tokenizer: Any) -> None:
    """Control characters are no white space, and leave BERT's tokenizer nothing."""
    with pytest.raises(DataError, match=r"The passage of question '0' leaves no tokens"):
        encoded(task(), bert_tokenizer, {"context": "\u200e\u200f", "question": "q"})


def test_unanswerable_points_to_the_first_token(any_tokenizer: Any) -> None:
    mine = task(unanswerable=True)
    (feature,) = encoded(mine, any_tokenizer, row("the cat", None))
    assert feature["start_positions"] == feature["end_positions"] == [0] and feature["labels"] == [
        0
    ]
    (raw,) = encoded(mine, any_tokenizer, {"context": "the cat", "question": "q"})
    assert raw["labels"] == [-100], "nothing is known of it, so nothing is learnt from it"


def test_questions_share_a_passage(tokenizer: Any) -> None:
    context = "the cat sees a dog"
    one, two = encoded(task(), tokenizer, row(context, "cat"), row(context, "dog"))
    assert (span(one, context) or "").strip() == "cat" and (
        span(two, context) or ""
    ).strip() == "dog"
    assert (one["example"], two["example"]) == (0, 1)


# --- moved answers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "found"),
    [(4, 4), (5, 4), (0, 4), (9, 4), (15, 20), (20, 20), (12, 4), (999, 20), (-1, 4), (-3, 4)],
)
def test_wrong_offsets_go_to_the_nearest_occurrence(start: int, found: int) -> None:
    """12 is as far from both: the first."""
    context = "the cat sees no big cat"
    (example,) = examples(task(), row(context, "cat", start=start))
    assert example.starts == (found,) and example.realigned == int(start != found)


@pytest.mark.parametrize(
    ("context", "answer", "start", "found"),
    [
        ("Lake A is 13 metres deep, lake B is 3 metres deep.", "3 metres", 15, 36),
        ("Lake A is 13 metres deep.", "3 metres", 0, 11),  # inside a word rather than nowhere
        ("我们看见猫，猫吃鱼", "猫", 8, 6),  # words of a script without blanks
    ],
)
def test_a_moved_answer_is_a_whole_word_if_one_is(
    context: str, answer: str, start: int, found: int
) -> None:
    (example,) = examples(task(), row(context, answer, start=start))
    assert example.starts == (found,) and example.realigned == 1


def test_moved_answers_are_counted_in_the_first_window(any_tokenizer: Any) -> None:
    context = "  the cat sees a dog " * 12
    moved = row(context, "dog", start=3)
    moved["answers"] = {
        "text": ["dog", "cat", "sees"],
        "answer_start": [3, 3, context.index("sees")],
    }
    right = row(context, "dog")
    features = encoded(task(stride=4), any_tokenizer, moved, right, max_length=32)
    assert [f["realigned"] for f in features if f["example"] == 1] == [0] * sum(
        f["example"] for f in features
    )
    first, *remaining_ = [f["realigned"] for f in features if f["example"] == 0]
    assert first == 2 and not any(remaining_) and remaining_


@pytest.mark.parametrize("answer", ["dog", "", "Cat"])
def test_answer_that_is_nowhere(answer: str) -> None:
    rows = [row("the cat", "cat"), row("the cat", answer, start=0)]
    with pytest.raises(DataError) as caught:
        list(task(rows).examples("train"))
    assert str(caught.value).startswith("Task asked, split 'train', language 'en', row 1: ")
    assert f"The answer {answer!r} (at 0) is nowhere in its passage, which begins 'the cat'" in str(
        caught.value
    )


@pytest.mark.parametrize(
    "answers",
    [
        "cat",
        ["cat"],
        {"text": ["cat"]},
        {"text": ["cat"], "answer_start": []},
        {"text": ["cat"], "answer_start": [0, 4]},
    ],
)
def test_answers_of_another_form(answers: Any) -> None:
    with pytest.raises(DataError, match="answers"):
        examples(task(), {"context": "the cat", "question": "q", "answers": answers})


def test_raw_rows_and_withheld_answers() -> None:
    for item in (
        {"context": "c", "question": "q"},
        {"context": "c", "question": "q", "answers": None},
        row("c", None),
    ):
        (example,) = examples(task(), item)
        assert example.answers is None and task().reference(example) is None
    (example,) = examples(task(unanswerable=True), row("c", None))
    assert example.answers == ()


# --- decoding -------------------------------------------------------------------------------------


def brute_force(
    features: list[Any],
    outputs: dict[str, np.ndarray],
    count: int,
    contexts: list[str],
    longest: int,
) -> list[tuple[str, float, float]]:
    """The best span of each question over all windows, one after the other."""
    actual = [("", -np.inf, np.inf)] * count
    index = 0
    for feature in features:
        start, end = (
            outputs[name][index : index + len(feature["input_ids"])]
            for name in ("start_logits", "end_logits")
        )
        index += len(feature["input_ids"])
        (head,), number = feature["context_start"], feature["example"]
        text, best, null = actual[number]
        null = min(null, start[0] + end[0])
        size = len(feature["offset_starts"])
        for i in range(size):
            for j in range(i, min(i + longest, size)):
                if start[head + i] + end[head + j] > best:
                    best = start[head + i] + end[head + j]
                    text = contexts[number][feature["offset_starts"][i] : feature["offset_ends"][j]]
        actual[number] = (text.strip(), best, null)
    return actual


@pytest.mark.parametrize("longest", [1, 4, 30])
@pytest.mark.parametrize("seed", [0, 1])
def test_decoding_is_the_best_span_of_all_windows(
    seed: int, longest: int, any_tokenizer: Any
) -> None:
    mine = task(stride=6, max_answer_length=longest, n_best=10_000, unanswerable=True)
    rows = [row(longer_context(SENTENCES[s][0]), None, "who") for s in ("en", "zh", "ar")] + [
        row("the cat", None, "who")
    ]
    task_examples = examples(mine, *rows)
    table = encode_examples(mine, task_examples, any_tokenizer, 32)
    rng = np.random.default_rng(seed)
    total = sum(map(len, table["input_ids"]))
    outputs = {
        name: rng.normal(size=total).astype(np.float32) for name in ("start_logits", "end_logits")
    }
    expected = brute_force(
        list(table), outputs, len(task_examples), [e.context for e in task_examples], longest
    )
    decoded = mine.decode(outputs, table, task_examples)
    for prediction, example, (text, score, null) in zip(
        decoded, task_examples, expected, strict=True
    ):
        assert prediction.span == text and prediction.id == example.id
        assert prediction.score == pytest.approx(score, abs=1e-5) == prediction.confidence
        assert prediction.no_answer == pytest.approx(null - score, abs=1e-5)
        assert prediction.answer == ("" if null > score else text)
        assert example.context[prediction.start : prediction.start + len(text)] == text
        assert prediction.value == Answer(text, prediction.no_answer)


def logits(
    table: Any, spans: list[tuple[int, int, float]], null: float = 0.0
) -> dict[str, np.ndarray]:
    """One span a window stands out: (first, last token of the passage, score)."""
    start, end = [], []
    for feature, (first, last, score) in zip(table, spans, strict=True):
        head, size = feature["context_start"][0], len(feature["input_ids"])
        one, two = np.full(size, -50.0), np.full(size, -50.0)
        one[0] = two[0] = null / 2
        one[head + first] = two[head + last] = score / 2
        start.append(one)
        end.append(two)
    return {
        "start_logits": np.concatenate(start).astype(np.float32),
        "end_logits": np.concatenate(end).astype(np.float32),
    }


@pytest.mark.parametrize(
    ("null", "score", "answered"), [(1.0, 2.0, True), (2.0, 1.0, False), (1.0, 1.0, True)]
)
@pytest.mark.parametrize("unanswerable", [True, False])
def test_no_answer_where_it_scores_better(
    null: float, score: float, answered: bool, unanswerable: bool, tokenizer: Any
) -> None:
    mine = task(unanswerable=unanswerable)
    task_examples = examples(mine, row("the cat sees a dog", "cat"))
    table = encode_examples(mine, task_examples, tokenizer)
    (actual,) = mine.decode(logits(table, [(1, 1, score)], null), table, task_examples)
    assert (
        actual.no_answer == pytest.approx(null - score)
        and actual.span == "cat"
        and actual.start == 4
    )
    assert actual.answer == ("cat" if answered or not unanswerable else "")


def test_no_answer_must_win_in_every_window(tokenizer: Any) -> None:
    mine = task(unanswerable=True, stride=4)
    task_examples = examples(
        mine, row("the cat sees a dog in the red house", None), row("the dog", None)
    )
    table = encode_examples(mine, task_examples, tokenizer, 14)
    windows = table["example"][:].count(0)
    assert windows > 1
    spans = [(0, 0, 1.0 + number) for number in range(windows)] + [(1, 1, 9.0)]
    first, second = mine.decode(logits(table, spans, 4.0), table, task_examples)
    assert first.score == pytest.approx(windows) and first.no_answer == pytest.approx(4.0 - windows)
    assert second.span == "dog" and second.answer == "dog"


def test_question_and_special_tokens_are_never_the_answer(any_tokenizer: Any) -> None:
    """What may not answer was found by comparing a list with a number."""
    mine = task(n_best=3)
    task_examples = examples(mine, row("the cat", "cat", "who sees the house"))
    table = encode_examples(mine, task_examples, any_tokenizer)
    (feature,) = table
    best = np.full(len(feature["input_ids"]), 100.0, np.float32)
    head, size = feature["context_start"][0], len(feature["offset_starts"])
    best[head : head + size] = np.arange(size)
    (actual,) = mine.decode({"start_logits": best, "end_logits": best}, table, task_examples)
    assert (
        actual.span
        == task_examples[0]
        .context[feature["offset_starts"][-1] : feature["offset_ends"][-1]]
        .strip()
    )


def test_gold_positions_decode_to_the_gold(any_tokenizer: Any) -> None:
    mine = task(stride=6)
    task_examples = examples(
        mine, *(row(longer_context(c), a, q) for c, q, a in SENTENCES.values())
    )
    table = encode_examples(mine, task_examples, any_tokenizer, 80)
    start: list[np.ndarray] = []
    end: list[np.ndarray] = []
    for feature in table:
        for name, actual in (("start_positions", start), ("end_positions", end)):
            one = np.zeros(len(feature["input_ids"]), np.float32)
            one[feature[name][0]] = 9.0
            actual.append(one)
    outputs = {"start_logits": np.concatenate(start), "end_logits": np.concatenate(end)}
    decoded = mine.replace(max_answer_length=60).decode(outputs, table, task_examples)
    assert [p.answer for p in decoded] == [answer for _, _, answer in SENTENCES.values()]


def test_an_answer_that_no_window_holds_is_counted(tokenizer: Any) -> None:
    """It trains as if there were none, and that is said; windows overlap whatever the stride."""
    tokens = "the cat sees a dog and eats " * 8
    rows = [
        {
            "id": str(i),
            "question": "who",
            "context": tokens,
            "answers": {"text": [text], "answer_start": [0]},
        }
        for i, text in enumerate(("the cat", tokens.strip()))
    ]
    source = jx.Rows({"train": rows})
    task = jx.QuestionAnswering(name="long", source=source, max_length=24, stride=100)
    features = load_features(task, "train", "en", tokenizer)
    assert features.table["answer_outside_windows"][:].count(1) == 1
    assert (
        features.notes()[-1]
        == "long train en: 1 answer is longer than a window, and trains as if there were none."
    )
    features = load_features(task.replace(max_length=64), "train", "en", tokenizer)
    assert features.notes() == [
        "long train en: 1 answer is longer than max_answer_length (30 tokens), and cannot be "
        "predicted whole."
    ]
    middle = [
        {
            **rows[0],
            "answers": {"text": ["eats the"], "answer_start": [tokens.index("eats the", 60)]},
        }
    ]
    task = task.replace(source=jx.Rows({"train": middle}))
    assert not any(load_features(task, "train", "en", tokenizer).table["answer_outside_windows"])
