"""Comparisons with a baseline: differences, missing scores, intervals and tables, by hand."""

import math
from statistics import stdev

import numpy as np
import pytest
from scipy import stats
from test_report import score, two_runs

from jiantx.report import Cell, Report, interval


@pytest.fixture
def grid():
    return two_runs()


# --- Differences ----------------------------------------------------------------------------------


def test_differences_are_paired_by_seed(grid):
    comparison = grid.compare(grid.where(intermediate="none"))
    assert comparison.columns == ("xnli", "xquad")
    none, mnli = comparison.rows
    assert (none.label, none.is_baseline) == ("none", True)
    assert (mnli.label, mnli.is_baseline) == ("mnli", False)
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
    one_task = grid.compare(baseline, tasks=["xquad"])
    assert one_task.rows[1].average.values == (-1.0, -1.0)
    assert one_task.missing == ()


def test_missing_scores_are_left_out_and_listed(grid):
    second_mnli = {"intermediate": "mnli", "seed": 2}
    records = [r for r in grid if not (r.tags == second_mnli and r.language == "sw")]
    new_task = score("new", "en", 10.0, intermediate="mnli", seed=1)
    comparison = Report([*records, new_task]).compare(grid.where(intermediate="none"))
    assert comparison.columns == ("xnli", "xquad"), "nothing can be said of the new task"
    assert [cell.values for cell in comparison.rows[1].cells] == [(5.0,), (-1.0, -1.0)]
    assert not any(row.average.lacks for row in comparison.rows), "all averages are over both"
    assert comparison.rows[1].average.values == (2.0,), "seed 2 lacks Swahili"
    assert "over the seeds that have all their parts" in comparison.to_markdown()
    assert set(comparison.missing) == {
        "mnli: xnli/sw, seed 2 (not in the row)",
        "mnli: new/en, seed 1 (not in the baseline)",
    }
    assert "Left out, since the other side has no such score: mnli" in comparison.to_markdown()


def test_languages_with_fewer_tasks_are_marked():
    """English looked worse than German because it lacked an easy task."""

    def run(name, english, german):
        tags = {"intermediate": name, "seed": 1}
        return [
            score("xnli", "en", english, **tags),
            score("xnli", "de", german, **tags),
            score("tatoeba", "de", 95.0, **tags),
        ]

    report = Report([*run("none", 70.0, 65.0), *run("mnli", 72.0, 66.0)])
    comparison = report.compare(report.where(intermediate="none"), by="language")
    assert [cell.lacks for cell in comparison.rows[0].cells] == [("tatoeba",), ()]
    assert comparison.to_markdown().splitlines() == [
        "|  | en | de | average |",
        "| --- | ---: | ---: | ---: |",
        "| none | 70.0 † | 80.0 | 75.0 |",
        "| mnli | +2.0 † | +0.5 | +1.2 |",
        "",
        "`†` a mean over fewer scores than others have, not comparable with them: "
        "en without tatoeba.",
    ]
    assert comparison.to_text().splitlines()[2] == "none  70.0 †  80.0     75.0"
    by_task = report.compare(report.where(intermediate="none"))
    assert not any(cell.lacks for row in by_task.rows for cell in row.all_cells)


def test_a_row_that_lacks_scores_of_others_is_marked():
    def run(name, **scores):
        return [score(task, "en", value, intermediate=name) for task, value in scores.items()]

    report = Report(
        [*run("none", a=50.0, b=60.0), *run("mnli", a=51.0), *run("qqp", a=52.0, b=62.0)]
    )
    undefined = Report([score("b", "en", math.nan, intermediate="mnli")])
    for scores in (report, report + undefined):
        comparison = scores.compare(scores.where(intermediate="none"))
        averages = {row.label: row.average for row in comparison.rows}
        assert averages["mnli"].lacks == ("b",) and not averages["qqp"].lacks
        assert "| mnli | +1.0 | – | +1.0 † |" in comparison.to_markdown()
        assert "average without b." in comparison.to_markdown()


def test_an_average_leaves_out_seeds_without_all_scores():
    seeds = [score("a", "en", 90.0, seed=1), score("a", "en", 90.0, seed=2)]
    lacking_task = Report([*seeds, score("b", "en", 50.0, seed=2)])
    (row,) = lacking_task.compare(lacking_task).rows
    assert [cell.values for cell in row.cells] == [(90.0, 90.0), (50.0,)]
    assert row.average.values == (70.0,)
    lacking_language = Report([*seeds, score("a", "de", 10.0, seed=1)])
    (row,) = lacking_language.compare(lacking_language).rows
    assert row.cells[0].values == (50.0,)
    assert row.average.values == (50.0,)


def test_an_interval_leaves_out_nan():
    assert interval([math.nan, 1.0, 3.0]) == interval([1.0, 3.0])
    assert interval([math.nan, 1.0])[0] == 1.0


def test_runs_without_a_common_seed_have_no_difference(grid):
    baseline = grid.where(intermediate="none", seed=1)
    comparison = grid.where(intermediate="mnli", seed=2).compare(baseline)
    assert all(cell.values == () for cell in comparison.rows[1].cells)
    assert len(comparison.missing) == 6
    assert "and 1 more" in comparison.to_text()


