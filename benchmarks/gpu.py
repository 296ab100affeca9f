"""Training on a GPU in bf16: XLM-R base and large, jiantx beside transformers' Trainer.

    python benchmarks/gpu.py                 # on a GPU; needs no data; at most 8 minutes
    python benchmarks/gpu.py --cpu           # the same with a tiny encoder, to see that it runs
    python benchmarks/gpu.py --make-lengths  # lengths.json again, from --data-root

Random weights of the real shapes, random token ids in sequences as long as MNLI's (max_length 256)
and SQuAD's windows (384): lengths.json says how many sequences have each length, and nothing else.
Batches of 32, and long ones of at least 16,384 tokens. Beside `jiantx.Trainer` (with loader
workers) stand the same with `torch_compile=True`, `transformers.Trainer` with its defaults, and
with group_by_length and as many workers. All have bf16 autocast, fused AdamW, float32 weights, and
take turns in one process.

Real tokens a second, from the end of the first few steps (loaders have filled, memory is there) to
the end of the last; the share is 6 x parameters that a token meets x tokens a second, over the
measured bf16 matmul rate. First it is checked that `varlen_attn` computes what padded attention
does, and how often a step waits for the device.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")  # several in one process would mean DataParallel
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # loader workers are forked

import datasets
import gpu_data
import gpu_runs
import measuring
import numpy as np
import torch
import training_data
import training_runs
import transformers
from gpu_checks import check_attention, waits_per_step
from gpu_data import MIXES
from gpu_runs import OursPair, Turn, free_memory
from measuring import format_ratio, ratio, table, table_lines, take_turns, write_results

OURS = "jiantx"
COMPILED = "jiantx, torch_compile"
DEFAULT = "HF Trainer"
GROUPED = "HF Trainer, group_by_length"
SPEED_BAR = 2.5
SHARE_BAR = 0.5
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
Runs = dict[str, Callable[..., Turn]]
Record = dict[str, Any]


def main() -> int:
    """Measure, or write lengths.json."""
    options = parse()
    if options.make_lengths:
        counts = {mix: gpu_data.length_counts(options, name) for mix, name in MIXES.items()}
        gpu_data.LENGTHS.write_text(json.dumps(counts) + "\n", encoding="utf-8")
        print(f"Written: {gpu_data.LENGTHS}")
        return 0
    if not options.cpu and not torch.cuda.is_available():
        print(
            "There is no CUDA device here. --cpu runs the same program with a tiny encoder.",
            file=sys.stderr,
        )
        return 1
    return compare(options)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = measuring.argument_parser(__doc__)
    measuring.add_data_arguments(parser)
    parser.add_argument("--models", nargs="+", choices=["base", "large"], default=["large", "base"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--long", type=int, default=16384, help="least tokens of a long batch")
    parser.add_argument("--steps", type=int, default=60, help="of a turn, at most")
    parser.add_argument(
        "--minutes", type=float, default=7.5, help="in all; comparisons that do not fit are skipped"
    )
    parser.add_argument(
        "--workers", type=int, default=4, help="of the loader, but for HF's default"
    )
    parser.add_argument("--vocabulary", type=int, default=250_002)
    parser.add_argument("--cpu", action="store_true", help="tiny, and no measurement")
    parser.add_argument("--make-lengths", action="store_true")
    options = parser.parse_args(arguments)
    options.device = "cpu" if options.cpu else "cuda"
    options.backend = "eager" if options.cpu else "inductor"
    if options.cpu:
        tiny = {"models": ["tiny"], "batch": 2, "long": 768, "steps": 1, "repeat": 1}
        vars(options).update(tiny, workers=0, vocabulary=250)
    return options


def comparisons(options: argparse.Namespace) -> list[tuple[str, str, bool]]:
    """Return (model, mix, whether batches are long) of everything to measure."""
    triples = []
    for name in options.models:
        for long in (False, True):
            for mix in MIXES:
                triples.append((name, mix, long))
    return triples[::3] if options.cpu else triples  # without a GPU each mix once, short and long


def compare(options: argparse.Namespace) -> int:
    """Check, then measure one comparison after the other, each within its share of the time."""
    deadline = time.monotonic() + 60 * options.minutes
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    print(f"{measuring.machine()}\n")
    errors = check_attention(options)
    print(
        f"Attention beside padded attention: {errors['flat']:.1e} off, "
        f"padded {errors['padded']:.1e} off."
    )
    rate = measuring.matmul_rate(torch.bfloat16, device=options.device)
    print(f"bf16 matmul: {rate / 1e12:,.1f} TFLOP/s.\n\n{table(HEADER, [])}")
    records: list[Record] = [
        {"what": "varlen_attn", **errors},
        {"what": "matmul", "rate": rate},
    ]
    path = write_results("gpu", options, records)
    pair = None
    triples = comparisons(options)
    for index, (name, mix, long) in enumerate(triples):
        seconds = (deadline - time.monotonic()) / (len(triples) - index)
        if seconds < 1:
            batch = "long" if long else options.batch
            print(f"| {name} | {mix} | {batch} | left out: the time is over |")
            records.append({"what": "left out", "model": name, "mix": mix, "long": long})
            continue
        if pair is None or pair.name != name:
            pair = None
            free_memory()
            pair = OursPair.create(options, name)
        record = measure(options, pair, mix, long, time.monotonic() + seconds)
        record["share"] = {}
        for trainer, speed in record["median"].items():
            record["share"][trainer] = 6 * record["parameters"] * speed / rate
        records.append(record)
        print(record_lines(record), flush=True)
        # After each comparison, so that a run that is stopped leaves the earlier ones.
        path = write_results("gpu", options, records)
        free_memory()
    trainings = [record for record in records if record["what"] == "training"]
    print(f"\n{verdict(trainings)}\n\nWritten: {path}")
    return 0


# --- One comparison ---------------------------------------------------------------------------


def measure(
    options: argparse.Namespace, pair: OursPair, mix: str, long: bool, deadline: float
) -> Record:
    """Measure all alternatives on one mix, with as many steps a turn as there is time for.

    Raises:
        SystemExit: If alternatives saw different numbers of real tokens.
    """
    from torch._dynamo.utils import counters

    batch = gpu_data.batch_size(options, mix, long)
    features = gpu_data.random_features(
        options, mix, (gpu_runs.SKIP + max(options.steps, 4)) * batch
    )
    rows = training_data.plain_rows(features, range(len(features.table)))
    with torch.device(options.device):
        plain = training_runs.their_model(pair.config, features.task)
    run_ours = partial(gpu_runs.train_ours, options, features, batch)
    run_theirs = partial(
        gpu_runs.train_theirs, options, plain, features, rows, batch, gpu_runs.Meter(plain)
    )
    runs: Runs = {
        OURS: partial(run_ours, pair.models[0], pair.meters[0], False),
        COMPILED: partial(run_ours, pair.models[1], pair.meters[1], True),
        DEFAULT: partial(run_theirs, False),
        GROUPED: partial(run_theirs, True),
    }
    for name in out_of_memory(runs):
        print(f"| {pair.name} | {mix} | {batch} | {name} | out of memory |")
        del runs[name]
    waits = {}
    if not options.cpu:
        waits = {name: waits_per_step(runs[name]) for name in (OURS, DEFAULT) if name in runs}
    steps = affordable_steps(runs, options, deadline)
    turns = take_turns(runs, steps, repeat=options.repeat, warm_up=2)
    check_same_tokens(turns, f"{pair.name}, {mix}")
    record: Record = {
        "what": "training",
        "model": pair.name,
        "mix": mix,
        "long": long,
        "batch": batch,
        "steps": steps - gpu_runs.SKIP,
        "tokens_a_step": turns[OURS][0].real / steps,
        "parameters": plain.num_parameters(exclude_embeddings=True),
        "waits_a_step": waits,
        "graphs": counters["stats"]["unique_graphs"],  # compiled so far, for this model
        "graph_breaks": sum(counters["graph_break"].values()),
    }
    record |= {key: {} for key in ("tokens_per_second", "median", "ratio", "padding", "memory")}
    for name, done in turns.items():
        speeds = [turn.timed / turn.seconds for turn in done]
        record["tokens_per_second"][name] = speeds
        record["median"][name] = statistics.median(speeds)
        record["padding"][name] = 1 - done[0].real / done[0].positions
        record["memory"][name] = max(turn.memory for turn in done)
        if name != OURS:
            record["ratio"][name] = ratio(record["tokens_per_second"][OURS], speeds)
    return record


def out_of_memory(runs: Runs) -> list[str]:
    """Run all once, so that kernels are chosen and layers compiled; return those that fail."""
    failed = []
    for name, run in runs.items():
        try:
            run(gpu_runs.SKIP + 1)
        except torch.OutOfMemoryError:
            failed.append(name)
            free_memory()
    return failed


def affordable_steps(runs: Runs, options: argparse.Namespace, deadline: float) -> int:
    """Return the steps of a turn for which the time suffices."""
    steps = gpu_runs.SKIP + 4
    started = time.monotonic()
    for run in runs.values():
        run(steps)
    # Of all alternatives together, with what is around a training.
    seconds_per_step = (time.monotonic() - started) / steps
    seconds = deadline - time.monotonic()
    affordable = seconds / seconds_per_step / (options.repeat + 0.2) - gpu_runs.SKIP
    return gpu_runs.SKIP + int(np.clip(affordable, min(4, options.steps), options.steps))


def check_same_tokens(turns: Mapping[str, Sequence[Turn]], title: str) -> None:
    """Raise SystemExit if alternatives saw different numbers of real tokens."""
    real = {name: {turn.real for turn in done} for name, done in turns.items()}
    if len(set.union(*real.values())) > 1:
        raise SystemExit(f"{title}: they saw different numbers of real tokens, {real}.")


# --- The tables -------------------------------------------------------------------------------


def record_lines(record: Mapping[str, Any]) -> str:
    """Write the table's lines of one comparison."""
    lines = []
    for name, speed in record["median"].items():
        waits = record["waits_a_step"].get(name)
        times = record["ratio"].get(name)
        lines.append(
            (
                record["model"],
                record["mix"],
                record["batch"],
                name,
                f"{speed:,.0f}",
                "" if times is None else format_ratio(times),
                f"{100 * record['share'][name]:.0f} %",
                f"{100 * record['padding'][name]:.0f} %",
                f"{record['memory'][name] / 1e9:.1f}",
                "" if waits is None else f"{sum(waits.values()):.1f}",
            )
        )
    return table_lines(lines)


