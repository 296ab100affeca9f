"""Training throughput: real tokens a second of `jiantx.Trainer` and of its alternatives.

    python benchmarks/train.py                        # all tasks, batches of 8 and 32
    python benchmarks/train.py --tasks nli --batch 8  # one comparison
    python benchmarks/train.py --tasks overhead       # a tiny encoder beside a bare PyTorch loop

Beside it: `transformers.Trainer` with its defaults; the same with
`train_sampling_strategy="group_by_length"`; and a plain loop whose batches are padded to the task's
maximum length, as jiant's were. All take turns in one process, over the same rows of the same
features, with the same encoder (random weights), optimizer and precision. Features are made
beforehand. The clock runs from the start of the epoch, so reading and collating are in it, to the
end of the last step. Only real tokens count; all must have seen as many.

The encoder does not drop out attention probabilities unless --attention-dropout says so: jiantx
never does, and on a CPU it would cost the others torch's fast attention.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import datasets
import measuring
import torch
import training_data
import training_runs
import transformers
from measuring import format_ratio, ratio, table, table_lines, take_turns, write_results
from torch import nn
from training_runs import Meter, Turn

import jiantx as jx
from jiantx.batching import TrainingFeatures
from jiantx.sampling import Sampler

# The paper's nine intermediate tasks.
MIXED = tuple("anli_plus mnli qqp squad_v2 squad_v1 hellaswag cosmosqa commonsenseqa ccg".split())
OURS = "jiantx"
MIX = "jiantx, mix=4"
DEFAULT = "HF Trainer"
GROUPED = "HF Trainer, group_by_length"
FIXED = "loop, fixed padding"
BARE = "bare loop"
PLAIN = "HF Trainer over the same flat batches"
OVERHEAD_BAR = 1.25
HEADER = (
    "task",
    "batch",
    "trained by",
    "tokens/s",
    "jiantx / it",
    "the same a CPU second",
    "share of matmul rate",
    "padding",
)
Run = Callable[[int], Turn]


def main() -> int:
    """Measure all tasks and batch sizes."""
    options = parse()
    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    precision = "bf16 autocast" if options.bf16 else "float32"
    print(measuring.machine())
    print(
        f"Encoder: {options.layers} layers of {options.hidden}, {precision}; "
        f"{options.steps} steps, {options.repeat} times. Real tokens a second, median; "
        "ratios of each turn, least and most in brackets.\n"
    )
    print(table(HEADER, []))
    records: list[dict[str, Any]] = []
    path = None
    for task, batch in comparisons(options):
        records.append(compare(options, task, batch))
        write_record = overhead_report if task == "overhead" else speed_lines
        print(write_record(records[-1]), flush=True)
        # After each comparison, so that a run that is stopped leaves the earlier ones.
        path = write_results("train", options, records)
    print(f"\nWritten: {path}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = measuring.argument_parser(__doc__)
    measuring.add_data_arguments(parser)
    measuring.add_size_arguments(parser)
    names = [*training_data.SINGLE, "mixture", "overhead"]
    parser.add_argument("--tasks", nargs="+", choices=names, default=names)
    parser.add_argument("--batch", nargs="+", type=int, default=[8, 32])
    parser.add_argument("--steps", type=int, default=8, help="of each turn")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--attention-dropout", type=float, default=0.0)
    measuring.add_encoder_argument(parser)
    return measuring.parse_options(parser, arguments)


def comparisons(options: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """Yield task and batch size; the overhead comes last, because it has a table of its own."""
    for task in options.tasks:
        if task != "overhead":
            for batch in options.batch:
                yield task, batch
    if "overhead" in options.tasks:
        yield "overhead", options.batch[0]


# --- One comparison ---------------------------------------------------------------------------


def compare(options: argparse.Namespace, task: str, batch: int) -> dict[str, Any]:
    """Run one task's alternatives in turn.

    Args:
        options: The options.
        task: A name of `training_data.SINGLE`, "mixture" or "overhead".
        batch: Rows of a batch.

    Raises:
        SystemExit: If alternatives saw different numbers of real tokens.
    """
    torch.manual_seed(0)
    steps = 4 * options.steps if task == "overhead" else options.steps  # they are short
    make_runs = RUNS.get(task, single_task)
    runs, parameters = make_runs(options, batch, steps, task)
    dtype = torch.bfloat16 if options.bf16 else torch.float32
    rate = measuring.matmul_rate(dtype)
    turns = take_turns(runs, steps, repeat=options.repeat, warm_up=max(2, steps // 8))
    rate = max(rate, measuring.matmul_rate(dtype))
    real = {name: sum(turn.real for turn in done) for name, done in turns.items()}
    check_same_tokens(task, real)
    record: dict[str, Any] = {"task": task, "batch": batch, "steps": steps, "matmul_rate": rate}
    columns = ("tokens_per_second", "seconds", "cpu_seconds", "share", "padding")
    record |= {column: {} for column in (*columns, "ratio", "cpu_ratio")}
    per_cpu_second: dict[str, list[float]] = {}
    for name, done in turns.items():
        speeds = [turn.real / turn.seconds for turn in done]
        positions = sum(turn.positions for turn in done)
        record["tokens_per_second"][name] = speeds
        record["seconds"][name] = [turn.seconds for turn in done]
        record["cpu_seconds"][name] = [turn.cpu for turn in done]
        record["share"][name] = 6 * parameters * statistics.median(speeds) / rate
        record["padding"][name] = 1 - real[name] / positions
        per_cpu_second[name] = [turn.real / turn.cpu for turn in done]
        if name != OURS:
            record["ratio"][name] = ratio(record["tokens_per_second"][OURS], speeds)
            record["cpu_ratio"][name] = ratio(per_cpu_second[OURS], per_cpu_second[name])
    return record


def check_same_tokens(task: str, real: Mapping[str, int]) -> None:
    """Raise SystemExit if alternatives saw different numbers of real tokens."""
    counts = {count for name, count in real.items() if name != MIX}  # mixed steps draw other rows
    if len(counts) > 1:
        raise SystemExit(f"{task}: they saw different numbers of real tokens, {real}.")


def speed_lines(record: Mapping[str, Any]) -> str:
    """Write the table's lines of one comparison."""
    lines = []
    for name, speeds in record["tokens_per_second"].items():
        ratios = ["", ""]
        if name != OURS:
            ratios = [format_ratio(record[key][name]) for key in ("ratio", "cpu_ratio")]
        shares = [f"{100 * record[key][name]:.0f} %" for key in ("share", "padding")]
        speed = f"{statistics.median(speeds):,.0f}"
        lines.append((record["task"], record["batch"], name, speed, *ratios, *shares))
    return table_lines(lines)


