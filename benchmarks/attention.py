"""Attention on a CPU: one sequence at a time, in several forms, beside all of them padded.

    python benchmarks/attention.py
    python benchmarks/attention.py --heads 12 --lengths 64 384

Forward and backward of the attention alone, for 2,048 tokens in sequences of about one length
(those of a batch are drawn between half and one and a half of it). `jiantx` is `flat_attention`;
"fused" is torch's `scaled_dot_product_attention` on each sequence, "in float32" the same after a
cast; "products" are two matrix products around a softmax; "padded" is the fused form on all
sequences at once, padded, with a mask. All agree."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import harness
import numpy as np
import torch
from harness import body, format_ratio, machine, ratio, table, take_turns, write
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention as fused

from jiantx.attention import SequenceLayout, flat_attention
from jiantx.heads import pad_sequences, sequence_index

SIZE = 64  # of a head
OURS = "jiantx"


def main() -> int:
    options = parse()
    torch.set_num_threads(options.threads)
    print(machine())
    print(
        f"{options.heads} heads of {SIZE}; ms forward and backward, median; times jiantx's, "
        "with range.\n"
    )
    records = []
    printed = False
    for dtype in (torch.float32, torch.bfloat16):
        for length in options.lengths:
            records.append(compare(options, length, dtype))
            ours, *peers = seconds_by_form = records[-1]["seconds"].items()
            cells = [
                f"{1000 * np.median(ours[1]):.1f}",
                *(format_ratio(ratio(seconds, ours[1])) for _, seconds in peers),
            ]
            if not printed:
                print(table(("dtype", "length", *(name for name, _ in seconds_by_form)), []))
                printed = True
            print(body([(str(dtype)[6:], length, *cells)]), flush=True)
    print(f"\nWritten: {write('attention', vars(options), records, options.results)}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = harness.parser(__doc__, repeat=9)
    parser.add_argument("--lengths", nargs="+", type=int, default=[16, 32, 64, 128, 256, 340])
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--heads", type=int, default=6)
    return parser.parse_args(arguments)


def compare(options: argparse.Namespace, length: int, dtype: torch.dtype) -> dict[str, Any]:
    rng = np.random.default_rng(length)
    sizes = rng.integers(
        length // 2, length + length // 2, endpoint=True, size=max(1, options.tokens // length)
    ).tolist()
    torch.manual_seed(length)
    shape = (1, sum(sizes), options.heads, SIZE)
    states = [torch.randn(shape, dtype=dtype).transpose(1, 2).requires_grad_() for _ in range(3)]
    upstream = torch.randn(shape, dtype=dtype)
    expected = each(*states, sizes, in_float)
    runs: dict[str, Callable[[int], float]] = {}
    for name, form in forms(sizes).items():
        if (form(*states) - expected).abs().max() > (1e-5 if dtype == torch.float32 else 5e-2):
            raise SystemExit(f"{name} does not agree at length {length}.")
        runs[name] = partial(timed, form, states, upstream)
    seconds = take_turns(runs, 3, repeat=options.repeat, warm_up=2)
    return {"dtype": str(dtype), "length": length, "sequences": len(sizes), "seconds": seconds}


def timed(form: Callable[..., Tensor], states: list[Tensor], upstream: Tensor, times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        form(*states).backward(upstream)
    return (time.perf_counter() - started) / times


def forms(sizes: list[int]) -> dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]]:
    """Ways to attend inside sequences: (1, heads, tokens, size) -> (1, tokens, heads, size)."""
    sequences = SequenceLayout(torch.tensor(sizes), max(sizes))
    module = torch.nn.Module()
    forms_by_name: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
        OURS: lambda q, k, v: flat_attention(module, q, k, v, sequences=sequences)[0]
    }
    for name, attend in {
        "fused": fused,
        "fused, in float32": in_float,
        "products": products,
    }.items():
        forms_by_name[name] = partial(each, sizes=sizes, attend=attend)
    return {**forms_by_name, "padded": partial(padded, lengths=torch.tensor(sizes))}


def each(
    query: Tensor, key: Tensor, value: Tensor, sizes: list[int], attend: Callable[..., Tensor]
) -> Tensor:
    sequences = zip(*(torch.split(x, sizes, dim=2) for x in (query, key, value)), strict=True)
    return torch.cat([attend(*sequence) for sequence in sequences], dim=2).transpose(1, 2)


def in_float(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return fused(query.float(), key.float(), value.float()).to(query.dtype)


def products(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return ((query * SIZE**-0.5) @ key.transpose(-1, -2)).softmax(dim=-1) @ value


def padded(query: Tensor, key: Tensor, value: Tensor, lengths: Tensor) -> Tensor:
    width = int(lengths.max())
    rows = [
        pad_sequences(x[0].transpose(0, 1), lengths, width, 0).transpose(1, 2)
        for x in (query, key, value)
    ]
    mask = torch.arange(width) < lengths[:, None]
    states = fused(*rows, attn_mask=mask[:, None, None]).transpose(1, 2)
    sequence = sequence_index(lengths, query.shape[2])
    position = torch.arange(query.shape[2]) - (lengths.cumsum(0) - lengths)[sequence]
    return states[sequence, position][None]


if __name__ == "__main__":
    sys.exit(main())
