"""Metrics of tags equal scikit-learn, seqeval, and seqeval's rules restated."""

from __future__ import annotations

import random

import pytest

from jiantx import metrics

from . import seqeval_versions, tagging
from .comparison import TOLERANCE, differing
from .gold import references_by_language
from .seqeval_versions import DEFAULT_FOLDER, NEW, OLD


@pytest.mark.slow
@pytest.mark.usefixtures("gold")
def test_tags_equal_scikit_learn_and_the_restated_rules() -> None:
    rows = list(tagging.comparisons(random.Random(0), {OLD: None, NEW: None}))
    computed = [row for row in rows if row.computed_by in ("scikit-learn", "plain loop")]
    assert len(computed) == 9
    assert not differing(computed)


@pytest.mark.slow
@pytest.mark.usefixtures("gold")
@pytest.mark.parametrize("version", [OLD, NEW])
def test_chunk_scores_equal_seqeval(version: str) -> None:
    folder = seqeval_versions.find(DEFAULT_FOLDER, version)
    if folder is None:
        pytest.skip(f"seqeval {version} is not installed; `python -m tests.parity` downloads it")
    rows = list(tagging.comparisons(random.Random(0), {OLD: None, NEW: None, version: folder}))
    computed = [row for row in rows if row.computed_by == f"seqeval {version}"]
    assert len(computed) == 9
    assert not differing(computed)


@pytest.mark.parametrize("version", [OLD, NEW])
def test_chunks_of_made_up_tags_equal_the_restated_rules(version: str) -> None:
    sample = tagging.made_up_tags(random.Random(0), 300)
    score = tagging.CHUNK_F1[version](*sample, scheme="seqeval")
    assert 5 < score < 95  # if it were trivial, the comparison would say little
    restated = tagging.restated_chunk_f1(version, *sample)
    assert restated == pytest.approx(score, abs=TOLERANCE)


def test_accuracy_of_made_up_tags_equals_scikit_learn() -> None:
    sample = tagging.made_up_tags(random.Random(0), 300)
    accuracy = tagging.sklearn_word_accuracy(*sample)
    assert accuracy == pytest.approx(metrics.token_accuracy(*sample), abs=TOLERANCE)


@pytest.mark.usefixtures("gold")
def test_confused_conjunctions_cost_nothing_since_seqeval_1() -> None:
    """Nothing but CCONJ and SCONJ is wrong, and the later version sees next to no mistake."""
    for gold_tags in references_by_language("udpos"):
        swapped = [[tagging.SWAPPED.get(tag, tag) for tag in sentence] for sentence in gold_tags]
        official = metrics.chunk_f1(swapped, gold_tags)
        accuracy = metrics.token_accuracy(swapped, gold_tags)
        assert official < accuracy < metrics.chunk_f1_seqeval1(swapped, gold_tags)


@pytest.mark.usefixtures("gold")
def test_udpos_table_has_two_rows_per_language() -> None:
    header, ruler, *rows = tagging.udpos_table(random.Random(1))
    assert len(rows) == 2 * len(references_by_language("udpos"))
    assert {row.count("|") for row in (header, ruler, *rows)} == {8}
    assert all("swapped" in row for row in rows[1::2])


def test_udpos_row_counts_confused_conjunctions() -> None:
    gold_tags = [["CCONJ", "NOUN"], ["SCONJ", "NOUN"]]
    predictions = [["SCONJ", "NOUN"], ["SCONJ", "VERB"]]
    row = tagging.udpos_row("en", predictions, gold_tags)
    assert row == "| en | 4 | 50.00 | 75.00 | 25.00 | 50.00 | 1 of 2 |"
