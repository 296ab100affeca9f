"""The precision of losses and sums, whatever that of the states."""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(values: Tensor) -> Tensor:
    """Numbers of half precision in float32, what losses and sums need; others as they are.

    Args:
        values: Of any shape.

    >>> full_precision(torch.ones(1, dtype=torch.bfloat16)).dtype
    torch.float32
    >>> full_precision(torch.ones(1, dtype=torch.float64)).dtype
    torch.float64
    """
    return values if values.dtype == torch.float64 else values.float()
