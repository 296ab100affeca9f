"""The studies run on a world small enough for a test, and claim no more than they measured."""

import json
import math
import re
import runpy
import sys
import weakref
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import batch_options
import distances
import estimators
import findings
import linguistic_distance_summary
import numpy as np
import pytest
import retrieval_summary
import size_summary
import torch
from batch_options import Setting
from batch_size_tables import add_budget, mean_examples_to
from estimators import Correlation
from measure import noise_scale, training_bytes

import jiantx as jx

STUDIES = Path(__file__).parents[1] / "examples" / "studies"
NAMES = (
    "model_size",
    "single_vs_multi_task",
    "linguistic_distance",
    "batch_size",
    "cost",
    "retrieval_layers",
)
ONE_ENCODER = ("linguistic_distance", "batch_size", "retrieval_layers")
TWO_SEEDS = ("--targets", "udpos", "tatoeba", "--seeds", 2)
BRIEFLY = ("--pretraining-steps", 2, "--steps", 2, 2, "--batch-size", 4, *TWO_SEEDS)


def run(monkeypatch, capsys, name, *arguments):
    """Run a study as a program, and return what it prints."""
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
    runpy.run_path(str(STUDIES / f"{name}.py"), run_name="__main__")
    return capsys.readouterr().out


def read_page(folder, *pictures):
    """Check a study's page and pictures, and return the page's Markdown."""
    for picture in pictures:
        assert (folder / picture).read_bytes().startswith(b"\x89PNG")
    assert (folder / "report.html").read_text().count("data:image/png") == len(pictures)
    text = (folder / "report.md").read_text()
    assert not re.search(r"\b(nan|inf)\b", text)
    return text


def read_stages(folder):
    return {path: path.read_bytes() for path in folder.glob("stages/*/stage.json")}


# --- they run, and a second run trains nothing ----------------------------------------------------


@pytest.mark.slow
def test_model_size(world, monkeypatch, tmp_path, capsys):
    encoders = ("16x2", "24x2", "32x2")
    arguments = (*BRIEFLY, "--output", tmp_path, "--encoders", *encoders)
    printed = run(monkeypatch, capsys, "model_size", *arguments)
    text = read_page(tmp_path, "model_size.png")
    assert text in printed
    assert "report.html, report.md, model_size.png, report.json" in printed
    records = json.loads((tmp_path / "report.json").read_text())
    assert {record["encoder"] for record in records} == set(encoders)
    assert {record["intermediate"] for record in records} == {"none", "mnli"}
    runs = {(record["encoder"], record["intermediate"], record["seed"]) for record in records}
    assert len(runs) == 3 * 2 * 2  # every encoder after every row with every seed
    assert text.count("| 16x2 | 6,") == 1  # 12 h² + 13 h a layer, and the embeddings' LayerNorm
    assert "Ten times the parameters" in text
    assert "mnli (encoder=32x2)" in text

    before = read_stages(tmp_path)
    assert text in run(monkeypatch, capsys, "model_size", *arguments)
    assert read_stages(tmp_path) == before
    assert len(before) == 3 * 2 * (1 + 2 * 2)  # encoders x seeds x (intermediate, rows x targets)


@pytest.mark.slow
def test_single_vs_multi_task(world, monkeypatch, tmp_path, capsys):
    arguments = (*BRIEFLY, "--output", tmp_path, "--encoders", "16x2", "24x2")
    single = ("--single", "mnli", "ccg")
    printed = run(monkeypatch, capsys, "single_vs_multi_task", *arguments, *single)
    text = read_page(tmp_path, "single_vs_multi_task.png")
    assert text in printed
    records = json.loads((tmp_path / "report.json").read_text())
    assert {record["intermediate"] for record in records} == {"none", "mnli", "ccg", "mnli+ccg"}
    scores = "| encoder | parameters | none | mnli | ccg | joint |"
    assert f"{scores} joint − best single | joint − mean of singles |" in text
    assert "From 16x2 to 24x2" in text


