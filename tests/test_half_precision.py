"""A half precision that this processor is slow at is named; nothing else is."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from conftest import ModelOf
from test_trainer import arguments
from transformers.utils import logging as theirs

import jiantx as jx
from jiantx import half_precision
from jiantx.half_precision import autocast, multiplies_fast, warn_if_slow

CPU = torch.device("cpu")


@pytest.fixture
def _heard() -> Iterator[None]:
    theirs.get_logger("jiantx.half_precision").warning_once.cache_clear()
    theirs.enable_propagation()
    yield
    theirs.disable_propagation()


@pytest.mark.usefixtures("_heard")
@pytest.mark.parametrize("is_fast", [True, False])
def test_slow_products_are_said(
    is_fast: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(half_precision, "multiplies_fast", lambda device, dtype: is_fast)
    with caplog.at_level(logging.WARNING, "jiantx"), autocast(CPU, torch.bfloat16):
        assert torch.is_autocast_enabled("cpu")
    assert ("no fast matrix products in bfloat16" in caplog.text) is not is_fast
    caplog.clear()
    warn_if_slow(CPU, torch.bfloat16)
    assert caplog.text == ""  # once is enough


def test_float32_and_other_devices_are_fast() -> None:
    assert multiplies_fast(CPU, None) and multiplies_fast(CPU, torch.float32)
    assert multiplies_fast(torch.device("cuda"), torch.bfloat16)
    assert multiplies_fast(CPU, torch.bfloat16) in (True, False)


def test_each_training_has_its_own_precision(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    """accelerate leaves the first trainer's precision on the model."""
    task = tiny_tasks["classification"]
    model = model_of([task])
    dtypes = []
    model.heads["mood"].register_forward_hook(
        lambda module, inputs, output: dtypes.append(torch.is_autocast_enabled("cpu"))
    )
    for bf16 in (True, False, True):
        dtypes.clear()
        args = arguments(tmp_path, max_steps=1, bf16=bf16, eval_strategy="no")
        jx.Trainer(model, args, tasks=[task]).train()
        assert set(dtypes) == {bf16}
    dtypes.clear()
    jx.evaluate(model, [task])
    assert set(dtypes) == {False}


def test_adapters_around_a_trained_model_are_scored_in_float32(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft")
    task = tiny_tasks["classification"]
    model = model_of([task])
    args = arguments(tmp_path, max_steps=1, bf16=True, eval_strategy="no")
    jx.Trainer(model, args, tasks=[task]).train()
    dtypes = []
    model.heads["mood"].register_forward_hook(
        lambda module, inputs, output: dtypes.append(torch.is_autocast_enabled("cpu"))
    )
    jx.evaluate(peft.get_peft_model(model, model.lora_config()), [task])
    assert set(dtypes) == {False}
