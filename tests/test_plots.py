"""Pictures: every number is drawn, nothing overlaps, and equal numbers give equal files."""

import os
import subprocess
import sys
from typing import Any

import pytest

from jiantx.report import MAIN, Report, Score

pytest.importorskip("matplotlib")

from jiantx.report import heatmaps, picture_style, plots

LONG_NAME = "a_long_intermediate_task"


def runs(task_count=3, intermediates=("none", "mnli", LONG_NAME), seeds=(1, 2)):
    scores = []
    for row, intermediate in enumerate(intermediates):
        for seed in seeds:
            tags = {"intermediate": intermediate, "seed": seed}
            for task in range(task_count):
                value = 50 + 3 * task + row * (task - 1) + seed
                for language in ("en", "sw"):
                    scores.append(Score(f"task_{task}", "test", language, MAIN, value, 10, tags))
    return Report(scores)


def drawn_texts(monkeypatch):
    """Collect the texts of every figure that is saved from now on."""
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    texts: list[str] = []
    save = Figure.savefig

    def recording(figure, *args, **kwargs):
        texts.extend(text.get_text() for text in figure.findobj(Text) if text.get_text())
        save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", recording)
    return texts


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_equal_tables_give_equal_files(suffix, tmp_path):
    report = runs()
    comparison = report.compare(report.where(intermediate="none"))
    for name in ("a", "b"):
        comparison.plot(tmp_path / f"{name}.{suffix}", title="Differences")
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_every_cell_has_its_text(tmp_path, monkeypatch):
    texts = drawn_texts(monkeypatch)
    report = runs(task_count=2, seeds=(1, 2, 3))
    tags: dict[str, str | int] = {"intermediate": "none", "seed": 1}
    report += Report([Score("new", "test", "en", MAIN, 1.0, 10, tags)])
    report.compare(report.where(intermediate="none")).plot(tmp_path / "a.png")
    assert {"none", "mnli", "task_0", "new", "average"} <= set(texts)
    assert {"−1.0", "0.0", "± 0.0", "± 2.5", "–"} <= set(texts)
    assert not any("-" in text for text in texts)  # a minus sign, not a hyphen


@pytest.mark.parametrize(
    ("task_count", "intermediates"),
    [(1, ("none", "mnli")), (10, tuple("abcdefgh")), (2, ("none",))],
)
def test_no_two_texts_overlap(task_count, intermediates, tmp_path, monkeypatch):
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    overlapping = []

    def measuring(figure, *args, **kwargs):
        figure.draw_without_rendering()
        boxes: list[tuple[str, Any]] = []
        for text in figure.findobj(Text):
            if not text.get_text() or not text.get_visible() or text.get_rotation():
                continue
            box = text.get_window_extent()
            for other_text, other_box in boxes:
                if box.overlaps(other_box):
                    overlapping.append((text.get_text(), other_text))
            boxes.append((text.get_text(), box))
        assert boxes
        assert kwargs["bbox_inches"] == "tight"  # so that nothing is cut off

    monkeypatch.setattr(Figure, "savefig", measuring)
    report = runs(task_count, intermediates)
    comparison = report.compare(report.where(intermediate=intermediates[0]))
    comparison.plot(tmp_path / "a.png", title="A title")
    assert overlapping == []


def test_a_report_of_one_run(tmp_path):
    runs(intermediates=("mnli",)).plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0
    with pytest.raises(ValueError, match="3 runs"):
        runs().plot(tmp_path / "b.png")
    with pytest.raises(ValueError, match="no main score"):
        Report().plot(tmp_path / "b.png")


