"""How all pictures look: colours, type, sizes and files. `Page` has the same type.

Needs matplotlib: `pip install jiantx[plots]`. Equal numbers give equal bytes: pictures hold neither
dates nor versions, and ignore matplotlibrc.
"""

import os
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# matplotlib brings the first font, so that pictures are the same on every machine
FONTS = ("DejaVu Sans", "Verdana", "Geneva", "sans-serif")
PIXELS_PER_INCH = 96  # of a page, as CSS counts them
RESOLUTION = 2  # pixels of a picture for each pixel of a page
TEXT_PIXELS = 15
SMALL_PIXELS = 13
TITLE_PIXELS = 17

INK = "#1a1a1a"
MUTED = "#63635e"  # small print; 6 : 1 on paper
PAPER = "#ffffff"
RULE = "#b8b8b2"  # lines that carry no number
NEUTRAL = "#efefec"  # behind numbers that no colour compares
# Okabe and Ito's, which colour-blind readers tell apart
SERIES_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = "osD^vPX"
LINE_STYLES = ("--", ":", "-.")
DIVERGING = "BrBG"  # differences: brown below zero, teal above; safe for colour-blind readers
SEQUENTIAL = "YlGnBu"  # scores: the higher, the darker, also in grey
UNPROVEN = "Greys"  # differences that no interval can support

WIDTH = 7.0  # inches of a picture with two axes
_BREAK_AFTER = re.compile(r"(?<=[+_/, -])")


def type_points(pixels: float) -> float:
    """Return the size in points of type that has this size in pixels on a page."""
    return pixels * 72 / PIXELS_PER_INCH


def check_matplotlib() -> None:
    """Raise an ImportError that says what to install, if matplotlib is missing."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError("Plots need matplotlib: pip install jiantx[plots]") from error


@contextmanager
def picture_style() -> Iterator[None]:
    """Draw in the style of this module, whatever this machine's matplotlibrc says."""
    check_matplotlib()
    from matplotlib import style

    settings: dict[str, Any] = {
        "svg.hashsalt": "jiantx",
        "font.family": "sans-serif",
        "font.sans-serif": list(FONTS[:-1]),
        "font.size": type_points(TEXT_PIXELS),
        "legend.fontsize": type_points(SMALL_PIXELS),
        "legend.frameon": False,
        "xtick.labelsize": type_points(SMALL_PIXELS),
        "ytick.labelsize": type_points(SMALL_PIXELS),
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": MUTED,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "axes.unicode_minus": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with style.context(["default", settings]):
        yield


def new_axes(height: float, *, width: float = WIDTH) -> tuple["Figure", "Axes"]:
    """Make a figure with one pair of axes; to be called inside `picture_style`.

    Args:
        height: In inches.
        width: In inches.
    """
    from jiantx.report.figures import ShownFigure

    figure = ShownFigure(figsize=(width, height), facecolor=PAPER, layout="constrained")
    return figure, figure.add_subplot()


def add_title(axes: "Axes", title: str | None, *, width: float = WIDTH) -> None:
    """Write a title above axes, on as many lines as it needs.

    Args:
        axes: The axes.
        title: The title; None for none.
        width: Of the picture, in inches.
    """
    if title:
        characters = max(24, int(width * 9))
        lines = "\n".join(textwrap.wrap(title, characters))
        axes.set_title(lines, loc="left", fontsize=type_points(TITLE_PIXELS), pad=12)


def wrap_name(name: str, width: int) -> str:
    """Break a long name behind its separators.

    Args:
        name: Such as the row of a table.
        width: The largest number of characters of a line. A part without separators may be longer.

    Example:
        >>> print(wrap_name("mnli+squad_v1+hellaswag", 14))
        mnli+squad_v1+
        hellaswag
    """
    lines = [""]
    for segment in _BREAK_AFTER.split(name):
        if lines[-1] and len((lines[-1] + segment).rstrip()) > width:
            lines.append("")
        lines[-1] += segment
    return "\n".join(line.strip() for line in lines)


def relative_luminance(color: Sequence[float]) -> float:
    """Return how light a colour looks, from 0 to 1, as WCAG 2 defines it.

    Args:
        color: Red, green and blue, from 0 to 1.
    """
    linear = []
    for channel in color[:3]:
        low = channel <= 0.04045
        linear.append(channel / 12.92 if low else ((channel + 0.055) / 1.055) ** 2.4)
    red, green, blue = linear
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(color: Sequence[float], other: Sequence[float]) -> float:
    """Return the contrast of two colours, as WCAG 2 defines it.

    Args:
        color: Red, green and blue, from 0 to 1.
        other: Another colour.

    Returns:
        From 1 (the same) to 21 (black and white); text needs 4.5.
    """
    lighter, darker = sorted(map(relative_luminance, (color, other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def ink_on(fill: Sequence[float]) -> str:
    """Return the colour of text that is read best on a fill."""
    from matplotlib.colors import to_rgb

    return max((INK, PAPER), key=lambda ink: contrast(to_rgb(ink), fill))


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
        path,
        dpi=PIXELS_PER_INCH * RESOLUTION,
        bbox_inches="tight",
        pad_inches=0.12,
        metadata=metadata.get(suffix),
    )
