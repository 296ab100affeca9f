"""The texts of a task's inputs as Arrow columns: their keys, lengths and gaps. No row by row."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jiantx.columns import Column, column_value
from jiantx.sources import DataError, MissingColumn, decode_class_labels, iter_rows

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

    from jiantx.task import Task

_NO_INPUTS = ("group", "named_groups", "scored_texts")
TextLengths = Callable[[Any], np.ndarray]  # texts of Arrow -> (texts,) lengths


def input_columns(task: Task) -> dict[str, Column]:
    """The columns that a task reads its inputs from: all of its columns but the gold.

    Args:
        task: A task of any type.

    Returns:
        Field of the task -> column.
    """
    columns = {}
    left_out = (task.gold, *_NO_INPUTS, *task.unread_fields)
    for field in dataclasses.fields(task):
        is_column = "Column" in str(field.type)
        value = getattr(task, field.name)
        if is_column and value is not None and field.name not in left_out:
            columns[field.name] = value
    return columns


def column_array(rows: datasets.Dataset, column: Column) -> pa.ChunkedArray:
    """A column, or what a column function returns, as Arrow.

    Args:
        rows: Rows as stored.
        column: A name, or a function of the row.

    Raises:
        MissingColumn: There is no such column.
        DataError: The function fails.
    """
    import pyarrow as pa

    if callable(column):
        values = []
        for index, row in enumerate(iter_rows(rows)):
            try:
                values.append(column_value(row, column))
            except DataError as error:
                raise DataError(f"row {index}: {error}") from error.__cause__
        try:
            return pa.chunked_array([pa.array(values)])
        except (pa.ArrowException, OverflowError):  # several types
            return pa.chunked_array([pa.array([json.dumps(v, default=str) for v in values])])
    if column not in rows.column_names:
        raise MissingColumn(column, rows.column_names)
    selected = decode_class_labels(rows.select_columns([column]))
    stored = selected.data.table[column]
    if selected._indices is not None:  # `datasets` would gather the rows one by one
        stored = stored.take(selected._indices.table.column(0))
    return _compact(stored)


def _compact(array: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same values in few chunks: chosen rows come in one each, which every kernel repeats."""
    import pyarrow as pa

    combined = array.combine_chunks()
    return combined if isinstance(combined, pa.ChunkedArray) else pa.chunked_array([combined])


def is_text(array: pa.ChunkedArray) -> bool:
    """Whether a column holds texts or lists of texts."""
    return is_text_type(array.type.value_type if _is_list(array.type) else array.type)


def is_text_type(kind: pa.DataType) -> bool:
    """Whether the values of a type are texts."""
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    types = pa.types
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def row_keys(arrays: Sequence[pa.ChunkedArray], row_count: int) -> pa.ChunkedArray:
    """A text for each row, equal where all inputs are.

    Args:
        arrays: The input columns. Without any, as of a task type that declares none, all rows
            differ.
        row_count: Rows.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not arrays:
        return pa.chunked_array([pa.array(map(str, range(row_count)), pa.large_string())])
    texts = []
    for array in arrays:
        is_plain = is_text_type(array.type)
        if not is_plain:
            array = pa.chunked_array([pa.array([json.dumps(v) for v in array.to_pylist()])])
        texts.append(pc.fill_null(array.cast(pa.large_string()), "\0"))
    if len(texts) == 1:
        return texts[0]
    separator = pa.scalar("\x1f", pa.large_string())
    return pc.binary_join_element_wise(*texts, separator)


def word_counts(texts: Any) -> np.ndarray:
    """The number of words of each text, separated by blanks."""
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(pc.fill_null(texts, ""))
    counts = _as_numbers(pc.list_value_length(pc.utf8_split_whitespace(trimmed)))
    return counts - (_as_numbers(pc.utf8_length(trimmed)) == 0)  # a blank text has one empty word


def character_counts(texts: Any) -> np.ndarray:
    """The number of characters of each text."""
    import pyarrow.compute as pc

    return _as_numbers(pc.utf8_length(texts))


def _as_numbers(array: Any) -> np.ndarray:
    import pyarrow.compute as pc

    return np.asarray(pc.fill_null(array, 0).to_numpy(), dtype=np.int64)


def text_lengths(array: pa.ChunkedArray, measure: TextLengths) -> np.ndarray:
    """(rows,) the length of each text, or of each list of texts together.

    Args:
        array: Texts or lists of texts.
        measure: Measures texts.
    """
    if not _is_list(array.type):
        return measure(array)
    per_item = measure(_items(array))
    totals = np.concatenate([[0], np.cumsum(per_item)])
    ends = np.cumsum(list_lengths(array))
    return totals[ends] - totals[np.concatenate([[0], ends[:-1]])] if len(ends) else ends


def _items(array: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return pc.list_flatten(array)


def list_lengths(array: pa.ChunkedArray) -> np.ndarray:
    """(rows,) the number of items; 0 for no list."""
    import pyarrow.compute as pc

    return _as_numbers(pc.list_value_length(array))


def blank_rows(array: pa.ChunkedArray) -> np.ndarray:
    """(rows,) whether a text is missing or blank, or a list is missing or empty."""
    import pyarrow.compute as pc

    if _is_list(array.type):
        return list_lengths(array) == 0
    trimmed = pc.utf8_trim_whitespace(pc.fill_null(array, ""))
    return np.asarray(pc.equal(trimmed, "").to_numpy(zero_copy_only=False), dtype=bool)


def gold_values(array: pa.ChunkedArray) -> tuple[dict[str, int], int, int]:
    """Count the labels of a column of labels or of lists of labels.

    Args:
        array: The gold.

    Returns:
        Label -> how often it occurs; the labels in all (rows, or words); rows without gold.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    unlabelled = missing_gold(array)
    items = _items(array) if _is_list(array.type) else array
    if pa.types.is_struct(items.type):
        return {}, 0, int(unlabelled.sum())
    counts: dict[str, int] = {}
    for entry in pc.value_counts(items).to_pylist():
        label = "" if entry["values"] in (None, -1) else str(entry["values"])
        if label.strip():
            counts[label] = counts.get(label, 0) + entry["counts"]
    total = sum(counts.values()) if _is_list(array.type) else len(array) - int(unlabelled.sum())
    return counts, total, int(unlabelled.sum())


def missing_gold(
    array: pa.ChunkedArray, *, may_be_empty: bool = False, may_be_minus_one: bool = False
) -> np.ndarray:
    """(rows,) whether a row has no gold: None, a blank text, -1, or an empty list of answers.

    Args:
        array: The gold.
        may_be_empty: An empty list of answers is gold: the question has no answer.
        may_be_minus_one: -1 is gold: the number itself.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = pc.is_null(array)
    is_answers = pa.types.is_struct(array.type) and array.type.get_field_index("text") >= 0
    if is_answers and not may_be_empty:
        return list_lengths(pc.struct_field(array, "text")) == 0
    if is_text_type(array.type):
        trimmed = pc.utf8_trim_whitespace(pc.fill_null(array, ""))
        missing = pc.or_(missing, pc.equal(trimmed, ""))
    elif pa.types.is_integer(array.type) and not may_be_minus_one:
        missing = pc.or_(missing, pc.equal(pc.fill_null(array, -1), -1))
    return np.asarray(missing.to_numpy(zero_copy_only=False), dtype=bool)
