"""Scores of rankings and of mined pairs, as trec_eval's, LAReQA's and BUCC's programs compute them.

A metric reads rankings and no scores, so ties are decided before it: of candidates with the same
score, the one that comes first in the corpus is ranked first."""

import functools
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jiantx.metrics.base import (
    Metric,
    check_lengths,
    is_one_of,
    mean_percent,
    metric_name,
    named,
)
from jiantx.registry import near_names

Rankings = Sequence[Sequence[str]]
"""For each query, ids of candidates: as predictions the best first, as references the relevant."""

Relevant = Collection[str] | Mapping[str, float]
"""The ids of a query's relevant candidates, or id -> grade, where only grades above 0 count."""


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


def recall_at(k: int) -> Metric:
    """The share of a query's relevant candidates that are among the first k: "recall_at_<k>".

    The mean over the queries that have relevant candidates, as trec_eval's `recall`. A query with
    more than k relevant candidates cannot reach 100.

    >>> recall_at(2)([("a", "b", "c")], [("b", "c")])
    50.0

    Args:
        k: Candidates of a ranking that count.
    """
    return _cut_off("recall", _recall, k)


def ndcg_at(k: int | None = None) -> Metric:
    """Normalised discounted cumulative gain of the first k candidates: "ndcg_at_<k>".

    The gain of a candidate is its grade (1 without grades), divided by log2(rank + 1), as in
    trec_eval's `ndcg_cut` and scikit-learn's `ndcg_score`. The mean over the queries that have
    relevant candidates.

    >>> round(ndcg_at(10)([("a", "b")], [{"b": 2.0}]), 1)
    63.1

    Args:
        k: Candidates of a ranking that count; all if None.
    """
    return _cut_off("ndcg", _ndcg, k)


def mrr_at(k: int | None = None) -> Metric:
    """Mean of 1 / rank of the first relevant candidate, 0 if it is after the first k: "mrr_at_<k>".

    The mean over the queries that have relevant candidates, as trec_eval's `recip_rank`.

    >>> mrr_at(10)([("a", "b"), ("a", "b")], [("b",), ("a",)])
    75.0

    Args:
        k: Candidates of a ranking that count; all if None.
    """
    return _cut_off("mrr", _reciprocal_rank, k)


def map_at(k: int | None = None) -> Metric:
    """Mean average precision of the first k candidates: "map_at_<k>", or "map" of all.

    The precisions at the ranks of the relevant candidates, divided by how many are relevant, as
    trec_eval's `map_cut`. The mean over the queries that have relevant candidates.

    >>> map_at()([("a", "b")], [("b",)])
    50.0

    Args:
        k: Candidates of a ranking that count; all if None.
    """
    return _cut_off("map", _average_precision_of, k)


@dataclass(frozen=True)
class _JudgedRanking:
    """The first k candidates of a query that has relevant ones.

    Args:
        gains: The grade of each, 0 where it is not relevant.
        ideal_gains: The same of the best possible ranking.
        relevant: How many candidates are relevant, also after the first k.
    """

    gains: Sequence[float]
    ideal_gains: Sequence[float]
    relevant: int

    @property
    def hit_ranks(self) -> list[int]:
        """The ranks of the relevant candidates, from 1."""
        return [rank for rank, gain in enumerate(self.gains, 1) if gain]


@functools.cache
def _cut_off(name: str, score: Callable[[_JudgedRanking], float], k: int | None) -> Metric:
    """A metric of the first k candidates. The same arguments give the same object."""
    is_count = isinstance(k, int) and not isinstance(k, bool) and k >= 1
    if not is_count and k is not None:
        raise ValueError(f"{name} at k={k!r}. Expected a whole number, at least 1.")
    full_name = name if k is None else f"{name}_at_{k}"
    return named(full_name)(functools.partial(_mean_over_queries, score=score, k=k))


def _mean_over_queries(
    predictions: Rankings,
    references: Sequence[Relevant],
    *,
    score: Callable[[_JudgedRanking], float],
    k: int | None,
) -> float:
    """100 times the mean score of the queries that have relevant candidates; NaN if none has.

    An id that is ranked several times counts at its first place, and an empty ranking scores 0.
    """
    check_lengths(predictions, references)
    scores = []
    for ranking, relevant in zip(predictions, references, strict=True):
        grades = dict.fromkeys(relevant, 1.0)
        if isinstance(relevant, Mapping):
            grades = {id: float(grade) for id, grade in relevant.items() if grade > 0}
        if grades:
            ids = list(dict.fromkeys(ranking))[:k]
            gains = [grades.get(id, 0.0) for id in ids]
            ideal_gains = sorted(grades.values(), reverse=True)[:k]
            scores.append(score(_JudgedRanking(gains, ideal_gains, len(grades))))
    return mean_percent(scores)


def _recall(ranking: _JudgedRanking) -> float:
    return len(ranking.hit_ranks) / ranking.relevant


def _ndcg(ranking: _JudgedRanking) -> float:
    return _discounted_sum(ranking.gains) / _discounted_sum(ranking.ideal_gains)


def _discounted_sum(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


def _reciprocal_rank(ranking: _JudgedRanking) -> float:
    return next((1 / rank for rank in ranking.hit_ranks), 0.0)


def _average_precision_of(ranking: _JudgedRanking) -> float:
    precisions = [hits / rank for hits, rank in enumerate(ranking.hit_ranks, 1)]
    return sum(precisions) / ranking.relevant


_FAMILIES: dict[str, Callable[..., Metric]] = {
    "recall": recall_at,
    "ndcg": ndcg_at,
    "mrr": mrr_at,
    "map": map_at,
}
_AT_20: tuple[Metric, ...] = (mean_average_precision, mean_reciprocal_rank)
recall_at_10 = recall_at(10)
ndcg_at_10 = ndcg_at(10)
mrr_at_10 = mrr_at(10)
map_of_ranking = map_at()  # reported as "map"


def ranking_metric(name: str) -> Metric:
    """The metric of a name such as "recall_at_10", "ndcg_at_5", "mrr_at_100", "map_at_20" or "map".

    Args:
        name: "recall", "ndcg", "mrr" or "map", `_at_` or `@`, and a number; for all but "recall",
            the name alone reads the whole ranking. Or a name in reports: "accuracy", "map@20",
            "mrr@20", and those of mined pairs, "f1", "precision" and "recall".

    Raises:
        ValueError: It is no such name.
    """
    for metric in (accuracy_at_1, *_AT_20, mined_f1, mined_precision, mined_recall):
        if metric_name(metric) == name:
            return metric
    family, *cut_off = re.split("_at_|@", name)
    if family in _FAMILIES and re.fullmatch(r"(recall|ndcg|mrr|map)(_at_|@)[1-9]\d*", name):
        return _FAMILIES[family](int(cut_off[0]))
    if name in ("ndcg", "mrr", "map"):
        return _FAMILIES[name]()
    raise ValueError(
        f"{name!r} names no metric of rankings. Expected a name such as 'recall_at_10', "
        f"'ndcg_at_5', 'mrr_at_10', 'map_at_100' (with any number) or 'map'."
        f"{near_names(family, _FAMILIES)}"
    )


def candidates_read(metric: Metric) -> int | None:
    """How many candidates of a ranking a metric of this module reads; None if all; 1 if unknown."""
    if is_one_of(metric, _AT_20):
        return 20
    cut_off: Any = getattr(metric, "metric", metric)  # of a metric under another name
    is_ours = isinstance(cut_off, functools.partial) and cut_off.func is _mean_over_queries
    k: int | None = cut_off.keywords["k"] if is_ours else 1
    return k


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
