"""Scoring a sample of a split's rows: the same rows in every row of the table and every seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    return task.with_rows(SampledRows(task.source, splits, max_rows, task.name))


def splits_to_score(task: Task, languages: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Find the splits that are one set: some targets have one labelled set for all their splits.

    Args:
        task: A target.
        languages: Split -> its languages that are scored.

    Returns:
        Split -> the first split that has the same rows; the split itself if none before it has.
    """
    scored: dict[str, str] = {}
    for split in languages:
        equal = [first for first in scored.values() if _same_rows(task, split, first, languages)]
        scored[split] = equal[0] if equal else split
    return scored


def _same_rows(task: Task, split: str, other: str, languages: Mapping[str, Sequence[str]]) -> bool:
    """Whether two splits are the same rows, as far as `datasets` knows."""
    if list(languages[split]) != list(languages[other]):
        return False
    return all(
        task.rows(split, language)._fingerprint == task.rows(other, language)._fingerprint
        for language in languages[split]
    )