@pytest.mark.slow
def test_linguistic_distance(world, monkeypatch, capsys, tmp_path):
    arguments = ("--steps", 2, 2, *TWO_SEEDS, "--rows", "mnli", "--output", tmp_path)
    printed = run(monkeypatch, capsys, "linguistic_distance", *arguments)
    text = read_page(tmp_path, "gain.png")
    assert "| language | overall | lexicon | order | script |" in text
    assert "| zh | 0.8" in text
    assert "| gain, mnli | overall |" in text
    assert "| gain, mnli | script |" not in text, "a yes or no is no scale"
    assert "`mnli` changes the mean score by" in printed
    assert "hints and no results" in printed

    before = read_stages(tmp_path)
    assert len(before) == 2 * (1 + 2 * 2)  # seeds x (intermediate, rows x targets)
    assert text in run(monkeypatch, capsys, "linguistic_distance", *arguments)
    assert read_stages(tmp_path) == before


def table_report(path, rows, **more):
    """Write a table's report.json: udpos and tatoeba in six languages, two seeds."""
    scores = []
    for index, row in enumerate(rows):
        for seed, task, language in product(
            (1, 2), ("udpos", "tatoeba"), ("en", "de", "es", "ru", "ar", "zh")
        ):
            value = 50.0 + 3 * index + seed + noise(row, language)
            tags = {"intermediate": row, "seed": seed, "encoder": "e", "version": "1"}
            scores.append(jx.Score(task, "validation", language, "main_score", value, 9, tags))
    jx.Report(scores).to_json(path)
    return path


def noise(row, language):
    """A number from 0 to 1 that tells rows and languages apart."""
    return sum(map(ord, row + language)) % 97 / 97


@pytest.mark.slow
def test_studies_of_a_table_train_nothing(world, monkeypatch, capsys, tmp_path):
    path = table_report(tmp_path / "table.json", ["none", "mnli", "ccg", "mnli+ccg"])
    common = ("--report", path, "--seeds", 2)
    output = tmp_path / "distance"
    printed = run(monkeypatch, capsys, "linguistic_distance", *common, "--output", output)
    assert "`mnli` changes the mean score by" in printed
    assert not list(output.glob("stages/*"))
    output = tmp_path / "tasks"
    single = ("--single", "mnli", "ccg", "--encoders", jx.default_encoder())
    printed = run(monkeypatch, capsys, "single_vs_multi_task", *common, *single, "--output", output)
    assert "| none | mnli | ccg | joint |" in printed
    assert not list(output.glob("stages/*"))
    with pytest.raises(SystemExit, match="has no scores of qqp"):
        run(monkeypatch, capsys, "linguistic_distance", *common, "--rows", "qqp")


def test_failed_runs_of_a_table_are_said_and_its_seeds_counted(
    monkeypatch, capsys, tmp_path, world
):
    path = table_report(tmp_path / "table.json", ["none", "mnli"])
    checks = [("development", 1.0), ("chance", 33.0)]
    tags: dict[str, str | int] = {"intermediate": "none", "seed": 2, "encoder": "e", "version": "1"}
    failed = [
        jx.Score("udpos", "validation", "en", metric, value, 100, tags) for metric, value in checks
    ]
    (jx.Report.from_json(path) + jx.Report(failed)).to_json(path)
    output = ("--output", tmp_path / "out")
    printed = run(monkeypatch, capsys, "linguistic_distance", "--report", path, *output)
    assert "Failed: none, seed 2: udpos at chance" in printed
    for name, flags in (("single_vs_multi_task", ()), ("cost", ()), ("model_size", ())):
        with pytest.raises(SystemExit, match="--report"):
            run(monkeypatch, capsys, name, "--report", path, *output, *flags)


LANGUAGES = ("en", "de", "fr", "ru", "th")


def test_languages_that_not_every_target_has_are_left_out():
    tags: dict[str, str | int] = {"intermediate": "none", "seed": 1}
    scores = [
        jx.Score(task, "validation", language, "main_score", 50.0, 9, tags)
        for task, languages in (("xnli", ("en", "de", "fr", "ru")), ("panx", LANGUAGES))
        for language in languages
    ]
    common, lines = linguistic_distance_summary.common_languages(
        jx.Report(scores), ["xnli", "panx"]
    )
    assert common == {"de", "fr", "ru"}
    assert lines == ["- Left out, since not every target has them: th."]
    few = jx.Report(scores).where(language=["en", "de"])
    with pytest.raises(SystemExit, match="needs three or more"):
        linguistic_distance_summary.common_languages(few, ["xnli", "panx"])


