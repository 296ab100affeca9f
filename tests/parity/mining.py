"""Mined pairs, their threshold and the mining itself, beside plain loops of BUCC's rules."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import torch

from jiantx import metrics
from jiantx.nearest_neighbors import margin_pairs

from .comparison import Comparison, Sample, Scorer, compare
from .gold import references_by_language

Pairs = Sequence[Sequence[str]]
"""For each query, the ids of the candidates that it is paired with."""
Vectors = Sequence[np.ndarray]


def comparisons(rng: random.Random) -> Iterator[Comparison]:
    gold = list(itertools.chain.from_iterable(references_by_language("bucc2018")))
    mined = noisy_pairs(rng, gold)
    yield from pair_comparisons("bucc2018", mined)

    is_right = []
    for predicted, relevant in zip(*mined, strict=True):
        if predicted:
            is_right.append(predicted[0] in relevant)
    total_gold = sum(map(len, gold))
    scores = [rng.gauss(1.2 if right else 1.0, 0.1) for right in is_right]
    tied_scores = list(np.round(scores, 2))
    yield from threshold_comparisons("bucc2018's pairs", Sample(scores, is_right), total_gold)
    yield from threshold_comparisons(
        "the same, scores tied", Sample(tied_scores, is_right), total_gold
    )
    yield from margin_comparisons(made_up_vectors())


def pair_comparisons(data: str, mined: Sample) -> Iterator[Comparison]:
    for index, name in enumerate(PairScores._fields):
        yield compare(
            f"mined_{name}",
            data,
            [mined],
            getattr(metrics, f"mined_{name}"),
            item_of(restated_pair_scores, index),
            "plain sets of pairs",
        )


def threshold_comparisons(data: str, sample: Sample, total_gold: int) -> Iterator[Comparison]:
    ours = partial(metrics.best_threshold, total_gold=total_gold)
    restated = partial(restated_threshold, total_gold=total_gold)
    for index, name in enumerate(("threshold", "F1")):
        yield compare(
            f"best_threshold, {name}",
            data,
            [sample],
            item_of(ours, index),
            item_of(restated, index),
            "plain loop over all cuts",
        )


def margin_comparisons(vectors: Sample) -> Iterator[Comparison]:
    for index, name in enumerate(("pairs that are translations, %", "mean score")):
        yield compare(
            f"margin_pairs, {name}",
            "vectors, made up: 400 and 500",
            [vectors],
            item_of(our_mining, index),
            item_of(restated_mining, index),
            "plain loop",
        )


def item_of(function: Callable[[Any, Any], Sequence[float]], index: int) -> Scorer:
    """The function, of whose result one item is the score."""
    return lambda predictions, references: function(predictions, references)[index]


# --- noise ----------------------------------------------------------------------------------------


def noisy_pairs(rng: random.Random, gold: Pairs) -> Sample:
    """Some pairs are missing, and some queries are paired with a candidate of another."""
    ids = list(itertools.chain.from_iterable(gold))
    mined = []
    for relevant in gold:
        predicted = list(relevant) if rng.random() < 0.7 else []
        if not predicted and rng.random() < 0.1:
            predicted = [rng.choice(ids)]
        mined.append(predicted)
    return Sample(mined, gold)


def made_up_vectors() -> Sample:
    """400 and 500 vectors of length 1; the first 300 of both sides are near each other."""
    generator = np.random.default_rng(0)
    source = unit_length(generator.standard_normal((400, 48)))
    unpaired = generator.standard_normal((200, 48))
    noise = 0.15 * generator.standard_normal((500, 48))
    target = unit_length(np.concatenate([source[:300], unpaired]) + noise)
    return Sample(list(source), list(target))


def unit_length(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


# --- independent computations ---------------------------------------------------------------------


class PairScores(NamedTuple):
    """Of (query, candidate) pairs, on 0–100."""

    precision: float
    recall: float
    f1: float


def restated_pair_scores(predictions: Pairs, references: Pairs) -> PairScores:
    predicted = set(query_candidate_pairs(predictions))
    gold = set(query_candidate_pairs(references))
    right = len(predicted & gold)
    precision = right / len(predicted)
    recall = right / len(gold)
    f1 = 2 * precision * recall / (precision + recall)
    return PairScores(100 * precision, 100 * recall, 100 * f1)


def query_candidate_pairs(pairs: Pairs) -> Iterator[tuple[int, str]]:
    for query, ids in enumerate(pairs):
        for id in ids:
            yield query, id


def restated_threshold(
    scores: Sequence[float], is_gold: Sequence[bool], total_gold: int
) -> tuple[float, float]:
    """Try every number midway between two scores, and the lowest score; the highest of the best."""
    values = sorted({float(score) for score in scores}, reverse=True)
    cuts = [(high + low) / 2 for high, low in itertools.pairwise(values)] + values[-1:]
    best_f1 = 0.0
    threshold = 0.0
    for cut in cuts:
        above = [bool(gold) for score, gold in zip(scores, is_gold, strict=True) if score >= cut]
        f1 = 200 * sum(above) / (len(above) + total_gold)
        if f1 > best_f1:
            best_f1 = f1
            threshold = cut
    return threshold, best_f1


def our_mining(source: Vectors, target: Vectors) -> tuple[float, float]:
    """The share of mined pairs that are translations in %, and the mean of their scores."""
    pairs, scores = margin_pairs(
        torch.from_numpy(np.stack(source)), torch.from_numpy(np.stack(target))
    )
    is_translation = pairs[:, 0] == pairs[:, 1]
    return 100 * float(is_translation.double().mean()), float(scores.mean())


def restated_mining(source: Vectors, target: Vectors) -> tuple[float, float]:
    """`our_mining` by BUCC's rules.

    A pair's score is its cosine over the mean cosine of both sides' four nearest. Of the four
    nearest, each source and each target sentence proposes the best; proposals are taken greedily.
    """
    cosines = [[float(np.dot(vector, candidate)) for candidate in target] for vector in source]
    transposed = [list(column) for column in zip(*cosines)]
    source_means = [fmean(sorted(row)[-4:]) for row in cosines]
    target_means = [fmean(sorted(column)[-4:]) for column in transposed]

    def proposal(i: int, j: int) -> tuple[float, int, int]:
        return cosines[i][j] / ((source_means[i] + target_means[j]) / 2), i, j

    proposals = set()
    for i, cosines_of_source in enumerate(cosines):
        proposals.add(max(proposal(i, j) for j in four_nearest(cosines_of_source)))
    for j, cosines_of_target in enumerate(transposed):
        proposals.add(max(proposal(i, j) for i in four_nearest(cosines_of_target)))
    used_sources = set()
    used_targets = set()
    scores = []
    hits = []
    for score, i, j in sorted(proposals, reverse=True):
        if i not in used_sources and j not in used_targets:
            used_sources.add(i)
            used_targets.add(j)
            scores.append(score)
            hits.append(i == j)
    return 100 * fmean(hits), fmean(scores)


def four_nearest(cosines: Sequence[float]) -> list[int]:
    return sorted(range(len(cosines)), key=cosines.__getitem__)[-4:]
