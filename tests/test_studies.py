"""The studies run, on a world small enough for a test, and say no more than their numbers do."""

import json
import math
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import batch_size
import cost
import linguistic_distance
import model_size
import numpy as np
import pytest
import single_vs_multi_task
import study
import torch
from measure import noise_scale, training_bytes

STUDIES = Path(__file__).parents[1] / "examples" / "studies"
NAMES = ("model_size", "single_vs_multi_task", "linguistic_distance", "batch_size", "cost")
BRIEFLY = (
    "--pretraining-steps",
    2,
    "--steps",
    2,
    2,
    "--batch-size",
    4,
    "--targets",
    "udpos",
    "tatoeba",
    "--seeds",
    2,
)


def run(monkeypatch, capsys, name, *arguments):
    """Run a study; what it prints."""
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
    runpy.run_path(str(STUDIES / f"{name}.py"), run_name="__main__")
    return capsys.readouterr().out


def check_page(folder, *pictures):
    assert all((folder / picture).read_bytes().startswith(b"\x89PNG") for picture in pictures)
    assert (folder / "report.html").read_text().count("data:image/png") == len(pictures)
    text = (folder / "report.md").read_text()
    assert not re.search(r"\b(nan|inf)\b", text)
    return text


def made(folder):
    return {path: path.read_bytes() for path in folder.glob("stages/*/stage.json")}


@pytest.mark.slow
def test_model_size(world, monkeypatch, tmp_path, capsys):
    arguments = (*BRIEFLY, "--output", tmp_path, "--encoders", "16x2", "24x2", "32x2")
    printed = run(monkeypatch, capsys, "model_size", *arguments)
    text, records = (
        check_page(tmp_path, "model_size.png"),
        json.loads((tmp_path / "report.json").read_text()),
    )
    assert text in printed and "report.html, report.md, model_size.png, report.json" in printed
    assert {(r["encoder"], r["intermediate"], r["seed"]) for r in records} == {
        (encoder, row, seed)
        for encoder in ("16x2", "24x2", "32x2")
        for row in ("none", "mnli")
        for seed in (1, 2)
    }
    assert text.count("| 16x2 | 6,") == 1  # 12 h² + 13 h a layer, and the embeddings' LayerNorm
    assert "Ten times the parameters" in text and "mnli (encoder=32x2)" in text

    before = made(tmp_path)  # what is done is not done again
    assert text in run(monkeypatch, capsys, "model_size", *arguments)
    assert made(tmp_path) == before and len(before) == 3 * 2 * (1 + 2 * 2)


@pytest.mark.slow
def test_single_vs_multi_task(world, monkeypatch, tmp_path, capsys):
    arguments = (
        *BRIEFLY,
        "--output",
        tmp_path,
        "--encoders",
        "16x2",
        "24x2",
        "--single",
        "mnli",
        "ccg",
    )
    printed = run(monkeypatch, capsys, "single_vs_multi_task", *arguments)
    text = check_page(tmp_path, "single_vs_multi_task.png")
    records = json.loads((tmp_path / "report.json").read_text())
    assert text in printed and {r["intermediate"] for r in records} == {
        "none",
        "mnli",
        "ccg",
        "mnli+ccg",
    }
    head = "| encoder | parameters | none | mnli | ccg | joint | joint − best single | joint − mean of singles |"
    assert head in text and "From 16x2 to 24x2" in text


@pytest.mark.slow
def test_linguistic_distance(world, monkeypatch, capsys, tmp_path):
    arguments = [
        "--steps",
        2,
        2,
        "--seeds",
        2,
        "--targets",
        "udpos",
        "tatoeba",
        "--rows",
        "mnli",
        "--output",
        tmp_path,
    ]
    printed = run(monkeypatch, capsys, "linguistic_distance", *arguments)
    text = check_page(tmp_path, "gain.png")
    assert "| language | overall | lexicon | order | script |" in text and "| zh | 0.8" in text
    assert (
        "| gain, mnli | overall |" in text and "| gain, mnli | script |" not in text
    )  # a yes or no is no scale
    assert "`mnli` changes the mean score by" in printed and "hints and no results" in printed
    before = made(tmp_path)
    assert len(before) == 2 * (1 + 2 * 2)  # seeds x (intermediate, rows x targets)
    assert text in run(monkeypatch, capsys, "linguistic_distance", *arguments)
    assert made(tmp_path) == before


