"""A recipe plans stages that run once, trains what it says, and scores rows that have labels."""

# ruff: noqa: F811, a fixture is asked for by its name

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from recipe_fixtures import STEPS, recipe, score, tiny  # noqa: F401, the fixtures
from transformers.utils import logging

import jiantx as jx
from jiantx.experiments import CHANCE, DEVELOPMENT, Recipe
from jiantx.experiments import rows as rows_module
from jiantx.experiments import training as training_module
from jiantx.report import MAIN
from jiantx.sources import DataError
from jiantx.tasks import get_task

Tasks = dict[str, jx.Task]


@pytest.fixture
def scored_models(monkeypatch: pytest.MonkeyPatch) -> list[jx.MultitaskModel]:
    """The model of each call of `evaluate`, in order."""
    models = []

    def evaluate(model: jx.MultitaskModel, *arguments: Any, **options: Any) -> jx.Report:
        models.append(model)
        return jx.evaluate(model, *arguments, **options)

    monkeypatch.setattr(training_module, "evaluate", evaluate)
    return models


# --- plans ----------------------------------------------------------------------------------------


def test_targets_that_are_trained_alike_share_a_stage(recipe: Recipe, tiny: Tasks) -> None:
    targets = [tiny["mood"], tiny["moods"], tiny["pairing"]]
    plan = recipe.plan(["stars"], targets, seeds=2)
    expected: list[tuple[str, int, tuple[str, ...]]] = []
    for seed in (1, 2):
        for row in ("none", "stars"):
            expected.append((row, seed, ("mood", "moods")))
            expected.append((row, seed, ("pairing",)))
    assert [(cell.row, cell.seed, cell.names) for cell in plan] == expected
    assert len(recipe.stages(plan).stages) == 2 * (1 + 2 * 2)


@pytest.mark.parametrize("seeds", [[1, 2], 0, "3", 1.5, None])
def test_seeds_are_a_number(recipe: Recipe, tiny: Tasks, seeds: Any) -> None:
    with pytest.raises(ValueError, match=r"seeds=.* Expected how many seeds are run, at least 1"):
        recipe.plan(["stars"], [tiny["mood"]], seeds=seeds)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_train_examples": 0}, "max_train_examples=0. Expected a whole number"),  # not all
        ({"max_train_examples": -5}, "max_train_examples=-5"),  # not all but five
        ({"eval_examples": -3}, "eval_examples=-3"),
        ({"shots": 0, "train_languages": ("de",)}, "shots=0"),  # not all rows
        ({"patience": 0}, "patience=0"),
        ({"max_length": {"mood": 0}}, r"max_length\['mood'\]=0"),
        ({"shots": 5}, "shots=5 needs languages"),
        ({"target": {"auto_find_batch_size": True}}, "target: .* is not supported"),
    ],
)
def test_what_would_have_no_effect_is_refused(
    changes: dict[str, Any], message: str, recipe: Recipe
) -> None:
    with pytest.raises(ValueError, match=f"Recipe: {message}"):
        replace(recipe, **changes)


def test_what_has_no_effect_is_said(
    recipe: Recipe, tiny: Tasks, caplog: pytest.LogCaptureFixture
) -> None:
    logging.enable_propagation()
    replace(recipe, patience=7)
    replace(recipe, languages=("en", "ed")).plan([], [tiny["mood"]])
    logging.disable_propagation()
    assert "patience=7 has no effect, because no training is evaluated" in caplog.text
    assert "no target has rows in 'ed'. They have: de, en, zh" in caplog.text


@pytest.mark.parametrize("field", ["by_task", "max_length"])
def test_names_of_trained_tasks_are_checked(recipe: Recipe, tiny: Tasks, field: str) -> None:
    def plan(name: str) -> object:
        if field == "by_task":
            changed = replace(recipe, by_task={name: {"max_steps": 2}})
        else:
            changed = replace(recipe, max_length={name: 9})
        return changed.plan([], [tiny["moods"]])

    with pytest.raises(ValueError, match=f"Recipe: {field} names 'moood'.* Did you mean 'mood'"):
        plan("moood")
    with pytest.raises(ValueError, match=r"'moods', which is trained on other tasks.*names: mood"):
        plan("moods")
    assert plan("mood") and plan("mnli")  # a task that another table trains


