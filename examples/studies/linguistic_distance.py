"""Does what a language gains from an English intermediate task depend on its distance from English?

    python examples/studies/linguistic_distance.py     # a small artificial world, in minutes
    python examples/studies/linguistic_distance.py --data-root hub --encoder xlm-roberta-base --bf16

Each row is trained on English intermediate data, then on English targets, and scored in all
languages. A language's gain is its mean score minus that without intermediate training, by seed.
Distances: distances.csv (URIEL), lang2vec (pip install lang2vec 'setuptools<70'), or the world's;
and of the encoder's tokenizer: pieces shared with English ("lexical"), and pieces a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
from distances import TABLE, distances, tokenizer_distances
from estimators import correlations
from findings import publish
from fine_tuning import Training
from linguistic_distance_summary import (
    choose_seeds,
    common_languages,
    draw,
    format_correlation,
    format_outcome,
    summarize,
)
from study import option, run

import jiantx as jx


@dataclass(kw_only=True)
class Options(Training):
    encoder: str | None = option("Hub id or folder (default: the artificial world's own)")
    rows: list[str] = option("tasks before the target; a+b is both jointly", ["mnli"])
    distances: str | None = option(
        "a table as distances.csv here, or world, or lang2vec (default: what fits the data)"
    )
    world_steps: ClassVar[list[int]] = [300, 60]
    reads_report: ClassVar[bool] = True


def main(options: Options) -> None:
    options.check(options.rows)
    encoder = options.encoder or str(jx.default_encoder())
    report = options.scores(encoder, options.rows)
    seeds, failures = choose_seeds(report)
    scored, left_out = common_languages(report, options.targets)
    source = options.distances or (TABLE if options.data_root else "world")
    by_language = distances(source, sorted(scored))
    from_tokenizer = tokenizer_distances(encoder, list(by_language))
    if len(from_tokenizer) == len(by_language):
        by_language = {code: {**by_language[code], **from_tokenizer[code]} for code in by_language}
    languages = sorted(by_language, key=lambda language: next(iter(by_language[language].values())))
    kinds = {}
    for kind in by_language[languages[0]]:
        kinds[kind] = np.array([by_language[language][kind] for language in languages])
    scores = {}
    for row in ("none", *options.rows):
        of_row = report.where(intermediate=row, language=languages)
        means = [of_row.where(seed=seed).mean(by="language") for seed in seeds]
        scores[row] = np.array([[mean[language] for language in languages] for mean in means])
    show(options, scores, languages, kinds, [*failures, *left_out])


def show(
    options: Options,
    scores: Mapping[str, np.ndarray],
    languages: Sequence[str],
    kinds: Mapping[str, np.ndarray],
    failures: Sequence[str],
) -> None:
    """Publish tables, a picture and a paragraph.

    Args:
        options: The study's arguments.
        scores: Mean scores of each row, `(seeds, languages)`.
        languages: The languages, in the order of the columns.
        kinds: Distances from English, `(languages,)`, by kind of distance.
        failures: A line for each failed run, and one on languages that are left out.
    """
    none = scores["none"]
    gains = {row: values - none for row, values in scores.items() if row != "none"}
    means = {f"gain, {row}": gain.mean(axis=0) for row, gain in gains.items()}
    outcomes = {"score, none": none.mean(axis=0), **means}
    if len(none) > 1:
        for row, values in scores.items():
            outcomes[f"sd over seeds, {row}"] = values.std(axis=0, ddof=1)
    table = []
    for index, language in enumerate(languages):
        cells = [f"{values[index]:.2f}" for values in kinds.values()]
        cells += [format_outcome(name, outcomes[name][index]) for name in outcomes]
        table.append([language, *cells])
    scales = {kind: x for kind, x in kinds.items() if len(set(x)) > 2}  # two values are no scale
    related = {}
    for (outcome, y), (kind, x) in product(outcomes.items(), scales.items()):
        related[outcome, kind] = correlations(x, y)
    texts = [[*names, *map(format_correlation, values)] for names, values in related.items()]
    first_kind = next(iter(scales))
    draw(gains, languages, first_kind, scales[first_kind], options.output / "gain.png")
    publish(
        "Gains of English intermediate tasks, and distance from English",
        options,
        "## By language",
        jx.report.markdown_table(["language", *kinds, *outcomes], table),
        options.output / "gain.png",
        "## Correlations over languages, with 95 % intervals (bootstrap)",
        jx.report.markdown_table(["what", "distance", "Pearson's r", "Spearman's rho"], texts),
        summarize(scores, languages, related, first_kind),
        "\n".join(failures),
    )


if __name__ == "__main__":
    run(main, Options)
