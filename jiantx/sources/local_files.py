"""A user's own files: tables, JSON, tagged words, questions. Read once, then cached."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from jiantx.sources.base import DataError, Languages, Row, Source, file_stats, language_mapping
from jiantx.sources.class_labels import iter_rows
from jiantx.sources.files import cached_table
from jiantx.sources.function_rows import MissingColumn, keeps
from jiantx.sources.local_paths import (
    Paths,
    check_paths,
    each_path,
    languages_in_names,
    matching_files,
    missing_file,
    missing_split,
    patterns_of,
    placeholders,
)
from jiantx.sources.readers.delimited import check_header, read_delimited
from jiantx.sources.readers.json_files import read_objects
from jiantx.sources.readers.qa import read_squad
from jiantx.sources.readers.tagging import numbered_sentences
from jiantx.sources.selections import chosen_indices
from jiantx.sources.shares import check_shares
from jiantx.sources.split import Split
from jiantx.sources.storing import arrow_errors, as_table

if TYPE_CHECKING:
    import datasets

Where = Callable[[Row, str], bool]
NumberedReader = Callable[[Path], Iterator[tuple[int, Row]]]


@dataclass(frozen=True, kw_only=True)
class LocalFiles(Source):
    """What all sources of a user's own files have. Relative paths start at the working directory.

    Args:
        path: A file, or split -> a file or a list of files. Names may hold `*`, `{language}` and
            `{split}` (which also finds `dev`, `val`, …). One file without a split is `train`.
        language: The language of all rows. Without it, what stands for `{language}` in the names of
            the files, else "en".
        languages: The languages in the names or in `language_column`: codes, or our code -> the
            word there. Without it, all that occur.
        language_column: The column with a row's language.
        split: Splits to take from the training rows, as `Split` explains.
        stratify: A column that has the same shares in these splits.
        group: A column whose equal values stay in one of these splits.
        seed: Other seeds give other splits.
        where: A function (row, language) that keeps a row.
    """

    path: Paths = field(kw_only=False)
    language: str | None = None
    languages: Languages | None = None
    language_column: str | None = None
    split: Mapping[str, str | int] | None = None
    stratify: str | None = None
    group: str | None = None
    seed: int = 0
    where: Where | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        noun = f"{type(self).__name__}({self.path!r})"
        check_paths(self.path)
        in_names = self._is_language_in_names
        sources = [bool(self.language), in_names, bool(self.language_column)]
        if sum(sources) > 1:
            raise ValueError(
                f"{noun}: a row's language comes from one of language=, {{language}} in the path, "
                "and language_column=. Give one of them."
            )
        if self.languages is not None and not (in_names or self.language_column):
            raise ValueError(
                f"{noun}: languages= names what stands for {{language}} in the path, or in "
                f"language_column=. For one language of all rows, give language=."
            )
        if self.split is not None:
            check_shares(self.split)
            _ = self._shared
        elif self.stratify or self.group:
            raise ValueError(
                f"{noun}: stratify= and group= say how split= assigns rows, and split= is missing."
            )

    @abstractmethod
    def _reader(self) -> NumberedReader:
        """A function path -> (line or number, row). It holds only what the rows depend on."""

    _line_noun = "line"  # what the reader numbers

    # --- languages --------------------------------------------------------------------------------

    @property
    def only_language(self) -> str | None:
        return self.language

    @property
    def _is_language_in_names(self) -> bool:
        return any("language" in placeholders(str(path)) for path in each_path(self.path))

    def _language_words(self, split: str) -> dict[str, str]:
        """Language -> the word for it in names or in the column, of those that may have rows."""
        if self.languages is not None:
            return language_mapping(self.languages)
        if self.language_column:
            values = self._stored(split, "").unique(self._checked_column(split))
            return {value: value for value in values}
        if self._is_language_in_names:
            codes: dict[str, None] = {}
            for pattern in patterns_of(self.path, split):
                codes |= languages_in_names(pattern)
            return {code: code for code in codes}
        return {self.language or "en": ""}

    def _checked_column(self, split: str) -> str:
        assert self.language_column is not None
        names = self._stored(split, "").column_names
        if self.language_column not in names:
            raise MissingColumn(self.language_column, names, asked_by="language_column")
        for value in self._stored(split, "").unique(self.language_column):
            if not isinstance(value, str) or not value.strip():
                index = self._stored(split, "")[self.language_column][:].index(value)
                raise DataError(
                    f"{type(self).__name__}({self.path!r}), split {split!r}, row {index}: the "
                    f"language, in the column {self.language_column!r}, is {value!r}; expected a "
                    'code such as "en". Fill it in, or drop the row from the file.'
                )
        return self.language_column

    def available(self, split: str) -> tuple[str, ...]:
        if self._shared is not None:
            return self._shared.available(split)
        if not self._has_files(split):
            return ()
        word_of = self._language_words(split)
        if self.language_column:
            values = set(self._stored(split, "").unique(self._checked_column(split)))
            word_of = {code: word for code, word in word_of.items() if word in values}
        return tuple(code for code, word in word_of.items() if self._files(split, word))

    # --- files ------------------------------------------------------------------------------------

    def _has_files(self, split: str) -> bool:
        return any(matching_files(pattern) for pattern in patterns_of(self.path, split))

    def _files(self, split: str, word: str) -> list[Path]:
        files: dict[Path, None] = {}
        for pattern in patterns_of(self.path, split):
            files |= {Path(name).absolute(): None for name in matching_files(pattern, word)}
        return list(files)

    def _stored(self, split: str, word: str) -> datasets.Dataset:
        """All rows of the files, cached."""
        files = self._files(split, word)
        reader = self._reader()
        names = ", ".join(map(str, files[:3])) + (", …" if len(files) > 3 else "")

        def read() -> Any:
            if not any(True for _ in _numbered_rows(reader, files)):
                raise DataError(f"There are no rows in {names}.")
            with arrow_errors(f"The rows of {names}"):
                return as_table(lambda: (row for _, _, row in _numbered_rows(reader, files)))

        return cached_table((reader, file_stats(files)), read, names)

    # --- rows -------------------------------------------------------------------------------------

    @property
    def _shared(self) -> Split | None:
        """The source of the splits that are taken from the training rows."""
        if self.split is None:
            return None
        training_source = replace(self, split=None, stratify=None, group=None)
        return Split(
            training_source, self.split, stratify=self.stratify, group=self.group, seed=self.seed
        )

    def rows(self, split: str, language: str) -> datasets.Dataset:
        if self._shared is not None:
            return self._shared.rows(split, language)
        stored = self._stored(split, self._word(split, language))
        if self.language_column is None and self.where is None:
            return stored
        return stored.select(self._indices(stored, split, language))

    def _word(self, split: str, language: str) -> str:
        """What stands for a language in the names of files; DataError if there are no such rows."""
        noun = f"{type(self).__name__}({self.path!r})"
        patterns = patterns_of(self.path, split)
        if not patterns:
            raise missing_split(noun, self.path, split)
        if not self._has_files(split):
            word = next(iter(language_mapping(self.languages or ("en",)).values()))
            raise missing_file(patterns[0], word, split)
        word_of = self._language_words(split)
        if language not in word_of:
            languages = ", ".join(word_of) or "none"
            hint = "" if self.language else f" If all rows are in it, give language={language!r}."
            raise DataError(
                f"{noun} has no rows in {language!r} (split {split!r}). Languages: {languages}."
                f"{hint}"
            )
        word = "" if self.language_column else word_of[language]
        if not self._files(split, word):
            raise missing_file(patterns[0], word, split)
        return word

    def _indices(self, stored: datasets.Dataset, split: str, language: str) -> np.ndarray:
        word = self._language_words(split).get(language) if self.language_column else None
        key = ("local", self.language_column, word, self.where, language)
        return chosen_indices(stored, key, partial(self._choose, stored, split, word, language))

    def _choose(
        self, stored: datasets.Dataset, split: str, word: str | None, language: str
    ) -> np.ndarray:
        keep = np.ones(len(stored), dtype=bool)
        if word is not None:
            keep = np.array([value == word for value in stored[self._checked_column(split)][:]])
        if self.where is not None:
            for index, row in enumerate(iter_rows(stored)):
                keep[index] = keep[index] and keeps(self.where, row, language)
        return np.flatnonzero(keep)

    def locate(self, split: str, language: str, index: int) -> str:
        if self._shared is not None:
            return self._shared.locate(split, language, index)
        word = self._word(split, language)
        if self.language_column is not None or self.where is not None:
            index = int(self._indices(self._stored(split, word), split, language)[index])
        numbered = _numbered_rows(self._reader(), self._files(split, word))
        for path, number, _ in itertools.islice(numbered, index, index + 1):
            return f"{path}, {self._line_noun} {number}"
        return ""


def _numbered_rows(
    reader: NumberedReader, files: Sequence[Path]
) -> Iterator[tuple[Path, int, Row]]:
    for path in files:
        for number, row in reader(path):
            yield path, number, row


@final
@dataclass(frozen=True, kw_only=True)
class Csv(LocalFiles):
    """A table whose first line names the columns. All values are text; an empty cell is "".

    See `LocalFiles` for splits and languages.

    Args:
        delimiter: What separates cells. Without it: the one of comma, semicolon, tab and vertical
            bar that fits; if several do, an error asks.
        encoding: The file's encoding, such as "cp1252" for many Western files of Windows.
        quote: The quotation mark of cells that hold delimiters or line ends. None: quotation marks
            are letters like others.
        columns: The names of the columns, where the file has no header.
        header: True takes the first line for a header where it looks like a row; with `columns`,
            these are its columns' names. False says that there is none, so that `columns` must be.

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
