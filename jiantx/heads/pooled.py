"""Heads that read one vector a sequence: classification, regression, multiple choice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedConfig

from jiantx.heads.base import Batch, Head, HeadOutput, register_head
from jiantx.heads.precision import full_precision
from jiantx.heads.states import (
    chosen_loss,
    count_labels,
    encoder_dropout,
    label_loss,
    mean_states,
    pad_sequences,
    pooled_states,
    sequence_index,
    smooth,
    smoothing_of,
)


class PooledHead(Head):
    """dropout - dense - tanh - dropout - linear at the first token, as in transformers' XLM-R.

    It has one score a label, or one score if the task has no labels. Encoders without a CLS token
    are pooled by their mean (`cls_pooling` in the config).
    """

    reads_embedding = False

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__(encoder, config)
        self.dropout = encoder_dropout(encoder)
        self.dense = nn.Linear(encoder.hidden_size, encoder.hidden_size)
        self.out = nn.Linear(encoder.hidden_size, len(config["labels"]) or 1)

    def scores(self, states: Tensor, batch: Batch) -> Tensor:
        """Compute (sequences, labels or 1) scores, never in half precision.

        Args:
            states: (total tokens, hidden).
            batch: As in `forward`.
        """
        pooled = pooled_states(states, batch, self.config.get("cls_pooling", "cls"))
        hidden = torch.tanh(self.dense(self.dropout(pooled)))
        return full_precision(self.out(self.dropout(hidden)))


class ClassificationHead(PooledHead):
    """Softmax over labels, or a sigmoid for each.

    outputs: probabilities (examples, labels).
    """

    takes_loss = True

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__(encoder, config)
        self.smooths_labels = not config["multi_label"]

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        logits = self.scores(states, batch)
        labels = batch["labels"]
        output = HeadOutput(num_items=count_labels(labels))
        multi_label = self.config["multi_label"]
        targets = batch["targets"].to(logits).view_as(logits) if multi_label else labels
        output.loss = label_loss(logits, targets, batch)
        if not self.training:
            probabilities = logits.sigmoid() if multi_label else logits.softmax(dim=1)
            output.outputs = {"probabilities": probabilities}
        return output


class RegressionHead(PooledHead):
    """Squared error on the scale 0 to 1.

    outputs: numbers (examples,).
    """

    takes_loss = True

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        numbers = self.scores(states, batch)[:, 0]
        labels = batch["labels"]
        output = HeadOutput(num_items=count_labels(labels))
        output.loss = chosen_loss(numbers, batch["targets"], batch)
        if output.loss is None:
            output.loss = ((numbers - batch["targets"]).square() * labels.ne(-100)).sum()
        if not self.training:
            output.outputs = {"numbers": numbers}
        return output


class MultipleChoiceHead(PooledHead):
    """One score a sequence, softmax over the choices of an example.

    If a batch has `targets` (sequences,), 1 for a right choice and 0 for a wrong one, several may
    be right: the loss is minus the log of the sum of their probabilities.

    outputs: scores (sequences,).
    """

    smooths_labels = True

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        scores = self.scores(states, batch)[:, 0]
        labels = batch["labels"]
        # (examples, most choices)
        logits = pad_sequences(scores, batch["sequences"], batch["most_sequences"], -math.inf)
        output = HeadOutput(num_items=count_labels(labels))
        if "targets" in batch:
            output.loss = self._loss_of_several(scores, logits, batch)
        else:
            output.loss = cross_entropy(logits, labels, reduction="sum")
        if smoothing_of(batch):
            # over an example's own choices: the padding is no choice
            mean_scores = mean_states(scores[:, None], {"lengths": batch["sequences"]})[:, 0]
            uniform_losses = (logits.logsumexp(dim=1) - mean_scores) * labels.ne(-100)
            output.loss = smooth(output.loss, uniform_losses.sum(), batch)
        if not self.training:
            output.outputs = {"scores": scores}
        return output

    def _loss_of_several(self, scores: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        """Sum minus the log-probabilities that one of the right choices is chosen.

        Args:
            scores: (sequences,).
            logits: (examples, most choices), the scores padded.
            batch: As in `forward`, with `targets`.
        """
        sizes = batch["sequences"]
        is_unlabelled = batch["labels"].eq(-100)[sequence_index(sizes, len(scores))]
        # all choices of an unlabelled example count as right: its loss and its gradient are 0
        is_right = batch["targets"].bool() | is_unlabelled
        right_scores = scores.masked_fill(~is_right, -math.inf)
        right_logits = pad_sequences(right_scores, sizes, batch["most_sequences"], -math.inf)
        return (logits.logsumexp(dim=1) - right_logits.logsumexp(dim=1)).sum()


register_head("classification", ClassificationHead)
register_head("regression", RegressionHead)
register_head("multiple_choice", MultipleChoiceHead)
