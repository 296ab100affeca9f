"""The gold: slices of the real data sets if they exist, and the artificial world otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jiantx as jx
from jiantx import synthetic

SHARED = Path(jx.__file__).resolve().parents[2] / "shared"
REAL_SLICES = SHARED / "hub"
MOCK_SUBMISSION = SHARED / "data" / "xtreme_mock_test_data"


def write_artificial_root(folder: Path) -> Path:
    return synthetic.write_root(folder, train_examples=40, eval_examples=200, text_lines=200)


def examples_by_language(task_name: str) -> list[list[Any]]:
    """The examples of each language: of the test split, or of the validation split without one."""
    task = jx.get_task(task_name)
    split = "test" if task.languages("test") else "validation"
    return [list(task.examples(split, language)) for language in task.languages(split)]


def references_by_language(task_name: str) -> list[list[Any]]:
    task = jx.get_task(task_name)
    return [
        [task.reference(example) for example in examples]
        for examples in examples_by_language(task_name)
    ]
