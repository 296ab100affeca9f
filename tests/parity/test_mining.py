"""Mined pairs, their threshold and the mining equal the rules of BUCC's scripts, restated."""

from __future__ import annotations

import random

import pytest

from jiantx import metrics

from . import mining
from .comparison import TOLERANCE, Sample, differing


@pytest.mark.slow
@pytest.mark.usefixtures("gold")
def test_mining_equals_the_restated_rules() -> None:
    comparisons = list(mining.comparisons(random.Random(0)))
    assert len(comparisons) == 9
    assert not differing(comparisons)


def test_made_up_pairs_equal_the_restated_rules() -> None:
    rng = random.Random(0)
    gold = [(f"e{i}",) if rng.random() < 0.5 else () for i in range(200)]
    predictions = [relevant if rng.random() < 0.6 else ("e7",) for relevant in gold]
    comparisons = list(mining.pair_comparisons("made up", Sample(predictions, gold)))
    assert len(comparisons) == 3
    assert not differing(comparisons)


def test_made_up_threshold_equals_the_restated_rules() -> None:
    """Scores are rounded, so that they tie."""
    rng = random.Random(0)
    is_gold = [rng.random() < 0.5 for _ in range(200)]
    scores = [round(rng.gauss(1.2 if gold else 1.0, 0.1), 2) for gold in is_gold]
    restated = mining.restated_threshold(scores, is_gold, 150)
    assert restated == pytest.approx(metrics.best_threshold(scores, is_gold, 150), abs=TOLERANCE)
