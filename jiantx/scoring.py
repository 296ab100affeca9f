"""Scores of predictions: every metric, what is undefined, and counts of labels."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from transformers.utils import logging

from jiantx.features import Features
from jiantx.grouping import named_group_indices, row_groups
from jiantx.metrics import (
    CHUNK_METRICS,
    ClassCounts,
    Metric,
    chunk_counts,
    counts_by_label,
    is_one_of,
    metric_name,
    takes_groups,
)
from jiantx.report import MAIN, LabelCounts, Score
from jiantx.report.confusion import MOST_LABELS, NO_LABEL
from jiantx.report.scores import LOST_TARGETS, TRUNCATED, group_metric
from jiantx.task import Task

if TYPE_CHECKING:
    import datasets

logger = logging.get_logger("jiantx.evaluation")


@dataclass(frozen=True)
class SplitPredictions:
    """The predictions for a split in one language, and the references, in the order of the rows.

    Args:
        features: Of the split.
        predictions: One for each example.
        references: One for each example.
        layer: Of a sweep over layers.
        head_numbers: Metric -> value that the head has for any predictions, such as the weights of
            the layers that it mixes.
        examples: One for each prediction; empty if nobody needs them.
    """

    features: Features
    predictions: Sequence[Any]
    references: Sequence[Any]
    layer: int | None = None
    head_numbers: Mapping[str, float] = field(default_factory=dict)
    examples: Sequence[Any] = ()


@dataclass(frozen=True)
class ScoredExamples:
    """What metrics compare: predictions, references and groups of the same examples, in one order.

    Args:
        task: Whose metrics are computed.
        split: The split, for messages.
        language: The language, for messages.
        predictions: Values of predictions.
        references: What is right.
        groups: The group of each example; empty if no metric takes groups.
    """

    task: Task
    split: str
    language: str
    predictions: Sequence[Any]
    references: Sequence[Any]
    groups: Sequence[Any] = ()

    def only(self, indices: Sequence[int]) -> ScoredExamples:
        """Some of the examples."""
        return replace(
            self,
            predictions=[self.predictions[index] for index in indices],
            references=[self.references[index] for index in indices],
            groups=[self.groups[index] for index in indices] if self.groups else (),
        )

    def values(self) -> dict[str, float]:
        """Metric -> score. What is undefined is NaN, and never 0."""
        values = {}
        for metric in self.task.metrics:
            value = self._compute(metric)
            values[metric_name(metric)] = value if math.isfinite(value) else math.nan
        return values

    def _compute(self, metric: Metric) -> float:
        columns = [self.predictions, self.references]
        if takes_groups(metric):
            columns.append(self.groups)
        try:
            # copies: a metric may sort what it gets
            return self.task.compute(metric, *map(list, columns))
        except Exception as error:
            error.add_note(
                f"This is the metric {metric_name(metric)!r} of task {self.task.name}, split "
                f"{self.split!r}, language {self.language!r}."
            )
            raise


def scores_of(result: SplitPredictions) -> list[Score]:
    """Compute every metric, of all examples and of each named group.

    What is undefined is NaN, and never 0; the log says so.
    """
    features = result.features
    values = [prediction.value for prediction in result.predictions]
    tags = {} if result.layer is None else {"layer": result.layer}
    scores = score_values(
        features.task, features.split, features.language, features.rows, values, result.references
    )
    for metric in (TRUNCATED, LOST_TARGETS):  # names of feature columns, too
        count = features.count(metric)
        if count:
            scores.append(replace(scores[0], metric=metric, value=float(count)))
    for name, number in result.head_numbers.items():
        scores.append(replace(scores[0], metric=name, value=number))
    return [replace(score, tags=tags) for score in scores]


def score_values(
    task: Task,
    split: str,
    language: str,
    rows: datasets.Dataset,
    values: Sequence[Any],
    references: Sequence[Any],
) -> list[Score]:
    """Compute the metrics of a task, and its main score, from values alone.

    Args:
        task: The task.
        split: The split.
        language: The language.
        rows: The rows as stored: they say which groups they belong to.
        values: (rows,) what was predicted.
        references: (rows,) what is right.

    Returns:
        A score of each metric and the main score; then a score of each metric in each named group.
    """
    groups: Sequence[Any] = ()
    if any(map(takes_groups, task.metrics)):
        groups = row_groups(task, rows, split, language)
    examples = ScoredExamples(task, split, language, values, references, groups)
    by_metric = examples.values()
    _warn_if_undefined(examples, by_metric)
    by_metric[MAIN] = task.main_score(by_metric)
    scores = [
        Score(task.name, split, language, name, value, len(values))
        for name, value in by_metric.items()
    ]
    for group, indices in named_group_indices(task, rows, split, language).items():
        for name, value in examples.only(indices).values().items():
            metric = group_metric(name, group)
            scores.append(Score(task.name, split, language, metric, value, len(indices)))
    return scores


def _warn_if_undefined(examples: ScoredExamples, values: Mapping[str, float]) -> None:
    undefined = [name for name, value in values.items() if math.isnan(value)]
    if undefined:
        logger.warning_once(
            f"Task {examples.task.name}, split {examples.split!r}, language "
            f"{examples.language!r}: undefined on these predictions and labels: "
            f"{', '.join(undefined)}. The report holds NaN, and means that include it are NaN."
        )


def label_counts_of(result: SplitPredictions) -> LabelCounts | None:
    """Count how often labels were predicted for labels, of tasks with few labels; else None.

    Tags are counted word by word; classes are the types of chunks where the task scores chunks.
    """
    task = result.features.task
    labels = task.gold_names
    if task.scored_by not in ("labels", "tagging") or not 0 < len(labels) <= MOST_LABELS:
        return None
    values = [prediction.value for prediction in result.predictions]
    references = result.references
    classes: dict[str, ClassCounts] = {}
    if task.scored_by == "tagging":
        if any(is_one_of(metric, CHUNK_METRICS) for metric in task.metrics):
            scheme = getattr(task, "scheme", None)
            classes = chunk_counts(values, references, scheme=scheme, labels=labels)
        values = list(itertools.chain.from_iterable(values))
        references = list(itertools.chain.from_iterable(references))
    cells: Counter[tuple[str, str]] = Counter()
    if all(isinstance(label, str) for label in (*values, *references)):
        # a target whose span was cut off has no label
        predicted = [value or NO_LABEL for value in values]
        cells.update(zip(references, predicted))
    by_label = counts_by_label(values, references)
    by_label = {label: by_label.get(label, ClassCounts(0, 0, 0)) for label in labels}
    return LabelCounts(
        task.name,
        result.features.split,
        result.features.language,
        len(result.references),
        labels,
        cells,
        classes or by_label,
        {} if result.layer is None else {"layer": result.layer},
    )
