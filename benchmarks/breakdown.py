"""Where the time of a training step and of an evaluation goes, as a table and a picture.

    python benchmarks/breakdown.py --picture docs/performance.png

NLI (MNLI's slice), 4 layers of 384, batches of 32, by torch's profiler: the time that each
operation itself takes, added up by kind. The rest of the wall clock is Python, and torch between
its operations.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import measuring
import numpy as np
import torch
import training_data
import training_runs
import transformers
from measuring import table, write_results
from torch.profiler import ProfilerActivity, profile, record_function

import jiantx as jx
from jiantx.batching import TrainingFeatures, evaluation_batches, sorted_batches
from jiantx.features import Features
from jiantx.model.used_embeddings import use_rows
from jiantx.sampling import Sampler
from jiantx.trainer_embeddings import used_ids

READ = "read and collate"
OTHER = "other operations"
PYTHON = "Python"
# Kind -> how names of its operations begin.
KINDS = {
    "matrix products": ("aten::mm", "aten::addmm"),
    "attention": (
        "aten::bmm",
        "aten::_softmax",
        "aten::_softmax_backward_data",
        "aten::_scaled_dot_product",
    ),
    "dropout": ("aten::bernoulli_", "aten::random_", "aten::clamp_", "aten::sub_"),
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
ALL_KINDS = (*KINDS, OTHER, PYTHON)
Step = Callable[[int], None]  # takes its index


def main() -> int:
    """Profile training in float32 and bf16, and evaluation."""
    options = parse()
    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    print(measuring.machine())
    print(
        f"{options.task}, {options.layers} layers of {options.hidden}, "
        f"batches of {options.batch}.\n"
    )
    programs: dict[str, Callable[[argparse.Namespace], tuple[Step, int]]] = {
        "training step, float32": partial(training, bf16=False),
        "training step, bf16": partial(training, bf16=True),
        "evaluation, a batch": evaluation,
    }
    records = []
    for title, make_step in programs.items():
        step, steps = make_step(options)
        records.append({"what": title, **measure(step, steps)})
    lines = [("ms", *(f"{1000 * record['seconds']:.0f}" for record in records))]
    for kind in ALL_KINDS:
        lines.append((kind, *(f"{100 * record['shares'][kind]:.0f} %" for record in records)))
    print(table(("", *programs), lines))
    print(f"\nWritten: {write_results('breakdown', options, records)}")
    if options.picture:
        draw(records, options.picture)
        print(f"Written: {options.picture}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = measuring.argument_parser(__doc__, repeat=None)
    measuring.add_data_arguments(parser)
    measuring.add_size_arguments(parser)
    parser.add_argument("--task", default="nli", choices=list(training_data.SINGLE))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--picture", type=Path, help="file to draw the table into")
    parser.set_defaults(attention_dropout=0.0)
    measuring.add_encoder_argument(parser)
    return measuring.parse_options(parser, arguments)


# --- What is profiled: a step, and how many there are -------------------------------------------


def profiled_features(options: argparse.Namespace) -> Features:
    """Return features for all steps."""
    features = training_data.training_features(options, training_data.SINGLE[options.task])
    return training_data.sample_features(features, options.steps * options.batch)


def profiled_model(options: argparse.Namespace, task: jx.Task) -> jx.MultitaskModel:
    """Return a model with random weights and the head of a task."""
    config = training_runs.encoder_config(options)
    return training_runs.our_model(config, [task], training_data.tokenizer_of(options))


def training(options: argparse.Namespace, *, bf16: bool) -> tuple[Step, int]:
    """Return a step as the Trainer takes it, with the embeddings that all rows use."""
    features = profiled_features(options)
    task = features.task
    model = profiled_model(options, task).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, fused=True)
    pair = (task.name, features.language)
    all_features = training_data.training_features(options, training_data.SINGLE[options.task])
    embeddings = use_rows(model.get_input_embeddings(), used_ids(model, {pair: all_features}))
    embeddings.follow(optimizer)
    sizes = {task.name: {features.language: len(features.table)}}
    draws = list(Sampler(jx.Sampling(), sizes, batch_size=options.batch, seed=0).epoch(0))
    read = TrainingFeatures({pair: features}, training_data.tokenizer_of(options), seed=0)

    def step(index: int) -> None:
        with record_function(READ):
            batch = read.__getitems__(draws[index % len(draws)])
        with training_runs.autocast(bf16):
            output = model(**batch)
        (output.loss / output.num_items).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step, options.steps


def evaluation(options: argparse.Namespace) -> tuple[Step, int]:
    """Return a step that evaluates a batch."""
    features = profiled_features(options)
    task = features.task
    table = features.table
    tokenizer = training_data.tokenizer_of(options)
    model = profiled_model(options, task).eval()
    lengths = np.array([len(ids) for ids in table["input_ids"][:]])
    batches_of_rows = sorted_batches(lengths, options.batch)

    def step(index: int) -> None:
        rows = batches_of_rows[index * 7 % len(batches_of_rows)]  # long and short ones in turn
        with record_function(READ):
            (batch,) = evaluation_batches(task, table, tokenizer, [rows], lambda row: (row,))
        with torch.inference_mode():
            model(**batch)

    return step, len(batches_of_rows)


# --- Profiles ---------------------------------------------------------------------------------


def measure(step: Step, steps: int) -> dict[str, Any]:
    """Return seconds a step without the profiler, and the share of each kind of operation."""
    run_steps(step, 3)
    seconds = run_steps(step, steps) / steps
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        profiled_seconds = run_steps(step, steps)
    spent: defaultdict[str, float] = defaultdict(float)
    for event in profiler.key_averages():
        spent[kind_of(event.key)] += event.self_cpu_time_total / 1e6
    spent[PYTHON] = max(0.0, profiled_seconds - sum(spent.values()))
    total = sum(spent.values())
    return {"seconds": seconds, "shares": {kind: spent[kind] / total for kind in ALL_KINDS}}


def run_steps(step: Step, steps: int) -> float:
    """Run steps and return their seconds."""
    started = time.perf_counter()
    for index in range(steps):
        step(index)
    return time.perf_counter() - started


def kind_of(operation: str) -> str:
    """Return the kind whose longest name the operation's name begins with."""
    longest = 0
    best_kind = OTHER
    for kind, beginnings in KINDS.items():
        for beginning in beginnings:
            if operation.startswith(beginning) and len(beginning) > longest:
                longest = len(beginning)
                best_kind = kind
    return best_kind


