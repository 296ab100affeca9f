"""Scoring a sample of a split's rows: the same rows in every row of the table and every seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jiantx.sampling import subset
from jiantx.sources import Source
from jiantx.task import Task

if TYPE_CHECKING:
    import datasets

_SEED = 0


@dataclass(frozen=True)
class SampledRows(Source):
    """Another source, with fewer rows of some splits.

    The rows depend on the task's name and on the number of rows alone. Therefore languages whose
    splits are translations of each other, as those of XNLI, have the same rows.

    Args:
        source: The other source.
        splits: The splits that are sampled; the others stay whole.
        max_rows: Largest number of rows of a split in one language.
        task_name: Chooses the rows.
    """

    source: Source
    splits: tuple[str, ...]
    max_rows: int
    task_name: str

    def rows(self, split: str, language: str) -> datasets.Dataset:
        rows = self.source.rows(split, language)
        if split not in self.splits or len(rows) <= self.max_rows:
            return rows
        return rows.select(subset(_SEED, self.task_name, "", len(rows), self.max_rows))

    def available(self, split: str) -> tuple[str, ...]:
        return self.source.available(split)

    def hub_ids(self, language: str) -> tuple[str, ...]:
        return self.source.hub_ids(language)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that the other source declares."""
        return tuple(getattr(self.source, "languages", ()))


def scored_task(task: Task, splits: tuple[str, ...], max_rows: int | None) -> Task:
    """Return a target as it is scored.

    Args:
        task: The target.
        splits: Its splits that are scored.
        max_rows: Largest number of rows of each language of a split; None scores all.

    Returns:
        The target with a sample of its rows; unchanged if a row's score depends on the other rows.
        A corpus stays whole.
    """
    if max_rows is None or not task.has_independent_rows:
        return task
    return task.replace(source=SampledRows(task.source, splits, max_rows, task.name))
