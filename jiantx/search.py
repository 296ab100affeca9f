"""Exact nearest neighbours in chunks, and bitext mining on top of them (BUCC)."""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


def nearest(queries: Tensor, corpus: Tensor, k: int, *, memory: int = 1 << 30) -> tuple[Tensor, Tensor]:
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
    n, m = len(queries), len(corpus)
    if not 1 <= k <= m:
        raise ValueError(f"k is {k}, and must lie between 1 and the {m} rows of the corpus.")
    for name, vectors in (("queries", queries), ("corpus", corpus)):
        if not vectors.isfinite().all():
            row = int((~vectors.isfinite()).any(dim=1).nonzero()[0])
            raise ValueError(f"Row {row} of the {name} holds a NaN or an infinity.")
    queries, corpus = queries.float(), corpus.float()

    # About as many rows as columns: then each vector is read as seldom as the memory permits.
    entries = max(1, memory // 4)
    rows = max(1, min(n, math.isqrt(entries)))
    columns = min(m, entries // rows)
    rows = max(1, min(n, entries // columns))

    scores = queries.new_empty(n, k)
    indices = torch.empty(n, k, dtype=torch.int64, device=queries.device)
    for some in _slices(n, rows):
        best = queries.new_empty(len(queries[some]), 0)  # (rows, up to k)
        where = torch.empty_like(best, dtype=torch.int64)
        for block in _slices(m, columns):
            values, places = _top(queries[some] @ corpus[block].T, k)
            # The older ones stand first, and their row numbers are lower: a stable sort settles ties as it should.
            best, order = torch.cat([best, values], dim=1).sort(dim=1, descending=True, stable=True)
            where = torch.cat([where, places + block.start], dim=1).gather(1, order)
            best, where = best[:, :k], where[:, :k]
        scores[some], indices[some] = best, where
    return scores, indices


def _slices(length: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, length)) for start in range(0, length, step))


def _top(block: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row, or the whole row; of equal ones the first. (`torch.topk` promises no order.)"""
    if k >= block.shape[1]:
        values, places = block.sort(dim=1, descending=True, stable=True)
        return values, places
    values, places = block.topk(k + 1, dim=1)
    # Where the tie runs across the border, topk may have left out the first of the equal ones.
    torn = (values[:, k - 1] == values[:, k]).nonzero().squeeze(1)
    places, order = places[:, :k].sort(dim=1)
    values, order = values.gather(1, order).sort(dim=1, descending=True, stable=True)
    places = places.gather(1, order)
    for row in torn.tolist():  # one by one: a sort of many whole rows would not fit the memory
        row_values, row_places = block[row].sort(descending=True, stable=True)
        values[row], places[row] = row_values[:k], row_places[:k]
    return values, places


def margin_pairs(source: Tensor, target: Tensor, *, k: int = 4, memory: int = 1 << 30) -> tuple[Tensor, Tensor]:
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
        (source row, target row) of each pair, (p, 2) in int64, and its score, (p,) in float32; both on the CPU.
    """
    if not len(source) or not len(target):
        return torch.empty(0, 2, dtype=torch.int64), torch.empty(0)
    forward, targets = nearest(source, target, min(k, len(target)), memory=memory)  # (n, k)
    backward, sources = nearest(target, source, min(k, len(source)), memory=memory)  # (m, k)
    source_mean, target_mean = forward.mean(dim=1), backward.mean(dim=1)
    # 0 / 0 comes from vectors without any neighbour, and is no match.
    forward = (forward / ((source_mean[:, None] + target_mean[targets]) / 2)).nan_to_num(nan=0.0)
    backward = (backward / ((target_mean[:, None] + source_mean[sources]) / 2)).nan_to_num(nan=0.0)
    scores, choice = (torch.cat(both) for both in zip(forward.max(dim=1), backward.max(dim=1), strict=True))
    n = len(source)
    left = torch.cat([torch.arange(n, device=source.device), sources.gather(1, choice[n:, None]).squeeze(1)])
    right = torch.cat([targets.gather(1, choice[:n, None]).squeeze(1), torch.arange(len(target), device=source.device)])

    scores, left, right = scores.cpu(), left.cpu(), right.cpu()
    order = torch.from_numpy(np.lexsort((right.numpy(), left.numpy(), -scores.numpy())))
    taken_left: set[int] = set()
    taken_right: set[int] = set()
    kept = []
    for candidate, i, j in zip(order.tolist(), left[order].tolist(), right[order].tolist(), strict=True):
        if i not in taken_left and j not in taken_right:
            taken_left.add(i)
            taken_right.add(j)
            kept.append(candidate)
    return torch.stack([left[kept], right[kept]], dim=1), scores[kept]


def best_threshold(
    scores: Tensor | npt.ArrayLike, is_gold: Tensor | npt.ArrayLike, total_gold: int
) -> tuple[float, float]:
    """The threshold that gives the best F1 when pairs with a score of at least it are kept, and that F1 (0–100).

    It lies midway between the last pair kept and the first one left out; where all are kept, it is the lowest score.
    As in XTREME's `bucc_optimize`, the highest of equally good thresholds is taken, and 0 if no pair is gold. Pairs of
    equal score are kept or left out together.

    Args:
        scores: (p,), in any order.
        is_gold: (p,), whether each pair is one of the gold pairs.
        total_gold: the number of gold pairs, whether they were mined or not.

    Raises:
        ValueError: fewer gold pairs in total than among the scores, or none at all.
    """
    score, gold = np.asarray(scores, np.float64), np.asarray(is_gold, np.bool_)
    if total_gold < max(1, int(gold.sum())):
        raise ValueError(f"{int(gold.sum())} pairs are gold, of {total_gold} in total.")
    order = np.argsort(-score, kind="stable")
    score, right = score[order], np.cumsum(gold[order])
    if not right.size or not right[-1]:
        return 0.0, 0.0
    kept = np.arange(1, len(score) + 1)
    f1 = 100.0 * (2 * right / (kept + total_gold))
    below = np.append(score[1:], -np.inf)
    f1[score == below] = -1.0  # no threshold cuts between equal scores
    best = int(np.argmax(f1))
    middle = (score[best] + below[best]) / 2
    # No number may lie between two neighbouring floats, and none does below the last score.
    threshold = middle if math.isfinite(middle) and middle > below[best] else score[best]
    return float(threshold), float(f1[best])
