"""Scores of rankings and of mined pairs, as LAReQA's and BUCC's scripts compute them."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from jiantx.metrics.base import check_lengths, mean_percent, named

Rankings = Sequence[Sequence[str]]
"""For each query, ids of candidates: as predictions the best first, as references the relevant."""


@named("accuracy")
def accuracy_at_1(predictions: Rankings, references: Rankings) -> float:
    """Share of queries whose first candidate is relevant; reported as "accuracy".

    A query whose ranking is empty is a miss.

    Args:
        predictions: (queries,) rankings: ids of candidates, the best first.
        references: (queries,) ids of the relevant candidates.

    Returns:
        0–100, or NaN if there are no queries.
    """
    check_lengths(predictions, references)
    hits = []
    for ranking, relevant in zip(predictions, references, strict=True):
        hits.append(float(len(ranking) > 0 and ranking[0] in relevant))
    return mean_percent(hits)


@named("map@20")
def mean_average_precision(predictions: Rankings, references: Rankings) -> float:
    """Mean average precision of the first 20 candidates, by LAReQA's script; reported as "map@20".

    A query's average precision is divided by the number of its relevant candidates, or by 20 where
    there are more. Queries without relevant candidates are left out. An id that is ranked several
    times counts at its first place, as in the script.

    Args:
        predictions: (queries,) rankings: ids of candidates, the best first.
        references: (queries,) ids of the relevant candidates.

    Returns:
        0–100, or NaN if no query has relevant candidates.
    """
    check_lengths(predictions, references)
    scores = []
    for ranking, relevant in zip(predictions, references, strict=True):
        if relevant:
            scores.append(_average_precision(ranking[:20], set(relevant)))
    return mean_percent(scores)


def _average_precision(ranking: Sequence[str], relevant: set[str]) -> float:
    first_ranks: dict[str, int] = {}
    for rank, candidate in enumerate(ranking, 1):
        first_ranks.setdefault(candidate, rank)
    hit_ranks = [rank for candidate, rank in first_ranks.items() if candidate in relevant]
    precisions = [hits / rank for hits, rank in enumerate(hit_ranks, 1)]
    return sum(precisions) / min(len(relevant), 20)


@named("mrr@20")
def mean_reciprocal_rank(predictions: Rankings, references: Rankings) -> float:
    """Mean of 1 / rank of the first relevant candidate; reported as "mrr@20".

    A query scores 0 if none of the first 20 candidates is relevant.

    Args:
        predictions: (queries,) rankings: ids of candidates, the best first.
        references: (queries,) ids of the relevant candidates.

    Returns:
        0–100, or NaN if there are no queries.
    """
    check_lengths(predictions, references)
    scores = []
    for ranking, relevant in zip(predictions, references, strict=True):
        hits = (1 / rank for rank, id in enumerate(ranking[:20], 1) if id in relevant)
        scores.append(next(hits, 0.0))
    return mean_percent(scores)


@named("f1")
def mined_f1(predictions: Rankings, references: Rankings) -> float:
    """F1 of mined pairs, as in BUCC; reported as "f1".

    A query has at most one predicted candidate, and may have no relevant one.

    Args:
        predictions: (queries,) rankings: ids of candidates, the best first.
        references: (queries,) ids of the relevant candidates.

    Returns:
        0–100, or NaN if neither side has a pair.
    """
    right, predicted, actual = _count_pairs(predictions, references)
    return 100.0 * (2 * right / (predicted + actual)) if predicted + actual else math.nan


@named("precision")
def mined_precision(predictions: Rankings, references: Rankings) -> float:
    """Share of the mined pairs that are right; reported as "precision". 0 if no pair is mined.

    Args:
        predictions: (queries,) rankings: ids of candidates, the best first.
        references: (queries,) ids of the relevant candidates.

    Returns:
        0–100, or NaN if neither side has a pair.
    """
    right, predicted, actual = _count_pairs(predictions, references)
    return 100.0 * right / max(predicted, 1) if predicted + actual else math.nan


@named("recall")
def mined_recall(predictions: Rankings, references: Rankings) -> float:
    """Share of the gold pairs that are mined; reported as "recall".

    Args:
        predictions: (queries,) rankings: ids of candidates, the best first.
        references: (queries,) ids of the relevant candidates.

    Returns:
        0–100, or NaN if there are no gold pairs.
    """
    right, _, actual = _count_pairs(predictions, references)
    return 100.0 * right / actual if actual else math.nan


def _count_pairs(predictions: Rankings, references: Rankings) -> tuple[int, int, int]:
    """Numbers of right, predicted and gold pairs."""
    check_lengths(predictions, references)
    right = 0
    predicted = 0
    gold = 0
    for ranking, relevant in zip(predictions, references, strict=True):
        right += len(set(ranking) & set(relevant))
        predicted += len(set(ranking))
        gold += len(set(relevant))
    return right, predicted, gold


def best_threshold(
    scores: npt.ArrayLike, is_gold: npt.ArrayLike, total_gold: int
) -> tuple[float, float]:
    """Find the threshold on the scores of mined pairs that gives the best F1.

    Pairs with a score of at least the threshold are kept. It lies midway between the last pair kept
    and the first one left out; if all are kept, it is the lowest score. As in XTREME's
    `bucc_optimize`, the highest of equally good thresholds is taken, and 0 if no pair is gold.
    Pairs of equal score are kept or left out together.

    Args:
        scores: (pairs,), in any order.
        is_gold: (pairs,), whether each pair is one of the gold pairs.
        total_gold: The number of gold pairs, whether they were mined or not.

    Returns:
        The threshold, and its F1 on 0–100.

    Raises:
        ValueError: There are fewer gold pairs in total than among the scores, or none at all.
    """
    score = np.asarray(scores, np.float64)
    gold = np.asarray(is_gold, np.bool_)
    if total_gold < max(1, int(gold.sum())):
        raise ValueError(f"{int(gold.sum())} pairs are gold, of {total_gold} in total.")
    order = np.argsort(-score, kind="stable")
    score = score[order]
    right = np.cumsum(gold[order])
    if not right.size or not right[-1]:
        return 0.0, 0.0
    kept_count = np.arange(1, len(score) + 1)
    f1 = 100.0 * (2 * right / (kept_count + total_gold))
    below = np.append(score[1:], -np.inf)
    f1[score == below] = -1.0  # no threshold cuts between equal scores
    best = int(np.argmax(f1))
    middle = (score[best] + below[best]) / 2
    # Two neighbouring floats may have no float between them, and the last score has none below it.
    threshold = middle if math.isfinite(middle) and middle > below[best] else score[best]
    return float(threshold), float(f1[best])
