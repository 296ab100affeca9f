"""What the report of a probe says about layers: weights, centre of gravity, expected layer."""

import math
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jiantx.report import plots
from jiantx.report.averages import cell_means, distinct, grouped, mean_of_all
from jiantx.report.report import Report
from jiantx.report.scores import LAYER_WEIGHT, MAIN, Score, describe_tags, run_tags

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def layer_weights(report: Report) -> dict[str, dict[int, float]]:
    """Return task -> layer -> weight in the mix that the task's head reads, mean over seeds.

    Raises:
        ValueError: If the report holds mixes of several choices of layers or several runs, or none.
    """
    choices = distinct(score.tags.get("layers", "") for score in _about_mix(report))
    if len(choices) > 1:
        raise ValueError(
            f"The report holds mixes of the layers {', '.join(map(str, choices))}. Choose one with "
            f"where(layers={choices[-1]!r})."
        )
    runs = distinct(map(run_tags, _about_mix(report)))
    if len(runs) > 1:
        raise ValueError(
            f"The report holds mixes of {len(runs)} runs ({'; '.join(map(describe_tags, runs))}). "
            "Choose one with where(…)."
        )
    if not choices:
        raise ValueError(
            "The report holds no weights of layers: it is of heads that read one layer. Load the "
            'model with layer_mix="all", or use jx.probe.'
        )
    values = grouped(
        ((score.task, int(score.metric.removeprefix(LAYER_WEIGHT))), score.value)
        for score in _about_mix(report)
    )
    weights: dict[str, dict[int, float]] = {}
    for (task, layer), numbers in values.items():
        weights.setdefault(task, {})[layer] = mean_of_all(numbers)
    return weights


def centers_of_gravity(report: Report) -> dict[str, float]:
    """Return task -> mean layer, weighted as the task's head weighs the layers.

    Raises:
        ValueError: As `layer_weights` does.
    """
    centers = {}
    for task, weights in layer_weights(report).items():
        centers[task] = sum(layer * weight for layer, weight in weights.items())
    return centers


def expected_layers(report: Report) -> dict[str, float]:
    """Return task -> the expected layer at which its examples become right (Tenney et al. 2019b).

    The gain of layer k is the score of the mix of layers 0 to k, minus the score of the mix of
    layers 0 to k - 1. The expected layer is the mean of k, weighted by the gains:
    sum(k * gain) / sum(gain).

    Args:
        report: The scores of probes with `layers=range(k + 1)`, one for each k from 0 on. Scores
            are averaged over seeds and languages.

    Returns:
        Task -> expected layer; NaN if the task has the same score with layer 0 and with all layers.

    Raises:
        ValueError: If a k is missing, or there are other mixes.
    """
    by_depth: dict[int, list[Score]] = grouped(
        (_depth(score), score) for score in report if score.metric == MAIN
    )
    depths = sorted(by_depth)
    if depths != list(range(len(depths))) or len(depths) < 2:
        raise ValueError(
            f"The report holds mixes up to the layers {depths}; expected 0, 1, 2, …: one of "
            "jx.probe(…, layers=range(k + 1)) for each k from 0 to the encoder's depth."
        )
    by_task: dict[str, list[float]] = {}  # task -> score by depth
    for depth in depths:
        cells = cell_means(by_depth[depth])
        values = grouped((task, value) for (task, _), value in cells.items())
        for task, scores in values.items():
            by_task.setdefault(task, []).append(mean_of_all(scores))
    _check_same_cells(by_depth)
    return {task: _expected_layer(scores) for task, scores in by_task.items()}


def plot_layers(
    report: Report, path: str | os.PathLike[str] | None = None, *, title: str | None = None
) -> "Figure":
    """Draw the weight of each layer, a line of bars per task, with its centre of gravity.

    Needs matplotlib.

    Args:
        report: Of one probe, or of an evaluation of heads that mix layers.
        path: The picture to write, if any. Its suffix is the format: .png, .pdf, .svg.
        title: Text above the picture.

    Returns:
        The matplotlib figure, which notebooks show.

    Raises:
        ValueError: As `layer_weights` does.
    """
    return plots.draw_layers(layer_weights(report), centers_of_gravity(report), path, title=title)


def _about_mix(report: Report) -> list[Score]:
    return [score for score in report if score.metric.startswith(LAYER_WEIGHT)]


def _depth(score: Score) -> int:
    """k of a mix of the layers 0 to k."""
    layers = str(score.tags.get("layers", ""))
    match = re.fullmatch(r"0(?:-(\d+))?", layers)
    if match is None:
        raise ValueError(
            f"A score of {score.task} is of the layers {layers or 'that no tag names'!r}; expected "
            "the layers from 0 on, as of jx.probe(…, layers=range(k + 1))."
        )
    return int(match[1] or 0)


def _check_same_cells(by_depth: dict[int, list[Score]]) -> None:
    """Refuse differences between means over different tasks and languages."""
    cells = {depth: set(cell_means(scores)) for depth, scores in by_depth.items()}
    for depth, scored in cells.items():
        differing = sorted(scored ^ cells[0])
        if differing:
            task, language = differing[0]
            raise ValueError(
                f"The mixes up to layer 0 and up to layer {depth} are scored on different rows: "
                f"only one of them on {task} in {language}. Score all on the same."
            )


def _expected_layer(scores: Sequence[float]) -> float:
    """The mean of the layers, weighted by what each adds to the score of those below it."""
    total = scores[-1] - scores[0]
    if not total or math.isnan(total):
        return math.nan
    added = [scores[k] - scores[k - 1] for k in range(1, len(scores))]
    return sum(k * gain for k, gain in enumerate(added, start=1)) / total