@pytest.mark.slow
def test_batch_size(world, monkeypatch, capsys, tmp_path):
    sizes = ["--batch-sizes", 2, 8, "--base", 4, "--examples", 64, "--task", "mnli"]
    printed = run(monkeypatch, capsys, "batch_size", *sizes, "--seeds", 1, "--output", tmp_path)
    text = check_page(tmp_path, "equal_epochs.png", "equal_steps.png")
    assert "## 64 examples, or 8 steps" in text and "| 8 | linear |" in text
    assert (
        text.count("\n| 4 | ") == 2
    )  # all rules are one there: once in the table of scores, once in that of costs
    assert (
        "At equal epochs, told from a batch of 4: no other setting." in printed
    )  # one seed tells nothing
    assert "Gradient noise scale before training" in printed and "memory of training" in printed
    assert len(made(tmp_path)) == 7
    before = made(tmp_path)
    assert text in run(
        monkeypatch, capsys, "batch_size", *sizes, "--seeds", 1, "--output", tmp_path
    )
    assert made(tmp_path) == before


@pytest.mark.slow
def test_cost(world, monkeypatch, capsys, tmp_path):
    encoders = ["--encoders", "16x2", "16x2-en", "--pretraining-steps", 2]
    arguments = [
        *encoders,
        "--targets",
        "udpos",
        "tatoeba",
        "--steps",
        2,
        2,
        "--seeds",
        2,
        "--output",
        tmp_path,
    ]
    printed = run(monkeypatch, capsys, "cost", *arguments)
    text = check_page(tmp_path, "pareto.png")
    assert "| 16x2-en |" in text and "| encoder | en | ar | de | es | ru | zh |" in text
    assert "In English, beside 16x2:" in printed and "In other languages, beside 16x2:" in printed
    before = made(tmp_path)
    run(monkeypatch, capsys, "cost", *arguments)
    assert made(tmp_path) == before


# --- their arguments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_studies_use_public_names_and_explain_themselves(name, monkeypatch, capsys):
    assert not re.search(r"^\s*(from|import) jiantx\.", (STUDIES / f"{name}.py").read_text(), re.M)
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, capsys, name, "--help")
    printed = capsys.readouterr().out
    assert (
        stopped.value.code == 0
        and "--data-root hub" in printed
        and f"default: runs/{name})" in printed
    )
    assert "None" not in printed and "[]" not in printed


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_there_is_said_at_once(monkeypatch, capsys, tmp_path, name):
    named = "--encoders" if name in ("model_size", "single_vs_multi_task", "cost") else "--encoder"
    with pytest.raises(SystemExit) as stopped:
        run(
            monkeypatch,
            capsys,
            name,
            "--data-root",
            tmp_path,
            named,
            "nowhere",
            "--output",
            tmp_path / "out",
        )
    assert "lacks rows of" in str(stopped.value) and str(tmp_path) in str(stopped.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("batch_size", ["--batch-sizes", 8, 20], "each must divide the next"),
        ("cost", ["--steps", 2], "--steps takes two numbers"),
        ("cost", ["--stepz", 2], "unrecognized arguments: --stepz"),
        ("model_size", ["--targets", "xnil"], "Did you mean 'xnli'?"),
    ],
)
def test_wrong_arguments_are_a_sentence(monkeypatch, capsys, name, arguments, message):
    with pytest.raises(SystemExit):
        run(monkeypatch, capsys, name, *arguments)
    assert message in capsys.readouterr().err


def test_a_row_that_is_none_is_a_sentence(world, monkeypatch, capsys, tmp_path):
    with pytest.raises(SystemExit, match="Did you mean 'mnli'"):
        run(
            monkeypatch,
            capsys,
            "linguistic_distance",
            "--rows",
            "mnil",
            "--output",
            tmp_path / "out",
        )


