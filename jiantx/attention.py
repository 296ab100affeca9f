"""Padding-free attention for any encoder that follows transformers' AttentionInterface.

The sequences of a batch stand one after the other in one row; each attends to itself alone. Which encoders can run this
way is tested on a small twin of each, not listed.
"""

from __future__ import annotations

import copy
import json
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
    """Where the sequences of a flat batch lie. lengths: (sequences,) tensor; longest: its maximum.

    bounds: (sequences + 1,) int32 places where sequences begin and end, as `varlen_attn` takes them.
    """

    lengths: Tensor
    longest: int

    def __post_init__(self) -> None:
        # here and not on first use: that would be inside a compiled layer, and a `cached_property` breaks its graph
        self.bounds = torch.nn.functional.pad(self.lengths.cumsum(0, dtype=torch.int32), (1, 0))

    @cached_property
    def sizes(self) -> list[int]:
        """The lengths as integers; on a GPU this waits for the device, so only the CPU's path reads it."""
        found: list[int] = self.lengths.tolist()
        return found


_calls: list[int] = [0]  # how often `flat_attention` ran, for the probe


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
    """Attention inside each sequence. query, key, value: (1, heads, tokens, size); gives (1, tokens, heads, size).

    `sliding_window` w: a token sees those less than w away. Attention probabilities are not dropped out:
    `varlen_attn` cannot, and both devices must compute the same.
    """
    if sequences is None:
        raise ValueError(
            f"{type(module).__name__} ran flat attention, but was not told where the sequences lie."
        )
    if not torch.compiler.is_compiling():  # or a compiled layer is compiled again for each count
        _calls[0] += 1
    if _has_kernel(query):
        from torch.nn.attention.varlen import varlen_attn

        q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))  # (tokens, heads, size)
        reach = -1 if sliding_window is None else sliding_window - 1
        bounds, longest = sequences.bounds, sequences.longest
        states: Any = varlen_attn(
            q, k, v, bounds, bounds, longest, longest, scale=scaling, window_size=(reach, reach)
        )
        return states[None], None
    return _one_by_one(query, key, value, sequences, scaling, sliding_window), None


@torch.compiler.disable  # type: ignore[untyped-decorator]  # a graph would hold for these lengths alone
def _one_by_one(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    sequences: SequenceLayout,
    scaling: float | None,
    window: int | None,
) -> Tensor:
    parts = [torch.split(x, sequences.sizes, dim=2) for x in (query, key, value)]
    found = [
        _attend(q, k, v, _band(q.shape[2], window, q.device), scaling)
        for q, k, v in zip(*parts, strict=True)
    ]
    return torch.cat(found, dim=2).transpose(1, 2)


def _attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float | None
) -> Tensor:
    """Attention of one sequence; on a CPU in bfloat16 by plain products, where torch's fused form is slow backwards."""
    if mask is None and query.dtype == torch.bfloat16 and not query.is_cuda:
        scores = (
            query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
        ) @ key.transpose(-1, -2)
        return scores.softmax(dim=-1) @ value
    return scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)


def _has_kernel(query: Tensor) -> bool:
    """Whether `varlen_attn` computes it."""
    return query.is_cuda and query.dtype in (torch.float16, torch.bfloat16)


def _band(length: int, window: int | None, device: torch.device) -> Tensor | None:
    if window is None or length <= window:
        return None
    places = torch.arange(length, device=device)
    return (places[:, None] - places).abs() < window


AttentionInterface.register(NAME, flat_attention)
AttentionMaskInterface.register(
    NAME, lambda *args, **kwargs: None
)  # sequences are kept apart without a mask


def probe_flat_attention(config: PreTrainedConfig) -> int | None:
    """The first position of a sequence if the encoder runs flat and gives the padded run's states; else None.

    Tested on a two-layer float32 twin made from the config, once for each config: our function must have run once a
    layer, and all states agree to 1e-5. The state of random generators is left as it was.
    """
    return _tested(
        config.to_json_string(use_diff=False)
    )  # which does not say what attention it runs now


@lru_cache(maxsize=128)
def _tested(config_json: str) -> int | None:
    config = _twin_config(json.loads(config_json))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # `torch.manual_seed` would seed the GPUs too
        try:
            encoder = encoder_class(config)
            flat = encoder._from_config(
                copy.deepcopy(config), attn_implementation=NAME, dtype=torch.float32
            )
            padded = encoder._from_config(copy.deepcopy(config), dtype=torch.float32)
        except (ValueError, TypeError, NotImplementedError):  # it knows no attention but its own
            return None
        padded.load_state_dict(flat.state_dict())
        window = (
            getattr(config, "sliding_window", None) or getattr(config, "local_attention", None) or 0
        )
        most = getattr(config, "max_position_embeddings", None) or 512
        lengths = [7, min(window + 40, most - 8), 19]
        pad = config.pad_token_id or 0
        ids = [torch.randint(pad + 1, pad + 40, (length,)) for length in lengths]
        want = _padded_states(padded.eval(), ids, pad)
        for offset in dict.fromkeys((0, pad + 1)):
            got = _flat_states(flat.eval(), ids, offset)
            if got is not None and (got - want).abs().max() < 1e-5:
                return offset
    return None


def encoder_class(config: PreTrainedConfig) -> type[PreTrainedModel]:
    """The class that a config's encoder has: the text encoder where there is one (T5), else the base model."""
    auto = (
        AutoModelForTextEncoding if type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING else AutoModel
    )
    if type(config) not in auto._model_mapping:
        raise ValueError(
            f"{type(config).__name__} is the config of no encoder that transformers knows."
        )
    found: type[PreTrainedModel] = auto._model_mapping[type(config)]
    return found


def _twin_config(values: dict[str, Any]) -> PreTrainedConfig:
    """Two layers and a small vocabulary; everything else as it is."""
    values = {k: v for k, v in values.items() if k != "transformers_version"}
    full = AutoConfig.for_model(**values)
    depth = full.num_hidden_layers
    changes: dict[str, Any] = {
        k: v[-2:] for k, v in values.items() if isinstance(v, list) and len(v) == depth
    }
    special = [v for k, v in values.items() if k.endswith("_token_id") and isinstance(v, int)]
    changes |= {"num_hidden_layers": 2, "vocab_size": max([*special, full.pad_token_id or 0]) + 64}
    return AutoConfig.for_model(**{**values, **changes})


@torch.no_grad()
def _padded_states(encoder: PreTrainedModel, ids: list[Tensor], pad: int) -> Tensor:
    rows = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=pad)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(i) for i in ids], batch_first=True)
    states: Tensor = encoder(input_ids=rows, attention_mask=mask).last_hidden_state[mask.bool()]
    return states


@torch.no_grad()
def _flat_states(encoder: PreTrainedModel, ids: list[Tensor], offset: int) -> Tensor | None:
    lengths = torch.tensor([len(i) for i in ids])
    positions = torch.cat([torch.arange(len(i)) for i in ids]) + offset
    before = _calls[0]
    try:
        states = encoder(
            input_ids=torch.cat(ids)[None],
            position_ids=positions[None],
            sequences=SequenceLayout(lengths, int(lengths.max())),
        ).last_hidden_state[0]
    except (
        TypeError,
        ValueError,
        RuntimeError,
        IndexError,
    ):  # it takes no positions, or no sequences
        return None
    return states if _calls[0] - before == 2 else None


def layers_of(encoder: PreTrainedModel) -> torch.nn.ModuleList | None:
    """The encoder's layers in order, or None where it has no such list (ALBERT shares one)."""
    depth = encoder.config.num_hidden_layers
    for module in encoder.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == depth:
            return module
    return None
