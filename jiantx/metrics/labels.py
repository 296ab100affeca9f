"""Scores of labels and numbers: accuracy, F1, correlations."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jiantx.metrics.base import Metric, check_lengths, named


def accuracy(predictions: Sequence[Any], references: Sequence[Any]) -> float:
    """Share of examples whose label is right.

    If examples have several labels, the whole set must be right. Order does not matter.

    Args:
        predictions: (examples,) labels, or tuples, lists or sets of labels.
        references: (examples,) of the same kind.

    Returns:
        0–100, or NaN if there are no examples.
    """
    check_lengths(predictions, references)
    if not len(references):
        return math.nan
    pairs = zip(map(_unordered, predictions), map(_unordered, references), strict=True)
    right = sum(bool(prediction == reference) for prediction, reference in pairs)
    return 100.0 * right / len(references)


def _unordered(label: Any) -> Any:
    return frozenset(label) if isinstance(label, (tuple, list, set)) else label


@dataclass(frozen=True)
class _F1Of:
    """A value and not a closure, so that tasks which hold it can be compared and pickled."""

    positive_label: Any
    metric_name: str

    def __call__(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        return micro_f1(
            [_label_set(label) & {self.positive_label} for label in predictions],
            [_label_set(label) & {self.positive_label} for label in references],
        )


def f1_of(positive_label: Any, *, name: str | None = None) -> Metric:
    """Binary F1 of one label (scikit-learn's `f1_score(average="binary")`).

    If examples have several labels, those that have this one are positive.

    >>> f1_of("same")(["same", "same", "other"], ["same", "other", "same"])
    50.0

    Args:
        positive_label: The label.
        name: Reported name; "f1_" and the label if None.
    """
    return _F1Of(positive_label, name or f"f1_{positive_label}")


def micro_f1(predictions: Sequence[Any], references: Sequence[Any]) -> float:
    """F1 over all (example, label) pairs (scikit-learn's `f1_score(average="micro")`).

    Args:
        predictions: (examples,) sets, tuples or lists of labels, which may be empty; or one label
            each.
        references: (examples,) of the same kind.

    Returns:
        0–100, or NaN if there are no labels on either side.
    """
    check_lengths(predictions, references)
    right = predicted = actual = 0
    pairs = zip(map(_label_set, predictions), map(_label_set, references), strict=True)
    for prediction, reference in pairs:
        right += len(prediction & reference)
        predicted += len(prediction)
        actual += len(reference)
    return 100.0 * (2 * right / (predicted + actual)) if predicted + actual else math.nan


@dataclass(frozen=True)
class _MicroF1Of:
    """A value, as `_F1Of` is."""

    labels: tuple[Any, ...]
    metric_name: str

    def __call__(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        scored = set(self.labels)
        return micro_f1(
            [_label_set(labels) & scored for labels in predictions],
            [_label_set(labels) & scored for labels in references],
        )


def micro_f1_of(labels: Iterable[Any], *, name: str) -> Metric:
    """`micro_f1` over some of the labels; others do not count, whether predicted or right.

    >>> micro_f1_of(["A", "B"], name="core_f1")([("A", "R"), ("B",)], [("A",), ("A", "B")])
    80.0

    Args:
        labels: Those that count.
        name: Reported name.
    """
    return _MicroF1Of(tuple(labels), name)


def _label_set(labels: Any) -> set[Any]:
    """The labels of an example; a text is one label, and no set of letters."""
    is_one = isinstance(labels, str) or not isinstance(labels, Iterable)
    return {labels} if is_one else set(labels)


@named("pearson", lowest=-100.0)
def pearson(predictions: Sequence[Any], references: Sequence[Any]) -> float:
    """Pearson's correlation of two lists of numbers, times 100 (SciPy's `pearsonr`).

    Args:
        predictions: (examples,) numbers.
        references: (examples,) numbers.

    Returns:
        -100–100, or NaN if a side is constant or has fewer than two numbers.
    """
    check_lengths(predictions, references)
    return _correlation(np.asarray(predictions, np.float64), np.asarray(references, np.float64))


@named("spearman", lowest=-100.0)
def spearman(predictions: Sequence[Any], references: Sequence[Any]) -> float:
    """Spearman's rank correlation, times 100 (SciPy's `spearmanr`).

    Equal numbers share their mean rank.

    Args:
        predictions: (examples,) numbers.
        references: (examples,) numbers.

    Returns:
        -100–100, or NaN if a side is constant, holds a NaN or has fewer than two numbers.
    """
    check_lengths(predictions, references)
    x = np.asarray(predictions, np.float64)
    y = np.asarray(references, np.float64)
    if np.isnan(x).any() or np.isnan(y).any():  # a NaN has no rank
        return math.nan
    return _correlation(_ranks(x), _ranks(y))


def _correlation(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    if len(x) < 2 or not np.isfinite([x, y]).all():
        return math.nan
    if (x == x[0]).all() or (y == y[0]).all():
        return math.nan
    # Each side is divided by its own norm: the product of two small norms could be 0.
    x_centered = x - x.mean()
    y_centered = y - y.mean()
    x_unit = x_centered / np.linalg.norm(x_centered)
    y_unit = y_centered / np.linalg.norm(y_centered)
    correlation = float(np.dot(x_unit, y_unit))
    return 100.0 * min(1.0, max(-1.0, correlation))


def _ranks(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n,) ranks from 1; equal numbers share their mean rank."""
    _, value_index, counts = np.unique(x, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    return mean_ranks[value_index]
