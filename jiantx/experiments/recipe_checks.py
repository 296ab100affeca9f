"""What is refused before anything runs: misspelt fields, arguments and tasks of a recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from numbers import Integral
from typing import TYPE_CHECKING, Any

from transformers import TrainingArguments

from jiantx.experiments.cells import TargetGroup
from jiantx.fields import check_fields
from jiantx.registry import near_names
from jiantx.tasks import TASKS, resolve_task

if TYPE_CHECKING:
    from jiantx.experiments.recipe import Recipe

SET_BY_RECIPE = {"seed": "seeds", "output_dir": "output"}  # TrainingArguments -> the recipe's name


def check_recipe(recipe: Recipe) -> None:
    """Raise ValueError if a field holds what it cannot, or names no `TrainingArguments`."""
    check_fields(recipe, "Recipe")
    _check_training_arguments("intermediate", recipe.intermediate)
    _check_training_arguments("target", recipe.target)
    for task, arguments in recipe.by_task.items():
        _check_training_arguments(f"by_task[{task!r}]", arguments)


def _check_training_arguments(field: str, arguments: Mapping[str, Any]) -> None:
    argument_names = [argument.name for argument in fields(TrainingArguments) if argument.init]
    for name in arguments:
        if name in SET_BY_RECIPE:
            raise ValueError(
                f"Recipe: {field} holds {name!r}, which the recipe sets. Use {SET_BY_RECIPE[name]}."
            )
        if name not in argument_names:
            raise ValueError(
                f"Recipe: {field} holds {name!r}, which is none of TrainingArguments."
                f"{near_names(name, argument_names)}"
            )


def check_seeds(seeds: Any) -> None:
    """Raise ValueError unless `seeds` is a number of seeds."""
    if not isinstance(seeds, Integral) or seeds < 1:
        raise ValueError(
            f"seeds={seeds!r}. Expected how many seeds are run, at least 1: they are 1, 2, …"
        )


def check_task_keys(recipe: Recipe, groups: Iterable[TargetGroup]) -> None:
    """Check the tasks that `by_task` and `max_length` name.

    Args:
        recipe: The recipe.
        groups: The targets that are planned.

    Raises:
        ValueError: A name is no task's, or that of a target that is trained on others.
    """
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
        resolve_task(name)
    except LookupError:
        near = near_names(name, {*TASKS, *trained})
        raise ValueError(f"Recipe: {field} names {name!r}, which is no task.{near}") from None
