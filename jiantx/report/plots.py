"""Plots of plain numbers, in the style of `picture_style`. Needs matplotlib."""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jiantx.report.picture_style import (
    LINE_STYLES,
    MARKERS,
    MUTED,
    PAPER,
    RULE,
    SERIES_COLORS,
    SMALL_PIXELS,
    add_title,
    new_axes,
    picture_style,
    save_figure,
    type_points,
    wrap_name,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SMALL = type_points(SMALL_PIXELS)
_ROW_NAME = 28  # characters of a line
_MOST_TICKS = 12  # of an axis that has one at each value that was run
_TICK_DISTANCE = 0.07  # of the axis, so that labels do not touch
_SIDE_STEP = 7.0  # points between series that share their x values
_LABEL_HEIGHT = 13.0  # points


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
            axes.plot([transferred, english], [row, row], color=RULE, linewidth=2, zorder=1)
            axes.annotate(
                _with_minus(english - transferred),
                (max(english, transferred), row),
                (8, 0),
                textcoords="offset points",
                va="center",
                fontsize=_SMALL,
            )
        marks: dict[str, Any] = {"s": 36, "zorder": 2}
        axes.scatter(
            english_scores, rows, color=SERIES_COLORS[0], marker="o", label="English", **marks
        )
        axes.scatter(
            transferred_scores,
            rows,
            color=SERIES_COLORS[1],
            marker="s",
            label="other languages",
            **marks,
        )
        axes.set_yticks(rows, [wrap_name(name, _ROW_NAME) for name in gaps])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(gaps) - 0.5, -0.5)
        axes.margins(x=0.08)
        axes.set_xlabel("main score (0 to 100), mean over tasks\nNumbers: the gap in points")
        _add_legend(axes)

    return _draw_axes(draw, path, title, height=1.9 + 0.34 * len(gaps))


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
            name = "weight, relative to the line's highest" if row == 0 else None
            bottom = [row - height for height in heights]  # the first line is above
            axes.bar(list(by_layer), heights, bottom=bottom, color=SERIES_COLORS[5], label=name)
            axes.axhline(row, color=RULE, linewidth=1, zorder=0)
        marked = [centers[label] for label in weights]
        marks: dict[str, Any] = {"s": 36, "zorder": 3, "color": SERIES_COLORS[1], "marker": "D"}
        axes.scatter(marked, rows, label="centre of gravity", **marks)
        for row, center in enumerate(marked):
            axes.annotate(
                f"{center:.1f}",
                (center, row),
                (0, -12),
                textcoords="offset points",
                ha="center",
                fontsize=_SMALL,
            )
        axes.set_yticks(rows, [wrap_name(name, _ROW_NAME) for name in weights])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(weights) - 0.5, -0.95)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("layer (0 is the embeddings)")
        _add_legend(axes)

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
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> "Figure":
    """Draw series of points with error bars.

    The x axis has ticks at the points, if there are not too many. Series that share x values are
    drawn side by side, so that none hides another.

    Args:
        series: Name in the legend -> points.
        path: The picture to write, if any. Its suffix is the format: .png, .pdf, .svg.
        x: Label of the x axis, with the unit.
        y: Label of the y axis, with the unit.
        title: Text above the picture.
        log_x: Whether the x axis is logarithmic.
        joined: Whether lines join the points of a series.
        lines: Name in the legend -> (x values, y values) of thin lines, such as fits.
        bounds: The lowest and the highest possible y, such as (0, 100): error bars end there.
    """
    lines = lines or {}

    def draw(axes: "Axes") -> None:
        for index, (name, points) in enumerate(series.items()):
            shift = _side_step(index, list(series.values()))
            _draw_series(axes, index, name, points, joined, bounds, shift)
        for index, (name, (x_values, y_values)) in enumerate(lines.items()):
            line_style = LINE_STYLES[index % len(LINE_STYLES)]
            axes.plot(
                x_values, y_values, color=MUTED, linewidth=1, linestyle=line_style, label=name
            )
        if any(_reaches_below_zero(points) for points in series.values()) and bounds[0] < 0:
            axes.axhline(0, color=RULE, linewidth=1, zorder=0)
        axes.margins(x=0.06)
        run_values = {point.x for points in series.values() for point in points}
        _set_x_axis(axes, sorted(run_values), log_x)
        axes.set_xlabel(x)
        axes.set_ylabel(y if "\n" in y else wrap_name(y, 40))
        if len(series) + len(lines) > 1:
            _add_legend(axes)
        _label_points(axes, series)

    return _draw_axes(draw, path, title)


def _side_step(index: int, series: Sequence[Sequence[Point]]) -> float:
    """How far to the side a series is drawn, in points, where series share x values."""
    x_values = [{point.x for point in points} for points in series]
    distinct = set().union(*x_values)
    if sum(map(len, x_values)) == len(distinct):
        return 0.0
    return (index - (len(series) - 1) / 2) * _SIDE_STEP


