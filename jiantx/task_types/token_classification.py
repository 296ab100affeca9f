"""One tag a word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from jiantx.columns import Column, check_label, check_utf8, column_gold, column_value
from jiantx.metrics import (
    CHUNK_METRICS,
    Metric,
    Metrics,
    Scheme,
    Tags,
    chunk_f1,
    is_one_of,
    token_accuracy,
)
from jiantx.sources import DataError, Row
from jiantx.task import Example, Labels, Prediction, Task
from jiantx.tokenization import has_segments, special_tokens, tokenize_words

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class TaggedExample(Example):
    """Words and their tags."""

    gold_fields: ClassVar[tuple[str, ...]] = ("tags",)
    words: tuple[str, ...]
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class TagsPrediction(Prediction):
    """A tag and its probability for every word."""

    words: tuple[str, ...] = field(repr=False)
    tags: tuple[str, ...]
    probabilities: tuple[float, ...] = field(repr=False)

    @property
    def value(self) -> Any:
        return self.tags

    @property
    def confidence(self) -> Any:
        return self.probabilities

    @property
    def probability(self) -> float:
        """That of the least probable of its tags."""
        return min(self.probabilities)

    def __str__(self) -> str:
        return " ".join(f"{word}/{tag}" for word, tag in zip(self.words, self.tags, strict=True))


@final
@dataclass(frozen=True, kw_only=True)
class TokenClassification(Task):
    """A tag for every word, read at its first piece.

    Long sentences are split and merged, so that every word gets a tag. See `Task` for the other
    fields.

    Args:
        labels: The tags, or a function that returns them (default: the tags of the training rows,
            in alphabetical order).
        words: The column of the words.
        tags: The column of their tags.
        scheme: How chunk F1 reads the tags, as `jiantx.metrics.Scheme` explains; recognised from
            the labels if None.
    """

    task_type: ClassVar[str] = "token_classification"
    scored_by: ClassVar[str] = "tagging"
    gold: ClassVar[str] = "tags"
    labels: Labels | None = None
    words: Column = "tokens"
    tags: Column = "tags"
    scheme: Scheme | None = None
    metrics: Metrics = (chunk_f1, token_accuracy)
    main_metrics: Metrics = (chunk_f1,)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.labels is not None and not callable(self.labels):
            self._check_scheme()

    def _check_scheme(self) -> None:
        """ValueError if chunk F1 cannot read the labels."""
        if not any(is_one_of(metric, CHUNK_METRICS) for metric in self.metrics):
            return
        try:
            chunk_f1([self.label_names], [self.label_names], scheme=self.scheme)
        except ValueError as error:
            raise ValueError(f"Task {self.name}: {error}") from None

    def head_config(self) -> dict[str, Any]:
        self._check_scheme()  # before training, also where a function returns the labels
        return super().head_config()

    def compute(
        self, metric: Metric, predictions: Tags, references: Tags, *groups: Sequence[Any]
    ) -> float:
        if is_one_of(metric, CHUNK_METRICS):
            metric = partial(metric, scheme=self.scheme, labels=self.label_names)
        return super().compute(metric, predictions, references, *groups)

    def example(self, row: Row, *, id: str, language: str) -> TaggedExample:
        tokens = column_value(row, self.words)
        if not isinstance(tokens, list | tuple) or not all(
            isinstance(word, str) for word in tokens
        ):
            raise DataError(f"Expected a list of words, found {tokens!r}.")
        if not tokens:
            raise DataError("The sentence has no words. Drop such rows with the source's `where`.")
        for word in tokens:
            check_utf8(word)
        tags = column_gold(row, self.tags)
        if not isinstance(tags, list | tuple | None):
            raise DataError(f"Expected a list of tags, found {tags!r}.")
        if tags is not None and any(tag is None for tag in tags):
            tags = None
        if tags is not None:
            if len(tags) != len(tokens):
                raise DataError(
                    f"{len(tokens)} words have {len(tags)} tags; expected one tag per word."
                )
            names = self.label_names
            known_names = _as_set(names)
            tags = tuple(
                tag if type(tag) is str and tag in known_names else check_label(tag, names)
                for tag in tags
            )
        return TaggedExample(id=id, language=language, words=tuple(tokens), tags=tags)

    def features(
        self, examples: Sequence[TaggedExample], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, Sequence[Any]]:
        label_to_id = {label: i for i, label in enumerate(self.label_names)}
        special = special_tokens(tokenizer)
        max_pieces = max_length - special.size
        if max_pieces < 1:
            raise DataError(
                f"max_length {max_length} leaves no room for words beside "
                f"{special.size} special tokens."
            )
        names = ("example", "input_ids", "lengths", "truncated", "word_positions", "labels")
        columns: dict[str, list[Any]] = {name: [] for name in names}
        types: list[Any] = []
        tokenized = tokenize_words(tokenizer, [example.words for example in examples])
        for example_index, example in enumerate(examples):
            ids, word_ids = tokenized[example_index]
            gold = np.full(len(example.words), -100)
            if example.tags:
                gold = np.array([label_to_id[tag] for tag in example.tags])
            first_pieces = np.flatnonzero(np.diff(word_ids, prepend=-1))  # first piece of each word
            for start, stop in _windows(first_pieces, len(ids), max_pieces):
                inside = (first_pieces >= start) & (first_pieces < stop)
                columns["example"].append(example_index)
                columns["input_ids"].append(special.ids(ids[start:stop]))
                columns["lengths"].append([stop - start + special.size])
                columns["truncated"].append(0)
                columns["word_positions"].append(first_pieces[inside] - start + len(special.before))
                columns["labels"].append(gold[inside])
                types.append(special.type_ids(stop - start))
        if has_segments(tokenizer):
            columns["token_type_ids"] = types
        return dict(columns)

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        features: datasets.Dataset,
        examples: Sequence[TaggedExample],
    ) -> list[TagsPrediction]:
        # the features of a sentence follow each other, and so do their words: all words are in
        # order already
        names = np.array(self.label_names, dtype=object)
        ends = np.cumsum([len(e.words) for e in examples])[:-1]
        tags = np.split(names[outputs["tags"]], ends)
        probabilities = np.split(outputs["probabilities"], ends)
        return [
            TagsPrediction(
                id=e.id,
                language=e.language,
                words=e.words,
                tags=tuple(t.tolist()),
                probabilities=tuple(p.tolist()),
            )
            for e, t, p in zip(examples, tags, probabilities, strict=True)
        ]

    def reference(self, example: TaggedExample) -> tuple[str, ...] | None:
        return example.tags


def _windows(first_pieces: np.ndarray, length: int, room: int) -> list[tuple[int, int]]:
    """Split a sentence before the first pieces of words.

    Args:
        first_pieces: (words,) the index of each word's first piece.
        length: Pieces of the sentence.
        room: Pieces of a window at most.

    Returns:
        (start, stop) of each window.
    """
    if length <= room:
        return [(0, length)]
    bounds = np.append(first_pieces, length)
    windows = []
    start = 0
    while start < length:
        stop = int(bounds[np.searchsorted(bounds, start + room, side="right") - 1])
        if stop <= start:  # one word is longer than a window: its first pieces stand for it
            stop = int(bounds[np.searchsorted(bounds, start, side="right")])
            windows.append((start, min(stop, start + room)))
        else:
            windows.append((start, stop))
        start = stop
    return windows


@lru_cache(maxsize=64)
def _as_set(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(names)
