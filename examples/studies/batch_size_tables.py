"""How the batch-size study puts its learning curves into tables, pictures and sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from batch_options import Setting
from estimators import examples_to
from findings import difference_interval, format_interval, split_by_sign

import jiantx as jx

Curve = Sequence[tuple[int, float]]  # (examples, score) of each evaluation


def mean_examples_to(score: float, curves: Sequence[Curve]) -> str:
    """Return the mean number of examples to a score, and how many runs reached it if not all did.

    Args:
        score: The score.
        curves: Learning curves, one per seed.

    Returns:
        Such as "49", or "56 (1 of 2 runs)".
    """
    needed = [examples_to(score, curve) for curve in curves]
    reached = [examples for examples in needed if examples < math.inf]
    text = f"{fmean(reached):,.0f}" if reached else ""
    if len(reached) < len(curves):
        text += f" ({len(reached)} of {len(curves)} runs)"
    return text


def add_budget(
    table: Mapping[Setting, list[str]],
    budget: str,
    curves: Mapping[Setting, Sequence[Curve]],
    examples_of: Mapping[int, int],
    base: int,
    picture: Path,
    axis: str,
) -> str:
    """Add a budget's scores, and their differences to the base, to the table; draw them.

    Args:
        table: Setting -> the cells so far, which are extended.
        budget: "equal epochs" or "equal steps".
        curves: Setting -> learning curves, one per seed.
        examples_of: Batch size -> examples after which the budget is spent.
        base: The batch size to compare with.
        picture: The file to draw.
        axis: Label of the picture's scores.

    Returns:
        A sentence that names the settings that differ significantly from the base.
    """
    scores = {}
    for setting, seed_curves in curves.items():
        examples = examples_of[setting.batch_size]
        scores[setting] = [dict(curve).get(examples, math.nan) for curve in seed_curves]
    base_scores = scores[Setting(base, "fixed")]
    differences = {}
    for setting, cells in table.items():
        finished = sum(not math.isnan(score) for score in scores[setting])
        runs = len(scores[setting])
        note = "" if finished == runs else f" ({finished} of {runs} runs)"
        cells.append(format_interval(jx.report.interval(scores[setting])) + note)
        if setting.batch_size == base:
            cells.append("")
            continue
        difference = difference_interval(scores[setting], base_scores)
        if finished == runs:  # of the others, only the runs that did not diverge are known
            differences[f"{setting.batch_size} {setting.rule}"] = difference
        cells.append(format_interval(difference, "+"))
    _draw(scores, picture, y=axis, title=f"Learning rate by batch size, at {budget}")
    positive, negative, _ = split_by_sign(differences)
    significant = ", ".join([*positive, *negative]) or "no other setting"
    return f"At {budget}, told from a batch of {base}: {significant}."


def _draw(scores: Mapping[Setting, Sequence[float]], picture: Path, **labels: Any) -> None:
    """Draw the scores of each rule by batch size."""
    rules = list(dict.fromkeys(setting.rule for setting in scores))
    points: dict[str, list[jx.report.plots.Point]] = {rule: [] for rule in rules}
    for (batch_size, rule), values in scores.items():
        interval = jx.report.interval(values)
        points[rule].append(jx.report.plots.Point(batch_size, *interval))
    x = "batch size (examples, log scale)"
    jx.report.plots.plot_points(points, picture, x=x, log_x=True, bounds=(0, 100), **labels)


def speed_table(costs: Mapping[int, Mapping[str, Any]]) -> str:
    """Return a Markdown table of batch size -> `step_costs`."""
    header = [
        "batch size",
        "trained tokens a second",
        "inferred tokens a second",
        "memory of training, MB",
    ]
    table = []
    for batch_size, cost in costs.items():
        speeds = [f"{cost['trained']:,.0f}", f"{cost['inferred']:,.0f}"]
        table.append([str(batch_size), *speeds, f"{cost['bytes'] / 1e6:,.0f}"])
    return jx.report.markdown_table(header, table)


def noise_sentences(noise: Sequence[tuple[float, float]]) -> list[str]:
    """Return sentences on noise scales before and after training, a pair per seed."""
    sentences = []
    for when, scales in zip(("before", "after"), zip(*noise, strict=True), strict=True):
        texts = ["not to be measured" if math.isnan(x) else f"{x:.2g}" for x in scales]
        sentences.append(
            f"Gradient noise scale {when} training, in examples, by seed: {', '.join(texts)}."
        )
    sentences.append(
        "Well below it, larger batches save steps at no cost in examples; "
        "above it, they cost examples."
    )
    return sentences
