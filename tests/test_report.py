"""Reports: scores, averages, tables and files, worked out by hand."""

import json
import math
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest

from jiantx.report import MAIN, Benchmark, Report, Score


def score(task, language, value, metric=MAIN, split="validation", examples=10, **tags):
    return Score(task, split, language, metric, value, examples, tags)


def two_runs():
    """Two runs, two seeds, two tasks, of which one has two languages."""
    values = {
        "none": {1: (50, 40, 70), 2: (52, 44, 74)},
        "mnli": {1: (55, 45, 69), 2: (58, 48, 73)},
    }
    records = []
    for run, seeds in values.items():
        for seed, (en, sw, qa) in seeds.items():
            tags = {"intermediate": run, "seed": seed}
            records += [
                score("xnli", "en", en, **tags),
                score("xnli", "en", en, metric="accuracy", **tags),
                score("xnli", "sw", sw, **tags),
                score("xquad", "en", qa, **tags),
            ]
    return Report(records)


@pytest.fixture
def grid():
    return two_runs()


# --- Scores ---------------------------------------------------------------------------------------


def test_scores_hold_plain_numbers():
    from_numpy = score("a", "en", np.float32(0.5), examples=np.int64(3))
    assert type(from_numpy.value) is float
    assert type(from_numpy.examples) is int
    assert hash(from_numpy) == hash(score("a", "en", 0.5, examples=3))


def test_tags_are_checked():
    with pytest.raises(ValueError, match="cannot be named 'task'"):
        Score("a", "test", "en", MAIN, 1.0, 1, {"task": "b"})
    with pytest.raises(TypeError, match=r"'rate' is 0\.5"):
        score("a", "en", 1.0, rate=0.5)


# --- Merging and choosing -------------------------------------------------------------------------


def test_adding_keeps_one_of_equal_scores():
    report = Report([score("a", "en", 1.0, seed=1), score("a", "en", math.nan, seed=2)])
    assert len(report + report) == 2
    longer = report + Report([score("a", "en", 3.0, seed=3)])
    assert [record.tags["seed"] for record in longer] == [1, 2, 3]


@pytest.mark.parametrize("other", [{"value": 2.0}, {"value": 1.0, "examples": 11}])
def test_adding_refuses_two_values(other):
    with pytest.raises(ValueError, match=r"Two values.*main_score of a, validation, en, seed=1"):
        Report([score("a", "en", 1.0, seed=1)]) + Report([score("a", "en", seed=1, **other)])


def test_where(grid):
    assert len(grid.where(task="xnli", metric=MAIN)) == 8
    swahili_or_german = grid.where(language=["sw", "de"])
    assert {record.language for record in swahili_or_german} == {"sw"}
    assert len(grid.where(intermediate="mnli", seed={1, 3})) == 4
    assert not grid.where(seed="1").records
    with pytest.raises(ValueError, match=r"'sed'.*task.*intermediate, seed"):
        grid.where(sed=1)


def test_with_tags_refuses_to_merge_different_scores(grid):
    with pytest.raises(ValueError, match="Two values for one score"):
        grid.with_tags(seed=7)


def test_with_tags_replaces_and_adds():
    tagged = Report([score("a", "en", 1.0, seed=1)]).with_tags(seed=2, encoder="xlmr")
    assert tagged.records == [score("a", "en", 1.0, seed=2, encoder="xlmr")]


# --- Averages -------------------------------------------------------------------------------------


def test_mean_is_over_seeds_then_languages_then_tasks(grid):
    none = grid.where(intermediate="none")
    assert none.cells() == {("xnli", "en"): 51.0, ("xnli", "sw"): 42.0, ("xquad", "en"): 72.0}
    assert none.mean() == fmean([46.5, 72.0])
    assert none.mean(by="task") == {"xnli": 46.5, "xquad": 72.0}
    with pytest.warns(UserWarning, match="sw has no xquad"):
        assert none.mean(by="language") == {"en": 61.5, "sw": 42.0}
    assert grid.mean(by="intermediate") == {"none": 59.25, "mnli": fmean([51.5, 71.0])}


