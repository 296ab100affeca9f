"""The type and the names of metrics, and helpers that all metrics share."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

Metric = Callable[[Sequence[Any], Sequence[Any]], float]
"""(predictions, references), equally long and in the same order -> a score.

Scores are on 0–100; correlations are on -100–100.
"""

AnyMetric = TypeVar("AnyMetric", bound=Metric)


def named(name: str) -> Callable[[AnyMetric], AnyMetric]:
    """Report a metric under another name than the function's own.

    >>> @named("f1")
    ... def my_f1(predictions, references): ...
    >>> metric_name(my_f1)
    'f1'
    """

    def decorate(metric: AnyMetric) -> AnyMetric:
        metric.metric_name = name  # type: ignore[attr-defined]
        return metric

    return decorate


def metric_name(metric: Metric) -> str:
    """The name under which a metric is reported."""
    default = getattr(metric, "__name__", type(metric).__name__)
    return getattr(metric, "metric_name", "") or default


def check_lengths(predictions: Sequence[Any], references: Sequence[Any]) -> None:
    """Check that there are as many predictions as references.

    Args:
        predictions: What was predicted.
        references: What is right.

    Raises:
        ValueError: Their numbers differ.
    """
    if len(predictions) != len(references):
        raise ValueError(
            f"There are {len(predictions)} predictions for {len(references)} references."
        )


def mean_percent(scores: Sequence[float]) -> float:
    """100 times the mean of scores between 0 and 1; NaN if there are none."""
    return 100.0 * sum(scores) / len(scores) if scores else math.nan
