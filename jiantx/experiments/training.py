"""One training of a recipe: its arguments, the weights and rows that it uses, what it counts."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from transformers import EarlyStoppingCallback, TrainingArguments

from jiantx.evaluation import evaluate
from jiantx.experiments.cells import TargetGroup
from jiantx.experiments.rows import joint_sampling
from jiantx.experiments.scored_rows import splits_to_score
from jiantx.experiments.selection import CHANCE, DEVELOPMENT
from jiantx.features import CHANGE_COUNTS
from jiantx.fingerprints import UncacheableError, fingerprint_text
from jiantx.grouping import row_groups
from jiantx.metrics import takes_groups
from jiantx.model import MultitaskModel
from jiantx.report import MAIN, Report, Score
from jiantx.sampling import generator, subset
from jiantx.scoring import ScoredExamples
from jiantx.sources import DataError, Rows
from jiantx.task import Task
from jiantx.trainer import Trainer
from jiantx.training_bar import label_training_bar, training_label

if TYPE_CHECKING:
    import datasets

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
        model: A model with a head for each task; it is trained in place.
        tasks: The tasks, which are trained jointly.
        folder: Folder of the checkpoints.
        arguments: `TrainingArguments`, by name.
        seed: Seed of the order of the rows.
        max_rows: Largest number of training rows per task and language; None takes all.
        eval_tasks: Tasks that are scored during training. Without any, the training is not
            evaluated, and its last model is kept.
        patience: End after this many evaluations without improvement; None never does.

    Returns:
        How many training rows were cut, moved or have an answer that no window holds, as scores of
        the train split whose metrics are `CHANGE_COUNTS`.
    """
    without_evaluation = {"eval_strategy": "no", "load_best_model_at_end": False}
    overrides = {} if eval_tasks else without_evaluation
    args = TrainingArguments(
        output_dir=str(folder), seed=seed, **{**QUIET, **arguments, **overrides}
    )
    stops_early = patience and args.eval_strategy != "no"
    if stops_early and args.metric_for_best_model is None:
        args.metric_for_best_model = "eval_score"
        args.greater_is_better = True
    trainer = Trainer(
        model,
        args,
        tasks=tasks,
        sampling=joint_sampling(tasks, max_rows),
        eval_tasks=list(eval_tasks),
        callbacks=[EarlyStoppingCallback(patience)] if stops_early else None,
    )
    label = training_label(task.name for task in tasks)
    label_training_bar(trainer, label, shows_logs=False)
    trainer.train(resume_from_checkpoint=args.save_strategy != "no")
    changes = []
    for (name, language), features in trainer.features.items():
        for change in CHANGE_COUNTS:
            count = features.count(change)
            if count:
                score = Score(name, "train", language, change, float(count), len(features.rows))
                changes.append(score)
    return Report(changes)


def limit_training(
    model: MultitaskModel, adapt: Literal["full", "lora", "frozen"]
) -> MultitaskModel:
    """Choose which weights of the encoder are trained; heads always are.

    Args:
        model: The model. Its encoder is frozen or unfrozen in place.
        adapt: "full" trains all weights, "lora" adapters of rank 8, "frozen" none.

    Returns:
        The model to train: the same one or, for "lora", one with adapters around it.
    """
    if adapt == "lora":
        from peft import get_peft_model

        return get_peft_model(model, model.lora_config())  # type: ignore[arg-type,return-value]
    model.encoder.requires_grad_(adapt == "full")
    return model


def merge_adapters(model: Any) -> MultitaskModel:
    """Add a trained LoRA to the weights; a model without adapters is returned unchanged."""
    return model if isinstance(model, MultitaskModel) else model.merge_and_unload()


def task_fingerprints(tasks: Iterable[Task]) -> list[tuple[Any, ...]]:
    """Return what tells tasks apart: name, training languages, maximum length, and a hash.

    The hash is over all that a task declares, the source code of its columns' functions and
    metrics and the content of what they use included.

    Raises:
        UncacheableError: A function uses what cannot be told by its content, such as a generator.
    """
    fingerprints = []
    for task in tasks:
        values = {field.name: getattr(task, field.name) for field in fields(task)}
        try:
            text = fingerprint_text((task.task_type, task.user_classes(), values))
        except UncacheableError as error:
            raise UncacheableError(
                f"Task {task.name} cannot be told from its variants, so its stages cannot be "
                f"found again: {error}. Give its functions values that pickle can write."
            ) from error
        declared = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        fingerprints.append((task.name, *task.train_languages, task.max_length, declared))
    return fingerprints


