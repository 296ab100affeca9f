"""Casts to half precision that several layers share.

Autocast keeps the weights that it has cast, but casts the input of a linear layer for each layer
anew: three times where queries, keys and values read the same states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def shared_casts(encoder: nn.Module) -> Iterator[None]:
    """Cast the states that consecutive linear layers read once, inside the block.

    It applies under autocast on a CPU, where the casts show. What a layer computes stays the same;
    gradients of the layers are added up in half precision.

    Args:
        encoder: Whose linear layers run in the block.
    """
    if not _applies(encoder):
        yield
        return
    cast = _LastCast(torch.get_autocast_dtype("cpu"))
    handles = []
    for module in encoder.modules():
        if type(module) is nn.Linear:  # a subclass may read its input in its own precision
            handles.append(module.register_forward_pre_hook(cast))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _applies(encoder: nn.Module) -> bool:
    """Whether linear layers run under autocast on a CPU, each once, and by Python.

    Checkpointed layers run again after the block, and hooks would break the graphs of compiled
    ones.
    """
    if not torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
        return False
    modules = list(encoder.modules())
    parameter = next(encoder.parameters(), None)
    return (
        parameter is not None
        and parameter.device.type == "cpu"
        and not any(getattr(module, "gradient_checkpointing", False) for module in modules)
        and not any(module._compiled_call_impl is not None for module in modules)
    )


class _LastCast:
    """A pre-hook of linear layers that casts their input, unless the layer before read the same.

    Args:
        dtype: Of autocast.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.source: Tensor | None = None
        self.version = 0
        self.cast: Tensor | None = None

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not args or not _is_castable(args[0]):
            return None
        states: Tensor = args[0]
        if states is not self.source or states._version != self.version:
            self.source = states
            self.version = states._version
            self.cast = states.to(self.dtype)
        return (self.cast, *args[1:])


def _is_castable(states: Any) -> bool:
    """Whether autocast would cast an input, and the input says whether it changed since.

    Tensors of inference mode do not say it.
    """
    return (
        isinstance(states, Tensor) and states.dtype == torch.float32 and not states.is_inference()
    )