def overhead_report(record: Mapping[str, Any]) -> str:
    """Write the table of the overhead, and compare it with the bar."""
    seconds = record["seconds"]
    cpu_seconds = record["cpu_seconds"]
    lines = []
    for name, turns in seconds.items():
        step = f"{1000 * statistics.median(turns) / record['steps']:.2f}"
        wall_ratio = format_ratio(ratio(turns, seconds[BARE]))
        cpu_ratio = format_ratio(ratio(cpu_seconds[name], cpu_seconds[BARE]))
        lines.append((name, step, wall_ratio, cpu_ratio))
    header = (
        f"2 layers of 128, NLI, batches of {record['batch']}",
        "ms a step",
        "times the bare loop",
        "of CPU seconds",
    )
    slower, *_ = ratio(seconds[OURS], seconds[BARE])
    verdict = "within" if slower <= OVERHEAD_BAR else "OVER"
    return (
        f"\n{table(header, lines)}\n\njiantx's step beside the bare loop: {slower:.2f} is "
        f"{verdict} the bar of {OVERHEAD_BAR}."
    )


# --- Alternatives: functions of the steps, and the parameters that a token meets --------------


def single_task(
    options: argparse.Namespace, batch: int, steps: int, task_name: str
) -> tuple[dict[str, Run], int]:
    """Return the alternatives for one task."""
    name = training_data.SINGLE[task_name]
    tokenizer = training_data.tokenizer_of(options)
    all_features = training_data.training_features(options, name)
    features = training_data.sample_features(all_features, steps * batch)
    if len(features.table) < steps * batch:
        raise SystemExit(
            f"{name} has {len(features.table)} features, too few for {steps} steps of {batch}."
        )
    rows = training_data.plain_rows(features, range(len(features.table)))
    config = training_runs.encoder_config(options)
    model = training_runs.our_model(config, [features.task], tokenizer)
    plain = training_runs.their_model(config, features.task)
    pad = training_data.collator(features.task, tokenizer, fixed=True)

    def padded_batches(steps: int) -> Iterator[tuple[nn.Module, Any]]:
        for start in range(0, steps * batch, batch):
            yield plain, pad(rows[start : start + batch])

    meter = Meter(plain)
    run_theirs = partial(training_runs.train_theirs, options, plain, features, rows, batch, meter)
    runs: dict[str, Run] = {
        OURS: partial(
            training_runs.train_ours, options, model, [all_features], batch, Meter(model)
        ),
        DEFAULT: partial(run_theirs, False),
        GROUPED: partial(run_theirs, True),
        FIXED: partial(training_runs.train_in_loop, options, [plain], padded_batches, meter),
    }
    return runs, model.num_parameters(exclude_embeddings=True)