def test_one_row_and_one_target_need_no_list(recipe: Recipe, tiny: Tasks) -> None:
    plan = recipe.plan("stars", tiny["mood"])  # type: ignore[arg-type]
    assert list(plan) == list(recipe.plan(["stars"], ["mood"]))


def test_a_misspelt_split_or_target_is_refused(recipe: Recipe, tiny: Tasks) -> None:
    with pytest.raises(DataError, match=r"no split 'validaton'\. Did you mean 'validation'"):
        replace(recipe, splits=("validaton",)).plan([], [tiny["mood"]])
    with pytest.raises(LookupError, match="Did you mean 'mnli'"):
        recipe.plan([], ["mnlii"])


def stage_keys(recipe: Recipe, target: jx.Task, /, **changes: Any) -> set[str]:
    """The keys of the stages of two rows: two target stages and an intermediate one."""
    changed = replace(recipe, **changes)
    return {stage.key for stage in changed.stages(changed.plan(["stars"], [target]))}


@pytest.mark.parametrize(
    "changes",
    [
        {"target": {**STEPS, "learning_rate": 1.0}},
        {"by_task": {"mood": {"learning_rate": 1.0}}},
        {"max_length": {"mood": 64}},
        {"languages": ("de",)},
        {"splits": ("train",)},
        {"adapt": "lora"},
        {"shots": 3, "train_languages": ("en",)},
    ],
)
def test_changes_of_the_fine_tuning_change_target_stages_only(
    changes: dict[str, Any], recipe: Recipe, tiny: Tasks
) -> None:
    unchanged = stage_keys(recipe, tiny["mood"])
    assert len(unchanged - stage_keys(recipe, tiny["mood"], **changes)) == 2


@pytest.mark.parametrize(
    "changes", [{"max_train_examples": 3}, {"eval_examples": 3}, {"patience": 3}]
)
def test_changes_of_every_training_change_all_stages(
    changes: dict[str, Any], recipe: Recipe, tiny: Tasks
) -> None:
    unchanged = stage_keys(recipe, tiny["mood"])
    assert not unchanged & stage_keys(recipe, tiny["mood"], **changes)


def test_arguments_of_another_training_change_no_stage(recipe: Recipe, tiny: Tasks) -> None:
    by_task = {"pairs": {"learning_rate": 1.0}}
    changed = stage_keys(recipe, tiny["mood"], by_task=by_task)
    assert changed == stage_keys(recipe, tiny["mood"])


def test_another_declaration_under_the_same_name_changes_stages(
    recipe: Recipe, tiny: Tasks
) -> None:
    changed = tiny["mood"].replace(label=lambda row: row["label"])
    assert len(stage_keys(recipe, tiny["mood"]) - stage_keys(recipe, changed)) == 2


def test_finetuning_stages_follow_the_training_languages(recipe: Recipe, tiny: Tasks) -> None:
    def stages(**changes: Any) -> list[tuple[str, tuple[str, ...], int | None]]:
        finetuning_stages = replace(recipe, **changes).finetuning_stages(tiny["moods"])
        return [(task.name, task.train_languages, max_rows) for task, max_rows in finetuning_stages]

    assert stages() == [("mood", ("en",), None)]
    assert stages(train_languages=("de", "zh")) == [("mood", ("de", "zh"), None)]
    in_two_stages = [("mood", ("en",), None), ("mood", ("de",), 5)]
    assert stages(train_languages=("de",), shots=5) == in_two_stages
    untrained = tiny["mood"].replace(source=jx.Rows({"test": {"de": []}}))
    assert recipe.finetuning_stages(untrained) == []


def test_splits_without_labels_are_not_scored(recipe: Recipe, tiny: Tasks) -> None:
    unlabelled = [{**row, "label": -1} for row in tiny["mood"].rows("train")]
    source = tiny["mood"].source
    assert isinstance(source, jx.Rows)
    mood = tiny["mood"].replace(source=jx.Rows({**source.splits, "test": unlabelled}))
    assert recipe.labelled_languages(mood, "validation") == ["en", "de", "zh"]
    assert recipe.labelled_languages(mood, "test") == []
    with pytest.raises(DataError, match="Nothing to score of mood: no labelled rows of test here"):
        replace(recipe, splits=("test",)).plan([], [mood])


