"""Attention in blocks of like length equals attention sequence by sequence, in far fewer calls.

A GPU without a kernel for flat batches computes it so; here the CPU is made to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from conftest import ModelOf, batch_of
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

import jiantx as jx
from jiantx import attention, attention_blocks
from jiantx.attention import SequenceLayout, flat_attention
from jiantx.attention_blocks import LENGTH_RATIO, block_layout


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[torch.Size]]:
    """Run attention in blocks, and list the shape of the query of each call."""
    shapes: list[torch.Size] = []

    def counted(query: Tensor, *args: Any, **options: Any) -> Tensor:
        shapes.append(query.shape)
        return scaled_dot_product_attention(query, *args, **options)

    monkeypatch.setattr(attention_blocks, "scaled_dot_product_attention", counted)
    monkeypatch.setattr(attention, "_runs_in_blocks", lambda query: True)
    yield shapes


def attend(
    states: list[Tensor], lengths: list[int], window: int | None, scaling: float | None
) -> Tensor:
    """(1, tokens, heads, size)"""
    layout = SequenceLayout(torch.tensor(lengths), max(lengths))
    query, key, value = states
    attended, _ = flat_attention(
        torch.nn.Module(),
        query,
        key,
        value,
        scaling=scaling,
        sliding_window=window,
        sequences=layout,
    )
    return attended


def with_gradients(
    lengths: list[int], window: int | None, scaling: float | None
) -> tuple[Tensor, list[Tensor]]:
    """What attention returns for random states, and their gradients."""
    generator = torch.Generator().manual_seed(0)
    states = [torch.randn(1, 3, sum(lengths), 8, generator=generator) for _ in range(4)]
    *inputs, weights = states
    for tensor in inputs:
        tensor.requires_grad_()
    attended = attend(inputs, lengths, window, scaling)
    (attended * weights.transpose(1, 2)).sum().backward()
    gradients = [tensor.grad for tensor in inputs if tensor.grad is not None]
    return attended.detach(), gradients


@pytest.mark.parametrize(("window", "scaling"), [(None, None), (3, 0.2), (40, None)])
@pytest.mark.parametrize(
    "lengths", [[7], [5, 5, 5], [1, 30, 2, 29, 12, 13, 1, 33], list(range(40, 0, -3))]
)
def test_blocks_equal_sequences(
    lengths: list[int],
    window: int | None,
    scaling: float | None,
    request: pytest.FixtureRequest,
) -> None:
    expected, expected_gradients = with_gradients(lengths, window, scaling)
    calls: list[torch.Size] = request.getfixturevalue("calls")
    attended, gradients = with_gradients(lengths, window, scaling)
    assert calls and len(gradients) == 3
    torch.testing.assert_close(attended, expected, atol=1e-6, rtol=1e-5)
    for gradient, other in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, other, atol=1e-6, rtol=1e-5)


def test_calls_grow_with_the_spread_of_lengths_alone(calls: list[torch.Size]) -> None:
    generator = torch.Generator().manual_seed(0)
    few = torch.randint(16, 65, (32,), generator=generator).tolist()
    for repeats in (1, 8):  # 32 and 256 sequences
        calls.clear()
        lengths = few * repeats
        attend([torch.randn(1, 1, sum(lengths), 4) for _ in range(3)], lengths, None, None)
        assert len(calls) <= 1 + math.log(64 / 16, LENGTH_RATIO) < 8
        assert sum(shape[0] for shape in calls) == len(lengths)


def test_equal_lengths_are_one_call_without_a_mask(calls: list[torch.Size]) -> None:
    attend([torch.randn(1, 2, 60, 4) for _ in range(3)], [10] * 6, None, None)
    assert calls == [torch.Size((6, 2, 10, 4))]
    (block,) = block_layout([10] * 6, torch.device("cpu")).blocks
    assert block.is_token is None


def test_little_is_padding_and_no_token_is_lost() -> None:
    lengths = torch.randint(3, 300, (64,), generator=torch.Generator().manual_seed(1)).tolist()
    layout = block_layout(lengths, torch.device("cpu"))
    positions = torch.cat([block.positions.flatten() for block in layout.blocks])
    assert torch.equal(positions[layout.rows], torch.arange(sum(lengths)))
    assert len(positions) <= LENGTH_RATIO * sum(lengths)


@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_a_model_in_blocks(
    family: str,
    model_of: ModelOf,
    tiny_tasks: dict[str, jx.Task],
    request: pytest.FixtureRequest,
    tokenizer_of,
) -> None:
    task = tiny_tasks["pair"]
    model = model_of([task], family)
    batch = batch_of(task, tokenizer_of(family))
    lengths = batch["lengths"]
    with torch.no_grad():
        expected = model(**batch).outputs
        calls: list[torch.Size] = request.getfixturevalue("calls")
        outputs = model(**batch).outputs
    for name, values in outputs.items():
        torch.testing.assert_close(values, expected[name], atol=1e-5, rtol=1e-4)
    layers = model.encoder.config.num_hidden_layers
    blocks = len(block_layout(lengths.tolist(), torch.device("cpu")).blocks)
    assert len(calls) == layers * blocks < layers * len(lengths)
