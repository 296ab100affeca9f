"""A label, several labels, or a number for a text or a pair of texts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from jiantx.columns import Column, check_label, column_gold, column_text, column_value
from jiantx.metrics import Metric, Metrics, accuracy, metric_name, pearson, spearman
from jiantx.metrics.base import innermost_metric
from jiantx.registry import near_names
from jiantx.sources import DataError, MissingColumn, Row
from jiantx.task import Example, Labels, Prediction, Task
from jiantx.task_types.choice_sequences import pair_features
from jiantx.tokenization import encode, sequence_features

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerBase

_REPEATED = 4  # texts that come so often are tokenized once and joined with their pairs


@dataclass(frozen=True, kw_only=True)
class TextExample(Example):
    """A text or a pair of texts, with a label, a tuple of labels, or a number."""

    text: str
    text_pair: str | None = None
    label: Any = None


@dataclass(frozen=True, kw_only=True)
class LabelPrediction(Prediction):
    """The most probable label, and the probabilities of the head's labels.

    With `multi_label`, `label` is the tuple of all labels above one half. With `label_map`, `label`
    is what the map makes of the most probable one.
    """

    label: str | tuple[str, ...]
    probability: float
    probabilities: Mapping[str, float] = field(repr=False)

    @property
    def value(self) -> Any:
        return self.label

    @property
    def confidence(self) -> Any:
        return self.probability

    def __str__(self) -> str:
        if isinstance(self.label, str):
            return f"{self.label} ({self.probability:.2f})"
        chosen = [f"{label} ({self.probabilities[label]:.2f})" for label in self.label]
        return ", ".join(chosen) or "no label"


@dataclass(frozen=True, kw_only=True)
class NumberPrediction(Prediction):
    """A number."""

    number: float

    @property
    def value(self) -> Any:
        return self.number


def labels_at(is_predicted: np.ndarray, names: Sequence[str]) -> list[tuple[str, ...]]:
    """The names of each example's labels.

    Args:
        is_predicted: (examples, labels) booleans.
        names: (labels,).
    """
    examples, labels = is_predicted.nonzero()
    predicted = [names[label] for label in labels.tolist()]
    bounds = np.searchsorted(examples, np.arange(len(is_predicted) + 1)).tolist()
    return [tuple(predicted[start:stop]) for start, stop in itertools.pairwise(bounds)]


def label_predictions(
    examples: Sequence[Example],
    labels: Sequence[Any],
    probabilities: np.ndarray,
    names: Sequence[str],
) -> list[LabelPrediction]:
    """One prediction for each example.

    Args:
        examples: (examples,).
        labels: (examples,) what is predicted.
        probabilities: (examples, labels).
        names: (labels,).
    """
    highest = probabilities.max(axis=1).tolist()
    return [
        LabelPrediction(
            id=example.id,
            language=example.language,
            label=label,
            probability=probability,
            probabilities=dict(zip(names, row.tolist())),
        )
        for example, label, probability, row in zip(
            examples, labels, highest, probabilities, strict=True
        )
    ]


def check_metric_labels(task: str, metrics: Sequence[Metric], labels: Sequence[str]) -> None:
    """Check that the labels which metrics score are a task's.

    Args:
        task: Its name, for messages.
        metrics: Its metrics.
        labels: Its labels.

    Raises:
        ValueError: A metric is the F1 of a label that the task does not have.
    """
    for metric in metrics:
        innermost = innermost_metric(metric)
        positive_label = getattr(innermost, "positive_label", None)
        scored = getattr(innermost, "labels", () if positive_label is None else (positive_label,))
        for label in scored:
            if label not in labels:
                raise ValueError(
                    f"Task {task}: {metric_name(metric)!r} is the F1 of {label!r}, "
                    f"which is not one of the labels {list(labels)}.{near_names(label, labels)}"
                )


def _example(
    task: Classification | Regression, row: Row, id: str, language: str, label: Any
) -> TextExample:
    # Test splits whose labels are hidden have a few blank texts, and their official files need a
    # prediction for each row. Such a row is neither learnt from nor scored.
    has_hidden_label = label is None and task.gold_column in row
    text = column_text(row, task.text, may_be_blank=has_hidden_label)
    pair = None
    if task.text_pair is not None:
        pair = column_text(row, task.text_pair, may_be_blank=has_hidden_label)
    return TextExample(id=id, language=language, text=text, text_pair=pair, label=label)


def _encode(
    examples: Sequence[TextExample], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> dict[str, Sequence[Any]]:
    """The inputs of the encoder, one sequence an example; the longer text is cut first.

    Either all examples have a second text or none, since a task declares its column.
    """
    texts = [example.text for example in examples]
    pairs = None
    if examples and examples[0].text_pair is not None:
        pairs = [example.text_pair or "" for example in examples]
        # as the paragraphs of MultiRC, each with the answers of all its questions
        distinct_characters = sum(map(len, set(texts)))
        if _REPEATED * distinct_characters <= sum(map(len, texts)):
            columns = pair_features(tokenizer, texts, pairs, max_length)
            return {"example": range(len(examples)), **columns}
    encodings = encode(tokenizer, texts, pairs, max_length=max_length)
    return {"example": range(len(examples)), **sequence_features(tokenizer, encodings)}


@final
@dataclass(frozen=True, kw_only=True)
class Classification(Task):
    """One label for a text or a pair of texts; with `multi_label`, any number of labels.

    See `Task` for the other fields.

    Args:
        labels: The names of the labels, or a function that returns them (default: the labels of the
            training rows, in alphabetical order).
        text: The column of the text.
        text_pair: The column of the second text, if there is one.
        label: The column of the label, or of the list of labels.
        multi_label: An example has any number of labels.
        label_map: Label of the head -> name in the rows and in reports, if the task is scored with
            the head of another task that has finer labels: {"neutral": "non-entailment", …}. The
            most probable label of the head is mapped to its name. Such a task cannot be trained on.

    >>> from jiantx.sources import Rows
    >>> rows = [{"text": "What a day!", "label": "glad"}]
    >>> Classification(name="mood", source=Rows({"train": rows}), labels=("sad", "glad")).head_name
    'mood'
    """

    task_type: ClassVar[str] = "classification"
    scored_by: ClassVar[str] = "labels"
    labels: Labels | None = None
    text: Column = "text"
    text_pair: Column | None = None
    label: Column = "label"
    multi_label: bool = False
    label_map: Mapping[str, str] | None = None
    metrics: Metrics = (accuracy,)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.labels is None or callable(self.labels):
            return
        if self.label_map is not None:
            self._check_label_map()
        check_metric_labels(self.name, self.metrics, self.gold_names)

    def _check_label_map(self) -> None:
        if self.multi_label:
            raise ValueError(f"Task {self.name}: label_map is for tasks with one label a row.")
        if set(self.label_map or ()) != set(self.label_names):
            raise ValueError(
                f"Task {self.name}: label_map has the labels {list(self.label_map or ())}; "
                f"expected all of the head's, {list(self.label_names)}."
            )

    @property
    def gold_names(self) -> tuple[str, ...]:
        """The names that a row's gold and a prediction may have, in the order of the labels."""
        if self.label_map is None:
            return self.label_names
        return tuple(dict.fromkeys(self.label_map[label] for label in self.label_names))

    @property
    def training_problem(self) -> str:
        if self.label_map is None:
            return ""
        other = f" Train on {' and '.join(self.train_on)} instead." if self.train_on else ""
        return (
            "its label_map joins labels of the head, so that its rows do not say which of them is "
            f"right.{other}"
        )

    def example(self, row: Row, *, id: str, language: str) -> TextExample:
        gold = column_gold(row, self.label)
        if gold is not None:
            if self.multi_label:
                if not isinstance(gold, list | tuple | set | frozenset):
                    raise DataError(f"The labels are {gold!r}; expected a list of them.")
                labels = {check_label(label, self.label_names) for label in gold}
                gold = tuple(label for label in self.label_names if label in labels)
            else:
                gold = check_label(gold, self.gold_names)
        return _example(self, row, id, language, gold)

    def features(
        self, examples: Sequence[TextExample], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, Sequence[Any]]:
        label_to_id = {label: i for i, label in enumerate(self.label_names)}
        columns = _encode(examples, tokenizer, max_length)
        if self.multi_label:  # `labels` counts the items; what is learnt is one 0 or 1 a label
            columns["labels"] = [[0 if e.label is not None else -100] for e in examples]
            columns["targets"] = [
                [float(label in (e.label or ())) for label in self.label_names] for e in examples
            ]
        else:
            is_learnt = self.label_map is None
            columns["labels"] = [
                [label_to_id[e.label] if is_learnt and e.label is not None else -100]
                for e in examples
            ]
        return columns

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        features: datasets.Dataset,
        examples: Sequence[TextExample],
    ) -> list[LabelPrediction]:
        probabilities = outputs["probabilities"]  # (examples, labels)
        names = self.label_names
        labels: list[Any]
        if self.multi_label:
            labels = labels_at(probabilities > 0.5, names)
        else:
            reported = names
            if self.label_map is not None:
                reported = tuple(self.label_map[name] for name in names)
            labels = [reported[index] for index in probabilities.argmax(axis=1).tolist()]
        return label_predictions(examples, labels, probabilities, names)

    def reference(self, example: TextExample) -> Any:
        return example.label

    def head_config(self) -> dict[str, Any]:
        # before training and scoring, also where labels are found in the data
        check_metric_labels(self.name, self.metrics, self.gold_names)
        return {**super().head_config(), "multi_label": self.multi_label}


