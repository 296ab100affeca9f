"""Rows as Arrow stores them, and what a row holds that Arrow would change.

A column of Arrow has one type: dictionaries in it get each other's keys, in one order, and a row
that lacks a column gets None. What such rows hold is kept as JSON in one more column, `HELD`.
"""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jiantx.sources.base import DataError, Row

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

HELD = "__held__"  # the column of what Arrow would change
_STORED = "__stored__"  # stands in it for what only Arrow can store
_CHUNK = 10_000  # rows that become Arrow together


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
    except UnicodeError as error:
        raise DataError(
            f"{description} hold text that is not valid Unicode, such as half of a surrogate pair: "
            f"{error}."
        ) from None
    except (pa.ArrowException, OverflowError, RecursionError) as error:
        raise DataError(
            f"{description} have a column of several types, or values that Arrow cannot store: "
            f"{error}. Give all values of a column one type."
        ) from None


def in_memory(table: pa.Table, features: datasets.Features | None = None) -> datasets.Dataset:
    """Wrap a table as a `datasets.Dataset`.

    The fingerprint is random: to compute one, `datasets` would pickle and hash the whole table.

    Args:
        table: The table.
        features: Its columns' features; those of Arrow's types if None.
    """
    import datasets

    info = None if features is None else datasets.DatasetInfo(features=features)
    memory_table = datasets.table.InMemoryTable(table)
    return datasets.Dataset(memory_table, info=info, fingerprint=secrets.token_hex(8))


def as_columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Turn rows into columns, with None where a row lacks one, and with `HELD` if it is needed.

    `datasets.Dataset.from_list` takes the first row's columns for all.
    """
    keys_at: _KeysAt = {}
    for row in rows:
        _note_keys(row, (), keys_at)
    names = dict.fromkeys(itertools.chain.from_iterable(keys_at.get((), ())))
    columns = {name: [row.get(name) for row in rows] for name in names}
    if _arrow_changes(keys_at):
        columns[HELD] = _held_texts(rows, tuple(names), keys_at)
    return columns


def as_table(read: Callable[[], Iterable[Row]]) -> pa.Table:
    """Turn rows into a table, some thousands at a time; with `HELD` if it is needed.

    Args:
        read: Reads the rows. It is called again where Arrow would change what they hold.
    """
    import pyarrow as pa

    keys_at: _KeysAt = {}
    tables = []
    rows = iter(read())
    while chunk := list(itertools.islice(rows, _CHUNK)):
        for row in chunk:
            _note_keys(row, (), keys_at)
        names = dict.fromkeys(itertools.chain.from_iterable(chunk))
        tables.append(pa.table({name: [row.get(name) for row in chunk] for name in names}))
    table = pa.concat_tables(tables or [pa.table({})], promote_options="permissive")
    if _arrow_changes(keys_at):
        texts = _held_texts(read(), tuple(table.column_names), keys_at)
        table = table.append_column(HELD, pa.array(texts, pa.string()))
    return table


# A path in rows, such as ("options",) -> the keys of the dictionaries there. Rows are at ().
_KeysAt = dict[tuple[Any, ...], dict[tuple[Any, ...], None]]


def _note_keys(value: Any, path: tuple[Any, ...], keys_at: _KeysAt) -> None:
    """Add the keys of a value's dictionaries."""
    if isinstance(value, dict):
        keys_at.setdefault(path, {})[tuple(value)] = None
        for key, item in value.items():
            if isinstance(item, dict | list | tuple):
                _note_keys(item, (*path, key), keys_at)
    elif any(issubclass(kind, dict | list | tuple) for kind in set(map(type, value))):
        for item in value:
            if isinstance(item, dict | list | tuple):
                _note_keys(item, (*path, None), keys_at)


def _arrow_changes(keys_at: _KeysAt) -> bool:
    """Whether dictionaries in one place differ in their keys, or in the keys' order."""
    return any(len(keys) > 1 for keys in keys_at.values())


def _held_texts(rows: Iterable[Row], names: tuple[str, ...], keys_at: _KeysAt) -> list[str | None]:
    """What `HELD` holds: a row's columns and its dictionaries; None where Arrow changes neither."""
    changed = dict.fromkeys(path[0] for path, keys in keys_at.items() if path and len(keys) > 1)
    texts: list[str | None] = []
    for row in rows:
        values = {name: row[name] for name in changed if name in row}
        if not values and tuple(row) == names:
            texts.append(None)
            continue
        absent = [name for name in names if name not in row]
        content = {"columns": list(row), "absent": absent, "values": values}
        texts.append(json.dumps(content, default=_as_json))
    return texts


def _as_json(value: Any) -> Any:
    """What JSON does not know: numbers and arrays of numpy; of others, that Arrow stores them."""
    return value.tolist() if hasattr(value, "tolist") else {_STORED: True}


def _with_stored(held: Any, stored: Any) -> Any:
    """What was held, with what only Arrow stores: dates, bytes."""
    if isinstance(held, list):
        return [_with_stored(*pair) for pair in zip(held, stored, strict=True)]
    if not isinstance(held, dict):
        return held
    if _STORED in held:
        return stored
    return {key: _with_stored(value, stored[key]) for key, value in held.items()}


def as_held(row: Row) -> Row:
    """A row of a table with `HELD`, as it was before it was stored."""
    text = row.pop(HELD, None)
    if text is None:
        return row
    content = json.loads(text)
    if _STORED in text:
        values = content["values"].items()
        content["values"] = {name: _with_stored(value, row[name]) for name, value in values}
    names = dict.fromkeys((*content["columns"], *row))
    return {
        name: content["values"].get(name, row[name])
        for name in names
        if name in row and name not in content["absent"]
    }


def with_held(rows: datasets.Dataset, dictionaries: Sequence[str] = ()) -> datasets.Dataset:
    """Rows with the column `HELD`, before they are joined with others.

    Args:
        rows: Rows of one source.
        dictionaries: The columns whose dictionaries have other keys in other sources.
    """
    import datasets

    if HELD not in rows.column_names:
        feature = datasets.Value("string")
        rows = rows.add_column(HELD, [None] * len(rows), feature=feature)
    if not dictionaries:
        return rows
    texts = []
    for row in rows.select_columns([*dictionaries, HELD]):
        content = {"columns": [], "absent": [], "values": {}} | json.loads(row.pop(HELD) or "{}")
        values = {name: value for name, value in row.items() if name not in content["absent"]}
        content["values"] = values | content["values"]
        texts.append(json.dumps(content, default=_as_json))
    remaining = rows.remove_columns(HELD)
    return remaining.add_column(HELD, texts, feature=datasets.Value("string"))
