"""What `gpu.py` measures: random features, checks, models and trainers on a GPU."""

from __future__ import annotations

import argparse
import gc
import json
import os
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")  # several in one process would mean DataParallel
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # loader workers are forked

import datasets
import numpy as np
import torch
import training_data as data
import training_peers as peers
import transformers
from tokenizers import Tokenizer, models
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import (
    PreTrainedTokenizerFast,
    PrinterCallback,
    TrainerCallback,
    TrainingArguments,
    XLMRobertaConfig,
)

import jiantx as jx
from jiantx.attention import SequenceLayout, flat_attention
from jiantx.features import Features
from jiantx.heads import pad_sequences

LENGTHS = Path(__file__).parent / "lengths.json"
MIXES = {"MNLI": "mnli", "SQuAD": "squad_v1"}
BASE = {"layers": 12, "hidden": 768}
LARGE = {"layers": 24, "hidden": 1024}
TINY = {"layers": 2, "hidden": 64}
SKIP = 4  # steps of a turn before the clock starts
Run = Callable[[int], "Turn"]


def free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


# --- data -----------------------------------------------------------------------------------------


def lengths_of(name: str) -> list[int]:
    """How many training sequences of a task have 0, 1, 2, … tokens, by the tokenizer of
    ../shared/models/tiny-xlm.
    """
    counts = np.bincount([len(ids) for ids in data.features_of(name).table["input_ids"]])
    count_list: list[int] = counts.tolist()
    return count_list


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """XLM-R's special tokens: all that collators and models ask for."""
    names = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(names, "<unk>")),
        cls_token="<s>",
        pad_token="<pad>",
        sep_token="</s>",
        unk_token="<unk>",
        model_max_length=512,
    )


def drawn(mix: str, count: int, seed: int = 0) -> np.ndarray:
    """Lengths drawn from the checked-in histogram."""
    counts = np.array(json.loads(LENGTHS.read_text(encoding="utf-8"))[mix])
    lengths: np.ndarray = np.random.default_rng(seed).choice(
        len(counts), count, p=counts / counts.sum()
    )
    return lengths


def synthetic(options: argparse.Namespace, mix: str, count: int) -> Features:
    """Features as the task's own, of random pieces."""
    rng = np.random.default_rng(1)
    task = jx.get_task(MIXES[mix])
    lengths = drawn(mix, count)
    columns: dict[str, Any] = {
        "input_ids": [rng.integers(4, options.vocabulary, length) for length in lengths],
        "lengths": [[int(length)] for length in lengths],
    }
    if task.task_type == "question_answering":
        positions = [sorted(rng.integers(1, length, 2).tolist()) for length in lengths]
        columns |= {
            "start_positions": [[a] for a, _ in positions],
            "end_positions": [[b] for _, b in positions],
        }
        columns["labels"] = [[0]] * count
    else:
        columns["labels"] = rng.integers(0, len(task.label_names), (count, 1)).tolist()
    rows = datasets.Dataset.from_dict(columns)
    return Features(
        task=task, split="train", language="en", rows=rows, table=rows, max_length=task.max_length
    )


def batch_size(options: argparse.Namespace, mix: str, long: bool) -> int:
    """Sequences of a batch; of a long one as many as hold the wanted tokens on average."""
    return int(np.ceil(options.long / drawn(mix, 100_000).mean())) if long else options.batch


# --- what is checked ------------------------------------------------------------------------------


def agreement(options: argparse.Namespace) -> dict[str, float]:
    """How far states and gradients in bf16 are off, flat and padded, as a share of padded
    float32's; raises if far.

    bf16 has 8 bits, and rounds more than once here: what is off by more than 2 ** -6 is not off by
    rounding."""
    lengths = torch.as_tensor(
        drawn("SQuAD", 3 if options.cpu else 16, seed=2), device=options.device
    )
    longest = int(lengths.max())
    total = int(lengths.sum())
    torch.manual_seed(0)
    exact = torch.randn(3, 1, 16, total, 64, device=options.device)
    towards = torch.randn(total, 16, 64, device=options.device)
    seen = pad_sequences(torch.ones(total, device=options.device), lengths, longest, 0).bool()

    def flat(states: Tensor) -> Tensor:
        attended, _ = flat_attention(
            nn.Module(), *states, sequences=SequenceLayout(lengths, longest)
        )
        return attended[0]

    def padded(states: Tensor) -> Tensor:
        rows = [
            pad_sequences(x[0].transpose(0, 1), lengths, longest, 0).transpose(1, 2) for x in states
        ]
        return scaled_dot_product_attention(*rows, attn_mask=seen[:, None, None]).transpose(1, 2)[
            seen
        ]

    def both(attend: Callable[[Tensor], Tensor], dtype: torch.dtype) -> list[Tensor]:
        states = exact.to(torch.bfloat16).to(dtype).requires_grad_()
        attended = attend(states)
        (attended.float() * towards).sum().backward()
        assert states.grad is not None
        return [attended.detach().float(), states.grad.float()]

    expected = both(padded, torch.float32)
    off = {
        name: max(
            float((x - y).norm() / y.norm())
            for x, y in zip(both(way, torch.bfloat16), expected, strict=True)
        )
        for name, way in (("flat", flat), ("padded", padded))
    }
    if not max(off.values()) < 2**-6:  # NaN neither
        raise SystemExit(
            f"Flat attention in bf16 is off by {off['flat']:.1e}, "
            f"padded attention by {off['padded']:.1e}."
        )
    return off


