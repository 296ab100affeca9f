"""What intervals allow to say: differences as text, sorted by sign, and counted in a sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean

from jiantx.report import excludes_zero, interval

Interval = tuple[float, float]
"""A mean and half the width of its 95 % interval, as `jiantx.report.interval` returns them."""


def format_interval(interval: Interval, sign: str = "") -> str:
    """Write an interval as text.

    Args:
        interval: A mean, and half the width of its interval (NaN with fewer than two seeds).
        sign: "+" puts a plus before positive means. A mean that rounds to zero has no sign.

    Returns:
        The text; "–" if there is no mean.

    Example:
        >>> format_interval((1.23, 0.31), "+")
        '+1.2 ± 0.3'
        >>> format_interval((1.23, float("nan")))
        '1.2'
    """
    mean, half_width = interval
    if math.isnan(mean):
        return "–"
    shown_sign = sign if round(mean, 1) else ""
    text = f"{mean:{shown_sign}z.1f}"
    return text if math.isnan(half_width) else f"{text} ± {half_width:.1f}"


def split_by_sign(intervals: Mapping[str, Interval]) -> tuple[list[str], list[str], list[str]]:
    """Sort named differences by whether their interval excludes zero.

    Returns:
        The names with intervals above zero, each followed by its interval in brackets; those with
        intervals below zero, likewise; and the bare names of all others.

    Example:
        >>> split_by_sign({"mnli": (1.0, 0.5), "qqp": (0.2, 0.5)})
        (['mnli (+1.0 ± 0.5)'], [], ['qqp'])
    """
    positive = []
    negative = []
    undecided = []
    for name, (mean, half_width) in intervals.items():
        text = f"{name} ({format_interval((mean, half_width), '+')})"
        if not excludes_zero(mean, half_width):
            undecided.append(name)
        elif mean > 0:
            positive.append(text)
        else:
            negative.append(text)
    return positive, negative, undecided


def significance_sentence(
    intervals: Mapping[str, Interval],
    seeds: int,
    *,
    subject: str = "The difference",
    items: str = "rows",
) -> str:
    """Say for how many names the difference is significant: its 95 % interval excludes zero.

    Args:
        intervals: Name -> its difference from the baseline.
        seeds: Number of seeds that the intervals are over.
        subject: The beginning of the sentence: what may be above or below zero.
        items: What the names are, in the plural.

    Returns:
        One or two sentences.

    Example:
        >>> differences = {"mnli": (1.0, 0.5), "qqp": (0.2, 0.5)}
        >>> for sentence in significance_sentence(differences, seeds=3).split(". "):
        ...     print(sentence)
        The difference is significantly above zero for 1 of 2 rows (mnli +1.0 ± 0.5) and \
significantly below zero for 0 (95 % intervals over 3 seeds)
        For the other 1, the interval includes zero.
    """
    if seeds < 2:
        return "With fewer than two seeds, no difference can be tested."
    count = len(intervals)
    claimed = {name: pair for name, pair in intervals.items() if excludes_zero(*pair)}
    positive = {name: pair for name, pair in claimed.items() if pair[0] > 0}
    negative = {name: pair for name, pair in claimed.items() if pair[0] < 0}
    undecided = count - len(positive) - len(negative)
    if undecided == count:
        return (
            f"{subject} is not significantly different from zero for any of {count} {items}: "
            f"all 95 % intervals over {seeds} seeds include zero."
        )
    sentence = (
        f"{subject} is significantly above zero for {len(positive)} of {count} "
        f"{items}{_in_brackets(positive)} and significantly below zero for "
        f"{len(negative)}{_in_brackets(negative)} (95 % intervals over {seeds} seeds)."
    )
    if undecided:
        sentence += f" For the other {undecided}, the interval includes zero."
    return sentence


def _in_brackets(intervals: Mapping[str, Interval]) -> str:
    """` (mnli +1.0 ± 0.5; qqp +2.0 ± 0.4)`; empty if there are no names."""
    texts = [f"{name} {format_interval(pair, '+')}" for name, pair in intervals.items()]
    return f" ({'; '.join(texts)})" if texts else ""


def format_paired(by_seed: Mapping[int, tuple[float, float]]) -> str:
    """Write three cells of a Markdown table: baseline, compared row, and their paired difference.

    Args:
        by_seed: Seed -> score of the baseline and score of the compared row.

    Returns:
        The means over seeds, and the mean difference with its 95 % interval; dashes without seeds.

    Example:
        >>> format_paired({1: (70.0, 71.0), 2: (72.0, 73.5)})
        '71.0 | 72.2 | +1.2 ± 3.2'
    """
    if not by_seed:
        return "– | – | –"
    baselines, compared = zip(*by_seed.values(), strict=True)
    difference = interval([score - baseline for baseline, score in by_seed.values()])
    cells = [f"{fmean(baselines):.1f}", f"{fmean(compared):.1f}", format_interval(difference, "+")]
    return " | ".join(cells)
