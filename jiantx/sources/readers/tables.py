"""Readers of text, JSON and tables: path -> rows."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jiantx.sources.base import DataError, Row
from jiantx.sources.readers.encodings import decoded_lines, is_utf8, not_utf8

csv.field_size_limit(1 << 24)  # characters of a cell; csv's own 131,072 are less than a book


def text_lines(path: Path, encoding: str = "utf-8") -> Iterator[str]:
    """The lines of a text file, without their ends and without a byte order mark.

    Args:
        path: The file.
        encoding: Its encoding, by Python's name of it.

    Raises:
        DataError: Bytes are not text in the encoding; names line and byte.
    """
    if not is_utf8(encoding):
        yield from decoded_lines(path, encoding)
        return
    with open(path, "rb") as file:
        offset = 0
        for line_number, line in enumerate(file, 1):
            codec = "utf-8-sig" if line_number == 1 else "utf-8"
            try:
                yield line.decode(codec).rstrip("\r\n")
            except UnicodeDecodeError as error:
                tail = error.object[error.start :]  # without the mark, a line is shorter
                raise not_utf8(path, line_number, line, len(line) - len(tail), offset) from None
            offset += len(line)


def _parse_json(path: Path, text: str, line_number: int | None = None) -> Any:
    """Parse JSON; DataError names the file, and the line if there is one."""
    try:
        value = json.loads(text)
        # only an escape can write half of a surrogate pair, which no UTF-8 can hold
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        location = f"{path}, line {line_number}" if line_number else str(path)
        raise DataError(f"{location}: not JSON ({error}).") from None
    return value


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """Read a whole file.

    Args:
        path: The file.
        encoding: Its encoding.
    """
    return "\n".join(text_lines(path, encoding))


def read_json(path: Path, encoding: str = "utf-8") -> Any:
    """Read a whole file of JSON.

    Args:
        path: The file.
        encoding: Its encoding.
    """
    return _parse_json(path, read_text(path, encoding))


def read_lines(path: Path) -> Iterator[Row]:
    """Read a text file: one row `{"text": line}` for each line that is not blank."""
    return ({"text": line} for line in text_lines(path) if line.strip())


def read_jsonl(path: Path) -> Iterator[Row]:
    """Read one JSON object a line."""
    for line_number, line in enumerate(text_lines(path), 1):
        if not line.strip():
            continue
        row = _parse_json(path, line, line_number)
        if not isinstance(row, dict):
            raise DataError(
                f"{path}, line {line_number}: expected a JSON object, found {type(row).__name__}."
            )
        yield row


def read_csv(path: Path) -> Iterator[Row]:
    """Read comma-separated values with a header.

    Fields in quotes may hold commas, line ends and doubled quotes.
    """
    return _read_table(path, ",")


def read_tsv(path: Path) -> Iterator[Row]:
    """Read tab-separated values with a header, as GLUE, PAWS-X and XNLI write them.

    A quotation mark is a letter like others. What is missing at the end of a line is None.
    """
    return _read_table(path, "\t", quoting=csv.QUOTE_NONE)


def read_xtreme_tsv(path: Path) -> Iterator[Row]:
    """Read XTREME's pairs: rows `{"sentence1", "sentence2", "label"}`.

    The file has no header, and is quoted as a CSV writer does.
    """
    return _read_table(path, "\t", ("sentence1", "sentence2", "label"))


def read_senteval(path: Path) -> Iterator[Row]:
    """Read SentEval's probing files: rows `{"split", "label", "text"}`.

    A line is `split<TAB>label<TAB>…<TAB>sentence`; fields between label and sentence are skipped.
    """
    for line_number, line in enumerate(text_lines(path), 1):
        fields = line.split("\t")
        if len(fields) < 3:
            raise DataError(
                f"{path}, line {line_number}: found {len(fields)} fields, expected a split, a "
                "label and a sentence, separated by tabs."
            )
        yield {"split": fields[0], "label": fields[1], "text": fields[-1]}


def read_dnc_folds(path: Path) -> Iterator[Row]:
    """Read a file `…_data.json` of DNC's function words: its rows and columns `fold1` to `fold10`.

    A fold's column says whether the row is "train", "dev" or "test" in it. Folds are in the file
    `…_metadata.json` of the same folder; the data's own `split` is "dev" throughout.
    """
    metadata_path = path.with_name(path.name.replace("_data.json", "_metadata.json"))
    if not metadata_path.is_file():
        raise DataError(f"{metadata_path} is missing: it has the folds of {path}.")
    rows = read_json(path)
    metadata = read_json(metadata_path)
    try:
        folds = {row["pair-id"]: row["misc"] for row in metadata}
        for row in rows:
            yield {**row, **folds[row["pair-id"]]}
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path}: expected a list of rows with `pair-id`, and {metadata_path.name} with "
            f"`pair-id` and `misc` for each of them ({error!r})."
        ) from None


def _read_table(
    path: Path, delimiter: str, columns: Sequence[str] = (), **dialect: Any
) -> Iterator[Row]:
    """Rows of a table; its first line names the columns unless `columns` does."""
    for _, row in numbered_records(text_lines(path), path, delimiter, columns, **dialect):
        yield row


def numbered_records(
    lines: Iterable[str], path: Path, delimiter: str, columns: Sequence[str] = (), **dialect: Any
) -> Iterator[tuple[int, Row]]:
    """The rows of a table, each with the number of its first line.

    Args:
        lines: The lines of the file, without their ends.
        path: The file, for messages.
        delimiter: What separates cells.
        columns: The columns, where the file has no header.
        **dialect: Further arguments of `csv.reader`.

    Raises:
        DataError: The header or a row is bad; names the line.
    """
    table = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, strict=True, **dialect)
    first_line = 1
    try:
        columns = columns or next(table, [])
        if not columns:
            raise DataError(
                f"{path}, line 1: expected a header of different names, found an empty file."
            )
        if len(set(columns)) < len(columns):
            raise DataError(
                f"{path}, line 1: expected a header of different names, found {list(columns)}. If "
                'the file has no header, name its columns: jx.Csv(…, columns=("text", "label")).'
            )
        if any("\0" in column for column in columns):
            raise DataError(
                f"{path}, line 1: the header holds NUL characters, as UTF-16 read as another "
                "encoding does. Give encoding='utf-16', or a file of text."
            )
        first_line = table.line_num + 1
        for fields in table:
            if len(fields) > len(columns):
                raise DataError(
                    f"{path}, line {first_line}: found {len(fields)} fields, "
                    f"expected {len(columns)}: {', '.join(columns)}."
                )
            if fields:
                yield first_line, dict(itertools.zip_longest(columns, fields))
            first_line = table.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}, line {table.line_num}: {error}.{_quoting_hint(str(error), first_line)}"
        ) from None


def _quoting_hint(problem: str, first_line: int) -> str:
    """What to do about an error of the `csv` module."""
    if "unexpected end" in problem or "field limit" in problem:
        return (
            f" The row that begins in line {first_line} opens a quotation mark and never closes "
            "it. Close it, or give quote=None if quotation marks are ordinary characters."
        )
    if "expected after" in problem:
        return ' Inside a quoted cell, write a quotation mark twice ("").'
    return ""
