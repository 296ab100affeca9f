"""Splits that are taken from the rows of a source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from jiantx.registry import near_names
from jiantx.sources.base import DataError, Source
from jiantx.sources.selections import chosen_indices
from jiantx.sources.shares import (
    assign_by_stratum,
    assign_groups,
    assign_rows,
    check_shares,
    number_values,
    row_keys,
    split_sizes,
    value_key,
)

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class Split(Source):
    """Splits taken from the training rows of another source, by share or number.

    Rows are assigned by a hash over the seed and their content, so the splits are the same on every
    machine and in every order of the rows. Equal rows can be in two splits; `task.describe()`
    counts them. Name `train`. If you do not name a split that the source has, it is not changed.

    Args:
        source: Where the rows come from.
        split: Split -> a percentage ("80%"), a number of rows, or "rest". Each language is split by
            itself.
        stratify: A column whose values have the same shares in all splits, such as the label.
        group: A column whose equal values stay in one split, in all languages together, such as a
            document's id. Sizes are then approximate.
        seed: Other seeds give other splits.
    """

    source: Source
    split: Mapping[str, str | int]
    _: KW_ONLY
    stratify: str | None = None
    group: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares(self.split)
        if self.stratify and self.group:
            raise ValueError(
                f"stratify={self.stratify!r} and group={self.group!r} cannot both hold exactly. "
                "Give one of them."
            )

    @property
    def only_language(self) -> str | None:
        return self.source.only_language

    def hub_ids(self, language: str) -> tuple[str, ...]:
        return self.source.hub_ids(language)

    def available(self, split: str) -> tuple[str, ...]:
        return self.source.available("train" if split in self.split else split)

    def rows(self, split: str, language: str) -> datasets.Dataset:
        if split not in self.split:
            return self.source.rows(split, language)
        if split != "train" and language in self.source.available(split):
            raise DataError(
                f"The source has a split {split!r}, and split={dict(self.split)!r} takes another "
                "from its training rows. Leave one of them out. A `Files` pattern without {split} "
                'has all splits: give it splits={"train": "train"}.'
            )
        rows = self.source.rows("train", language)
        return rows.select(self._indices(rows, split, language))

    def locate(self, split: str, language: str, index: int) -> str:
        if split not in self.split:
            return self.source.locate(split, language, index)
        rows = self.source.rows("train", language)
        stored_index = int(self._indices(rows, split, language)[index])
        return self.source.locate("train", language, stored_index)

    def _indices(self, rows: datasets.Dataset, split: str, language: str) -> np.ndarray:
        fingerprints: list[str] = []
        if self.group:  # the groups of all languages decide
            languages = self.source.available("train")
            fingerprints = [self.source.rows("train", code)._fingerprint for code in languages]
        shares = tuple(self.split.items())
        key = ("split", split, shares, self.stratify, self.group, self.seed, language, fingerprints)
        return chosen_indices(rows, key, partial(self._choose, rows, split, language))

    def _choose(self, rows: datasets.Dataset, split: str, language: str) -> np.ndarray:
        if self.group:
            assigned = self._assigned_groups(language)
        else:
            sizes = split_sizes(self.split, len(rows))
            keys = row_keys(rows, self.seed)
            if self.stratify:
                place_of = partial(self._place_of, language)
                strata, _ = number_values(_column(rows, self.stratify), self.stratify, place_of)
                assigned = assign_by_stratum(keys, strata, sizes)
            else:
                assigned = assign_rows(keys, sizes)
        return np.flatnonzero(assigned == list(self.split).index(split))

    def _place_of(self, language: str, index: int) -> str:
        """Where a training row is, for messages: file and line where the source knows them."""
        return self.source.locate("train", language, index) or f"Row {index} in {language}"

    def _assigned_groups(self, language: str) -> np.ndarray:
        """(rows of the language,) the split of each row; groups are assigned over all languages."""
        assert self.group is not None
        values: list[Any] = []
        slices = {}
        for other in self.source.available("train"):
            column = _column(self.source.rows("train", other), self.group)
            slices[other] = slice(len(values), len(values) + len(column))
            values += column

        def place_of(index: int) -> str:
            for other, rows in slices.items():
                if index < rows.stop:
                    return self._place_of(other, index - rows.start)
            return f"Row {index}"

        groups, group_values = number_values(values, self.group, place_of)
        keys = np.array([value_key(value, self.seed) for value in group_values], dtype=np.uint64)
        return assign_groups(keys, groups, split_sizes(self.split, len(values)))[slices[language]]


def _column(rows: datasets.Dataset, name: str) -> list[Any]:
    if name not in rows.column_names:
        raise DataError(
            f"The rows have no column {name!r}.{near_names(name, rows.column_names)} "
            f"They have: {', '.join(rows.column_names)}."
        )
    return list(rows.with_format(None)[name][:])
