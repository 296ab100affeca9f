"""Benchmarks: groups, averages, and the rows of a leaderboard, worked out by hand."""

import math
import pickle

import pytest

from jiantx.report import MAIN, Benchmark, Report, Score

MINE = Benchmark(
    "mine", {"nli": {"xnli": ("de", "sw"), "pawsx": ("de",)}, "qa": {"xquad": ("de",)}}
)


def score(task, language, value, **tags):
    return Score(task, "test", language, MAIN, value, 10, tags)


def test_a_benchmark_is_a_list_that_knows_its_average() -> None:
    assert "xquad" in MINE
    assert MINE.groups["nli"] == ("xnli", "pawsx")
    assert MINE.average({"xnli": 60, "pawsx": 90, "xquad": 30}) == {"all": 60, "nli": 75, "qa": 30}
    partial = MINE.average({"xnli": 60, "xquad": 30})
    assert math.isnan(partial["all"])
    assert math.isnan(partial["nli"])
    assert partial["qa"] == 30
    assert MINE == ("xnli", "pawsx", "xquad")


def test_a_benchmark_can_be_pickled() -> None:
    copy = pickle.loads(pickle.dumps(MINE))
    assert copy == MINE
    assert copy.groups == MINE.groups
    assert copy.languages == MINE.languages


def test_the_leaderboard_row() -> None:
    """Means over a task's languages, then over tasks; other languages and tasks do not count."""
    xnli = [score("xnli", "de", 70), score("xnli", "sw", 60), score("xnli", "en", 99)]
    not_counted = [score("pawsx", "de", 85), score("xquad", "de", 40), score("mnli", "en", 100)]
    leaderboard = Report([*xnli, *not_counted]).benchmark(MINE)
    tasks = {"xnli": 65, "pawsx": 85, "xquad": 40}
    averages = {"all": pytest.approx(190 / 3), "nli": 75, "qa": 40}
    assert leaderboard.scores["report"] == tasks | averages
    assert leaderboard.missing == {"report": {}}
    assert str(leaderboard) == (
        "| mine (test) | **all** | xnli | pawsx | **nli** | xquad | **qa** |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| report | 63.3 | 65.0 | 85.0 | 75.0 | 40.0 | 40.0 |\n"
    )


def test_missing_languages_are_listed() -> None:
    scores = []
    for intermediate in ("none", "mnli"):
        scores.append(score("xnli", "de", 70, intermediate=intermediate, seed=1))
        scores.append(score("xnli", "de", 70, intermediate=intermediate, seed=2))
    scores.append(score("pawsx", "de", 80, intermediate="none", seed=1))
    leaderboard = Report(scores).benchmark(MINE)
    assert leaderboard.missing["none"] == {"xnli": ("sw",), "xquad": ("de",)}
    text = str(leaderboard)
    assert "| none | – | 70.0* | 80.0 | 75.0* | – | – |" in text
    assert "| mnli | – | 70.0* | – | – | – | – |" in text
    assert "Missing in none: xnli (sw); xquad (all languages).\n" in text
    assert "Missing in mnli: xnli (sw); pawsx (all languages); xquad (all languages).\n" in text
    assert str(Report().benchmark(MINE)).count("all languages") == 3
