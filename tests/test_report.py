"""Reports: averages, comparisons, tables and files, worked out by hand."""

import json
import math
import os
import pickle
import subprocess
import sys
from statistics import fmean, stdev

import numpy as np
import pytest
from scipy import stats

from jiantx.report import MAIN, Benchmark, Cell, Report, Score, interval


def score(task, language, value, metric=MAIN, split="validation", examples=10, **tags):
    return Score(task, split, language, metric, value, examples, tags)


@pytest.fixture
def grid():
    """Two runs, two seeds, two tasks, of which one has two languages."""
    values = {
        "none": {1: (50, 40, 70), 2: (52, 44, 74)},
        "mnli": {1: (55, 45, 69), 2: (58, 48, 73)},
    }
    return Report(
        record
        for run, seeds in values.items()
        for seed, (en, sw, qa) in seeds.items()
        for record in (
            score("xnli", "en", en, intermediate=run, seed=seed),
            score("xnli", "en", en, metric="accuracy", intermediate=run, seed=seed),
            score("xnli", "sw", sw, intermediate=run, seed=seed),
            score("xquad", "en", qa, intermediate=run, seed=seed),
        )
    )


# --- Scores ----------------------------------------------------------------------------------------------------------


def test_scores_hold_plain_numbers():
    made = score("a", "en", np.float32(0.5), examples=np.int64(3))
    assert (type(made.value), type(made.examples)) == (float, int)
    assert hash(made) == hash(score("a", "en", 0.5, examples=3))


def test_tags_are_checked():
    with pytest.raises(ValueError, match="cannot be named 'task'"):
        Score("a", "test", "en", MAIN, 1.0, 1, {"task": "b"})
    with pytest.raises(TypeError, match=r"'rate' is 0\.5"):
        score("a", "en", 1.0, rate=0.5)


# --- Merging and choosing --------------------------------------------------------------------------------------------


def test_adding_keeps_one_of_equal_scores():
    once = Report([score("a", "en", 1.0, seed=1), score("a", "en", math.nan, seed=2)])
    assert len(once + once) == 2
    assert [r.tags["seed"] for r in once + Report([score("a", "en", 3.0, seed=3)])] == [1, 2, 3]


@pytest.mark.parametrize("other", [{"value": 2.0}, {"value": 1.0, "examples": 11}])
def test_adding_refuses_two_values(other):
    with pytest.raises(ValueError, match=r"Two values.*main_score of a, validation, en, seed=1"):
        Report([score("a", "en", 1.0, seed=1)]) + Report([score("a", "en", seed=1, **other)])


def test_where(grid):
    assert len(grid.where(task="xnli", metric=MAIN)) == 8
    assert {r.language for r in grid.where(language=["sw", "de"])} == {"sw"}
    assert len(grid.where(intermediate="mnli", seed={1, 3})) == 4
    assert not grid.where(seed="1").records
    with pytest.raises(ValueError, match=r"'sed'.*task.*intermediate, seed"):
        grid.where(sed=1)


def test_with_tags_refuses_what_would_fall_together(grid):
    with pytest.raises(ValueError, match="Two values for one score"):
        grid.with_tags(seed=7)


def test_with_tags_replaces_and_adds():
    tagged = Report([score("a", "en", 1.0, seed=1)]).with_tags(seed=2, encoder="xlmr")
    assert tagged.records == [score("a", "en", 1.0, seed=2, encoder="xlmr")]


# --- Averages --------------------------------------------------------------------------------------------------------


def test_mean_is_over_seeds_then_languages_then_tasks(grid):
    none = grid.where(intermediate="none")
    assert none.cells() == {("xnli", "en"): 51.0, ("xnli", "sw"): 42.0, ("xquad", "en"): 72.0}
    assert none.mean() == fmean([46.5, 72.0])
    assert none.mean(by="task") == {"xnli": 46.5, "xquad": 72.0}
    assert none.mean(by="language") == {"en": 61.5, "sw": 42.0}
    assert grid.mean(by="intermediate") == {"none": 59.25, "mnli": fmean([51.5, 71.0])}


