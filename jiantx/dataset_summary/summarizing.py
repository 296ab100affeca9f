"""Reading a task's splits and counting what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jiantx.dataset_summary.input_columns import (
    TextLengths,
    blank_rows,
    character_counts,
    column_array,
    gold_values,
    input_columns,
    is_text,
    is_text_type,
    missing_gold,
    row_keys,
    text_lengths,
    word_counts,
)
from jiantx.dataset_summary.repeated_rows import (
    Overlap,
    conflicting_count,
    find_overlaps,
    number_keys,
    repeated_count,
)
from jiantx.dataset_summary.summary import SplitSummary, Summary
from jiantx.sources import DataError, MissingColumn

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa
    from transformers import PreTrainedTokenizerBase

    from jiantx.task import Task

Unit = Literal["words", "characters"]


def summarize(
    task: Task,
    splits: Sequence[str] | None,
    languages: Sequence[str] | None,
    unit: Unit,
    tokenizer: PreTrainedTokenizerBase | None,
) -> Summary:
    """Read a task's splits and summarise them.

    Args:
        task: The task.
        splits: Splits; None: all that there are.
        languages: Languages; None: all that there are.
        unit: What lengths are counted in.
        tokenizer: Counts lengths in its tokens, without special tokens, in the place of `unit`.

    Raises:
        DataError: There are no rows, or a column is missing.
    """
    measures: dict[str, TextLengths] = {"words": word_counts, "characters": character_counts}
    if unit not in measures:
        raise ValueError(f"unit={unit!r}. Expected 'words' or 'characters', or give a tokenizer.")
    measure = measures[unit]
    if tokenizer is not None:
        measure = _token_counter(tokenizer)
    pairs = _available(task, splits, languages)
    entries: dict[tuple[str, str], SplitSummary] = {}
    overlaps: list[Overlap] = []
    conflicts: list[tuple[str, int]] = []
    missing_gold: list[MissingColumn | None] = []  # one entry a split and language
    for language in dict.fromkeys(language for _, language in pairs):
        tables = {}
        for split in [split for split, other in pairs if other == language]:
            tables[split] = _InputTable(task, split, language)
        numbers = number_keys({split: table.keys() for split, table in tables.items()})
        for split, table in tables.items():
            entries[split, language] = table.summary(numbers[split], measure)
        missing_gold += [table.missing_gold for table in tables.values()]
        overlaps += find_overlaps(numbers, language)
        label_numbers = _label_numbers(list(tables.values()))
        if label_numbers is not None:
            conflict_count = conflicting_count(
                np.concatenate(list(numbers.values())), label_numbers
            )
            conflicts += [(language, conflict_count)] if conflict_count else []
    declared = _declared_labels(task)
    occurring: dict[str, None] = {}
    for entry in entries.values():
        occurring |= dict.fromkeys(entry.label_counts)
    undeclared = sorted(label for label in occurring if label not in declared)
    return Summary(
        task=task.name,
        unit="tokens" if tokenizer is not None else unit,
        splits=tuple(entries[pair] for pair in pairs),
        labels=(*declared, *undeclared),
        undeclared=tuple(undeclared) if declared else (),
        overlaps=tuple(overlaps),
        conflicts=tuple(conflicts),
        missing_gold=str(missing_gold[0]) if all(missing_gold) else "",
    )


def _available(
    task: Task, splits: Sequence[str] | None, languages: Sequence[str] | None
) -> list[tuple[str, str]]:
    """The splits and languages that are summarised, split by split."""
    pairs = []
    for split in ("train", "validation", "test") if splits is None else splits:
        available = task.languages(split)
        pairs += [(split, code) for code in available if languages is None or code in languages]
    if not pairs:
        task.rows("train", task.train_languages[0])  # says which file is missing
        raise DataError(f"Task {task.name} has no rows in splits {splits}, languages {languages}.")
    return pairs


def _declared_labels(task: Task) -> tuple[str, ...]:
    return () if getattr(task, "labels", None) is None else task.gold_names


def _has_labels(task: Task) -> bool:
    return hasattr(task, "labels")


class _InputTable:
    """The inputs and the gold of a split in one language, as Arrow columns."""

    def __init__(self, task: Task, split: str, language: str) -> None:
        self.split = split
        self.language = language
        rows = task.rows(split, language)
        self.row_count = len(rows)
        self.missing_gold: MissingColumn | None = None
        self.has_gold_in_inputs = False
        self.inputs: list[pa.ChunkedArray] = []
        try:
            reading_task = task.as_it_reads(split, rows.column_names)
            unread_fields = reading_task.unread_fields
            for field, column in input_columns(task).items():
                if field not in unread_fields:
                    self.inputs.append(column_array(rows, column))
            self.gold = self._read_gold(reading_task, rows)
        except DataError as error:
            raise DataError(
                f"Task {task.name}, split {split!r}, language {language!r}: {error}"
            ) from error.__cause__
        self.has_labels = _has_labels(task)
        self.gold_may = {
            "may_be_empty": getattr(task, "unanswerable", False),
            "may_be_minus_one": task.gold_may_be_minus_one,
        }

    def _read_gold(self, task: Task, rows: datasets.Dataset) -> pa.ChunkedArray | None:
        """The gold; None where the task has none, or the rows lack the column."""
        column = getattr(task, task.gold) if task.gold else None
        if column is None:
            return None
        if isinstance(column, str) and column not in rows.column_names:
            if task.gold_column is not None:
                self.missing_gold = MissingColumn(column, rows.column_names)
            else:  # pairs, whose own candidates are the gold
                self.has_gold_in_inputs = True
            return None
        return column_array(rows, column)

    def keys(self) -> pa.ChunkedArray:
        return row_keys(self.inputs, self.row_count)

    def summary(self, numbers: np.ndarray, measure: TextLengths) -> SplitSummary:
        lengths = np.zeros(self.row_count, dtype=np.int64)
        is_empty = np.zeros(self.row_count, dtype=bool)
        for array in self.inputs:
            if is_text(array):
                lengths += text_lengths(array, measure)
                is_empty |= blank_rows(array)
        counts: dict[str, int] = {}
        total = 0
        unlabelled = 0 if self.has_gold_in_inputs else self.row_count
        if self.gold is not None and self.has_labels:
            counts, total, unlabelled = gold_values(self.gold)
        elif self.gold is not None:
            unlabelled = int(missing_gold(self.gold, **self.gold_may).sum())
        return SplitSummary(
            split=self.split,
            language=self.language,
            rows=self.row_count,
            unlabelled=unlabelled,
            empty=int(is_empty.sum()),
            repeated=repeated_count(numbers),
            median=float(np.median(lengths)) if len(lengths) else 0.0,
            percentile_95=float(np.percentile(lengths, 95)) if len(lengths) else 0.0,
            longest=int(lengths.max(initial=0)),
            label_counts=counts,
            label_total=total,
        )


def _label_numbers(tables: Sequence[_InputTable]) -> np.ndarray | None:
    """(rows of all tables,) numbers of labels, -1 for none; None where gold is no single label."""
    import pyarrow as pa

    texts: list[Any] = []
    for table in tables:
        if table.gold is None:
            texts += [None] * table.row_count
        elif not (table.has_labels and is_text_type(table.gold.type)):
            return None
        else:
            texts += [value or None for value in table.gold.to_pylist()]
    encoded = pa.array(texts, pa.string()).dictionary_encode().indices
    return np.asarray(encoded.fill_null(-1).to_numpy())


def _token_counter(tokenizer: PreTrainedTokenizerBase) -> TextLengths:
    def count(texts: Any) -> np.ndarray:
        lengths: list[int] = []
        values = [value or "" for value in texts.to_pylist()]
        for start in range(0, len(values), 1000):
            batch = values[start : start + 1000]
            ids = tokenizer(batch, add_special_tokens=False, verbose=False)["input_ids"]
            lengths += map(len, ids)
        return np.array(lengths, dtype=np.int64)

    return count