def test_a_setting_with_a_diverged_run_claims_nothing(tmp_path):
    settings = [Setting(32, "fixed"), Setting(128, "linear")]
    curves = {settings[0]: [[(64, 60.0)], [(64, 61.0)], [(64, 62.0)]]}
    curves[settings[1]] = [[(64, 70.0)], [(64, 71.0)], []]
    table: dict[Any, list[str]] = {setting: [] for setting in settings}
    sizes = {32: 64, 128: 64}
    picture = tmp_path / "a.png"
    sentence = add_budget(table, "equal epochs", curves, sizes, 32, picture, "score")
    assert "(2 of 3 runs)" in table[settings[1]][0]
    assert "no other setting" in sentence


def test_encoders_of_one_name_are_refused(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, capsys, "model_size", "--encoders", "a/encoder", "b/encoder")
    assert "several are named encoder in the tables" in capsys.readouterr().err


@pytest.mark.slow
def test_batch_size(world, monkeypatch, capsys, tmp_path):
    sizes = ("--batch-sizes", 2, 8, "--base", 4, "--examples", 64)
    arguments = (*sizes, "--task", "mnli", "--seeds", 1, "--output", tmp_path)
    printed = run(monkeypatch, capsys, "batch_size", *arguments)
    text = read_page(tmp_path, "equal_epochs.png", "equal_steps.png")
    assert "## 64 examples, or 8 steps" in text
    assert "| 8 | linear |" in text
    # All rules are one at the base: it is once in the table of scores, once in that of costs.
    assert text.count("\n| 4 | ") == 2
    assert "At equal epochs, told from a batch of 4: no other setting." in printed, "of one seed"
    assert "Gradient noise scale before training" in printed
    assert "memory of training" in printed

    before = read_stages(tmp_path)
    assert len(before) == 7  # three sizes x three rules, but one rule at the base
    assert text in run(monkeypatch, capsys, "batch_size", *arguments)
    assert read_stages(tmp_path) == before


@pytest.mark.slow
def test_cost(world, monkeypatch, capsys, tmp_path):
    encoders = ("--encoders", "16x2", "16x2-en", "--pretraining-steps", 2)
    arguments = (*encoders, *TWO_SEEDS, "--steps", 2, 2, "--output", tmp_path)
    printed = run(monkeypatch, capsys, "cost", *arguments)
    text = read_page(tmp_path, "pareto.png")
    assert "| 16x2-en |" in text
    assert "| encoder | en | ar | de | es | ru | zh |" in text
    assert "In English, beside 16x2:" in printed
    assert "In other languages, beside 16x2:" in printed

    before = read_stages(tmp_path)
    run(monkeypatch, capsys, "cost", *arguments)
    assert read_stages(tmp_path) == before


@pytest.mark.slow
def test_retrieval_layers(world, monkeypatch, capsys, tmp_path):
    layers = ("--layers", 1, 4, "--languages", "de", "zh", "--pairs", 8)
    arguments = (*layers, "--steps", 2, 2, "--batch-size", 4, "--seeds", 2, "--output", tmp_path)
    printed = run(monkeypatch, capsys, "retrieval_layers", *arguments)
    text = read_page(tmp_path, "retrieval_layers.png")
    assert text in printed
    assert "| row | layer 1 | layer 4 |" in text
    assert "After mnli, retrieval" in text
    assert "Best layers: none" in text
    records = json.loads((tmp_path / "report.json").read_text())
    assert {record["task"] for record in records} == {"tatoeba_1", "tatoeba_4"}
    assert {record["examples"] for record in records} == {8}
    none = {(r["task"], r["language"], r["value"]) for r in records if r["intermediate"] == "none"}
    assert len(none) == 2 * 2, "without training, seeds do not differ"

    before = read_stages(tmp_path)
    run(monkeypatch, capsys, "retrieval_layers", *arguments)
    assert read_stages(tmp_path) == before


