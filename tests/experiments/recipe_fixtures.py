"""A recipe of one-step trainings on tiny tasks, and scores made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import jiantx as jx
from jiantx.experiments import rows as rows_module
from jiantx.report import MAIN
from jiantx.tasks import get_task

STEPS: dict[str, Any] = {"max_steps": 1, "per_device_train_batch_size": 4, "disable_tqdm": True}


@pytest.fixture
def tiny(tiny_tasks: dict[str, jx.Task], monkeypatch: pytest.MonkeyPatch) -> dict[str, jx.Task]:
    """Tiny tasks by their names, found as if they were registered."""
    tasks = {task.name: task for task in tiny_tasks.values()}
    tasks["moods"] = tasks["mood"].replace(name="moods", train_on=("mood",), head="mood")

    def look_up(name: str) -> jx.Task:
        return tasks[name] if name in tasks else get_task(name)

    monkeypatch.setattr(rows_module, "get_task", look_up)
    monkeypatch.setattr("jiantx.tasks.registry.get_task", look_up)
    return tasks


@pytest.fixture
def recipe(encoder_folder: Any, tmp_path: Path) -> jx.experiments.Recipe:
    return jx.experiments.Recipe(
        encoder=encoder_folder(), output=tmp_path / "out", intermediate=STEPS, target=STEPS
    )


def score(
    row: str, seed: int, value: float, task: str = "xnli", metric: str = MAIN, **changes: Any
) -> jx.Score:
    """A score of a row and a seed: by default of 100 English validation examples."""
    fields = {"split": "validation", "language": "en", "examples": 100, **changes}
    tags: dict[str, str | int] = {"intermediate": row, "seed": seed}
    return jx.Score(task, metric=metric, value=value, tags=tags, **fields)
