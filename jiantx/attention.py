"""Attention without padding, for any encoder that follows transformers' AttentionInterface.

The sequences of a batch stand one after the other in one row, and each attends to itself alone.
There is no list of encoders that can run this way: `encoder_traits` tests each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import (
    MODEL_FOR_TEXT_ENCODING_MAPPING,
    AutoModel,
    AutoModelForTextEncoding,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.masking_utils import AttentionMaskInterface
from transformers.modeling_utils import AttentionInterface

from jiantx.attention_blocks import BlockLayout, attend_in_blocks, block_layout
from jiantx.attention_products import attend_by_products

NAME = "jiantx_flat"


@dataclass
class SequenceLayout:
    """Where the sequences of a flat batch are.

    Args:
        lengths: (sequences,) tokens of each sequence.
        longest: The largest length.

    Attributes:
        bounds: (sequences + 1,) int32, where sequences begin and end, as `varlen_attn` takes them.
    """

    lengths: Tensor
    longest: int

    def __post_init__(self) -> None:
        # here and not on first use: that would be inside a compiled layer, and a `cached_property`
        # breaks its graph
        ends = self.lengths.cumsum(0, dtype=torch.int32)
        self.bounds = torch.nn.functional.pad(ends, (1, 0))

    @cached_property
    def sizes(self) -> list[int]:
        """The lengths as integers.

        On a GPU this waits for the device, so half precision, which has a kernel, does not read it.
        """
        return self.lengths.tolist()

    @cached_property
    def blocks(self) -> BlockLayout:
        """Blocks of like length, made once for all layers."""
        return block_layout(self.sizes, self.lengths.device)


@dataclass
class _CallCounter:
    """How often `flat_attention` ran since `count_calls` began; `active` only inside the probe."""

    active: bool = False
    calls: int = 0


_counter = _CallCounter()


@contextmanager
def count_calls() -> Iterator[_CallCounter]:
    """Count the calls of `flat_attention` inside the block."""
    _counter.active = True
    _counter.calls = 0
    try:
        yield _counter
    finally:
        _counter.active = False


def flat_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    sequences: SequenceLayout | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention inside each sequence, with the signature of transformers' attention functions.

    Attention probabilities are not dropped out: `varlen_attn` cannot, and all devices must compute
    the same.

    Args:
        module: The layer's attention module.
        query: (1, heads, tokens, size).
        key: Likewise; fewer heads serve groups of the query's.
        value: As `key`.
        attention_mask: Ignored.
        scaling: Factor of the scores; 1 / sqrt(size) if None.
        dropout: Ignored.
        sliding_window: A token attends to tokens less than so many away; to all if None.
        sequences: Where the sequences are.
        kwargs: Ignored.

    Returns:
        (1, tokens, heads, size), and None for the probabilities.

    Raises:
        ValueError: The model was run without `sequences`.
    """
    if sequences is None:
        raise ValueError(
            f"{type(module).__name__} ran flat attention, but was not told where the sequences lie."
        )
    # not while compiling: a compiled layer would be compiled again for each count
    if not torch.compiler.is_compiling() and _counter.active:
        _counter.calls += 1
    group_size = query.shape[1] // key.shape[1]
    if group_size > 1:
        key = key.repeat_interleave(group_size, dim=1)
        value = value.repeat_interleave(group_size, dim=1)
    if _has_kernel(query):
        from torch.nn.attention.varlen import varlen_attn

        q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))  # (tokens, heads, size)
        reach = -1 if sliding_window is None else sliding_window - 1
        bounds = sequences.bounds
        longest = sequences.longest
        states: Any = varlen_attn(
            q,
            k,
            v,
            bounds,
            bounds,
            longest,
            longest,
            scale=scaling,
            window_size=(reach, reach),
        )
        return states[None], None
    attend = _attend_in_blocks if _runs_in_blocks(query) else _attend_per_sequence
    return attend(query, key, value, sequences, scaling, sliding_window), None