def test_mean_leaves_out_nan_and_other_metrics():
    report = Report(
        [score("a", "en", 10.0), score("a", "de", math.nan), score("b", "en", 99.0, metric="f1")]
    )
    assert report.mean() == 10.0
    assert report.mean(by="language") == {"en": 10.0}
    assert math.isnan(Report().mean())
    assert Report().mean(by="task") == {}


@pytest.mark.parametrize("tag", ["encoder", "version"])
def test_mean_refuses_to_mix(tag):
    report = Report([score("a", "en", 1.0, **{tag: "x"}), score("b", "en", 3.0, **{tag: "y"})])
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


# --- Comparisons -----------------------------------------------------------------------------------------------------


def test_differences_are_paired_by_seed(grid):
    comparison = grid.compare(grid.where(intermediate="none"))
    assert comparison.columns == ("xnli", "xquad")
    none, mnli = comparison.rows
    assert (none.label, none.is_baseline, mnli.label, mnli.is_baseline) == (
        "none",
        True,
        "mnli",
        False,
    )
    assert [cell.values for cell in none.cells] == [(45.0, 48.0), (70.0, 74.0)]
    assert none.average.values == (57.5, 61.0)
    assert [cell.values for cell in mnli.cells] == [(5.0, 5.0), (-1.0, -1.0)]
    assert mnli.average.values == (2.0, 2.0)
    assert comparison.missing == ()


def test_comparison_by_language(grid):
    comparison = grid.compare(grid.where(intermediate="none"), by="language")
    assert comparison.columns == ("en", "sw")
    assert [cell.values for cell in comparison.rows[1].cells] == [(2.0, 2.5), (5.0, 4.0)]
    with pytest.raises(ValueError, match="'split'"):
        grid.compare(grid, by="split")


def test_comparison_keeps_the_callers_order_and_choice(grid):
    baseline = grid.where(intermediate="none")
    assert grid.compare(baseline, tasks=["xquad", "xnli"]).columns == ("xquad", "xnli")
    one = grid.compare(baseline, tasks=["xquad"])
    assert one.rows[1].average.values == (-1.0, -1.0)
    assert one.missing == ()


def test_missing_scores_are_left_out_and_named(grid):
    lacking = Report(
        r
        for r in grid
        if not (r.tags == {"intermediate": "mnli", "seed": 2} and r.language == "sw")
    ) + Report([score("new", "en", 10.0, intermediate="mnli", seed=1)])
    comparison = lacking.compare(grid.where(intermediate="none"))
    assert comparison.columns == ("xnli", "xquad", "new")
    assert [cell.values for cell in comparison.rows[1].cells] == [(5.0,), (-1.0, -1.0), ()]
    assert comparison.rows[1].average.values == (2.0,), "seed 2 lacks a part of it"
    assert "over the seeds that have all their parts" in comparison.to_markdown()
    assert set(comparison.missing) == {
        "mnli: xnli/sw, seed 2 (not in the row)",
        "mnli: new/en, seed 1 (not in the baseline)",
    }
    assert "| – |" in comparison.to_markdown()
    assert "On one side only, and left out: mnli" in comparison.to_markdown()


def test_an_average_takes_no_seed_that_lacks_a_part():
    seeds = [score("a", "en", 90.0, seed=1), score("a", "en", 90.0, seed=2)]
    lacking = Report([*seeds, score("b", "en", 50.0, seed=2)])
    (row,) = lacking.compare(lacking).rows
    assert [cell.values for cell in row.cells] == [
        (90.0, 90.0),
        (50.0,),
    ] and row.average.values == (70.0,)
    lacking = Report([*seeds, score("a", "de", 10.0, seed=1)])
    (row,) = lacking.compare(lacking).rows
    assert row.cells[0].values == row.average.values == (50.0,), "nor does a mean over languages"


