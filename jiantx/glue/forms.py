"""How a prediction is written in a leaderboard's file: a label's name, its number, a text."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jiantx.metrics import Answer
from jiantx.sources import DataError
from jiantx.task import Task


@dataclass(frozen=True)
class Form:
    """A form of predictions.

    Args:
        write: (task, value of a prediction) -> what the file holds: a text or a number; DataError
            if no file can hold it.
        read: (task, what a file holds) -> the value; DataError if it is none.
    """

    write: Callable[[Task, Any], str | int]
    read: Callable[[Task, Any], Any]


def _write_name(task: Task, value: Any) -> str:
    _check_name(task, value)
    return str(value)


def _write_small_name(task: Task, value: Any) -> str:
    return _write_name(task, value).lower()


def _check_name(task: Task, value: Any) -> None:
    """Refuse what is no label: a target whose span is lost has none."""
    if value not in task.gold_names:
        raise DataError(
            f"the prediction is {value!r}, expected one of {', '.join(task.gold_names)}. If it is "
            "empty, the row's spans do not fit: give the task a larger max_length."
        )


def _read_name(task: Task, item: Any) -> str:
    """A label's name; official files differ in the case of "true"."""
    for name in task.gold_names:
        if str(item).lower() == name.lower():
            return name
    raise DataError(f"found {item!r}, expected one of {', '.join(task.gold_names)}.")


def _write_number(task: Task, value: Any) -> int:
    _check_name(task, value)
    return task.gold_names.index(value)


def _read_number(task: Task, item: Any) -> str:
    names = task.gold_names
    index = _whole_number(item)
    if not 0 <= index < len(names):
        raise DataError(f"found {item!r}, expected a number from 0 to {len(names) - 1}.")
    return names[index]


def _write_similarity(task: Task, value: Any) -> str:
    if not math.isfinite(value):
        raise DataError(f"the prediction is {value!r}, expected a number: the model is broken.")
    return f"{min(5.0, max(0.0, float(value))):.3f}"


def _read_similarity(task: Task, item: Any) -> float:
    try:
        number = float(item)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 5:
        raise DataError(f"found {item!r}, expected a number from 0 to 5.")
    return number


def _write_choice(task: Task, value: Any) -> int:
    return int(value)


def _read_choice(task: Task, item: Any) -> int:
    return _whole_number(item)


def _write_text(task: Task, value: Any) -> str:
    return str(getattr(value, "text", value))


def _read_text(task: Task, item: Any) -> Answer:
    if not isinstance(item, str):
        raise DataError(f"found {item!r}, expected a text.")
    return Answer(item)


def _whole_number(item: Any) -> int:
    if isinstance(item, bool) or not str(item).isdecimal():
        raise DataError(f"found {item!r}, expected a whole number.")
    return int(item)


NAME = Form(_write_name, _read_name)
SMALL_NAME = Form(_write_small_name, _read_name)  # "true", though the label is "True"
NUMBER = Form(_write_number, _read_number)
SIMILARITY = Form(_write_similarity, _read_similarity)  # 0 to 5, with three decimals
CHOICE = Form(_write_choice, _read_choice)
TEXT = Form(_write_text, _read_text)
