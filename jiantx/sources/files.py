"""Files that a reader turns into rows."""

from __future__ import annotations

import glob
import hashlib
import itertools
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jiantx.cache import cache_dir, load_or_write
from jiantx.fingerprints import UncacheableError, fingerprint_text
from jiantx.sources.base import (
    DataError,
    Languages,
    Row,
    Source,
    Splits,
    Where,
    check_patterns,
    data_root,
    dataset_language,
    dataset_splits,
    file_stats,
    language_mapping,
)
from jiantx.sources.containers import as_row
from jiantx.sources.function_rows import MissingColumn, function_name, keeps
from jiantx.sources.storing import arrow_errors, as_table, in_memory

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

logger = logging.getLogger("jiantx.sources")

Reader = Callable[[Path], Iterable[Row]]


def cached_table(inputs: object, read: Callable[[], pa.Table], noun: str) -> datasets.Dataset:
    """Rows that are read once and cached.

    Args:
        inputs: What the rows depend on.
        read: Reads the rows.
        noun: Names them in the log.
    """
    try:
        text = fingerprint_text(inputs)
    except UncacheableError as error:
        logger.warning("The rows of %s are not cached: %s.", noun, error)
        return in_memory(read())
    key = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return load_or_write(cache_dir() / "files" / f"{key}.arrow", lambda: [read()])


@dataclass(frozen=True)
class Files(Source):
    """Files that a reader turns into rows.

    Rows are read once and cached, until the text of a function or any file in the same folder
    changes.

    Args:
        pattern: May hold `{language}` (then give `languages` too), `{split}` and `*`. A relative
            one starts at the data root (without one, at the working directory).
        read: A plain function path -> rows, such as `read_csv`.
        languages: Language codes, or a mapping from jiantx's code to the word in the pattern.
        splits: jiantx's split names -> the words in the pattern; None if they are the same.
        where: A function (row, language) that keeps a row, if a file holds several languages.
        split_column: The column with a row's split, if a file holds several splits; `splits` then
            has the words of that column.
        origin: Where the files can be downloaded, for the error message.
    """

    pattern: str
    read: Reader
    _: KW_ONLY
    languages: Languages = ("en",)
    splits: Splits | None = None
    where: Where | None = None
    split_column: str | None = None
    origin: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        noun = f"Files({self.pattern!r})"
        check_patterns(noun, [self.pattern], self.languages, ("language", "split"), self.where)

    def _paths(self, split: str, language: str) -> list[Path]:
        start = data_root() or Path.cwd()
        paths: list[Path] = []
        for name in dataset_splits(self.splits, split):
            pattern = self._pattern_of(name, language)
            paths += [start / path for path in sorted(glob.glob(pattern, root_dir=start))]
        return list(dict.fromkeys(paths))

    def _pattern_of(self, split_name: str, language: str) -> str:
        word = dataset_language(self.languages, language)
        return self.pattern.format(language=word, split=split_name)

    def rows(self, split: str, language: str) -> datasets.Dataset:
        has_splits = self.splits or self.split_column or "{split}" in self.pattern
        if split != "train" and not has_splits:
            warnings.warn(
                f"Files({self.pattern!r}) has no {{split}}: its rows are read as {split!r}, so "
                "train, validation and test would have the same rows. Write {split} where the "
                "names of the files differ, or say which split the file is: "
                f"splits={{{split!r}: {split!r}}}.",
                stacklevel=2,
            )
        paths = self._paths(split, language)
        if not paths:
            split_name = next(iter(dataset_splits(self.splits, split)), split)
            expected_path = (data_root() or Path.cwd()) / self._pattern_of(split_name, language)
            origin = f" Get it from {self.origin}." if self.origin else ""
            raise DataError(
                f"No file matches {expected_path} (split {split!r}, language {language!r})."
                f"{origin} Put it at this path."
            )
        folders = {path.parent for path in paths}
        files = itertools.chain.from_iterable(folder.iterdir() for folder in folders)
        stats = file_stats(sorted(file for file in files if file.is_file()))
        language_in_key = language if self.where else None
        inputs: tuple[object, ...] = (self.read, self.where, language_in_key)
        inputs += (list(map(str, paths)), stats)
        if self.split_column:
            inputs += (self.split_column, dataset_splits(self.splits, split))
        return cached_table(inputs, lambda: self._read(paths, split, language), self.pattern)

    def _matching_rows(self, paths: Sequence[Path], split: str, language: str) -> Iterator[Row]:
        split_names = dataset_splits(self.splits, split)
        for path in paths:
            index = -1
            try:
                for index, item in enumerate(self.read(path)):
                    row = as_row(item, index)
                    if self.split_column and not self._is_of_split(row, split_names):
                        continue
                    if self.where is None or keeps(self.where, row, language):
                        yield row
            except DataError as error:
                in_file = str(error) if str(path) in str(error) else f"{path}, row {index}: {error}"
                raise DataError(in_file) from error.__cause__
            except Exception as error:
                raise DataError(
                    f"{path}: {function_name(self.read)} failed after {index + 1} rows: "
                    f"{type(error).__name__}: {error}."
                ) from error

    def _is_of_split(self, row: Row, split_names: Sequence[str]) -> bool:
        if self.split_column not in row:
            raise MissingColumn(self.split_column, row, asked_by="split_column")
        return row[self.split_column] in split_names

    def _read(self, paths: Sequence[Path], split: str, language: str) -> pa.Table:
        names = ", ".join(map(str, paths[:3])) + (", …" if len(paths) > 3 else "")
        with arrow_errors(f"The rows of {names}"):
            return as_table(lambda: self._matching_rows(paths, split, language))

    def available(self, split: str) -> tuple[str, ...]:
        languages = []
        for language in language_mapping(self.languages):
            paths = self._paths(split, language)
            has_rows = bool(paths)
            if self.where or self.split_column:
                has_rows = any(True for _ in self._matching_rows(paths, split, language))
            if has_rows:
                languages.append(language)
        return tuple(languages)
