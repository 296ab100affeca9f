"""Training rows of retrieval: a query, the texts that belong to it, and texts that do not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from jiantx.columns import Column, check_utf8, column_value
from jiantx.example import Example
from jiantx.sources import DataError, Row, function_name
from jiantx.tokenization import encode, grouped_features

if TYPE_CHECKING:
    from tokenizers import Encoding
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class ContrastExample(Example):
    """A query, its positives, and hard negatives.

    Args:
        query: The query.
        positives: Texts that belong to it, at least one.
        negatives: Texts that are near to it and do not belong to it.
        known_keys: The keys of all texts that belong to the query in any row; see `text_key`.
    """

    query: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...] = ()
    known_keys: tuple[int, ...] = field(default=(), repr=False)


def text_key(text: str) -> int:
    """A number of 31 bits that tells a text from others.

    >>> text_key("the cat") == text_key("the cat"), text_key("the cat") == text_key("a cat")
    (True, False)
    """
    digest = hashlib.blake2b(text.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") >> 1


def column_texts(row: Row, column: Column) -> tuple[str, ...]:
    """A column that holds a text, or a list of texts; none where it is None.

    Args:
        row: A row as stored.
        column: The column's name, or a function of the row.

    Raises:
        DataError: The column is missing, or holds something else or a blank text.
    """
    value = column_value(row, column)
    name = column if isinstance(column, str) else function_name(column)
    texts = [value] if isinstance(value, str) else ([] if value is None else value)
    if not isinstance(texts, list | tuple):
        raise DataError(f"Column {name!r} holds {value!r}; expected a text or a list of texts.")
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"Column {name!r} holds {text!r}; expected a text that is not blank.")
    return tuple(dict.fromkeys(map(check_utf8, texts)))


def with_known_positives(
    examples: Iterable[ContrastExample], again: Iterable[ContrastExample]
) -> Iterator[ContrastExample]:
    """Add to each example the keys of all positives that its query has in any row.

    Args:
        examples: Read for the positives.
        again: The same examples, from the start.
    """
    keys_of: dict[int, dict[int, None]] = {}
    for example in examples:
        keys = keys_of.setdefault(text_key(example.query), {})
        keys.update(dict.fromkeys(map(text_key, example.positives)))
    for example in again:
        yield replace(example, known_keys=tuple(keys_of[text_key(example.query)]))


def contrast_features(
    examples: Sequence[ContrastExample],
    tokenizer: PreTrainedTokenizerBase,
    *,
    query_prefix: str,
    candidate_prefix: str,
    query_length: int,
    max_length: int,
) -> dict[str, Sequence[Any]]:
    """The feature columns of training examples.

    Args:
        examples: Of one task.
        tokenizer: A fast one.
        query_prefix: Before each query.
        candidate_prefix: Before each positive and negative.
        query_length: Tokens of a query.
        max_length: Tokens of a positive or negative.

    Returns:
        The columns of `grouped_features`: a query, its positives and its negatives. With one entry
        for each positive and negative: `is_positive` (0 or 1) and `text_keys`. And `known_keys` of
        the query, how many these are (`known_counts`), and `labels`.
    """
    queries = [query_prefix + example.query for example in examples]
    texts: list[str] = []
    for example in examples:
        texts += [candidate_prefix + text for text in (*example.positives, *example.negatives)]
    query_encodings = encode(tokenizer, queries, max_length=query_length)
    text_encodings = iter(encode(tokenizer, texts, max_length=max_length))
    groups: list[list[Encoding]] = []
    columns: dict[str, list[Any]] = {"is_positive": [], "text_keys": [], "known_keys": []}
    for example, query_encoding in zip(examples, query_encodings, strict=True):
        candidates = (*example.positives, *example.negatives)
        groups.append([query_encoding, *(next(text_encodings) for _ in candidates)])
        columns["is_positive"].append([1] * len(example.positives) + [0] * len(example.negatives))
        columns["text_keys"].append([text_key(text) for text in candidates])
        columns["known_keys"].append(list(example.known_keys))
    return {
        "example": range(len(examples)),
        **grouped_features(tokenizer, groups),
        **columns,
        "known_counts": [[len(example.known_keys)] for example in examples],
        "labels": [[0]] * len(groups),
    }
