"""Attention of one sequence after the other by plain products, with a backward pass of its own.

On a CPU in bfloat16 the backward pass of torch's fused attention is slow, and a batch of short
sequences spends more time in autograd's records than in products: two products, a softmax and four
copies for each sequence and layer. Here a whole batch is one record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

FLOAT32_BELOW = 64  # tokens; products of shorter sequences are faster in float32


def attend_by_products(
    query: Tensor, key: Tensor, value: Tensor, lengths: Sequence[int], scaling: float | None
) -> Tensor:
    """Attention inside each sequence.

    Args:
        query: (1, heads, tokens, size).
        key: Likewise.
        value: Likewise.
        lengths: Tokens of each sequence.
        scaling: Factor of the scores; 1 / sqrt(size) if None.

    Returns:
        (1, tokens, heads, size). It cannot be differentiated twice: that raises a RuntimeError.
    """
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    attended: Tensor = _Attention.apply(  # type: ignore[no-untyped-call]
        query[0], key[0], value[0], lengths, scale
    )
    return attended[None]


class _Attention(torch.autograd.Function):
    """Softmax of the scaled scores, times the values; states are (heads, tokens, size).

    Scores and their softmax are in float32, as in torch's fused attention. Autocast is off, as it
    would turn float32 back into bfloat16.
    """

    @staticmethod
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator]
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, lengths: Sequence[int], scale: float
    ) -> Tensor:
        heads, tokens, size = query.shape
        attended = query.new_empty(tokens, heads, size)
        probabilities = []
        precise_query, precise_key = query.float(), key.float()
        for span, v in _sequences(lengths, value):
            q, k = precise_query[:, span], precise_key[:, span]
            scores = torch.bmm(q, k.transpose(1, 2)).mul_(scale)
            weights = scores.softmax(dim=-1).to(v.dtype)
            attended[span] = torch.bmm(weights, v).transpose(0, 1)
            probabilities.append(weights)
        ctx.save_for_backward(query, key, value, *probabilities)
        ctx.lengths = lengths
        ctx.scale = scale
        return attended

    @staticmethod
    @torch.autocast("cpu", enabled=False)  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "jiantx's attention in bfloat16 on a CPU cannot be differentiated twice "
                "(create_graph=True). Train in float32 with padding_free=False, where it can."
            )
        query, key, value, *probabilities = ctx.saved_tensors
        grad_query, grad_key, grad_value = (torch.empty_like(x) for x in (query, key, value))
        sequences = _sequences(ctx.lengths, query, key, value, grad_output.transpose(0, 1))
        for weights, (span, q, k, v, grad_attended) in zip(probabilities, sequences, strict=True):
            grad_value[:, span] = torch.bmm(weights.transpose(1, 2), grad_attended)
            grad_weights = torch.bmm(grad_attended, v.transpose(1, 2)).float()
            precise = (grad_weights, weights.float(), -1, torch.float32)
            grad_scores = torch._softmax_backward_data(*precise).mul_(ctx.scale).to(weights.dtype)
            grad_query[:, span] = torch.bmm(grad_scores, k)
            grad_key[:, span] = torch.bmm(grad_scores.transpose(1, 2), q)
        return grad_query, grad_key, grad_value, None, None


def _sequences(lengths: Sequence[int], *states: Tensor) -> Iterator[tuple[Any, ...]]:
    """Where each sequence is, and its part of each of the states, (heads, length, size).

    The states of short ones are in float32.

    Args:
        lengths: Tokens of each sequence.
        states: (heads, tokens, size) each.
    """
    in_float32 = states
    if min(lengths) < FLOAT32_BELOW:
        in_float32 = tuple(x.float() for x in states)
    start = 0
    for length in lengths:
        span = slice(start, start + length)
        start += length
        states_of_length = in_float32 if length < FLOAT32_BELOW else states
        yield span, *(x[:, span] for x in states_of_length)