def test_global_settings_stay(tmp_path):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    runs(intermediates=("mnli",)).plot(tmp_path / "a.png")
    assert dict(mpl.rcParams) == before
    program = (
        "import sys; from jiantx.report import *; "
        f"Report([Score('a', 'test', 'en', MAIN, 1, 1)]).plot({str(tmp_path / 'b.png')!r}); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    report = runs(intermediates=("mnli",))
    for draw in (report.plot, report.plot_gaps):
        with pytest.raises(ImportError, match=r"pip install jiantx\[plots\]"):
            draw(tmp_path / "a.png")
    assert os.listdir(tmp_path) == []


def test_the_public_functions_are_what_the_methods_call(tmp_path):
    report = runs(seeds=(1,))
    report.where(intermediate="none").plot(tmp_path / "method.png")
    table = [[51.0, 51.0, 51.0], [54.0, 54.0, 54.0], [57.0, 57.0, 57.0]]
    heatmaps.draw_scores(
        table,
        rows=["task_0", "task_1", "task_2"],
        columns=["en", "sw", "mean"],
        path=tmp_path / "function.png",
    )
    assert (tmp_path / "method.png").read_bytes() == (tmp_path / "function.png").read_bytes()

    mnli = report.where(intermediate=["none", "mnli"])
    mnli.compare(report.where(intermediate="none"), tasks=["task_2"]).plot(tmp_path / "method.svg")
    baseline = heatmaps.HeatmapCell(57.0, "57.0", neutral=True)
    difference = heatmaps.HeatmapCell(1.0, "+1.0")
    heatmaps.draw_differences(
        [[baseline, baseline], [difference, difference]],
        rows=["none", "mnli"],
        columns=["task_2", "average"],
        path=tmp_path / "function.svg",
        rows_apart=1,
    )
    assert (tmp_path / "method.svg").read_bytes() == (tmp_path / "function.svg").read_bytes()


def test_gaps_are_english_minus_the_other_languages(tmp_path, monkeypatch):
    baseline = {("xnli", "en"): 80, ("xnli", "de"): 70, ("xnli", "sw"): 60, ("tatoeba", "sw"): 5}
    scores = []
    for intermediate, gain in (("none", 0), ("mnli", 3)):
        tags: dict[str, str | int] = {"intermediate": intermediate, "seed": 1}
        for (task, language), value in baseline.items():
            scores.append(Score(task, "test", language, MAIN, value + gain, 10, tags))
    report = Report(scores)
    gaps = report.transfer_gaps()
    assert gaps == {"none": (80, 65), "mnli": (83, 68)}, "tatoeba has no English, so no gap"
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
    for name in ("a", "b"):
        plots.plot_points(
            series,
            tmp_path / f"{name}.svg",
            title="Gain by size",
            x="parameters",
            y="gain, points",
            log_x=log_x,
            lines={"fit": ([10, 1000], [1, 0])},
        )
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert {"mnli", "squad", "fit", "small", "large"} <= set(texts)
    assert {"parameters", "gain, points", "Gain by size"} <= set(texts)


# --- the style ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["BrBG", "YlGnBu", "Greys"])
def test_text_is_legible_on_every_colour(name):
    import matplotlib as mpl
    from matplotlib.colors import to_rgb

    for color in mpl.colormaps[name](range(256)):
        assert picture_style.contrast(to_rgb(picture_style.ink_on(color)), color) > 4.1
    for series_color in picture_style.SERIES_COLORS:
        assert picture_style.contrast(to_rgb(series_color), (1, 1, 1)) > 2


def drawn_axes(monkeypatch):
    """Collect the axes of every figure that is saved from now on."""
    from matplotlib.figure import Figure

    axes: list[Any] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *args, **kwargs: axes.extend(figure.axes))
    return axes


def test_ticks_stand_at_the_values_that_were_run(tmp_path, monkeypatch):
    axes = drawn_axes(monkeypatch)
    series = {
        "fixed": [plots.Point(8, 80, 7), plots.Point(32, 82, 3), plots.Point(128, 83, 3)],
        "linear": [plots.Point(8, 58, 27), plots.Point(32, 82, 3), plots.Point(128, 98, 9)],
    }
    plots.plot_points(series, tmp_path / "a.png", x="batch size", y="score", log_x=True)
    assert [label.get_text() for label in axes[0].get_xticklabels()] == ["8", "32", "128"]
    assert not axes[0].get_xticklabels(minor=True)
    plots.plot_points(
        {"a": [plots.Point(x, 0) for x in (100, 101, 500)]}, tmp_path / "b.png", x="x", y="y"
    )
    assert [label.get_text() for label in axes[1].get_xticklabels()] == ["100", "500"]


