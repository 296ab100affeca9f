"""Rows of `datasets`: iterating, class numbers -> names, storing as Arrow."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jiantx.sources.base import DataError, Row

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa


@contextmanager
def arrow_errors(description: str) -> Iterator[None]:
    """Turn Arrow's errors into DataError.

    Arrow refuses several types in a column, numbers over 64 bits, and half of a surrogate pair.

    Args:
        description: What is being stored, as the subject of a sentence: "The rows of mood.csv".
    """
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OverflowError, UnicodeError, RecursionError) as error:
        raise DataError(
            f"{description} have a column of several types, or of what no column can hold: {error}."
        ) from None


def as_columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Turn rows into columns, with None where a row lacks one.

    `datasets.Dataset.from_list` takes the first row's columns for all.
    """
    names = dict.fromkeys(itertools.chain.from_iterable(rows))
    return {name: [row.get(name) for row in rows] for name in names}


def in_memory(table: pa.Table) -> datasets.Dataset:
    """Wrap a table as a `datasets.Dataset`.

    The fingerprint is random: to compute one, `datasets` would pickle and hash the whole table.
    """
    import datasets

    memory_table = datasets.table.InMemoryTable(table)
    return datasets.Dataset(memory_table, fingerprint=secrets.token_hex(8))


def iter_rows(rows: datasets.Dataset) -> Iterator[Row]:
    """Iterate over rows, which are read a thousand at a time."""
    for columns in rows.iter(1000):
        for values in zip(*columns.values()):
            yield dict(zip(columns, values))


def class_names(rows: datasets.Dataset, column: str) -> list[str] | None:
    """The class names of a column.

    Args:
        rows: Any dataset.
        column: Its name. The column may also hold lists of classes.

    Returns:
        The names in their order, or None if the column is no `ClassLabel`.
    """
    import datasets

    feature = rows.features.get(column)
    inner_feature = getattr(feature, "feature", feature)
    return list(inner_feature.names) if isinstance(inner_feature, datasets.ClassLabel) else None


def decode_class_labels(rows: datasets.Dataset) -> datasets.Dataset:
    """Replace class numbers by their names, so that their order never matters.

    -1 (no label) becomes None.
    """
    names_of = {column: class_names(rows, column) for column in rows.column_names}
    names_of = {column: names for column, names in names_of.items() if names is not None}
    if not names_of:
        return rows
    # `rows.select` leaves the table whole, and keeps indices into it
    is_selection = rows._indices is not None
    table = rows.with_format("arrow")[:] if is_selection else rows.data.table
    for column, names in names_of.items():
        decoded = _decode(table[column], names or [])
        table = table.set_column(table.column_names.index(column), column, decoded)
    return in_memory(table.replace_schema_metadata(None))


def _decode(column: pa.ChunkedArray, names: Sequence[str]) -> pa.ChunkedArray:
    """Class numbers -> names, inside lists too."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def decode(array: pa.Array) -> pa.Array:
        if pa.types.is_list(array.type):
            values = decode(array.flatten())
            lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
            offsets = pa.array([0, *lengths.cumsum().tolist()], pa.int32())
            is_null = array.is_null() if array.null_count else None
            return pa.ListArray.from_arrays(offsets, values, mask=is_null)
        return pa.array(names).take(pc.if_else(pc.less(array, 0), None, array))

    type_if_empty = None if column.num_chunks else pa.string()
    return pa.chunked_array([decode(chunk) for chunk in column.chunks], type=type_if_empty)
