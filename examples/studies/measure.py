"""What the studies measure of an encoder: memory, speed, gradient noise, tokens per word."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, cycle, islice
from statistics import fmean, median
from tempfile import gettempdir
from typing import Any

import numpy as np
import torch
from torch.autograd.graph import saved_tensors_hooks
from transformers import AutoTokenizer, TrainerCallback, TrainingArguments

import jiantx as jx


def training_bytes(model: torch.nn.Module, batch: Mapping[str, Any], bf16: bool = False) -> int:
    """Return the bytes of a training step with AdamW.

    They are weights, gradients, two moments, and what torch saves for the backward pass.

    Args:
        model: The model; only its forward pass runs.
        batch: The arguments of its forward pass.
        bf16: Whether to run in mixed precision.

    Returns:
        The bytes.
    """
    bytes_at = {parameter.data_ptr(): parameter.nbytes for parameter in model.parameters()}
    weights = sum(bytes_at.values())

    def record(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        bytes_at[storage.data_ptr()] = storage.nbytes()  # views of one storage count once
        # not the tensor: an output would hold the graph that holds it, and stay for good
        return tensor.detach()

    device = next(model.parameters()).device.type
    hooks = saved_tensors_hooks(record, lambda tensor: tensor)
    with hooks, torch.autocast(device, torch.bfloat16, bf16):
        model.train()(**batch)
    return sum(bytes_at.values()) + 3 * weights


def step_bytes(encoder: str, task: jx.Task, batch_size: int, bf16: bool) -> int:
    """Return `training_bytes` of a fresh model on the first batch of a task.

    Args:
        encoder: Hub id or folder.
        task: The task, which has training rows.
        batch_size: Examples in the batch.
        bf16: Whether to run in mixed precision.

    Returns:
        The bytes.
    """
    model = jx.MultitaskModel.from_pretrained(encoder, [task])
    arguments = TrainingArguments(
        gettempdir(),  # a trainer needs a folder; nothing is written
        per_device_train_batch_size=batch_size,
        report_to="none",
    )
    trainer = jx.Trainer(model, arguments, tasks=[task])
    return training_bytes(model, next(batches(trainer, 1)), bf16)


def batches(trainer: jx.Trainer, count: int) -> Iterator[dict[str, Any]]:
    """Yield training batches on the trainer's device, from the start again where they end.

    Args:
        trainer: Gives the training data and the device.
        count: Number of batches.

    Yields:
        The arguments of the model's forward pass.
    """
    for batch in islice(cycle(trainer.get_train_dataloader()), count):
        on_device = {}
        for name, value in batch.items():
            on_device[name] = value.to(trainer.args.device) if torch.is_tensor(value) else value
        yield on_device


def noise_scale(
    trainer: jx.Trainer, batch_size: int, accumulated: int = 8, groups: int = 8
) -> float:
    """Estimate the gradient noise scale, tr(Sigma) / |G|^2, from gradients of two batch sizes.

    McCandlish et al. (2018), https://arxiv.org/abs/1812.06162, appendix A.1.

    Args:
        trainer: Gives the model, its loss and the batches.
        batch_size: Examples in a batch; the small batch size.
        accumulated: Batches whose mean gradient stands for one large batch.
        groups: Number of large batches.

    Returns:
        The noise scale in examples; NaN where the noise hides the gradient.
    """
    model = trainer.model.train()
    count = accumulated * groups
    small_norm = 0.0  # mean of the squared norms of small batches' gradients
    large_norm = 0.0  # mean of the squared norms of large batches' gradients
    gradient_sum = torch.zeros(1)
    for index, batch in enumerate(batches(trainer, count)):
        model.zero_grad()
        with trainer.compute_loss_context_manager():  # of mixed precision
            loss = trainer.compute_loss(model, batch)
        loss.backward()
        gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        gradient = torch.cat(gradients)
        small_norm += float(gradient @ gradient) / count
        is_first_of_group = index % accumulated == 0
        gradient_sum = gradient if is_first_of_group else gradient_sum + gradient
        if index % accumulated == accumulated - 1:
            large_norm += float(gradient_sum @ gradient_sum) / accumulated**2 / groups
    signal = (accumulated * large_norm - small_norm) / (accumulated - 1)
    noise = (small_norm - large_norm) / (1 / batch_size - 1 / (batch_size * accumulated))
    return noise / signal if signal > 0 else math.nan


class StepClock(TrainerCallback):
    """Times every step of a training.

    Attributes:
        seconds: Of each step so far.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._started = 0.0

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        self._started = time.perf_counter()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.seconds.append(time.perf_counter() - self._started)


