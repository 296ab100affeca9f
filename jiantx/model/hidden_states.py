"""The encoder's states after any of its layers, without running the layers above."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from jiantx.attention import layers_of


def hidden_states(
    encoder: PreTrainedModel, layers: Sequence[int | None], **inputs: Any
) -> list[Tensor]:
    """Run an encoder up to the highest of some layers.

    Args:
        encoder: Any encoder.
        layers: How many layers have run; 0 is the embeddings, None all of them.
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
    modules = layers_of(encoder)
    if modules is None and inner_layers:  # shared layers (ALBERT): run all of them
        states = encoder(**inputs, output_hidden_states=True).hidden_states
        return [states[layer] for layer in requested]
    captured: dict[int, Tensor] = {}
    inner_modules = {layer: modules[layer] for layer in inner_layers} if modules else {}
    with _capture_layer_inputs(inner_modules, captured, stop=depth not in requested):
        captured[depth] = encoder(**inputs).last_hidden_state
    return [captured[layer] for layer in requested]


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
