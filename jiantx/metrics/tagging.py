"""Scores of tags: accuracy of words, F1 of chunks by seqeval's rules."""

import itertools
import math
import operator
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jiantx.metrics.base import check_lengths, named
from jiantx.metrics.counts import ClassCounts
from jiantx.metrics.tag_schemes import ReadTag, Scheme, read_tags, type_of_bare_tag

Tags = Sequence[Sequence[str]]
"""One list of tags per sentence."""


@named("accuracy")
def token_accuracy(predictions: Tags, references: Tags) -> float:
    """Share of words whose tag is right, over all sentences together; reported as "accuracy".

    Args:
        predictions: (sentences,) lists of tags, one per word.
        references: (sentences,) lists of the same lengths.

    Returns:
        0–100, or NaN if there are no words.

    Raises:
        ValueError: A sentence has more or fewer predicted tags than words.
    """
    _check_words(predictions, references)
    total = sum(map(len, references))
    right = 0
    for prediction, reference in zip(predictions, references, strict=True):
        right += sum(map(operator.eq, prediction, reference))
    return 100.0 * right / total if total else math.nan


@named("f1")
def chunk_f1(
    predictions: Tags,
    references: Tags,
    *,
    scheme: Scheme | None = None,
    labels: Collection[str] = (),
) -> float:
    """Micro F1 of chunks by the rules of seqeval (conlleval's); reported as "f1".

    Tags are read by their scheme: IOB1, IOB2, IOE, IOBES, BILOU or BMES, with the letter before the
    type (`B-PER`, `B_PER`, `b-per`) or after it (`PER-B`). The rules are lenient, as seqeval's are
    by default: a chunk may start with I. Types without letters are read as `Scheme` says. Those of
    UDPOS, which have no O, are read as in XTREME, by seqeval 0.0.12: the first letter is a prefix.

    >>> chunk_f1([["B-PER", "I-PER", "O"]], [["B-PER", "I-PER", "B-LOC"]])  # doctest: +ELLIPSIS
    66.66...

    Args:
        predictions: (sentences,) lists of tags, one per word.
        references: (sentences,) lists of the same lengths.
        scheme: How tags are read; recognised from `labels` if None.
        labels: All tags that can occur; those that do occur if empty.

    Returns:
        0–100, or NaN if neither side has a chunk.

    Raises:
        ValueError: A tag is empty, the tags follow no scheme, or a sentence has more or fewer
            predicted tags than words.
    """
    return chunk_scores(predictions, references, scheme=scheme, labels=labels).f1


@named("f1")
def chunk_f1_seqeval1(
    predictions: Tags,
    references: Tags,
    *,
    scheme: Scheme | None = None,
    labels: Collection[str] = (),
) -> float:
    """Micro F1 of chunks by the rules of seqeval 1.0 and later; reported as "f1".

    In tags without letters, these rules always take the first letter for a prefix. CCONJ and SCONJ
    are then both of type CONJ, and confusing them counts as right. On all other tags they agree
    with `chunk_f1`.

    >>> tags = [["CCONJ", "NOUN"]], [["SCONJ", "NOUN"]]
    >>> chunk_f1(*tags), chunk_f1_seqeval1(*tags)
    (50.0, 100.0)

    Args:
        predictions: (sentences,) lists of tags, one per word.
        references: (sentences,) lists of the same lengths.
        scheme: How tags are read; recognised from `labels` if None.
        labels: All tags that can occur; those that do occur if empty.

    Returns:
        0–100, or NaN if neither side has a chunk.

    Raises:
        ValueError: A tag is empty, the tags follow no scheme, or a sentence has more or fewer
            predicted tags than words.
    """
    type_of = partial(type_of_bare_tag, seqeval="1.2.2")
    return _chunk_scores(predictions, references, partial(read_tags, scheme, labels, type_of)).f1


