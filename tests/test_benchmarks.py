"""The benchmarks run, and what they compare sees the same tokens and has the same loss."""

from __future__ import annotations

import gc
import json
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmark_programs import benchmark_programs, missing

import jiantx as jx
from jiantx.batching import collate
from jiantx.features import load_features

KINDS = {"nli": "pair", "squad": "qa", "tagging": "tagging", "choice": "choice"}
TINY = "--batch 4 --layers 1 --hidden 64 --steps 2 --repeat 2 --threads 1".split()
pytestmark = [
    missing,
    pytest.mark.slow,  # it trains
    pytest.mark.filterwarnings("ignore"),  # transformers' own, which a user of it sees too
]


@pytest.fixture(autouse=True)
def _no_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc, "collect", lambda: 0)  # it would take most of the time, at these sizes


@pytest.fixture(scope="module")
def programs() -> Iterator[Any]:
    names = "attention breakdown dropout evaluate layers measuring mlm precision"
    names += " sparse_embeddings startup train"
    names += " training_data training_runs"
    with benchmark_programs(*names.split()) as modules:
        yield modules


@pytest.fixture
def tiny(
    programs: Any, monkeypatch: pytest.MonkeyPatch, tokenizer: Any, tiny_tasks: dict[str, jx.Task]
) -> Any:
    """The programs, with tiny tasks in place of their own."""
    rows = []
    for index in range(16):
        choices = ["sees", "eats a red house"]
        rows.append({"prompt": "the cat", "choices": choices, "label": index % 2})
    choice = tiny_tasks["choice"].replace(source=jx.Rows({"train": rows}))
    tasks = {**tiny_tasks, "choice": choice}

    def training_features(options: Any, kind: str) -> Any:
        return load_features(tasks[kind], "train", "en", tokenizer)

    monkeypatch.setattr(programs.training_data, "tokenizer_of", lambda options: tokenizer)
    monkeypatch.setattr(programs.training_data, "training_features", training_features)
    monkeypatch.setattr(programs.training_data, "SINGLE", KINDS)
    monkeypatch.setattr(programs.train, "MIXED", tuple(KINDS.values()))
    monkeypatch.setattr(programs.measuring, "matmul_rate", lambda dtype: 1e9)
    return programs


# --- Measuring ------------------------------------------------------------------------------------


def test_turns_go_forwards_and_backwards(programs: Any) -> None:
    calls: list[tuple[str, int]] = []

    def run(name: str) -> Any:
        def turn(steps: int) -> float:
            calls.append((name, steps))
            return float(steps)

        return turn

    runs = {"a": run("a"), "b": run("b")}
    results = programs.measuring.take_turns(runs, 8, repeat=2, warm_up=1)
    assert calls == [("a", 1), ("b", 1), ("a", 8), ("b", 8), ("b", 8), ("a", 8)]
    assert results == {"a": [8.0, 8.0], "b": [8.0, 8.0]}


