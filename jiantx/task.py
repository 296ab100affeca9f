"""A task: what to read, what to predict, how to score. A frozen value, declared."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from jiantx.columns import Column
from jiantx.example import Example, Prediction
from jiantx.fields import check_fields, check_labels, check_name
from jiantx.labels_in_data import find_labels
from jiantx.metrics import (
    Metric,
    Metrics,
    check_metrics,
    mean_of_metrics,
    metric_name,
    resolve_metrics,
)
from jiantx.sources import Row, Source, data_root
from jiantx.task_rows import SPLITS, TaskRows

if TYPE_CHECKING:
    import datasets
    import numpy as np
    from transformers import PreTrainedTokenizerBase

__all__ = ["SPLITS", "Example", "Labels", "Prediction", "Task"]

Labels = tuple[str, ...] | Callable[[], tuple[str, ...]]
T = TypeVar("T", bound="Task")


@dataclass(frozen=True, kw_only=True)
class Task(TaskRows, ABC):
    """Base class of all task types, with the fields that every task has.

    Args:
        name: Lower-case letters, digits and `_`; it begins with a letter.
        source: Where its rows come from.
        metrics: Functions of (predictions, references), or names of `jx.metrics.list_metrics()`.
        main_metrics: The main score is the mean of these (default: of all), on 0-100, higher is
            better.
        group: The group of a row, for metrics that are marked `grouped`: for example the question
            that the row answers. A row whose group is None belongs to no group.
        named_groups: The names of the groups in which a row is reported: one text, several, or
            none. Reports hold each metric of each group beside the metrics of all rows, as
            `accuracy[negation]`; no mean and no main score includes them.
        head: Tasks that name the same head share its parameters (default: the task's own name).
        max_length: Maximum tokens of a sequence.
        train_on: Tasks whose training split fine-tunes this one, in order (empty: its own split).
        train_languages: Languages of the training rows (default: English, or the `language` that
            the source was given).
        language_exponent: Languages of a step are drawn with p ~ rows ** exponent.
    """

    name: str = field(kw_only=False)
    source: Source = field(kw_only=False)
    metrics: Metrics
    main_metrics: Metrics = ()
    group: Column | None = None
    named_groups: Column | None = None
    head: str | None = None
    max_length: int = 256
    train_on: tuple[str, ...] = ()
    train_languages: tuple[str, ...] = ("en",)
    language_exponent: float = 1.0
    task_type: ClassVar[str]
    # The feature column that a head's outputs run along: one output for each of its entries.
    output_column: ClassVar[str] = "labels"
    # The field that names the column of the gold; empty where the gold is among the inputs.
    gold: ClassVar[str] = "label"
    gold_may_be_minus_one: ClassVar[bool] = False  # else -1 stands for a hidden label
    layer_fields: ClassVar[tuple[str, ...]] = ()  # that choose which hidden state is read
    augment_keeps_tokens: ClassVar[bool] = False  # whether `augment` leaves the sequences alone
    # The module of `jiantx.metrics` that scores its predictions; empty where any may do.
    scored_by: ClassVar[str] = ""
    lowest: ClassVar[Mapping[str, int]] = {"max_length": 1}  # the numbers that fields may hold

    def __post_init__(self) -> None:
        for name in (self.name,) if self.head is None else (self.name, self.head):
            check_name(name)
        check_fields(self, f"Task {self.name}", {**Task.lowest, **self.lowest})
        only_language = getattr(self.source, "only_language", None)
        if only_language and self.train_languages == ("en",):
            object.__setattr__(self, "train_languages", (only_language,))
        declared = (self.name, self.metrics, self.main_metrics, self.scored_by)
        for name, metrics in zip(("metrics", "main_metrics"), resolve_metrics(*declared)):
            object.__setattr__(self, name, metrics)
        resolved = (self.name, self.metrics, self.main_metrics, self.scored_by)
        check_metrics(*resolved, has_groups=self.group is not None)
        labels = getattr(self, "labels", None)
        if labels is not None and not callable(labels):
            check_labels(self.name, labels)

    # --- what a task type writes ------------------------------------------------------------------

    @abstractmethod
    def example(self, row: Row, *, id: str, language: str) -> Any:
        """A row in the task type's form.

        Args:
            row: A row as stored, or a raw one without gold.
            id: The row's id in its split, unique in a language.
            language: The row's language, an ISO 639 code.

        Raises:
            DataError: What is wrong with the row.
        """

    @abstractmethod
    def features(
        self, examples: Sequence[Any], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, Sequence[Any]]:
        """Inputs of the encoder and of the head, one or more rows an example.

        Args:
            examples: Examples of this task.
            tokenizer: A fast tokenizer.
            max_length: Tokens a sequence, special tokens included.

        Returns:
            Columns of integer lists, one list a feature: `labels` too, as a feature may have
            several items (-100 for one without gold). The column `example` holds indices of
            `examples`.
        """

    @abstractmethod
    def decode(
        self, outputs: Mapping[str, np.ndarray], features: datasets.Dataset, examples: Sequence[Any]
    ) -> Sequence[Prediction]:
        """One prediction an example.

        Args:
            outputs: The head's arrays by name, in the order of the features.
            features: What `features` returned.
            examples: The examples that the features were made from.
        """

    @abstractmethod
    def reference(self, example: Any) -> Any:
        """The gold of an example as metrics take it; None where there is none."""

    @property
    def corpus_task(self) -> Task | None:
        """The task whose examples are the candidates of this one's queries; None: its own."""
        return None

    def candidate_languages(self, split: str, language: str) -> tuple[str, ...]:
        """The languages of a query's candidates (retrieval).

        Args:
            split: The query's split.
            language: The query's language.
        """
        return ()

    @property
    def for_training(self: T) -> T:
        """The task as its training rows are read: with a corpus, pairs instead of queries."""
        return self

    def as_it_reads(self: T, split: str, columns: Collection[str]) -> T:
        """The task as it reads rows of a split that have these columns; see `for_training`.

        Args:
            split: The split.
            columns: Of its rows as stored.
        """
        return self

    @property
    def unread_fields(self) -> tuple[str, ...]:
        """Fields whose columns are no inputs of a row: hard negatives, candidates of a corpus."""
        return ()

    @property
    def training_problem(self) -> str:
        """Why the task cannot be trained on its rows; empty if it can."""
        return ""

    @property
    def has_independent_rows(self) -> bool:
        """Whether a row has the same score without the other rows of its split."""
        return self.group is None

    @property
    def threshold_split(self) -> str:
        """The split whose gold sets a threshold for predictions (mining); empty: none."""
        return ""

    def best_threshold(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        """The threshold that scores best.

        Args:
            predictions: Predictions of the threshold's split.
            references: Their references.
        """
        raise NotImplementedError

    def apply_threshold(self, predictions: Sequence[Any], threshold: float) -> Sequence[Any]:
        """The predictions that a threshold leaves.

        Args:
            predictions: Predictions of any split.
            threshold: What `best_threshold` returned.
        """
        raise NotImplementedError

    def augment(
        self,
        batch: dict[str, np.ndarray],
        tokenizer: PreTrainedTokenizerBase,
        keys: Sequence[tuple[int, ...]],
    ) -> dict[str, np.ndarray]:
        """Change a flat batch when it is made (masking).

        Args:
            batch: The features' columns, each concatenated over the batch.
            tokenizer: The features' tokenizer.
            keys: A key of randomness for each feature.

        Returns:
            A new batch; the given one stays as it is.
        """
        return batch

    # --- what comes for free ----------------------------------------------------------------------

    def user_classes(self) -> list[type]:
        """The classes of its type that are not jiantx's: if they change, the task does."""
        return [
            kind
            for kind in type(self).__mro__
            if kind.__module__.partition(".")[0] not in ("jiantx", "abc", "builtins")
        ]

    def head_config(self) -> dict[str, Any]:
        """What the head must know: JSON, saved with the model, equal where tasks share a head."""
        return {"type": self.task_type, "labels": list(self.label_names)}

    @property
    def head_name(self) -> str:
        """`head`, or the task's own name.

        A property, so that `replace(name=…)` does not carry the old head along.
        """
        return self.head or self.name

    @property
    def gold_column(self) -> str | None:
        """The column of the gold, where it is a column of its own."""
        column = getattr(self, self.gold) if self.gold else None
        return column if isinstance(column, str) else None

    @property
    def gold_names(self) -> tuple[str, ...]:
        """The names that a row's gold and a prediction may have: the labels."""
        return self.label_names

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels in their order; a function in their place is called once a data root.

        Labels that are not declared are those of the training rows, in alphabetical order.
        """
        labels: Labels | None = getattr(self, "labels", ())
        if labels is None:
            return find_labels(self)
        if callable(labels):
            return _called_labels(self.name, labels, data_root())
        return tuple(labels)

    def replace(self: T, **changes: Any) -> T:
        """A variant of the task."""
        return dataclasses.replace(self, **changes)

    def with_rows(self: T, source: Source) -> T:
        """The task with other rows that have the same labels, such as a part of its own rows.

        Labels that are not declared are found in the task's own rows, and not in these: a few rows
        may lack some of them.

        Args:
            source: Gives the rows.
        """
        has_labels = getattr(self, "labels", ()) is not None
        labels = {} if has_labels else {"labels": self.label_names}
        return self.replace(source=source, **labels)

    def compute(
        self,
        metric: Metric,
        predictions: Sequence[Any],
        references: Sequence[Any],
        *groups: Sequence[Any],
    ) -> float:
        """Compute a metric, with what it must know of the task.

        Args:
            metric: One of `metrics`.
            predictions: Values of predictions.
            references: What is right, in the same order.
            *groups: The groups, in the same order, for a metric that is marked `grouped`.
        """
        score: Any = metric(predictions, references, *groups)
        if isinstance(score, str) or not hasattr(score, "__float__"):
            raise TypeError(
                f"The metric {metric_name(metric)!r} returned {score!r:.80}; expected a number "
                "between 0 and 100."
            )
        return float(score)

    def main_score(self, values: Mapping[str, float]) -> float:
        """The score that is averaged, compared and selected on; NaN where a metric is missing."""
        return mean_of_metrics(self.main_metrics or self.metrics, values)


@lru_cache(maxsize=64)
def _called_labels(
    task: str, labels: Callable[[], tuple[str, ...]], root: Path | None
) -> tuple[str, ...]:
    return check_labels(task, labels())
