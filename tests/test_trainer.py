"""Training: sums over items, exact resuming, and what is said when something goes wrong."""

from __future__ import annotations

import math
import resource
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from conftest import ModelOf
from torch import Tensor
from transformers import EarlyStoppingCallback, TrainerCallback, TrainingArguments
from transformers.utils import logging

import jiantx as jx
from jiantx.checkpoints import checkpoints, exclusive_writer, find_problem, latest_checkpoint

TYPES = (
    "classification",
    "pair",
    "multi_label",
    "regression",
    "tagging",
    "qa",
    "choice",
    "retrieval",
    "mlm",
    "spans",
    "edges",
)


def arguments(folder: str | Path, **changes: Any) -> TrainingArguments:
    values = {
        "learning_rate": 5e-3,
        "max_steps": 8,
        "per_device_train_batch_size": 8,
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "seed": 3,
        "save_strategy": "no",
    }
    return TrainingArguments(str(folder), **{**values, **changes})


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """What was logged."""
    logging.enable_propagation()
    yield lambda: caplog.text
    logging.disable_propagation()


# --- items ----------------------------------------------------------------------------------------


class Gradients(TrainerCallback):
    """Keeps every gradient of the first optimiser step."""

    def __init__(self) -> None:
        self.found: dict[str, Tensor] = {}

    def on_pre_optimizer_step(
        self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any
    ) -> None:
        if not self.found:
            self.found = {
                n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None
            }


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        "classification",
        "multi_label",
        "regression",
        "tagging",
        "qa",
        "choice",
        "mlm",
        "spans",
        "edges",
    ],
)
def test_accumulation_is_one_batch(
    kind: str, model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks[kind]
    actual = []
    for size, items in ((8, 1), (4, 2), (2, 4)):
        gradients = Gradients()
        model = model_of([task])
        args = arguments(
            tmp_path,
            max_steps=1,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=items,
            logging_steps=1,
            optim="sgd",
            max_grad_norm=0.05,  # clipped once, for the whole step
        )
        trainer = jx.Trainer(model, args, tasks=[task], callbacks=[gradients])
        trainer.train()
        logged = trainer.state.log_history[0]
        actual.append(
            (logged["loss"], logged["grad_norm"], gradients.found, dict(model.state_dict()))
        )
    loss, norm, expected_gradients, weights = actual[0]
    assert norm > 0.05
    for other_loss, other_norm, other_gradients, other_weights in actual[1:]:
        assert other_loss == pytest.approx(loss, abs=1e-5) and other_norm == pytest.approx(
            norm, rel=1e-4
        )
        assert expected_gradients.keys() == other_gradients.keys()
        for name, value in expected_gradients.items():
            torch.testing.assert_close(other_gradients[name], value, atol=1e-6, rtol=1e-4)
        for name, value in weights.items():
            torch.testing.assert_close(other_weights[name], value, atol=1e-6, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", TYPES)
def test_every_type_overfits_eight_examples(
    kind: str, model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    rows = tiny_tasks[kind].rows("train").select(range(8))
    task = tiny_tasks[kind].replace(source=jx.Rows({"train": rows}))
    model = model_of([task])
    jx.Trainer(model, arguments(tmp_path, max_steps=60), tasks=[task]).train()
    score = jx.evaluate(model, [task], split="train").mean()
    assert score > (30 if kind == "mlm" else 99)  # other masks than it was trained on


# --- resuming -------------------------------------------------------------------------------------


class Stop(TrainerCallback):
    """Ends a run after a step, as a killed machine would: after the checkpoint, before anything
    else.
    """

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt

    on_train_end = on_step_begin  # a run that has come to its end can still be killed


def history(trainer: jx.Trainer) -> list[dict[str, float]]:
    """What was logged, without how long it took; the last entry of a run is of nothing else."""
    return [entry for entry in trainer.state.log_history if "train_runtime" not in entry]


MIXED = ("classification", "tagging", "mlm")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stopped", "kinds", "rows", "mix", "bf16"),
    # epochs of 6 steps, and of 3: inside one, at its end, beyond; two draws a step; all;
    # one; bf16
    [
        (4, MIXED, 16, 1, False),
        (6, MIXED, 16, 1, False),
        (4, MIXED, 8, 1, False),
        (4, MIXED, 16, 2, False),
        (4, TYPES, 8, 1, False),
        (4, ("mlm",), 16, 1, False),
        (4, MIXED, 16, 1, True),
    ],
)
def test_a_resumed_run_is_the_straight_run(
    stopped: int, kinds: tuple[str, ...], rows: int, mix: int, bf16: bool,
    model_of: ModelOf, tiny_tasks, tmp_path: Path, said: Callable[[], str],
) -> None:  # fmt: skip
    tasks = []
    for kind in kinds:
        source = jx.Rows({"train": tiny_tasks[kind].rows("train").select(range(rows))})
        tasks.append(tiny_tasks[kind].replace(source=source))

    def trainer(folder: str, *callbacks: Any, seed: int = 0) -> jx.Trainer:
        model = model_of(tasks, seed=seed, hidden_dropout_prob=0.2)
        args = arguments(
            tmp_path / folder,
            max_steps=10,
            per_device_train_batch_size=4,
            gradient_accumulation_steps=2,
            logging_steps=1,
            save_strategy="steps",
            save_steps=2,
            warmup_steps=3,
            bf16=bf16,
        )
        return jx.Trainer(
            model,
            args,
            tasks=tasks,
            sampling=jx.Sampling(exponent=0.5, mix=mix),
            callbacks=list(callbacks),
        )

    straight = trainer("straight")
    straight.train()
    trained_on = {name for entry in history(straight) for name in entry if name.startswith("loss_")}
    assert len(trained_on) >= 3 or len(tasks) == 1  # the loss of the only task is the loss
    with pytest.raises(KeyboardInterrupt):
        trainer("resumed", Stop(stopped)).train()
    torch.manual_seed(99)  # nothing of the old process is left
    resumed = trainer("resumed", seed=1)
    resumed.train(resume_from_checkpoint=True)
    assert f"Resuming from {tmp_path / 'resumed' / f'checkpoint-{stopped}'}." in said()
    assert resumed.state.global_step == 10
    same(resumed, straight)


def same(one: jx.Trainer, other: jx.Trainer) -> None:
    """The same parameters, bit for bit, and the same logged history."""
    expected = other.model.state_dict()
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert history(one) == history(other)


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [6, 8])
def test_patience_goes_on_where_it_was(
    stopped: int, model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    """A run that early stopping ends, killed before that, and after it but before it returned."""
    task = tiny_tasks["classification"]

    def trainer(folder: str, *callbacks: Any) -> jx.Trainer:
        args = arguments(
            tmp_path / folder, max_steps=20, learning_rate=1e-9, logging_steps=2, load_best_model_at_end=True,
            eval_strategy="steps", eval_steps=2, save_strategy="steps", save_steps=2, save_total_limit=1,
        )  # fmt: skip
        callbacks = (EarlyStoppingCallback(3), *callbacks)
        return jx.Trainer(model_of([task]), args, tasks=[task], callbacks=list(callbacks))

    straight = trainer("straight")
    straight.train()
    assert straight.state.global_step == 8, (
        "the first evaluation is the best, and three more are not better"
    )
    with pytest.raises(KeyboardInterrupt):
        trainer("resumed", Stop(stopped)).train()
    resumed = trainer("resumed")
    resumed.train(resume_from_checkpoint=True)
    assert (
        resumed.state.global_step == 8
        and resumed.state.best_global_step == straight.state.best_global_step == 2
    )
    same(resumed, straight)


def test_a_fresh_start_among_older_checkpoints(
    model_of: ModelOf,
    tiny_tasks,
    tmp_path: Path,
    said: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is said, its own checkpoints are the newer ones, and one it overwrites is not whole until
    it is written.
    """
    task = tiny_tasks["classification"]

    def trainer(steps: int) -> jx.Trainer:
        args = arguments(tmp_path, max_steps=steps, save_strategy="steps", save_steps=2)
        return jx.Trainer(model_of([task]), args, tasks=[task])

    trainer(4).train()
    second = trainer(2)
    monkeypatch.setattr(
        second,
        "_save_optimizer_and_scheduler",
        lambda folder: seen.append(find_problem(Path(folder))),
    )
    seen: list[str | None] = []
    second.train()
    assert (
        "A fresh start, in a folder that has another run's checkpoints, such as checkpoint-4."
        in said()
    )
    assert seen == ["it was not finished (no manifest)"]
    assert latest_checkpoint(tmp_path) == (tmp_path / "checkpoint-2", [])


def test_two_runs_in_one_folder(
    model_of: ModelOf, tiny_tasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jiantx.checkpoints._PATIENCE", 0)
    task = tiny_tasks["classification"]
    with (
        exclusive_writer(tmp_path),
        pytest.raises(RuntimeError, match="Another process is writing to"),
    ):
        jx.Trainer(
            model_of([task]), arguments(tmp_path, save_strategy="epoch"), tasks=[task]
        ).train()


def test_a_full_disk_stops_the_run(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    """With what is there still to go on from; a real error of the system, by the limit on a file's
    size.
    """
    task = tiny_tasks["classification"]
    args = arguments(tmp_path, max_steps=6, save_strategy="steps", save_steps=2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    class Full(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 2:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 10, hard))

    try:
        with pytest.raises(Exception, match=r"File too large|os error 27") as raised:
            jx.Trainer(model_of([task]), args, tasks=[task], callbacks=[Full()]).train()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    (note,) = raised.value.__notes__
    assert note.startswith(
        f"Training stopped at step 4. Last whole checkpoint: {tmp_path / 'checkpoint-2'}."
    )
    again = jx.Trainer(model_of([task]), args, tasks=[task])
    assert again.train(resume_from_checkpoint=True).global_step == 6
    assert [find_problem(path) for path in checkpoints(tmp_path)] == [None] * 3


def test_resuming_without_a_checkpoint_is_a_fresh_start(
    model_of: ModelOf, tiny_tasks, tmp_path: Path, said: Callable[[], str]
) -> None:
    task = tiny_tasks["tagging"]
    trainer = jx.Trainer(model_of([task]), arguments(tmp_path, max_steps=1), tasks=[task])
    trainer.train(resume_from_checkpoint=True)
    assert trainer.state.global_step == 1
    assert f"No checkpoint in {tmp_path}: a fresh start." in said()


@pytest.mark.slow
def test_a_broken_checkpoint_is_passed_over(
    model_of: ModelOf, tiny_tasks, tmp_path: Path, said: Callable[[], str]
) -> None:
    task = tiny_tasks["tagging"]
    args = arguments(tmp_path, max_steps=3, save_strategy="steps", save_steps=1)
    jx.Trainer(model_of([task]), args, tasks=[task]).train()
    assert [find_problem(path) for path in checkpoints(tmp_path)] == [None] * 3
    weights = tmp_path / "checkpoint-3" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    (tmp_path / "checkpoint-2" / "manifest.json").unlink()
    trainer = jx.Trainer(model_of([task]), args, tasks=[task])
    trainer.train(resume_from_checkpoint=True)
    assert trainer.state.global_step == 3
    text = said()
    assert f"Passed over {tmp_path / 'checkpoint-3'}: model.safetensors has " in text
    assert f"Passed over {tmp_path / 'checkpoint-2'}: it was not finished (no manifest)." in text
    assert f"Resuming from {tmp_path / 'checkpoint-1'}." in text
    assert [find_problem(path) for path in checkpoints(tmp_path)] == [None] * 3  # written anew
    (tmp_path / "checkpoint-2" / "optimizer.pt").unlink()
    with pytest.raises(ValueError, match=r"checkpoint-2 is not whole: optimizer\.pt is missing"):
        trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))


def test_a_checkpoint_is_a_model(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    task = tiny_tasks["tagging"]
    model = model_of([task])
    jx.Trainer(
        model, arguments(tmp_path, max_steps=2, save_strategy="steps", save_steps=2), tasks=[task]
    ).train()
    again = jx.MultitaskModel.from_pretrained(tmp_path / "checkpoint-2", [task])
    rows = list(task.rows("train"))
    assert jx.predict(again, task, rows) == jx.predict(model, task, rows)


# --- checkpoints and evaluation -------------------------------------------------------------------


def scored(monkeypatch: pytest.MonkeyPatch, task: str, values: list[float]) -> None:
    """Main scores of the evaluations to come."""
    left = iter(values)
    score = jx.Score(task, "validation", "en", "main_score", 0.0, 8)
    monkeypatch.setattr(
        "jiantx.trainer_evaluation.evaluate",
        lambda *a, **k: jx.Report([replace(score, value=next(left))]),
    )


def test_old_checkpoints_go_and_the_best_stays(
    model_of: ModelOf, tiny_tasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny_tasks["tagging"]
    scored(monkeypatch, task.name, [10, 50, 20, 30, 40])
    remaining: list[list[str]] = []

    class Watch(TrainerCallback):
        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            remaining.append([path.name.split("-")[1] for path in checkpoints(tmp_path)])

    args = arguments(
        tmp_path,
        max_steps=5,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_score",
    )
    model = model_of([task])
    trainer = jx.Trainer(model, args, tasks=[task], callbacks=[Watch()])
    trainer.train()
    assert remaining == [["1"], ["1", "2"], ["2", "3"], ["2", "3", "4"], ["2", "4", "5"]]
    assert (
        trainer.state.best_model_checkpoint == str(tmp_path / "checkpoint-2")
        and trainer.state.best_metric == 50
    )
    best = jx.MultitaskModel.from_pretrained(tmp_path / "checkpoint-2")
    assert all(
        torch.equal(value, best.state_dict()[name]) for name, value in model.state_dict().items()
    )
    assert args.save_total_limit == 2  # the caller's own arguments are left alone


@pytest.mark.slow
def test_evaluation_is_ours(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    mood, tagging = tiny_tasks["classification"], tiny_tasks["tagging"]
    source = jx.Rows(
        {
            "train": dict.fromkeys(("en", "de"), mood.rows("train")),
            "validation": {
                language: mood.rows("validation", language) for language in ("en", "de", "zh")
            },
        }
    )
    tasks = [mood.replace(train_languages=("en", "de"), source=source), tagging]
    model = model_of(tasks)
    args = arguments(tmp_path, max_steps=4, eval_strategy="steps", eval_steps=2)
    trainer = jx.Trainer(model, args, tasks=tasks)
    trainer.train()
    evaluated = [entry for entry in trainer.state.log_history if "eval_score" in entry]
    assert [entry["step"] for entry in evaluated] == [2, 4]
    actual = trainer.evaluate()
    labels = jx.evaluate(model, tasks[:1], languages=["en", "de"]).mean()
    entities = jx.evaluate(model, tasks[1:]).mean()
    main_scores = {
        "eval_mood": labels,
        "eval_entities": entities,
        "eval_score": pytest.approx((labels + entities) / 2),
    }
    assert {name: actual[name] for name in main_scores} == main_scores
    other = jx.Trainer(model, args, tasks=tasks, eval_tasks=tasks[1:])
    values = other.evaluate()
    assert values["eval_entities"] == values["eval_score"] == entities
    assert "eval_mood" not in values


def always_undefined(predictions: Any, references: Any) -> float:
    return math.nan


@pytest.mark.parametrize("early_stopping", [False, True])
def test_an_undefined_score_neither_stops_a_run_nor_is_best(
    early_stopping: bool,
    model_of: ModelOf,
    tiny_tasks,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: Callable[[], str],
) -> None:
    """`eval_score` was missing (KeyError), or the mean of the other tasks."""
    task = tiny_tasks["tagging"]
    scored(monkeypatch, task.name, [10, math.nan, 20, math.nan])
    args = arguments(
        tmp_path,
        max_steps=4,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        load_best_model_at_end=True,
    )
    callbacks = [EarlyStoppingCallback(2)] if early_stopping else []
    trainer = jx.Trainer(model_of([task]), args, tasks=[task], callbacks=callbacks)
    trainer.train()
    logged = [entry["eval_score"] for entry in trainer.state.log_history if "eval_score" in entry]
    assert logged == [10, 0, 20, 0]
    assert trainer.state.best_metric == 20 and trainer.state.global_step == 4
    assert "Task entities, split 'validation', language 'en': the main score is undefined" in said()


def test_a_set_without_positives_is_trained_on(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"].replace(metrics=(always_undefined,))
    args = arguments(
        tmp_path,
        max_steps=1,
        eval_strategy="steps",
        save_strategy="steps",
        load_best_model_at_end=True,
        eval_steps=1,
        save_steps=1,
    )
    model = model_of([task])
    trainer = jx.Trainer(model, args, tasks=[task])
    trainer.train()
    assert trainer.state.best_metric == 0.0
    assert model.report is not None and math.isnan(model.report.mean()), "and the card says so"


def test_tasks_whose_scores_would_have_one_name(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    model = model_of([task])
    args = arguments(tmp_path)
    other = task.replace(metrics=(always_undefined,))
    with pytest.raises(ValueError, match="Two tasks have one name, 'mood'"):
        jx.Trainer(model, args, tasks=[task], eval_tasks=[task, other])
    score = task.replace(name="score", head=task.head_name)
    with pytest.raises(ValueError, match="No task can be named 'score'"):
        jx.Trainer(model, args, tasks=[task, score])


def test_evaluations_without_validation_rows_are_refused(
    model_of: ModelOf, tiny_tasks, tmp_path: Path, said: Callable[[], str]
) -> None:
    """A run that asks for evaluations and has nothing to score would log nothing."""
    rows = tiny_tasks["tagging"].rows("train")
    task = tiny_tasks["tagging"].replace(name="unseen", source=jx.Rows({"train": rows}))
    model = model_of([task])
    every_step = {"eval_strategy": "steps", "eval_steps": 1, "max_steps": 1}
    best = {"save_strategy": "steps", "save_steps": 1, "load_best_model_at_end": True}
    for changes, asking in (
        (every_step, "eval_strategy='steps'"),
        ({**every_step, **best}, "load_best_model_at_end and eval_strategy='steps'"),
        ({"eval_on_start": True}, "eval_on_start"),
    ):
        trainer = jx.Trainer(model, arguments(tmp_path, **changes), tasks=[task])
        message = f"{asking} needs validation rows, and there are none of unseen in en"
        with pytest.raises(ValueError, match=message):
            trainer.train()
    assert trainer.evaluate() == {}
    assert "Task unseen is not evaluated: it has no validation rows" in said()
    seen = tiny_tasks["classification"]
    args = arguments(tmp_path, **every_step)
    jx.Trainer(model_of([task, seen]), args, tasks=[task], eval_tasks=[task, seen]).train()


def test_the_metric_to_follow_is_checked_before_training(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    settings = {"eval_strategy": "steps", "metric_for_best_model": "accuracy"}
    trainer = jx.Trainer(model_of([task]), arguments(tmp_path, **settings), tasks=[task])
    with pytest.raises(
        ValueError, match=r"'accuracy' is not one of .*: eval_score, eval_loss, eval_mood"
    ):
        trainer.train()
    for name in (
        "eval_score",
        "eval_hair_loss",
    ):  # of the latter transformers takes lower as better
        settings = {"eval_strategy": "steps", "metric_for_best_model": name}
        if name == "eval_score":
            settings["greater_is_better"] = False  # type: ignore[assignment]
        renamed = task.replace(name="hair_loss", head=task.head_name)
        trainer = jx.Trainer(model_of([task]), arguments(tmp_path, **settings), tasks=[renamed])
        with pytest.raises(ValueError, match=rf"'{name}' .* the worst model: a higher score is"):
            trainer.train()


def test_a_task_to_score_without_a_head_is_named_before_training(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    mood, tags = tiny_tasks["classification"], tiny_tasks["tagging"]
    args = arguments(tmp_path, eval_strategy="steps")
    trainer = jx.Trainer(model_of([mood]), args, tasks=[mood], eval_tasks=[mood, tags])
    with pytest.raises(LookupError, match="no head 'entities'"):
        trainer.train()
    assert trainer.state.global_step == 0


def test_weight_decay_does_not_depend_on_the_names_of_heads(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    decaying = set()
    for name in ("mood", "media_bias", "norm"):
        task = tiny_tasks["classification"].replace(name=name)
        trainer = jx.Trainer(model_of([task]), arguments(tmp_path), tasks=[task])
        names = trainer.get_decay_parameter_names(trainer.model)
        decaying.add(tuple(n.replace(f"heads.{name}.", "heads.") for n in sorted(names)))
    (parameters,) = decaying
    assert "heads.dense.weight" in parameters and "heads.dense.bias" not in parameters


# --- sampling -------------------------------------------------------------------------------------


def trained_on(trainer: jx.Trainer) -> list[tuple[str, list[int]]]:
    """Task and tokens of every micro-batch of a run."""
    actual = []
    original = trainer.compute_loss

    def spy(model: Any, inputs: dict[str, Any], **kwargs: Any) -> Any:
        actual.append((inputs["task"], inputs["input_ids"].tolist()))
        return original(model, inputs, **kwargs)

    with patch.object(trainer, "compute_loss", spy):
        trainer.train()
    return actual


@pytest.mark.slow
def test_the_seed_fixes_the_order_of_tasks(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    tasks = [tiny_tasks[kind] for kind in ("classification", "tagging", "mlm")]

    def run(**changes: Any) -> list[tuple[str, list[int]]]:
        torch.manual_seed(changes.pop("global_seed", 0))
        return trained_on(jx.Trainer(model_of(tasks), arguments(tmp_path, **changes), tasks=tasks))

    first = run(seed=3)
    assert first == run(seed=3, global_seed=7) and first == run(seed=8, data_seed=3)
    assert first != run(seed=4)
    assert len({task for task, _ in first}) > 1


def test_one_task_a_step(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    tasks = [tiny_tasks[kind] for kind in ("classification", "tagging")]
    args = arguments(tmp_path, per_device_train_batch_size=2, gradient_accumulation_steps=4)
    names = [task for task, _ in trained_on(jx.Trainer(model_of(tasks), args, tasks=tasks))]
    assert len(names) == 32 and len(set(names)) == 2
    assert all(len(set(names[i : i + 4])) == 1 for i in range(0, 32, 4))


def test_batch_size_of_a_task(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    tasks = [tiny_tasks[kind] for kind in ("classification", "tagging")]
    sampling = jx.Sampling(batch_size={"mood": 2})
    trainer = jx.Trainer(model_of(tasks), arguments(tmp_path), tasks=tasks, sampling=sampling)
    starts = {(task, ids.count(0)) for task, ids in trained_on(trainer)}
    assert starts == {("mood", 2), ("entities", 8)}


@pytest.mark.slow
def test_loss_weight_of_a_task(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    task = tiny_tasks["classification"]
    actual = []
    for weight in (None, 0.5, 0.0):
        gradients = Gradients()
        sampling = jx.Sampling(loss_weight=None if weight is None else {"mood": weight})
        args = arguments(tmp_path, max_steps=1, max_grad_norm=0)
        jx.Trainer(
            model_of([task]), args, tasks=[task], sampling=sampling, callbacks=[gradients]
        ).train()
        actual.append(gradients.found)
    for name, value in actual[0].items():
        torch.testing.assert_close(actual[1][name], value / 2)
        assert not actual[2][name].any()


def split_at(ids: list[int], first: int) -> list[list[int]]:
    """A flat batch's sequences: each begins with the same token."""
    actual: list[list[int]] = []
    for i in ids:
        if i == first:
            actual.append([])
        actual[-1].append(i)
    return actual


def test_part_of_the_examples(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    task = tiny_tasks["classification"]
    sampling = jx.Sampling(max_examples={"mood": 5})
    trainer = jx.Trainer(
        model_of([task]), arguments(tmp_path, max_steps=6), tasks=[task], sampling=sampling
    )
    texts = {tuple(ids) for _, batch in trained_on(trainer) for ids in split_at(batch, 0)}
    assert len(texts) == 5


def test_epochs(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    tasks = [tiny_tasks["classification"], tiny_tasks["tagging"]]
    args = arguments(tmp_path, max_steps=-1, num_train_epochs=2, per_device_train_batch_size=4)
    trainer = jx.Trainer(model_of(tasks), args, tasks=tasks)
    trainer.train()
    assert trainer.state.global_step == 2 * (16 + 16) / 4 and trainer.state.epoch == 2


# --- what is logged, and what is refused ----------------------------------------------------------


@pytest.mark.slow
def test_losses_of_each_task_are_logged(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    tasks = [tiny_tasks["classification"], tiny_tasks["tagging"]]
    trainer = jx.Trainer(model_of(tasks), arguments(tmp_path, logging_steps=1), tasks=tasks)
    trainer.train()
    for entry in trainer.state.log_history[:-1]:
        (name,) = [name for name in entry if name.startswith("loss_")]  # one task a step
        assert entry[name] == pytest.approx(entry["loss"], rel=1e-5)
    trainer = jx.Trainer(model_of(tasks), arguments(tmp_path, logging_steps=8), tasks=tasks)
    trainer.train()
    assert {"loss_mood", "loss_entities"} < set(trainer.state.log_history[0])
    assert trainer.state.log_history[-1]["total_flos"] > 0


class Poison(TrainerCallback):
    """A weight that is no number, from a step on."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any
    ) -> None:
        if state.global_step == self.step:
            next(iter(model.heads.values())).out.bias.data.fill_(math.nan)


def test_a_loss_that_is_no_number_stops_the_run(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    args = arguments(tmp_path, logging_steps=5, save_strategy="steps", save_steps=2)
    trainer = jx.Trainer(model_of([task]), args, tasks=[task], callbacks=[Poison(3)])
    with pytest.raises(
        FloatingPointError, match="loss of step 3 is not finite: task 'mood', language 'en'"
    ) as error:
        trainer.train()
    assert trainer._sampler is not None
    rows = sorted(task.rows("train")[int(row)]["id"] for row in trainer._sampler.draw(3).rows)
    assert f"training rows {', '.join(rows)}." in str(error.value)
    assert f"Last whole checkpoint: {tmp_path / 'checkpoint-2'}" in str(error.value)
    assert [path.name for path in checkpoints(tmp_path)] == [
        "checkpoint-2"
    ]  # no broken model is saved as a good one


def test_a_loss_that_is_no_number_is_noticed_without_logs_and_checkpoints(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    args = arguments(tmp_path, logging_strategy="no", save_strategy="no")
    with pytest.raises(FloatingPointError, match="loss of step 3 is not finite"):
        jx.Trainer(model_of([task]), args, tasks=[task], callbacks=[Poison(3)]).train()


def test_several_gpus_in_one_process_are_refused(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    args = arguments(tmp_path)
    args._n_gpu = 4
    with pytest.raises(ValueError, match="torchrun --nproc-per-node 4"):
        jx.Trainer(model_of([tiny_tasks["tagging"]]), args, tasks=[tiny_tasks["tagging"]])


def test_what_cannot_be_trained(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    task = tiny_tasks["tagging"]
    model = model_of([task])
    with pytest.raises(ValueError, match="name a task that the model is to learn"):
        jx.Trainer(model, arguments(tmp_path), tasks=[])
    with pytest.raises(ValueError, match=r"Two of \[.*\] have one name. Rename or drop one"):
        jx.Trainer(model, arguments(tmp_path), tasks=[task, task.replace(max_length=64)])
    with pytest.raises(ValueError, match=r"Sampling\(loss_weight=…\) names \['mood'\]"):
        jx.Trainer(
            model,
            arguments(tmp_path),
            tasks=[task],
            sampling=jx.Sampling(loss_weight={"mood": 1.0}),
        )


def test_settings_that_follow_from_several_heads(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    tasks = [tiny_tasks["tagging"], tiny_tasks["classification"]]
    args = arguments(tmp_path)
    trainer = jx.Trainer(model_of(tasks), args, tasks=tasks)
    assert trainer.args.ddp_find_unused_parameters is True  # heads sit out the steps of other tasks
    assert trainer.args.logging_nan_inf_filter is False
    assert args.ddp_find_unused_parameters is None and args.logging_nan_inf_filter is True
    assert (
        jx.Trainer(model_of(tasks[:1]), args, tasks=tasks[:1]).args.ddp_find_unused_parameters
        is None
    )
    assert sorted(trainer.model.heads) == ["entities", "mood"]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["xlm-r", "modernbert"])
def test_activation_checkpointing(
    family: str, model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    tasks = [tiny_tasks["tagging"], tiny_tasks["mlm"]]
    weights = []
    for checkpointing in (False, True):
        model = model_of(tasks, family)
        args = arguments(tmp_path, max_steps=2, gradient_checkpointing=checkpointing, optim="sgd")
        jx.Trainer(model, args, tasks=tasks).train()
        weights.append(model.state_dict())
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, atol=1e-6, rtol=1e-5)


@pytest.mark.slow
def test_half_precision(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    tasks = [tiny_tasks["tagging"], tiny_tasks["classification"], tiny_tasks["qa"]]
    trainer = jx.Trainer(
        model_of(tasks), arguments(tmp_path, bf16=True, logging_steps=4), tasks=tasks
    )
    trainer.train()
    assert all(
        math.isfinite(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry
    )
    assert {"eval_entities", "eval_mood", "eval_answers", "eval_score"} <= set(trainer.evaluate())


@pytest.mark.slow
def test_workers(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    tasks = [tiny_tasks["tagging"], tiny_tasks["mlm"]]
    actual = [
        trained_on(
            jx.Trainer(
                model_of(tasks),
                arguments(tmp_path, dataloader_num_workers=n, max_steps=4),
                tasks=tasks,
            )
        )
        for n in (0, 2)
    ]
    assert actual[0] == actual[1]


def test_a_run_that_ended_is_not_trained_on(
    model_of: ModelOf, tiny_tasks, tmp_path: Path, caplog
) -> None:
    """transformers would train one step more."""
    task = tiny_tasks["classification"]
    args = arguments(tmp_path, save_strategy="steps", save_steps=2, lr_scheduler_type="constant")
    first = jx.Trainer(model_of([task]), args, tasks=[task])
    first.train()
    again = jx.Trainer(model_of([task]), args, tasks=[task])
    assert again.train(resume_from_checkpoint=True).global_step == first.state.global_step
    assert "The run had ended" in caplog.text
    for ours, reference in zip(again.model.parameters(), first.model.parameters(), strict=True):
        assert torch.equal(ours, reference)


def test_trainer_names_the_missing_head_and_language(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    mood, tags = tiny_tasks["classification"], tiny_tasks["tagging"]
    with pytest.raises(LookupError, match=f"no head '{tags.head_name}'"):
        jx.Trainer(model_of([mood]), arguments(tmp_path), tasks=[tags])
    german = mood.replace(train_languages=("de",))
    with pytest.raises(
        jx.DataError, match=r"no training rows in 'de'. It has: en. .*train_languages"
    ):
        jx.Trainer(model_of([mood]), arguments(tmp_path), tasks=[german]).train()


def test_the_best_model_is_chosen_by_our_score(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    settings = {
        "eval_strategy": "steps",
        "eval_steps": 2,
        "save_strategy": "steps",
        "save_steps": 2,
    }
    args = arguments(tmp_path, load_best_model_at_end=True, **settings)
    trainer = jx.Trainer(model_of([task]), args, tasks=[task])
    trainer.train()
    assert (
        trainer.args.metric_for_best_model == "eval_score" and trainer.state.best_metric is not None
    )


def test_an_epoch_has_the_examples_of_the_capped_tasks(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    """What transformers reports as samples per second."""
    task = tiny_tasks["classification"]
    trainer = jx.Trainer(
        model_of([task]),
        arguments(tmp_path, num_train_epochs=1, max_steps=-1, per_device_train_batch_size=2),
        tasks=[task],
        sampling=jx.Sampling(cap=6),
    )
    trainer.train()
    assert trainer.num_examples(trainer.get_train_dataloader()) == 6
    assert trainer.state.global_step == 3


def test_the_trainers_length_is_that_of_the_saved_model(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"].replace(max_length=4)
    args = arguments(tmp_path, max_steps=1)
    trainer = jx.Trainer(model_of([task]), args, tasks=[task], max_length=16)
    trainer.train()
    trainer.save_model(str(tmp_path / "saved"))
    assert jx.load(tmp_path / "saved").tasks["mood"].max_length == 16


def test_a_task_that_no_step_trains_is_named(
    model_of: ModelOf, tiny_tasks, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small = tiny_tasks["classification"]
    rows = [dict(row) for row in small.rows("train", "en")]
    big = small.replace(name="big", source=jx.Rows({"train": rows * 100}))
    tasks = [small, big]
    args = arguments(tmp_path, max_steps=2)
    jx.Trainer(model_of(tasks), args, tasks=tasks, sampling=jx.Sampling(exponent=2.0)).train()
    assert f"None of the 2 steps trains {small.name}: tasks are drawn by their rows" in caplog.text
    caplog.clear()
    weights = jx.Sampling(weights={small.name: 0.0, "big": 1.0})  # left out on purpose
    jx.Trainer(model_of(tasks), args, tasks=tasks, sampling=weights).train()
    assert "None of the" not in caplog.text
