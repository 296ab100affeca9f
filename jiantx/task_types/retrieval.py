"""The text that belongs to a query, out of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

import numpy as np

from jiantx.columns import Column, column_gold, column_text
from jiantx.metrics import (
    Metric,
    Metrics,
    accuracy_at_1,
    best_threshold,
    mean_average_precision,
    mean_reciprocal_rank,
    metric_name,
    mined_f1,
    mined_precision,
    mined_recall,
)
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

    gold_fields: ClassVar[tuple[str, ...]] = ("relevant",)
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


_RANKING_METRICS: tuple[Metric, ...] = (accuracy_at_1,)
_MINING_METRICS: tuple[Metric, ...] = (mined_f1,)
_MINED = (mined_f1, mined_precision, mined_recall)
_AT_20 = (mean_average_precision, mean_reciprocal_rank)


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
            Several candidates may have one id, such as the passages of a document: the best of them
            counts.
        pool: With a corpus, candidates are in the query's "language" or in "all" languages.
        relevant: With a corpus, the column of the ids of relevant candidates.
        mining: Mine one-to-one pairs by ratio margin (BUCC), from the threshold that is best on the
            validation split. Texts whose id is "" stay unpaired. The default metric is then the F1
            of the pairs.
        layer: The hidden state that is read; 0 is the embeddings.
        depth: Without `layer`, the share of the layers: 14/24 is layer 14 of XLM-R large and,
            rounded, layer 7 of base.
        pooling: "mean" over all tokens, special ones included, the first token ("cls"), the first
            token through a layer of the head ("pooler", to be trained), or the "last" token.
        top: Candidates of a ranking.
        max_query_length: Tokens of a query, if less than `max_length`.
    """

    task_type: ClassVar[str] = "retrieval"
    scored_by: ClassVar[str] = "rankings"
    lowest: ClassVar[Mapping[str, int]] = {"layer": 0, "depth": 0, "top": 1, "max_query_length": 1}
    output_column: ClassVar[str] = "lengths"
    gold: ClassVar[str] = "relevant"
    layer_fields: ClassVar[tuple[str, ...]] = ("layer", "depth")
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
    metrics: Metrics = _RANKING_METRICS

    def __post_init__(self) -> None:
        # by identity, so that what a user gives stays, and `replace(mining=…)` takes the other
        # default
        if self.metrics is _RANKING_METRICS and self.mining:
            object.__setattr__(self, "metrics", _MINING_METRICS)
        elif self.metrics is _MINING_METRICS and not self.mining:
            object.__setattr__(self, "metrics", _RANKING_METRICS)
        super().__post_init__()
        self._check_top()

    def _check_top(self) -> None:
        """ValueError if a ranking has other candidates than a metric is defined on."""
        for metric in self.metrics:
            if metric in _MINED and not self.mining and self.top != 1:
                raise ValueError(
                    f"Task {self.name}: {metric_name(metric)!r} is a score of mined pairs, and "
                    f"rankings have {self.top} candidates. Give mining=True, or top=1."
                )
            if metric in _AT_20 and self.top < 20:
                raise ValueError(
                    f"Task {self.name}: {metric_name(metric)!r} reads 20 candidates of a ranking, "
                    f"which has top={self.top}. Give top=20 or more."
                )

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
    def has_independent_rows(self) -> bool:
        return self.corpus is not None and not self.mining

    @property
    def threshold_split(self) -> str:
        return "validation" if self.mining else ""

    def example(self, row: Row, *, id: str, language: str) -> PairExample:
        if self.mining and row.get("id") == "":
            id = ""
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
            self._check_own_candidates(examples)
        else:
            self._check_relevant(examples, set(ids.tolist()))
        rankings = outputs["ranking"]
        scores = outputs["scores"]  # (examples, top); row -1: none
        if self.mining:
            query_ids = np.array([e.id for e in examples], dtype=object)
            unpaired = (rankings < 0) | (ids[rankings] == "") | (query_ids == "")[:, None]
            rankings = np.where(unpaired, -1, rankings)
            scores = np.where(unpaired, np.nan, scores)
        predictions = []
        for e, r, s in zip(examples, rankings, scores, strict=True):
            best: dict[str, float] = {}  # of several rows with one id, the first has the best score
            for candidate, score in zip(ids[r[r >= 0]].tolist(), s[r >= 0].tolist(), strict=True):
                best.setdefault(candidate, score)
            ranking = tuple(best)[: self.top]
            ranked_scores = tuple(best.values())[: self.top]
            predictions.append(
                RankingPrediction(
                    id=e.id, language=e.language, ranking=ranking, scores=ranked_scores
                )
            )
        return predictions

    def _check_own_candidates(self, examples: Sequence[PairExample]) -> None:
        """Refuse ids that name different candidates: the wrong ones would count as right."""
        rows: dict[str, int] = {}
        for row, example in enumerate(examples):
            first = rows.setdefault(example.id, row)
            if example.id and example.candidate != examples[first].candidate:
                raise DataError(
                    f"Task {self.name}, language {example.language!r}: rows {first} and {row} have "
                    f"the same id {example.id!r} and different candidates. Ids tell candidates "
                    "apart: give each row its own, or drop the column `id`."
                )

    def _check_relevant(self, examples: Sequence[PairExample], candidate_ids: set[str]) -> None:
        """Say which relevant ids no candidate has; refuse gold that fits no candidate at all."""
        gold = [(example.id, set(example.relevant)) for example in examples if example.relevant]
        lacking = [(id, relevant - candidate_ids) for id, relevant in gold]
        lacking = [(id, missing) for id, missing in lacking if missing]
        if not lacking:
            return
        query_id, missing = lacking[0]
        text = (
            f"Task {self.name}, language {examples[0].language!r}: {len(lacking):,} of "
            f"{len(gold):,} queries have relevant ids that are not in the corpus, such as "
            f"{min(missing)!r} of query {query_id!r}. The corpus has {len(candidate_ids):,} ids, "
            f"such as {min(candidate_ids)!r}."
        )
        if all(candidate_ids.isdisjoint(relevant) for _, relevant in gold):
            raise DataError(
                f"{text} No relevant id is there, so nothing can be scored. Compare the ids of "
                'both sides; pool="all" searches all languages.'
            )
        if not self.mining:  # there, texts without an id cannot be found on purpose
            from transformers.utils import logging

            logging.get_logger("jiantx.retrieval").warning_once(
                f"{text} Such ids count as not found."
            )

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