@torch.compiler.disable  # type: ignore[untyped-decorator]  # as below
def _attend_in_blocks(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    sequences: SequenceLayout,
    scaling: float | None,
    window: int | None,
) -> Tensor:
    """(1, tokens, heads, size), sequences of like length together."""
    return attend_in_blocks(query, key, value, sequences.blocks, scaling, window)


@torch.compiler.disable  # type: ignore[untyped-decorator]  # a graph would hold for these lengths alone
def _attend_per_sequence(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    sequences: SequenceLayout,
    scaling: float | None,
    window: int | None,
) -> Tensor:
    """(1, tokens, heads, size), one sequence after the other.

    Only a CPU runs this."""
    hides_nothing = window is None or sequences.longest <= window
    if query.dtype == torch.bfloat16 and hides_nothing:
        return attend_by_products(query, key, value, sequences.sizes, scaling)
    queries, keys, values = (torch.split(x, sequences.sizes, dim=2) for x in (query, key, value))
    attended = []
    for q, k, v in zip(queries, keys, values, strict=True):
        mask = _sliding_window_mask(q.shape[2], window, q.device)
        attended.append(scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scaling))
    return torch.cat(attended, dim=2).transpose(1, 2)


def _has_kernel(query: Tensor) -> bool:
    """Whether `varlen_attn` can compute it."""
    return query.is_cuda and query.dtype in (torch.float16, torch.bfloat16)


def _runs_in_blocks(query: Tensor) -> bool:
    """Whether a kernel for each sequence would take longer than padding: not so on a CPU."""
    return query.device.type != "cpu"


def _sliding_window_mask(length: int, window: int | None, device: torch.device) -> Tensor | None:
    """(length, length), True where a token attends; None if it attends to all."""
    if window is None or length <= window:
        return None
    positions = torch.arange(length, device=device)
    return (positions[:, None] - positions).abs() < window


AttentionInterface.register(NAME, flat_attention)
AttentionMaskInterface.register(NAME, lambda *args, **kwargs: None)  # no mask keeps sequences apart


# --- any encoder ----------------------------------------------------------------------------------


def encoder_class(config: PreTrainedConfig) -> type[PreTrainedModel]:
    """The class of a config's encoder: the text encoder if there is one (T5), else the base model.

    Raises:
        ValueError: transformers knows no encoder with such a config.
    """
    is_text_encoder = type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING
    auto_class = AutoModelForTextEncoding if is_text_encoder else AutoModel
    if type(config) not in auto_class._model_mapping:
        raise ValueError(
            f"{type(config).__name__} is the config of no encoder that transformers knows."
        )
    classes = auto_class._model_mapping[type(config)]
    if not isinstance(classes, tuple):
        return classes
    # a family with several (Funnel): the checkpoint's own, else the first, as in transformers
    by_name = {encoder_type.__name__: encoder_type for encoder_type in classes}
    own_names = [name for name in config.architectures or () if name in by_name]
    return by_name[own_names[0]] if own_names else classes[0]


def text_encoder(model: PreTrainedModel) -> Any:
    """The module that reads the text: the encoder of an encoder-decoder (BART), else the model."""
    return model.get_encoder() if model.config.is_encoder_decoder else model


def padding_id(config: PreTrainedConfig) -> int:
    """The token id that fills padded rows: 0 if the config has none, or -1 for none."""
    return max(config.pad_token_id or 0, 0)


def layers_of(encoder: PreTrainedModel) -> torch.nn.ModuleList | None:
    """The encoder's layers in order, or None if it has no such list (ALBERT shares one layer)."""
    return next(iter(layer_lists(encoder)), None)


def layer_lists(encoder: PreTrainedModel) -> list[torch.nn.ModuleList]:
    """The lists that have an entry for each layer: one, or several that hold a layer's parts."""
    depth = encoder.config.num_hidden_layers
    lists: list[torch.nn.ModuleList] = []
    inner_ids: set[int] = set()  # of what is in a list already
    for module in text_encoder(encoder).modules():
        is_list = isinstance(module, torch.nn.ModuleList) and len(module) == depth
        if is_list and id(module) not in inner_ids:
            lists.append(module)
            inner_ids |= {id(inner) for inner in module.modules()}
    return lists
