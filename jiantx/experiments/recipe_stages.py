"""The stages of a recipe: intermediate trainings, and targets that are fine-tuned and scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelerate import PartialState
from transformers import set_seed

import jiantx
from jiantx.experiments.cells import TargetGroup
from jiantx.experiments.rows import parse_row
from jiantx.experiments.scored_rows import scored_task
from jiantx.experiments.selection import training_name
from jiantx.experiments.stages import Stage
from jiantx.experiments.training import (
    learning_check,
    limit_training,
    merge_adapters,
    score_targets,
    subsample_validation,
    task_fingerprints,
    train,
)
from jiantx.half_precision import half_precision
from jiantx.model import MultitaskModel
from jiantx.report import Report
from jiantx.sources import DataError, data_root
from jiantx.task import Task

if TYPE_CHECKING:
    import os

    from jiantx.experiments.recipe import Recipe

_FORMAT = 3  # of what a stage writes; a new number runs all stages again
ENCODER = "encoder"  # a stage's folder of the encoder that later stages start from
WITH_MASKED_LM = "encoder_with_masked_lm"  # the same encoder, with the head of its checkpoint


def encoder_inputs(recipe: Recipe) -> dict[str, Any]:
    """What every stage depends on: the encoder, the data root and jiantx's version."""
    return {
        "encoder": recipe.fingerprint,
        "data_root": str(data_root()),
        "version": jiantx.__version__,
        "format": _FORMAT,
    }


def _training_inputs(recipe: Recipe, seed: int) -> dict[str, Any]:
    """What a stage's result depends on, beside what it trains and the stages before it."""
    return {
        "seed": seed,
        "max_train_examples": recipe.max_train_examples,
        "patience": recipe.patience,
        "eval_examples": recipe.eval_examples,
        **encoder_inputs(recipe),
    }


def _starting_model(
    recipe: Recipe, dependencies: Sequence[Path], tasks: Sequence[Task], *, is_target: bool
) -> MultitaskModel:
    """Load the encoder that a stage starts from, with heads for some tasks.

    Targets have new heads. Only a masked-LM head may be the checkpoint's own.
    """
    path: str | os.PathLike[str] = recipe.encoder
    keeps_heads = not is_target
    if dependencies:
        path = dependencies[0] / ENCODER
        with_head = dependencies[0] / WITH_MASKED_LM
        if with_head.is_dir() and any(task.task_type == "masked_lm" for task in tasks):
            path = with_head
            keeps_heads = True
    return MultitaskModel.from_pretrained(path, tasks, heads="keep" if keeps_heads else "new")


def intermediate_stage(
    recipe: Recipe, row_spec: str, seed: int, depends_on: tuple[Stage, ...]
) -> Stage:
    """Train the encoder on one task, or jointly on several; keep the encoder only.

    Args:
        recipe: The recipe.
        row_spec: The row of the table, as `parse_row` reads it.
        seed: Of the training.
        depends_on: The stage whose encoder is trained; empty for the recipe's own.
    """
    tasks = parse_row(row_spec)

    def run(folder: Path, dependencies: Sequence[Path]) -> None:
        set_seed(seed)
        model = _starting_model(recipe, dependencies, tasks, is_target=False)
        changes = _train(recipe, model, tasks, folder, recipe.intermediate, seed, None)
        if PartialState().is_main_process:
            model.save_encoder(folder / ENCODER)
            changes.to_json(folder / "report.json")

    inputs = {"trained": task_fingerprints(tasks), "arguments": dict(recipe.intermediate)}
    common = _training_inputs(recipe, seed)
    return Stage(f"{row_spec}, seed {seed}", common | inputs, run, depends_on)


