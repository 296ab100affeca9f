"""How the cost study draws its encoders and puts their numbers into sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from encoder_costs import GROUPS, EncoderCosts
from findings import difference_interval, split_by_sign

import jiantx as jx

CAVEAT = (
    "Differences are over seeds of fine-tuning, with 95 % intervals (Student's t), one by one: "
    "of twenty, one\nmisses by chance; each encoder was pretrained once. "
    "Pretraining is not in the costs."
)


def draw(
    costs: Mapping[str, EncoderCosts],
    fronts: Mapping[str, Sequence[str]],
    picture: Path,
    score_label: str,
) -> None:
    """Draw scores against prices, and a line through the encoders that no other beats.

    Args:
        costs: Measurements by the encoder's name.
        fronts: Group of languages -> names of the encoders on its line.
        picture: The file to write.
        score_label: Label of the scores' axis.
    """
    points: dict[str, list[jx.report.plots.Point]] = {}
    lines = {}
    for group in GROUPS:
        points[group] = []
        for name in sorted(costs, key=lambda name: costs[name].mean_score(group)):
            price = costs[name].price(group)
            interval = jx.report.interval(costs[name].scores[group])
            points[group].append(jx.report.plots.Point(price, *interval, name))
        prices = [costs[name].price(group) for name in fronts[group]]
        scores = [costs[name].mean_score(group) for name in fronts[group]]
        lines[f"nothing better, {group}"] = (prices, scores)
    jx.report.plots.plot_points(
        points,
        picture,
        x="floating-point operations to read a word (log scale)",
        y=score_label,
        title="Score by the price of reading a word, with 95 % intervals",
        log_x=True,
        joined=False,
        bounds=(0, 100),
        lines=lines,
    )


def summarize(costs: Mapping[str, EncoderCosts], fronts: Mapping[str, Sequence[str]]) -> str:
    """Return the result in sentences; an interval that includes zero shows no difference.

    Args:
        costs: Measurements by the encoder's name; the first one is the baseline.
        fronts: Group of languages -> names of the encoders that no other beats.

    Returns:
        The paragraph.
    """
    first, *other_names = costs
    sentences = []
    for group in GROUPS:
        baseline = costs[first].scores[group]
        differences = {}
        for name in other_names:
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
