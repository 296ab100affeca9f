"""Losses over the whole step: many small batches have the gradients of one large batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import PartialState
from conftest import WORDS, ModelOf, classified
from ranks import run_on_ranks
from test_trainer import Gradients, arguments
from torch import Tensor

import jiantx as jx
from jiantx.heads.contrast import CachedLoss

pytestmark = pytest.mark.slow  # trainings, and one on two ranks

ENGLISH = WORDS["en"]
PAIRS = [
    {
        "query": f"the {word} sees {ENGLISH[i % 5]}",
        # a word in two rows; two positives; a negative that is another row's positive
        "candidate": [f"{word} {ENGLISH[i % 3]}", f"green {word}"] if i % 4 == 0 else [f"{word} 1"],
        "negatives": [f"red {word}", f"green {ENGLISH[4]}"] if i % 3 == 0 else [],
    }
    for i, word in enumerate(ENGLISH[:16])
]
TASK = jx.Retrieval(
    name="pairs",
    source=jx.Rows({"train": PAIRS}),
    negatives="negatives",
    training_pool="step",
    layer=1,
)
MOOD = jx.Classification(
    name="mood", source=jx.Rows({"train": classified(16)}), labels=("no", "perhaps", "yes")
)


def gradients(
    model: jx.MultitaskModel, tasks: Any, folder: Path, *, mix: int = 1, **changes: Any
) -> tuple[dict[str, Tensor], float]:
    """The gradients of the first step, and its loss."""
    gradient_callback = Gradients()
    args = arguments(folder, max_steps=1, logging_steps=1, max_grad_norm=0.0, **changes)
    sampling = jx.Sampling(mix=mix, exponent=0)
    trainer = jx.Trainer(model, args, tasks=tasks, sampling=sampling, callbacks=[gradient_callback])
    trainer.train()
    return gradient_callback.found, trainer.state.log_history[0]["loss"]


def check_equal(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert actual.keys() == expected.keys()
    assert any(gradient.abs().max() > 1e-3 for gradient in expected.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(actual[name], gradient, atol=1e-5, rtol=1e-5, msg=name)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"symmetric": True, "temperature": 0.05},
        {"normalize": False, "temperature": 1.0, "pooling": "cls"},
    ],
)
def test_small_batches_have_the_gradients_of_a_large_one(
    changes: Any, model_of: ModelOf, tmp_path: Path
) -> None:
    task = TASK.replace(**changes)
    large, large_loss = gradients(model_of([task]), [task], tmp_path, per_device_train_batch_size=8)
    small, small_loss = gradients(
        model_of([task]),
        [task],
        tmp_path,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=4,
    )
    assert small_loss == pytest.approx(large_loss, rel=1e-5)
    check_equal(small, large)
    learns_scale = task.temperature == "learned"
    assert ("heads.pairs.log_scale" in large) == learns_scale
    task = task.replace(training_pool="batch")
    _, batch_loss = gradients(
        model_of([task]),
        [task],
        tmp_path,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=4,
    )
    assert batch_loss < 0.9 * large_loss, "fewer wrong candidates"


def test_batches_of_one_pair_are_enough(model_of: ModelOf, tmp_path: Path) -> None:
    sizes = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 8}
    large, _ = gradients(model_of([TASK]), [TASK], tmp_path, per_device_train_batch_size=8)
    small, _ = gradients(model_of([TASK]), [TASK], tmp_path, **sizes)
    check_equal(small, large)
    with pytest.raises(ValueError, match="pairs: a step of 1 pair has no wrong candidates"):
        gradients(model_of([TASK]), [TASK], tmp_path, per_device_train_batch_size=1)


def test_mixed_batches_label_smoothing_and_loss_weights(model_of: ModelOf, tmp_path: Path) -> None:
    """Draws of several tasks share a step; each draw is pooled over the step's batches."""
    tasks = [TASK, MOOD]
    changes: dict[str, Any] = {"mix": 4, "label_smoothing_factor": 0.1}
    large, large_loss = gradients(
        model_of(tasks), tasks, tmp_path, per_device_train_batch_size=32, **changes
    )
    small, small_loss = gradients(
        model_of(tasks),
        tasks,
        tmp_path,
        per_device_train_batch_size=8,
        gradient_accumulation_steps=4,
        **changes,
    )
    assert small_loss == pytest.approx(large_loss, rel=1e-5)
    check_equal(small, large)
    assert any(name.startswith("heads.mood") for name in large), "both tasks are drawn"
    assert "heads.pairs.log_scale" in large


