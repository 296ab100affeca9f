"""`--dtype` stands for arguments, and refuses those that say something else."""

from __future__ import annotations

import pytest
import torch

import jiantx as jx
from jiantx.experiments.precision import precision_arguments


@pytest.fixture(params=[False, True], ids=["cpu", "gpu"])
def has_gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param)
    return bool(request.param)


def test_a_precision_stands_for_arguments(has_gpu: bool) -> None:
    expected = {"bf16": True} if has_gpu else {"bf16": True, "use_cpu": True}
    assert precision_arguments("bfloat16", {}, "target") == expected
    assert precision_arguments("bfloat16", {"bf16_full_eval": True}, "target") == expected
    assert precision_arguments("float32", {"bf16": False}, "target") == {}
    assert precision_arguments(None, {"bf16": True}, "target") == {}
    cpu_flags = precision_arguments("bfloat16", {"use_cpu": True}, "target")
    assert cpu_flags == {"bf16": True, "use_cpu": True}


def test_float16_needs_a_gpu(has_gpu: bool) -> None:
    if has_gpu:
        assert precision_arguments("float16", {}, "target") == {"fp16": True}
        has_refused = {"use_cpu": True}
    else:
        has_refused = {}
    with pytest.raises(ValueError, match=r"--dtype float16 needs a GPU.*--dtype bfloat16"):
        precision_arguments("float16", has_refused, "target")


@pytest.mark.parametrize(
    ("dtype", "flag", "value"),
    [
        ("float32", "bf16", "true"),
        ("float32", "fp16_full_eval", "true"),
        ("bfloat16", "fp16", "true"),
        ("bfloat16", "bf16", "false"),
        ("bfloat16", "fp16_full_eval", "true"),
    ],
)
def test_contradictory_flags_are_refused_by_name(
    dtype: str, flag: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        jx.experiments.parse_arguments(["--dtype", dtype, f"--target.{flag}", value])
    expected = f"--dtype {dtype} contradicts --target.{flag} {value}. Leave out one of them."
    assert expected in capsys.readouterr().err


def test_the_precision_is_that_of_every_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    _, flags = jx.experiments.parse_arguments(["--dtype", "bfloat16", "--preset", "paper"])
    assert flags == {"intermediate": {"bf16": True}, "target": {"bf16": True}}
    _, typed = jx.experiments.parse_arguments(["--bf16", "true", "--preset", "paper"])
    assert flags == typed, "so that both find the same stages"
