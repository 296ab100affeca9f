"""The best span of each window, from the scores of its tokens as a start and as an end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_BLOCK = 256  # windows decoded together: their candidates stay in the processor's cache


@dataclass(frozen=True)
class Spans:
    """The best span of each window.

    Attributes:
        score: (windows,) of the best span.
        start: (windows,) character offset where it starts.
        stop: (windows,) character offset where it ends.
        null: (windows,) score of the first token, which stands for no answer.
        log_total: (windows,) exp(score - log_total) is the probability of a span: that of its start
            times that of its end, among the tokens of the passage and the first one.
    """

    score: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    null: np.ndarray
    log_total: np.ndarray


def _list_column(table: Any, column: str) -> tuple[np.ndarray, np.ndarray]:
    """The entries of a column of lists, one after the other, and (rows,) how many each row has."""
    array = table[column].combine_chunks()
    return array.flatten().to_numpy(), np.diff(array.offsets.to_numpy())


def best_spans(
    table: Any, outputs: Mapping[str, np.ndarray], n_best: int, max_answer_length: int
) -> Spans:
    """The best span among the `n_best` starts and ends of each window's passage, the first of
    equals.

    For a passage of 6 tokens, n_best 2 and answers of at most 3 tokens:

        start logits              1  5  0  4  0  0
        all but the 2 largest     .  5  .  4  .  .
        end logits                0  1  6  0  0  7
        all but the 2 largest     .  .  6  .  .  7
        largest end within 3      6  6  6  7  7  7    (`_sliding_max`: tokens t, t + 1, t + 2)
        start + that              . 11  . 11  .  .    -> the first best start is token 1
        ends from token 1 on         .  6  .          -> the best end is token 2, the score 11

    Args:
        table: Features of question answering.
        outputs: `start_logits` and `end_logits` of all tokens, one window after the other.
        n_best: Starts and ends that are considered in each window.
        max_answer_length: Tokens.
    """
    _, token_counts = _list_column(table, "input_ids")
    context_offsets, _ = _list_column(table, "context_start")
    offset_starts, sizes = _list_column(table, "offset_starts")
    offset_ends, _ = _list_column(table, "offset_ends")
    window_starts = np.cumsum(token_counts) - token_counts  # where each window's tokens begin
    passage_starts = np.cumsum(sizes) - sizes  # where each passage's offsets begin
    width = int(sizes.max(initial=1))
    # row t is the `width` logits from token t on
    start_views = _views(outputs["start_logits"], width)
    end_views = _views(outputs["end_logits"], width)
    results = []
    for block in np.split(np.arange(len(token_counts)), range(_BLOCK, len(token_counts), _BLOCK)):
        outside = np.arange(width) >= sizes[block, None]  # (block, width)
        first_tokens = (window_starts + context_offsets)[block]
        start = start_views[first_tokens]  # (block, width)
        end = end_views[first_tokens]
        log_total = _log_sum(start, outside, outputs["start_logits"][window_starts[block]])
        log_total += _log_sum(end, outside, outputs["end_logits"][window_starts[block]])
        start = _mask_all_but_top(start, outside, n_best)
        end = _mask_all_but_top(end, outside, n_best)
        rows = np.arange(len(block))
        first = (start + _sliding_max(end, max_answer_length)).argmax(axis=1)  # (block,)
        # (block, max_answer_length) the ends that the best start may have
        lasts = np.minimum(first[:, None] + np.arange(max_answer_length), width - 1)
        scores = start[rows, first][:, None] + end[rows[:, None], lasts]
        best = scores.argmax(axis=1)
        results.append((scores[rows, best], first, lasts[rows, best], log_total))
    score, first, last, log_total = map(np.concatenate, zip(*results, strict=True))
    null = outputs["start_logits"][window_starts] + outputs["end_logits"][window_starts]
    start_offsets = offset_starts[passage_starts + first]
    stop_offsets = offset_ends[passage_starts + last]
    return Spans(score, start_offsets, stop_offsets, null, log_total)


def _views(logits: np.ndarray, width: int) -> np.ndarray:
    """(tokens + 1, width) the logits from each token on, without copying them."""
    return np.lib.stride_tricks.sliding_window_view(np.pad(logits, (0, width)), width)


def _log_sum(logits: np.ndarray, outside: np.ndarray, null: np.ndarray) -> np.ndarray:
    """(rows,) the logarithm of the sum of exp(logit) over what is not outside, and the null logit.

    Args:
        logits: (rows, width).
        outside: (rows, width).
        null: (rows,) of the first token.
    """
    highest = np.maximum(null, np.max(logits, axis=1, where=~outside, initial=-np.inf))
    odds = np.exp(np.where(outside, -np.inf, logits - highest[:, None]))
    return highest + np.log(odds.sum(axis=1) + np.exp(null - highest))


def _mask_all_but_top(logits: np.ndarray, outside: np.ndarray, n: int) -> np.ndarray:
    """Set to -inf what is outside, and all but the n largest of each row and their equals.

    Args:
        logits: (rows, width), changed in place.
        outside: (rows, width).
        n: How many stay.
    """
    np.copyto(logits, -np.inf, where=outside)
    rank = max(0, logits.shape[1] - n)
    smallest_kept = np.partition(logits, rank, axis=1)[:, rank, None]
    np.copyto(logits, -np.inf, where=logits < smallest_kept)
    return logits


def _sliding_max(values: np.ndarray, reach: int) -> np.ndarray:
    """(rows, width) the largest of `reach` values from each on, in log2(reach) passes.

    >>> _sliding_max(np.array([[0, 1, 6, 0, 0, 7]]), 3).tolist()
    [[6, 6, 6, 7, 7, 7]]
    """
    maxima = values
    covered = 1
    while covered < reach:
        shift = min(covered, reach - covered, values.shape[1])
        shifted = np.maximum(maxima[:, :-shift], maxima[:, shift:])
        maxima = np.concatenate([shifted, maxima[:, -shift:]], axis=1)
        covered += shift
    return maxima
