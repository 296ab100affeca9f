"""A label, several labels, or a number for a text or a pair of texts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from jiantx.metrics import Metric, accuracy, pearson, spearman
from jiantx.sources import DataError, Row
from jiantx.task import (
    Column,
    Example,
    Labels,
    Prediction,
    Task,
    check_label,
    column_gold,
    column_text,
    column_value,
)
from jiantx.tokenization import encode, sequence_features

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class TextExample(Example):
    """A text or a pair of texts, with a label, a tuple of labels, or a number."""

    text: str
    text_pair: str | None = None
    label: Any = None


@dataclass(frozen=True, kw_only=True)
class LabelPrediction(Prediction):
    """The most probable label; with `multi_label`, `label` is the tuple of all labels above one half."""

    says: ClassVar[str] = "label"
    sure: ClassVar[str] = "probability"
    label: str | tuple[str, ...]
    probability: float
    probabilities: Mapping[str, float] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class NumberPrediction(Prediction):
    """A number."""

    says: ClassVar[str] = "number"
    number: float


def _example(
    task: Classification | Regression, row: Row, id: str, language: str, label: Any
) -> TextExample:
    pair = None if task.text_pair is None else column_text(row, task.text_pair)
    return TextExample(
        id=id, language=language, text=column_text(row, task.text), text_pair=pair, label=label
    )


def _encode(
    examples: Sequence[TextExample], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> dict[str, Sequence[Any]]:
    pairs = (
        [e.text_pair or "" for e in examples]
        if examples and examples[0].text_pair is not None
        else None
    )
    encodings = encode(tokenizer, [e.text for e in examples], pairs, max_length=max_length)
    return {"example": range(len(examples)), **sequence_features(tokenizer, encodings)}


@final
@dataclass(frozen=True, kw_only=True)
class Classification(Task):
    """One label for a text or a pair of texts; with `multi_label`, any number of labels.

    >>> Classification(name="mood", source=Rows({"train": rows}), labels=("sad", "glad"))  # doctest: +SKIP
    """

    task_type: ClassVar[str] = "classification"
    labels: Labels
    text: Column = "text"
    text_pair: Column | None = None
    label: Column = "label"
    multi_label: bool = False
    metrics: tuple[Metric, ...] = (accuracy,)

    def example(self, row: Row, *, id: str, language: str) -> TextExample:
        gold = column_gold(row, self.label)
        if gold is not None:
            if self.multi_label:
                if not isinstance(gold, list | tuple | set | frozenset):
                    raise DataError(f"The labels are {gold!r}; expected a list of them.")
                gold = tuple(
                    sorted(
                        {check_label(g, self.label_names) for g in gold}, key=self.label_names.index
                    )
                )
            else:
                gold = check_label(gold, self.label_names)
        return _example(self, row, id, language, gold)

    def features(
        self, examples: Sequence[TextExample], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, Sequence[Any]]:
        place = {label: i for i, label in enumerate(self.label_names)}
        found = _encode(examples, tokenizer, max_length)
        if self.multi_label:  # `labels` counts the items; what is learnt is one 0 or 1 a label
            found["labels"] = [[0 if e.label is not None else -100] for e in examples]
            found["targets"] = [
                [float(label in (e.label or ())) for label in self.label_names] for e in examples
            ]
        else:
            found["labels"] = [[place[e.label] if e.label is not None else -100] for e in examples]
        return found

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        features: datasets.Dataset,
        examples: Sequence[TextExample],
    ) -> list[LabelPrediction]:
        probabilities = outputs["probabilities"]  # (examples, labels)
        names = self.label_names
        best = probabilities.argmax(axis=1)
        found = []
        for example, row, top in zip(examples, probabilities, best.tolist(), strict=True):
            label = (
                tuple(n for n, p in zip(names, row) if p > 0.5) if self.multi_label else names[top]
            )
            found.append(
                LabelPrediction(
                    id=example.id,
                    language=example.language,
                    label=label,
                    probability=float(row[top]),
                    probabilities=dict(zip(names, row.tolist())),
                )
            )
        return found

    def reference(self, example: TextExample) -> Any:
        return example.label

    def head_config(self) -> dict[str, Any]:
        return {**super().head_config(), "multi_label": self.multi_label}


@final
@dataclass(frozen=True, kw_only=True)
class Regression(Task):
    """A number for a text or a pair of texts, learnt by squared error on the scale `low` to `high`."""

    task_type: ClassVar[str] = "regression"
    text: Column = "text"
    text_pair: Column | None = None
    label: Column = "label"
    low: float = 0.0
    high: float = 1.0
    metrics: tuple[Metric, ...] = (pearson, spearman)

    def example(self, row: Row, *, id: str, language: str) -> TextExample:
        number = _number(row, self.label)
        if number is not None and not self.low <= number <= self.high:
            raise DataError(
                f"The label {number} is outside the task's scale, {self.low} to {self.high}."
            )
        return _example(self, row, id, language, number)

    def features(
        self, examples: Sequence[TextExample], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, Sequence[Any]]:
        found = _encode(examples, tokenizer, max_length)
        found["labels"] = [[0 if e.label is not None else -100] for e in examples]
        scale = self.high - self.low
        found["targets"] = [
            [(e.label - self.low) / scale if e.label is not None else 0.0] for e in examples
        ]
        return found

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        features: datasets.Dataset,
        examples: Sequence[TextExample],
    ) -> list[NumberPrediction]:
        numbers = self.low + outputs["numbers"].astype(np.float64) * (
            self.high - self.low
        )  # (examples,)
        return [
            NumberPrediction(id=e.id, language=e.language, number=number)
            for e, number in zip(examples, numbers.tolist(), strict=True)
        ]

    def reference(self, example: TextExample) -> float | None:
        found: float | None = example.label
        return found


def _number(row: Row, column: Column) -> float | None:
    try:
        value = column_value(row, column)  # not `gold_of`: -1 is a number like others here
    except DataError:
        return None
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"The label is {value!r}; expected a number.") from None
    if not math.isfinite(number):
        raise DataError(f"The label is {value!r}; expected a finite number.")
    return number
