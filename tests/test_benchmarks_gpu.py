"""benchmarks/gpu.py runs without a GPU, and compares what its tables say."""

from __future__ import annotations

import gc
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmark_programs import benchmark_programs, missing

import jiantx as jx

pytestmark = [
    missing,
    pytest.mark.slow,  # it trains
    # transformers' own and dynamo's, which a user of them sees too
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    # Collecting would take most of the time, at these sizes.
    monkeypatch.setattr(gc, "collect", lambda *arguments: 0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    with benchmark_programs("gpu", "gpu_checks", "gpu_data", "gpu_runs", "measuring") as modules:
        yield modules


def fixed_matmul_rate(dtype: torch.dtype, device: str) -> float:
    return 1e12


def test_without_a_gpu_it_says_so(gpu: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.gpu.main() == 1
    assert "--cpu" in capsys.readouterr().err


def test_it_runs(gpu: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    program = gpu.gpu
    monkeypatch.setattr(gpu.measuring, "matmul_rate", fixed_matmul_rate)
    monkeypatch.setattr(gpu.gpu_runs, "SKIP", 1)
    options = program.parse(["--cpu", "--results", str(tmp_path)])
    assert program.compare(options) == 0
    records = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["records"]
    trainings = [record for record in records if record["what"] == "training"]
    assert [(training["mix"], training["long"]) for training in trainings] == [
        ("MNLI", False),
        ("SQuAD", True),
    ]
    for training in trainings:
        trainers = {program.OURS, program.COMPILED, program.DEFAULT, program.GROUPED}
        assert set(training["median"]) == trainers
        assert all(speed > 0 for speed in training["median"].values())
        assert training["padding"][program.OURS] == 0
        assert training["padding"][program.COMPILED] == 0
        assert training["padding"][program.DEFAULT] > 0
    # compiled once for all batches and both heads
    assert trainings[-1]["graphs"] == trainings[0]["graphs"]
    output = capsys.readouterr().out
    assert output.count("| tiny |") == 8
    assert "tokens a step" in output


def test_comparisons_that_do_not_fit_are_left_out(
    gpu: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    monkeypatch.setattr(gpu.measuring, "matmul_rate", fixed_matmul_rate)
    options = gpu.gpu.parse(["--cpu", "--minutes", "0", "--results", str(tmp_path)])
    assert gpu.gpu.compare(options) == 0
    assert capsys.readouterr().out.count("left out") == 2


@pytest.mark.parametrize("mix", ["MNLI", "SQuAD"])
def test_lengths_are_those_of_the_histogram(gpu: Any, mix: str) -> None:
    data = gpu.gpu_data
    lengths = data.random_lengths(mix, 20_000)
    task = jx.get_task(data.MIXES[mix])
    assert lengths.min() >= 4
    assert lengths.max() <= task.max_length
    counts = np.array(json.loads(data.LENGTHS.read_text(encoding="utf-8"))[mix])
    mean = (counts * np.arange(len(counts))).sum() / counts.sum()
    assert lengths.mean() == pytest.approx(mean, rel=0.02)
    options = gpu.gpu.parse([])
    assert data.batch_size(options, mix, False) == 32
    long_tokens = data.batch_size(options, mix, True) * lengths.mean()
    assert long_tokens == pytest.approx(16384, rel=0.03)


def test_wrong_attention_is_noticed(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = gpu.gpu_checks
    options = gpu.gpu.parse(["--cpu"])
    errors = checks.check_attention(options)
    assert 0 < errors["flat"] < 2**-6
    assert 0 < errors["padded"] < 2**-6
    right = checks.flat_attention

    def wrong(*arguments: Any, **options: Any) -> Any:
        outputs, _ = right(*arguments, **options)
        return outputs * 1.1, None

    monkeypatch.setattr(checks, "flat_attention", wrong)
    with pytest.raises(SystemExit, match="lat attention in bf16 is off"):
        checks.check_attention(options)


def test_waits_are_counted_by_line(gpu: Any) -> None:
    def run(steps: int, callback: Any) -> None:
        for _ in range(2 * (callback.steps - 2)):
            warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
        warnings.warn(
            "Synchronization debug mode does not detect all synchronizing operations", stacklevel=1
        )

    ((line, count),) = gpu.gpu_checks.waits_per_step(run).items()
    assert line.startswith("test_benchmarks_gpu.py:")
    assert count == 2
