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
from jiantx.heads.precision import full_precision
from jiantx.heads.states import (
    config_value,
    count_labels,
    encoder_dropout,
    label_loss,
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
    takes_loss = True
    reads_embedding = False

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__(encoder, config)
        self.dropout = encoder_dropout(encoder)
        self.out = nn.Linear(encoder.hidden_size, len(config["labels"]))

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        word_states = self.dropout(states[batch["word_positions"]])
        logits = full_precision(self.out(word_states))  # (words, labels)
        labels = batch["labels"]
        loss = label_loss(logits, labels, batch)
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
    reads_embedding = False

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__(encoder, config)
        self.out = nn.Linear(encoder.hidden_size, 2)

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        logits = full_precision(self.out(states))  # (tokens, 2)
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

    That is the form of a new head. A checkpoint's own may have another: the config's `form` says
    what differs (see `model/masked_lm.py`).

    outputs: token_ids, correct, log_probabilities of the labels (masked positions,).
    """

    smooths_labels = True

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__(encoder, config)
        form = {**_new_form(encoder), **config.get("form", {})}
        size = form["size"]
        self.has_transform = form["has_transform"]
        if self.has_transform:
            self.dense = nn.Linear(encoder.hidden_size, size, bias=form["dense_bias"])
            self.activation = ACT2FN[form["activation"]]
            self.norm = nn.LayerNorm(size, eps=form["norm_eps"], bias=form["norm_bias"])
        self.bias = nn.Parameter(torch.zeros(encoder.vocab_size))
        # (vocabulary, size) where the scores do not come from the input embeddings
        own_decoder = torch.zeros(encoder.vocab_size, size) if form["has_decoder"] else None
        self.decoder = None if own_decoder is None else nn.Parameter(own_decoder)

    def scores(self, states: Tensor, embedding: Tensor) -> Tensor:
        """Score every token of the vocabulary, in float32; in float64 if the states are.

        Args:
            states: (masked positions, hidden).
            embedding: (vocabulary, size), the input embeddings.

        Returns:
            (masked positions, vocabulary).
        """
        if self.has_transform:
            states = self.norm(self.activation(self.dense(states)))
        scores = linear(states, embedding if self.decoder is None else self.decoder, self.bias)
        return full_precision(scores)

    def resize_vocabulary(self, size: int) -> None:
        """Cut the bias and the decoder, or add rows that are the mean of the others.

        Args:
            size: Tokens with an embedding.
        """
        added = size - len(self.bias)
        if not added:
            return
        for name in ("bias", "decoder"):
            old = getattr(self, name)
            if old is not None:
                new_rows = old.data.mean(dim=0, keepdim=True).expand(max(added, 0), *old.shape[1:])
                values = torch.cat([old.data[:size], new_rows])
                setattr(self, name, nn.Parameter(values, requires_grad=old.requires_grad))

    def keep_tokens(self, ids: Tensor) -> None:
        """Drop the bias and the decoder's rows of all other tokens.

        Args:
            ids: (remaining tokens,) in increasing order.
        """
        for name in ("bias", "decoder"):
            old = getattr(self, name)
            if old is not None:
                values = old.data[ids.to(old.device)]
                setattr(self, name, nn.Parameter(values, requires_grad=old.requires_grad))

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        logits = self.scores(states[batch["masked_positions"]], batch["embedding"])
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
            output.outputs = {
                "token_ids": guesses,
                "correct": guesses == labels,
                "log_probabilities": -cross_entropy(logits, labels, reduction="none"),
            }
        return output


def _new_form(encoder: PreTrainedConfig) -> dict[str, Any]:
    """The form of a new masked-LM head."""
    activation_names = ["classifier_activation", "hidden_act", "activation"]
    if isinstance(getattr(encoder, "classifier_activation", None), bool):  # MobileBERT's: whether
        activation_names.remove("classifier_activation")
    size_names = ("embedding_size", "input_embedding_size")
    return {
        "size": config_value(encoder, size_names, encoder.hidden_size),
        "has_transform": True,
        "dense_bias": getattr(encoder, "classifier_bias", True),
        "activation": config_value(encoder, activation_names, "gelu"),
        "norm_eps": config_value(encoder, ("layer_norm_eps", "norm_eps"), 1e-12),
        "norm_bias": getattr(encoder, "norm_bias", True),
        "has_decoder": False,
    }


register_head("token_classification", TokenClassificationHead)
register_head("question_answering", QuestionAnsweringHead)
register_head("masked_lm", MaskedLMHead)
register_head("sentence_ranking", MaskedLMHead)