def test_an_interval_leaves_out_what_is_no_number():
    assert (
        interval([math.nan, 1.0, 3.0]) == interval([1.0, 3.0])
        and interval([math.nan, 1.0])[0] == 1.0
    )


def test_seeds_that_do_not_meet_give_no_difference(grid):
    comparison = grid.where(intermediate="mnli", seed=2).compare(
        grid.where(intermediate="none", seed=1)
    )
    assert all(cell.values == () for cell in comparison.rows[1].cells)
    assert len(comparison.missing) == 6
    assert "and 1 more" in comparison.to_text()


def test_two_plain_reports_can_be_compared():
    before, after = Report([score("a", "en", 10.0)]), Report([score("a", "en", 11.5)])
    comparison = after.compare(before)
    assert [row.label for row in comparison.rows] == ["baseline", "report"]
    assert comparison.rows[1].average.values == (1.5,)
    tagged = after.with_tags(seed=1, run="x").compare(before.with_tags(seed=1, run="x"))
    assert [row.label for row in tagged.rows] == ["run=x (baseline)", "run=x"]


def test_each_encoder_has_its_own_baseline():
    def runs(encoder, none, mnli):
        return Report(
            [
                score("a", "en", none, intermediate="none", encoder=encoder),
                score("a", "en", mnli, intermediate="mnli", encoder=encoder),
            ]
        )

    report = runs("base", 10.0, 12.0) + runs("large", 20.0, 25.0)
    comparison = report.compare(report.where(intermediate="none"))
    assert [row.label for row in comparison.rows] == [
        "none (encoder=base)",
        "none (encoder=large)",
        "mnli (encoder=base)",
        "mnli (encoder=large)",
    ]
    assert [row.average.mean for row in comparison.rows] == [10.0, 20.0, 2.0, 5.0]
    with pytest.raises(
        ValueError, match=r"0 rows of the baseline agree with encoder=tiny, intermediate=mnli"
    ):
        runs("tiny", 0.0, 0.0).where(intermediate="mnli").compare(report.where(intermediate="none"))


def test_a_comparison_needs_a_baseline_and_one_split(grid):
    with pytest.raises(ValueError, match="baseline holds no main score"):
        grid.compare(Report())
    both = Report([score("a", "en", 1.0), score("a", "en", 2.0, split="test")])
    with pytest.raises(ValueError, match="two splits of 'a'"):
        both.compare(Report([score("a", "en", 0.0)]))
    with pytest.raises(ValueError, match="two splits of 'a'"):
        both.where(split="test").compare(both.where(split="validation"))


def test_cells():
    assert (Cell((3.0,)).mean, Cell((3.0,)).sd, Cell((3.0,)).significant) == (3.0, None, False)
    assert math.isnan(Cell(()).mean)
    assert Cell((1.0, 2.0, 4.0)).sd == stdev([1.0, 2.0, 4.0])


@pytest.mark.parametrize("seed", range(20))
def test_significance_is_a_paired_t_test(seed):
    values = np.random.default_rng(seed).normal(0.7, 1.0, size=3 + seed)
    assert Cell(tuple(values)).significant == (stats.ttest_1samp(values, 0).pvalue < 0.05)


# --- Tables ----------------------------------------------------------------------------------------------------------


def test_comparison_in_markdown_and_text():
    def run(name, *values):
        return Report(
            score("xnli", "en", value, intermediate=name, seed=i) for i, value in enumerate(values)
        )

    none = run("none", 60.0, 62.0, 64.0)
    report = none + run("mnli", 61.3, 63.7, 64.9) + run("ccg", 59.0, 61.0, 67.0)
    lines = report.compare(none).to_markdown().splitlines()
    assert lines[:5] == [
        "|  | xnli | average |",
        "| --- | ---: | ---: |",
        "| none | 62.0 ± 2.0 | 62.0 ± 2.0 |",
        "| mnli | +1.3 ± 0.4 * | +1.3 ± 0.4 * |",
        "| ccg | +0.3 ± 2.3 | +0.3 ± 2.3 |",
    ]
    assert "95 % interval" in lines[6]
    assert report.compare(none).to_text().splitlines()[:5] == [
        "              xnli       average",
        "----  ------------  ------------",
        "none  62.0 ± 2.0    62.0 ± 2.0",
        "mnli  +1.3 ± 0.4 *  +1.3 ± 0.4 *",
        "ccg   +0.3 ± 2.3    +0.3 ± 2.3",
    ]


