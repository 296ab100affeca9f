"""The head of retrieval and mining."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import PreTrainedConfig

from jiantx.heads.base import Batch, Head, HeadOutput, register_head
from jiantx.heads.contrast import Contrast, pair_columns
from jiantx.heads.precision import full_precision
from jiantx.heads.states import pooled_states, smoothing_of
from jiantx.nearest_neighbors import margin_pairs, nearest

# What heads that were saved before these settings existed did.
_DEFAULTS = {
    "normalize": True,
    "center": False,
    "temperature": "learned",
    "symmetric": False,
    "training_pool": "batch",
}


class RetrievalHead(Head):
    """Vectors of queries and candidates, one after the other in a batch.

    It trains by softmax over candidates: those of the batch, or of the whole step. The scores are
    divided by a temperature, learned or fixed.

    outputs: embeddings (sequences, hidden). Collected: ranking and scores (queries, top), indices
    of candidates; if pairs are mined (queries, 1), -1 for none."""

    settings = ("layer", "depth", "pooling", "top", "mining", *_DEFAULTS)
    smooths_labels = True
    evaluation_loss = False  # it would depend on which rows share a batch
    reads_embedding = False
    undecayed = ("log_scale",)  # its zero is a temperature of 1, a hundred times the start

    def __init__(self, encoder: PreTrainedConfig, config: Mapping[str, Any]) -> None:
        super().__init__(encoder, {**_DEFAULTS, **config})
        depth = encoder.num_hidden_layers
        self.layer = round(config["depth"] * depth) if config["layer"] is None else config["layer"]
        if not 0 <= self.layer <= depth:
            raise ValueError(
                f"Layer {self.layer} of an encoder with {depth}: choose 0 (embeddings) to {depth}."
            )
        # XTREME's start, third_party/bert.py; one number in a vector, since FSDP shards no scalars.
        # With a fixed temperature it stays, unused: the parameters are the same.
        self.log_scale = nn.Parameter(torch.tensor([math.log(100.0)]))
        if config["pooling"] == "pooler":
            self.dense = nn.Linear(encoder.hidden_size, encoder.hidden_size)

    @property
    def pools_step(self) -> bool:
        pool: str = self.config["training_pool"]
        return pool == "step"

    @property
    def token_pooling(self) -> str:
        """How states are pooled: by "mean", "cls" (the first token) or "last"."""
        pooling: str = self.config["pooling"]
        # "cls" and "pooler" read the first token, unless the tokenizer has none
        if pooling in ("cls", "pooler"):
            pooling = self.config.get("cls_pooling", "cls")
        return pooling

    def _vectors(self, states: Tensor, batch: Batch) -> Tensor:
        """(sequences, hidden) vectors, of length 1 unless they are not normalised."""
        pooled = pooled_states(states, batch, self.token_pooling)
        if self.config["pooling"] == "pooler":
            pooled = torch.tanh(self.dense(pooled))
        vectors = full_precision(pooled)
        # what is centred before it is compared is normalised after that
        is_compared_later = self.config["center"] and not self.training
        if self.config["normalize"] and not is_compared_later:
            vectors = normalize(vectors, dim=1)
        return vectors

    def check_draw(self, task: str, size: int) -> None:
        if size < 2 and not self.pools_step:
            raise ValueError(
                f"Task {task}: a batch of {size} pair has no wrong candidates, so its loss is "
                "always 0. Retrieval trains by telling the pairs of a batch apart: give a larger "
                "per_device_train_batch_size (or Sampling batch_size, or a smaller mix), or the "
                'task training_pool="step".'
            )

    def forward(self, states: Tensor, batch: Batch) -> HeadOutput:
        vectors = self._vectors(states, batch)
        if not self.training:
            return HeadOutput(outputs={"embeddings": vectors})
        num_items = vectors.new_full((), len(batch["sequences"]))
        if batch.get("vectors_only"):
            no_loss = vectors.new_zeros(())
            return HeadOutput(loss=no_loss, num_items=num_items, outputs={"embeddings": vectors})
        if "cached_loss" in batch:
            loss = batch["cached_loss"].attach(vectors, self.log_scale)
        else:
            self.check_draw(str(batch.get("task", "")), len(batch["sequences"]))
            pairs = pair_columns(batch, len(vectors))
            loss = self.contrast_losses(vectors, pairs, smoothing_of(batch)).sum()
        return HeadOutput(num_items=num_items, loss=loss)

    def contrast_losses(
        self, vectors: Tensor, pairs: Mapping[str, Tensor], smoothing: float
    ) -> Tensor:
        """The loss of each query of a batch, or of several batches joined.

        Args:
            vectors: (sequences, hidden).
            pairs: As `pair_columns` makes them.
            smoothing: The share of label smoothing.

        Returns:
            (queries,) losses.
        """
        temperature = self.config["temperature"]
        scale = self.log_scale.exp() if temperature == "learned" else 1.0 / temperature
        symmetric = self.config["symmetric"]
        contrast = Contrast.of(pairs, len(vectors))
        return contrast.losses(vectors, scale, symmetric=symmetric, smoothing=smoothing)

    def collect(
        self, outputs: dict[str, Tensor], corpus: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        vectors = outputs["embeddings"]
        queries = vectors if corpus else vectors[::2]
        candidates = corpus["embeddings"] if corpus else vectors[1::2]
        if self.config["center"]:
            queries = self._centered(queries, [len(queries)])
            sizes = corpus["rows_per_language"].tolist() if corpus else [len(candidates)]
            candidates = self._centered(candidates, sizes)
        if self.config["mining"]:
            pairs, margins = margin_pairs(queries, candidates)
            ranking = torch.full((len(queries), 1), -1)
            scores = torch.full((len(queries), 1), math.nan, dtype=margins.dtype)
            ranking[pairs[:, 0], 0] = pairs[:, 1]
            scores[pairs[:, 0], 0] = margins
        else:
            scores, ranking = nearest(queries, candidates, self._ranked(len(candidates), corpus))
        return {"ranking": ranking, "scores": scores}

    def _centered(self, vectors: Tensor, sizes: Sequence[int]) -> Tensor:
        """Subtract the mean of each language's vectors, and normalise what is normalised.

        Args:
            vectors: (vectors, hidden), language by language.
            sizes: Vectors of each language.
        """
        if min(sizes) < 2:
            raise ValueError(
                "center=True subtracts the mean of a language's vectors, and there is one vector. "
                "Give at least 2 rows, and better hundreds, or task.replace(center=False)."
            )
        by_language = torch.split(vectors, list(sizes))
        centered = torch.cat([values - values.mean(dim=0) for values in by_language])
        return normalize(centered, dim=1) if self.config["normalize"] else centered

    def _ranked(self, candidates: int, corpus: dict[str, Tensor] | None) -> int:
        """How many rows to rank, so that at least `top` different ids are among them."""
        top = self.config["top"]
        if top is not None and corpus and "rows_per_id" in corpus:
            # the worst case: all rows of the most frequent ids come first
            top = int(corpus["rows_per_id"][: top - 1].sum()) + 1
        return candidates if top is None else min(top, candidates)


register_head("retrieval", RetrievalHead)