# --- runs -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_table_runs_once(recipe: Recipe, tiny: Tasks) -> None:
    targets = [tiny["mood"], tiny["moods"], tiny["pairing"]]
    report = recipe.run(["stars"], targets, seeds=2)
    scores = report.where(metric=MAIN)
    expected = {("pairing", "en")}
    for task in ("mood", "moods"):
        expected |= {(task, language) for language in ("en", "de", "zh")}
    assert {(record.task, record.language) for record in scores} == expected
    runs = {(record.tags["intermediate"], record.tags["seed"]) for record in scores}
    assert runs == {("none", 1), ("none", 2), ("stars", 1), ("stars", 2)}
    assert {record.metric for record in report.where(task="mood")} >= {DEVELOPMENT, CHANCE}
    stages = recipe.stages(recipe.plan(["stars"], targets, seeds=2))
    timings = stages.timings()
    assert list(recipe.run(["stars"], targets, seeds=2)) == list(report)
    assert stages.timings() == timings


@pytest.mark.parametrize(
    ("changes", "evaluations"), [({}, 1), ({"eval_examples": 2}, 2), ({"languages": ("de",)}, 2)]
)
def test_validation_rows_are_not_scored_twice(
    recipe: Recipe,
    tiny: Tasks,
    scored_models: list[jx.MultitaskModel],
    changes: dict[str, Any],
    evaluations: int,
) -> None:
    report = replace(recipe, **changes).run([], [tiny["mood"]])
    assert len(scored_models) == evaluations
    (development,) = report.where(metric=DEVELOPMENT)
    all_rows = len(tiny["mood"].rows("validation"))
    assert development.examples == changes.get("eval_examples", all_rows)
    if evaluations == 1:
        (main_score,) = report.where(metric=MAIN, language="en")
        assert development.value == main_score.value


@pytest.mark.parametrize("adapt", ["full", "lora", "frozen"])
def test_adapt_chooses_the_trained_weights(
    adapt: Any, recipe: Recipe, tiny: Tasks, scored_models: list[jx.MultitaskModel]
) -> None:
    target = {**STEPS, "learning_rate": 0.05}
    replace(recipe, adapt=adapt, target=target).run([], [tiny["mood"]])
    model = jx.MultitaskModel.from_pretrained(recipe.encoder, [tiny["mood"]])
    pretrained = model.encoder.state_dict()
    trained = scored_models[-1].encoder.state_dict()
    changed = [name for name in trained if not torch.equal(trained[name], pretrained[name])]
    if adapt == "frozen":
        assert not changed
    elif adapt == "lora":
        attention = ("attention", "query", "value")
        assert changed
        assert all(any(module in name for module in attention) for name in changed)
    else:
        assert any("word_embeddings" in name for name in changed)


EVALUATED: dict[str, Any] = {
    **STEPS,
    "eval_strategy": "steps",
    "eval_steps": 1,
    "save_strategy": "steps",
    "save_steps": 1,
    "load_best_model_at_end": True,
}


def test_a_training_without_improvement_stops_early(recipe: Recipe, tiny: Tasks) -> None:
    target = {**EVALUATED, "max_steps": 50, "learning_rate": 0.0, "save_total_limit": 1}
    patient = replace(recipe, target=target, patience=2, eval_examples=4)
    plan = patient.plan([], [tiny["mood"]])
    patient.stages(plan).run()
    (stage,) = plan.values()
    folder = patient.stages(plan).folder_of(stage)
    states = sorted(folder.rglob("trainer_state.json"), key=lambda path: path.stat().st_mtime)
    steps = json.loads(states[-1].read_text())["global_step"]
    assert steps == 3, "one evaluation, and two without improvement"


def test_patience_needs_no_name_of_a_metric(recipe: Recipe, tiny: Tasks) -> None:
    """transformers' callback would end the run with an AssertionError."""
    target = {**STEPS, "eval_strategy": "steps", "eval_steps": 1}
    report = replace(recipe, target=target, patience=2).run([], [tiny["mood"]])
    assert report.mean() >= 0


