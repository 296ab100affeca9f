"""Exact nearest neighbours in blocks, and bitext mining on top of them (BUCC)."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

_GROUP = 32  # columns whose maxima are compared first


def nearest(
    queries: Tensor, corpus: Tensor, k: int, *, memory: int = 1 << 28
) -> tuple[Tensor, Tensor]:
    """Find the k rows of `corpus` with the largest inner product with each query, largest first.

    Of equal products the row that comes first in `corpus` wins. Normalise both sides to get
    cosines.

    Args:
        queries: (n, d), any floating dtype; the products are float32.
        corpus: (m, d), on the same device.
        k: Rows for each query.
        memory: Bytes of a block of products. The result does not depend on it, except for the
            rounding of the products.

    Returns:
        Products (n, k) in float32, and row indices (n, k) in int64.

    Raises:
        ValueError: k is below 1 or above m, or a vector is not finite.
    """
    if not 1 <= k <= len(corpus):
        raise ValueError(
            f"k is {k}, and must lie between 1 and the {len(corpus)} rows of the corpus."
        )
    best = _TopK(len(queries), k, queries.device)
    for query_block, corpus_block, products in _products(queries, corpus, memory):
        best.add(query_block, corpus_block.start, products)
    return best.scores, best.indices


def nearest_allowed(
    queries: Tensor,
    corpus: Tensor,
    k: int,
    *,
    ceilings: Tensor,
    excluded: Tensor,
    memory: int = 1 << 28,
) -> Tensor:
    """Find the k rows of `corpus` nearest to each query, without some that are not allowed.

    Args:
        queries: (n, d), as for `nearest`.
        corpus: (m, d), on the same device.
        k: Rows for each query.
        ceilings: (n,) the largest product that is allowed for each query.
        excluded: (2, pairs) queries and rows of the corpus that do not go together; the queries in
            increasing order.
        memory: Bytes of a block of products.

    Returns:
        (n, k) row indices in int64, the nearest first; -1 where fewer are allowed.
    """
    best = _TopK(len(queries), k, queries.device)
    for query_block, corpus_block, products in _products(queries, corpus, memory):
        products.masked_fill_(products > ceilings[query_block, None], -math.inf)
        bounds = torch.tensor([query_block.start, query_block.stop], device=excluded.device)
        first, last = torch.searchsorted(excluded[0].contiguous(), bounds).tolist()
        rows, columns = excluded[:, first:last]
        is_here = (columns >= corpus_block.start) & (columns < corpus_block.stop)
        rows = rows[is_here] - query_block.start
        products[rows, columns[is_here] - corpus_block.start] = -math.inf
        best.add(query_block, corpus_block.start, products)
    return best.indices.masked_fill(best.scores == -math.inf, -1)


def _products(
    queries: Tensor, corpus: Tensor, memory: int
) -> Iterator[tuple[slice, slice, Tensor]]:
    """The inner products in float32, by block: queries, rows of the corpus, (queries, rows)."""
    _check_finite(queries, "queries")
    _check_finite(corpus, "corpus")
    queries = queries.detach().float()
    corpus = corpus.detach().float()

    # About as many rows as columns: then each vector is read as seldom as the memory permits.
    n, m = len(queries), len(corpus)
    entries = max(1, memory // 4)
    rows = max(1, min(n, math.isqrt(entries)))
    columns = min(m, entries // rows)
    rows = max(1, min(n, entries // columns))
    # one buffer for all blocks: fresh memory costs as much as the products
    buffer = queries.new_empty(rows * columns)
    for query_block in _slices(n, rows):
        for corpus_block in _slices(m, columns):
            height = query_block.stop - query_block.start
            width = corpus_block.stop - corpus_block.start
            products = buffer[: height * width].view(height, width)
            torch.mm(queries[query_block], corpus[corpus_block].T, out=products)
            yield query_block, corpus_block, products


def _check_finite(vectors: Tensor, name: str) -> None:
    # Row by row, as a mask of all entries would be large. In float64, where no sum of finite
    # numbers overflows.
    finite = vectors.sum(dim=1, dtype=torch.float64).isfinite()
    if not finite.all():
        row = int((~finite).nonzero()[0])
        raise ValueError(f"Row {row} of the {name} holds a NaN or an infinity.")


def _slices(length: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, length)) for start in range(0, length, step))


class _TopK:
    """The k best of each of n rows, over blocks of columns that are added from left to right."""

    def __init__(self, n: int, k: int, device: torch.device) -> None:
        self.scores = torch.full((n, k), -math.inf, device=device)
        self.indices = torch.full((n, k), -1, dtype=torch.int64, device=device)

    def add(self, rows: slice, first_column: int, block: Tensor) -> None:
        """Add a block of scores.

        Args:
            rows: The rows of the block.
            first_column: Its first column.
            block: (rows, columns).
        """
        scores, columns = _stable_topk(block, self.scores.shape[1])
        if first_column:
            # The older ones stand first, and their columns are lower, so a stable sort settles
            # ties.
            both_scores = torch.cat([self.scores[rows], scores], dim=1)
            both_columns = torch.cat([self.indices[rows], columns + first_column], dim=1)
            scores, order = both_scores.sort(dim=1, descending=True, stable=True)
            columns = both_columns.gather(1, order)
        width = min(scores.shape[1], self.scores.shape[1])
        self.scores[rows, :width] = scores[:, :width]
        self.indices[rows, :width] = columns[:, :width]


def _stable_topk(block: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row, or the whole row; of equal ones the first.

    `torch.topk` promises no order of equal ones.
    """
    if k >= block.shape[1]:
        values, columns = block.sort(dim=1, descending=True, stable=True)
        return values, columns
    values, columns = _grouped_topk(block, k + 1)
    # If the k-th is as large as the next, topk may have left out the first of the equal ones.
    tied_rows = (values[:, k - 1] == values[:, k]).nonzero().squeeze(1)
    columns, column_order = columns[:, :k].sort(dim=1)
    values = values.gather(1, column_order)
    values, value_order = values.sort(dim=1, descending=True, stable=True)
    columns = columns.gather(1, value_order)
    for row in tied_rows.tolist():  # one by one: sorting many whole rows would not fit the memory
        row_values, row_columns = block[row].sort(descending=True, stable=True)
        values[row] = row_values[:k]
        columns[row] = row_columns[:k]
    return values, columns


