"""Metrics of groups, and metrics of all examples reported by named group."""

from __future__ import annotations

import functools
import math
from typing import Any

import pytest

import jiantx as jx
from jiantx.features import Features
from jiantx.grouping import named_group_indices, row_groups
from jiantx.layer_sweeps import _read_the_same
from jiantx.metrics import (
    accuracy,
    gender_parity,
    group_exact_match,
    group_f1_of,
    grouped,
    matthews,
    named,
    takes_groups,
)
from jiantx.report import MAIN
from jiantx.scoring import score_values

ROWS = [
    {"text": "a", "label": "yes", "question": 1},
    {"text": "b", "label": "no", "question": 1},
    {"text": "c", "label": "yes", "question": 2},
    {"text": "d", "label": "no", "question": 3},
]
GOLD = ["yes", "no", "yes", "no"]


def task_of(rows: list[dict[str, Any]] = ROWS, **fields: Any) -> jx.Classification:
    declared = {"metrics": (accuracy, group_exact_match), "group": "question", **fields}
    source = jx.Rows({"validation": rows})
    return jx.Classification(name="mine", source=source, labels=("no", "yes"), **declared)


def kinds(row: dict[str, Any]) -> Any:
    """One name, several of which one is repeated, none."""
    return {"a": "when", "b": ["when", "how long", "when"], "c": ""}.get(row["text"])


def scores(task: jx.Task, predictions: list[str]) -> dict[str, float]:
    rows = task.rows("validation")
    return {
        score.metric: score.value
        for score in score_values(task, "validation", "en", rows, predictions, GOLD)
    }


def test_a_metric_sees_the_groups_of_the_rows() -> None:
    values = scores(task_of(ROWS), ["yes", "yes", "yes", "no"])
    assert values == {
        "accuracy": 75.0,
        "exact_match": pytest.approx(200 / 3),
        MAIN: pytest.approx((75 + 200 / 3) / 2),
    }


def test_a_function_of_the_row_may_name_the_group() -> None:
    task = task_of(ROWS, group=lambda row: (row["label"], row["question"] > 1))
    groups = row_groups(task, task.rows("validation"), "validation", "en")
    assert groups == [("yes", False), ("no", False), ("yes", True), ("no", True)]


def test_rows_in_no_group_do_not_count() -> None:
    rows = [{**row, "question": None if row["text"] == "a" else 1} for row in ROWS]
    assert scores(task_of(rows), ["no", "no", "yes", "no"])["exact_match"] == 100.0


def test_named_groups_are_reported_apart_and_in_no_mean() -> None:
    task = task_of(ROWS, named_groups=kinds)
    rows = task.rows("validation")
    assert named_group_indices(task, rows, "validation", "en") == {"when": [0, 1], "how long": [1]}
    records = score_values(task, "validation", "en", rows, ["yes", "yes", "yes", "no"], GOLD)
    examples = {score.metric: score.examples for score in records}
    values = {score.metric: score.value for score in records}
    assert values[MAIN] == scores(task_of(ROWS), ["yes", "yes", "yes", "no"])[MAIN]
    assert values["accuracy[when]"] == 50.0 and values["exact_match[when]"] == 0.0
    assert (examples["accuracy[when]"], examples["accuracy[how long]"], examples[MAIN]) == (2, 1, 4)
    report = jx.Report(records)
    assert report.mean() == values[MAIN] and report.cells() == {("mine", "en"): values[MAIN]}


def test_a_score_that_is_undefined_in_a_group_is_nan() -> None:
    task = task_of(ROWS, metrics=(matthews,), group=None, named_groups="label")
    values = scores(task, ["yes", "no", "no", "no"])
    assert math.isnan(values["matthews[yes]"]) and not math.isnan(values[MAIN])


def test_the_report_shows_groups_as_a_table() -> None:
    task = task_of(ROWS, named_groups=kinds)
    rows = task.rows("validation")
    report = jx.Report()
    for seed, predictions in enumerate((["yes"] * 4, ["yes", "no", "yes", "yes"])):
        records = score_values(task, "validation", "en", rows, predictions, GOLD)
        report += jx.Report(records).with_tags(seed=seed)
    tables = report.by_group()
    assert tables.scores["mine, validation, en"]["when"]["accuracy"] == 75.0
    assert tables.examples == {"mine, validation, en": {"all": 4, "when": 2, "how long": 1}}
    assert str(tables).splitlines()[4:] == [
        "| all | 4 | 62.5 | 50.0 |",
        "| when | 2 | 75.0 | 50.0 |",
        "| how long | 1 | 50.0 | 50.0 |",
    ]
    with pytest.raises(ValueError, match="No score here is of a named group"):
        jx.Report([record for record in report if "[" not in record.metric]).by_group()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"group": "nothing"}, r"row 0: .*'nothing'"),
        ({"group": lambda row: [row["question"]]}, r"row 0: the group is \[1\]; expected a text"),
        ({"named_groups": "question"}, r"row 0: .*1"),
        ({"named_groups": lambda row: [7]}, r"row 0: the named groups are \[7\]"),
        (
            {"named_groups": lambda row: "all"},
            r"row 0: .* not 'all', which is the line of all rows",
        ),
    ],
)
def test_bad_groups_are_errors_that_name_the_row(fields: Any, message: str) -> None:
    with pytest.raises(
        jx.DataError, match=f"Task mine, split 'validation', language 'en', {message}"
    ):
        scores(task_of(ROWS, **fields), GOLD)


