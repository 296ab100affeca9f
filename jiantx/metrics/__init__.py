"""Metrics: pure functions of (predictions, references), on 0–100, equal to the official scorers.

An undefined value (no examples, the correlation of a constant, F1 without any positive) is `math.nan`, never 0.
"""

import math
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Metric = Callable[[Sequence[Any], Sequence[Any]], float]
"""(predictions, references), equally long and in the same order, to a number on 0–100 (correlations: -100–100)."""

_AnyMetric = TypeVar("_AnyMetric", bound=Metric)


def named(name: str) -> Callable[[_AnyMetric], _AnyMetric]:
    """Say under which name a metric is reported, where that is not the function's own.

    >>> @named("f1")
    ... def my_f1(predictions, references): ...
    """

    def decorate(metric: _AnyMetric) -> _AnyMetric:
        metric.metric_name = name  # type: ignore[attr-defined]
        return metric

    return decorate


def metric_name(metric: Metric) -> str:
    """The name under which a metric is reported."""
    name: str = getattr(metric, "metric_name", "") or getattr(
        metric, "__name__", type(metric).__name__
    )
    return name


def _check_lengths(predictions: Sequence[Any], references: Sequence[Any]) -> None:
    if len(predictions) != len(references):
        raise ValueError(
            f"There are {len(predictions)} predictions for {len(references)} references."
        )


# --- Labels ----------------------------------------------------------------------------------------------------------


def accuracy(predictions: Sequence[Any], references: Sequence[Any]) -> float:
    """Share of examples whose label is right; where examples have several labels, whose set of labels is right."""
    _check_lengths(predictions, references)
    if not len(references):
        return math.nan
    right = sum(
        bool(_unordered(p) == _unordered(r)) for p, r in zip(predictions, references, strict=True)
    )
    return 100.0 * right / len(references)


def _unordered(label: Any) -> Any:
    return frozenset(label) if isinstance(label, (tuple, list, set)) else label


