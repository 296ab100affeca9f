"""The task library. Importing it registers the built-in tasks."""

from jiantx.tasks import (
    commonsense,
    language_modeling,
    minimal_pairs,
    nli,
    paraphrase,
    qa,
    retrieval,
    similarity,
    tagging,
)
from jiantx.tasks.benchmarks import BENCHMARKS, XSTILTS_INTERMEDIATE, XTREME, XTREME_R
from jiantx.tasks.registry import (
    TASKS,
    TaskOrName,
    Tasks,
    get_task,
    list_tasks,
    register,
    resolve_task,
    resolve_tasks,
    training_tasks,
)

__all__ = [
    "BENCHMARKS",
    "TASKS",
    "XSTILTS_INTERMEDIATE",
    "XTREME",
    "XTREME_R",
    "TaskOrName",
    "Tasks",
    "commonsense",
    "get_task",
    "language_modeling",
    "list_tasks",
    "minimal_pairs",
    "nli",
    "paraphrase",
    "qa",
    "register",
    "resolve_task",
    "resolve_tasks",
    "retrieval",
    "similarity",
    "tagging",
    "training_tasks",
]
