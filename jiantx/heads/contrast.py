"""The loss of retrieval: each query is told apart from the texts that do not belong to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from jiantx.heads.states import sequence_index

# The entries of a batch that the loss reads, beside the vectors; of several batches, they are
# joined one after the other.
PAIR_COLUMNS = ("sequences", "is_positive", "text_keys", "known_keys", "known_counts")
# Lower than any score, and finite: the log of a sum over nothing then has a gradient of 0.
_NOTHING = -1e30


def pair_columns(batch: Mapping[str, Any], sequences: int) -> dict[str, Tensor]:
    """What the loss reads of a batch; sequences alternate if it does not say what they are.

    Args:
        batch: As `Head.forward` takes it.
        sequences: Of the batch.
    """
    if "text_keys" in batch:
        return {name: batch[name] for name in PAIR_COLUMNS}
    count = sequences // 2
    pairs = torch.arange(count, device=batch["lengths"].device)
    ones = torch.ones_like(pairs)
    return {
        "sequences": 2 * ones,
        "is_positive": ones,
        "text_keys": pairs,
        "known_keys": pairs,
        "known_counts": ones,
    }


@dataclass(frozen=True)
class Contrast:
    """Which vectors are queries, and which candidates belong to which of them.

    Args:
        query_index: (queries,) of the sequences.
        candidate_index: (candidates,) of the sequences.
        is_own: (queries, candidates), the query's own positives.
        is_known: (queries, candidates), what belongs to the query: no wrong candidate of it.
    """

    query_index: Tensor
    candidate_index: Tensor
    is_own: Tensor
    is_known: Tensor

    @classmethod
    def of(cls, pairs: Mapping[str, Tensor], sequences: int) -> Contrast:
        """Read the columns of `pair_columns`. Nothing waits for the device.

        Args:
            pairs: Of one batch, or of several joined.
            sequences: How many there are.
        """
        sizes = pairs["sequences"]
        queries = len(sizes)
        query_index = sizes.cumsum(0) - sizes
        is_query = torch.zeros(sequences, dtype=torch.int8, device=sizes.device)
        is_query[query_index] = 1
        candidate_index = is_query.argsort(stable=True)[: sequences - queries]
        owner = sequence_index(sizes - 1, sequences - queries)
        rows = torch.arange(queries, device=sizes.device)
        is_own = (owner == rows[:, None]) & pairs["is_positive"].bool()
        matches = pairs["known_keys"][:, None] == pairs["text_keys"]  # (known keys, candidates)
        known_owner = sequence_index(pairs["known_counts"], len(matches))
        counts = torch.zeros(is_own.shape, dtype=torch.int32, device=sizes.device)
        counts.index_add_(0, known_owner, matches.int())
        return cls(query_index, candidate_index, is_own, counts.bool() | is_own)

    def losses(
        self, vectors: Tensor, scale: Tensor | float, *, symmetric: bool, smoothing: float
    ) -> Tensor:
        """The loss of each query, the mean over its own positives.

        Of a query q with a positive p, it is minus the log of exp(q p) / (exp(q p) + the sum of
        exp(q n) over the wrong candidates n); symmetric: the mean of this and of the same with the
        roles of queries and candidates exchanged.

        Args:
            vectors: (sequences, hidden).
            scale: What scores are multiplied by.
            symmetric: Both directions.
            smoothing: The share of label smoothing.

        Returns:
            (queries,) losses.
        """
        # not in half precision, which would round the scores to whole numbers
        with _without_autocast(vectors.device):
            scores = scale * vectors[self.query_index] @ vectors[self.candidate_index].T
        losses = _softmax_losses(scores, self.is_known, smoothing, dim=1)
        if symmetric:
            losses = (losses + _softmax_losses(scores, self.is_known, smoothing, dim=0)) / 2
        own_losses = losses.masked_fill(~self.is_own, 0.0)
        return own_losses.sum(dim=1) / self.is_own.sum(dim=1)


def _without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Compute in the precision of the tensors; a meta device has no autocast to leave."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def _softmax_losses(scores: Tensor, is_known: Tensor, smoothing: float, *, dim: int) -> Tensor:
    """(queries, candidates) the loss of each entry as the right one of its row or column.

    Args:
        scores: (queries, candidates).
        is_known: Entries that are no wrong ones.
        smoothing: The share of the loss that all classes get alike.
        dim: 1: the wrong ones are the others of the row; 0: those of the column.
    """
    wrong_sum = scores.masked_fill(is_known, _NOTHING).logsumexp(dim=dim, keepdim=True)
    losses = softplus(wrong_sum - scores)
    if not smoothing:
        return losses
    classes = (~is_known).sum(dim=dim, keepdim=True) + 1
    total = scores + scores.masked_fill(is_known, 0.0).sum(dim=dim, keepdim=True)
    uniform_losses = scores + losses - total / classes
    return (1 - smoothing) * losses + smoothing * uniform_losses


@dataclass(frozen=True)
class CachedLoss:
    """The loss of one batch within a step, and its gradients, computed from the whole step.

    Args:
        loss: Scalar, of the batch's own queries.
        gradients: (sequences, hidden), of the step's loss by the batch's vectors.
        scale_gradient: Of the step's loss by `log_scale`: the batch's share.
    """

    loss: Tensor
    gradients: Tensor
    scale_gradient: Tensor | None

    def attach(self, vectors: Tensor, log_scale: Tensor) -> Tensor:
        """A loss of this value whose backward pass gives these gradients.

        Args:
            vectors: (sequences, hidden), computed again, with a graph.
            log_scale: (1,).
        """
        carrier = (vectors * self.gradients).sum()
        if self.scale_gradient is not None:
            carrier = carrier + (log_scale * self.scale_gradient).sum()
        return self.loss + carrier - carrier.detach()


def cached_losses(
    head: Any,
    vectors: Sequence[Tensor],
    pairs: Sequence[Mapping[str, Tensor]],
    *,
    smoothing: float,
) -> list[CachedLoss]:
    """The loss of each batch of a step, whose queries see the candidates of all of them.

    Args:
        head: With `contrast_losses` and `log_scale`.
        vectors: (sequences, hidden) of each batch, without a graph.
        pairs: `pair_columns` of each batch.
        smoothing: The share of label smoothing.
    """
    joined = {name: torch.cat([columns[name] for columns in pairs]) for name in PAIR_COLUMNS}
    leaf = torch.cat(list(vectors)).detach().requires_grad_()
    with torch.enable_grad():
        losses = head.contrast_losses(leaf, joined, smoothing)
        sources = [leaf, head.log_scale] if head.log_scale.requires_grad else [leaf]
        gradient, *scale_gradients = torch.autograd.grad(losses.sum(), sources, allow_unused=True)
    scale_gradient = None
    if scale_gradients and scale_gradients[0] is not None:
        scale_gradient = scale_gradients[0] / len(vectors)
    gradients = torch.split(gradient, [len(values) for values in vectors])
    by_batch = torch.split(losses.detach(), [len(columns["sequences"]) for columns in pairs])
    return [
        CachedLoss(batch_losses.sum(), batch_gradients, scale_gradient)
        for batch_losses, batch_gradients in zip(by_batch, gradients, strict=True)
    ]
