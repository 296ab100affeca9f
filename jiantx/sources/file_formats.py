"""A user's own files by format: tables, JSON, tagged words, questions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import final

from jiantx.sources.base import Row
from jiantx.sources.local_files import LocalFiles, NumberedReader
from jiantx.sources.readers.delimited import check_header, read_delimited
from jiantx.sources.readers.json_files import read_objects
from jiantx.sources.readers.qa import read_squad
from jiantx.sources.readers.tagging import numbered_sentences


@final
@dataclass(frozen=True, kw_only=True)
class Csv(LocalFiles):
    """A table whose first line names the columns. All values are text; an empty cell is "".

    See `LocalFiles` for splits and languages.

    Args:
        delimiter: The character between cells. If None, the comma, semicolon, tab or vertical bar,
            whichever fits; if several fit, an error asks for the right one.
        encoding: The file's encoding, such as "cp1252" for many Western files of Windows.
        quote: The quotation mark of cells that hold delimiters or line ends. None: quotation marks
            are ordinary characters.
        columns: The names of the columns, if the file has no header.
        header: True: the first line is the header, even if it looks like a row; `columns` replace
            its names. False: the file has no header, so `columns` are required. None: the first
            line is the header unless `columns` are given.

    >>> Csv("reviews.csv", language="de", split={"train": "80%", "validation": "20%"}).only_language
    'de'
    """

    delimiter: str | None = None
    encoding: str = "utf-8"
    quote: str | None = '"'
    columns: tuple[str, ...] = ()
    header: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_header(f"Csv({self.path!r})", self.columns, self.header)
        for name in ("delimiter", "quote"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and len(value) == 1):
                raise ValueError(
                    f"Csv({self.path!r}): {name}={value!r}. Expected one character, such as ';'."
                )

    def _reader(self) -> NumberedReader:
        return partial(
            read_delimited,
            delimiter=self.delimiter,
            encoding=self.encoding,
            quote=self.quote,
            columns=tuple(self.columns),
            header=self.header,
        )


@final
@dataclass(frozen=True, kw_only=True)
class Tsv(LocalFiles):
    """A table of tab-separated values, in which a quotation mark is a letter like others.

    For tabs with quoted cells, as spreadsheets write them, use `Csv(path, delimiter="\\t")`. See
    `LocalFiles` for splits and languages, and `Csv` for the other arguments.

    Args:
        encoding: The file's encoding.
        columns, header: As for `Csv`.
    """

    encoding: str = "utf-8"
    columns: tuple[str, ...] = ()
    header: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_header(f"Tsv({self.path!r})", self.columns, self.header)

    def _reader(self) -> NumberedReader:
        return partial(
            read_delimited,
            delimiter="\t",
            encoding=self.encoding,
            quote=None,
            columns=tuple(self.columns),
            header=self.header,
        )


@final
@dataclass(frozen=True, kw_only=True)
class Json(LocalFiles):
    """JSON lines, a JSON list of objects, or a JSON object with such a list.

    The file's first character says which. See `LocalFiles` for splits and languages.

    Args:
        field: Where a JSON object has its list of rows, such as "data".
    """

    _line_noun = "object"
    field: str | None = None

    def _reader(self) -> NumberedReader:
        return partial(read_objects, field=self.field)


@final
@dataclass(frozen=True, kw_only=True)
class Conll(LocalFiles):
    """A word and its tag a line, a blank line after each sentence: rows `{"tokens", "tags"}`.

    See `LocalFiles` for splits and languages, and `read_conll` for the format.

    Args:
        token: The index of the words' column.
        tag: The index of the tags' column; -1 is the last.
        encoding: The file's encoding.
    """

    token: int = 0
    tag: int = -1
    encoding: str = "utf-8"

    def _reader(self) -> NumberedReader:
        return partial(numbered_sentences, token=self.token, tag=self.tag, encoding=self.encoding)


@final
@dataclass(frozen=True, kw_only=True)
class Squad(LocalFiles):
    """Questions in SQuAD's JSON: rows `{"id", "title", "context", "question", "answers"}`.

    See `LocalFiles` for splits and languages, and `read_squad` for the format.

    Args:
        encoding: The file's encoding.
    """

    _line_noun = "question"
    encoding: str = "utf-8"

    def _reader(self) -> NumberedReader:
        return partial(_numbered_questions, encoding=self.encoding)


def _numbered_questions(path: Path, encoding: str) -> Iterator[tuple[int, Row]]:
    return enumerate(read_squad(path, encoding=encoding), 1)
