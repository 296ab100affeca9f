"""What evaluations in training log: losses, languages, metrics; and what may be followed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ModelOf, batch_of
from test_trainer import TYPES, arguments
from transformers import EarlyStoppingCallback

import jiantx as jx
from jiantx.features import load_features

EVERY_STEP = {"eval_strategy": "steps", "eval_steps": 1, "max_steps": 1}


@pytest.mark.slow
@pytest.mark.parametrize("kind", TYPES)
def test_the_loss_of_an_evaluation_is_the_mean_over_items(
    kind: str, model_of: ModelOf, tiny_tasks, tokenizer, tmp_path: Path
) -> None:
    """Without the weights and the smoothing of the training; and the encoder runs once a batch."""
    task = tiny_tasks[kind]
    model = model_of([task])
    args = arguments(tmp_path, label_smoothing_factor=0.0, per_device_eval_batch_size=5)
    trainer = jx.Trainer(model, args, tasks=[task])
    passes: list[int] = []
    hook = model.encoder.register_forward_hook(lambda *_: passes.append(1))
    values = trainer.evaluate()
    hook.remove()
    assert not model._forward_hooks, "no hook stays"
    if kind == "retrieval":
        assert "eval_loss" not in values
        return
    features = load_features(task, "validation", "en", tokenizer)
    assert len(passes) == -(-len(features.table) // 5)
    loss = values[f"eval_{task.name}_loss"]
    assert values["eval_loss"] == loss
    if kind == "mlm":  # other masks in other batches
        return
    with torch.no_grad():
        output = model(**batch_of(task, tokenizer, split="validation"))
    assert loss == pytest.approx(float(output.loss / output.num_items), rel=1e-4)


def test_the_loss_has_no_class_weights(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    task = tiny_tasks["classification"]
    weighted = {"mood": jx.CrossEntropy(class_weights={"yes": 50.0})}
    losses = [
        jx.Trainer(model_of([task]), arguments(tmp_path), tasks=[task], losses=chosen).evaluate()[
            "eval_loss"
        ]
        for chosen in ({}, weighted)
    ]
    assert losses[0] == losses[1]


def test_every_language_and_metric_is_logged(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    mood, tags = tiny_tasks["classification"], tiny_tasks["tagging"]
    model = model_of([mood, tags])
    trainer = jx.Trainer(
        model, arguments(tmp_path), tasks=[mood, tags], eval_languages=["en", "zh"]
    )
    values = trainer.evaluate()
    report = jx.evaluate(model, [mood], languages=["en", "zh"])
    for language in ("en", "zh"):
        (score,) = [s for s in report if s.language == language and s.metric == "main_score"]
        assert values[f"eval_mood_{language}"] == score.value
    assert values["eval_mood"] == pytest.approx(report.mean())
    assert values["eval_mood_accuracy"] == values["eval_mood"]
    assert values.keys() >= {"eval_entities_en", "eval_entities_f1", "eval_entities_loss"}
    assert "eval_entities_zh" not in values, "it has no such rows"
    assert values["eval_loss"] == pytest.approx(
        (values["eval_mood_loss"] + values["eval_entities_loss"]) / 2
    )


def trainer_of(
    model_of: ModelOf, task: jx.Task, folder: Path, *callbacks: Any, **changes: Any
) -> jx.Trainer:
    languages = changes.pop("eval_languages", None)
    eval_tasks = changes.pop("eval_tasks", None)
    return jx.Trainer(
        model_of([task]),
        arguments(folder, **{**EVERY_STEP, **changes}),
        tasks=[task],
        eval_tasks=eval_tasks,
        eval_languages=languages,
        callbacks=list(callbacks),
    )


@pytest.mark.parametrize(
    "name", ["mood_zh", "eval_mood_zh", "eval_mood_loss", "eval_mood_accuracy"]
)
def test_early_stopping_follows_any_of_them(
    name: str, model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    """A rate of 0 changes nothing, so that the patience ends at the third evaluation."""
    trainer = trainer_of(
        model_of,
        tiny_tasks["classification"],
        tmp_path,
        EarlyStoppingCallback(2),
        learning_rate=0.0,
        max_steps=8,
        metric_for_best_model=name,
        eval_languages=["zh"],
    )
    trainer.train()
    assert trainer.state.global_step == 3
    assert trainer.args.greater_is_better is not name.endswith("loss")


def test_the_best_model_may_be_that_of_the_lowest_loss(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    trainer = trainer_of(
        model_of,
        tiny_tasks["classification"],
        tmp_path,
        max_steps=4,
        save_strategy="best",
        metric_for_best_model="eval_loss",
        load_best_model_at_end=True,
    )
    trainer.train()
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert trainer.state.best_metric == min(losses)
    assert trainer.evaluate()["eval_loss"] == pytest.approx(min(losses))


def test_an_unknown_name_is_refused_before_training(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    for changes, message in (
        (
            {"metric_for_best_model": "eval_mood_sw"},
            "'eval_mood_sw' is not one of .*: eval_score, eval_loss, eval_mood, eval_mood_en, "
            "eval_mood_accuracy, eval_mood_loss",
        ),
        (
            {"metric_for_best_model": "eval_loss", "greater_is_better": True},
            "a lower loss is better",
        ),
        ({"eval_languages": ["en", "ge"]}, "no task has validation rows in ge"),
        ({"eval_languages": ["sw"]}, "needs validation rows, and there are none of mood in sw"),
    ):
        trainer = trainer_of(model_of, task, tmp_path, **changes)
        with pytest.raises(ValueError, match=message):
            trainer.train()
        assert trainer.state.global_step == 0


def test_bad_validation_rows_are_found_before_training(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    rows = {"train": list(task.rows("train")), "validation": [{"text": "a", "label": "zz"}]}
    trainer = trainer_of(model_of, task.replace(source=jx.Rows(rows)), tmp_path)
    with pytest.raises(jx.DataError, match=r"validation.*row 0.*'zz'"):
        trainer.train()
    assert trainer.state.global_step == 0


def test_mapped_labels_have_no_loss_to_follow(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    to_one = dict.fromkeys(task.label_names, task.label_names[0])
    mapped = task.replace(name="mapped", head="mood", label_map=to_one)
    trainer = trainer_of(
        model_of, task, tmp_path, eval_tasks=[mapped], metric_for_best_model="eval_loss"
    )
    with pytest.raises(ValueError, match="'eval_loss' is not one of"):
        trainer.train()


def test_languages_in_a_set_are_in_one_order(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    trainer = trainer_of(
        model_of, tiny_tasks["classification"], tmp_path, eval_languages={"en", "de"}
    )
    assert trainer.eval_languages == ["de", "en"]


def test_a_name_that_would_stand_for_two_things_is_refused(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    for name in ("mood_en", "mood_accuracy", "mood_loss"):
        other = task.replace(name=name, head="mood")
        trainer = jx.Trainer(
            model_of([task]), arguments(tmp_path, **EVERY_STEP), tasks=[task, other]
        )
        with pytest.raises(ValueError, match=f"two things as `eval_{name}`"):
            trainer.train()
        with pytest.raises(ValueError, match=f"two things as `eval_{name}`"):
            trainer.evaluate()
