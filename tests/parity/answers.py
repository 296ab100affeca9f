"""Answers to questions, beside the rules of SQuAD's and MLQA's scripts, restated in slow loops."""

from __future__ import annotations

import random
import string
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from jiantx import metrics
from jiantx.metrics import Answer, Answers

from .answer_noise import made_up_answers, noisy_answers
from .comparison import Comparison, Sample, Scorer, compare
from .gold import examples_by_language

SQUAD = ("exact_match", "squad_f1")
SQUAD_V2 = ("squad_v2_exact", "squad_v2_f1", "best_exact_match", "best_f1")
MLQA = ("mlqa_exact_match", "mlqa_f1")
# Of MLQA's script. In Arabic its rule is not about words: the two letters go wherever they stand.
ARTICLES: dict[str, list[str]] = {
    "ar": [],
    "de": "ein eine einen einem eines einer der die das den dem des".split(),
    "en": "a an the".split(),
    "es": "un una unos unas el la los las".split(),
    "hi": [],
    "vi": "của là cái chiếc những".split(),
    "zh": [],
}


def comparisons(rng: random.Random) -> Iterator[Comparison]:
    xquad = noisy_task(rng, "xquad")
    mlqa_languages = [sample for sample in xquad if sample.references[0].language in ARTICLES]
    made_up = [made_up_answers(rng, 1000, language) for language in ARTICLES]
    yield from answer_comparisons("squad_v1", noisy_task(rng, "squad_v1"), SQUAD)
    yield from answer_comparisons("xquad", xquad, SQUAD)
    yield from answer_comparisons("squad_v2", noisy_task(rng, "squad_v2"), SQUAD_V2)
    yield from answer_comparisons("mlqa", noisy_task(rng, "mlqa"), MLQA)
    yield from answer_comparisons("xquad, languages of MLQA", mlqa_languages, MLQA)
    yield from answer_comparisons("odd answers, made up", made_up, (*SQUAD, *SQUAD_V2, *MLQA))


def noisy_task(rng: random.Random, task_name: str) -> list[Sample]:
    return [noisy_answers(rng, examples) for examples in examples_by_language(task_name)]


def answer_comparisons(
    data: str, samples: Sequence[Sample], names: Sequence[str]
) -> Iterator[Comparison]:
    languages = ", ".join(sample.references[0].language for sample in samples)
    for name in names:
        yield compare(
            name,
            f"{data}: {languages}",
            samples,
            getattr(metrics, name),
            RESTATED[name],
            "plain loop of the script's rules",
        )


# --- normalisation --------------------------------------------------------------------------------

Normalise = Callable[[str, str], list[str]]
"""(text, language) -> the words that count."""


def squad_words(text: str, language: str = "en") -> list[str]:
    """SQuAD's: lower case, no ASCII punctuation, no English article, words between white space."""
    letters = (character for character in text.lower() if character not in string.punctuation)
    return without_articles("".join(letters), ARTICLES["en"]).split()


def mlqa_words(text: str, language: str) -> list[str]:
    """MLQA's: no punctuation, no article of the language; in Chinese, each character is a word."""
    unpunctuated = ""
    for character in text.lower():
        if character not in string.punctuation and unicodedata.category(character)[0] != "P":
            unpunctuated += character
    if language == "ar":
        return unpunctuated.replace("ال", " ").split()
    text = without_articles(unpunctuated, ARTICLES[language])
    if language == "zh":
        text = "".join(f" {c} " if "\u4e00" <= c <= "\u9fa5" else c for c in text)
    return text.split()


def without_articles(text: str, articles: Sequence[str]) -> str:
    """A space for every article.

    A word is a run of letters and digits, so that “a” is an article in “a€”.
    """
    pieces = []
    word = ""
    for character in text + " ":
        if character.isalnum() or character == "_":
            word += character
            continue
        pieces.append(" " if word in articles else word)
        pieces.append(character)
        word = ""
    return "".join(pieces)


# --- one question ---------------------------------------------------------------------------------

