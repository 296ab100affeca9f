"""Heads: from encoder states to loss and outputs, one module per task type.

A head gets flat states, (total tokens, hidden), of all sequences of a batch one after the other,
and computes only where it must. Its loss is the sum over the items of the batch; the trainer
divides by the items of the whole step. Outputs are computed outside training only.
"""

from jiantx.heads.base import HEADS, Batch, Head, HeadOutput, register_head
from jiantx.heads.layer_mix import LayerMix, mixed_layers
from jiantx.heads.pooled import ClassificationHead, MultipleChoiceHead, PooledHead, RegressionHead
from jiantx.heads.retrieval import RetrievalHead
from jiantx.heads.spans import SpanClassificationHead, SpanPooling
from jiantx.heads.states import (
    chosen_loss,
    label_loss,
    mean_states,
    pad_sequences,
    pooled_states,
    sequence_index,
)
from jiantx.heads.tokens import MaskedLMHead, QuestionAnsweringHead, TokenClassificationHead

__all__ = [
    "HEADS",
    "Batch",
    "ClassificationHead",
    "Head",
    "HeadOutput",
    "LayerMix",
    "MaskedLMHead",
    "MultipleChoiceHead",
    "PooledHead",
    "QuestionAnsweringHead",
    "RegressionHead",
    "RetrievalHead",
    "SpanClassificationHead",
    "SpanPooling",
    "TokenClassificationHead",
    "chosen_loss",
    "label_loss",
    "mean_states",
    "mixed_layers",
    "pad_sequences",
    "pooled_states",
    "register_head",
    "sequence_index",
]
