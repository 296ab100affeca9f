"""Tags: words in == words out, whatever their length and script."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import jiantx as jx
from jiantx.features import encode_examples
from jiantx.metrics import chunk_f1, named
from jiantx.sources import DataError
from jiantx.tokenization import tokenize_words

LABELS = ("O", "B-X", "I-X")
SENTENCES = [
    ["The", "old", "ferry", "leaves", "at", "nine", "."],
    ["وصل", "القطار", "إلى", "المحطة", "،"],
    ["किताब", "मेज़", "पर", "रखी", "है", "।"],
    ["我们", "看见", "猫", "，", "吃鱼"],
    ["แมว", "นั่ง", "ข้าง", "แม่น้ำ"],
    ["Çocuk", "İstanbul'daki", "evin", "önünde"],
    ["", "\u200b", "a", "💡👩‍👧", "e\u0301"],
    ["one"],
]


@pytest.fixture(params=["tokenizer", "bert_tokenizer", "roberta_tokenizer"])
def any_tokenizer(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def task(**fields: Any) -> jx.TokenClassification:
    return jx.TokenClassification(
        **{"name": "entities", "source": jx.Rows({}), "labels": LABELS, **fields}
    )


def examples(sentences: list[list[str]], tagged: bool = True) -> list[Any]:
    rng = random.Random(0)
    rows = [
        {"tokens": tokens, **({"tags": rng.choices(LABELS, k=len(tokens))} if tagged else {})}
        for tokens in sentences
    ]
    return [task().example(row, id=str(i), language="en") for i, row in enumerate(rows)]


def round_trip(sentences: list[list[str]], tokenizer: Any, max_length: int) -> list[dict[str, Any]]:
    """Feed the labels of the features back as outputs: the gold must come out."""
    task_examples = examples(sentences)
    table = encode_examples(task(), task_examples, tokenizer, max_length)
    labels = np.concatenate([np.array(labels) for labels in table["labels"]])
    outputs = {"tags": labels, "probabilities": np.linspace(0, 1, len(labels))}
    decoded = task().decode(outputs, table, task_examples)
    assert [p.words for p in decoded] == [tuple(tokens) for tokens in sentences]
    assert [p.value for p in decoded] == [task().reference(example) for example in task_examples]
    assert [len(p.probabilities) for p in decoded] == list(map(len, sentences))
    assert [p.id for p in decoded] == [e.id for e in task_examples]
    return list(table)


@pytest.mark.parametrize("max_length", [256, 16, 7, 4, 3])
def test_words_in_are_words_out(max_length: int, any_tokenizer: Any) -> None:
    """Long sentences are split and merged; no word vanishes from gold and prediction."""
    features = round_trip(SENTENCES, any_tokenizer, max_length)
    assert all(len(f["input_ids"]) == f["lengths"][0] <= max_length for f in features)
    assert max_length > 16 or len(features) > len(SENTENCES)


@pytest.mark.parametrize("seed", range(5))
def test_random_sentences(seed: int, any_tokenizer: Any) -> None:
    rng = random.Random(seed)
    tokens = [word for sentence in SENTENCES for word in sentence] + ["x" * 40, "q" * 300]
    sentences = [rng.choices(tokens, k=rng.choice((1, 2, 9, 60))) for _ in range(12)]
    round_trip(sentences, any_tokenizer, rng.choice((3, 5, 17, 40)))


def test_each_word_is_read_at_its_first_piece(any_tokenizer: Any) -> None:
    for max_length in (256, 12):
        for feature in round_trip(SENTENCES, any_tokenizer, max_length):
            tokens = SENTENCES[feature["example"]]
            first_tokens = {tokenize_words(any_tokenizer, [[word]])[0][0][0] for word in tokens}
            assert {
                feature["input_ids"][index] for index in feature["word_positions"]
            } <= first_tokens
            assert len(feature["word_positions"]) == len(feature["labels"]) > 0


def test_windows_are_whole_words_in_order(any_tokenizer: Any) -> None:
    tokens = SENTENCES[0] * 6
    ((ids, _),) = tokenize_words(any_tokenizer, [tokens])
    features = round_trip([tokens], any_tokenizer, 20)
    inner = [i for f in features for i in f["input_ids"][1:-1]]
    assert len(features) > 2 and inner == ids.tolist(), "no piece is lost or doubled"
    assert all(f["word_positions"][0] == 1 for f in features), "a window begins with a word"
    full = any_tokenizer("a")["input_ids"]
    assert all((f["input_ids"][0], f["input_ids"][-1]) == (full[0], full[-1]) for f in features)


def test_one_word_longer_than_a_window(any_tokenizer: Any) -> None:
    long = "qzw" * 10
    for sentence in ([long], ["the", long, "cat"], [long, long], ["the", long]):
        features = round_trip([sentence], any_tokenizer, 6)
        assert all(len(f["input_ids"]) <= 6 for f in features)


def test_window_that_just_fits(any_tokenizer: Any) -> None:
    tokens = SENTENCES[0]
    size = len(tokenize_words(any_tokenizer, [tokens])[0][0]) + 2
    assert len(round_trip([tokens], any_tokenizer, size)) == 1
    assert len(round_trip([tokens], any_tokenizer, size - 1)) == 2


def test_no_room(tokenizer: Any) -> None:
    with pytest.raises(
        DataError, match="max_length 2 leaves no room for words beside 2 special tokens"
    ):
        encode_examples(task(), examples(SENTENCES), tokenizer, 2)


def test_sentences_without_gold(tokenizer: Any) -> None:
    task_examples = examples(SENTENCES, tagged=False)
    assert all(task().reference(example) is None for example in task_examples)
    table = encode_examples(task(), task_examples, tokenizer)
    assert all(label == -100 for labels in table["labels"] for label in labels)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"tokens": [], "tags": []}, "The sentence has no words"),
        ({"tokens": "the cat", "tags": ["O"]}, "Expected a list of words, found 'the cat'"),
        ({"tokens": ["a", None], "tags": ["O", "O"]}, "Expected a list of words"),
        ({"tokens": ["a", "b"], "tags": ["O"]}, "2 words have 1 tags; expected one tag per word"),
        (
            {"tokens": ["a"], "tags": ["B-Y"]},
            r"Unknown label 'B-Y'\. The task's labels are \['O', 'B-X', 'I-X'\]",
        ),
        ({"tokens": ["a"], "tags": [1]}, "The label is 1, and the data set does not say"),
    ],
)
def test_rows_that_cannot_be(row: dict[str, Any], said: str) -> None:
    """An unknown tag became label -1 with mask 1."""
    with pytest.raises(DataError, match=said):
        task().example(row, id="0", language="en")


def test_one_withheld_tag_withholds_the_sentence() -> None:
    example = task().example({"tokens": ["a", "b"], "tags": ["O", None]}, id="0", language="en")
    assert example.tags is None


def test_labels_are_checked_once_and_not_for_each_tag() -> None:
    calls = []

    class Names(list[str]):
        def __iter__(self) -> Any:
            calls.append(1)
            return super().__iter__()

    names: Any = Names(("A", "B"))
    rows = [{"tokens": ["x"] * 20, "tags": ["A", "B"] * 10}] * 30
    task = jx.TokenClassification("mine", jx.Rows({"train": rows}), labels=lambda: names)
    assert sum(1 for _ in task.examples("train")) == 30
    assert len(calls) < 10


def test_a_renamed_metric_is_told_the_scheme() -> None:
    source = jx.Rows({"validation": []})
    labels = ("BUILDING", "STREET", "O")
    task = jx.TokenClassification("places", source, labels=labels, scheme="IO")
    renamed = named("again")(chunk_f1)
    predicted, right = [["BUILDING", "O"]], [["STREET", "O"]]
    assert task.compute(renamed, predicted, right) == task.compute(chunk_f1, predicted, right) == 0
    with pytest.raises(ValueError, match="follow no scheme"):
        task.replace(labels=("B-PER", "PER"), scheme=None, metrics=(renamed,), main_metrics=())
