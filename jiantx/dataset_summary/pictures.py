"""The picture of a summary: lengths and label shares by split and language."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jiantx.report.picture_style import (
    MUTED,
    PAPER,
    RULE,
    SERIES_COLORS,
    add_title,
    picture_style,
    save_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OTHERS = "other labels"


def draw_summary(
    names: Sequence[str],
    lengths: Sequence[tuple[float, float, float]],
    shares: Mapping[str, Sequence[float]],
    unit: str,
    path: str | os.PathLike[str] | None,
    *,
    title: str,
) -> Figure:
    """Draw the lengths of rows, and beside them the shares of labels, a line for each name.

    Args:
        names: The lines: split and language.
        lengths: Median, 95th percentile and longest of each line.
        shares: Label -> its share in each line, in per cent; the seven commonest are shown.
        unit: What lengths are counted in.
        path: The picture to write; None: only return it.
        title: Text above the picture.
    """
    with picture_style():
        from jiantx.report.figures import ShownFigure

        width = 10.0 if shares else 6.0
        size = (width, 2.0 + 0.34 * len(names))
        figure = ShownFigure(figsize=size, facecolor=PAPER, layout="constrained")
        panels = figure.subplots(1, 2 if shares else 1, squeeze=False)[0]
        _draw_lengths(panels[0], names, lengths, unit)
        if shares:
            _draw_shares(panels[1], names, shares)
        for axes in panels:
            axes.set_ylim(len(names) - 0.5, -0.5)
        add_title(panels[0], title, width=width / len(panels))
        save_figure(figure, path)
    return figure


def _draw_lengths(
    axes: Axes, names: Sequence[str], lengths: Sequence[tuple[float, float, float]], unit: str
) -> None:
    lines = range(len(names))
    medians, percentiles, longest = zip(*lengths, strict=True)
    axes.hlines(lines, medians, percentiles, color=SERIES_COLORS[5], linewidth=5, zorder=1)
    axes.scatter(medians, lines, color=SERIES_COLORS[0], marker="o", label="median", zorder=2)
    axes.scatter(percentiles, lines, color=SERIES_COLORS[0], marker="|", label="95 %", zorder=2)
    axes.scatter(longest, lines, color=MUTED, marker="x", label="longest", zorder=2)
    axes.set_yticks(lines, names)
    axes.set_xlabel(f"{unit} per row")
    axes.set_xlim(left=0)
    figure: Any = axes.get_figure()
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=3)


def _draw_shares(axes: Axes, names: Sequence[str], shares: Mapping[str, Sequence[float]]) -> None:
    lines = range(len(names))
    commonest = sorted(shares, key=lambda label: -sum(shares[label]))[: len(SERIES_COLORS)]
    other_shares = [0.0] * len(names)
    for label in shares.keys() - set(commonest):
        other_shares = [total + share for total, share in zip(other_shares, shares[label])]
    left = [0.0] * len(names)
    bars = [(label, shares[label], color) for label, color in zip(commonest, SERIES_COLORS)]
    if any(other_shares):
        bars.append((_OTHERS, other_shares, RULE))
    for label, widths, color in bars:
        axes.barh(lines, widths, left=left, color=color, label=label, edgecolor=PAPER)
        left = [total + width for total, width in zip(left, widths)]
    axes.set_yticks(lines, [""] * len(names))
    axes.set_xlabel("share of labels, %")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
