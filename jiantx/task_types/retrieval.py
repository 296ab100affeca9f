"""The text that belongs to a query, out of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

import numpy as np

from jiantx.columns import Column, column_gold, column_text
from jiantx.metrics import Metric, accuracy_at_1, best_threshold
from jiantx.sources import DataError, Row, Source
from jiantx.task import Example, Prediction, Task
from jiantx.tokenization import encode, grouped_features

if TYPE_CHECKING:
    import datasets
    from tokenizers import Encoding
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class PairExample(Example):
    """A query and the candidate that belongs to it, or one of the two; and the ids of what is
    relevant.
    """

    query: str | None = None
    candidate: str | None = None
    relevant: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class RankingPrediction(Prediction):
    """The ids of the nearest candidates and their scores, best first; where pairs are mined, one or
    none.
    """

    ranking: tuple[str, ...]
    scores: tuple[float, ...] = field(repr=False)

    @property
    def value(self) -> Any:
        return self.ranking

    @property
    def confidence(self) -> Any:
        return self.scores


@final
@dataclass(frozen=True, kw_only=True)
class Retrieval(Task):
    """Rank candidates for each query by the cosine of their vectors, or mine pairs of texts.

    Without a `corpus`, the candidates are those of all rows of the split and language. An encoder
    can be scored without training; training pulls pairs together by softmax over the candidates of
    a batch. See `Task` for the other fields.

    Args:
        query: The column of the query.
        candidate: The column of the text that belongs to it.
        corpus: The candidates' source, with columns `id` and `candidate`. Training rows stay pairs.
        pool: With a corpus, candidates are in the query's "language" or in "all" languages.
        relevant: With a corpus, the column of the ids of relevant candidates.
        mining: Mine one-to-one pairs by ratio margin (BUCC), from the threshold that is best on the
            validation split. Texts whose id is "" stay unpaired.
        layer: The hidden state that is read; 0 is the embeddings.
        depth: Without `layer`, the share of the layers: 14/24 is layer 14 of XLM-R large and,
            rounded,
            layer 7 of base.
        pooling: "mean" over all tokens, special ones included, the first token ("cls"), the first
            token through a layer of the head ("pooler", to be trained), or the "last" token.
        top: Candidates of a ranking.
        max_query_length: Tokens of a query, if less than `max_length`.
    """

    task_type: ClassVar[str] = "retrieval"
    output_column: ClassVar[str] = "lengths"
    gold: ClassVar[str] = "relevant"
    query: Column | None = "query"
    candidate: Column = "candidate"
    corpus: Source | None = None
    pool: Literal["language", "all"] = "language"
    relevant: Column = "relevant"
    mining: bool = False
    layer: int | None = None
    depth: float = 1.0
    pooling: Literal["mean", "cls", "pooler", "last"] = "mean"
    top: int = 20
    max_length: int = 512
    max_query_length: int | None = None
    metrics: tuple[Metric, ...] = (accuracy_at_1,)

    @property
    def corpus_task(self) -> Retrieval | None:
        if self.corpus is None:
            return None
        return replace(self, source=self.corpus, corpus=None, query=None)

    def candidate_languages(self, split: str, language: str) -> tuple[str, ...]:
        if self.corpus is None:
            return ()
        return self.corpus.available(split) if self.pool == "all" else (language,)

    @property
    def for_training(self) -> Retrieval:
        return replace(self, corpus=None)

    @property
    def threshold_split(self) -> str:
        return "validation" if self.mining else ""

    def example(self, row: Row, *, id: str, language: str) -> PairExample:
        query = None if self.query is None else column_text(row, self.query)
        if self.corpus is None:
            candidate = column_text(row, self.candidate)
            return PairExample(
                id=id, language=language, query=query, candidate=candidate, relevant=(id,)
            )
        relevant = column_gold(row, self.relevant)
        if relevant is not None:
            relevant = (relevant,) if isinstance(relevant, str) else relevant
            is_list = isinstance(relevant, list | tuple)
            if not is_list or not all(isinstance(id, str) for id in relevant):
                raise DataError(f"The relevant ids are {relevant!r}; expected a list of text.")
            relevant = tuple(relevant)
        return PairExample(id=id, language=language, query=query, relevant=relevant)

    def features(
        self, examples: Sequence[PairExample], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, Sequence[Any]]:
        queries = [e.query for e in examples if e.query is not None]
        texts = [e.candidate for e in examples if e.candidate is not None]
        query_length = min(max_length, self.max_query_length or max_length)
        query_encodings = iter(encode(tokenizer, queries, max_length=query_length))
        candidate_encodings = iter(encode(tokenizer, texts, max_length=max_length))
        groups: list[list[Encoding]] = []
        for example in examples:
            group = []
            if example.query is not None:
                group.append(next(query_encodings))
            if example.candidate is not None:
                group.append(next(candidate_encodings))
            groups.append(group)
        return {
            "example": range(len(examples)),
            **grouped_features(tokenizer, groups),
            "labels": [[0]] * len(groups),
        }

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        features: datasets.Dataset,
        examples: Sequence[PairExample],
    ) -> list[RankingPrediction]:
        ids = outputs.get("candidates")
        if ids is None:
            ids = np.array([e.id for e in examples], dtype=object)
        rankings = outputs["ranking"]
        scores = outputs["scores"]  # (examples, top); row -1: none
        if self.mining:
            query_ids = np.array([e.id for e in examples], dtype=object)
            unpaired = (rankings < 0) | (ids[rankings] == "") | (query_ids == "")[:, None]
            rankings = np.where(unpaired, -1, rankings)
            scores = np.where(unpaired, np.nan, scores)
        return [
            RankingPrediction(
                id=e.id,
                language=e.language,
                ranking=tuple(ids[r[r >= 0]].tolist()),
                scores=tuple(s[r >= 0].tolist()),
            )
            for e, r, s in zip(examples, rankings, scores, strict=True)
        ]

    def best_threshold(
        self, predictions: Sequence[RankingPrediction], references: Sequence[tuple[str, ...]]
    ) -> float:
        mined = [
            (p.scores[0], p.ranking[0] in r)
            for p, r in zip(predictions, references, strict=True)
            if p.ranking
        ]
        scores, right = zip(*mined, strict=True) if mined else ((), ())
        total = sum(len(set(relevant)) for relevant in references)
        if not total:
            raise DataError(
                f"Task {self.name}: no pair of the split {self.threshold_split!r} is gold."
            )
        return best_threshold(scores, right, total)[0]

    def apply_threshold(
        self, predictions: Sequence[RankingPrediction], threshold: float
    ) -> list[RankingPrediction]:
        return [
            p if p.ranking and p.scores[0] >= threshold else replace(p, ranking=(), scores=())
            for p in predictions
        ]

    def reference(self, example: PairExample) -> tuple[str, ...] | None:
        return example.relevant

    def head_config(self) -> dict[str, Any]:
        names = ("layer", "depth", "pooling", "top", "mining")
        return {**super().head_config(), **{name: getattr(self, name) for name in names}}
