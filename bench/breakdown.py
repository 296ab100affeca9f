"""Where the time of a training step and of an evaluation goes, as a table and a picture.

    python bench/breakdown.py --picture docs/performance.png

NLI (MNLI's slice), 4 layers of 384, batches of 32, by torch's profiler: the time that each operation itself takes,
added up by kind. What is left of the wall clock is Python, and torch between its operations.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import train
import transformers
from timing import machine, table, write
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
OTHER, PYTHON = "other operations", "Python"


def main() -> int:
    options = parse()
    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    print(
        f"{machine()}\n{options.task}, {options.layers} layers of {options.hidden}, batches of {options.batch}.\n"
    )
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


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="nli", choices=list(train.SINGLE))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.set_defaults(attention_dropout=0.0)
    return parser.parse_args(arguments)


def training(options: argparse.Namespace, *, bf16: bool) -> tuple[Callable[[int], None], int]:
    """A step as the Trainer takes it, without the Trainer, and how many there are."""
    features = train.some(
        train.features_of(train.SINGLE[options.task]), options.steps * options.batch
    )
    task, language = features.task, features.language
    model = train.our_model(
        train.encoder_config(options, options.hidden, options.layers), [task]
    ).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, fused=True)
    sizes = {task.name: {language: len(features.table)}}
    draws = list(Sampler(jx.Sampling(), sizes, batch_size=options.batch, seed=0).epoch(0))
    read = TrainingFeatures({(task.name, language): features}, train.tokenizer(), seed=0)

    def step(number: int) -> None:
        with record_function(READ):
            batch = read.__getitems__(draws[number % len(draws)])
        with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
            found = model(**batch)
        (found.loss / found.num_items).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step, options.steps


def evaluation(options: argparse.Namespace) -> tuple[Callable[[int], None], int]:
    """A batch of an evaluation, and how many there are."""
    features = train.some(
        train.features_of(train.SINGLE[options.task]), options.steps * options.batch
    )
    task, table = features.task, features.table
    model = train.our_model(
        train.encoder_config(options, options.hidden, options.layers), [task]
    ).eval()
    lengths = np.array([len(ids) for ids in table["input_ids"][:]])
    parts = sorted_batches(lengths, options.batch)

    def step(number: int) -> None:
        part = parts[number * 7 % len(parts)]  # long and short ones in turn
        with record_function(READ):
            (batch,) = evaluation_batches(
                task, table, train.tokenizer(), [part], lambda row: (row,)
            )
        with torch.inference_mode():
            model(**batch)

    return step, len(parts)


def measured(step: Callable[[int], None], steps: int) -> dict[str, Any]:
    """Seconds a step by the wall clock, unprofiled, and the share of each kind of operation."""
    for number in range(3):
        step(number)
    started = time.perf_counter()
    for number in range(steps):
        step(number)
    seconds = (time.perf_counter() - started) / steps
    with profile(activities=[ProfilerActivity.CPU]) as found:
        started = time.perf_counter()
        for number in range(steps):
            step(number)
        whole = time.perf_counter() - started
    spent: Counter[str] = Counter()
    for event in found.key_averages():
        spent[kind_of(event.key)] += event.self_cpu_time_total / 1e6
    spent[PYTHON] = max(0.0, whole - spent.total())
    return {
        "seconds": seconds,
        "shares": {kind: spent[kind] / spent.total() for kind in (*KINDS, OTHER, PYTHON)},
    }


def kind_of(name: str) -> str:
    """The kind whose longest name the operation's begins with."""
    found = [
        (len(start), kind)
        for kind, starts in KINDS.items()
        for start in starts
        if name.startswith(start)
    ]
    return max(found, default=(0, OTHER))[1]


def draw(records: list[Mapping[str, Any]], kinds: list[str], path: Path) -> None:
    """One bar each, its parts named where they are wide enough."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(10, 2.9), layout="constrained")
    colours = [*pyplot.get_cmap("tab20").colors[::2][: len(KINDS)], "0.6", "0.8"]
    for place, record in enumerate(reversed(records)):
        left = 0.0
        for kind, colour in zip(kinds, colours, strict=True):
            share = record["shares"][kind]
            axes.barh(
                place,
                share,
                left=left,
                color=colour,
                label=kind if place == 0 else None,
                edgecolor="white",
            )
            if share > 0.03:
                axes.text(
                    left + share / 2,
                    place,
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
