"""Does what a language gains from an English intermediate task, and how surely, depend on its distance from English?

    python examples/studies/linguistic_distance.py                      # a small artificial world, in minutes
    python examples/studies/linguistic_distance.py --data-root hub --encoder xlm-roberta-base --bf16

Each row trains the encoder on English intermediate data, then on English target data, and is scored in all languages. A
language's gain is its mean score over the targets less the same without intermediate training (`none`), seed by seed.
What is done is not done again: a stopped study goes on where it was.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata
from transformers.utils import logging

import jiantx as jx
from jiantx import synthetic

URIEL = {"syntactic": "syntax_knn", "phonological": "phonology_knn", "inventory": "inventory_knn", "genetic": "fam"}
Distances = dict[str, dict[str, float]]  # language -> kind -> distance from English


def main() -> None:
    options = parse()
    logging.disable_progress_bar()
    jx.data_root(None if options.data_root == "hub" else options.data_root or jx.default_root())
    encoder = options.encoder or str(jx.default_encoder())
    rate = jx.default_learning_rate(encoder)
    training = {"per_device_train_batch_size": 32, "learning_rate": rate, "warmup_steps": 0.1, "weight_decay": 0.01}
    training |= {"num_train_epochs": 3, "bf16": options.bf16}
    kinds = zip(("intermediate", "target"), options.steps, strict=True)
    stages: dict[str, Any] = {kind: {**training, "max_steps": steps} for kind, steps in kinds}
    recipe = jx.Recipe(encoder=encoder, output=options.output, **stages)
    report = recipe.run(options.rows, options.targets, seeds=options.seeds)

    failed, numbers = jx.failed_runs(report), range(1, options.seeds + 1)
    whole = [seed for seed in numbers if seed not in {lost for _, lost in failed}]
    seeds = whole if len(whole) > 1 else numbers  # without failed runs, where that leaves an interval
    known = distances(options, sorted({record.language for record in report} - {"en"}))
    codes = sorted(known, key=lambda code: next(iter(known[code].values())))
    rows = ("none", *options.rows)
    means = {r: [report.where(intermediate=r, seed=seed).mean(by="language") for seed in seeds] for r in rows}
    scores = {row: np.array([[mean[code] for code in codes] for mean in found]) for row, found in means.items()}
    scales = {kind: np.array([known[code][kind] for code in codes]) for kind in known[codes[0]]}
    fate = "left out, with its seed" if seeds is whole else "counted as it is, as most seeds have one"
    lost = [f"{row}, seed {seed}: {', '.join(t)} ended at chance; {fate}." for (row, seed), t in failed.items()]
    show(options, scores, codes, scales, lost)


def distances(options: argparse.Namespace, codes: Sequence[str]) -> Distances:
    """Of the languages that have one; the others are named."""
    table = Path(__file__).with_name("distances.csv") if options.data_root else "world"
    source = options.distances or table
    if source == "world":  # measured on its lexicon and its sentences; what is first is drawn
        world = synthetic.LANGUAGES
        measured = {code: synthetic.distance(world[code]) for code in codes if code in world}
        known = {code: {"overall": found["overall"], **found} for code, found in measured.items()}
    elif source == "lang2vec":
        known = lang2vec_distances(codes)
    else:
        header, *lines = [line.split(",") for line in Path(source).read_text().splitlines() if line[0] != "#"]
        known = {line[0]: dict(zip(header[1:], map(float, line[1:]), strict=True)) for line in lines}
    print(f"No distance in {source}, and left out: {', '.join(code for code in codes if code not in known) or 'none'}")
    return {code: known[code] for code in codes if code in known}


def lang2vec_distances(codes: Sequence[str]) -> Distances:
    """Cosine distances of URIEL's vectors (Littell et al. 2017); 1 for a language without relatives."""
    from lang2vec.lang2vec import get_features  # type: ignore[import-not-found, unused-ignore]

    found: Distances = {code: {} for code in codes}
    for kind, name in URIEL.items():
        vectors = {code: np.array(vector, float) for code, vector in get_features(["en", *codes], name).items()}
        for code in codes:
            norms = np.linalg.norm(vectors["en"]) * np.linalg.norm(vectors[code])
            found[code][kind] = float(1 - vectors["en"] @ vectors[code] / norms) if norms else 1.0
    return found