def test_retrieval_summary_tells_rises_from_falls():
    none = {3: [40.0, 40.0, 40.0], 6: [60.0, 60.0, 60.0], 9: [50.0, 50.0, 50.0]}
    mnli = {3: [45.0, 45.1, 44.9], 6: [58.0, 58.1, 57.9], 9: [49.0, 52.0, 50.0]}
    assert retrieval_summary.summarize({"none": none, "mnli": mnli}) == (
        "After mnli, retrieval rises in layer 3 (+5.0 ± 0.2); it falls in layer 6 (-2.0 ± 0.2); it "
        "is not shown to change in layer 9. Best layers: none 6 (60.0), mnli 6 (58.0)."
    )


# --- their arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.py")), ids=lambda path: path.stem)
def test_studies_use_public_names(path):
    assert not re.search(r"^\s*(from|import) jiantx\.", path.read_text(), re.M)


@pytest.mark.parametrize("name", NAMES)
def test_studies_are_short(name):
    assert len((STUDIES / f"{name}.py").read_text().splitlines()) <= 120


@pytest.mark.parametrize("name", NAMES)
def test_studies_explain_themselves(name, monkeypatch, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, capsys, name, "--help")
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert f"python examples/studies/{name}.py" in printed
    assert "--data-root hub" in printed
    assert f"default: runs/{name})" in printed
    assert "None" not in printed
    assert "[]" not in printed


@pytest.mark.parametrize("name", NAMES)
def test_missing_rows_end_a_study_at_once(monkeypatch, capsys, tmp_path, name):
    flag = "--encoder" if name in ONE_ENCODER else "--encoders"
    arguments = ("--data-root", tmp_path, flag, "nowhere", "--output", tmp_path / "out")
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, capsys, name, *arguments)
    assert "lacks rows of" in str(stopped.value)
    assert str(tmp_path) in str(stopped.value)
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


@pytest.mark.slow
def test_an_unknown_row_is_a_sentence(world, monkeypatch, capsys, tmp_path):
    arguments = ("--rows", "mnil", "--output", tmp_path / "out")
    with pytest.raises(SystemExit, match="Did you mean 'mnli'"):
        run(monkeypatch, capsys, "linguistic_distance", *arguments)


def test_evaluations_are_at_whole_steps_of_every_batch_size():
    options = batch_options.BatchOptions(batch_sizes=[2, 24], base=6, examples=1000)
    assert options.batch_sizes == [2, 6, 24]
    for batch_size in options.batch_sizes:
        steps = options.examples // batch_size
        assert steps * batch_size == options.examples
        assert steps % options.evaluations == 0
        examples_between = options.examples // options.evaluations
        assert (options.fewest_steps * batch_size) % examples_between == 0


# --- what they compute ----------------------------------------------------------------------------


def test_distances_are_of_fifty_languages():
    source, header, *lines = (STUDIES / "distances.csv").read_text().splitlines()
    assert source.startswith("#")
    assert "URIEL" in source
    assert header.split(",") == [
        "language",
        "syntactic",
        "phonological",
        "inventory",
        "genetic",
        "geographic",
    ]
    rows = [line.split(",") for line in lines]
    languages = {row[0] for row in rows}
    assert len(rows) == len(languages) == 49
    assert "en" not in languages
    for row in rows:
        assert all(0 < float(value) <= 1 for value in row[1:])


@pytest.mark.slow
def test_tokenizer_distances_tell_a_neighbour_from_a_stranger(world):
    jx.data_root(jx.default_root())
    encoder = str(jx.default_encoder())
    kinds = distances.tokenizer_distances(encoder, ["de", "zh", "xx"])
    assert set(kinds) == {"de", "zh"}, "a language without text has no distance"
    assert 0 < kinds["de"]["lexical"] < kinds["zh"]["lexical"] <= 1
    assert all(by_kind["pieces a word"] >= 1 for by_kind in kinds.values())


def test_places_are_found_from_distances_to_fixed_points():
    names = ["GC_0_0", "GC_0_90", "GC_90_0", "GC_-45_-120"]
    london = np.array([0.62, 0.0, 0.785])
    london /= np.linalg.norm(london)
    points = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-0.353553, -0.612372, -0.707107]])
    shares = (np.arccos(points @ london) / np.pi).tolist()
    locations = distances._locations({"CODE": names, "en": shares})
    np.testing.assert_allclose(locations["en"], london, atol=1e-5)


