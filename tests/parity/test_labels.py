"""Metrics of labels and numbers equal scikit-learn, SciPy and NumPy."""

from __future__ import annotations

import random

import pytest

from . import labels
from .comparison import TOLERANCE, differing


@pytest.mark.slow
@pytest.mark.usefixtures("gold")
def test_labels_and_numbers_equal_scikit_learn_and_scipy() -> None:
    comparisons = list(labels.comparisons(random.Random(0)))
    assert len(comparisons) == 9
    assert not differing(comparisons)


def test_masked_accuracy_equals_numpy() -> None:
    assert labels.masked_accuracy_comparison(random.Random(0)).difference <= TOLERANCE
