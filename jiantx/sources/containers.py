"""Rows from where people have them: lists, streams, generators, frames, tables, dataclasses."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jiantx.sources.base import DataError, Row
from jiantx.sources.class_labels import iter_rows
from jiantx.sources.storing import arrow_errors, as_columns, in_memory

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

_EXPECTED = 'expected a dictionary of columns, such as {"text": …, "label": …}'


class ReadOnce:
    """Rows that can be iterated only once, or slowly: they are read at first use, and kept.

    Args:
        rows: A generator, or a stream of `datasets`.
    """

    def __init__(self, rows: Iterable[Any]) -> None:
        self.features = getattr(rows, "features", None)
        self._rows = rows
        self._dataset: datasets.Dataset | None = None

    def dataset(self) -> datasets.Dataset:
        """All rows."""
        if self._dataset is None:
            self._dataset = _from_iterable(self._rows, self.features)
        return self._dataset

    def __reduce__(self) -> Any:
        return as_dataset, (self.dataset(),)


def as_dataset(rows: Any) -> datasets.Dataset:
    """Rows in memory as a `datasets.Dataset`.

    Args:
        rows: A `datasets.Dataset`, with a transform or without; a list, a generator or a stream of
            dictionaries, dataclasses or named tuples; a frame of pandas or polars; a table of
            pyarrow.

    Raises:
        DataError: What is given are no rows; names the row.
    """
    import datasets

    if isinstance(rows, ReadOnce):
        return rows.dataset()
    if isinstance(rows, datasets.Dataset):
        if rows.format["type"] == "custom":  # a transform makes its rows when they are read
            return _from_iterable(rows, rows.features)
        return rows.with_format(None)
    if hasattr(rows, "__arrow_c_stream__"):
        return _from_arrow(rows)
    return _from_iterable(rows, None)


def iter_items(rows: Any) -> Iterator[Any]:
    """Iterate over rows without storing those of Python: items as they are, or a table's rows.

    Args:
        rows: What `as_dataset` takes.

    Raises:
        DataError: It is one row, or nothing with rows.
    """
    import datasets

    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        raise DataError(f"The rows are {rows!r}; expected a list of rows.")
    if len(getattr(rows, "shape", (0, 0))) == 1 and hasattr(rows, "to_list"):
        return iter(rows.to_list())  # one column of a frame
    if isinstance(rows, datasets.Dataset) or hasattr(rows, "__arrow_c_stream__"):
        return iter_rows(as_dataset(rows))
    if getattr(rows, "features", None):  # a stream that may have classes
        return iter_rows(ReadOnce(rows).dataset())
    return iter(rows)


def as_row(row: Any, index: int) -> Row:
    """A row as a dictionary.

    Args:
        row: A mapping, a dataclass or a named tuple.
        index: Its number, for the error.

    Raises:
        DataError: It is something else.
    """
    if isinstance(row, dict):
        return row
    if isinstance(row, Mapping):
        return dict(row)
    if dataclasses.is_dataclass(row) and not isinstance(row, type):
        return dataclasses.asdict(row)
    if hasattr(row, "_asdict"):
        return dict(row._asdict())
    raise DataError(f"Row {index} is {row!r}; {_EXPECTED}.")


def _from_iterable(rows: Any, features: datasets.Features | None) -> datasets.Dataset:
    """Rows of Python as a dataset; columns that `features` know as classes stay classes."""
    import datasets

    if isinstance(rows, str | bytes) or not isinstance(rows, Iterable):
        raise DataError(f"The rows are {rows!r}; expected a list of dictionaries.")
    with arrow_errors("The rows"):
        columns = as_columns([as_row(row, index) for index, row in enumerate(rows)])
        dataset = datasets.Dataset.from_dict(columns)
    typed_features = dataset.features
    for column, feature in (features or {}).items():
        is_class = isinstance(_inner(feature), datasets.ClassLabel)
        if is_class and _inner(typed_features.get(column)) == datasets.Value("int64"):
            typed_features[column] = feature
    return in_memory(dataset.data.table.replace_schema_metadata(None), typed_features)


def _inner(feature: Any) -> Any:
    """The feature of a list's items, or of a value."""
    return getattr(feature, "feature", feature)


def _from_arrow(frame: Any) -> datasets.Dataset:
    """A frame of pandas or polars, or a table of pyarrow."""
    import pyarrow as pa

    try:
        table = pa.table(frame)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(
            f"The rows are a {type(frame).__name__}, which is no table ({error}). Give a frame, a "
            "table or a list of dictionaries."
        ) from None
    fields = []
    for field in table.schema:
        if not field.name.startswith("__index_level_"):  # of pandas
            fields.append(pa.field(field.name, _plain_type(field.type)))
    schema = pa.schema(fields)
    table = table.select(schema.names)
    try:
        return in_memory(table.cast(schema))
    except pa.ArrowInvalid:  # a column of more than 2 GB
        return in_memory(table)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """Categories become their values; large texts, views and lists what other sources have."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_string_view(kind) or pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_plain_type(kind.value_type))
    return pa.binary() if pa.types.is_binary_view(kind) else kind
