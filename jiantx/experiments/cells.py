"""What a recipe's table is made of: cells, and the targets that one fine-tuning serves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jiantx.task import Task


@dataclass(frozen=True)
class Cell:
    """A cell of the table: one row, one seed, and all targets that are fine-tuned alike.

    Args:
        row: The row as `parse_row` reads it, such as `mnli+mlm`.
        seed: Seed of all trainings of the cell, from 1.
        names: Names of the targets.
        targets: The targets themselves.
    """

    row: str
    seed: int
    names: tuple[str, ...]
    targets: tuple[Task, ...] = field(compare=False, repr=False)


class FinetuningStage(NamedTuple):
    """One of the trainings that fine-tune a target, one after the other.

    Attributes:
        task: The task that is trained, with its training languages and its maximum length.
        max_rows: The largest number of training rows per language; None takes all rows.
    """

    task: Task
    max_rows: int | None


@dataclass(frozen=True)
class TrainingKey:
    """Tells how a target is fine-tuned. Targets with equal keys share a stage.

    XQuAD and MLQA have the same key: both are fine-tuned on SQuAD. A target that nothing
    fine-tunes, such as Tatoeba, shares its stage with no other.

    Args:
        trained: Fingerprints of the tasks that fine-tune the target, in order.
        untrained_target: The name of a target that nothing fine-tunes; else empty.
    """

    trained: tuple[tuple[Any, ...], ...]
    untrained_target: str


@dataclass(frozen=True)
class TargetGroup:
    """Targets with the same `TrainingKey`: one stage trains and scores them all.

    Args:
        targets: The targets.
        finetuning_stages: The trainings that fine-tune them, in order.
        arguments: The `TrainingArguments` of each of these trainings, by name.
        languages: Target -> split -> the languages that are scored.
        inputs: What a stage depends on because of this group, as plain JSON.
    """

    targets: tuple[Task, ...]
    finetuning_stages: list[FinetuningStage]
    arguments: list[dict[str, Any]]
    languages: dict[str, dict[str, list[str]]]
    inputs: dict[str, Any]

    @property
    def trained_tasks(self) -> list[Task]:
        """The tasks that fine-tune the targets, in order."""
        return [stage.task for stage in self.finetuning_stages]
