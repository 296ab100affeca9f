"""Models and short trainings of them: by jiantx, by transformers, and by a bare loop."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
import training_data
import transformers
from torch import nn
from training_data import Row
from transformers import (
    AutoConfig,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PrinterCallback,
    TrainerCallback,
    TrainingArguments,
    XLMRobertaConfig,
    get_linear_schedule_with_warmup,
)

import jiantx as jx
from jiantx import trainer_embeddings
from jiantx.features import Features

THEIR_MODELS = {
    "classification": AutoModelForSequenceClassification,
    "token_classification": AutoModelForTokenClassification,
    "question_answering": AutoModelForQuestionAnswering,
    "multiple_choice": AutoModelForMultipleChoice,
}
Batches = Callable[[int], Iterator[tuple[nn.Module, Any]]]


# --- Models -----------------------------------------------------------------------------------


def encoder_config(
    options: argparse.Namespace, hidden: int | None = None, layers: int | None = None
) -> PreTrainedConfig:
    """Return the configuration of --encoder, or of an XLM-R.

    Args:
        options: --encoder, --tokenizer, --attention-dropout, and --hidden and --layers by default.
        hidden: Width of an XLM-R, also with --encoder.
        layers: Its layers.
    """
    if options.encoder and hidden is None and layers is None:
        config: PreTrainedConfig = AutoConfig.from_pretrained(options.encoder)
        config.attention_probs_dropout_prob = options.attention_dropout
        return config
    hidden = hidden or options.hidden
    return XLMRobertaConfig(
        vocab_size=len(training_data.tokenizer_of(options)),
        hidden_size=hidden,
        num_hidden_layers=layers or options.layers,
        num_attention_heads=max(1, hidden // 64),
        intermediate_size=4 * hidden,
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        attention_probs_dropout_prob=options.attention_dropout,
    )


def our_model(
    config: PreTrainedConfig, tasks: Sequence[jx.Task], tokenizer: Any
) -> jx.MultitaskModel:
    """Return jiantx's model with a head for each task.

    Args:
        config: Configuration of the encoder. Weights are those of the folder that it came from, or
            random if it came from none.
        tasks: The tasks.
        tokenizer: The tokenizer.
    """
    if config.name_or_path:
        return jx.MultitaskModel.from_pretrained(config.name_or_path, tasks)
    heads = {task.head_name: task.head_config() for task in tasks}
    model = jx.MultitaskModel(jx.MultitaskConfig(encoder=config, heads=heads))
    model._set_tokenizer(tokenizer)
    model.set_padding_free("auto")  # `from_pretrained` does this once the weights are loaded
    return model


def their_model(config: PreTrainedConfig, task: jx.Task) -> Any:
    """Return transformers' own model for a task, with weights as in `our_model`."""
    changes = {}
    if "classification" in task.task_type:
        changes["num_labels"] = len(task.label_names)
    # not a copy, which would take jiantx's attention with it
    their_config = type(config)(**{**config.to_dict(), **changes})
    auto_class = THEIR_MODELS[task.task_type]
    if config.name_or_path:
        name = config.name_or_path
        return auto_class.from_pretrained(name, config=their_config, dtype=torch.float32)
    return auto_class.from_config(their_config)


# --- Clocks -----------------------------------------------------------------------------------


@dataclass
class Turn:
    """What was measured in one training.

    Args:
        seconds: Seconds by the wall clock.
        cpu: CPU seconds of all threads.
        real: Real tokens that the model was given.
        positions: The same, padding included.
    """

    seconds: float
    cpu: float
    real: int
    positions: int


@dataclass(frozen=True)
class Instant:
    """Readings of the wall clock and of the processor's clock."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Instant:
        """Read both clocks."""
        return cls(time.perf_counter(), time.process_time())


class Meter:
    """Counts the tokens, and the positions for them, that models are given."""

    def __init__(self, *models: nn.Module) -> None:
        self.real: Any = 0
        self.positions = 0
        for model in models:
            model.register_forward_pre_hook(self.count, with_kwargs=True)

    def count(self, module: nn.Module, args: Any, inputs: Mapping[str, Any]) -> None:
        """Add the tokens of one forward pass."""
        self.positions += inputs["input_ids"].numel()
        if "attention_mask" in inputs:
            self.real += int(inputs["attention_mask"].sum())
        else:
            self.real += inputs["input_ids"].numel()

    def turn(self, started: Instant, ended: Instant) -> Turn:
        """Return what was counted between two instants, and begin again at 0."""
        seconds = ended.wall - started.wall
        turn = Turn(seconds, ended.cpu - started.cpu, self.real, self.positions)
        self.real = 0
        self.positions = 0
        return turn


class Clock(TrainerCallback):
    """Times from the start of the first epoch, before its first batch, to the last step's end."""

    started: Instant | None = None
    ended: Instant

    def on_epoch_begin(self, *args: Any, **kwargs: Any) -> None:
        self.started = self.started or Instant.now()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.ended = Instant.now()


