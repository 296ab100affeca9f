"""Rows of the table of results: what each trains on, how tasks are sampled, at which rate."""

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
_PAPER_CAP = 2**17  # training rows of a task that count, where tasks train jointly
_TASK = re.compile(r"([a-z0-9_]+)(?:\[([\w\-, ]+)\])?")
_PLUS = re.compile(r"\+(?![^\[]*\])")  # not inside brackets


def default_learning_rate(encoder: str | os.PathLike[str]) -> float:
    """Return a learning rate for an encoder: 1e-5 * (1024 / hidden size)^2, at most 1e-3.

    1e-5 is the rate for XLM-R large, whose hidden size is 1024, in the code of Phang et al. (2020).
    The rule for smaller encoders was found on the artificial world (`jiantx.synthetic`) only, where
    rates above 1e-3 diverged. Two digits are kept.

    Args:
        encoder: Hub id or folder of the encoder.
    """
    hidden_size = AutoConfig.from_pretrained(encoder).hidden_size
    return float(f"{min(1e-3, 1e-5 * (1024 / hidden_size) ** 2):.2g}")


def parse_row(row_spec: str) -> list[Task]:
    """Return the intermediate tasks of a row of the table.

    Args:
        row_spec: `mnli` trains on MNLI, `mnli+squad_v1` on both tasks jointly, `all` on the nine
            tasks of the paper, `mnli[en,de]` in these languages, and `none` on nothing. Plain text
            (`mlm`) trains in all of its languages unless brackets name some.

    Raises:
        ValueError: The text is not a row, or it names a task twice.
        LookupError: A name is not a registered task.

    Example:
        >>> [task.name for task in parse_row("mnli[de]+squad_v1")]
        ['mnli', 'squad_v1']
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
    """Return the task with the training languages that a row names in brackets."""
    if languages:
        names = [language.strip() for language in languages.split(",")]
        return task.replace(train_languages=tuple(names))
    # plain text needs no labels, and trains in all of its languages
    if task.gold == "" and task.languages("train"):
        return task.replace(train_languages=task.languages("train"))
    return task


def joint_sampling(tasks: Sequence[Task], max_rows: int | None = None) -> Sampling:
    """Return how the tasks of one training are sampled.

    Tasks that train jointly are drawn in proportion to their rows, of which at most 2^17 count, as
    in the paper. A task that trains alone is read whole.

    Args:
        tasks: The tasks of the training.
        max_rows: Largest number of training rows of each task; None takes all.
    """
    max_examples = {task.name: max_rows for task in tasks} if max_rows else None
    return Sampling(cap=_PAPER_CAP if len(tasks) > 1 else None, max_examples=max_examples)
