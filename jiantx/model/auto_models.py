"""What transformers' auto classes load of a saved model: its encoder, or one task's model."""

from __future__ import annotations

import os
from typing import Any

from transformers import AutoModel, PreTrainedModel

from jiantx.model.config import MultitaskConfig
from jiantx.model.declarations import saved_task
from jiantx.model.export import AUTO_CLASSES
from jiantx.model.model import MultitaskModel


class SavedEncoder:
    """The plain encoder of a saved multi-task model, without its heads.

    `AutoModel` gives the encoder of other checkpoints too, whatever heads they have.
    """

    config_class = MultitaskConfig

    @classmethod
    def from_pretrained(
        cls,
        path: str | os.PathLike[str],
        *args: Any,
        config: MultitaskConfig | None = None,
        output_loading_info: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Load the encoder, which reads padded batches as any other.

        Args:
            path: Hub id or folder.
            *args: None.
            config: Read from the folder, with what the caller asked for.
            output_loading_info: Return a pair, with an empty dictionary.
            **kwargs: As of `MultitaskModel.from_pretrained`.

        Raises:
            ValueError: Labels are asked for, and an encoder has none.
        """
        encoder = MultitaskModel.from_pretrained(path, padding_free=False, **kwargs).encoder
        _set_outputs(encoder, config)
        if _asked_labels(config) is not None:
            raise ValueError("num_labels, id2label: the encoder of a multi-task model has none.")
        return (encoder, {}) if output_loading_info else encoder

    @classmethod
    def _from_config(cls, config: MultitaskConfig, **kwargs: Any) -> PreTrainedModel:
        return MultitaskModel(config).encoder


class SavedTaskModel:
    """The `AutoModelFor…` of a saved multi-task model's only task of a type."""

    config_class = MultitaskConfig
    task_types: tuple[str, ...] = ()

    @classmethod
    def from_pretrained(
        cls,
        path: str | os.PathLike[str],
        *args: Any,
        config: MultitaskConfig | None = None,
        output_loading_info: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Load the model, and make what `MultitaskModel.to_transformers` makes.

        Args:
            path: Hub id or folder.
            *args: None.
            config: Read from the folder, with what the caller asked for: other names of the labels,
                or hidden states and attentions as outputs.
            output_loading_info: Return a pair, with an empty dictionary.
            **kwargs: As of `MultitaskModel.from_pretrained`.

        Raises:
            LookupError: No task of the model fits, or several do.
            ValueError: Another number of labels is asked for.
        """
        model = MultitaskModel.from_pretrained(path, padding_free=False, **kwargs)
        heads = model.config.heads
        fitting = {
            name: entry
            for name, entry in model.config.tasks.items()
            if heads[entry["head"]]["type"] in cls.task_types
        }
        if len(fitting) != 1:
            raise LookupError(
                f"The class is for one task of type {' or '.join(cls.task_types)}, and "
                f"{os.fspath(path)} has {len(fitting)} that fit: {', '.join(fitting) or '–'}. "
                "Choose one: jx.load(folder).pipeline(kind, task=…), or "
                "model.to_transformers(task)."
            )
        ((name, entry),) = fitting.items()
        plain, _ = model.to_transformers(saved_task(name, entry, heads[entry["head"]]))
        _set_outputs(plain, config)
        labels = _asked_labels(config)
        if labels is not None:
            if len(labels) != plain.config.num_labels:
                raise ValueError(
                    f"{len(labels)} labels are asked for, and the head of {name} has "
                    f"{plain.config.num_labels}. To train another head, load the encoder: "
                    f"AutoModel.from_pretrained({os.fspath(path)!r})."
                )
            if config is not None and not _are_default(labels):
                plain.config.id2label = labels
                plain.config.label2id = config.label2id
        return (plain, {}) if output_loading_info else plain


def _set_outputs(model: PreTrainedModel, config: MultitaskConfig | None) -> None:
    """Let a loaded model have the settings of its outputs that a caller put into the config."""
    if config is None:
        return
    attention = config._attn_implementation
    if config.output_attentions and not attention:
        attention = "eager"  # the others return none
    if attention:
        model.set_attn_implementation(attention)
    for name in ("output_hidden_states", "output_attentions"):
        if getattr(config, name):
            setattr(model.config, name, True)


def _asked_labels(config: MultitaskConfig | None) -> dict[int, str] | None:
    """The labels that a caller put into the config; None if it is as saved."""
    if config is None or config.id2label == MultitaskConfig().id2label:
        return None
    labels: dict[int, str] = config.id2label
    return labels


def _are_default(labels: dict[int, str]) -> bool:
    """Whether transformers made the names, of their number."""
    return all(name == f"LABEL_{index}" for index, name in labels.items())


def _register() -> None:
    """Tell transformers which class loads a saved multi-task model for each of its auto classes."""
    AutoModel.register(MultitaskConfig, SavedEncoder)
    types_of: dict[Any, tuple[str, ...]] = {}
    for task_type, auto_class in AUTO_CLASSES.items():
        types_of[auto_class] = (*types_of.get(auto_class, ()), task_type)
    for auto_class, task_types in types_of.items():
        name = auto_class.__name__.replace("Auto", "Saved")
        auto_class.register(
            MultitaskConfig, type(name, (SavedTaskModel,), {"task_types": task_types})
        )


_register()
