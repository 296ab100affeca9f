"""How the study of linguistic distance chooses seeds, draws its gains, and words its results."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from estimators import Correlation
from findings import format_interval, split_by_sign

import jiantx as jx

Correlations = tuple[Correlation, Correlation]  # Pearson's r, Spearman's rho


def common_languages(report: jx.Report, targets: Sequence[str]) -> tuple[set[str], list[str]]:
    """Return the languages other than English that all targets have, and a line on the others.

    Means over different targets would tell targets apart, and not languages.

    Args:
        report: The scores.
        targets: Those that are scored.
    """
    of_targets = []
    for name in targets:
        scores = report.where(task=name, metric="main_score")
        of_targets.append({score.language for score in scores} - {"en"})
    common = set.intersection(*of_targets)
    if len(common) < 3:
        sys.exit(
            f"error: besides English, all targets have the languages {sorted(common)}. A relation "
            "with distance needs three or more: choose other --targets."
        )
    left_out = sorted(set.union(*of_targets) - common)
    if not left_out:
        return common, []
    return common, [f"- Left out, since not every target has them: {', '.join(left_out)}."]


def choose_seeds(report: jx.Report) -> tuple[Sequence[int], list[str]]:
    """Return the seeds without failed runs, if they leave an interval, and a line per failure.

    Args:
        report: The scores of all rows, seeds and targets. An interval needs two seeds.
    """
    failed = jx.experiments.failed_runs(report)
    failed_seeds = {seed for _, seed in failed}
    all_seeds = sorted({int(score.tags["seed"]) for score in report})
    clean_seeds = [seed for seed in all_seeds if seed not in failed_seeds]
    leaves_interval = len(clean_seeds) > 1
    counted = "counted, since fewer than two seeds are without a failed run"
    consequence = "left out, with its seed" if leaves_interval else counted
    lines = []
    for (row, seed), tasks in failed.items():
        lines.append(f"- Failed: {row}, seed {seed}: {', '.join(tasks)} at chance; {consequence}.")
    return clean_seeds if leaves_interval else all_seeds, lines


def draw(
    gains: Mapping[str, np.ndarray],
    languages: Sequence[str],
    kind: str,
    distances: np.ndarray,
    picture: Path,
) -> None:
    """Draw gains against distances.

    Args:
        gains: Row -> (seeds, languages).
        languages: Codes.
        kind: The kind of distance.
        distances: (languages,).
        picture: The file to write.
    """
    points: dict[str, list[jx.report.plots.Point]] = {}
    for row, gain in gains.items():
        points[row] = []
        for index, language in enumerate(languages):
            mean, half_width = jx.report.interval(gain[:, index].tolist())
            distance = round(float(distances[index]), 2)
            point = jx.report.plots.Point(distance, mean, half_width, language)
            points[row].append(point)
    jx.report.plots.plot_points(
        points,
        picture,
        x=f"{kind} distance from English (0 to 1)",
        y="gain in points\n(95 % interval)",
        title=f"Gain in each language by its {kind} distance from English",
        joined=False,
    )


def format_outcome(name: str, value: float) -> str:
    """Return a number of a table as text; gains have a sign.

    Args:
        name: What the number is, such as "gain, mnli".
        value: In points.
    """
    return jx.report.tables.format_score(value, "+" if name.startswith("gain") else "")


def format_correlation(correlation: Correlation) -> str:
    """Return a coefficient with its interval, such as "-0.92 [-1.00, -0.54]"."""
    return f"{correlation.value:+.2f} [{correlation.low:+.2f}, {correlation.high:+.2f}]"


def excludes_zero(correlation: Correlation) -> bool:
    """Return whether both bounds of the interval have the same sign."""
    return correlation.low * correlation.high > 0


def summarize(
    scores: Mapping[str, np.ndarray],
    languages: Sequence[str],
    related: Mapping[tuple[str, str], Correlations],
    kind: str,
) -> str:
    """Return the result in sentences; a gain whose interval includes zero is not claimed.

    Args:
        scores: Row -> (seeds, languages), with the row "none" first.
        languages: Codes.
        related: (outcome, kind of distance) -> correlations.
        kind: The kind of distance to speak of.

    Returns:
        The paragraph.
    """
    seeds = len(scores["none"])
    sentences = [
        f"Over {len(languages)} languages other than English and {seeds} seeds:",
    ]
    for row in scores:
        if row != "none":
            pearson, _ = related[f"gain, {row}", kind]
            sentences += _row_sentences(row, scores, languages)
            shown = "they are related" if excludes_zero(pearson) else "no relation is shown"
            sentences.append(
                f"Gain and {kind} distance: r = {pearson.value:+.2f}, "
                f"between {pearson.low:+.2f} and {pearson.high:+.2f}: {shown}."
            )
    significant = []
    for (outcome, other_kind), (pearson, _) in related.items():
        if excludes_zero(pearson):
            significant.append(f"{outcome} with {other_kind}")
    sentences.append(
        f"Of {len(related)} Pearson correlations {len(significant)} exclude zero "
        f"({'; '.join(significant) or 'none'})."
    )
    sentences.append("Intervals are 95 %, taken one by one: of twenty, one misses by chance.")
    if len(languages) < 10:
        sentences.append(
            "With so few languages a bootstrap is too sure of itself: "
            "its relations are hints and no results."
        )
    return " ".join(sentences)


def _row_sentences(
    row: str, scores: Mapping[str, np.ndarray], languages: Sequence[str]
) -> list[str]:
    gain = scores[row] - scores["none"]
    spread = scores[row].std(axis=1) - scores["none"].std(axis=1)
    mean_change = _describe_change(gain.mean(axis=1), "a gain", "a loss")
    spread_change = _describe_change(spread, "less alike", "more alike")
    intervals = [jx.report.interval(language_gain) for language_gain in gain.T]
    positive, negative, _ = split_by_sign(dict(zip(languages, intervals, strict=True)))
    return [
        f"`{row}` changes the mean score by {mean_change}.",
        f"Language by language, these exclude zero: {'; '.join([*positive, *negative]) or 'none'}.",
        f"The languages' sd changes by {spread_change}.",
    ]


def _describe_change(values: Sequence[float], above: str, below: str) -> str:
    """Return the interval of values, one per seed, and what it allows to say."""
    mean, half_width = jx.report.interval(values)
    verdict = "not told from zero"
    if jx.report.excludes_zero(mean, half_width):
        verdict = above if mean > 0 else below
    return f"{format_interval((mean, half_width), '+')} ({verdict})"
