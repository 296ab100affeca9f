"""Does retrieval rise after an English intermediate task, and in which layers?

    python examples/studies/retrieval_layers.py        # artificial world, offline, in minutes
    python examples/studies/retrieval_layers.py --data-root hub --encoder xlm-roberta-base --bf16 \\
        --rows mnli squad_v1 hellaswag

Phang et al. (2020) report large gains on Tatoeba and BUCC. Here the encoder ranks sentences before
and after intermediate training, by several layers. Retrieval has no training of its own, so all
differences come from the intermediate task. A stopped study resumes in --output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product
from typing import ClassVar, Literal

from findings import difference_interval, format_interval, publish
from fine_tuning import Training
from retrieval_summary import LayerScores, summarize
from study import option, run
from transformers import AutoConfig

import jiantx as jx


@dataclass(kw_only=True)
class Options(Training):
    encoder: str | None = option("Hub id or folder (default: the artificial world's own)")
    rows: list[str] = option("tasks of intermediate training; a+b is both jointly", ["mnli"])
    layers: list[int] = option(
        "hidden states that are read (default: every third, and the last)", []
    )
    languages: list[str] = option("languages of the targets (default: all)", [])
    pairs: int | None = option("pairs of each language, chosen at random (default: all)")
    pooling: Literal["mean", "cls"] = option(
        "of a sentence's tokens: their mean or the first", "mean"
    )
    center: bool = option("subtract the mean vector of all queries, or of all candidates", False)
    world_steps: ClassVar[list[int]] = [150, 0]

    def default_targets(self) -> Sequence[str]:
        return ("tatoeba",)


def main(options: Options) -> None:
    options.check(options.rows)
    encoder = options.encoder or str(jx.default_encoder())
    depth = AutoConfig.from_pretrained(encoder).num_hidden_layers
    layers = options.layers or sorted({*range(3, depth, 3), depth})
    targets: dict[int, list[jx.Task]] = {layer: [] for layer in layers}
    for layer, name in product(layers, options.targets):
        task = scored_task(name, options)
        targets[layer].append(task.replace(name=f"{name}_{layer}", layer=layer))
    recipe = replace(options.recipe(encoder), languages=tuple(options.languages) or None)
    report = recipe.run(options.rows, [*chain(*targets.values())], seeds=options.seeds)
    report.to_json(options.output / "report.json")
    seeds = range(1, options.seeds + 1)
    scores: dict[str, dict[int, list[float]]] = {row: {} for row in ("none", *options.rows)}
    for row, layer in product(scores, layers):
        names = [task.name for task in targets[layer]]
        of_layer = report.where(intermediate=row, task=names)
        scores[row][layer] = [of_layer.where(seed=seed).mean() for seed in seeds]
    show(options, scores)


def scored_task(name: str, options: Options) -> jx.Task:
    """Return a target with the options' vectors, and with at most so many pairs of each language.

    Args:
        name: Of a task whose rows are pairs, and each other's candidates.
        options: The study's arguments.
    """
    task = jx.get_task(name).replace(pooling=options.pooling, center=options.center)
    if options.pairs is None:
        return task
    rows = {}
    for language in options.languages or task.languages(options.split):
        all_rows = task.rows(options.split, language)
        rows[language] = all_rows.shuffle(seed=1).select(range(min(options.pairs, len(all_rows))))
    return task.with_rows(jx.Rows({options.split: rows}))


def show(options: Options, scores: Mapping[str, LayerScores]) -> None:
    """Publish a table of layers, a picture and a paragraph.

    Args:
        options: The study's arguments.
        scores: Of the baseline `none`, then of each row.
    """
    baseline = scores["none"]
    table = []
    points: dict[str, list[jx.report.plots.Point]] = {}
    for row, by_layer in scores.items():
        cells = []
        points[row] = []
        for layer, values in by_layer.items():
            mean, half_width = jx.report.interval(values)
            points[row].append(jx.report.plots.Point(layer, mean, half_width))
            change = difference_interval(values, baseline[layer])
            cells.append(f"{mean:.1f}" if by_layer is baseline else format_interval(change, "+"))
        table.append([row, *cells])
    picture = options.output / "retrieval_layers.png"
    title = f"{', '.join(options.targets)} by layer, after intermediate training"
    jx.report.plots.plot_points(
        points, picture, x="layer", y="main score, 95 % interval", title=title, bounds=(0, 100)
    )
    publish(
        title,
        options,
        jx.report.markdown_table(["row", *(f"layer {layer}" for layer in baseline)], table),
        "`none`: the score. Other rows: the difference to it, and half its 95 % interval.",
        picture,
        summarize(scores),
    )


if __name__ == "__main__":
    run(main, Options)
