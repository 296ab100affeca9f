"""Does what a language gains from an English intermediate task, and how surely, depend on its distance from English?

    python examples/studies/linguistic_distance.py                      # a small artificial world, in minutes
    python examples/studies/linguistic_distance.py --data-root hub --encoder xlm-roberta-base --bf16

Each row trains the encoder on English intermediate data, then on English target data, and is scored in all languages. A
language's gain is its mean score over the targets less the same without intermediate training (`none`), seed by seed.
Distances are those of distances.csv (URIEL), of lang2vec (pip install lang2vec 'setuptools<70'), or, in the artificial
world, measured on it. What is done is not done again: a stopped study goes on where it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from distances import TABLE, distances
from scipy.stats import rankdata
from study import Training, option, plus_minus, publish, run, told

import jiantx as jx

Correlations = list[tuple[float, float, float]]  # Pearson's r and Spearman's rho: each, from, to


@dataclass(kw_only=True)
class Options(Training):
    encoder: str | None = option(
        "Hub id or folder (default: the artificial world's own, made on first use)"
    )
    rows: list[str] = option("tasks before the target; a+b is both jointly", ["mnli"])
    distances: str | None = option(
        "a table as distances.csv here, or world, or lang2vec (default: what fits the data)"
    )
    in_the_world: ClassVar[list[int]] = [300, 60]


def main(options: Options) -> None:
    options.check(options.rows)
    recipe = options.recipe(options.encoder or str(jx.default_encoder()))
    report = recipe.run(options.rows, options.targets, seeds=options.seeds)
    failed, numbers = jx.experiments.failed_runs(report), range(1, options.seeds + 1)
    whole = [seed for seed in numbers if seed not in {lost for _, lost in failed}]
    seeds = (
        whole if len(whole) > 1 else numbers
    )  # without failed runs, where that leaves an interval
    source = options.distances or (TABLE if options.data_root else "world")
    known = distances(
        source, sorted({record.language for record in report.where(split=options.split)} - {"en"})
    )
    codes = sorted(known, key=lambda code: next(iter(known[code].values())))
    means = {
        row: [report.where(intermediate=row, seed=seed).mean(by="language") for seed in seeds]
        for row in ("none", *options.rows)
    }
    scores = {
        row: np.array([[mean[code] for code in codes] for mean in found])
        for row, found in means.items()
    }
    scales = {kind: np.array([known[code][kind] for code in codes]) for kind in known[codes[0]]}
    fate = (
        "left out, with its seed" if seeds is whole else "counted as it is, as most seeds have one"
    )
    lost = [
        f"- Failed: {row}, seed {seed}: {', '.join(t)} at chance; {fate}."
        for (row, seed), t in failed.items()
    ]
    show(options, scores, codes, scales, lost)


def correlations(x: np.ndarray, y: np.ndarray, draws: int = 10_000) -> Correlations:
    """Pearson's r and Spearman's rho, each with its 95 % interval: a bootstrap over languages (percentiles)."""
    picks = np.random.default_rng(0).integers(len(x), size=(draws, len(x)))
    picks = picks[[len(set(pick)) > 2 for pick in picks.tolist()]]  # any two points are on a line
    picks, found = np.vstack([np.arange(len(x)), picks]), []
    for ranked in (False, True):
        a, b = (rankdata(v[picks], axis=1) if ranked else v[picks] for v in (x, y))
        varied = (np.ptp(a, axis=1) > 0) & (np.ptp(b, axis=1) > 0)
        a, b = (v[varied] - v[varied].mean(axis=1, keepdims=True) for v in (a, b))
        r = (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
        low, high = np.percentile(r, [2.5, 97.5]) if varied[0] else (math.nan, math.nan)
        found.append((float(r[0]) if varied[0] else math.nan, float(low), float(high)))
    return found


def show(
    options: Options,
    scores: Mapping[str, np.ndarray],  # row -> (seeds, languages)
    codes: Sequence[str],
    kinds: Mapping[str, np.ndarray],  # of distance -> (languages,)
    failed: Sequence[str],
) -> None:
    """Tables, a picture and a paragraph."""
    gains = {row: found - scores["none"] for row, found in scores.items() if row != "none"}
    outcomes = {"score, none": scores["none"].mean(axis=0)}
    outcomes |= {f"gain, {row}": found.mean(axis=0) for row, found in gains.items()}
    if len(scores["none"]) > 1:
        outcomes |= {
            f"sd over seeds, {row}": found.std(axis=0, ddof=1) for row, found in scores.items()
        }
    languages = [
        [
            code,
            *(f"{x[n]:.2f}" for x in kinds.values()),
            *(f"{x[n]:.1f}" for x in outcomes.values()),
        ]
        for n, code in enumerate(codes)
    ]
    scales = {kind: x for kind, x in kinds.items() if len(set(x)) > 2}  # a yes or no is none
    related = {
        (name, kind): correlations(x, y)
        for name, y in outcomes.items()
        for kind, x in scales.items()
    }
    texts = [
        [*at, *(f"{r:+.2f} [{low:+.2f}, {high:+.2f}]" for r, low, high in x)]
        for at, x in related.items()
    ]

    kind, points = next(iter(scales)), {}
    for row, found in gains.items():
        each = zip(scales[kind], map(jx.report.interval, found.T), codes, strict=True)
        points[row] = [jx.report.plots.Point(x, gain, half, code) for x, (gain, half), code in each]
    jx.report.plots.plot_points(
        points,
        options.output / "gain.png",
        x=f"{kind} distance from English (0 to 1)",
        y="gain in points\n(95 % interval)",
        joined=False,
    )
    publish(
        "Gains of English intermediate tasks, and distance from English",
        options,
        "## By language",
        jx.report.markdown_table(["language", *kinds, *outcomes], languages),
        options.output / "gain.png",
        "## Correlations over languages, with 95 % intervals (bootstrap)",
        jx.report.markdown_table(["what", "distance", "Pearson's r", "Spearman's rho"], texts),
        said(scores, codes, related, kind),
        "\n".join(failed),
    )


def said(
    scores: Mapping[str, np.ndarray],
    codes: Sequence[str],
    related: Mapping[tuple[str, str], Correlations],
    kind: str,
) -> str:
    """What the numbers say, from the numbers: an interval that holds zero is no gain."""

    def word(values: Sequence[float], above: str, below: str, neither: str) -> str:
        mean, half = found = jx.report.interval(values)
        return f"{plus_minus(found, '+')} ({above if mean > half else below if mean < -half else neither})"

    seeds, languages = scores["none"].shape
    found = [f"Over {languages} languages other than English and {seeds} seeds:"]
    for row in list(scores)[1:]:
        gain, spread = (
            scores[row] - scores["none"],
            scores[row].std(axis=1) - scores["none"].std(axis=1),
        )
        found.append(
            f"`{row}` changes the mean score by {word(gain.mean(axis=1), 'a gain', 'a loss', UNTOLD)}."
        )
        up, down, _ = told(dict(zip(codes, map(jx.report.interval, gain.T), strict=True)))
        found.append(
            f"Language by language, these exclude zero: {'; '.join([*up, *down]) or 'none'}."
        )
        found.append(
            f"The languages' sd changes by {word(spread, 'less alike', 'more alike', UNTOLD)}."
        )
        r, low, high = related[f"gain, {row}", kind][0]
        shown = "they are related" if low * high > 0 else "no relation is shown"
        found.append(
            f"Gain and {kind} distance: r = {r:+.2f}, between {low:+.2f} and {high:+.2f}: {shown}."
        )
    sure = [
        f"{what} with {other}"
        for (what, other), ((_, low, high), _) in related.items()
        if low * high > 0
    ]
    found.append(
        f"Of {len(related)} Pearson correlations {len(sure)} exclude zero ({'; '.join(sure) or 'none'})."
    )
    found.append("Intervals are 95 %, taken one by one: of twenty, one misses by chance.")
    if languages < 10:
        found.append(
            "With so few languages a bootstrap is too sure of itself: its relations are hints and no results."
        )
    return " ".join(found)


UNTOLD = "not told from zero"

if __name__ == "__main__":
    run(main, Options)