# --- Trainings --------------------------------------------------------------------------------


def training_arguments(
    options: argparse.Namespace, batch: int, steps: int, **changes: Any
) -> TrainingArguments:
    """Return defaults, but for what would be measured otherwise, or is impossible on a CPU."""
    return TrainingArguments(
        output_dir=tempfile.gettempdir(),
        per_device_train_batch_size=batch,
        max_steps=steps,
        bf16=options.bf16,
        seed=0,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **changes,
    )


def autocast(is_bf16: bool) -> AbstractContextManager[Any]:
    """Return bf16 autocast on the CPU, or nothing."""
    return torch.autocast("cpu", torch.bfloat16) if is_bf16 else nullcontext()


def time_training(trainer: transformers.Trainer, meter: Meter) -> Turn:
    """Train, and return what was measured."""
    clock = Clock()
    trainer.add_callback(clock)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    assert clock.started
    return meter.turn(clock.started, clock.ended)


def train_ours(
    options: argparse.Namespace,
    model: jx.MultitaskModel,
    features: Sequence[Features],
    batch: int,
    meter: Meter,
    steps: int,
    sampling: jx.Sampling | None = None,
    use_all: bool = False,
) -> Turn:
    """Train with `jiantx.Trainer`.

    Args:
        options: --bf16.
        model: Our model.
        features: Features of each task, made beforehand.
        batch: Rows of a batch.
        meter: The meter of the model.
        steps: Steps of the training.
        sampling: How tasks are mixed.
        use_all: Draw from all features, instead of as many as the steps take. Everybody trains
            on those few once.
    """
    arguments = training_arguments(options, batch, steps)
    tasks = [task_features.task for task_features in features]
    trainer = jx.Trainer(model, arguments, tasks=tasks, sampling=sampling)
    trainer._features = {}
    # a real training reads all rows in the end, so it holds the embeddings that all of them use
    all_ids = trainer_embeddings.used_ids(model, dict(enumerate(features)))
    for task_features in features:
        key = (task_features.task.name, task_features.language)
        if not use_all:
            task_features = training_data.sample_features(task_features, steps * batch)
        trainer._features[key] = task_features
    with mock.patch.object(trainer_embeddings, "used_ids", return_value=all_ids):
        return time_training(trainer, meter)


def train_theirs(
    options: argparse.Namespace,
    model: Any,
    features: Features,
    rows: Sequence[Row],
    batch: int,
    meter: Meter,
    grouped: bool,
    steps: int,
) -> Turn:
    """Train with `transformers.Trainer`.

    Args:
        options: --bf16 and --tokenizer.
        model: Their model.
        features: Features of the task.
        rows: The same as `plain_rows`.
        batch: Rows of a batch.
        meter: The meter of the model.
        grouped: Whether batches hold rows of like length.
        steps: Steps of the training.
    """
    tokenizer = training_data.tokenizer_of(options)
    rows = rows[: steps * batch]
    if grouped:
        rows = training_data.group_by_length(rows, batch)
    strategy = "sequential" if grouped else "random"
    trainer = transformers.Trainer(
        model,
        training_arguments(options, batch, steps, train_sampling_strategy=strategy),
        train_dataset=rows,
        data_collator=training_data.collator(features.task, tokenizer),
        processing_class=tokenizer,
    )
    return time_training(trainer, meter)


def train_in_loop(
    options: argparse.Namespace,
    models: Sequence[nn.Module],
    batches: Batches,
    meter: Meter,
    steps: int,
) -> Turn:
    """Train in a bare loop, with the Trainer's optimizer, schedule and clipping.

    Args:
        options: --bf16.
        models: All models; those that share parameters train them once.
        batches: Function of `steps` that yields a model and its batch.
        meter: The meter of the models.
        steps: Steps of the training.
    """
    parameters = list(nn.ModuleList(models).parameters())  # each once, also if shared
    optimizer = torch.optim.AdamW(parameters, lr=5e-5, weight_decay=0.0, fused=True)
    schedule = get_linear_schedule_with_warmup(optimizer, 0, steps)
    for model in models:
        model.train()
    started = Instant.now()
    for model, batch in batches(steps):
        with autocast(options.bf16):
            output = model(**batch)
        loss = output.loss
        # transformers' models return the mean loss, ours the sum
        if getattr(output, "num_items", None) is not None:
            loss = loss / output.num_items
        loss.backward()
        used = [parameter for parameter in parameters if parameter.grad is not None]
        nn.utils.clip_grad_norm_(used, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return meter.turn(started, Instant.now())


class FlatTrainer(transformers.Trainer):
    """transformers' Trainer with our model and flat batches: what its own loop costs."""

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, **kwargs: Any
    ) -> Any:
        output = model(**inputs)
        loss = output.loss / output.num_items
        return (loss, output) if return_outputs else loss
