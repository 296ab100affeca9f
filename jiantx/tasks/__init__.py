"""The task library. Importing it registers the built-in tasks."""

from jiantx.tasks import (
    commonsense,
    language_modeling,
    nli,
    paraphrase,
    qa,
    retrieval,
    similarity,
    tagging,
)
from jiantx.tasks.benchmarks import BENCHMARKS, XSTILTS_INTERMEDIATE, XTREME, XTREME_R
from jiantx.tasks.registry import TASKS, get_task, list_tasks, register, training_tasks

__all__ = [
    "BENCHMARKS",
    "TASKS",
    "XSTILTS_INTERMEDIATE",
    "XTREME",
    "XTREME_R",
    "commonsense",
    "get_task",
    "language_modeling",
    "list_tasks",
    "nli",
    "paraphrase",
    "qa",
    "register",
    "retrieval",
    "similarity",
    "tagging",
    "training_tasks",
]