@pytest.mark.parametrize("bounds", [(0, 100), (-float("inf"), float("inf"))])
def test_error_bars_end_where_scores_end(bounds, tmp_path, monkeypatch):
    axes = drawn_axes(monkeypatch)
    points = [plots.Point(1, 98, 9), plots.Point(2, 3, 9), plots.Point(3, 50, float("nan"))]
    plots.plot_points({"a": points}, tmp_path / "a.png", x="x", y="y", bounds=bounds)
    segments = [segment for bars in axes[0].collections for segment in bars.get_segments()]
    ends = sorted(end for segment in segments for _, end in segment)
    assert (ends[0], ends[-1]) == ((0, 100) if bounds[0] == 0 else (-6, 107))
    assert not any(end != end for end in ends), "a point without an interval has no bar"


def test_series_that_share_x_values_stand_side_by_side(tmp_path, monkeypatch):
    axes = drawn_axes(monkeypatch)
    series = {"a": [plots.Point(1, 1, 1)], "b": [plots.Point(1, 1, 1)]}
    plots.plot_points(series, tmp_path / "a.png", x="x", y="y")
    positions = [line.get_transform().transform((1, 1))[0] for line in axes[0].lines]
    assert len(set(positions)) > 1
    plots.plot_points({"a": [plots.Point(1, 1)], "b": [plots.Point(2, 1)]}, "a.png", x="x", y="y")
    assert len({line.get_transform().transform((1, 1))[0] for line in axes[1].lines}) == 1


def fills(axes):
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle

    return [to_rgb(patch.get_facecolor()) for patch in axes.patches if isinstance(patch, Rectangle)]


def test_one_seed_is_grey_and_what_cannot_be_claimed_is_pale(tmp_path, monkeypatch):
    axes = drawn_axes(monkeypatch)
    cell = heatmaps.HeatmapCell
    one_seed = [[cell(5.0, "+5.0"), cell(-2.0, "−2.0")]]
    frame: dict[str, Any] = {"rows": ["mnli"], "columns": ["xnli", "average"]}
    heatmaps.draw_differences(one_seed, path=tmp_path / "a.png", **frame)
    assert all(max(color) - min(color) < 1e-6 for color in fills(axes[0]))
    seeds = [[cell(5.0, "+5.0", "± 1.0", bold=True), cell(5.0, "+5.0", "± 9.0")]]
    heatmaps.draw_differences(seeds, path=tmp_path / "b.png", **frame)
    strong, pale = fills(axes[1])
    assert min(strong) < min(pale), "colour is for what can be claimed"


def test_long_names_wrap(tmp_path, monkeypatch):
    texts = drawn_texts(monkeypatch)
    assert picture_style.wrap_name("xnli", 4) == "xnli"
    row = "anli_plus+mnli+qqp+squad_v2+hellaswag+mlm"
    table = [[heatmaps.HeatmapCell(1.0, "+1.0")]]
    heatmaps.draw_differences(table, rows=[row], columns=["average"], path=tmp_path / "a.png")
    assert "anli_plus+mnli+qqp+\nsquad_v2+hellaswag+mlm" in texts


@pytest.mark.parametrize("row_count", [1, 2, 9])
def test_the_small_print_stands_below_the_colour_bar(row_count, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    bottoms = []

    def measuring(figure, *args, **kwargs):
        figure.draw_without_rendering()
        table = figure.axes[0]
        (note,) = [text for text in table.texts if text.get_text().startswith("±: ")]
        bar = table.child_axes[0]
        bottoms.append((note.get_window_extent().y1, bar.get_tightbbox().y0))

    monkeypatch.setattr(Figure, "savefig", measuring)
    table = [[heatmaps.HeatmapCell(1.0, "+1.0", "± 0.5", bold=True)] * 3] * row_count
    rows = [f"row_{index}" for index in range(row_count)]
    columns = ["xnli", "pawsx", "average"]
    heatmaps.draw_differences(table, rows=rows, columns=columns, path=tmp_path / "a.png")
    ((note_top, bar_bottom),) = bottoms
    assert note_top <= bar_bottom
