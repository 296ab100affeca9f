"""The size and the speed of an encoder, measured without training it."""

from __future__ import annotations

import copy
import os
import statistics
import time
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from transformers import AutoConfig, PreTrainedConfig

from jiantx.attention import encoder_class
from jiantx.model import MultitaskConfig, MultitaskModel, without_pooler

_MEASURED_LENGTH = 128  # tokens of a sequence of a timed step
_MOST_SEQUENCES = 8  # of a timed step
_STEP_SECONDS = 2.0  # a large encoder is timed on fewer sequences, down to one
_VOCABULARY = 1000  # embeddings are looked up: how many there are takes no time


def parameter_count(encoder: str | os.PathLike[str] | PreTrainedConfig) -> int:
    """Count the parameters of an encoder without its embeddings. No weights are loaded.

    Args:
        encoder: Hub id or folder of the encoder, or its config.
    """
    is_config = isinstance(encoder, PreTrainedConfig)
    config = encoder if is_config else AutoConfig.from_pretrained(encoder)
    encoder_type = encoder_class(config)
    with torch.device("meta"):
        model = encoder_type._from_config(config, **without_pooler(encoder_type))
    return int(model.num_parameters(exclude_embeddings=True))


def measured_seconds(config: PreTrainedConfig, bf16: bool, device: str) -> tuple[float, float]:
    """Measure the speed of an encoder of this shape, with random weights.

    Args:
        config: Config of the encoder.
        bf16: Whether to run in mixed precision.
        device: The torch device to run on.

    Returns:
        Seconds per token of training (forward and backward pass), and of scoring: medians of three
        steps on 128 to 1,024 tokens, after one to warm up.
    """
    config = copy.copy(config)
    config.vocab_size = min(config.vocab_size, _VOCABULARY)
    head = {"type": "classification", "labels": ["a", "b"], "multi_label": False}
    model = MultitaskModel(MultitaskConfig(encoder=config, heads={"head": head}))
    model = model.float().to(device)  # as it is trained, whatever the checkpoint is stored in
    model.set_padding_free("auto")
    one = _random_batch(1, config.vocab_size, device)
    *_, seconds_of_one = step_seconds(model, [one] * 2, training=True, bf16=bf16)
    sequences = min(max(int(_STEP_SECONDS / seconds_of_one), 1), _MOST_SEQUENCES)
    batch = _random_batch(sequences, config.vocab_size, device)
    seconds_per_token = []
    for training in (True, False):
        seconds = step_seconds(model, [batch] * 4, training=training, bf16=bf16)
        seconds_per_token.append(statistics.median(seconds[1:]) / (sequences * _MEASURED_LENGTH))
    trained, scored = seconds_per_token
    return trained, scored


def _random_batch(sequences: int, vocabulary: int, device: str) -> dict[str, Any]:
    """A flat batch of random tokens."""
    tokens = sequences * _MEASURED_LENGTH
    return {
        "input_ids": torch.randint(5, vocabulary, (tokens,), device=device),
        "position_ids": torch.arange(_MEASURED_LENGTH, device=device).repeat(sequences),
        "lengths": torch.full((sequences,), _MEASURED_LENGTH, device=device),
        "labels": torch.zeros(sequences, dtype=torch.long, device=device),
        "longest": _MEASURED_LENGTH,
        "head": "head",
    }


def step_seconds(
    model: torch.nn.Module,
    batches: Iterable[Mapping[str, Any]],
    *,
    training: bool,
    bf16: bool = False,
    optimizer: torch.optim.Optimizer | None = None,
) -> list[float]:
    """Time one step of a model on each batch. Drop the first values: they include warming up.

    The model stays in the mode (`train` or `eval`) that the caller chose.

    Args:
        model: A model whose output has a `loss`.
        batches: Arguments of the model's forward pass, on the model's device. Fetching them is not
            timed.
        training: Time the forward and the backward pass; otherwise only the forward pass, in
            inference mode.
        bf16: Whether to run in mixed precision.
        optimizer: Include a step of this optimizer in a training step.

    Returns:
        Seconds of each step. The clock stops when the device has finished.
    """
    device_type = next(model.parameters()).device.type
    seconds = []
    for batch in batches:
        started = time.perf_counter()
        with (
            torch.inference_mode(not training),
            torch.autocast(device_type, torch.bfloat16, enabled=bf16),
        ):
            loss = model(**batch).loss
        if training:
            loss.backward()
            if optimizer is not None:
                optimizer.step()
            model.zero_grad()
        float(loss.detach())  # waits for the device
        seconds.append(time.perf_counter() - started)
    return seconds
