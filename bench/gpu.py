"""Training on a GPU in bf16: XLM-R base and large, jiantx beside transformers' Trainer, in one command of 8 minutes.

    python bench/gpu.py                 # on a GPU; needs no data
    python bench/gpu.py --cpu           # the same program with a tiny encoder, to see that it runs
    python bench/gpu.py --make-lengths  # bench/lengths.json again, from the slices under ../shared/hub

Random weights of the real shapes, random token ids in sequences as long as MNLI's (max_length 256) and SQuAD's windows
(384): bench/lengths.json says how many sequences have each length, and nothing else. Batches of 32, and long ones of
at least 16,384 tokens. Beside `jiantx.Trainer` (with loader workers) stand the same with `torch_compile=True`,
`transformers.Trainer` as it is, and with group_by_length and as many workers. All have bf16 autocast, fused AdamW,
float32 weights, and take turns in one process.

Real tokens a second, from the end of the first few steps (loaders have filled, memory is there) to the end of the last;
the share is 6 x parameters that a token meets x tokens a second, over the measured bf16 matmul rate. First of all it is
checked that `varlen_attn` computes what padded attention does, and how often a step waits for the device.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")  # several in one process would mean DataParallel
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # loader workers are forked

import datasets
import numpy as np
import torch
import train
import transformers
from timing import body, machine, matmul_rate, ratio, table, take_turns, write
from timing import said as spread
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
OURS, COMPILED = "jiantx", "jiantx, torch_compile"
DEFAULT, GROUPED = "HF Trainer", "HF Trainer, group_by_length"
SPEED_BAR, SHARE_BAR = 2.5, 0.5
SKIP = 4  # steps of a turn before the clock starts
Run = Callable[[int], "Turn"]


def main() -> int:
    options = parse()
    if options.make_lengths:
        LENGTHS.write_text(
            json.dumps({mix: lengths_of(name) for mix, name in MIXES.items()}) + "\n",
            encoding="utf-8",
        )
        print(f"Written: {LENGTHS}")
        return 0
    if not options.cpu and not torch.cuda.is_available():
        print(
            "There is no CUDA device here. --cpu runs the same program with a tiny encoder.",
            file=sys.stderr,
        )
        return 1
    return compare(options)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=["base", "large"], default=["large", "base"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--long", type=int, default=16384, help="least tokens of a long batch")
    parser.add_argument("--steps", type=int, default=60, help="of a turn, at most")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument(
        "--minutes", type=float, default=7.5, help="in all; what does not fit is left out, and said"
    )
    parser.add_argument(
        "--workers", type=int, default=4, help="of the loader, where it is not HF's default"
    )
    parser.add_argument("--vocabulary", type=int, default=250_002)
    parser.add_argument(
        "--cpu", action="store_true", help="without a GPU: tiny, and no measurement"
    )
    parser.add_argument("--make-lengths", action="store_true")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    options.device, options.backend = ("cpu", "eager") if options.cpu else ("cuda", "inductor")
    if options.cpu:
        options.models, options.batch, options.long, options.steps, options.repeat = (
            ["tiny"],
            2,
            768,
            1,
            1,
        )
        options.workers, options.vocabulary = 0, 250
    return options


def compare(options: argparse.Namespace) -> int:
    """Check, then measure part by part, each within its share of the time that is left."""
    deadline = time.monotonic() + 60 * options.minutes
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    train.tokenizer = tokenizer  # for its models and collators: one that needs no file
    print(f"{machine()}\n")
    checked = {"what": "varlen_attn", **agreement(options)}
    print(
        f"Attention beside padded attention: {checked['flat']:.1e} off, padded {checked['padded']:.1e} off."
    )
    rate = matmul_rate(torch.bfloat16, device=options.device)
    print(f"bf16 matmul: {rate / 1e12:,.1f} TFLOP/s.\n\n{table(HEADER, [])}")
    records: list[dict[str, Any]] = [checked, {"what": "matmul", "rate": rate}]
    found: list[dict[str, Any]] = []
    written = write("gpu", vars(options), records, options.results)
    parts = [
        (name, mix, long) for name in options.models for long in (False, True) for mix in MIXES
    ]
    parts = parts[::3] if options.cpu else parts  # each mix, short and long, once
    shape, pair = "", None
    for place, (name, mix, long) in enumerate(parts):
        left = (deadline - time.monotonic()) / (len(parts) - place)
        if left < 1:
            print(
                f"| {name} | {mix} | {'long' if long else options.batch} | left out: the time is over |"
            )
            records.append({"what": "left out", "model": name, "mix": mix, "long": long})
            continue
        if name != shape:
            pair = None
            free()
            shape, pair = name, Pair.made(options, name)
        assert pair
        record = measured(options, pair, name, mix, long, time.monotonic() + left)
        record["share"] = {
            who: 6 * record["parameters"] * speed / rate for who, speed in record["median"].items()
        }
        found.append(record)
        records.append(record)
        print(lines(record), flush=True)
        written = write(
            "gpu", vars(options), records, options.results
        )  # what there is, if it is stopped
        free()
    print(f"\n{verdict(found)}\n\nWritten: {written}")
    return 0


def free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


# --- data ------------------------------------------------------------------------------------------------------------


def lengths_of(name: str) -> list[int]:
    """How many training sequences of a task have 0, 1, 2, … tokens, by the tokenizer of ../shared/models/tiny-xlm."""
    found = np.bincount([len(ids) for ids in train.features_of(name).table["input_ids"]])
    counts: list[int] = found.tolist()
    return counts


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
    found: np.ndarray = np.random.default_rng(seed).choice(
        len(counts), count, p=counts / counts.sum()
    )
    return found


def synthetic(options: argparse.Namespace, mix: str, count: int) -> Features:
    """Features as the task's own, of random pieces."""
    rng, task = np.random.default_rng(1), jx.get_task(MIXES[mix])
    lengths = drawn(mix, count)
    columns: dict[str, Any] = {
        "input_ids": [rng.integers(4, options.vocabulary, length) for length in lengths],
        "lengths": [[int(length)] for length in lengths],
    }
    if task.task_type == "question_answering":
        places = [sorted(rng.integers(1, length, 2).tolist()) for length in lengths]
        columns |= {
            "start_positions": [[a] for a, _ in places],
            "end_positions": [[b] for _, b in places],
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


# --- what is checked -------------------------------------------------------------------------------------------------


def agreement(options: argparse.Namespace) -> dict[str, float]:
    """How far states and gradients in bf16 are off, flat and padded, as a share of padded float32's; raises if far.

    bf16 has 8 bits, and rounds more than once here: what is off by more than 2 ** -6 is not off by rounding.
    """
    lengths = torch.as_tensor(
        drawn("SQuAD", 3 if options.cpu else 16, seed=2), device=options.device
    )
    longest, total = int(lengths.max()), int(lengths.sum())
    torch.manual_seed(0)
    exact = torch.randn(3, 1, 16, total, 64, device=options.device)
    towards = torch.randn(total, 16, 64, device=options.device)
    seen = pad_sequences(torch.ones(total, device=options.device), lengths, longest, 0).bool()

    def flat(states: Tensor) -> Tensor:
        found, _ = flat_attention(nn.Module(), *states, sequences=SequenceLayout(lengths, longest))
        return found[0]

    def padded(states: Tensor) -> Tensor:
        rows = [
            pad_sequences(x[0].transpose(0, 1), lengths, longest, 0).transpose(1, 2) for x in states
        ]
        return scaled_dot_product_attention(*rows, attn_mask=seen[:, None, None]).transpose(1, 2)[
            seen
        ]

    def both(way: Callable[[Tensor], Tensor], dtype: torch.dtype) -> list[Tensor]:
        states = exact.to(torch.bfloat16).to(dtype).requires_grad_()
        found = way(states)
        (found.float() * towards).sum().backward()
        assert states.grad is not None
        return [found.detach().float(), states.grad.float()]

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
            f"Flat attention in bf16 is off by {off['flat']:.1e}, padded attention by {off['padded']:.1e}."
        )
    return off


