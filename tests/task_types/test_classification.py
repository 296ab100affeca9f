"""Labels, several labels, numbers: features and decoding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jiantx as jx
from jiantx.features import encode_examples
from jiantx.metrics import micro_f1
from jiantx.sources import DataError

LABELS = ("no", "perhaps", "yes")


def task(**fields: Any) -> jx.Classification:
    return jx.Classification(**{"name": "mood", "source": jx.Rows({}), "labels": LABELS, **fields})


def stars(**fields: Any) -> jx.Regression:
    return jx.Regression(**{"name": "stars", "source": jx.Rows({}), "high": 5.0, **fields})


def examples(mine: jx.Task, *rows: dict[str, Any]) -> list[Any]:
    return [
        mine.example({"text": "the cat", **row}, id=str(i), language="en")
        for i, row in enumerate(rows)
    ]


def encoded(
    mine: jx.Task, tokenizer: Any, *rows: dict[str, Any], **options: Any
) -> list[dict[str, Any]]:
    return list(encode_examples(mine, examples(mine, *rows), tokenizer, **options))


@pytest.fixture(params=["tokenizer", "bert_tokenizer", "roberta_tokenizer"])
def any_tokenizer(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


# --- one label ------------------------------------------------------------------------------------


def test_ids_are_the_tokenizer_s_own(any_tokenizer: Any) -> None:
    rows = [
        {"text": "the cat", "pair": "a dog eats", "label": "yes"},
        {"text": "straße", "pair": "猫 河流", "label": "no"},
    ]
    for mine, pairs in ((task(), False), (task(text_pair="pair"), True)):
        features = encoded(mine, any_tokenizer, *rows)
        for row, feature in zip(rows, features, strict=True):
            full = any_tokenizer(row["text"], row["pair"] if pairs else None)
            assert feature["input_ids"] == full["input_ids"] and feature["lengths"] == [
                len(full["input_ids"])
            ]
            assert feature.get("token_type_ids") == full.get("token_type_ids")
        assert [f["labels"] for f in features] == [[2], [0]] and [
            f["example"] for f in features
        ] == [0, 1]


def test_long_pairs_are_cut(any_tokenizer: Any) -> None:
    rows = [
        {"text": "a " * 100, "pair": "the cat", "label": "no"},
        {"text": "a", "pair": "b", "label": "no"},
    ]
    long, short = encoded(task(text_pair="pair"), any_tokenizer, *rows, max_length=24)
    assert (len(long["input_ids"]), long["truncated"], short["truncated"]) == (24, 1, 0)


def test_examples_without_gold_are_not_learnt(tokenizer: Any) -> None:
    assert [
        f["labels"] for f in encoded(task(), tokenizer, {}, {"label": None}, {"label": "yes"})
    ] == [
        [-100],
        [-100],
        [2],
    ]


def test_decoding_takes_the_most_probable() -> None:
    task_examples = examples(task(), {}, {})
    outputs = {"probabilities": np.array([[0.2, 0.5, 0.3], [0.7, 0.2, 0.1]], np.float32)}
    one, two = task().decode(outputs, None, task_examples)
    assert (one.label, two.label) == ("perhaps", "no") == (one.value, two.value)
    assert one.probability == pytest.approx(0.5) == one.confidence
    assert one.probabilities == pytest.approx({"no": 0.2, "perhaps": 0.5, "yes": 0.3})
    assert (one.id, two.id) == ("0", "1")


def test_head_config_is_plain_json() -> None:
    import json

    for mine in (task(), task(multi_label=True), stars()):
        assert json.loads(json.dumps(mine.head_config())) == mine.head_config()
    assert task().head_config()["labels"] == list(LABELS)


# --- several labels -------------------------------------------------------------------------------


def topics(**fields: Any) -> jx.Classification:
    return task(multi_label=True, metrics=(micro_f1,), **fields)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["yes", "no"], ("no", "yes")),
        (("perhaps",), ("perhaps",)),
        ([], ()),
        ({"no", "yes"}, ("no", "yes")),
        (["yes", "yes"], ("yes",)),
        (None, None),
    ],
)
def test_several_labels_in_their_order(given: Any, found: Any, tokenizer: Any) -> None:
    (example,) = examples(topics(), {"label": given})
    assert example.label == found == topics().reference(example)
    (feature,) = encoded(topics(), tokenizer, {"label": given})
    assert feature["labels"] == ([0] if found is not None else [-100]), (
        "an empty set is gold, a missing one is not"
    )
    assert feature["targets"] == [float(label in (found or ())) for label in LABELS]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("no", "expected a list of them"),
        (["maybe"], "Unknown label 'maybe'"),
        ([1], "The label is 1"),
    ],
)
def test_several_labels_of_another_form(given: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        examples(topics(), {"label": given})


def test_all_labels_above_one_half() -> None:
    """A threshold of one half belongs to probabilities, not to logits."""
    task_examples = examples(topics(), {}, {})
    outputs = {"probabilities": np.array([[0.6, 0.1, 0.51], [0.5, 0.1, 0.2]], np.float32)}
    one, two = topics().decode(outputs, None, task_examples)
    assert one.value == ("no", "yes") and two.value == ()


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "target"), [(0, 0.0), (5.0, 1.0), (2.5, 0.5), ("1.25", 0.25), (np.float32(2.5), 0.5)]
)
def test_numbers_on_their_scale(label: Any, target: float, tokenizer: Any) -> None:
    (feature,) = encoded(stars(), tokenizer, {"label": label})
    assert feature["targets"] == [target] and feature["labels"] == [0]


def test_low_end_need_not_be_zero(tokenizer: Any) -> None:
    mine = stars(low=-1.0, high=1.0)
    features = encoded(mine, tokenizer, {"label": -1}, {"label": 0.5}, {})
    assert [f["targets"] for f in features] == [[0.0], [0.75], [0.0]], (
        "-1 is a number here, and no placeholder"
    )
    assert [f["labels"] for f in features] == [[0], [0], [-100]]
    decoded = mine.decode(
        {"numbers": np.array([0.0, 0.75, 1.2], np.float32)}, None, examples(mine, {}, {}, {})
    )
    assert [p.value for p in decoded] == pytest.approx([-1.0, 0.5, 1.4])


def test_gold_comes_back() -> None:
    task_examples = examples(stars(), *({"label": n / 4} for n in range(21)))
    targets = np.array([example.label / 5 for example in task_examples])
    decoded = stars().decode({"numbers": targets}, None, task_examples)
    assert [p.number for p in decoded] == pytest.approx(
        [stars().reference(example) for example in task_examples]
    )


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (float("nan"), "expected a finite number"),
        (float("inf"), "expected a finite number"),
        ("nan", "expected a finite number"),
        ("much", "The label is 'much'; expected a number"),
        ([1], "expected a number"),
        (5.01, r"The label 5\.01 is outside the task's scale, 0\.0 to 5\.0"),
        (-1, "outside the task's scale"),
    ],
)
def test_numbers_that_cannot_be(label: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        examples(stars(), {"label": label})


@pytest.mark.parametrize("row", [{}, {"label": None}])
def test_number_that_is_missing(row: dict[str, Any]) -> None:
    (example,) = examples(stars(), row)
    assert example.label is None


def test_a_blank_score_is_hidden_as_in_other_types() -> None:
    task = stars(source=jx.Rows({"test": [{"text": "a", "label": ""}]}))
    assert [example.label for example in task.examples("test")] == [None]