def test_one_seed_has_no_mark_and_no_legend(grid):
    one = grid.where(seed=1)
    assert one.compare(one.where(intermediate="none")).to_text() == (
        "      xnli  xquad  average\n"
        "----  ----  -----  -------\n"
        "none  45.0   70.0     57.5\n"
        "mnli  +5.0   -1.0     +2.0\n"
    )


def test_no_difference_has_no_sign():
    base = Report([score("a", "en", 10.0)])
    for value in (10.04, 9.96):
        assert (
            "| report | 0.0 | 0.0 |"
            in Report([score("a", "en", value)]).compare(base).to_markdown()
        )


def test_report_in_markdown(grid):
    assert grid.where(intermediate="none").to_markdown().splitlines() == [
        "**intermediate=none, mean of 2 seeds**",
        "",
        "| task | en | sw | mean |",
        "| --- | ---: | ---: | ---: |",
        "| xnli | 51.0 | 42.0 | 46.5 |",
        "| xquad | 72.0 | – | 72.0 |",
        "| **mean** | 61.5 | 42.0 | 59.2 |",
    ]
    assert grid.to_markdown().count("| task |") == 2
    assert (
        Report([score("a|b", "en", 10.0)]).to_markdown()
        == "| task | en |\n| --- | ---: |\n| a\\|b | 10.0 |\n"
    )
    assert Report().to_markdown() == "No scores.\n"


def test_report_of_two_splits_in_markdown():
    text = Report([score("a", "en", 1.0), score("a", "en", 3.0, split="test")]).to_markdown()
    assert "| a (validation) | 1.0 |\n| a (test) | 3.0 |\n" in text
    assert "mean" not in text


def test_repr(grid):
    assert repr(grid) == "<Report: 16 scores, 2 tasks, 2 languages>"


# --- Files -----------------------------------------------------------------------------------------------------------


def test_json_round_trip(grid, tmp_path):
    report = grid + Report([score("stsb", "en", math.nan), score("中文", "zh", 100)])
    report.to_json(tmp_path / "a.json")
    back = Report.from_json(tmp_path / "a.json")
    assert len(back + report) == len(report)  # equal, or adding would refuse
    assert back.mean(by="task") == report.mean(by="task")
    Report(reversed(report.records)).to_json(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (tmp_path / "a.json").read_bytes().endswith(b"]\n")
    assert "NaN" not in (tmp_path / "a.json").read_text()
    assert sorted(os.listdir(tmp_path)) == ["a.json", "b.json"]
    assert json.loads((tmp_path / "a.json").read_text())[1]["seed"] == 1


def test_an_empty_report_has_a_file(tmp_path):
    Report().to_json(tmp_path / "a.json")
    assert Report.from_json(tmp_path / "a.json").records == []


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    Report([score("a", "en", 1.0)]).to_json(path)
    with pytest.raises(ValueError, match="JSON"):
        Report([score("a", "en", math.inf)]).to_json(path)
    assert Report.from_json(path).mean() == 1.0
    assert os.listdir(tmp_path) == ["a.json"]


ROW = {"task": "a", "split": "test", "language": "en", "metric": MAIN, "value": 1.0, "examples": 1}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[", "line 1"),
        ("{}", "expected a list of scores, found dict"),
        ("[3]", "score 0 has no 'task'"),
        (
            json.dumps([ROW, {k: v for k, v in ROW.items() if k != "value"}]),
            "score 1 has no 'value'",
        ),
        (json.dumps([{**ROW, "value": "high"}]), "score 0: its 'value' is 'high'"),
        (json.dumps([{**ROW, "examples": 1.5}]), r"score 0: its 'examples' is 1\.5"),
        (json.dumps([{**ROW, "seed": [1]}]), r"'seed' is \[1\]"),
        (json.dumps([ROW, {**ROW, "value": 2}]), "Two values for one score"),
    ],
)
def test_a_broken_file_says_what_is_wrong(content, problem, tmp_path):
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=rf"broken\.json: .*{problem}"):
        Report.from_json(path)


