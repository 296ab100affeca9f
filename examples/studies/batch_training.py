"""One training of the batch-size study: its learning curve, gradient noise, speed and memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from measure import StepClock, noise_scale, step_costs
from transformers import PrinterCallback, TrainingArguments, set_seed

import jiantx as jx

_QUIET = {
    "report_to": "none",
    "save_strategy": "no",
    "logging_strategy": "no",
    "disable_tqdm": True,
}


def training_stage(
    encoder: str,
    task_name: str,
    arguments: Mapping[str, Any],
    base: int,
    eval_rows: int | None = None,
) -> jx.experiments.Stage:
    """Return a stage that trains, scores, and writes `result.json`.

    The result has the learning rate and the curve of (examples, score). The base batch size also
    has the gradient's noise scale before and after training. With the default learning rate, the
    first seed also has the costs of a step.

    Args:
        encoder: Hub id or folder.
        task_name: The task to train and score.
        arguments: Arguments of `TrainingArguments`.
        base: The base batch size.
        eval_rows: Score at most this many validation rows, the same in every training; None: all.

    Returns:
        The stage.
    """
    task = jx.get_task(task_name)
    batch_size = arguments["per_device_train_batch_size"]
    rate = arguments["learning_rate"]
    seed = arguments["seed"]
    default_rate = jx.experiments.default_learning_rate(encoder)

    def run(folder: Path, dependencies: Sequence[Path]) -> None:
        set_seed(seed)
        model = jx.MultitaskModel.from_pretrained(encoder, [task])
        training_arguments = TrainingArguments(str(folder), **arguments, **_QUIET)
        eval_task = _with_rows(task, eval_rows)
        trainer = jx.Trainer(model, training_arguments, tasks=[task], eval_tasks=[eval_task])
        trainer.remove_callback(PrinterCallback)
        clock = StepClock()
        trainer.add_callback(clock)
        noise = []
        if batch_size == base:
            noise.append(noise_scale(trainer, batch_size))
        curve = _learning_curve(trainer, batch_size)
        if batch_size == base:
            noise.append(noise_scale(trainer, batch_size))
        result = {"rate": rate, "noise": noise, "curve": curve}
        if rate == default_rate and seed == 1:
            result |= step_costs(trainer, clock.seconds)
        (folder / "result.json").write_text(json.dumps(result))

    inputs = {
        "encoder": jx.experiments.fingerprint(encoder),
        "data_root": str(jx.data_root()),
        "task": task.name,
        "version": jx.__version__,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "base": base,
        "eval_rows": eval_rows,
        **arguments,
    }
    return jx.experiments.Stage(f"batch {batch_size}, rate {rate:.1e}, seed {seed}", inputs, run)


def _with_rows(task: jx.Task, count: int | None) -> jx.Task:
    """Return a task that has at most so many validation rows, chosen at random."""
    if count is None:
        return task
    language = task.train_languages[0]
    rows = task.rows("validation", language).shuffle(seed=1)
    sample = rows.select(range(min(count, len(rows))))
    return task.with_rows(jx.Rows({"validation": {language: sample}}))


def _learning_curve(trainer: jx.Trainer, batch_size: int) -> list[tuple[int, float]]:
    """Train, and return (examples, score) of each evaluation; [] if the training diverged."""
    try:
        trainer.train()
    except FloatingPointError:
        return []
    curve = []
    for entry in trainer.state.log_history:
        if "eval_score" in entry:
            curve.append((entry["step"] * batch_size, entry["eval_score"]))
    return curve
