"""The sequences of a prompt with each of its choices, or of pairs that share their first text.

Every text is tokenized once.

An encoder reads a prompt together with a choice, in both directions, so that choices cannot share
its states. They share its tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jiantx.tokenization import (
    SpecialTokens,
    encode,
    grouped_features,
    has_segments,
    special_tokens,
    token_ids,
)

if TYPE_CHECKING:
    from tokenizers import Encoding
    from transformers import PreTrainedTokenizerBase

Choices = tuple[str, Sequence[str]]
"""A prompt and the texts of its choices."""


Cut = Literal["end", "start"]


def pair_features(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    pairs: Sequence[str],
    max_length: int,
) -> dict[str, list[Any]]:
    """The feature columns of pairs of texts, as `sequence_features` makes them.

    If a sequence is too long, its longer side is cut at its end.

    Args:
        tokenizer: A fast one.
        texts: (examples,) the first texts, of which many are equal.
        pairs: (examples,) the second texts.
        max_length: Tokens of a sequence, special ones included.
    """
    groups = [(text, (pair,)) for text, pair in zip(texts, pairs, strict=True)]
    return choice_features(tokenizer, groups, max_length, cut="end")


def choice_features(
    tokenizer: PreTrainedTokenizerBase,
    groups: Sequence[Choices],
    max_length: int,
    *,
    cut: Cut = "start",
) -> dict[str, list[Any]]:
    """The feature columns of prompts with each of their choices, as `grouped_features` makes them.

    Args:
        tokenizer: A fast one.
        groups: (examples,) prompts with their choices.
        max_length: Tokens of a sequence, special ones included.
        cut: Where the longer side of a sequence that is too long is cut.
    """
    joiner = _joiner(tokenizer, groups, max_length, cut)
    if joiner is not None:
        return joiner.columns(groups, segments=has_segments(tokenizer))
    pairs: list[tuple[str, str]] = []
    for prompt, choices in groups:
        pairs += [(prompt, choice) for choice in choices]
    encodings = iter(_encode_pairs(tokenizer, pairs, max_length, cut))
    encoded = [list(islice(encodings, len(choices))) for _, choices in groups]
    return grouped_features(tokenizer, encoded)


def _encode_pairs(
    tokenizer: PreTrainedTokenizerBase, pairs: Sequence[tuple[str, str]], max_length: int, cut: Cut
) -> list[Encoding]:
    """The tokenizer's own encodings of a prompt and a choice each."""
    prompts = [prompt for prompt, _ in pairs]
    choices = [choice for _, choice in pairs]
    return encode(tokenizer, prompts, choices, max_length=max_length, cut=cut)


@dataclass(frozen=True)
class _Joiner:
    """Joins the tokens of two texts as the tokenizer's template for pairs does.

    Args:
        ids: Text -> (tokens,) its token ids.
        special: The tokens around and between the two texts.
        max_text_tokens: Tokens of a sequence without the special ones.
        cut: Where a text that is too long is cut.
    """

    ids: Mapping[str, np.ndarray]
    special: SpecialTokens
    max_text_tokens: int
    cut: Cut

    def agrees_with(
        self, tokenizer: PreTrainedTokenizerBase, groups: Sequence[Choices], max_length: int
    ) -> bool:
        """Compare the first, the shortest and the longest pair with the tokenizer's own.

        Args:
            tokenizer: Of the token ids.
            groups: Prompts with their choices, all of whose texts are tokenized.
            max_length: Tokens of a sequence, special ones included.
        """
        if self.max_text_tokens < 0:
            return False
        pairs = [(prompt, choices[0]) for prompt, choices in groups]
        sizes = [len(self.ids[prompt]) + len(self.ids[choice]) for prompt, choice in pairs]
        samples = [pairs[0], pairs[int(np.argmin(sizes))], pairs[int(np.argmax(sizes))]]
        encodings = _encode_pairs(tokenizer, samples, max_length, self.cut)
        for (first, second), encoding in zip(samples, encodings, strict=True):
            first_ids, second_ids = self._cut(first, second)
            if self.special.ids(first_ids, second_ids).tolist() != encoding.ids:
                return False
            if self.special.type_ids(len(first_ids), len(second_ids)).tolist() != encoding.type_ids:
                return False
        return True

    def columns(self, groups: Sequence[Choices], *, segments: bool) -> dict[str, list[Any]]:
        """See `choice_features`.

        Args:
            groups: Prompts with their choices, all of whose texts are tokenized.
            segments: Whether the model has segment ids.
        """
        columns: dict[str, list[Any]] = {"input_ids": [], "lengths": [], "truncated": []}
        if segments:
            columns["token_type_ids"] = []
        special = self.special
        for prompt, choices in groups:
            pairs = [self._cut(prompt, choice) for choice in choices]
            ids: list[np.ndarray] = []
            for first, second in pairs:
                ids += [special.before, first, special.between, second, special.after]
            columns["input_ids"].append(np.concatenate(ids))
            sizes = [len(first) + len(second) for first, second in pairs]
            columns["lengths"].append([size + special.size for size in sizes])
            uncut = [len(self.ids[prompt]) + len(self.ids[choice]) for choice in choices]
            columns["truncated"].append(int(sizes != uncut))
            if segments:
                types = [special.type_ids(len(first), len(second)) for first, second in pairs]
                columns["token_type_ids"].append(np.concatenate(types))
        return columns

    def _cut(self, first: str, second: str) -> tuple[np.ndarray, np.ndarray]:
        """The token ids of two texts; if both are too long, the longer one is cut first."""
        first_ids = self.ids[first]
        second_ids = self.ids[second]
        shorter, longer = sorted((len(first_ids), len(second_ids)))
        if shorter + longer <= self.max_text_tokens:
            return first_ids, second_ids
        longer = max(shorter, self.max_text_tokens - shorter)
        if shorter + longer > self.max_text_tokens:
            shorter = self.max_text_tokens // 2
            longer = shorter + self.max_text_tokens % 2
        first_is_longer = len(first_ids) > len(second_ids)
        first_size, second_size = (longer, shorter) if first_is_longer else (shorter, longer)
        if self.cut == "end":
            return first_ids[:first_size], second_ids[:second_size]
        return first_ids[len(first_ids) - first_size :], second_ids[len(second_ids) - second_size :]


def _joiner(
    tokenizer: PreTrainedTokenizerBase, groups: Sequence[Choices], max_length: int, cut: Cut
) -> _Joiner | None:
    """Tokenize all texts; None if the tokenizer joins two texts in another way."""
    (letter,) = token_ids(tokenizer, ["a"])
    if not len(letter):  # `special_tokens` reads the template off this text
        return None
    special = special_tokens(tokenizer, pair=True)
    texts = dict.fromkeys(prompt for prompt, _ in groups)
    for _, choices in groups:
        texts.update(dict.fromkeys(choices))
    ids = dict(zip(texts, token_ids(tokenizer, list(texts)), strict=True))
    joiner = _Joiner(ids, special, max_length - special.size, cut)
    return joiner if joiner.agrees_with(tokenizer, groups, max_length) else None
