"""Blocks of sequences of like length, which attention computes in one call each.

A GPU without a kernel for flat batches of a dtype would otherwise run one small kernel for every
sequence. Only attention is padded, and only up to the longest sequence of a block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

LENGTH_RATIO = 1.25  # of the longest and the shortest sequence of a block, at most


@dataclass(frozen=True)
class Block:
    """Where the tokens of a block are.

    Args:
        positions: (sequences, longest) their indices in the flat batch; of padding, any.
        is_token: (sequences, longest), False for padding; None if there is none.
    """

    positions: Tensor
    is_token: Tensor | None


@dataclass(frozen=True)
class BlockLayout:
    """The blocks of a flat batch.

    Args:
        blocks: All of them, the shortest sequences first.
        rows: (tokens,) where each token is among the positions of all blocks.
    """

    blocks: Sequence[Block]
    rows: Tensor


def block_layout(lengths: Sequence[int], device: torch.device) -> BlockLayout:
    """Group the sequences of a flat batch into blocks of like length.

    There are at most as many blocks as the lengths have powers of `LENGTH_RATIO` between them, no
    matter how many sequences there are.

    Args:
        lengths: Tokens of each sequence.
        device: Where the states will be.
    """
    sizes = torch.tensor(lengths)
    starts = sizes.cumsum(0) - sizes
    order = sizes.argsort(stable=True)
    rows = torch.empty(int(sizes.sum()), dtype=torch.int64)
    blocks = []
    row_count = 0
    for members in torch.split(order, _block_sizes(sizes[order].tolist())):
        offsets = torch.arange(int(sizes[members[-1]]))
        is_token = offsets < sizes[members, None]
        # the offset 0 of padding: any token of its own sequence will do
        positions = starts[members, None] + offsets * is_token
        block_rows = row_count + torch.arange(positions.numel()).view_as(positions)
        rows[positions[is_token]] = block_rows[is_token]
        row_count += positions.numel()
        mask = None if bool(is_token.all()) else is_token.to(device)
        blocks.append(Block(positions.to(device), mask))
    return BlockLayout(blocks, rows.to(device))


def _block_sizes(lengths: Sequence[int]) -> list[int]:
    """How many sequences each block holds; `lengths` increase."""
    block_starts: list[int] = []
    for index, length in enumerate(lengths):
        if not block_starts or length > LENGTH_RATIO * lengths[block_starts[-1]]:
            block_starts.append(index)
    ends = [*block_starts[1:], len(lengths)]
    return [end - first for first, end in zip(block_starts, ends, strict=True)]


def attend_in_blocks(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: BlockLayout,
    scaling: float | None,
    window: int | None,
) -> Tensor:
    """Attention inside each sequence, one call per block.

    Args:
        query: (1, heads, tokens, size).
        key: Likewise.
        value: Likewise.
        layout: The blocks.
        scaling: Factor of the scores; 1 / sqrt(size) if None.
        window: A token attends to tokens less than so many away; to all if None.

    Returns:
        (1, tokens, heads, size).
    """
    by_token = [states[0].transpose(0, 1) for states in (query, key, value)]
    attended = []
    for block in layout.blocks:
        # each (sequences, heads, longest, size)
        q, k, v = (states[block.positions].transpose(1, 2) for states in by_token)
        mask = _block_mask(block, window)
        states = scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scaling)
        attended.append(states.transpose(1, 2).flatten(0, 1))
    return torch.cat(attended)[layout.rows][None]


def _block_mask(block: Block, window: int | None) -> Tensor | None:
    """(sequences or 1, 1, longest, longest), True where a token attends; None if to all.

    Padding attends to padding: a row without any key would have undefined gradients.
    """
    longest = block.positions.shape[1]
    mask = None
    if block.is_token is not None:
        mask = block.is_token[:, None, :, None] == block.is_token[:, None, None, :]
    if window is not None and window < longest:
        offsets = torch.arange(longest, device=block.positions.device)
        is_near = ((offsets[:, None] - offsets).abs() < window)[None, None]
        mask = is_near if mask is None else mask & is_near
    return mask