def test_the_second_pass_drops_out_what_the_first_did(
    model_of: ModelOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first: list[Tensor] = []
    second: list[Tensor] = []
    forward = type(model_of([TASK]).heads["pairs"])._vectors

    def vectors(head: Any, states: Tensor, batch: Any) -> Tensor:
        values = forward(head, states, batch)
        (second if torch.is_grad_enabled() else first).append(values.detach())
        return values

    model = model_of([TASK], hidden_dropout_prob=0.3)
    monkeypatch.setattr(type(model.heads["pairs"]), "_vectors", vectors)
    sizes = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    gradients(model, [TASK], tmp_path, neftune_noise_alpha=5.0, **sizes)
    assert len(first) == len(second) == 4
    assert all(map(torch.equal, first, second))


def test_the_cached_loss_has_the_value_and_the_gradients_that_it_is_given() -> None:
    vectors = torch.randn(4, 3, requires_grad=True)
    scale = torch.randn(1, requires_grad=True)
    gradients_given = torch.randn(4, 3)
    cached = CachedLoss(torch.tensor(2.5), gradients_given, torch.tensor([0.5]))
    loss = cached.attach(vectors, scale)
    loss.backward()
    assert loss.item() == pytest.approx(2.5)
    assert vectors.grad is not None and torch.equal(vectors.grad, gradients_given)
    assert scale.grad is not None and scale.grad.item() == 0.5


def test_a_run_that_was_resumed_ends_as_one_that_was_not(model_of: ModelOf, tmp_path: Path) -> None:
    """With dropout: the cached pass comes after the random state is restored."""

    def train(folder: Path, steps: int, *, resume: bool) -> jx.MultitaskModel:
        model = model_of([TASK], hidden_dropout_prob=0.1)
        args = arguments(
            folder,
            max_steps=steps,
            save_strategy="steps",
            save_steps=3,
            per_device_train_batch_size=2,
            gradient_accumulation_steps=2,
            lr_scheduler_type="constant",
        )
        jx.Trainer(model, args, tasks=[TASK]).train(resume_from_checkpoint=resume)
        return model

    straight = train(tmp_path / "straight", 6, resume=False)
    train(tmp_path / "stopped", 3, resume=False)
    resumed = train(tmp_path / "stopped", 6, resume=True)
    for one, other in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_another_pool_is_another_run(model_of: ModelOf, tmp_path: Path) -> None:
    args = arguments(tmp_path, max_steps=2, save_strategy="steps", save_steps=1)
    jx.Trainer(model_of([TASK]), args, tasks=[TASK]).train()
    other = TASK.replace(training_pool="batch", symmetric=True, temperature=0.1)
    with pytest.raises(
        ValueError, match="symmetric of task pairs: True here, False there"
    ) as error:
        jx.Trainer(model_of([other]), args, tasks=[other]).train(resume_from_checkpoint=True)
    assert "training_pool of task pairs: batch here, step there" in str(error.value)
    assert "temperature of task pairs: 0.1 here, learned there" in str(error.value)


def test_compiled_layers_are_refused(model_of: ModelOf, tmp_path: Path) -> None:
    args = arguments(tmp_path, torch_compile=True)
    with pytest.raises(
        ValueError, match=r"Task pairs: training_pool=.step.*torch_compile may draw"
    ):
        jx.Trainer(model_of([TASK]), args, tasks=[TASK])


# --- several ranks --------------------------------------------------------------------------------


def on_every_rank(folder: Path) -> None:
    """The gradients of a step of 8 pairs, in batches of 2."""
    ranks = PartialState().num_processes
    model = jx.MultitaskModel.from_pretrained(folder / "model")
    sizes = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4 // ranks}
    step_gradients, loss = gradients(model, [TASK], folder / "run", **sizes)
    if PartialState().is_main_process:
        by_name = {
            name.removeprefix("module."): gradient for name, gradient in step_gradients.items()
        }
        torch.save(by_name, folder / f"gradients{ranks}.pt")
        (folder / f"loss{ranks}.json").write_text(json.dumps(loss))


def test_several_ranks_have_the_gradients_of_one(model_of: ModelOf, tmp_path: Path) -> None:
    model = model_of([TASK])
    model.save_pretrained(tmp_path / "model")
    sizes = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    one, one_loss = gradients(model, [TASK], tmp_path / "one", **sizes)
    run_on_ranks(2, tmp_path, on_every_rank)
    check_equal(torch.load(tmp_path / "gradients2.pt"), one)
    assert json.loads((tmp_path / "loss2.json").read_text()) == pytest.approx(one_loss, rel=1e-4)
