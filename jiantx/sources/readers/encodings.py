"""Encodings of text files: decoding, and what to do about bytes that are no text."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from jiantx.sources.base import DataError

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SAMPLE = 60  # characters of a line that a message shows


def is_utf8(encoding: str) -> bool:
    """Whether an encoding is UTF-8, under any of its names.

    Raises:
        DataError: Python knows no such encoding.
    """
    try:
        return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii")
    except (LookupError, TypeError):
        raise DataError(
            f"There is no encoding {encoding!r}. Usual ones are 'utf-8', 'cp1252' (Windows, "
            "Western Europe), 'latin-1', 'cp1251' (Cyrillic), 'shift_jis' and 'utf-16'."
        ) from None


def decoded_lines(path: Path, encoding: str) -> Iterator[str]:
    """The lines of a file that is not UTF-8, without their ends.

    Args:
        path: The file.
        encoding: Its encoding.

    Raises:
        DataError: The bytes are not text in the encoding, or they are UTF-8 after all.
    """
    content = path.read_bytes()
    _refuse_utf8(path, content, encoding)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line_number = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line_number}, byte {error.start}: not {encoding} text "
            f"({error.reason}). Give the file's encoding, or convert the file to UTF-8."
        ) from None
    for line in text.removeprefix("\ufeff").removesuffix("\n").split("\n") if text else ():
        yield line.rstrip("\r")


def _refuse_utf8(path: Path, content: bytes, encoding: str) -> None:
    """Single-byte encodings read any bytes, so UTF-8 would become wrong letters."""
    if content.isascii() or content.startswith(_UTF16_MARKS):
        return
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return
    if "\0" in text:  # UTF-16 without a mark
        return
    line = next(line for line in text.splitlines() if not line.isascii())
    raise DataError(
        f"{path}: the file is UTF-8, not {encoding}: a line begins {line[:_SAMPLE]!r}. "
        "Leave `encoding` out."
    )


def not_utf8(path: Path, line_number: int, line: bytes, index: int, offset: int) -> DataError:
    """The error of bytes that are no UTF-8, with the encoding that they may have.

    Args:
        path: The file.
        line_number: The line, from 1.
        line: Its bytes.
        index: The first wrong byte in the line.
        offset: The bytes before the line.
    """
    if line_number == 1 and line.startswith(_UTF16_MARKS):
        return DataError(f"{path}: not UTF-8 text but UTF-16. Give encoding='utf-16'.")
    try:
        encoding = "cp1252"
        text = line.decode(encoding)
    except UnicodeDecodeError:
        encoding = "latin-1"  # has a letter for every byte
        text = line.decode(encoding)
    return DataError(
        f"{path}, line {line_number}: not UTF-8 text (byte {offset + index} of the file is "
        f"0x{line[index]:02x}). As {encoding}, the line begins {text.strip()[:_SAMPLE]!r}. If that "
        f"reads well, give encoding={encoding!r}; else try another, such as 'cp1251' or "
        "'shift_jis'. Or convert the file to UTF-8."
    )
