"""The two studies over sizes of encoders run, and say no more than their numbers do."""

import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

STUDIES = Path(__file__).parents[1] / "examples" / "studies"
PNG = b"\x89PNG"
BRIEFLY = ("--pretraining-steps", 2, "--steps", 2, 2, "--batch-size", 4, "--targets", "udpos", "tatoeba")


@pytest.fixture(scope="module")
def model_size():
    return runpy.run_path(str(STUDIES / "model_size.py"))


@pytest.fixture(scope="module")
def single_vs_multi():
    return runpy.run_path(str(STUDIES / "single_vs_multi_task.py"))


def run(monkeypatch, name, output, *arguments):
    program = str(STUDIES / f"{name}.py")
    monkeypatch.setattr(sys, "argv", [program, *map(str, (*BRIEFLY, "--output", output, *arguments))])
    runpy.run_path(program, run_name="__main__")


def check_output(output, name):
    assert (output / f"{name}.png").read_bytes().startswith(PNG)
    assert "data:image/png;base64" in (output / "report.html").read_text()
    return (output / "report.md").read_text(), json.loads((output / "report.json").read_text())


def times(output):
    return {path: path.stat().st_mtime_ns for path in output.glob("stages/*/stage.json")}


@pytest.mark.slow
def test_model_size(world, monkeypatch, tmp_path, capsys):
    arguments = ("--encoders", "16x2", "24x2", "32x2", "--seeds", 2)
    run(monkeypatch, "model_size", tmp_path, *arguments)
    text, records = check_output(tmp_path, "model_size")
    assert text in capsys.readouterr().out
    assert {(r["encoder"], r["intermediate"], r["seed"]) for r in records} == {
        (encoder, row, seed) for encoder in ("16x2", "24x2", "32x2") for row in ("none", "mnli") for seed in (1, 2)
    }
    assert text.count("| 16x2 | 6,") == 1  # 12 h² + 13 h a layer, and the embeddings' LayerNorm
    assert "Ten times the parameters" in text and "mnli (encoder=32x2)" in text

    before = times(tmp_path)  # what is done is not done again
    run(monkeypatch, "model_size", tmp_path, *arguments)
    assert times(tmp_path) == before and len(before) == 3 * 2 * (1 + 2 * 2)
    assert (tmp_path / "report.md").read_text() == text


@pytest.mark.slow
def test_single_vs_multi_task(world, monkeypatch, tmp_path, capsys):
    arguments = ("--encoders", "16x2", "24x2", "--seeds", 2, "--single", "mnli", "ccg")
    run(monkeypatch, "single_vs_multi_task", tmp_path, *arguments)
    text, records = check_output(tmp_path, "single_vs_multi_task")
    assert text in capsys.readouterr().out
    assert {r["intermediate"] for r in records} == {"none", "mnli", "ccg", "mnli+ccg"}
    assert (
        "| encoder | parameters | none | mnli | ccg | joint | joint − best single | joint − mean of singles |" in text
    )
    assert "From 16x2 to 24x2" in text


@pytest.mark.parametrize("name", ["model_size", "single_vs_multi_task"])
def test_what_is_not_there_is_said_at_once(monkeypatch, tmp_path, name):
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, name, tmp_path / "out", "--data-root", tmp_path, "--encoders", "nowhere")
    assert "lacks rows of" in str(stopped.value) and "tatoeba" in str(stopped.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["model_size", "single_vs_multi_task"])
def test_help(monkeypatch, capsys, name):
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, name, "unused", "--help")
    printed = capsys.readouterr().out
    assert stopped.value.code == 0 and "--data-root hub" in printed and "xlm-roberta-large" in printed


# --- what they say of known numbers ---


def test_a_known_line_is_found_with_its_interval(model_size):
    sizes = [10**3, 10**4, 10**5, 10**6]
    line = model_size["fit"](sizes, [1.0, 2.5, 2.5, 4.0])
    # by hand: slope 0.9; residuals -0.15, 0.45, -0.45, 0.15; s² = 0.45 / 2; Sxx = 5; t(2, 97.5 %) = 4.3027
    assert line["slope"] == pytest.approx(0.9)
    assert line["half"] == pytest.approx(4.3027 * (0.225 / 5) ** 0.5, rel=1e-4)
    # the band is narrowest in the middle, where it is t s / √4
    _, y = line["band"]
    widths = [upper - lower for upper, lower in zip(y[:50], y[51:], strict=True)]
    assert min(widths) == pytest.approx(2 * 4.3027 * 0.225**0.5 / 2, rel=1e-3)
    assert max(widths) == widths[0] == pytest.approx(widths[-1])
    assert model_size["fit"](sizes[:2], [1.0, 2.0]) == {}


def test_model_size_calls_nothing_a_gain_that_may_be_none(model_size):
    options = SimpleNamespace(intermediate="mnli", targets=["xnli", "tatoeba"], split="validation", seeds=3)
    gains = {"small": (1.0, 1.5), "middle": (-0.5, 2.0), "large": (2.0, 2.1)}
    text = model_size["said"](gains, {"slope": 0.5, "half": 0.6}, [], options)
    assert "higher for 0 of 3 encoders (none) and lower for 0 (none)" in text and "of the other 3" in text
    assert "+0.5 ± 0.6" in text and "no trend with size is shown" in text
    assert "xnli trains on the same rows again" in text and "tatoeba trains" not in text
    assert " gain" not in text.replace(" again", "")

    gains = {"small": (-1.0, 0.5), "middle": (0.5, 2.0), "large": (2.0, 0.1)}
    text = model_size["said"](gains, {"slope": 0.7, "half": 0.6}, ["mnli after none"] * 2, options)
    assert "1 of 3 encoders (large +2.0 ± 0.1) and lower for 1 (small -1.0 ± 0.5)" in text
    assert ": a trend." in text and "mnli after none 2 times" in text


def test_single_vs_multi_says_what_intervals_allow(single_vs_multi):
    options = SimpleNamespace(multi="mnli+ccg", seeds=3)
    own = {"small": [1.0, 1.1, 0.9], "large": [-2.0, 0.0, 2.0]}
    text = single_vs_multi["said"]({"joint − best single": own}, [], options)
    assert "above zero for 1 of 2 encoders (small +1.0 ± 0.2) and below it for 0 (none)" in text
    assert "From small to large it changes by -1.0 ± 5.1: the interval holds zero" in text


def test_the_best_single_task_is_chosen_by_other_seeds(single_vs_multi):
    joint, singles = [10.0, 10.0, 10.0], [[9.0, 1.0, 1.0], [5.0, 5.0, 5.0]]
    # by seeds 2 and 3 the second is best; by 1 and 3 they are equal, and so by 1 and 2: the first named
    assert single_vs_multi["less_best"](joint, singles) == [5.0, 9.0, 9.0]
    assert single_vs_multi["less_best"]([10.0], [[9.0], [5.0]]) == [1.0]
