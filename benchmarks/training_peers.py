"""What `train.py` compares: data, models and training loops of jiantx and its peers."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import torch
import training_data as data
import transformers
from torch import nn
from transformers import (
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PrinterCallback,
    TrainerCallback,
    TrainingArguments,
    XLMRobertaConfig,
    get_linear_schedule_with_warmup,
)

import jiantx as jx
from jiantx.batching import TrainingFeatures
from jiantx.features import Features
from jiantx.sampling import Sampler

OURS = "jiantx"
MIX = "jiantx, mix=4"
DEFAULT = "HF Trainer"
GROUPED = "HF Trainer, group_by_length"
FIXED = "loop, fixed padding"
BARE = "bare loop"
PLAIN = "HF Trainer over the same flat batches"
KINDS = {
    "classification": AutoModelForSequenceClassification,
    "token_classification": AutoModelForTokenClassification,
    "question_answering": AutoModelForQuestionAnswering,
    "multiple_choice": AutoModelForMultipleChoice,
}


@dataclass
class Turn:
    """One run: seconds, CPU seconds of all threads, real tokens, and places for tokens, padding
    included.
    """

    seconds: float
    cpu: float
    real: int
    token_slots: int


Run = Callable[[int], Turn]
Instant = tuple[float, float]


def now() -> Instant:
    return time.perf_counter(), time.process_time()


# --- models ---------------------------------------------------------------------------------------


class Meter:
    """Counts the tokens, and the places for them, that a model is given."""

    def __init__(self, *models: nn.Module) -> None:
        self.real = self.token_slots = 0
        for model in models:
            model.register_forward_pre_hook(self.count, with_kwargs=True)

    def count(self, module: nn.Module, args: Any, inputs: Mapping[str, Any]) -> None:
        self.token_slots += inputs["input_ids"].numel()
        self.real += (
            int(inputs["attention_mask"].sum())
            if "attention_mask" in inputs
            else inputs["input_ids"].numel()
        )

    def turn(self, started: Instant, ended: Instant) -> Turn:
        """What was seen between two instants; the next one starts at 0."""
        turn = Turn(ended[0] - started[0], ended[1] - started[1], self.real, self.token_slots)
        self.real = self.token_slots = 0
        return turn


def encoder_config(options: argparse.Namespace, hidden: int, layers: int) -> XLMRobertaConfig:
    return XLMRobertaConfig(
        vocab_size=len(data.tokenizer()),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=max(1, hidden // 64),
        intermediate_size=4 * hidden,
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        attention_probs_dropout_prob=options.attention_dropout,
    )


def jiantx_model(config: XLMRobertaConfig, tasks: Sequence[jx.Task]) -> jx.MultitaskModel:
    heads = {task.head_name: task.head_config() for task in tasks}
    model = jx.MultitaskModel(jx.MultitaskConfig(encoder=config, heads=heads))
    model._set_tokenizer(data.tokenizer())
    model._choose_path("auto")  # what `from_pretrained` does once the weights are there
    return model


def hf_model(config: XLMRobertaConfig, task: jx.Task) -> Any:
    labels = {"num_labels": len(task.label_names)} if "classification" in task.task_type else {}
    return KINDS[task.task_type].from_config(type(config)(**{**config.to_dict(), **labels}))


# --- what is compared -----------------------------------------------------------------------------


class Clock(TrainerCallback):
    """From the start of the first epoch, before its first batch is read, to the end of the last
    step.
    """

    started: Instant | None = None
    ended: Instant

    def on_epoch_begin(self, *args: Any, **kwargs: Any) -> None:
        self.started = self.started or now()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.ended = now()


def arguments(
    options: argparse.Namespace, batch: int, steps: int, **more: Any
) -> TrainingArguments:
    """Defaults, but for what would be measured otherwise, or not on a CPU."""
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
        **more,
    )


def timed(trainer: transformers.Trainer, meter: Meter) -> Turn:
    clock = Clock()
    trainer.add_callback(clock)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    assert clock.started
    return meter.turn(clock.started, clock.ended)


def run_jiantx(
    options: argparse.Namespace,
    model: jx.MultitaskModel,
    features: Sequence[Features],
    batch: int,
    meter: Meter,
    steps: int,
    sampling: jx.Sampling | None = None,
    use_all_rows: bool = False,
) -> Turn:
    trainer = jx.Trainer(
        model, arguments(options, batch, steps), tasks=[f.task for f in features], sampling=sampling
    )
    # features made beforehand, and as many rows as the steps take: everybody trains on the same
    # ones, once
    trainer._features = {
        (f.task.name, f.language): f if use_all_rows else data.sample_features(f, steps * batch)
        for f in features
    }
    return timed(trainer, meter)


def run_hf_trainer(
    options: argparse.Namespace,
    model: Any,
    features: Features,
    rows: Sequence[data.Row],
    batch: int,
    meter: Meter,
    group: bool,
    steps: int,
) -> Turn:
    rows = rows[: steps * batch]
    trainer = transformers.Trainer(
        model,
        arguments(
            options, batch, steps, train_sampling_strategy="sequential" if group else "random"
        ),
        train_dataset=data.grouped(rows, batch) if group else rows,
        data_collator=data.collator(features.task),
        processing_class=data.tokenizer(),
    )
    return timed(trainer, meter)


def bare_loop(
    options: argparse.Namespace,
    models: Sequence[nn.Module],
    batches: Callable[[int], Iterator[tuple[nn.Module, Any]]],
    meter: Meter,
    steps: int,
) -> Turn:
    """A bare loop, with the Trainer's optimizer, schedule and clipping."""
    parameters = list({id(p): p for model in models for p in model.parameters()}.values())
    optimizer = torch.optim.AdamW(parameters, lr=5e-5, weight_decay=0.0, fused=True)
    schedule = get_linear_schedule_with_warmup(optimizer, 0, steps)
    for model in models:
        model.train()
    started = now()
    for model, batch in batches(steps):
        with torch.autocast("cpu", torch.bfloat16) if options.bf16 else nullcontext():
            output = model(**batch)
        # transformers' models give the mean, ours the sum
        loss = (
            output.loss
            if getattr(output, "num_items", None) is None
            else output.loss / output.num_items
        )
        loss.backward()
        used = [p for p in parameters if p.grad is not None]
        nn.utils.clip_grad_norm_(used, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return meter.turn(started, now())


def single(
    options: argparse.Namespace, batch: int, steps: int, *, name: str
) -> tuple[dict[str, Run], int]:
    """One task: its trainers, and the parameters that a token meets."""
    all_features = data.features_of(name)
    features = data.sample_features(all_features, steps * batch)
    if len(features.table) < steps * batch:
        raise SystemExit(
            f"{name} has {len(features.table)} features, too few for {steps} steps of {batch}."
        )
    rows = data.plain_rows(features, range(len(features.table)))
    config = encoder_config(options, options.hidden, options.layers)
    model = jiantx_model(config, [features.task])
    plain = hf_model(config, features.task)
    pad = data.collator(features.task, fixed=True)

    def padded(steps: int) -> Iterator[tuple[nn.Module, Any]]:
        for step in range(steps):
            yield plain, pad(rows[step * batch : (step + 1) * batch])

    meter = Meter(plain)
    hf_run = partial(run_hf_trainer, options, plain, features, rows, batch, meter)
    return {
        OURS: partial(run_jiantx, options, model, [all_features], batch, Meter(model)),
        DEFAULT: partial(hf_run, False),
        GROUPED: partial(hf_run, True),
        FIXED: partial(bare_loop, options, [plain], padded, meter),
    }, model.num_parameters(exclude_embeddings=True)


def mixture(options: argparse.Namespace, batch: int, steps: int) -> tuple[dict[str, Run], int]:
    """The paper's nine intermediate tasks, p ~ min(rows, 2**17): transformers' Trainer has no such
    thing.
    """
    every = {f.task.name: f for f in map(data.features_of, data.MIXED)}
    config = encoder_config(options, options.hidden, options.layers)
    model = jiantx_model(config, [f.task for f in every.values()])
    plain = {name: hf_model(config, f.task) for name, f in every.items()}
    first = next(iter(plain.values())).base_model
    for other in plain.values():
        other.base_model.embeddings = first.embeddings
        other.base_model.encoder = first.encoder
    pads = {name: data.collator(f.task, fixed=True) for name, f in every.items()}
    sampling = jx.Sampling(cap=2**17)
    sizes = {name: {f.language: len(f.table)} for name, f in every.items()}
    sampler = Sampler(sampling, sizes, batch_size=batch, seed=0)  # the Trainer's own draws

    def padded(steps: int) -> Iterator[tuple[nn.Module, Any]]:
        for step in range(steps):
            (draw,) = sampler.draws(step)
            yield (
                plain[draw.task],
                pads[draw.task](data.plain_rows(every[draw.task], draw.rows.tolist())),
            )

    our = partial(
        run_jiantx, options, model, list(every.values()), batch, Meter(model), use_all_rows=True
    )
    return {
        OURS: partial(our, sampling=sampling),
        MIX: partial(our, sampling=replace(sampling, mix=4)),
        FIXED: partial(bare_loop, options, list(plain.values()), padded, Meter(*plain.values())),
    }, model.encoder.num_parameters(exclude_embeddings=True)


class FlatTrainer(transformers.Trainer):
    """transformers' Trainer with our model and nothing of our Trainer: what its own loop costs."""

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, **kwargs: Any
    ) -> Any:
        output = model(**inputs)
        loss = output.loss / output.num_items
        return (loss, output) if return_outputs else loss


