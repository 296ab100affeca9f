"""Heads: from encoder states to loss and outputs, one module per task type.

A head gets flat states, (total tokens, hidden), of all sequences of a batch one after the other,
and computes only where it must. Its loss is the sum over the items of the batch; the trainer
divides by the items of the whole step. Outputs are computed outside training only."""

from __future__ import annotations

import math
from abc import abstractmethod
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
    """What a head computes.

    Args:
        loss: Scalar, summed over the items of the batch.
        num_items: Scalar, how many items there are: examples, words, windows or masked positions.
        outputs: Name -> tensor, with one entry for each entry of the task's `output_column`.
        sub_outputs: Of a batch that mixes several draws, the output of each draw.
    """

    loss: Tensor | None = None
    # not `items`: a ModelOutput is a dictionary, and has a method of that name
    num_items: Tensor | None = None
    outputs: dict[str, Tensor] | None = None
    sub_outputs: list[HeadOutput] | None = None


class Head(nn.Module):
    """The layers of one task, on top of the shared encoder.

    Args:
        encoder: The encoder's config.
        config: The task type's `head_config()`.

    Attributes:
        layer: The hidden state that the head reads; 0 is the embeddings, None the last.
    """

    layer: int | None = None

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = dict(config)

    @abstractmethod
    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        """Compute the loss and, outside training, the outputs.

        Args:
            states: (total tokens, hidden), the sequences of the batch one after the other.
            batch: Tensors on the states' device. `lengths`, `starts` (sequences,): tokens of each
                sequence and the index of its first; `longest`: the largest length; `sequences`
                (features,): sequences of each feature; `most_sequences`: their maximum; `labels`:
                one entry for each item, -100 if it has none; `embedding` (vocabulary, size): the
                input embeddings; and every list column that the task's `features` makes, flat.
                Columns that end in `_positions` are indices into `states`.
        """

    def collect(
        self, outputs: dict[str, Tensor], corpus: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Turn the outputs of a whole split in one language into what `task.decode` reads.

        Args:
            outputs: Of all rows, in their order.
            corpus: Of all candidates, for tasks with a corpus.
        """
        return outputs


HEADS: Registry[Callable[[PreTrainedConfig, Mapping[str, Any]], Head]] = Registry(
    "head for the task type"
)


def register_head(task_type: str, head: type[Head]) -> type[Head]:
    """Register the head of a task type and return it.

    Args:
        task_type: The class variable `task_type` of the task's class.
        head: A subclass of `Head`.

    Raises:
        ValueError: The task type has a head already.
    """
    HEADS.register(task_type, head)
    return head


def _config_value(config: PreTrainedConfig, names: Sequence[str], default: Any) -> Any:
    """The value of a config under the first of several names: families name it differently."""
    values = (getattr(config, name, None) for name in names)
    return next((value for value in values if value is not None), default)


def _dropout(encoder: PreTrainedConfig) -> nn.Dropout:
    """Dropout at the encoder's own rate."""
    names = ("classifier_dropout", "hidden_dropout_prob", "dropout", "dropout_rate")
    return nn.Dropout(_config_value(encoder, names, 0.1))


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
    """Average the states of each sequence, special tokens included; summed in float32.

    Args:
        states: (total tokens, hidden).
        batch: With `lengths` (sequences,).

    Returns:
        (sequences, hidden).
    """
    lengths = batch["lengths"]
    sums = states.new_zeros((len(lengths), states.shape[1]), dtype=torch.float32)
    sums.index_add_(0, sequence_index(lengths, len(states)), states.float())
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


def _count_labels(labels: Tensor) -> Tensor:
    """The number of items that have a label."""
    return labels.ne(-100).sum()


class PooledHead(Head):
    """dropout - dense - tanh - dropout - linear at the first token, as in transformers' XLM-R.

    It has one score a label, or one score if the task has no labels. Encoders without a CLS token
    are pooled by their mean (`cls_pooling` in the config).
    """

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__(encoder, config)
        self.dropout = _dropout(encoder)
        self.dense = nn.Linear(encoder.hidden_size, encoder.hidden_size)
        self.out = nn.Linear(encoder.hidden_size, len(config["labels"]) or 1)

    def scores(self, states: Tensor, batch: Batch) -> Tensor:
        """Compute (sequences, labels or 1) scores, in float32.

        Args:
            states: (total tokens, hidden).
            batch: As in `forward`.
        """
        pooled = pooled_states(states, batch, self.config.get("cls_pooling", "cls"))
        hidden = torch.tanh(self.dense(self.dropout(pooled)))
        return self.out(self.dropout(hidden)).float()


class ClassificationHead(PooledHead):
    """Softmax over labels, or a sigmoid for each.

    outputs: probabilities (examples, labels).
    """

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        logits = self.scores(states, batch)
        labels = batch["labels"]
        output = HeadOutput(num_items=_count_labels(labels))
        multi_label = self.config["multi_label"]
        if multi_label:
            targets = batch["targets"].view_as(logits)
            losses = binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)
            output.loss = (losses * labels.ne(-100)).sum()
        else:
            output.loss = cross_entropy(logits, labels, reduction="sum")
        if not self.training:
            probabilities = logits.sigmoid() if multi_label else logits.softmax(dim=1)
            output.outputs = {"probabilities": probabilities}
        return output