QuestionScorer = Callable[[str, Sequence[str], str, Normalise], float]
"""(predicted text, right answers, language, normalisation) -> a score between 0 and 1."""


def restated_exact(
    text: str, gold_texts: Sequence[str], language: str, normalise: Normalise
) -> float:
    predicted = normalise(text, language)
    return float(any(predicted == normalise(gold, language) for gold in gold_texts))


def restated_f1(text: str, gold_texts: Sequence[str], language: str, normalise: Normalise) -> float:
    """The best over the right answers; nothing in common is 0, also where both are empty."""
    predicted = normalise(text, language)
    best = 0.0
    for gold_text in gold_texts:
        gold = normalise(gold_text, language)
        unmatched = list(gold)
        common = 0
        for word in predicted:
            if word in unmatched:
                unmatched.remove(word)
                common += 1
        if common:
            precision = common / len(predicted)
            recall = common / len(gold)
            best = max(best, 2 * precision * recall / (precision + recall))
    return best


def restated_v2(
    score: QuestionScorer, text: str, gold_texts: Sequence[str], language: str
) -> float:
    """Version 2: right answers that are empty once normalised do not count.

    A question without any other has no answer, and only an empty prediction is right.
    """
    nonempty = [gold for gold in gold_texts if squad_words(gold, language)]
    if not nonempty:
        return float(not squad_words(text, language))
    return score(text, nonempty, language, squad_words)


# --- all questions --------------------------------------------------------------------------------


def given_text(prediction: Answer) -> str:
    """What the scripts' files hold of a prediction: log odds above 0 mean no answer."""
    return "" if prediction.no_answer > 0 else prediction.text


def restated_mean(
    score: QuestionScorer,
    normalise: Normalise,
    predictions: Sequence[Answer],
    references: Sequence[Answers],
) -> float:
    """Version 1.1, and MLQA's. Questions without an answer are scored as in version 2."""
    total = 0.0
    for prediction, (gold_texts, language) in zip(predictions, references, strict=True):
        text = given_text(prediction)
        if gold_texts:
            total += score(text, gold_texts, language, normalise)
        else:
            total += not normalise(text, language)
    return 100 * total / len(references)


def restated_v2_mean(
    score: QuestionScorer, predictions: Sequence[Answer], references: Sequence[Answers]
) -> float:
    """Version 2."""
    total = 0.0
    for prediction, (gold_texts, language) in zip(predictions, references, strict=True):
        total += restated_v2(score, given_text(prediction), gold_texts, language)
    return 100 * total / len(references)


def restated_best(
    score: QuestionScorer, predictions: Sequence[Answer], references: Sequence[Answers]
) -> float:
    """The best of all cuts into answered and unanswered questions, each added up afresh.

    Questions are sorted by `no_answer`. An unanswered one is right if it has no answer. An answered
    one that has none is right only if the prediction is empty.
    """
    pairs = sorted(zip(predictions, references, strict=True), key=lambda pair: pair[0].no_answer)
    answered_scores = []
    unanswered_scores = []
    for prediction, (gold_texts, language) in pairs:
        if gold_texts:
            answered_scores.append(restated_v2(score, prediction.text, gold_texts, language))
        else:
            answered_scores.append(float(not prediction.text))
        unanswered_scores.append(float(not gold_texts))
    best = 0.0
    for cut in range(len(pairs) + 1):
        best = max(best, sum(answered_scores[:cut]) + sum(unanswered_scores[cut:]))
    return 100 * best / len(pairs)


RESTATED: dict[str, Scorer] = {
    "exact_match": partial(restated_mean, restated_exact, squad_words),
    "squad_f1": partial(restated_mean, restated_f1, squad_words),
    "squad_v2_exact": partial(restated_v2_mean, restated_exact),
    "squad_v2_f1": partial(restated_v2_mean, restated_f1),
    "best_exact_match": partial(restated_best, restated_exact),
    "best_f1": partial(restated_best, restated_f1),
    "mlqa_exact_match": partial(restated_mean, restated_exact, mlqa_words),
    "mlqa_f1": partial(restated_mean, restated_f1, mlqa_words),
}
