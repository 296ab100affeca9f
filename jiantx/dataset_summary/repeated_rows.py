"""Rows with equal inputs: inside a split, in two splits, with different labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Overlap:
    """Rows of a split whose inputs another split has too, in one language.

    Args:
        split: The split whose rows are counted.
        other: The split that has the same inputs.
        language: Their language.
        rows: How many rows of `split`.
        share: Of all rows of `split`, in per cent.
        indices: (rows,) their indices in `split`.
        other_index: The first row of `other` that has the inputs of the first of them.
    """

    split: str
    other: str
    language: str
    rows: int
    share: float
    indices: np.ndarray = field(repr=False)
    other_index: int


def number_keys(keys: Mapping[str, pa.ChunkedArray]) -> dict[str, np.ndarray]:
    """Number equal keys from 0 over all splits.

    Args:
        keys: Split -> a text for each row.

    Returns:
        Split -> (rows,) numbers.
    """
    import pyarrow as pa

    chunks: list[Any] = []
    for of_split in keys.values():
        chunks += of_split.chunks
    together = pa.chunked_array(chunks, pa.large_string()).combine_chunks()
    if isinstance(together, pa.ChunkedArray):  # of no chunks
        together = pa.array([], pa.large_string())
    numbers = together.dictionary_encode().indices.to_numpy()
    bounds = np.cumsum([len(of_split) for of_split in keys.values()])[:-1]
    return dict(zip(keys, np.split(numbers, bounds)))


def repeated_count(numbers: np.ndarray) -> int:
    """How many rows repeat an earlier one."""
    return len(numbers) - len(np.unique(numbers))


def find_overlaps(numbers: Mapping[str, np.ndarray], language: str) -> list[Overlap]:
    """The overlap of each split with each split before it.

    Args:
        numbers: Split -> numbers of its rows' inputs.
        language: Their language.
    """
    overlaps = []
    splits = list(numbers)
    for position, split in enumerate(splits):
        for other in splits[:position]:
            indices = np.flatnonzero(np.isin(numbers[split], numbers[other]))
            if len(indices):
                first = numbers[split][indices[0]]
                other_index = int(np.flatnonzero(numbers[other] == first)[0])
                share = 100 * len(indices) / len(numbers[split])
                overlap = Overlap(split, other, language, len(indices), share, indices, other_index)
                overlaps.append(overlap)
    return overlaps


def conflicting_count(numbers: np.ndarray, labels: np.ndarray) -> int:
    """How many inputs occur with more than one label.

    Args:
        numbers: (rows,) numbers of inputs.
        labels: (rows,) numbers of labels, -1 for none.
    """
    labelled = labels >= 0
    pairs = np.unique(np.stack([numbers[labelled], labels[labelled]]), axis=1)
    _, label_counts = np.unique(pairs[0], return_counts=True)
    return int((label_counts > 1).sum())
