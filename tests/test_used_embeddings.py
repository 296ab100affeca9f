"""Embeddings in two forms: compact for the optimizer, whole for everyone else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import AdamW

from jiantx.model.used_embeddings import UsedEmbeddings, use_all_rows, use_rows

VOCABULARY, SIZE = 12, 4
USED = torch.tensor([0, 1, 4, 7, 8])
BATCHES = [torch.tensor(ids) for ids in ([[0, 4, 1]], [[7, 7, 0]], [[8, 1, 1]], [[0, 0, 0]])]


def table(padding_idx: int | None = None) -> nn.Embedding:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Embedding(VOCABULARY, SIZE, padding_idx, dtype=torch.float64)


def trained(module: nn.Embedding, steps: int = 8, look: Callable[[Any], object] = id) -> Tensor:
    """The matrix after some steps of AdamW whose learning rate changes; `look` runs after each."""
    optimizer = AdamW(module.parameters(), lr=0.1, weight_decay=0.5)
    hooks = module.follow(optimizer) if isinstance(module, UsedEmbeddings) else []
    for step in range(steps):
        module.train()
        optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)
        (module(BATCHES[step % len(BATCHES)]) ** 2).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        look(module)
    for hook in hooks:
        hook.remove()
    return module.weight.detach().clone()


def weight_of(module: Any) -> Tensor:
    return module.weight.detach()


def saved(module: Any) -> Tensor:
    return module.state_dict()["weight"]


def evaluated(module: Any) -> Tensor:
    return module.eval()(torch.arange(VOCABULARY)).detach()


def without_gradient(module: Any) -> Tensor:
    with torch.no_grad():
        return module(torch.arange(VOCABULARY))


def copied(module: Any) -> Tensor:
    return copy.deepcopy(module).weight.detach()


LOOKS = [weight_of, saved, evaluated, without_gradient, copied]


@pytest.mark.parametrize("padding_idx", [None, 1])
def test_rows_are_those_of_plain_embeddings(padding_idx: int | None) -> None:
    module = table(padding_idx)
    before = module.weight.detach().clone()
    expected = trained(table(padding_idx))
    actual = trained(use_rows(module, USED))
    torch.testing.assert_close(actual, expected, atol=1e-14, rtol=0)
    unused = [row for row in range(VOCABULARY) if row not in USED.tolist()]
    assert not torch.equal(actual[unused], before[unused]), "they decay"


@pytest.mark.parametrize("look", LOOKS)
def test_everyone_else_sees_the_whole_matrix(look: Callable[[Any], Tensor]) -> None:
    actual: list[Tensor] = []
    expected: list[Tensor] = []
    trained(use_rows(table(), USED), look=lambda module: actual.append(look(module).clone()))
    trained(table(), look=lambda module: expected.append(look(module).clone()))
    torch.testing.assert_close(actual, expected, atol=1e-14, rtol=0)


def test_the_optimizer_sees_the_used_rows_alone() -> None:
    module = use_rows(table(), USED)
    optimizer = AdamW(module.parameters())
    module.follow(optimizer)
    parameter = module.parameter
    module(BATCHES[0]).sum().backward()
    assert module.weight.shape == (VOCABULARY, SIZE), "somebody looks before the step"
    assert not module.is_compact
    optimizer.step()
    assert module.is_compact
    assert parameter.grad is not None
    assert parameter.grad.shape == optimizer.state[parameter]["exp_avg"].shape == (len(USED), SIZE)


def test_a_step_without_gradient_does_not_decay() -> None:
    module = use_rows(table(), USED)
    before = module.weight.detach().clone()
    optimizer = AdamW(module.parameters(), lr=0.1, weight_decay=0.5)
    module.follow(optimizer)
    optimizer.step()
    assert torch.equal(module.weight, before)


def test_a_graph_that_somebody_keeps_breaks_no_step() -> None:
    graphs: list[Tensor] = []
    actual = trained(use_rows(table(), USED), look=lambda module: graphs.append(module.weight * 2))
    torch.testing.assert_close(actual, trained(table()), atol=1e-14, rtol=0)


def test_a_gradient_of_all_rows_is_refused() -> None:
    module = use_rows(table(), USED)
    with pytest.raises(RuntimeError, match="invalid gradient"):
        module.eval()(BATCHES[0]).sum().backward()


def test_unused_ids_are_refused_in_training() -> None:
    module = use_rows(table(), USED)
    with pytest.raises(IndexError):
        module.train()(torch.tensor([2]))
    module.eval()(torch.tensor([2]))


def test_loaded_rows_are_trained_on() -> None:
    module = use_rows(table(), USED)
    module.train()(BATCHES[0])
    values = torch.arange(VOCABULARY * SIZE, dtype=torch.float64).reshape(VOCABULARY, SIZE)
    module.load_state_dict({"weight": values})
    assert torch.equal(module.train()(BATCHES[1]), values[BATCHES[1]])
    assert torch.equal(module.weight, values)


def test_all_tensors_are_converted_together() -> None:
    module = use_rows(table(), USED)
    expected = module.weight.detach().float()
    module.train()(BATCHES[0])
    module.to(torch.float32)
    assert torch.equal(module.train()(BATCHES[0]), expected[BATCHES[0]])
    assert torch.equal(module.weight, expected)


def test_the_module_stays_the_same_with_its_hooks() -> None:
    module = table()
    parameter = module.weight
    module.register_forward_hook(lambda module, args, output: output + 1)
    before = set(vars(module))
    expected = parameter.detach().clone()[BATCHES[0]] + 1
    compact = use_rows(module, USED)
    assert compact is module
    assert compact.weight is parameter
    assert torch.equal(module.train()(BATCHES[0]), expected)
    assert compact.is_compact
    use_all_rows(compact)
    assert type(module) is nn.Embedding
    assert set(vars(module)) == before
    assert module.weight is parameter
    assert parameter.shape == (VOCABULARY, SIZE)
