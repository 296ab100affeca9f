"""Flags and presets."""

from __future__ import annotations

from pathlib import Path

import pytest

import jiantx as jx

SHARED = Path(__file__).parents[3] / "shared"


def test_languages_are_separated_by_blanks_or_commas() -> None:
    options, _ = jx.experiments.parse_arguments(
        ["--target-train-languages", "de,sw", "ru", "--languages", "en,de"]
    )
    assert options.target_train_languages == ["de", "sw", "ru"]
    assert options.languages == ["en", "de"]


def test_flags_have_short_forms_and_defaults() -> None:
    options, _ = jx.experiments.parse_arguments(["--freeze-encoder", "--shard", "1/2"])
    assert options.adapt == "frozen"
    assert options.shard == (1, 2)
    assert options.split == ["validation"]
    options, _ = jx.experiments.parse_arguments(["--preset", "paper"])
    assert options.split == ["validation", "test"]


def test_training_flags_that_jiantx_refuses_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        jx.experiments.parse_arguments(["--target.auto_find_batch_size", "true"])
    assert "TrainingArguments(auto_find_batch_size=True) is not supp" in capsys.readouterr().err
    jx.experiments.parse_arguments(["--auto_find_batch_size", "false"])


@pytest.mark.parametrize("flag", ["--seeds", "--shots", "--max-train-examples", "--eval-rows"])
@pytest.mark.parametrize("value", ["0", "-3", "2.5"])
def test_flags_that_count_are_checked(
    flag: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        jx.experiments.parse_arguments([flag, value])
    assert f"{flag}: '{value}' is no whole number of at least 1" in capsys.readouterr().err


def test_training_flags_hold_for_both_kinds_of_training_or_for_one() -> None:
    _, flags = jx.experiments.parse_arguments(
        [
            "--max_steps",
            "3",
            "--target.learning-rate=0.5",
            "--intermediate.no_dataloader_pin_memory",
        ]
    )
    assert flags["intermediate"] == {"max_steps": 3, "dataloader_pin_memory": False}
    assert flags["target"] == {"max_steps": 3, "learning_rate": 0.5}


def test_training_flags_of_a_task_override_those_of_the_targets() -> None:
    recipe = recipe_of("--preset", "paper", "--target.max_steps", "9", "--udpos.max_steps=3")
    assert recipe.target["max_steps"] == 9
    assert recipe.by_task["udpos"] == {"num_train_epochs": 10, "max_steps": 3}
    assert recipe.by_task["panx"]["max_steps"] == 9
    assert "max_steps" not in recipe.intermediate
    assert recipe.finetuning_arguments(jx.get_task("udpos"))["max_steps"] == 3


@pytest.mark.parametrize("flag", ["--udpso.max_steps", "--targets.max_steps"])
def test_training_flags_of_no_task_are_named(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        jx.experiments.parse_arguments([flag, "3"])
    error = capsys.readouterr().err
    assert "is no kind of training (intermediate, target) and no task." in error
    assert "Did you mean" in error


# --- presets --------------------------------------------------------------------------------------


def recipe_of(*arguments: str) -> jx.experiments.Recipe:
    options, flags = jx.experiments.parse_arguments(arguments)
    if not SHARED.is_dir():
        pytest.skip("needs an encoder in ../shared")
    options.encoder = str(SHARED / "models" / "tiny-xlm")
    return jx.experiments.recipe_from_options(options, flags)


@pytest.mark.parametrize("preset", ["demo", "paper", "xtreme"])
def test_explicit_flags_override_the_preset(preset: str) -> None:
    recipe = recipe_of("--preset", preset, "--target.learning_rate", "0.25")
    assert recipe.target["learning_rate"] == 0.25
    rates = [values.get("learning_rate", 0.25) for values in recipe.by_task.values()]
    assert set(rates) <= {0.25}


@pytest.mark.parametrize("preset", ["demo", "paper", "xtreme"])
def test_presets_have_the_rows_of_the_paper(preset: str) -> None:
    options, _ = jx.experiments.parse_arguments(["--preset", preset])
    assert set(jx.XSTILTS_INTERMEDIATE) | {"all", "all+mlm"} <= set(options.intermediate)
    assert ("mnli[de,ru,sw]" in options.intermediate) == (preset != "demo")


def test_the_preset_paper_has_jiants_hyperparameters() -> None:
    recipe = recipe_of("--preset", "paper")
    assert recipe.intermediate["learning_rate"] == 1e-5
    assert recipe.patience == 30
    assert recipe.eval_examples == 500
    assert recipe.by_task["udpos"]["num_train_epochs"] == 10


def test_the_preset_xtreme_has_the_official_hyperparameters() -> None:
    recipe = recipe_of("--preset", "xtreme")
    assert recipe.by_task["squad_v1"]["warmup_steps"] == 500
    assert recipe.max_length["mnli"] == 128
