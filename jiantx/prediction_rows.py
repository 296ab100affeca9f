"""Predictions as rows of a file: what was read, what is right, what was predicted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers.utils import logging

from jiantx.grouping import named_group_indices
from jiantx.metrics import (
    Answer,
    Answers,
    accuracy_at_1,
    exact_match,
    metric_name,
    squad_f1,
)
from jiantx.scoring import SplitPredictions
from jiantx.task import Task

logger = logging.get_logger("jiantx.evaluation")


def write_predictions(folder: Path, result: SplitPredictions) -> None:
    """Write the predictions of a split in one language as JSON lines, one example each.

    Args:
        folder: Made if it is missing.
        result: The predictions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / predictions_file(result), "w", encoding="utf-8") as file:
        for row in prediction_rows(result):
            # a type of the user's own may hold what JSON does not know
            file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


def warn_of_other_files(
    folder: Path, split: str, languages_of: Mapping[str, Sequence[str]]
) -> None:
    """Warn of files that an evaluation leaves in its folder: another model may have written them.

    Args:
        folder: It may be missing.
        split: That is evaluated.
        languages_of: Task name -> the languages that are evaluated.
    """
    for task, languages in languages_of.items():
        names = {path.name for path in folder.glob(f"{task}-{split}-*.jsonl")}
        stems = [f"{task}-{split}-{language}" for language in languages]
        written = [name for name in names if re.sub(r"(-layer\d+)?\.jsonl$", "", name) in stems]
        older = sorted(names.difference(written))
        if older:
            logger.warning(
                f"{folder} also holds {', '.join(older[:5])}{', …' if older[5:] else ''} of an "
                "earlier evaluation, which stay. If another model wrote them, take another folder: "
                "jx.errors reads all files of a task."
            )


def predictions_file(result: SplitPredictions) -> str:
    """The name of the file of these predictions."""
    features = result.features
    suffix = "" if result.layer is None else f"-layer{result.layer}"
    return f"{features.task.name}-{features.split}-{features.language}{suffix}.jsonl"


def prediction_rows(result: SplitPredictions) -> Iterator[dict[str, Any]]:
    """Make a row of each prediction.

    Its keys are id, language, inputs (what the model read, by name), gold, prediction, confidence
    (the probability of the prediction, where there is one), correct (None where nothing is right or
    wrong, as for numbers) and score (the head's own). Answers have f1, answer and the character
    offsets start and gold_starts; tasks with named groups have groups.

    Args:
        result: The predictions.
    """
    features = result.features
    task = features.task
    examples = result.examples or features.examples()
    groups_of = _groups_of_rows(result)
    columns = (examples, result.predictions, result.references)
    for index, (example, prediction, gold) in enumerate(zip(*columns, strict=True)):
        row = {
            "id": prediction.id,
            "language": prediction.language,
            "inputs": example.inputs,
            "gold": gold,
            "prediction": prediction.value,
            "confidence": getattr(prediction, "probability", None),
            **judgement(task, prediction.value, gold),
            "score": prediction.confidence,
        }
        if isinstance(prediction.value, Answer) and hasattr(prediction, "start"):
            row |= {"answer": prediction.answer, "start": prediction.start}
            row["gold_starts"] = list(example.starts)
        if groups_of:
            row["groups"] = groups_of[index]
        yield row


def judgement(task: Task, value: Any, gold: Any) -> dict[str, Any]:
    """Say whether one prediction is right.

    Args:
        task: The task. Answers are compared as its metrics do.
        value: What was predicted.
        gold: What is right.

    Returns:
        `correct`: true, false, or None where nothing is right or wrong. For answers also `f1`.
    """
    if isinstance(value, Answer) and isinstance(gold, Answers):
        by_name = {metric_name(metric): metric for metric in reversed(task.metrics)}
        exact = by_name.get("exact_match", by_name.get("exact", exact_match))
        f1 = by_name.get("f1", squad_f1)
        is_exact = task.compute(exact, [value], [gold]) == 100.0
        return {"correct": is_exact, "f1": task.compute(f1, [value], [gold])}
    is_right: bool | None = None
    if isinstance(gold, str | int) and isinstance(value, str | int):
        is_right = value == gold
    elif task.scored_by == "tagging":
        is_right = tuple(value) == tuple(gold)
    elif task.scored_by == "labels" and isinstance(gold, tuple):
        is_right = set(value) == set(gold)
    elif task.scored_by == "rankings" and not task.threshold_split and gold is not None:
        is_right = accuracy_at_1([value], [gold]) == 100.0
    return {"correct": is_right}


def _groups_of_rows(result: SplitPredictions) -> list[list[str]]:
    """The named groups of each row; empty without named groups."""
    features = result.features
    if features.task.named_groups is None:
        return []
    indices_of = named_group_indices(
        features.task, features.rows, features.split, features.language
    )
    groups: list[list[str]] = [[] for _ in result.predictions]
    for name, indices in indices_of.items():
        for index in indices:
            groups[index].append(name)
    return groups
