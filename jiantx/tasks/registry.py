"""Tasks by name: register one, look one up, list them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TypeVar

from jiantx.registry import Registry, near_names
from jiantx.report import Benchmark
from jiantx.sources import Rows, Source
from jiantx.task import SPLITS, Task
from jiantx.tasks.aliases import ALIASES
from jiantx.tasks.benchmarks import BENCHMARKS

T = TypeVar("T", bound=Task)
TaskOrName = Task | str
Tasks = TaskOrName | Iterable[TaskOrName]
"""One task or several, each as a task or as the name of a registered one."""

TASKS: Registry[Task] = Registry(
    "task",
    advice="jx.list_tasks() has all names. Give a task of your own itself, or register it: "
    "jx.register(task).",
)


def register(task: T, *, overwrite: bool = False) -> T:
    """Add a task to the registry and return it.

    Args:
        task: A task. An equal one may be registered already: a cell of a notebook can run again.
        overwrite: Replace a registered task that has the same name and differs.

    Raises:
        ValueError: Another task of that name is registered, and `overwrite` is false.
    """
    TASKS.register(task.name, task, overwrite=overwrite)
    return task


def get_task(name: str) -> Task:
    """The registered task of that name, or of the name that an alias stands for.

    Raises:
        LookupError: No task has that name; the message lists similar names.

    >>> get_task("socialiqa").name
    'siqa'
    """
    return TASKS[name if name in TASKS else ALIASES.get(name, name)]


def resolve_task(task: TaskOrName) -> Task:
    """A task, or the registered task of that name.

    Raises:
        LookupError: No task has that name; the message lists similar names.
        TypeError: It is neither a task nor a name.
    """
    if isinstance(task, str):
        return get_task(task)
    if not isinstance(task, Task):
        raise TypeError(f"Expected a task or the name of a registered one, found {task!r}.")
    return task


def resolve_tasks(tasks: Tasks) -> list[Task]:
    """Tasks of which some may be given by name, or one alone.

    Raises:
        LookupError: No task has one of the names; the message lists similar names.
        TypeError: Something is neither a task nor a name.
    """
    if isinstance(tasks, str | Task) or not isinstance(tasks, Iterable):
        return [resolve_task(tasks)]
    return [resolve_task(task) for task in tasks]


def training_tasks(task: Task) -> tuple[Task, ...]:
    """The tasks whose training split fine-tunes `task`, in order.

    These are the tasks that `task.train_on` names, or the task itself if it names none. If a named
    task is of another type, `task` reads that task's rows in its own form. Empty if there is
    nothing to train on."""
    tasks = [get_task(name) for name in task.train_on]
    if tasks:
        return tuple(
            t if t.task_type == task.task_type else task.replace(source=t.source) for t in tasks
        )
    return (task,) if task.languages("train") else ()


def list_tasks(
    *,
    type: str | None = None,
    language: str | None = None,
    benchmark: str | Benchmark | None = None,
) -> tuple[str, ...]:
    """The names of the registered tasks that meet all given conditions.

    Reads no data.

    Args:
        type: Task type.
        language: A language that the task declares; with a benchmark, one that counts there.
        benchmark: A benchmark, or its name.

    Raises:
        LookupError: No task has this type, language or benchmark.

    >>> list_tasks(type="regression")
    ('glue_stsb', 'stsb')
    """
    if isinstance(benchmark, str):
        name = benchmark.replace("-", "_")
        if name not in BENCHMARKS:
            raise LookupError(
                f"No benchmark is named {benchmark!r}.{near_names(name, BENCHMARKS)} "
                f"Known: {', '.join(BENCHMARKS)}."
            )
        benchmark = BENCHMARKS[name]
    tasks = [get_task(name) for name in (sorted(TASKS) if benchmark is None else benchmark)]
    spoken = {
        task.name: benchmark.languages[task.name] if benchmark else _languages_of(task.source)
        for task in tasks
    }
    available = {
        "type": {task.task_type for task in tasks},
        "language": {code for codes in spoken.values() for code in codes},
    }
    for field, wanted in (("type", type), ("language", language)):
        if wanted is not None and wanted not in available[field]:
            raise LookupError(
                f"No task has the {field} {wanted!r}.{near_names(wanted, available[field])} "
                f"There are: {', '.join(sorted(available[field]))}."
            )
    return tuple(
        task.name
        for task in tasks
        if type in (None, task.task_type) and (language is None or language in spoken[task.name])
    )


def _languages_of(source: Source) -> Iterable[str]:
    """The languages that a source declares, or the rows in memory have."""
    if isinstance(source, Rows):
        available = [source.available(split) for split in SPLITS]
        return dict.fromkeys(itertools.chain.from_iterable(available))
    declared: Iterable[str] | None = getattr(source, "languages", None)
    return declared or (source.only_language or "en",)