def _grouped_topk(block: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """`torch.topk` of wide rows, faster.

    The k largest are in the k groups of columns whose maxima are largest, or in the columns after
    the last whole group."""
    groups = block.shape[1] // _GROUP
    if groups < 8 * k:
        values, columns = block.topk(k, dim=1)
        return values, columns
    grouped = groups * _GROUP  # columns in whole groups
    if block.stride(1) == 1:
        maxima = block[:, :grouped].view(len(block), groups, _GROUP).amax(dim=2)
    else:  # a transposed block, which torch reduces 25 times faster as it lies in memory
        maxima = block.T[:grouped].view(groups, _GROUP, len(block)).amax(dim=1).T
    best_groups = maxima.topk(k, dim=1).indices  # (rows, k)
    offsets = torch.arange(_GROUP, device=block.device)
    columns_in_groups = (best_groups[:, :, None] * _GROUP + offsets).flatten(1)
    columns_after = torch.arange(grouped, block.shape[1], device=block.device)
    columns_after = columns_after.expand(len(block), -1)
    candidates = torch.cat([columns_in_groups, columns_after], dim=1)
    values, order = block.gather(1, candidates).topk(k, dim=1)
    return values, candidates.gather(1, order)


def margin_pairs(
    source: Tensor, target: Tensor, *, k: int = 4, memory: int = 1 << 28
) -> tuple[Tensor, Tensor]:
    """Mine pairs of sentences that translate each other, best first; no sentence is in two pairs.

    The same as LASER's mining, and XTREME's `utils_retrieve.py`, with `retrieval="max"`:

    1. Find the k nearest neighbours of every sentence on the other side.
    2. Score each neighbour by its cosine over the mean cosine of both sentences' neighbours (the
       ratio margin of Artetxe & Schwenk 2019).
    3. Take the best candidate of each source sentence and of each target sentence.
    4. Keep these pairs greedily by score. Of equal scores, the lower source comes first, then the
       lower target.

    Args:
        source: (n, d), rows with an L2 norm of 1. Remove repeated sentences first, as XTREME does.
        target: (m, d), likewise, on the same device.
        k: Neighbours that count; fewer if a side has fewer sentences.
        memory: Bytes of a block of products.

    Returns:
        (pairs, 2) source and target row in int64, and (pairs,) scores in float64; on the CPU.
    """
    if not len(source) or not len(target):
        return torch.empty(0, 2, dtype=torch.int64), torch.empty(0, dtype=torch.float64)
    # Two neighbours more than k, since rounding may swap the last ones. Both directions at once,
    # since the products are most of the work.
    forward_topk = _TopK(len(source), min(k + 2, len(target)), source.device)
    backward_topk = _TopK(len(target), min(k + 2, len(source)), source.device)
    for source_block, target_block, products in _products(source, target, memory):
        forward_topk.add(source_block, target_block.start, products)
        backward_topk.add(target_block, source_block.start, products.T)
    # (n, k) and (m, k)
    forward, targets = _rescore_in_float64(source, target, forward_topk.indices, k, memory)
    backward, sources = _rescore_in_float64(target, source, backward_topk.indices, k, memory)

    source_mean = forward.mean(dim=1)
    target_mean = backward.mean(dim=1)
    # 0 / 0 comes from vectors that are orthogonal to all others, and is no match.
    forward_margin = forward / ((source_mean[:, None] + target_mean[targets]) / 2)
    backward_margin = backward / ((target_mean[:, None] + source_mean[sources]) / 2)
    forward_score, forward_choice = forward_margin.nan_to_num(nan=0.0).max(dim=1)
    backward_score, backward_choice = backward_margin.nan_to_num(nan=0.0).max(dim=1)

    best_targets = targets.gather(1, forward_choice[:, None]).squeeze(1)
    best_sources = sources.gather(1, backward_choice[:, None]).squeeze(1)
    all_sources = torch.arange(len(source), device=source.device)
    all_targets = torch.arange(len(target), device=source.device)
    scores = torch.cat([forward_score, backward_score]).cpu()
    left = torch.cat([all_sources, best_sources]).cpu()
    right = torch.cat([best_targets, all_targets]).cpu()
    mined = _select_greedily(left, right, scores)
    return torch.stack([left[mined], right[mined]], dim=1), scores[mined]


def _select_greedily(left: Tensor, right: Tensor, scores: Tensor) -> list[int]:
    """The indices of candidates, best first, so that nothing on either side is in two pairs."""
    order = np.lexsort((right.numpy(), left.numpy(), -scores.numpy()))
    left_rows = left.tolist()
    right_rows = right.tolist()
    used_left: set[int] = set()
    used_right: set[int] = set()
    selected = []
    for candidate in order.tolist():
        left_row = left_rows[candidate]
        right_row = right_rows[candidate]
        if left_row not in used_left and right_row not in used_right:
            used_left.add(left_row)
            used_right.add(right_row)
            selected.append(candidate)
    return selected


def _rescore_in_float64(
    queries: Tensor, corpus: Tensor, candidates: Tensor, k: int, memory: int
) -> tuple[Tensor, Tensor]:
    """The k best of (n, candidates) rows of the corpus, by their products in float64.

    In float32, rounding would make ties and break them.
    """
    candidates = candidates.sort(dim=1).values
    exact = torch.empty(candidates.shape, dtype=torch.float64, device=queries.device)
    bytes_per_query = 8 * candidates.shape[1] * queries.shape[1]
    for block in _slices(len(queries), max(1, memory // bytes_per_query)):
        vectors = corpus[candidates[block]].double()
        exact[block] = torch.einsum("qd,qkd->qk", queries[block].double(), vectors)
    scores, order = exact.sort(dim=1, descending=True, stable=True)
    return scores[:, :k], candidates.gather(1, order)[:, :k]
