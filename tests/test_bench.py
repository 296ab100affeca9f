"""The pieces of benchmarks/train.py and benchmarks/mlm.py run; what they compare sees the same
tokens and has the same loss.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import jiantx as jx
from jiantx.batching import collate
from jiantx.features import load_features

BENCH = Path(__file__).parents[1] / "benchmarks"
KINDS = {"nli": "pair", "squad": "qa", "tagging": "tagging", "choice": "choice"}
TINY = "--batch 4 --layers 1 --hidden 64 --steps 2 --repeat 2 --threads 1".split()
pytestmark = [
    pytest.mark.skipif(not (BENCH / "train.py").is_file(), reason="the benchmarks are not here"),
    pytest.mark.slow,  # alone: it trains
    pytest.mark.filterwarnings("ignore"),  # transformers' own, which a user of it sees too
]


@pytest.fixture(autouse=True)
def _no_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc, "collect", lambda: 0)  # it would take most of the time, at these sizes


def program(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"bench_{name}", BENCH / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCH))  # the programs import `harness`
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def harness() -> Any:
    return program("harness")


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch, tokenizer: Any, tiny_tasks: dict[str, jx.Task]) -> Any:
    """The program, with tiny tasks as its own."""
    rows = [
        {"prompt": "the cat", "choices": ["sees", "eats a red house"], "label": i % 2}
        for i in range(16)
    ]
    tasks = {**tiny_tasks, "choice": tiny_tasks["choice"].replace(source=jx.Rows({"train": rows}))}
    module = program("train")
    monkeypatch.setattr(module.data, "tokenizer", lambda: tokenizer)
    monkeypatch.setattr(
        module.data,
        "features_of",
        lambda kind: load_features(tasks[kind], "train", "en", tokenizer),
    )
    monkeypatch.setattr(module, "matmul_rate", lambda dtype: 1e9)
    monkeypatch.setattr(module.data, "SINGLE", KINDS)
    monkeypatch.setattr(module.data, "MIXED", tuple(KINDS.values()))
    return module


def test_turns_and_ratios(harness: Any, tmp_path: Path) -> None:
    calls: list[tuple[str, int]] = []
    runs = {
        name: lambda steps, name=name: calls.append((name, steps)) or float(steps) for name in "ab"
    }
    turns = harness.take_turns(runs, 8, repeat=2, warm_up=1)
    assert calls == [("a", 1), ("b", 1), ("a", 8), ("b", 8), ("b", 8), ("a", 8)]
    assert turns == {"a": [8.0, 8.0], "b": [8.0, 8.0]}
    assert harness.ratio([2.0, 6.0, 3.0], [1.0, 2.0, 3.0]) == (2.0, 1.0, 3.0)
    path = harness.write("some", {"steps": 1, "where": tmp_path}, [{"x": 1}], tmp_path)
    assert json.loads(path.read_text(encoding="utf-8"))["records"] == [{"x": 1}]
    assert harness.table(("a", "b"), [(1, 2)]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
    assert harness.matmul_rate(size=64) > 0


@pytest.mark.parametrize("kind", KINDS.values())
@pytest.mark.parametrize("fixed", [False, True])
def test_peers_see_the_same_tokens_and_compute_the_same_loss(
    train: Any, kind: str, fixed: bool, tokenizer: Any, tmp_path: Path
) -> None:
    features = train.data.features_of(kind)
    task, options = features.task, train.parse(TINY)
    numbers = range(len(features.table))
    flat = collate(task, features.table.with_format("arrow")[numbers], tokenizer)
    rows = train.data.plain_rows(features, numbers)
    padded = train.data.collator(task, fixed)(rows)
    assert padded["input_ids"].shape[-1] == (task.max_length if fixed else flat["longest"])
    assert (
        padded["input_ids"][padded["attention_mask"].bool()].tolist() == flat["input_ids"].tolist()
    )

    model = train.peers.jiantx_model(train.peers.encoder_config(options, 64, 1), [task]).eval()
    assert model.padding_free
    plain = model.export(task, tmp_path)
    assert type(plain) is type(
        train.peers.hf_model(train.peers.encoder_config(options, 64, 1), task)
    )
    if (
        kind == "qa"
    ):  # transformers' softmax runs over padding too, ours does not: without any they agree
        flat, padded = (
            collate(task, features.table.with_format("arrow")[[0]], tokenizer),
            train.data.collator(task)(rows[:1]),
        )
    with torch.no_grad():
        flat_output = model(**flat)
        padded_output = plain(**padded)
    loss = float(flat_output.loss / flat_output.num_items)
    assert loss == pytest.approx(float(padded_output.loss), abs=1e-5)


def test_grouped_batches_hold_all_rows_and_less_padding(train: Any) -> None:
    features = train.data.features_of("pair")
    rows = train.data.plain_rows(features, range(16))

    def token_slots(order: Any) -> int:
        batches = [order[start : start + 4] for start in range(0, 16, 4)]
        longest = [max(len(row["input_ids"]) for row in batch) for batch in batches]
        return 4 * sum(longest)

    grouped = train.data.grouped(rows, 4)
    assert sorted(map(str, grouped)) == sorted(map(str, rows))
    assert token_slots(grouped) < token_slots(rows)


@pytest.mark.parametrize("task", ["nli", "choice", "mixture", "overhead"])
def test_comparisons_run(train: Any, task: str) -> None:
    options = train.parse([*TINY, "--steps", "2" if task != "overhead" else "1"])
    record = train.compare(options, task, 4)  # raises where real tokens differ
    assert all(rate > 0 for rates in record["tokens_per_second"].values() for rate in rates)
    assert record["padding"]["jiantx"] == 0
    if task == "overhead":
        assert "times the bare loop" in train.overhead_said(record)
    else:
        assert record["padding"][train.peers.FIXED] > 0.5
        assert train.speeds_said(record).count("\n") == len(record["tokens_per_second"]) - 1


def test_masked_lm() -> None:
    mlm = program("mlm")
    options = mlm.parse(
        "--vocabulary 300 --hidden 64 --layers 1 --tokens 128 --length 32 --steps 1".split()
    )
    runs = {name: [mlm.measure(options, name)] for name in (mlm.OURS, mlm.THEIRS, mlm.FROZEN)}
    assert runs[mlm.OURS][0]["masked"] == runs[mlm.THEIRS][0]["masked"] == 19
    assert runs[mlm.OURS][0]["loss"] == pytest.approx(runs[mlm.THEIRS][0]["loss"], abs=0.3)
    assert runs[mlm.FROZEN][0]["state"] < runs[mlm.OURS][0]["state"]
    runs = {
        name: [{**turns[0], "memory": 1e9}] for name, turns in runs.items()
    }  # too small to be seen
    assert "in 1.00 of the memory (bar 0.33: MISSED)" in mlm.report(options, runs)


def test_attention_forms_agree() -> None:
    attention = program("attention")
    options = attention.parse("--tokens 24 --heads 2 --repeat 1 --threads 1".split())
    for dtype in (torch.float32, torch.bfloat16):
        record = attention.compare(options, 6, dtype)  # raises where a form does not agree
        assert next(iter(record["seconds"])) == attention.OURS and record["sequences"] == 4


def test_evaluations_agree(
    train: Any, monkeypatch: pytest.MonkeyPatch, tiny_tasks: Any, tmp_path: Path
) -> None:
    evaluate = program("evaluate")
    options = evaluate.parse("--layers 1 --hidden 64 --repeat 1 --threads 1 --batch 4".split())
    rows = tiny_tasks["classification"].source.splits["validation"]
    monkeypatch.setattr(
        evaluate,
        "task_of",
        lambda *_: tiny_tasks["classification"].replace(source=jx.Rows({"test": rows})),
    )
    record = evaluate.compare(options, "xnli", str(tmp_path))  # raises where predictions differ
    assert (record["languages"], record["rows"]) == (3, 36)
    assert evaluate.lines(record).count("\n") == 2


def test_breakdown_adds_up(train: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    breakdown = program("breakdown")
    options = breakdown.parse("--batch 4 --layers 1 --hidden 64 --steps 1 --threads 1".split())
    options.task = "nli"
    records = [
        {"what": "training", **breakdown.measured(*breakdown.training(options, bf16=False))},
        {"what": "evaluation", **breakdown.measured(*breakdown.evaluation(options))},
    ]
    for record in records:
        assert (
            sum(record["shares"].values()) == pytest.approx(1)
            and record["shares"]["matrix products"] > 0
        )
    assert (
        records[1]["shares"]["optimizer, clipping"]
        == 0
        < records[0]["shares"]["optimizer, clipping"]
    )
    assert breakdown.kind_of("aten::native_layer_norm_backward") == "GELU, norms, sums"
    breakdown.draw(
        records, [*breakdown.KINDS, breakdown.OTHER, breakdown.PYTHON], tmp_path / "some.png"
    )
    assert (tmp_path / "some.png").stat().st_size > 1000
