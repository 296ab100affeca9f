"""Scores of answers to questions, as SQuAD's and MLQA's scripts compute them."""

import math
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from jiantx.metrics.base import check_lengths, mean_percent, named


class Answer(NamedTuple):
    """The best span, and how much likelier than it no answer is (log odds; SQuAD v2's metrics read
    above 0 as none).
    """

    text: str
    no_answer: float = 0.0


class Answers(NamedTuple):
    """The right answers to one question, in the language of its context; without texts it cannot be
    answered.
    """

    texts: tuple[str, ...]
    language: str = "en"


@named("exact_match")
def exact_match(predictions: Sequence[Answer], references: Sequence[Answers]) -> float:
    """Share of questions answered word for word, by SQuAD's v1.1 script (English normalisation in
    every language).

    A question without an answer is right if the prediction is empty, as in the v2 script.

    Args:
        predictions: (questions,) answers.
        references: (questions,) right answers.

    Returns:
        0–100, or NaN if there are no questions.
    """
    return mean_percent(_exact(predictions, references, _squad_normalise))


@named("f1")
def squad_f1(predictions: Sequence[Answer], references: Sequence[Answers]) -> float:
    """Mean F1 of the words of the best-matching answer, by SQuAD's v1.1 script; reported as "f1".

    A question without an answer scores 100 if the prediction is empty and 0 otherwise, as in the v2
    script.

    Args:
        predictions: (questions,) answers.
        references: (questions,) right answers.

    Returns:
        0–100, or NaN if there are no questions.
    """
    return mean_percent(_f1(predictions, references, _squad_normalise))


@named("exact")
def squad_v2_exact(predictions: Sequence[Answer], references: Sequence[Answers]) -> float:
    """`exact_match` by SQuAD's v2 script, with no answer where `no_answer` is above 0; reported as
    "exact".

    Unlike v1.1's, the script drops right answers that are empty once normalised.

    Args:
        predictions: (questions,) answers.
        references: (questions,) right answers.

    Returns:
        0–100, or NaN if there are no questions.
    """
    check_lengths(predictions, references)
    return mean_percent(_exact(_thresholded(predictions), _nonempty(references), _squad_normalise))


@named("f1")
def squad_v2_f1(predictions: Sequence[Answer], references: Sequence[Answers]) -> float:
    """`squad_f1` by SQuAD's v2 script, with no answer where `no_answer` is above 0; reported as
    "f1".

    Args:
        predictions: (questions,) answers.
        references: (questions,) right answers.

    Returns:
        0–100, or NaN if there are no questions.
    """
    check_lengths(predictions, references)
    return mean_percent(_f1(_thresholded(predictions), _nonempty(references), _squad_normalise))


def _thresholded(predictions: Sequence[Answer]) -> list[Answer]:
    return [Answer("") if prediction.no_answer > 0 else prediction for prediction in predictions]


@named("best_exact")
def best_exact_match(predictions: Sequence[Answer], references: Sequence[Answers]) -> float:
    """The exact match at the best threshold on `no_answer`, by SQuAD's v2 script; reported as
    "best_exact".

    Above the threshold the empty answer stands in for the prediction, so predictions should not be
    emptied already.

    Args:
        predictions: (questions,) answers.
        references: (questions,) right answers.

    Returns:
        0–100, or NaN if there are no questions.
    """
    return _best(
        predictions, references, _exact(predictions, _nonempty(references), _squad_normalise)
    )


@named("best_f1")
def best_f1(predictions: Sequence[Answer], references: Sequence[Answers]) -> float:
    """F1 at the best threshold on `no_answer`, by SQuAD's v2 script.

    Args:
        predictions: (questions,) answers.
        references: (questions,) right answers.

    Returns:
        0–100, or NaN if there are no questions.
    """
    return _best(predictions, references, _f1(predictions, _nonempty(references), _squad_normalise))


