"""What a source is, the data root, and how languages and splits are named."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any

from jiantx.fields import check_fields
from jiantx.registry import near_names

if TYPE_CHECKING:
    import datasets

Row = dict[str, Any]
Where = Callable[[Row, str], bool]
Languages = Sequence[str] | Mapping[str, str]
Splits = Mapping[str, str | Sequence[str]]


class DataError(ValueError):
    """Data that are not what a task expects: what was found, what was expected, what to do."""


ARTIFICIAL_WORLD = "jiantx-synthetic.json"  # a file that only a data root of artificial rows has
_UNSET = object()
_root: object = _UNSET


def data_root(path: object = _UNSET) -> Path | None:
    """Set where data are read from, and return it; without an argument, only return it.

    A folder makes every `Hub("org/name")` read `<folder>/org/name`, and relative `Files` patterns
    start there. None is the Hugging Face Hub. Until it is set, the environment variable JIANTX_DATA
    decides.

    Args:
        path: An existing folder, or None.

    Returns:
        The folder, or None for the Hub.

    Raises:
        DataError: The path is not a folder.

    >>> import jiantx as jx
    >>> jx.data_root("my/mirror")  # doctest: +SKIP
    """
    global _root  # noqa: PLW0603
    if path is not _UNSET:
        if path is not None and not Path(str(path)).is_dir():
            raise DataError(
                f"The data root {str(path)!r} is not a folder. Give an existing one, or None for "
                "the Hub."
            )
        _root = None if path is None else Path(str(path)).resolve()
    if _root is _UNSET:
        from_environment = os.environ.get("JIANTX_DATA")
        return data_root(from_environment) if from_environment else None
    assert _root is None or isinstance(_root, Path)
    return _root


def forget_data_root() -> None:
    """Undo `data_root(...)`: the environment decides again."""
    global _root  # noqa: PLW0603
    _root = _UNSET


class Source(ABC):
    """Rows by split and language. Creating a source reads no data."""

    def __post_init__(self) -> None:  # of the sources that are dataclasses
        if is_dataclass(self):
            check_fields(self, type(self).__name__)

    @abstractmethod
    def rows(self, split: str, language: str) -> datasets.Dataset:
        """Read the rows as stored.

        Args:
            split: "train", "validation" or "test".
            language: A language code.

        Raises:
            DataError: There are no such rows.
        """

    def hub_ids(self, language: str) -> tuple[str, ...]:
        """The Hub's datasets that hold a language's rows, for the model card.

        Files, lists and the artificial world have none.
        """
        return ()

    @property
    def only_language(self) -> str | None:
        """The language of all rows, where the source was told it; tasks train in it."""
        return None

    def locate(self, split: str, language: str, index: int) -> str:
        """Where a row stands, for messages: its file and line; empty where that says nothing.

        Args:
            split: The row's split.
            language: Its language.
            index: Its index in `rows(split, language)`.
        """
        return ""

    @abstractmethod
    def available(self, split: str) -> tuple[str, ...]:
        """The languages that have this split at the present data root."""


@dataclass(frozen=True)
class DerivedSource(Source):
    """Base class of sources whose rows are made from those of another one, in its languages.

    Args:
        source: The other source.
    """

    source: Source

    @property
    def languages(self) -> Any:
        """The languages that the other source declares."""
        source: Any = self.source
        return source.languages

    @property
    def only_language(self) -> str | None:
        return self.source.only_language

    def hub_ids(self, language: str) -> tuple[str, ...]:
        return self.source.hub_ids(language)


def check_patterns(
    noun: str, patterns: Sequence[str], languages: Languages, names: Sequence[str], where: Any
) -> None:
    """Check the placeholders of a source's patterns.

    Args:
        noun: Names the source in messages.
        patterns: Texts with placeholders.
        languages: Codes, or jiantx's code -> the dataset's word.
        names: The placeholders that may be there.
        where: A function that chooses the rows of a language; None if there is none.

    Raises:
        ValueError: There is another placeholder, or several languages would have the same rows.
    """
    placeholders = set()
    for pattern in patterns:
        placeholders |= {
            field for _, field, _, _ in Formatter().parse(pattern) if field is not None
        }
    for name in sorted(placeholders.difference(names)):
        expected = ", ".join(f"{{{name}}}" for name in names)
        raise ValueError(
            f"{noun} has the placeholder {{{name}}}. There are: {expected}."
            f"{near_names(name, names)}"
        )
    word_of = language_mapping(languages)
    if len(set(word_of.values())) > 1 and "language" not in placeholders and where is None:
        raise ValueError(
            f"{noun} has no {{language}}, so {', '.join(list(word_of)[:5])} would be "
            "the same rows. "
            "Write {language} where their names differ, or give a `where` that tells their rows "
            "apart."
        )


def language_mapping(languages: Languages) -> dict[str, str]:
    """jiantx's language code -> the dataset's own word for it."""
    if isinstance(languages, Mapping):
        return dict(languages)
    return {language: language for language in languages}


def dataset_splits(splits: Splits | None, split: str) -> tuple[str, ...]:
    """The dataset's names of a split; empty if it has no such split.

    Args:
        splits: jiantx's split names -> the dataset's, one or several; None if they are the same.
        split: jiantx's name.
    """
    names = (split,) if splits is None else splits.get(split, ())
    return (names,) if isinstance(names, str) else tuple(names)


def dataset_language(languages: Languages, language: str) -> str:
    """The dataset's word for a language.

    Args:
        languages: Codes, or jiantx's code -> the dataset's word.
        language: jiantx's code.

    Raises:
        DataError: The source does not declare the language.
    """
    mapping = language_mapping(languages)
    if language not in mapping:
        raise DataError(f"There is no language {language!r}. There are: {', '.join(mapping)}.")
    return mapping[language]


def file_stats(files: Sequence[Path]) -> list[tuple[str, int, int]]:
    """(path, bytes, time of the last change) of files: what changes when their contents do."""
    stats = [(file, file.stat()) for file in files]
    return [(str(file), stat.st_size, stat.st_mtime_ns) for file, stat in stats]
