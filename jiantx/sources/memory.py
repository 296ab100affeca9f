"""Rows in memory, and several sources read as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

from jiantx.sources.base import DataError, Source, dataset_splits
from jiantx.sources.class_labels import decode_class_labels
from jiantx.sources.containers import ReadOnce, as_dataset
from jiantx.sources.shares import SPLIT_NAMES, check_shares
from jiantx.sources.split import Split
from jiantx.sources.storing import HELD, with_held

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True, repr=False)
class Rows(Source):
    """Rows in memory.

    Args:
        splits: Rows, split -> rows, or split -> language -> rows. Rows are a list (or a generator)
            of dictionaries, dataclasses or named tuples, a `datasets` object (also a stream), a
            frame of pandas or polars, or a table of pyarrow. Rows without a split are `train`.
        language: The language of all rows, if they are not given by language (default: "en").
        split: Splits to take from the training rows, as `Split` explains.
        stratify: A column that has the same shares in these splits.
        group: A column whose equal values stay in one of these splits.
        seed: Other seeds give other splits.

    >>> Rows({"train": [{"text": "yes", "label": "glad"}]})
    Rows({'train': {'en': 1}})
    """

    splits: Any
    _: KW_ONLY
    language: str | None = None
    split: Mapping[str, str | int] | None = None
    stratify: str | None = None
    group: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.splits, Mapping):
            _refuse_columns(self.splits)
        by_split = self.splits if isinstance(self.splits, Mapping) else {"train": self.splits}
        splits = {split: _kept(rows) for split, rows in by_split.items()}
        if (
            any(splits[split] is not rows for split, rows in by_split.items())
            or by_split is not self.splits
        ):
            object.__setattr__(self, "splits", splits)
        has_languages = any(isinstance(rows, Mapping) for rows in splits.values())
        if self.language is not None and has_languages:
            raise ValueError(
                f"language={self.language!r} is for rows of one language, and these are given by "
                "language. Leave one of them out."
            )
        if self.split is not None:
            check_shares(self.split)
            _ = self._shared
        elif self.stratify or self.group:
            raise ValueError(
                "Rows: stratify= and group= say how split= assigns rows, and split= is missing."
            )

    @property
    def only_language(self) -> str | None:
        return self.language

    @property
    def _shared(self) -> Split | None:
        """The source of the splits that are taken from the training rows."""
        if self.split is None:
            return None
        training_source = Rows(self.splits, language=self.language)
        return Split(
            training_source, self.split, stratify=self.stratify, group=self.group, seed=self.seed
        )

    def __repr__(self) -> str:
        sizes = {}
        for split in self.splits:
            by_language = self._by_language(split)
            sizes[split] = {
                language: len(rows) if hasattr(rows, "__len__") else "not read yet"
                for language, rows in by_language.items()
            }
        return f"Rows({sizes})"

    def _by_language(self, split: str) -> dict[str, Any]:
        rows = self.splits.get(split, {})
        return dict(rows) if isinstance(rows, Mapping) else {self.language or "en": rows}

    def rows(self, split: str, language: str) -> datasets.Dataset:
        if self._shared is not None:
            return self._shared.rows(split, language)
        if split not in self.splits:
            hint = ""
            if list(self.splits) == ["train"]:
                hint = ' Take it from train: split={"train": "80%", "validation": "20%"}.'
            raise DataError(
                f"The rows have no split {split!r}. They have: {', '.join(self.splits)}.{hint}"
            )
        by_language = self._by_language(split)
        if language not in by_language:
            raise DataError(
                f"There is no language {language!r}. There are: {', '.join(by_language)}."
            )
        return as_dataset(by_language[language])

    def locate(self, split: str, language: str, index: int) -> str:
        return "" if self._shared is None else self._shared.locate(split, language, index)

    def available(self, split: str) -> tuple[str, ...]:
        if self._shared is not None:
            return self._shared.available(split)
        return tuple(self._by_language(split))


def _refuse_columns(splits: Mapping[str, Any]) -> None:
    """TypeError for columns in the place of splits."""
    if set(splits) & set(SPLIT_NAMES):
        return
    for name, rows in splits.items():
        if isinstance(rows, list | tuple) and rows and isinstance(rows[0], str | int | float):
            raise TypeError(
                f"Rows: {name!r} has the value {rows[0]!r:.60}, which is no row. Rows takes a list "
                "of dictionaries, or split -> rows. If these are columns, give a frame: "
                "jx.Rows(pandas.DataFrame(columns))."
            )


def _kept(rows: Any) -> Any:
    """Rows that can be read more than once: generators and streams are kept when they are read."""
    if isinstance(rows, Mapping):
        by_language = {language: _kept(of_language) for language, of_language in rows.items()}
        is_same = all(by_language[language] is rows[language] for language in rows)
        return rows if is_same else by_language
    return rows if hasattr(rows, "__len__") or isinstance(rows, ReadOnce) else ReadOnce(rows)


@dataclass(frozen=True, init=False)
class Concat(Source):
    """Several sources read as one.

    The rows have the columns that all of the sources have; class numbers are replaced by names.

    Args:
        sources: At least one source.
    """

    sources: tuple[Source, ...]

    def __init__(self, *sources: Source) -> None:
        object.__setattr__(self, "sources", sources)

    def rows(self, split: str, language: str) -> datasets.Dataset:
        import datasets

        joined = []
        for source in self.sources:
            if _declares(source, split, language) or language in source.available(split):
                joined.append(decode_class_labels(source.rows(split, language)))
        if not joined:
            raise self._missing(split, language)
        shared_columns = [
            column
            for column in joined[0].column_names
            if all(column in rows.column_names for rows in joined)
        ]
        dictionaries = [column for column in shared_columns if _has_other_keys(joined, column)]
        if dictionaries or any(HELD in rows.column_names for rows in joined):
            joined = [with_held(rows, dictionaries) for rows in joined]
            shared_columns = list(dict.fromkeys((*shared_columns, HELD)))
        try:
            return datasets.concatenate_datasets(
                [rows.select_columns(shared_columns) for rows in joined]
            )
        except ValueError as error:  # of a column that has another type
            raise DataError(
                f"The joined sources have different types in one column: {error} Give each the "
                "same columns, for example by a reader that converts them."
            ) from None

    def _missing(self, split: str, language: str) -> DataError:
        """The error of the source that should have the rows, or one of our own."""
        for source in self.sources:
            declares_language = language in _declared_languages(source)
            if declares_language and dataset_splits(getattr(source, "splits", None), split):
                try:
                    source.rows(split, language)
                except DataError as error:
                    return error
        languages = ", ".join(self.languages)
        return DataError(
            f"None of the joined sources has the split {split!r} in {language!r}. "
            f"Languages: {languages}."
        )

    @property
    def only_language(self) -> str | None:
        languages = {source.only_language for source in self.sources}
        return languages.pop() if len(languages) == 1 else None

    def hub_ids(self, language: str) -> tuple[str, ...]:
        ids: dict[str, None] = {}
        for source in self.sources:
            ids |= dict.fromkeys(source.hub_ids(language))
        return tuple(ids)

    def available(self, split: str) -> tuple[str, ...]:
        available_of = [source.available(split) for source in self.sources]
        languages: dict[str, None] = {}
        incomplete = set()
        for available in available_of:
            languages |= dict.fromkeys(available)
        for source, available in zip(self.sources, available_of, strict=True):
            for language in languages:
                if language not in available and _declares(source, split, language):
                    incomplete.add(language)
        return tuple(language for language in languages if language not in incomplete)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that any of the sources declares."""
        languages: dict[str, None] = {}
        for source in self.sources:
            languages |= dict.fromkeys(_declared_languages(source))
        return tuple(languages)


def _has_other_keys(joined: Sequence[datasets.Dataset], column: str) -> bool:
    """Whether a column holds dictionaries, with other keys or in another order in some sources."""
    features = [rows.features[column] for rows in joined]
    inner_feature = getattr(features[0], "feature", features[0])
    return isinstance(inner_feature, dict) and len(set(map(str, features))) > 1


def _declares(source: Source, split: str, language: str) -> bool:
    """Whether a source names this language and split, so that its rows may not be left out."""
    declared_splits = dataset_splits(getattr(source, "splits", None) or {}, split)
    return language in (getattr(source, "languages", None) or ()) and bool(declared_splits)


def _declared_languages(source: Source) -> tuple[str, ...]:
    """The languages that a source was told; English if it was told none."""
    return tuple(getattr(source, "languages", None) or (source.only_language or "en",))
