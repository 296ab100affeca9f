"""What transformers' `AutoModel` loads of a saved model: its encoder."""

from __future__ import annotations

import os
from typing import Any

from transformers import AutoModel, PreTrainedModel

from jiantx.model.config import MultitaskConfig
from jiantx.model.model import MultitaskModel


class SavedEncoder:
    """The plain encoder of a saved multi-task model, without its heads.

    `AutoModel` gives the encoder of other checkpoints too, whatever heads they have.
    """

    config_class = MultitaskConfig

    @classmethod
    def from_pretrained(
        cls,
        path: str | os.PathLike[str],
        *args: Any,
        config: MultitaskConfig | None = None,
        output_loading_info: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Load the encoder, which reads padded batches as any other.

        Args:
            path: Hub id or folder.
            *args: None.
            config: Read from the folder.
            output_loading_info: Return a pair, with an empty dictionary.
            **kwargs: As of `MultitaskModel.from_pretrained`.
        """
        encoder = MultitaskModel.from_pretrained(path, padding_free=False, **kwargs).encoder
        return (encoder, {}) if output_loading_info else encoder

    @classmethod
    def _from_config(cls, config: MultitaskConfig, **kwargs: Any) -> PreTrainedModel:
        return MultitaskModel(config).encoder


AutoModel.register(MultitaskConfig, SavedEncoder)