def test_a_metric_of_groups_needs_a_group() -> None:
    for metric in (group_exact_match, named("em")(group_exact_match), group_f1_of("yes")):
        with pytest.raises(ValueError, match=r"Task mine: the metric .* Give `group`: a column"):
            task_of(group=None, metrics=(metric,))


def test_metrics_keep_their_mark_under_another_name() -> None:
    @grouped
    @named("mine")
    def by_two(predictions: Any, references: Any, groups: Any, size: int = 2) -> float:
        return float(size)

    for metric in (by_two, named("other")(by_two), functools.partial(by_two, size=3)):
        assert takes_groups(metric)
    assert not takes_groups(accuracy) and not takes_groups(named("other")(accuracy))
    task = task_of(ROWS, metrics=(functools.partial(by_two, size=3),))
    assert scores(task, GOLD)["mine"] == 3.0


def test_a_metric_cannot_have_the_name_of_a_group() -> None:
    with pytest.raises(ValueError, match="brackets enclose the name of a group"):
        task_of(metrics=(named("accuracy[x]")(accuracy),))


def test_rows_of_a_group_are_scored_together() -> None:
    """A recipe that scores a sample of the rows must not break groups."""
    assert not task_of().has_independent_rows
    assert task_of(group=None, metrics=(accuracy,), named_groups=kinds).has_independent_rows


def test_some_rows_have_their_own_groups() -> None:
    """Rows are chosen, and examples are made again from them: groups come from the same rows."""
    task = task_of(ROWS)
    rows = task.rows("validation").select([3, 0, 1])
    features = Features(task, "validation", "en", rows, rows, 0)
    assert [example.text for example in features.examples()] == ["d", "a", "b"]
    assert row_groups(task, features.rows, "validation", "en") == [3, 1, 1]


def test_groups_tell_retrieval_tasks_of_a_layer_sweep_apart() -> None:
    one = jx.Retrieval(name="one", source=jx.Rows({}), named_groups="a")
    assert _read_the_same(one, one.replace(name="two", layer=3))
    assert not _read_the_same(one, one.replace(name="two", named_groups="b"))


# --- the metrics of groups ------------------------------------------------------------------------

GROUPS = [1, 1, 2, 2]


def test_exact_match_of_groups() -> None:
    assert group_exact_match(["a", "b", "a", "a"], ["a", "b", "a", "b"], GROUPS) == 50.0
    assert math.isnan(group_exact_match([], [], []))
    with pytest.raises(ValueError, match="There are 1 groups for 2 references"):
        group_exact_match(["a", "a"], ["a", "a"], [1])


@pytest.mark.parametrize(
    ("predictions", "references", "score"),
    [
        (["yes", "yes"], ["yes", "no"], 200 / 3),
        (["no", "no"], ["no", "no"], 100.0),  # precision and recall are both 1
        (["no", "no"], ["yes", "no"], 0.0),  # a precision of 1, and nothing of what is right
        (["yes", "no"], ["no", "no"], 0.0),
    ],
)
def test_f1_of_groups(predictions: Any, references: Any, score: float) -> None:
    assert group_f1_of("yes")(predictions, references, [1, 1]) == pytest.approx(score)  # type: ignore[call-arg]


def test_gender_parity_reads_no_label() -> None:
    assert gender_parity(["a", "a", "a", "b"], ["b", "b", "a", "a"], GROUPS) == 50.0
    assert gender_parity(["a", "a", "a"], ["b", "b", "a"], [1, 1, 2]) == 100.0, "no pair"
    assert math.isnan(gender_parity(["a"], ["a"], [1]))


def test_records_of_a_recipe_do_not_count_as_examples() -> None:
    scores = [("main_score", 3000), ("accuracy", 3000), ("accuracy[neg]", 30), ("development", 500)]
    report = jx.Report(
        jx.Score("mood", "validation", "en", metric, 60.0, examples) for metric, examples in scores
    )
    (counts,) = report.by_group().examples.values()
    assert counts == {"all": 3000, "neg": 30}