def mixture(
    options: argparse.Namespace, batch: int, steps: int, task_name: str
) -> tuple[dict[str, Run], int]:
    """Return the alternatives for nine tasks, p ~ min(rows, 2**17).

    transformers' Trainer cannot train on a mixture.
    """
    tokenizer = training_data.tokenizer_of(options)
    features = {}
    for name in MIXED:
        task_features = training_data.training_features(options, name)
        features[task_features.task.name] = task_features
    tasks = {name: task_features.task for name, task_features in features.items()}
    config = training_runs.encoder_config(options)
    model = training_runs.our_model(config, list(tasks.values()), tokenizer)
    plain = {name: training_runs.their_model(config, task) for name, task in tasks.items()}
    share_encoder(list(plain.values()))
    pads = {}
    sizes = {}
    for name, task in tasks.items():
        pads[name] = training_data.collator(task, tokenizer, fixed=True)
        sizes[name] = {features[name].language: len(features[name].table)}
    sampling = jx.Sampling(cap=2**17)
    sampler = Sampler(sampling, sizes, batch_size=batch, seed=0)  # draws as the Trainer

    def padded_batches(steps: int) -> Iterator[tuple[nn.Module, Any]]:
        for step in range(steps):
            (draw,) = sampler.draws(step)
            rows = training_data.plain_rows(features[draw.task], draw.rows.tolist())
            yield plain[draw.task], pads[draw.task](rows)

    all_features = list(features.values())
    plain_models = list(plain.values())
    run_ours = partial(
        training_runs.train_ours, options, model, all_features, batch, Meter(model), use_all=True
    )
    runs: dict[str, Run] = {
        OURS: partial(run_ours, sampling=sampling),
        MIX: partial(run_ours, sampling=replace(sampling, mix=4)),
        FIXED: partial(
            training_runs.train_in_loop,
            options,
            plain_models,
            padded_batches,
            Meter(*plain_models),
        ),
    }
    return runs, model.encoder.num_parameters(exclude_embeddings=True)


def share_encoder(models: Sequence[Any]) -> None:
    """Make all models use the encoder of the first."""
    encoder = models[0].base_model
    for model in models:
        model.base_model.embeddings = encoder.embeddings
        model.base_model.encoder = encoder.encoder


def overhead(
    options: argparse.Namespace, batch: int, steps: int, task_name: str
) -> tuple[dict[str, Run], int]:
    """Return the alternatives with a tiny encoder, so that a step is mostly what is around it.

    The bare loop has its batches ready.
    """
    tokenizer = training_data.tokenizer_of(options)
    all_features = training_data.training_features(options, training_data.SINGLE["nli"])
    task = all_features.task
    config = training_runs.encoder_config(options, hidden=128, layers=2)
    model = training_runs.our_model(config, [task], tokenizer)
    meter = Meter(model)

    @cache
    def batches(steps: int) -> list[Any]:
        features = training_data.sample_features(all_features, steps * batch)
        sizes = {task.name: {features.language: len(features.table)}}
        draws = Sampler(jx.Sampling(), sizes, batch_size=batch, seed=0).epoch(0)
        read = TrainingFeatures({(task.name, features.language): features}, tokenizer, seed=0)
        return [read.__getitems__(draw) for draw in draws]

    def ready_batches(steps: int) -> Iterator[tuple[nn.Module, Any]]:
        for ready in batches(steps):
            yield model, ready

    def train_flat(steps: int) -> Turn:
        arguments = training_runs.training_arguments(
            options, 1, steps, remove_unused_columns=False, train_sampling_strategy="sequential"
        )
        trainer = training_runs.FlatTrainer(
            model,
            arguments,
            train_dataset=batches(steps),
            data_collator=lambda flat_batches: flat_batches[0],
        )
        return training_runs.time_training(trainer, meter)

    runs: dict[str, Run] = {
        OURS: partial(training_runs.train_ours, options, model, [all_features], batch, meter),
        PLAIN: train_flat,
        BARE: partial(training_runs.train_in_loop, options, [model], ready_batches, meter),
    }
    return runs, model.num_parameters(exclude_embeddings=True)


RUNS: dict[str, Callable[..., tuple[dict[str, Run], int]]] = {
    "mixture": mixture,
    "overhead": overhead,
}


if __name__ == "__main__":
    sys.exit(main())
