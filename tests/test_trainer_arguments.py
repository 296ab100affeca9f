"""Every argument of the installed transformers works, or is refused by name."""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from accelerate.utils import ParallelismConfig
from conftest import ModelOf
from peft import get_peft_model
from test_trainer import Gradients, arguments
from transformers import TrainerCallback
from transformers.integrations.neftune import neftune_post_forward_hook
from transformers.utils import logging

import jiantx as jx
from jiantx import trainer_arguments as table
from jiantx.model.embedding_noise import noisy_embeddings

# --- the table ------------------------------------------------------------------------------------


def test_no_parameter_of_the_trainer_is_unknown() -> None:
    known_names = {*table.PARAMETERS, *table.REFUSED_PARAMETERS, "self"}
    known_names |= {"resume_from_checkpoint", "eval_dataset", "metric_key_prefix"}
    for method in ("__init__", "train", "evaluate"):
        names = set(inspect.signature(getattr(transformers.Trainer, method)).parameters)
        assert names <= known_names, f"jiantx/trainer_arguments.py lacks {names - known_names}"


def test_no_method_of_the_trainer_is_unknown() -> None:
    names = {name for name in dir(transformers.Trainer) if not name.startswith("_")}
    methods = {name for name in names if callable(getattr(transformers.Trainer, name))}
    known_names = {*table.METHODS, *table.REFUSED_METHODS}
    assert methods <= known_names, f"jiantx/trainer_arguments.py lacks {methods - known_names}"


def test_no_training_argument_is_unknown() -> None:
    names = set(table.default_arguments())
    known_names = {*table.ARGUMENTS, *table.REFUSED_ARGUMENTS}
    assert names <= known_names, f"jiantx/trainer_arguments.py lacks {names - known_names}"
    assert not set(table.ARGUMENTS) & set(table.REFUSED_ARGUMENTS)


