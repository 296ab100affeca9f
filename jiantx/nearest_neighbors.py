"""Exact nearest neighbours in chunks, and bitext mining on top of them (BUCC)."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor


def nearest(
    queries: Tensor, corpus: Tensor, k: int, *, memory: int = 1 << 28
) -> tuple[Tensor, Tensor]:
    """The k rows of `corpus` with the largest inner product with each query, largest first.

    Of equal products the row that comes first in `corpus` wins. `memory` is the size in bytes to which a block of
    products is held; the result does not depend on it, but for the rounding of the products. Normalise both sides to
    get cosines.

    Args:
        queries: (n, d), any floating dtype; the products are float32.
        corpus: (m, d), on the same device.

    Returns:
        Products (n, k) in float32, and row numbers (n, k) in int64.

    Raises:
        ValueError: k is below 1 or above m, or a vector is not finite.
    """
    if not 1 <= k <= len(corpus):
        raise ValueError(
            f"k is {k}, and must lie between 1 and the {len(corpus)} rows of the corpus."
        )
    best = _Best(len(queries), k, queries.device)
    for some, block, products in _products(queries, corpus, memory):
        best.add(some, block.start, products)
    return best.scores, best.indices


def _products(
    queries: Tensor, corpus: Tensor, memory: int
) -> Iterator[tuple[slice, slice, Tensor]]:
    """The inner products, block by block: which queries, which rows of the corpus, (queries, rows) in float32."""
    for name, vectors in (("queries", queries), ("corpus", corpus)):
        # row by row: a mask of all entries would be large; in float64, where no sum of finite numbers overflows
        finite = vectors.sum(dim=1, dtype=torch.float64).isfinite()
        if not finite.all():
            row = int((~finite).nonzero()[0])
            raise ValueError(f"Row {row} of the {name} holds a NaN or an infinity.")
    queries, corpus = queries.detach().float(), corpus.detach().float()

    # About as many rows as columns: then each vector is read as seldom as the memory permits.
    n, m = len(queries), len(corpus)
    entries = max(1, memory // 4)
    rows = max(1, min(n, math.isqrt(entries)))
    columns = min(m, entries // rows)
    rows = max(1, min(n, entries // columns))
    buffer = queries.new_empty(
        rows * columns
    )  # one for all blocks: fresh memory costs as much as the products
    for some in _slices(n, rows):
        for block in _slices(m, columns):
            shape = (some.stop - some.start, block.stop - block.start)
            yield (
                some,
                block,
                torch.mm(
                    queries[some], corpus[block].T, out=buffer[: shape[0] * shape[1]].view(shape)
                ),
            )


def _slices(length: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, length)) for start in range(0, length, step))


class _Best:
    """The k best of each of n rows, of the blocks that were added; the blocks of a row come from left to right."""

    def __init__(self, n: int, k: int, device: torch.device) -> None:
        self.scores = torch.full((n, k), -math.inf, device=device)
        self.indices = torch.full((n, k), -1, dtype=torch.int64, device=device)

    def add(self, some: slice, start: int, block: Tensor) -> None:
        values, places = _top(block, self.scores.shape[1])
        if start:
            # The older ones stand first, and their row numbers are lower: a stable sort settles ties as it should.
            values, order = torch.cat([self.scores[some], values], dim=1).sort(
                dim=1, descending=True, stable=True
            )
            places = torch.cat([self.indices[some], places + start], dim=1).gather(1, order)
        width = min(values.shape[1], self.scores.shape[1])
        self.scores[some, :width], self.indices[some, :width] = values[:, :width], places[:, :width]


def _top(block: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row, or the whole row; of equal ones the first. (`torch.topk` promises no order.)"""
    if k >= block.shape[1]:
        values, places = block.sort(dim=1, descending=True, stable=True)
        return values, places
    values, places = _topk(block, k + 1)
    # Where the tie runs across the border, topk may have left out the first of the equal ones.
    torn = (values[:, k - 1] == values[:, k]).nonzero().squeeze(1)
    places, order = places[:, :k].sort(dim=1)
    values, order = values.gather(1, order).sort(dim=1, descending=True, stable=True)
    places = places.gather(1, order)
    for row in torn.tolist():  # one by one: a sort of many whole rows would not fit the memory
        row_values, row_places = block[row].sort(descending=True, stable=True)
        values[row], places[row] = row_values[:k], row_places[:k]
    return values, places


_GROUP = 32  # columns


