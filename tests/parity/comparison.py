"""A metric and an independent computation on the same predictions, and how far they differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import Any, NamedTuple

TOLERANCE = 1e-9  # of scores on 0–100, and of thresholds

Scorer = Callable[[Any, Any], float]
"""(predictions, references) -> score."""


class Sample(NamedTuple):
    """Predictions and references of one language."""

    predictions: Sequence[Any]
    references: Sequence[Any]


class Comparison(NamedTuple):
    """One row of the table: means over languages, and the largest difference of any language."""

    metric: str
    data: str
    ours: float
    independent: float  # NaN if it was not computed
    difference: float
    computed_by: str

    def to_markdown(self) -> str:
        figures = f"{self.independent:.6f} | {self.difference:.0e}".replace("0e+00", "0")
        if math.isnan(self.independent):
            figures = "**not run** | "
        return f"| {self.metric} | {self.data} | {self.ours:.6f} | {figures} | {self.computed_by} |"


def compare(
    metric: str,
    data: str,
    samples: Sequence[Sample],
    ours: Scorer,
    independent: Scorer,
    computed_by: str,
) -> Comparison:
    """Score every sample twice.

    Args:
        metric: The name of the metric.
        data: Where the samples come from.
        samples: One for each language.
        ours: The metric of jiantx.
        independent: The same metric, computed by others or restated.
        computed_by: The package or program of `independent`.
    """
    independent_scores = [independent(*sample) for sample in samples]
    return compare_scores(metric, data, samples, ours, independent_scores, computed_by)


def compare_scores(
    metric: str,
    data: str,
    samples: Sequence[Sample],
    ours: Scorer,
    independent_scores: Sequence[float] | None,
    computed_by: str,
) -> Comparison:
    """`compare`, with the independent score of each sample; None if they were not computed."""
    our_scores = [ours(*sample) for sample in samples]
    row_count = sum(len(sample.references) for sample in samples)
    data = f"{data} ({row_count:,})"
    if independent_scores is None:
        return Comparison(metric, data, fmean(our_scores), math.nan, 0.0, computed_by)
    differences = map(difference, our_scores, independent_scores)
    return Comparison(
        metric, data, fmean(our_scores), fmean(independent_scores), max(differences), computed_by
    )


def difference(ours: float, independent: float) -> float:
    """The distance of two scores; 1 if only one of them is NaN, and 0 if both are."""
    distance = abs(ours - independent)
    if math.isnan(distance):
        return float(math.isnan(ours) != math.isnan(independent))
    return distance


def differing(comparisons: Iterable[Comparison]) -> list[str]:
    """The rows whose difference is above the tolerance."""
    return [row.to_markdown() for row in comparisons if row.difference > TOLERANCE]
