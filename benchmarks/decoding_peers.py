"""Plain loops that decode spans and choose thresholds, restated from the scripts of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Answers = list[tuple[str, int, float]]  # text, offset in the passage, score
Offsets = list[tuple[int, int] | None]


def token_offsets(window: Mapping[str, Any]) -> Offsets:
    """Return where each token stands in the passage; None for the question and special tokens."""
    (context_start,) = window["context_start"]
    passage = list(zip(window["offset_starts"], window["offset_ends"], strict=True))
    after = len(window["input_ids"]) - context_start - len(passage)
    return [None] * context_start + passage + [None] * after


def looped_spans(
    outputs: Mapping[str, np.ndarray],
    windows: Any,
    examples: Sequence[Any],
    *,
    unanswerable: bool = False,
    n_best: int = 20,
    max_answer_length: int = 30,
) -> Answers:
    """Decode the best span of each example, from the `n_best` over all its windows.

    This is `postprocess_qa_predictions` of transformers' examples, with two differences: the best
    starts and ends are those among the passage's tokens, as in jiantx, and no file is written.

    Args:
        outputs: "start_logits" and "end_logits", (tokens of all windows,).
        windows: A data set, which is read window by window, or a list of its rows.
        examples: The questions, in the order of their windows.
        unanswerable: Whether the first token means that there is no answer.
        n_best: How many starts, ends and spans are kept.
        max_answer_length: Tokens of an answer, at most.
    """
    answers = []
    stop = 0
    for example, window_indices in zip(examples, windows_by_example(windows), strict=True):
        candidates: list[dict[str, Any]] = []
        null_score = np.inf
        for index in window_indices:
            offsets = token_offsets(windows[index])
            start = stop
            stop += len(offsets)
            start_logits = outputs["start_logits"][start:stop]
            end_logits = outputs["end_logits"][start:stop]
            null_score = min(null_score, start_logits[0] + end_logits[0])
            candidates += span_candidates(
                start_logits, end_logits, offsets, n_best, max_answer_length
            )
        best = best_prediction(candidates, example.context, n_best)
        text = best["text"]
        answer = "" if unanswerable and null_score > best["score"] else text.strip()
        leading_spaces = len(text) - len(text.lstrip())
        answers.append((answer, best["offsets"][0] + leading_spaces, float(best["score"])))
    return answers


def windows_by_example(windows: Any) -> list[list[int]]:
    """Return the indices of each example's windows."""
    if hasattr(windows, "column_names"):
        examples = windows["example"]
    else:
        examples = [window["example"] for window in windows]
    indices: dict[int, list[int]] = {}
    for index, example in enumerate(examples):
        indices.setdefault(example, []).append(index)
    return [indices[example] for example in range(len(indices))]


def span_candidates(
    start_logits: np.ndarray,
    end_logits: np.ndarray,
    offsets: Offsets,
    n_best: int,
    max_answer_length: int,
) -> list[dict[str, Any]]:
    """Return the spans of one window, from its best starts to its best ends."""
    passage = [token for token, offset in enumerate(offsets) if offset is not None]
    inside = slice(passage[0], passage[-1] + 1)
    starts = np.argsort(start_logits[inside])[-1 : -n_best - 1 : -1] + passage[0]
    ends = np.argsort(end_logits[inside])[-1 : -n_best - 1 : -1] + passage[0]
    candidates: list[dict[str, Any]] = []
    for start in starts.tolist():
        for end in ends.tolist():
            if start >= len(offsets) or end >= len(offsets):
                continue
            first_offset = offsets[start]
            last_offset = offsets[end]
            if first_offset is None or last_offset is None:
                continue
            if end < start or end - start + 1 > max_answer_length:
                continue
            candidates.append(
                {
                    "offsets": (first_offset[0], last_offset[1]),
                    "score": start_logits[start] + end_logits[end],
                    "start_logit": start_logits[start],
                    "end_logit": end_logits[end],
                }
            )
    return candidates


def best_prediction(candidates: list[dict[str, Any]], context: str, n_best: int) -> dict[str, Any]:
    """Return the best span, after computing the texts and probabilities of the `n_best`."""
    ranked = sorted(candidates, key=lambda candidate: candidate["score"], reverse=True)
    predictions = ranked[:n_best]
    for prediction in predictions:
        first, last = prediction["offsets"]
        prediction["text"] = context[first:last]
    scores = np.array([prediction["score"] for prediction in predictions])
    exponentials = np.exp(scores - scores.max())
    probabilities = exponentials / exponentials.sum()
    for prediction, probability in zip(predictions, probabilities, strict=True):
        prediction["probability"] = probability
    return predictions[0]


def looped_threshold(
    scores: Sequence[float], is_gold: Sequence[bool], total: int
) -> tuple[float, float]:
    """Choose the threshold of mined pairs as XTREME's `bucc_optimize` does.

    Pairs are taken from the best down; the threshold lies midway to the next pair where the F1 of
    the pairs so far is best.

    Args:
        scores: Score of each pair.
        is_gold: Whether each pair is gold.
        total: How many gold pairs there are, mined or not.

    Returns:
        The threshold, and its F1 from 0 to 100.
    """
    ranked = sorted(zip(scores, is_gold, strict=True), reverse=True)
    best_f1 = 0.0
    threshold = 0.0
    hits = 0
    for count, (score, hit) in enumerate(ranked, 1):
        hits += hit
        if not hits:
            continue
        precision = hits / count
        recall = hits / total
        f1 = 2 * precision * recall / (precision + recall)
        if f1 > best_f1:
            best_f1 = f1
            threshold = (score + ranked[count][0]) / 2 if count < len(ranked) else score
    return threshold, 100 * best_f1