def target_group(recipe: Recipe, targets: Sequence[Task]) -> TargetGroup:
    """Describe targets that are fine-tuned alike.

    Args:
        recipe: The recipe.
        targets: The targets.

    Raises:
        DataError: A target cannot be scored.
    """
    finetuning_stages = recipe.finetuning_stages(targets[0])
    trained = [stage.task for stage in finetuning_stages]
    arguments = [recipe.finetuning_arguments(task) for task in trained]
    targets = [scored_task(task, recipe.splits, recipe.eval_rows) for task in targets]
    languages = {task.name: recipe.scored_languages(task) for task in targets}
    unscored = [name for name, by_split in languages.items() if not by_split]
    if unscored:
        where = f" in {', '.join(recipe.languages)}." if recipe.languages else "."
        raise DataError(
            f"Nothing to score of {', '.join(unscored)}: no labelled rows of "
            f"{' or '.join(recipe.splits)} here{where}"
        )
    inputs: dict[str, Any] = {
        "trained": task_fingerprints(trained),
        "arguments": arguments,
        "targets": task_fingerprints(targets),
        "languages": languages,
    }
    if half_precision(recipe.target):
        inputs["precision"] = str(half_precision(recipe.target))
    if trained:
        inputs["shots"] = recipe.shots
        inputs["adapt"] = recipe.adapt
    return TargetGroup(tuple(targets), finetuning_stages, arguments, languages, inputs)


def target_stage(
    recipe: Recipe, row_spec: str, seed: int, group: TargetGroup, depends_on: tuple[Stage, ...]
) -> Stage:
    """Fine-tune a fresh copy of the intermediate encoder with new heads, and score the targets.

    A target without training rows, such as sentence retrieval, is scored on the intermediate
    encoder.

    Args:
        recipe: The recipe.
        row_spec: The row of the table.
        seed: Of the trainings.
        group: The targets.
        depends_on: The stage whose encoder is fine-tuned; empty for the recipe's own.
    """

    def run(folder: Path, dependencies: Sequence[Path]) -> None:
        set_seed(seed)
        tasks = {task.name: task for task in (*group.trained_tasks, *group.targets)}
        model = _starting_model(recipe, dependencies, list(tasks.values()), is_target=True)
        report = Report()
        for index, (task, max_rows) in enumerate(group.finetuning_stages):
            training_folder = folder / f"{index}-{task.name}"
            arguments = group.arguments[index]
            trainable = limit_training(model, recipe.adapt)
            changes = _train(recipe, trainable, [task], training_folder, arguments, seed, max_rows)
            model = merge_adapters(trainable)
            if len(group.finetuning_stages) > 1:
                changes = changes.with_tags(finetuning_stage=index)
            report += changes
        report += score_targets(model, group, half_precision(recipe.target))
        if group.trained_tasks:
            report += _learning_check(recipe, model, group.trained_tasks, seed, report)
        if PartialState().is_main_process:
            report.to_json(folder / "report.json")

    name = f"{row_spec} -> {'+'.join(group.languages)}, seed {seed}"
    return Stage(name, _training_inputs(recipe, seed) | group.inputs, run, depends_on)


def _train(
    recipe: Recipe,
    model: MultitaskModel,
    tasks: Sequence[Task],
    folder: Path,
    arguments: Mapping[str, Any],
    seed: int,
    max_rows: int | None,
) -> Report:
    eval_tasks = [
        subsample_validation(task, recipe.eval_examples, seed, task.train_languages)
        for task in recipe.validation_tasks(tasks)
    ]
    return train(
        model,
        tasks,
        folder,
        arguments,
        seed=seed,
        max_rows=max_rows or recipe.max_train_examples,
        eval_tasks=eval_tasks,
        patience=recipe.patience,
    )


def _learning_check(
    recipe: Recipe, model: MultitaskModel, trained: Sequence[Task], seed: int, report: Report
) -> Report:
    task = recipe.development_task(trained[-1], seed)
    if task is None:
        return Report()
    if recipe.eval_rows is not None:  # as many rows may be others
        report = Report()
    precision = half_precision(recipe.target)
    return learning_check(model, task, report, name=training_name(trained), dtype=precision)
