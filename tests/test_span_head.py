"""The head of spans: a plain loop computes the same; what its settings change; saving."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ModelOf, batch_of
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

import jiantx as jx
from jiantx.heads import SpanPooling

POOLINGS = ("self_attentive", "mean", "first", "ends")


def pooled_by_loop(pooling: SpanPooling, states: Tensor, spans: list[tuple[int, int]]) -> Tensor:
    """One span after the other, in the paper's words."""
    vectors = []
    for start, stop in spans:
        values = states[start:stop]
        if pooling.projection is not None:
            values = values @ pooling.projection.weight.T + pooling.projection.bias
        if pooling.pooling == "self_attentive":
            assert pooling.score is not None
            weights = torch.softmax(pooling.score(values)[:, 0], dim=0)
            vectors.append(sum(w * value for w, value in zip(weights, values, strict=True)))
        elif pooling.pooling == "mean":
            vectors.append(values.mean(dim=0))
        elif pooling.pooling == "first":
            vectors.append(values[0])
        else:
            vectors.append(torch.cat([values[0], values[-1]]))
    return torch.stack(vectors)


def flat(spans: list[tuple[int, int]]) -> tuple[Tensor, Tensor, Tensor]:
    tokens = [token for start, stop in spans for token in range(start, stop)]
    positions = torch.tensor([start for start, _ in spans])
    return positions, torch.tensor([b - a for a, b in spans]), torch.tensor(tokens)


@pytest.mark.parametrize("projection_size", [None, 5])
@pytest.mark.parametrize("kind", POOLINGS)
def test_pooling_equals_a_loop(kind: str, projection_size: int | None) -> None:
    torch.manual_seed(0)
    pooling = SpanPooling(8, {"pooling": kind, "projection_size": projection_size})
    states = 3 * torch.randn(20, 8)
    spans = [(0, 1), (3, 9), (3, 9), (19, 20), (5, 20), (8, 10)]  # they overlap, and repeat
    states_of_ours = states.clone().requires_grad_()
    other = states.clone().requires_grad_()
    actual = pooling(states_of_ours, *flat(spans))
    expected = pooled_by_loop(pooling, other, spans)
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-5)
    factors = torch.randn_like(expected)
    (actual * factors).sum().backward()
    (expected * factors).sum().backward()
    torch.testing.assert_close(states_of_ours.grad, other.grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", POOLINGS)
def test_an_empty_span_is_finite_and_costs_others_nothing(kind: str) -> None:
    torch.manual_seed(0)
    pooling = SpanPooling(8, {"pooling": kind, "projection_size": 4})
    states = torch.randn(6, 8)
    positions, sizes, tokens = flat([(1, 3), (4, 6)])
    with_empty = pooling(states, torch.tensor([1, 0, 4]), torch.tensor([2, 0, 2]), tokens)
    assert with_empty.isfinite().all()
    torch.testing.assert_close(with_empty[[0, 2]], pooling(states, positions, sizes, tokens))


def test_scores_far_apart_do_not_overflow() -> None:
    pooling = SpanPooling(1, {"pooling": "self_attentive", "projection_size": None})
    assert pooling.score is not None
    torch.nn.init.constant_(pooling.score.weight, 1000.0)
    states = torch.tensor([[1.0], [-1.0], [5.0]])
    vectors = pooling(states, *flat([(0, 2), (1, 3)]))
    torch.testing.assert_close(vectors, torch.tensor([[1.0], [5.0]]))


@pytest.mark.parametrize("kind", ["spans", "edges"])
def test_the_head_equals_a_loop(kind: str, model_of: ModelOf, tiny_tasks, tokenizer) -> None:
    """Loss and probabilities, target by target."""
    task = tiny_tasks[kind]
    model = model_of([task])
    batch = batch_of(task, tokenizer, range(6))
    output = model(**batch)
    states = model.states(**batch, layers=[None])[0]
    head: Any = model.head_of(task)
    losses, probabilities = [], []
    gold_start = 0
    for target, label in enumerate(batch["labels"].tolist()):
        vectors = []
        for index in range(head.config["spans"]):
            start = int(batch[f"span{index + 1}_positions"][target])
            stop = start + int(batch[f"span{index + 1}_sizes"][target])
            vectors.append(pooled_by_loop(head.pooling[index], states, [(start, stop)]))
        hidden = head.norm(torch.tanh(head.dense(torch.cat(vectors, dim=1))))
        logits = head.out(hidden)
        if kind == "spans":
            losses.append(cross_entropy(logits, torch.tensor([label])))
            probabilities.append(logits.softmax(dim=1))
            continue
        count = int(batch["gold_counts"][target])
        gold = torch.zeros_like(logits)
        gold[0, batch["gold_labels"][gold_start : gold_start + count]] = 1
        gold_start += count
        losses.append(binary_cross_entropy_with_logits(logits, gold))
        probabilities.append(logits.sigmoid())
    torch.testing.assert_close(output.loss, torch.stack(losses).sum())
    torch.testing.assert_close(output.outputs["probabilities"], torch.cat(probabilities))
    assert int(output.num_items) == len(losses)


@pytest.mark.parametrize("share_pooling", [False, True])
@pytest.mark.parametrize("classifier", ["linear", "mlp"])
def test_parameters_are_those_of_the_settings(
    classifier: Any, share_pooling: bool, model_of: ModelOf, tiny_tasks
) -> None:
    task = tiny_tasks["spans"].replace(
        classifier=classifier, share_pooling=share_pooling, projection_size=6, classifier_size=7
    )
    shapes = {name: tuple(p.shape) for name, p in model_of([task]).head_of(task).named_parameters()}
    assert len([name for name in shapes if name.endswith("score.weight")]) == 2 - share_pooling
    expected = (2, 12) if classifier == "linear" else (2, 7)
    assert shapes["out.weight"] == expected and ("dense.weight" in shapes) == (classifier == "mlp")


def test_saved_heads_are_the_same_and_dropout_may_differ(
    model_of: ModelOf, tiny_tasks, tokenizer, tmp_path: Path
) -> None:
    task = tiny_tasks["edges"]
    model = model_of([task])
    model.save_pretrained(tmp_path)
    again = jx.MultitaskModel.from_pretrained(tmp_path, [task.replace(dropout=0.5)])
    batch = batch_of(task, tokenizer)
    torch.testing.assert_close(
        model(**batch).outputs["probabilities"], again(**batch).outputs["probabilities"]
    )
    with pytest.raises(ValueError, match="The model's head 'edges' is"):
        again.head_of(task.replace(pooling="mean"))


def test_transformers_has_no_class_for_it(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    task = tiny_tasks["spans"]
    with pytest.raises(ValueError, match=r"no class that a span_classification head .*save_enc"):
        model_of([task]).export(task, tmp_path)