def draw(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw a bar for each record; kinds have their share written where they are wide enough."""
    style = jx.report.picture_style
    small = style.type_points(style.SMALL_PIXELS)
    fills = [*style.SERIES_COLORS[:6], "#7a5195", style.RULE, style.NEUTRAL]
    with style.picture_style():
        from matplotlib.colors import to_rgb

        figure, axes = style.new_axes(1.5 + 0.55 * len(records), width=9)
        labels = []
        for row, record in enumerate(reversed(records)):
            labels.append(f"{record['what']}\n{1000 * record['seconds']:.0f} ms")
            left = 0.0
            for kind, fill in zip(ALL_KINDS, fills, strict=True):
                share = record["shares"][kind]
                label = kind if row == 0 else None
                axes.barh(row, share, left=left, color=fill, label=label, edgecolor=style.PAPER)
                if share > 0.03:
                    text = f"{100 * share:.0f}"
                    ink = style.ink_on(to_rgb(fill))
                    centered: dict[str, Any] = {
                        "ha": "center",
                        "va": "center",
                        "color": ink,
                        "fontsize": small,
                    }
                    axes.text(left + share / 2, row, text, **centered)
                left += share
        axes.set_yticks(range(len(records)), labels)
        axes.set_xlim(0, 1)
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        style.add_title(axes, "Where the time goes, % of a step or batch", width=9)
        figure.legend(loc="outside lower center", ncols=5)
        style.save_figure(figure, path)


if __name__ == "__main__":
    sys.exit(main())
