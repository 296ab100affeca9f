"""Metrics of rankings equal scikit-learn and a plain loop."""

from __future__ import annotations

import random

import pytest

from jiantx import metrics

from . import rankings
from .comparison import TOLERANCE, differing


@pytest.mark.slow
@pytest.mark.usefixtures("gold")
def test_rankings_equal_scikit_learn_and_the_restated_rules() -> None:
    comparisons = list(rankings.comparisons(random.Random(0)))
    assert len(comparisons) == 6
    assert not differing(comparisons)


def test_made_up_rankings_equal_scikit_learn_and_the_restated_rules() -> None:
    rng = random.Random(0)
    candidates = [f"c{i}" for i in range(60)]
    gold = [rng.sample(candidates, rng.choice((1, 2, 30))) for _ in range(200)]
    sample = rankings.noisy_rankings(rng, gold)
    precision = rankings.sklearn_mean_average_precision(*sample)
    assert precision == pytest.approx(metrics.mean_average_precision(*sample), abs=TOLERANCE)
    reciprocal_rank = rankings.restated_mean_reciprocal_rank(*sample)
    assert reciprocal_rank == pytest.approx(metrics.mean_reciprocal_rank(*sample), abs=TOLERANCE)
