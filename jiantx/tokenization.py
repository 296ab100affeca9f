"""Text to token ids, in batches, through the fast tokenizer. Special tokens are read off the tokenizer, not counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jiantx.sources import DataError

if TYPE_CHECKING:
    from tokenizers import Encoding
    from transformers import PreTrainedTokenizerBase

LONGEST_WORD = (
    100  # pieces; a longer "word" is noise and becomes one unknown piece, as in the paper's code
)


def _backend(tokenizer: PreTrainedTokenizerBase) -> Any:
    """The tokenizer itself, without the cutting and padding that its last caller may have left on."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise DataError(
            f"{type(tokenizer).__name__} has no fast form, and offsets need one. "
            "Save the tokenizer with a tokenizer.json."
        )
    backend.no_padding()
    backend.no_truncation()
    return backend


def encode(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    *,
    max_length: int,
    cut: Literal["end", "start"] = "end",
) -> list[Encoding]:
    """Encode texts or pairs with special tokens; the longer side is cut, at its end or at its start, until it fits.

    Without character offsets, which cost time: `pieces` gives them.
    """
    backend = _backend(tokenizer)
    backend.enable_truncation(max_length, direction="right" if cut == "end" else "left")
    try:
        found: list[Encoding] = backend.encode_batch_fast(
            list(texts) if pairs is None else list(zip(texts, pairs))
        )
    finally:
        backend.no_truncation()
    return found


def sequence_features(
    tokenizer: PreTrainedTokenizerBase, encodings: Sequence[Encoding]
) -> dict[str, list[Any]]:
    """The feature columns of one sequence each: ids, length, segment ids where the model has them, whether cut."""
    found: dict[str, list[Any]] = {
        "input_ids": [e.ids for e in encodings],
        "lengths": [[len(e)] for e in encodings],
        "truncated": [int(bool(e.overflowing)) for e in encodings],
    }
    if has_segments(tokenizer):
        found["token_type_ids"] = [e.type_ids for e in encodings]
    return found


def has_segments(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the model was trained with segment ids (BERT) or not (XLM-R)."""
    return "token_type_ids" in tokenizer.model_input_names


@dataclass(frozen=True)
class SpecialTokens:
    """The special tokens around one text, or around and between two."""

    before: np.ndarray
    between: np.ndarray
    after: np.ndarray
    types: tuple[
        np.ndarray, np.ndarray, np.ndarray, int, int
    ]  # segment ids: before, between, after, first, second

    @property
    def size(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)

    def ids(self, first: np.ndarray, second: np.ndarray | None = None) -> np.ndarray:
        """Token ids of a framed text or pair."""
        return np.concatenate(
            [
                self.before,
                first,
                *([self.between, second] if second is not None else []),
                self.after,
            ]
        )

    def type_ids(self, first: int, second: int = 0) -> np.ndarray:
        """Segment ids for texts of so many tokens."""
        before, between, after, one, two = self.types
        return np.concatenate([before, np.full(first, one), between, np.full(second, two), after])


@lru_cache(maxsize=64)
def special_tokens(tokenizer: PreTrainedTokenizerBase, pair: bool = False) -> SpecialTokens:
    """Read the frame off an encoded sample: what belongs to no text is special."""
    (sample,) = _backend(tokenizer).encode_batch([("a", "a")] if pair else ["a"])
    ids, types = np.array(sample.ids), np.array(sample.type_ids)
    owner = np.array([-1 if s is None else s for s in sample.sequence_ids])
    first = np.flatnonzero(owner == 0)
    second = np.flatnonzero(owner == 1) if pair else first[-1:] + 1
    before, after = slice(0, first[0]), slice(second[-1] + 1 if pair else first[-1] + 1, None)
    between = slice(first[-1] + 1, second[0])
    return SpecialTokens(
        ids[before],
        ids[between],
        ids[after],
        (
            types[before],
            types[between],
            types[after],
            int(types[first[0]]),
            int(types[second[0]]) if pair else 0,
        ),
    )


def tokenize(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[Encoding]:
    """Encode texts without special tokens and without cutting."""
    backend = _backend(tokenizer)
    found: list[Encoding] = backend.encode_batch(list(texts), add_special_tokens=False)
    return found


def tokenize_words(
    tokenizer: PreTrainedTokenizerBase, sentences: Sequence[Sequence[str]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Encode sentences given as words: for each, the ids of its pieces and the number of its word of each piece.

    Words are encoded apart, so that their pieces do not depend on the neighbours; a word that leaves no piece, or more
    than `LONGEST_WORD` of them, becomes the unknown piece. Every word has at least one.
    """
    backend = _backend(tokenizer)
    # a byte-level tokenizer knows words by the space before them
    splitter = str(backend.pre_tokenizer)
    space = " " if "ByteLevel" in splitter and "add_prefix_space=True" not in splitter else ""
    encodings = backend.encode_batch(
        [[space + word for word in words] for words in sentences],
        is_pretokenized=True,
        add_special_tokens=False,
    )
    found = []
    for words, encoding in zip(sentences, encodings, strict=True):
        ids, owners = (
            np.array(encoding.ids, dtype=np.int64),
            np.array(encoding.word_ids, dtype=np.int64),
        )
        counts = np.bincount(owners, minlength=len(words))
        odd = (counts == 0) | (counts > LONGEST_WORD)
        if odd.any():
            kept = ~odd[owners]
            replaced = np.flatnonzero(odd)
            owners = np.concatenate([owners[kept], replaced])
            order = np.argsort(owners, kind="stable")
            ids = np.concatenate([ids[kept], np.full(len(replaced), tokenizer.unk_token_id)])[order]
            owners = owners[order]
        found.append((ids, owners))
    return found
