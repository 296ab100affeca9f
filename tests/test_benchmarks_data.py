"""The peers in benchmarks/ do what jiantx does, so that the comparisons stay true."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from benchmark_programs import benchmark_programs, missing

import jiantx as jx
from jiantx.features import encode_examples
from jiantx.metrics import best_threshold

WORDS = (
    "the a cat dog sees eats red green house river in on of and quickly slowly not where who tall"
)
VOCABULARY = WORDS.split()
pytestmark = [missing, pytest.mark.slow]  # for torch and datasets, which the programs import


@pytest.fixture(scope="module")
def programs() -> Iterator[Any]:
    names = (
        "decoding decoding_peers features features_growth features_peers mining mining_libraries"
    )
    with benchmark_programs(*names.split()) as modules:
        yield modules


# --- Features -------------------------------------------------------------------------------------


def questions(count: int, seed: int = 0) -> dict[str, list[Any]]:
    """Columns of SQuAD: passages of 1 to 90 words, answers of 1 to 4 of them."""
    rng = random.Random(seed)
    columns: dict[str, list[Any]] = {"id": [], "question": [], "context": [], "answers": []}
    for index in range(count):
        context = rng_words(rng, 90)
        first = rng.randrange(len(context))
        answer = " ".join(context[first : first + rng.randint(1, 4)])
        start = len(" ".join([*context[:first], ""]))
        columns["id"].append(str(index))
        columns["question"].append(" ".join(rng_words(rng, 9)))
        columns["context"].append(" ".join(context))
        columns["answers"].append({"text": [answer], "answer_start": [start]})
    return columns


def rng_words(rng: random.Random, longest: int) -> list[str]:
    count = rng.randint(1, longest)
    return [rng.choice(VOCABULARY) for _ in range(count)]


def rows_of(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def squad(columns: dict[str, list[Any]], **changes: Any) -> tuple[Any, list[Any]]:
    task = jx.QuestionAnswering(
        name="questions",
        source=jx.Rows({"train": rows_of(columns)}),
        stride=16,
        max_length=48,
        **changes,
    )
    return task, list(task.examples("train"))


def windows_of(features: Any) -> list[tuple[list[int], int, int]]:
    """(ids, start, end) of each window; jiantx holds positions in lists, peers do not."""

    def position(value: Any) -> int:
        return int(value[0] if isinstance(value, list) else value)

    columns = (features[name] for name in ("input_ids", "start_positions", "end_positions"))
    windows = []
    for ids, start, end in zip(*columns, strict=True):
        windows.append((list(ids), position(start), position(end)))
    return windows


@pytest.mark.parametrize("kind", ["tokenizer", "bert_tokenizer"])
def test_windows(kind: str, programs: Any, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(kind)
    peers = programs.features_peers
    columns = questions(40)
    task, examples = squad(columns)
    ours = encode_examples(task, examples, tokenizer)
    expected = windows_of(ours[:])
    assert len(expected) > 60
    assert windows_of(peers.looped_squad(columns, tokenizer, 48, 16)) == expected
    batched = []  # its stride is what two windows share, and so depends on the question
    for row in range(len(examples)):
        one_row = {name: values[row : row + 1] for name, values in columns.items()}
        question_ids = tokenizer(one_row["question"], add_special_tokens=False)["input_ids"][0]
        context_room = 48 - len(question_ids) - tokenizer.num_special_tokens_to_add(pair=True)
        batched += windows_of(peers.batched_squad(one_row, tokenizer, 48, context_room - 16))
    assert batched == expected


def test_pairs(programs: Any, tokenizer: Any) -> None:
    rng = random.Random(0)
    pairs: dict[str, list[Any]] = {"premise": [], "hypothesis": [], "label": [0, 1, 2] * 10}
    for _ in range(30):
        pairs["premise"].append(" ".join(rng_words(rng, 20)))
        pairs["hypothesis"].append(" ".join(rng_words(rng, 20)))
    rows = []
    for row in rows_of(pairs):
        label = "abc"[row["label"]]
        rows.append({"text": row["premise"], "pair": row["hypothesis"], "label": label})
    task = jx.Classification(
        name="nli",
        source=jx.Rows({"train": rows}),
        text_pair="pair",
        labels=("a", "b", "c"),
        max_length=24,
    )
    ours = encode_examples(task, list(task.examples("train")), tokenizer)[:]
    for peer in (programs.features_peers.batched_nli, programs.features_peers.looped_nli):
        peer_features = peer(pairs, tokenizer, 24)
        assert peer_features["input_ids"] == ours["input_ids"]
        assert [[label] for label in peer_features["labels"]] == ours["labels"]


def test_tags(programs: Any, tokenizer: Any) -> None:
    rng = random.Random(0)
    columns: dict[str, list[Any]] = {"tokens": [rng_words(rng, 9) for _ in range(30)]}
    columns["ner_tags"] = []
    for sentence in columns["tokens"]:
        columns["ner_tags"].append([rng.randrange(3) for _ in sentence])
    rows = []
    for row in rows_of(columns):
        rows.append({"tokens": row["tokens"], "tags": ["OBI"[tag] for tag in row["ner_tags"]]})
    task = jx.TokenClassification(
        name="tags", source=jx.Rows({"train": rows}), labels=("O", "B", "I")
    )
    ours = encode_examples(task, list(task.examples("train")), tokenizer)[:]
    for peer in (programs.features_peers.batched_tags, programs.features_peers.looped_tags):
        peer_features = peer(columns, tokenizer)
        assert peer_features["input_ids"] == ours["input_ids"]
        for index, labels in enumerate(peer_features["labels"]):
            positions = [position for position, label in enumerate(labels) if label != -100]
            assert positions == ours["word_positions"][index]
            assert [labels[position] for position in positions] == ours["labels"][index]


# --- Decoding and mining --------------------------------------------------------------------------


@pytest.mark.parametrize("unanswerable", [False, True])
def test_answers(unanswerable: bool, programs: Any, tokenizer: Any) -> None:
    looped_spans = programs.decoding_peers.looped_spans
    task, examples = squad(questions(60, seed=1), unanswerable=unanswerable)
    table = encode_examples(task, examples, tokenizer)
    outputs = programs.decoding.random_logits(table)
    ours = [(p.answer, p.start, p.score) for p in task.decode(outputs, table, examples)]
    for windows in (table, list(table)):
        assert looped_spans(outputs, windows, examples, unanswerable=unanswerable) == ours
    assert any(answer == "" for answer, _, _ in ours) == unanswerable


def test_threshold(programs: Any) -> None:
    scores, is_gold = programs.decoding.random_pairs(500)
    looped = programs.decoding_peers.looped_threshold(scores, is_gold, 300)
    assert looped == pytest.approx(best_threshold(scores, is_gold, 300), abs=1e-9)


def test_mining_by_margin(programs: Any) -> None:
    source, target = programs.mining.translations(60, 16)
    search, mine = programs.mining_libraries.jiantx_functions()
    pairs, scores = mine(source, target, 4)
    forward = search(source, target, 4)
    backward = search(target, source, 4)
    their_pairs, their_scores = programs.mining_libraries.pairs_by_margin(*forward, *backward)
    assert their_pairs.tolist() == pairs.tolist()
    np.testing.assert_allclose(their_scores, scores, atol=1e-5)


def test_arguments_are_the_same_everywhere(programs: Any) -> None:
    for program in (
        programs.decoding,
        programs.features,
        programs.features_growth,
        programs.mining,
    ):
        options = vars(program.parse([]))
        assert {"repeat", "threads", "results"} <= options.keys()
