"""benchmarks/gpu.py runs without a GPU, and compares what it says it compares."""

from __future__ import annotations

import gc
import importlib.util
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import jiantx as jx

BENCH = Path(__file__).parents[1] / "benchmarks"
pytestmark = [
    pytest.mark.skipif(not (BENCH / "gpu.py").is_file(), reason="the benchmarks are not here"),
    pytest.mark.slow,  # alone: it trains
    pytest.mark.filterwarnings(
        "ignore"
    ),  # transformers' own and dynamo's, which a user of them sees too
]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The program, which imports benchmarks/train.py and benchmarks/harness.py and changes the
    first.
    """
    monkeypatch.setattr(
        gc, "collect", lambda *args: 0
    )  # it would take most of the time, at these sizes
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.syspath_prepend(str(BENCH))
    before = {
        name: sys.modules.pop(name, None)
        for name in ("gpu_runs", "training_data", "training_peers", "harness")
    }
    spec = importlib.util.spec_from_file_location("bench_gpu", BENCH / "gpu.py")
    assert spec and spec.loader
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules["bench_gpu"] = module
    spec.loader.exec_module(module)
    yield module
    for name, other in {**before, "bench_gpu": None}.items():
        sys.modules.pop(name, None)
        if other is not None:
            sys.modules[name] = other


def test_without_a_gpu_it_says_so(gpu: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main() == 1
    assert "--cpu" in capsys.readouterr().err


def test_it_runs(gpu: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    monkeypatch.setattr(gpu, "matmul_rate", lambda dtype, device: 1e12)
    monkeypatch.setattr(gpu.gpu_runs, "SKIP", 1)
    options = gpu.parse(["--cpu", "--results", str(tmp_path)])
    assert gpu.compare(options) == 0
    written = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["records"]
    trained = [record for record in written if record["what"] == "training"]
    assert [(record["mix"], record["long"]) for record in trained] == [
        ("MNLI", False),
        ("SQuAD", True),
    ]
    for record in trained:
        assert set(record["median"]) == {gpu.OURS, gpu.COMPILED, gpu.DEFAULT, gpu.GROUPED}
        assert all(speed > 0 for speed in record["median"].values())
        assert (
            record["padding"][gpu.OURS]
            == record["padding"][gpu.COMPILED]
            == 0
            < record["padding"][gpu.DEFAULT]
        )
    # compiled once for all batches and both heads
    assert trained[-1]["graphs"] == trained[0]["graphs"]
    printed = capsys.readouterr().out
    assert printed.count("| tiny |") == 8 and "tokens a step" in printed


def test_what_does_not_fit_is_left_out(
    gpu: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    monkeypatch.setattr(gpu, "matmul_rate", lambda dtype, device: 1e12)
    assert gpu.compare(gpu.parse(["--cpu", "--minutes", "0", "--results", str(tmp_path)])) == 0
    assert capsys.readouterr().out.count("left out") == 2


@pytest.mark.parametrize("mix", ["MNLI", "SQuAD"])
def test_lengths_are_those_of_the_histogram(gpu: Any, mix: str) -> None:
    lengths = gpu.gpu_runs.drawn(mix, 20_000)
    task = jx.get_task(gpu.gpu_runs.MIXES[mix])
    assert lengths.min() >= 4 and lengths.max() <= task.max_length
    counts = np.array(json.loads(gpu.gpu_runs.LENGTHS.read_text(encoding="utf-8"))[mix])
    assert lengths.mean() == pytest.approx(
        (counts * np.arange(len(counts))).sum() / counts.sum(), rel=0.02
    )
    options = gpu.parse([])
    assert gpu.gpu_runs.batch_size(options, mix, False) == 32
    assert gpu.gpu_runs.batch_size(options, mix, True) * lengths.mean() == pytest.approx(
        16384, rel=0.03
    )


def test_attention_that_is_wrong_is_noticed(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    options = gpu.parse(["--cpu"])
    off = gpu.gpu_runs.agreement(options)
    assert 0 < off["flat"] < 2**-6 and 0 < off["padded"] < 2**-6
    right = gpu.gpu_runs.flat_attention
    monkeypatch.setattr(
        gpu.gpu_runs,
        "flat_attention",
        lambda *args, **options_of_call: (right(*args, **options_of_call)[0] * 1.1, None),
    )
    with pytest.raises(SystemExit, match="lat attention in bf16 is off"):
        gpu.gpu_runs.agreement(options)


def test_waits_are_counted_by_place(gpu: Any) -> None:
    def run(steps: int, callback: Any) -> None:
        for _ in range(2 * (callback.steps - 2)):
            warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
        warnings.warn(
            "Synchronization debug mode does not detect all synchronizing operations", stacklevel=1
        )

    (code_line, count), *more = gpu.gpu_runs.waits(run).items()
    assert code_line.startswith("test_bench_gpu.py:") and count == 2 and not more
