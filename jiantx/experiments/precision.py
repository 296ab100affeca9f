"""The flag `--dtype`: one word for the arguments that choose a precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

PRECISIONS = ("float32", "bfloat16", "float16")
_ARGUMENT = {"bfloat16": "bf16", "float16": "fp16"}  # dtype -> `TrainingArguments`
_PRECISION_ARGUMENTS = ("bf16", "fp16", "bf16_full_eval", "fp16_full_eval")


def precision_arguments(dtype: str | None, values: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return the `TrainingArguments` that a precision stands for.

    Args:
        dtype: One of `PRECISIONS`; None leaves all to `values`.
        values: `TrainingArguments` that were typed, by name.
        kind: The kind of training that they are for: "intermediate" or "target".

    Returns:
        Name -> value. On a machine without a GPU, half precision needs `use_cpu`.

    Raises:
        ValueError: An argument asks for another precision, or the machine cannot compute in it.
    """
    if dtype is None:
        return {}
    argument = _ARGUMENT.get(dtype, "")
    for name in _PRECISION_ARGUMENTS:
        # evaluations have the precision of the training, whether they ask for it or not
        is_implied = argument != "" and name == f"{argument}_full_eval"
        if name in values and not is_implied and values[name] != (name == argument):
            raise ValueError(
                f"--dtype {dtype} contradicts --{kind}.{name} {str(values[name]).lower()}. "
                "Leave out one of them."
            )
    if not argument:
        return {}
    on_cpu = values.get("use_cpu", False) or not torch.cuda.is_available()
    if dtype == "float16" and on_cpu:
        raise ValueError("--dtype float16 needs a GPU. On a CPU, use --dtype bfloat16.")
    return {argument: True, "use_cpu": True} if on_cpu else {argument: True}
