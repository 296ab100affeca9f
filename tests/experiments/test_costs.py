"""What a plan costs: tokens counted on samples, parameters from the config, seconds from steps."""

# ruff: noqa: F811, a fixture is asked for by its name

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from recipe_fixtures import STEPS, recipe, tiny  # noqa: F401, the fixtures
from transformers import XLMRobertaConfig

import jiantx as jx
from jiantx.experiments import (
    Cost,
    Recipe,
    estimate_costs,
    measured_seconds,
    parameter_count,
    step_seconds,
)
from jiantx.features import load_features

Tasks = dict[str, jx.Task]


def costs_by_stage(recipe: Recipe, rows: list[str], targets: list[jx.Task]) -> dict[str, Cost]:
    costs = estimate_costs(recipe, recipe.plan(rows, targets))
    return {cost.stage: cost for cost in costs.stages}


def validation_tokens(recipe: Recipe, task: jx.Task) -> int:
    """The tokens of the validation split in the three languages of the tiny tasks."""
    tokenizer = jx.MultitaskModel.from_pretrained(recipe.encoder, [task]).tokenizer
    tokens = 0
    for language in ("en", "de", "zh"):
        features = load_features(task, "validation", language, tokenizer)
        tokens += sum(map(len, features.table["input_ids"][:]))
    return tokens


def test_tokens_are_counted_by_stage(recipe: Recipe, tiny: Tasks) -> None:
    source = tiny["pairing"].source
    assert isinstance(source, jx.Rows)
    only_validation = jx.Rows({"validation": source.splits["validation"]})
    untrained = tiny["pairing"].replace(source=only_validation)
    costs = costs_by_stage(recipe, ["stars"], [tiny["mood"], untrained])
    intermediate = costs["stars, seed 1"]
    assert intermediate.scored_tokens == 0 < intermediate.trained_tokens
    retrieval = costs["none -> pairing, seed 1"]
    assert retrieval.trained_tokens == 0 < retrieval.scored_tokens
    mood = costs["none -> mood, seed 1"]
    tokens = validation_tokens(recipe, tiny["mood"])
    assert mood.scored_tokens == pytest.approx(tokens, abs=3), "the sample has all of the few rows"


def test_english_validation_rows_are_scored_in_any_case(recipe: Recipe, tiny: Tasks) -> None:
    """They decide whether the training failed."""
    without_english = replace(recipe, languages=("de", "zh"))
    (cost,) = costs_by_stage(without_english, [], [tiny["mood"]]).values()
    tokens = validation_tokens(recipe, tiny["mood"])
    assert cost.scored_tokens == pytest.approx(tokens, abs=3)


def test_tokens_and_operations_grow_with_the_steps(recipe: Recipe, tiny: Tasks) -> None:
    longer = replace(recipe, intermediate={**STEPS, "max_steps": 10})
    short = costs_by_stage(recipe, ["stars"], [tiny["pairing"]])["stars, seed 1"]
    costs = estimate_costs(longer, longer.plan(["stars"], [tiny["pairing"]]))
    (long,) = (cost for cost in costs.stages if cost.stage == "stars, seed 1")
    assert long.trained_tokens == pytest.approx(10 * short.trained_tokens, rel=0.2)
    assert costs.flops(long) == pytest.approx(6 * costs.parameters * long.trained_tokens)


@pytest.mark.slow
def test_an_estimate_lists_all_stages_and_writes_nothing(recipe: Recipe, tiny: Tasks) -> None:
    plan = recipe.plan(["stars"], [tiny["mood"], tiny["pairing"]])
    stages = recipe.stages(plan)
    costs = estimate_costs(recipe, plan)
    assert [cost.stage for cost in costs.stages] == [stage.name for stage in stages]
    text = costs.to_text()
    assert "still to run" in text
    assert f"{costs.parameters:,}" in text
    assert not Path(recipe.output).exists()
    stages.run()
    assert all(cost.done for cost in estimate_costs(recipe, plan).stages)


@pytest.mark.slow
def test_evaluations_during_training_are_counted(recipe: Recipe, tiny: Tasks) -> None:
    def scored_tokens(**arguments: Any) -> int:
        evaluated = replace(recipe, intermediate={**STEPS, "max_steps": 10, **arguments})
        costs = costs_by_stage(evaluated, ["mood"], [tiny["pairing"]])
        return costs["mood, seed 1"].scored_tokens

    once = scored_tokens(eval_strategy="steps", eval_steps=10)
    assert once > 0
    assert scored_tokens() == 0
    assert scored_tokens(eval_strategy="steps") == 0, "every 500 of 10 steps"
    assert scored_tokens(eval_strategy="steps", eval_steps=3) == 3 * once
    assert scored_tokens(eval_strategy="epoch") == 3 * once
    assert scored_tokens(eval_strategy="steps", eval_steps=0.5) == 2 * once


def test_candidates_are_counted_too(recipe: Recipe, tiny: Tasks) -> None:
    sentence = "a long sentence of many words " * 3
    candidates = [{"id": f"c{i}", "candidate": sentence} for i in range(20)]
    query = {"id": "q0", "query": "a sentence", "relevant": ["c0"]}
    task = jx.Retrieval(
        name="queries",
        source=jx.Rows({"validation": [query]}),
        corpus=jx.Rows({"validation": candidates}),
        pool="language",
        relevant="relevant",
    )
    (cost,) = costs_by_stage(recipe, [], [task]).values()
    assert cost.scored_tokens > 20 * 10, "twenty candidates, not one query alone"


# --- size and speed -------------------------------------------------------------------------------


def test_an_encoder_that_is_stored_in_half_precision_is_timed() -> None:
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = XLMRobertaConfig(**size, intermediate_size=8, vocab_size=20, dtype="float16")
    for bf16 in (False, True):
        assert min(measured_seconds(config, bf16, "cpu")) > 0


def test_parameters_are_counted_without_loading_weights() -> None:
    large = XLMRobertaConfig(
        vocab_size=250_002,
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=4096,
        max_position_embeddings=514,
        type_vocab_size=1,
    )
    layers = 24 * (12 * 1024**2 + 13 * 1024)
    embedding_norm = 2 * 1024
    assert parameter_count(large) == layers + embedding_norm, "without a pooler"


class Square(torch.nn.Module):
    """A model with one weight, whose loss is the square of the weight times a factor."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(2.0))

    def forward(self, factor: float) -> SimpleNamespace:
        return SimpleNamespace(loss=factor * self.weight**2)


def test_timed_training_steps_leave_no_gradient_and_may_include_the_optimizer() -> None:
    model = Square()
    batches = [{"factor": 1.0}, {"factor": 2.0}]
    assert len(step_seconds(model, batches, training=True)) == 2
    assert model.weight.item() == 2.0
    assert model.weight.grad is None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    (seconds,) = step_seconds(model, batches[:1], training=True, optimizer=optimizer)
    assert seconds > 0
    assert model.weight.item() == pytest.approx(1.6)


def test_timed_scoring_computes_no_gradient() -> None:
    model = Square()
    (seconds,) = step_seconds(model, [{"factor": 1.0}], training=False)
    assert seconds > 0
    assert model.weight.grad is None
