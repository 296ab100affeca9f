"""Splits taken from rows by share or number: which row becomes whose.

The rows are put in the order of a hash over their content (or their group) and the seed, and cut.
So a row's split depends neither on the order of the file nor on the machine.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from jiantx.registry import near_names
from jiantx.sources.base import DataError
from jiantx.sources.storing import as_held

if TYPE_CHECKING:
    import datasets

REST = "rest"
SPLIT_NAMES = ("train", "validation", "test")
Shares = Mapping[str, str | int]
_EXAMPLE = '{"train": "80%", "validation": "20%"}'


def check_shares(shares: Shares) -> None:
    """Check what a user wrote as the shares of splits.

    Args:
        shares: Split -> "80%", a number of rows, or "rest".

    Raises:
        ValueError: A split or a share is none, the shares are more than all rows, or none is
            for training.
    """
    if not isinstance(shares, Mapping) or not shares:
        raise ValueError(f"split={shares!r}. Expected shares, such as {_EXAMPLE}.")
    for split, share in shares.items():
        if split not in SPLIT_NAMES:
            raise ValueError(
                f"split={dict(shares)!r} has no split {split!r}.{near_names(split, SPLIT_NAMES)} "
                f"There are: {', '.join(SPLIT_NAMES)}."
            )
        if isinstance(share, str) and "[" in share:
            raise ValueError(
                f"split={{{split!r}: {share!r}}}: slices are not supported, because the first rows "
                "of a sorted file differ from the last ones. Give shares, such as "
                f"{_EXAMPLE}: they are taken from all over the file."
            )
        is_count = isinstance(share, int) and not isinstance(share, bool) and share > 0
        if not is_count and share != REST and _percentage(share) is None:
            raise ValueError(
                f"split={{{split!r}: {share!r}}}: expected a percentage such as '20%', a number "
                f"of rows such as 500, or {REST!r} for all other rows."
            )
    if "train" not in shares:
        raise ValueError(
            f"split={dict(shares)!r} does not name 'train', so the training rows would hold these "
            'rows, too. Add "train": "rest". If no row is for training, name the file or the '
            'frame as that split: Csv({"test": "a.csv"}), Rows({"test": frame}).'
        )
    percentages = [_percentage(share) or Fraction(0) for share in shares.values()]
    if sum(percentages) > 1:
        total = float(100 * sum(percentages))
        raise ValueError(f"split={dict(shares)!r} is {total:g} % of the rows. Expected 100 %.")
    has_rest = list(shares.values()).count(REST)
    if has_rest > 1:
        raise ValueError(
            f"split={dict(shares)!r}: {REST!r} may stand once. Give the other splits a share."
        )
    if sum(percentages) == 1 and (has_rest or any(isinstance(v, int) for v in shares.values())):
        raise ValueError(
            f"split={dict(shares)!r}: the percentages add up to 100 %, so nothing is left for the "
            "other splits. Lower a percentage."
        )


def _percentage(share: object) -> Fraction | None:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", share) if isinstance(share, str) else None
    percentage = Fraction(match[1]) / 100 if match else None
    return percentage if percentage and percentage <= 1 else None


def split_sizes(shares: Shares, row_count: int) -> dict[str, int]:
    """The number of rows of each split.

    Percentages are rounded so that their sum is right: the largest remainders are rounded up.

    Args:
        shares: Split -> "80%", a number, or "rest".
        row_count: All rows.

    Raises:
        DataError: There are fewer rows than the shares ask for, or a split would be empty.
    """
    exact = {}
    for split, share in shares.items():
        percentage = _percentage(share)
        exact[split] = (
            percentage * row_count
            if percentage
            else Fraction(int(share or 0) if isinstance(share, int) else 0)
        )
    sizes = {split: math.floor(number) for split, number in exact.items()}
    missing = round(sum(exact.values())) - sum(sizes.values())
    by_remainder = sorted(exact, key=lambda split: sizes[split] - exact[split])
    for split in by_remainder[:missing]:
        sizes[split] += 1
    for split, share in shares.items():
        if share == REST:
            sizes[split] = row_count - sum(sizes.values())
    empty = [split for split, size in sizes.items() if size < 1]
    if empty or sum(sizes.values()) > row_count:
        raise DataError(
            f"split={dict(shares)!r} of {row_count:,} rows would be {sizes}. Expected at least one "
            "row in each split, and no more rows than there are. Give other shares."
        )
    return sizes


def assign_rows(keys: np.ndarray, sizes: Mapping[str, int]) -> np.ndarray:
    """The split of each row, as an index into `sizes`; -1 for a row of no split.

    Args:
        keys: (rows,) hashes that order the rows.
        sizes: Split -> number of rows.
    """
    assigned = np.full(len(keys), -1)
    order = np.argsort(keys, kind="stable")
    bounds = np.cumsum([0, *sizes.values()])
    for index in range(len(sizes)):
        assigned[order[bounds[index] : bounds[index + 1]]] = index
    return assigned


def assign_by_stratum(keys: np.ndarray, strata: np.ndarray, sizes: Mapping[str, int]) -> np.ndarray:
    """As `assign_rows`, with the same shares of the splits in each stratum.

    Args:
        keys: (rows,) hashes that order the rows.
        strata: (rows,) the stratum of each row, numbered from 0.
        sizes: Split -> number of rows.
    """
    counts = np.bincount(strata)
    targets = np.array([*sizes.values(), len(keys) - sum(sizes.values())])  # the last: no split
    exact = np.outer(counts, targets) / max(1, len(keys))  # (strata, splits)
    cells = _round_cells(exact, counts, targets)
    assigned = np.full(len(keys), -1)
    for stratum in range(len(counts)):
        members = np.flatnonzero(strata == stratum)
        names = dict(zip(sizes, cells[stratum].tolist()))
        assigned[members] = assign_rows(keys[members], names)
    return assigned


def _round_cells(exact: np.ndarray, counts: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Round a table to whole numbers with given sums of its rows and columns."""
    cells = np.floor(exact + 1e-9).astype(int)
    missing_rows = counts - cells.sum(axis=1)
    missing_columns = targets - cells.sum(axis=0)
    by_remainder = np.argsort((cells - exact).ravel(), kind="stable")
    while missing_rows.any():  # the second time, where the largest remainders have no room
        for row, column in zip(*np.unravel_index(by_remainder, cells.shape)):
            if missing_rows[row] > 0 and missing_columns[column] > 0:
                cells[row, column] += 1
                missing_rows[row] -= 1
                missing_columns[column] -= 1
    return cells


