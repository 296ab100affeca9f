"""Cells of a table of results, and targets that share a fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jiantx.task import Task


@dataclass(frozen=True)
class Cell:
    """A cell of the table: a row, a seed, and targets that are fine-tuned in the same way.

    Args:
        row: As `parse_row` reads it.
        seed: From 1.
        names: Of the targets.
        targets: The tasks.
    """

    row: str
    seed: int
    names: tuple[str, ...]
    targets: tuple[Task, ...] = field(compare=False, repr=False)


@dataclass(frozen=True)
class TargetGroup:
    """Targets that are fine-tuned in the same way.

    Args:
        targets: The tasks.
        finetuning: What fine-tunes them, in order, each with its maximum of rows.
        arguments: `TrainingArguments` of each fine-tuning.
        languages: Target -> split -> the languages that are scored.
        inputs: What the group adds to the inputs of a stage.
    """

    targets: tuple[Task, ...]
    finetuning: list[tuple[Task, int | None]]
    arguments: list[dict[str, Any]]
    languages: dict[str, dict[str, list[str]]]
    inputs: dict[str, Any]
