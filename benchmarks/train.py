"""Training throughput: real tokens a second of `jiantx.Trainer` and of what else one would train
with.

    python benchmarks/train.py                        # all tasks, batches of 8 and 32 python
    benchmarks/train.py --tasks nli --batch 8  # one comparison python benchmarks/train.py --tasks
    overhead       # the step of a tiny encoder beside a bare PyTorch loop

Beside it: `transformers.Trainer` with its defaults; the same with
`train_sampling_strategy="group_by_length"`; and a plain loop whose batches are padded to the task's
maximum length, as jiant's were. All take turns in one process, over the same rows of the same
features, with the same encoder (random weights), optimizer and precision. Features are made
beforehand. The clock runs from the start of the epoch, so reading and collating are in it, to the
end of the last step. Only real tokens count; that all have seen as many is checked.

The encoder does not drop out attention probabilities unless --attention-dropout says so: jiantx
never does, and on a CPU it would cost the others torch's fast attention."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import datasets
import harness
import torch
import training_data as data
import training_peers as peers
import transformers
from harness import body, format_ratio, machine, matmul_rate, ratio, table, take_turns, write

OVERHEAD_BAR = 1.25


def main() -> int:
    options = parse()
    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    print(machine())
    precision = "bf16 autocast" if options.bf16 else "float32"
    print(
        f"Encoder: {options.layers} layers of {options.hidden}, {precision}; "
        f"{options.steps} steps, {options.repeat} times. Real tokens per second, median; "
        "ratios of each turn, smallest and largest in brackets.\n"
    )
    records: list[dict[str, Any]] = []
    print(table(HEADER, []))
    for task in sorted(
        options.tasks, key="overhead".__eq__
    ):  # which has a table of its own, the last
        for batch in options.batch if task != "overhead" else options.batch[:1]:
            records.append(compare(options, task, batch))
            describe = overhead_said if task == "overhead" else speeds_said
            print(describe(records[-1]), flush=True)
            written = write(
                "train", vars(options), records, options.results
            )  # what there is, if it is stopped
    print(f"\nWritten: {written}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = harness.parser(__doc__)
    harness.add_encoder_flags(parser, layers=4, hidden=384)
    parser.add_argument("--tasks", nargs="+", default=[*data.SINGLE, "mixture", "overhead"])
    parser.add_argument("--batch", nargs="+", type=int, default=[8, 32])
    parser.add_argument("--steps", type=int, default=8, help="of each turn")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--attention-dropout", type=float, default=0.0)
    options = parser.parse_args(arguments)
    if unknown := set(options.tasks) - {*data.SINGLE, "mixture", "overhead"}:
        parser.error(f"no such tasks: {sorted(unknown)}")
    return options


# --- the comparison -------------------------------------------------------------------------------

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


def compare(options: argparse.Namespace, task: str, batch: int) -> dict[str, Any]:
    """Run one task's alternatives in turn; raises if they saw different tokens."""
    torch.manual_seed(0)
    steps = 4 * options.steps if task == "overhead" else options.steps  # they are short
    runs, parameters = peers.MAKERS.get(task, partial(peers.single, name=data.SINGLE.get(task)))(
        options, batch, steps
    )
    dtype = torch.bfloat16 if options.bf16 else torch.float32
    rate = matmul_rate(dtype)
    turns = take_turns(runs, steps, repeat=options.repeat, warm_up=max(2, steps // 8))
    rate = max(rate, matmul_rate(dtype))
    real = {name: sum(turn.real for turn in finished) for name, finished in turns.items()}
    compared = {
        count for name, count in real.items() if name != peers.MIX
    }  # which draws other rows
    if len(compared) > 1:
        raise SystemExit(f"{task}: they saw different numbers of real tokens, {real}.")
    seconds = by_name(turns, lambda turn: turn.seconds)
    cpu_seconds = by_name(turns, lambda turn: turn.cpu)
    tokens_per_second = by_name(turns, lambda turn: turn.real / turn.seconds)
    tokens_per_cpu_second = by_name(turns, lambda turn: turn.real / turn.cpu)
    flops = 6 * parameters  # of a token: forward and backward (Kaplan et al. 2020, 2001.08361)
    share = {}
    padding = {}
    for name, finished in turns.items():
        share[name] = flops * statistics.median(tokens_per_second[name]) / rate
        padding[name] = 1 - real[name] / sum(turn.token_slots for turn in finished)
    return {
        "task": task,
        "batch": batch,
        "steps": steps,
        "matmul_rate": rate,
        "tokens_per_second": tokens_per_second,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "share": share,
        "padding": padding,
        "ratio": ratios_to_peers(tokens_per_second),
        "cpu_ratio": ratios_to_peers(tokens_per_cpu_second),
    }


def by_name(
    turns: Mapping[str, list[peers.Turn]], figure: Callable[[peers.Turn], float]
) -> dict[str, list[float]]:
    """A figure of each turn, by the name of the alternative."""
    return {name: list(map(figure, finished)) for name, finished in turns.items()}


def ratios_to_peers(rates: Mapping[str, list[float]]) -> dict[str, tuple[float, float, float]]:
    """jiantx's rates divided by each peer's."""
    our_rates = rates[peers.OURS]
    return {name: ratio(our_rates, rates[name]) for name in rates if name != peers.OURS}


def speeds_said(record: Mapping[str, Any]) -> str:
    """Lines of the table."""
    table_rows = []
    for name, rates in record["tokens_per_second"].items():
        ratios = [
            format_ratio(record[key][name]) if name in record[key] else ""
            for key in ("ratio", "cpu_ratio")
        ]
        share, padding = (f"{100 * record[key][name]:.0f} %" for key in ("share", "padding"))
        table_rows.append(
            (
                record["task"],
                record["batch"],
                name,
                f"{statistics.median(rates):,.0f}",
                *ratios,
                share,
                padding,
            )
        )
    return body(table_rows)


def overhead_said(record: Mapping[str, Any]) -> str:
    seconds = record["seconds"]
    cpu = record["cpu_seconds"]
    rows = [
        (
            name,
            f"{1000 * statistics.median(turns) / record['steps']:.2f}",
            format_ratio(ratio(turns, seconds[peers.BARE])),
            format_ratio(ratio(cpu[name], cpu[peers.BARE])),
        )
        for name, turns in seconds.items()
    ]
    slower = ratio(seconds[peers.OURS], seconds[peers.BARE])[0]
    verdict = f"{slower:.2f} is {'within' if slower <= OVERHEAD_BAR else 'OVER'} the bar"
    head = (
        f"2 layers of 128, NLI, batches of {record['batch']}",
        "ms a step",
        "times the bare loop",
        "of CPU seconds",
    )
    return (
        f"\n{table(head, rows)}\n\njiantx's step beside the bare loop: {verdict} of {OVERHEAD_BAR}."
    )


if __name__ == "__main__":
    sys.exit(main())
