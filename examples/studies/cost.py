"""What do multilingual encoders cost beside monolingual ones of like size, and what do they give?

    python examples/studies/cost.py                     # artificial world, offline, in minutes
    python examples/studies/cost.py --data-root hub --bf16 --targets xnli panx tatoeba \\
        --encoders xlm-roberta-base roberta-base bert-base-multilingual-cased bert-base-cased

Every encoder is fine-tuned on the English targets and scored in English and in the other languages.
Beside the scores: tokens per word, floating-point operations (6 x parameters without embeddings x
tokens trained, 2 x scored), time, memory, points for the compute, and the encoders that no other
beats at their price.

Encoders are Hub ids, folders, or sizes such as 160x4 (hidden size 160, four layers). Sizes are
pretrained here on the artificial world's text: 160x4 in all its languages, 160x4-en for as many
steps in English only, with one vocabulary. A stopped study resumes in --output.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cost_summary import draw, summarize
from encoder_costs import GROUPS, EncoderCosts, measure_encoder
from estimators import pareto_front
from findings import format_interval, publish
from fine_tuning import EncoderTraining
from study import option, run

import jiantx as jx

HEADER = [
    "encoder",
    *GROUPS,
    "parameters",
    "TFLOP",
    "seconds",
    "points a TFLOP",
    "trained tokens/s",
    "inferred tokens/s",
    "memory, MB",
]
LEGEND = (
    "Scores: mean over seeds ± half the 95 % interval. TFLOP and seconds: of fine-tuning on all "
    "targets and\nscoring them, once. Points a TFLOP: English / other languages, which have their "
    "own means: a target without English rows\n(such as Tatoeba) counts in the second alone. "
    "Memory: of a training step."
)


@dataclass(kw_only=True)
class Options(EncoderTraining):
    encoders: list[str] = option(
        "sizes, Hub ids or folders", ["160x4", "160x4-en", "80x2", "80x2-en"]
    )
    row: str = option("what to train on before the targets: tasks joined by +", "none")
    world_steps: ClassVar[list[int]] = [100, 100]


def main(options: Options) -> None:
    options.check([options.row])
    costs = {}
    for path in options.encoders:
        encoder_path = options.resolve_encoder(path)
        costs[Path(path).name] = measure_encoder(encoder_path, options, options.row)
    fronts = {}
    for group in GROUPS:
        prices = {name: encoder.price(group) for name, encoder in costs.items()}
        scores = {name: encoder.mean_score(group) for name, encoder in costs.items()}
        fronts[group] = pareto_front(prices, scores)
    picture = options.output / "pareto.png"
    draw(costs, fronts, picture, f"main score, mean of {', '.join(options.targets)}")

    languages = list(next(iter(costs.values())).tokens_per_word)
    fertility = []
    for name, encoder in costs.items():
        rates = [f"{encoder.tokens_per_word[language]:.2f}" for language in languages]
        fertility.append([name, *rates])
    publish(
        "What multilingual and monolingual encoders cost",
        options,
        jx.report.markdown_table(HEADER, [table_row(*item) for item in costs.items()]),
        LEGEND,
        picture,
        "## Tokens a word",
        jx.report.markdown_table(["encoder", *languages], fertility),
        "## What it says",
        summarize(costs, fronts),
    )


def table_row(name: str, encoder: EncoderCosts) -> list[str]:
    """Return the cells of an encoder, as `HEADER` names them.

    Args:
        name: The encoder, as the table shows it.
        encoder: Its scores and what they cost.
    """
    scores = [format_interval(jx.report.interval(encoder.scores[group])) for group in GROUPS]
    teraflops = encoder.flops / 1e12
    points = [f"{encoder.mean_score(group) / encoder.flops * 1e12:.3g}" for group in GROUPS]
    return [
        name,
        *scores,
        f"{encoder.parameters:,}",
        f"{teraflops:.3g}",
        f"{encoder.seconds:.0f}",
        " / ".join(points),
        f"{encoder.trained_per_second:,.0f}",
        f"{encoder.inferred_per_second:,.0f}",
        f"{encoder.memory / 1e6:,.0f}",
    ]


if __name__ == "__main__":
    run(main, Options)
