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
from jiantx.heads.states import pooled_states, smoothing_of
from jiantx.nearest_neighbors import margin_pairs, nearest


class RetrievalHead(Head):
    """Unit vectors of queries and candidates, which alternate in a batch.

    It trains by softmax over the candidates of the batch (query to candidate), with a learned
    scale.

    outputs: embeddings (sequences, hidden). Collected: ranking and scores (queries, top), indices
    of candidates; if pairs are mined (queries, 1), -1 for none."""

    settings = ("layer", "depth", "pooling", "top", "mining")
    smooths_labels = True
    evaluation_loss = False  # it would depend on which rows share a batch
    reads_embedding = False

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

    @property
    def token_pooling(self) -> str:
        """How states are pooled: by "mean", "cls" (the first token) or "last"."""
        pooling: str = self.config["pooling"]
        # "cls" and "pooler" read the first token, unless the tokenizer has none
        if pooling in ("cls", "pooler"):
            pooling = self.config.get("cls_pooling", "cls")
        return pooling

    def _vectors(self, states: Tensor, batch: Batch) -> Tensor:
        """(sequences, hidden) unit vectors, in float32."""
        pooled = pooled_states(states, batch, self.token_pooling)
        if self.config["pooling"] == "pooler":
            pooled = torch.tanh(self.dense(pooled))
        return normalize(pooled.float(), dim=1)

    def check_draw(self, task: str, size: int) -> None:
        if size < 2:
            raise ValueError(
                f"Task {task}: a batch of {size} pair has no wrong candidates, so its loss is "
                "always 0. Retrieval trains by telling the pairs of a batch apart: give a larger "
                "per_device_train_batch_size (or Sampling batch_size, or a smaller mix)."
            )

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        vectors = self._vectors(states, batch)
        if not self.training:
            return HeadOutput(outputs={"embeddings": vectors})
        self.check_draw(str(batch.get("task", "")), len(vectors) // 2)
        scores = self.log_scale.exp() * vectors[::2] @ vectors[1::2].T  # (queries, candidates)
        gold = torch.arange(len(scores), device=scores.device)
        return HeadOutput(
            num_items=scores.new_full((), len(scores)),
            loss=cross_entropy(scores, gold, reduction="sum", label_smoothing=smoothing_of(batch)),
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
            scores, ranking = nearest(queries, candidates, self._ranked(len(candidates), corpus))
        return {"ranking": ranking, "scores": scores}

    def _ranked(self, candidates: int, corpus: dict[str, Tensor] | None) -> int:
        """How many rows to rank, so that at least `top` different ids are among them."""
        top = self.config["top"]
        if corpus and "rows_per_id" in corpus:
            # the worst case: all rows of the most frequent ids come first
            top = int(corpus["rows_per_id"][: top - 1].sum()) + 1
        return min(top, candidates)


register_head("retrieval", RetrievalHead)