@named("precision")
def chunk_precision(
    predictions: Tags,
    references: Tags,
    *,
    scheme: Scheme | None = None,
    labels: Collection[str] = (),
) -> float:
    """Micro precision of chunks, read as `chunk_f1` reads them; reported as "precision".

    Args:
        predictions: (sentences,) lists of tags, one per word.
        references: (sentences,) lists of the same lengths.
        scheme: How tags are read; recognised from `labels` if None.
        labels: All tags that can occur; those that do occur if empty.

    Returns:
        0–100, or NaN if neither side has a chunk. Without a predicted chunk it is 0.

    Raises:
        ValueError: As `chunk_f1` does.
    """
    return chunk_scores(predictions, references, scheme=scheme, labels=labels).precision


@named("recall")
def chunk_recall(
    predictions: Tags,
    references: Tags,
    *,
    scheme: Scheme | None = None,
    labels: Collection[str] = (),
) -> float:
    """Micro recall of chunks, read as `chunk_f1` reads them; reported as "recall".

    Args:
        predictions: (sentences,) lists of tags, one per word.
        references: (sentences,) lists of the same lengths.
        scheme: How tags are read; recognised from `labels` if None.
        labels: All tags that can occur; those that do occur if empty.

    Returns:
        0–100, or NaN if neither side has a chunk. Without a right chunk it is 0.

    Raises:
        ValueError: As `chunk_f1` does.
    """
    return chunk_scores(predictions, references, scheme=scheme, labels=labels).recall


CHUNK_METRICS = (chunk_f1, chunk_f1_seqeval1, chunk_precision, chunk_recall)


class ChunkScores(NamedTuple):
    """Precision, recall and their harmonic mean, on 0–100; all NaN if neither side has a chunk."""

    precision: float
    recall: float
    f1: float


def chunk_scores(
    predictions: Tags,
    references: Tags,
    *,
    seqeval: str | None = None,
    scheme: Scheme | None = None,
    labels: Collection[str] = (),
) -> ChunkScores:
    """Precision, recall and F1 of chunks.

    Args:
        predictions: (sentences,) lists of tags, one per word.
        references: (sentences,) lists of the same lengths.
        seqeval: Read all tags as this version of seqeval does, whatever their scheme: the first
            letter is the prefix. The type follows the last hyphen in versions before 1.0, and the
            first hyphen in later versions. In a tag without a hyphen, the type is the whole tag in
            versions before 1.0, and the tag without its first letter in later versions.
        scheme: Without `seqeval`, how tags are read; recognised from `labels` if None.
        labels: All tags that can occur; those that do occur if empty.

    Returns:
        Three numbers on 0–100; all NaN if neither side has a chunk.

    Raises:
        ValueError: A tag is empty, the tags follow no scheme, or a sentence has more or fewer
            predicted tags than words.
    """
    type_of = partial(type_of_bare_tag, seqeval=seqeval or "0.0.12")
    if seqeval is not None:
        scheme = "seqeval"
    return _chunk_scores(predictions, references, partial(read_tags, scheme, labels, type_of))


def chunk_counts(
    predictions: Tags,
    references: Tags,
    *,
    scheme: Scheme | None = None,
    labels: Collection[str] = (),
) -> dict[str, ClassCounts]:
    """Count the chunks of each type, read as `chunk_f1` reads them.

    >>> chunk_counts([["B-PER", "O"]], [["B-PER", "B-LOC"]])["PER"]
    ClassCounts(right=1, predicted=1, actual=1)

    Args:
        predictions: (sentences,) lists of tags, one per word.
        references: (sentences,) lists of the same lengths.
        scheme: How tags are read; recognised from `labels` if None.
        labels: All tags that can occur; those that do occur if empty.

    Returns:
        Type -> its counts, sorted by type; of the types that occur.

    Raises:
        ValueError: As `chunk_f1` does.
    """
    type_of = partial(type_of_bare_tag, seqeval="0.0.12")
    chunks = _read_chunks(predictions, references, partial(read_tags, scheme, labels, type_of))
    counts = {}
    for index in np.argsort(chunks.types):
        columns = (chunks.right, chunks.predicted, chunks.actual)
        count = ClassCounts(*(int((column == index).sum()) for column in columns))
        if count.predicted or count.actual:
            counts[chunks.types[index]] = count
    return counts


class _Chunks(NamedTuple):
    """The ids of the types of chunks: those that are right, predicted and actual."""

    types: list[str]
    right: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    actual: npt.NDArray[np.int64]


