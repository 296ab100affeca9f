"""Inputs of the encoder for spans: which pieces a span has, and what is kept of a long text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jiantx.tokenization import SpecialTokens

if TYPE_CHECKING:
    from tokenizers import Encoding


@dataclass(frozen=True)
class SpanInput:
    """One input of the encoder and the targets that read it.

    Attributes:
        targets: Of the examples.
        ids: (tokens,) with special tokens.
        type_ids: (tokens,) segment ids.
        is_cut: Some of the text is missing.
        positions: (targets, spans) the first token of each span.
        sizes: (targets, spans) tokens of each span.
        is_lost: (targets,) whether a span is missing; its target then has no spans.
    """

    targets: slice
    ids: np.ndarray
    type_ids: np.ndarray
    is_cut: bool
    positions: np.ndarray
    sizes: np.ndarray
    is_lost: np.ndarray


def span_inputs(
    group: slice,
    encodings: Sequence[Encoding],
    spans: np.ndarray,
    special: SpecialTokens,
    room: int,
) -> Iterator[SpanInput]:
    """One input for all targets of a text, or one for each where the text is too long.

    Args:
        group: The targets.
        encodings: Of the text, or of the two.
        spans: (targets, spans, 2) characters.
        special: The special tokens.
        room: Pieces at most.
    """
    ids = [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]
    last_side = len(encodings) - 1
    of_span = [encodings[min(span, last_side)] for span in range(spans.shape[1])]
    pieces = np.stack([piece_spans(e, spans[:, i]) for i, e in enumerate(of_span)], axis=1)
    sides = np.minimum(np.arange(spans.shape[1]), last_side)
    if sum(map(len, ids)) <= room:
        kept_pieces = [np.arange(len(side)) for side in ids]
        yield _input(group, ids, kept_pieces, pieces, sides, special)
        return
    for index, target_pieces in enumerate(pieces):
        kept_pieces, fits = _kept_pieces(list(map(len, ids)), target_pieces, sides, room)
        target = slice(group.start + index, group.start + index + 1)
        yield _input(target, ids, kept_pieces, target_pieces[None] * fits, sides, special)


def _kept_pieces(
    counts: Sequence[int], spans: np.ndarray, sides: np.ndarray, room: int
) -> tuple[list[np.ndarray], bool]:
    """The pieces of each text that one target reads, and whether its spans fit.

    Args:
        counts: Pieces of each text.
        spans: (spans, 2) pieces.
        sides: (spans,) the text of each span.
        room: Pieces at most.
    """
    of_side = [spans[sides == side] for side in range(len(counts))]
    needed = [len({i for a, b in side.tolist() for i in range(a, b)}) for side in of_side]
    fits = sum(needed) <= room
    if not fits:
        of_side = [np.zeros((1, 2), dtype=int) for _ in of_side]
        needed = [0 for _ in of_side]
    shares = [room] if len(counts) == 1 else divide_room(counts, needed, room)
    kept_pieces = [nearest_pieces(*side) for side in zip(counts, of_side, shares, strict=True)]
    return kept_pieces, fits


def _input(
    targets: slice,
    ids: Sequence[np.ndarray],
    kept_pieces: Sequence[np.ndarray],
    pieces: np.ndarray,
    sides: np.ndarray,
    special: SpecialTokens,
) -> SpanInput:
    """Put the kept pieces between special tokens, and find the spans among them.

    Args:
        targets: Of the examples.
        ids: Of all pieces of each text.
        kept_pieces: The pieces that are kept of each text, in order.
        pieces: (targets, spans, 2) pieces; all are kept.
        sides: (spans,) the text of each span.
        special: The special tokens.
    """
    kept_ids = [side[indices] for side, indices in zip(ids, kept_pieces, strict=True)]
    counts = list(map(len, kept_pieces))
    first_token = [len(special.before), len(special.before) + counts[0] + len(special.between)]
    sizes = np.diff(pieces, axis=2)[..., 0]
    is_lost = (sizes == 0).any(axis=1)
    sizes = np.where(is_lost[:, None], 0, sizes)
    starts = [np.searchsorted(kept_pieces[side], pieces[:, i, 0]) for i, side in enumerate(sides)]
    positions = np.stack(starts, axis=1) + np.array(first_token)[sides]
    return SpanInput(
        targets=targets,
        ids=special.ids(*kept_ids),
        type_ids=special.type_ids(*counts),
        is_cut=sum(counts) < sum(map(len, ids)),
        positions=np.where(is_lost[:, None], 0, positions),
        sizes=sizes,
        is_lost=is_lost,
    )


def input_columns(inputs: Sequence[SpanInput]) -> dict[str, Sequence[Any]]:
    """The feature columns of inputs, without the gold."""
    columns: dict[str, Sequence[Any]] = {
        "example": [one.targets.start for one in inputs],
        "input_ids": [one.ids for one in inputs],
        "lengths": [[len(one.ids)] for one in inputs],
        "truncated": [int(one.is_cut) for one in inputs],
        "lost": [one.is_lost.astype(int) for one in inputs],
        "lost_targets": [int(one.is_lost.sum()) for one in inputs],
    }
    for index in range(inputs[0].sizes.shape[1]):
        columns[f"span{index + 1}_positions"] = [one.positions[:, index] for one in inputs]
        columns[f"span{index + 1}_sizes"] = [one.sizes[:, index] for one in inputs]
    return columns


def piece_spans(encoding: Encoding, spans: np.ndarray) -> np.ndarray:
    """The pieces that hold characters of each span, by the tokenizer's offsets.

    Args:
        encoding: Of the text, without special tokens.
        spans: (spans, 2) characters.

    Returns:
        (spans, 2) pieces; (0, 0) for a span that the tokenizer leaves no piece of.
    """
    offsets = np.array(encoding.offsets, dtype=int).reshape(-1, 2)
    starts, stops = offsets.T
    # (spans, pieces)
    starts_before = starts < spans[:, 1:]
    stops_after = np.maximum(spans[:, :1], starts) < stops
    overlaps = np.logical_and(starts_before, stops_after)
    is_there = overlaps.any(axis=1)
    if not is_there.any():
        return np.zeros_like(spans)
    first = overlaps.argmax(axis=1)
    last = overlaps.shape[1] - overlaps[:, ::-1].argmax(axis=1)
    return np.stack([first, last], axis=1) * is_there[:, None]


def nearest_pieces(count: int, spans: np.ndarray, room: int) -> np.ndarray:
    """The pieces of a text that are nearest to its spans, in order.

    They are all pieces of the spans and what is around them, without what is between them if it
    does not fit.

    Args:
        count: Pieces of the text.
        spans: (spans, 2) pieces, of which there are at most `room`.
        room: How many are kept.

    >>> nearest_pieces(9, np.array([[1, 2], [7, 8]]), 5).tolist()
    [0, 1, 2, 6, 7]
    """
    pieces = np.arange(count)
    before = spans[:, :1] - pieces
    after = pieces - spans[:, 1:] + 1
    distances = np.maximum(np.maximum(before, after), 0).min(axis=0, initial=count)
    return np.sort(np.argsort(distances, kind="stable")[:room])


def divide_room(sizes: Sequence[int], needed: Sequence[int], room: int) -> tuple[int, int]:
    """How many pieces are kept of each of two texts: the longer one is cut first.

    Args:
        sizes: Pieces of each text.
        needed: Pieces of each text's span; they fit together.
        room: Pieces of both.

    >>> divide_room([100, 4], [3, 1], 20), divide_room([100, 40], [3, 1], 20)
    ((16, 4), (10, 10))
    """
    first = room - min(sizes[1], room // 2) if sizes[0] >= sizes[1] else min(sizes[0], room // 2)
    first = max(first, needed[0])
    first = min(first, room - needed[1])
    return min(first, sizes[0]), min(room - first, sizes[1])
