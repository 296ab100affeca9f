"""The text that belongs to a query, out of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

import numpy as np

from jiantx.encoding import encode, has_segments
from jiantx.metrics import Metric, named
from jiantx.sources import Row
from jiantx.task import Column, Example, Prediction, Task, text_of

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerBase


@named("accuracy")
def accuracy_at_1(predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> float:
    """Share of queries whose first-ranked candidate is relevant, in %; predictions are rankings of candidate ids."""
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} predictions for {len(references)} references.")
    hits = [ranking[0] in relevant for ranking, relevant in zip(predictions, references)]
    return 100.0 * sum(hits) / len(hits) if hits else float("nan")


@dataclass(frozen=True, kw_only=True)
class PairExample(Example):
    """A query and the candidate that belongs to it."""

    query: str
    candidate: str


@dataclass(frozen=True, kw_only=True)
class RankingPrediction(Prediction):
    """The ids of the nearest candidates and their cosines, best first."""

    says: ClassVar[str] = "ranking"
    sure: ClassVar[str] = "scores"
    ranking: tuple[str, ...]
    scores: tuple[float, ...] = field(repr=False)


@final
@dataclass(frozen=True, kw_only=True)
class Retrieval(Task):
    """Rank the candidates of all rows of a split and language for each query, by the cosine of their vectors.

    The frozen encoder can be scored as it is; training pulls pairs together by in-batch softmax (query to candidate).
    layer: which hidden state (0: embeddings); without it, `depth` x the number of layers, rounded, so that 14/24 is
    layer 14 of XLM-R large and layer 7 of base. pooling: the mean of all tokens, special ones included, the first
    token ("cls"), or the "last". top: how many candidates a ranking holds.
    """

    task_type: ClassVar[str] = "retrieval"
    outputs_along: ClassVar[str] = "lengths"
    gold: ClassVar[str] = ""
    query: Column = "query"
    candidate: Column = "candidate"
    layer: int | None = None
    depth: float = 1.0
    pooling: Literal["mean", "cls", "last"] = "mean"
    top: int = 20
    max_length: int = 512
    metrics: tuple[Metric, ...] = (accuracy_at_1,)

    def example(self, row: Row, *, id: str, language: str) -> PairExample:
        return PairExample(
            id=id, language=language, query=text_of(row, self.query), candidate=text_of(row, self.candidate)
        )

    def features(
        self, examples: Sequence[PairExample], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, Sequence[Any]]:
        encodings = encode(tokenizer, [t for e in examples for t in (e.query, e.candidate)], max_length=max_length)
        pairs = list(zip(encodings[::2], encodings[1::2], strict=True))
        found: dict[str, Sequence[Any]] = {
            "example": range(len(examples)),
            "input_ids": [q.ids + c.ids for q, c in pairs],
            "lengths": [[len(q), len(c)] for q, c in pairs],
            "truncated": [int(bool(q.overflowing or c.overflowing)) for q, c in pairs],
            "labels": [[0] for _ in pairs],
        }
        if has_segments(tokenizer):
            found["token_type_ids"] = [q.type_ids + c.type_ids for q, c in pairs]
        return found

    def decode(
        self, outputs: Mapping[str, np.ndarray], features: datasets.Dataset, examples: Sequence[PairExample]
    ) -> list[RankingPrediction]:
        ids = np.array([e.id for e in examples], dtype=object)
        rankings, scores = ids[outputs["ranking"]], outputs["scores"]  # (examples, top)
        return [
            RankingPrediction(id=e.id, language=e.language, ranking=tuple(r.tolist()), scores=tuple(s.tolist()))
            for e, r, s in zip(examples, rankings, scores, strict=True)
        ]

    def reference(self, example: PairExample) -> tuple[str, ...]:
        return (example.id,)

    def head_config(self) -> dict[str, Any]:
        own = {"layer": self.layer, "depth": self.depth, "pooling": self.pooling, "top": self.top}
        return {**super().head_config(), **own}
