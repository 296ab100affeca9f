"""A search for hyperparameters: each trial is a run of its own, and what cannot be searched is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ModelOf
from test_trainer import arguments
from transformers import TrainerCallback
from transformers.trainer_utils import BestRun

import jiantx as jx
from jiantx.trainer_search import call_model_init

optuna = pytest.importorskip("optuna")


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def trainer_of(model_of: ModelOf, tiny_tasks: Any, folder: Path, **settings: Any) -> jx.Trainer:
    task = tiny_tasks["classification"]
    changes = settings.pop("arguments", {})
    args = arguments(folder, max_steps=2, disable_tqdm=True, **changes)
    return jx.Trainer(None, args, tasks=[task], model_init=lambda: model_of([task]), **settings)


def test_a_trial_is_a_run_of_its_own(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    """The best trial has the score that its settings give alone; settings of both kinds count."""
    rates = {"low": 1e-6, "high": 5e-2}
    seen = []

    class Seen(TrainerCallback):
        def __init__(self) -> None:
            self.steps = 0

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.steps += 1
            assert self.steps == state.global_step, "no trial counts those of another"

    def space(trial: Any) -> dict[str, Any]:
        rate = rates[trial.suggest_categorical("rate", list(rates))]
        seen.append(rate)
        return {"learning_rate": rate, "layer_decay": 0.5}

    trainer = trainer_of(model_of, tiny_tasks, tmp_path, callbacks=[Seen()])
    best = trainer.hyperparameter_search(
        space, n_trials=2, sampler=optuna.samplers.GridSampler({"rate": list(rates)})
    )
    assert isinstance(best, BestRun)
    assert sorted(seen) == sorted(rates.values())
    scores = {}
    for name, rate in rates.items():
        alone = trainer_of(
            model_of,
            tiny_tasks,
            tmp_path / name,
            arguments={"learning_rate": rate},
            layer_decay=0.5,
        )
        alone.train()
        scores[name] = alone.evaluate()["eval_score"]
    assert best.objective == max(scores.values())
    assert scores[best.hyperparameters["rate"]] == best.objective
    assert {path.name for path in tmp_path.glob("run-*")} <= {"run-0", "run-1"}


def test_several_objectives(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    trainer = trainer_of(model_of, tiny_tasks, tmp_path)
    runs = trainer.hyperparameter_search(
        lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-2)},
        lambda metrics: (metrics["eval_score"], metrics["eval_loss"]),
        n_trials=2,
        direction=["maximize", "minimize"],
        hp_name=lambda trial: f"try{trial.number}",
    )
    assert isinstance(runs, list)
    assert all(len(run.objective) == 2 for run in runs)
    assert len(runs[0].run_summary.trials) == 2


def test_a_trial_that_falls_behind_is_ended(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    evaluated = {"eval_strategy": "steps", "eval_steps": 1}
    trainer = trainer_of(model_of, tiny_tasks, tmp_path, arguments=evaluated)
    best = trainer.hyperparameter_search(
        lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-2)},
        n_trials=2,
        pruner=optuna.pruners.ThresholdPruner(lower=0),  # no score is lower, and so none is pruned
    )
    assert isinstance(best, BestRun)
    states = [trial.state.name for trial in best.run_summary.trials]
    assert states == ["COMPLETE", "COMPLETE"]
    assert [list(trial.intermediate_values) for trial in best.run_summary.trials] == [[1], [1]]
    with pytest.raises(ValueError, match="No trials are completed"):
        trainer.hyperparameter_search(
            lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-2)},
            n_trials=2,
            pruner=optuna.pruners.ThresholdPruner(lower=101),
        )


def test_what_cannot_be_searched(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    task = tiny_tasks["classification"]
    trainer = jx.Trainer(model_of([task]), arguments(tmp_path), tasks=[task])
    with pytest.raises(ValueError, match="create the trainer with model_init"):
        trainer.hyperparameter_search()
    trainer = trainer_of(model_of, tiny_tasks, tmp_path)
    with pytest.raises(ValueError, match="jiantx searches with 'optuna' alone"):
        trainer.hyperparameter_search(backend="ray")
    with pytest.raises(ValueError, match="n_jobs: trials at once would share"):
        trainer.hyperparameter_search(n_jobs=2)
    with pytest.raises(ValueError, match=r"'learning_rat', which is neither .*'learning_rate'"):
        trainer.hyperparameter_search(lambda trial: {"learning_rat": 1.0}, n_trials=1)
    with pytest.raises(ValueError, match="has no model: give it `model`, or `model_init`"):
        jx.Trainer(tasks=[task])


def test_model_init_may_take_the_trial() -> None:
    assert call_model_init(lambda trial: trial, 3) == 3
    assert call_model_init(lambda: 4, 3) == 4


def test_new_heads_are_those_of_the_seed(encoder_folder, tiny_tasks, tmp_path: Path) -> None:
    """Whatever ran before: equal settings are one model."""
    task = tiny_tasks["classification"]
    trainer = jx.Trainer(
        args=arguments(tmp_path),
        tasks=[task],
        model_init=lambda: jx.MultitaskModel.from_pretrained(encoder_folder(), [task]),
    )
    weights = []
    for _ in range(2):
        trial_trainer = trainer._trial_trainer(None, {}, "run", [])
        weights.append(trial_trainer.model.heads["mood"].out.weight.detach().clone())
        torch.rand(7)
    assert torch.equal(*weights)


def test_new_heads_of_a_trainer_are_those_of_its_seed(
    encoder_folder, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    weights = []
    for _ in range(2):
        torch.rand(7)
        trainer = jx.Trainer(
            args=arguments(tmp_path, seed=4),
            tasks=[task],
            model_init=lambda: jx.MultitaskModel.from_pretrained(encoder_folder(), [task]),
        )
        weights.append(trainer.model.heads["mood"].out.weight.detach().clone())
    assert torch.equal(*weights)


def test_a_trial_that_diverges_does_not_end_the_search(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    trainer = trainer_of(model_of, tiny_tasks, tmp_path, losses={"mood": _nan_at_a_high_rate})
    rates = iter((1e-3, 1e3, 1e-3))

    def space(trial: Any) -> dict[str, Any]:
        _HIGH[:] = [next(rates)]
        return {"learning_rate": trial.suggest_float("learning_rate", *_HIGH * 2)}

    best = trainer.hyperparameter_search(space, n_trials=3)
    assert isinstance(best, BestRun)
    states = [trial.state.name for trial in best.run_summary.trials]
    assert states == ["COMPLETE", "PRUNED", "COMPLETE"]


_HIGH: list[float] = []


def _nan_at_a_high_rate(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    losses = torch.nn.functional.cross_entropy(scores, targets, reduction="none")
    return losses * float("nan") if _HIGH and _HIGH[0] > 1 else losses


def test_a_search_needs_validation_rows(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    task = tiny_tasks["classification"]
    source = jx.Rows({"train": list(task.rows("train"))})
    task = task.replace(source=source)
    trainer = jx.Trainer(
        args=arguments(tmp_path), tasks=[task], model_init=lambda: model_of([task])
    )
    with pytest.raises(ValueError, match="compares scores on validation rows"):
        trainer.hyperparameter_search(n_trials=1)


def test_one_job_is_what_there_is(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    trainer = trainer_of(model_of, tiny_tasks, tmp_path)
    best = trainer.hyperparameter_search(
        lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-2)},
        n_trials=1,
        n_jobs=1,
    )
    assert isinstance(best, BestRun) and best.run_id == "0"