def _topk(block: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """`torch.topk` of wide rows: the k largest are in the k groups of columns whose largest are largest."""
    groups = block.shape[1] // _GROUP
    if groups < 8 * k:
        values, places = block.topk(k, dim=1)
        return values, places
    whole = groups * _GROUP
    if block.stride(1) == 1:
        largest = block[:, :whole].view(len(block), groups, _GROUP).amax(dim=2)
    else:  # a transposed block, which torch reduces 25 times faster as it lies in memory
        largest = block.T[:whole].view(groups, _GROUP, len(block)).amax(dim=1).T
    best = largest.topk(k, dim=1).indices
    inside = (best[:, :, None] * _GROUP + torch.arange(_GROUP, device=block.device)).flatten(1)
    rest = torch.arange(whole, block.shape[1], device=block.device).expand(len(block), -1)
    places = torch.cat([inside, rest], dim=1)
    values, order = block.gather(1, places).topk(k, dim=1)
    return values, places.gather(1, order)


def margin_pairs(
    source: Tensor, target: Tensor, *, k: int = 4, memory: int = 1 << 28
) -> tuple[Tensor, Tensor]:
    """Mine pairs of sentences that translate each other, best first; no sentence is in two pairs.

    The score of a pair is its cosine over the mean cosine of both sentences' k nearest neighbours on the other side
    (the ratio margin of Artetxe & Schwenk 2019). The best candidate of each source and of each target sentence are
    put together, and taken greedily by score: `retrieval="max"` in LASER and in XTREME's `utils_retrieve.py`. Pairs
    of equal score are taken in the order of source, then target.

    Args:
        source: (n, d), rows of length 1. Remove repeated sentences first, as XTREME does.
        target: (m, d), likewise, on the same device.
        k: neighbours that count; fewer where a side has fewer sentences.

    Returns:
        (source row, target row) of each pair, (p, 2) in int64, and its score, (p,) in float64; both on the CPU.
    """
    if not len(source) or not len(target):
        return torch.empty(0, 2, dtype=torch.int64), torch.empty(0, dtype=torch.float64)
    # Two more than count, for rounding may swap the last; and both ways at once: the products are most of the work.
    there = _Best(len(source), min(k + 2, len(target)), source.device)
    back = _Best(len(target), min(k + 2, len(source)), source.device)
    for some, block, products in _products(source, target, memory):
        there.add(some, block.start, products)
        back.add(block, some.start, products.T)
    forward, targets = _exactly(source, target, there.indices, k, memory)  # (n, k)
    backward, sources = _exactly(target, source, back.indices, k, memory)  # (m, k)
    source_mean, target_mean = forward.mean(dim=1), backward.mean(dim=1)
    # 0 / 0 comes from vectors without any neighbour, and is no match.
    forward = (forward / ((source_mean[:, None] + target_mean[targets]) / 2)).nan_to_num(nan=0.0)
    backward = (backward / ((target_mean[:, None] + source_mean[sources]) / 2)).nan_to_num(nan=0.0)
    scores, choice = (
        torch.cat(both) for both in zip(forward.max(dim=1), backward.max(dim=1), strict=True)
    )
    n = len(source)
    left = torch.cat(
        [torch.arange(n, device=source.device), sources.gather(1, choice[n:, None]).squeeze(1)]
    )
    right = torch.cat(
        [
            targets.gather(1, choice[:n, None]).squeeze(1),
            torch.arange(len(target), device=source.device),
        ]
    )

    scores, left, right = scores.cpu(), left.cpu(), right.cpu()
    order = torch.from_numpy(np.lexsort((right.numpy(), left.numpy(), -scores.numpy())))
    taken_left: set[int] = set()
    taken_right: set[int] = set()
    kept = []
    for candidate, i, j in zip(
        order.tolist(), left[order].tolist(), right[order].tolist(), strict=True
    ):
        if i not in taken_left and j not in taken_right:
            taken_left.add(i)
            taken_right.add(j)
            kept.append(candidate)
    return torch.stack([left[kept], right[kept]], dim=1), scores[kept]


def _exactly(
    queries: Tensor, corpus: Tensor, places: Tensor, k: int, memory: int
) -> tuple[Tensor, Tensor]:
    """The k best of these places by their products in float64: ties stay ties, and nothing else becomes one."""
    places = places.sort(dim=1).values
    exact = torch.empty(places.shape, dtype=torch.float64, device=queries.device)
    for some in _slices(len(queries), max(1, memory // (8 * places.shape[1] * queries.shape[1]))):
        exact[some] = torch.einsum(
            "qd,qkd->qk", queries[some].double(), corpus[places[some]].double()
        )
    best, order = exact.sort(dim=1, descending=True, stable=True)
    return best[:, :k], places.gather(1, order)[:, :k]
