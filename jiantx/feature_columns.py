"""Whether the columns that a task type makes of its examples can be batched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jiantx.task import Task


def check_columns(task: Task, columns: Mapping[str, Any]) -> None:
    """Check what `task.features` returned.

    Args:
        task: Of any type.
        columns: Name -> an entry for each feature.

    Raises:
        ValueError: A column is missing, or has another number of entries than the others.
        TypeError: The entries of a column that needs lists are numbers.
    """
    noun = f"{type(task).__name__}.features (task {task.name})"
    # masked LM makes its labels with each batch
    is_complete = type(task).augment is Task.augment
    list_columns = ["input_ids", "lengths", *([task.output_column] if is_complete else [])]
    missing = [name for name in ("example", *list_columns) if name not in columns]
    if missing:
        raise ValueError(
            f"{noun} returned no column {missing[0]!r}; it has: {', '.join(columns)}. Each feature "
            "needs the index of its example, its token ids, the lengths of its sequences, and "
            f"{task.output_column!r}, a list with an entry for each item."
        )
    counts = {name: len(values) for name, values in columns.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"{noun} returned columns of several lengths: {counts}.")
    for name in list_columns:
        first: Any = next(iter(columns[name]), ())
        if not isinstance(first, Sequence | np.ndarray) or isinstance(first, str):
            raise TypeError(
                f"{noun}: an entry of {name!r} is {first!r:.80}; expected a list, such as "
                f"[{first!r:.80}]."
            )
