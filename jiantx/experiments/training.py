"""One training of a recipe, and what it needs of tasks."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from transformers import EarlyStoppingCallback, ProgressCallback, TrainingArguments

from jiantx.experiments.rows import joint_sampling
from jiantx.features import CHANGE_COUNTS
from jiantx.fingerprints import fingerprint_text
from jiantx.metrics import metric_name
from jiantx.model import MultitaskModel
from jiantx.report import MAIN, Report, Score
from jiantx.sampling import subset
from jiantx.sources import Rows
from jiantx.task import Task
from jiantx.trainer import Trainer

QUIET = {"report_to": "none", "save_strategy": "no", "logging_strategy": "no"}


def train(
    model: MultitaskModel,
    tasks: Sequence[Task],
    folder: Path,
    arguments: Mapping[str, Any],
    *,
    seed: int,
    max_rows: int | None,
    eval_tasks: Sequence[Task],
    patience: int | None,
) -> Report:
    """Train on tasks in their training languages; a stopped run resumes from its last checkpoint.

    Args:
        model: With a head for each task.
        tasks: Trained jointly.
        folder: For checkpoints.
        arguments: `TrainingArguments`, by name.
        seed: Of the run.
        max_rows: Training rows of each task at most.
        eval_tasks: Scored during training.
        patience: Evaluations without improvement after which the training ends.

    Returns:
        How many training rows were changed to make features, as scores of the train split.
    """
    without_evaluation = {"eval_strategy": "no", "load_best_model_at_end": False}
    overrides = {} if eval_tasks else without_evaluation
    args = TrainingArguments(
        output_dir=str(folder), seed=seed, **{**QUIET, **arguments, **overrides}
    )
    stops_early = patience and args.eval_strategy != "no"
    trainer = Trainer(
        model,
        args,
        tasks=tasks,
        sampling=joint_sampling(tasks, max_rows),
        eval_tasks=list(eval_tasks),
        callbacks=[EarlyStoppingCallback(patience)] if stops_early else None,
    )
    if not args.disable_tqdm:
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(_BarOnly)
    trainer.train(resume_from_checkpoint=args.save_strategy != "no")
    changes = []
    for (name, language), features in trainer.features.items():
        for change in CHANGE_COUNTS:
            count = features.count(change)
            if count:
                score = Score(name, "train", language, change, float(count), len(features.rows))
                changes.append(score)
    return Report(changes)


class _BarOnly(ProgressCallback):
    """The progress bar alone, without a line for every log."""

    def on_log(self, *args: Any, **kwargs: Any) -> None:
        pass


def task_fingerprints(tasks: Iterable[Task]) -> list[tuple[Any, ...]]:
    """What tells tasks apart: names, languages, and a hash over all that they declare."""
    fingerprints = []
    for task in tasks:
        names = [f.name for f in fields(task) if f.name not in ("metrics", "main_metrics")]
        values = {name: getattr(task, name) for name in names}
        metric_names = [metric_name(metric) for metric in task.metrics]
        text = fingerprint_text((task.task_type, task.user_classes(), values, metric_names))
        declared = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        fingerprints.append((task.name, *task.train_languages, task.max_length, declared))
    return fingerprints


def subsample_validation(
    task: Task, max_rows: int | None, seed: int, languages: Iterable[str]
) -> Task:
    """The task with fewer validation rows, chosen at random.

    Args:
        task: Any task.
        max_rows: Rows of each language at most; None leaves the task as it is.
        seed: Chooses the rows.
        languages: The languages that stay.
    """
    if max_rows is None:
        return task
    sampled = {}
    available = task.languages("validation")
    for language in languages:
        if language in available:
            rows = task.rows("validation", language)
            count = min(max_rows, len(rows))
            sampled[language] = rows.select(subset(seed, task.name, language, len(rows), count))
    return task.replace(source=Rows({"validation": sampled} if sampled else {}))


def english_main_score(report: Report, task: Task, rows: int) -> Score | None:
    """The main score of a task on so many English validation rows, if a report has it.

    Args:
        report: Of a stage.
        task: Its name is looked up.
        rows: How many rows were scored.
    """
    key = (task.name, "validation", "en", MAIN, rows)
    for record in report:
        if (record.task, record.split, record.language, record.metric, record.examples) == key:
            return record
    return None


def chance_score(task: Task) -> float:
    """The accuracy of the majority class in English, on 0–100.

    0 if the task is not scored by accuracy alone: tags and answers are not guessed.
    """
    if [metric_name(metric) for metric in task.metrics] != ["accuracy"]:
        return 0.0
    labels = Counter(task.reference(example) for example in task.examples("validation", "en"))
    return 100 * max(labels.values()) / labels.total()
