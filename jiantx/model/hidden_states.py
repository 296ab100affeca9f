"""The encoder's states after any of its layers, without running the layers above."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from jiantx.attention import SequenceLayout, layers_of, text_encoder
from jiantx.heads import pad_sequences


def hidden_states(
    encoder: PreTrainedModel,
    layers: Sequence[int | None],
    *,
    from_layer_inputs: bool = True,
    **inputs: Any,
) -> list[Tensor]:
    """Run an encoder up to the highest of some layers.

    Args:
        encoder: Any encoder.
        layers: How many layers have run; 0 is the embeddings, None all of them.
        from_layer_inputs: Read inner layers off their inputs. False runs all layers, and reads the
            states that transformers collects.
        inputs: The encoder's own arguments.

    Returns:
        One tensor of states for each of `layers`, in their order.

    Raises:
        ValueError: The encoder has no such layer.
    """
    depth = encoder.config.num_hidden_layers
    requested = [depth if layer is None else layer for layer in layers]
    for layer in requested:
        if not 0 <= layer <= depth:
            raise ValueError(
                f"Layer {layer} of an encoder with {depth}: choose 0 (embeddings) to {depth}."
            )
    inner_layers = set(requested) - {depth}
    modules = layers_of(encoder) if from_layer_inputs else None
    if modules is None and inner_layers:  # shared layers (ALBERT): run all of them
        return _collected_states(encoder, requested, inputs)
    captured: dict[int, Tensor] = {}
    inner_modules = {layer: modules[layer] for layer in inner_layers} if modules else {}
    with _capture_layer_inputs(inner_modules, captured, stop=depth not in requested):
        captured[depth] = text_encoder(encoder)(**inputs).last_hidden_state
    return [captured[layer] for layer in requested]


def _collected_states(
    encoder: PreTrainedModel, layers: Sequence[int], inputs: Mapping[str, Any]
) -> list[Tensor]:
    """The states that transformers collects while all layers run."""
    depth = encoder.config.num_hidden_layers
    output = text_encoder(encoder)(**inputs, output_hidden_states=True)
    states = [*(getattr(output, "hidden_states", None) or ())]
    expected_shape = output.last_hidden_state.shape
    if len(states) != depth + 1 or any(layer.shape != expected_shape for layer in states):
        raise ValueError(
            f"{type(encoder).__name__} gives no state of each token after its inner layers, and "
            f"layer {min(layers)} of {depth} is asked for. Choose the last: layer={depth}."
        )
    return [output.last_hidden_state if layer == depth else states[layer] for layer in layers]


def flat_inputs(
    tokens: Mapping[str, Tensor], position_ids: Tensor, sequences: SequenceLayout
) -> dict[str, Any]:
    """The inputs of an encoder that runs without padding.

    Args:
        tokens: input_ids and token_type_ids, each (total tokens,).
        position_ids: (total tokens,).
        sequences: Where the sequences are.

    Returns:
        Name -> (1, total tokens), and `sequences`.
    """
    rows = {name: values[None] for name, values in tokens.items()}
    return {**rows, "position_ids": position_ids[None], "sequences": sequences}


def pad_inputs(
    tokens: Mapping[str, Tensor], lengths: Tensor, longest: int, pad_id: int
) -> dict[str, Any]:
    """Turn flat inputs into padded rows and their mask.

    Args:
        tokens: input_ids and token_type_ids, each (total tokens,).
        lengths: (sequences,) tokens of each sequence.
        longest: The largest length.
        pad_id: Fills input_ids.

    Returns:
        Name -> (sequences, longest), with `attention_mask`.
    """
    padded = {}
    for name, values in tokens.items():
        fill = pad_id if name == "input_ids" else 0
        padded[name] = pad_sequences(values, lengths, longest, fill)
    ones = torch.ones_like(tokens["input_ids"])
    padded["attention_mask"] = pad_sequences(ones, lengths, longest, 0)
    return padded


class _EarlyExit(Exception):
    """Raised where the encoder need not run on."""


@contextmanager
def _capture_layer_inputs(
    layers: Mapping[int, nn.Module], captured: dict[int, Tensor], stop: bool
) -> Iterator[None]:
    """Record the input of each layer into `captured` by forward pre-hooks.

    Args:
        layers: Index -> layer.
        captured: Index -> the layer's input.
        stop: Abort the forward pass at the highest of the layers, so that no later one is computed.
    """

    def capture(
        index: int, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        captured[index] = args[0] if args else kwargs["hidden_states"]
        if stop and index == max(layers):
            raise _EarlyExit

    handles = []
    for index, layer in layers.items():
        # before FSDP's own hooks: a layer that is not run need not be gathered
        handle = layer.register_forward_pre_hook(
            partial(capture, index), with_kwargs=True, prepend=True
        )
        handles.append(handle)
    try:
        with suppress(_EarlyExit):
            yield
    finally:
        for handle in handles:
            handle.remove()