@named("exact_match")
def mlqa_exact_match(predictions: Sequence[Answer], references: Sequence[Answers]) -> float:
    """Exact match by MLQA's script, which normalises by the answer's language; reported as
    "exact_match".

    Args:
        predictions: (questions,) answers.
        references: (questions,) right answers.

    Returns:
        0–100, or NaN if there are no questions.
    """
    return mean_percent(_exact(predictions, references, _mlqa_normalise))


@named("f1")
def mlqa_f1(predictions: Sequence[Answer], references: Sequence[Answers]) -> float:
    """F1 by MLQA's script, which normalises by the answer's language; reported as "f1".

    Args:
        predictions: (questions,) answers.
        references: (questions,) right answers.

    Returns:
        0–100, or NaN if there are no questions.
    """
    return mean_percent(_f1(predictions, references, _mlqa_normalise))


_Normalise = Callable[[str, str], str]  # (text, language)


def _exact(
    predictions: Sequence[Answer], references: Sequence[Answers], normalise: _Normalise
) -> list[float]:
    """(questions,) 1 if the prediction is one of the right answers, else 0."""
    check_lengths(predictions, references)
    scores = []
    for prediction, reference in zip(predictions, references, strict=True):
        language = reference.language
        gold_texts = {normalise(text, language) for text in reference.texts or ("",)}
        scores.append(float(normalise(prediction.text, language) in gold_texts))
    return scores


def _f1(
    predictions: Sequence[Answer], references: Sequence[Answers], normalise: _Normalise
) -> list[float]:
    """(questions,) F1 of the words of the best-matching right answer."""
    check_lengths(predictions, references)
    scores = []
    for prediction, reference in zip(predictions, references, strict=True):
        predicted_words = normalise(prediction.text, reference.language).split()
        gold_words = (normalise(text, reference.language).split() for text in reference.texts)
        # The v1.1 script gives an answer without words 0, whatever was predicted.
        f1s = (_word_f1(predicted_words, gold) for gold in gold_words)
        scores.append(max(f1s, default=float(not predicted_words)))
    return scores


def _word_f1(predicted_words: list[str], gold_words: list[str]) -> float:
    common = sum((Counter(predicted_words) & Counter(gold_words)).values())
    if not common:
        return 0.0
    precision = common / len(predicted_words)
    recall = common / len(gold_words)
    return 2 * precision * recall / (precision + recall)


def _nonempty(references: Sequence[Answers]) -> list[Answers]:
    """The right answers without those that are empty once normalised."""
    nonempty = []
    for reference in references:
        texts = tuple(text for text in reference.texts if _squad_normalise(text))
        nonempty.append(Answers(texts, reference.language))
    return nonempty


def _best(
    predictions: Sequence[Answer], references: Sequence[Answers], scores: list[float]
) -> float:
    """The mean of the scores at the best threshold on `no_answer`, times 100.

    From "no question has an answer" on, one question after the other is answered, the surest first.
    That gains its score, or, if it has no answer, loses its point. As in the script, a cut may fall
    between questions of equal `no_answer`.
    """
    if not scores:
        return math.nan
    gains = [
        score if reference.texts else -float(bool(prediction.text))
        for score, prediction, reference in zip(scores, predictions, references, strict=True)
    ]
    surest_first = np.argsort([prediction.no_answer for prediction in predictions], kind="stable")
    unanswerable = float(sum(not reference.texts for reference in references))
    totals = np.cumsum([unanswerable, *np.asarray(gains)[surest_first]])
    return 100.0 * float(totals.max()) / len(scores)


# MLQA's articles. Its Arabic pattern takes the letters out of any word, and its Hindi and Chinese
# have none.
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


def _normalise(
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


def _squad_normalise(text: str, language: str = "en") -> str:
    # English for all languages: so do the scores published for XQuAD and TyDiQA.
    return _normalise(text, _ASCII_PUNCTUATION.__contains__, _ARTICLES["en"])


def _mlqa_normalise(text: str, language: str) -> str:
    if language not in _ARTICLES:
        raise ValueError(
            f"MLQA's script has no rules for the language {language!r}. "
            f"It has: {', '.join(_ARTICLES)}."
        )
    return _normalise(text, _is_punctuation, _ARTICLES[language], split_han=language == "zh")
