"""BLiMP's overall score beside a restatement: per paradigm, then the mean over paradigms."""

from __future__ import annotations

import random

import pytest

from jiantx.metrics import accuracy


def overall(scores: dict[str, list[tuple[float, float]]]) -> float:
    """The mean over paradigms of how often the good sentence scores higher."""
    total = 0.0
    for pairs in scores.values():
        higher = 0
        for good, bad in pairs:
            if good > bad:
                higher += 1
        total += higher / len(pairs)
    return 100 * total / len(scores)


@pytest.mark.parametrize("seed", range(5))
def test_the_overall_score(seed: int) -> None:
    """With ties, which are errors. Paradigms are of one size."""
    rng = random.Random(seed)
    scores = {
        f"paradigm{index}": [
            (rng.gauss(0.1 * index, 1), rng.gauss(0, 1))
            if rng.random() < 0.9
            else (rng.choice([-1.0, -2.0]), -1.0)
            for _ in range(100)
        ]
        for index in range(12)
    }
    predictions = []
    for good, bad in (pair for pairs in scores.values() for pair in pairs):
        predictions.append(-1 if good == bad else int(bad > good))
    assert accuracy(predictions, [0] * len(predictions)) == pytest.approx(overall(scores), abs=1e-9)
