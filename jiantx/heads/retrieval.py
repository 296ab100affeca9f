"""The head of retrieval and mining."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from transformers import PreTrainedConfig

from jiantx.heads.base import Batch, Head, HeadOutput, register_head
from jiantx.heads.states import (
    pooled_states,
)
from jiantx.nearest_neighbors import margin_pairs, nearest


class RetrievalHead(Head):
    """Unit vectors of queries and candidates, which alternate in a batch.

    It trains by softmax over the candidates of the batch (query to candidate), with a learned
    scale.

    outputs: embeddings (sequences, hidden). Collected: ranking and scores (queries, top), indices
    of candidates; if pairs are mined (queries, 1), -1 for none."""

    settings = ("layer", "depth", "pooling", "top", "mining")

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


register_head("retrieval", RetrievalHead)
