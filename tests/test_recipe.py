"""Rows, courses and stages of the recipe; what failed, what is best; what it costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import jiantx as jx
from jiantx.experiments import recipe as module
from jiantx.experiments import rows
from jiantx.experiments.recipe import CHANCE, DEVELOPMENT
from jiantx.report import MAIN
from jiantx.sources import DataError
from jiantx.tasks import get_task

STEPS: dict[str, Any] = {"max_steps": 1, "per_device_train_batch_size": 4, "disable_tqdm": True}


@pytest.fixture
def tiny(tiny_tasks: dict[str, jx.Task], monkeypatch: pytest.MonkeyPatch) -> dict[str, jx.Task]:
    """Tiny tasks by their names, as if they were registered."""
    expected_names = {task.name: task for task in tiny_tasks.values()}
    expected_names["moods"] = expected_names["mood"].replace(
        name="moods", train_on=("mood",), head="mood"
    )

    def look_up(name: str) -> jx.Task:
        return expected_names[name] if name in expected_names else get_task(name)

    monkeypatch.setattr(module, "get_task", look_up)
    monkeypatch.setattr(rows, "get_task", look_up)
    monkeypatch.setattr("jiantx.tasks.registry.get_task", look_up)
    return expected_names


@pytest.fixture
def recipe(encoder_folder: Any, tmp_path: Path) -> jx.experiments.Recipe:
    return jx.experiments.Recipe(
        encoder=encoder_folder(), output=tmp_path / "out", intermediate=STEPS, target=STEPS
    )


# --- rows -----------------------------------------------------------------------------------------


def test_rows() -> None:
    def read(words: str) -> list[tuple[str, tuple[str, ...]]]:
        return [(task.name, task.train_languages) for task in jx.experiments.parse_row(words)]

    assert read("none") == []
    assert read("mnli[en, de]+squad_v1") == [("mnli", ("en", "de")), ("squad_v1", ("en",))]
    assert [name for name, _ in read("all")] == list(jx.XSTILTS_INTERMEDIATE)
    assert len(read("all+mlm")) == 10


def test_plain_text_is_of_all_languages_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "mlm").mkdir()
    for code in ("en", "sw"):
        (tmp_path / "mlm" / f"{code}.train.txt").write_text("some text\n")
    jx.data_root(tmp_path)
    assert jx.experiments.parse_row("mnli+mlm")[1].train_languages == ("en", "sw")
    assert jx.experiments.parse_row("mnli+mlm[sw]")[1].train_languages == ("sw",)


@pytest.mark.parametrize(
    "words", ["", "mnli+", "mnli[", "mnli[]", "mnli]de[", "MNLI", "mnli+mnli", "all+mnli"]
)
def test_what_is_no_row(words: str) -> None:
    with pytest.raises(ValueError, match=r"no row|names mnli twice"):
        jx.experiments.parse_row(words)


def test_unknown_task_of_a_row() -> None:
    with pytest.raises(LookupError, match="mnli"):
        jx.experiments.parse_row("mnlli")


# --- plans and runs -------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_table_runs_once(recipe: jx.experiments.Recipe, tiny: dict[str, jx.Task]) -> None:
    targets = [tiny["mood"], tiny["moods"], tiny["pairing"]]
    plan = recipe.plan(["stars"], targets, seeds=2)
    assert [(cell.row, cell.seed, cell.names) for cell in plan] == [
        (row, seed, names)
        for seed in (1, 2)
        for row in ("none", "stars")
        for names in (("mood", "moods"), ("pairing",))
    ], "targets that are trained alike share a stage"
    assert len(recipe.stages(plan).stages) == 2 * (1 + 2 * 2)
    report = recipe.run(["stars"], targets, seeds=2)
    scores = report.where(metric=MAIN)
    assert {(r.task, r.language) for r in scores} == {
        *((task, code) for task in ("mood", "moods") for code in ("en", "de", "zh")), ("pairing", "en"),
    }  # fmt: skip
    assert {(r.tags["intermediate"], r.tags["seed"]) for r in scores} == {
        (w, s) for w in ("none", "stars") for s in (1, 2)
    }
    assert {r.metric for r in report if r.task == "mood"} >= {DEVELOPMENT, CHANCE}
    stages = recipe.stages(plan)
    before = stages.timings()
    assert (
        list(recipe.run(["stars"], targets, seeds=2)) == list(report) and stages.timings() == before
    )


@pytest.mark.parametrize(
    ("changes", "passes"), [({}, 1), ({"eval_examples": 2}, 2), ({"languages": ("de",)}, 2)]
)
def test_development_rows_that_are_scored_are_not_scored_again(
    recipe: jx.experiments.Recipe,
    tiny: dict[str, jx.Task],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    passes: int,
) -> None:
    import dataclasses

    scored = []
    monkeypatch.setattr(
        module, "evaluate", lambda *a, **k: scored.append(k) or jx.evaluate(*a, **k)
    )
    report = dataclasses.replace(recipe, **changes).run([], [tiny["mood"]])
    assert len(scored) == passes
    (actual,) = report.where(metric=DEVELOPMENT)
    assert actual.examples == changes.get("eval_examples", len(tiny["mood"].rows("validation")))
    if passes == 1:
        assert actual.value == report.where(metric=MAIN, language="en").records[0].value


def test_inputs_tell_recipes_apart(recipe: jx.experiments.Recipe, tiny: dict[str, jx.Task]) -> None:
    import dataclasses

    def keys(**changes: Any) -> set[str]:
        changed = dataclasses.replace(recipe, **changes)
        return {
            stage.key for stage in changed.stages(changed.plan(["stars"], [tiny["mood"]])).stages
        }

    for changes in (
        {"target": {**STEPS, "learning_rate": 1.0}},
        {"by_task": {"mood": {"learning_rate": 1.0}}},
        {"max_length": {"mood": 64}},
        {"languages": ("de",)},
        {"splits": ("train",)},
        {"adapt": "lora"},
        {"shots": 3, "train_languages": ("en",)},
    ):
        assert len(keys() - keys(**changes)) == 2, (
            f"{changes}: two target stages, not the intermediate one"
        )
    for changes in ({"max_train_examples": 3}, {"eval_examples": 3}, {"patience": 3}):
        assert not keys() & keys(**changes)
    assert len(keys() - keys(by_task={"pairs": {"learning_rate": 1.0}})) == 0, "of another training"
    before = keys()
    tiny["mood"] = tiny["mood"].replace(label=lambda row: row["label"])
    assert len(before - keys()) == 2, "a task that is declared otherwise, by the same name"


@pytest.mark.parametrize("adapt", ["full", "lora", "frozen"])
def test_what_a_target_trains(
    adapt: Any,
    recipe: jx.experiments.Recipe,
    tiny: dict[str, jx.Task],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import dataclasses

    seen: list[jx.MultitaskModel] = []
    score = module.evaluate
    monkeypatch.setattr(
        module, "evaluate", lambda model, *a, **k: seen.append(model) or score(model, *a, **k)
    )
    arguments = {**STEPS, "learning_rate": 0.05}
    mine = dataclasses.replace(recipe, adapt=adapt, target=arguments)
    mine.run([], [tiny["mood"]])
    start = jx.MultitaskModel.from_pretrained(recipe.encoder, [tiny["mood"]]).encoder.state_dict()
    moved = {
        name
        for name, value in seen[-1].encoder.state_dict().items()
        if not torch.equal(value, start[name])
    }
    if adapt == "frozen":
        assert not moved
    elif adapt == "lora":
        assert moved and all(
            "attention" in name or "query" in name or "value" in name for name in moved
        )
    else:
        assert any("word_embeddings" in name for name in moved)


def test_courses(recipe: jx.experiments.Recipe, tiny: dict[str, jx.Task]) -> None:
    import dataclasses

    def course(**changes: Any) -> list[tuple[str, tuple[str, ...], int | None]]:
        actual = dataclasses.replace(recipe, **changes).finetuning_stages(tiny["moods"])
        return [(task.name, task.train_languages, maximum) for task, maximum in actual]

    assert course() == [("mood", ("en",), None)]
    assert course(train_languages=("de", "zh")) == [("mood", ("de", "zh"), None)]
    assert course(train_languages=("de",), shots=5) == [
        ("mood", ("en",), None),
        ("mood", ("de",), 5),
    ]
    assert (
        recipe.finetuning_stages(tiny["mood"].replace(source=jx.Rows({"test": {"de": []}}))) == []
    )


def test_a_stopped_training_ends_early_and_keeps_the_best(
    recipe: jx.experiments.Recipe, tiny: dict[str, jx.Task]
) -> None:
    import dataclasses

    arguments = {
        **STEPS, "max_steps": 50, "learning_rate": 0.0, "eval_strategy": "steps", "eval_steps": 1,
        "save_strategy": "steps", "save_steps": 1, "load_best_model_at_end": True, "save_total_limit": 1,
    }  # fmt: skip
    mine = dataclasses.replace(recipe, target=arguments, patience=2, eval_examples=4)
    plan = mine.plan([], [tiny["mood"]])
    mine.stages(plan).run()
    (stage,) = plan.values()
    folder = mine.stages(plan).folder_of(stage)
    states = sorted(folder.rglob("trainer_state.json"), key=lambda path: path.stat().st_mtime)
    assert json.loads(states[-1].read_text())["global_step"] == 3, (
        "one evaluation, and two without a gain"
    )


def test_one_task_is_read_whole_and_several_up_to_the_cap(
    recipe: jx.experiments.Recipe, tiny: dict[str, jx.Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    monkeypatch.setattr(rows, "_PAPER_CAP", 2)
    epoch = {**STEPS, "max_steps": -1, "num_train_epochs": 1, "per_device_train_batch_size": 1}
    epoch |= {"save_strategy": "epoch"}
    mine = dataclasses.replace(recipe, intermediate=epoch)

    def steps(words: str) -> int:
        stages = mine.stages(mine.plan([words], [tiny["pairing"]]))
        (trained,) = (stage for stage in stages if stage.name == f"{words}, seed 1")
        jx.experiments.Stages(Path(mine.output), [trained]).run()
        (state,) = stages.folder_of(trained).rglob("trainer_state.json")
        return int(json.loads(state.read_text())["global_step"])

    assert steps("mood") == len(tiny["mood"].rows("train", "en")) > 2
    assert steps("mood+stars") == 4


BEST: dict[str, Any] = {
    **STEPS, "eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1,
    "load_best_model_at_end": True,
}  # fmt: skip


def test_translations_are_evaluated_in_english(
    recipe: jx.experiments.Recipe, tiny: dict[str, jx.Task]
) -> None:
    """`--preset paper` ended in the row mnli[de,ru,sw], whose translations have no development
    rows.
    """
    import dataclasses

    mood = tiny["mood"]
    rows = {"train": {"de": mood.rows("train")}, "validation": {"en": mood.rows("validation")}}
    tiny["translated"] = mood.replace(
        name="translated", source=jx.Rows(rows), train_languages=("de",)
    )
    tiny["bare"] = mood.replace(name="bare", source=jx.Rows({"train": mood.rows("train")}))
    mine = dataclasses.replace(recipe, intermediate=BEST, target=STEPS, patience=2, eval_examples=4)
    assert [
        task.train_languages for task in mine.validation_tasks([tiny["translated"], tiny["bare"]])
    ] == [("en",)]
    assert mine.validation_tasks([get_task("lareqa"), get_task("mewslix")]) == []
    assert len(mine.run(["translated", "bare"], [tiny["pairing"]]).where(metric=MAIN)) == 3


def test_splits_without_labels_are_not_scored(
    recipe: jx.experiments.Recipe, tiny: dict[str, jx.Task]
) -> None:
    import dataclasses

    blind = [{**row, "label": -1} for row in tiny["mood"].rows("train")]
    mood = tiny["mood"].replace(source=jx.Rows({**tiny["mood"].source.splits, "test": blind}))
    mine = dataclasses.replace(recipe, splits=("validation", "test"))
    assert (
        mine.labelled_languages(mood, "validation") == ["en", "de", "zh"]
        and mine.labelled_languages(mood, "test") == []
    )
    with pytest.raises(DataError, match="Nothing to score of mood: no labelled rows of test here"):
        dataclasses.replace(recipe, splits=("test",)).plan([], [mood])


def test_changed_training_rows_are_counted(
    recipe: jx.experiments.Recipe, tiny: dict[str, jx.Task]
) -> None:
    import dataclasses

    tiny["brief"] = tiny["mood"].replace(name="brief", max_length=5)
    tiny["mood"] = tiny["mood"].replace(
        max_length=5
    )  # as an intermediate task; as a target it has 6
    mine = dataclasses.replace(recipe, max_length={"mood": 6})
    report = mine.run(["mood", "brief"], [tiny["mood"]])
    actual = {
        (r.task, r.tags["intermediate"], r.tags.get("stage")): r
        for r in report.where(split="train")
    }
    assert actual.keys() == {
        ("mood", "mood", "intermediate"), ("brief", "brief", "intermediate"),
        *(("mood", row, None) for row in ("none", "mood", "brief")),
    }  # fmt: skip
    assert all(
        0 < r.value <= r.examples == len(tiny["mood"].rows("train")) for r in actual.values()
    )
    assert actual["mood", "mood", "intermediate"].value > actual["mood", "mood", None].value
    item = jx.Report(r for r in report if r.tags["intermediate"] != "mood" or r.split == "train")
    more = [
        score(row, 1, 50, "xnli", split=split)
        for row in ("none", "brief")
        for split in ("validation", "test")
    ]
    more.append(score("brief", 1, 60, "mnli", DEVELOPMENT))
    more.append(score("none", 1, 40, "mnli", DEVELOPMENT))
    assert jx.experiments.best_rows(item + jx.Report(more), [get_task("xnli")]) == {
        "xnli": "brief"
    }, "a row without scores is none"


def test_two_courses_may_end_alike(recipe: jx.experiments.Recipe, tiny: dict[str, jx.Task]) -> None:
    """As xcopa, which is trained on siqa and copa, and copa."""
    tiny["first"] = tiny["mood"].replace(name="first", head="mood")
    both = [
        tiny["mood"],
        tiny["mood"].replace(name="second", train_on=("first", "mood"), head="mood"),
    ]
    actual = recipe.run([], both).where(metric=DEVELOPMENT)
    assert [record.task for record in actual] == ["mood", "first+mood"]


# --- what is said of a report ---------------------------------------------------------------------


def score(
    row: str, seed: int, value: float, task: str = "xnli", metric: str = MAIN, **more: Any
) -> jx.Score:
    fields = {"split": "validation", "language": "en", "examples": 100, **more}
    return jx.Score(
        task, metric=metric, value=value, tags={"intermediate": row, "seed": seed}, **fields
    )


def test_failed_runs_are_told_apart() -> None:
    records = []
    for row, seed, value in (
        ("none", 1, 70.0),
        ("none", 2, 36.0),
        ("mnli", 1, 34.0),
        ("mnli", 2, 33.0),
    ):
        records += [
            score(row, seed, value, "mnli", DEVELOPMENT),
            score(row, seed, 33.0, "mnli", CHANCE),
        ]
        records += [score(row, seed, value), score(row, seed, value / 2, "udpos")]
    report = jx.Report(records)
    assert jx.experiments.failed_runs(report) == {
        ("none", 2): ["mnli"],
        ("mnli", 1): ["mnli"],
        ("mnli", 2): ["mnli"],
    }
    remaining = jx.experiments.without_failed(
        report.where(metric=MAIN), [get_task("xnli"), get_task("udpos")]
    )
    assert list(remaining) == [r for r in report if r.metric == MAIN], (
        "what failed is known from the whole report only"
    )
    remaining = jx.experiments.without_failed(report, [get_task("xnli"), get_task("udpos")]).where(
        metric=MAIN, task="xnli"
    )
    assert [(r.tags["intermediate"], r.tags["seed"]) for r in remaining] == [
        ("none", 1),
        ("mnli", 1),
        ("mnli", 2),
    ], "a row that failed with every seed is left as it is: there is nothing else to show"
    done = jx.Report(r for r in report if (r.tags["intermediate"], r.tags["seed"]) != ("mnli", 2))
    remaining = jx.experiments.without_failed(done, [get_task("xnli")]).where(
        metric=MAIN, task="xnli", intermediate="mnli"
    )
    assert len(remaining) == 1, "so is one whose other seeds are not done"


def test_best_rows_are_chosen_in_development() -> None:
    records = []
    for row, dev, test, squad in (("none", 60, 80, 50), ("mnli", 65, 70, 55), ("qqp", 62, 90, 40)):
        records += [
            score(row, 1, dev),
            score(row, 1, test, split="test"),
            score(row, 1, squad, "squad_v1", DEVELOPMENT),
            score(row, 1, test, "tydiqa", DEVELOPMENT),
        ]
        one_set = ("xquad", "tatoeba", "tydiqa")  # what is called development is what is tested
        records += [
            score(row, 1, test, name, split=split)
            for name in one_set
            for split in ("validation", "test")
        ]
    targets = [get_task(name) for name in ("xnli", "xquad", "tatoeba")]
    targets.append(get_task("tydiqa").replace(source=jx.Rows({"train": [{}]})))
    assert jx.experiments.best_rows(jx.Report(records), targets) == dict.fromkeys(
        ("xnli", "xquad", "tatoeba", "tydiqa"), "mnli"
    )
