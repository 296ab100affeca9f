"""How the study of retrieval by layer words its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from findings import difference_interval, split_by_sign

import jiantx as jx

LayerScores = Mapping[int, Sequence[float]]
"""Layer -> a mean score for each seed."""


def summarize(scores: Mapping[str, LayerScores]) -> str:
    """Say in which layers a row is told from the baseline, and what the best layers are.

    Args:
        scores: Of the baseline `none`, then of each row.
    """
    sentences = []
    baseline = scores["none"]
    for row, by_layer in scores.items():
        if by_layer is not baseline:
            sentences.append(_change_sentence(row, by_layer, baseline))
    best = []
    for row, by_layer in scores.items():
        means = {layer: jx.report.interval(values)[0] for layer, values in by_layer.items()}
        layer = max(means, key=lambda layer: means[layer])
        best.append(f"{row} {layer} ({means[layer]:.1f})")
    sentences.append(f"Best layers: {', '.join(best)}.")
    return " ".join(sentences)


def _change_sentence(row: str, by_layer: LayerScores, baseline: LayerScores) -> str:
    """Say in which layers a row is above and below the baseline."""
    differences = {}
    for layer, values in by_layer.items():
        differences[f"layer {layer}"] = difference_interval(values, baseline[layer])
    rising, falling, undecided = split_by_sign(differences)
    changes = []
    if rising:
        changes.append(f"rises in {', '.join(rising)}")
    if falling:
        changes.append(f"falls in {', '.join(falling)}")
    if undecided:
        changes.append(f"is not shown to change in {', '.join(undecided)}")
    return f"After {row}, retrieval {'; it '.join(changes)}."
