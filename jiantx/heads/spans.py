"""The head that reads spans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig

from jiantx.heads.base import Batch, Head, HeadOutput, register_head
from jiantx.heads.precision import full_precision
from jiantx.heads.states import (
    count_labels,
    encoder_dropout,
    label_loss,
    sequence_index,
)


class SpanPooling(nn.Module):
    """One vector for each span: a projection of its states, then pooling.

    "self_attentive" is that of Tenney et al. 2019 (1905.06316): a score for each token, a softmax
    inside the span, and the weighted sum.

    Args:
        hidden_size: Of the encoder.
        config: The head's, with `projection_size` and `pooling`.
    """

    def __init__(self, hidden_size: int, config: Mapping[str, Any]) -> None:
        super().__init__()
        size = config["projection_size"]
        self.pooling: str = config["pooling"]
        self.projection = None if size is None else nn.Linear(hidden_size, size)
        width = hidden_size if size is None else size
        self.score = nn.Linear(width, 1) if self.pooling == "self_attentive" else None
        self.size = 2 * width if self.pooling == "ends" else width

    def forward(self, states: Tensor, positions: Tensor, sizes: Tensor, tokens: Tensor) -> Tensor:
        """Pool the states of each span; an empty span is 0 or any token's state.

        Args:
            states: (total tokens, hidden).
            positions: (spans,) index of each span's first token.
            sizes: (spans,) tokens of each span.
            tokens: (tokens of spans,) their indices, one span after the other.

        Returns:
            (spans, `size`).
        """
        if self.pooling == "first":
            return self._projected(states[positions])
        if self.pooling == "ends":
            last = positions + (sizes - 1).clamp_min(0)
            ends = torch.stack([positions, last], dim=1)
            return self._projected(states[ends]).flatten(1)
        values = self._projected(states[tokens])
        span = sequence_index(sizes, len(tokens))
        weights = self._weights(values, span, len(sizes))
        totals = weights.new_zeros(len(sizes)).index_add_(0, span, weights)
        sums = weights.new_zeros((len(sizes), values.shape[1]))
        sums = sums.index_add(0, span, weights[:, None] * full_precision(values))
        # the largest weight of a span is 1, so that only an empty one has less
        return (sums / totals.clamp_min(1.0)[:, None]).to(values.dtype)

    def _projected(self, states: Tensor) -> Tensor:
        return states if self.projection is None else self.projection(states)

    def _weights(self, values: Tensor, span: Tensor, spans: int) -> Tensor:
        """(tokens of spans,) weights, of which the largest in each span is 1."""
        if self.score is None:
            return full_precision(values.new_ones(len(values)))
        scores = full_precision(self.score(values)[:, 0])
        largest = scores.new_zeros(spans)
        largest = largest.scatter_reduce(0, span, scores.detach(), "amax", include_self=False)
        return (scores - largest[span]).exp()


class SpanClassificationHead(Head):
    """The vectors of a target's spans side by side, then a linear or an MLP classifier.

    It learns by softmax over the labels, or with `multi_label` by a sigmoid for each.

    outputs: probabilities (targets, labels).
    """

    settings = ("dropout",)
    takes_loss = True
    reads_embedding = False

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__(encoder, config)
        self.smooths_labels = not config["multi_label"]
        count = 1 if config["share_pooling"] else config["spans"]
        self.pooling = nn.ModuleList(SpanPooling(encoder.hidden_size, config) for _ in range(count))
        size = config["spans"] * self.pooling[0].size
        rate = config["dropout"]
        self.dropout = encoder_dropout(encoder) if rate is None else nn.Dropout(rate)
        self.dense: nn.Linear | None = None
        if config["classifier"] == "mlp":
            self.dense = nn.Linear(size, config["classifier_size"])
            self.norm = nn.LayerNorm(config["classifier_size"])
            size = config["classifier_size"]
        self.out = nn.Linear(size, len(config["labels"]))

    def scores(self, states: Tensor, batch: Batch) -> Tensor:
        """Compute (targets, labels) scores, never in half precision.

        Args:
            states: (total tokens, hidden).
            batch: As in `forward`.
        """
        vectors = []
        for index in range(self.config["spans"]):
            name = f"span{index + 1}"
            pool = self.pooling[min(index, len(self.pooling) - 1)]
            columns = (batch[f"{name}_{column}"] for column in ("positions", "sizes", "tokens"))
            vectors.append(pool(states, *columns))
        hidden = torch.cat(vectors, dim=1)
        if self.dense is not None:
            hidden = self.norm(torch.tanh(self.dense(hidden)))
        return full_precision(self.out(self.dropout(hidden)))

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        logits = self.scores(states, batch)
        labels = batch["labels"]
        output = HeadOutput(num_items=count_labels(labels))
        multi_label = self.config["multi_label"]
        targets = _gold_matrix(batch, logits) if multi_label else labels
        output.loss = label_loss(logits, targets, batch)
        if not self.training:
            probabilities = logits.sigmoid() if multi_label else logits.softmax(dim=1)
            output.outputs = {"probabilities": probabilities}
        return output


def _gold_matrix(batch: Batch, logits: Tensor) -> Tensor:
    """(targets, labels) with 1 where a target has the label, and 0 elsewhere."""
    gold_labels = batch["gold_labels"]
    target = sequence_index(batch["gold_counts"], len(gold_labels))
    ones = logits.new_ones(len(gold_labels))
    return torch.zeros_like(logits).index_put((target, gold_labels), ones)


register_head("span_classification", SpanClassificationHead)
