"""Three studies run, on a world small enough for a test: linguistic distance, batch size, cost."""

import math
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

STUDIES = Path(__file__).parents[1] / "examples" / "studies"
NAMES = ("linguistic_distance", "batch_size", "cost")


def run(monkeypatch, capsys, name, *arguments):
    """Run a study; what its page says."""
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
    runpy.run_path(str(STUDIES / f"{name}.py"), run_name="__main__")
    return capsys.readouterr().out


def functions(name):
    return SimpleNamespace(**runpy.run_path(str(STUDIES / f"{name}.py"), run_name="study"))


def check_page(folder, *pictures):
    assert all((folder / picture).stat().st_size > 0 for picture in pictures)
    assert (folder / "report.html").read_text().count("data:image/png") == len(pictures)
    text = (folder / "report.md").read_text()
    assert not re.search(r"\b(nan|inf)\b", text)
    return text


def made(folder):
    return {path: path.read_bytes() for path in folder.glob("stages/*/stage.json")}


@pytest.mark.slow
def test_linguistic_distance(world, monkeypatch, capsys, tmp_path):
    arguments = ["--steps", 2, 2, "--seeds", 2, "--targets", "udpos", "tatoeba", "--rows", "mnli", "--output", tmp_path]
    printed = run(monkeypatch, capsys, "linguistic_distance", *arguments)
    text = check_page(tmp_path, "gain.png")
    assert "| language | overall | lexicon | order | script |" in text and "| zh | 0.8" in text
    assert "| gain, mnli | overall |" in text and "| gain, mnli | script |" not in text  # a yes or no is no scale
    assert "`mnli` changes the mean score by" in printed and "hints and no results" in printed
    before = made(tmp_path)
    assert len(before) == 2 * (1 + 2 * 2)  # seeds x (intermediate, rows x targets)
    assert run(monkeypatch, capsys, "linguistic_distance", *arguments).endswith(text + "\n")
    assert made(tmp_path) == before


@pytest.mark.slow
def test_batch_size(world, monkeypatch, capsys, tmp_path):
    sizes = ["--batch-sizes", 2, 8, "--base", 4, "--examples", 64, "--task", "mnli"]
    printed = run(monkeypatch, capsys, "batch_size", *sizes, "--seeds", 1, "--output", tmp_path)
    text = check_page(tmp_path, "equal_epochs.png", "equal_steps.png")
    assert "## 64 examples, or 8 steps" in text and "| 8 | linear |" in text
    assert "At equal epochs, told from a batch of 4: no other setting." in printed  # one seed tells nothing
    assert "Gradient noise scale before training" in printed and "memory of training" in printed
    assert len(made(tmp_path)) == 7  # at the base all rules are one
    before = made(tmp_path)
    assert run(monkeypatch, capsys, "batch_size", *sizes, "--seeds", 1, "--output", tmp_path).endswith(text + "\n")
    assert made(tmp_path) == before


@pytest.mark.slow
def test_cost(world, monkeypatch, capsys, tmp_path):
    encoders = ["--encoders", "16x2", "16x2-en", "--pretraining-steps", 2]
    arguments = [*encoders, "--targets", "udpos", "tatoeba", "--steps", 2, "--seeds", 2, "--output", tmp_path]
    printed = run(monkeypatch, capsys, "cost", *arguments)
    text = check_page(tmp_path, "pareto.png")
    assert "| 16x2-en |" in text and "| encoder | en | ar | de | es | ru | zh |" in text
    assert "In English, beside 16x2:" in printed and "In other languages, beside 16x2:" in printed
    before = made(tmp_path)
    run(monkeypatch, capsys, "cost", *arguments)
    assert made(tmp_path) == before


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

    study, rng = functions("linguistic_distance"), np.random.default_rng(1)
    x = rng.random(40)
    y = 2 * x + rng.normal(scale=0.4, size=40)
    (r, low, high), (rho, *_) = study.correlations(x, y)
    assert r == pytest.approx(pearsonr(x, y)[0]) and rho == pytest.approx(spearmanr(x, y)[0])
    theirs = pearsonr(x, y).confidence_interval()
    assert low == pytest.approx(theirs.low, abs=0.07) and high == pytest.approx(theirs.high, abs=0.07)
    assert study.correlations(x, y) == study.correlations(x, y)
    assert np.isnan(study.correlations(x, np.ones(40))).all()  # what does not vary is related to nothing


@pytest.mark.parametrize(("gain", "word"), [(3.0, "(a gain)"), (-3.0, "(a loss)"), (0.1, "(not told from zero)")])
def test_a_gain_is_not_claimed_where_the_interval_holds_zero(gain, word):
    study, noise = functions("linguistic_distance"), np.array([[-0.5], [0.0], [0.5]])
    none = np.array([[50.0, 40.0, 30.0]] * 3)
    related = {("gain, mnli", "order"): [(0.1, -0.5, 0.6)] * 2}
    text = study.said({"none": none, "mnli": none + gain + noise}, ["de", "es", "zh"], related, "order")
    assert word in text and "no relation is shown" in text


def test_examples_to_a_score():
    study, curve = functions("batch_size"), [(100, 40.0), (200, 50.0), (300, 45.0)]
    assert study.examples_to(45.0, curve) == 150 and study.examples_to(40.0, curve) == 100
    assert study.examples_to(60.0, curve) == study.examples_to(60.0, []) == math.inf


def test_noise_scale_of_known_gradients():
    """The gradient of mean(w x) is mean(x): the noise scale is var(x) d / |mean|^2."""
    study, generator = functions("batch_size"), torch.Generator().manual_seed(0)
    model, size = torch.nn.Linear(200, 1, bias=False), 4
    data = [{"x": 0.5 + 2.0 * torch.randn(size, 200, generator=generator)} for _ in range(512)]
    trainer = SimpleNamespace(
        model=model,
        args=SimpleNamespace(device=torch.device("cpu")),
        get_train_dataloader=lambda: data,
        compute_loss=lambda model, batch: model(batch["x"]).mean(),
    )
    assert study.noise_scale(trainer, size, groups=64) == pytest.approx(2.0**2 / 0.5**2, rel=0.1)


def test_nothing_beats_the_front():
    study = functions("cost")
    own = {"small": (1.0, 50.0), "good": (2.0, 60.0), "dear": (3.0, 60.0), "poor": (2.0, 40.0)}
    found = {
        name: SimpleNamespace(price=lambda group, price=price: price, scores={"English": [score]})
        for name, (price, score) in own.items()
    }
    assert study.front(found, "English") == ["small", "good"]


@pytest.mark.parametrize("name", NAMES)
def test_studies_use_public_names_and_explain_themselves(name, monkeypatch, capsys):
    assert not re.search(r"^\s*(from|import) jiantx\.", (STUDIES / f"{name}.py").read_text(), re.M)
    with pytest.raises(SystemExit):
        run(monkeypatch, capsys, name, "--help")
    assert "--data-root hub" in capsys.readouterr().out


def test_batch_sizes_that_do_not_nest_are_refused(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, capsys, "batch_size", "--batch-sizes", 8, 20)
    assert "each must divide the next" in capsys.readouterr().err
