"""Plots of plain numbers. Needs matplotlib: `pip install jiantx[plots]`.

Equal numbers give equal bytes: pictures hold neither dates nor versions, and ignore matplotlibrc.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1a1a1a"
PAPER = "#ffffff"
# Okabe and Ito's, which colour-blind readers tell apart.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MARKERS = "osD^vPX"
_LINE_STYLES = ("--", ":", "-.")


def draw_gaps(
    gaps: Mapping[str, tuple[float, float]],
    path: str | os.PathLike[str] | None = None,
    *,
    title: str | None = None,
) -> "Figure":
    """Draw scores in English and in other languages, with the zero-shot gap between them.

    Args:
        gaps: Label of a line -> (mean in English, mean in the other languages).
        path: The picture to write, if any. Its suffix is the format: .png, .pdf, .svg.
        title: Text above the picture.
    """
    english_scores = [english for english, _ in gaps.values()]
    transferred_scores = [transferred for _, transferred in gaps.values()]
    rows = range(len(gaps))

    def draw(axes: "Axes") -> None:
        for row, (english, transferred) in enumerate(gaps.values()):
            axes.plot([transferred, english], [row, row], color="0.75", linewidth=2, zorder=1)
            right = max(english, transferred) + 0.4
            axes.text(right, row, f"{english - transferred:.1f}", va="center", fontsize=9)
        points: dict[str, Any] = {"s": 36, "zorder": 2}
        axes.scatter(english_scores, rows, color=_COLORS[0], marker="o", label="English", **points)
        axes.scatter(
            transferred_scores,
            rows,
            color=_COLORS[1],
            marker="s",
            label="other languages",
            **points,
        )
        axes.set_yticks(rows, list(gaps))
        axes.set_ylim(len(gaps) - 0.5, -0.5)
        axes.margins(x=0.08)
        axes.set_xlabel("main score, mean over tasks; beside it the zero-shot gap in points")
        above = 1.0 + 0.9 / (len(gaps) + 1)
        axes.legend(loc="upper left", bbox_to_anchor=(0, above), ncols=2, frameon=False)

    return _draw_axes(draw, path, title, height=1.2 + 0.3 * len(gaps))


def draw_layers(
    weights: Mapping[str, Mapping[int, float]],
    centers: Mapping[str, float],
    path: str | os.PathLike[str] | None = None,
    *,
    title: str | None = None,
) -> "Figure":
    """Draw the weights of layers as bars, a line of them for each label.

    The highest bar of a line has the height of the line.

    Args:
        weights: Label of a line -> layer -> weight.
        centers: Label of a line -> mean layer, which is marked.
        path: The picture to write, if any. Its suffix is the format: .png, .pdf, .svg.
        title: Text above the picture.
    """
    rows = range(len(weights))

    def draw(axes: "Axes") -> None:
        from matplotlib.ticker import MaxNLocator

        for row, by_layer in enumerate(weights.values()):
            highest = max(by_layer.values())
            heights = [0.62 * weight / highest for weight in by_layer.values()]
            name = "weight" if row == 0 else None
            bottom = [row - height for height in heights]  # the first line is above
            axes.bar(list(by_layer), heights, bottom=bottom, color=_COLORS[5], label=name)
            axes.axhline(row, color="0.75", linewidth=1, zorder=0)
        marked = [centers[label] for label in weights]
        points: dict[str, Any] = {"s": 36, "zorder": 3, "color": _COLORS[1], "marker": "D"}
        axes.scatter(marked, rows, label="centre of gravity", **points)
        for row, center in enumerate(marked):
            axes.annotate(
                f"{center:.1f}",
                (center, row),
                (0, -12),
                textcoords="offset points",
                ha="center",
                fontsize=9,
            )
        axes.set_yticks(rows, list(weights))
        axes.set_ylim(len(weights) - 0.5, -0.95)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("layer; 0 is the embeddings")
        figure: Any = axes.get_figure()
        figure.legend(loc="outside lower center", ncols=2, frameon=False)  # below: a title is above

    return _draw_axes(draw, path, title, height=1.4 + 0.6 * len(weights))


@dataclass(frozen=True)
class Point:
    """A measured value.

    Args:
        x: Position on the x axis.
        y: The mean, on the y axis.
        error: Half the height of the error bar; None for no bar.
        label: Text beside the point.
    """

    x: float
    y: float
    error: float | None = None
    label: str = ""

    @property
    def lower_end(self) -> float:
        """The lower end of the error bar."""
        return self.y - (self.error or 0)


def plot_points(
    series: Mapping[str, Sequence[Point]],
    path: str | os.PathLike[str] | None = None,
    *,
    x: str,
    y: str,
    title: str | None = None,
    log_x: bool = False,
    joined: bool = True,
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
) -> "Figure":
    """Draw series of points with error bars.

    Args:
        series: Name in the legend -> points.
        path: The picture to write, if any. Its suffix is the format: .png, .pdf, .svg.
        x: Label of the x axis, with the unit.
        y: Label of the y axis, with the unit.
        title: Text above the picture.
        log_x: Whether the x axis is logarithmic.
        joined: Whether lines join the points of a series.
        lines: Name in the legend -> (x values, y values) of thin lines, such as fits.
    """
    lines = lines or {}

    def draw(axes: "Axes") -> None:
        for index, (name, points) in enumerate(series.items()):
            _draw_series(axes, index, name, points, joined)
        for index, (name, (x_values, y_values)) in enumerate(lines.items()):
            line_style = _LINE_STYLES[index % len(_LINE_STYLES)]
            axes.plot(
                x_values, y_values, color="0.35", linewidth=1, linestyle=line_style, label=name
            )
        if any(_reaches_below_zero(points) for points in series.values()):
            axes.axhline(0, color="0.7", linewidth=1, zorder=0)
        if log_x:
            _set_log_x(axes)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if len(series) + len(lines) > 1:
            axes.legend(frameon=False, fontsize=9)

    return _draw_axes(draw, path, title)


def _draw_series(
    axes: "Axes", index: int, name: str, points: Sequence[Point], joined: bool
) -> None:
    from matplotlib.patheffects import withStroke

    errors = [point.error or 0.0 for point in points]
    axes.errorbar(
        [point.x for point in points],
        [point.y for point in points],
        yerr=errors if any(errors) else None,
        label=name,
        color=_COLORS[index % len(_COLORS)],
        marker=_MARKERS[index % len(_MARKERS)],
        markersize=6,
        linestyle="-" if joined else "none",
        linewidth=1.5,
        capsize=3,
        elinewidth=1,
    )
    outline = withStroke(linewidth=3, foreground=PAPER)  # readable across a line
    for point in points:
        label = axes.annotate(
            point.label, (point.x, point.y), (5, 4), textcoords="offset points", fontsize=9
        )
        label.set_path_effects([outline])


def _reaches_below_zero(points: Sequence[Point]) -> bool:
    return any(point.lower_end < 0 for point in points)


def _set_log_x(axes: "Axes") -> None:
    """Make the x axis logarithmic, with 200 k instead of 2 x 10^5, and few enough labels."""
    from matplotlib.ticker import EngFormatter, LogLocator

    axes.set_xscale("log", subs=[])
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(EngFormatter())


def _draw_axes(
    draw: Callable[["Axes"], None],
    path: str | os.PathLike[str] | None,
    title: str | None,
    *,
    height: float = 4.0,
) -> "Figure":
    """Make a picture with two axes, on which `draw` draws; `height` in inches."""
    check_matplotlib()
    from matplotlib import style

    from jiantx.report.figures import ShownFigure

    ink = {"text.color": INK, "axes.labelcolor": INK}
    with style.context(["default", {"svg.hashsalt": "jiantx", "font.size": 11, **ink}]):
        figure = ShownFigure(figsize=(7.0, height), facecolor=PAPER, layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.spines[["top", "right"]].set_visible(False)
        if title:
            axes.set_title(title, loc="left", fontsize=12, pad=12)
        save_figure(figure, path)
    return figure


# --- Files ----------------------------------------------------------------------------------------


def check_matplotlib() -> None:
    """Raise an ImportError that says what to install, if matplotlib is missing."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError("Plots need matplotlib: pip install jiantx[plots]") from error


def save_figure(figure: "Figure", path: str | os.PathLike[str] | None) -> None:
    """Write a figure so that equal figures give equal files.

    Args:
        figure: The figure.
        path: The picture to write; nothing is written if None. Its suffix is the format: .png,
            .pdf, .svg.
    """
    if path is None:
        return
    # Neither date nor version.
    metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
    suffix = os.path.splitext(path)[1].lstrip(".").lower()
    figure.savefig(
        path, dpi=200, bbox_inches="tight", pad_inches=0.12, metadata=metadata.get(suffix)
    )
