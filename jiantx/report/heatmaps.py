"""Heat maps of plain numbers. Needs matplotlib: `pip install jiantx[plots]`."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from jiantx.report.picture_style import (
    DIVERGING,
    INK,
    MUTED,
    NEUTRAL,
    PAPER,
    SEQUENTIAL,
    SMALL_PIXELS,
    TEXT_PIXELS,
    UNPROVEN,
    add_title,
    ink_on,
    picture_style,
    save_figure,
    type_points,
    wrap_name,
)
from jiantx.report.tables import FAILED, FEWER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

_GAP = 0.18  # between a table and its averages, in cells
_CELL_WIDTH = 0.80  # inches
_CELL_HEIGHT = 0.46
_LINE_HEIGHT = 0.2  # inches of a line of a row's name
_PALE = 0.45  # how much of its colour a difference has that cannot be claimed
_ROW_NAME = 24  # characters of a line
_COLUMN_NAME = 9


@dataclass(frozen=True)
class HeatmapCell:
    """One cell of a heat map.

    Args:
        value: What the colour shows; NaN for an empty cell.
        text: The text in the middle of the cell.
        detail: Smaller text below it: the spread over seeds. A difference without one is of one
            seed, and `draw_differences` draws it in shades of grey.
        bold: Whether `text` is bold, because the 95 % interval excludes zero. Other differences
            are pale.
        neutral: Whether the cell is grey, because its value cannot be compared with the others.
    """

    value: float
    text: str
    detail: str = ""
    bold: bool = False
    neutral: bool = False


@dataclass(frozen=True)
class _ColorScale:
    """Values from `lowest` to `highest`, in that part of a colour map that leaves text readable.

    With `of_size`, the sign of a value does not count.
    """

    colormap: str
    start: float
    end: float
    lowest: float
    highest: float
    unit: str
    of_size: bool = False

    @cached_property
    def colors(self) -> tuple["Colormap", "Normalize"]:
        """The colours, and what takes a value to its place among them."""
        import matplotlib as mpl
        from matplotlib.colors import LinearSegmentedColormap, Normalize

        colors = mpl.colormaps[self.colormap](np.linspace(self.start, self.end, 256))
        colormap = LinearSegmentedColormap.from_list(self.colormap, colors)
        return colormap, Normalize(self.lowest, self.highest)

    def color(self, value: float) -> tuple[float, float, float]:
        """Red, green and blue of a value."""
        from matplotlib.colors import to_rgb

        colormap, norm = self.colors
        return to_rgb(colormap(float(norm(abs(value) if self.of_size else value))))


def draw_differences(
    cells: Sequence[Sequence[HeatmapCell]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
    rows_apart: int = 0,
    last_apart: bool = True,
    limit: float | None = None,
) -> "Figure":
    """Draw a table of differences: from brown (negative) over white (0) to teal (positive).

    Colours are strong where an effect can be claimed, and pale elsewhere. Differences of one seed,
    of which nothing can be claimed, are grey: the larger, the darker.

    Args:
        cells: One list for each row, as long as `columns`.
        rows: Labels of the rows.
        columns: Labels of the columns.
        path: The picture to write, if any. Its suffix is the format: .png, .pdf, .svg.
        title: Text above the table.
        rows_apart: How many of the first rows are set apart.
        last_apart: Whether the last column is set apart, because it has averages.
        limit: The difference of the strongest colour, at least; pictures with one limit, which is
            that of all of them, can be compared. None takes the largest difference, or 1.
    """
    limit = limit or 1.0
    with_spread = False
    without_spread = False
    for row_cells in cells:
        for cell in row_cells:
            if not cell.neutral and not math.isnan(cell.value):
                limit = max(limit, abs(cell.value))
                with_spread |= bool(cell.detail)
                without_spread |= not cell.detail
    claims = _ColorScale(DIVERGING, 0.14, 0.86, -limit, limit, "difference in points")
    unit = "difference in points, whatever its sign"
    greys = _ColorScale(UNPROVEN, 0.02, 0.42, 0, limit, unit, of_size=True)
    notes = []
    if with_spread:
        notes += [
            "±: half the 95 % interval over seeds",
            "bold, strong colour: the 95 % interval excludes zero",
        ]
    if without_spread:
        notes.append("grey: one seed, so no difference can be claimed")
    meanings = {FEWER: "a mean over fewer scores than others have", FAILED: "runs did not learn"}
    for mark, meaning in meanings.items():
        if any(mark in cell.text for row_cells in cells for cell in row_cells):
            notes.append(f"{mark}: {meaning}")
    scale = claims if with_spread or not without_spread else greys
    gap = _GAP if last_apart else 0.0
    return _draw_heatmap(cells, rows, columns, scale, path, title, rows_apart, notes, greys, gap)


def draw_scores(
    scores: Sequence[Sequence[float]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
) -> "Figure":
    """Draw a table of scores: the higher, the darker.

    Args:
        scores: One list for each row, as long as `columns`; NaN for an empty cell. At least one
            is a number.
        rows: Labels of the rows.
        columns: Labels of the columns. The last column is set apart.
        path: The picture to write, if any. Its suffix is the format: .png, .pdf, .svg.
        title: Text above the table.
    """
    cells = []
    shown: list[float] = []
    for row_scores in scores:
        cells.append([HeatmapCell(score, _format_or_dash(score)) for score in row_scores])
        shown += [score for score in row_scores if not math.isnan(score)]
    lowest = max(0.0, min(shown) - 1)
    highest = min(100.0, max(shown) + 1)
    scale = _ColorScale(SEQUENTIAL, 0.05, 0.6, lowest, highest, "score (0 to 100)")
    return _draw_heatmap(cells, rows, columns, scale, path, title)


def draw_counts(
    counts: Sequence[Sequence[int]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
) -> "Figure":
    """Draw a table of counts: the larger a count's share of its row, the darker.

    Args:
        counts: One list for each row, as long as `columns`.
        rows: Labels of the rows.
        columns: Labels of the columns.
        path: The picture to write, if any. Its suffix is the format: .png, .pdf, .svg.
        title: Text above the table.
    """
    cells = []
    for row_counts in counts:
        total = max(1, sum(row_counts))
        cells.append([HeatmapCell(100 * count / total, f"{count:,}") for count in row_counts])
    scale = _ColorScale(SEQUENTIAL, 0.0, 0.6, 0.0, 100.0, "share of the row, %")
    return _draw_heatmap(cells, rows, columns, scale, path, title, gap=0.0)


def _format_or_dash(score: float) -> str:
    return "–" if math.isnan(score) else f"{score:.1f}"


def _draw_heatmap(
    cells: Sequence[Sequence[HeatmapCell]],
    rows: Sequence[str],
    columns: Sequence[str],
    scale: _ColorScale,
    path: str | os.PathLike[str] | None,
    title: str | None,
    rows_apart: int = 0,
    notes: Sequence[str] = (),
    greys: _ColorScale | None = None,
    gap: float = _GAP,
) -> "Figure":
    """Draw a heat map; cells without a `detail` are coloured by `greys`, if it is given.

    `gap` is how far the last column stands off, in cells.
    """
    with picture_style():
        from jiantx.report.figures import ShownFigure

        row_names = [wrap_name(name, _ROW_NAME) for name in rows]
        most_lines = max(name.count("\n") + 1 for name in row_names)
        cell_height = max(_CELL_HEIGHT, _LINE_HEIGHT * most_lines + 0.06)

        # Positions in cells: the first `rows_apart` rows and the last column stand off by a gap.
        lefts = [float(index) for index in range(len(columns))]
        lefts[-1] += gap
        tops = [float(index) for index in range(len(rows))]
        if rows_apart:
            tops[rows_apart:] = [top + _GAP for top in tops[rows_apart:]]
        width = _CELL_WIDTH * (lefts[-1] + 1)
        height = cell_height * (tops[-1] + 1)

        figure = ShownFigure(figsize=(width, height), facecolor=PAPER)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, lefts[-1] + 1), ylim=(tops[-1] + 1, 0))
        for top, row_cells in zip(tops, cells, strict=True):
            for left, cell in zip(lefts, row_cells, strict=True):
                cell_scale = scale if greys is None or cell.detail else greys
                is_pale = greys is not None and bool(cell.detail) and not cell.bold
                _draw_cell(axes, left, top, cell, cell_scale, is_pale)
        _label_heatmap(axes, lefts, columns, tops, row_names)
        add_title(axes, title, width=width + 2)  # which the names of the rows add
        if any(not cell.neutral and not math.isnan(cell.value) for row in cells for cell in row):
            _draw_color_bar(figure, axes, width, height, scale)
        if notes:
            axes.text(
                0,
                -(max(0.0, _bar_height(height) - height) + 0.12) / height,  # below the bar, too
                "\n".join(notes),
                transform=axes.transAxes,
                va="top",
                color=MUTED,
                fontsize=type_points(SMALL_PIXELS),
            )
        save_figure(figure, path)
    return figure


def _draw_cell(
    axes: "Axes", left: float, top: float, cell: HeatmapCell, scale: _ColorScale, is_pale: bool
) -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle

    fill: Any = PAPER
    if cell.neutral:
        fill = NEUTRAL
    elif not math.isnan(cell.value):
        fill = scale.color(cell.value)
        if is_pale:
            fill = tuple(1 - _PALE * (1 - channel) for channel in fill)
    axes.add_patch(Rectangle((left, top), 1, 1, facecolor=fill, edgecolor=PAPER, linewidth=1.5))
    centered: dict[str, Any] = {"ha": "center", "va": "center", "color": ink_on(to_rgb(fill))}
    weight = "bold" if cell.bold else "normal"
    middle = left + 0.5
    text_height = top + (0.37 if cell.detail else 0.5)
    axes.text(middle, text_height, cell.text, weight=weight, **centered)
    axes.text(middle, top + 0.76, cell.detail, fontsize=type_points(SMALL_PIXELS - 2), **centered)


def _label_heatmap(
    axes: "Axes",
    lefts: Sequence[float],
    columns: Sequence[str],
    tops: Sequence[float],
    rows: Sequence[str],
) -> None:
    names = [wrap_name(name, _COLUMN_NAME) for name in columns]
    longest = max(len(line) for name in names for line in name.split("\n"))
    slanted: dict[str, Any] = {}
    if longest > _COLUMN_NAME:
        names = list(columns)
        slanted = {"rotation": 35, "rotation_mode": "anchor", "ha": "left"}
    axes.set_xticks([left + 0.5 for left in lefts], names, **slanted)
    axes.set_yticks([top + 0.5 for top in tops], rows, va="center")
    axes.tick_params(length=0, labelsize=type_points(TEXT_PIXELS), labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)


def _bar_height(height: float) -> float:
    """How high the colour bar beside a table of this height is, in inches."""
    return min(2.4, max(1.3, height))


def _draw_color_bar(
    figure: "Figure", axes: "Axes", width: float, height: float, scale: _ColorScale
) -> None:
    """Draw the colour bar to the right of a heat map of this width and height, in inches."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.ticker import MaxNLocator

    colormap, norm = scale.colors
    bar_height = _bar_height(height)
    bar_axes = axes.inset_axes(
        (1 + 0.22 / width, 1 - bar_height / height, 0.13 / width, bar_height / height)
    )
    color_bar = figure.colorbar(
        ScalarMappable(norm, colormap), cax=bar_axes, ticks=MaxNLocator(4, integer=True)
    )
    unit = wrap_name(scale.unit, 22)
    color_bar.set_label(unit, fontsize=type_points(SMALL_PIXELS), color=INK)
    color_bar.outline.set_visible(False)
    bar_axes.tick_params(labelsize=type_points(SMALL_PIXELS - 2), length=2)
