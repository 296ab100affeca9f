"""Metrics of answers equal the rules of SQuAD's and MLQA's scripts, restated."""

from __future__ import annotations

import random

import pytest

from jiantx import metrics

from . import answers
from .answer_noise import made_up_answers
from .comparison import TOLERANCE, differing


@pytest.mark.slow
@pytest.mark.usefixtures("gold")
def test_answers_equal_the_restated_rules() -> None:
    comparisons = list(answers.comparisons(random.Random(0)))
    assert len(comparisons) == 20
    assert not differing(comparisons)


@pytest.mark.parametrize("name", answers.RESTATED)
@pytest.mark.parametrize("language", answers.ARTICLES)
def test_made_up_answers_equal_the_restated_rules(name: str, language: str) -> None:
    sample = made_up_answers(random.Random(language), 150, language)
    score = getattr(metrics, name)(*sample)
    assert 5 < score < 95  # if it were trivial, the comparison would say little
    assert answers.RESTATED[name](*sample) == pytest.approx(score, abs=TOLERANCE)
