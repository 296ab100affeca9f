"""NEFTune: uniform noise on the word embeddings while a model is trained (Jain et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from jiantx.heads.states import sequence_index


@contextmanager
def noisy_embeddings(embeddings: nn.Module, lengths: Tensor, alpha: float) -> Iterator[None]:
    """Add noise of at most alpha / sqrt(tokens * size) to the embeddings of each sequence.

    The tokens are the sequence's own, without padding, as in the paper's code. transformers' hook
    would take a flat batch for one long sequence.

    Args:
        embeddings: The encoder's input embeddings; noisy in training mode only.
        lengths: (sequences,) tokens of each sequence of the batch that runs meanwhile.
        alpha: `neftune_noise_alpha` of `TrainingArguments`.
    """

    def add_noise(module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
        if not module.training:
            return None
        bounds = alpha / (lengths * output.shape[-1]).sqrt()  # (sequences,)
        if len(output) == len(lengths):  # padded: (sequences, longest, size)
            token_bounds = bounds[:, None]
        else:  # flat: (1, total tokens, size)
            token_bounds = bounds[sequence_index(lengths, output.shape[1])][None]
        noise = torch.zeros_like(output).uniform_(-1, 1)
        return output + noise * token_bounds[..., None].to(output.dtype)

    handle = embeddings.register_forward_hook(add_noise)
    try:
        yield
    finally:
        handle.remove()
