"""Several models on one encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jiantx.model.config import MultitaskConfig
from jiantx.model.head_configs import head_configs
from jiantx.model.model import MultitaskModel
from jiantx.task import Task


def with_new_heads(
    model: MultitaskModel, tasks: Sequence[Task], *, layer_mix: Any = None
) -> MultitaskModel:
    """Make a model with new heads on the encoder of another one, which keeps its own heads.

    Args:
        model: Whose encoder, tokenizer and stored states the new model shares.
        tasks: That get a head.
        layer_mix: As of `MultitaskModel.from_pretrained`.
    """
    shared = MultitaskModel(MultitaskConfig(encoder=model.encoder.config), encoder=model.encoder)
    shared._replace_heads(head_configs(tasks), layer_mix, keep=False)
    shared._declare_tasks(tasks, keep_languages=False)
    if model.tokenizer is not None:
        shared._set_tokenizer(model.tokenizer)
    shared._padded_attention = model._padded_attention
    shared.set_padding_free(model.padding_free)
    shared.stored_states = model.stored_states
    shared._is_frozen = model._is_frozen
    return shared.eval()
