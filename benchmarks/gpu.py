"""Training on a GPU in bf16: XLM-R base and large, jiantx beside transformers' Trainer, in one
command of 8 minutes.

    python benchmarks/gpu.py                 # on a GPU; needs no data python benchmarks/gpu.py
    --cpu           # the same program with a tiny encoder, to see that it runs python
    benchmarks/gpu.py --make-lengths  # benchmarks/lengths.json again, from the slices under
    ../shared/hub

Random weights of the real shapes, random token ids in sequences as long as MNLI's (max_length 256)
and SQuAD's windows (384): benchmarks/lengths.json says how many sequences have each length, and
nothing else. Batches of 32, and long ones of at least 16,384 tokens. Beside `jiantx.Trainer` (with
loader workers) stand the same with `torch_compile=True`, `transformers.Trainer` as it is, and with
group_by_length and as many workers. All have bf16 autocast, fused AdamW, float32 weights, and take
turns in one process.

Real tokens a second, from the end of the first few steps (loaders have filled, memory is there) to
the end of the last; the share is 6 x parameters that a token meets x tokens a second, over the
measured bf16 matmul rate. First of all it is checked that `varlen_attn` computes what padded
attention does, and how often a step gpu_runs.waits for the device."""

from __future__ import annotations

import argparse
import itertools
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
import gpu_runs
import harness
import numpy as np
import torch
import training_data as data
import training_peers as peers
import transformers
from harness import body, format_ratio, machine, matmul_rate, ratio, table, take_turns, write

OURS = "jiantx"
COMPILED = "jiantx, torch_compile"
DEFAULT = "HF Trainer"
GROUPED = "HF Trainer, group_by_length"
SPEED_BAR = 2.5
SHARE_BAR = 0.5


