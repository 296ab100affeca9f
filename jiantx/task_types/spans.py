"""Spans of a text, in words and in characters."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import numpy as np

from jiantx.sources import DataError

Span = tuple[int, int]
"""(start, stop), the stop excluded."""

_NEAR = 3  # words between an index and the words that it should name


@lru_cache(maxsize=16)  # the targets of a sentence follow each other
def split_words(text: str) -> tuple[Span, ...]:
    """The characters of each word of `text.split()`.

    >>> split_words(" The cat ")
    ((1, 4), (5, 8))
    """
    return tuple(match.span() for match in re.finditer(r"\S+", text))


@lru_cache(maxsize=16)  # as above
def join_words(words: tuple[str, ...]) -> tuple[str, tuple[Span, ...]]:
    """Words as a text, with a space between them, and the characters of each.

    >>> join_words(("The", "cat"))
    ('The cat', ((0, 3), (4, 7)))
    """
    lengths = np.array([len(word) for word in words], dtype=int)
    stops = np.cumsum(lengths + 1) - 1
    return " ".join(words), tuple(zip((stops - lengths).tolist(), stops.tolist()))


def check_span(value: Any, length: int, unit: str) -> Span:
    """A span of a row.

    Args:
        value: What the row holds.
        length: Words or characters of the text.
        unit: "words" or "characters", for messages.

    Raises:
        DataError: It is no pair of numbers, empty, or outside the text.
    """
    is_pair = isinstance(value, list | tuple) and len(value) == 2
    if not is_pair or any(type(number) is not int for number in value):
        raise DataError(f"The span is {value!r}; expected [start, stop], counted in {unit}.")
    start, stop = value
    if not 0 <= start < stop <= length:
        raise DataError(
            f"The span is {value!r}; the text has {length} {unit}. Expected "
            f"0 <= start < stop <= {length}, where the stop is excluded."
        )
    return start, stop


def without_blanks(text: str, span: Span) -> Span:
    """A span without the white space at its ends.

    Args:
        text: The text.
        span: Its characters.

    Raises:
        DataError: It holds nothing else.
    """
    start, stop = span
    inner = text[start:stop]
    if not inner.strip():
        raise DataError(f"The span of the characters {start} to {stop} is blank: {inner!r}.")
    start += len(inner) - len(inner.lstrip())
    return start, start + len(inner.strip())


def find_near(text: str, wanted: str, index: int) -> Span:
    """Find words of which a data set says what they are and about where.

    Case and punctuation may differ. Without such words near the index, the words at the index are
    returned: data sets name some spans by other words than the text has.

    Args:
        text: The text.
        wanted: The words.
        index: Of the first of them in `text.split()`.

    Returns:
        Characters of the text.

    Raises:
        DataError: The index is outside the text.

    >>> find_near("It was Ann's cat. The cat slept.", "the cat", 3)
    (18, 25)
    """
    word_spans = split_words(text)
    if not 0 <= index < len(word_spans):
        raise DataError(f"The words {wanted!r} are at {index}, and the text has {len(word_spans)}.")
    letters = [_letters(text[start:stop]) for start, stop in word_spans]
    wanted_letters = [_letters(word) for word in wanted.split()]
    count = max(len(wanted_letters), 1)
    first_words = sorted(
        range(max(0, index - _NEAR), min(index + _NEAR, len(word_spans) - 1) + 1),
        key=lambda word: abs(word - index),
    )
    matches = (word for word in first_words if letters[word : word + count] == wanted_letters)
    first_word = next(matches, index)
    last_word = min(first_word + count, len(word_spans)) - 1
    start, stop = word_spans[first_word][0], word_spans[last_word][1]
    exact = re.search(re.escape(wanted.strip()), text[start:stop], re.IGNORECASE)
    return (start + exact.start(), start + exact.end()) if exact else (start, stop)


def _letters(word: str) -> str:
    """The letters and digits of a word, in lower case."""
    return re.sub(r"\W", "", word.casefold())
