"""What must agree with an encoder's embeddings: its config, its heads, its tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from jiantx.heads import Head
from jiantx.task import Task

if TYPE_CHECKING:
    import datasets


class EmbeddingsMixin(PreTrainedModel):
    """A `MultitaskModel` whose embeddings may change; it defines these attributes."""

    encoder: PreTrainedModel
    heads: Any

    def resize_token_embeddings(  # type: ignore[override]
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = True,
    ) -> Any:
        """Change the number of tokens, as transformers does; config and heads follow.

        Args:
            new_num_tokens: Usually `len(model.tokenizer)`, after tokens were added to it.
            pad_to_multiple_of: Round up to a multiple.
            mean_resizing: New embeddings are drawn around the mean of the old ones.

        Returns:
            The embeddings.
        """
        self.encoder.resize_token_embeddings(new_num_tokens, pad_to_multiple_of, mean_resizing)
        self.follow_embeddings()
        return self.get_input_embeddings()

    def follow_embeddings(self) -> None:
        """Make the config and the heads as large as the embeddings.

        It is called before anything that relies on it, as the embeddings may be changed in other
        ways than by `resize_token_embeddings`.
        """
        config = self.encoder.config
        if getattr(config, "vocab_size", None) is None:
            return
        rows = self.get_input_embeddings().weight.shape[0]
        if config.vocab_size != rows:
            config.vocab_size = rows
        self.config.encoder = config
        for head in self.heads.modules():  # PEFT keeps a head twice
            if isinstance(head, Head):
                head.resize_vocabulary(rows)

    def check_token_ids(
        self, task: Task, tokenizer: PreTrainedTokenizerBase, table: datasets.Dataset
    ) -> None:
        """Check that every token of some features has an embedding.

        Args:
            task: Of the features.
            tokenizer: That made them.
            table: The features.

        Raises:
            ValueError: A token has none.
        """
        rows = self.get_input_embeddings().weight.shape[0]
        if len(tokenizer) <= rows:  # the usual case: nothing is read
            return
        largest_id = pc.max(pc.list_flatten(table.data["input_ids"])).as_py() or 0
        # masked LM draws among all tokens, and a ranking adds mask tokens
        if task.head_config()["type"] != "masked_lm" and largest_id < rows:
            return
        raise ValueError(f"Task {task.name}: {without_embeddings(tokenizer, rows)}")


def longest_input(encoder: PreTrainedModel) -> int | None:
    """How many tokens of a sequence have a position.

    Args:
        encoder: The encoder.

    Returns:
        The limit; None if the encoder has none.
    """
    max_positions = getattr(encoder.config, "max_position_embeddings", None)
    if not max_positions or max_positions < 0:
        return None
    return int(max_positions) - unused_positions(encoder)


def unused_positions(encoder: PreTrainedModel) -> int:
    """How many positions come before the first token's: RoBERTa's begin after the padding id.

    Args:
        encoder: The encoder.
    """
    config = encoder.config
    max_positions = getattr(config, "max_position_embeddings", None)
    for name, module in encoder.named_modules():
        is_table = "position" in name and getattr(module, "padding_idx", None) is not None
        if is_table and len(getattr(module, "weight", ())) == max_positions:
            return int(config.pad_token_id) + 1
    return 0


def named_token_ids(config: PreTrainedConfig) -> dict[str, int]:
    """The token ids that a config names: of padding, of the first token, …

    Args:
        config: Of an encoder or of a `MultitaskModel`.
    """
    values = config.to_dict()
    names = [name for name in values if name.endswith("_token_id")]
    return {name: values[name] for name in names if isinstance(values[name], int)}


def without_embeddings(tokenizer: PreTrainedTokenizerBase, rows: int) -> str:
    """Say that a tokenizer has more tokens than the encoder, and what to do.

    Args:
        tokenizer: The tokenizer.
        rows: Of the encoder's embeddings.
    """
    tokens = tokenizer.convert_ids_to_tokens(range(rows, len(tokenizer)))
    return (
        f"the tokenizer has {len(tokenizer):,} tokens, but the encoder has {rows:,} embeddings. "
        f"Tokens without one: {', '.join(tokens[:5])}{', …' if len(tokens) > 5 else ''}. After "
        "adding tokens, call model.resize_token_embeddings(len(model.tokenizer))."
    )
