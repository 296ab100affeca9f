"""A half precision that this processor is slow at is named; nothing else is."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import torch
from transformers.utils import logging as theirs

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