def step_costs(trainer: jx.Trainer, seconds: Sequence[float]) -> dict[str, float]:
    """Measure the speed and the memory of a trainer's batches, after its training.

    Args:
        trainer: It has trained, and its batches are of one size.
        seconds: Of each step of the training.

    Returns:
        `trained` and `inferred`, in tokens per second (medians), and `bytes` of training: the peak
        of eight passes on a GPU, else those of the largest of eight batches.
    """
    on_gpu = trainer.args.device.type == "cuda"
    if on_gpu:  # what was trained before does not count
        trainer.accelerator.free_memory()
        trainer.optimizer = None
        torch.cuda.reset_peak_memory_stats()
    measured = list(batches(trainer, 8))
    tokens = [batch["input_ids"].numel() for batch in measured]
    bf16 = trainer.args.bf16
    largest = max(training_bytes(trainer.model, batch, bf16) for batch in measured)
    scored = jx.experiments.step_seconds(trainer.model.eval(), measured, training=False, bf16=bf16)
    rates = [count / taken for count, taken in zip(tokens, scored, strict=True)]
    return {
        "bytes": torch.cuda.max_memory_allocated() if on_gpu else largest,
        "trained": fmean(tokens) / median(seconds),
        "inferred": median(rates[2:]),  # the first two warm up
    }


def tokens_per_word(encoder: str, languages: Sequence[str]) -> tuple[dict[str, float], float]:
    """Count an encoder's tokens on the validation words of udpos, or of panx if it lacks rows.

    Args:
        encoder: Hub id or folder.
        languages: Codes; those that the task lacks are left out.

    Returns:
        Tokens per word by language, and the largest share of unknown tokens in a language.
    """
    rates = {}
    unknown_share = 0.0
    unknown = AutoTokenizer.from_pretrained(encoder).unk_token_id
    for language, (ids, word_count) in _token_ids(encoder, languages).items():
        rates[language] = len(ids) / word_count
        unknown_share = max(unknown_share, float(np.mean(ids == unknown)))
    return rates, unknown_share


def piece_shares(encoder: str, languages: Sequence[str]) -> dict[str, np.ndarray]:
    """Return how frequent an encoder's pieces are in the words that `tokens_per_word` counts.

    Args:
        encoder: Hub id or folder.
        languages: Codes; those without words are left out.

    Returns:
        Shares (pieces,), which sum to one, by language.
    """
    size = len(AutoTokenizer.from_pretrained(encoder))
    shares = {}
    for language, (ids, _) in _token_ids(encoder, languages).items():
        shares[language] = np.bincount(ids, minlength=size) / len(ids)
    return shares


def _tagged_sentences(language: str) -> list[str]:
    """The validation sentences of udpos, or of panx if it lacks rows; empty without any."""
    tasks = map(jx.get_task, ("udpos", "panx"))
    task = next(task for task in tasks if task.languages("validation"))
    if language not in task.languages("validation"):
        return []
    return [" ".join(example.words) for example in task.examples("validation", language)]


def _token_ids(encoder: str, languages: Sequence[str]) -> dict[str, tuple[np.ndarray, int]]:
    """Return the token ids of tagged sentences and their number of words, by language."""
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    counted = {}
    for language in languages:
        sentences = _tagged_sentences(language)
        if sentences:
            encodings = tokenizer(sentences, add_special_tokens=False)
            ids = np.array(list(chain.from_iterable(encodings["input_ids"])))
            counted[language] = (ids, sum(len(sentence.split(" ")) for sentence in sentences))
    return counted
