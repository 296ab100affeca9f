"""Text to token ids, in batches, through the fast tokenizer.

Special tokens are read off the tokenizer, not counted.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jiantx.sources import DataError

if TYPE_CHECKING:
    from tokenizers import Encoding
    from transformers import PreTrainedTokenizerBase

LONGEST_WORD = (
    100  # pieces; a longer "word" is noise and becomes one unknown piece, as in the paper's code
)


def check_tokenizer(tokenizer: PreTrainedTokenizerBase) -> None:
    """Check that a tokenizer has a fast form: a slow one gives no character offsets.

    Raises:
        DataError: It has none.
    """
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise DataError(
            f"{type(tokenizer).__name__} has no fast form (a tokenizer.json of the library "
            "`tokenizers`), and only fast tokenizers give the character offsets that jiantx needs. "
            "Choose an encoder with a fast tokenizer, or save a PreTrainedTokenizerFast with the "
            "same vocabulary into its folder."
        )


def check_mask_token(tokenizer: PreTrainedTokenizerBase) -> None:
    """Check that a tokenizer has a mask token.

    Raises:
        DataError: It has none.
    """
    if tokenizer.mask_token_id is None:
        raise DataError(
            f"{type(tokenizer).__name__} has no mask token. "
            "Masked LM needs one: use another encoder."
        )


_turn = threading.RLock()


@contextmanager
def backend_of(tokenizer: PreTrainedTokenizerBase) -> Iterator[Any]:
    """The tokenizer in Rust, with the truncation and padding of its last caller turned off.

    Threads take turns, since truncation is a state of the tokenizer.

    Args:
        tokenizer: A fast one.
    """
    check_tokenizer(tokenizer)
    with _turn:
        backend: Any = tokenizer.backend_tokenizer
        backend.no_padding()
        backend.no_truncation()
        try:
            yield backend
        finally:
            backend.no_truncation()


def encode(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    *,
    max_length: int,
    cut: Literal["end", "start"] = "end",
    word_ids: bool = False,
) -> list[Encoding]:
    """Encode texts or pairs with special tokens.

    The longer side is cut until the sequence fits. There are no character offsets, which cost time;
    `tokenize` gives them.

    Args:
        tokenizer: A fast one.
        texts: The first sides.
        pairs: The second sides.
        max_length: Tokens of a sequence, special ones included.
        cut: Where the longer side is cut.
        word_ids: Whether each piece needs the index of its word, which costs time too.
    """
    inputs = list(texts) if pairs is None else list(zip(texts, pairs))
    with backend_of(tokenizer) as backend:
        backend.enable_truncation(max_length, direction="right" if cut == "end" else "left")
        encode_batch = backend.encode_batch if word_ids else backend.encode_batch_fast
        encodings: list[Encoding] = encode_batch(inputs)
    return encodings


def sequence_features(
    tokenizer: PreTrainedTokenizerBase, encodings: Sequence[Encoding]
) -> dict[str, list[Any]]:
    """The feature columns of one sequence each.

    Args:
        tokenizer: Of the encodings.
        encodings: (examples,) by `encode`.

    Returns:
        input_ids, lengths, truncated (whether text was cut), and token_type_ids if the model has
        segments.
    """
    columns: dict[str, list[Any]] = {
        "input_ids": [encoding.ids for encoding in encodings],
        "lengths": [[len(encoding)] for encoding in encodings],
        "truncated": [int(bool(encoding.overflowing)) for encoding in encodings],
    }
    if has_segments(tokenizer):
        columns["token_type_ids"] = [encoding.type_ids for encoding in encodings]
    return columns


def grouped_features(
    tokenizer: PreTrainedTokenizerBase, groups: Sequence[Sequence[Encoding]]
) -> dict[str, list[Any]]:
    """The feature columns of several sequences each.

    Args:
        tokenizer: Of the encodings.
        groups: For each example, the encodings of its sequences.

    Returns:
        input_ids of all sequences one after the other, lengths of each, truncated, and
        token_type_ids if the model has segments.
    """
    chain = itertools.chain.from_iterable
    columns: dict[str, list[Any]] = {
        "input_ids": [list(chain(encoding.ids for encoding in group)) for group in groups],
        "lengths": [list(map(len, group)) for group in groups],
        "truncated": [int(any(encoding.overflowing for encoding in group)) for group in groups],
    }
    if has_segments(tokenizer):
        columns["token_type_ids"] = [
            list(chain(encoding.type_ids for encoding in group)) for group in groups
        ]
    return columns


def has_segments(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the model was trained with segment ids (BERT) or not (XLM-R)."""
    return "token_type_ids" in tokenizer.model_input_names


@dataclass(frozen=True)
class SpecialTokens:
    """The special tokens around one text, or around and between two.

    Args:
        before: Token ids before the first text.
        between: Token ids between the texts.
        after: Token ids after the last text.
        before_segments: Segment ids of `before`.
        between_segments: Segment ids of `between`.
        after_segments: Segment ids of `after`.
        first_segment: Segment id of the first text.
        second_segment: Segment id of the second text.
    """

    before: np.ndarray
    between: np.ndarray
    after: np.ndarray
    before_segments: np.ndarray
    between_segments: np.ndarray
    after_segments: np.ndarray
    first_segment: int
    second_segment: int

    @property
    def size(self) -> int:
        """How many special tokens there are."""
        return len(self.before) + len(self.between) + len(self.after)

    def ids(self, first: np.ndarray, second: np.ndarray | None = None) -> np.ndarray:
        """The token ids of a text or pair with its special tokens.

        Args:
            first: (tokens,) ids of the first text.
            second: (tokens,) ids of the second text.
        """
        if second is None:
            return np.concatenate([self.before, first, self.after])
        return np.concatenate([self.before, first, self.between, second, self.after])

    def type_ids(self, first: int, second: int = 0) -> np.ndarray:
        """The segment ids of a text or pair with its special tokens.

        Args:
            first: Tokens of the first text.
            second: Tokens of the second text.
        """
        first_ids = np.full(first, self.first_segment)
        second_ids = np.full(second, self.second_segment)
        return np.concatenate(
            [
                self.before_segments,
                first_ids,
                self.between_segments,
                second_ids,
                self.after_segments,
            ]
        )