def test_correlations_hold_what_is_known():
    from scipy.stats import pearsonr, spearmanr

    rng = np.random.default_rng(1)
    x = rng.random(40)
    y = 2 * x + rng.normal(scale=0.4, size=40)
    pearson, spearman = estimators.correlations(x, y)
    expected = pearsonr(x, y)
    assert pearson.value == pytest.approx(expected.statistic)
    assert spearman.value == pytest.approx(spearmanr(x, y).statistic)
    interval = expected.confidence_interval()
    assert pearson.low == pytest.approx(interval.low, abs=0.07)
    assert pearson.high == pytest.approx(interval.high, abs=0.07)
    assert estimators.correlations(x, y) == (pearson, spearman), "the bootstrap has a fixed seed"
    assert np.isnan(estimators.correlations(x, np.ones(40))).all(), (
        "constants correlate with nothing"
    )


def test_examples_to_a_score():
    curve = [(100, 40.0), (200, 50.0), (300, 45.0)]
    assert estimators.examples_to(45.0, curve) == 150
    assert estimators.examples_to(40.0, curve) == 100
    assert estimators.examples_to(60.0, curve) == math.inf
    assert estimators.examples_to(60.0, []) == math.inf
    assert mean_examples_to(45.0, [curve, curve]) == "150"
    assert mean_examples_to(45.0, [curve, curve[:1]]) == "150 (1 of 2 runs)"


def test_noise_scale_of_known_gradients():
    """The gradient of mean(w x) is mean(x): the noise scale is var(x) d / |mean|^2."""
    generator = torch.Generator().manual_seed(0)
    batch_size = 4
    batches = []
    for _ in range(512):
        batches.append({"x": 0.5 + 2.0 * torch.randn(batch_size, 200, generator=generator)})
    trainer: Any = SimpleNamespace(  # what `noise_scale` uses of a Trainer
        model=torch.nn.Linear(200, 1, bias=False),
        args=SimpleNamespace(device=torch.device("cpu")),
        get_train_dataloader=lambda: batches,
        compute_loss=lambda model, batch: model(batch["x"]).mean(),
        compute_loss_context_manager=nullcontext,
    )
    measured = noise_scale(trainer, batch_size, groups=64)
    assert measured == pytest.approx(2.0**2 / 0.5**2, rel=0.1)


def test_bytes_of_a_known_step():
    """Weights, gradients and two moments of 10 x 10; saved are the input and tanh's output."""
    model = torch.nn.Sequential(torch.nn.Linear(10, 10, bias=False), torch.nn.Tanh())
    batch = {"input": torch.ones(7, 10)}
    assert training_bytes(model, batch) == 4 * (4 * 100 + 2 * 70)


def test_nothing_beats_the_front():
    prices = {"small": 1.0, "good": 2.0, "dear": 3.0, "poor": 2.0}
    scores = {"small": 50.0, "good": 60.0, "dear": 60.0, "poor": 40.0}
    assert estimators.pareto_front(prices, scores) == ["small", "good"]


def test_a_known_line_is_fitted_with_its_interval():
    sizes = [10**3, 10**4, 10**5, 10**6]
    line = estimators.fit_line(sizes, [1.0, 2.5, 2.5, 4.0])
    # By hand: residuals -0.15, 0.45, -0.45, 0.15; s² = 0.45 / 2; Sxx = 5; t(2, 97.5 %) = 4.3027.
    assert line["slope"] == pytest.approx(0.9)
    assert line["half_width"] == pytest.approx(4.3027 * (0.225 / 5) ** 0.5, rel=1e-4)
    # The band is narrowest in the middle, where it is t s / √4.
    _, y = line["band"]
    widths = [upper - lower for upper, lower in zip(y[:50], y[51:], strict=True)]
    assert min(widths) == pytest.approx(2 * 4.3027 * 0.225**0.5 / 2, rel=1e-3)
    assert max(widths) == widths[0] == pytest.approx(widths[-1])
    assert estimators.fit_line(sizes[:2], [1.0, 2.0]) == {}


def test_the_best_single_task_is_chosen_by_other_seeds():
    joint = [10.0, 10.0, 10.0]
    singles = [[9.0, 1.0, 1.0], [5.0, 5.0, 5.0]]
    # By seeds 2 and 3 the second task is best. By 1 and 3, and by 1 and 2, both are equal, and the
    # first one counts.
    assert estimators.minus_best(joint, singles) == [5.0, 9.0, 9.0]
    assert estimators.minus_best([10.0], [[9.0], [5.0]]) == [1.0]


