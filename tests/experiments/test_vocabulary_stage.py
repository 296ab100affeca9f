"""A table on a trimmed vocabulary: the same scores, from an encoder that is trimmed once."""

# ruff: noqa: F811, a fixture is asked for by its name

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from recipe_fixtures import STEPS, recipe, tiny  # noqa: F401, the fixtures
from transformers import AutoConfig, AutoModelForMaskedLM

import jiantx as jx
from jiantx.experiments import Recipe, Stage
from jiantx.model import MultitaskConfig, vocabulary
from jiantx.report import MAIN

Tasks = dict[str, jx.Task]


def vocabulary_stages(recipe: Recipe, rows: list[str], targets: list[jx.Task]) -> list[Stage]:
    plan = recipe.plan(rows, targets, seeds=2)
    return [stage for stage in recipe.stages(plan) if stage.name == "vocabulary"]


@pytest.mark.slow
def test_scores_are_the_same_from_fewer_pieces(
    recipe: Recipe, tiny: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    trimmed = replace(recipe, trim_vocabulary=True)
    rows = ["stars"]
    targets = [tiny["mood"], tiny["pairing"]]
    trimmed_scores = trimmed.run(rows, targets)
    whole_scores = recipe.run(rows, targets)
    assert [(s.task, s.language, s.tags) for s in trimmed_scores] == [
        (s.task, s.language, s.tags) for s in whole_scores
    ], "also the tags: the encoder is the same"
    for trimmed_score, whole_score in zip(trimmed_scores, whole_scores, strict=True):
        assert trimmed_score.value == pytest.approx(whole_score.value, nan_ok=True), whole_score
    (stage,) = vocabulary_stages(trimmed, rows, targets)
    folder = trimmed.stages(trimmed.plan(rows, targets)).folder_of(stage)
    size = AutoConfig.from_pretrained(folder / "encoder").vocab_size
    assert size < AutoConfig.from_pretrained(recipe.encoder).vocab_size
    # nothing is trimmed, trained or scored again
    monkeypatch.setattr(vocabulary, "used_token_ids", None)
    assert list(trimmed.run(rows, targets)) == list(trimmed_scores)


def test_all_rows_start_from_one_encoder_that_depends_on_the_data(
    recipe: Recipe, tiny: Tasks
) -> None:
    trimmed = replace(recipe, trim_vocabulary=True)
    targets = [tiny["mood"], tiny["pairing"]]
    (stage,) = vocabulary_stages(trimmed, ["stars", "mood"], targets)
    plan = trimmed.plan(["stars", "mood"], targets)
    for last in plan.values():
        (earlier,) = last.depends_on
        assert stage in (earlier, *earlier.depends_on)

    def key(changed: Recipe, rows: list[str], targets: list[jx.Task]) -> str:
        (changed_stage,) = vocabulary_stages(changed, rows, targets)
        return changed_stage.key

    assert key(trimmed, ["mood", "stars"], targets[::-1]) == stage.key, "in any order"
    assert key(replace(trimmed, patience=3), ["stars", "mood"], targets) == stage.key
    assert key(trimmed, ["stars", "mood", "topics"], targets) != stage.key
    assert key(trimmed, ["stars", "mood"], targets[:1]) != stage.key
    assert key(replace(trimmed, languages=("en",)), ["stars", "mood"], targets) != stage.key
    assert key(replace(trimmed, splits=("train",)), ["stars", "mood"], targets) != stage.key
    assert not vocabulary_stages(recipe, ["stars"], targets)


def test_the_data_of_every_row_and_target_are_read(
    recipe: Recipe, tiny: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[str, bool, str, str]] = []

    def used_token_ids(task: jx.Task, split: str, language: str, *_: Any, **__: Any) -> list[int]:
        read.append((task.name, getattr(task, "query", "") is None, split, language))
        return []

    monkeypatch.setattr(vocabulary, "used_token_ids", used_token_ids)
    sentences = tiny["pairing"].rows("train")
    corpus = [
        {"id": str(index), "candidate": row["candidate"]} for index, row in enumerate(sentences)
    ]
    queries = [{"query": row["query"], "relevant": "0"} for row in sentences]
    mining = jx.Retrieval(
        name="mining",
        source=jx.Rows({"validation": {"de": queries}, "test": {"de": queries, "sw": queries}}),
        corpus=jx.Rows({"validation": {"de": corpus}, "test": {"de": corpus, "sw": corpus}}),
        mining=True,
    )
    german = tiny["mood"].rows("validation", "de")
    moods = tiny["moods"].replace(source=jx.Rows({"test": {"de": german, "zh": german}}))
    changed = replace(recipe, trim_vocabulary=True, splits=("test",), languages=("de",))
    (stage,) = vocabulary_stages(changed, ["stars"], [moods, mining])
    jx.experiments.Stages(Path(recipe.output), [stage]).run()
    assert set(read) == {
        ("stars", False, "train", "en"),
        ("stars", False, "validation", "en"),
        ("mood", False, "train", "en"),
        ("mood", False, "validation", "en"),
        ("moods", False, "test", "de"),
        ("mining", False, "validation", "de"),
        ("mining", False, "test", "de"),
        ("mining", True, "validation", "de"),
        ("mining", True, "test", "de"),
    }


@pytest.mark.slow
def test_masked_lm_keeps_the_head_of_the_checkpoint(
    encoder_folder: Any, tmp_path: Path, tiny: Tasks
) -> None:
    trimmed = Recipe(
        encoder=encoder_folder(auto=AutoModelForMaskedLM),
        output=tmp_path,
        intermediate={**STEPS, "learning_rate": 0.0},
        target=STEPS,
        trim_vocabulary=True,
    )
    plan = trimmed.plan(["lines"], [tiny["pairing"]])
    stages = trimmed.stages(plan)
    stages.run()
    (stage,) = (stage for stage in stages if stage.name == "vocabulary")
    folder = stages.folder_of(stage) / "encoder_with_masked_lm"
    config = AutoConfig.from_pretrained(folder)
    assert isinstance(config, MultitaskConfig) and list(config.heads) == ["lines"]
    assert len(trimmed.report(plan).where(metric=MAIN)) == 2


def test_tokenizers_that_cannot_be_trimmed_are_refused_before_anything_runs(
    encoder_folder: Any, tmp_path: Path, tiny: Tasks
) -> None:
    for family, kind in (("bert", "WordPiece"), ("roberta", "BPE")):
        trimmed = Recipe(encoder=encoder_folder(family), output=tmp_path, trim_vocabulary=True)
        with pytest.raises(jx.DataError, match=f"cannot be trimmed: .* is a {kind} tokenizer"):
            trimmed.plan([], [tiny["mood"]])


def test_costs_list_the_stage_once(recipe: Recipe, tiny: Tasks) -> None:
    trimmed = replace(recipe, trim_vocabulary=True)
    plan = trimmed.plan(["stars"], [tiny["mood"], tiny["pairing"]])
    costs = jx.experiments.estimate_costs(trimmed, plan).stages
    assert costs[0].stage == "vocabulary"
    assert len(costs) == len(trimmed.stages(plan).stages) == 6
    untrimmed = jx.experiments.estimate_costs(recipe, recipe.plan(["stars"], [tiny["mood"]]))
    tokens = {cost.stage: cost.trained_tokens for cost in costs}
    assert tokens["vocabulary"] == 0
    assert tokens["stars, seed 1"] == untrimmed.stages[1].trained_tokens > 0
