"""Reports and tables as pandas, LaTeX, CSV, HTML and text, and figures in notebooks."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from test_report import score, two_runs

from jiantx.report import Benchmark, Report
from jiantx.report.picture_style import PIXELS_PER_INCH, RESOLUTION
from jiantx.report.tables import TextTable, latex_text


@pytest.fixture
def grid() -> Report:
    return two_runs()


def test_a_report_is_a_frame_of_its_scores(grid: Report, tmp_path: Path) -> None:
    frame = grid.to_pandas()
    assert len(frame) == len(grid)
    assert list(frame) == "task split language metric value examples intermediate seed".split()
    main = frame[(frame.metric == "main_score") & (frame.intermediate == "mnli")]
    means = main.groupby("task").value.mean()
    assert means["xquad"] == grid.where(intermediate="mnli").mean(by="task")["xquad"] == 71.0
    grid.to_csv(tmp_path / "a.csv")
    assert pd.read_csv(tmp_path / "a.csv").equals(frame)
    assert list(Report().to_pandas()) == list(frame)[:6]
    two = Report([score("a", "en", 1.0, seed=1), score("a", "de", 2.0)]).to_pandas()
    assert two.seed.isna().tolist() == [False, True]


def test_a_comparison_is_a_frame_of_means(grid: Report, tmp_path: Path) -> None:
    comparison = grid.compare(grid.where(intermediate="none"))
    frame = comparison.to_pandas()
    assert frame.loc["none"].to_dict() == {"xnli": 46.5, "xquad": 72.0, "average": 59.25}
    assert frame.loc["mnli"].to_dict() == {"xnli": 5.0, "xquad": -1.0, "average": 2.0}
    comparison.to_csv(tmp_path / "a.csv")
    records = comparison.to_records()
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[0] == "row,is_baseline,column,mean,sd,half_width,seeds,significant"
    assert lines[4] == "mnli,False,xnli,5.0,0.0,0.0,2,False" and len(lines) == 1 + len(records)
    assert records[3] == {
        "row": "mnli",
        "is_baseline": False,
        "column": "xnli",
        "mean": 5.0,
        "sd": 0.0,
        "half_width": 0.0,
        "seeds": 2,
        "significant": False,
    }
    assert repr(comparison) == "<Comparison: 2 rows, 2 columns (xnli, xquad)>"
    assert str(comparison) == comparison.to_text().rstrip("\n")


def test_latex(grid: Report) -> None:
    comparison = grid.compare(grid.where(intermediate="none"))
    lines = comparison.to_latex().splitlines()
    assert lines[:4] == [
        r"\begin{tabular}{lrrr}",
        r"\toprule",
        r" & xnli & xquad & average \\",
        r"\midrule",
    ]
    assert lines[5] == r"mnli & +5.0 $\pm$ 0.0 & $-$1.0 $\pm$ 0.0 & +2.0 $\pm$ 0.0 \\"
    assert lines[6:8] == [r"\bottomrule", r"\end{tabular}"]
    assert all(line.startswith("% ") for line in lines[8:])
    titled = grid.where(intermediate="none").to_latex()
    assert titled.startswith("% intermediate=none, mean of 2 seeds\n")
    assert r"\textbf{mean} & 61.5 & 42.0 $^\dagger$ & 59.2 \\" in titled


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a_b & 50% #1 $x {y}", r"a\_b \& 50\% \#1 \$x \{y\}"),
        ("\\a~b^c", r"\textbackslash{}a\textasciitilde{}b\textasciicircum{}c"),
        ("–", "--"),
        ("two\nlines", "two lines"),
        ("gold-standard", "gold-standard"),
    ],
)
def test_latex_is_escaped(text: str, escaped: str) -> None:
    assert latex_text(text) == escaped


def test_html_is_escaped() -> None:
    table = TextTable(["<b>", "x"], [["**mean**", "<script>"]], "a & b", "\nlegend < 1\n")
    text = table.to_html()
    assert "<script>" not in text and "&lt;script&gt;" in text
    assert "<b>mean</b>" in text and "<caption>a &amp; b</caption>" in text
    assert "<p>legend &lt; 1</p>" in text


def test_print_shows_the_table(grid: Report, capsys: pytest.CaptureFixture[str]) -> None:
    print(grid.where(intermediate="mnli"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["task", "en", "sw", "mean"]
    assert lines[6].startswith("mean   ") and "**" not in lines[6]
    assert str(Report()) == "No scores."
    assert "<td" in grid._repr_html_() and "| task |" in grid._repr_markdown_()


def test_leaderboards_and_groups_are_frames() -> None:
    mine = Benchmark("mine", {"nli": {"xnli": ("de", "sw")}})
    board = Report([score("xnli", "de", 76.5)]).benchmark(mine)
    assert board.to_pandas().loc["report"].to_dict() == {"all": 76.5, "xnli": 76.5, "nli": 76.5}
    assert board.to_latex().count("76.5*") == 0 and "76.5 $^*$" in board.to_latex()
    groups = Report(
        [score("hans", "en", 60.0, "accuracy"), score("hans", "en", math.nan, "accuracy[x]")]
    ).by_group()
    frame = groups.to_pandas()
    assert frame.loc[("hans, validation, en", "all"), "accuracy"] == 60.0
    assert math.isnan(frame.loc[("hans, validation, en", "x"), "accuracy"])
    assert "<caption>hans, validation, en</caption>" in groups.to_html()


def test_a_failed_write_leaves_the_old_table(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    Report([score("a", "en", 1.0)]).to_csv(path)
    before = path.read_bytes()
    with pytest.raises(UnicodeEncodeError):
        Report([score("a", "\ud800", 2.0)]).to_csv(path)
    assert path.read_bytes() == before


def test_pictures_are_shown_and_need_not_be_closed(grid: Report, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run = grid.where(intermediate="mnli")
    figures: list[Any] = [
        run.plot(),
        run.plot_gaps(),
        grid.compare(grid.where(intermediate="none")).plot(),
    ]
    for figure in figures:
        assert figure._repr_png_().startswith(b"\x89PNG")
    written: Any = run.plot(tmp_path / "a.png")
    assert written._repr_png_() == figures[0]._repr_png_()
    figures[0].savefig(tmp_path / "b.png", dpi=PIXELS_PER_INCH * RESOLUTION)
    shown = (tmp_path / "b.png").stat().st_size
    assert abs(shown - (tmp_path / "a.png").stat().st_size) < 200  # whole, too: only its metadata


def test_a_table_needs_no_heavy_library() -> None:
    program = (
        "import sys; from jiantx.report import *; str(Report([Score('a', 'b', 'en', MAIN, 1, 1)])); "
        "assert not {'torch', 'pandas', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
