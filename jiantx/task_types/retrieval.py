"""The text that belongs to a query, out of many."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

import numpy as np

from jiantx.columns import Column, column_gold, column_text, column_value
from jiantx.metrics import (
    Metric,
    Metrics,
    accuracy_at_1,
    best_threshold,
    candidates_read,
    is_one_of,
    metric_name,
    mined_f1,
    mined_precision,
    mined_recall,
)
from jiantx.sources import DataError, Row, Source
from jiantx.task import Example, Prediction, Task
from jiantx.task_types.contrast import (
    ContrastExample,
    column_texts,
    contrast_features,
    with_known_positives,
)
from jiantx.task_types.ranked_ids import check_own_candidates, check_relevant, graded_ids
from jiantx.tokenization import encode, grouped_features

if TYPE_CHECKING:
    import datasets
    from tokenizers import Encoding
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class PairExample(Example):
    """A query and the candidate that belongs to it, or one of the two; and the ids of what is
    relevant, with their grades where the data have some.
    """

    gold_fields: ClassVar[tuple[str, ...]] = ("relevant",)
    query: str | None = None
    candidate: str | None = None
    relevant: tuple[str, ...] | None = None
    grades: tuple[float, ...] | None = None


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
_RANKED = 20  # candidates of a ranking, unless a metric reads more


@final
@dataclass(frozen=True, kw_only=True)
class Retrieval(Task):
    """Rank candidates for each query by the cosine of their vectors, or mine pairs of texts.

    Without a `corpus`, the candidates are those of all rows of the split and language. An encoder
    can be scored without training; training pulls pairs together by softmax over the candidates of
    a batch. A text that belongs to a query in any training row is never a wrong candidate of that
    query. See `Task` for the other fields.

    Args:
        query: The column of the query.
        candidate: The column of the text that belongs to it. In training rows, it may be a list of
            texts.
        query_prefix: Put before each query, such as "query: ".
        candidate_prefix: Put before each candidate, such as "passage: ".
        negatives: The column of hard negatives, a text or a list of texts. They are wrong
            candidates of a training query, as the candidates of the other rows are; see
            `jx.mine_negatives`.
        corpus: The candidates' source, with columns `id` and `candidate`. Training rows stay pairs.
            Several candidates may have one id, such as the passages of a document: the best of them
            counts.
        pool: With a corpus, candidates are in the query's "language" or in "all" languages.
        relevant: With a corpus, the column of the ids of relevant candidates.
        grades: With a corpus, the column of the grades of these ids, in the same order. Candidates
            with a grade of 0 or less are not relevant.
        mining: Mine one-to-one pairs by ratio margin (BUCC), from the threshold that is best on the
            validation split. Texts whose id is "" stay unpaired. The default metric is then the F1
            of the pairs.
        layer: The hidden state that is read; 0 is the embeddings.
        depth: Without `layer`, the share of the layers: 14/24 is layer 14 of XLM-R large and,
            rounded, layer 7 of base.
        pooling: "mean" over all tokens, special ones included, the first token ("cls"), the first
            token through a layer of the head ("pooler", to be trained), or the "last" token.
        normalize: Divide vectors by their length. If False, candidates are ranked by the inner
            product.
        center: When candidates are ranked, subtract the mean of the queries from each query, and
            the mean of each language's candidates from each of these.
        top: Number of candidates in a ranking. None: as many as the metrics read, at least 20.
        max_query_length: Maximum tokens of a query, if less than `max_length`.
        temperature: Training divides the scores by this number. "learned" starts at 0.01.
        symmetric: Training also tells the query of each candidate from the batch's other queries;
            the loss is the mean of both directions.
        training_pool: Where the wrong candidates of a training query come from: its own "batch", or
            the whole "step", over all accumulated batches and all devices. "step" gives the
            gradients of one large batch, but runs a second forward pass of each batch.
    """

    task_type: ClassVar[str] = "retrieval"
    scored_by: ClassVar[str] = "rankings"
    lowest: ClassVar[Mapping[str, int]] = {"layer": 0, "depth": 0, "top": 1, "max_query_length": 1}
    output_column: ClassVar[str] = "lengths"
    gold: ClassVar[str] = "relevant"
    layer_fields: ClassVar[tuple[str, ...]] = ("layer", "depth")
    query: Column | None = "query"
    candidate: Column = "candidate"
    query_prefix: str = ""
    candidate_prefix: str = ""
    negatives: Column | None = None
    corpus: Source | None = None
    pool: Literal["language", "all"] = "language"
    relevant: Column = "relevant"
    grades: Column | None = None
    mining: bool = False
    layer: int | None = None
    depth: float = 1.0
    pooling: Literal["mean", "cls", "pooler", "last"] = "mean"
    normalize: bool = True
    center: bool = False
    top: int | None = None
    max_length: int = 512
    max_query_length: int | None = None
    temperature: float | Literal["learned"] = "learned"
    symmetric: bool = False
    training_pool: Literal["batch", "step"] = "batch"
    metrics: Metrics = _RANKING_METRICS
    _is_training: bool = False  # its rows are read to train on

    @property
    def gold_column(self) -> str | None:
        """The column of relevant ids; without a corpus, a row's own candidate is the gold."""
        return None if self.corpus is None else super().gold_column

    def __post_init__(self) -> None:
        # by identity, so that what a user gives stays, and `replace(mining=…)` takes the other
        # default
        if self.metrics is _RANKING_METRICS and self.mining:
            object.__setattr__(self, "metrics", _MINING_METRICS)
        elif self.metrics is _MINING_METRICS and not self.mining:
            object.__setattr__(self, "metrics", _RANKING_METRICS)
        super().__post_init__()
        self._check_top()
        self._check_scoring()

    def _check_top(self) -> None:
        """ValueError if a ranking has other candidates than a metric is defined on."""
        for metric in self.metrics:
            if is_one_of(metric, _MINED) and not self.mining and self.top != 1:
                raise ValueError(
                    f"Task {self.name}: {metric_name(metric)!r} is a score of mined pairs, and "
                    f"rankings have {self.ranked or 'all'} candidates. Give mining=True, or top=1."
                )
            count = candidates_read(metric)
            if self.top is not None and (count is None or count > self.top):
                raise ValueError(
                    f"Task {self.name}: {metric_name(metric)!r} reads "
                    f"{'all' if count is None else count} candidates of a ranking, which has "
                    f"top={self.top}. "
                    f"{'Leave `top` out.' if count is None else f'Give top={count} or more.'}"
                )

    def _check_scoring(self) -> None:
        """ValueError if vectors cannot be compared, or a loss cannot be computed, as declared."""
        temperature = self.temperature
        is_number = isinstance(temperature, int | float) and not isinstance(temperature, bool)
        if temperature != "learned" and not (is_number and 0 < temperature < math.inf):
            raise ValueError(
                f"Task {self.name}: temperature={temperature!r}. Expected a number above 0, such "
                "as 0.05, or 'learned'."
            )
        if self.mining and not self.normalize:
            raise ValueError(
                f"Task {self.name}: pairs are mined by the margins of cosines, which need "
                "normalize=True."
            )
        if self.grades is not None and self.corpus is None and not self._is_training:
            raise ValueError(
                f"Task {self.name}: `grades` are of the relevant ids of a `corpus`, and the task "
                "has no `corpus`. Give one, or leave `grades` out."
            )

    @property
    def ranked(self) -> int | None:
        """Candidates of a ranking: `top`, or as many as the metrics read; None: all."""
        if self.top is not None:
            return self.top
        counts = [candidates_read(metric) for metric in self.metrics]
        return None if None in counts else max(_RANKED, *(count or 0 for count in counts))

    @property
    def corpus_task(self) -> Retrieval | None:
        if self.corpus is None:
            return None
        return replace(self, source=self.corpus, corpus=None, query=None, grades=None)

    def candidate_languages(self, split: str, language: str) -> tuple[str, ...]:
        if self.corpus is None:
            return ()
        return self.corpus.available(split) if self.pool == "all" else (language,)

    @property
    def for_training(self) -> Retrieval:
        return replace(self, corpus=None, _is_training=True)

    def as_it_reads(self, split: str, columns: Collection[str]) -> Retrieval:
        has_texts = self.corpus is None or callable(self.candidate) or self.candidate in columns
        is_trained = split == "train" and self.query is not None and has_texts
        return self.for_training if is_trained else self

    @property
    def unread_fields(self) -> tuple[str, ...]:
        if self._is_training:
            return ("negatives", "grades")
        return ("negatives",) if self.corpus is None else ("negatives", "candidate")

    @property
    def has_independent_rows(self) -> bool:
        return self.corpus is not None and not self.mining and not self.center

    @property
    def threshold_split(self) -> str:
        return "validation" if self.mining else ""

    def examples(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        examples = super().examples(*args, **kwargs)
        if not self._is_training:
            return examples
        return with_known_positives(super().examples(*args, **kwargs), examples)

    def example(self, row: Row, *, id: str, language: str) -> Any:
        if self._is_training:
            return self._contrast_example(row, id=id, language=language)
        if self.mining and row.get("id") == "":
            id = ""
        query = None if self.query is None else column_text(row, self.query)
        if self.corpus is None:
            candidate = column_text(row, self.candidate)
            return PairExample(
                id=id, language=language, query=query, candidate=candidate, relevant=(id,)
            )
        relevant = column_gold(row, self.relevant)
        grades = None
        if relevant is not None:
            relevant = (relevant,) if isinstance(relevant, str) else relevant
            is_list = isinstance(relevant, list | tuple)
            if not is_list or not all(isinstance(id, str) for id in relevant):
                raise DataError(f"The relevant ids are {relevant!r}; expected a list of text.")
            relevant = tuple(relevant)
            if self.grades is not None:
                relevant, grades = graded_ids(relevant, column_value(row, self.grades))
        return PairExample(id=id, language=language, query=query, relevant=relevant, grades=grades)

    def _contrast_example(self, row: Row, *, id: str, language: str) -> ContrastExample:
        assert self.query is not None
        query = column_text(row, self.query)
        if self.candidate not in row and isinstance(self.relevant, str) and self.relevant in row:
            raise DataError(
                f"The row has ids in {self.relevant!r}, and no texts in {self.candidate!r}. "
                "Training reads texts: write those of the relevant candidates, a list of them, "
                f"into the column {self.candidate!r} of the training rows."
            )
        positives = column_texts(row, self.candidate)
        if not positives:
            raise DataError("The row has no candidate. Drop it with the source's `where`.")
        negatives = () if self.negatives is None else column_texts(row, self.negatives)
        return ContrastExample(
            id=id, language=language, query=query, positives=positives, negatives=negatives
        )

    def features(
        self, examples: Sequence[Any], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, Sequence[Any]]:
        query_length = min(max_length, self.max_query_length or max_length)
        if self._is_training:
            return contrast_features(
                examples,
                tokenizer,
                query_prefix=self.query_prefix,
                candidate_prefix=self.candidate_prefix,
                query_length=query_length,
                max_length=max_length,
            )
        queries = [self.query_prefix + e.query for e in examples if e.query is not None]
        texts = [self.candidate_prefix + e.candidate for e in examples if e.candidate is not None]
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
            check_own_candidates(self.name, examples)
        else:
            check_relevant(self.name, examples, set(ids.tolist()), mining=self.mining)
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
            ranking = tuple(best)[: self.ranked]
            ranked_scores = tuple(best.values())[: self.ranked]
            predictions.append(
                RankingPrediction(
                    id=e.id, language=e.language, ranking=ranking, scores=ranked_scores
                )
            )
        return predictions

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

    def reference(self, example: Any) -> Any:
        """The relevant ids, or id -> grade; None where there is no gold."""
        if isinstance(example, ContrastExample):
            return (example.id,)
        if example.grades is not None:
            return dict(zip(example.relevant, example.grades, strict=True))
        return example.relevant

    def head_config(self) -> dict[str, Any]:
        names = """layer depth pooling mining normalize center temperature symmetric
            training_pool""".split()
        settings = {name: getattr(self, name) for name in names}
        return {**super().head_config(), **settings, "top": self.ranked}
