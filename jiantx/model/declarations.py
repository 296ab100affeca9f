"""What a saved model says of its tasks, so that it can be used without their declarations."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from transformers.utils import logging

from jiantx.sources import DataError, Row, Rows, Source, function_name
from jiantx.task import Task
from jiantx.tasks import TASKS

logger = logging.get_logger("jiantx.model")

# What predictions do not need: where rows come from, how they are scored and trained on. Labels and
# the head's name are in the config already.
_LEFT_OUT = frozenset(
    """name source head labels metrics main_metrics group named_groups train_on
    language_exponent""".split()
)
_GIVE = (
    "give the task, jx.load(folder, tasks=[task]), or import a file that registers it (jx.register)"
)


def declaration(task: Task) -> dict[str, Any]:
    """What the config holds of a task's declaration, as JSON.

    Args:
        task: Any.

    Returns:
        Under "type" the task type, under "fields" the fields that predictions need, under "code"
        the names of functions and sources among them, which JSON cannot hold.
    """
    plain: dict[str, Any] = {}
    code: dict[str, str] = {}
    for name, value in _fields(task):
        if _is_plain(value):
            plain[name] = _as_json(value)
        else:
            code[name] = _code_name(value)
    declared: dict[str, Any] = {"type": task.task_type, "fields": plain}
    return {**declared, "code": code} if code else declared


def _fields(task: Task) -> Iterator[tuple[str, Any]]:
    for field in fields(task):
        if field.init and field.name not in _LEFT_OUT:
            yield field.name, getattr(task, field.name)


def _code_name(value: Any) -> str:
    return function_name(value) if callable(value) else type(value).__name__


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(value[key]) for key in value)
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | bool | int | float)


def _as_json(value: Any) -> Any:
    """What the value is after it was saved."""
    if isinstance(value, Mapping):
        return {key: _as_json(item) for key, item in value.items()}
    return list(map(_as_json, value)) if isinstance(value, list | tuple) else value


def changed_fields(task: Task, entry: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What a task says otherwise than the saved task of its name.

    Args:
        task: Of the same name.
        entry: The saved task's, of the config.

    Returns:
        Field -> its value here and as it was saved, of the fields that a config holds.
    """
    saved_fields = entry.get("declaration", {}).get("fields", {})
    own_fields = {name: _as_json(value) for name, value in _fields(task) if _is_plain(value)}
    changed = {}
    for name, saved_value in saved_fields.items():
        if name in own_fields and own_fields[name] != saved_value:
            changed[name] = (own_fields[name], saved_value)
    return changed


def missing_code(entry: Mapping[str, Any], unread_fields: Collection[str] = ()) -> dict[str, str]:
    """Field -> name of the function or source that a saved task needs, and that no folder holds.

    The gold is not among them, as predictions do not read it.

    Args:
        entry: The task's, of the config.
        unread_fields: Fields that will not be read.
    """
    declared = entry.get("declaration", {})
    code = dict(declared.get("code", {}))
    task_class = _task_class(declared.get("type"))
    if task_class is not None:
        code.pop(task_class.gold, None)
    return {field: name for field, name in code.items() if field not in unread_fields}


def saved_task(
    name: str,
    entry: Mapping[str, Any],
    head: Mapping[str, Any],
    unread_fields: Collection[str] = (),
) -> Task:
    """Make a task of what a saved model says of it.

    Functions among its columns are those of the registered task of that name.

    Args:
        name: The task's.
        entry: The task's, of the config.
        head: The config of its head.
        unread_fields: Fields that the caller does not read, and that the task may lack.

    Returns:
        A task for `predict`. It has no rows; metrics are the registered task's, if it has one.

    Raises:
        DataError: The folder does not hold all that predictions need, and no task that has it is
            registered.
    """
    registered: Task | None = None
    if name in TASKS:
        registered = TASKS[name]
    declared = entry.get("declaration")
    if declared is None:
        if registered is not None:
            return registered
        raise DataError(
            f"Task {name}: the folder was saved by a jiantx that did not yet write declarations "
            f"into it, and no task of that name is registered. To use it, {_GIVE}."
        )
    task_class = _task_class(declared["type"])
    if task_class is None:
        raise DataError(
            f"Task {name} is of the type {declared['type']!r}, which is not one of jiantx's. To "
            f"use it, {_GIVE}."
        )
    plain = {key: _as_tuples(value) for key, value in declared.get("fields", {}).items()}
    _check_fields(name, task_class, plain)
    plain["head"] = entry["head"]
    if "labels" in {field.name for field in fields(task_class)}:
        plain["labels"] = tuple(head["labels"])
    code = missing_code(entry, unread_fields)
    if type(registered) is task_class and all(_is_code(registered, field) for field in code):
        _warn_of_other_code(registered, code)
        return registered.replace(**plain)
    if code:
        needed = ", ".join(f"{field} ({name})" for field, name in code.items())
        raise DataError(
            f"Task {name}: a folder holds names of columns, but no code and no other data. This "
            f"task needs {needed}. To use it, {_GIVE}."
        )
    if task_class.gold in declared.get("code", {}):
        plain[task_class.gold] = _unsaved_gold
    without_scores: dict[str, Any] = {"metrics": (_unsaved_metric,), "main_metrics": ()}
    return task_class(name=name, source=Rows({}), **without_scores, **plain)


def _warn_of_other_code(registered: Task, code: Mapping[str, str]) -> None:
    for field, name in code.items():
        present_name = _code_name(getattr(registered, field))
        if present_name != name:
            logger.warning(
                f"Task {registered.name}: the model was saved with the function {name} as its "
                f"{field}, and the registered task has {present_name}. Predictions may differ."
            )


def _is_code(task: Task, field: str) -> bool:
    value = getattr(task, field)
    return callable(value) or isinstance(value, Source)


def _as_tuples(value: Any) -> Any:
    """JSON's lists as the tuples that declarations hold."""
    if isinstance(value, Mapping):
        return {key: _as_tuples(item) for key, item in value.items()}
    return tuple(map(_as_tuples, value)) if isinstance(value, list | tuple) else value


def _check_fields(name: str, task_class: type[Task], values: Mapping[str, Any]) -> None:
    """Refuse fields that the task type does not have: left out, predictions would change."""
    unknown = sorted(set(values) - {field.name for field in fields(task_class)})
    if unknown:
        raise DataError(
            f"Task {name}: {task_class.__name__} has no field {', '.join(unknown)}. The folder was "
            "saved by another version of jiantx or of the class; load it with that one."
        )


def _task_class(task_type: Any) -> type[Task] | None:
    """The imported class of a task type: jiantx's, or one of the user's own."""
    classes: list[Any] = [Task]
    for parent in classes:
        classes += parent.__subclasses__()
        if getattr(parent, "task_type", None) == task_type:
            task_class: type[Task] = parent
            return task_class
    return None


def _unsaved_metric(predictions: Sequence[Any], references: Sequence[Any]) -> float:
    raise DataError(
        "A saved model holds no metrics. Score it on a registered task, or on your own: "
        "jx.evaluate(model, [task])."
    )


def _unsaved_gold(row: Row) -> Any:
    raise DataError("A saved model does not hold the function that reads the gold.")
