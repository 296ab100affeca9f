"""How the studies of encoders' sizes put their numbers into sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from findings import (
    Interval,
    format_interval,
    intervals_of,
    significance_sentence,
    trend_sentence,
)

import jiantx as jx


def summarize_model_size(
    differences: Mapping[str, Interval], line: Mapping[str, Any], failures: str, options: Any
) -> str:
    """Return the result in sentences; a difference whose interval includes zero is no gain.

    Args:
        differences: By encoder, the difference to no intermediate training, with its interval.
        line: The least-squares line through the differences, or nothing with too few encoders.
        failures: A sentence on failed runs, or nothing.
        options: The study's arguments.
    """
    subject = (
        f"With {options.intermediate} before, the change of the mean over "
        f"{', '.join(options.targets)} ({options.split})"
    )
    text = significance_sentence(differences, options.seeds, subject=subject, items="encoders")
    text += " "
    if line:
        is_trend = abs(line["slope"]) > line["half_width"]
        trend = "a trend" if is_trend else "the interval holds zero, and no trend is shown"
        text += (
            "Ten times the parameters change it by "
            f"{format_interval((line['slope'], line['half_width']), '+')} points (least squares, "
            f"means of {len(differences)} encoders, 95 % by Student's t with "
            f"{len(differences) - 2} degrees of freedom): {trend}. "
        )
    intermediate_tasks = {task.name for task in jx.experiments.parse_row(options.intermediate)}
    trained_twice = []
    for name in options.targets:
        target_tasks = {task.name for task in jx.tasks.training_tasks(jx.get_task(name))}
        if target_tasks & intermediate_tasks:
            trained_twice.append(name)
    if trained_twice:
        text += (
            f"{', '.join(trained_twice)} trains on the same rows again: "
            "its difference is in part that of longer training. "
        )
    return (
        f"{text}{failures}Each size is one pretrained encoder: seeds repeat the fine-tuning only."
    )


def summarize_differences(
    series: Mapping[str, Mapping[str, Sequence[float]]], failures: str, seeds: int
) -> str:
    """Return the result in sentences; an interval that includes zero shows no difference.

    Args:
        series: By label and encoder, the differences of all seeds.
        failures: A sentence on failed runs, or nothing.
        seeds: How often each encoder was fine-tuned.
    """
    text = ""
    for label, seed_scores in series.items():
        text += significance_sentence(
            intervals_of(seed_scores), seeds, subject=label.capitalize(), items="encoders"
        )
        text += f" {trend_sentence(seed_scores)}"
    text += failures
    return text + "Each size is one pretrained encoder: seeds repeat the fine-tuning only."
