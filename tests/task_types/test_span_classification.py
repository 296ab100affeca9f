"""Spans: the words in are the pieces out, whatever their length and script; nothing is a wrong
span.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import jiantx as jx
from jiantx.features import encode_examples
from jiantx.metrics import accuracy, f1_of, micro_f1, micro_f1_of
from jiantx.sources import DataError
from jiantx.task_types.span_inputs import divide_room, nearest_pieces
from jiantx.task_types.spans import find_near, join_words, split_words

LABELS = ("no", "yes")
SENTENCES = [
    "The old ferry leaves at nine , and waits .",
    "وصل القطار إلى المحطة ،",
    "किताब मेज़ पर रखी है ।",
    "我们 看见 猫 ， 吃鱼",
    "แมว นั่ง ข้าง แม่น้ำ",
    "Çocuk İstanbul'daki  evin önünde",
    "💡👩‍👧 e\u0301 naïve\u00a0cafés",
]


@pytest.fixture(params=["tokenizer", "bert_tokenizer", "roberta_tokenizer"])
def any_tokenizer(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def task(**fields: Any) -> jx.SpanClassification:
    return jx.SpanClassification(
        **{"name": "mine", "source": jx.Rows({}), "labels": LABELS, **fields}
    )


def examples_of(span_task: jx.SpanClassification, rows: list[dict[str, Any]]) -> list[Any]:
    return [span_task.example(row, id=str(i), language="en") for i, row in enumerate(rows)]


def targets(sentences: list[str], rng: random.Random, count: int = 3) -> list[dict[str, Any]]:
    rows = []
    for text in sentences:
        length = len(text.split())
        for _ in range(count):
            spans = []
            for _ in range(2):
                start = rng.randrange(length)
                spans.append([start, rng.randint(start + 1, min(length, start + 3))])
            rows.append(
                {"text": text, "span1": spans[0], "span2": spans[1], "label": rng.choice(LABELS)}
            )
    return rows


def letters_of(pieces: list[int], tokenizer: Any) -> str:
    return "".join(tokenizer.decode(pieces).split()).replace("##", "")


def decoded_spans(table: Any, tokenizer: Any) -> list[list[str] | None]:
    """The text of both spans of every target; None for a lost one."""
    texts: list[list[str] | None] = []
    for row in table:
        columns = [row[f"span{i}_{name}"] for i in (1, 2) for name in ("positions", "sizes")]
        for first, first_size, second, second_size, is_lost in zip(
            *columns, row["lost"], strict=True
        ):
            ids = row["input_ids"]
            pieces = (ids[first : first + first_size], ids[second : second + second_size])
            texts.append(None if is_lost else [letters_of(span, tokenizer) for span in pieces])
    return texts


def expected_spans(examples: list[Any], tokenizer: Any) -> list[list[str]]:
    """What the tokenizer makes of the spans' own texts, as far as it can write them."""
    texts = [[e.text[start:stop] for start, stop in e.spans] for e in examples]
    return [
        [letters_of(tokenizer(t, add_special_tokens=False)["input_ids"], tokenizer) for t in pair]
        for pair in texts
    ]


# --- alignment ------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_length", [256, 14, 9])
def test_words_in_are_pieces_out(max_length: int, any_tokenizer: Any) -> None:
    rng = random.Random(max_length)
    span_task = task(span2="span2")
    examples = examples_of(span_task, targets(SENTENCES, rng))
    table = encode_examples(span_task, examples, any_tokenizer, max_length)
    actual = decoded_spans(table, any_tokenizer)
    assert len(actual) == len(examples)
    if max_length == 256:
        assert None not in actual and len(table) == len(SENTENCES), "one input a text"
    for spans, expected in zip(actual, expected_spans(examples, any_tokenizer), strict=True):
        # a word alone may be cut into other pieces, but of the same letters
        assert spans is None or spans == expected
    assert all(len(row["input_ids"]) == row["lengths"][0] <= max_length for row in table)


def test_a_list_of_words_is_a_text(any_tokenizer: Any) -> None:
    """The words are those of the list, also where one holds a blank."""
    forms = ["New York", "is", "big"]
    span_task = task()
    (example,) = examples_of(span_task, [{"text": forms, "span1": [0, 1], "label": "yes"}])
    assert example.text == "New York is big" and example.spans == ((0, 8),)
    assert join_words(tuple(forms))[1] == ((0, 8), (9, 11), (12, 15))
    assert split_words(" New York\u3000is ") == ((1, 4), (5, 9 - 0), (10, 12))


