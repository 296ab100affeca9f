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
    """A predicted answer to one question.

    Args:
        text: The best span of the context.
        no_answer: Log odds of "no answer" against the best span. Where they are above 0, metrics
            score the empty answer; `best_exact_match` and `best_f1` choose their own threshold.
    """

    text: str
    no_answer: float = 0.0


class Answers(NamedTuple):
    """The right answers to one question.

    Args:
        texts: Empty if the context does not answer the question.
        language: Language of the context. MLQA's normalisation depends on it.
    """

    texts: tuple[str, ...]
    language: str = "en"


@named("exact_match")
def exact_match(predictions: Sequence[Answer], references: Sequence[Answers]) -> float:
    """Share of questions whose normalised prediction is a right answer, by SQuAD's v1.1 script.

    Texts of every language are normalised as English. A question without an answer counts as right
    if the prediction is empty, as in the v2 script.

    >>> exact_match([Answer("The cat!"), Answer("a dog")], [Answers(("cat",)), Answers(("cat",))])
    50.0

    Args:
        predictions: (questions,) answers.
        references: (questions,) right answers.

    Returns:
        0–100, or NaN if there are no questions.
    """
    check_lengths(predictions, references)
    return mean_percent(_exact(_thresholded(predictions), references, _squad_normalise))


@named("f1")
def squad_f1(predictions: Sequence[Answer], references: Sequence[Answers]) -> float:
    """Mean F1 of words, by SQuAD's v1.1 script; reported as "f1".

    A question is scored with the best-matching of its right answers. A question without an answer
    scores 100 if the prediction is empty and 0 otherwise, as in the v2 script.

    Args:
        predictions: (questions,) answers.
        references: (questions,) right answers.

    Returns:
        0–100, or NaN if there are no questions.
    """
    check_lengths(predictions, references)
    return mean_percent(_f1(_thresholded(predictions), references, _squad_normalise))


@named("exact")
def squad_v2_exact(predictions: Sequence[Answer], references: Sequence[Answers]) -> float:
    """Exact match by SQuAD's v2 script; reported as "exact".

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
    """Mean F1 of words, by SQuAD's v2 script; reported as "f1".

    Unlike v1.1's, the script drops right answers that are empty once normalised.

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
    """Exact match at the best threshold on `no_answer`, by SQuAD's v2 script.

    Reported as "best_exact". Predictions with a `no_answer` above the threshold count as empty, so
    pass every prediction with its text.

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
    """Mean F1 of words at the best threshold on `no_answer`, by SQuAD's v2 script.

    Predictions with a `no_answer` above the threshold count as empty, so pass every prediction with
    its text. The threshold may differ from that of `best_exact_match`.

    Args:
        predictions: (questions,) answers.
        references: (questions,) right answers.

    Returns:
        0–100, or NaN if there are no questions.
    """
    return _best(predictions, references, _f1(predictions, _nonempty(references), _squad_normalise))


@named("exact_match")
def mlqa_exact_match(predictions: Sequence[Answer], references: Sequence[Answers]) -> float:
    """Exact match by MLQA's script; reported as "exact_match".

    The script normalises texts by the rules of the context's language.

    Args:
        predictions: (questions,) answers.
        references: (questions,) right answers.

    Returns:
        0–100, or NaN if there are no questions.

    Raises:
        ValueError: The script has no rules for a language.
    """
    check_lengths(predictions, references)
    return mean_percent(_exact(_thresholded(predictions), references, _mlqa_normalise))


@named("f1")
def mlqa_f1(predictions: Sequence[Answer], references: Sequence[Answers]) -> float:
    """Mean F1 of words, by MLQA's script; reported as "f1".

    The script normalises texts by the rules of the context's language.

    Args:
        predictions: (questions,) answers.
        references: (questions,) right answers.

    Returns:
        0–100, or NaN if there are no questions.

    Raises:
        ValueError: The script has no rules for a language.
    """
    check_lengths(predictions, references)
    return mean_percent(_f1(_thresholded(predictions), references, _mlqa_normalise))


_Normalise = Callable[[str, str], str]  # (text, language) -> normalised text


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
    """100 times the mean score at the best threshold on `no_answer`.

    1. If every prediction counts as empty, each question without an answer scores 1.
    2. Take predictions at their text one after the other, the surest first. A question that has
       answers gains its score; a question that has none loses its point unless the text is empty.
    3. The result is the best total on the way. As in the script, it may lie between two questions
       of equal `no_answer`.

    Args:
        predictions: (questions,) answers.
        references: (questions,) right answers.
        scores: (questions,) scores from 0 to 1 of the predictions' texts.
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
    # Published scores of XQuAD and TyDiQA use the English rules for all languages.
    return _normalise(text, _ASCII_PUNCTUATION.__contains__, _ARTICLES["en"])


def _mlqa_normalise(text: str, language: str) -> str:
    if language not in _ARTICLES:
        raise ValueError(
            f"MLQA's script has no rules for the language {language!r}. "
            f"It has: {', '.join(_ARTICLES)}."
        )
    return _normalise(text, _is_punctuation, _ARTICLES[language], split_han=language == "zh")
