"""Published pseudo-log-likelihoods, where the models are at hand: set PUBLISHED_HUB=1."""

from __future__ import annotations

import os

import pytest

from .blimp import HELLO_MODEL, HELLO_SCORE, PUBLISHED, TOLERANCE, hello_score, score

on_the_hub = pytest.mark.skipif(
    not os.environ.get("PUBLISHED_HUB"),
    reason="PUBLISHED_HUB is not set: the models are on the Hub",
)


@on_the_hub
@pytest.mark.slow
def test_the_published_score_of_a_sentence() -> None:
    assert hello_score(HELLO_MODEL) == pytest.approx(HELLO_SCORE, abs=1e-3)


@on_the_hub
@pytest.mark.slow
@pytest.mark.parametrize("encoder", PUBLISHED)
def test_the_published_accuracy(encoder: str) -> None:
    from jiantx.tasks.minimal_pairs import BLIMP

    accuracies = score(encoder, BLIMP)
    mean = sum(accuracies.values()) / len(accuracies)
    assert mean == pytest.approx(PUBLISHED[encoder], abs=TOLERANCE)
