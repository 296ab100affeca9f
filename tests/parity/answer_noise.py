"""Answers to questions as models get them wrong, with seeded noise."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from jiantx.metrics import Answer, Answers

from .comparison import Sample

WORDS = "the A an der eine los của những القاهرة ال एक 北京 手机 cat U.S. 3,000".split()
MARKS = [*".!“”«、。।،-—'_$€°", "\u0301", "\u00a0", "\t", ""]


def noisy_answers(rng: random.Random, questions: Sequence[Any]) -> Sample:
    """Predict a right answer or a stretch of the context, changed up to three times."""
    all_have_answers = all(question.answers for question in questions)
    predictions = []
    references = []
    for question in questions:
        text = rng.choice(question.answers) if question.answers else ""
        if not question.answers or rng.random() < 0.1:
            start = rng.randrange(len(question.context))
            text = question.context[start : start + rng.randint(1, 40)]
        for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
            text = change(rng, text, question.context)
        # higher where there is no answer, and rounded, so that questions tie
        mean_no_answer = -1.0 if question.answers else 1.0
        no_answer = round(rng.gauss(mean_no_answer, 1.5), 1)
        predictions.append(Answer(text, 0.0 if all_have_answers else no_answer))
        references.append(Answers(tuple(question.answers), question.language))
    return Sample(predictions, references)


def change(rng: random.Random, text: str, context: str) -> str:
    """Make an answer too long or too short, shift it, decorate it, or empty it."""
    tokens = text.split() or [""]
    start = max(0, context.find(text))
    extra = rng.randint(1, 12)
    changes: list[Callable[[], str]] = [
        lambda: " ".join(tokens[1:]),
        lambda: " ".join(tokens[:-1]),
        lambda: text[rng.randint(0, 3) :],
        lambda: text[: -rng.randint(1, 3)],
        lambda: context[max(0, start - extra) : start + len(text)],
        lambda: context[start : start + len(text) + extra],
        lambda: context[start + extra : start + extra + len(text)],
        lambda: rng.choice((text.upper(), text.title(), text.swapcase())),
        lambda: f"{rng.choice(WORDS)} {text}",
        lambda: rng.choice(MARKS).join(text.partition(" ")[::2]),
        lambda: f"{rng.choice(MARKS)}{text}{rng.choice(MARKS)}",
        lambda: f"{text} {rng.choice(tokens)}",
        lambda: "",
    ]
    return rng.choice(changes)()


def made_up_answers(rng: random.Random, count: int, language: str) -> Sample:
    """Words, articles and marks in any order.

    Some right answers are empty once normalised, and some questions have no answer.
    """
    predictions = []
    references = []
    for _ in range(count):
        gold_texts = tuple(made_up_text(rng) for _ in range(rng.choice((0, 1, 1, 2, 4))))
        takes_gold = bool(gold_texts) and rng.random() < 0.6
        text = rng.choice(gold_texts) if takes_gold else made_up_text(rng)
        if rng.random() < 0.5:
            text = change(rng, text, " ".join(gold_texts))
        predictions.append(Answer(text, float(rng.randint(-3, 3))))
        references.append(Answers(gold_texts, language))
    return Sample(predictions, references)


def made_up_text(rng: random.Random) -> str:
    text = ""
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        text += rng.choice(WORDS) + rng.choice((" ", " ", *MARKS))
    return text
