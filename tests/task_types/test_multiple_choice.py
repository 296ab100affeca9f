"""One of several choices: labels in three forms, prompts cut at their start, decoding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jiantx as jx
from jiantx.features import encode_examples
from jiantx.sources import DataError


@pytest.fixture(params=["tokenizer", "bert_tokenizer", "roberta_tokenizer"])
def any_tokenizer(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


TASK = jx.MultipleChoice(name="choices", source=jx.Rows({}))


def example(
    label: Any = 0, prompt: str = "the cat", choices: Any = ("eats", "sees a dog", "red")
) -> Any:
    return TASK.example(
        {"prompt": prompt, "choices": choices, "label": label}, id="0", language="en"
    )


@pytest.mark.parametrize(
    ("label", "number"),
    [
        (0, 0),
        (2, 2),
        ("0", 0),
        ("2", 2),
        ("A", 0),
        ("C", 2),
        ("b", 1),
        (" 1 ", 1),
        (None, None),
        ("", None),
        (-1, None),
    ],
)
def test_labels_are_numbers_digits_or_letters(label: Any, number: int | None) -> None:
    assert example(label).label == number == TASK.reference(example(label))


@pytest.mark.parametrize("label", [3, "3", "D", -2, "-1", True, 1.0, "AB", "é", "²", [0]])
def test_labels_out_of_range(label: Any) -> None:
    with pytest.raises(DataError) as caught:
        example(label)
    assert (
        str(caught.value)
        == f"The label is {label!r}; expected a choice's number, 0 to 2, or its letter, A to C."
    )


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ("abc", "Expected a list of at least two choices, found 'abc'"),
        (["one"], "Expected a list of at least two choices"),
        (["one", None], "Expected a list of at least two choices"),
        (["one", " "], "A choice is an empty text"),
    ],
)
def test_choices_that_cannot_be(choices: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        example(choices=choices)


def test_empty_prompt() -> None:
    with pytest.raises(DataError, match="Column 'prompt' is an empty text"):
        example(prompt=" ")


def sequences(feature: dict[str, Any], column: str = "input_ids") -> list[list[int]]:
    ends = np.cumsum(feature["lengths"])
    return [
        feature[column][end - size : end]
        for end, size in zip(ends, feature["lengths"], strict=True)
    ]


def test_each_choice_is_a_sequence_with_the_prompt(any_tokenizer: Any) -> None:
    task_examples = [example(1), example("C", "猫 看见", ["红色", "the", "a", "in"])]
    for feature, one in zip(
        encode_examples(TASK, task_examples, any_tokenizer), task_examples, strict=True
    ):
        full = [any_tokenizer(one.prompt, choice) for choice in one.choices]
        assert sequences(feature) == [w["input_ids"] for w in full]
        if "token_type_ids" in full[0]:
            assert sequences(feature, "token_type_ids") == [w["token_type_ids"] for w in full]
        assert feature["labels"] == [one.label] and feature["truncated"] == 0
    (raw,) = encode_examples(TASK, [example(None)], any_tokenizer)
    assert raw["labels"] == [-100]


def test_long_prompts_are_cut_at_their_start(any_tokenizer: Any) -> None:
    """As in the paper's code: what a choice completes is the end of the prompt."""
    prompt = " ".join(str(i % 10) for i in range(100)) + " house"
    task_examples = [example(0, prompt, ["the cat", "dog"]), example()]
    long, short = encode_examples(TASK, task_examples, any_tokenizer, 24)
    assert (long["truncated"], short["truncated"]) == (1, 0)
    for actual, choice in zip(sequences(long), ("the cat", "dog"), strict=True):
        full = any_tokenizer(prompt, choice)["input_ids"]
        assert len(actual) == 24 and actual[0] == full[0]
        assert actual[1:] == full[-23:], "the end of the prompt and the whole choice are there"


@pytest.mark.parametrize("seed", [0, 1])
def test_decoding(seed: int) -> None:
    task_examples = [
        example(),
        example(choices=["a", "b"]),
        example(choices=["a", "b", "c", "d", "e"]),
    ]
    scores = np.random.default_rng(seed).normal(size=10).astype(np.float32) * 50
    decoded = TASK.decode({"scores": scores}, None, task_examples)
    index = 0
    for prediction, one in zip(decoded, task_examples, strict=True):
        mine = scores[index : index + len(one.choices)].astype(np.float64)
        index += len(one.choices)
        assert prediction.choice == int(mine.argmax()) == prediction.value
        assert prediction.text == one.choices[prediction.choice]
        odds = np.exp(mine - np.logaddexp.reduce(mine))
        assert prediction.choice_probabilities == pytest.approx(odds, abs=1e-6)
        assert (
            prediction.probability == pytest.approx(odds.max(), abs=1e-6) == prediction.confidence
        )


def test_first_of_equals() -> None:
    (actual,) = TASK.decode({"scores": np.array([1.0, 1.0, 0.0])}, None, [example()])
    assert actual.choice == 0
