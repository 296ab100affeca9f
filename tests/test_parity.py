"""parity.py's second computations agree with the metrics, so that the program stays true."""

from __future__ import annotations

import importlib
import math
import random
from types import ModuleType
from typing import Any

import pytest

from jiantx import metrics

# alone: for torch, scikit-learn and SciPy, which the program imports
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def parity() -> ModuleType:
    return importlib.import_module("parity")


@pytest.mark.parametrize("language", ["ar", "de", "en", "es", "hi", "vi", "zh"])
def test_answers(parity: Any, language: str) -> None:
    pairs = parity.made_up_answers(random.Random(language), 150, language)
    for name, plain in parity.PLAIN.items():
        ours = getattr(metrics, name)(*pairs)
        assert 5 < ours < 95, (
            name
        )  # neither trivial nor hopeless, or the comparison would say little
        assert plain(*pairs) == pytest.approx(ours, abs=parity.TOLERANCE), name


@pytest.mark.parametrize(
    ("version", "ours"), [("0.0.12", metrics.chunk_f1), ("1.2.2", metrics.chunk_f1_seqeval1)]
)
def test_chunks(parity: Any, version: str, ours: Any) -> None:
    pairs = parity.made_up_tags(random.Random(0), 300)
    assert parity.plain_chunk_f1(version, *pairs) == pytest.approx(
        ours(*pairs), abs=parity.TOLERANCE
    )
    assert parity.sklearn_words(*pairs) == pytest.approx(
        metrics.token_accuracy(*pairs), abs=parity.TOLERANCE
    )


def test_rankings(parity: Any) -> None:
    rng = random.Random(0)
    gold = [rng.sample([f"c{i}" for i in range(60)], rng.choice((1, 2, 30))) for _ in range(200)]
    rankings = parity.noisy_rankings(rng, gold)
    for name in ("mean_average_precision", "mean_reciprocal_rank"):
        ours, official, _ = parity.RANKED[name]
        assert official(*rankings) == pytest.approx(ours(*rankings), abs=parity.TOLERANCE)


def test_mined_pairs(parity: Any) -> None:
    rng = random.Random(0)
    hits = [rng.random() < 0.5 for _ in range(200)]
    scores = [round(rng.gauss(1.2 if hit else 1.0, 0.1), 2) for hit in hits]
    ours = metrics.best_threshold(scores, hits, 150)
    assert parity.plain_threshold(scores, hits, 150) == pytest.approx(ours, abs=parity.TOLERANCE)
    gold = [(f"e{i}",) if rng.random() < 0.5 else () for i in range(200)]
    pairs = [relevant if rng.random() < 0.6 else ("e7",) for relevant in gold]
    for index, metric in enumerate(
        (metrics.mined_precision, metrics.mined_recall, metrics.mined_f1)
    ):
        assert parity.plain_pairs(index, pairs, gold) == pytest.approx(
            metric(pairs, gold), abs=parity.TOLERANCE
        )


def test_a_difference_is_seen(parity: Any) -> None:
    pairs = (["a", "b"], ["a", "a"])
    wrong = parity.line(
        "accuracy", "made up", [pairs], metrics.accuracy, lambda p, r: 50 + 1e-6, "hand"
    )
    assert (
        wrong.difference > parity.TOLERANCE
        and "| made up (2) | 50.000000 | 50.000001 | 1e-06 |" in str(wrong)
    )
    undefined = parity.line(
        "accuracy", "made up", [pairs], metrics.accuracy, lambda p, r: math.nan, "hand"
    )
    assert undefined.difference == 1
    absent = parity.line("accuracy", "made up", [pairs], metrics.accuracy, None, "nobody")
    assert absent.difference == 0 and "not run" in str(absent)