def test_records_are_flat():
    assert Report([score("a", "en", 1.0, seed=1)]).to_records() == [
        {
            "task": "a",
            "split": "validation",
            "language": "en",
            "metric": MAIN,
            "value": 1.0,
            "examples": 10,
            "seed": 1,
        }
    ]


def test_no_heavy_imports():
    check = "import sys, jiantx.report, jiantx.metrics; assert not {'torch', 'scipy', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)


# --- benchmarks ------------------------------------------------------------------------------------------------------

BENCH = Benchmark(
    "mine", {"nli": {"xnli": ("de", "sw"), "pawsx": ("de",)}, "qa": {"xquad": ("de",)}}
)


def cell(task, language, value, **tags):
    return Score(task, "test", language, MAIN, value, 10, tags)


def test_a_benchmark_is_a_list_that_knows_its_average() -> None:
    assert (
        BENCH == ("xnli", "pawsx", "xquad")
        and "xquad" in BENCH
        and BENCH.groups["nli"] == ("xnli", "pawsx")
    )
    assert BENCH.average({"xnli": 60, "pawsx": 90, "xquad": 30}) == {"all": 60, "nli": 75, "qa": 30}
    partial = BENCH.average({"xnli": 60, "xquad": 30})
    assert math.isnan(partial["all"]) and math.isnan(partial["nli"]) and partial["qa"] == 30
    again = pickle.loads(pickle.dumps(BENCH))
    assert again == BENCH and again.groups == BENCH.groups and again.languages == BENCH.languages


def test_the_leaderboard_row() -> None:
    """Means over a task's languages, then over tasks; other languages and other tasks do not count."""
    xnli = [cell("xnli", "de", 70), cell("xnli", "sw", 60), cell("xnli", "en", 99)]
    others = [cell("pawsx", "de", 85), cell("xquad", "de", 40), cell("mnli", "en", 100)]
    found = Report([*xnli, *others]).benchmark(BENCH)
    tasks = {"xnli": 65, "pawsx": 85, "xquad": 40}
    assert found.scores["report"] == tasks | {"all": pytest.approx(190 / 3), "nli": 75, "qa": 40}
    assert found.missing == {"report": {}}
    assert str(found) == (
        "| mine (test) | **all** | xnli | pawsx | **nli** | xquad | **qa** |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| report | 63.3 | 65.0 | 85.0 | 75.0 | 40.0 | 40.0 |\n"
    )


def test_missing_cells_are_said() -> None:
    report = Report(
        [cell("xnli", "de", 70, intermediate=x, seed=s) for x in ("none", "mnli") for s in (1, 2)]
    )
    report += Report([cell("pawsx", "de", 80, intermediate="none", seed=1)])
    found = report.benchmark(BENCH)
    assert found.missing["none"] == {"xnli": ("sw",), "xquad": ("de",)}
    text = str(found)
    assert (
        "| none | – | 70.0* | 80.0 | 75.0* | – | – |" in text
        and "| mnli | – | 70.0* | – | – | – | – |" in text
    )
    assert "Missing in none: xnli (sw); xquad (all languages).\n" in text
    assert "Missing in mnli: xnli (sw); pawsx (all languages); xquad (all languages).\n" in text
    assert str(Report().benchmark(BENCH)).count("all languages") == 3


def test_an_interval_by_hand() -> None:
    mean, half = interval([1.0, 2.0, 3.0])
    assert (mean, half) == (2.0, pytest.approx(4.3027 / 3**0.5, rel=1e-4))
    mean, half = interval([1.0])
    assert mean == 1.0 and math.isnan(half), "one value says nothing of chance"
