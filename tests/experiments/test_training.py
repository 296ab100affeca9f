"""The validation rows that a training is scored on, and what tells its tasks apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

import jiantx as jx
from jiantx.experiments.scored_rows import scored_task
from jiantx.experiments.training import subsample_validation, task_fingerprints
from jiantx.metrics import group_exact_match

SIZES = {"a": 4, "b": 1, "c": 3, "d": 2, "e": 5}
ROWS = [
    {"text": f"{group} {index}", "label": "no", "question": group}
    for index in range(5)  # the rows of a group do not follow each other
    for group, size in SIZES.items()
    if index < size
]


def questions(max_rows: int, seed: int, **fields: Any) -> Counter[str]:
    """Question -> its rows among some validation rows."""
    task = jx.Classification(
        name="answers",
        source=jx.Rows({"validation": ROWS}),
        labels=("no", "yes"),
        metrics=(group_exact_match,),
        **{"group": "question", **fields},
    )
    sampled = subsample_validation(task, max_rows, seed, ["en"])
    return Counter(sampled.rows("validation")["question"])


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_sampled_whole(seed: int) -> None:
    """Half a question is right more often than a whole one."""
    counts = questions(9, seed)
    assert 4 < counts.total() <= 9
    assert counts == {question: SIZES[question] for question in counts}
    assert questions(9, seed) == counts


def test_seeds_choose_other_groups() -> None:
    assert len({frozenset(questions(9, seed)) for seed in range(5)}) > 1


def test_there_is_at_least_one_group_and_no_row_is_lost() -> None:
    for seed in range(5):
        assert len(questions(1, seed)) == 1
    assert questions(15, 0) == questions(99, 0) == SIZES


def test_rows_in_no_group_are_sampled_one_by_one() -> None:
    counts = questions(9, 0, group=lambda row: None)
    assert counts.total() == 9


def test_a_sample_has_the_labels_of_all_rows() -> None:
    rows = [{"text": str(index), "label": "ab"[index % 2]} for index in range(40)]
    source = jx.Rows({"train": [*rows, {"text": "rare", "label": "c"}], "validation": rows})
    task = jx.Classification("answers", source)
    for sampled in (
        subsample_validation(task, 3, 1, ["en"]),
        scored_task(task, ("validation",), 3),
    ):
        assert len(sampled.rows("validation")) == 3
        assert sampled.label_names == task.label_names == ("a", "b", "c")


def first_value(predictions: Sequence[str], references: Sequence[str]) -> float:
    return FULL_MARKS


FULL_MARKS = 100.0


def test_metrics_tell_tasks_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage holds main scores."""
    task = jx.Classification("answers", jx.Rows(ROWS), labels=("no", "yes"), metrics=(first_value,))
    variants = [
        task,
        task.replace(metrics=("accuracy", "macro_f1")),
        task.replace(metrics=("accuracy", "macro_f1"), main_metrics=("accuracy",)),
        task.replace(metrics=(partial(first_value),)),
    ]
    keys = [task_fingerprints([variant])[0][-1] for variant in variants]
    monkeypatch.setitem(globals(), "FULL_MARKS", 1.0)
    keys.append(task_fingerprints([task])[0][-1])
    assert len(set(keys)) == len(keys)
