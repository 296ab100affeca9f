"""Dropout drawn quickly is dropout: the same probabilities, one mask for one seed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from conftest import ModelOf, batch_of
from torch import nn
from torch.utils.checkpoint import checkpoint

import jiantx as jx
from jiantx.model.dropout import FastDropout, draw_masks_quickly

COUNT = 400_003  # no multiple of four


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_probability_and_scale(probability: float, dtype: torch.dtype) -> None:
    dropped = FastDropout(probability)(torch.ones(COUNT, dtype=dtype))
    assert dropped.dtype == dtype and dropped.shape == (COUNT,)
    zero, factor = dropped.unique().tolist()
    assert zero == 0
    # in half precision torch rounds the factor as well
    assert factor == pytest.approx(1 / (1 - probability), rel=1e-4 if dtype.itemsize > 2 else 5e-3)
    share = float((dropped == 0).double().mean())
    error = math.sqrt(probability * (1 - probability) / COUNT)
    assert abs(share - probability) < 4 * error


def test_elements_are_independent() -> None:
    """Also of those that the same random number decides."""
    dropped = FastDropout(0.5)(torch.ones(COUNT)) - 1  # -1 or 1
    for distance in (1, 2, 3, 4, 5, 8, 1024):
        correlation = float((dropped[distance:] * dropped[:-distance]).mean())
        assert abs(correlation) < 4 / math.sqrt(COUNT)


def test_the_seed_decides() -> None:
    layer = FastDropout(0.3)
    states = torch.randn(5, 7, requires_grad=True)
    state = torch.get_rng_state()
    first = layer(states)
    assert not torch.equal(layer(states), first)
    torch.set_rng_state(state)
    again = layer(states)
    assert torch.equal(again, first)
    first.sum().backward()
    factors = first.detach() / states.detach()
    torch.testing.assert_close(states.grad, factors)  # what is dropped has no gradient


def test_a_checkpointed_layer_draws_the_same_mask_again() -> None:
    layer = FastDropout(0.5)
    states = torch.randn(64, requires_grad=True)
    dropped = checkpoint(lambda x: layer(x).exp(), states, use_reentrant=False)
    dropped.sum().backward()
    expected = torch.where(dropped.detach() == 1, 0, 2 * dropped.detach())
    torch.testing.assert_close(states.grad, expected)


@pytest.mark.parametrize("probability", [0.0, 1.0, 1e-9, 1 - 1e-9])
def test_probabilities_at_the_ends_are_torchs_own(probability: float) -> None:
    states = torch.randn(100)
    state = torch.get_rng_state()
    expected = nn.Dropout(probability)(states)
    torch.set_rng_state(state)
    assert torch.equal(FastDropout(probability)(states), expected)


def test_nothing_is_dropped_in_evaluation() -> None:
    states = torch.randn(100)
    assert torch.equal(FastDropout(0.5).eval()(states), states)
    assert FastDropout(0.5)(torch.empty(0, 3)).shape == (0, 3)
    assert FastDropout(0.5)(torch.empty(2, 3, device="meta")).device.type == "meta"
    in_place = torch.ones(100)
    assert FastDropout(0.5, inplace=True)(in_place) is in_place


def test_only_torchs_own_class_is_replaced() -> None:
    class Special(nn.Dropout):
        pass

    module = nn.Sequential(nn.Dropout(0.2), nn.Sequential(nn.Dropout(0.3)), Special(0.1))
    draw_masks_quickly(module)
    assert [type(m) for m in module.modules() if isinstance(m, nn.Dropout)] == [
        FastDropout,
        FastDropout,
        Special,
    ]
    assert module[0].p == 0.2


@pytest.mark.parametrize("family", ["xlm-r", "distilbert", "deberta-v2"])
def test_encoders_draw_quickly(
    family: str, model_of: ModelOf, tiny_tasks, tokenizer_of, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("hidden_dropout_prob", "dropout")
    model = model_of([tiny_tasks["pair"]], family, **dict.fromkeys(names, 0.5))
    batch = batch_of(tiny_tasks["pair"], tokenizer_of(family))

    def loss() -> float:
        torch.manual_seed(1)
        return model.train()(**batch).loss.item()

    assert any(type(module) is FastDropout for module in model.encoder.modules())
    first = loss()
    assert loss() == first
    monkeypatch.setattr(FastDropout, "forward", lambda self, states: states)
    assert loss() != first
    assert isinstance(model, jx.MultitaskModel)