def main() -> int:
    options = parse()
    if options.make_lengths:
        gpu_runs.LENGTHS.write_text(
            json.dumps({mix: gpu_runs.lengths_of(name) for mix, name in gpu_runs.MIXES.items()})
            + "\n",
            encoding="utf-8",
        )
        print(f"Written: {gpu_runs.LENGTHS}")
        return 0
    if not options.cpu and not torch.cuda.is_available():
        print(
            "There is no CUDA device here. --cpu runs the same program with a tiny encoder.",
            file=sys.stderr,
        )
        return 1
    return compare(options)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = harness.parser(__doc__)
    parser.add_argument("--models", nargs="+", choices=["base", "large"], default=["large", "base"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--long", type=int, default=16384, help="least tokens of a long batch")
    parser.add_argument("--steps", type=int, default=60, help="of a turn, at most")
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
    options = parser.parse_args(arguments)
    options.device = "cpu" if options.cpu else "cuda"
    options.backend = "eager" if options.cpu else "inductor"
    if options.cpu:
        tiny = {"models": ["tiny"], "batch": 2, "long": 768, "steps": 1, "repeat": 1}
        vars(options).update(tiny, workers=0, vocabulary=250)
    return options


def compare(options: argparse.Namespace) -> int:
    """Check, then measure part by part, each within its share of the time that is left."""
    deadline = time.monotonic() + 60 * options.minutes
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    data.tokenizer = gpu_runs.tokenizer  # for its models and collators: one that needs no file
    print(f"{machine()}\n")
    checked = {"what": "varlen_attn", **gpu_runs.agreement(options)}
    print(
        f"Attention beside padded attention: {checked['flat']:.1e} off, "
        f"padded {checked['padded']:.1e} off."
    )
    rate = matmul_rate(torch.bfloat16, device=options.device)
    print(f"bf16 matmul: {rate / 1e12:,.1f} TFLOP/s.\n\n{table(HEADER, [])}")
    records: list[dict[str, Any]] = [checked, {"what": "matmul", "rate": rate}]
    trained: list[dict[str, Any]] = []
    written = write("gpu", vars(options), records, options.results)
    settings = list(itertools.product(options.models, (False, True), gpu_runs.MIXES))
    if options.cpu:
        settings = settings[::3]  # each mix, short and long, once
    shape = ""
    pair: gpu_runs.Pair | None = None
    for index, (name, long, mix) in enumerate(settings):
        left = (deadline - time.monotonic()) / (len(settings) - index)
        if left < 1:
            size = "long" if long else options.batch
            print(f"| {name} | {mix} | {size} | left out: the time is over |")
            records.append({"what": "left out", "model": name, "mix": mix, "long": long})
            continue
        if name != shape:
            pair = None
            gpu_runs.free()
            shape = name
            pair = gpu_runs.Pair.create(options, name)
        assert pair
        record = measured(options, pair, name, mix, long, time.monotonic() + left)
        record["share"] = {
            who: 6 * record["parameters"] * speed / rate for who, speed in record["median"].items()
        }
        trained.append(record)
        records.append(record)
        print(lines(record), flush=True)
        # after each setting, in case the program is stopped
        written = write("gpu", vars(options), records, options.results)
        gpu_runs.free()
    print(f"\n{verdict(trained)}\n\nWritten: {written}")
    return 0


# --- one part -------------------------------------------------------------------------------------


def measured(
    options: argparse.Namespace,
    pair: gpu_runs.Pair,
    name: str,
    mix: str,
    long: bool,
    deadline: float,
) -> dict[str, Any]:
    """All alternatives on one mix: as many steps a turn as there is time for."""
    from torch._dynamo.utils import counters

    batch = gpu_runs.batch_size(options, mix, long)
    max_steps = gpu_runs.SKIP + max(options.steps, 4)
    features = gpu_runs.synthetic(options, mix, max_steps * batch)
    rows = data.plain_rows(features, range(len(features.table)))
    with torch.device(options.device):
        plain_model = peers.hf_model(pair.config, features.task)
    jiantx_run = partial(gpu_runs.ours, options, features, batch)
    hf_run = partial(
        gpu_runs.theirs, options, plain_model, features, rows, batch, gpu_runs.Meter(plain_model)
    )
    runs: dict[str, Callable[..., gpu_runs.Turn]] = {
        OURS: partial(jiantx_run, pair.models[0], pair.meters[0], False),
        COMPILED: partial(jiantx_run, pair.models[1], pair.meters[1], True),
        DEFAULT: partial(hf_run, False),
        GROUPED: partial(hf_run, True),
    }
    for who in list(runs):  # kernels are chosen, layers compiled
        try:
            runs[who](gpu_runs.SKIP + 1)
        except torch.OutOfMemoryError:
            print(f"| {name} | {mix} | {batch} | {who} | out of memory |")
            del runs[who]
            gpu_runs.free()
    found_waits = {
        who: gpu_runs.waits(run)
        for who, run in runs.items()
        if who in (OURS, DEFAULT) and not options.cpu
    }
    started = time.monotonic()
    for run in runs.values():
        run(gpu_runs.SKIP + 4)
    # of all alternatives, with what is around a training
    seconds_per_step = (time.monotonic() - started) / (gpu_runs.SKIP + 4)
    seconds_left = deadline - time.monotonic()
    steps = gpu_runs.SKIP + int(
        np.clip(
            seconds_left / seconds_per_step / (options.repeat + 0.2) - gpu_runs.SKIP,
            min(4, options.steps),
            options.steps,
        )
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
        "steps": steps - gpu_runs.SKIP,
        "tokens_a_step": turns[OURS][0].real / steps,
        "parameters": plain_model.num_parameters(exclude_embeddings=True),
        "tokens_per_second": speeds,
        "median": {who: statistics.median(values) for who, values in speeds.items()},
        "ratio": {
            who: ratio(speeds[OURS], values) for who, values in speeds.items() if who != OURS
        },
        "padding": {who: 1 - done[0].real / done[0].token_slots for who, done in turns.items()},
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
    table_rows = []
    for who, speed in record["median"].items():
        share, padding = (f"{100 * record[key][who]:.0f} %" for key in ("share", "padding"))
        wait_count = (
            f"{sum(record['waits_a_step'][who].values()):.1f}"
            if who in record["waits_a_step"]
            else ""
        )
        ratio_text = format_ratio(record["ratio"][who]) if who in record["ratio"] else ""
        memory = f"{record['memory'][who] / 1e9:.1f}"
        setting = (record["model"], record["mix"], record["batch"], who)
        table_rows.append(
            (*setting, f"{speed:,.0f}", ratio_text, share, padding, memory, wait_count)
        )
    return body(table_rows)


def verdict(trained: Sequence[Mapping[str, Any]]) -> str:
    """The bars of XLM-R large, graphs compiled, and where a step gpu_runs.waits."""
    sentences = []
    for record in trained:
        best = max((OURS, COMPILED), key=lambda who: record["median"].get(who, 0))
        times = record["median"][best] / record["median"].get(DEFAULT, float("nan"))
        size = f"{record['tokens_a_step']:,.0f} tokens a step"
        setting = f"{record['model']}, {record['mix']}, {size}: {best}"
        speed = f"{times:.2f} x {DEFAULT}"
        share = f"{100 * record['share'][best]:.0f} % of the matmul rate"
        if record["model"] == "large":
            speed += f" (bar {SPEED_BAR}: {'kept' if times >= SPEED_BAR else 'MISSED'})"
            if record["long"]:
                is_kept = record["share"][best] >= SHARE_BAR
                share += f" (bar {100 * SHARE_BAR:.0f} %: {'kept' if is_kept else 'MISSED'})"
        sentences.append(
            f"{setting} {speed}, {share}; {record['graphs']} graphs, "
            f"{record['graph_breaks']} breaks."
        )
        sentences += [
            f"  {who} gpu_runs.waits at {code_lines}"
            for who, code_lines in record["waits_a_step"].items()
            if code_lines
        ]
    return "\n".join(sentences)


if __name__ == "__main__":
    sys.exit(main())
