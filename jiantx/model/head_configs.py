"""Which heads tasks need, and whether a model's heads fit them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from jiantx.heads import HEADS, Head
from jiantx.task import Task


def build_head(encoder: PreTrainedConfig, name: str, config: Mapping[str, Any]) -> Head:
    """Make a head with random weights.

    Args:
        encoder: The encoder's config.
        name: Of the head.
        config: Of the head.

    Raises:
        ValueError: The config does not fit a task type.
    """
    try:
        return HEADS[config["type"]](encoder, config)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"The head {name!r} cannot be made from its config, {dict(config)}: {error!r}."
        ) from error


def head_configs(tasks: Sequence[Task]) -> dict[str, dict[str, Any]]:
    """Head name -> config of the heads that tasks need, sorted by name.

    Raises:
        ValueError: Two tasks share a head but need different ones.
    """
    first_task: dict[str, Task] = {}
    for task in tasks:
        first = first_task.setdefault(task.head_name, task)
        if first.head_config() != task.head_config():
            raise ValueError(
                f"Tasks {first.name!r} and {task.name!r} share the head {task.head_name!r}, but "
                f"need different ones: {first.head_config()} and {task.head_config()}. Give one of "
                "them another `head` name."
            )
    # sorted: an optimizer's state follows this order, and so does a saved config
    return {name: first_task[name].head_config() for name in sorted(first_task)}


def check_fits(name: str, head: Any, head_config: Mapping[str, Any]) -> None:
    """Check that a task needs the head that the model has.

    Args:
        name: Of the head.
        head: The model's.
        head_config: The task's.

    Raises:
        ValueError: The labels of the one would be taken for those of the other.
    """
    saved_config = {key: value for key, value in head.config.items() if key != "cls_pooling"}
    if saved_config != head_config:
        raise ValueError(
            f"The model's head {name!r} is {saved_config}, the task's is {dict(head_config)}. "
            'Load the model with heads="new", or give the task another `head` name.'
        )


def cls_pooling(tokenizer: PreTrainedTokenizerBase, *, is_causal: bool) -> str:
    """Which state stands for a text.

    Args:
        tokenizer: The encoder's.
        is_causal: The first token of the encoder sees no other.

    Returns:
        "mean" if the tokenizer has no CLS token (T5's, GPT-2's); "last" if the encoder is causal or
        the tokenizer puts CLS last (XLNet's); else "cls", the first.
    """
    if tokenizer.cls_token_id is None:
        return "mean"
    sample = tokenizer("a")["input_ids"]
    cls_is_last = sample[-1] == tokenizer.cls_token_id != sample[0]
    return "last" if is_causal or cls_is_last else "cls"
