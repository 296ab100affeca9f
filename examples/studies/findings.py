"""What the studies say of their numbers: intervals, sentences that claim no more, the page."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from study import Options

import jiantx as jx

Interval = tuple[float, float]  # a mean, and half the width of its 95 % interval


def intervals_of(scores: Mapping[str, Sequence[float]]) -> dict[str, Interval]:
    """Return the interval of each name's scores, one per seed."""
    return {name: jx.report.interval(values) for name, values in scores.items()}


def difference_interval(scores: Sequence[float], baseline: Sequence[float]) -> Interval:
    """Return the interval of paired differences.

    Args:
        scores: One score per seed.
        baseline: The scores of the same seeds.

    Returns:
        The mean difference, and half its 95 % interval.
    """
    pairs = zip(scores, baseline, strict=True)
    return jx.report.interval([score - base for score, base in pairs])


def format_interval(interval: Interval, sign: str = "") -> str:
    """Return "1.2 ± 0.3"; "–" if there is no mean, and "1.2" if there is no interval.

    Args:
        interval: A mean, and half its 95 % interval.
        sign: "+" puts a plus before positive means. A mean that rounds to zero has no sign.

    Returns:
        The text.
    """
    mean, half_width = interval
    if math.isnan(mean):
        return "–"
    shown_sign = sign if round(mean, 1) else ""
    text = f"{mean:{shown_sign}z.1f}"
    return text if math.isnan(half_width) else f"{text} ± {half_width:.1f}"


def split_by_sign(
    intervals: Mapping[str, Interval],
) -> tuple[list[str], list[str], list[str]]:
    """Sort named differences by what their intervals allow to say.

    Returns:
        Names with their intervals above zero, and below it; then the bare names whose interval
        includes zero, or that have none.
    """
    positive = []
    negative = []
    unclear = []
    for name, (mean, half_width) in intervals.items():
        if mean > half_width:
            positive.append(f"{name} ({format_interval((mean, half_width), '+')})")
        elif -mean > half_width:
            negative.append(f"{name} ({format_interval((mean, half_width), '+')})")
        else:
            unclear.append(name)
    return positive, negative, unclear


def significance_sentence(intervals: Mapping[str, Interval], seeds: int) -> str:
    """Return the end of a sentence that counts significant differences.

    Args:
        intervals: Named differences.
        seeds: How many seeds the intervals are over.

    Returns:
        The text, from "above zero for" on, with a trailing space.
    """
    positive, negative, unclear = split_by_sign(intervals)
    return (
        f"above zero for {len(positive)} of {len(intervals)} ({'; '.join(positive) or 'none'}) "
        f"and below it for {len(negative)} ({'; '.join(negative) or 'none'}), "
        f"their 95 % intervals over {seeds} seeds excluding it; "
        f"of the other {len(unclear)} neither can be said. "
    )


def trend_sentence(scores: Mapping[str, Sequence[float]]) -> str:
    """Return a sentence on the difference of the last encoder to the first one.

    Args:
        scores: Encoder -> one number per seed, in the order of the encoders' sizes.

    Returns:
        The sentence, with a trailing space.
    """
    names = list(scores)
    change = difference_interval(scores[names[-1]], scores[names[0]])
    text = f"From {names[0]} to {names[-1]} it changes by {format_interval(change, '+')}"
    mean, half_width = change
    if not abs(mean) > half_width:
        text += ": the interval holds zero, and no trend with size is shown"
    return f"{text}. "


def failure_sentence(report: jx.Report, encoders: Iterable[str]) -> str:
    """Return a sentence on trainings that failed; "" if none did.

    Args:
        report: Scores that are tagged with `encoder`.
        encoders: The encoders' names.

    Returns:
        The sentence, with a trailing space.
    """
    times_failed: Counter[str] = Counter()
    for encoder in encoders:
        failed = jx.experiments.failed_runs(report.where(encoder=encoder))
        for (row, _), tasks in failed.items():
            times_failed.update(f"{task} after {row}" for task in tasks)
    if not times_failed:
        return ""
    runs = "; ".join(f"{run} {times} times" for run, times in times_failed.items())
    return f"Trainings not above guessing in development, counted as they are: {runs}. "


def publish(title: str, options: Options, *blocks: str | Path) -> None:
    """Write the study's page, with the command that made it, into the output; print it too.

    Args:
        title: The heading.
        options: The study's arguments.
        *blocks: Markdown, and paths of pictures in the output.
    """
    page = jx.experiments.Page(title)
    page.add(f"`{' '.join(['python', *sys.argv])}`", *blocks)
    if options.skipped_targets:
        page.add(f"Without {', '.join(options.skipped_targets)}: no rows here.")
    page.write(options.output)
    names = ["report.html", "report.md"]
    names += [block.name for block in blocks if isinstance(block, Path)]
    if (options.output / "report.json").exists():
        names.append("report.json")
    print(f"\n{page.to_markdown()}\nWritten to {options.output}: {', '.join(names)}")


def plot_by_size(
    series: Mapping[str, Mapping[str, Interval]],
    sizes: Mapping[str, int],
    picture: Path,
    **settings: Any,
) -> None:
    """Draw intervals against the encoders' parameters.

    Series stand side by side, and the last one is labelled with the encoders' names.

    Args:
        series: Label -> encoder -> interval.
        sizes: Parameters without embeddings, by encoder.
        picture: The file to write.
        **settings: Further arguments of `plot_points`.
    """
    points = {}
    for index, (label, intervals) in enumerate(series.items()):
        is_last = index == len(series) - 1
        points[label] = [
            jx.report.plots.Point(sizes[name] * 1.08**index, *interval, name if is_last else "")
            for name, interval in intervals.items()
        ]
    axis = "parameters without embeddings (log scale)"
    jx.report.plots.plot_points(points, picture, x=axis, log_x=True, joined=False, **settings)
