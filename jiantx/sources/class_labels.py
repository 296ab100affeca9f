"""Rows of `datasets`: iterating, class numbers -> names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from jiantx.sources.base import Row
from jiantx.sources.function_rows import ClassName, Undecoded, class_values
from jiantx.sources.storing import as_held, in_memory

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa


def iter_rows(rows: datasets.Dataset) -> Iterator[Row]:
    """Iterate over rows as column functions see them; they are read a thousand at a time.

    Classes are names, dictionaries have the keys that they had before Arrow stored them, and images
    and sounds are decoded when they are asked for.
    """
    rows = decode_class_labels(rows)
    media = [column for column, feature in rows.features.items() if _is_media(feature)]
    values_of = {column: class_values(names) for column, names in _decoded_names(rows).items()}
    for index, stored_row in enumerate(_stored_rows(rows, media)):
        row = as_held(stored_row)
        for column in values_of.keys() & row.keys():
            row[column] = _as_classes(row[column], values_of[column])
        for column in media:
            row[column] = Undecoded(partial(_decoded, rows, column, index))
        yield row


def _stored_rows(rows: datasets.Dataset, left_out: Sequence[str]) -> Iterator[Row]:
    """Rows without some of their columns."""
    if len(left_out) == len(rows.column_names):  # `datasets` forgets how many rows there are
        yield from ({} for _ in range(len(rows)))
        return
    for columns in (rows.remove_columns(left_out) if left_out else rows).iter(1000):
        for values in zip(*columns.values()):
            yield dict(zip(columns, values))


def _is_media(feature: Any) -> bool:
    """Whether values are files that a library opens: images, sounds, videos."""
    from datasets.features.features import require_decoding

    inner_feature = getattr(feature, "feature", feature)
    return require_decoding(feature) and type(inner_feature).__name__ != "Json"


def _decoded(rows: datasets.Dataset, column: str, index: int) -> Any:
    return rows.select_columns([column])[index][column]


def _as_classes(value: Any, values: Mapping[str, ClassName]) -> Any:
    """A name, or a list of names, as functions see it."""
    if isinstance(value, list):
        return [_as_classes(item, values) for item in value]
    return None if value is None else values.get(value, value)


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

    -1 (no label) becomes None. The columns' Arrow fields keep the names.
    """
    import datasets
    import pyarrow as pa

    names_of = {}
    for column in rows.column_names:
        names = class_names(rows, column)
        if names is not None:
            names_of[column] = names
    if not names_of:
        return rows
    # `rows.select` leaves the table whole, and keeps indices into it
    is_selection = rows._indices is not None
    table = rows.with_format("arrow")[:] if is_selection else rows.data.table
    for column, names in names_of.items():
        decoded = _decode(table[column], names)
        field = pa.field(column, decoded.type, metadata={_NAMES: json.dumps(names)})
        table = table.set_column(table.column_names.index(column), field, decoded)
    table = table.replace_schema_metadata(None)
    features = datasets.Features.from_arrow_schema(table.schema)
    for column in set(rows.column_names) - names_of.keys():
        features[column] = rows.features[column]
    return in_memory(table, features)


_NAMES = b"jiantx class names"  # in the metadata of a decoded column


def _decoded_names(rows: datasets.Dataset) -> dict[str, tuple[str, ...]]:
    """The columns whose class numbers were replaced -> the names of all their classes."""
    names_of = {}
    for field in rows.data.table.schema:
        if _NAMES in (field.metadata or {}) and field.name in rows.column_names:
            names_of[field.name] = tuple(json.loads(field.metadata[_NAMES]))
    return names_of


def _decode(column: pa.ChunkedArray, names: Sequence[str]) -> pa.ChunkedArray:
    """Class numbers -> names, inside lists too."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def decode(array: pa.Array) -> pa.Array:
        if pa.types.is_large_list(array.type) or pa.types.is_fixed_size_list(array.type):
            array = array.cast(pa.list_(array.type.value_type))
        if pa.types.is_list(array.type):
            values = decode(array.flatten())
            lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
            offsets = pa.array([0, *lengths.cumsum().tolist()], pa.int32())
            is_null = array.is_null() if array.null_count else None
            return pa.ListArray.from_arrays(offsets, values, mask=is_null)
        return pa.array(names).take(pc.if_else(pc.less(array, 0), None, array))

    type_if_empty = None if column.num_chunks else pa.string()
    return pa.chunked_array([decode(chunk) for chunk in column.chunks], type=type_if_empty)
