"""Heat maps of reports and comparisons. Needs matplotlib: `pip install jiantx[plots]`."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
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


def heatmap(
    comparison: Comparison, path: str | os.PathLike[str], *, title: str | None = None
) -> None:
    """Draw a table of differences: intermediate tasks down, target tasks across, their average set apart.

    Baseline rows hold scores on a neutral ground. Differences, in points, are coloured from brown (worse) over white
    (0) to teal (better), with ± the standard deviation over seeds, and in bold where the 95 % interval excludes
    zero. The suffix of `path` is the format: .png, .pdf, .svg. Equal comparisons give equal bytes.
    """
    squares = [
        [_difference(cell, row.is_baseline) for cell in (*row.cells, row.average)]
        for row in comparison.rows
    ]
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
    """Draw the main scores of one run (a set of tags other than "seed"): tasks down, languages across, means apart."""
    runs = {tuple(sorted((k, v) for k, v in r.tags.items() if k != "seed")) for r in report}
    if len(runs) > 1:
        raise ValueError(
            f"The report holds {len(runs)} runs. Choose one with where(...), or plot report.compare(baseline)."
        )
    cells, means = report.cells(), report.mean(by="task")
    tasks, languages = list(means), list(dict.fromkeys(language for _, language in cells))
    if not tasks:
        raise ValueError("The report holds no main score to plot.")
    values = [
        [*(cells.get((task, language), math.nan) for language in languages), means[task]]
        for task in tasks
    ]
    shown = [value for row in values for value in row if not math.isnan(value)]
    _draw(
        [
            [_Square(value, "–" if math.isnan(value) else f"{value:.1f}") for value in row]
            for row in values
        ],
        rows=tasks,
        columns=[*languages, "mean"],
        limits=(min(shown) - 1, max(shown) + 1),
        colours=("YlGnBu", 0.05, 0.6),
        unit="score",
        path=path,
        title=title,
    )


def gaps(report: Report, path: str | os.PathLike[str], *, title: str | None = None) -> None:
    """Draw, for each row of a report with tag `intermediate`, its mean in English and in the other languages.

    Over the tasks that have both; the difference is the zero-shot gap.
    """
    rows = transfer_gaps(report)
    if not rows:
        raise ValueError(
            "The report holds no task that is scored in English and in another language."
        )

    def draw(axes: "Axes") -> None:
        for place, (english, others) in enumerate(rows.values()):
            axes.plot([others, english], [place, place], color="0.75", linewidth=2, zorder=1)
            axes.text(
                max(english, others) + 0.4,
                place,
                f"{english - others:.1f}",
                va="center",
                fontsize=9,
            )
        for side, (label, marker) in enumerate((("English", "o"), ("other languages", "s"))):
            values = [row[side] for row in rows.values()]
            axes.scatter(
                values,
                range(len(rows)),
                color=_COLOURS[side],
                marker=marker,
                s=36,
                label=label,
                zorder=2,
            )
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.margins(x=0.08)
        axes.set_xlabel("main score, mean over tasks; beside it the zero-shot gap in points")
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(0, 1.0 + 0.9 / (len(rows) + 1)),
            ncols=2,
            frameon=False,
        )

    _framed(draw, path, title, height=1.2 + 0.3 * len(rows))


def transfer_gaps(report: Report) -> dict[str, tuple[float, float]]:
    """Row -> mean main score in English and in all other languages, over the tasks that have both."""
    found = {}
    for words in dict.fromkeys(str(record.tags["intermediate"]) for record in report):
        cells = report.where(intermediate=words).cells()
        pairs = []
        for task in dict.fromkeys(task for task, _ in cells):
            others = [
                value for (name, code), value in cells.items() if name == task and code != "en"
            ]
            if (task, "en") in cells and others:
                pairs.append((cells[task, "en"], float(np.mean(others))))
        if pairs:
            found[words] = (
                float(np.mean([p[0] for p in pairs])),
                float(np.mean([p[1] for p in pairs])),
            )
    return found


@dataclass(frozen=True)
class Point:
    """A measured value: where, its mean, how far it may be off, and a word beside it."""

    x: float
    y: float
    error: float | None = None
    label: str = ""


def plot_points(
    series: Mapping[str, Sequence[Point]],
    path: str | os.PathLike[str],
    *,
    x: str,
    y: str,
    title: str | None = None,
    log_x: bool = False,
    joined: bool = True,
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
) -> None:
    """Draw series of points with their errors. x, y: what the axes show, with units. lines: thin ones, such as fits."""

    def draw(axes: "Axes") -> None:
        from matplotlib.patheffects import withStroke
        from matplotlib.ticker import EngFormatter, LogLocator

        for number, (name, found) in enumerate(series.items()):
            errors = [point.error or 0.0 for point in found]
            how: dict[str, Any] = {
                "color": _COLOURS[number % len(_COLOURS)],
                "marker": "osD^vPX"[number % 7],
            }
            how |= {
                "linestyle": "-" if joined else "none",
                "linewidth": 1.5,
                "capsize": 3,
                "elinewidth": 1,
            }
            how |= {"yerr": errors if any(errors) else None, "markersize": 6}
            axes.errorbar(
                [point.x for point in found], [point.y for point in found], label=name, **how
            )
            for point in found:
                named = axes.annotate(
                    point.label, (point.x, point.y), (5, 4), textcoords="offset points", fontsize=9
                )
                named.set_path_effects(
                    [withStroke(linewidth=3, foreground=_PAPER)]
                )  # readable across a line
        for number, (name, line) in enumerate((lines or {}).items()):
            axes.plot(
                *line,
                color="0.35",
                linewidth=1,
                linestyle=("--", ":", "-.")[number % 3],
                label=name,
            )
        if any(point.y - (point.error or 0) < 0 for found in series.values() for point in found):
            axes.axhline(0, color="0.7", linewidth=1, zorder=0)
        if log_x:  # 200 k instead of 2 x 10^5, and few enough not to touch
            axes.set_xscale("log", subs=[])
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(EngFormatter())
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if len(series) + len(lines or {}) > 1:
            axes.legend(frameon=False, fontsize=9)

    _framed(draw, path, title)


# Okabe and Ito's, which colour-blind readers tell apart.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def _framed(
    draw: Callable[["Axes"], None],
    path: str | os.PathLike[str],
    title: str | None,
    *,
    height: float = 4.0,
) -> None:
    """A picture with two axes; equal data give equal bytes."""
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("Plots need matplotlib: pip install jiantx[plots]") from error
    own = {"svg.hashsalt": "jiantx", "text.color": _INK, "axes.labelcolor": _INK, "font.size": 11}
    with style.context(["default", own]):
        figure = Figure(figsize=(7.0, height), facecolor=_PAPER, layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.spines[["top", "right"]].set_visible(False)
        if title:
            axes.set_title(title, loc="left", fontsize=12, pad=12)
        _save(figure, path)


def _save(figure: Any, path: str | os.PathLike[str]) -> None:
    # Neither date nor version, so that equal tables give equal files.
    metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
    kind = os.path.splitext(path)[1].lstrip(".").lower()
    figure.savefig(path, dpi=200, bbox_inches="tight", pad_inches=0.12, metadata=metadata.get(kind))


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
    colour = LinearSegmentedColormap.from_list(
        name, mpl.colormaps[name](np.linspace(low, high, 256))
    )
    norm = Normalize(*limits)

    # The defaults, whatever this machine's matplotlibrc says, so that equal tables give equal files.
    own = {"svg.hashsalt": "jiantx", "text.color": _INK, "xtick.color": _INK, "ytick.color": _INK}
    with style.context(["default", own]):
        width, height = 0.80 * (lefts[-1] + 1), 0.46 * (tops[-1] + 1)  # inches
        figure = Figure(figsize=(width, height), facecolor=_PAPER)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, lefts[-1] + 1), ylim=(tops[-1] + 1, 0))
        for y, line in zip(tops, squares, strict=True):
            for x, square in zip(lefts, line, strict=True):
                _draw_square(axes, x, y, square, colour, norm)
        slanted: dict[str, Any] = {"rotation": 35, "rotation_mode": "anchor", "ha": "left"}
        axes.set_xticks(
            [x + 0.5 for x in lefts], columns, **(slanted if max(map(len, columns)) > 9 else {})
        )
        axes.set_yticks([y + 0.5 for y in tops], rows)
        axes.tick_params(length=0, labelsize=11, labeltop=True, labelbottom=False)
        axes.spines[:].set_visible(False)
        axes.set_title(title or "", loc="left", fontsize=12, pad=10)
        tall = max(1.0, 1.3 / height)  # of the bar, in heights of the table
        bar = axes.inset_axes((1 + 0.22 / width, 1 - tall, 0.13 / width, tall))
        drawn = figure.colorbar(ScalarMappable(norm, colour), cax=bar)
        drawn.set_label(unit, fontsize=9, color=_INK)
        drawn.outline.set_visible(False)
        bar.tick_params(labelsize=8, length=2)
        _save(figure, path)


def _draw_square(
    axes: "Axes", x: float, y: float, square: _Square, colour: "Colormap", norm: "Normalize"
) -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle

    fill = (
        _PAPER
        if math.isnan(square.value)
        else square.fill or to_rgb(colour(float(norm(square.value))))
    )
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=fill, edgecolor=_PAPER, linewidth=1.5))
    luma = np.dot(to_rgb(fill), (0.299, 0.587, 0.114))  # how light the fill looks
    centred: dict[str, Any] = {
        "ha": "center",
        "va": "center",
        "color": _INK if luma > 0.5 else _PAPER,
    }
    weight = "bold" if square.bold else "normal"
    axes.text(
        x + 0.5,
        y + (0.37 if square.small else 0.5),
        square.text,
        fontsize=11,
        weight=weight,
        **centred,
    )
    axes.text(x + 0.5, y + 0.75, square.small, fontsize=8, **centred)
