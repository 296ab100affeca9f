"""Which heads tasks need, and whether a model's heads fit them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from jiantx.heads import HEADS, Head, mixed_layers
from jiantx.task import Task

# entries of a head's config that follow from the model, not from the task
_OF_ENCODER = ("cls_pooling", "form", "layer_mix")
_LAYER = ("layer", "depth")  # entries that choose the layer which is read


def build_head(encoder: PreTrainedConfig, name: str, config: Mapping[str, Any]) -> Head:
    """Make a head with random weights.

    Args:
        encoder: The encoder's config.
        name: Of the head.
        config: Of the head.

    Raises:
        LookupError: The task type is not registered.
        ValueError: The config does not fit a task type.
    """
    if config.get("type") not in HEADS:
        raise LookupError(
            f"The head {name!r} is of the task type {config.get('type')!r}, which is not "
            f"registered here. Import the module that calls jx.register_head("
            f"{config.get('type')!r}, …) first. Known: {', '.join(HEADS)}."
        )
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


def head_for(task: Task, encoder: PreTrainedConfig, heads: Any, *, exact: bool = False) -> Head:
    """The head of a task, with its settings.

    Args:
        task: The task.
        encoder: The encoder's config.
        heads: The model's heads by name.
        exact: Refuse other settings than the model's head has.

    Raises:
        LookupError: There is no such head.
        ValueError: The head has other labels or settings than the task.
    """
    name = task.head_name
    if name not in heads:
        raise LookupError(
            f"The model has no head {name!r} for task {task.name!r}. "
            f"It has: {', '.join(heads)}. "
            "Name the task in MultitaskModel.from_pretrained(path, tasks)."
        )
    return fitted_head(encoder, name, _own_head(heads[name]), task.head_config(), exact=exact)


def _own_head(head: Any) -> Any:
    """The head that runs, where PEFT keeps the original and those of its adapters."""
    of_adapters = getattr(head, "modules_to_save", None)
    if of_adapters is None:
        return head
    active_names = [name for name in head.active_adapters if name in of_adapters]
    is_original = head.disable_adapters or not active_names
    return head.original_module if is_original else of_adapters[active_names[0]]


def fitted_head(
    encoder: PreTrainedConfig,
    name: str,
    head: Any,
    head_config: Mapping[str, Any],
    *,
    exact: bool = False,
) -> Head:
    """The model's head with a task's settings.

    Args:
        encoder: The encoder's config.
        name: Of the head.
        head: The model's.
        head_config: The task's; perhaps with the `layer_mix` that is asked for.
        exact: Refuse other settings than the head's.

    Returns:
        The head itself if it has these settings; else another with the same parameters.

    Raises:
        ValueError: The labels of the one would be taken for those of the other, or parameters would
            be lost.
    """
    of_encoder = {key: value for key, value in head.config.items() if key in _OF_ENCODER}
    saved_config = {key: value for key, value in head.config.items() if key not in _OF_ENCODER}
    layers = of_encoder.get("layer_mix")
    if head_config.get("layer_mix", layers) != layers:
        raise ValueError(
            f"The model's head {name!r} reads {_describe_mix(layers)}, and "
            f"{_describe_mix(head_config['layer_mix'])} is asked for. Load the model with "
            'heads="new", or leave `layer_mix` out.'
        )
    head_config = {key: value for key, value in head_config.items() if key != "layer_mix"}
    if saved_config == head_config:
        fitted: Head = head
        return fitted
    other_layer = [key for key in _LAYER if head_config.get(key) != saved_config.get(key)]
    if layers is not None and other_layer:
        raise ValueError(
            f"The model's head {name!r} reads {_describe_mix(layers)}, so that "
            f"{other_layer[0]}={head_config[other_layer[0]]!r} would change nothing. Leave it out, "
            'or load the model with heads="new" and without `layer_mix`.'
        )
    problem = f"The model's head {name!r} is {saved_config}, the task's is {dict(head_config)}. "
    if {**saved_config, **{key: head_config.get(key) for key in head.settings}} == head_config:
        with torch.device("meta"):
            fitted = build_head(encoder, name, {**head_config, **of_encoder})
        if dict(fitted.named_parameters()).keys() == dict(head.named_parameters()).keys():
            if exact:
                raise ValueError(
                    f"{problem}Save the model and load it with from_pretrained(folder, tasks), "
                    "which keeps the parameters."
                )
            for path, parameter in head.named_parameters():
                owner, _, leaf = path.rpartition(".")
                setattr(fitted.get_submodule(owner), leaf, parameter)
            return fitted.train(head.training)
    if {**saved_config, "labels": head_config.get("labels")} == head_config:
        problem += (
            "If this task read its labels from other rows than the training did, give it the "
            "head's: task.replace(labels=…). Otherwise: "
        )
    raise ValueError(
        f'{problem}Load the model with heads="new", or give the task another `head` name.'
    )


def with_layer_mix(
    head_configs: Mapping[str, Mapping[str, Any]], layers: Any, encoder: PreTrainedConfig
) -> dict[str, dict[str, Any]]:
    """Let heads read a mix of layers.

    Args:
        head_configs: Head name -> config.
        layers: "all", or the layers; None leaves the heads as they are.
        encoder: The encoder's config.

    Raises:
        ValueError: The encoder has no such layers.
    """
    if layers is None:
        return {name: dict(config) for name, config in head_configs.items()}
    mixed = mixed_layers(layers, encoder.num_hidden_layers)
    return {name: {**config, "layer_mix": mixed} for name, config in head_configs.items()}


def _describe_mix(layers: Sequence[int] | None) -> str:
    return "one layer without a mix" if layers is None else f"a mix of the layers {list(layers)}"


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
