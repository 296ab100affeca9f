"""What do multilingual encoders cost beside monolingual ones of like size, and what do they give for it?

    python examples/studies/cost.py                                      # artificial world, offline, in minutes
    python examples/studies/cost.py --data-root hub --bf16 --targets xnli panx tatoeba \\
        --encoders xlm-roberta-base roberta-base bert-base-multilingual-cased bert-base-cased

Every encoder is fine-tuned on the English targets and scored in English and in the other languages. Beside the scores:
tokens a word, floating-point operations (6 x parameters without embeddings x tokens trained, 2 x scored), time, memory,
points for the compute, and which encoders nothing beats at their price.

Encoders are Hub ids, folders, or sizes such as 160x4 (hidden size 160, four layers), which are pretrained here on the
artificial world's text: 160x4 in all its languages, 160x4-en for as many steps in English only, with one vocabulary.
What is done is kept in --output, and a study that was stopped goes on there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import ClassVar

import numpy as np
from measure import fertility, step_bytes
from study import Interval, Training, made, option, plus_minus, publish, run, told

import jiantx as jx

GROUPS = ("English", "other languages")


@dataclass(kw_only=True)
class Options(Training):
    encoders: list[str] = option(
        "sizes, Hub ids or folders", ["160x4", "160x4-en", "80x2", "80x2-en"]
    )
    pretraining_steps: int = option("of sizes", 300)
    row: str = option("what to train on before the targets: tasks joined by +", "none")
    in_the_world: ClassVar[list[int]] = [100, 100]


@dataclass
class Measured:
    """One encoder. scores: English's and the other languages', by seed; the rest of one seed, or of one step."""

    scores: dict[str, list[float]]
    parameters: int  # without embeddings
    flops: float  # trained and scored
    seconds: float  # of all stages, as they ran
    speeds: tuple[float, float]  # tokens a second, trained and inferred
    memory: int  # bytes of a training step on the first target
    fertility: dict[str, float]  # language -> tokens a word
    unknown: float  # the largest share of unknown tokens in a language

    def price(self, group: str) -> float:
        """Operations to read a word: 2 x parameters x tokens a word."""
        own = [
            tokens
            for code, tokens in self.fertility.items()
            if (code == "en") == (group == "English")
        ]
        return 2 * self.parameters * fmean(own)


def main(options: Options) -> None:
    options.check([options.row])
    show(
        options,
        {
            Path(w).name: measured(made(w, options.pretraining_steps), options)
            for w in options.encoders
        },
    )


def measured(encoder: str, options: Options) -> Measured:
    recipe = options.recipe(encoder)
    whole = recipe.plan([options.row], options.targets, seeds=options.seeds)
    plan = {cell: stage for cell, stage in whole.items() if cell.row == options.row}
    estimate, stages = jx.experiments.estimate_costs(recipe, plan), recipe.stages(plan)
    stages.run()
    report, seeds = recipe.report(plan), range(1, options.seeds + 1)
    others = {record.language for record in report.where(split=options.split)} - {"en"}
    trained = next(
        task for name in options.targets for task in jx.tasks.training_tasks(jx.get_task(name))
    )
    languages = dict(zip(GROUPS, ("en", others), strict=True))
    words, unknown = fertility(encoder, ["en", *sorted(others)])
    return Measured(
        scores={
            g: [report.where(language=own, seed=seed).mean() for seed in seeds]
            for g, own in languages.items()
        },
        parameters=estimate.parameters,
        flops=sum(map(estimate.flops, estimate.stages)) / options.seeds,
        seconds=sum(timing["seconds"] for timing in stages.timings()) / options.seeds,
        speeds=(1 / estimate.seconds[0], 1 / estimate.seconds[1]),
        memory=step_bytes(encoder, trained, options.batch_size, options.bf16),
        fertility=words,
        unknown=unknown,
    )


# --- the result ------------------------------------------------------------------------------------------------------


def show(options: Options, found: Mapping[str, Measured]) -> None:
    """Tables, a picture and a paragraph."""
    costs = []
    for name, own in found.items():
        scores = [plus_minus(jx.report.interval(own.scores[group])) for group in GROUPS]
        points = " / ".join(
            f"{fmean(own.scores[group]) / own.flops * 1e12:.3g}" for group in GROUPS
        )
        numbers = [f"{own.parameters:,}", f"{own.flops / 1e12:.3g}", f"{own.seconds:.0f}", points]
        costs.append(
            [
                name,
                *scores,
                *numbers,
                *(f"{x:,.0f}" for x in own.speeds),
                f"{own.memory / 1e6:,.0f}",
            ]
        )
    codes = list(next(iter(found.values())).fertility)
    words = [
        [name, *(f"{own.fertility[code]:.2f}" for code in codes)] for name, own in found.items()
    ]
    fronts = {group: front(found, group) for group in GROUPS}
    draw(options, found, fronts)
    publish(
        "What multilingual and monolingual encoders cost",
        options,
        jx.report.markdown_table(["encoder", *GROUPS, *COSTS], costs),
        LEGEND,
        options.output / "pareto.png",
        "## Tokens a word",
        jx.report.markdown_table(["encoder", *codes], words),
        "## What it says",
        said(found, fronts),
    )


COSTS = (
    "parameters",
    "TFLOP",
    "seconds",
    "points a TFLOP",
    "trained tokens/s",
    "inferred tokens/s",
    "memory, MB",
)
LEGEND = """Scores: mean over seeds ± half the 95 % interval. TFLOP and seconds: of fine-tuning on all targets and
scoring them, once. Points a TFLOP: English / other languages, which have their own means: a target without English rows
(such as Tatoeba) counts in the second alone. Memory: of a training step."""


def draw(
    options: Options, found: Mapping[str, Measured], fronts: Mapping[str, Sequence[str]]
) -> None:
    """Scores against prices, and the encoders that nothing beats."""
    points: dict[str, list[jx.report.plots.Point]] = {group: [] for group in GROUPS}
    for group, drawn in points.items():
        for name, own in sorted(found.items(), key=lambda item: fmean(item[1].scores[group])):
            below = any(
                point.x == own.price(group) for point in drawn
            )  # then its name goes a line higher
            drawn.append(
                jx.report.plots.Point(
                    own.price(group), *jx.report.interval(own.scores[group]), name + "\n" * below
                )
            )
    lines = {
        f"nothing better, {group}": (
            [found[name].price(group) for name in names],
            [fmean(found[name].scores[group]) for name in names],
        )
        for group, names in fronts.items()
    }
    score = f"main score, mean of {', '.join(options.targets)}"
    price = "floating-point operations to read a word (log scale)"
    jx.report.plots.plot_points(
        points,
        options.output / "pareto.png",
        x=price,
        y=score,
        log_x=True,
        joined=False,
        lines=lines,
    )


def front(found: Mapping[str, Measured], group: str) -> list[str]:
    """The encoders, cheapest first, that have a better mean score than all that cost no more."""
    order = sorted(
        found, key=lambda name: (found[name].price(group), -fmean(found[name].scores[group]))
    )
    best, names = -math.inf, list[str]()
    for name in order:
        if (score := fmean(found[name].scores[group])) > best:
            best, names = score, [*names, name]
    return names


def said(found: Mapping[str, Measured], fronts: Mapping[str, Sequence[str]]) -> str:
    """What the numbers say, from the numbers: an interval that holds zero is no difference."""
    (first, own), *others = found.items()
    texts = []
    for group in GROUPS:
        differences: dict[str, Interval] = {
            name: jx.report.interval(np.subtract(other.scores[group], own.scores[group]).tolist())
            for name, other in others
        }
        up, down, unsure = told(differences)
        texts.append(
            f"In {group}, beside {first}: {', '.join([*up, *down]) or 'no encoder'} can be told from it"
        )
        texts[-1] += f"; {', '.join(unsure)} cannot." if unsure else "."
        texts.append(f"By their means, nothing beats {', '.join(fronts[group])} at their price.")
    ratios = {name: max(x.fertility.values()) / x.fertility["en"] for name, x in found.items()}
    most = max(ratios, key=ratios.__getitem__)
    texts.append(
        f"A word costs up to {ratios[most]:.1f} times as many tokens as in English ({most})."
    )
    for name, x in found.items():
        if x.unknown > 0.01:
            texts.append(
                f"{name} does not know {x.unknown:.0%} of its tokens in one of them: its count says little."
            )
    return f"{' '.join(texts)} {CAVEAT}"


CAVEAT = """Differences are over seeds of fine-tuning, with 95 % intervals (Student's t), one by one: of twenty, one
misses by chance; each encoder was pretrained once. Pretraining is not in the costs."""

if __name__ == "__main__":
    run(main, Options)