def verdict(records: Sequence[Mapping[str, Any]]) -> str:
    """Say whether the bars of XLM-R large are kept, what was compiled, and where a step waits."""
    lines = []
    for record in records:
        speeds = record["median"]
        best = max((OURS, COMPILED), key=lambda name: speeds.get(name, 0))
        times = speeds[best] / speeds.get(DEFAULT, float("nan"))
        share = record["share"][best]
        title = f"{record['model']}, {record['mix']}, {record['tokens_a_step']:,.0f} tokens a step"
        speed_text = f"{times:.2f} x {DEFAULT}"
        share_text = f"{100 * share:.0f} % of the matmul rate"
        if record["model"] == "large":
            speed_text += f" (bar {SPEED_BAR}: {kept_or_missed(times >= SPEED_BAR)})"
            if record["long"]:
                is_kept = share >= SHARE_BAR
                share_text += f" (bar {100 * SHARE_BAR:.0f} %: {kept_or_missed(is_kept)})"
        graphs = f"{record['graphs']} graphs, {record['graph_breaks']} breaks"
        lines.append(f"{title}: {best} {speed_text}, {share_text}; {graphs}.")
        for name, waits in record["waits_a_step"].items():
            if waits:
                lines.append(f"  {name} waits at {waits}")
    return "\n".join(lines)


def kept_or_missed(is_kept: bool) -> str:
    """Say whether a bar is kept."""
    return "kept" if is_kept else "MISSED"


if __name__ == "__main__":
    sys.exit(main())
