"""What an encoder can do: serve at all, run without padding, see to the right, show its layers.

There is no list of encoders: each is tested on a small twin with random weights, from its config
alone."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

from jiantx.attention import (
    NAME,
    SequenceLayout,
    count_calls,
    encoder_class,
    layers_of,
    padding_id,
    text_encoder,
)

PADDING_WARNING = (
    "The states of {} depend on the padding beside a text: the same text gets slightly other "
    "scores in another batch."
)
_ADVICE = {
    "xmod": (
        "Choose the language of its adapters: "
        'from_pretrained(path, tasks, default_language="en_XX").'
    ),
}


@dataclass(frozen=True)
class EncoderTraits:
    """What the probe saw.

    Args:
        refusal: Why the encoder cannot serve; None if it can.
        first_position: The position id of a flat sequence's first token; None if the encoder must
            be padded.
        is_causal: A token sees the tokens before it alone, so that the first sees nothing.
        depends_on_padding: The states of a text change with the padding beside it.
        inner_layers: Where the states of inner layers are: in the "inputs" of the next layer, or
            "collected" by transformers while all layers run; "none" if not each token has one.
        reads_segments: The states of two segments differ from those of one.
    """

    refusal: str | None = None
    first_position: int | None = None
    is_causal: bool = False
    depends_on_padding: bool = False
    inner_layers: Literal["inputs", "collected", "none"] = "inputs"
    reads_segments: bool = False

    def takes_segments(self, config: PreTrainedConfig) -> bool:
        """Whether the encoder is given segment ids.

        Args:
            config: Of the encoder. It need not count its segments (XLNet's, Funnel's): the probe
                tells.
        """
        count = getattr(config, "type_vocab_size", None)
        return self.reads_segments if count is None else bool(count > 1)


class _CannotServe(ValueError):
    """The encoder runs, but not as heads need it."""


def probe_encoder(config: PreTrainedConfig) -> EncoderTraits:
    """Test what an encoder can do. Tested once for each config.

    The test runs a two-layer float32 twin of the encoder. The state of random generators is left as
    it was.

    Args:
        config: The encoder's config.
    """
    return _probe(config.to_json_string(use_diff=False))  # which does not hold today's attention


def probe_flat_attention(config: PreTrainedConfig) -> int | None:
    """Test whether an encoder can run without padding.

    The twin runs both ways: `flat_attention` must have run once a layer, and all states must agree
    to 1e-5.

    Args:
        config: The encoder's config.

    Returns:
        The position id of a sequence's first token; None if the encoder must be padded.
    """
    return probe_encoder(config).first_position


def check_serves(config: PreTrainedConfig, changes: Mapping[str, Any]) -> None:
    """Check that an encoder gives each token of a text a state.

    Args:
        config: The encoder's config.
        changes: Values that replace the config's; other names are ignored.

    Raises:
        ValueError: It does not; with the reason.
    """
    changed = copy.deepcopy(config)
    for name, value in changes.items():
        if hasattr(changed, name):
            setattr(changed, name, value)
    refusal = probe_encoder(changed).refusal
    if refusal is not None:
        advice = _ADVICE.get(config.model_type, "docs/encoders.md lists families that can.")
        raise ValueError(
            f"{encoder_class(config).__name__} (model type {config.model_type!r}) cannot serve as "
            f"an encoder of text: {refusal.rstrip('.')}. {advice}"
        )


@lru_cache(maxsize=128)
def _probe(config_json: str) -> EncoderTraits:
    values = json.loads(config_json, object_hook=_decode_float)
    values.pop("transformers_version", None)
    refusal = _refusal_of_class(AutoConfig.for_model(**values))
    if refusal is not None:
        return EncoderTraits(refusal=refusal)
    with torch.random.fork_rng(devices=[]):
        for depth in (2, None):  # some configs name their layers one by one, and cannot be cut
            torch.default_generator.manual_seed(0)  # `torch.manual_seed` would seed the GPUs too
            try:
                return _traits(_twin_config(values, depth))
            except _CannotServe as error:
                return EncoderTraits(refusal=str(error))
            except Exception as error:  # families fail with errors of any type
                first_line = next(iter(str(error).strip().splitlines()), "")
                refusal = f"run on token ids it raises {type(error).__name__}: {first_line}"
    return EncoderTraits(refusal=refusal)


def _decode_float(values: dict[str, Any]) -> Any:
    """The infinities that transformers writes as {"__float__": "Infinity"}."""
    return float(values["__float__"]) if values.keys() == {"__float__"} else values


def _refusal_of_class(config: PreTrainedConfig) -> str | None:
    """Why an encoder cannot serve, as far as its class and config tell."""
    parameters = inspect.signature(encoder_class(config).forward).parameters
    if "input_ids" not in parameters:
        other_input = next(name for name in parameters if name != "self")
        return f"it reads {other_input}, not token ids"
    for name in ("hidden_size", "num_hidden_layers"):
        if not isinstance(getattr(config, name, None), int):
            inner_configs = ", ".join(config.sub_configs) or "none"
            return f"its config has no {name} (configs inside it: {inner_configs})"
    return None


def _traits(config: PreTrainedConfig) -> EncoderTraits:
    """The traits of a twin."""
    twin = encoder_class(config)._from_config(copy.deepcopy(config), dtype=torch.float32)
    with torch.no_grad():  # whatever starts as 0 or 1 would hide what it does
        for parameter in twin.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.02)
    ids = _probe_ids(config, _count_embeddings(twin))
    _padded_states(twin.train(), ids)  # some fail in training alone
    states = _padded_states(twin.eval(), ids)
    each_alone = torch.cat([_padded_states(twin, [sequence]) for sequence in ids])
    tolerance = 1e-4 * max(1.0, float(states.abs().max()))
    depends_on_padding = float((states - each_alone).abs().max()) > tolerance
    first_sees, last_sees = (_sees_others(twin, ids[0], index) for index in (0, -1))
    if not first_sees and not last_sees:
        raise _CannotServe("a token's state does not depend on the tokens around it")
    return EncoderTraits(
        first_position=_first_position(twin, ids, states),
        is_causal=not first_sees,
        depends_on_padding=depends_on_padding,
        inner_layers=_inner_layers(twin, ids),
        reads_segments=_reads_segments(twin, ids[0], each_alone[: len(ids[0])]),
    )


def _twin_config(values: dict[str, Any], depth: int | None) -> PreTrainedConfig:
    """The config with small vocabularies and `depth` layers (None: its own)."""
    config = AutoConfig.for_model(**values)
    vocab_size = max(_special_ids(config), default=0) + 64
    changes: dict[str, Any] = {"vocab_size": vocab_size}
    for name, value in values.items():
        if name.endswith("_vocab_size") and isinstance(value, int):  # of entities (LUKE), segments
            changes[name] = min(value, vocab_size)
        elif isinstance(value, list) and len(value) == config.num_hidden_layers and depth:
            changes[name] = value[-depth:]  # one entry a layer
    if depth is not None:
        changes["num_hidden_layers"] = depth
        decoder_names = ("decoder_layers", "num_decoder_layers")  # which are built, and not run
        changes.update({name: depth for name in decoder_names if name in values})
    return AutoConfig.for_model(**{**values, **changes})


def _special_ids(config: PreTrainedConfig) -> list[int]:
    """The token ids that a config names; some name several for the end of a text."""
    special_ids: set[int] = set()
    for name, value in config.to_dict().items():
        if name.endswith("_token_id"):
            ids = value if isinstance(value, list) else [value]
            special_ids.update(i for i in ids if isinstance(i, int) and i >= 0)
    return sorted(special_ids)


def _probe_ids(config: PreTrainedConfig, vocab_size: int) -> list[Tensor]:
    """Sequences of several lengths, with all special tokens and the ids at both ends.

    One is longer than any local window. There is no padding token inside: it would be padding."""
    window = getattr(config, "sliding_window", None) or getattr(config, "local_attention", None)
    max_positions = getattr(config, "max_position_embeddings", None) or 0
    longest = (window or 0) + 40
    if max_positions > 0:  # XLNet says -1
        longest = min(longest, max_positions - 8)
    pad = padding_id(config)
    special_ids = torch.tensor([0, vocab_size - 1, *_special_ids(config)])
    special_ids = special_ids[special_ids != pad]
    probe_ids = []
    for index, length in enumerate((7, longest, 19, 3)):
        ids = torch.randint(pad + 1, vocab_size, (length,))
        slots = ids[::2]  # every other token is a special one
        slots.copy_(special_ids[(torch.arange(len(slots)) + index) % len(special_ids)])
        probe_ids.append(ids)
    return probe_ids


def _count_embeddings(encoder: PreTrainedModel) -> int:
    """How many token ids have an embedding: CANINE hashes characters."""
    try:
        return int(encoder.get_input_embeddings().weight.shape[0])
    except (NotImplementedError, AttributeError):
        raise _CannotServe("it has no embeddings of token ids") from None


@torch.no_grad()
def _padded_output(encoder: PreTrainedModel, ids: list[Tensor], **options: Any) -> Any:
    """The output for sequences in padded rows."""
    rows = pad_sequence(ids, batch_first=True, padding_value=padding_id(encoder.config))
    mask = pad_sequence([torch.ones_like(sequence) for sequence in ids], batch_first=True)
    return text_encoder(encoder)(input_ids=rows, attention_mask=mask, **options)


def _padded_states(encoder: PreTrainedModel, ids: list[Tensor]) -> Tensor:
    """(total tokens, hidden) states of sequences in padded rows."""
    output = _padded_output(encoder, ids)
    states = getattr(output, "last_hidden_state", None)
    if not isinstance(states, Tensor):
        raise _CannotServe("its output has no last_hidden_state")
    lengths = [len(sequence) for sequence in ids]
    expected = (len(ids), max(lengths), encoder.config.hidden_size)
    if states.shape != expected:
        raise _CannotServe(
            f"{expected[0]} rows of {expected[1]} tokens give states of shape "
            f"{tuple(states.shape)}, not {expected}"
        )
    return torch.cat([row[:length] for row, length in zip(states, lengths, strict=True)])


def _sees_others(encoder: PreTrainedModel, ids: Tensor, index: int) -> bool:
    """Whether the state of the token at `index` changes when all other tokens do."""
    other_ids = ids.roll(1)
    other_ids[index] = ids[index]
    states = _padded_states(encoder, [ids, other_ids]).view(2, len(ids), -1)
    return bool((states[0, index] - states[1, index]).abs().max() > 1e-6)


def _reads_segments(encoder: PreTrainedModel, ids: Tensor, states: Tensor) -> bool:
    """As `EncoderTraits.reads_segments`; GPT-2, which looks them up among its tokens, does not.

    `states` are those of the text alone.
    """
    one_segment = torch.zeros_like(ids)
    two_segments = torch.arange(len(ids)) * 2 // len(ids)
    changes = []
    for segments in (one_segment, two_segments):
        try:
            output = _padded_output(encoder, [ids], token_type_ids=segments[None])
        except Exception:  # it takes no segments, or one alone
            return False
        changes.append(float((output.last_hidden_state[0] - states).abs().max()))
    return changes[0] < 1e-5 < changes[1]


def _first_position(twin: PreTrainedModel, ids: list[Tensor], states: Tensor) -> int | None:
    """As `EncoderTraits.first_position`; `states` are the padded ones."""
    config = copy.deepcopy(twin.config)
    try:
        flat_twin = type(twin)._from_config(config, attn_implementation=NAME, dtype=torch.float32)
    except (ValueError, TypeError, NotImplementedError, KeyError):  # knows no attention but its own
        return None
    flat_twin.load_state_dict(twin.state_dict())
    for first_position in dict.fromkeys((0, padding_id(config) + 1)):
        flat_states = _flat_states(flat_twin.eval(), ids, first_position)
        if flat_states is not None and (flat_states - states).abs().max() < 1e-5:
            return first_position
    return None


@torch.no_grad()
def _flat_states(encoder: PreTrainedModel, ids: list[Tensor], first_position: int) -> Tensor | None:
    """(total tokens, hidden) states of sequences in one row; None if the encoder cannot run so."""
    lengths = torch.tensor([len(sequence) for sequence in ids])
    positions = torch.cat([torch.arange(len(sequence)) for sequence in ids]) + first_position
    with count_calls() as counter:
        try:
            states = text_encoder(encoder)(
                input_ids=torch.cat(ids)[None],
                position_ids=positions[None],
                sequences=SequenceLayout(lengths, int(lengths.max())),
            ).last_hidden_state[0]
        except Exception:  # it takes no such arguments
            return None
    return states if counter.calls == encoder.config.num_hidden_layers else None


def _inner_layers(
    encoder: PreTrainedModel, ids: list[Tensor]
) -> Literal["inputs", "collected", "none"]:
    """As `EncoderTraits.inner_layers`."""
    rows = (len(ids), max(len(sequence) for sequence in ids))
    hidden = encoder.config.hidden_size
    layers = layers_of(encoder) or ()
    shapes: dict[int, tuple[int, ...]] = {}

    def record(index: int, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        states = args[0] if args else kwargs.get("hidden_states")
        shapes[index] = tuple(getattr(states, "shape", ()))

    hooks = []
    for index, layer in enumerate(layers):
        hook = layer.register_forward_pre_hook(partial(record, index), with_kwargs=True)
        hooks.append(hook)
    output = _padded_output(encoder, ids, output_hidden_states=True)
    for hook in hooks:
        hook.remove()
    # some pad the tokens to a multiple of their window
    usable = [s for s in shapes.values() if len(s) == 3 and s[1] >= rows[1]]
    if layers and [(s[0], s[2]) for s in usable] == [(rows[0], hidden)] * len(layers):
        return "inputs"
    collected = getattr(output, "hidden_states", None) or ()
    expected = [(*rows, hidden)] * (encoder.config.num_hidden_layers + 1)
    return "collected" if [tuple(s.shape) for s in collected] == expected else "none"
