"""What a checkpoint belongs to: the tasks, the data and the arguments of its run."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from transformers import TrainingArguments
from transformers.utils import logging

from jiantx.features import Features
from jiantx.fingerprints import UncacheableError, fingerprint_text
from jiantx.sampling import Sampler
from jiantx.task import Task

logger = logging.get_logger("jiantx.trainer")

# Arguments that decide what a step does. The optimiser's own (the learning rate, …) come out of
# the checkpoint: other values would have no effect.
_ARGUMENTS = """learning_rate lr_scheduler_type lr_scheduler_kwargs warmup_steps optim optim_args
    weight_decay adam_beta1 adam_beta2 adam_epsilon optim_target_modules max_grad_norm
    label_smoothing_factor neftune_noise_alpha average_tokens_across_devices""".split()
# Arguments that a run may go on without: more steps, another precision.
_CHANGEABLE_ARGUMENTS = "max_steps num_train_epochs bf16 fp16".split()
# Fields of tasks that change no training step, or only through the features.
_NOT_COMPARED = set(
    """name source metrics main_metrics group named_groups head max_length train_on pool
    top center _is_training""".split()
)


def describe_run(
    args: TrainingArguments,
    model: Any,
    tasks: Mapping[str, Task],
    eval_tasks: Sequence[Task],
    features: Mapping[tuple[str, str], Features],
    sampler: Sampler,
    *,
    settings: Mapping[str, Any],
    eval_languages: Collection[str] | None = None,
) -> dict[str, Any]:
    """Describe a run, so that another one can be told from it.

    Args:
        args: Of the run.
        model: What is trained.
        tasks: Name -> task.
        eval_tasks: Scored during training.
        features: (task, language) -> its training features.
        sampler: Of the run.
        settings: Parameters of the trainer that decide what a step does, by name.
        eval_languages: Scored during training; each task's training languages if None.

    Returns:
        Plain JSON: `fixed` and `changeable` (name -> value), `examples_per_step` (task -> number),
        `ranks`, and `save_only_model`.
    """
    parameters = list(model.parameters())
    fixed: dict[str, Any] = {
        "tasks": sorted(tasks),
        "encoder": model.config.encoder.model_type,
        "parameters": sum(parameter.numel() for parameter in parameters),
        "trained parameters": sum(p.numel() for p in parameters if p.requires_grad),
        "seed of the rows": sampler.seed,
    }
    for name, task in tasks.items():
        for field, value in {**_plain_fields(task), "head": task.head_name}.items():
            fixed[f"{field} of task {name}"] = value
    for name, head in model.config.heads.items():
        if "layer_mix" in head:
            fixed[f"layer_mix of head {name}"] = head["layer_mix"]
    for (name, language), table in features.items():
        fixed[f"training features of task {name} in {language}"] = _digest(table.table)
    for field in ("exponent", "cap", "weights", "schedule", "loss_weight", "mix"):
        fixed[f"Sampling.{field}"] = getattr(sampler.sampling, field)
    fixed |= settings
    for name in _ARGUMENTS:
        fixed[name] = getattr(args, name)
    if args.metric_for_best_model is not None:  # the best score is compared with later ones
        fixed["metric_for_best_model"] = args.metric_for_best_model
        fixed["greater_is_better"] = args.greater_is_better
        languages = [(task.name, eval_languages or task.train_languages) for task in eval_tasks]
        fixed["eval_tasks and their languages"] = languages
    changeable = {name: getattr(args, name) for name in _CHANGEABLE_ARGUMENTS}
    return {
        "fixed": {name: _plain(value) for name, value in fixed.items()},
        "changeable": {name: _plain(value) for name, value in changeable.items()},
        "examples_per_step": {name: sampler.examples_per_step(name) for name in tasks},
        "ranks": sampler.ranks,
        "save_only_model": args.save_only_model,
    }


def check_same_run(
    checkpoint: str | Path, saved: Mapping[str, Any], current: Mapping[str, Any]
) -> None:
    """Refuse to resume another run; log what differs without making it another one.

    What only one of the two says, as versions of jiantx and transformers differ, is not compared.

    Args:
        checkpoint: To resume from.
        saved: `describe_run` of the run that wrote it; may be empty.
        current: `describe_run` of the run that would resume.

    Raises:
        ValueError: The checkpoint belongs to a run with other tasks, data or arguments.
    """
    if not saved:
        logger.warning(f"{checkpoint} does not say which run it belongs to: nothing is compared.")
        return
    refused = _differences(saved["fixed"], current["fixed"])
    changed = _differences(saved["changeable"], current["changeable"])
    factor = current["ranks"] / saved["ranks"]
    for name, count in current["examples_per_step"].items():
        before = saved["examples_per_step"].get(name, count)
        if count != before:
            difference = f"examples per step of task {name}: {count} here, {before} there"
            (changed if count == before * factor else refused).append(difference)
    if refused:
        raise ValueError(
            f"{checkpoint} belongs to another run. {'; '.join(refused)}. Resume with what it was "
            "trained with, or call `train()` for a fresh start. To train on from its weights "
            f"alone, load them: MultitaskModel.from_pretrained({str(checkpoint)!r}, tasks)."
        )
    if changed:
        logger.warning(f"Resuming with other arguments than {checkpoint}: {'; '.join(changed)}.")


def _differences(saved: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}: {value} here, {saved[name]} there"
        for name, value in current.items()
        if name in saved and saved[name] != value
    ]


def _plain_fields(task: Task) -> dict[str, Any]:
    """The fields of a task whose values are plain; the features show what the others do."""
    values = {
        field.name: getattr(task, field.name)
        for field in dataclasses.fields(task)
        if field.name not in _NOT_COMPARED
    }
    return {name: value for name, value in values.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return isinstance(value, str | int | float | bool | None)


def _plain(value: Any) -> Any:
    """A value as plain JSON: equal values give equal JSON, in every process."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if callable(value):
        return _function_hash(value)
    is_number = isinstance(value, float) and math.isfinite(value)
    return value if is_number or isinstance(value, str | int | None) else str(value)


def _function_hash(function: Any) -> str:
    try:
        text = fingerprint_text(function)
    except UncacheableError as error:
        logger.warning_once(f"Resuming does not compare {function!r:.100}: {error}.")
        return "a function that cannot be compared"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _digest(table: datasets.Dataset) -> str:
    """The number of rows of a table and a hash over their contents."""
    digest = hashlib.blake2b(digest_size=8)
    # blocks of one size, whatever the chunks of the table
    for block in table.with_format("arrow").iter(batch_size=50_000):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, block.schema.remove_metadata()) as writer:
            writer.write_table(block.replace_schema_metadata(None).combine_chunks())
        digest.update(sink.getvalue())
    return f"{len(table):,} ({digest.hexdigest()})"
