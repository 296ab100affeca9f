"""The type and the names of metrics, and helpers that all metrics share."""

import functools
import math
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any, TypeVar, cast

GroupedMetric = Callable[[Sequence[Any], Sequence[Any], Sequence[Any]], float]
"""(predictions, references, groups) -> a score: the group says which examples belong together."""

Metric = Callable[..., float]
"""(predictions, references), equally long and in the same order -> a score.

Scores are on 0–100; correlations are on -100–100. A metric that is marked `grouped` is called with
the group of each example too.
"""

Metrics = Sequence[Any]
"""The metrics of a task: functions, or their names ("macro_f1"), which become functions."""

AnyMetric = TypeVar("AnyMetric", bound=Metric)
AnyGroupedMetric = TypeVar("AnyGroupedMetric", bound=GroupedMetric)

# What reports hold beside the metrics of a task: no metric can have these names.
RESERVED_NAMES = ("main_score", "truncated", "lost_targets", "development", "chance")


@dataclass(frozen=True)
class _Named:
    """A metric under another name. The metric itself keeps its own, wherever else it is used."""

    metric: Metric
    metric_name: str
    lowest: float

    def __call__(self, *columns: Sequence[Any], **settings: Any) -> float:
        return self.metric(*columns, **settings)


def grouped(metric: AnyGroupedMetric) -> AnyGroupedMetric:
    """Mark a metric of (predictions, references, groups): it scores groups, and not examples.

    `Task.group` says which group a row belongs to.

    >>> @grouped
    ... def groups_without_error(predictions, references, groups): ...
    >>> takes_groups(groups_without_error), takes_groups(lambda predictions, references: 0.0)
    (True, False)
    """
    metric.takes_groups = True  # type: ignore[attr-defined]
    return metric


def takes_groups(metric: Metric) -> bool:
    """Whether a metric is marked as `grouped`, under whatever name and with whatever arguments."""
    if isinstance(metric, functools.partial):
        return takes_groups(metric.func)
    if isinstance(metric, _Named):
        return takes_groups(metric.metric)
    return bool(getattr(metric, "takes_groups", False))


def named(name: str, *, lowest: float | None = None) -> Callable[[AnyMetric], AnyMetric]:
    """Report a metric under another name than the function's own.

    It decorates a function that is being defined, and makes a renamed copy of any other metric.

    >>> @named("f1")
    ... def my_f1(predictions, references): ...
    >>> metric_name(my_f1)
    'f1'
    >>> metric_name(named("f1_of_mine")(my_f1)), metric_name(my_f1)
    ('f1_of_mine', 'f1')

    Args:
        name: The name in reports.
        lowest: The worst score that the metric can have; its own `lowest`, or 0, if None.

    Returns:
        A decorator.
    """

    def decorate(metric: AnyMetric) -> AnyMetric:
        worst = lowest_score(metric) if lowest is None else lowest
        if not isinstance(metric, FunctionType) or _is_in_use(metric):
            return cast(AnyMetric, _Named(metric, name, worst))
        metric.metric_name = name  # type: ignore[attr-defined]
        metric.lowest = worst  # type: ignore[attr-defined]
        return metric

    return decorate


def _is_in_use(function: FunctionType) -> bool:
    """Whether a function has a name already, from `named` or from the module that defines it."""
    module = sys.modules.get(function.__module__)
    defined = getattr(module, function.__name__, None)
    return hasattr(function, "metric_name") or defined is function


def metric_name(metric: Metric) -> str:
    """The name under which a metric is reported."""
    if isinstance(metric, functools.partial):
        return metric_name(metric.func)
    default = getattr(metric, "__name__", type(metric).__name__)
    return getattr(metric, "metric_name", "") or default


def lowest_score(metric: Metric) -> float:
    """The worst score that a metric can have: its attribute `lowest`, or 0."""
    if isinstance(metric, functools.partial):
        return lowest_score(metric.func)
    return float(getattr(metric, "lowest", 0.0))


def mean_of_metrics(
    metrics: Sequence[Metric], values: Mapping[str, float], *, undefined_as_lowest: bool = False
) -> float:
    """Average the values of metrics.

    Args:
        metrics: What is averaged.
        values: Name of a metric -> its value.
        undefined_as_lowest: Count a metric that is missing or NaN as the worst score it can have.

    Returns:
        The mean; NaN if a metric is missing or NaN, unless these count as the lowest.
    """
    scores = []
    for metric in metrics:
        value = values.get(metric_name(metric), math.nan)
        if undefined_as_lowest and math.isnan(value):
            value = lowest_score(metric)
        scores.append(value)
    return math.fsum(scores) / len(scores)