def subsample_validation(
    task: Task, max_rows: int | None, seed: int, languages: Iterable[str]
) -> Task:
    """Return a task with fewer validation rows, chosen at random.

    Args:
        task: The task.
        max_rows: Largest number of rows per language; None returns the task unchanged. Rows of one
            group stay together, so that a task with `group` may have fewer rows.
        seed: Chooses the rows, together with the task's name and the language.
        languages: Languages to keep, where the task has validation rows in them.

    Returns:
        The task with these rows in memory, and with no other split.
    """
    if max_rows is None:
        return task
    sampled = {}
    available = task.languages("validation")
    for language in languages:
        if language in available:
            rows = task.rows("validation", language)
            if len(rows) > max_rows:
                rows = rows.select(_sampled_indices(task, rows, max_rows, seed, language))
            sampled[language] = rows
    return task.with_rows(Rows({"validation": sampled} if sampled else {}))


def _sampled_indices(
    task: Task, rows: datasets.Dataset, max_rows: int, seed: int, language: str
) -> np.ndarray:
    """Choose rows at random; groups are chosen whole, since a part of one has another score.

    Returns:
        Indices in increasing order: `max_rows`, or with groups as many as fit, at least one group.
    """
    if task.group is None:
        return subset(seed, task.name, language, len(rows), max_rows)
    groups: dict[Any, list[int]] = {}
    for index, group in enumerate(row_groups(task, rows, "validation", language)):
        groups.setdefault((None, index) if group is None else group, []).append(index)
    members = list(groups.values())
    chosen: list[int] = []
    for group_index in generator("subset", seed, task.name, language).permutation(len(members)):
        indices = members[group_index]
        if chosen and len(chosen) + len(indices) > max_rows:
            break
        chosen += indices
    return np.sort(chosen)


def score_targets(model: MultitaskModel, group: TargetGroup, dtype: torch.dtype | None) -> Report:
    """Score the targets of a group in their splits and languages.

    Some targets have one labelled set, which is both of their splits. It is scored once.

    Args:
        model: The trained model.
        group: What is scored.
        dtype: As for `evaluate`.
    """
    together: dict[tuple[str, tuple[str, ...]], list[Task]] = {}  # targets may share a pass
    copies: list[tuple[str, str, str]] = []  # target, its split that is scored, the equal one
    for target in group.targets:
        languages = group.languages[target.name]
        for split, scored_split in splits_to_score(target, languages).items():
            if split == scored_split:
                together.setdefault((split, tuple(languages[split])), []).append(target)
            else:
                copies.append((target.name, scored_split, split))
    report = Report()
    for (split, codes), targets in together.items():
        report += evaluate(model, targets, split=split, languages=codes, dtype=dtype)
    for name, scored_split, split in copies:
        records = report.where(task=name, split=scored_split)
        report += Report(replace(record, split=split) for record in records)
    return report


def learning_check(
    model: MultitaskModel,
    task: Task,
    report: Report,
    *,
    name: str,
    dtype: torch.dtype | None = None,
) -> Report:
    """Return the two scores that decide whether a run failed.

    `DEVELOPMENT` is the main score on validation rows. `CHANCE` is that of always predicting the
    majority class (0 for tags, answers and rankings).

    Args:
        model: The trained model.
        task: What was trained, with the validation rows that decide, in one language.
        report: Scores of the model. Rows that it covers are not scored again.
        name: What fine-tuned the targets; it becomes the task's name in the two records.
        dtype: As for `evaluate`.

    Returns:
        Two records, or none if the rows have no labels.
    """
    (language,) = task.languages("validation")
    row_count = len(task.rows("validation", language))
    record = _main_score(report, task, language)
    if record is None or record.examples != row_count:
        try:
            report = evaluate(model, [task], languages=[language], dtype=dtype)
        except DataError:  # no labels
            return Report()
        record = _main_score(report, task, language)
        assert record is not None
    development = replace(record, task=name, metric=DEVELOPMENT)
    chance = replace(development, metric=CHANCE, value=majority_class_score(task, language))
    return Report([development, chance])


def _main_score(report: Report, task: Task, language: str) -> Score | None:
    """Look up the main score of a task on its validation rows in a language."""
    key = (task.name, "validation", language, MAIN)
    for record in report:
        if (record.task, record.split, record.language, record.metric) == key:
            return record
    return None


def majority_class_score(task: Task, language: str) -> float:
    """Return the main score of predicting the most frequent label of the validation rows.

    It is 0 where a row's gold is no single label (tags, answers, rankings: they are rarely right by
    chance), and where the score of equal predictions is undefined, as a correlation is.

    Args:
        task: What is scored.
        language: Of the rows.

    Raises:
        DataError: A row has no label.
    """
    examples = task.examples("validation", language, labelled=True)
    references = [task.reference(example) for example in examples]
    if not all(isinstance(reference, str | int) for reference in references):
        return 0.0
    ((majority, _),) = Counter(references).most_common(1)
    predictions = [majority] * len(references)
    groups: Sequence[Any] = ()
    if any(map(takes_groups, task.metrics)):
        rows = task.rows("validation", language)
        groups = row_groups(task, rows, "validation", language)
    scored = ScoredExamples(task, "validation", language, predictions, references, groups)
    score = task.main_score(scored.values())
    return 0.0 if math.isnan(score) else score
