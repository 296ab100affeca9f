"""The best model: the weights and the scores are those of the best evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ModelOf
from test_trainer import arguments

import jiantx as jx
from jiantx.report import MAIN

SCORES = {1: 50.0, 2: 60.0, 3: 90.0, 4: 80.0}  # step -> score


class Scripted(jx.Trainer):
    """Its evaluations have the scores above, and it keeps the weights that they are of."""

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        step = self.state.global_step
        self.weights = {**getattr(self, "weights", {}), step: _copied(self.model)}
        score = jx.Score("mood", "validation", "en", MAIN, SCORES[step], 10)
        self.model.report = jx.Report([score])
        return {"eval_score": SCORES[step]}


def _copied(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("save_steps", [1, 2, 4])
def test_the_best_evaluation_is_saved_and_loaded(
    save_steps: int, model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    """transformers loaded an older checkpoint, or that of another run in the folder."""
    task = tiny_tasks["classification"]
    settings = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps"}
    for seed, steps in ((1, 1), (2, save_steps)):
        args = arguments(
            tmp_path,
            max_steps=4,
            learning_rate=1e-2,
            seed=seed,
            save_steps=steps,
            load_best_model_at_end=True,
            **settings,
        )
        trainer = Scripted(model_of([task], seed=seed), args, tasks=[task])
        trainer.train()
    assert trainer.state.best_global_step == 3
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, trainer.weights[3][name]), name
    assert trainer.model.report.mean() == 90.0, "the card shows the scores of these weights"
    (training,) = trainer.model.config.trainings
    assert training["steps"] == 3
