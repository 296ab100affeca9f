"""Rankings of candidates, beside scikit-learn and a plain loop."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from statistics import fmean

import numpy as np
from sklearn import metrics as sklearn_metrics

from jiantx import metrics

from .comparison import Comparison, Sample, compare
from .gold import references_by_language
from .labels import sklearn_accuracy

Rankings = Sequence[Sequence[str]]


def comparisons(rng: random.Random) -> Iterator[Comparison]:
    tatoeba = [noisy_rankings(rng, gold) for gold in references_by_language("tatoeba")]
    yield compare(
        "accuracy_at_1",
        "tatoeba",
        tatoeba,
        metrics.accuracy_at_1,
        sklearn_first_accuracy,
        "scikit-learn",
    )
    yield reciprocal_rank_comparison("tatoeba", tatoeba)

    lareqa = list(itertools.chain.from_iterable(references_by_language("lareqa")))
    made_up = [made_up_relevant(rng) for _ in range(2000)]
    for data, gold in (("lareqa", lareqa), ("made up, up to 30 relevant", made_up)):
        yield compare(
            "mean_average_precision",
            data,
            [noisy_rankings(rng, gold)],
            metrics.mean_average_precision,
            sklearn_mean_average_precision,
            "scikit-learn, cut at 20",
        )
        yield reciprocal_rank_comparison(data, [noisy_rankings(rng, gold)])


def reciprocal_rank_comparison(data: str, samples: Sequence[Sample]) -> Comparison:
    return compare(
        "mean_reciprocal_rank",
        data,
        samples,
        metrics.mean_reciprocal_rank,
        restated_mean_reciprocal_rank,
        "plain loop",
    )


# --- noise ----------------------------------------------------------------------------------------


def made_up_relevant(rng: random.Random) -> list[str]:
    """The relevant candidates of a query: few, or more than the 20 that count."""
    return rng.sample([f"c{i}" for i in range(99)], rng.choice((1, 2, 11, 30)))


def noisy_rankings(rng: random.Random, gold: Rankings) -> Sample:
    """25 candidates a query; the relevant ones stand anywhere, near the top, or are missing."""
    pool = sorted(set(itertools.chain.from_iterable(gold)))
    rankings = []
    for relevant in gold:
        ranked = [id for id in relevant if rng.random() < 0.8]
        distractors = rng.sample(pool, min(len(pool), 25))
        near_top = {id: rng.expovariate(0.3) for id in ranked}
        # a dictionary, as the order of a set of texts differs from process to process
        candidates = dict.fromkeys([*ranked, *distractors])
        position = {id: rng.uniform(0, 25) for id in candidates} | near_top
        rankings.append(sorted(position, key=position.__getitem__)[:25])
    return Sample(rankings, gold)


# --- independent computations ---------------------------------------------------------------------


def sklearn_first_accuracy(predictions: Rankings, references: Rankings) -> float:
    """For queries with one relevant candidate."""
    first = [ranking[0] for ranking in predictions]
    return sklearn_accuracy(first, [relevant[0] for relevant in references])


def sklearn_mean_average_precision(predictions: Rankings, references: Rankings) -> float:
    """scikit-learn divides by the relevant ones among the 20; LAReQA by all of them, or by 20."""
    scores = []
    for ranking, relevant in zip(predictions, references, strict=True):
        hits = [id in relevant for id in ranking[:20]]
        if not any(hits):
            scores.append(0.0)
            continue
        precision = sklearn_metrics.average_precision_score(hits, -np.arange(len(hits)))
        scores.append(precision * sum(hits) / min(len(set(relevant)), 20))
    return 100 * fmean(scores)


def restated_mean_reciprocal_rank(predictions: Rankings, references: Rankings) -> float:
    total = 0.0
    for ranking, relevant in zip(predictions, references, strict=True):
        for rank in range(1, min(20, len(ranking)) + 1):
            if ranking[rank - 1] in relevant:
                total += 1 / rank
                break
    return 100 * total / len(references)