def check_metrics(
    task: str,
    metrics: Sequence[Metric],
    main_metrics: Sequence[Metric],
    scored_by: str = "",
    *,
    has_groups: bool = True,
) -> None:
    """Check the metrics that a task declares: no two have one name, the main ones are among them.

    Args:
        task: Its name, for messages.
        metrics: What is reported.
        main_metrics: The main score is the mean of these; of all if there are none.
        scored_by: The module of `jiantx.metrics` for the task's predictions; empty if any may do.
        has_groups: Whether the task says which group a row belongs to.

    Raises:
        ValueError: There are no metrics, one is no function, two have one name, one has a name that
            reports use for something else, or a main metric is not among the metrics. Or one scores
            groups, and there are none, or scores another kind of predictions than the task's.
    """
    for declared in (metrics, main_metrics):
        if not isinstance(declared, Sequence) or not all(map(callable, declared)):
            raise ValueError(
                f"Task {task}: the metrics are {declared!r}; expected a tuple of functions of "
                "(predictions, references) or names, such as metrics=('accuracy',)."
            )
        names = [metric_name(metric) for metric in declared]
        for name in names:
            if "[" in name:
                raise ValueError(
                    f"Task {task}: a metric cannot be named {name!r}, since brackets enclose the "
                    f"name of a group in reports: accuracy[negation]. {_RENAME}"
                )
            if names.count(name) > 1:
                raise ValueError(
                    f"Task {task}: several metrics are named {name!r}, and one score would hide "
                    f"the others. {_RENAME}"
                )
            if name in RESERVED_NAMES:
                raise ValueError(
                    f"Task {task}: a metric cannot be named {name!r}, since reports use this name "
                    f"for something else. {_RENAME}"
                )
    if not metrics:
        raise ValueError(
            f"Task {task}: there are no metrics. Give one, such as metrics=(accuracy,)."
        )
    for metric in metrics:
        _check_takes(task, metric, scored_by)
        if takes_groups(metric) and not has_groups:
            raise ValueError(
                f"Task {task}: the metric {metric_name(metric)!r} scores groups of rows, and the "
                "task does not say which group a row belongs to. Give `group`: a column, or a "
                "function of the row."
            )
    outside = [metric_name(metric) for metric in main_metrics if metric not in metrics]
    if outside:
        raise ValueError(
            f"Task {task}: the main metrics {outside} are not among the metrics "
            f"{[metric_name(metric) for metric in metrics]}. Add them to `metrics`, or give "
            "main_metrics=() for the mean of all."
        )


def _check_takes(task: str, metric: Metric, scored_by: str) -> None:
    """Refuse a metric for another kind of predictions, and one that takes the references first."""
    innermost = innermost_metric(metric)
    defined_in = getattr(innermost, "__module__", "") or ""  # None where code is run by `exec`
    package, _, module = defined_in.rpartition(".")
    if scored_by and package == __package__ and module != scored_by:
        raise ValueError(
            f"Task {task}: {metric_name(metric)!r} of {package}.{module} scores another kind "
            f"of predictions than this task's. Choose from {package}.{scored_by}, or write a "
            "function of (predictions, references)."
        )
    code = getattr(innermost, "__wrapped__", innermost)
    names = getattr(getattr(code, "__code__", None), "co_varnames", ())
    first_name = next(iter(names), "")
    if first_name in ("y_true", "references", "gold", "targets"):
        # scikit-learn's scores are from 0 to 1
        whose, factor = (", as scikit-learn's do", "100 * ") if first_name == "y_true" else ("", "")
        raise ValueError(
            f"Task {task}: the metric {metric_name(metric)!r} takes {names[:2]}{whose}. Expected "
            "(predictions, references), and a score from 0 to 100: write a function such as "
            f"`def coverage(predictions, references): return {factor}"
            f"{getattr(innermost, '__name__', 'score')}(references, predictions)`."
        )


def is_one_of(metric: Metric, known: Collection[Metric]) -> bool:
    """Whether a metric is one of these, perhaps under another name.

    Args:
        metric: The metric.
        known: Those that it may be.
    """
    return _unnamed(metric) in list(map(_unnamed, known))


def _unnamed(metric: Any) -> Any:
    return _unnamed(metric.metric) if isinstance(metric, _Named) else metric


def innermost_metric(metric: Metric) -> Any:
    """The function of a renamed or partial metric."""
    if isinstance(metric, functools.partial):
        return innermost_metric(metric.func)
    return innermost_metric(metric.metric) if isinstance(metric, _Named) else metric


_RENAME = 'Name a metric with named("my_name")(metric), from jiantx.metrics.'


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