def _draw_series(
    axes: "Axes",
    index: int,
    name: str,
    points: Sequence[Point],
    joined: bool,
    bounds: tuple[float, float],
    shift: float,
) -> None:
    from matplotlib.transforms import ScaledTranslation

    below = [_bar_length(point, point.y - bounds[0]) for point in points]
    above = [_bar_length(point, bounds[1] - point.y) for point in points]
    figure: Any = axes.get_figure()
    drawn = axes.errorbar(
        [point.x for point in points],
        [point.y for point in points],
        yerr=[below, above] if any([*below, *above]) else None,
        label=name,
        color=SERIES_COLORS[index % len(SERIES_COLORS)],
        marker=MARKERS[index % len(MARKERS)],
        markersize=6,
        linestyle="-" if joined else "none",
        linewidth=1.5,
        capsize=3,
        elinewidth=1,
    )
    sideways = ScaledTranslation(shift / 72, 0, figure.dpi_scale_trans)
    for artist in drawn.get_children():
        artist.set_transform(axes.transData + sideways)


def _bar_length(point: Point, room: float) -> float:
    """The length of one half of an error bar that has some room; 0 without an error bar."""
    error = point.error or 0.0
    return 0.0 if math.isnan(error) else max(0.0, min(error, room))


def _label_points(axes: "Axes", series: Mapping[str, Sequence[Point]]) -> None:
    """Write labels to the right of points, higher where one would cover another."""
    from matplotlib.patheffects import withStroke

    figure: Any = axes.get_figure()
    figure.draw_without_rendering()  # fixes the scales
    pixels_per_point = figure.dpi / 72
    all_points = list(series.values())
    rightmost: dict[tuple[float, float, str], float] = {}  # of points with one label: the shift
    for index, points in enumerate(all_points):
        for point in filter(lambda point: point.label, points):
            rightmost[point.x, point.y, point.label] = _side_step(index, all_points)
    outline = withStroke(linewidth=3, foreground=PAPER)  # readable across a line
    taken: list[tuple[float, float]] = []  # where labels stand, in points
    for (x, y, text), shift in sorted(rightmost.items()):
        column, height = axes.transData.transform((x, y)) / pixels_per_point
        column += shift
        lift = 0.0
        for other_column, other_height in sorted(taken):
            near = abs(other_column - column) < 4 * len(text) + 8
            if near and abs(other_height - height - lift) < _LABEL_HEIGHT:
                lift = other_height + _LABEL_HEIGHT - height
        taken.append((column, height + lift))
        label = axes.annotate(
            text,
            (x, y),
            (8 + shift, lift),
            textcoords="offset points",
            va="center",
            fontsize=_SMALL,
        )
        label.set_path_effects([outline])


def _reaches_below_zero(points: Sequence[Point]) -> bool:
    return any(point.lower_end < 0 for point in points)


def _set_x_axis(axes: "Axes", values: Sequence[float], log_x: bool) -> None:
    """Give the x axis ticks at the values that were run, with 200 k instead of 2 x 10^5."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, NullLocator

    if log_x:
        axes.set_xscale("log", subs=[])
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(EngFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
    if len(values) <= _MOST_TICKS:
        ticks = list(_ticks_apart(values, log_x))
        axes.set_xticks(ticks, [format_short(value) for value in ticks])
        axes.xaxis.set_minor_locator(NullLocator())


def _ticks_apart(values: Sequence[float], log_x: bool) -> Iterable[float]:
    """Yield sorted values, but for those that are too near to the one before."""
    positions = [math.log(value) for value in values] if log_x else list(values)
    previous = -math.inf
    for value, position in zip(values, positions, strict=True):
        if position - previous >= _TICK_DISTANCE * (positions[-1] - positions[0]):
            previous = position
            yield value


def format_short(value: float) -> str:
    """Write a number with three digits at most.

    Example:
        >>> format_short(1_237_440), format_short(25_472), format_short(128), format_short(0.09)
        ('1.24 M', '25.5 k', '128', '0.09')
    """
    for factor, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor * 0.9995:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.3g}"


def _add_legend(axes: "Axes") -> None:
    """Put the legend below the axes, where it covers no number and no title."""
    handles, labels = axes.get_legend_handles_labels()
    wrapped = [wrap_name(label, 60) for label in labels]
    characters = sum(len(label) + 6 for label in labels)
    columns = len(labels) if characters < 75 else 2 if max(map(len, labels)) < 34 else 1
    figure: Any = axes.get_figure()
    figure.legend(handles, wrapped, loc="outside lower center", ncols=columns)


def _with_minus(value: float) -> str:
    """Write a value with one decimal and a minus sign, not a hyphen."""
    return f"{value:z.1f}".replace("-", "−")


def _draw_axes(
    draw: Callable[["Axes"], None],
    path: str | os.PathLike[str] | None,
    title: str | None,
    *,
    height: float = 4.2,
) -> "Figure":
    """Make a picture with two axes, on which `draw` draws; `height` in inches."""
    with picture_style():
        figure, axes = new_axes(height)
        add_title(axes, title)
        draw(axes)
        save_figure(figure, path)
    return figure
