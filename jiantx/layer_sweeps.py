"""Tasks that read different layers of the same states, and so share one pass of the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import torch

from jiantx.model import MultitaskModel
from jiantx.sources import Source
from jiantx.task import Task


def group_by_pass(model: MultitaskModel, tasks: Sequence[Task]) -> list[list[Task]]:
    """Group the tasks whose rows can be encoded together.

    They differ in their name, their layer and their head alone, and their heads have equal
    parameters. New heads without layers of their own do, such as those of mean pooling.

    Args:
        model: With a head for each task.
        tasks: The tasks.

    Returns:
        Each task once, groups and tasks in the order of `tasks`.
    """
    groups: list[list[Task]] = []
    for task in tasks:
        for group in groups:
            if _read_the_same(group[0], task) and _have_equal_heads(model, group[0], task):
                group.append(task)
                break
        else:
            groups.append([task])
    return groups


def layers_of_group(model: MultitaskModel, group: Sequence[Task]) -> list[int]:
    """The layers that the tasks of a group read, in increasing order.

    Args:
        model: With a head for each task.
        group: Of `group_by_pass`, with several tasks.
    """
    layers = {model.head_of(task).layer for task in group}
    return sorted(layer for layer in layers if layer is not None)


def _read_the_same(one: Task, other: Task) -> bool:
    """Whether two tasks of a type that chooses its layer have all but that in common."""
    if type(one) is not type(other) or not one.layer_fields:
        return False
    for field in fields(one):
        if field.name in ("name", "head", *one.layer_fields):
            continue
        value = getattr(one, field.name)
        other_value = getattr(other, field.name)
        # sources are not compared by their rows, which takes long
        is_equal = value is other_value
        if not is_equal and not isinstance(value, Source):
            is_equal = value == other_value
        if not is_equal:
            return False
    return True


def _have_equal_heads(model: MultitaskModel, one: Task, other: Task) -> bool:
    """Whether the heads of two tasks compute the same from the same states."""
    heads = [model.head_of(task) for task in (one, other)]
    if any(head.layer_mix is not None for head in heads):  # it reads more than one layer
        return False
    first = dict(heads[0].named_parameters())
    second = dict(heads[1].named_parameters())
    if first.keys() != second.keys():
        return False
    for name, parameter in first.items():
        if parameter is not second[name] and not torch.equal(parameter, second[name]):
            return False
    return True
