"""Which rows of a stored table are read: computed once for a state of the table."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import datasets

_MOST = 64  # selections that are remembered
_selections: OrderedDict[Any, np.ndarray] = OrderedDict()


def chosen_indices(
    rows: datasets.Dataset, key: tuple[Any, ...], choose: Callable[[], np.ndarray]
) -> np.ndarray:
    """The indices of some rows, in their order.

    The choice is remembered where the dataset is a cached file, whose name changes with its rows.

    Args:
        rows: The dataset.
        key: What the choice depends on, beside the rows.
        choose: Computes the indices.
    """
    files = tuple(file["filename"] for file in rows.cache_files)
    if not files or rows._indices is not None:
        return np.sort(choose())
    full_key = (files, key)
    try:
        is_known = full_key in _selections
    except TypeError:  # a function object that cannot be hashed
        return np.sort(choose())
    if not is_known:
        _selections[full_key] = np.sort(choose())
        if len(_selections) > _MOST:
            _selections.popitem(last=False)
    return _selections[full_key]