def _read_chunks(
    predictions: Tags, references: Tags, read: Callable[[Collection[str]], dict[str, ReadTag]]
) -> _Chunks:
    _check_words(predictions, references)
    tag_ids: dict[str, int] = {"O": 0}
    predicted_tags = _flat_tag_ids(predictions, tag_ids)
    actual_tags = _flat_tag_ids(references, tag_ids)
    if "" in tag_ids:
        raise ValueError("A tag is empty.")
    occurring = set(itertools.chain(*predictions, *references))
    tags = read(occurring)
    prefixes = np.array([tags[tag].letter for tag in tag_ids])
    type_ids: dict[str, int] = {}
    types = np.array([type_ids.setdefault(tags[tag].type, len(type_ids)) for tag in tag_ids])

    predicted_end, predicted_start = _chunks(prefixes[predicted_tags], types[predicted_tags])
    actual_end, actual_start = _chunks(prefixes[actual_tags], types[actual_tags])
    same_type = types[predicted_tags] == types[actual_tags]
    same_start = predicted_start == actual_start
    is_right = predicted_end & actual_end & same_type & same_start
    return _Chunks(
        list(type_ids),
        types[actual_tags][is_right],
        types[predicted_tags][predicted_end],
        types[actual_tags][actual_end],
    )


def _chunk_scores(
    predictions: Tags, references: Tags, read: Callable[[Collection[str]], dict[str, ReadTag]]
) -> ChunkScores:
    chunks = _read_chunks(predictions, references, read)
    right = len(chunks.right)
    predicted = len(chunks.predicted)
    actual = len(chunks.actual)
    if not predicted and not actual:
        return ChunkScores(math.nan, math.nan, math.nan)
    if not right:
        return ChunkScores(0.0, 0.0, 0.0)
    precision = right / predicted
    recall = right / actual
    f1 = 2 * precision * recall / (precision + recall)
    return ChunkScores(100.0 * precision, 100.0 * recall, 100.0 * f1)


def _flat_tag_ids(sentences: Tags, tag_ids: dict[str, int]) -> npt.NDArray[np.int64]:
    """(words + sentences,) ids; an O follows every sentence and closes its last chunk.

    New tags are added to `tag_ids`.
    """
    closed = itertools.chain.from_iterable((*sentence, "O") for sentence in sentences)
    return np.fromiter((tag_ids.setdefault(tag, len(tag_ids)) for tag in closed), np.int64)


def _chunks(
    prefix: npt.NDArray[np.str_], type_: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Where chunks end and start, by conlleval's rules.

    Args:
        prefix: (words,) first letters of the tags.
        type_: (words,) ids of the tags' types.

    Returns:
        (words,) whether a chunk ends at the word, and (words,) where the newest chunk started.
    """
    length = len(prefix)
    outside = (prefix == "O") | (prefix == ".")
    new_type = np.ones(length, np.bool_)  # other than that of the word before
    new_type[1:] = type_[1:] != type_[:-1]
    previous = np.roll(prefix, 1)
    previous[:1] = "O"  # the first word follows no chunk

    continues_nothing = np.isin(prefix, ["E", "I"]) & np.isin(previous, ["E", "S", "O"])
    start = np.isin(prefix, ["B", "S"]) | continues_nothing
    start |= ~outside & new_type
    is_broken_off = np.isin(previous, ["B", "I"]) & np.isin(prefix, ["B", "S", "O"])
    end_before = np.isin(previous, ["E", "S"]) | is_broken_off
    end_before[1:] |= ~outside[:-1] & new_type[1:]

    end = np.roll(end_before, -1)  # the last word is an O, and no chunk ends at it
    return end, np.maximum.accumulate(np.where(start, np.arange(length), 0))


def _check_words(predictions: Tags, references: Tags) -> None:
    check_lengths(predictions, references)
    for index, (prediction, reference) in enumerate(zip(predictions, references, strict=True)):
        if len(prediction) != len(reference):
            raise ValueError(
                f"Sentence {index} has {len(reference)} words and {len(prediction)} predicted tags."
            )