# --- what they compute -----------------------------------------------------------------------------------------------


def test_distances_are_of_fifty_languages():
    source, header, *lines = (STUDIES / "distances.csv").read_text().splitlines()
    assert source.startswith("#") and "URIEL" in source
    rows = [line.split(",") for line in lines]
    assert header.split(",") == ["language", "syntactic", "phonological", "inventory", "genetic"]
    assert len(rows) == len({row[0] for row in rows}) == 49 and "en" not in {row[0] for row in rows}
    assert all(0 < float(number) <= 1 for row in rows for number in row[1:])


def test_correlations_hold_what_is_known():
    from scipy.stats import pearsonr, spearmanr

    rng = np.random.default_rng(1)
    x = rng.random(40)
    y = 2 * x + rng.normal(scale=0.4, size=40)
    (r, low, high), (rho, *_) = linguistic_distance.correlations(x, y)
    assert r == pytest.approx(pearsonr(x, y)[0]) and rho == pytest.approx(spearmanr(x, y)[0])
    theirs = pearsonr(x, y).confidence_interval()
    assert low == pytest.approx(theirs.low, abs=0.07) and high == pytest.approx(
        theirs.high, abs=0.07
    )
    assert linguistic_distance.correlations(x, y) == linguistic_distance.correlations(x, y)
    assert np.isnan(
        linguistic_distance.correlations(x, np.ones(40))
    ).all()  # what does not vary is related to nothing


def test_examples_to_a_score():
    curve = [(100, 40.0), (200, 50.0), (300, 45.0)]
    assert batch_size.examples_to(45.0, curve) == 150 and batch_size.examples_to(40.0, curve) == 100
    assert batch_size.examples_to(60.0, curve) == batch_size.examples_to(60.0, []) == math.inf
    assert batch_size.needed(45.0, [curve, curve]) == "150"
    assert batch_size.needed(45.0, [curve, curve[:1]]) == "150 (1 of 2 runs)"


def test_noise_scale_of_known_gradients():
    """The gradient of mean(w x) is mean(x): the noise scale is var(x) d / |mean|^2."""
    generator = torch.Generator().manual_seed(0)
    model, size = torch.nn.Linear(200, 1, bias=False), 4
    data = [{"x": 0.5 + 2.0 * torch.randn(size, 200, generator=generator)} for _ in range(512)]
    trainer = SimpleNamespace(
        model=model,
        args=SimpleNamespace(device=torch.device("cpu")),
        get_train_dataloader=lambda: data,
        compute_loss=lambda model, batch: model(batch["x"]).mean(),
    )
    assert noise_scale(trainer, size, groups=64) == pytest.approx(2.0**2 / 0.5**2, rel=0.1)


def test_bytes_of_a_known_step():
    """Weights, gradients, two moments of 10 x 10 numbers; for the way back the input and the tanh's output."""
    model = torch.nn.Sequential(torch.nn.Linear(10, 10, bias=False), torch.nn.Tanh())
    batch = {"input": torch.ones(7, 10)}
    assert training_bytes(model, batch) == 4 * (4 * 100 + 2 * 70)


def test_nothing_beats_the_front():
    own = {"small": (1.0, 50.0), "good": (2.0, 60.0), "dear": (3.0, 60.0), "poor": (2.0, 40.0)}
    found = {
        name: SimpleNamespace(price=lambda group, price=price: price, scores={"English": [score]})
        for name, (price, score) in own.items()
    }
    assert cost.front(found, "English") == ["small", "good"]


def test_a_known_line_is_found_with_its_interval():
    sizes = [10**3, 10**4, 10**5, 10**6]
    line = model_size.fit(sizes, [1.0, 2.5, 2.5, 4.0])
    # by hand: slope 0.9; residuals -0.15, 0.45, -0.45, 0.15; s² = 0.45 / 2; Sxx = 5; t(2, 97.5 %) = 4.3027
    assert line["slope"] == pytest.approx(0.9)
    assert line["half"] == pytest.approx(4.3027 * (0.225 / 5) ** 0.5, rel=1e-4)
    # the band is narrowest in the middle, where it is t s / √4
    _, y = line["band"]
    widths = [upper - lower for upper, lower in zip(y[:50], y[51:], strict=True)]
    assert min(widths) == pytest.approx(2 * 4.3027 * 0.225**0.5 / 2, rel=1e-3)
    assert max(widths) == widths[0] == pytest.approx(widths[-1])
    assert model_size.fit(sizes[:2], [1.0, 2.0]) == {}


