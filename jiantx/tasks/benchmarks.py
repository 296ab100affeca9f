"""Named lists of tasks."""

from __future__ import annotations

from jiantx.task import TASKS, get_task

# Hu et al. 2020 (2003.11080): the tasks that are declared so far, in the order of its tables.
XTREME = ("xnli", "pawsx", "udpos", "panx", "xquad", "tatoeba")
BENCHMARKS = {"xtreme": XTREME}


def list_tasks(
    *, type: str | None = None, language: str | None = None, benchmark: str | None = None
) -> tuple[str, ...]:
    """The names of the registered tasks of a task type, that declare a language, or of a benchmark.

    >>> list_tasks(type="token_classification")
    ('panx', 'udpos')
    """
    if benchmark is not None and benchmark not in BENCHMARKS:
        raise LookupError(f"No benchmark is named {benchmark!r}. Known: {', '.join(BENCHMARKS)}.")
    names = sorted(TASKS) if benchmark is None else BENCHMARKS[benchmark]
    tasks = [get_task(name) for name in names]
    return tuple(
        task.name
        for task in tasks
        if (type is None or task.task_type == type)
        and (language is None or language in getattr(task.source, "languages", ("en",)))
    )