# --- what they say of known numbers ---------------------------------------------------------------


def test_differences_are_split_by_sign():
    intervals = {
        "up": (1.0, 0.5),
        "unsure": (1.0, 1.5),
        "down": (-2.0, 1.0),
        "one seed": (3.0, math.nan),
    }
    positive, negative, unclear = findings.split_by_sign(intervals)
    assert positive == ["up (+1.0 ± 0.5)"]
    assert negative == ["down (-2.0 ± 1.0)"]
    assert unclear == ["unsure", "one seed"]
    sentence = findings.significance_sentence(intervals, 3)
    assert "above zero for 1 of 4 rows (up +1.0 ± 0.5)" in sentence
    assert "below zero for 1 (down" in sentence
    assert "For the other 2, the interval includes zero." in sentence


MODEL_SIZE_OPTIONS = SimpleNamespace(
    intermediate="mnli", targets=["xnli", "tatoeba"], split="validation", seeds=3
)


def test_model_size_calls_nothing_a_gain_that_may_be_none():
    differences = {"small": (1.0, 1.5), "middle": (-0.5, 2.0), "large": (2.0, 2.1)}
    line = {"slope": 0.5, "half_width": 0.6}
    text = size_summary.summarize_model_size(differences, line, "", MODEL_SIZE_OPTIONS)
    assert "not significantly different from zero for any of 3 encoders" in text
    assert "all 95 % intervals over 3 seeds include zero" in text
    assert "+0.5 ± 0.6" in text
    assert "no trend is shown" in text
    assert "xnli trains on the same rows again" in text
    assert "tatoeba trains" not in text
    assert " gain" not in text.replace(" again", "")


def test_model_size_names_trends_and_failures():
    differences = {"small": (-1.0, 0.5), "middle": (0.5, 2.0), "large": (2.0, 0.1)}
    line = {"slope": 0.7, "half_width": 0.6}
    text = size_summary.summarize_model_size(
        differences, line, "Trainings failed. ", MODEL_SIZE_OPTIONS
    )
    assert "above zero for 1 of 3 encoders (large +2.0 ± 0.1)" in text
    assert "below zero for 1 (small -1.0 ± 0.5)" in text
    assert ": a trend." in text
    assert "Trainings failed." in text


def test_single_vs_multi_says_what_intervals_allow():
    differences = {"small": [1.0, 1.1, 0.9], "large": [-2.0, 0.0, 2.0]}
    text = size_summary.summarize_differences({"joint − best single": differences}, "", 3)
    assert "above zero for 1 of 2 encoders (small +1.0 ± 0.2)" in text
    assert "From small to large it changes by -1.0 ± 5.1: the interval holds zero" in text
    one = {"joint − best single": {"small": differences["small"]}}
    assert "From" not in size_summary.summarize_differences(one, "", 3), "one size is no trend"


@pytest.mark.parametrize(
    ("gain", "verdict"), [(3.0, "(a gain)"), (-3.0, "(a loss)"), (0.1, "(not told from zero)")]
)
def test_a_gain_is_not_claimed_where_the_interval_holds_zero(gain, verdict):
    noise = np.array([[-0.5], [0.0], [0.5]])
    none = np.array([[50.0, 40.0, 30.0]] * 3)
    scores = {"none": none, "mnli": none + gain + noise}
    unrelated = Correlation(0.1, -0.5, 0.6)
    related = {("gain, mnli", "order"): (unrelated, unrelated)}
    text = linguistic_distance_summary.summarize(scores, ["de", "es", "zh"], related, "order")
    assert f"changes the mean score by {gain:+.1f} ± 1.2 {verdict}" in text
    assert "no relation is shown" in text


def test_the_memory_of_a_training_step_is_free_afterwards() -> None:
    outputs: list[weakref.ref[torch.Tensor]] = []

    class Squash(torch.nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            output = super().forward(input).sigmoid()  # saved for its own backward pass
            outputs.append(weakref.ref(output))
            return output

    training_bytes(Squash(7, 10), {"input": torch.ones(3, 7)})
    assert outputs[0]() is None
