"""A sample of the rows is scored: the same one everywhere, and no other rows change."""

# ruff: noqa: F811, a fixture is asked for by its name

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from recipe_fixtures import recipe, tiny  # noqa: F401, the fixtures

import jiantx as jx
from jiantx.experiments import DEVELOPMENT, Recipe, training
from jiantx.experiments.scored_rows import scored_task
from jiantx.report import MAIN

Tasks = dict[str, jx.Task]


def test_languages_have_the_same_rows_and_training_rows_stay(tiny: Tasks) -> None:
    mood = tiny["mood"]
    task = scored_task(mood, ("validation",), 5)
    ids = {language: task.rows("validation", language)["id"][:] for language in ("en", "de", "zh")}
    numbers = [id.removeprefix("en") for id in ids["en"]]
    assert len(set(numbers)) == 5
    assert ids["de"] == [f"de{number}" for number in numbers]
    assert numbers != ["0", "1", "2", "3", "4"], "chosen at random"
    assert len(task.rows("train")) == len(mood.rows("train"))
    assert (
        scored_task(mood, ("validation",), 99).rows("validation")["id"][:]
        == (mood.rows("validation")["id"][:])
    )
    assert task.languages("validation") == mood.languages("validation")
    assert scored_task(mood, ("validation",), None) is mood


def test_rows_that_depend_on_each_other_are_scored_together(tiny: Tasks) -> None:
    pairing = tiny["pairing"]
    assert isinstance(pairing, jx.Retrieval)
    assert scored_task(pairing, ("validation",), 5) is pairing, "its rows are the candidates"
    with_corpus = pairing.replace(corpus=pairing.source)
    sampled = scored_task(with_corpus, ("validation",), 5)
    assert len(sampled.rows("validation")) == 5
    assert sampled.corpus_task is not None
    assert len(sampled.corpus_task.rows("validation")) == len(pairing.rows("validation"))
    mining = with_corpus.replace(mining=True)
    assert scored_task(mining, ("validation",), 5) is mining
    for name in jx.XTREME:
        expected = name not in ("tatoeba", "bucc2018")
        assert jx.get_task(name).has_independent_rows == expected


@pytest.mark.slow
def test_scores_say_how_many_rows_they_are_of(
    recipe: Recipe, tiny: Tasks, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    targets = [tiny["mood"], tiny["pairing"]]
    sampled = replace(recipe, eval_rows=5, eval_examples=12)
    report = sampled.run(["stars"], targets)
    scores = report.where(metric=MAIN)
    assert {score.tags["eval_rows"] for score in scores} == {5}
    assert {score.examples for score in scores.where(task="mood")} == {5}
    assert {score.examples for score in scores.where(task="pairing")} == {16}
    # whether a run failed is still decided by all rows
    assert {s.examples for s in report.where(task="mood", metric=DEVELOPMENT)} == {12}

    plan = sampled.plan(["stars"], targets)
    jx.experiments.write_results_page(
        report, targets, sampled.stages(plan), tmp_path, splits=["validation"], command="python"
    )
    sentence = "Scores are of at most 5 rows of each language, chosen at random"
    assert sentence in capsys.readouterr().out
    assert "Scored whole: pairing." in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_the_rows_are_part_of_a_target_stage_alone(recipe: Recipe, tiny: Tasks) -> None:
    def keys(changed: Recipe) -> set[str]:
        stages = changed.stages(changed.plan(["stars"], [tiny["mood"], tiny["pairing"]]))
        return {stage.key for stage in stages}

    # the intermediate stage and the two of the target that is scored whole stay
    assert len(keys(recipe) & keys(replace(recipe, eval_rows=5))) == 3


def test_sampled_rows_cost_less(recipe: Recipe, tiny: Tasks) -> None:
    def scored_tokens(changed: Recipe) -> int:
        plan = changed.plan([], [tiny["mood"]])
        return jx.experiments.estimate_costs(changed, plan).stages[0].scored_tokens

    # English is scored once more, to decide whether the run failed
    assert scored_tokens(replace(recipe, eval_rows=1)) < scored_tokens(recipe)


def test_a_set_that_is_both_splits_is_scored_once(
    recipe: Recipe, tiny: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairing = tiny["pairing"]
    rows = {"en": pairing.rows("validation")}
    mood_rows = {"en": tiny["mood"].rows("validation")}
    one_set = pairing.replace(source=jx.Rows({"validation": rows, "test": rows}))
    two_sets = tiny["mood"].replace(
        source=jx.Rows(
            {
                "train": {"en": tiny["mood"].rows("train")},
                "validation": mood_rows,
                "test": {"en": mood_rows["en"].select(range(5))},
            }
        )
    )
    evaluated: list[tuple[str, str]] = []

    def counting_evaluate(model: Any, tasks: list[jx.Task], **options: Any) -> jx.Report:
        evaluated.extend((task.name, options["split"]) for task in tasks)
        return jx.evaluate(model, tasks, **options)

    monkeypatch.setattr(training, "evaluate", counting_evaluate)
    both = replace(recipe, splits=("validation", "test"), languages=("en",))
    report = both.run(["none"], [one_set, two_sets])
    assert evaluated.count(("pairing", "validation")) == 1
    assert ("pairing", "test") not in evaluated
    assert ("mood", "test") in evaluated
    scores = list(report.where(task="pairing", metric=MAIN))
    assert {score.split for score in scores} == {"validation", "test"}
    assert len({score.value for score in scores}) == 1
    (test_score,) = report.where(task="mood", split="test", metric=MAIN)
    assert test_score.examples == 5
