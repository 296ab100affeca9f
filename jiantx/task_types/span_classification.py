"""A label, or several, for a span of a text or for two."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

import numpy as np

from jiantx.columns import (
    Column,
    check_label,
    check_utf8,
    column_gold,
    column_text,
    column_value,
)
from jiantx.metrics import Metrics, accuracy
from jiantx.metrics.counts import MISSING_LABEL
from jiantx.sources import DataError, Row
from jiantx.task import Example, Labels, Task
from jiantx.task_types.classification import (
    LabelPrediction,
    check_metric_labels,
    label_predictions,
    labels_at,
)
from jiantx.task_types.span_inputs import SpanInput, input_columns, span_inputs
from jiantx.task_types.spans import Span, check_span, join_words, split_words, without_blanks
from jiantx.tokenization import has_segments, special_tokens, tokenize

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class SpanExample(Example):
    """One target: a text or two, the characters of its spans, and its label or labels."""

    text: str
    text_pair: str | None = None
    spans: tuple[Span, ...]
    label: Any = None


@final
@dataclass(frozen=True, kw_only=True)
class SpanClassification(Task):
    """One label, or with `multi_label` any number, for a span of a text or for two spans.

    A row is one target. Consecutive rows of the same text share one input of the encoder, so sort
    the targets of a sentence together. If a text is too long, each target reads the pieces around
    its own spans. If its spans do not fit into `max_length`, or have no piece, the target is
    counted, scored as wrong, and skipped in training. Its prediction is "", or no labels. See
    `Task` for the other fields.

    The defaults are those of edge probing (Tenney et al. 2019, 1905.06316).

    Args:
        labels: The names of the labels, or a function that returns them.
        text: The column of the text, or of its words.
        text_pair: The column of a second text, which then has the second span.
        span1: The column of the span, [start, stop] with the stop excluded.
        span2: The column of the second span, if there is one.
        label: The column of the label. With `multi_label`, the column of the list of labels, or of
            a single label.
        units: Spans count the words of `text.split()`, or the characters of the text.
        multi_label: A target has any number of labels. Each is learnt by itself, and predicted if
            its probability is at least one half.
        pooling: A span's vector: "self_attentive" weighs its pieces by learnt scores, "mean"
            averages them, "first" is the first piece, "ends" the first and the last.
        share_pooling: Both spans are pooled by the same parameters.
        projection_size: Size of the projected states that are pooled; None pools the states.
        classifier: "linear", or "mlp" with one hidden layer.
        classifier_size: Size of the hidden layer.
        dropout: Of the classifier; None is the encoder's.

    >>> from jiantx.sources import Rows
    >>> rows = [{"text": "Ann saw Bo .", "span1": [0, 1], "span2": [1, 2], "label": "agent"}]
    >>> roles = SpanClassification(
    ...     name="roles", source=Rows({"train": rows}), labels=("agent", "patient"), span2="span2"
    ... )
    >>> next(roles.examples("train")).spans
    ((0, 3), (4, 7))
    """

    task_type: ClassVar[str] = "span_classification"
    scored_by: ClassVar[str] = "labels"
    augment_keeps_tokens: ClassVar[bool] = True
    lowest: ClassVar[Mapping[str, int]] = {
        "projection_size": 1,
        "classifier_size": 1,
        "dropout": 0,
    }
    labels: Labels | None = None
    text: Column = "text"
    text_pair: Column | None = None
    span1: Column = "span1"
    span2: Column | None = None
    label: Column = "label"
    units: Literal["words", "characters"] = "words"
    multi_label: bool = False
    pooling: Literal["self_attentive", "mean", "first", "ends"] = "self_attentive"
    share_pooling: bool = False
    projection_size: int | None = 256
    classifier: Literal["linear", "mlp"] = "mlp"
    classifier_size: int = 256
    dropout: float | None = None
    metrics: Metrics = (accuracy,)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.text_pair is not None and self.span2 is None:
            raise ValueError(
                f"Task {self.name}: text_pair={self.text_pair!r} without span2. The second text "
                "has the second span: name its column."
            )
        if self.dropout is not None and self.dropout >= 1:
            raise ValueError(f"Task {self.name}: dropout={self.dropout!r}. Expected less than 1.")
        if self.labels is not None and not callable(self.labels):
            check_metric_labels(self.name, self.metrics, self.labels)

    def head_config(self) -> dict[str, Any]:
        # before training and scoring, also where labels are found in the data
        check_metric_labels(self.name, self.metrics, self.label_names)
        return {
            **super().head_config(),
            "multi_label": self.multi_label,
            "spans": self._span_count,
            "pooling": self.pooling,
            "share_pooling": self.share_pooling,
            "projection_size": self.projection_size,
            "classifier": self.classifier,
            "classifier_size": self.classifier_size,
            "dropout": self.dropout,
        }

    @property
    def _span_count(self) -> int:
        return 1 if self.span2 is None else 2

    # --- examples ---------------------------------------------------------------------------------

    def example(self, row: Row, *, id: str, language: str) -> SpanExample:
        text, word_spans = self._text(row, self.text)
        spans = [self._span(row, self.span1, text, word_spans)]
        text_pair = None
        if self.text_pair is not None:
            text_pair, word_spans = self._text(row, self.text_pair)
        if self.span2 is not None:
            spans.append(self._span(row, self.span2, text_pair or text, word_spans))
        return SpanExample(
            id=id,
            language=language,
            text=text,
            text_pair=text_pair,
            spans=tuple(spans),
            label=self._label(row),
        )

    def _text(self, row: Row, column: Column) -> tuple[str, tuple[Span, ...]]:
        """A text and the characters of its words; no words where spans count characters."""
        value = column_value(row, column)
        if self.units == "characters" or not isinstance(value, list | tuple):
            text = column_text(row, column)
            return text, split_words(text) if self.units == "words" else ()
        if not value or not all(isinstance(word, str) for word in value):
            raise DataError(f"Expected a text or a list of words, found {value!r}.")
        text, word_spans = join_words(tuple(value))
        return check_utf8(text), word_spans

    def _span(self, row: Row, column: Column, text: str, word_spans: Sequence[Span]) -> Span:
        """The characters of a span."""
        value = column_value(row, column)
        if self.units == "characters":
            span = check_span(value, len(text), "characters")
        else:
            first, stop = check_span(value, len(word_spans), "words")
            span = (word_spans[first][0], word_spans[stop - 1][1])
        return without_blanks(text, span)

    def _label(self, row: Row) -> Any:
        gold = column_gold(row, self.label)
        if gold is None:
            return None
        if not self.multi_label:
            return check_label(gold, self.label_names)
        several = gold if isinstance(gold, list | tuple | set | frozenset) else [gold]
        labels = {check_label(label, self.label_names) for label in several}
        return tuple(label for label in self.label_names if label in labels)

    def reference(self, example: SpanExample) -> Any:
        return example.label

    # --- features ---------------------------------------------------------------------------------

    def features(
        self, examples: Sequence[SpanExample], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, Sequence[Any]]:
        special = special_tokens(tokenizer, pair=self.text_pair is not None)
        max_pieces = max_length - special.size
        if max_pieces < self._span_count:
            raise DataError(
                f"max_length {max_length} leaves no room for {self._span_count} spans beside "
                f"{special.size} special tokens."
            )
        groups = _of_one_text(examples)
        texts = [(examples[group.start].text, examples[group.start].text_pair) for group in groups]
        sides = [tokenize(tokenizer, [text for text, _ in texts])]
        if self.text_pair is not None:
            sides.append(tokenize(tokenizer, [text_pair or "" for _, text_pair in texts]))
        inputs: list[SpanInput] = []
        for group, *encodings in zip(groups, *sides, strict=True):
            spans = np.array([example.spans for example in examples[group]])
            inputs += span_inputs(group, encodings, spans, special, max_pieces)
        columns = input_columns(inputs)
        if has_segments(tokenizer):
            columns["token_type_ids"] = [one.type_ids for one in inputs]
        return {**columns, **self._gold_columns(inputs, examples)}

    def _gold_columns(
        self, inputs: Sequence[SpanInput], examples: Sequence[SpanExample]
    ) -> dict[str, Sequence[Any]]:
        """`labels`, and with `multi_label` the numbers of the gold labels and how many they are."""
        label_to_id = {label: i for i, label in enumerate(self.label_names)}
        columns: dict[str, list[Any]] = {"labels": [], "gold_labels": [], "gold_counts": []}
        for one in inputs:
            labels = []
            gold_ids = []
            for example, is_lost in zip(examples[one.targets], one.is_lost, strict=True):
                gold = example.label if self.multi_label else [example.label]
                is_item = example.label is not None and not is_lost
                ids = [label_to_id[label] for label in gold] if is_item else []
                labels.append((0 if self.multi_label else ids[0]) if is_item else -100)
                gold_ids.append(ids)
            columns["labels"].append(labels)
            columns["gold_labels"].append(list(itertools.chain(*gold_ids)))
            columns["gold_counts"].append(list(map(len, gold_ids)))
        return dict(columns) if self.multi_label else {"labels": columns["labels"]}

    def augment(
        self,
        batch: dict[str, np.ndarray],
        tokenizer: PreTrainedTokenizerBase,
        keys: Sequence[tuple[int, ...]],
    ) -> dict[str, np.ndarray]:
        """Add the indices of all tokens of all spans, one span after the other.

        Args:
            batch: With the positions and the sizes of the spans.
            tokenizer: Not needed.
            keys: Not needed.

        Returns:
            The batch with `span1_tokens`, and `span2_tokens` where there is a second span.
        """
        added = {}
        for name in ("span1", "span2")[: self._span_count]:
            sizes = batch[f"{name}_sizes"]
            offsets = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            added[f"{name}_tokens"] = np.repeat(batch[f"{name}_positions"], sizes) + offsets
        return {**batch, **added}

    # --- predictions ------------------------------------------------------------------------------

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        features: datasets.Dataset,
        examples: Sequence[SpanExample],
    ) -> list[LabelPrediction]:
        names = self.label_names
        is_lost = _flat(features, "lost").astype(bool)
        probabilities = np.where(is_lost[:, None], 0.0, outputs["probabilities"])
        labels: list[Any]
        if self.multi_label:
            labels = labels_at(probabilities >= 0.5, names)
            missing: Any = (MISSING_LABEL,)  # no label at all might be right
        else:
            best = probabilities.argmax(axis=1)
            labels = [names[index] for index in best.tolist()]
            missing = MISSING_LABEL
        for example in np.flatnonzero(is_lost).tolist():
            labels[example] = missing
        return label_predictions(examples, labels, probabilities, names)


def _of_one_text(examples: Sequence[SpanExample]) -> list[slice]:
    """Examples of the same texts that follow each other."""
    groups = itertools.groupby(examples, key=lambda example: (example.text, example.text_pair))
    stops = list(itertools.accumulate(sum(1 for _ in group) for _, group in groups))
    return [slice(start, stop) for start, stop in zip([0, *stops], stops)]


def _flat(features: datasets.Dataset, column: str) -> np.ndarray:
    """The entries of a list column, one row after the other."""
    array = features.with_format("arrow").select_columns([column])[:][column].combine_chunks()
    return np.asarray(array.flatten())
