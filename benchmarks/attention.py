"""Attention on a CPU: one sequence at a time, in several forms, beside all of them padded.

    python benchmarks/attention.py
    python benchmarks/attention.py --heads 12 --lengths 64 384

Forward and backward of the attention alone, for 2,048 tokens in sequences of about one length
(those of a batch are drawn between half and one and a half of it). `jiantx` is `flat_attention`;
"fused" is torch's `scaled_dot_product_attention` on each sequence, "in float32" the same after a
cast; "products" are two matrix products around a softmax; "padded" is the fused form on all
sequences at once, padded, with a mask. All agree.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from measuring import (
    argument_parser,
    format_ratio,
    machine,
    ratio,
    table,
    table_lines,
    take_turns,
    write_results,
)
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention as fused

from jiantx.attention import SequenceLayout, flat_attention
from jiantx.heads import pad_sequences, sequence_index

HEAD_SIZE = 64
OURS = "jiantx"
NAMES = (OURS, "fused", "fused, in float32", "products", "padded")
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 5e-2}
Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


def main() -> int:
    """Measure all lengths in float32 and bfloat16."""
    options = parse()
    torch.set_num_threads(options.threads)
    print(machine())
    print(
        f"{options.heads} heads of {HEAD_SIZE}; ms forward and backward, median; times jiantx's, "
        "with range.\n"
    )
    print(table(("dtype", "length", *NAMES), []))
    records = []
    for dtype in TOLERANCE:
        for length in options.lengths:
            records.append(compare(options, length, dtype))
            print(table_line(records[-1]), flush=True)
    print(f"\nWritten: {write_results('attention', options, records)}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argument_parser(__doc__, repeat=9)
    parser.add_argument("--lengths", nargs="+", type=int, default=[16, 32, 64, 128, 256, 340])
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--heads", type=int, default=6)
    return parser.parse_args(arguments)


def compare(options: argparse.Namespace, length: int, dtype: torch.dtype) -> dict[str, Any]:
    """Measure all forms on sequences of about one length, after checking that they agree."""
    rng = np.random.default_rng(length)
    count = max(1, options.tokens // length)
    longest = length + length // 2
    lengths = rng.integers(length // 2, longest, endpoint=True, size=count).tolist()
    torch.manual_seed(length)
    shape = (1, sum(lengths), options.heads, HEAD_SIZE)
    states = [torch.randn(shape, dtype=dtype).transpose(1, 2).requires_grad_() for _ in range(3)]
    upstream = torch.randn(shape, dtype=dtype)
    query, key, value = states
    expected = attend_per_sequence(query, key, value, lengths, fused_in_float32)
    runs: dict[str, Callable[[int], float]] = {}
    for name, attention in attention_forms(lengths).items():
        if (attention(*states) - expected).abs().max() > TOLERANCE[dtype]:
            raise SystemExit(f"{name} does not agree at length {length}.")
        runs[name] = partial(seconds_per_pass, attention, states, upstream)
    seconds = take_turns(runs, 3, repeat=options.repeat, warm_up=2)
    return {"dtype": str(dtype), "length": length, "sequences": count, "seconds": seconds}


def seconds_per_pass(
    attention: Attention, states: list[Tensor], upstream: Tensor, times: int
) -> float:
    """Return the seconds of forward and backward, the mean of a few times."""
    started = time.perf_counter()
    for _ in range(times):
        torch.autograd.backward(attention(*states), upstream)
    return (time.perf_counter() - started) / times


def table_line(record: dict[str, Any]) -> str:
    """Write the line of one dtype and length."""
    ours = record["seconds"][OURS]
    cells = [f"{1000 * np.median(ours):.1f}"]
    for name in NAMES[1:]:
        cells.append(format_ratio(ratio(record["seconds"][name], ours)))
    dtype = record["dtype"].removeprefix("torch.")
    return table_lines([(dtype, record["length"], *cells)])


# --- Forms of attention: (1, heads, tokens, size) three times -> (1, tokens, heads, size) -------


def attention_forms(lengths: list[int]) -> dict[str, Attention]:
    """Return the ways to attend inside sequences of these lengths, by name."""
    layout = SequenceLayout(torch.tensor(lengths), max(lengths))
    module = torch.nn.Module()

    def ours(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return flat_attention(module, query, key, value, sequences=layout)[0]

    per_sequence = partial(attend_per_sequence, lengths=lengths)
    forms = (
        ours,
        partial(per_sequence, attention=fused),
        partial(per_sequence, attention=fused_in_float32),
        partial(per_sequence, attention=two_products),
        partial(attend_padded, lengths=torch.tensor(lengths)),
    )
    return dict(zip(NAMES, forms, strict=True))


def attend_per_sequence(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    lengths: list[int],
    attention: Callable[..., Tensor],
) -> Tensor:
    """Attend in one sequence after the other."""
    queries = torch.split(query, lengths, dim=2)
    keys = torch.split(key, lengths, dim=2)
    values = torch.split(value, lengths, dim=2)
    outputs = [attention(*states) for states in zip(queries, keys, values, strict=True)]
    return torch.cat(outputs, dim=2).transpose(1, 2)


def fused_in_float32(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend in float32, whatever the type of the states."""
    return fused(query.float(), key.float(), value.float()).to(query.dtype)


def two_products(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend by two matrix products around a softmax."""
    scores = (query * HEAD_SIZE**-0.5) @ key.transpose(-1, -2)
    return scores.softmax(dim=-1) @ value


def attend_padded(query: Tensor, key: Tensor, value: Tensor, lengths: Tensor) -> Tensor:
    """Attend in all sequences at once, padded to the longest."""
    longest = int(lengths.max())
    padded = []
    for states in (query, key, value):
        rows = pad_sequences(states[0].transpose(0, 1), lengths, longest, 0)
        padded.append(rows.transpose(1, 2))
    queries, keys, values = padded
    mask = torch.arange(longest) < lengths[:, None]
    outputs = fused(queries, keys, values, attn_mask=mask[:, None, None]).transpose(1, 2)
    token_count = query.shape[2]
    sequence = sequence_index(lengths, token_count)
    first_tokens = lengths.cumsum(0) - lengths
    position = torch.arange(token_count) - first_tokens[sequence]
    return outputs[sequence, position][None]


if __name__ == "__main__":
    sys.exit(main())
