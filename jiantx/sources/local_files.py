"""A user's own files: which hold a split, a language. Rows are read once, then cached."""

from __future__ import annotations

import itertools
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiantx.sources.base import DataError, Languages, Row, Source, file_stats, language_mapping
from jiantx.sources.class_labels import iter_rows
from jiantx.sources.files import cached_table
from jiantx.sources.function_rows import MissingColumn, keeps
from jiantx.sources.local_paths import (
    SPLIT_WORDS,
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
    """Base class of sources that read your files. Relative paths start at the working directory.

    Args:
        path: A file, or split -> a file or a list of files. Names may hold `*`, `{language}` and
            `{split}` (which also finds `dev`, `val`, …). One file without a split is `train`.
        language: The language of all rows. If None, the text that stands for `{language}` in the
            file names, else "en".
        languages: The languages in the file names or in `language_column`: codes, or code ->
            the word there. If None, all languages that occur.
        language_column: The column with a row's language.
        split_column: The column with a row's split: train, validation (also dev, val, …) or test.
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
    split_column: str | None = None
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
        if self.split_column is not None:
            self._check_split_column(noun)
        if self.split is not None:
            check_shares(self.split)
            _ = self._shared
        elif self.stratify or self.group:
            raise ValueError(
                f"{noun}: stratify= and group= say how split= assigns rows, and split= is missing."
            )

    def _check_split_column(self, noun: str) -> None:
        """Check that the splits come from nowhere else."""
        in_names = any("split" in placeholders(str(path)) for path in each_path(self.path))
        if isinstance(self.path, Mapping) or in_names or self.split is not None:
            raise ValueError(
                f"{noun}: a row's split comes from one of split_column=, {{split}} in the path, a "
                "path for each split, and split=. Give one of them."
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
            for pattern in self._patterns(split):
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
        languages = [code for code, word in word_of.items() if self._files(split, word)]
        if self.split_column:
            languages = [code for code in languages if self._has_split(split, code, word_of[code])]
        return tuple(languages)

    # --- files ------------------------------------------------------------------------------------

    def _patterns(self, split: str) -> tuple[str, ...]:
        """The patterns of the files that hold the split, perhaps among others."""
        return patterns_of(self.path, "train" if self.split_column else split)

    def _has_files(self, split: str) -> bool:
        return any(matching_files(pattern) for pattern in self._patterns(split))

    def _files(self, split: str, word: str) -> list[Path]:
        all_words = self._language_words(split).values() if self._is_language_in_names else ()
        files: dict[Path, None] = {}
        for pattern in self._patterns(split):
            names = matching_files(pattern, word, list(all_words))
            files |= {Path(name).absolute(): None for name in names}
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
        if not self._selects:
            return stored
        indices = self._indices(stored, split, language)
        if self.split_column and not len(indices):
            raise DataError(self._no_rows_of(split, language, stored))
        return stored.select(indices)

    @property
    def _selects(self) -> bool:
        """Whether a file holds rows of other splits or languages, or rows that are not kept."""
        return any((self.language_column, self.split_column, self.where))

    def _has_split(self, split: str, language: str, word: str) -> bool:
        """Whether some row of a language is of the split, by the column of splits."""
        stored = self._stored(split, "" if self.language_column else word)
        if self.where is not None:
            return len(self._indices(stored, split, language)) > 0
        split_word = self._split_word(split, stored)
        if self.language_column is None or split_word is None:
            return split_word is not None
        columns = (stored[self.language_column][:], stored[self.split_column][:])
        return (word, split_word) in zip(*columns)

    def _split_word(self, split: str, stored: datasets.Dataset) -> str | None:
        """The word for a split in the column of splits; None if no row has it.

        Raises:
            MissingColumn: There is no such column.
            DataError: Two words may be the split.
        """
        column = self.split_column
        assert column is not None
        if column not in stored.column_names:
            raise MissingColumn(column, stored.column_names, asked_by="split_column")
        values = stored.unique(column)
        known_words = {split, *itertools.chain.from_iterable(SPLIT_WORDS.values())}
        unknown = [value for value in values if value not in known_words]
        if unknown:
            # once for the same text
            warnings.warn(
                f"{type(self).__name__}({self.path!r}): rows with {_listed(unknown)} in the column "
                f"{column!r} are of no split, and are not read.",
                stacklevel=2,
            )
        present = [word for word in SPLIT_WORDS.get(split, (split,)) if word in values]
        if len(present) > 1:
            raise DataError(
                f"{type(self).__name__}({self.path!r}): the column {column!r} holds {present[0]!r} "
                f"and {present[1]!r}, and both may be the split {split!r}. Rename one in the file."
            )
        return present[0] if present else None

    def _no_rows_of(self, split: str, language: str, stored: datasets.Dataset) -> str:
        """Say why no row is of the split."""
        word = self._split_word(split, stored)
        start = (
            f"{type(self).__name__}({self.path!r}) has no rows of the split {split!r} in "
            f"{language!r}"
        )
        if word is None:
            expected = ", ".join(map(repr, SPLIT_WORDS.get(split, (split,))))
            holds = _listed(stored.unique(self.split_column))
            return f"{start}: the column {self.split_column!r} holds {holds}. Expected {expected}."
        if self.where is not None:
            return f"{start} that `where` keeps."
        return f"{start}. Other languages have rows with {word!r} in {self.split_column!r}."

    def _word(self, split: str, language: str) -> str:
        """What stands for a language in the names of files; DataError if there are no such rows."""
        noun = f"{type(self).__name__}({self.path!r})"
        patterns = self._patterns(split)
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
        split_key = (self.split_column, split if self.split_column else None)
        key = ("local", self.language_column, word, split_key, self.where, language)
        return chosen_indices(stored, key, partial(self._choose, stored, split, word, language))

    def _choose(
        self, stored: datasets.Dataset, split: str, word: str | None, language: str
    ) -> np.ndarray:
        keep = np.ones(len(stored), dtype=bool)
        if word is not None:
            keep = np.array([value == word for value in stored[self._checked_column(split)][:]])
        if self.split_column is not None:
            split_word = self._split_word(split, stored)
            keep &= [value == split_word for value in stored[self.split_column][:]]
            if split_word is None:
                keep[:] = False
        if self.where is not None:
            for index, row in enumerate(iter_rows(stored)):
                keep[index] = keep[index] and keeps(self.where, row, language)
        return np.flatnonzero(keep)

    def locate(self, split: str, language: str, index: int) -> str:
        if self._shared is not None:
            return self._shared.locate(split, language, index)
        word = self._word(split, language)
        if self._selects:
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


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(repr, values[:8])) + (", …" if len(values) > 8 else "")