def test_a_mean_that_includes_an_undefined_score_is_undefined():
    """Left out, an undefined score would raise the mean: here from below 10 to 10."""
    other_metric = score("b", "en", 99.0, metric="f1")
    report = Report([score("a", "en", 10.0), score("a", "de", math.nan), other_metric])
    assert math.isnan(report.mean())
    assert report.mean(by="language") == pytest.approx({"en": 10.0, "de": math.nan}, nan_ok=True)
    assert report.where(language="en").mean() == 10.0
    seeds = Report([score("a", "en", 10.0, seed=1), score("a", "en", math.nan, seed=2)])
    assert math.isnan(seeds.mean()) and math.isnan(seeds.cells()["a", "en"])
    assert seeds.mean(by="seed") == pytest.approx({1: 10.0, 2: math.nan}, nan_ok=True)
    assert math.isnan(Report().mean())
    assert Report().mean(by="task") == {}


def test_averages_over_different_scores_come_with_a_warning(grid):
    with pytest.warns(UserWarning, match=r"by 'language' .*: sw has no xquad\. Choose"):
        grid.where(intermediate="none").mean(by="language")
    lacking = Report([r for r in grid if r.tags["intermediate"] == "none" or r.task == "xnli"])
    with pytest.warns(UserWarning, match=r"by 'intermediate' .*: mnli has no xquad/en\. Choose"):
        lacking.mean(by="intermediate")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        none = grid.where(intermediate="none")
        none.mean(by="task")
        none.mean(by="seed")
        grid.mean(by="intermediate")
        none.where(task="xnli").mean(by="language")


@pytest.mark.parametrize(
    "groups",
    [
        {"a": {"a": ("en",), "b": ("en",)}},
        {"g": {"all": ("en",)}},
        {"all": {"a": ("en",)}},
        {"g": {"a": ("en",)}, "h": {"a": ("de",)}},
    ],
)
def test_columns_of_a_benchmark_have_different_names(groups):
    """A group with the name of a task replaced the task's score by the group's."""
    with pytest.raises(ValueError, match="names several of its columns"):
        Benchmark("mine", groups)


@pytest.mark.parametrize(
    "tag", ["encoder", "version", "eval_rows", "layer", "layers", "intermediate"]
)
def test_mean_refuses_to_mix(tag):
    report = Report([score("a", "en", 1.0, **{tag: "x"}), score("a", "en", 3.0, **{tag: "y"})])
    with pytest.raises(ValueError, match=rf"{tag!r} \(x, y\) have no common average"):
        report.mean()
    assert report.mean(by=tag) == {"x": 1.0, "y": 3.0}


def test_mean_refuses_to_mix_splits():
    report = Report(
        [score("a", "en", 1.0, split="validation"), score("a", "en", 3.0, split="test")]
    )
    with pytest.raises(ValueError, match="two splits of 'a'"):
        report.mean()
    assert report.mean(by="split") == {"validation": 1.0, "test": 3.0}


# --- Tables ---------------------------------------------------------------------------------------


def test_report_in_markdown(grid):
    assert grid.where(intermediate="none").to_markdown().splitlines() == [
        "**intermediate=none, mean of 2 seeds**",
        "",
        "| task | en | sw | mean |",
        "| --- | ---: | ---: | ---: |",
        "| xnli | 51.0 | 42.0 | 46.5 |",
        "| xquad | 72.0 | – | 72.0 |",
        "| **mean** | 61.5 | 42.0 † | 59.2 |",
        "",
        "`†` a mean over fewer scores than others have, not comparable with them: "
        "sw without xquad.",
    ]
    assert grid.to_markdown().count("| task |") == 2
    with_bar = Report([score("a|b", "en", 10.0)])
    assert with_bar.to_markdown() == "| task | en |\n| --- | ---: |\n| a\\|b | 10.0 |\n"
    assert Report().to_markdown() == "No scores.\n"


def test_undefined_scores_are_dashes_and_so_are_their_means():
    report = Report([score("a", "en", 10.0), score("a", "de", 20.0), score("b", "en", math.nan)])
    lines = report.to_markdown().splitlines()
    assert lines[2:5] == [
        "| a | 10.0 | 20.0 | 15.0 |",
        "| b | – | – | – |",
        "| **mean** | – | 20.0 † | – |",
    ]
    assert lines[-1] == "No mean, since a score is undefined: b (en)."
    mine = Benchmark("mine", {"all_tasks": {"a": ("en", "de"), "b": ("en",)}})
    board = report.benchmark(mine).to_markdown()
    assert "Missing in report: b (all languages)." in board and "15.0" in board


