"""Checks of what runs on a GPU: its attention, and how often a step waits for the device."""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import gpu_data
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import TrainerCallback

from jiantx.attention import SequenceLayout, flat_attention
from jiantx.heads import pad_sequences

TOLERANCE = 2**-6  # bf16 has 8 bits, and rounds more than once; more than this is no rounding
HEADS = 16
HEAD_SIZE = 64
Attention = Callable[[Tensor], Tensor]


def check_attention(options: argparse.Namespace) -> dict[str, float]:
    """Compare attention in bf16, flat and padded, with padded attention in float32.

    Returns:
        How far states and gradients are off, as a share of their norm: "flat" and "padded".

    Raises:
        SystemExit: If they are far off.
    """
    count = 3 if options.cpu else 16
    drawn_lengths = gpu_data.random_lengths("SQuAD", count, seed=2)
    lengths = torch.as_tensor(drawn_lengths, device=options.device)
    longest = int(lengths.max())
    total = int(lengths.sum())
    torch.manual_seed(0)
    states = torch.randn(3, 1, HEADS, total, HEAD_SIZE, device=options.device)
    upstream = torch.randn(total, HEADS, HEAD_SIZE, device=options.device)
    is_token = pad_sequences(torch.ones(total, device=options.device), lengths, longest, 0).bool()

    def flat(states: Tensor) -> Tensor:
        query, key, value = states
        layout = SequenceLayout(lengths, longest)
        outputs, _ = flat_attention(nn.Module(), query, key, value, sequences=layout)
        return outputs[0]

    def padded(states: Tensor) -> Tensor:
        rows = []
        for values in states:
            padded_values = pad_sequences(values[0].transpose(0, 1), lengths, longest, 0)
            rows.append(padded_values.transpose(1, 2))
        query, key, value = rows
        mask = is_token[:, None, None]
        outputs = scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return outputs.transpose(1, 2)[is_token]

    expected = states_and_gradients(padded, states, upstream, torch.float32)
    errors = {}
    for name, attention in {"flat": flat, "padded": padded}.items():
        values = states_and_gradients(attention, states, upstream, torch.bfloat16)
        errors[name] = largest_error(values, expected)
    if not max(errors.values()) < TOLERANCE:  # NaN neither
        raise SystemExit(
            f"Flat attention in bf16 is off by {errors['flat']:.1e}, "
            f"padded attention by {errors['padded']:.1e}."
        )
    return errors


def states_and_gradients(
    attention: Attention, states: Tensor, upstream: Tensor, dtype: torch.dtype
) -> list[Tensor]:
    """Run attention forward and backward on states rounded to bf16, computing in `dtype`."""
    leaf = states.to(torch.bfloat16).to(dtype).requires_grad_()
    outputs = attention(leaf)
    torch.autograd.backward((outputs.float() * upstream).sum())
    assert leaf.grad is not None
    return [outputs.detach().float(), leaf.grad.float()]


def largest_error(values: Iterable[Tensor], expected: Iterable[Tensor]) -> float:
    """Return the largest norm of a difference, as a share of the expected norm."""
    errors = []
    for value, right in zip(values, expected, strict=True):
        errors.append(float((value - right).norm() / right.norm()))
    return max(errors)


class WaitCounter(TrainerCallback):
    """Makes torch warn of waits for the device, from the second step to the last but one.

    Args:
        steps: Steps of the training.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if torch.cuda.is_available():
            is_counted = 1 <= state.global_step < self.steps - 1
            torch.cuda.set_sync_debug_mode("warn" if is_counted else "default")


def waits_per_step(run: Callable[..., Any], steps: int = 6) -> dict[str, float]:
    """Train, and count where a step waits for the device.

    Args:
        run: Function of the steps, and of `callback`.
        steps: Steps of the training.

    Returns:
        "file:line" -> waits a step.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(steps, callback=WaitCounter(steps))
    counts: Counter[str] = Counter()
    for warning in caught:
        if "called a synchronizing" in str(warning.message):
            counts[f"{Path(warning.filename).name}:{warning.lineno}"] += 1
    return {line: count / (steps - 2) for line, count in counts.items()}
