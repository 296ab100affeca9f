"""JSON lines, JSON lists and JSON objects with a list: rows, each with its number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jiantx.registry import near_names
from jiantx.sources.base import DataError, Row
from jiantx.sources.readers.tables import read_json, read_jsonl, text_lines


def read_objects(path: Path, *, field: str | None = None) -> Iterator[tuple[int, Row]]:
    """Read rows from JSON.

    Args:
        path: A file of JSON lines, of one list of objects, or of one object with such a list.
        field: The key of the list in the object; None: the file is no such object.

    Yields:
        The number of an object, from 1, and the object.

    Raises:
        DataError: The file is nothing of that.
    """
    if field is None and _has_lines(path):
        yield from enumerate(read_jsonl(path), 1)
        return
    content = read_json(path)
    if field is not None:
        content = _list_in(path, content, field)
    elif isinstance(content, dict):
        raise _needs_field(path, content)
    if not isinstance(content, list):
        raise DataError(
            f"{path}: expected a list of objects, found {type(content).__name__}. Json reads JSON "
            "lines, a list of objects, or with field= an object that holds such a list."
        )
    for number, row in enumerate(content, 1):
        if not isinstance(row, dict):
            raise DataError(f"{path}, object {number}: expected a JSON object, found {row!r:.60}.")
        yield number, row


def _has_lines(path: Path) -> bool:
    """Whether a file has one object a line; a single line may also be one object with a list."""
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return True
    filled = (line for line in text_lines(path) if line.strip())
    first = next(filled, "").strip()
    if not (first.startswith("{") and first.endswith("}")):
        return False
    if next(filled, None) is not None:
        return True
    row = next(read_jsonl(path))
    return not _fields_with_rows(row) and not _is_table_of_columns(row)


def _fields_with_rows(content: Mapping[str, Any]) -> list[str]:
    """The keys of lists of objects."""
    keys = []
    for key, value in content.items():
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            keys.append(key)
    return keys


def _is_table_of_columns(content: Mapping[str, Any]) -> bool:
    values = list(content.values())
    return len(values) > 1 and all(isinstance(value, list | dict) for value in values)


def _list_in(path: Path, content: Any, field: str) -> Any:
    if not isinstance(content, dict):
        raise DataError(
            f"{path}: field={field!r} is for a JSON object, found {type(content).__name__}. Leave "
            "it out."
        )
    if field not in content:
        raise DataError(
            f"{path}: the object has no field {field!r}.{near_names(field, content)} It has: "
            f"{', '.join(content)}."
        )
    return content[field]


def _needs_field(path: Path, content: Mapping[str, Any]) -> DataError:
    fields = _fields_with_rows(content)
    if fields:
        return DataError(
            f"{path}: found one JSON object, with lists of rows under {', '.join(fields)}. Say "
            f"which: field={fields[0]!r}."
        )
    keys = ", ".join(list(content)[:8])
    columns = ""
    if _is_table_of_columns(content):
        columns = (
            " If it holds a list for each column, as pandas' to_json writes, read it with pandas "
            "and give the frame: jx.Rows(pandas.read_json(…)). If it is one row, name the file "
            ".jsonl."
        )
    return DataError(
        f"{path}: found one JSON object with the keys {keys}; expected one object a line, a list "
        f"of objects, or an object with such a list and its field=.{columns}"
    )