def test_report_of_two_splits_in_markdown():
    report = Report([score("a", "en", 1.0), score("a", "en", 3.0, split="test")])
    table = report.to_markdown()
    assert "| a (validation) | 1.0 |\n| a (test) | 3.0 |\n" in table
    assert "mean" not in table


def test_repr(grid):
    assert repr(grid) == "<Report: 16 scores, 2 tasks, 2 languages>"


# --- Files ----------------------------------------------------------------------------------------


def test_json_round_trip(grid, tmp_path):
    report = grid + Report([score("stsb", "en", math.nan), score("中文", "zh", 100)])
    report.to_json(tmp_path / "a.json")
    back = Report.from_json(tmp_path / "a.json")
    assert len(back + report) == len(report)  # adding raises if two scores differ
    assert back.mean(by="intermediate") == pytest.approx(
        report.mean(by="intermediate"), nan_ok=True
    )
    Report(reversed(report.records)).to_json(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (tmp_path / "a.json").read_bytes().endswith(b"]\n")
    assert "NaN" not in (tmp_path / "a.json").read_text()
    assert sorted(os.listdir(tmp_path)) == ["a.json", "b.json"]
    assert json.loads((tmp_path / "a.json").read_text())[1]["seed"] == 1


def test_an_empty_report_can_be_saved(tmp_path):
    Report().to_json(tmp_path / "a.json")
    assert Report.from_json(tmp_path / "a.json").records == []


def test_an_infinite_score_is_refused():
    """It could not be written as JSON, after all was computed."""
    with pytest.raises(ValueError, match="main_score of a, en: inf is no score"):
        score("a", "en", math.inf)


def test_gaps_over_different_scores_are_said():
    """A row that has a task more looked worse, in English and elsewhere."""
    values = {"none": {"a": 50.0}, "mnli": {"a": 60.0, "b": 10.0}}
    records = [
        Score(task, "test", language, MAIN, value, 9, {"intermediate": intermediate})
        for intermediate, of_task in values.items()
        for task, value in of_task.items()
        for language in ("en", "de")
    ]
    with pytest.warns(UserWarning, match="different scores.*none has no b/en, b/de"):
        gaps = Report(records).transfer_gaps()
    assert gaps == {"none": (50.0, 50.0), "mnli": (35.0, 35.0)}
    numbered = [replace(record, tags={"intermediate": 1}) for record in records[:2]]
    assert Report(numbered).transfer_gaps() == {"1": (50.0, 50.0)}
    with pytest.raises(ValueError, match="No score here has a field or a tag 'intermediate'"):
        Report([replace(records[0], tags={})]).transfer_gaps()


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    Report([score("a", "en", 1.0)]).to_json(path)
    with pytest.raises(UnicodeEncodeError):
        Report([score("a", "\ud800", 2.0)]).to_json(path)
    assert Report.from_json(path).mean() == 1.0
    assert os.listdir(tmp_path) == ["a.json"]


WITHOUT_VALUE = {"task": "a", "split": "test", "language": "en", "metric": MAIN, "examples": 1}
RECORD = {**WITHOUT_VALUE, "value": 1.0}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[", "line 1"),
        ("{}", "expected a list of scores, found dict"),
        ("[3]", "score 0 has no 'task'"),
        (
            json.dumps([RECORD, WITHOUT_VALUE]),
            "score 1 has no 'value'",
        ),
        (json.dumps([{**RECORD, "value": "high"}]), "score 0: its 'value' is 'high'"),
        (json.dumps([{**RECORD, "examples": 1.5}]), r"score 0: its 'examples' is 1\.5"),
        (json.dumps([{**RECORD, "seed": [1]}]), r"'seed' is \[1\]"),
        (json.dumps([RECORD, {**RECORD, "value": 2}]), "Two values for one score"),
    ],
)
def test_the_error_names_a_damaged_file_and_its_problem(content, problem, tmp_path):
    path = tmp_path / "damaged.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=rf"damaged\.json: .*{problem}"):
        Report.from_json(path)


def test_records_are_flat():
    (record,) = Report([score("a", "en", 1.0, seed=1)]).to_records()
    assert record == {
        "task": "a",
        "split": "validation",
        "language": "en",
        "metric": MAIN,
        "value": 1.0,
        "examples": 10,
        "seed": 1,
    }


def test_no_heavy_imports():
    program = (
        "import sys, jiantx.report, jiantx.metrics; "
        "assert not {'torch', 'scipy', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
