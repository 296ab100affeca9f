"""What a report says about layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from jiantx.report import (
    MAIN,
    Report,
    Score,
    centers_of_gravity,
    expected_layers,
    layer_weights,
    plot_layers,
)
from jiantx.report.scores import LAYER_WEIGHT


def cumulative(task: str, scores: Sequence[float], language: str = "en") -> Report:
    records = []
    for depth, value in enumerate(scores):
        tags = {"layers": f"0-{depth}" if depth else "0"}
        records.append(Score(task, "validation", language, MAIN, value, 100, tags))
    return Report(records)


def mix(task: str, weights: Sequence[float], seed: int = 1) -> Report:
    tags: dict[str, str | int] = {"layers": f"0-{len(weights) - 1}", "seed": seed}
    records = [
        Score(task, "validation", language, f"{LAYER_WEIGHT}{layer}", weight, 100, tags)
        for language in ("en", "de")
        for layer, weight in enumerate(weights)
    ]
    records.append(Score(task, "validation", "en", MAIN, 70.0, 100, tags))
    return Report(records)


def test_weights_are_means_over_seeds() -> None:
    report = mix("pos", [0.5, 0.25, 0.25]) + mix("pos", [0.3, 0.45, 0.25], seed=2)
    assert layer_weights(report) == {"pos": pytest.approx({0: 0.4, 1: 0.35, 2: 0.25})}
    assert centers_of_gravity(report) == {"pos": pytest.approx(0.85)}
    assert report.mean() == 70.0


def test_mixes_of_other_layers_are_told_apart() -> None:
    report = mix("pos", [0.5, 0.5]) + mix("pos", [0.2, 0.3, 0.5])
    with pytest.raises(ValueError, match=r"mixes of the layers 0-1, 0-2\. Choose one"):
        layer_weights(report)
    assert centers_of_gravity(report.where(layers="0-1")) == {"pos": 0.5}
    with pytest.raises(ValueError, match="The report holds no weights of layers"):
        layer_weights(cumulative("pos", [1.0, 2.0]))


def test_mixes_of_several_runs_have_no_mean() -> None:
    report = mix("pos", [0.5, 0.5]).with_tags(encoder="small")
    report += mix("pos", [0.2, 0.8]).with_tags(encoder="large")
    with pytest.raises(
        ValueError, match=r"mixes of 2 runs \(encoder=small, layers=0-1; encoder=large"
    ):
        layer_weights(report)
    assert centers_of_gravity(report.where(encoder="small")) == {"pos": 0.5}


def test_the_expected_layer_is_that_of_the_differences() -> None:
    report = cumulative("pos", [50, 80, 85, 80]) + cumulative("nli", [40, 40, 45, 60])
    expected = {"pos": (1 * 30 + 2 * 5 - 3 * 5) / 30, "nli": (2 * 5 + 3 * 15) / 20}
    assert expected_layers(report) == pytest.approx(expected)
    languages = cumulative("pos", [50, 60]) + cumulative("pos", [70, 80], "de")
    assert expected_layers(languages) == {"pos": 1.0}
    assert math.isnan(expected_layers(cumulative("pos", [50, 60, 50]))["pos"])


def test_a_depth_that_is_missing() -> None:
    complete = cumulative("pos", [50, 60, 70])
    with pytest.raises(ValueError, match=r"mixes up to the layers \[0, 2\]; expected 0, 1, 2"):
        expected_layers(complete.where(layers=("0", "0-2")))
    with pytest.raises(ValueError, match="is of the layers '1-2'"):
        expected_layers(Report([Score("pos", "test", "en", MAIN, 1.0, 1, {"layers": "1-2"})]))
    with pytest.raises(ValueError, match="only one of them on pos in de"):
        expected_layers(complete + cumulative("pos", [50, 60], "de"))


def test_equal_weights_give_equal_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report = mix("pos", [0.5, 0.25, 0.25]) + mix("nli", [0.1, 0.2, 0.7])
    for name in ("a", "b"):
        plot_layers(report, tmp_path / f"{name}.svg", title="Layers")
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert text == (tmp_path / "b.svg").read_text(encoding="utf-8")
