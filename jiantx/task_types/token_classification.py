"""One tag a word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from jiantx.metrics import Metric, chunk_f1, token_accuracy
from jiantx.sources import DataError, Row
from jiantx.task import (
    Column,
    Example,
    Labels,
    Prediction,
    Task,
    check_label,
    check_utf8,
    column_gold,
    column_value,
)
from jiantx.tokenization import has_segments, special_tokens, tokenize_words

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class TaggedExample(Example):
    """Words and their tags."""

    words: tuple[str, ...]
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class TagsPrediction(Prediction):
    """A tag and its probability for every word."""

    says: ClassVar[str] = "tags"
    sure: ClassVar[str] = "probabilities"
    words: tuple[str, ...] = field(repr=False)
    tags: tuple[str, ...]
    probabilities: tuple[float, ...] = field(repr=False)


@final
@dataclass(frozen=True, kw_only=True)
class TokenClassification(Task):
    """A tag for every word, read at its first piece. Long sentences are split and merged, so that none goes without."""

    task_type: ClassVar[str] = "token_classification"
    gold: ClassVar[str] = "tags"
    labels: Labels
    words: Column = "tokens"
    tags: Column = "tags"
    metrics: tuple[Metric, ...] = (chunk_f1, token_accuracy)
    main_metrics: tuple[Metric, ...] = (chunk_f1,)

    def __post_init__(self) -> None:
        super().__post_init__()
        read_as_outside = (
            [] if callable(self.labels) else [x for x in self.labels if x[0] == "O" and x != "O"]
        )
        if read_as_outside and chunk_f1 in self.metrics:
            raise ValueError(
                f"Task {self.name}: chunk F1 reads the first letter of a tag, and would take {read_as_outside} for "
                "words outside any chunk. Name them B-… and I-…, or give metrics=(token_accuracy,), main_metrics=()."
            )

    def example(self, row: Row, *, id: str, language: str) -> TaggedExample:
        words = column_value(row, self.words)
        if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
            raise DataError(f"Expected a list of words, found {words!r}.")
        if not words:
            raise DataError("The sentence has no words. Drop such rows with the source's `where`.")
        for word in words:
            check_utf8(word)
        tags = column_gold(row, self.tags)
        if not isinstance(tags, list | tuple | None):
            raise DataError(f"Expected a list of tags, found {tags!r}.")
        if tags is not None and any(tag is None for tag in tags):
            tags = None
        if tags is not None:
            if len(tags) != len(words):
                raise DataError(f"{len(words)} words have {len(tags)} tags; expected one a word.")
            tags = tuple(check_label(tag, self.label_names) for tag in tags)
        return TaggedExample(id=id, language=language, words=tuple(words), tags=tags)

    def features(
        self, examples: Sequence[TaggedExample], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, Sequence[Any]]:
        place = {label: i for i, label in enumerate(self.label_names)}
        around = special_tokens(tokenizer)
        room = max_length - around.size
        if room < 1:
            raise DataError(
                f"max_length {max_length} leaves no room for words beside {around.size} special tokens."
            )
        found: dict[str, list[Any]] = {
            name: []
            for name in ("example", "input_ids", "lengths", "truncated", "word_positions", "labels")
        }
        types: list[Any] = []
        for number, (example, (ids, owners)) in enumerate(
            zip(examples, tokenize_words(tokenizer, [e.words for e in examples]), strict=True)
        ):
            gold = np.array(
                [place[tag] for tag in example.tags]
                if example.tags
                else [-100] * len(example.words)
            )
            firsts = np.flatnonzero(np.diff(owners, prepend=-1))  # first piece of each word
            for start, stop in _windows(firsts, len(ids), room):
                inside = (firsts >= start) & (firsts < stop)
                found["example"].append(number)
                found["input_ids"].append(around.ids(ids[start:stop]))
                found["lengths"].append([stop - start + around.size])
                found["truncated"].append(0)
                found["word_positions"].append(firsts[inside] - start + len(around.before))
                found["labels"].append(gold[inside])
                types.append(around.type_ids(stop - start))
        if has_segments(tokenizer):
            found["token_type_ids"] = types
        return dict(found)

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        features: datasets.Dataset,
        examples: Sequence[TaggedExample],
    ) -> list[TagsPrediction]:
        # the features of a sentence follow each other, and so do their words: all words are in order already
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


def _windows(firsts: np.ndarray, length: int, room: int) -> list[tuple[int, int]]:
    """Cut a sentence of `length` pieces before first pieces of words, into stretches of at most `room` pieces."""
    if length <= room:
        return [(0, length)]
    bounds = np.append(firsts, length)
    found, start = [], 0
    while start < length:
        stop = int(bounds[np.searchsorted(bounds, start + room, side="right") - 1])
        if stop <= start:  # one word is longer than a window: its first pieces stand for it
            stop = int(bounds[np.searchsorted(bounds, start, side="right")])
            found.append((start, min(stop, start + room)))
        else:
            found.append((start, stop))
        start = stop
    return found
