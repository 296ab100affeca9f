"""Sentences and cells claim a difference only where its 95 % interval excludes zero."""

from __future__ import annotations

import math

import pytest

from jiantx.experiments import (
    format_interval,
    format_paired,
    significance_sentence,
    split_by_sign,
)

DIFFERENCES = {"mnli": (1.0, 0.5), "qqp": (-2.0, 0.5), "ccg": (0.2, 0.5), "new": (3.0, math.nan)}


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        ((1.23, 0.31), "+1.2 ± 0.3"),
        ((-1.23, math.nan), "-1.2"),
        ((-0.01, 0.3), "0.0 ± 0.3"),
        ((math.nan, math.nan), "–"),
    ],
)
def test_intervals_as_text(interval: tuple[float, float], text: str) -> None:
    assert format_interval(interval, "+") == text


def test_differences_are_split_by_the_sign_of_their_interval() -> None:
    positive, negative, undecided = split_by_sign(DIFFERENCES)
    assert positive == ["mnli (+1.0 ± 0.5)"]
    assert negative == ["qqp (-2.0 ± 0.5)"]
    assert undecided == ["ccg", "new"], "one seed decides nothing"


def test_significant_differences_are_counted_and_named() -> None:
    assert significance_sentence(DIFFERENCES, 3, subject="The gain", items="tasks") == (
        "The gain is significantly above zero for 1 of 4 tasks (mnli +1.0 ± 0.5) and significantly "
        "below zero for 1 (qqp -2.0 ± 0.5) (95 % intervals over 3 seeds). For the other 2, the "
        "interval includes zero."
    )


def test_no_significant_difference_and_too_few_seeds() -> None:
    undecided = {"ccg": DIFFERENCES["ccg"]}
    sentence = significance_sentence(undecided, 2)
    assert "not significantly different from zero for any of 1 rows" in sentence
    assert "fewer than two seeds" in significance_sentence(undecided, 1)


def test_seeds_are_paired() -> None:
    assert format_paired({1: (70.0, 71.0), 2: (72.0, 73.5)}) == "71.0 | 72.2 | +1.2 ± 3.2"
    assert format_paired({1: (70.0, 71.0)}) == "70.0 | 71.0 | +1.0"
    assert format_paired({}) == "– | – | –"
