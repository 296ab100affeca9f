"""Heat maps of reports and comparisons. Needs matplotlib: `pip install jiantx[plots]`."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jiantx.report import Cell, Comparison, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize

_INK = "#1a1a1a"
_PAPER = "#ffffff"
_NEUTRAL = "#efefec"  # behind scores that no colour compares
_GAP = 0.18  # between a table and its averages, in cells


@dataclass(frozen=True)
class _Square:
    value: float  # what the colour shows; NaN for none
    text: str
    small: str = ""
    bold: bool = False
    fill: str | None = None  # instead of the colour of the value


def heatmap(comparison: Comparison, path: str | os.PathLike[str], *, title: str | None = None) -> None:
    """Draw a table of differences: intermediate tasks down, target tasks across, their average set apart.

    Baseline rows hold scores on a neutral ground. Differences, in points, are coloured from brown (worse) over white
    (0) to teal (better), with ± the standard deviation over seeds, and in bold where the 95 % interval excludes
    zero. Equal comparisons give equal bytes.

    Args:
        path: the suffix is the format: .png, .pdf, .svg.
    """
    squares = [[_difference(cell, row.is_baseline) for cell in (*row.cells, row.average)] for row in comparison.rows]
    shown = [s.value for row in squares for s in row if s.fill is None and not math.isnan(s.value)]
    limit = max([1.0, *map(abs, shown)])
    _draw(
        squares,
        rows=[row.label for row in comparison.rows],
        columns=[*comparison.columns, "average"],
        limits=(-limit, limit),
        colours=("BrBG", 0.14, 0.86),
        unit="difference in points",
        path=path,
        title=title,
        rows_apart=sum(row.is_baseline for row in comparison.rows) % len(comparison.rows),
    )


def scores(report: Report, path: str | os.PathLike[str], *, title: str | None = None) -> None:
    """Draw the main scores of one run: tasks down, languages across, their means set apart.

    Raises:
        ValueError: the report holds several runs (sets of tags other than "seed").
    """
    runs = {tuple(sorted((k, v) for k, v in r.tags.items() if k != "seed")) for r in report}
    if len(runs) > 1:
        raise ValueError(
            f"The report holds {len(runs)} runs. Choose one with where(...), or plot report.compare(baseline)."
        )
    cells, means = report.cells(), report.mean(by="task")
    tasks, languages = list(means), list(dict.fromkeys(language for _, language in cells))
    if not tasks:
        raise ValueError("The report holds no main score to plot.")
    values = [[*(cells.get((task, language), math.nan) for language in languages), means[task]] for task in tasks]
    shown = [value for row in values for value in row if not math.isnan(value)]
    _draw(
        [[_Square(value, "–" if math.isnan(value) else f"{value:.1f}") for value in row] for row in values],
        rows=tasks,
        columns=[*languages, "mean"],
        limits=(min(shown) - 1, max(shown) + 1),
        colours=("YlGnBu", 0.05, 0.6),
        unit="score",
        path=path,
        title=title,
    )


def _difference(cell: Cell, is_baseline: bool) -> _Square:
    if math.isnan(cell.mean):
        return _Square(math.nan, "–", fill=_PAPER)
    small = "" if cell.sd is None else f"± {cell.sd:.1f}"
    if is_baseline:
        return _Square(cell.mean, f"{cell.mean:.1f}", small, fill=_NEUTRAL)
    text = f"{cell.mean:+.1f}".replace("-", "−")
    text = "0.0" if text[1:] == "0.0" else text
    return _Square(cell.mean, text, small, bold=cell.significant)


def _draw(
    squares: Sequence[Sequence[_Square]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    limits: tuple[float, float],
    colours: tuple[str, float, float],  # a colour map and the part of it that leaves text readable
    unit: str,
    path: str | os.PathLike[str],
    title: str | None,
    rows_apart: int = 0,
) -> None:
    try:
        import matplotlib as mpl
        from matplotlib import style
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import LinearSegmentedColormap, Normalize
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("Plots need matplotlib: pip install jiantx[plots]") from error

    # Positions in cells: the first `rows_apart` rows and the last column stand off by a gap.
    lefts = [i + (_GAP if i == len(columns) - 1 else 0) for i in range(len(columns))]
    tops = [i + (_GAP if rows_apart and i >= rows_apart else 0) for i in range(len(rows))]
    name, low, high = colours
    colour = LinearSegmentedColormap.from_list(name, mpl.colormaps[name](np.linspace(low, high, 256)))
    norm = Normalize(*limits)

    # Everything is laid out in inches, from the inside out, so that no text meets another.
    cell_width, cell_height = 0.80, 0.46
    width, height = (lefts[-1] + 1) * cell_width, (tops[-1] + 1) * cell_height
    left = 0.25 + 0.095 * max(map(len, rows))
    slanted = max(map(len, columns)) > 9
    above = 0.2 + (0.056 * max(map(len, columns)) if slanted else 0.15) + (0.42 if title else 0)
    bar_height = max(height, 1.3)
    below, right = 0.15 + max(0.0, bar_height - height), 1.05
    total_width, total_height = left + width + right, above + height + below

    # The defaults, whatever this machine's matplotlibrc says, so that equal tables give equal files.
    with style.context(["default", {"svg.hashsalt": "jiantx"}]):
        figure = Figure(figsize=(total_width, total_height), facecolor=_PAPER)
        axes = figure.add_axes((left / total_width, below / total_height, width / total_width, height / total_height))
        axes.set(xlim=(0, lefts[-1] + 1), ylim=(tops[-1] + 1, 0))
        for x, column in zip(lefts, columns, strict=True):
            axes.text(
                x + (0.32 if slanted else 0.5),
                -0.16,
                column,
                ha="left" if slanted else "center",
                va="bottom",
                rotation=35 if slanted else 0,
                rotation_mode="anchor",
                fontsize=11,
                color=_INK,
            )
        for y, label, line in zip(tops, rows, squares, strict=True):
            axes.text(-0.14, y + 0.5, label, ha="right", va="center", fontsize=11, color=_INK)
            for x, square in zip(lefts, line, strict=True):
                _draw_square(axes, x, y, square, colour, norm)
        axes.axis("off")
        if title:
            figure.text(
                0.12 / total_width, 1 - 0.14 / total_height, title, ha="left", va="top", fontsize=12, color=_INK
            )
        bar = figure.add_axes(
            (
                (left + width + 0.22) / total_width,
                (below + height - bar_height) / total_height,
                0.13 / total_width,
                bar_height / total_height,
            )
        )
        drawn = figure.colorbar(ScalarMappable(norm, colour), cax=bar)
        drawn.set_label(unit, fontsize=9, color=_INK)
        drawn.outline.set_visible(False)
        bar.tick_params(labelsize=8, color=_INK, labelcolor=_INK, length=2)
        # Neither date nor version, for the same reason.
        metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
        kind = os.path.splitext(path)[1].lstrip(".").lower()
        figure.savefig(path, dpi=200, metadata=metadata.get(kind))


def _draw_square(axes: "Axes", x: float, y: float, square: _Square, colour: "Colormap", norm: "Normalize") -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle

    fill = _PAPER if math.isnan(square.value) else square.fill or to_rgb(colour(float(norm(square.value))))
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=fill, edgecolor=_PAPER, linewidth=1.5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(fill))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue  # WCAG's; above 0.2, dark ink has the better contrast
    ink = _INK if luminance > 0.2 else _PAPER
    centred: dict[str, Any] = {"ha": "center", "va": "center", "color": ink}
    weight = "bold" if square.bold else "normal"
    axes.text(x + 0.5, y + (0.37 if square.small else 0.5), square.text, fontsize=11, weight=weight, **centred)
    if square.small:
        axes.text(x + 0.5, y + 0.75, square.small, fontsize=8, **centred)