@dataclass(frozen=True)
class _F1Of:
    # A value and not a closure, so that tasks which hold it can be compared and pickled.
    positive_label: Any
    metric_name: ClassVar[str] = "f1"

    def __call__(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        return micro_f1(
            [{label} & {self.positive_label} for label in predictions],
            [{label} & {self.positive_label} for label in references],
        )


def f1_of(positive_label: Any) -> Metric:
    """Binary F1 of one label, reported as "f1" (scikit-learn's `f1_score(average="binary")`).

    >>> f1_of("same")(["same", "same", "other"], ["same", "other", "same"])
    50.0
    """
    return _F1Of(positive_label)


def micro_f1(predictions: Sequence[Any], references: Sequence[Any]) -> float:
    """F1 over all (example, label) pairs (scikit-learn's `f1_score(average="micro")`).

    Each prediction and each reference is a set, tuple or list of labels, and may be empty.
    """
    _check_lengths(predictions, references)
    right = predicted = actual = 0
    for prediction, reference in zip(map(set, predictions), map(set, references), strict=True):
        right += len(prediction & reference)
        predicted += len(prediction)
        actual += len(reference)
    return 100.0 * (2 * right / (predicted + actual)) if predicted + actual else math.nan


# --- Numbers ---------------------------------------------------------------------------------------------------------


def pearson(predictions: Sequence[Any], references: Sequence[Any]) -> float:
    """Pearson's correlation of two lists of numbers, times 100 (SciPy's `pearsonr`)."""
    _check_lengths(predictions, references)
    return _correlation(np.asarray(predictions, np.float64), np.asarray(references, np.float64))


def spearman(predictions: Sequence[Any], references: Sequence[Any]) -> float:
    """Spearman's rank correlation, times 100; equal numbers share their mean rank (SciPy's `spearmanr`)."""
    _check_lengths(predictions, references)
    x, y = np.asarray(predictions, np.float64), np.asarray(references, np.float64)
    if np.isnan(x).any() or np.isnan(y).any():  # a NaN has no rank
        return math.nan
    return _correlation(_ranks(x), _ranks(y))


def _correlation(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    if len(x) < 2 or (x == x[0]).all() or (y == y[0]).all() or not np.isfinite([x, y]).all():
        return math.nan
    x, y = x - x.mean(), y - y.mean()
    # Each side is normed first: the product of two small norms could vanish.
    return 100.0 * min(1.0, max(-1.0, float(np.dot(x / np.linalg.norm(x), y / np.linalg.norm(y)))))


def _ranks(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    _, which, counts = np.unique(x, return_inverse=True, return_counts=True)
    ranks: npt.NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[which]
    return ranks


# --- Tags ------------------------------------------------------------------------------------------------------------

Tags = Sequence[Sequence[str]]
"""One list of tags a sentence."""


@named("accuracy")
def token_accuracy(predictions: Tags, references: Tags) -> float:
    """Share of words whose tag is right, over all sentences together; reported as "accuracy"."""
    _check_words(predictions, references)
    total = sum(map(len, references))
    right = sum(
        p == r
        for pair in zip(predictions, references, strict=True)
        for p, r in zip(*pair, strict=True)
    )
    return 100.0 * right / total if total else math.nan


@named("f1")
def chunk_f1(predictions: Tags, references: Tags) -> float:
    """Micro F1 of chunks by the rules of seqeval 0.0.12, which XTREME's scores rest on; reported as "f1".

    On bare tags, as UDPOS has them, the first letter plays the prefix: neighbours with one tag make one chunk, unless
    the tag starts with B, S or E; tags that start with O are outside.
    """
    return chunk_scores(predictions, references).f1


@named("f1")
def chunk_f1_seqeval1(predictions: Tags, references: Tags) -> float:
    """Micro F1 of chunks by the rules of seqeval 1.0 and later; reported as "f1".

    It always takes the first letter for a prefix, so that CCONJ and SCONJ are both of type CONJ, and their confusion
    counts as right. On BIO tags it agrees with `chunk_f1`.
    """
    return chunk_scores(predictions, references, seqeval="1.2.2").f1


class ChunkScores(NamedTuple):
    """Precision, recall and their harmonic mean; all NaN where no side has a chunk."""

    precision: float
    recall: float
    f1: float


def chunk_scores(predictions: Tags, references: Tags, *, seqeval: str = "0.0.12") -> ChunkScores:
    """Precision, recall and F1 of chunks, by the rules of seqeval before 1.0 or since; see `chunk_f1`."""
    _check_words(predictions, references)
    number: dict[str, int] = {"O": 0}
    flat = [
        # Every sentence is followed by an O, which closes its last chunk.
        np.fromiter(
            (number.setdefault(tag, len(number)) for s in side for tag in (*s, "O")), np.int64
        )
        for side in (predictions, references)
    ]
    if "" in number:
        raise ValueError("A tag is empty.")
    prefixes = np.array([tag[0] for tag in number])
    old = seqeval.startswith("0.")
    names = [
        tag.split("-")[-1] if old else tag[1:].split("-", maxsplit=1)[-1] or "_" for tag in number
    ]
    types: dict[str, int] = {}
    type_numbers = np.array([types.setdefault(name, len(types)) for name in names])

    (predicted_end, predicted_start), (actual_end, actual_start) = (
        _chunks(prefixes[s], type_numbers[s]) for s in flat
    )
    same_type = type_numbers[flat[0]] == type_numbers[flat[1]]
    right = int((predicted_end & actual_end & same_type & (predicted_start == actual_start)).sum())
    predicted, actual = int(predicted_end.sum()), int(actual_end.sum())
    if not predicted and not actual:
        return ChunkScores(math.nan, math.nan, math.nan)
    if not right:
        return ChunkScores(0.0, 0.0, 0.0)
    precision, recall = right / predicted, right / actual
    f1 = 2 * precision * recall / (precision + recall)
    return ChunkScores(100.0 * precision, 100.0 * recall, 100.0 * f1)


def _chunks(
    prefix: npt.NDArray[np.str_], type_: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """For each word, whether a chunk ends there, and where the newest chunk began (conlleval's rules)."""
    length = len(prefix)
    outside = (prefix == "O") | (prefix == ".")
    change = np.ones(
        length, np.bool_
    )  # of type, from the word before; the first word has none before it
    change[1:] = type_[1:] != type_[:-1]
    before = np.roll(prefix, 1)
    before[:1] = "O"  # also what stands before the first word

    start = np.isin(prefix, ["B", "S"]) | (
        np.isin(prefix, ["E", "I"]) & np.isin(before, ["E", "S", "O"])
    )
    start |= ~outside & change
    end_before = np.isin(before, ["E", "S"]) | (
        np.isin(before, ["B", "I"]) & np.isin(prefix, ["B", "S", "O"])
    )
    end_before[1:] |= ~outside[:-1] & change[1:]

    end = np.roll(end_before, -1)  # the last word is an O, and no chunk ends at it
    return end, np.maximum.accumulate(np.where(start, np.arange(length), 0))


def _check_words(predictions: Tags, references: Tags) -> None:
    _check_lengths(predictions, references)
    for index, (prediction, reference) in enumerate(zip(predictions, references, strict=True)):
        if len(prediction) != len(reference):
            raise ValueError(
                f"Sentence {index} has {len(reference)} words and {len(prediction)} predicted tags."
            )


# --- Answers ---------------------------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """The best span, and how much likelier than it no answer is (log odds; SQuAD v2's metrics read above 0 as none)."""

    text: str
    no_answer: float = 0.0


class Answers(NamedTuple):
    """The right answers to one question, in the language of its context; without texts it cannot be answered."""

    texts: tuple[str, ...]
    language: str = "en"


@named("exact_match")
def exact_match(predictions: Sequence[Answer], references: Sequence[Answers]) -> float:
    """Share of questions answered word for word, by SQuAD's v1.1 script (English normalisation in every language).

    A question without an answer is right if the prediction is empty, as in the v2 script.
    """
    return _mean(_exact(predictions, references, _squad_normalised))


@named("f1")
def squad_f1(predictions: Sequence[Answer], references: Sequence[Answers]) -> float:
    """Mean F1 of the words of the best-matching answer, by SQuAD's v1.1 script; reported as "f1".

    A question without an answer scores 100 if the prediction is empty and 0 otherwise, as in the v2 script.
    """
    return _mean(_f1(predictions, references, _squad_normalised))


@named("exact")
def squad_v2_exact(predictions: Sequence[Answer], references: Sequence[Answers]) -> float:
    """`exact_match` by SQuAD's v2 script, with no answer where `no_answer` is above 0; reported as "exact".

    Unlike v1.1's, the script drops right answers that are empty once normalised.
    """
    _check_lengths(predictions, references)
    return _mean(_exact(_thresholded(predictions), _nonempty(references), _squad_normalised))


@named("f1")
def squad_v2_f1(predictions: Sequence[Answer], references: Sequence[Answers]) -> float:
    """`squad_f1` by SQuAD's v2 script, with no answer where `no_answer` is above 0; reported as "f1"."""
    _check_lengths(predictions, references)
    return _mean(_f1(_thresholded(predictions), _nonempty(references), _squad_normalised))


def _thresholded(predictions: Sequence[Answer]) -> list[Answer]:
    return [Answer("") if prediction.no_answer > 0 else prediction for prediction in predictions]


@named("best_exact")
def best_exact_match(predictions: Sequence[Answer], references: Sequence[Answers]) -> float:
    """The exact match at the best threshold on `no_answer`, by SQuAD's v2 script; reported as "best_exact".

    Above the threshold the empty answer stands in for the prediction, so predictions should not be emptied already.
    """
    return _best(
        predictions, references, _exact(predictions, _nonempty(references), _squad_normalised)
    )


@named("best_f1")
def best_f1(predictions: Sequence[Answer], references: Sequence[Answers]) -> float:
    """F1 at the best threshold on `no_answer`, by SQuAD's v2 script."""
    return _best(
        predictions, references, _f1(predictions, _nonempty(references), _squad_normalised)
    )


@named("exact_match")
def mlqa_exact_match(predictions: Sequence[Answer], references: Sequence[Answers]) -> float:
    """Exact match by MLQA's script, which normalises by the answer's language; reported as "exact_match"."""
    return _mean(_exact(predictions, references, _mlqa_normalised))


@named("f1")
def mlqa_f1(predictions: Sequence[Answer], references: Sequence[Answers]) -> float:
    """F1 by MLQA's script, which normalises by the answer's language; reported as "f1"."""
    return _mean(_f1(predictions, references, _mlqa_normalised))


_Normalise = Callable[[str, str], str]  # (text, language)


def _exact(
    predictions: Sequence[Answer], references: Sequence[Answers], normalise: _Normalise
) -> list[float]:
    _check_lengths(predictions, references)
    return [
        float(
            any(
                normalise(p.text, r.language) == normalise(text, r.language)
                for text in r.texts or ("",)
            )
        )
        for p, r in zip(predictions, references, strict=True)
    ]


def _f1(
    predictions: Sequence[Answer], references: Sequence[Answers], normalise: _Normalise
) -> list[float]:
    _check_lengths(predictions, references)
    scores = []
    for prediction, reference in zip(predictions, references, strict=True):
        words = normalise(prediction.text, reference.language).split()
        golds = (normalise(text, reference.language).split() for text in reference.texts)
        # The v1.1 script gives an answer without words 0, whatever was predicted.
        scores.append(max((_overlap(words, gold) for gold in golds), default=float(not words)))
    return scores


def _overlap(words: list[str], gold: list[str]) -> float:
    same = sum((Counter(words) & Counter(gold)).values())
    if not same:
        return 0.0
    precision, recall = same / len(words), same / len(gold)
    return 2 * precision * recall / (precision + recall)


def _nonempty(references: Sequence[Answers]) -> list[Answers]:
    return [
        Answers(tuple(text for text in r.texts if _squad_normalised(text)), r.language)
        for r in references
    ]


def _mean(scores: list[float]) -> float:
    return 100.0 * sum(scores) / len(scores) if scores else math.nan


def _best(
    predictions: Sequence[Answer], references: Sequence[Answers], scores: list[float]
) -> float:
    if not scores:
        return math.nan
    # From "no question has an answer" on, one question after the other is answered, the surest first. What that
    # gains is its score, or, if it has no answer, the point that it loses. As in the script, a cut may fall between
    # questions of equal `no_answer`.
    gains = [
        score if reference.texts else -float(bool(prediction.text))
        for score, prediction, reference in zip(scores, predictions, references, strict=True)
    ]
    surest_first = np.argsort([prediction.no_answer for prediction in predictions], kind="stable")
    unanswerable = float(sum(not reference.texts for reference in references))
    totals = np.cumsum([unanswerable, *np.asarray(gains)[surest_first]])
    return 100.0 * float(totals.max()) / len(scores)


# MLQA's articles. Its Arabic pattern takes the letters out of any word, and its Hindi and Chinese have none.
_ARTICLES = {
    "ar": re.compile("ال"),
    "de": re.compile(r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "en": re.compile(r"\b(a|an|the)\b"),
    "es": re.compile(r"\b(un|una|unos|unas|el|la|los|las)\b"),
    "hi": None,
    "vi": re.compile(r"\b(của|là|cái|chiếc|những)\b"),
    "zh": None,
}
_HAN = re.compile("([\u4e00-\u9fa5])")
_ASCII_PUNCTUATION = frozenset(string.punctuation)


@cache
def _is_punctuation(character: str) -> bool:
    return character in _ASCII_PUNCTUATION or unicodedata.category(character).startswith("P")


def _normalised(
    text: str,
    is_punctuation: Callable[[str], bool],
    articles: re.Pattern[str] | None,
    split_han: bool = False,
) -> str:
    text = "".join(character for character in text.lower() if not is_punctuation(character))
    if articles:
        text = articles.sub(" ", text)
    if split_han:
        text = _HAN.sub(r" \1 ", text)
    return " ".join(text.split())


def _squad_normalised(text: str, language: str = "en") -> str:
    # English for all languages: so do the scores published for XQuAD and TyDiQA.
    return _normalised(text, _ASCII_PUNCTUATION.__contains__, _ARTICLES["en"])


def _mlqa_normalised(text: str, language: str) -> str:
    if language not in _ARTICLES:
        raise ValueError(
            f"MLQA's script has no rules for the language {language!r}. It has: {', '.join(_ARTICLES)}."
        )
    return _normalised(text, _is_punctuation, _ARTICLES[language], split_han=language == "zh")


# --- Rankings --------------------------------------------------------------------------------------------------------

Rankings = Sequence[Sequence[str]]
"""For each query the ids of candidates, the best first; as references, the ids of those that are relevant."""


@named("accuracy")
def accuracy_at_1(predictions: Rankings, references: Rankings) -> float:
    """Share of queries whose first candidate is relevant; reported as "accuracy"."""
    _check_lengths(predictions, references)
    return _mean(
        [
            float(ranking[0] in relevant)
            for ranking, relevant in zip(predictions, references, strict=True)
        ]
    )


@named("map@20")
def mean_average_precision(predictions: Rankings, references: Rankings) -> float:
    """Mean average precision of the first 20 candidates, by LAReQA's script; reported as "map@20".

    A query's average precision is divided by the number of its relevant candidates, or by 20 where there are more.
    Queries without any are left out.
    """
    _check_lengths(predictions, references)
    return _mean(
        [_precision(p[:20], set(r)) for p, r in zip(predictions, references, strict=True) if r]
    )


def _precision(ranking: Sequence[str], relevant: set[str]) -> float:
    found = [place for place, candidate in enumerate(ranking, 1) if candidate in relevant]
    return sum(number / place for number, place in enumerate(found, 1)) / min(len(relevant), 20)


@named("mrr@20")
def mean_reciprocal_rank(predictions: Rankings, references: Rankings) -> float:
    """Mean of 1 / rank of the first relevant candidate, 0 if it is not among the first 20; reported as "mrr@20"."""
    _check_lengths(predictions, references)
    pairs = zip(predictions, references, strict=True)
    ranks = [
        next((place for place, id in enumerate(ranking[:20], 1) if id in gold), 0)
        for ranking, gold in pairs
    ]
    return _mean([1 / rank if rank else 0.0 for rank in ranks])


@named("f1")
def mined_f1(predictions: Rankings, references: Rankings) -> float:
    """F1 of mined pairs, as BUCC's: a query has at most one candidate, and may have none that is relevant."""
    right, predicted, actual = _pairs(predictions, references)
    return 100.0 * (2 * right / (predicted + actual)) if predicted + actual else math.nan


@named("precision")
def mined_precision(predictions: Rankings, references: Rankings) -> float:
    """Share of the mined pairs that are right; 0 where none is mined."""
    right, predicted, actual = _pairs(predictions, references)
    return 100.0 * right / max(predicted, 1) if predicted + actual else math.nan


@named("recall")
def mined_recall(predictions: Rankings, references: Rankings) -> float:
    """Share of the gold pairs that are mined."""
    right, _, actual = _pairs(predictions, references)
    return 100.0 * right / actual if actual else math.nan


def _pairs(predictions: Rankings, references: Rankings) -> tuple[int, int, int]:
    _check_lengths(predictions, references)
    right = sum(len(set(p) & set(r)) for p, r in zip(predictions, references, strict=True))
    return right, sum(map(len, predictions)), sum(len(set(r)) for r in references)


def best_threshold(
    scores: npt.ArrayLike, is_gold: npt.ArrayLike, total_gold: int
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
