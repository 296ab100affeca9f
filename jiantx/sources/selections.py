"""Which rows of a stored table are read: computed once for a state of the table."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from jiantx.fingerprints import UncacheableError, fingerprint_text

if TYPE_CHECKING:
    import datasets

_MOST = 64  # selections that are remembered
_selections: OrderedDict[tuple[str, str], np.ndarray] = OrderedDict()


def chosen_indices(
    rows: datasets.Dataset, key: tuple[Any, ...], choose: Callable[[], np.ndarray]
) -> np.ndarray:
    """The indices of some rows, in their order.

    The choice is remembered for the dataset's fingerprint: a part of a file has another than the
    file, and rows in memory have their own.

    Args:
        rows: The dataset.
        key: What the choice depends on, beside the rows. A function counts with what it uses.
        choose: Computes the indices.
    """
    try:
        full_key = (rows._fingerprint, fingerprint_text(key))
    except UncacheableError:
        return np.sort(choose())
    if full_key not in _selections:
        _selections[full_key] = np.sort(choose())
        if len(_selections) > _MOST:
            _selections.popitem(last=False)
    return _selections[full_key]
