"""A comparison as a table with marks, and as pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipe_fixtures import score

import jiantx as jx
from jiantx.experiments.result_tables import (
    draw_comparison,
    picture_columns,
    result_table,
    split_table,
)


def comparison(seeds: int, languages: tuple[str, ...] = ("en",), by: str = "task") -> jx.Comparison:
    """mnli is 5 points above none on xnli, and about as good on pawsx."""
    noise = (0.0, 0.1, -0.1)
    records = []
    for seed in range(1, seeds + 1):
        for row, gain in (("none", 0), ("mnli", 5)):
            for language in languages:
                xnli = 70 + gain + noise[seed - 1] * gain
                records.append(score(row, seed, xnli, language=language))
                pawsx = 80 + gain * noise[seed - 1]
                records.append(score(row, seed, pawsx, "pawsx", language=language))
    report = jx.Report(records)
    return report.compare(report.where(intermediate="none"), by=by)


def test_a_mark_stands_for_one_thing_and_has_a_legend() -> None:
    table = result_table(comparison(3), "Scores", {("mnli", "pawsx")})
    assert table.header == ["row", "xnli", "pawsx", "average"]
    assert table.rows[1] == ["mnli", "+5.0 ± 1.2 *", "0.0 ± 1.2 ‡", "+2.5 ± 1.2 *"]
    legend = "\n".join(table.notes)
    assert "`*` the interval of a difference excludes zero" in legend and "`‡` some runs" in legend
    assert "†" not in legend, "no cell has this mark"


def test_one_seed_claims_nothing() -> None:
    table = result_table(comparison(1), "Scores", ())
    assert table.rows == [["none", "70.0", "80.0", "75.0"], ["mnli", "+5.0", "0.0", "+2.5"]]
    assert 'class="up"' not in table.to_html() and 'class="unproven"' in table.to_html()
    assert "one seed" in table.notes[0]


def test_failed_rows_are_marked_and_averages_can_be_left_out() -> None:
    table = result_table(comparison(3), "Scores", {("none", "")}, with_average=False)
    assert [row[0] for row in table.rows] == ["none ‡", "mnli"]
    assert table.header == ["row", "xnli", "pawsx"]


def test_cells_that_are_not_judged_claim_nothing() -> None:
    unjudged = {("mnli", "xnli"), ("mnli", "average")}
    table = result_table(comparison(3), "Scores", (), unjudged=unjudged)
    assert table.rows[1] == ["mnli", "+5.0 ± 1.2", "0.0 ± 1.2", "+2.5 ± 1.2"]
    table = result_table(comparison(3), "Scores", (), unjudged={("mnli", "")}, with_average=False)
    assert "*" not in "".join(table.rows[1])


def test_many_columns_are_shown_in_parts(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    languages = tuple(f"l{index}" for index in range(13))
    compared = comparison(2, languages, by="language")
    column_groups = picture_columns(compared, with_average=False)
    assert [len(columns) for columns in column_groups] == [7, 6]
    tables = split_table(result_table(compared, "Scores", (), with_average=False), column_groups)
    assert [table.header[1] for table in tables] == ["l0", "l7"]
    assert [len(table.rows[1]) for table in tables] == [8, 7]
    assert tables[1].caption == "Scores (2 of 2: l7 to l12)"
    assert not tables[0].notes and tables[1].notes
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    draw_comparison(compared, paths, "Scores", (), with_average=False)
    assert all(path.stat().st_size for path in paths)
