"""What the studies say of their numbers: intervals, sentences that claim no more, the page."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from study import Options

import jiantx as jx

Interval = jx.experiments.Interval
format_interval = jx.experiments.format_interval
split_by_sign = jx.experiments.split_by_sign
significance_sentence = jx.experiments.significance_sentence


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


def trend_sentence(scores: Mapping[str, Sequence[float]]) -> str:
    """Return a sentence on the difference of the last encoder to the first one.

    Args:
        scores: Encoder -> one number per seed, in the order of the encoders' sizes.

    Returns:
        The sentence, with a trailing space; "" for one encoder, which has no trend.
    """
    names = list(scores)
    if len(names) < 2:
        return ""
    change = difference_interval(scores[names[-1]], scores[names[0]])
    text = f"From {names[0]} to {names[-1]} it changes by {format_interval(change, '+')}"
    if not jx.report.excludes_zero(*change):
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
    runs = "; ".join(f"{run} ({times} of the seeds)" for run, times in times_failed.items())
    return f"These trainings did not learn, and their scores are included: {runs}. "


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

    The last series is labelled with the encoders' names.

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
            jx.report.plots.Point(sizes[name], *interval, name if is_last else "")
            for name, interval in intervals.items()
        ]
    axis = "parameters without embeddings (log scale)"
    jx.report.plots.plot_points(points, picture, x=axis, log_x=True, joined=False, **settings)