class Waits(TrainerCallback):
    """Counts by place where the host waits for the device, from the second step to the last but one."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.set_sync_debug_mode(
                "warn" if 1 <= state.global_step < self.steps - 1 else "default"
            )

    @staticmethod
    def found(caught: Sequence[warnings.WarningMessage]) -> dict[str, int]:
        places = (
            f"{Path(w.filename).name}:{w.lineno}"
            for w in caught
            if "called a synchronizing" in str(w.message)
        )
        return dict(Counter(places))


def waits(run: Callable[..., Any], steps: int = 6) -> dict[str, float]:
    """Where a trainer's step waits for the device, and how often a step."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(steps, callback=Waits(steps))
    return {place: count / (steps - 2) for place, count in Waits.found(caught).items()}


# --- models and trainers ---------------------------------------------------------------------------------------------


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


class Meter(train.Meter):
    """Adds up on the device: reading a number there would make the host wait."""

    def count(self, module: nn.Module, args: Any, inputs: Mapping[str, Any]) -> None:
        self.places += inputs["input_ids"].numel()
        self.real = (
            self.real + inputs.get("attention_mask", torch.ones_like(inputs["input_ids"])).sum()
        )


@dataclass
class Pair:
    """Our models, the second to be compiled, with a head for each task; what counts their tokens; their encoder's."""

    config: XLMRobertaConfig
    models: list[jx.MultitaskModel]
    meters: list[Meter]

    @classmethod
    def made(cls, options: argparse.Namespace, name: str) -> Pair:
        from torch._dynamo.utils import counters

        torch.compiler.reset()
        counters.clear()
        config = encoder_config(options, **{"base": BASE, "large": LARGE, "tiny": TINY}[name])
        heads = {task.head_name: task.head_config() for task in map(jx.get_task, MIXES.values())}
        found = []
        for _ in range(2):
            with torch.device(
                options.device
            ):  # drawn there: 560 million numbers take a CPU a while
                model = jx.MultitaskModel(jx.MultitaskConfig(encoder=config, heads=heads))
            model._set_tokenizer(tokenizer())
            model._choose_path("auto")
            found.append(model)
        return cls(config, found, [Meter(model) for model in found])


