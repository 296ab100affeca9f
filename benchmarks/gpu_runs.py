"""Models for a GPU, and short trainings of them by jiantx and by transformers."""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gpu_data
import numpy as np
import torch
import training_data
import training_runs
import transformers
from torch import nn
from training_data import Row
from transformers import PrinterCallback, TrainerCallback, TrainingArguments, XLMRobertaConfig

import jiantx as jx
from jiantx.features import Features

SHAPES = {
    "base": {"layers": 12, "hidden": 768},
    "large": {"layers": 24, "hidden": 1024},
    "tiny": {"layers": 2, "hidden": 64},
}
SKIP = 4  # steps of a turn before the clock starts


def free_memory() -> None:
    """Collect garbage, and give the device's memory back."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def wait_for_device() -> None:
    """Wait until the device has done all work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


# --- Models -----------------------------------------------------------------------------------


def encoder_config(options: argparse.Namespace, layers: int, hidden: int) -> XLMRobertaConfig:
    """Return the configuration of an XLM-R, without dropout of attention as in jiantx."""
    return XLMRobertaConfig(
        vocab_size=options.vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        intermediate_size=4 * hidden,
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        attention_probs_dropout_prob=0.0,
    )


class Meter(training_runs.Meter):
    """Adds up on the device: reading a value from it would make the host wait."""

    def count(self, module: nn.Module, args: Any, inputs: Mapping[str, Any]) -> None:
        """Add the tokens of one forward pass."""
        ids = inputs["input_ids"]
        self.positions += ids.numel()
        self.real = self.real + inputs.get("attention_mask", torch.ones_like(ids)).sum()


@dataclass
class OursPair:
    """Two models of jiantx, the second to be compiled, with a head for each mix.

    Args:
        name: Name of their shape.
        config: Configuration of their encoder.
        models: The two models.
        meters: The meter of each model.
    """

    name: str
    config: XLMRobertaConfig
    models: list[jx.MultitaskModel]
    meters: list[Meter]

    @classmethod
    def create(cls, options: argparse.Namespace, name: str) -> OursPair:
        """Draw the weights on the device, and forget what was compiled before."""
        from torch._dynamo.utils import counters

        torch.compiler.reset()
        counters.clear()
        config = encoder_config(options, **SHAPES[name])
        tasks = [jx.get_task(task) for task in gpu_data.MIXES.values()]
        pair = []
        for _ in range(2):
            with torch.device(options.device):  # a CPU takes long to draw 560 million values
                pair.append(training_runs.our_model(config, tasks, gpu_data.bare_tokenizer()))
        return cls(name, config, pair, [Meter(model) for model in pair])


# --- Trainings --------------------------------------------------------------------------------


@dataclass
class Turn:
    """What was measured in one training.

    Args:
        seconds: Seconds after the first steps.
        timed: Real tokens of these seconds.
        real: Real tokens of all steps.
        positions: The same, padding included.
        memory: Most memory of the device, in bytes, without other models.
    """

    seconds: float
    timed: int
    real: int
    positions: int
    memory: int


class Clock(TrainerCallback):
    """Times from the end of the first few steps to the end of the last.

    Args:
        meter: The meter of the model.
        steps: Steps of the training.
    """

    def __init__(self, meter: Meter, steps: int) -> None:
        self.meter = meter
        self.steps = steps
        self.first = min(SKIP, steps - 1)
        self.started = 0.0
        self.ended = 0.0
        self.real_before = 0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.first:
            wait_for_device()
            self.real_before = int(self.meter.real)
            self.started = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.steps:
            wait_for_device()
            self.ended = time.perf_counter()


def training_arguments(
    options: argparse.Namespace, batch: int, steps: int, **changes: Any
) -> TrainingArguments:
    """Return defaults in bf16, without files and progress bars."""
    return TrainingArguments(
        output_dir=tempfile.gettempdir(),
        per_device_train_batch_size=batch,
        max_steps=steps,
        bf16=True,
        use_cpu=options.cpu,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **changes,
    )


def time_training(
    trainer: transformers.Trainer, meter: Meter, steps: int, callback: TrainerCallback | None
) -> Turn:
    """Train with a clock, or with another callback instead, and return what was measured."""
    clock = Clock(meter, steps)
    gc.collect()  # the last trainer and its optimizer
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(callback or clock)
    meter.real = 0
    meter.positions = 0
    on_gpu = torch.cuda.is_available()
    allocated = 0  # by other models, and by this one's weights
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
        allocated = torch.cuda.memory_allocated()
    parameters = list(trainer.model.parameters())
    weights = sum(parameter.numel() * parameter.element_size() for parameter in parameters)
    trainer.train()
    peak = torch.cuda.max_memory_allocated() if on_gpu else 0
    real = int(meter.real)
    return Turn(
        seconds=clock.ended - clock.started,
        timed=real - clock.real_before,
        real=real,
        positions=meter.positions,
        memory=peak - allocated + weights,
    )


def train_ours(
    options: argparse.Namespace,
    features: Features,
    batch: int,
    model: jx.MultitaskModel,
    meter: Meter,
    compiled: bool,
    steps: int,
    callback: TrainerCallback | None = None,
) -> Turn:
    """Train with `jiantx.Trainer`.

    Args:
        options: --workers and the device.
        features: Features of the task.
        batch: Rows of a batch.
        model: One of the pair.
        meter: Its meter.
        compiled: Whether its layers are compiled.
        steps: Steps of the training.
        callback: A callback instead of the clock.
    """
    changes: dict[str, Any] = {"dataloader_num_workers": options.workers}
    if compiled:
        changes |= {"torch_compile": True, "torch_compile_backend": options.backend}
    arguments = training_arguments(options, batch, steps, **changes)
    trainer = jx.Trainer(model, arguments, tasks=[features.task])
    sample = training_data.sample_features(features, steps * batch)
    trainer._features = {(features.task.name, "en"): sample}
    return time_training(trainer, meter, steps, callback)


def train_theirs(
    options: argparse.Namespace,
    model: Any,
    features: Features,
    rows: Sequence[Row],
    batch: int,
    meter: Meter,
    grouped: bool,
    steps: int,
    callback: TrainerCallback | None = None,
) -> Turn:
    """Train with `transformers.Trainer`.

    Args:
        options: --workers and the device.
        model: Their model.
        features: Features of the task.
        rows: The same as `plain_rows`.
        batch: Rows of a batch.
        meter: The meter of the model.
        grouped: Whether batches hold rows of like length, and the loader has workers.
        steps: Steps of the training.
        callback: A callback instead of the clock.
    """
    # The rows that `sample_features` chooses.
    chosen = np.random.default_rng(0).permutation(len(rows))[: steps * batch]
    dataset = [rows[index] for index in chosen]
    changes: dict[str, Any] = {"train_sampling_strategy": "random"}
    if grouped:
        dataset = training_data.group_by_length(dataset, batch)
        changes = {
            "train_sampling_strategy": "sequential",
            "dataloader_num_workers": options.workers,
        }
    tokenizer = gpu_data.bare_tokenizer()
    trainer = transformers.Trainer(
        model,
        training_arguments(options, batch, steps, **changes),
        train_dataset=dataset,
        data_collator=training_data.collator(features.task, tokenizer),
        processing_class=tokenizer,
    )
    return time_training(trainer, meter, steps, callback)
