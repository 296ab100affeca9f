"""Where the time of a training step and of an evaluation goes, as a table and a picture.

    python benchmarks/breakdown.py --picture docs/performance.png

NLI (MNLI's slice), 4 layers of 384, batches of 32, by torch's profiler: the time that each
operation itself takes, added up by kind. What is left of the wall clock is Python, and torch
between its operations."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import datasets
import harness
import numpy as np
import torch
import training_data as data
import training_peers as peers
import transformers
from harness import machine, table, write
from torch.profiler import ProfilerActivity, profile, record_function

import jiantx as jx
from jiantx.batching import TrainingFeatures, evaluation_batches, sorted_batches
from jiantx.sampling import Sampler

READ = "read and collate"
KINDS = {
    "matrix products": ("aten::mm", "aten::addmm"),
    "attention": (
        "aten::bmm",
        "aten::_softmax",
        "aten::_softmax_backward_data",
        "aten::_scaled_dot_product",
    ),
    "dropout": ("aten::bernoulli_",),
    "GELU, norms, sums": (
        "aten::gelu",
        "aten::native_layer_norm",
        "aten::add",
        "aten::mul",
        "aten::sum",
        "aten::div",
    ),
    "copies": ("aten::copy_", "aten::cat", "aten::fill_", "aten::index", "aten::embedding"),
    "optimizer, clipping": (
        "aten::_fused_adamw_",
        "aten::linalg_vector_norm",
        "aten::_foreach",
        "Optimizer",
    ),
    READ: (READ,),
}
OTHER = "other operations"
PYTHON = "Python"


def main() -> int:
    options = parse()
    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    print(machine())
    size = f"{options.layers} layers of {options.hidden}"
    print(f"{options.task}, {size}, batches of {options.batch}.\n")
    records = [
        {"what": "training step, float32", **measured(*training(options, bf16=False))},
        {"what": "training step, bf16", **measured(*training(options, bf16=True))},
        {"what": "evaluation, a batch", **measured(*evaluation(options))},
    ]
    kinds = [*KINDS, OTHER, PYTHON]
    rows = [(kind, *(f"{100 * r['shares'][kind]:.0f} %" for r in records)) for kind in kinds]
    print(
        table(
            ("", *(r["what"] for r in records)),
            [("ms", *(f"{1000 * r['seconds']:.0f}" for r in records)), *rows],
        )
    )
    print(f"\nWritten: {write('breakdown', vars(options), records, options.results)}")
    if options.picture:
        draw(records, kinds, options.picture)
        print(f"Written: {options.picture}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = harness.parser(__doc__)
    harness.add_encoder_flags(parser, layers=4, hidden=384)
    parser.add_argument("--task", default="nli", choices=list(data.SINGLE))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--picture", type=Path)
    parser.set_defaults(attention_dropout=0.0)
    return parser.parse_args(arguments)


def training(options: argparse.Namespace, *, bf16: bool) -> tuple[Callable[[int], None], int]:
    """A step as the Trainer takes it, without the Trainer, and how many there are."""
    features = data.sample_features(
        data.features_of(data.SINGLE[options.task]), options.steps * options.batch
    )
    task = features.task
    language = features.language
    model = peers.jiantx_model(
        peers.encoder_config(options, options.hidden, options.layers), [task]
    ).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, fused=True)
    sizes = {task.name: {language: len(features.table)}}
    draws = list(Sampler(jx.Sampling(), sizes, batch_size=options.batch, seed=0).epoch(0))
    read = TrainingFeatures({(task.name, language): features}, data.tokenizer(), seed=0)

    def step(index: int) -> None:
        with record_function(READ):
            batch = read.__getitems__(draws[index % len(draws)])
        with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
            output = model(**batch)
        (output.loss / output.num_items).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step, options.steps


def evaluation(options: argparse.Namespace) -> tuple[Callable[[int], None], int]:
    """A batch of an evaluation, and how many there are."""
    features = data.sample_features(
        data.features_of(data.SINGLE[options.task]), options.steps * options.batch
    )
    task = features.task
    table = features.table
    model = peers.jiantx_model(
        peers.encoder_config(options, options.hidden, options.layers), [task]
    ).eval()
    lengths = np.array([len(ids) for ids in table["input_ids"][:]])
    batches = sorted_batches(lengths, options.batch)

    def step(index: int) -> None:
        batch_rows = batches[index * 7 % len(batches)]  # long and short ones in turn
        with record_function(READ):
            (batch,) = evaluation_batches(
                task, table, data.tokenizer(), [batch_rows], lambda row: (row,)
            )
        with torch.inference_mode():
            model(**batch)

    return step, len(batches)


def measured(step: Callable[[int], None], steps: int) -> dict[str, Any]:
    """Seconds a step by the wall clock, unprofiled, and the share of each kind of operation."""
    for index in range(3):
        step(index)
    started = time.perf_counter()
    for index in range(steps):
        step(index)
    seconds = (time.perf_counter() - started) / steps
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        started = time.perf_counter()
        for index in range(steps):
            step(index)
        profiled_seconds = time.perf_counter() - started
    spent: Counter[str] = Counter()
    for event in profiler.key_averages():
        spent[kind_of(event.key)] += event.self_cpu_time_total / 1e6
    spent[PYTHON] = max(0.0, profiled_seconds - spent.total())
    return {
        "seconds": seconds,
        "shares": {kind: spent[kind] / spent.total() for kind in (*KINDS, OTHER, PYTHON)},
    }


def kind_of(name: str) -> str:
    """The kind whose longest name the operation's begins with."""
    best_length = 0
    best_kind = OTHER
    for kind, prefixes in KINDS.items():
        for prefix in prefixes:
            if name.startswith(prefix) and len(prefix) > best_length:
                best_length = len(prefix)
                best_kind = kind
    return best_kind


def draw(records: list[Mapping[str, Any]], kinds: list[str], path: Path) -> None:
    """One bar each, its parts named where they are wide enough."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(10, 2.9), layout="constrained")
    colours = [*pyplot.get_cmap("tab20").colors[::2][: len(KINDS)], "0.6", "0.8"]
    for position, record in enumerate(reversed(records)):
        left = 0.0
        for kind, colour in zip(kinds, colours, strict=True):
            share = record["shares"][kind]
            axes.barh(
                position,
                share,
                left=left,
                color=colour,
                label=kind if position == 0 else None,
                edgecolor="white",
            )
            if share > 0.03:
                axes.text(
                    left + share / 2,
                    position,
                    f"{100 * share:.0f}",
                    ha="center",
                    va="center",
                    fontsize=9,
                )
            left += share
    axes.set_yticks(
        range(len(records)),
        [f"{r['what']}\n{1000 * r['seconds']:.0f} ms" for r in reversed(records)],
        fontsize=9,
    )
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    axes.set_title("Where the time goes, %", loc="left", fontsize=11)
    figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    sys.exit(main())
