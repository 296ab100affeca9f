"""The labels of a task that does not declare them: those of its training rows."""

from __future__ import annotations

import logging
import weakref
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jiantx.columns import Column, column_value
from jiantx.fields import check_labels
from jiantx.registry import near_names
from jiantx.sources import (
    DataError,
    MissingColumn,
    class_names,
    data_root,
    decode_class_labels,
    iter_rows,
)

if TYPE_CHECKING:
    import datasets

    from jiantx.task import Task

logger = logging.getLogger("jiantx.labels_in_data")

_DECLARE = 'Declare them: labels=("…", "…").'
_SUSPICIOUS = 20  # more labels than this need two rows each
_ROWS_PER_LABEL = 10  # with as many rows per label, a label of one row is perhaps misspelt
# (id of a task, data root) -> its labels; `_forget` empties it, since the task holds nothing of it
_labels_of: dict[tuple[int, Path | None], tuple[str, ...]] = {}


def find_labels(task: Task) -> tuple[str, ...]:
    """The labels in the training rows of all languages, in alphabetical order.

    Without training rows, those of the validation rows, then of the test rows. A column of classes
    (`ClassLabel`) has its own names and order. They are found once.

    Args:
        task: A task with a column of gold.

    Raises:
        DataError: There are no rows, or what they hold are no labels.
    """
    key = (id(task), data_root())
    if key not in _labels_of:
        _labels_of[key] = check_labels(task.name, _read_labels(task))
        weakref.finalize(task, _labels_of.pop, key, None)
    return _labels_of[key]


def _read_labels(task: Task) -> tuple[str, ...]:
    splits = [split for split in ("train", "validation", "test") if task.languages(split)]
    if not splits:
        task.rows("train", task.train_languages[0])  # says which file is missing
        raise DataError(f"Task {task.name}: there are no rows to find the labels in. {_DECLARE}")
    split = splits[0]
    column: Column = getattr(task, task.gold)
    counts: Counter[Any] = Counter()
    row_count = 0
    for language in task.languages(split):
        rows = task.rows(split, language)
        names = class_names(rows, column) if isinstance(column, str) else None
        if names is not None:
            return tuple(names)
        try:
            counts += _value_counts(rows, column)
        except DataError as error:
            raise DataError(
                f"Task {task.name}, split {split!r}, language {language!r}: {error}"
            ) from error.__cause__
        row_count += len(rows)
    labels = [value for value in counts if not _is_blank(value)]
    _check_labels(task, labels, row_count, split)
    single = single_labels({label: counts[label] for label in labels})
    if single and task.scored_by != "tagging":  # rare tags are usual
        frequent_labels = [label for label in labels if label not in single]
        logger.warning(
            "Task %s: labels that only one of the %s rows has: %s.%s If one is misspelt, correct "
            "the row and make the task again. To refuse unknown labels, declare the right ones: "
            "labels=(…).",
            task.name,
            split,
            ", ".join(map(repr, single[:3])),
            near_names(single[0], frequent_labels),
        )
    return tuple(sorted(labels))


def single_labels(counts: Mapping[str, int]) -> list[str]:
    """The labels that occur once, where labels occur often on average: perhaps misspelt ones.

    Args:
        counts: Label -> how often it occurs.
    """
    if sum(counts.values()) < _ROWS_PER_LABEL * len(counts):
        return []
    return [label for label, count in counts.items() if count == 1]


def _value_counts(rows: datasets.Dataset, column: Column) -> Counter[Any]:
    """How often the values of a column, or the items of its lists, occur."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not isinstance(column, str):
        counts: Counter[Any] = Counter()
        for row in iter_rows(rows):
            value = column_value(row, column)
            counts.update(value if isinstance(value, list | tuple | set) else [value])
        return counts
    if column not in rows.column_names:
        raise MissingColumn(column, rows.column_names)
    stored = decode_class_labels(rows).with_format("arrow")[column][:]
    is_list = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if any(is_kind(stored.type) for is_kind in is_list):
        stored = pc.list_flatten(stored)
    return Counter(
        {entry["values"]: entry["counts"] for entry in pc.value_counts(stored).to_pylist()}
    )


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _check_labels(task: Task, labels: list[Any], row_count: int, split: str) -> None:
    """DataError for values that are hardly labels."""
    noun = f"Task {task.name}: labels are not declared, and the {split} rows hold"
    no_texts = [label for label in labels if not isinstance(label, str)]
    if no_texts:
        raise DataError(
            f"{noun} {no_texts[0]!r}. Labels are names. If the numbers are the names, give "
            f'{task.gold}=lambda row: str(row["label"]); else a function that names them.'
        )
    if len(labels) < 2:
        raise DataError(f"{noun} {labels}; expected at least two. {_DECLARE}")
    if len(labels) > _SUSPICIOUS and 2 * len(labels) > row_count:
        raise DataError(
            f"{noun} {len(labels):,} different values in {row_count:,} rows, such as "
            f"{labels[0]!r:.60}. Name the column of the labels: {task.gold}=…. If these are the "
            f"labels, declare them: labels=(…)."
        )
    by_letters: dict[str, str] = {}
    for label in labels:
        similar = by_letters.setdefault(label.strip().casefold(), label)
        if similar != label:
            raise DataError(
                f"{noun} {similar!r} and {label!r}, which differ only in case or blanks. Correct "
                f"the rows, or, if both are labels, declare them: labels=(…)."
            )