def test_ratios_tables_and_results(programs: Any, tmp_path: Path) -> None:
    measuring = programs.measuring
    assert measuring.ratio([2.0, 6.0, 3.0], [1.0, 2.0, 3.0]) == (2.0, 1.0, 3.0)
    assert measuring.format_ratio((2.0, 1.0, 3.0)) == "2.00 (1.00 to 3.00)"
    options = Namespace(steps=1, results=tmp_path)
    path = measuring.write_results("some", options, [{"x": 1}])
    assert json.loads(path.read_text(encoding="utf-8"))["records"] == [{"x": 1}]
    assert measuring.table(("a", "b"), [(1, 2)]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
    assert measuring.matmul_rate(size=64) > 0


def test_a_process_returns_its_last_line(programs: Any, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys, jiantx\n"
        "print('first')\n"
        'print(\'{"argument": "%s", "mode": "%s"}\' % (sys.argv[1], os.environ[\'MODE\']))\n'
    )
    measure_apart = programs.measuring.measure_apart
    figures = measure_apart(str(program), ["x"], failure="It failed.", MODE="quick")
    assert figures == {"argument": "x", "mode": "quick"}
    program.write_text("raise SystemExit(3)")
    with pytest.raises(SystemExit, match="It failed"):
        measure_apart(str(program), [], failure="It failed.")


# --- Training -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS.values())
@pytest.mark.parametrize("fixed", [False, True])
def test_peers_see_the_same_tokens_and_compute_the_same_loss(
    tiny: Any, kind: str, fixed: bool, tokenizer: Any, tmp_path: Path
) -> None:
    options = tiny.train.parse(TINY)
    features = tiny.training_data.training_features(options, kind)
    task = features.task
    table = features.table.with_format("arrow")
    indices = range(len(table))
    flat = collate(task, table[indices], tokenizer)
    rows = tiny.training_data.plain_rows(features, indices)
    padded = tiny.training_data.collator(task, tokenizer, fixed=fixed)(rows)
    assert padded["input_ids"].shape[-1] == (task.max_length if fixed else flat["longest"])
    real_ids = padded["input_ids"][padded["attention_mask"].bool()]
    assert real_ids.tolist() == flat["input_ids"].tolist()

    config = tiny.training_runs.encoder_config(options)
    model = tiny.training_runs.our_model(config, [task], tokenizer).eval()
    assert model.padding_free
    plain = model.export(task, tmp_path)
    assert type(plain) is type(tiny.training_runs.their_model(config, task))
    if kind == "qa":
        # transformers' softmax runs over padding too, ours does not: without any they agree
        flat = collate(task, table[[0]], tokenizer)
        padded = tiny.training_data.collator(task, tokenizer)(rows[:1])
    with torch.no_grad():
        our_output = model(**flat)
        their_output = plain(**padded)
    our_loss = float(our_output.loss / our_output.num_items)
    assert our_loss == pytest.approx(float(their_output.loss), abs=1e-5)


def test_grouped_batches_hold_all_rows_and_less_padding(tiny: Any) -> None:
    features = tiny.training_data.training_features(None, "pair")
    rows = tiny.training_data.plain_rows(features, range(16))

    def padded_size(order: Any) -> int:
        size = 0
        for start in range(0, 16, 4):
            lengths = [len(row["input_ids"]) for row in order[start : start + 4]]
            size += 4 * max(lengths)
        return size

    grouped = tiny.training_data.group_by_length(rows, 4)
    assert sorted(map(str, grouped)) == sorted(map(str, rows))
    assert padded_size(grouped) < padded_size(rows)


@pytest.mark.parametrize("task", ["nli", "choice", "mixture", "overhead"])
def test_training_comparisons_run(tiny: Any, task: str) -> None:
    train = tiny.train
    options = train.parse([*TINY, "--steps", "2" if task != "overhead" else "1"])
    record = train.compare(options, task, 4)  # raises where real tokens differ
    for speeds in record["tokens_per_second"].values():
        assert all(speed > 0 for speed in speeds)
    assert record["padding"]["jiantx"] == 0
    if task == "overhead":
        assert "times the bare loop" in train.overhead_report(record)
    else:
        assert record["padding"][train.FIXED] > 0.5
        lines = train.speed_lines(record).splitlines()
        assert len(lines) == len(record["tokens_per_second"])


def test_the_overhead_is_measured_last(tiny: Any) -> None:
    options = tiny.train.parse(["--tasks", "overhead", "nli", "--batch", "4", "8"])
    assert list(tiny.train.comparisons(options)) == [("nli", 4), ("nli", 8), ("overhead", 4)]


def test_masked_lm(programs: Any) -> None:
    mlm = programs.mlm
    sizes = "--vocabulary 300 --hidden 64 --layers 1 --tokens 128 --length 32"
    options = mlm.parse([*sizes.split(), "--steps", "1", "--repeat", "1"])
    figures = {name: mlm.measure(options, name) for name in (mlm.OURS, mlm.THEIRS, mlm.FROZEN)}
    our_figures = figures[mlm.OURS]
    their_figures = figures[mlm.THEIRS]
    assert our_figures["masked"] == 19
    assert their_figures["masked"] == 19
    assert our_figures["loss"] == pytest.approx(their_figures["loss"], abs=0.3)
    assert figures[mlm.FROZEN]["state"] < our_figures["state"]
    runs = {}
    for name, measured in figures.items():
        runs[name] = [{**measured, "memory": 1e9}]  # these models are too small to be seen
    assert "in 1.00 of the memory (bar 0.33: MISSED)" in mlm.report(options, runs)


def test_attention_forms_agree(programs: Any) -> None:
    attention = programs.attention
    options = attention.parse("--tokens 24 --heads 2 --repeat 1 --threads 1".split())
    for dtype in (torch.float32, torch.bfloat16):
        record = attention.compare(options, 6, dtype)  # raises where a form does not agree
        assert tuple(record["seconds"]) == attention.NAMES
        assert record["sequences"] == 4
        assert attention.table_line(record).count("|") == 2 + 2 + len(attention.NAMES) - 1


def test_sparse_embeddings_are_compared_with_all(tiny: Any) -> None:
    program = tiny.sparse_embeddings
    options = program.parse(TINY)
    features = tiny.training_data.training_features(options, "pair")
    model = program.load_model(options, features)
    assert program.largest_difference(options, model, features) < 1e-6
    ways = {
        program.DENSE: program.Way(model, features, sparse=False),
        program.SPARSE: program.Way(model, features, sparse=True),
        program.TRIMMED: program.trimmed_way(model, features),
    }
    dense, sparse, trimmed = program.measure(options, ways)
    assert sparse["rows"] <= trimmed["rows"] < dense["rows"]
    assert dense["rows"] == len(model.get_input_embeddings().weight)
    assert sparse["bytes"] <= trimmed["bytes"] < dense["bytes"]
    assert trimmed["weights"] < sparse["weights"] == dense["weights"]
    assert len(program.line(trimmed)) == len(program.HEADER)


# --- Precision and dropout ------------------------------------------------------------------------


def test_scores_in_both_precisions_are_of_the_same_rows(
    programs: Any, encoder_folder: Any, tiny_tasks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(encoder_folder("bert"))
    monkeypatch.setattr(programs.precision.jx, "get_task", lambda name: tiny_tasks["tagging"])
    arguments = ["--encoder", folder, "--steps", "1", "--rows", "5", "--languages", "en"]
    options = programs.precision.parse(arguments)
    (record,) = programs.precision.compare(options, tiny_tasks["tagging"])
    assert (record["language"], record["rows"]) == ("en", 5)
    assert 0 <= record["changed"] <= 5
    assert (
        programs.precision.record_lines([record]).count("|") == len(programs.precision.HEADER) + 1
    )


def test_products_are_rounded_as_units_for_bfloat16_do(programs: Any) -> None:
    left, right = torch.randn(2, 8, 8).to(torch.bfloat16)
    with programs.precision.RoundedProducts():
        product = left @ right
    exact = left.double() @ right.double()
    assert product.dtype == torch.bfloat16
    assert torch.equal(product, exact.to(torch.float32).to(torch.bfloat16))


def test_both_dropouts_are_timed(programs: Any) -> None:
    options = programs.dropout.parse("--tokens 8 --hidden 4 --steps 1 --repeat 1".split())
    record = programs.dropout.compare(options, torch.bfloat16)
    assert record["dtype"] == "bfloat16"
    assert set(record) == {"dtype", programs.dropout.OURS, programs.dropout.THEIRS}


# --- A real encoder -------------------------------------------------------------------------------


PROGRAMS = ("train", "breakdown", "evaluate", "layers", "mlm", "startup")


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_encoder_stands_for_its_tokenizer_and_size(
    name: str, programs: Any, encoder_folder: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    program = getattr(programs, name)
    folder = str(encoder_folder("bert"))
    options = program.parse(["--encoder", folder])
    expected = {"tokenizer": folder, "layers": 2, "depth": 2, "hidden": 32}
    for option, value in expected.items():
        assert getattr(options, option, value) == value
    with pytest.raises(SystemExit):
        program.parse(["--encoder", folder, "--hidden", "64"])
    assert "--hidden contradicts --encoder" in capsys.readouterr().err
    assert program.parse([]).encoder is None


def test_models_have_the_weights_of_the_encoder(
    programs: Any, encoder_folder: Any, tokenizer: Any, tiny_tasks: Any
) -> None:
    folder = str(encoder_folder("bert"))
    options = programs.train.parse(["--encoder", folder, "--attention-dropout", "0.2"])
    config = programs.training_runs.encoder_config(options)
    for task in (tiny_tasks["pair"], tiny_tasks["tagging"]):
        model = programs.training_runs.our_model(config, [task], tokenizer)
        plain = programs.training_runs.their_model(config, task)
        weight = model.get_input_embeddings().weight
        assert torch.equal(weight, plain.get_input_embeddings().weight)
        assert plain.config.num_labels == len(task.label_names)
        assert plain.config.attention_probs_dropout_prob == 0.2
    small = programs.training_runs.encoder_config(options, hidden=64, layers=1)
    assert (small.hidden_size, small.name_or_path) == (64, "")


# --- Start-up -------------------------------------------------------------------------------------


@pytest.mark.parametrize("worker", ["ours", "theirs"])
def test_all_phases_of_a_start_are_measured(
    worker: str,
    programs: Any,
    monkeypatch: pytest.MonkeyPatch,
    encoder_folder: Any,
    tmp_path: Path,
) -> None:
    startup = programs.startup
    monkeypatch.setenv("BENCHMARK_STARTED", str(time.time()))
    rows = [{"text": "the cat", "text_pair": "a dog", "label": label} for label in startup.LABELS]
    lines = [json.dumps(row) for row in 2 * rows]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    (tmp_path / "encoder").symlink_to(encoder_folder())
    options = startup.parse(["--folder", str(tmp_path), "--batch", "4", "--threads", "1"])
    phases = startup.WORKERS[worker](options)
    assert tuple(phases) == startup.PHASES
    assert min(phases.values()) > 0


# --- Evaluation -----------------------------------------------------------------------------------


def test_evaluations_agree(
    tiny: Any, monkeypatch: pytest.MonkeyPatch, tiny_tasks: Any, tmp_path: Path
) -> None:
    evaluate = tiny.evaluate
    options = evaluate.parse("--layers 1 --hidden 64 --repeat 1 --threads 1 --batch 4".split())
    classification = tiny_tasks["classification"]
    rows = classification.source.splits["validation"]
    task = classification.replace(source=jx.Rows({"test": rows}))
    monkeypatch.setattr(evaluate, "task_in_memory", lambda *arguments: task)
    record = evaluate.compare(options, "xnli", str(tmp_path))  # raises where predictions differ
    assert record["languages"] == 3
    assert record["rows"] == 36
    assert evaluate.record_lines(record).count("\n") == len(record["seconds"]) - 1


def test_vectors_of_layers_agree(
    tiny: Any, monkeypatch: pytest.MonkeyPatch, encoder_folder: Any, tmp_path: Path
) -> None:
    layers = tiny.layers
    monkeypatch.setattr(layers, "DEPTH", 2)
    monkeypatch.setattr(layers, "LAYER", 1)
    options = layers.parse(["--repeat", "1", "--rows", "6", "--hidden", "64"])
    options.tokenizer = str(encoder_folder("xlm-r"))
    rows = [{"query": f"the cat {'eats ' * i}", "candidate": "a red house"} for i in range(6)]
    monkeypatch.setattr(layers, "sentence_pairs", lambda *arguments: rows)
    records = layers.measure(options, str(tmp_path))  # raises where vectors or scores differ
    assert len(records) == 3


def test_the_breakdown_adds_up(tiny: Any, tmp_path: Path) -> None:
    breakdown = tiny.breakdown
    options = breakdown.parse("--batch 4 --layers 1 --hidden 64 --steps 1 --threads 1".split())
    records = []
    for title, make_step in (
        ("training", breakdown.training),
        ("evaluation", breakdown.evaluation),
    ):
        changes = {"bf16": False} if title == "training" else {}
        step, steps = make_step(options, **changes)
        records.append({"what": title, **breakdown.measure(step, steps)})
    for record in records:
        assert sum(record["shares"].values()) == pytest.approx(1)
        assert record["shares"]["matrix products"] > 0
    training, evaluation = (record["shares"]["optimizer, clipping"] for record in records)
    assert training > 0
    assert evaluation == 0
    assert breakdown.kind_of("aten::native_layer_norm_backward") == "GELU, norms, sums"
    assert breakdown.kind_of("aten::random_") == "dropout", "what jiantx's own masks are drawn by"
    breakdown.draw(records, tmp_path / "some.png")
    assert (tmp_path / "some.png").stat().st_size > 1000