class Waits(TrainerCallback):
    """Counts by place where the host waits for the device, from the second step to the last but
    one.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.set_sync_debug_mode(
                "warn" if 1 <= state.global_step < self.steps - 1 else "default"
            )

    @staticmethod
    def count_by_line(caught: Sequence[warnings.WarningMessage]) -> dict[str, int]:
        code_lines = (
            f"{Path(w.filename).name}:{w.lineno}"
            for w in caught
            if "called a synchronizing" in str(w.message)
        )
        return dict(Counter(code_lines))


def waits(run: Callable[..., Any], steps: int = 6) -> dict[str, float]:
    """Where a trainer's step waits for the device, and how often a step."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(steps, callback=Waits(steps))
    return {
        code_line: count / (steps - 2) for code_line, count in Waits.count_by_line(caught).items()
    }


# --- models and trainers --------------------------------------------------------------------------


def encoder_config(options: argparse.Namespace, layers: int, hidden: int) -> XLMRobertaConfig:
    return XLMRobertaConfig(
        vocab_size=options.vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        intermediate_size=4 * hidden,
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        attention_probs_dropout_prob=0.0,  # ours has none: nobody is to pay for it
    )


class Meter(peers.Meter):
    """Adds up on the device: reading a number there would make the host wait."""

    def count(self, module: nn.Module, args: Any, inputs: Mapping[str, Any]) -> None:
        self.token_slots += inputs["input_ids"].numel()
        self.real = (
            self.real + inputs.get("attention_mask", torch.ones_like(inputs["input_ids"])).sum()
        )


@dataclass
class Pair:
    """Our models, the second to be compiled, with a head for each task; what counts their tokens;
    their encoder's.
    """

    config: XLMRobertaConfig
    models: list[jx.MultitaskModel]
    meters: list[Meter]

    @classmethod
    def create(cls, options: argparse.Namespace, name: str) -> Pair:
        from torch._dynamo.utils import counters

        torch.compiler.reset()
        counters.clear()
        config = encoder_config(options, **{"base": BASE, "large": LARGE, "tiny": TINY}[name])
        heads = {task.head_name: task.head_config() for task in map(jx.get_task, MIXES.values())}
        created = []
        for _ in range(2):
            with torch.device(
                options.device
            ):  # drawn there: 560 million numbers take a CPU a while
                model = jx.MultitaskModel(jx.MultitaskConfig(encoder=config, heads=heads))
            model._set_tokenizer(tokenizer())
            model._choose_path("auto")
            created.append(model)
        return cls(config, created, [Meter(model) for model in created])


@dataclass
class Turn:
    """One run: seconds and real tokens after the first steps, real tokens and places of all, peak
    bytes.
    """

    seconds: float
    timed: int
    real: int
    token_slots: int
    memory: int


class Clock(TrainerCallback):
    """From the end of the first few steps to the end of the last."""

    def __init__(self, meter: Meter, steps: int) -> None:
        self.meter = meter
        self.steps = steps
        self.first = min(SKIP, steps - 1)
        self.started = self.ended = 0.0
        self.before = 0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.first:
            wait()
            self.before = int(self.meter.real)
            self.started = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.steps:
            wait()
            self.ended = time.perf_counter()


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def arguments(
    options: argparse.Namespace, batch: int, steps: int, **more: Any
) -> TrainingArguments:
    return TrainingArguments(
        output_dir=tempfile.gettempdir(),
        per_device_train_batch_size=batch,
        max_steps=steps,
        bf16=True,
        use_cpu=options.cpu,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **more,
    )


def timed(
    trainer: transformers.Trainer, meter: Meter, steps: int, callback: TrainerCallback | None
) -> Turn:
    clock = Clock(meter, steps)
    gc.collect()  # the last trainer and its optimizer
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(callback or clock)
    meter.real = meter.token_slots = 0
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    already_allocated = (
        torch.cuda.memory_allocated() if torch.cuda.is_available() else 0
    )  # other models, and this one's weights
    weight_bytes = sum(p.numel() * p.element_size() for p in trainer.model.parameters())
    trainer.train()
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    real = int(meter.real)
    return Turn(
        clock.ended - clock.started,
        real - clock.before,
        real,
        meter.token_slots,
        peak - already_allocated + weight_bytes,
    )


def ours(
    options: argparse.Namespace,
    features: Features,
    batch: int,
    model: jx.MultitaskModel,
    meter: Meter,
    compiled: bool,
    steps: int,
    callback: TrainerCallback | None = None,
) -> Turn:
    compile_options = (
        {"torch_compile": True, "torch_compile_backend": options.backend} if compiled else {}
    )
    args = arguments(
        options, batch, steps, dataloader_num_workers=options.workers, **compile_options
    )
    trainer = jx.Trainer(model, args, tasks=[features.task])
    trainer._features = {(features.task.name, "en"): data.sample_features(features, steps * batch)}
    return timed(trainer, meter, steps, callback)


def theirs(
    options: argparse.Namespace,
    model: Any,
    features: Features,
    rows: Sequence[data.Row],
    batch: int,
    meter: Meter,
    group: bool,
    steps: int,
    callback: TrainerCallback | None = None,
) -> Turn:
    chosen = np.random.default_rng(0).permutation(len(rows))[
        : steps * batch
    ]  # as `peers.some` chooses
    chosen_rows = [rows[i] for i in chosen]
    options_of_kind: dict[str, Any] = {
        "train_sampling_strategy": "sequential" if group else "random"
    }
    if group:
        options_of_kind["dataloader_num_workers"] = options.workers
    trainer = transformers.Trainer(
        model,
        arguments(options, batch, steps, **options_of_kind),
        train_dataset=data.grouped(chosen_rows, batch) if group else chosen_rows,
        data_collator=data.collator(features.task),
        processing_class=tokenizer(),
    )
    return timed(trainer, meter, steps, callback)
