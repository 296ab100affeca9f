"""Dropout on a CPU: jiantx's masks beside torch's, forward and backward.

    python benchmarks/dropout.py

The states are those of a training batch: 1,440 tokens of 384. Times are processor
time, which other work on the machine changes little.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import measuring
import torch
from measuring import format_ratio, ratio, table, take_turns, write_results
from torch import nn

from jiantx.model.dropout import FastDropout

OURS = "jiantx"
THEIRS = "nn.Dropout"
HEADER = ("dtype", "jiantx, ms", "nn.Dropout, ms", "times as fast (range)")


def main() -> int:
    """Measure all dtypes."""
    options = parse()
    torch.set_num_threads(options.threads)
    print(measuring.machine() + "\n")
    records = [compare(options, dtype) for dtype in (torch.float32, torch.bfloat16)]
    lines = []
    for record in records:
        milliseconds = [f"{statistics.median(record[name]):.2f}" for name in (OURS, THEIRS)]
        speed_up = format_ratio(ratio(record[THEIRS], record[OURS]))
        lines.append((record["dtype"], *milliseconds, speed_up))
    print(table(HEADER, lines))
    print(f"\nWritten: {write_results('dropout', options, records)}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = measuring.argument_parser(__doc__, repeat=9)
    parser.add_argument("--tokens", type=int, default=1440)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--steps", type=int, default=20, help="of each turn")
    return parser.parse_args(arguments)


def compare(options: argparse.Namespace, dtype: torch.dtype) -> dict[str, Any]:
    """Measure both in turn: milliseconds of processor time per step."""
    states = torch.randn(options.tokens, options.hidden).to(dtype).requires_grad_()
    gradient = torch.randn(options.tokens, options.hidden).to(dtype)

    def timed(layer: nn.Module) -> Callable[[int], float]:
        def run(steps: int) -> float:
            started = time.process_time()
            for _ in range(steps):
                states.grad = None
                layer(states).backward(gradient)
            return 1000 * (time.process_time() - started) / steps

        return run

    runs = {OURS: timed(FastDropout(0.1)), THEIRS: timed(nn.Dropout(0.1))}
    turns = take_turns(runs, options.steps, repeat=options.repeat)
    return {"dtype": str(dtype).removeprefix("torch."), **turns}


if __name__ == "__main__":
    sys.exit(main())