def test_characters_and_words_are_one_span(any_tokenizer: Any) -> None:
    text = SENTENCES[0]
    by_words = task(span2="span2")
    by_characters = by_words.replace(units="characters")
    row = {"text": text, "span1": [1, 3], "span2": [5, 6], "label": "no"}
    in_characters = {**row, "span1": [4, 13], "span2": [24, 29]}
    (one,) = examples_of(by_words, [row])
    (other,) = examples_of(by_characters, [in_characters])
    assert one == other and text[4:13] == "old ferry"
    (blanks,) = examples_of(by_characters, [{**in_characters, "span1": [3, 14]}])
    assert blanks.spans == one.spans, "blanks at the ends are no part of a span"


def test_the_second_span_is_of_the_second_text(any_tokenizer: Any) -> None:
    span_task = task(text_pair="other", span2="span2", units="characters")
    row = {"text": "the cat sits", "other": "a river", "span1": [4, 7], "span2": [2, 7]}
    examples = examples_of(span_task, [{**row, "label": "yes"}])
    table = encode_examples(span_task, examples, any_tokenizer)
    assert decoded_spans(table, any_tokenizer) == [["cat", "river"]]
    full = any_tokenizer(row["text"], row["other"])
    assert table[0]["input_ids"] == full["input_ids"]
    if "token_type_ids" in table.column_names:
        assert table[0]["token_type_ids"] == full["token_type_ids"]


def test_rows_of_one_text_share_an_input(tokenizer: Any) -> None:
    span_task = task(span2="span2", multi_label=True)
    rows = targets(SENTENCES[:2], random.Random(0))
    rows += [{**rows[0], "label": []}]  # the first text again, but not beside its other targets
    examples = examples_of(span_task, rows)
    table = encode_examples(span_task, examples, tokenizer)
    assert [len(labels) for labels in table["labels"]] == [3, 3, 1]
    assert table["example"][:] == [0, 3, 6]
    assert table["gold_counts"][:] == [[1, 1, 1], [1, 1, 1], [0]]
    assert [len(labels) for labels in table["gold_labels"]] == [3, 3, 0]


# --- long texts -----------------------------------------------------------------------------------


def test_a_long_text_is_cut_around_the_spans(any_tokenizer: Any) -> None:
    """Also in the middle, where the two spans are far apart."""
    text = " ".join(["the", "cat", *["sits"] * 60, "by", "the", "river"])
    span_task = task(span2="span2")
    rows = [
        {"text": text, "span1": [1, 2], "span2": [64, 65], "label": "yes"},
        {"text": text, "span1": [62, 63], "span2": [64, 65], "label": "no"},
    ]
    examples = examples_of(span_task, rows)
    table = encode_examples(span_task, examples, any_tokenizer, 16)
    assert decoded_spans(table, any_tokenizer) == [["cat", "river"], ["by", "river"]]
    assert table["truncated"][:] == [1, 1] and table["lost_targets"][:] == [0, 0]
    assert [row["lengths"] for row in table] == [[16], [16]]


def test_spans_that_do_not_fit_are_counted_and_wrong(tokenizer: Any) -> None:
    long = " ".join(["sits"] * 40)
    span_task = task()
    rows = [
        {"text": long, "span1": [0, 40], "label": "yes"},
        {"text": long, "span1": [20, 21], "label": "yes"},
    ]
    examples = examples_of(span_task, rows)
    table = encode_examples(span_task, examples, tokenizer, 12)
    assert table["lost_targets"][:] == [1, 0] and table["labels"][:] == [[-100], [1]]
    outputs = {"probabilities": np.array([[0.1, 0.9], [0.2, 0.8]])}
    missing, fine = span_task.decode(outputs, table, examples)
    assert (missing.label, missing.probability) == ("", 0.0) and fine.label == "yes"
    assert accuracy([missing.value, fine.value], ["yes", "yes"]) == 50.0
    several = span_task.replace(multi_label=True, metrics=(micro_f1,))
    assert several.decode(outputs, table, examples)[0].label == ("",)


