"""Values of a row's columns, checked: any value, text, gold, labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jiantx.registry import near_names
from jiantx.sources import (
    DataError,
    MissingColumn,
    Row,
    Undecoded,
    call_on_row,
    function_name,
    plain,
)

Column = str | Callable[[Row], Any]


def row_id(row: Row, index: int, *, keep_blank: bool = False) -> str:
    """The id of a row.

    Args:
        row: A row as stored, or a raw one.
        index: Its number, which is the id of a row that has none, None or "".
        keep_blank: Take "" for an id.
    """
    id = row.get("id")
    is_missing = id is None or (id == "" and not keep_blank)
    return str(index if is_missing else id)


def column_value(row: Row, column: Column) -> Any:
    """A column of a row.

    Args:
        row: A row as stored.
        column: The column's name, or a function that computes its value from the row.

    Raises:
        MissingColumn: The row lacks the column, or one that the function reads.
        DataError: The function fails.
    """
    if callable(column):
        return call_on_row(column, row, role=function_name(column))
    if column not in row:
        raise MissingColumn(column, row)
    value = row[column]
    return value.decode() if isinstance(value, Undecoded) else plain(value)


def column_text(row: Row, column: Column, *, may_be_blank: bool = False) -> str:
    """A column that must be text and not blank.

    Args:
        row: A row as stored.
        column: The column's name, or a function of the row.
        may_be_blank: Take a text that is empty, or white space alone.

    Raises:
        DataError: The column is missing, no text, blank, or not valid Unicode.
    """
    text = column_value(row, column)
    name = column if isinstance(column, str) else getattr(column, "__name__", "a column function")
    if not isinstance(text, str):
        raise DataError(f"Column {name!r} holds {text!r}; expected text.")
    if not may_be_blank and not text.strip():
        raise DataError(
            f"Column {name!r} is an empty text. "
            "Drop such rows with the source's `where`, or fill them in."
        )
    return check_utf8(text)


def check_utf8(text: str) -> str:
    """A text that UTF-8 can hold, as tokenizers need it."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"The text {text!r} holds half of a surrogate pair, at {error.start}. Drop it."
            ) from None
    return text


def column_gold(row: Row, column: Column) -> Any:
    """The gold of a row.

    Args:
        row: A row as stored.
        column: The column's name, or a function of the row.

    Returns:
        The value, or None where the row lacks the column (raw input) or holds a placeholder.

    Raises:
        DataError: The function fails.
    """
    try:
        value = column_value(row, column)
    except MissingColumn:  # said in full by whoever needs gold
        return None
    is_blank = isinstance(value, str) and not value.strip()
    return None if value is None or is_blank or value == -1 else value


def check_label(value: Any, labels: Sequence[str]) -> str:
    """A gold label, checked by name.

    Args:
        value: What the row holds.
        labels: The task's labels.

    Raises:
        DataError: The value is no text, or none of the labels.
    """
    if isinstance(value, bool) or not isinstance(value, str):
        raise DataError(
            f"The label is {value!r}, and the data set does not say what it stands for. Labels are "
            "matched by name: give a `label` function of the row that returns one of "
            f"{list(labels)}. If the numbers are the names: label=lambda row: str(row[…])."
        )
    if value not in labels:
        raise DataError(
            f"Unknown label {value!r}. The task's labels are {list(labels)}."
            f"{near_names(value, labels)}"
        )
    return value
