"""Heat maps: that they are drawn, whole, and the same each time."""

import os
import subprocess
import sys

import pytest

from jiantx.report import MAIN, Report, Score

pytest.importorskip("matplotlib")

from jiantx.report import plots


def runs(tasks=3, names=("none", "mnli", "a_long_intermediate_task"), seeds=(1, 2)):
    return Report(
        Score(
            f"task_{t}",
            "test",
            language,
            MAIN,
            50 + 3 * t + row * (t - 1) + seed,
            10,
            {"intermediate": name, "seed": seed},
        )
        for row, name in enumerate(names)
        for seed in seeds
        for t in range(tasks)
        for language in ("en", "sw")
    )


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_equal_tables_give_equal_files(suffix, tmp_path):
    report = runs()
    comparison = report.compare(report.where(intermediate="none"))
    for name in ("a", "b"):
        comparison.plot(tmp_path / f"{name}.{suffix}", title="Differences")
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_every_cell_is_written_out(tmp_path, monkeypatch):
    texts = drawn_texts(monkeypatch)
    report = runs(tasks=2, seeds=(1, 2, 3)) + Report(
        [Score("new", "test", "en", MAIN, 1.0, 10, {"intermediate": "none", "seed": 1})]
    )
    report.compare(report.where(intermediate="none")).plot(tmp_path / "a.png")
    assert {
        "none",
        "mnli",
        "task_0",
        "new",
        "average",
        "−1.0",
        "0.0",
        "± 0.0",
        "± 1.0",
        "–",
    } <= set(texts)
    assert not any("-" in text for text in texts)  # a minus sign, not a hyphen


def drawn_texts(monkeypatch):
    """All that a figure holds when it is saved."""
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    texts: list[str] = []
    save = Figure.savefig

    def recording(figure, *args, **kwargs):
        texts.extend(text.get_text() for text in figure.findobj(Text) if text.get_text())
        save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", recording)
    return texts


@pytest.mark.parametrize(
    ("tasks", "names"), [(1, ("none", "mnli")), (10, tuple("abcdefgh")), (2, ("none",))]
)
def test_no_two_texts_meet(tasks, names, tmp_path, monkeypatch):
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    met = []

    def measuring(figure, *args, **kwargs):
        figure.draw_without_rendering()
        texts = [
            t
            for t in figure.findobj(Text)
            if t.get_text() and t.get_visible() and not t.get_rotation()
        ]
        boxes = [(t.get_text(), t.get_window_extent()) for t in texts]
        met.extend((a, b) for i, (a, x) in enumerate(boxes) for b, y in boxes[:i] if x.overlaps(y))
        assert kwargs["bbox_inches"] == "tight"  # so that nothing is cut off

    monkeypatch.setattr(Figure, "savefig", measuring)
    report = runs(tasks, names)
    report.compare(report.where(intermediate=names[0])).plot(tmp_path / "a.png", title="A title")
    assert met == []


def test_a_report_of_one_run(tmp_path):
    runs(names=("mnli",)).plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0
    with pytest.raises(ValueError, match="3 runs"):
        runs().plot(tmp_path / "b.png")
    with pytest.raises(ValueError, match="no main score"):
        Report().plot(tmp_path / "b.png")


def test_nothing_global_is_touched(tmp_path):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    runs(names=("mnli",)).plot(tmp_path / "a.png")
    assert dict(mpl.rcParams) == before
    check = (
        "import sys; from jiantx.report import *; "
        f"Report([Score('a', 'test', 'en', MAIN, 1, 1)]).plot({str(tmp_path / 'b.png')!r}); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install jiantx\[plots\]"):
        runs(names=("mnli",)).plot(tmp_path / "a.png")
    assert os.listdir(tmp_path) == []


def test_the_public_functions_are_what_the_methods_call(tmp_path):
    report = runs()
    plots.heatmap(report.compare(report.where(intermediate="none")), tmp_path / "a.png")
    plots.scores(report.where(intermediate="none"), tmp_path / "b.png")
    assert len(os.listdir(tmp_path)) == 2


def test_gaps_are_english_minus_the_other_languages(tmp_path, monkeypatch):
    def score(row, task, language, value):
        return Score(task, "test", language, MAIN, value, 10, {"intermediate": row, "seed": 1})

    report = Report(
        [
            score(row, task, code, value + plus)
            for row, plus in (("none", 0), ("mnli", 3))
            for task, code, value in (
                ("xnli", "en", 80),
                ("xnli", "de", 70),
                ("xnli", "sw", 60),
                ("tatoeba", "sw", 5),
            )
        ]
    )
    assert plots.transfer_gaps(report) == {"none": (80, 65), "mnli": (83, 68)}, (
        "a task without English has no gap"
    )
    texts = drawn_texts(monkeypatch)
    report.plot_gaps(tmp_path / "a.png")
    assert {"none", "mnli", "15.0", "English", "other languages"} <= set(texts)
    with pytest.raises(ValueError, match="in English and in another language"):
        report.where(language="sw").plot_gaps(tmp_path / "b.png")


@pytest.mark.parametrize("log_x", [False, True])
def test_points(log_x, tmp_path, monkeypatch):
    texts = drawn_texts(monkeypatch)
    series = {
        "mnli": [plots.Point(10.0, 1.0, 0.5, "small"), plots.Point(1000.0, -2.0, 0.1, "large")],
        "squad": [plots.Point(10.0, 0.0)],
    }
    options = {
        "x": "parameters",
        "y": "gain, points",
        "log_x": log_x,
        "lines": {"fit": ([10, 1000], [1, 0])},
    }
    for name in ("a", "b"):
        plots.plot_points(series, tmp_path / f"{name}.svg", title="Gain by size", **options)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert {
        "mnli",
        "squad",
        "fit",
        "small",
        "large",
        "parameters",
        "gain, points",
        "Gain by size",
    } <= set(texts)
