"""What heads do with flat states: pool, pad, count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from transformers import PreTrainedConfig

from jiantx.heads.base import Batch
from jiantx.heads.precision import full_precision


def config_value(config: PreTrainedConfig, names: Sequence[str], default: Any) -> Any:
    """A value of a config that model families name differently.

    Args:
        config: The encoder's.
        names: The first of these that is set counts; a switch (MobileBERT's
            `classifier_activation=True`) is no value.
        default: The value if none is set.
    """
    values = (getattr(config, name, None) for name in names)
    set_values = (value for value in values if value is not None and not isinstance(value, bool))
    return next(set_values, default)


def encoder_dropout(encoder: PreTrainedConfig) -> nn.Dropout:
    """Dropout at the encoder's own rate."""
    names = ("classifier_dropout", "hidden_dropout_prob", "dropout", "dropout_rate")
    return nn.Dropout(config_value(encoder, names, 0.1))


def sequence_index(sizes: Tensor, total: int) -> Tensor:
    """The index of the sequence that each entry belongs to.

    Args:
        sizes: (sequences,) entries of each sequence.
        total: Their sum; given, so that nothing waits for the device.

    Returns:
        (total,) indices.

    >>> sequence_index(torch.tensor([2, 1, 3]), 6).tolist()
    [0, 0, 1, 2, 2, 2]
    """
    indices = torch.arange(len(sizes), device=sizes.device)
    return torch.repeat_interleave(indices, sizes, output_size=total)


def mean_states(states: Tensor, batch: Batch) -> Tensor:
    """Average the states of each sequence, special tokens included; halves are summed in float32.

    Args:
        states: (total tokens, hidden).
        batch: With `lengths` (sequences,).

    Returns:
        (sequences, hidden).
    """
    lengths = batch["lengths"]
    addends = full_precision(states)
    sums = addends.new_zeros((len(lengths), states.shape[1]))
    sums.index_add_(0, sequence_index(lengths, len(states)), addends)
    return (sums / lengths[:, None]).to(states.dtype)


def pooled_states(states: Tensor, batch: Batch, pooling: str) -> Tensor:
    """One vector for each sequence.

    Args:
        states: (total tokens, hidden).
        batch: With `starts` and `lengths` (sequences,).
        pooling: "mean" over the tokens, the "last" token, or else the first.

    Returns:
        (sequences, hidden).
    """
    if pooling == "mean":
        return mean_states(states, batch)
    if pooling == "last":
        return states[batch["starts"] + batch["lengths"] - 1]
    return states[batch["starts"]]


def pad_sequences(values: Tensor, sizes: Tensor, width: int, fill: float) -> Tensor:
    """Turn flat values into padded rows.

    Args:
        values: (total, ...), the sequences one after the other.
        sizes: (sequences,) entries of each sequence.
        width: The largest of the sizes.
        fill: The padding.

    Returns:
        (sequences, width, ...).
    """
    sequence = sequence_index(sizes, len(values))
    starts = sizes.cumsum(0) - sizes
    position = torch.arange(len(values), device=values.device) - starts[sequence]
    padded = values.new_full((len(sizes), width, *values.shape[1:]), fill)
    return padded.index_put((sequence, position), values)


def smoothing_of(batch: Batch) -> float:
    """The share of the loss that label smoothing gives to all classes alike."""
    return float(batch.get("label_smoothing", 0.0))


def smooth(losses: Tensor, uniform_losses: Tensor, batch: Batch) -> Tensor:
    """Mix cross-entropies with those of a uniform target, as transformers' `LabelSmoother` does.

    `torch.nn.functional.cross_entropy` does the same where all rows have as many classes.

    Args:
        losses: Minus the log-probability of the gold class.
        uniform_losses: Minus the mean log-probability of all classes, in the same shape.
        batch: Perhaps with `label_smoothing`.
    """
    smoothing = smoothing_of(batch)
    return (1 - smoothing) * losses + smoothing * uniform_losses


def chosen_loss(scores: Tensor, targets: Tensor, batch: Batch) -> Tensor | None:
    """Sum the loss that the trainer chose over the items that have a label.

    Args:
        scores: (items,) or (items, labels).
        targets: (items,) or (items, labels); perhaps the labels themselves.
        batch: With `labels` (items,), and perhaps `loss`, a function of (scores, targets).

    Returns:
        Scalar; None if the batch has no `loss`.

    Raises:
        ValueError: The function did not return one loss for each item.
    """
    loss = batch.get("loss")
    if loss is None:
        return None
    labels = batch["labels"]
    # a function may look up what belongs to a label: -100 is none
    losses = loss(scores, targets.clamp_min(0) if targets is labels else targets)
    if losses.dim() == 2:
        losses = losses.mean(dim=1)
    if losses.shape != labels.shape:
        raise ValueError(
            f"The loss of task {batch.get('task')!r} is of shape {tuple(losses.shape)}; expected "
            f"one for each of {len(labels)} items. Let it return them all: reduction='none'."
        )
    return losses.masked_fill(labels.eq(-100), 0.0).sum()


def label_loss(logits: Tensor, targets: Tensor, batch: Batch) -> Tensor:
    """Sum the loss over items with labels: the one that the trainer chose, else a cross-entropy.

    Args:
        logits: (items, labels).
        targets: The batch's labels, (items,), for a softmax; 0 or 1 for each label, (items,
            labels), for sigmoids.
        batch: As in `Head.forward`.

    Returns:
        Scalar.
    """
    loss = chosen_loss(logits, targets, batch)
    if loss is not None:
        return loss
    if targets.dim() == 1:
        smoothing = smoothing_of(batch)
        return cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing)
    losses = binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)
    return (losses * batch["labels"].ne(-100)).sum()


def count_labels(labels: Tensor) -> Tensor:
    """The number of items that have a label."""
    return labels.ne(-100).sum()