def test_a_span_without_a_piece_is_lost(bert_tokenizer: Any) -> None:
    """A normalizer may drop all of a word."""
    span_task = task()
    rows = [{"text": "a \u200b cat", "span1": [i, i + 1], "label": "yes"} for i in range(3)]
    table = encode_examples(span_task, examples_of(span_task, rows), bert_tokenizer)
    is_dropped = bert_tokenizer.tokenize("\u200b") == []
    assert table["lost"][:] == [[0, int(is_dropped), 0]]


def test_lost_targets_are_said(tokenizer: Any) -> None:
    rows = [{"text": "sits " * 40, "span1": [0, 40], "label": "yes"}]
    span_task = task(source=jx.Rows({"train": rows}), max_length=12)
    features = jx.features.load_features(span_task, "train", "en", tokenizer)
    assert features.notes()[-1].endswith(
        "1 target has a span without a piece, or spans that do not fit, and is scored wrong and "
        "not trained on (max_length 12)."
    )


def test_a_report_counts_lost_targets(model_of: Any) -> None:
    rows = [{"text": "sits " * 40, "span1": [0, stop], "label": "yes"} for stop in (1, 40)]
    span_task = task(source=jx.Rows({"validation": rows}), max_length=12)
    report = jx.evaluate(model_of([span_task]), span_task)
    counts = {score.metric: score.value for score in report}
    assert counts["lost_targets"] == 1 and counts["truncated"] == 2
    assert report.mean() == counts["main_score"] <= 50


def test_a_lost_target_is_no_label_of_its_own(tokenizer: Any) -> None:
    """No mean over labels has one label more, and no set of labels is right by chance."""
    span_task = task()
    gold = ["yes", "no", "yes"]
    rows = [
        {"text": "sits " * 40, "span1": [0, stop], "label": label}
        for stop, label in zip((1, 1, 40), gold)
    ]
    examples = examples_of(span_task, rows)
    table = encode_examples(span_task, examples, tokenizer, 12)
    outputs = {"probabilities": np.array([[0.1, 0.9], [0.9, 0.1], [0.1, 0.9]])}
    predicted = [one.value for one in span_task.decode(outputs, table, examples)]
    assert predicted == ["yes", "no", ""]
    assert jx.metrics.macro_f1(predicted, gold) == pytest.approx((100 + 200 / 3) / 2)
    assert jx.metrics.precision(predicted, gold) == 100.0
    assert jx.metrics.recall(predicted, gold) == pytest.approx((100 + 50) / 2)
    # a text of the user's that is empty is a label
    assert jx.metrics.macro_f1(["yes", "no", ""], gold) == pytest.approx((100 + 200 / 3) / 3)

    several = task(multi_label=True, metrics=(micro_f1,))
    rows[2]["label"] = []
    for row in rows[:2]:
        row["label"] = [row["label"]]
    examples = examples_of(several, rows)
    table = encode_examples(several, examples, tokenizer, 12)
    predicted = [one.value for one in several.decode(outputs, table, examples)]
    assert predicted[:2] == [("yes",), ("no",)]
    references = [("yes",), ("no",), ()]
    assert accuracy(predicted, references) == pytest.approx(200 / 3)
    assert micro_f1(predicted, references) == jx.metrics.macro_f1(predicted, references) == 100.0


@pytest.mark.parametrize("seed", range(40))
def test_the_nearest_pieces_hold_the_spans(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(6, 40))
    starts = rng.integers(0, count - 3, 2)
    spans = np.stack([starts, starts + rng.integers(1, 4, 2)], axis=1)
    size = int(rng.integers(6, count + 1))
    pieces = nearest_pieces(count, spans, size)
    assert len(pieces) == size and (np.diff(pieces) > 0).all()
    inside = {i for start, stop in spans.tolist() for i in range(start, stop)}
    assert inside <= set(pieces.tolist())


@pytest.mark.parametrize("seed", range(40))
def test_two_texts_share_the_room(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 40, 2).tolist()
    needed = [int(rng.integers(1, size + 1)) for size in sizes]
    size = int(rng.integers(sum(needed), sum(sizes) + 1))
    first, second = divide_room(sizes, needed, size)
    assert first + second == size
    assert needed[0] <= first <= sizes[0] and needed[1] <= second <= sizes[1]