def correlations(x: np.ndarray, y: np.ndarray, draws: int = 10_000) -> list[tuple[float, float, float]]:
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
    options: argparse.Namespace,
    scores: Mapping[str, np.ndarray],  # row -> (seeds, languages)
    codes: Sequence[str],
    kinds: Mapping[str, np.ndarray],  # of distance -> (languages,)
    failed: Sequence[str],
) -> None:
    """Tables, a picture and a paragraph, printed and on a page."""
    gains = {row: found - scores["none"] for row, found in scores.items() if row != "none"}
    outcomes = {"score, none": scores["none"].mean(axis=0)}
    outcomes |= {f"gain, {row}": found.mean(axis=0) for row, found in gains.items()}
    if len(scores["none"]) > 1:
        outcomes |= {f"sd over seeds, {row}": found.std(axis=0, ddof=1) for row, found in scores.items()}
    languages = [["language", *kinds, *outcomes]]
    for n, code in enumerate(codes):
        languages.append([code, *(f"{x[n]:.2f}" for x in kinds.values()), *(f"{x[n]:.1f}" for x in outcomes.values())])
    scales = {kind: x for kind, x in kinds.items() if len(set(x)) > 2}  # a yes or no is none
    related = {(name, kind): correlations(x, y) for name, y in outcomes.items() for kind, x in scales.items()}
    texts = [["what", "distance", "Pearson's r", "Spearman's rho"]]
    for at, both in related.items():
        texts.append([*at, *(f"{r:+.2f} [{low:+.2f}, {high:+.2f}]" for r, low, high in both)])

    kind, points = next(iter(scales)), {}
    for row, found in gains.items():
        each = zip(scales[kind], map(jx.interval, found.T), codes, strict=True)
        points[row] = [jx.Point(x, gain, half, code) for x, (gain, half), code in each]
    picture, x = options.output / "gain.png", f"{kind} distance from English (0 to 1)"
    zero = {"no gain": ([min(scales[kind]), max(scales[kind])], [0.0, 0.0])}
    jx.plot_points(points, picture, x=x, y="gain in points\n(95 % interval)", joined=False, lines=zero)
    page = jx.Page("Gains of English intermediate tasks, and distance from English")
    page.add(
        f"`{' '.join(['python', *sys.argv])}`",
        "## By language",
        jx.markdown_table(languages[0], languages[1:]),
        picture,
    )
    page.add("## Correlations over languages, with 95 % intervals (bootstrap)", jx.markdown_table(texts[0], texts[1:]))
    page.add(said(scores, codes, related, kind))
    page.add(*(f"- A failed run, {run}" for run in failed))
    page.write(options.output)
    print(page.to_markdown())


def said(
    scores: Mapping[str, np.ndarray],
    codes: Sequence[str],
    related: Mapping[tuple[str, str], list[tuple[float, float, float]]],
    kind: str,
) -> str:
    """What the numbers say, from the numbers: an interval that holds zero is no gain."""
    seeds, languages = scores["none"].shape
    found = [f"Over {languages} languages other than English and {seeds} seeds:"]
    for row in list(scores)[1:]:
        mean, half = jx.interval((scores[row] - scores["none"]).mean(axis=1))
        word = "a gain" if mean > half else "a loss" if mean < -half else "not told from zero"
        found.append(f"`{row}` changes the mean score by {mean:+.1f} ± {half:.1f} points ({word}).")
        own = zip(codes, map(jx.interval, (scores[row] - scores["none"]).T), strict=True)
        sure = [f"{code} {mean:+.1f} ± {half:.1f}" for code, (mean, half) in own if abs(mean) > half]
        found.append(f"Language by language, these exclude zero: {'; '.join(sure) or 'none'}.")
        mean, half = jx.interval(scores[row].std(axis=1) - scores["none"].std(axis=1))
        word = "less alike" if mean > half else "more alike" if mean < -half else "neither more nor less alike"
        found.append(f"Its scores make languages {word} (their sd changes by {mean:+.1f} ± {half:.1f}).")
        r, low, high = related[f"gain, {row}", kind][0]
        word = "they are related" if low * high > 0 else "no relation is shown"
        found.append(f"Gain and {kind} distance: r = {r:+.2f}, between {low:+.2f} and {high:+.2f}: {word}.")
    sure = [f"{what} with {other}" for (what, other), ((_, low, high), _) in related.items() if low * high > 0]
    found.append(f"Of {len(related)} Pearson correlations {len(sure)} exclude zero ({'; '.join(sure) or 'none'}).")
    found.append("Intervals are 95 %, taken one by one: of twenty, one misses by chance.")
    if languages < 10:
        found.append("With so few languages a bootstrap is too sure of itself: its relations are hints and no results.")
    return " ".join(found)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--encoder", help="Hub id or folder (default: the artificial world's own, made on first use)")
    add("--data-root", help="folder, or hub for the Hugging Face Hub (default: the artificial world)")
    add("--rows", nargs="+", default=["mnli"], help="tasks before the target; a+b is both jointly (default: mnli)")
    add("--targets", nargs="+", default=["xnli", "panx", "tatoeba"], help="what is scored (default: xnli panx tatoeba)")
    add("--seeds", type=int, default=3, help="at least two for an interval (default: 3)")
    steps = "of intermediate and of target training; -1: three epochs (default; in the artificial world 400 100)"
    add("--steps", nargs=2, type=int, metavar="N", help=steps)
    add("--bf16", action="store_true", help="train in mixed precision, on a GPU")
    source = "table as distances.csv here, or world, or lang2vec (pip install lang2vec 'setuptools<70')"
    add("--distances", metavar="FILE", help=f"{source}; default: what fits the data")
    add("--output", type=Path, default=Path("runs/linguistic_distance"), help="default: runs/linguistic_distance")
    options = parser.parse_args()
    options.steps = options.steps or ([-1, -1] if options.data_root else [400, 100])
    return options


if __name__ == "__main__":
    try:
        main()
    except jx.DataError as error:
        sys.exit(f"error: {error}")
