"""Tables whose delimiter, encoding and header a user may leave out or name."""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jiantx.sources.base import DataError, Row
from jiantx.sources.readers.tables import numbered_records, text_lines

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_SAMPLE_ROWS = 200  # that decide about the delimiter and the header
_LONG_NAME = 80  # characters; the name of a column is shorter


def read_delimited(
    path: Path,
    *,
    delimiter: str | None = None,
    encoding: str = "utf-8",
    quote: str | None = '"',
    columns: Sequence[str] = (),
    header: bool | None = None,
) -> Iterator[tuple[int, Row]]:
    """Read a table.

    Args:
        path: The file.
        delimiter: What separates cells; None: the one that fits the file.
        encoding: The file's encoding.
        quote: The quotation mark of cells with delimiters or line ends; None: no quoting.
        columns: The columns, where the file has no header, or in place of its header.
        header: True: the first line is a header, which is not checked; `columns` replace it.

    Yields:
        The number of a row's first line, and the row. All values are text.

    Raises:
        DataError: The delimiter cannot be told, the header seems to be missing, or a row is bad.
    """
    if delimiter is None:
        delimiter = find_delimiter(path, encoding, quote)
    lines = text_lines(path, encoding)
    records = numbered_records(lines, path, delimiter, columns, **_dialect(quote))
    if columns and header:
        next(records, None)
    elif columns:
        records = _without_repeated_header(records, columns, path)
    elif header is None:
        sample = list(itertools.islice(records, _SAMPLE_ROWS))
        _check_header([row for _, row in sample], path, delimiter)
        records = itertools.chain(sample, records)
    yield from records


def check_header(source: str, columns: Sequence[str], header: bool | None) -> None:
    """ValueError for a table that has neither a header nor columns.

    Args:
        source: The source, for the message.
        columns: The columns that the user names.
        header: As in `read_delimited`.
    """
    if header is False and not columns:
        raise ValueError(
            f"{source}: header=False says that the file has no header. Name its columns: "
            'columns=("text", "label").'
        )


def find_delimiter(path: Path, encoding: str, quote: str | None) -> str:
    """The delimiter of a table.

    It splits the first line into at least two cells, and each of the first 200 rows into as many.
    Where no delimiter splits the first line, the table has one column.

    Args:
        path: The file.
        encoding: Its encoding.
        quote: The quotation mark; None: no quoting.

    Raises:
        DataError: Several fit, or none does.
    """
    widths_of = {}
    for delimiter in DELIMITERS:
        widths = _widths(path, encoding, delimiter, quote)
        if widths and widths[0] > 1:
            widths_of[delimiter] = widths
    if not widths_of:
        return ","
    fitting = [name for name, widths in widths_of.items() if len(set(widths)) == 1]
    candidates = fitting or list(widths_of)
    if len(candidates) == 1:
        return candidates[0]
    readings = []
    for delimiter in candidates:
        counts = Counter(widths_of[delimiter]).most_common(3)
        columns = ", ".join(f"{width} ({count} rows)" for width, count in counts)
        readings.append(f"{DELIMITERS[delimiter]} {delimiter!r}: {columns}")
    raise DataError(
        f"{path}: several delimiters may be meant. Columns with each: {'; '.join(readings)}. Name "
        f"the right one: delimiter={candidates[0]!r}."
    )


def _widths(path: Path, encoding: str, delimiter: str, quote: str | None) -> list[int]:
    """The numbers of cells of the first rows; up to a row that is no table's."""
    lines = (f"{line}\n" for line in text_lines(path, encoding))
    table = csv.reader(lines, delimiter=delimiter, strict=True, **_dialect(quote))
    widths = []
    try:
        for fields in itertools.islice(filter(None, table), _SAMPLE_ROWS):
            widths.append(len(fields))
    except csv.Error:  # with this delimiter, a quotation mark stands where none may
        widths.append(0)
    return widths


def _dialect(quote: str | None) -> dict[str, Any]:
    return {"quoting": csv.QUOTE_NONE} if quote is None else {"quotechar": quote}


def _without_repeated_header(
    records: Iterator[tuple[int, Row]], columns: Sequence[str], path: Path
) -> Iterator[tuple[int, Row]]:
    for line_number, row in records:
        if line_number == 1 and list(row.values()) == list(columns):
            raise DataError(
                f"{path}, line 1: the file has a header, {list(columns)}. Leave `columns` out."
            )
        yield line_number, row


def _check_header(rows: Sequence[Row], path: Path, delimiter: str) -> None:
    """Raise DataError if a header looks like a row: a name is a value of its column, or no name."""
    names = list(rows[0]) if rows else []
    for name in names:
        is_value = len(rows) > 1 and any(row[name] == name for row in rows)
        problem = ""
        if is_value and name:
            problem = f"{name!r} is also a value of its column"
        elif _is_number(name):
            problem = f"{name!r} is a number"
        elif len(name) > _LONG_NAME:
            problem = f"{name[:_LONG_NAME]!r}… is long for a name"
        if problem:
            examples = ", ".join(repr(f"column{index}") for index in range(1, len(names) + 1))
            raise DataError(
                f"{path}, line 1 (cells between {DELIMITERS.get(delimiter, delimiter)}s): the "
                f"first line seems to be a row and no header: {problem}. Name the columns: "
                f"columns=({examples}). If it is a header, give header=True."
            )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.lower() not in ("nan", "inf", "infinity")
