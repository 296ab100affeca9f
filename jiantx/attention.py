"""Attention without padding, for any encoder that follows transformers' AttentionInterface.

The sequences of a batch stand one after the other in one row, and each attends to itself alone.
There is no list of encoders that can run this way: each is tested on a small twin."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import (
    MODEL_FOR_TEXT_ENCODING_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForTextEncoding,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.masking_utils import AttentionMaskInterface
from transformers.modeling_utils import AttentionInterface

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
        """The lengths as integers; on a GPU this waits for the device, so only the CPU reads it."""
        return self.lengths.tolist()


@dataclass
class _CallCounter:
    """How often `flat_attention` ran since `_count_calls` began; `active` only inside the probe."""

    active: bool = False
    calls: int = 0


_counter = _CallCounter()


@contextmanager
def _count_calls() -> Iterator[_CallCounter]:
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
        key: Likewise.
        value: Likewise.
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
    return _attend_per_sequence(query, key, value, sequences, scaling, sliding_window), None


@torch.compiler.disable  # type: ignore[untyped-decorator]  # a graph would hold for these lengths alone
def _attend_per_sequence(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    sequences: SequenceLayout,
    scaling: float | None,
    window: int | None,
) -> Tensor:
    """(1, tokens, heads, size), one sequence after the other."""
    queries, keys, values = (torch.split(x, sequences.sizes, dim=2) for x in (query, key, value))
    attended = []
    for q, k, v in zip(queries, keys, values, strict=True):
        mask = _sliding_window_mask(q.shape[2], window, q.device)
        attended.append(_attend(q, k, v, mask, scaling))
    return torch.cat(attended, dim=2).transpose(1, 2)


def _attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float | None
) -> Tensor:
    """Attention of one sequence.

    On a CPU in bfloat16 by plain products, as the backward pass of torch's fused form is slow
    there."""
    if mask is None and query.dtype == torch.bfloat16 and not query.is_cuda:
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        scores = (query * scale) @ key.transpose(-1, -2)
        return scores.softmax(dim=-1) @ value
    return scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)


def _has_kernel(query: Tensor) -> bool:
    """Whether `varlen_attn` can compute it."""
    return query.is_cuda and query.dtype in (torch.float16, torch.bfloat16)


def _sliding_window_mask(length: int, window: int | None, device: torch.device) -> Tensor | None:
    """(length, length), True where a token attends; None if it attends to all."""
    if window is None or length <= window:
        return None
    positions = torch.arange(length, device=device)
    return (positions[:, None] - positions).abs() < window


AttentionInterface.register(NAME, flat_attention)
AttentionMaskInterface.register(NAME, lambda *args, **kwargs: None)  # no mask keeps sequences apart


# --- the probe ------------------------------------------------------------------------------------


def probe_flat_attention(config: PreTrainedConfig) -> int | None:
    """Test whether an encoder can run without padding. Tested once for each config.

    The test builds a two-layer float32 twin of the encoder and runs it both ways: `flat_attention`
    must have run once a layer, and all states must agree to 1e-5. The state of random generators is
    left as it was.

    Args:
        config: The encoder's config.

    Returns:
        The position id of a sequence's first token; None if the encoder must be padded.
    """
    return _probe(config.to_json_string(use_diff=False))  # which does not hold today's attention


@lru_cache(maxsize=128)
def _probe(config_json: str) -> int | None:
    config = _twin_config(json.loads(config_json))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # `torch.manual_seed` would seed the GPUs too
        try:
            encoder = encoder_class(config)
            flat_twin = encoder._from_config(
                copy.deepcopy(config), attn_implementation=NAME, dtype=torch.float32
            )
            padded_twin = encoder._from_config(copy.deepcopy(config), dtype=torch.float32)
        except (ValueError, TypeError, NotImplementedError):  # it knows no attention but its own
            return None
        padded_twin.load_state_dict(flat_twin.state_dict())
        pad = config.pad_token_id or 0
        ids = [torch.randint(pad + 1, pad + 40, (length,)) for length in _probe_lengths(config)]
        padded_states = _padded_states(padded_twin.eval(), ids, pad)
        for first_position in dict.fromkeys((0, pad + 1)):
            flat_states = _flat_states(flat_twin.eval(), ids, first_position)
            if flat_states is not None and (flat_states - padded_states).abs().max() < 1e-5:
                return first_position
    return None


def _probe_lengths(config: PreTrainedConfig) -> list[int]:
    """Lengths of the probe's sequences, one of them longer than any local window."""
    window = getattr(config, "sliding_window", None) or getattr(config, "local_attention", None)
    max_positions = getattr(config, "max_position_embeddings", None) or 512
    return [7, min((window or 0) + 40, max_positions - 8), 19]


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
    return auto_class._model_mapping[type(config)]


def _twin_config(values: dict[str, Any]) -> PreTrainedConfig:
    """The config with two layers and a small vocabulary, otherwise unchanged."""
    values = {name: value for name, value in values.items() if name != "transformers_version"}
    config = AutoConfig.for_model(**values)
    depth = config.num_hidden_layers
    changes: dict[str, Any] = {"num_hidden_layers": 2}
    special_ids = [config.pad_token_id or 0]
    for name, value in values.items():
        if isinstance(value, list) and len(value) == depth:  # one entry a layer
            changes[name] = value[-2:]
        elif name.endswith("_token_id") and isinstance(value, int):
            special_ids.append(value)
    changes["vocab_size"] = max(special_ids) + 64
    return AutoConfig.for_model(**{**values, **changes})


@torch.no_grad()
def _padded_states(encoder: PreTrainedModel, ids: list[Tensor], pad: int) -> Tensor:
    """(total tokens, hidden) states of sequences in padded rows."""
    pad_rows = torch.nn.utils.rnn.pad_sequence
    rows = pad_rows(ids, batch_first=True, padding_value=pad)
    mask = pad_rows([torch.ones_like(sequence) for sequence in ids], batch_first=True)
    return encoder(input_ids=rows, attention_mask=mask).last_hidden_state[mask.bool()]


@torch.no_grad()
def _flat_states(encoder: PreTrainedModel, ids: list[Tensor], first_position: int) -> Tensor | None:
    """(total tokens, hidden) states of sequences in one row; None if the encoder cannot run so."""
    lengths = torch.tensor([len(sequence) for sequence in ids])
    positions = torch.cat([torch.arange(len(sequence)) for sequence in ids]) + first_position
    with _count_calls() as counter:
        try:
            states = encoder(
                input_ids=torch.cat(ids)[None],
                position_ids=positions[None],
                sequences=SequenceLayout(lengths, int(lengths.max())),
            ).last_hidden_state[0]
        except (TypeError, ValueError, RuntimeError, IndexError):  # it takes no such arguments
            return None
    return states if counter.calls == 2 else None


def layers_of(encoder: PreTrainedModel) -> torch.nn.ModuleList | None:
    """The encoder's layers in order, or None if it has no such list (ALBERT shares one layer)."""
    depth = encoder.config.num_hidden_layers
    for module in encoder.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == depth:
            return module
    return None