def test_one_task_is_read_whole_and_several_up_to_the_cap(
    recipe: Recipe, tiny: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "_PAPER_CAP", 2)
    one_epoch = {
        **STEPS,
        "max_steps": -1,
        "num_train_epochs": 1,
        "per_device_train_batch_size": 1,
        "save_strategy": "epoch",
    }
    epoch_recipe = replace(recipe, intermediate=one_epoch)

    def steps(row: str) -> int:
        stages = epoch_recipe.stages(epoch_recipe.plan([row], [tiny["pairing"]]))
        (intermediate,) = (stage for stage in stages if stage.name == f"{row}, seed 1")
        jx.experiments.Stages(Path(epoch_recipe.output), [intermediate]).run()
        (state,) = stages.folder_of(intermediate).rglob("trainer_state.json")
        return int(json.loads(state.read_text())["global_step"])

    assert steps("mood") == len(tiny["mood"].rows("train", "en")) > 2
    assert steps("mood+stars") == 4


def test_translations_are_evaluated_in_english(recipe: Recipe, tiny: Tasks) -> None:
    """Machine translations of MNLI, in the preset `paper`, have no validation rows."""
    mood = tiny["mood"]
    splits = {"train": {"de": mood.rows("train")}, "validation": {"en": mood.rows("validation")}}
    tiny["translated"] = mood.replace(
        name="translated", source=jx.Rows(splits), train_languages=("de",)
    )
    only_training = jx.Rows({"train": mood.rows("train")})
    tiny["unvalidated"] = mood.replace(name="unvalidated", source=only_training)
    evaluated = replace(recipe, intermediate=EVALUATED, patience=2, eval_examples=4)
    tasks = evaluated.validation_tasks([tiny["translated"], tiny["unvalidated"]])
    assert [task.train_languages for task in tasks] == [("en",)]
    report = evaluated.run(["translated", "unvalidated"], [tiny["pairing"]])
    assert len(report.where(metric=MAIN)) == 3


def test_tasks_with_a_corpus_are_not_evaluated_during_training(recipe: Recipe) -> None:
    assert recipe.validation_tasks([get_task("lareqa"), get_task("mewslix")]) == []


@pytest.mark.slow
def test_changed_training_rows_are_counted(recipe: Recipe, tiny: Tasks) -> None:
    tiny["brief"] = tiny["mood"].replace(name="brief", max_length=5)
    tiny["mood"] = tiny["mood"].replace(max_length=5)  # as an intermediate task
    report = replace(recipe, max_length={"mood": 6}).run(["mood", "brief"], [tiny["mood"]])
    counts = {}
    for record in report.where(split="train"):
        key = (record.task, record.tags["intermediate"], record.tags.get("stage"))
        counts[key] = record.value
        assert 0 < record.value <= record.examples == len(tiny["mood"].rows("train"))
    assert counts.keys() == {
        ("mood", "mood", "intermediate"),
        ("brief", "brief", "intermediate"),
        ("mood", "none", None),
        ("mood", "mood", None),
        ("mood", "brief", None),
    }
    assert counts["mood", "mood", "intermediate"] > counts["mood", "mood", None]

    # a row that has counts but no scores is not one of those to choose from
    unscored = [r for r in report if r.tags["intermediate"] != "mood" or r.split == "train"]
    for row, development in (("none", 40), ("brief", 60)):
        unscored.append(score(row, 1, development, "mnli", DEVELOPMENT))
        unscored.append(score(row, 1, 50, "xnli", split="validation"))
        unscored.append(score(row, 1, 50, "xnli", split="test"))
    best = jx.experiments.best_rows(jx.Report(unscored), [get_task("xnli")])
    assert best == {"xnli": "brief"}


def test_two_fine_tunings_may_end_on_the_same_task(recipe: Recipe, tiny: Tasks) -> None:
    """XCOPA is fine-tuned on SIQA and then on COPA, and COPA on itself."""
    tiny["first"] = tiny["mood"].replace(name="first", head="mood")
    second = tiny["mood"].replace(name="second", train_on=("first", "mood"), head="mood")
    report = recipe.run([], [tiny["mood"], second])
    names = [record.task for record in report.where(metric=DEVELOPMENT)]
    assert names == ["mood", "first+mood"]


def test_changes_of_several_finetuning_stages_are_told_apart(recipe: Recipe, tiny: Tasks) -> None:
    brief = tiny["mood"].replace(max_length=5)
    report = replace(recipe, train_languages=("en",), shots=3).run([], [brief])
    counts = report.where(split="train")
    assert {record.tags["finetuning_stage"] for record in counts} == {0, 1}
