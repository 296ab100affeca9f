"""What a probe reads: a learned average of the encoder's layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from jiantx.heads.precision import full_precision
from jiantx.report.scores import CENTER_OF_GRAVITY, LAYER_WEIGHT


class LayerMix(nn.Module):
    """A scale times the average of some layers, with weights that are learned (Peters et al. 2018).

    The weights are the softmax of one number per layer, so they start equal. The mix of one layer
    is that layer, and learns nothing.

    Args:
        layers: The hidden states that are mixed; 0 is the embeddings.

    >>> mix = LayerMix([0, 1, 2])
    >>> round(mix([torch.zeros(4, 8), torch.ones(4, 8), torch.ones(4, 8)])[0, 0].item(), 3)
    0.667
    """

    # towards 0, these few numbers would say less about the encoder
    undecayed: ClassVar[tuple[str, ...]] = ("scores", "scale")

    def __init__(self, layers: Sequence[int]) -> None:
        super().__init__()
        self.layers = tuple(layers)
        if len(self.layers) > 1:
            self.scores = nn.Parameter(torch.zeros(len(self.layers)))
            # one number in a vector, since FSDP shards no scalars
            self.scale = nn.Parameter(torch.ones(1))

    def weights(self) -> Tensor:
        """(layers,) the share of each layer, never in half precision; their sum is 1."""
        if len(self.layers) == 1:
            return torch.ones(1)
        scores = self.scores.full_tensor() if isinstance(self.scores, DTensor) else self.scores
        return full_precision(scores).softmax(dim=0)

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """Mix the states of `layers`.

        Args:
            states: (total tokens, hidden) of each layer.

        Returns:
            (total tokens, hidden), in the dtype of the states.
        """
        if len(self.layers) == 1:
            return states[0]
        shares = full_precision(self.scale) * self.weights()
        mixed = shares[0] * states[0]
        for share, layer_states in zip(shares[1:], states[1:], strict=True):
            mixed = mixed + share * layer_states
        return mixed.to(states[0].dtype)

    def numbers(self) -> dict[str, float]:
        """What a report holds of the mix: the weight of each layer, and their centre of gravity."""
        weights = self.weights().tolist()
        by_layer = dict(zip(self.layers, weights, strict=True))
        numbers = {f"{LAYER_WEIGHT}{layer}": weight for layer, weight in by_layer.items()}
        numbers[CENTER_OF_GRAVITY] = sum(layer * weight for layer, weight in by_layer.items())
        return numbers


def mixed_layers(layers: Any, depth: int) -> list[int]:
    """The layers that a mix is made of.

    Args:
        layers: "all", or the layers themselves.
        depth: Layers of the encoder.

    Returns:
        Different numbers from 0 (the embeddings) to `depth`, in increasing order.

    Raises:
        ValueError: They are none, or the encoder has no such layer.
    """
    if isinstance(layers, str) and layers == "all":
        return list(range(depth + 1))
    is_sequence = isinstance(layers, Sequence) and not isinstance(layers, str)
    numbers = list(layers) if is_sequence else []
    for layer in numbers:
        is_layer = isinstance(layer, int) and not isinstance(layer, bool) and 0 <= layer <= depth
        if not is_layer or numbers.count(layer) > 1:
            numbers = []
            break
    if not numbers:
        raise ValueError(
            f'The layers to mix are {layers!r}; expected "all", or different layers from 0 '
            f"(embeddings) to {depth}, such as range(4) or [{depth}]."
        )
    return sorted(numbers)
