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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from encoder_costs import GROUPS, EncoderCosts, measure_encoder
from estimators import pareto_front
from findings import difference_interval, format_interval, publish, split_by_sign
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
LEGEND = """Scores: mean over seeds ± half the 95 % interval. TFLOP and seconds: of fine-tuning on all targets and
scoring them, once. Points a TFLOP: English / other languages, which have their own means: a target without English rows
(such as Tatoeba) counts in the second alone. Memory: of a training step."""  # noqa: E501
CAVEAT = """Differences are over seeds of fine-tuning, with 95 % intervals (Student's t), one by one: of twenty, one
misses by chance; each encoder was pretrained once. Pretraining is not in the costs."""  # noqa: E501


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
    for encoder in options.encoders:
        path = options.resolve_encoder(encoder)
        costs[Path(encoder).name] = measure_encoder(path, options, options.row)
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
    """Return the cells of an encoder, as `HEADER` names them."""
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


def draw(
    costs: Mapping[str, EncoderCosts],
    fronts: Mapping[str, Sequence[str]],
    picture: Path,
    score_label: str,
) -> None:
    """Draw scores against prices, and a line through the encoders that no other beats."""
    points: dict[str, list[jx.report.plots.Point]] = {}
    lines = {}
    for group in GROUPS:
        points[group] = []
        for name in sorted(costs, key=lambda name: costs[name].mean_score(group)):
            price = costs[name].price(group)
            # A second name at the same price goes a line higher.
            is_crowded = any(point.x == price for point in points[group])
            interval = jx.report.interval(costs[name].scores[group])
            label = f"{name}\n" if is_crowded else name
            points[group].append(jx.report.plots.Point(price, *interval, label))
        prices = [costs[name].price(group) for name in fronts[group]]
        scores = [costs[name].mean_score(group) for name in fronts[group]]
        lines[f"nothing better, {group}"] = (prices, scores)
    jx.report.plots.plot_points(
        points,
        picture,
        x="floating-point operations to read a word (log scale)",
        y=score_label,
        log_x=True,
        joined=False,
        lines=lines,
    )


def summarize(costs: Mapping[str, EncoderCosts], fronts: Mapping[str, Sequence[str]]) -> str:
    """Return the result in sentences; an interval that includes zero shows no difference."""
    first, *others = costs
    sentences = []
    for group in GROUPS:
        baseline = costs[first].scores[group]
        differences = {}
        for name in others:
            differences[name] = difference_interval(costs[name].scores[group], baseline)
        positive, negative, unclear = split_by_sign(differences)
        significant = ", ".join([*positive, *negative]) or "no encoder"
        rest = f"; {', '.join(unclear)} cannot." if unclear else "."
        sentences.append(f"In {group}, beside {first}: {significant} can be told from it{rest}")
        front = ", ".join(fronts[group])
        sentences.append(f"By their means, nothing beats {front} at their price.")
    ratios = {}
    for name, encoder in costs.items():
        rates = encoder.tokens_per_word
        ratios[name] = max(rates.values()) / rates["en"]
    highest = max(ratios, key=ratios.__getitem__)
    sentences.append(
        f"A word costs up to {ratios[highest]:.1f} times as many tokens as in English ({highest})."
    )
    for name, encoder in costs.items():
        if encoder.unknown_share > 0.01:
            sentences.append(
                f"{name} does not know {encoder.unknown_share:.0%} of its tokens in one of them: "
                "its count says little."
            )
    return f"{' '.join(sentences)} {CAVEAT}"


if __name__ == "__main__":
    run(main, Options)
