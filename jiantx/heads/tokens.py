"""Heads that read tokens: tagging, question answering, masked LM."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear
from transformers import PreTrainedConfig
from transformers.activations import ACT2FN

from jiantx.heads.base import Batch, Head, HeadOutput, register_head
from jiantx.heads.states import (
    config_value,
    count_labels,
    encoder_dropout,
    mean_states,
    pad_sequences,
    smooth,
    smoothing_of,
)


class TokenClassificationHead(Head):
    """Softmax over tags at the first piece of each word.

    outputs: tags, probabilities (words,).
    """

    smooths_labels = True

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__(encoder, config)
        self.dropout = encoder_dropout(encoder)
        self.out = nn.Linear(encoder.hidden_size, len(config["labels"]))

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        logits = self.out(self.dropout(states[batch["word_positions"]])).float()  # (words, labels)
        labels = batch["labels"]
        loss = cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing_of(batch))
        output = HeadOutput(loss=loss, num_items=count_labels(labels))
        if not self.training:
            probabilities, tags = logits.softmax(dim=1).max(dim=1)
            output.outputs = {"tags": tags, "probabilities": probabilities}
        return output


class QuestionAnsweringHead(Head):
    """Softmax over the tokens of each window for the start of the answer, and for its end.

    outputs: start_logits, end_logits (tokens,).
    """

    smooths_labels = True

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__(encoder, config)
        self.out = nn.Linear(encoder.hidden_size, 2)

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        logits = self.out(states).float()  # (tokens, 2)
        labels = batch["labels"]
        padded = pad_sequences(logits, batch["lengths"], batch["longest"], -math.inf)
        log_normalizers = padded.logsumexp(dim=1)  # (windows, 2)
        gold_starts = logits[batch["start_positions"], 0]
        gold_ends = logits[batch["end_positions"], 1]
        gold = torch.stack([gold_starts, gold_ends], dim=1)  # (windows, 2)
        output = HeadOutput(num_items=count_labels(labels))
        losses = log_normalizers - gold
        if smoothing_of(batch):
            losses = smooth(losses, log_normalizers - mean_states(logits, batch), batch)
        output.loss = (losses.mean(dim=1) * labels.ne(-100)).sum()
        if not self.training:
            output.outputs = {"start_logits": logits[:, 0], "end_logits": logits[:, 1]}
        return output


class MaskedLMHead(Head):
    """dense - activation - norm - the encoder's own embeddings, at masked positions only.

    outputs: token_ids, correct (masked positions,).
    """

    smooths_labels = True

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__(encoder, config)
        hidden = encoder.hidden_size
        size = config_value(encoder, ("embedding_size", "input_embedding_size"), hidden)
        self.dense = nn.Linear(hidden, size, bias=getattr(encoder, "classifier_bias", True))
        activation_names = ("classifier_activation", "hidden_act", "activation")
        self.activation = ACT2FN[config_value(encoder, activation_names, "gelu")]
        eps = config_value(encoder, ("layer_norm_eps", "norm_eps"), 1e-12)
        self.norm = nn.LayerNorm(size, eps=eps, bias=getattr(encoder, "norm_bias", True))
        self.bias = nn.Parameter(torch.zeros(encoder.vocab_size))

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        masked_states = states[batch["masked_positions"]]
        hidden = self.norm(self.activation(self.dense(masked_states)))
        # (masked positions, vocabulary)
        logits = linear(hidden, batch["embedding"], self.bias).float()
        labels = batch["labels"]
        output = HeadOutput(
            # not `new_tensor`: it copies from the host, which waits for the device
            num_items=labels.new_full((), len(labels)),
            loss=cross_entropy(
                logits, labels, reduction="sum", label_smoothing=smoothing_of(batch)
            ),
        )
        if not self.training:
            guesses = logits.argmax(dim=1)
            output.outputs = {"token_ids": guesses, "correct": guesses == labels}
        return output


register_head("token_classification", TokenClassificationHead)
register_head("question_answering", QuestionAnsweringHead)
register_head("masked_lm", MaskedLMHead)
