"""Layers that read the same states share their cast to half precision, and compute the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from conftest import ModelOf, batch_of
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from jiantx.model import shared_casts as module
from jiantx.model.shared_casts import shared_casts


class CountCasts(TorchDispatchMode):
    """Counts casts of float32 to bfloat16 by shape."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: Counter[torch.Size] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and result.dtype == torch.bfloat16:
            self.shapes[result.shape] += 1
        return result


class Block(nn.Module):
    """Three layers that read the same states, and one that reads their sum."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.last = nn.Linear(8, 8)

    def forward(self, states: Tensor) -> Tensor:
        total = states + torch.stack([layer(states) for layer in self.layers]).sum(0)
        return self.last(total)


def without() -> Any:
    return torch.autocast("cpu", torch.bfloat16)


@contextmanager
def shared(block: nn.Module) -> Iterator[None]:
    with without(), shared_casts(block):
        yield


def test_states_are_cast_once_and_the_values_stay() -> None:
    torch.manual_seed(0)
    block = Block()
    states = torch.randn(5, 8, requires_grad=True)
    outputs = []
    gradients: list[Any] = []
    for context, casts in ((without(), 4), (shared(block), 2)):
        states.grad = None
        with context, CountCasts() as counts:
            output = block(states * 1)  # of a leaf autocast itself keeps the cast
        assert counts.shapes[states.shape] == casts
        output.float().square().sum().backward()
        outputs.append(output)
        gradients.append(states.grad)
    assert torch.equal(*outputs)
    torch.testing.assert_close(*gradients, atol=2e-2, rtol=2e-2)  # added up in half precision
    assert not any(layer._forward_pre_hooks for layer in block.modules())


def test_states_changed_in_place_are_cast_again() -> None:
    layers = nn.ModuleList([nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)])
    states = torch.ones(2, 4)
    with torch.no_grad(), shared(layers):
        layers[0](states)
        states.zero_()
        assert torch.equal(layers[1](states), torch.zeros(2, 4, dtype=torch.bfloat16))


def test_inference_mode_is_left_alone() -> None:
    layers = nn.ModuleList([nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)])
    with torch.inference_mode(), shared(layers):
        states = torch.ones(2, 4)
        layers[0](states)
        states.zero_()
        assert not layers[1](states).any()


@pytest.mark.parametrize("family", ["xlm-r", "distilbert", "modernbert", "albert", "deberta-v2"])
def test_encoders_compute_the_same(
    family: str, model_of: ModelOf, tiny_tasks, tokenizer_of, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny_tasks["pair"]
    model = model_of([task], family)
    batch = batch_of(task, tokenizer_of(family))
    with torch.no_grad(), without(), CountCasts() as counts:
        outputs = model(**batch).outputs
    monkeypatch.setattr(module, "_applies", lambda encoder: False)
    with torch.no_grad(), without(), CountCasts() as more_counts:
        expected = model(**batch).outputs
    saved = more_counts.shapes.total() - counts.shapes.total()
    # ModernBERT computes queries, keys and values by one layer; ALBERT's states are halves already
    assert saved == 0 if family in ("modernbert", "albert") else saved > 0
    for name, values in outputs.items():
        assert torch.equal(values, expected[name])


def test_no_hooks_in_float32_or_in_checkpointed_or_compiled_layers(
    model_of: ModelOf, tiny_tasks
) -> None:
    encoder = model_of([tiny_tasks["pair"]]).encoder
    assert not module._applies(encoder)
    with without():
        assert module._applies(encoder)
        encoder.gradient_checkpointing_enable()
        assert not module._applies(encoder)
        encoder.gradient_checkpointing_disable()
        assert module._applies(encoder)
        next(iter(encoder.children())).compile(backend="eager")
        assert not module._applies(encoder)
