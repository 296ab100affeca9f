"""Counts of labels in reports: what is counted, added up, saved, and missing."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import ModelOf
from sklearn import metrics as sklearn_metrics

import jiantx as jx
from jiantx.metrics import chunk_f1, token_accuracy
from jiantx.metrics.counts import ClassCounts
from jiantx.report import MAIN, LabelCounts, Report
from jiantx.report.confusion import MOST_LABELS


def counts(
    language: str = "en", cells: dict[tuple[str, str], int] | None = None, **tags: Any
) -> LabelCounts:
    cells = cells or {("no", "no"): 2, ("no", "yes"): 1, ("yes", "yes"): 3}
    classes = {"no": ClassCounts(2, 2, 3), "yes": ClassCounts(3, 4, 3)}
    return LabelCounts("mood", "test", language, 6, ("no", "yes"), cells, classes, tags)


@pytest.fixture(scope="module")
def report(model_of: ModelOf, tiny_tasks) -> Report:
    tasks = list(tiny_tasks.values())
    return jx.evaluate(model_of(tasks), tasks)


def test_counts_are_those_of_the_predictions(model_of: ModelOf, tiny_tasks) -> None:
    task = tiny_tasks["classification"]
    model = model_of([task])
    report = jx.evaluate(model, task)
    table = report.confusion(task, "de").to_pandas()
    rows = list(task.rows("validation", "de"))
    predicted = [p.label for p in jx.predict(model, task, rows, language="de")]
    gold = [row["label"] for row in rows]
    expected = sklearn_metrics.confusion_matrix(gold, predicted, labels=task.labels)
    assert table.to_numpy().tolist() == expected.tolist()
    assert list(table.index) == list(table.columns) == list(task.labels)
    accuracy = report.where(metric="accuracy", language="de").records[0].value
    assert accuracy == pytest.approx(100 * table.to_numpy().trace() / len(rows))
    every = sum(report.confusion("mood", code).to_pandas() for code in ("en", "de", "zh"))
    assert report.confusion("mood").to_pandas().equals(every)
    classes = report.per_class(task, "de").to_pandas()
    options: dict[str, Any] = {"labels": task.labels, "zero_division": math.nan}
    expected = sklearn_metrics.precision_recall_fscore_support(gold, predicted, **options)
    for name, column in zip(("precision", "recall", "f1"), expected[:3], strict=True):
        assert classes[name].to_numpy() == pytest.approx(100 * column, nan_ok=True)
    assert classes["support"].tolist() == expected[3].tolist()


def test_tags_are_counted_by_word_and_entities_by_type(report: Report, tiny_tasks) -> None:
    word_count = sum(len(row["tokens"]) for row in tiny_tasks["tagging"].rows("validation"))
    assert report.confusion("entities").to_pandas().to_numpy().sum() == word_count
    table = report.per_class("entities")
    assert table.noun == "type" and list(table.classes) == ["X"]
    f1 = report.where(task="entities", metric="f1").records[0].value
    assert table.to_pandas().loc["X", "f1"] == pytest.approx(f1)


def test_tags_that_no_chunk_metric_reads_are_classes_themselves(
    model_of: ModelOf, tiny_tasks
) -> None:
    task = tiny_tasks["tagging"].replace(metrics=(token_accuracy,), main_metrics=())
    assert chunk_f1 not in task.metrics
    table = jx.evaluate(model_of([task]), task).per_class(task)
    assert table.noun == "label" and list(table.classes) == ["O", "B-X"]


def test_several_labels_have_classes_and_no_confusion(report: Report) -> None:
    assert list(report.per_class("topics").classes) == ["big", "new", "old"]
    assert report.per_class("edges").classes["never"].actual == 0
    with pytest.raises(ValueError, match="topics may have several labels"):
        report.confusion("topics")


@pytest.mark.parametrize("task", ["stars", "answers", "choices", "pairing", "lines", "nonsense"])
def test_what_has_no_labels_has_no_counts(task: str, report: Report) -> None:
    with pytest.raises(ValueError, match=f"no label counts of '{task}'.*older version"):
        report.confusion(task)


def test_many_labels_are_not_counted(model_of: ModelOf) -> None:
    rows = [{"text": "the cat", "label": "l0"}]
    labels = tuple(f"l{i}" for i in range(MOST_LABELS + 1))
    task = jx.Classification(name="many", source=jx.Rows({"validation": rows}), labels=labels)
    assert jx.evaluate(model_of([task]), task).label_counts == []


def test_counts_survive_files_and_old_files_are_read(report: Report, tmp_path: Path) -> None:
    report.with_tags(seed=1).to_json(tmp_path / "a.json")
    back = Report.from_json(tmp_path / "a.json")
    written = {one.key: one for one in report.with_tags(seed=1).label_counts}
    assert {one.key: one for one in back.label_counts} == written
    assert len(back) == len(report)
    back.to_json(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    records = json.loads((tmp_path / "a.json").read_text())
    for record in records:  # other programs read a list of scores
        assert {"task", "split", "language", "metric", "value", "examples", "seed"} <= set(record)
    without = [record for record in records if record["metric"] != "confusion"]
    (tmp_path / "old.json").write_text(json.dumps(without))
    with pytest.raises(ValueError, match="no label counts of 'mood'"):
        Report.from_json(tmp_path / "old.json").confusion("mood")


@pytest.mark.parametrize(
    "damage",
    [
        {"cells": [[0, 9, 1]]},
        {"cells": [[0, 0, math.inf]]},
        {"cells": [[0, -1, 1]]},
        {"labels": None},
        {"labels": [["no"], "yes"]},
        {"classes": {"no": [1]}},
    ],
)
def test_damaged_counts_are_named(damage: dict[str, Any], tmp_path: Path) -> None:
    record = json.loads(counts().to_json_line())
    record["counts"] |= damage
    (tmp_path / "a.json").write_text(json.dumps([record]))
    with pytest.raises(ValueError, match=r"a\.json: the label counts of 'mood' are damaged"):
        Report.from_json(tmp_path / "a.json")


def test_seeds_are_added_up_and_runs_are_not() -> None:
    report = Report((), [counts(seed=1), counts(seed=2)])
    assert report.confusion("mood").counts == ((4, 2), (0, 6))
    assert report.where(seed=2, metric=MAIN).confusion("mood").counts == ((2, 1), (0, 3))
    assert "sum of 2 seeds" in report.confusion("mood").title
    assert report.per_class("mood").classes["no"] == ClassCounts(4, 4, 6)
    other = report + Report((), [counts(seed=1, intermediate="mnli")])
    with pytest.raises(ValueError, match=r"label counts of 2 runs: .*intermediate=mnli"):
        other.confusion("mood")
    assert other.where(intermediate="mnli").confusion("mood").counts == ((2, 1), (0, 3))
    with pytest.raises(ValueError, match=r"in sw\. It has: en"):
        report.confusion("mood", ["en", "sw"])
    assert len((report + report).label_counts) == 2
    with pytest.raises(
        ValueError, match="Two different label counts are of mood, test, en, seed=1"
    ):
        report + Report((), [counts(seed=1, cells={("no", "no"): 6})])


def test_the_tables_and_the_picture(tmp_path: Path) -> None:
    report = Report((), [counts(cells={("no", "no"): 2, ("no", "(none)"): 1, ("yes", "yes"): 3})])
    confusion = report.confusion("mood", "en")
    assert confusion.to_markdown().splitlines()[2:5] == [
        "| gold \\ predicted | no | yes | (none) |",
        "| --- | ---: | ---: | ---: |",
        "| no | 2 | 0 | 1 |",
    ]
    confusion.to_csv(tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines()[1] == "no,2,0,1"
    never = Report(
        (),
        [LabelCounts("a", "test", "en", 1, ("x",), {("x", "x"): 0}, {"x": ClassCounts(0, 0, 1)})],
    )
    assert "| x | – | 0.0 | 0.0 | 1 |" in never.per_class("a").to_markdown()
    pytest.importorskip("matplotlib")
    figure = confusion.plot(tmp_path / "a.png")
    texts = Counter(text.get_text() for text in figure.axes[0].texts)
    assert texts["2"] == texts["3"] == 1 and texts["0"] == 3
    assert (tmp_path / "a.png").stat().st_size > 0
