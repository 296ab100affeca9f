"""Metrics by name: "macro_f1" for the function `macro_f1`."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from jiantx.fields import check_choice
from jiantx.metrics import answers, labels, rankings, tagging
from jiantx.metrics.base import Metric, metric_name
from jiantx.registry import near_names

# The module that scores a kind of predictions -> its metrics. Where two are reported under one
# name, the first has it.
_METRICS: dict[str, tuple[Metric, ...]] = {
    "labels": (
        labels.accuracy,
        labels.macro_f1,
        labels.micro_f1,
        labels.precision,
        labels.recall,
        labels.matthews,
        labels.pearson,
        labels.spearman,
        labels.group_exact_match,
        labels.gender_parity,
    ),
    "tagging": (
        tagging.chunk_f1,
        tagging.chunk_precision,
        tagging.chunk_recall,
        tagging.token_accuracy,
        tagging.chunk_f1_seqeval1,
    ),
    "answers": (
        answers.exact_match,
        answers.squad_f1,
        answers.squad_v2_exact,
        answers.squad_v2_f1,
        answers.best_exact_match,
        answers.best_f1,
        answers.mlqa_exact_match,
        answers.mlqa_f1,
    ),
    "rankings": (
        rankings.accuracy_at_1,
        rankings.mean_average_precision,
        rankings.mean_reciprocal_rank,
        rankings.recall_at_10,  # and any other k, as `ranking_metric` reads them
        rankings.ndcg_at_10,
        rankings.mrr_at_10,
        rankings.map_of_ranking,
        rankings.mined_f1,
        rankings.mined_precision,
        rankings.mined_recall,
    ),
}


def list_metrics(scored_by: str = "") -> tuple[str, ...]:
    """The names of metrics, as `metrics=` of a task takes them.

    >>> list_metrics("labels")[:3]
    ('accuracy', 'macro_f1', 'micro_f1')

    Args:
        scored_by: The kind of predictions: "labels", "tagging", "answers" or "rankings"; all if
            empty.

    Raises:
        ValueError: There is no such kind.
    """
    if scored_by:
        check_choice("scored_by", scored_by, tuple(_METRICS))
    kinds = [scored_by] if scored_by else list(_METRICS)
    names: list[str] = []
    for kind in kinds:
        names += [_function_name(metric) for metric in _METRICS[kind]]
    return tuple(names)


def get_metric(name: str, scored_by: str = "") -> Metric:
    """Look a metric up: by the name of its function or, among those of one kind, of its report.

    >>> get_metric("f1", "tagging") is get_metric("chunk_f1")
    True

    Args:
        name: The name.
        scored_by: The kind of predictions, as for `list_metrics`.

    Raises:
        LookupError: No metric has the name; it lists similar names.
    """
    by_name: dict[str, Metric] = {}
    for kind in [scored_by] if scored_by else _METRICS:
        by_name |= {_function_name(metric): metric for metric in _METRICS[kind]}
    for metric in _METRICS.get(scored_by, ()):
        by_name.setdefault(metric_name(metric), metric)
    if name in by_name:
        return by_name[name]
    if scored_by in ("", "rankings"):
        with suppress(ValueError):
            return rankings.ranking_metric(name)
    elsewhere = [kind for kind in _METRICS if scored_by and name in list_metrics(kind)]
    other = f" It is for predictions of another kind: {elsewhere[0]}." if elsewhere else ""
    with_arguments = (
        " Metrics that take a label are functions: jx.metrics.f1_of('yes')." if "f1" in name else ""
    )
    raise LookupError(
        f"No metric{f' of {scored_by}' if scored_by else ''} is named {name!r}."
        f"{near_names(name, by_name)}{other} Known: {', '.join(by_name)}.{with_arguments}"
    )


def resolve_metrics(
    task: str, metrics: Sequence[Any], main_metrics: Sequence[Any], scored_by: str
) -> tuple[Sequence[Metric], Sequence[Metric]]:
    """Replace the names among a task's metrics by the functions.

    Args:
        task: Its name, for messages.
        metrics: Functions and names.
        main_metrics: Functions and names; a name of one of `metrics` is that one.
        scored_by: The kind of its predictions; empty if any may do.

    Returns:
        The metrics and the main metrics, both as given where they hold no name.

    Raises:
        ValueError: No metric has a name; it lists similar names.
    """
    try:
        resolved = _resolve(metrics, {}, scored_by)
        by_name = {metric_name(metric): metric for metric in resolved if callable(metric)}
        return resolved, _resolve(main_metrics, by_name, scored_by)
    except LookupError as error:
        raise ValueError(f"Task {task}: {error.args[0]}") from None


def _resolve(
    declared: Sequence[Any], by_name: dict[str, Metric], scored_by: str
) -> Sequence[Metric]:
    if not isinstance(declared, Sequence):
        return declared  # refused by `check_metrics`
    if isinstance(declared, tuple) and not any(isinstance(item, str) for item in declared):
        return declared
    metrics = []
    for item in declared:
        if isinstance(item, str):
            item = by_name[item] if item in by_name else get_metric(item, scored_by)
        metrics.append(item)
    return tuple(metrics)


def _function_name(metric: Metric) -> str:
    return str(getattr(metric, "__name__", "") or metric_name(metric))
