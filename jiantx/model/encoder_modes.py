"""How the encoder runs: compiled by layer, frozen, or not at all where its states are stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

from torch import Tensor
from transformers import PreTrainedModel

from jiantx.attention import layers_of


class StateReader(Protocol):
    """States that were computed before; see `jiantx.stored_states`."""

    def read(
        self,
        model: Any,
        input_ids: Tensor,
        lengths: Tensor,
        token_type_ids: Tensor | None,
        layers: Sequence[int | None],
    ) -> list[Tensor] | None:
        """Read the states of a flat batch.

        Args:
            model: That would compute them.
            input_ids: (total tokens,).
            lengths: (sequences,).
            token_type_ids: (total tokens,).
            layers: As of `MultitaskModel.states`.

        Returns:
            (total tokens, hidden) for each layer; None if a sequence is missing.
        """


class EncoderModesMixin(PreTrainedModel):
    """A `MultitaskModel`, which defines `encoder`.

    Attributes:
        stored_states: Read instead of running the encoder, where they are those of its weights.
    """

    encoder: PreTrainedModel
    stored_states: StateReader | None = None
    _is_frozen = False

    def compile_layers(self, **kwargs: Any) -> None:
        """`torch.compile` the encoder's layers; `torch_compile=True` in TrainingArguments does it
        too.

        Layer by layer, one graph serves all layers, every head, and batches of any size. If the
        whole model were compiled, each head would have a graph of its own.

        Args:
            kwargs: As `torch.compile`'s (backend, mode).
        """
        for layer in layers_of(self.encoder) or [self.encoder]:
            layer.compile(dynamic=True, **kwargs)

    def freeze_encoder(self) -> Self:
        """Train the heads alone. The encoder gets no gradient and has no dropout, also in training.

        Returns:
            The model itself.
        """
        self._is_frozen = True
        self.encoder.requires_grad_(False)
        return self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation, as torch does; a frozen encoder stays in evaluation.

        Args:
            mode: Whether to train.
        """
        super().train(mode)
        if self._is_frozen:
            self.encoder.eval()
        return self