def test_an_argument_of_a_newer_transformers_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(table.ARGUMENTS, "run_name")
    logging.enable_propagation()
    table.check_arguments(arguments(tmp_path))
    assert not caplog.text
    table.check_arguments(arguments(tmp_path, run_name="mine"))
    logging.disable_propagation()
    assert "does not know TrainingArguments(run_name='mine')" in caplog.text


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(table.REFUSED_PARAMETERS) - {"trial"}))
def test_refused_parameters(name: str, model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    task = tiny_tasks["classification"]
    parameters: Any = {name: [task]}
    with pytest.raises(ValueError, match=rf"Trainer\({name}=…\) is not supported by jiantx\. \w"):
        jx.Trainer(model_of([task]), arguments(tmp_path), tasks=[task], **parameters)


OTHER_VALUES = {
    "eval_do_concat_batches": False,
    "dataloader_in_order": False,
    "eval_accumulation_steps": 4,
    "include_for_metrics": ["loss"],
    "label_names": ["label"],
    "train_sampling_strategy": "group_by_length",
    "length_column_name": "size",
    "liger_kernel_config": {"rope": True},
    "deepspeed": "zero.json",
}


@pytest.mark.parametrize("name", sorted(table.REFUSED_ARGUMENTS))
def test_refused_arguments(name: str, model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    task = tiny_tasks["classification"]
    args = arguments(tmp_path)
    setattr(args, name, OTHER_VALUES.get(name, True))  # some need hardware to be made
    with pytest.raises(ValueError, match=rf"TrainingArguments\({name}=.* is not supported"):
        jx.Trainer(model_of([task]), args, tasks=[task])


@pytest.mark.parametrize("name", sorted(table.REFUSED_METHODS))
def test_refused_methods(name: str, model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    task = tiny_tasks["classification"]
    trainer = jx.Trainer(model_of([task]), arguments(tmp_path), tasks=[task])
    with pytest.raises(NotImplementedError, match=rf"Trainer\.{name} is not supported"):
        getattr(trainer, name)([1])


@pytest.mark.parametrize("name", table.COUNTS)
def test_batches_have_examples(name: str, model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    task = tiny_tasks["classification"]
    model = model_of([task])
    with pytest.raises(ValueError, match=f"{name}=0. Expected a whole number, at least 1"):
        jx.Trainer(model, arguments(tmp_path, **{name: 0}), tasks=[task])
    with pytest.raises(ValueError, match=r"batch_size=-1\. Expected a whole number, at least 1"):
        jx.evaluate(model, task, batch_size=-1)


def test_arguments_that_are_refused_in_part(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    tasks = [tiny_tasks["classification"], tiny_tasks["tagging"]]
    model = model_of(tasks)
    args = arguments(tmp_path, accelerator_config={"split_batches": True})
    with pytest.raises(ValueError, match=r"accelerator_config={'split_batches': True}"):
        jx.Trainer(model, args, tasks=tasks)
    args = arguments(tmp_path)
    args.parallelism_config = ParallelismConfig(cp_size=2)
    with pytest.raises(ValueError, match="cp_size=2"):
        jx.Trainer(model, args, tasks=tasks)
    with pytest.raises(ValueError, match=r"ddp_static_graph=True.* heads, entities, mood, do not"):
        jx.Trainer(model, arguments(tmp_path, ddp_static_graph=True), tasks=tasks)


def test_evaluate_and_train_take_no_other_arguments(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    trainer = jx.Trainer(model_of([task]), arguments(tmp_path), tasks=[task])
    with pytest.raises(TypeError, match=r"takes tasks, found dict: {'text': 'cat'}"):
        trainer.evaluate([{"text": "cat"}])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="ignore_keys=…"):
        trainer.evaluate(ignore_keys=["loss"])
    with pytest.raises(ValueError, match="trial=…"):
        trainer.train(trial={"learning_rate": 1})  # type: ignore[arg-type]
    assert trainer.evaluate([]) == {}  # no tasks, and not the trainer's own


def test_another_tokenizer_is_refused(
    model_of: ModelOf, tiny_tasks, tmp_path: Path, tokenizer, bert_tokenizer
) -> None:
    """Features for training would be made with the one, those for evaluation with the other."""
    task = tiny_tasks["classification"]
    model = model_of([task])
    with pytest.raises(ValueError, match=r"processing_class=…\) is another tokenizer"):
        jx.Trainer(model, arguments(tmp_path), tasks=[task], processing_class=bert_tokenizer)
    trainer = jx.Trainer(model, arguments(tmp_path), tasks=[task], processing_class=tokenizer)
    assert trainer.processing_class is model.tokenizer


# --- what works -----------------------------------------------------------------------------------


def first_loss(model: jx.MultitaskModel, task: jx.Task, folder: Path, **changes: Any) -> float:
    args = arguments(folder, max_steps=1, logging_steps=1, **changes)
    trainer = jx.Trainer(model, args, tasks=[task])
    trainer.train()
    return float(trainer.state.log_history[0]["loss"])


@pytest.mark.parametrize("kind", ["classification", "qa"])
def test_label_smoothing_changes_the_loss(
    kind: str, model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks[kind]
    losses = [
        first_loss(model_of([task]), task, tmp_path, label_smoothing_factor=factor)
        for factor in (0.0, 0.1)
    ]
    assert abs(losses[0] - losses[1]) > 1e-4


def test_label_smoothing_names_the_tasks_that_it_does_not_change(
    model_of: ModelOf, tiny_tasks, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = [tiny_tasks[kind] for kind in ("classification", "regression", "multi_label")]
    args = arguments(tmp_path, label_smoothing_factor=0.1)
    with pytest.raises(ValueError, match="does not change the loss of stars, topics, whose"):
        jx.Trainer(model_of(tasks[1:]), args, tasks=tasks[1:])
    logging.enable_propagation()
    jx.Trainer(model_of(tasks), args, tasks=tasks)
    logging.disable_propagation()
    assert "does not change the loss of stars, topics" in caplog.text


class Measured(jx.Trainer):
    """Counts the bytes that forward passes keep for the backward pass."""

    kept_bytes = 0

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        def keep(tensor: torch.Tensor) -> torch.Tensor:
            self.kept_bytes += tensor.numel() * tensor.element_size()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            return super().compute_loss(*args, **kwargs)


@pytest.mark.parametrize("padding_free", ["auto", False])
def test_checkpointing_keeps_the_gradients_and_less_for_the_backward_pass(
    padding_free: Any, model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    kept_bytes = []
    steps = []
    for checkpointing in (False, True):
        gradients = Gradients()
        args = arguments(tmp_path, max_steps=1, gradient_checkpointing=checkpointing)
        model = model_of([task], padding_free=padding_free)
        trainer = Measured(model, args, tasks=[task], callbacks=[gradients])
        trainer.train()
        kept_bytes.append(trainer.kept_bytes)
        steps.append(gradients.found)
    assert kept_bytes[1] < kept_bytes[0] / 2
    assert steps[0].keys() == steps[1].keys()
    for name, value in steps[0].items():
        torch.testing.assert_close(steps[1][name], value, atol=1e-6, rtol=1e-5)


def test_noise_is_scaled_by_each_sequence() -> None:
    """Flat and padded; alone, a sequence gets the noise that transformers gives it."""
    embeddings = torch.nn.Embedding(10, 16)
    lengths = torch.tensor([4, 16])
    ids = torch.arange(20) % 10
    padded_ids = torch.zeros((2, 16), dtype=torch.long)
    with noisy_embeddings(embeddings, lengths, alpha=8.0):
        flat = (embeddings(ids[None]) - embeddings.weight[ids])[0]
        padded = embeddings(padded_ids) - embeddings.weight[padded_ids]
        embeddings.eval()
        assert torch.equal(embeddings(ids), embeddings.weight[ids])
        embeddings.train()
    for noise in (flat[:4], padded[0]):
        assert 0.9 < noise.abs().max() <= 1.0  # 8 / sqrt(4 * 16)
    for noise in (flat[4:], padded[1]):
        assert 0.45 < noise.abs().max() <= 0.5  # 8 / sqrt(16 * 16)
    assert torch.equal(embeddings(ids), embeddings.weight[ids])
    torch.manual_seed(0)
    with noisy_embeddings(embeddings, lengths[:1], alpha=8.0):
        ours = embeddings(ids[None, :4])
    embeddings.neftune_noise_alpha = 8.0  # type: ignore[assignment]
    handle = embeddings.register_forward_hook(neftune_post_forward_hook)
    torch.manual_seed(0)
    torch.testing.assert_close(ours, embeddings(ids[None, :4]))
    handle.remove()


@pytest.mark.parametrize("padding_free", [True, False])
def test_training_with_noise(
    padding_free: bool, model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    model = model_of([task], padding_free=padding_free)
    noises: list[torch.Tensor] = []

    class Watch(TrainerCallback):
        """Looks at the noise from outside: after the trainer's own hook."""

        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            encoder = model.encoder
            encoder.register_forward_pre_hook(self.listen, with_kwargs=True)

        def listen(self, module: Any, args: Any, kwargs: dict[str, Any]) -> None:
            clean = model.get_input_embeddings().weight[kwargs["input_ids"]]
            noisy = model.get_input_embeddings()(kwargs["input_ids"])
            noises.append((noisy - clean).abs().amax(dim=-1).flatten())

    args = arguments(tmp_path, max_steps=1, neftune_noise_alpha=8.0)
    jx.Trainer(model, args, tasks=[task], callbacks=[Watch()]).train()
    longest_allowed = 8 / math.sqrt(3 * 32)  # a sequence has three tokens or more
    assert 0.3 * longest_allowed < noises[0].max() <= longest_allowed
    assert not model.get_input_embeddings()._forward_hooks


@pytest.mark.slow
def test_mixed_steps_and_adapters_are_smoothed_and_noisy(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    tasks = [tiny_tasks["classification"], tiny_tasks["tagging"]]
    losses = []
    for changes in ({}, {"label_smoothing_factor": 0.1}, {"neftune_noise_alpha": 5.0}):
        model = model_of(tasks)
        adapted: Any = get_peft_model(model, model.lora_config())  # type: ignore[arg-type]
        args = arguments(tmp_path, max_steps=1, logging_steps=1, **changes)
        trainer = jx.Trainer(adapted, args, tasks=tasks, sampling=jx.Sampling(mix=2))
        trainer.train()
        losses.append(trainer.state.log_history[0]["loss"])
    assert len({round(loss, 4) for loss in losses}) == 3, losses


def test_a_plateau_follows_the_score(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    task = tiny_tasks["classification"]
    args = arguments(
        tmp_path, lr_scheduler_type="reduce_lr_on_plateau", eval_strategy="steps", eval_steps=1,
        max_steps=1,
    )  # fmt: skip
    trainer = jx.Trainer(model_of([task]), args, tasks=[task])
    trainer.train()
    assert trainer.lr_scheduler.mode == "max"  # type: ignore[union-attr]
    assert trainer.args.metric_for_best_model == "eval_score"


def test_no_bars_if_they_are_disabled(
    model_of: ModelOf, tiny_tasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny_tasks["classification"]
    shown: list[bool] = []

    def bar(batches: Any, *args: Any, **kwargs: Any) -> Any:
        shown.append(logging.is_progress_bar_enabled())
        return batches

    monkeypatch.setattr("jiantx.inference.tqdm", bar)
    model = model_of([task])
    logging.enable_progress_bar()
    try:
        for disable in (True, False):
            args = arguments(tmp_path, disable_tqdm=disable)
            jx.Trainer(model, args, tasks=[task]).evaluate()
            assert logging.is_progress_bar_enabled()
    finally:
        logging.disable_progress_bar()
    assert shown == [False, True]


def test_loader_arguments_reach_the_loader(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    task = tiny_tasks["classification"]
    args = arguments(
        tmp_path, dataloader_num_workers=1, dataloader_persistent_workers=True,
        dataloader_prefetch_factor=3, dataloader_multiprocessing_context="spawn",
    )  # fmt: skip
    loader = jx.Trainer(model_of([task]), args, tasks=[task]).get_train_dataloader()
    assert loader.persistent_workers and loader.prefetch_factor == 3
    assert "Spawn" in type(loader.multiprocessing_context).__name__