@dataclass
class Turn:
    """One run: seconds and real tokens after the first steps, real tokens and places of all, peak bytes."""

    seconds: float
    timed: int
    real: int
    places: int
    memory: int


class Clock(TrainerCallback):
    """From the end of the first few steps to the end of the last."""

    def __init__(self, meter: Meter, steps: int) -> None:
        self.meter, self.steps, self.first = meter, steps, min(SKIP, steps - 1)
        self.started = self.ended = 0.0
        self.before = 0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.first:
            wait()
            self.before, self.started = int(self.meter.real), time.perf_counter()

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
    meter.real = meter.places = 0
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    others = (
        torch.cuda.memory_allocated() if torch.cuda.is_available() else 0
    )  # other models, and this one's weights
    own = sum(p.numel() * p.element_size() for p in trainer.model.parameters())
    trainer.train()
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    real = int(meter.real)
    return Turn(
        clock.ended - clock.started, real - clock.before, real, meter.places, peak - others + own
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
    how = {"torch_compile": True, "torch_compile_backend": options.backend} if compiled else {}
    args = arguments(options, batch, steps, dataloader_num_workers=options.workers, **how)
    trainer = jx.Trainer(model, args, tasks=[features.task])
    trainer._features = {(features.task.name, "en"): train.some(features, steps * batch)}
    return timed(trainer, meter, steps, callback)


def theirs(
    options: argparse.Namespace,
    model: Any,
    features: Features,
    rows: Sequence[train.Row],
    batch: int,
    meter: Meter,
    group: bool,
    steps: int,
    callback: TrainerCallback | None = None,
) -> Turn:
    chosen = np.random.default_rng(0).permutation(len(rows))[
        : steps * batch
    ]  # as `train.some` chooses
    found = [rows[i] for i in chosen]
    how: dict[str, Any] = {"train_sampling_strategy": "sequential" if group else "random"}
    if group:
        how["dataloader_num_workers"] = options.workers
    trainer = transformers.Trainer(
        model,
        arguments(options, batch, steps, **how),
        train_dataset=train.grouped(found, batch) if group else found,
        data_collator=train.collator(features.task),
        processing_class=tokenizer(),
    )
    return timed(trainer, meter, steps, callback)


# --- one part --------------------------------------------------------------------------------------------------------


def measured(
    options: argparse.Namespace, pair: Pair, name: str, mix: str, long: bool, deadline: float
) -> dict[str, Any]:
    """All alternatives on one mix: as many steps a turn as there is time for."""
    from torch._dynamo.utils import counters

    batch = batch_size(options, mix, long)
    most = SKIP + max(options.steps, 4)
    features = synthetic(options, mix, most * batch)
    rows = train.plain_rows(features, range(len(features.table)))
    with torch.device(options.device):
        other = train.their_model(pair.config, features.task)
    our = partial(ours, options, features, batch)
    their = partial(theirs, options, other, features, rows, batch, Meter(other))
    runs: dict[str, Callable[..., Turn]] = {
        OURS: partial(our, pair.models[0], pair.meters[0], False),
        COMPILED: partial(our, pair.models[1], pair.meters[1], True),
        DEFAULT: partial(their, False),
        GROUPED: partial(their, True),
    }
    for who in list(runs):  # kernels are chosen, layers compiled
        try:
            runs[who](SKIP + 1)
        except torch.OutOfMemoryError:
            print(f"| {name} | {mix} | {batch} | {who} | out of memory |")
            del runs[who]
            free()
    found_waits = {
        who: waits(run) for who, run in runs.items() if who in (OURS, DEFAULT) and not options.cpu
    }
    began = time.monotonic()
    for run in runs.values():
        run(SKIP + 4)
    a_step = (time.monotonic() - began) / (
        SKIP + 4
    )  # of all of them, what is around a training included
    left = deadline - time.monotonic()
    steps = SKIP + int(
        np.clip(left / a_step / (options.repeat + 0.2) - SKIP, min(4, options.steps), options.steps)
    )
    turns = take_turns(runs, steps, repeat=options.repeat, warm_up=2)
    real = {who: {turn.real for turn in done} for who, done in turns.items()}
    if len(set.union(*real.values())) > 1:
        raise SystemExit(f"{name}, {mix}: they saw different numbers of real tokens, {real}.")
    speeds = {who: [turn.timed / turn.seconds for turn in done] for who, done in turns.items()}
    return {
        "what": "training",
        "model": name,
        "mix": mix,
        "long": long,
        "batch": batch,
        "steps": steps - SKIP,
        "tokens_a_step": turns[OURS][0].real / steps,
        "parameters": other.num_parameters(exclude_embeddings=True),
        "tokens_per_second": speeds,
        "median": {who: statistics.median(values) for who, values in speeds.items()},
        "ratio": {
            who: ratio(speeds[OURS], values) for who, values in speeds.items() if who != OURS
        },
        "padding": {who: 1 - done[0].real / done[0].places for who, done in turns.items()},
        "memory": {who: max(turn.memory for turn in done) for who, done in turns.items()},
        "waits_a_step": found_waits,
        "graphs": counters["stats"]["unique_graphs"],  # compiled so far, for this model
        "graph_breaks": sum(counters["graph_break"].values()),
    }


HEADER = (
    "model",
    "mix",
    "batch",
    "trained by",
    "tokens/s",
    "jiantx / it",
    "share of matmul rate",
    "padding",
    "peak GB",
    "waits a step",
)


def lines(record: Mapping[str, Any]) -> str:
    """Lines of the table, and what was compiled."""
    found = []
    for who, speed in record["median"].items():
        share, padding = (f"{100 * record[key][who]:.0f} %" for key in ("share", "padding"))
        waited = (
            f"{sum(record['waits_a_step'][who].values()):.1f}"
            if who in record["waits_a_step"]
            else ""
        )
        times = spread(record["ratio"][who]) if who in record["ratio"] else ""
        memory = f"{record['memory'][who] / 1e9:.1f}"
        head = (record["model"], record["mix"], record["batch"], who)
        found.append((*head, f"{speed:,.0f}", times, share, padding, memory, waited))
    return body(found)


def verdict(found: Sequence[Mapping[str, Any]]) -> str:
    """The bars of XLM-R large, graphs compiled, and where a step waits."""
    said = []
    for record in found:
        best = max((OURS, COMPILED), key=lambda who: record["median"].get(who, 0))
        times = record["median"][best] / record["median"].get(DEFAULT, float("nan"))
        what = f"{record['model']}, {record['mix']}, {record['tokens_a_step']:,.0f} tokens a step: {best}"
        speed = f"{times:.2f} x {DEFAULT}"
        share = f"{100 * record['share'][best]:.0f} % of the matmul rate"
        if record["model"] == "large":
            speed += f" (bar {SPEED_BAR}: {'kept' if times >= SPEED_BAR else 'MISSED'})"
            if record["long"]:
                kept = record["share"][best] >= SHARE_BAR
                share += f" (bar {100 * SHARE_BAR:.0f} %: {'kept' if kept else 'MISSED'})"
        said.append(
            f"{what} {speed}, {share}; {record['graphs']} graphs, {record['graph_breaks']} breaks."
        )
        said += [
            f"  {who} waits at {places}" for who, places in record["waits_a_step"].items() if places
        ]
    return "\n".join(said)


if __name__ == "__main__":
    sys.exit(main())
