"""Half precision: who asks for it, and whether the processor is fast at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from transformers.utils import logging

from jiantx.fields import check_choice

logger = logging.get_logger("jiantx.half_precision")


def half_precision(arguments: Mapping[str, Any]) -> torch.dtype | None:
    """The half precision that `TrainingArguments` ask for in evaluations.

    Args:
        arguments: Name -> value.

    Returns:
        The dtype; None if they ask for none.
    """
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        if arguments.get(name) or arguments.get(f"{name}_full_eval"):
            return dtype
    return None


def forget_training_precision(model: Any) -> None:
    """Give a model its own `forward` again: accelerate leaves one in the last training's precision.

    Without it, a second trainer would train in the precision of the first one.

    Args:
        model: A model, perhaps with PEFT's adapters around it.
    """
    for inner in _with_base(model):
        if "_original_forward" in vars(inner):
            vars(inner).pop("_original_forward")
            vars(inner).pop("forward", None)
        vars(inner).pop("_is_accelerate_prepared", None)


@contextmanager
def without_training_precision(model: Any) -> Iterator[None]:
    """Run the own `forward` of a model that was trained, inside the block.

    Args:
        model: A model, perhaps with PEFT's adapters around it.
    """
    forwards = {}
    for inner in _with_base(model):
        if "_original_forward" in vars(inner):
            forwards[inner] = vars(inner).pop("forward")
    try:
        yield
    finally:
        for inner, forward in forwards.items():
            inner.forward = forward


def _with_base(model: Any) -> list[Any]:
    """A model, and the one that PEFT's adapters are around."""
    return [model, model.get_base_model()] if hasattr(model, "get_base_model") else [model]


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    """Compute in half precision inside the block.

    Args:
        device: Of the model.
        dtype: None computes as the caller does.

    Raises:
        ValueError: The dtype is no half precision.
    """
    check_choice("dtype", dtype, (None, torch.bfloat16, torch.float16))
    if dtype is None:
        return nullcontext()
    warn_if_slow(device, dtype)
    return torch.autocast(device.type, dtype=dtype)


def multiplies_fast(device: torch.device, dtype: torch.dtype | None) -> bool:
    """Whether matrix products of a dtype are as fast as those of float32, or faster.

    Args:
        device: Where they are computed.
        dtype: None for float32.
    """
    if device.type != "cpu" or dtype in (None, torch.float32):
        return True
    # what torch itself asks before it hands a product to its fast library; it has no public name
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())


def warn_if_slow(device: torch.device, dtype: torch.dtype | None) -> None:
    """Warn once if a half precision would slow a model down many times over.

    Args:
        device: Of the model.
        dtype: None for none.
    """
    if not multiplies_fast(device, dtype):
        name = str(dtype).removeprefix("torch.")
        logger.warning_once(
            f"This processor has no fast matrix products in {name}: they take many times as long "
            "as in float32. Leave the half precision out here."
        )