@final
@dataclass(frozen=True, kw_only=True)
class Regression(Task):
    """A number for a text or a pair of texts, learnt by squared error.

    See `Task` for the other fields.

    Args:
        text: The column of the text.
        text_pair: The column of the second text, if there is one.
        label: The column of the number.
        low: The lowest number of the scale.
        high: The highest number of the scale.
    """

    task_type: ClassVar[str] = "regression"
    scored_by: ClassVar[str] = "labels"
    gold_may_be_minus_one: ClassVar[bool] = True
    text: Column = "text"
    text_pair: Column | None = None
    label: Column = "label"
    low: float = 0.0
    high: float = 1.0
    metrics: Metrics = (pearson, spearman)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.low < self.high:
            raise ValueError(
                f"Task {self.name}: low={self.low!r}, high={self.high!r}. Expected a scale from "
                "the lowest to the highest number."
            )

    def example(self, row: Row, *, id: str, language: str) -> TextExample:
        score = _parse_score(row, self.label)
        if score is not None and not self.low <= score <= self.high:
            raise DataError(
                f"The label {score} is outside the task's scale, {self.low} to {self.high}."
            )
        return _example(self, row, id, language, score)

    def features(
        self, examples: Sequence[TextExample], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, Sequence[Any]]:
        columns = _encode(examples, tokenizer, max_length)
        columns["labels"] = [[0 if e.label is not None else -100] for e in examples]
        scale = self.high - self.low
        columns["targets"] = [
            [(e.label - self.low) / scale if e.label is not None else 0.0] for e in examples
        ]
        return columns

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
        return example.label


def _parse_score(row: Row, column: Column) -> float | None:
    try:
        value = column_value(row, column)  # not `column_gold`: -1 is a number like others here
    except MissingColumn:
        return None
    if value is None or value == "":
        return None
    try:
        score = float(value)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"The label is {value!r}; expected a number.") from None
    if not math.isfinite(score):
        raise DataError(f"The label is {value!r}; expected a finite number.")
    return score