def assign_groups(keys: np.ndarray, groups: np.ndarray, sizes: Mapping[str, int]) -> np.ndarray:
    """As `assign_rows`, with all rows of a group in one split.

    A split ends after the group with which it is nearest to its size.

    Args:
        keys: (groups,) hashes that order the groups.
        groups: (rows,) the group of each row, numbered from 0.
        sizes: Split -> number of rows.
    """
    group_sizes = np.bincount(groups, minlength=len(keys))
    order = np.argsort(keys, kind="stable")
    ends = np.concatenate([[0], np.cumsum(group_sizes[order])])
    split_of_group = np.full(len(keys), -1)
    start = 0
    for index, bound in enumerate(np.cumsum(list(sizes.values()))):
        stop = int(np.argmin(np.abs(ends - bound)))
        if stop <= start:
            raise DataError(
                f"split: {len(keys)} groups cannot make splits of {dict(sizes)} rows without "
                "splitting a group. Give other shares, or a column with smaller groups."
            )
        split_of_group[order[start:stop]] = index
        start = stop
    return split_of_group[groups]


def value_key(value: Any, seed: int) -> int:
    """A hash of a value and a seed, the same on every machine.

    Args:
        value: A text, a number, or what JSON holds.
        seed: Other seeds give other hashes.
    """
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    digest = hashlib.blake2b(f"{seed}\0{text}".encode("utf-8", "replace"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


def row_keys(rows: datasets.Dataset, seed: int) -> np.ndarray:
    """(rows,) a hash of the content of each row.

    Args:
        rows: The rows.
        seed: Other seeds give other hashes.
    """
    keys = np.empty(len(rows), dtype=np.uint64)
    start = 0
    # images and sounds as they are stored; rows as they were written, whatever others hold
    for block in rows.with_format("arrow").iter(1000):
        for index, row in enumerate(block.to_pylist(), start):
            keys[index] = value_key(as_held(row), seed)
        start += len(block)
    return keys


def number_values(
    values: Sequence[Any], column: str, place_of: Callable[[int], str]
) -> tuple[np.ndarray, list[Any]]:
    """Number equal values from 0.

    Args:
        values: The values of a column.
        column: Its name, for messages.
        place_of: Where the row of an index is, for messages.

    Returns:
        (rows,) the numbers, and the values in the order of their numbers.

    Raises:
        DataError: A value is missing.
    """
    numbers: dict[Any, int] = {}
    indices = np.empty(len(values), dtype=np.int64)
    for index, value in enumerate(values):
        is_nan = isinstance(value, float) and math.isnan(value)
        is_blank = isinstance(value, str) and not value.strip()
        if value is None or is_blank or is_nan:
            raise DataError(
                f"{place_of(index)} has no value in the column {column!r}. Fill it in, or drop the "
                "row with the source's `where`."
            )
        hashable = value if isinstance(value, str | int | float) else json.dumps(value, default=str)
        indices[index] = numbers.setdefault(hashable, len(numbers))
    return indices, list(numbers)
