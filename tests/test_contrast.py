"""The loss of retrieval, beside its definition in plain numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from conftest import ModelOf, batch_of
from torch import Tensor
from torch.nn.functional import cross_entropy

import jiantx as jx
from jiantx.heads.contrast import Contrast, pair_columns
from jiantx.trainer_setup import decay_parameter_names

ROWS: list[dict[str, Any]] = [
    {"query": "the cat", "candidate": ["a cat", "cat cat"], "negatives": ["the dog", "tall"]},
    {"query": "a dog", "candidate": ["the dog"], "negatives": []},
    {"query": "the cat", "candidate": ["cats"], "negatives": ["red house"]},  # the first's query
    {"query": "house", "candidate": ["red house"], "negatives": ["the cat"]},
    {"query": "who sees", "candidate": ["a cat"], "negatives": ["who sees"]},  # the first's text
    {"query": "a dog", "candidate": ["dog dog"], "negatives": []},
]
TASK = jx.Retrieval(name="pairs", source=jx.Rows({"train": ROWS}), negatives="negatives")


def plain_loss(
    vectors: np.ndarray, rows: list[Any], scale: float, *, symmetric: bool, smoothing: float
) -> list[float]:
    """The loss of each row: loops over texts, and sets of known positives of all rows."""
    positives_of: dict[str, set[str]] = {}
    for row in ROWS:
        positives_of.setdefault(row["query"], set()).update(row["candidate"])
    queries, candidates = [], []
    position = 0
    for row in rows:
        queries.append(vectors[position])
        texts = [*row["candidate"], *row["negatives"]]
        for offset, text in enumerate(texts, 1):
            is_positive = offset <= len(row["candidate"])
            candidates.append((text, vectors[position + offset], len(queries) - 1, is_positive))
        position += 1 + len(texts)

    def softmax_loss(right: float, wrong: list[float]) -> float:
        scores = np.array([right, *wrong])
        log_sum = np.log(np.exp(scores - scores.max()).sum()) + scores.max()
        return (1 - smoothing) * (log_sum - right) + smoothing * (log_sum - scores.mean())

    losses = []
    for i, row in enumerate(rows):
        of_positives = []
        for text, vector, owner, is_positive in candidates:
            if owner != i or not is_positive:
                continue
            right = scale * queries[i] @ vector
            wrong = [
                scale * queries[i] @ v
                for t, v, *_ in candidates
                if t not in positives_of[row["query"]]
            ]
            loss = softmax_loss(right, wrong)
            if symmetric:
                wrong_queries = [
                    scale * query @ vector
                    for query, other in zip(queries, rows, strict=True)
                    if text not in positives_of[other["query"]]
                ]
                loss = (loss + softmax_loss(right, wrong_queries)) / 2
            of_positives.append(loss)
        losses.append(float(np.mean(of_positives)))
    return losses


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("indices", [[0, 1, 2, 3, 4, 5], [0, 1], [2, 4, 5], [0, 2]])
def test_the_loss_is_its_definition(
    indices: list[int], smoothing: float, symmetric: bool, tokenizer: Any
) -> None:
    """Known positives are no wrong candidates, also those of rows outside the batch."""
    batch = batch_of(TASK.for_training, tokenizer, indices)
    rows = [ROWS[index] for index in indices]
    count = len(batch["lengths"])
    assert count == sum(1 + len(row["candidate"]) + len(row["negatives"]) for row in rows)
    vectors = torch.randn(count, 6, generator=torch.Generator().manual_seed(0))
    contrast = Contrast.of(pair_columns(batch, count), count)
    actual = contrast.losses(vectors, 1.7, symmetric=symmetric, smoothing=smoothing)
    expected = plain_loss(
        vectors.double().numpy(), rows, 1.7, symmetric=symmetric, smoothing=smoothing
    )
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-5)


def test_a_batch_of_pairs_is_a_cross_entropy(model_of: ModelOf, tokenizer: Any) -> None:
    """What jiantx computed before there were negatives, for texts that differ."""
    rows = [{"query": f"the {w}", "candidate": f"a {w}"} for w in ("cat", "dog", "house", "river")]
    task = TASK.replace(source=jx.Rows({"train": rows}), negatives=None)
    model = model_of([task]).train()
    for batch in (batch_of(task.for_training, tokenizer), batch_of(task, tokenizer)):
        output = model(**batch)
        vectors = model.eval()(**batch).outputs["embeddings"]
        scores = 100 * vectors[::2] @ vectors[1::2].T
        expected = cross_entropy(scores, torch.arange(4), reduction="sum")
        torch.testing.assert_close(output.loss, expected, rtol=1e-4, atol=1e-4)
        assert output.num_items == 4
        model.train()


def test_a_query_without_wrong_candidates_has_no_loss_and_no_gradient(tokenizer: Any) -> None:
    batch = batch_of(TASK.for_training, tokenizer, [1, 5])
    vectors = torch.randn(4, 6, requires_grad=True)
    losses = Contrast.of(pair_columns(batch, 4), 4).losses(
        vectors, 3.0, symmetric=True, smoothing=0.0
    )
    losses.sum().backward()
    assert losses.tolist() == [0.0, 0.0]
    assert isinstance(vectors.grad, Tensor) and not vectors.grad.any()


def test_weight_decay_leaves_the_temperature(model_of: ModelOf) -> None:
    model = model_of([TASK])
    names = decay_parameter_names(model, lambda module: [n for n, _ in module.named_parameters()])
    assert "heads.pairs.log_scale" in dict(model.named_parameters())
    assert names and "heads.pairs.log_scale" not in names


def test_the_temperature_is_fixed_or_learned(model_of: ModelOf, tokenizer: Any) -> None:
    fixed = TASK.replace(temperature=0.5)
    model = model_of([fixed]).train()
    batch = batch_of(fixed.for_training, tokenizer)
    model(**batch).loss.backward()
    assert model.heads["pairs"].log_scale.grad is None
    learned = model_of([TASK]).train()
    learned(**batch).loss.backward()
    assert learned.heads["pairs"].log_scale.grad.abs() > 0
    for temperature in (0, -1.0, float("nan"), True, "fixed"):
        with pytest.raises(ValueError, match=r"pairs: temperature=.*Expected a number above 0"):
            TASK.replace(temperature=temperature)


def test_a_saved_head_of_before_loads(model_of: ModelOf, tmp_path: Any) -> None:
    """Its config lacks the new settings: they are what it did."""
    model = model_of([TASK])
    for name in ("normalize", "center", "temperature", "symmetric", "training_pool"):
        del model.config.heads["pairs"][name]
    model.save_pretrained(tmp_path)
    loaded = jx.MultitaskModel.from_pretrained(tmp_path)
    assert loaded.head_of(TASK, exact=True).config["temperature"] == "learned"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"candidate": []}, "row 0: The row has no candidate"),
        ({"candidate": ["a", " "]}, "Column 'candidate' holds ' '; expected a text"),
        ({"negatives": [""]}, "Column 'negatives' holds ''; expected a text"),
    ],
)
def test_bad_training_rows(changes: Any, message: str, tokenizer: Any) -> None:
    rows = [{"query": "a", "candidate": ["b"], "negatives": ["c"], **changes}]
    task = TASK.replace(source=jx.Rows({"train": rows}))
    with pytest.raises(jx.DataError, match=message):
        batch_of(task.for_training, tokenizer)


def test_negatives_are_of_training_rows_alone(model_of: ModelOf) -> None:
    """Rows that are scored may have them; a list of positives is refused there."""
    rows = [
        {"query": "the cat", "candidate": "a cat", "negatives": ["the cat"]},
        {"query": "a dog", "candidate": "the dog", "negatives": ["a dog"]},
    ]
    task = TASK.replace(source=jx.Rows({"validation": rows}))
    without = task.replace(negatives=None)
    model = model_of([task])
    assert jx.evaluate(model, task).records == jx.evaluate(model, without).records
    several = TASK.replace(source=jx.Rows({"validation": ROWS}))
    with pytest.raises(jx.DataError, match=r"Column 'candidate' holds .* expected text"):
        jx.evaluate(model, several)