def special_tokens(tokenizer: PreTrainedTokenizerBase, pair: bool = False) -> SpecialTokens:
    """Read the special tokens off an encoded sample: those that belong to no text.

    Args:
        tokenizer: A fast one.
        pair: Those of a pair of texts.
    """
    with backend_of(tokenizer) as backend:
        (sample,) = backend.encode_batch([("a", "a")] if pair else ["a"])
    ids = np.array(sample.ids)
    segments = np.array(sample.type_ids)
    text_of_token = np.array([-1 if text is None else text for text in sample.sequence_ids])
    first = np.flatnonzero(text_of_token == 0)
    second = np.flatnonzero(text_of_token == 1) if pair else first[-1:] + 1
    last = second[-1] if pair else first[-1]
    before = slice(0, first[0])
    between = slice(first[-1] + 1, second[0])
    after = slice(last + 1, None)
    return SpecialTokens(
        before=ids[before],
        between=ids[between],
        after=ids[after],
        before_segments=segments[before],
        between_segments=segments[between],
        after_segments=segments[after],
        first_segment=int(segments[first[0]]),
        second_segment=int(segments[second[0]]) if pair else 0,
    )


def tokenize(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[Encoding]:
    """Encode texts with character offsets, without special tokens and without cutting.

    Args:
        tokenizer: A fast one.
        texts: Any texts.
    """
    with backend_of(tokenizer) as backend:
        encodings: list[Encoding] = backend.encode_batch(list(texts), add_special_tokens=False)
    return encodings


def token_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[np.ndarray]:
    """Encode texts without character offsets, special tokens or cutting.

    Args:
        tokenizer: A fast one.
        texts: Any texts.

    Returns:
        (tokens,) ids of each text.
    """
    with backend_of(tokenizer) as backend:
        encodings = backend.encode_batch_fast(list(texts), add_special_tokens=False)
    return [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]


def tokenize_words(
    tokenizer: PreTrainedTokenizerBase, sentences: Sequence[Sequence[str]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Encode sentences that are given as words.

    Words are encoded apart, so that their pieces do not depend on their neighbours. A word that
    leaves no piece, or more than `LONGEST_WORD` pieces, becomes the unknown piece (of a tokenizer
    without one, the mask or another special one): every word has at least one.

    Args:
        tokenizer: A fast one.
        sentences: Lists of words.

    Returns:
        For each sentence (pieces,) token ids, and (pieces,) the index of each piece's word.
    """
    with backend_of(tokenizer) as backend:
        prefix = " " if _needs_space(backend) else ""
        inputs = [[f"{prefix}{word}" for word in sentence] for sentence in sentences]
        encodings = backend.encode_batch(inputs, is_pretokenized=True, add_special_tokens=False)
    tokenized = []
    for sentence, encoding in zip(sentences, encodings, strict=True):
        ids = np.array(encoding.ids, dtype=np.int64)
        word_ids = np.array(encoding.word_ids, dtype=np.int64)
        counts = np.bincount(word_ids, minlength=len(sentence))  # pieces of each word
        unusable = (counts == 0) | (counts > LONGEST_WORD)
        if unusable.any():
            keep = ~unusable[word_ids]
            replaced = np.flatnonzero(unusable)
            unknown = np.full(len(replaced), _unknown_id(tokenizer))
            word_ids = np.concatenate([word_ids[keep], replaced])
            order = np.argsort(word_ids, kind="stable")
            ids = np.concatenate([ids[keep], unknown])[order]
            word_ids = word_ids[order]
        tokenized.append((ids, word_ids))
    return tokenized


def _needs_space(backend: Any) -> bool:
    """Whether a word that is encoded apart has the pieces of a running text only after a space.

    So it is with byte-level tokenizers, and with those that replace spaces (Gemma's).
    """

    def second_word(sentence: Any, **options: bool) -> list[int]:
        first = [sentence[0]] if options else sentence[0]
        one, two = backend.encode_batch([first, sentence], add_special_tokens=False, **options)
        pieces: list[int] = two.ids[len(one.ids) :]
        return pieces

    running = second_word("a a")
    apart = second_word(["a", "a"], is_pretokenized=True)
    after_space = second_word([" a", " a"], is_pretokenized=True)
    return apart != running and after_space == running


def _unknown_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id of the unknown piece, or of another special one; DataError if there is none."""
    for name in ("unk", "mask", "cls", "eos", "pad"):
        token_id: int | None = getattr(tokenizer, f"{name}_token_id")
        if token_id is not None:
            return token_id
    raise DataError(
        f"{type(tokenizer).__name__} has no special token that could stand for a word without a "
        f"piece, or with more than {LONGEST_WORD}. Give it one: tokenizer.add_special_tokens(…)."
    )
