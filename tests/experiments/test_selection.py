"""Failed runs are excluded, and the best row of each target is chosen on validation scores."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from recipe_fixtures import score

import jiantx as jx
from jiantx.experiments import CHANCE, DEVELOPMENT
from jiantx.experiments.selection import failed_cells, unchecked_targets
from jiantx.experiments.training import majority_class_score
from jiantx.report import MAIN
from jiantx.tasks import get_task

RUNS = {("none", 1): 70.0, ("none", 2): 36.0, ("mnli", 1): 34.0, ("mnli", 2): 33.0}


@pytest.fixture
def report() -> jx.Report:
    """Scores of runs whose majority class has 33 %; XNLI is fine-tuned on MNLI, UDPOS on itself."""
    records = []
    for (row, seed), value in RUNS.items():
        records.append(score(row, seed, value, "mnli", DEVELOPMENT))
        records.append(score(row, seed, 33.0, "mnli", CHANCE))
        records.append(score(row, seed, value))
        records.append(score(row, seed, value / 2, "udpos"))
    return jx.Report(records)


@pytest.fixture
def targets() -> list[jx.Task]:
    return [get_task("xnli"), get_task("udpos")]


def runs(report: jx.Report) -> list[tuple[str | int, str | int]]:
    return [(record.tags["intermediate"], record.tags["seed"]) for record in report]


def test_runs_that_are_not_significantly_above_the_majority_class_failed(
    report: jx.Report,
) -> None:
    failed = {("none", 2): ["mnli"], ("mnli", 1): ["mnli"], ("mnli", 2): ["mnli"]}
    assert jx.experiments.failed_runs(report) == failed


def test_main_scores_alone_do_not_tell_which_runs_failed(
    report: jx.Report, targets: list[jx.Task]
) -> None:
    main_scores = report.where(metric=MAIN)
    assert list(jx.experiments.without_failed(main_scores, targets)) == list(main_scores)


def test_failed_seeds_are_excluded_unless_all_seeds_of_the_row_failed(
    report: jx.Report, targets: list[jx.Task]
) -> None:
    remaining = jx.experiments.without_failed(report, targets).where(metric=MAIN, task="xnli")
    assert list(jx.experiments.without_failed(report)) == list(
        jx.experiments.without_failed(report, targets)
    )
    assert runs(remaining) == [("none", 1), ("mnli", 1), ("mnli", 2)]


def test_a_failed_seed_stays_while_the_other_seeds_are_not_done(report: jx.Report) -> None:
    seed = {"intermediate": "mnli", "seed": 2}
    done = jx.Report(record for record in report if record.tags != seed)
    remaining = jx.experiments.without_failed(done, [get_task("xnli")])
    assert runs(remaining.where(metric=MAIN, task="xnli", intermediate="mnli")) == [("mnli", 1)]


def test_an_undefined_score_is_a_failure_and_never_the_best(report: jx.Report) -> None:
    """Predictions that are all alike have no correlation with the labels."""
    undefined = [
        score("qqp", 1, math.nan, "mnli", DEVELOPMENT),
        score("qqp", 1, 33.0, "mnli", CHANCE),
    ]
    report += jx.Report(undefined)
    assert jx.experiments.failed_runs(report)["qqp", 1] == ["mnli"]
    for specs in (("qqp", "none"), ("none", "qqp")):
        values = {"qqp": math.nan, "none": 10.0}
        records = [score(row, 1, values[row], "mnli", DEVELOPMENT) for row in specs]
        targets = [get_task("xnli")]
        assert jx.experiments.best_rows(jx.Report(records), targets) == {"xnli": "none"}


def test_targets_that_nothing_checked_are_named() -> None:
    records = [score("none", 1, 70.0, name) for name in ("xnli", "xquad", "tatoeba")]
    records.append(score("none", 1, 70.0, "mnli", DEVELOPMENT))
    targets = [get_task(name) for name in ("xnli", "xquad", "tatoeba", "pawsx")]
    # xnli is trained on mnli; tatoeba is not trained, and pawsx is not scored
    assert unchecked_targets(jx.Report(records), targets) == ["xquad"]


def test_failed_seeds_choose_no_row() -> None:
    """The tables leave them out, and the choice must agree with the tables."""
    records = []
    for row, values in {"none": (70.0, 70.5, 71.0), "qqp": (75.0, 75.5, 33.0)}.items():
        for seed, value in enumerate(values, start=1):
            records.append(score(row, seed, value, "mnli", DEVELOPMENT))
            records.append(score(row, seed, 33.0, "mnli", CHANCE))
    assert jx.experiments.best_rows(jx.Report(records), [get_task("xnli")]) == {"xnli": "qqp"}


def test_the_majority_class_is_a_label() -> None:
    rows = [{"premise": "p", "hypothesis": "h", "label": label} for label in ("neutral", "", "")]
    task = get_task("xnli").replace(source=jx.Rows({"validation": rows}))
    with pytest.raises(jx.DataError, match="row 1: The row has no gold"):
        majority_class_score(task, "en")


def test_the_majority_class_is_scored_by_the_tasks_own_metric() -> None:
    rows = [{"text": "a", "label": label} for label in (*"xxxxxxxx", "y", "z")]
    task = jx.Classification("mine", jx.Rows({"validation": rows}), labels=("x", "y", "z"))
    assert majority_class_score(task, "en") == pytest.approx(80)
    f1 = task.replace(metrics=("macro_f1", "accuracy"), main_metrics=("macro_f1",))
    assert majority_class_score(f1, "en") == pytest.approx(100 * (2 * 8 / 18) / 3)
    correlation = task.replace(metrics=("matthews",))
    assert majority_class_score(correlation, "en") == 0
    several = task.replace(source=jx.Rows({"validation": [{"text": "a", "label": ["x"]}]}))
    assert majority_class_score(several.replace(multi_label=True), "en") == 0


def test_best_rows_are_chosen_on_validation_scores() -> None:
    validation = {"none": 60, "mnli": 65, "qqp": 62}
    test = {"none": 80, "mnli": 70, "qqp": 90}
    squad = {"none": 50, "mnli": 55, "qqp": 40}
    one_set = ("xquad", "tatoeba", "tydiqa")  # their validation and test split are the same set
    records = []
    for row, validation_score in validation.items():
        records.append(score(row, 1, validation_score))
        records.append(score(row, 1, test[row], split="test"))
        records.append(score(row, 1, squad[row], "squad_v1", DEVELOPMENT))
        records.append(score(row, 1, test[row], "tydiqa", DEVELOPMENT))
        for name in one_set:
            records.append(score(row, 1, test[row], name))
            records.append(score(row, 1, test[row], name, split="test"))
    targets = [get_task(name) for name in ("xnli", "xquad", "tatoeba")]
    targets.append(get_task("tydiqa").replace(source=jx.Rows({"train": [{}]})))
    best = jx.experiments.best_rows(jx.Report(records), targets)
    assert best == dict.fromkeys(("xnli", "xquad", "tatoeba", "tydiqa"), "mnli")


def test_a_report_is_read_where_its_data_are_not(
    report: jx.Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("rows are looked for")

    monkeypatch.setattr(jx.Hub, "available", refuse)
    records = [score("none", 1, 50.0, "pawsx"), score("none", 1, 50.0, "pawsx", DEVELOPMENT)]
    records.append(score("none", 1, 55.0, "pawsx", CHANCE))
    cells = failed_cells(report + jx.Report(records), [get_task("pawsx"), get_task("panx")])
    assert cells == {("none", "pawsx"): ({1}, {1})}


def test_targets_that_the_registry_does_not_know_have_to_be_given(report: jx.Report) -> None:
    mine = get_task("xnli").replace(train_on=("snli",))
    renamed = jx.Report(
        replace(record, task="snli") if record.task == "mnli" else record for record in report
    )
    assert len(jx.experiments.without_failed(renamed, [mine])) < len(renamed)
    with pytest.raises(LookupError, match=r"the fine-tuning 'snli'.*give the targets"):
        jx.experiments.without_failed(renamed)
    unregistered = jx.Report([*report, score("none", 1, 50.0, "not_registered")])
    with pytest.raises(LookupError, match="'not_registered' of the report is not registered"):
        jx.experiments.without_failed(unregistered)


def test_judged_scores_leave_out_what_no_run_learned(report: jx.Report) -> None:
    records = list(report)
    for row in ("none", "mnli"):
        records.append(score(row, 1, 1.0, "xquad"))
        records.append(score(row, 1, 0.0, "squad_v1", DEVELOPMENT))
        records.append(score(row, 1, 0.0, "squad_v1", CHANCE))
    # a row whose targets are not done yet decides nothing
    records.append(score("qqp", 1, 3.0, "qqp", "truncated"))
    judged = jx.experiments.judged_scores(jx.Report(records))
    assert {record.task for record in judged} == {"xnli", "udpos"}
    assert list(judged.where(task="xnli")) == list(
        jx.experiments.without_failed(report).where(task="xnli")
    )
