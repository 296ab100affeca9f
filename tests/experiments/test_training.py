"""The validation rows that a training is scored on: some of them, and groups whole."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

import jiantx as jx
from jiantx.experiments.training import subsample_validation
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