def overhead(options: argparse.Namespace, batch: int, steps: int) -> tuple[dict[str, Run], int]:
    """A tiny encoder, so that the step is mostly what is around it; the bare loop has its batches
    ready.
    """
    all_features = data.features_of(data.SINGLE["nli"])
    task = all_features.task
    model = jiantx_model(encoder_config(options, 128, 2), [task])
    meter = Meter(model)

    @cache
    def batches(steps: int) -> list[Any]:
        features = data.sample_features(all_features, steps * batch)
        pair = (task.name, features.language)
        draws = Sampler(
            jx.Sampling(),
            {task.name: {features.language: len(features.table)}},
            batch_size=batch,
            seed=0,
        ).epoch(0)
        read = TrainingFeatures({pair: features}, data.tokenizer(), seed=0)
        return [read.__getitems__(drawn) for drawn in draws]

    def flat(steps: int) -> Turn:
        trainer = FlatTrainer(
            model,
            arguments(
                options, 1, steps, remove_unused_columns=False, train_sampling_strategy="sequential"
            ),
            train_dataset=batches(steps),
            data_collator=lambda batch_list: batch_list[0],
        )
        return timed(trainer, meter)

    return {
        OURS: partial(run_jiantx, options, model, [all_features], batch, meter),
        PLAIN: flat,
        BARE: lambda steps: bare_loop(
            options, [model], lambda n: ((model, ready) for ready in batches(n)), meter, steps
        ),
    }, model.num_parameters(exclude_embeddings=True)


MAKERS: dict[str, Callable[..., tuple[dict[str, Run], int]]] = {
    "mixture": mixture,
    "overhead": overhead,
}