def test_two_plain_reports_can_be_compared():
    before = Report([score("a", "en", 10.0)])
    after = Report([score("a", "en", 11.5)])
    comparison = after.compare(before)
    assert [row.label for row in comparison.rows] == ["baseline", "report"]
    assert comparison.rows[1].average.values == (1.5,)
    tagged = after.with_tags(seed=1, run="x").compare(before.with_tags(seed=1, run="x"))
    assert [row.label for row in tagged.rows] == ["run=x (baseline)", "run=x"]


def test_scores_that_equal_the_baseline_s_count():
    before = Report([score("a", "de", 70.0), score("a", "sw", 55.0)])
    after = Report([score("a", "de", 70.0), score("a", "sw", 60.0)])
    comparison = after.compare(before)
    assert comparison.rows[1].average.values == (2.5,)
    assert not comparison.missing


def test_equal_differences_have_no_spread_to_be_tested_against():
    assert not Cell((1.0, 1.0, 1.0), ()).significant
    assert Cell((1.0, 1.1, 1.2), ()).significant


def test_each_encoder_has_its_own_baseline():
    def runs(encoder, none, mnli):
        baseline = score("a", "en", none, intermediate="none", encoder=encoder)
        return Report([baseline, score("a", "en", mnli, intermediate="mnli", encoder=encoder)])

    report = runs("base", 10.0, 12.0) + runs("large", 20.0, 25.0)
    baselines = report.where(intermediate="none")
    comparison = report.compare(baselines)
    assert [row.label for row in comparison.rows] == [
        "none (encoder=base)",
        "none (encoder=large)",
        "mnli (encoder=base)",
        "mnli (encoder=large)",
    ]
    assert [row.average.mean for row in comparison.rows] == [10.0, 20.0, 2.0, 5.0]
    without_baseline = runs("tiny", 0.0, 0.0).where(intermediate="mnli")
    problem = "0 rows of the baseline agree with encoder=tiny, intermediate=mnli"
    with pytest.raises(ValueError, match=problem):
        without_baseline.compare(baselines)


def test_a_comparison_needs_a_baseline_and_one_split(grid):
    with pytest.raises(ValueError, match=r"baseline holds no main score\. .* runs: none, mnli"):
        grid.compare(grid.where(intermediate="non"))
    with pytest.raises(ValueError, match="baseline holds no main score"):
        Report().compare(Report())
    both = Report([score("a", "en", 1.0), score("a", "en", 2.0, split="test")])
    with pytest.raises(ValueError, match="two splits of 'a'"):
        both.compare(Report([score("a", "en", 0.0)]))
    with pytest.raises(ValueError, match="two splits of 'a'"):
        both.where(split="test").compare(both.where(split="validation"))


def test_cells():
    one_seed = Cell((3.0,))
    assert (one_seed.mean, one_seed.sd, one_seed.significant) == (3.0, None, False)
    assert math.isnan(Cell(()).mean)
    assert Cell((1.0, 2.0, 4.0)).sd == stdev([1.0, 2.0, 4.0])


@pytest.mark.parametrize("seed", range(20))
def test_significance_is_a_paired_t_test(seed):
    values = np.random.default_rng(seed).normal(0.7, 1.0, size=3 + seed)
    p_value = stats.ttest_1samp(values, 0).pvalue
    assert Cell(tuple(values)).significant == (p_value < 0.05)


def test_an_interval_by_hand():
    mean, half_width = interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert half_width == pytest.approx(4.3027 / 3**0.5, rel=1e-4)
    mean, half_width = interval([1.0])
    assert mean == 1.0
    assert math.isnan(half_width), "one value has no spread"


# --- Tables ---------------------------------------------------------------------------------------


def test_comparison_in_markdown_and_text():
    def run(name, *values):
        scores = []
        for seed, value in enumerate(values):
            scores.append(score("xnli", "en", value, intermediate=name, seed=seed))
        return Report(scores)

    none = run("none", 60.0, 62.0, 64.0)
    report = none + run("mnli", 61.3, 63.7, 64.9) + run("ccg", 59.0, 61.0, 67.0)
    comparison = report.compare(none)
    lines = comparison.to_markdown().splitlines()
    assert lines[:5] == [
        "|  | xnli | average |",
        "| --- | ---: | ---: |",
        "| none | 62.0 ± 5.0 | 62.0 ± 5.0 |",
        "| mnli | +1.3 ± 1.0 * | +1.3 ± 1.0 * |",
        "| ccg | +0.3 ± 5.7 | +0.3 ± 5.7 |",
    ]
    assert "95 % interval" in lines[6]
    assert comparison.to_text().splitlines()[:5] == [
        "              xnli       average",
        "----  ------------  ------------",
        "none  62.0 ± 5.0    62.0 ± 5.0",
        "mnli  +1.3 ± 1.0 *  +1.3 ± 1.0 *",
        "ccg   +0.3 ± 5.7    +0.3 ± 5.7",
    ]


def test_one_seed_has_no_mark_and_no_legend(grid):
    one_seed = grid.where(seed=1)
    assert one_seed.compare(one_seed.where(intermediate="none")).to_text() == (
        "      xnli  xquad  average\n"
        "----  ----  -----  -------\n"
        "none  45.0   70.0     57.5\n"
        "mnli  +5.0   -1.0     +2.0\n"
    )


def test_no_difference_has_no_sign():
    base = Report([score("a", "en", 10.0)])
    for value in (10.04, 9.96):
        table = Report([score("a", "en", value)]).compare(base).to_markdown()
        assert "| report | 0.0 | 0.0 |" in table