def test_no_room(tokenizer: Any) -> None:
    span_task = task(span2="span2")
    examples = examples_of(span_task, targets(SENTENCES[:1], random.Random(0)))
    with pytest.raises(DataError, match="max_length 3 leaves no room for 2 spans beside 2 special"):
        encode_examples(span_task, examples, tokenizer, 3)


# --- words that a data set names ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted", "index", "expected"),
    [
        ("It ran . Ann saw the cat .", "the cat", 5, "the cat"),
        ("The cat ran, the CAT sat.", "The cat", 3, "the CAT"),  # another case, at the index
        ("He saw it. It ran.", "it", 2, "it"),  # without the full stop
        ("They use it here", "it", 1, "it"),  # off by a word
        ("for Colonel Christian's son", "Colonel Christian", 1, "Colonel Christian"),
        ("one two three four", "five six", 2, "three four"),  # other words: those at the index
        ("one two three four", "five six", 3, "four"),
        ("a b c d e f g it", "it", 0, "a"),  # too far away to be meant
        ("Ann , Bo and Cy ran", "Ann and Bo", 0, "Ann , Bo"),
    ],
)
def test_words_are_found_near_their_index(
    text: str, wanted: str, index: int, expected: str
) -> None:
    start, stop = find_near(text, wanted, index)
    assert text[start:stop] == expected


# --- rows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"span1": [0, 1]}, "The row has no column 'text'"),
        ({"text": "a b", "span1": [0, 3]}, r"\[0, 3\]; the text has 2 words. Expected 0 <= start"),
        ({"text": "a b", "span1": [1, 1]}, r"\[1, 1\]; the text has 2 words"),
        ({"text": "a b", "span1": [-1, 1]}, r"\[-1, 1\]; the text has 2 words"),
        ({"text": "a b", "span1": 1}, r"The span is 1; expected \[start, stop\], counted in words"),
        ({"text": "a b", "span1": [0.0, 1]}, r"expected \[start, stop\]"),
        ({"text": "a b", "span1": [False, True]}, r"expected \[start, stop\]"),
        ({"text": " ", "span1": [0, 1]}, "Column 'text' is an empty text"),
        ({"text": ["a", 1], "span1": [0, 1]}, "Expected a text or a list of words"),
        ({"text": ["a", ""], "span1": [1, 2]}, "The span of the characters 2 to 2 is blank"),
        ({"text": "a b", "span1": [0, 1], "label": "maybe"}, "Unknown label 'maybe'"),
        ({"text": "a b", "span1": [0, 1], "label": 1}, "Labels are matched by name"),
    ],
)
def test_rows_that_cannot_be(row: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        task().example(row, id="0", language="en")


def test_labels_may_be_none_one_or_several() -> None:
    span_task = task(multi_label=True, metrics=(micro_f1,))
    row = {"text": "a b", "span1": [0, 1]}
    for label, gold in (([], ()), ("yes", ("yes",)), (["yes", "no"], ("no", "yes")), (None, None)):
        (example,) = examples_of(span_task, [{**row, "label": label}])
        assert span_task.reference(example) == gold
    assert examples_of(span_task, [row])[0].label is None


def test_a_label_is_predicted_from_one_half_on(tokenizer: Any) -> None:
    span_task = task(multi_label=True, metrics=(micro_f1,))
    rows = [{"text": "the cat", "span1": [i, i + 1]} for i in range(2)]
    examples = examples_of(span_task, rows)
    table = encode_examples(span_task, examples, tokenizer)
    outputs = {"probabilities": np.array([[0.5, 0.49], [0.6, 0.9]])}
    assert [p.label for p in span_task.decode(outputs, table, examples)] == [("no",), ("no", "yes")]


def test_declarations_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="text_pair='other' without span2"):
        task(text_pair="other")
    with pytest.raises(ValueError, match=r"dropout=1\.0. Expected less than 1"):
        task(dropout=1.0)
    for metric in (f1_of("yse"), micro_f1_of(["yes", "yse"], name="some")):
        with pytest.raises(ValueError, match=r"the F1 of 'yse', which is not one of .* mean 'yes'"):
            task(metrics=(metric,))
