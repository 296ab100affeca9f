"""Heat maps of plain numbers. Needs matplotlib: `pip install jiantx[plots]`."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jiantx.report.plots import INK, PAPER, check_matplotlib, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

_NEUTRAL = "#efefec"  # behind scores that no colour compares
_GAP = 0.18  # between a table and its averages, in cells
_CELL_WIDTH = 0.80  # inches
_CELL_HEIGHT = 0.46


@dataclass(frozen=True)
class HeatmapCell:
    """One cell of a heat map.

    Args:
        value: What the colour shows; NaN for an empty cell.
        text: The text in the middle of the cell.
        detail: Smaller text below it.
        bold: Whether `text` is bold.
        neutral: Whether the cell is grey, because its value cannot be compared with the others.
    """

    value: float
    text: str
    detail: str = ""
    bold: bool = False
    neutral: bool = False


@dataclass(frozen=True)
class _ColorScale:
    """Values from `lowest` to `highest`, in that part of a colour map that leaves text readable."""

    colormap: str
    start: float
    end: float
    lowest: float
    highest: float
    unit: str


def draw_differences(
    cells: Sequence[Sequence[HeatmapCell]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
    rows_apart: int = 0,
) -> "Figure":
    """Draw a table of differences: from brown (negative) over white (0) to teal (positive).

    Args:
        cells: One list for each row, as long as `columns`.
        rows: Labels of the rows.
        columns: Labels of the columns. The last column is set apart.
        path: The picture to write, if any. Its suffix is the format: .png, .pdf, .svg.
        title: Text above the table.
        rows_apart: How many of the first rows are set apart.
    """
    limit = 1.0
    for row_cells in cells:
        for cell in row_cells:
            if not cell.neutral and not math.isnan(cell.value):
                limit = max(limit, abs(cell.value))
    scale = _ColorScale("BrBG", 0.14, 0.86, -limit, limit, "difference in points")
    return _draw_heatmap(cells, rows, columns, scale, path, title, rows_apart)


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
    scale = _ColorScale("YlGnBu", 0.05, 0.6, min(shown) - 1, max(shown) + 1, "score")
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
    scale = _ColorScale("YlGnBu", 0.0, 0.6, 0.0, 100.0, "share of the row, %")
    return _draw_heatmap(cells, rows, columns, scale, path, title, column_apart=False)


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
    column_apart: bool = True,
) -> "Figure":
    check_matplotlib()
    import matplotlib as mpl
    from matplotlib import style
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    from jiantx.report.figures import ShownFigure

    all_colors = mpl.colormaps[scale.colormap]
    colors = all_colors(np.linspace(scale.start, scale.end, 256))
    colormap = LinearSegmentedColormap.from_list(scale.colormap, colors)
    norm = Normalize(scale.lowest, scale.highest)

    # Positions in cells: the first `rows_apart` rows and the last column may stand off.
    lefts = [float(index) for index in range(len(columns))]
    if column_apart:
        lefts[-1] += _GAP
    tops = [float(index) for index in range(len(rows))]
    if rows_apart:
        tops[rows_apart:] = [top + _GAP for top in tops[rows_apart:]]
    width = _CELL_WIDTH * (lefts[-1] + 1)
    height = _CELL_HEIGHT * (tops[-1] + 1)

    ink = {"text.color": INK, "xtick.color": INK, "ytick.color": INK}
    # matplotlib's defaults, whatever this machine's matplotlibrc says.
    with style.context(["default", {"svg.hashsalt": "jiantx", **ink}]):
        figure = ShownFigure(figsize=(width, height), facecolor=PAPER)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, lefts[-1] + 1), ylim=(tops[-1] + 1, 0))
        for top, row_cells in zip(tops, cells, strict=True):
            for left, cell in zip(lefts, row_cells, strict=True):
                _draw_cell(axes, left, top, cell, colormap, norm)
        _label_heatmap(axes, lefts, columns, tops, rows)
        axes.set_title(title or "", loc="left", fontsize=12, pad=10)
        _draw_color_bar(figure, axes, width, height, colormap, norm, scale.unit)
        save_figure(figure, path)
    return figure


def _draw_cell(
    axes: "Axes",
    left: float,
    top: float,
    cell: HeatmapCell,
    colormap: "Colormap",
    norm: "Normalize",
) -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle

    fill: Any = PAPER
    if cell.neutral:
        fill = _NEUTRAL
    elif not math.isnan(cell.value):
        fill = to_rgb(colormap(float(norm(cell.value))))
    axes.add_patch(Rectangle((left, top), 1, 1, facecolor=fill, edgecolor=PAPER, linewidth=1.5))
    luma = np.dot(to_rgb(fill), (0.299, 0.587, 0.114))  # how light the fill looks
    ink = INK if luma > 0.5 else PAPER
    centered: dict[str, Any] = {"ha": "center", "va": "center", "color": ink}
    weight = "bold" if cell.bold else "normal"
    middle = left + 0.5
    text_height = top + (0.37 if cell.detail else 0.5)
    axes.text(middle, text_height, cell.text, fontsize=11, weight=weight, **centered)
    axes.text(middle, top + 0.75, cell.detail, fontsize=8, **centered)


def _label_heatmap(
    axes: "Axes",
    lefts: Sequence[float],
    columns: Sequence[str],
    tops: Sequence[float],
    rows: Sequence[str],
) -> None:
    slanted: dict[str, Any] = {}
    if max(map(len, columns)) > 9:
        slanted = {"rotation": 35, "rotation_mode": "anchor", "ha": "left"}
    axes.set_xticks([left + 0.5 for left in lefts], columns, **slanted)
    axes.set_yticks([top + 0.5 for top in tops], rows)
    axes.tick_params(length=0, labelsize=11, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)


def _draw_color_bar(
    figure: "Figure",
    axes: "Axes",
    width: float,
    height: float,
    colormap: "Colormap",
    norm: "Normalize",
    unit: str,
) -> None:
    """Draw the colour bar to the right of a heat map of this width and height, in inches."""
    from matplotlib.cm import ScalarMappable

    bar_height = max(1.0, 1.3 / height)  # in heights of the table
    bar_axes = axes.inset_axes((1 + 0.22 / width, 1 - bar_height, 0.13 / width, bar_height))
    color_bar = figure.colorbar(ScalarMappable(norm, colormap), cax=bar_axes)
    color_bar.set_label(unit, fontsize=9, color=INK)
    color_bar.outline.set_visible(False)
    bar_axes.tick_params(labelsize=8, length=2)
