"""Scores of labels and numbers: accuracy, F1, correlations."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jiantx.metrics.base import Metric, check_lengths, grouped, mean_percent, named
from jiantx.metrics.counts import counts_by_label, label_set


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
            [label_set(label) & {self.positive_label} for label in predictions],
            [label_set(label) & {self.positive_label} for label in references],
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
    pairs = zip(map(label_set, predictions), map(label_set, references), strict=True)
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
            [label_set(labels) & scored for labels in predictions],
            [label_set(labels) & scored for labels in references],
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


@named("macro_f1")
def macro_f1(predictions: Sequence[Any], references: Sequence[Any]) -> float:
    """Unweighted mean of the F1 of each label (scikit-learn's `f1_score(average="macro")`).

    Labels are those that occur in predictions or references. One that is only predicted, or never
    predicted, has an F1 of 0.

    Args:
        predictions: (examples,) labels; or sets, tuples or lists of labels, which may be empty.
        references: (examples,) of the same kind.

    Returns:
        0–100, or NaN if there are no labels on either side.
    """
    counts = counts_by_label(predictions, references).values()
    return _macro_mean([2 * count.right / (count.predicted + count.actual) for count in counts])


def _macro_mean(values: Sequence[float]) -> float:
    # exact, so that the order of the labels changes nothing
    return 100.0 * math.fsum(values) / len(values) if values else math.nan


@named("precision")
def precision(predictions: Sequence[Any], references: Sequence[Any]) -> float:
    """Unweighted mean of the precision of each label (scikit-learn's with `average="macro"`).

    Labels are those that occur in predictions or references. One that is never predicted has a
    precision of 0, as with scikit-learn's `zero_division=0`.

    >>> precision(["same", "same", "other"], ["same", "other", "same"])
    25.0

    Args:
        predictions: (examples,) labels; or sets, tuples or lists of labels, which may be empty.
        references: (examples,) of the same kind.

    Returns:
        0–100, or NaN if there are no labels on either side.
    """
    counts = counts_by_label(predictions, references).values()
    return _macro_mean([count.right / max(count.predicted, 1) for count in counts])


@named("recall")
def recall(predictions: Sequence[Any], references: Sequence[Any]) -> float:
    """Unweighted mean of the recall of each label (scikit-learn's with `average="macro"`).

    Labels are those that occur in predictions or references. One that is only predicted has a
    recall of 0, as with scikit-learn's `zero_division=0`.

    >>> recall(["same", "same", "other"], ["same", "other", "same"])
    25.0

    Args:
        predictions: (examples,) labels; or sets, tuples or lists of labels, which may be empty.
        references: (examples,) of the same kind.

    Returns:
        0–100, or NaN if there are no labels on either side.
    """
    counts = counts_by_label(predictions, references).values()
    return _macro_mean([count.right / max(count.actual, 1) for count in counts])


@named("matthews", lowest=-100.0)
def matthews(predictions: Sequence[Any], references: Sequence[Any]) -> float:
    """Matthews' correlation of two lists of labels, times 100 (scikit-learn's `matthews_corrcoef`).

    With more than two labels it is Gorodkin's R_k, as for GLUE's diagnostic set.

    Args:
        predictions: (examples,) labels. If all are the same, the score is 0.
        references: (examples,) labels.

    Returns:
        -100–100, or NaN if the references are all the same, or there are none.
    """
    check_lengths(predictions, references)
    predicted = Counter(predictions)
    actual = Counter(references)
    if len(actual) < 2:
        return math.nan
    if len(predicted) < 2:
        return 0.0
    count = len(references)
    right = sum(p == r for p, r in zip(predictions, references, strict=True))
    # whole numbers: no rounding before the last step
    covariance = right * count - sum(predicted[label] * actual[label] for label in actual)
    predicted_variance = count**2 - sum(number**2 for number in predicted.values())
    actual_variance = count**2 - sum(number**2 for number in actual.values())
    return 100.0 * covariance / math.sqrt(predicted_variance * actual_variance)


# --- Scores of groups -----------------------------------------------------------------------------


def group_indices(groups: Sequence[Hashable]) -> list[list[int]]:
    """The indices of the examples of each group, in order of first appearance.

    An example whose group is None is in no group.
    """
    indices: dict[Hashable, list[int]] = {}
    for index, group in enumerate(groups):
        if group is not None:
            indices.setdefault(group, []).append(index)
    return list(indices.values())


@grouped
@named("exact_match")
def group_exact_match(
    predictions: Sequence[Any], references: Sequence[Any], groups: Sequence[Hashable]
) -> float:
    """Share of groups whose examples are all right: the EM of MultiRC and MC-TACO.

    Args:
        predictions: (examples,) labels.
        references: (examples,) labels.
        groups: (examples,) the question that each example answers.

    Returns:
        0–100, or NaN if there are no groups.
    """
    _check_group_lengths(predictions, references, groups)
    scores = []
    for indices in group_indices(groups):
        scores.append(float(all(predictions[index] == references[index] for index in indices)))
    return mean_percent(scores)


@dataclass(frozen=True)
class _GroupF1Of:
    positive_label: Any
    metric_name: str
    takes_groups: bool = True

    def __call__(
        self, predictions: Sequence[Any], references: Sequence[Any], groups: Sequence[Hashable]
    ) -> float:
        _check_group_lengths(predictions, references, groups)
        scores = []
        for indices in group_indices(groups):
            predicted = {index for index in indices if predictions[index] == self.positive_label}
            actual = {index for index in indices if references[index] == self.positive_label}
            right = len(predicted & actual)
            precision = right / len(predicted) if predicted else 1.0
            recall = right / len(actual) if actual else 1.0
            total = precision + recall
            scores.append(2 * precision * recall / total if total else 0.0)
        return mean_percent(scores)


def group_f1_of(positive_label: Any, *, name: str | None = None) -> Metric:
    """Mean over groups of the F1 of one label, as MC-TACO's evaluator computes it.

    A group without any prediction of the label has precision 1, one without any reference recall 1.

    >>> group_f1_of("yes")(["yes", "no", "no"], ["yes", "yes", "no"], ["a", "a", "b"])
    83.33333333333333

    Args:
        positive_label: The label.
        name: Reported name; "group_f1_" and the label if None.
    """
    return _GroupF1Of(positive_label, name or f"group_f1_{positive_label}")


@grouped
@named("gender_parity")
def gender_parity(
    predictions: Sequence[Any], references: Sequence[Any], groups: Sequence[Hashable]
) -> float:
    """Share of groups whose predictions are all the same: of AX-g's pairs.

    A model that always predicts one label has 100, so report it beside the accuracy.

    Args:
        predictions: (examples,) labels.
        references: (examples,) labels, which are not read.
        groups: (examples,) the pair that each example belongs to. A group of one example does not
            count.

    Returns:
        0–100, or NaN if there are no groups of several examples.
    """
    _check_group_lengths(predictions, references, groups)
    scores = []
    for indices in group_indices(groups):
        if len(indices) > 1:
            scores.append(float(len({predictions[index] for index in indices}) == 1))
    return mean_percent(scores)


def _check_group_lengths(
    predictions: Sequence[Any], references: Sequence[Any], groups: Sequence[Hashable]
) -> None:
    check_lengths(predictions, references)
    if len(groups) != len(references):
        raise ValueError(f"There are {len(groups)} groups for {len(references)} references.")


# --- Correlations of numbers ----------------------------------------------------------------------


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
