"""The rows of the paper's table: which tasks each trains on, and how they are sampled."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from transformers import AutoConfig

from jiantx.sampling import Sampling
from jiantx.task import Task
from jiantx.tasks import get_task
from jiantx.tasks.benchmarks import XSTILTS_INTERMEDIATE

BASELINE = "none"
_PAPER_CAP = 2**17
_TASK = re.compile(r"([a-z0-9_]+)(?:\[([\w\-, ]+)\])?")
_PLUS = re.compile(r"\+(?![^\[]*\])")  # not inside brackets


def default_learning_rate(encoder: str | os.PathLike[str]) -> float:
    """A learning rate for an encoder: 1e-5 for XLM-R large, as in the paper's code.

    Smaller encoders take larger steps, up to 1e-3: the square of the ratio of the hidden sizes.
    That rule and its limit come from the artificial world alone; above 1e-3 encoders broke there.

    Args:
        encoder: Hub id or folder.
    """
    hidden_size = AutoConfig.from_pretrained(encoder).hidden_size
    return float(f"{min(1e-3, 1e-5 * (1024 / hidden_size) ** 2):.2g}")


def parse_row(row_spec: str) -> list[Task]:
    """The tasks of a row of the table.

    Args:
        row_spec: `mnli+squad_v1` trains on both, `all` on the paper's nine, `mnli[en,de]` in these
            languages, `none` on nothing.

    Raises:
        ValueError: This is no row, or it names a task twice.
        LookupError: A name is no task.

    >>> [task.name for task in parse_row("mnli[de]+mlm")]
    ['mnli', 'mlm']
    """
    if row_spec == BASELINE:
        return []
    tasks: dict[str, Task] = {}
    for term in _PLUS.split(row_spec):
        match = _TASK.fullmatch(term)
        if match is None:
            raise ValueError(
                f"{row_spec!r} is no row: write tasks joined by +, languages in brackets: "
                "mnli[en,de]+mlm."
            )
        name, languages = match.groups()
        for task_name in XSTILTS_INTERMEDIATE if name == "all" else [name]:
            task = _in_languages(get_task(task_name), languages)
            if task.name in tasks:
                raise ValueError(f"The row {row_spec!r} names {task.name} twice.")
            tasks[task.name] = task
    return list(tasks.values())


def _in_languages(task: Task, languages: str | None) -> Task:
    """The task with the training languages of a row, if it names some."""
    if languages:
        names = [language.strip() for language in languages.split(",")]
        return task.replace(train_languages=tuple(names))
    # plain text needs no labels: without brackets, it trains in all languages that it has
    if task.gold == "" and task.languages("train"):
        return task.replace(train_languages=task.languages("train"))
    return task


def joint_sampling(tasks: Sequence[Task], max_rows: int | None = None) -> Sampling:
    """How the tasks of a row are sampled.

    Tasks that train jointly are drawn by their rows, counted up to the paper's cap. A single task
    trains on all of its rows.

    Args:
        tasks: Of the row.
        max_rows: Training rows of each task at most.
    """
    max_examples = {task.name: max_rows for task in tasks} if max_rows else None
    return Sampling(cap=_PAPER_CAP if len(tasks) > 1 else None, max_examples=max_examples)
