"""The three sentences claim what intervals allow, and no more."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from recipe_fixtures import score

import jiantx as jx
from jiantx.experiments.conclusions import conclude, repeated_training_sentence
from jiantx.tasks import get_task

Values = Mapping[str, tuple[float, ...]]  # row -> score of each seed


def say(xnli: Values, pawsx: Values, failed: tuple[tuple[str, str], ...] = ()) -> list[str]:
    records = []
    for task, values in (("xnli", xnli), ("pawsx", pawsx)):
        for row, scores in values.items():
            for seed, value in enumerate(scores, start=1):
                records.append(score(row, seed, value, task, language="de"))
    report = jx.Report(records)
    baseline = report.where(intermediate="none")
    return conclude(report.compare(baseline), report.compare(baseline, by="language"), failed)


def test_the_best_row_and_where_it_helps_and_hurts() -> None:
    best, where, undecided = say(
        {"none": (70, 70, 70), "mnli": (75, 75.1, 74.9), "qqp": (70.1, 71, 69)},
        {"none": (80, 80, 80), "mnli": (79, 79.1, 78.9), "qqp": (80, 80, 80)},
    )
    assert best.startswith(
        "**Shown to be better than `none` on average**: `mnli` (+2.0 ± 0.2 points)"
    )
    assert "the average of 2 targets" in best and "95 % intervals over 3 seeds" in best
    assert "**help** is shown for xnli after `mnli` (+5.0 ± 0.2); " in where
    assert "**harm** is shown for pawsx after `mnli` (-1.0 ± 0.2)." in where
    assert "2 of 4 differences by target and 1 of 2 differences by language" in undecided


def test_the_seeds_of_an_average_are_those_that_it_has() -> None:
    xnli = {"none": (70.0, 70.0, 70.0), "mnli": (75.0, 75.5, 76.0)}
    best, _, _ = say(xnli, {"none": (80.0, 80.0), "mnli": (85.0, 85.5)})
    assert "95 % intervals over 2 seeds" in best


def test_nothing_is_claimed_of_targets_that_no_run_learned() -> None:
    values = {"none": (34.0, 35.0, 36.0), "mnli": (45.0, 46.1, 47.0)}
    records = []
    for task, shift in (("xnli", 0.0), ("pawsx", 20.0)):
        for row, scores in values.items():
            for seed, value in enumerate(scores, start=1):
                records.append(score(row, seed, value + shift, task, language="de"))
    report = jx.Report(records)
    baseline = report.where(intermediate="none")
    tables = (report.compare(baseline), report.compare(baseline, by="language"))
    (only,) = conclude(*tables, {("mnli", "xnli")}, [("mnli", "xnli")])
    assert "**No row is judged on average**" in only
    assert "since no run learned after the row or after `none`: xnli after `mnli`." in only


def test_an_interval_that_includes_zero_is_no_effect() -> None:
    values = {"none": (70.0, 70.0, 70.0), "mnli": (75.0, 60.0, 80.0)}
    best, where, _ = say(values, values)
    assert best.startswith("**No row is shown to be better than `none` on average**")
    assert where.count("no row is shown to help or to hurt") == 2


def test_a_higher_mean_that_is_not_shown_is_named() -> None:
    values = {"none": (70.0, 70.0, 70.0), "mnli": (70.4, 70.5, 70.6), "qqp": (78.0, 73.0, 77.5)}
    best, _, _ = say(values, values)
    assert best.startswith("**Shown to be better than `none` on average**: `mnli` (+0.5 ± 0.2")
    assert "The mean of `qqp` (+6.2 ± 6.8 points) is higher, but not shown." in best


def test_a_row_that_is_worse_is_said_to_be() -> None:
    values = {"none": (70.0, 70.0, 70.0), "mnli": (60.0, 60.1, 59.9)}
    best, where, _ = say(values, values, (("mnli", "xnli"),))
    assert "Shown to be worse: `mnli` (-10.0 ± 0.2 points)." in best
    assert "no help is shown; **harm** is shown for xnli after `mnli` (-10.0 ± 0.2 ‡)" in where


def test_one_seed_shows_no_effect() -> None:
    sentences = say({"none": (70,), "mnli": (90,)}, {"none": (80,), "mnli": (80,)})
    assert sentences[0].startswith("**No effect is shown.**")
    assert "differs from `none` by +10.0 points, which may be chance" in sentences[1]
    assert "--seeds 3" in sentences[2]


def test_without_a_row_to_compare_nothing_is_said() -> None:
    assert say({"none": (70,)}, {"none": (80,)}) == ["No row can be compared with `none` yet."]


@pytest.mark.parametrize(("row", "is_repeated"), [("mnli", True), ("qqp", False)])
def test_training_twice_on_the_same_rows_is_named(row: str, is_repeated: bool) -> None:
    scores = [score("none", seed, 70.0) for seed in (1, 2)]
    scores += [score(row, seed, 75.0 + seed / 100) for seed in (1, 2)]
    report = jx.Report(scores)
    compared = report.compare(report.where(intermediate="none"))
    sentence = repeated_training_sentence(compared, [get_task("xnli")], ())
    assert ("xnli after `mnli`" in sentence) == is_repeated
