"""A comparison on the page: as a table with marks, and as a heat map."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Sequence
from dataclasses import replace

from jiantx.experiments.html_table import SIGNIFICANT, PageTable
from jiantx.experiments.significance import format_interval
from jiantx.report import Cell, Comparison, Row, heatmaps, interval
from jiantx.report.tables import FAILED, FEWER, describe_fewer

AVERAGE = "average"
_MOST_COLUMNS = 12  # of one picture; its numbers must stay readable on a page
_PAIRED = (
    "Differences are in points, paired by seed. ± half the 95 % interval over seeds (Student's t). "
    f"`{SIGNIFICANT}` the interval of a difference excludes zero; all other differences are grey."
)
_ONE_SEED = (
    "Differences are in points. They are of one seed, and grey: none can be told from chance."
)
_FAILED_LEGEND = (
    f"`{FAILED}` some runs did not learn (see Runs that failed). They are left out if another seed "
    "learned. A difference to a marked score is one to runs that did not learn. Where no run "
    "learned, nothing is claimed."
)
_FEWER_SEEDS = "Means are over the seeds that have all their parts."


def seed_count(comparison: Comparison) -> int:
    """Return the largest number of seeds behind a cell of a comparison."""
    counts = [len(cell.values) for row in comparison.rows for cell in row.all_cells]
    return max(counts, default=0)


def result_table(
    comparison: Comparison,
    caption: str,
    failed: Collection[tuple[str, str]],
    *,
    unjudged: Collection[tuple[str, str]] = (),
    with_average: bool = True,
) -> PageTable:
    """Make the table of a comparison.

    Args:
        comparison: Of rows with a baseline.
        caption: What the table shows.
        failed: (row, column) of the cells some or all of whose runs did not learn. A row's name is
            marked if `failed` has it with an empty column.
        unjudged: (row, column) of the cells that claim nothing, whatever their interval. A row with
            an empty column claims nothing at all.
        with_average: Whether the table has a column of averages.

    Returns:
        The table, with a legend of every mark in it.
    """
    columns = [*comparison.columns, *([AVERAGE] if with_average else [])]
    rows = []
    for row in comparison.rows:
        texts = [_mark_failed(row.label, (row.label, ""), failed)]
        for column, cell in zip(columns, _shown_cells(row, with_average), strict=True):
            is_judged = not {(row.label, column), (row.label, "")} & set(unjudged)
            text = _cell_text(cell, row.is_baseline, is_judged)
            texts.append(_mark_failed(text, (row.label, column), failed))
        rows.append(texts)
    baselines = sum(row.is_baseline for row in comparison.rows)
    return PageTable(
        caption,
        ["row", *columns],
        rows,
        fixed_rows=baselines,
        with_claims=True,
        notes=_legend(comparison, columns, rows, with_average),
    )


def split_table(table: PageTable, column_groups: Sequence[Sequence[str]]) -> list[PageTable]:
    """Split a wide table into tables that fit on a page.

    Args:
        table: The table.
        column_groups: The columns of each, in their order.

    Returns:
        The tables; the last one has the notes.
    """
    tables = []
    start = 1
    for number, columns in enumerate(column_groups, start=1):
        end = start + len(columns)
        caption = table.caption
        if len(column_groups) > 1:
            caption += f" ({number} of {len(column_groups)}: {columns[0]} to {columns[-1]})"
        tables.append(
            replace(
                table,
                caption=caption,
                header=[table.header[0], *table.header[start:end]],
                rows=[[row[0], *row[start:end]] for row in table.rows],
                notes=table.notes if number == len(column_groups) else (),
            )
        )
        start = end
    return tables


def _shown_cells(row: Row, with_average: bool) -> tuple[Cell, ...]:
    return row.all_cells if with_average else row.cells


def _cell_text(cell: Cell, is_baseline: bool, is_judged: bool) -> str:
    text = format_interval(interval(cell.values), "" if is_baseline else "+")
    if cell.significant and is_judged and not is_baseline:
        text += f" {SIGNIFICANT}"
    return f"{text} {FEWER}" if cell.lacks else text


def _mark_failed(text: str, cell: tuple[str, str], failed: Collection[tuple[str, str]]) -> str:
    return f"{text} {FAILED}" if cell in failed and text != "–" else text


def _legend(
    comparison: Comparison,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    with_average: bool,
) -> list[str]:
    """A line for each mark, and for what is left out."""
    notes = [_PAIRED if seed_count(comparison) > 1 else _ONE_SEED]
    lacking: dict[str, list[str]] = {}
    for row in comparison.rows:
        for column, cell in zip(columns, _shown_cells(row, with_average), strict=True):
            lacking[column] = list(dict.fromkeys([*lacking.get(column, ()), *cell.lacks]))
    if any(lacking.values()):
        notes.append(describe_fewer(lacking).strip())
    if any(FAILED in text for texts in rows for text in texts):
        notes.append(_FAILED_LEGEND)
    if any(_lacks_seeds(row, with_average) for row in comparison.rows):
        notes.append(_FEWER_SEEDS)
    if comparison.missing:
        shown = "; ".join(comparison.missing[:3])
        hidden = len(comparison.missing) - 3
        more = f"; and {hidden} more" if hidden > 0 else ""
        notes.append(f"Left out, since the other side has no such score: {shown}{more}.")
    return notes


def _lacks_seeds(row: Row, with_average: bool) -> bool:
    counts = [len(cell.values) for cell in _shown_cells(row, with_average)]
    return min(counts, default=0) < max(counts, default=0)


# --- Pictures -------------------------------------------------------------------------------------


def draw_comparison(
    comparison: Comparison,
    paths: Sequence[str | os.PathLike[str]],
    title: str,
    failed: Collection[tuple[str, str]],
    *,
    unjudged: Collection[tuple[str, str]] = (),
    with_average: bool = True,
) -> None:
    """Draw a comparison as heat maps of one colour scale.

    Args:
        comparison: Of rows with a baseline.
        paths: The pictures to write, as many as `picture_columns` returns lists.
        title: Text above the pictures.
        failed: As for `result_table`.
        unjudged: Likewise.
        with_average: Whether the last picture ends with a column of averages.
    """
    baselines = sum(row.is_baseline for row in comparison.rows)
    differences = [1.0]
    for row in comparison.rows:
        if not row.is_baseline:
            differences += [abs(cell.mean) for cell in _shown_cells(row, with_average)]
    limit = max(value for value in differences if not math.isnan(value))
    drawn = 0
    column_groups = picture_columns(comparison, with_average=with_average)
    for path, columns in zip(paths, column_groups, strict=True):
        cells = []
        for row in comparison.rows:
            shown = _shown_cells(row, with_average)[drawn : drawn + len(columns)]
            cells_of_row = []
            for column, cell in zip(columns, shown, strict=True):
                is_judged = not {(row.label, column), (row.label, "")} & set(unjudged)
                has_failed = (row.label, column) in failed
                cells_of_row.append(_heatmap_cell(cell, row.is_baseline, has_failed, is_judged))
            cells.append(cells_of_row)
        drawn += len(columns)
        heatmaps.draw_differences(
            cells,
            rows=[_mark_failed(row.label, (row.label, ""), failed) for row in comparison.rows],
            columns=columns,
            path=path,
            title=title,
            rows_apart=baselines % len(comparison.rows),
            last_apart=columns[-1] == AVERAGE and len(columns) > 1,
            limit=limit,
        )


def picture_columns(comparison: Comparison, *, with_average: bool = True) -> list[list[str]]:
    """Split the columns of a comparison into those of each picture, which has 12 at most.

    Args:
        comparison: The comparison.
        with_average: Whether there is a column of averages.
    """
    columns = [*comparison.columns, *([AVERAGE] if with_average else [])]
    count = math.ceil(len(columns) / _MOST_COLUMNS)
    size = math.ceil(len(columns) / count)
    return [columns[start : start + size] for start in range(0, len(columns), size)]


def _heatmap_cell(
    cell: Cell, is_baseline: bool, has_failed: bool, is_judged: bool
) -> heatmaps.HeatmapCell:
    if math.isnan(cell.mean):
        return heatmaps.HeatmapCell(math.nan, "–")
    mean, half_width = interval(cell.values)
    text = format_interval((mean, math.nan), "" if is_baseline else "+").replace("-", "−")
    text += (FEWER if cell.lacks else "") + (FAILED if has_failed else "")
    detail = "" if math.isnan(half_width) else f"± {half_width:.1f}"
    is_bold = cell.significant and is_judged and not is_baseline
    return heatmaps.HeatmapCell(mean, text, detail, bold=is_bold, neutral=is_baseline)
