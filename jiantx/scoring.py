"""Scores of predictions: every metric, what is undefined, and files of predictions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers.utils import logging

from jiantx.features import Features
from jiantx.metrics import metric_name
from jiantx.report import MAIN, Score
from jiantx.report.scores import TRUNCATED

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
    """

    features: Features
    predictions: Sequence[Any]
    references: Sequence[Any]
    layer: int | None = None
    head_numbers: Mapping[str, float] = field(default_factory=dict)


def scores_of(result: SplitPredictions) -> list[Score]:
    """Compute every metric. What is undefined is NaN, and never 0; the log says so."""
    features = result.features
    task = features.task
    predictions = [prediction.value for prediction in result.predictions]
    values = {}
    for metric in task.metrics:
        try:
            # copies: a metric may sort what it gets
            value = task.compute(metric, list(predictions), list(result.references))
        except Exception as error:
            error.add_note(
                f"This is the metric {metric_name(metric)!r} of task {task.name}, split "
                f"{features.split!r}, language {features.language!r}."
            )
            raise
        values[metric_name(metric)] = value if math.isfinite(value) else math.nan
    undefined = [name for name, value in values.items() if math.isnan(value)]
    if undefined:
        logger.warning_once(
            f"Task {task.name}, split {features.split!r}, language {features.language!r}: "
            f"undefined on these predictions and labels: {', '.join(undefined)}. The report holds "
            "NaN, and means that include it are NaN."
        )
    values[MAIN] = task.main_score(values)
    truncated = features.count("truncated")
    if truncated:
        values[TRUNCATED] = float(truncated)
    values |= result.head_numbers
    tags = {} if result.layer is None else {"layer": result.layer}
    count = len(predictions)
    return [
        Score(task.name, features.split, features.language, name, value, count, tags)
        for name, value in values.items()
    ]


def write_predictions(folder: Path, result: SplitPredictions) -> None:
    """Write the predictions of a split in one language as JSON lines, one example each.

    Args:
        folder: Made if it is missing.
        result: The predictions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    features = result.features
    suffix = "" if result.layer is None else f"-layer{result.layer}"
    name = f"{features.task.name}-{features.split}-{features.language}{suffix}.jsonl"
    with open(folder / name, "w", encoding="utf-8") as file:
        for prediction, gold in zip(result.predictions, result.references, strict=True):
            row = {
                "id": prediction.id,
                "language": prediction.language,
                "prediction": prediction.value,
                "gold": gold,
                "score": prediction.confidence,
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
