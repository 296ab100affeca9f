"""What is refused before anything runs: misspelt fields, arguments and tasks of a recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from numbers import Integral
from typing import Any

from transformers import TrainingArguments
from transformers.utils import logging

from jiantx.experiments.cells import TargetGroup
from jiantx.fields import check_count, check_fields
from jiantx.registry import near_names
from jiantx.tasks import TASKS, resolve_task
from jiantx.trainer_arguments import refused_argument

logger = logging.get_logger("jiantx.experiments")

Recipe = Any  # a `jx.experiments.Recipe`, whose module imports this one

SET_BY_RECIPE = {"seed": "seeds", "output_dir": "output"}  # TrainingArguments -> the recipe's name


def check_recipe(recipe: Recipe) -> None:
    """Raise ValueError if a field holds what it cannot, or would have no effect."""
    check_fields(recipe, "Recipe")
    for name in ("patience", "eval_examples", "eval_rows", "max_train_examples", "shots"):
        check_count(f"Recipe: {name}", getattr(recipe, name))
    for task_name, length in recipe.max_length.items():
        check_count(f"Recipe: max_length[{task_name!r}]", length)
    if recipe.shots is not None and not recipe.train_languages:
        raise ValueError(
            f"Recipe: shots={recipe.shots} needs languages. Name them with train_languages=(…)."
        )
    _check_training_arguments("intermediate", recipe.intermediate)
    _check_training_arguments("target", recipe.target)
    for task, arguments in recipe.by_task.items():
        _check_training_arguments(f"by_task[{task!r}]", arguments)
    trainings = [recipe.intermediate, recipe.target, *recipe.by_task.values()]
    if recipe.patience and not any(t.get("eval_strategy", "no") != "no" for t in trainings):
        logger.warning_once(
            f"Recipe: patience={recipe.patience} has no effect, because no training is evaluated. "
            "Give intermediate or target an eval_strategy."
        )


def _check_training_arguments(field: str, arguments: Mapping[str, Any]) -> None:
    argument_names = [argument.name for argument in fields(TrainingArguments) if argument.init]
    for name in arguments:
        if name in SET_BY_RECIPE:
            raise ValueError(
                f"Recipe: {field} holds {name!r}, which the recipe sets. Use {SET_BY_RECIPE[name]}."
            )
        if name not in argument_names:
            raise ValueError(
                f"Recipe: {field} holds {name!r}, which is not one of TrainingArguments."
                f"{near_names(name, argument_names)}"
            )
    problem = refused_argument(arguments)
    if problem:
        raise ValueError(f"Recipe: {field}: {problem}")


def check_seeds(seeds: Any) -> None:
    """Raise ValueError unless `seeds` is a number of seeds."""
    if not isinstance(seeds, Integral) or seeds < 1:
        raise ValueError(
            f"seeds={seeds!r}. Expected how many seeds are run, at least 1: they are 1, 2, …"
        )


def _name_unknown_languages(recipe: Recipe, groups: Iterable[TargetGroup]) -> None:
    """Log which of a recipe's languages no target has: they may be misspelt."""
    available: set[str] = set()
    for task in (target for group in groups for target in group.targets):
        for split in recipe.splits:
            available.update(task.languages(split))
    for language in sorted(set(recipe.languages or ()) - available):
        logger.warning_once(
            f"Recipe: no target has rows in {language!r}. They have: "
            f"{', '.join(sorted(available))}."
        )


def check_plan(recipe: Recipe, groups: Sequence[TargetGroup]) -> None:
    """Check the tasks that `by_task` and `max_length` name; log languages that no target has.

    Args:
        recipe: The recipe.
        groups: The targets that are planned.

    Raises:
        ValueError: A name is no task's, or that of a target that is trained on others.
    """
    _name_unknown_languages(recipe, groups)
    targets = {target.name: target for group in groups for target in group.targets}
    trained = {task.name for group in groups for task in group.trained_tasks}
    for field in ("by_task", "max_length"):
        for name in set(getattr(recipe, field)) - trained:
            if name in targets and targets[name].train_on:
                raise ValueError(
                    f"Recipe: {field} names {name!r}, which is trained on other tasks. Expected "
                    f"their names: {', '.join(targets[name].train_on)}."
                )
            if name not in targets:
                _check_registered(field, name, trained)


def _check_registered(field: str, name: str, trained: Iterable[str]) -> None:
    try:
        task = resolve_task(name)
    except LookupError:
        near = near_names(name, {*TASKS, *trained})
        raise ValueError(f"Recipe: {field} names {name!r}, which is no task.{near}") from None
    if task.name != name:
        raise ValueError(f"Recipe: {field} names {name!r}, an alias. Write {task.name!r}.")
