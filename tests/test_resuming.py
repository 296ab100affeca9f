"""Which run a checkpoint belongs to: another one is refused, and a crash advises no other's."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ModelOf
from safetensors.torch import load_file
from test_trainer import Stop, arguments
from transformers import TrainerCallback
from transformers.utils import logging

import jiantx as jx
from jiantx.checkpoints import MANIFEST, checkpoints, run_of

SAVES = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """What was logged."""
    logging.enable_propagation()
    yield lambda: caplog.text
    logging.disable_propagation()


@pytest.fixture
def task(tiny_tasks) -> jx.Task:
    return tiny_tasks["classification"]


TrainerOf = Callable[..., jx.Trainer]


@pytest.fixture
def trainer_of(model_of: ModelOf, task: jx.Task, tmp_path: Path) -> TrainerOf:
    """(task, *callbacks, seed of the model, sampling, folder, settings of the trainer, **changes of
    arguments) -> trainer.
    """

    def made(
        own_task: jx.Task = task,
        *callbacks: Any,
        seed: int = 0,
        sampling: jx.Sampling | None = None,
        folder: str = ".",
        settings: dict[str, Any] | None = None,
        **changes: Any,
    ) -> jx.Trainer:
        args = arguments(tmp_path / folder, **{**SAVES, **changes})
        model = model_of([own_task], seed=seed)
        return jx.Trainer(
            model,
            args,
            tasks=[own_task],
            sampling=sampling,
            callbacks=list(callbacks),
            **(settings or {}),
        )

    return made


def relabelled(task: jx.Task) -> jx.Task:
    """One label is corrected."""
    rows = [dict(row) for row in task.rows("train")]
    rows[0]["label"] = "yes" if rows[0]["label"] == "no" else "no"
    source = jx.Rows({"train": rows})
    return task.replace(source=source)


@pytest.mark.slow
def test_another_run_is_refused(trainer_of: TrainerOf, task: jx.Task, tmp_path: Path) -> None:
    trainer_of().train()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    other_task = task.replace(name="feeling")
    for trainer, difference in (
        (trainer_of(relabelled(task)), "training features of task mood in en: 16 "),
        (trainer_of(other_task), r"tasks: \['feeling'\] here, \['mood'\] there"),
        (trainer_of(learning_rate=1e-2), r"learning_rate: 0\.01 here, 0\.005 there"),
        (trainer_of(data_seed=4), "seed of the rows: 4 here, 3 there"),
        (trainer_of(weight_decay=0.1), r"weight_decay: 0\.1 here, 0\.0 there"),
        (trainer_of(label_smoothing_factor=0.1), "label_smoothing_factor"),
        (trainer_of(sampling=jx.Sampling(loss_weight={"mood": 0.5})), r"Sampling\.loss_weight"),
        (trainer_of(per_device_train_batch_size=4), "examples per step of task mood: 4 here, 8 "),
    ):
        for requested in (True, str(tmp_path / "checkpoint-4")):
            with pytest.raises(ValueError, match=f"another run. .*{difference}"):
                trainer.train(resume_from_checkpoint=requested)
    for settings, difference in (
        ({"losses": {"mood": jx.CrossEntropy(class_weights="balanced")}}, "losses: "),
        ({"learning_rates": {"heads": 1e-2}}, "learning_rates: "),
        ({"freeze": ["embeddings"]}, "freeze: "),
        ({"layer_decay": 0.5}, "layer_decay: "),
    ):
        with pytest.raises(ValueError, match=f"another run. .*{difference}"):
            trainer_of(settings=settings).train(resume_from_checkpoint=True)
    frozen = trainer_of()
    frozen.model.encoder.requires_grad_(False)
    with pytest.raises(ValueError, match="trained parameters"):
        frozen.train(resume_from_checkpoint=True)
    after = {path: path.stat().st_mtime_ns for path in before}
    written = {path.name for path in before if before[path] != after[path]}
    assert not written, "a refusal changes nothing"


@pytest.mark.slow
def test_a_run_goes_on_with_what_may_differ(
    trainer_of: TrainerOf, tmp_path: Path, said: Callable[[], str]
) -> None:
    trainer_of().train()
    trainer = trainer_of(
        seed=1,  # the weights come out of the checkpoint
        max_steps=6,
        save_steps=3,
        logging_steps=2,
        save_total_limit=1,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        per_device_eval_batch_size=3,
        dataloader_num_workers=1,
        eval_strategy="steps",
        eval_steps=6,
    )
    assert trainer.train(resume_from_checkpoint=True).global_step == 6
    assert "checkpoint-4: max_steps: 6 here, 4 there." in said()
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-6"]


@pytest.mark.slow
def test_more_steps_are_the_straight_run(trainer_of: TrainerOf) -> None:
    """A run that had ended goes on, as if it had never stopped."""
    constant = {"lr_scheduler_type": "constant"}
    straight = trainer_of(folder="straight", max_steps=6, **constant)
    straight.train()
    trainer_of(max_steps=2, **constant).train()
    resumed = trainer_of(seed=1, max_steps=6, **constant)
    resumed.train(resume_from_checkpoint=True)
    expected = straight.model.state_dict()
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.slow
def test_other_ranks_are_logged(
    trainer_of: TrainerOf, tmp_path: Path, said: Callable[[], str]
) -> None:
    """Half as many ranks, with the same arguments: a step has half the examples."""
    trainer_of(max_steps=2).train()
    manifest = tmp_path / "checkpoint-2" / MANIFEST
    content = json.loads(manifest.read_text())
    content["run"] |= {"ranks": 2, "examples_per_step": {"mood": 16}}
    manifest.write_text(json.dumps(content))
    assert trainer_of().train(resume_from_checkpoint=True).global_step == 4
    assert "examples per step of task mood: 8 here, 16 there" in said()


@pytest.mark.slow
def test_a_crash_advises_no_checkpoint_of_an_earlier_run(
    trainer_of: TrainerOf, task: jx.Task, tmp_path: Path, said: Callable[[], str]
) -> None:
    first = trainer_of()
    first.train()

    class Crash(Stop):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == self.step:
                raise MemoryError

    with pytest.raises(MemoryError) as raised:
        trainer_of(task, Crash(1), seed=1).train()
    (note,) = raised.value.__notes__
    assert note == (
        "Training stopped at step 1. Last whole checkpoint: none. Start it afresh: `train()`."
    )
    again = trainer_of(seed=1)
    again.train(resume_from_checkpoint=True)  # the run that crashed, not the one before
    assert "checkpoint-4: an earlier run in this folder wrote it" in said()
    assert f"No checkpoint in {tmp_path}: a fresh start." in said()
    heads = zip(first.model.heads.parameters(), again.model.heads.parameters(), strict=True)
    assert not all(torch.equal(one, other) for one, other in heads)
    with pytest.raises(MemoryError) as raised:
        trainer_of(task, Crash(3), seed=1).train()
    assert f"{tmp_path / 'checkpoint-2'}. `train(resume_from_checkpoint=True)` goes on" in str(
        raised.value.__notes__
    )
    assert trainer_of().train(resume_from_checkpoint=True).global_step == 4


@pytest.mark.slow
def test_checkpoints_without_a_run_are_resumed(
    trainer_of: TrainerOf, tmp_path: Path, said: Callable[[], str]
) -> None:
    """Those of older versions, and again after that run was stopped before its next checkpoint."""
    trainer_of(max_steps=2).train()
    (tmp_path / "_run.json").unlink()
    manifest = tmp_path / "checkpoint-2" / MANIFEST
    content = json.loads(manifest.read_text())
    del content["run"]
    manifest.write_text(json.dumps(content))
    task = trainer_of().tasks["mood"]
    with pytest.raises(KeyboardInterrupt):
        trainer_of(task, Stop(3)).train(resume_from_checkpoint=True)
    assert "checkpoint-2 does not say which run it belongs to" in said()
    trainer = trainer_of()
    assert trainer.train(resume_from_checkpoint=True).global_step == 4
    assert f"Resuming from {tmp_path / 'checkpoint-2'}" in said()
    assert run_of(tmp_path / "checkpoint-4")["id"] == ""


@pytest.mark.slow
def test_a_checkpoint_without_an_optimizer_is_not_resumed(trainer_of: TrainerOf) -> None:
    trainer_of(max_steps=2, save_only_model=True).train()
    with pytest.raises(ValueError, match=r"save_only_model=True: it has no optimizer"):
        trainer_of(save_only_model=True).train(resume_from_checkpoint=True)
    ended = trainer_of(max_steps=2).train(resume_from_checkpoint=True)
    assert ended.global_step == 2


def test_equal_values_are_the_same_run(trainer_of: TrainerOf, task: jx.Task) -> None:
    trainer_of(max_steps=2, sampling=jx.Sampling(weights={"mood": 1})).train()
    sampling = jx.Sampling(weights={"mood": np.float64(1)})
    resumed = trainer_of(sampling=sampling, warmup_steps=0.0, max_grad_norm=1)
    assert resumed.train(resume_from_checkpoint=True).global_step == 4


def test_a_schedule_that_cannot_be_compared(trainer_of: TrainerOf, said: Callable[[], str]) -> None:
    class Schedule:
        lock = threading.Lock()

        def __init__(self) -> None:
            self.own_lock = threading.Lock()

        def __call__(self, step: int) -> dict[str, float]:
            return {"mood": 1.0}

    trainer_of(max_steps=2, sampling=jx.Sampling(schedule=Schedule())).train()
    assert "Resuming does not compare" in said()
    resumed = trainer_of(sampling=jx.Sampling(schedule=Schedule()))
    assert resumed.train(resume_from_checkpoint=True).global_step == 4


def test_a_run_that_was_to_go_on_goes_on(trainer_of: TrainerOf, task: jx.Task) -> None:
    """A callback saves and stops, as the machine is about to be taken away."""

    class Preempted(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_save = control.should_training_stop = state.global_step == 1

    assert trainer_of(task, Preempted()).train().global_step == 1
    assert trainer_of().train(resume_from_checkpoint=True).global_step == 4


BEST_OF = {
    "save_steps": 1,
    "eval_strategy": "steps",
    "eval_steps": 1,
    "load_best_model_at_end": True,
}


class FirstIsBest(jx.Trainer):
    """Its first model is the best."""

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        metrics = {"eval_score": 100.0 - self.state.global_step}
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [2, 4])
def test_a_copied_run_keeps_its_best_model(
    stopped: int, model_of: ModelOf, task: jx.Task, tmp_path: Path
) -> None:
    """Its checkpoints note paths in the old folder, where another run is now."""

    def trainer(folder: str, *callbacks: Any, seed: int = 0) -> jx.Trainer:
        args = arguments(tmp_path / folder, **{**SAVES, **BEST_OF})
        model = model_of([task], seed=seed)
        return FirstIsBest(model, args, tasks=[task], callbacks=list(callbacks))

    with pytest.raises(KeyboardInterrupt):
        trainer("first", Stop(stopped)).train()
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    trainer("first", seed=1).train()
    copy = trainer("copy")
    copy.train(resume_from_checkpoint=True)
    best = tmp_path / "copy" / "checkpoint-1"
    assert copy.state.best_model_checkpoint == str(best)
    expected = load_file(best / "model.safetensors")
    for name, value in copy.model.state_dict().items():
        assert torch.equal(value, expected[name]), name
    shutil.rmtree(best)
    with pytest.raises(ValueError, match="best checkpoint so far, checkpoint-1, is not whole"):
        trainer("copy").train(resume_from_checkpoint=True)