class RegressionHead(PooledHead):
    """Squared error on the scale 0 to 1.

    outputs: numbers (examples,).
    """

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        numbers = self.scores(states, batch)[:, 0]
        labels = batch["labels"]
        output = HeadOutput(num_items=_count_labels(labels))
        output.loss = ((numbers - batch["targets"]).square() * labels.ne(-100)).sum()
        if not self.training:
            output.outputs = {"numbers": numbers}
        return output


class MultipleChoiceHead(PooledHead):
    """One score a sequence, softmax over the choices of an example.

    outputs: scores (sequences,).
    """

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        scores = self.scores(states, batch)[:, 0]
        labels = batch["labels"]
        # (examples, most choices)
        logits = pad_sequences(scores, batch["sequences"], batch["most_sequences"], -math.inf)
        output = HeadOutput(num_items=_count_labels(labels))
        output.loss = cross_entropy(logits, labels, reduction="sum")
        if not self.training:
            output.outputs = {"scores": scores}
        return output


class TokenClassificationHead(Head):
    """Softmax over tags at the first piece of each word.

    outputs: tags, probabilities (words,).
    """

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__(encoder, config)
        self.dropout = _dropout(encoder)
        self.out = nn.Linear(encoder.hidden_size, len(config["labels"]))

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        logits = self.out(self.dropout(states[batch["word_positions"]])).float()  # (words, labels)
        labels = batch["labels"]
        loss = cross_entropy(logits, labels, reduction="sum")
        output = HeadOutput(loss=loss, num_items=_count_labels(labels))
        if not self.training:
            probabilities, tags = logits.softmax(dim=1).max(dim=1)
            output.outputs = {"tags": tags, "probabilities": probabilities}
        return output


class QuestionAnsweringHead(Head):
    """Softmax over the tokens of each window for the start of the answer, and for its end.

    outputs: start_logits, end_logits (tokens,).
    """

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
        output = HeadOutput(num_items=_count_labels(labels))
        output.loss = ((log_normalizers - gold).mean(dim=1) * labels.ne(-100)).sum()
        if not self.training:
            output.outputs = {"start_logits": logits[:, 0], "end_logits": logits[:, 1]}
        return output


class RetrievalHead(Head):
    """Unit vectors of queries and candidates, which alternate in a batch.

    It trains by softmax over the candidates of the batch (query to candidate), with a learned
    scale.

    outputs: embeddings (sequences, hidden). Collected: ranking and scores (queries, top), indices
    of candidates; if pairs are mined (queries, 1), -1 for none."""

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

    def _vectors(self, states: Tensor, batch: Batch) -> Tensor:
        """(sequences, hidden) unit vectors, in float32."""
        pooling = self.config["pooling"]
        # "cls" and "pooler" read the first token, unless the tokenizer has none
        reads_first_token = pooling in ("cls", "pooler")
        token_pooling = self.config.get("cls_pooling", pooling) if reads_first_token else pooling
        pooled = pooled_states(states, batch, token_pooling)
        if pooling == "pooler":
            pooled = torch.tanh(self.dense(pooled))
        return normalize(pooled.float(), dim=1)

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        vectors = self._vectors(states, batch)
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
        queries = vectors if corpus else vectors[::2]
        candidates = corpus["embeddings"] if corpus else vectors[1::2]
        if self.config["mining"]:
            pairs, margins = margin_pairs(queries, candidates)
            ranking = torch.full((len(queries), 1), -1)
            scores = torch.full((len(queries), 1), math.nan, dtype=margins.dtype)
            ranking[pairs[:, 0], 0] = pairs[:, 1]
            scores[pairs[:, 0], 0] = margins
        else:
            scores, ranking = nearest(queries, candidates, min(self.config["top"], len(candidates)))
        return {"ranking": ranking, "scores": scores}


class MaskedLMHead(Head):
    """dense - activation - norm - the encoder's own embeddings, at masked positions only.

    outputs: token_ids, correct (masked positions,).
    """

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__(encoder, config)
        hidden = encoder.hidden_size
        size = _config_value(encoder, ("embedding_size", "input_embedding_size"), hidden)
        self.dense = nn.Linear(hidden, size, bias=getattr(encoder, "classifier_bias", True))
        activation_names = ("classifier_activation", "hidden_act", "activation")
        self.activation = ACT2FN[_config_value(encoder, activation_names, "gelu")]
        eps = _config_value(encoder, ("layer_norm_eps", "norm_eps"), 1e-12)
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
            loss=cross_entropy(logits, labels, reduction="sum"),
        )
        if not self.training:
            guesses = logits.argmax(dim=1)
            output.outputs = {"token_ids": guesses, "correct": guesses == labels}
        return output


register_head("classification", ClassificationHead)
register_head("regression", RegressionHead)
register_head("token_classification", TokenClassificationHead)
register_head("question_answering", QuestionAnsweringHead)
register_head("multiple_choice", MultipleChoiceHead)
register_head("retrieval", RetrievalHead)
register_head("masked_lm", MaskedLMHead)


# --- the same head in transformers' own classes: our parameter -> theirs, by model family ---------

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
