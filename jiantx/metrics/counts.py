"""How often each label was right, predicted and actual, as precision, recall and F1 need it."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from jiantx.metrics.base import check_lengths


class MissingLabel(str):
    """What stands for the label of an example that no model could read, as its text was cut.

    It is wrong whatever is right, and no class of its own: no mean over labels counts it.
    """


MISSING_LABEL = MissingLabel("")


class ClassCounts(NamedTuple):
    """How often one label, or one type of chunk, occurs.

    Args:
        right: How often it is predicted where it is actual.
        predicted: How often it is predicted.
        actual: How often it is in the references.
    """

    right: int
    predicted: int
    actual: int

    @property
    def precision(self) -> float:
        """0–100; NaN if the label is never predicted."""
        return 100.0 * self.right / self.predicted if self.predicted else math.nan

    @property
    def recall(self) -> float:
        """0–100; NaN if the label is in no reference."""
        return 100.0 * self.right / self.actual if self.actual else math.nan

    @property
    def f1(self) -> float:
        """0–100; NaN if the label is neither predicted nor in a reference."""
        total = self.predicted + self.actual
        return 100.0 * 2 * self.right / total if total else math.nan

    def plus(self, other: "ClassCounts") -> "ClassCounts":
        """The counts of both together."""
        return ClassCounts(*map(sum, zip(self, other, strict=True)))


def counts_by_label(
    predictions: Sequence[Any], references: Sequence[Any]
) -> dict[Any, ClassCounts]:
    """Count each label that occurs in predictions or references.

    >>> counts_by_label(["same", "same"], ["same", "other"])["same"]
    ClassCounts(right=1, predicted=2, actual=1)

    Args:
        predictions: (examples,) labels; or sets, tuples or lists of labels, which may be empty.
        references: (examples,) of the same kind.

    Returns:
        Label -> its counts.
    """
    check_lengths(predictions, references)
    right: Counter[Any] = Counter()
    predicted: Counter[Any] = Counter()
    actual: Counter[Any] = Counter()
    for prediction, reference in zip(
        map(label_set, predictions), map(label_set, references), strict=True
    ):
        right.update(prediction & reference)
        predicted.update(prediction)
        actual.update(reference)
    labels = dict.fromkeys([*actual, *predicted])
    return {label: ClassCounts(right[label], predicted[label], actual[label]) for label in labels}


def label_set(labels: Any) -> set[Any]:
    """The labels of an example; a text is one label, and no set of letters."""
    is_one = isinstance(labels, str) or not isinstance(labels, Iterable)
    every_label = (labels,) if is_one else labels
    return {label for label in every_label if not isinstance(label, MissingLabel)}
