"""What the studies compute from scores: functions of plain numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from scipy import stats


class Correlation(NamedTuple):
    """A correlation coefficient and its 95 % interval; NaN where a variable does not vary."""

    value: float
    low: float
    high: float


def fit_line(sizes: Sequence[int], differences: Sequence[float]) -> dict[str, Any]:
    """Fit least squares over log10 of the sizes, with 95 % intervals by Student's t.

    Args:
        sizes: Numbers of parameters, one per encoder.
        differences: Gains in points, one per encoder.

    Returns:
        `slope` (points per factor of ten), `half_width` of its interval, and `line` and `band`,
        each (x, y) to plot. Empty for fewer than three sizes, which leave no degree of freedom.
    """
    if len(set(sizes)) < 3:
        return {}
    x = np.log10(sizes)
    fit = stats.linregress(x, differences)
    half_width = float(stats.t.ppf(0.975, len(x) - 2) * fit.stderr)
    grid = np.linspace(x.min(), x.max(), 50)
    line = fit.intercept + fit.slope * grid
    margin = half_width * np.sqrt(x.var() + (grid - x.mean()) ** 2)
    # One curve draws both bounds of the band; NaN interrupts it between them.
    band_x = 10 ** np.concatenate([grid, [math.nan], grid])
    band_y = np.concatenate([line + margin, [math.nan], line - margin])
    return {
        "slope": float(fit.slope),
        "half_width": half_width,
        "line": (10**grid, line),
        "band": (band_x, band_y),
    }


def correlations(
    x: np.ndarray, y: np.ndarray, draws: int = 10_000
) -> tuple[Correlation, Correlation]:
    """Correlate two variables, with bootstrap intervals (percentiles).

    Args:
        x: (items,) one variable.
        y: (items,) the other one.
        draws: Bootstrap samples of the items.

    Returns:
        Pearson's r, and Spearman's rho.
    """
    samples = np.random.default_rng(0).integers(len(x), size=(draws, len(x)))
    distinct = np.array([len(set(sample)) for sample in samples.tolist()])
    samples = samples[distinct > 2]  # any two points are on a line
    samples = np.vstack([np.arange(len(x)), samples])  # the first one is the data themselves
    sampled_x = x[samples]  # (samples, items)
    sampled_y = y[samples]
    pearson = _correlate_rows(sampled_x, sampled_y)
    spearman = _correlate_rows(stats.rankdata(sampled_x, axis=1), stats.rankdata(sampled_y, axis=1))
    return pearson, spearman


def _correlate_rows(x: np.ndarray, y: np.ndarray) -> Correlation:
    """Return Pearson's r of the first row, and percentiles over all rows."""
    x_varies = np.ptp(x, axis=1) > 0
    y_varies = np.ptp(y, axis=1) > 0
    varied = x_varies & y_varies
    if not varied[0]:
        return Correlation(math.nan, math.nan, math.nan)
    x = x[varied]
    y = y[varied]
    x = x - x.mean(axis=1, keepdims=True)
    y = y - y.mean(axis=1, keepdims=True)
    covariance = (x * y).sum(axis=1)
    squared_norms = (x * x).sum(axis=1) * (y * y).sum(axis=1)
    r = covariance / np.sqrt(squared_norms)
    low, high = np.percentile(r, [2.5, 97.5])
    return Correlation(float(r[0]), float(low), float(high))


def minus_best(joint: Sequence[float], singles: Sequence[Sequence[float]]) -> list[float]:
    """Return joint scores minus those of the single task that is best over the other seeds.

    With one seed only, it is the task that is best over that seed.

    Args:
        joint: Scores after joint training, one per seed.
        singles: Scores after each single task, one per seed.

    Returns:
        Differences, one per seed.
    """
    differences = []
    for seed, score in enumerate(joint):
        other_seeds = [other for other in range(len(joint)) if other != seed] or [seed]
        best = max(singles, key=lambda scores: fmean(scores[other] for other in other_seeds))
        differences.append(score - best[seed])
    return differences


def minus_mean(joint: Sequence[float], singles: Sequence[Sequence[float]]) -> list[float]:
    """Return joint scores minus the mean of the single tasks.

    Args:
        joint: Scores after joint training, one per seed.
        singles: Scores after each single task, one per seed.

    Returns:
        Differences, one per seed.
    """
    differences = []
    for score, *single_scores in zip(joint, *singles, strict=True):
        differences.append(score - fmean(single_scores))
    return differences


def examples_to(score: float, curve: Sequence[tuple[int, float]]) -> float:
    """Return how many examples a training needed to reach a score.

    Args:
        score: The score.
        curve: (examples, score) of each evaluation.

    Returns:
        Examples, interpolated linearly between two evaluations; infinite if it never did.
    """
    previous_examples = 0
    previous_score = -math.inf
    for examples, current_score in curve:
        if current_score >= score:
            if previous_score == -math.inf:
                return examples
            missing_share = (current_score - score) / (current_score - previous_score)
            return examples - (examples - previous_examples) * missing_share
        previous_examples = examples
        previous_score = current_score
    return math.inf


def pareto_front(prices: Mapping[str, float], scores: Mapping[str, float]) -> list[str]:
    """Return the names, cheapest first, with a better score than all that cost no more.

    >>> pareto_front({"small": 1, "large": 2, "poor": 2}, {"small": 50, "large": 60, "poor": 40})
    ['small', 'large']

    Args:
        prices: Any cost, by name.
        scores: Scores, by name.

    Returns:
        The names of the front.
    """
    cheapest_first = sorted(prices, key=lambda name: (prices[name], -scores[name]))
    best_score = -math.inf
    front = []
    for name in cheapest_first:
        if scores[name] > best_score:
            best_score = scores[name]
            front.append(name)
    return front
