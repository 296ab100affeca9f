"""What a plan costs: tokens counted from samples, parameters without making them, hours from a few
steps.
"""

# ruff: noqa: F811, a fixture is asked for by its name

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from test_recipe import STEPS, recipe, tiny  # noqa: F401, the fixtures

import jiantx as jx
from jiantx.experiments.costs import parameter_count
from jiantx.features import load_features


def test_costs_count_tokens(recipe: jx.experiments.Recipe, tiny: dict[str, jx.Task]) -> None:
    untrained = jx.Rows({"validation": tiny["pairing"].source.splits["validation"]})
    targets = [tiny["mood"], tiny["pairing"].replace(source=untrained)]
    plan = recipe.plan(["stars"], targets)
    actual = jx.experiments.estimate_costs(recipe, plan)
    assert [cost.stage for cost in actual.stages] == [stage.name for stage in recipe.stages(plan)]
    by_stage = {cost.stage: cost for cost in actual.stages}
    assert (
        by_stage["none -> pairing, seed 1"].trained_tokens
        == 0
        < by_stage["none -> pairing, seed 1"].scored_tokens
    )
    assert by_stage["stars, seed 1"].scored_tokens == 0 < by_stage["stars, seed 1"].trained_tokens
    tokenizer = jx.MultitaskModel.from_pretrained(recipe.encoder, targets).tokenizer
    full = sum(
        sum(
            map(
                len,
                load_features(tiny["mood"], "validation", code, tokenizer).table["input_ids"][:],
            )
        )
        for code in ("en", "de", "zh")
    )
    assert by_stage["none -> mood, seed 1"].scored_tokens == pytest.approx(full, abs=3), (
        "few rows: all of them are the sample"
    )
    item = dataclasses.replace(
        recipe, languages=("de", "zh")
    )  # English development rows are scored all the same
    (again,) = jx.experiments.estimate_costs(item, item.plan([], [tiny["mood"]])).stages
    assert again.scored_tokens == pytest.approx(full, abs=3)
    longer = dataclasses.replace(recipe, intermediate={**STEPS, "max_steps": 10})
    assert jx.experiments.estimate_costs(longer, longer.plan(["stars"], targets)).stages[1:]
    ten = {
        c.stage: c
        for c in jx.experiments.estimate_costs(longer, longer.plan(["stars"], targets)).stages
    }["stars, seed 1"]
    assert ten.trained_tokens == pytest.approx(
        10 * by_stage["stars, seed 1"].trained_tokens, rel=0.2
    )
    assert actual.flops(ten) == pytest.approx(6 * actual.parameters * ten.trained_tokens)
    text = actual.to_text()
    assert "still to run" in text and f"{actual.parameters:,}" in text
    assert not Path("unused").exists() and not Path(recipe.output).exists(), (
        "an estimate leaves nothing behind"
    )
    recipe.stages(plan).run()
    assert all(cost.done for cost in jx.experiments.estimate_costs(recipe, plan).stages)


def test_evaluations_on_the_way_are_counted(
    recipe: jx.experiments.Recipe, tiny: dict[str, jx.Task]
) -> None:
    def scored(**changes: Any) -> int:
        mine = dataclasses.replace(recipe, intermediate={**STEPS, "max_steps": 10, **changes})
        plan = mine.plan(["mood"], [tiny["pairing"]])
        return {
            cost.stage: cost.scored_tokens
            for cost in jx.experiments.estimate_costs(mine, plan).stages
        }["mood, seed 1"]

    once = scored(eval_strategy="steps", eval_steps=10)
    assert once > 0 == scored() == scored(eval_strategy="steps")
    assert scored(eval_strategy="steps", eval_steps=3) == scored(eval_strategy="epoch") == 3 * once
    assert scored(eval_strategy="steps", eval_steps=0.5) == 2 * once


def test_parameters_are_counted_without_making_them() -> None:
    from transformers import XLMRobertaConfig

    large = XLMRobertaConfig(
        vocab_size=250_002,
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=4096,
        max_position_embeddings=514,
        type_vocab_size=1,
    )
    # 24 layers of 12 h^2 + 13 h, and the norm of the embeddings; no pooler, which nothing reads
    assert parameter_count(large) == 24 * (12 * 1024**2 + 13 * 1024) + 2 * 1024


def test_candidates_are_read_too(recipe: jx.experiments.Recipe, tiny: dict[str, jx.Task]) -> None:
    rows = [{"id": f"c{i}", "candidate": "a long sentence of many words " * 3} for i in range(20)]
    corpus = jx.Retrieval(name="corpus", source=jx.Rows({"validation": rows}))
    question = [{"id": "q0", "query": "a sentence", "relevant": ["c0"]}]
    queries = jx.Rows({"validation": question})
    task = jx.Retrieval(
        name="asked", source=queries, corpus=corpus.source, pool="language", relevant="relevant"
    )
    (cost,) = jx.experiments.estimate_costs(recipe, recipe.plan([], [task])).stages
    assert cost.scored_tokens > 20 * 10, "twenty candidates, not one query alone"
