"""The groups that a split's rows belong to, for metrics of groups and for reports by group."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

from jiantx.columns import Column, column_value
from jiantx.report.groups import ALL_ROWS
from jiantx.sources import DataError, iter_rows
from jiantx.task import Task

if TYPE_CHECKING:
    import datasets


def row_groups(
    task: Task, rows: datasets.Dataset, split: str, language: str
) -> list[Hashable | None]:
    """Read the group of each row.

    Args:
        task: With `group`.
        rows: Rows of the split, as stored.
        split: The split, for messages.
        language: The language, for messages.

    Returns:
        (rows,) what `task.group` says; None for a row in no group.

    Raises:
        DataError: A row has no such column, or its group is a list or a dictionary; names the row.
    """
    groups: list[Hashable | None] = []
    for index, value in enumerate(_values(task, task.group, rows, split, language)):
        if value is not None and not isinstance(value, str | int | tuple):
            raise DataError(
                f"{_location(task, split, language, index)}: the group is {value!r}; expected a "
                "text or a number, that rows of one group have in common. Give a `group` function "
                "of the row that returns one."
            )
        groups.append(None if value == "" else value)  # as CSV writes a missing value
    return groups


def named_group_indices(
    task: Task, rows: datasets.Dataset, split: str, language: str
) -> dict[str, list[int]]:
    """Read which rows each named group has.

    Args:
        task: The task.
        rows: Rows of the split, as stored.
        split: The split, for messages.
        language: The language, for messages.

    Returns:
        Name -> indices of its rows, in order of first appearance; empty without `named_groups`.

    Raises:
        DataError: A row has no such column, or something else than names in it; names the row.
    """
    indices: dict[str, list[int]] = {}
    for index, value in enumerate(_values(task, task.named_groups, rows, split, language)):
        names = value if isinstance(value, list | tuple | set | frozenset) else [value]
        if ALL_ROWS in names or not all(isinstance(name, str | None) for name in names):
            raise DataError(
                f"{_location(task, split, language, index)}: the named groups are {value!r}; "
                f"expected a text, or several, and not {ALL_ROWS!r}, which is the line of all rows."
            )
        for name in dict.fromkeys(filter(None, names)):
            indices.setdefault(name, []).append(index)
    return indices


def _values(
    task: Task, column: Column | None, rows: datasets.Dataset, split: str, language: str
) -> Iterator[Any]:
    """A column of each row; nothing without a column."""
    if column is None:
        return
    for index, row in enumerate(iter_rows(rows)):
        try:
            yield column_value(row, column)
        except DataError as error:
            message = f"{_location(task, split, language, index)}: {error}"
            raise DataError(message) from error.__cause__


def _location(task: Task, split: str, language: str, index: int) -> str:
    return f"Task {task.name}, split {split!r}, language {language!r}, row {index}"