def test_the_best_single_task_is_chosen_by_other_seeds():
    joint, singles = [10.0, 10.0, 10.0], [[9.0, 1.0, 1.0], [5.0, 5.0, 5.0]]
    # by seeds 2 and 3 the second is best; by 1 and 3 they are equal, and so by 1 and 2: the first named
    assert single_vs_multi_task.less_best(joint, singles) == [5.0, 9.0, 9.0]
    assert single_vs_multi_task.less_best([10.0], [[9.0], [5.0]]) == [1.0]


# --- what they say of known numbers ----------------------------------------------------------------------------------


def test_what_is_told_from_zero():
    found = {
        "up": (1.0, 0.5),
        "unsure": (1.0, 1.5),
        "down": (-2.0, 1.0),
        "one seed": (3.0, math.nan),
    }
    assert study.told(found) == (["up (+1.0 ± 0.5)"], ["down (-2.0 ± 1.0)"], ["unsure", "one seed"])
    assert "above zero for 1 of 4 (up (+1.0 ± 0.5)) and below it for 1 (down" in study.counted(
        found, 3
    )
    assert "of the other 2 neither can be said" in study.counted(found, 3)


def test_model_size_calls_nothing_a_gain_that_may_be_none():
    options = SimpleNamespace(
        intermediate="mnli", targets=["xnli", "tatoeba"], split="validation", seeds=3
    )
    differences = {"small": (1.0, 1.5), "middle": (-0.5, 2.0), "large": (2.0, 2.1)}
    text = model_size.said(differences, {"slope": 0.5, "half": 0.6}, "", options)
    assert (
        "above zero for 0 of 3 (none) and below it for 0 (none)" in text
        and "of the other 3" in text
    )
    assert "+0.5 ± 0.6" in text and "no trend is shown" in text
    assert "xnli trains on the same rows again" in text and "tatoeba trains" not in text
    assert " gain" not in text.replace(" again", "")

    differences = {"small": (-1.0, 0.5), "middle": (0.5, 2.0), "large": (2.0, 0.1)}
    text = model_size.said(differences, {"slope": 0.7, "half": 0.6}, "Trainings failed. ", options)
    assert "1 of 3 (large (+2.0 ± 0.1)) and below it for 1 (small (-1.0 ± 0.5))" in text
    assert ": a trend." in text and "Trainings failed." in text


def test_single_vs_multi_says_what_intervals_allow():
    own = {"small": [1.0, 1.1, 0.9], "large": [-2.0, 0.0, 2.0]}
    text = single_vs_multi_task.said({"joint − best single": own}, "", 3)
    assert "above zero for 1 of 2 (small (+1.0 ± 0.2)) and below it for 0 (none)" in text
    assert "From small to large it changes by -1.0 ± 5.1: the interval holds zero" in text


@pytest.mark.parametrize(
    ("gain", "word"), [(3.0, "(a gain)"), (-3.0, "(a loss)"), (0.1, "(not told from zero)")]
)
def test_a_gain_is_not_claimed_where_the_interval_holds_zero(gain, word):
    noise, none = np.array([[-0.5], [0.0], [0.5]]), np.array([[50.0, 40.0, 30.0]] * 3)
    related = {("gain, mnli", "order"): [(0.1, -0.5, 0.6)] * 2}
    scores = {"none": none, "mnli": none + gain + noise}
    text = linguistic_distance.said(scores, ["de", "es", "zh"], related, "order")
    assert (
        f"changes the mean score by {gain:+.1f} ± 1.2 {word}" in text
        and "no relation is shown" in text
    )
