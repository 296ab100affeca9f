"""From encoder states to loss and outputs: one module per task type.

A head sees flat states, (total tokens, hidden), and computes only where it must. Its loss is the sum over the items of
the batch; whoever steps divides by the items of the whole step. Outputs are computed outside training only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, linear, normalize
from transformers import PreTrainedConfig
from transformers.activations import ACT2FN
from transformers.utils import ModelOutput

from jiantx.nearest_neighbors import margin_pairs, nearest
from jiantx.registry import Registry

Batch = Mapping[str, Any]


@dataclass
class HeadOutput(ModelOutput):
    """loss: summed over the batch's items; num_items: how many; outputs: run along the task's `output_column`.

    parts: of a mixed batch, one for each of its draws.
    """

    loss: Tensor | None = None
    num_items: Tensor | None = (
        None  # not `items`: a ModelOutput is a dictionary, and has a method of that name
    )
    outputs: dict[str, Tensor] | None = None
    parts: list[HeadOutput] | None = None


class Head(nn.Module):
    """What a head has: a config (the task type's `head_config`), and the hidden state that it reads."""

    layer: int | None = None  # None: the last

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = dict(config)

    def collect(
        self, outputs: dict[str, Tensor], corpus: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """From the outputs of a whole split and language (and of its candidates) to what the task decodes."""
        return outputs


HEADS: Registry[Callable[[PreTrainedConfig, Mapping[str, Any]], Head]] = Registry(
    "head for the task type"
)


def register_head(task_type: str, head: type[Head]) -> type[Head]:
    """Say which head serves a task type; ValueError if it has one."""
    HEADS.register(task_type, head)
    return head


def _first(config: PreTrainedConfig, names: Sequence[str], default: Any) -> Any:
    """What a config says under the first of several names: families call the same thing differently."""
    values = (getattr(config, name, None) for name in names)
    return next((value for value in values if value is not None), default)


def _dropout(encoder: PreTrainedConfig) -> nn.Dropout:
    """Dropout at the encoder's own rate."""
    names = ("classifier_dropout", "hidden_dropout_prob", "dropout", "dropout_rate")
    return nn.Dropout(_first(encoder, names, 0.1))


def sequence_index(sizes: Tensor, total: int) -> Tensor:
    """(total,) rows of different `sizes`, one after the other: the row of each entry; nothing waits for the device."""
    return torch.repeat_interleave(
        torch.arange(len(sizes), device=sizes.device), sizes, output_size=total
    )


def mean_states(states: Tensor, batch: Batch) -> Tensor:
    """(sequences, hidden): the mean over each sequence's tokens, special ones included; summed in float32."""
    lengths = batch["lengths"]
    sums = states.new_zeros((len(lengths), states.shape[1]), dtype=torch.float32)
    sums.index_add_(0, sequence_index(lengths, len(states)), states.float())
    means: Tensor = (sums / lengths[:, None]).to(states.dtype)
    return means


def pooled_states(states: Tensor, batch: Batch, pooling: str) -> Tensor:
    """(sequences, hidden): each sequence's "mean" over tokens, its "last" token, or else its first."""
    if pooling == "mean":
        return mean_states(states, batch)
    places = batch["starts"] + batch["lengths"] - 1 if pooling == "last" else batch["starts"]
    found: Tensor = states[places]
    return found


def pad_sequences(values: Tensor, sizes: Tensor, width: int, fill: float) -> Tensor:
    """Flat values of rows of different `sizes` -> (rows, width, ...), filled up."""
    owner = sequence_index(sizes, len(values))
    place = torch.arange(len(values), device=values.device) - (sizes.cumsum(0) - sizes)[owner]
    return values.new_full((len(sizes), width, *values.shape[1:]), fill).index_put(
        (owner, place), values
    )


class PooledHead(Head):
    """dropout - dense - tanh - dropout - linear at the first token: XLM-R's in transformers; dense is the pooler's.

    One score a label, or one where the task has none.
    """

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__(encoder, config)
        self.dropout = _dropout(encoder)
        self.dense = nn.Linear(encoder.hidden_size, encoder.hidden_size)
        self.out = nn.Linear(encoder.hidden_size, len(config["labels"]) or 1)

    def scores(self, states: Tensor, batch: Batch) -> Tensor:
        """(sequences, labels or 1) in float32."""
        pooled = self.dropout(pooled_states(states, batch, self.config.get("first", "cls")))
        found: Tensor = self.out(self.dropout(torch.tanh(self.dense(pooled)))).float()
        return found


class ClassificationHead(PooledHead):
    """Softmax over labels, or a sigmoid each. outputs: probabilities (examples, labels)."""

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        logits, labels = self.scores(states, batch), batch["labels"]
        found = HeadOutput(num_items=labels.ne(-100).sum())
        if self.config["multi_label"]:
            targets = batch["targets"].view_as(logits)
            loss = binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)
            found.loss = (loss * labels.ne(-100)).sum()
        else:
            found.loss = cross_entropy(logits, labels, reduction="sum")
        if not self.training:
            found.outputs = {
                "probabilities": logits.sigmoid()
                if self.config["multi_label"]
                else logits.softmax(dim=1)
            }
        return found


class RegressionHead(PooledHead):
    """Squared error on the task's scale. outputs: numbers (examples,)."""

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        numbers, labels = self.scores(states, batch)[:, 0], batch["labels"]
        found = HeadOutput(num_items=labels.ne(-100).sum())
        found.loss = ((numbers - batch["targets"]).square() * labels.ne(-100)).sum()
        if not self.training:
            found.outputs = {"numbers": numbers}
        return found


class MultipleChoiceHead(PooledHead):
    """One score a sequence, softmax over an example's choices. outputs: scores (sequences,)."""

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        scores, labels, choices = (
            self.scores(states, batch)[:, 0],
            batch["labels"],
            batch["sequences"],
        )
        found = HeadOutput(num_items=labels.ne(-100).sum())
        logits = pad_sequences(
            scores, choices, batch["most_sequences"], -math.inf
        )  # (examples, most choices)
        found.loss = cross_entropy(logits, labels, reduction="sum")
        if not self.training:
            found.outputs = {"scores": scores}
        return found


class TokenClassificationHead(Head):
    """Softmax over tags at each word's first piece. outputs: tags, probabilities (words,)."""

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__(encoder, config)
        self.dropout = _dropout(encoder)
        self.out = nn.Linear(encoder.hidden_size, len(config["labels"]))

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        logits = self.out(self.dropout(states[batch["word_positions"]])).float()  # (words, labels)
        labels = batch["labels"]
        found = HeadOutput(
            num_items=labels.ne(-100).sum(), loss=cross_entropy(logits, labels, reduction="sum")
        )
        if not self.training:
            probabilities, tags = logits.softmax(dim=1).max(dim=1)
            found.outputs = {"tags": tags, "probabilities": probabilities}
        return found


class QuestionAnsweringHead(Head):
    """Softmax over each window's tokens for the start, and for the end. outputs: start_logits, end_logits (tokens,)."""

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__(encoder, config)
        self.out = nn.Linear(encoder.hidden_size, 2)

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        logits = self.out(states).float()  # (tokens, 2)
        labels, lengths = batch["labels"], batch["lengths"]
        total = pad_sequences(logits, lengths, batch["longest"], -math.inf).logsumexp(
            dim=1
        )  # (windows, 2)
        gold = torch.stack(
            [logits[batch["start_positions"], 0], logits[batch["end_positions"], 1]], dim=1
        )
        found = HeadOutput(num_items=labels.ne(-100).sum())
        found.loss = ((total - gold).mean(dim=1) * labels.ne(-100)).sum()
        if not self.training:
            found.outputs = {"start_logits": logits[:, 0], "end_logits": logits[:, 1]}
        return found


class RetrievalHead(Head):
    """Unit vectors of queries and candidates, in turn; a learned scale for in-batch softmax (query to candidate).

    outputs: embeddings (sequences, hidden); collected: ranking, scores (queries, top), rows of the candidates; where
    pairs are mined (queries, 1), -1 for none.
    """

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__(encoder, config)
        depth = encoder.num_hidden_layers
        self.layer = round(config["depth"] * depth) if config["layer"] is None else config["layer"]
        if not 0 <= self.layer <= depth:
            raise ValueError(
                f"Layer {self.layer} of an encoder with {depth}: choose 0 (embeddings) to {depth}."
            )
        # XTREME's start, third_party/bert.py; one number in a vector, since FSDP shards no scalars
        self.log_scale = nn.Parameter(torch.tensor([math.log(100.0)]))
        if config["pooling"] == "pooler":
            self.dense = nn.Linear(encoder.hidden_size, encoder.hidden_size)

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        how = self.config["pooling"]
        first = self.config.get("first", how)  # how a tokenizer without a first token has it read
        pooled = pooled_states(states, batch, first if how in ("cls", "pooler") else how)
        if how == "pooler":
            pooled = torch.tanh(self.dense(pooled))
        vectors = normalize(pooled.float(), dim=1)
        if not self.training:
            return HeadOutput(outputs={"embeddings": vectors})
        scores = self.log_scale.exp() * vectors[::2] @ vectors[1::2].T  # (queries, candidates)
        gold = torch.arange(len(scores), device=scores.device)
        return HeadOutput(
            num_items=scores.new_full((), len(scores)),
            loss=cross_entropy(scores, gold, reduction="sum"),
        )

    def collect(
        self, outputs: dict[str, Tensor], corpus: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        vectors = outputs["embeddings"]
        queries, candidates = (
            (vectors, corpus["embeddings"]) if corpus else (vectors[::2], vectors[1::2])
        )
        if self.config["mining"]:
            pairs, margins = margin_pairs(queries, candidates)
            ranking = torch.full((len(queries), 1), -1)
            scores = torch.full((len(queries), 1), math.nan, dtype=margins.dtype)
            ranking[pairs[:, 0], 0], scores[pairs[:, 0], 0] = pairs[:, 1], margins
        else:
            scores, ranking = nearest(queries, candidates, min(self.config["top"], len(candidates)))
        return {"ranking": ranking, "scores": scores}


class MaskedLMHead(Head):
    """dense - activation - norm - the encoder's own embeddings, at masked positions only.

    outputs: token_ids, correct (masked positions,).
    """

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__(encoder, config)
        size = _first(encoder, ("embedding_size", "input_embedding_size"), encoder.hidden_size)
        self.dense = nn.Linear(
            encoder.hidden_size, size, bias=getattr(encoder, "classifier_bias", True)
        )
        self.activation = ACT2FN[
            _first(encoder, ("classifier_activation", "hidden_act", "activation"), "gelu")
        ]
        eps = _first(encoder, ("layer_norm_eps", "norm_eps"), 1e-12)
        self.norm = nn.LayerNorm(size, eps=eps, bias=getattr(encoder, "norm_bias", True))
        self.bias = nn.Parameter(torch.zeros(encoder.vocab_size))

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        hidden = self.norm(self.activation(self.dense(states[batch["masked_positions"]])))
        logits = linear(
            hidden, batch["embedding"], self.bias
        ).float()  # (masked positions, vocabulary)
        labels = batch["labels"]
        found = HeadOutput(
            # not `new_tensor`: it copies from the host, which waits for the device
            num_items=labels.new_full((), len(labels)),
            loss=cross_entropy(logits, labels, reduction="sum"),
        )
        if not self.training:
            guesses = logits.argmax(dim=1)
            found.outputs = {"token_ids": guesses, "correct": guesses == labels}
        return found


register_head("classification", ClassificationHead)
register_head("regression", RegressionHead)
register_head("token_classification", TokenClassificationHead)
register_head("question_answering", QuestionAnsweringHead)
register_head("multiple_choice", MultipleChoiceHead)
register_head("retrieval", RetrievalHead)
register_head("masked_lm", MaskedLMHead)


# --- the same head in transformers' own classes: our parameter -> theirs, by model family -----------------------------

_BERT_MLM = {
    "dense": "cls.predictions.transform.dense",
    "norm": "cls.predictions.transform.LayerNorm",
    "bias": "cls.predictions.bias",
}
_ROBERTA_MLM = {"dense": "lm_head.dense", "norm": "lm_head.layer_norm", "bias": "lm_head.bias"}
MASKED_LM_KEYS: dict[str, dict[str, str]] = {
    **dict.fromkeys(
        ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "xmod"), _ROBERTA_MLM
    ),
    "bert": _BERT_MLM,
    "distilbert": {
        "dense": "vocab_transform",
        "norm": "vocab_layer_norm",
        "bias": "vocab_projector.bias",
    },
    "electra": {
        "dense": "generator_predictions.dense",
        "norm": "generator_predictions.LayerNorm",
        "bias": "generator_lm_head.bias",
    },
    "modernbert": {"dense": "head.dense", "norm": "head.norm", "bias": "decoder.bias"},
}
_ROBERTA = {
    "classification": {"dense": "classifier.dense", "out": "classifier.out_proj"},
    "multiple_choice": {"dense": "{base}.pooler.dense", "out": "classifier"},
    "token_classification": {"out": "classifier"},
    "question_answering": {"out": "qa_outputs"},
    "masked_lm": _ROBERTA_MLM,
}
_BERT = {
    **_ROBERTA,
    "classification": {"dense": "{base}.pooler.dense", "out": "classifier"},
    "masked_lm": _BERT_MLM,
}
for _family in (_ROBERTA, _BERT):
    _family["regression"] = _family["classification"]
EXPORT_KEYS = {"roberta": _ROBERTA, "xlm-roberta": _ROBERTA, "camembert": _ROBERTA, "bert": _BERT}
