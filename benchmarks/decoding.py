"""From a model's outputs to answers and scores, beside plain loops with the same results.

    python benchmarks/decoding.py

Span decoding is compared with a loop over start x end candidates, window by window, as
transformers' example has it; chunk F1 with seqeval; the threshold of mined pairs with the loop of
XTREME's `bucc_optimize`. Logits and tags are random around the gold. Everything is asserted equal:
the answers of all examples, and the scores."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import harness
import numpy as np

Answers = list[tuple[str, int, float]]


def main() -> int:
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JIANTX_CACHE"] = folder
        os.environ["TQDM_DISABLE"] = "1"
        records = [
            *spans(options, folder, unanswerable=False),
            *spans(options, folder, unanswerable=True),
            chunks(options),
            thresholds(options),
        ]
    lines = []
    for record in records:
        our_seconds, peer_seconds = record["seconds"].values()
        times = harness.format_ratio(harness.ratio(peer_seconds, our_seconds))
        lines.append(
            [
                record["what"],
                record["peer"],
                f"{np.median(our_seconds):.4f}",
                f"{np.median(peer_seconds):.3f}",
                times,
            ]
        )
    print(f"{harness.machine()}. Results are equal.\n")
    print(harness.table(["what", "peer", "jiantx, s", "peer, s", "times as fast (range)"], lines))
    harness.write("decoding", vars(options), records, options.results)
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = harness.parser(__doc__, repeat=5)
    harness.add_data_flags(parser)
    parser.add_argument(
        "--rows", type=int, default=2500, help="questions, of SQuAD's training rows"
    )
    parser.add_argument("--sentences", type=int, default=20_000)
    parser.add_argument("--pairs", type=int, default=50_000)
    return parser.parse_args(arguments)


def compared(
    title: str,
    peer: str,
    our_run: Callable[[], Any],
    peer_run: Callable[[], Any],
    repeat: int,
    same: Callable[[Any, Any], bool],
) -> dict[str, Any]:
    """Seconds of both, in turn; SystemExit if their results are not the same."""
    if not same(our_run(), peer_run()):
        raise SystemExit(f"{title}: jiantx and {peer} give different results.")

    seconds = harness.take_turns(
        {"jiantx": harness.clocked(our_run), peer: harness.clocked(peer_run)}, 1, repeat=repeat
    )
    return {"what": title, "peer": peer, "seconds": seconds}


# --- spans ----------------------------------------------------------------------------------------


def spans(
    options: argparse.Namespace, folder: str, *, unanswerable: bool
) -> Iterator[dict[str, Any]]:
    from transformers import AutoTokenizer
    from transformers.utils import logging

    import jiantx as jx
    from jiantx import synthetic
    from jiantx.features import load_features

    logging.set_verbosity_error()  # of passages longer than the model's positions
    root = options.data_root
    jx.data_root(
        root if root.is_dir() else synthetic.write_root(Path(folder) / "root", train_examples=2500)
    )
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    task = jx.get_task("squad_v1").replace(unanswerable=unanswerable)
    features = load_features(task, "train", "en", tokenizer, max_examples=options.rows)
    examples = features.examples()
    outputs = random_logits(features.table)

    def our_answers() -> Answers:
        predictions = task.decode(outputs, features.table, examples)
        return [(answer.answer, answer.start, answer.score) for answer in predictions]

    windows = features.table.select_columns(
        ["example", "input_ids", "context_start", "offset_starts", "offset_ends"]
    )
    read = list(windows)  # in memory, as the loop would like it best

    def peer_answers(windows: Any) -> Answers:
        return looped(outputs, windows, examples, unanswerable=unanswerable)

    answerable = "with no answer among the answers, " if unanswerable else ""
    title = f"spans, {answerable}{len(examples):,} questions, {len(features.table):,} windows"
    for peer, rows in (("loop, reading its windows", windows), ("loop, windows in memory", read)):
        yield compared(
            title,
            peer,
            our_answers,
            partial(peer_answers, rows),
            options.repeat,
            lambda one, other: one == other,
        )


def random_logits(table: Any, seed: int = 0) -> dict[str, np.ndarray]:
    """Noise, higher at the gold, and at the first token more or less."""
    rng = np.random.default_rng(seed)
    sizes = np.array([len(ids) for ids in table["input_ids"][:]])
    first_tokens = np.cumsum(sizes) - sizes
    logits_by_side = {}
    for side in ("start", "end"):
        logits = rng.normal(0, 2, sizes.sum()).astype(np.float32)
        logits[first_tokens + np.array(table[f"{side}_positions"][:])[:, 0]] += 5
        logits[first_tokens] += rng.normal(5, 5, len(first_tokens)).astype(np.float32)
        logits_by_side[f"{side}_logits"] = logits
    return logits_by_side


def places_of(window: Mapping[str, Any]) -> list[tuple[int, int] | None]:
    """Where each token of a window stands in the passage; None for those of the question, and
    special ones.
    """
    (head,) = window["context_start"]
    inside = list(zip(window["offset_starts"], window["offset_ends"], strict=True))
    return [None] * head + inside + [None] * (len(window["input_ids"]) - head - len(inside))


def looped(
    outputs: Mapping[str, np.ndarray],
    windows: Any,
    examples: Sequence[Any],
    *,
    unanswerable: bool = False,
    n_best: int = 20,
    max_answer_length: int = 30,
) -> Answers:
    """(answer, its offset, score of the best span) of each example, from the `n_best` over all its
    windows.

    As `postprocess_qa_predictions` of transformers' examples, but that the best starts and ends are
    those among the passage's tokens, as jiantx has it, and that no file is written. windows: a data
    set, of which it reads row by row, or a list of its rows."""
    windows_of: dict[int, list[int]] = {}
    example_of_window = (
        windows["example"]
        if hasattr(windows, "column_names")
        else [row["example"] for row in windows]
    )
    for window, example in enumerate(example_of_window):
        windows_of.setdefault(example, []).append(window)
    answers = []
    stop = 0
    for example_index, example in enumerate(examples):
        candidates = []
        null = np.inf
        for window in windows_of[example_index]:
            positions = places_of(windows[window])
            window_tokens = slice(stop, stop := stop + len(positions))
            start_logits = outputs["start_logits"][window_tokens]
            end_logits = outputs["end_logits"][window_tokens]
            null = min(null, start_logits[0] + end_logits[0])
            passage = [token for token, position in enumerate(positions) if position is not None]
            inside = slice(passage[0], passage[-1] + 1)
            starts, ends = (
                (np.argsort(logits[inside])[-1 : -n_best - 1 : -1] + passage[0]).tolist()
                for logits in (start_logits, end_logits)
            )
            for start in starts:
                for end in ends:
                    if (
                        start >= len(positions)
                        or end >= len(positions)
                        or positions[start] is None
                        or positions[end] is None
                    ):
                        continue
                    if end < start or end - start + 1 > max_answer_length:
                        continue
                    candidates.append(
                        {
                            "offsets": (positions[start][0], positions[end][1]),  # type: ignore[index]
                            "score": start_logits[start] + end_logits[end],
                            "start_logit": start_logits[start],
                            "end_logit": end_logits[end],
                        }
                    )
        predictions = sorted(candidates, key=lambda candidate: candidate["score"], reverse=True)[
            :n_best
        ]
        for prediction in predictions:
            first, last = prediction["offsets"]
            prediction["text"] = example.context[first:last]
        scores = np.array([prediction["score"] for prediction in predictions])
        probabilities = np.exp(scores - scores.max())
        for prediction, probability in zip(
            predictions, probabilities / probabilities.sum(), strict=True
        ):
            prediction["probability"] = probability
        best = predictions[0]
        text = best["text"]
        answer = "" if unanswerable and null > best["score"] else text.strip()
        answers.append(
            (answer, best["offsets"][0] + len(text) - len(text.lstrip()), float(best["score"]))
        )
    return answers


# --- scores ---------------------------------------------------------------------------------------


def chunks(options: argparse.Namespace) -> dict[str, Any]:
    from seqeval.metrics import f1_score

    from jiantx.metrics import chunk_f1_seqeval1

    predicted, gold = tagged(options.sentences)
    word_count = sum(map(len, gold))
    return compared(
        f"chunk F1, {len(gold):,} sentences, {word_count:,} words",
        "seqeval",
        lambda: chunk_f1_seqeval1(predicted, gold),
        lambda: 100 * f1_score(gold, predicted),
        options.repeat,
        lambda one, other: abs(one - other) < 1e-9,
    )


def tagged(count: int, seed: int = 0) -> tuple[list[list[str]], list[list[str]]]:
    """Predicted tags and gold ones of random sentences; 8 of 10 are right."""
    rng = random.Random(seed)
    tags = "O O O O B-PER I-PER B-ORG I-ORG B-LOC I-LOC".split()
    predicted: list[list[str]] = []
    gold: list[list[str]] = []
    for _ in range(count):
        gold.append([rng.choice(tags) for _ in range(rng.randint(1, 30))])
        predicted.append([tag if rng.random() < 0.8 else rng.choice(tags) for tag in gold[-1]])
    return predicted, gold


def thresholds(options: argparse.Namespace) -> dict[str, Any]:
    from jiantx.metrics import best_threshold

    scores, right = mined(options.pairs)
    total = int(1.1 * sum(right))
    return compared(
        f"best threshold, {options.pairs:,} mined pairs",
        "loop over pairs",
        lambda: best_threshold(scores, right, total),
        lambda: looped_threshold(scores, right, total),
        options.repeat,
        lambda one, other: bool(np.allclose(one, other, rtol=0, atol=1e-9)),
    )


def mined(count: int, seed: int = 0) -> tuple[list[float], list[bool]]:
    """Scores of pairs, all different, and which are gold."""
    rng = np.random.default_rng(seed)
    right = rng.random(count) < 0.5
    return rng.normal(np.where(right, 1.2, 1.0), 0.1).tolist(), right.tolist()


def looped_threshold(
    scores: Sequence[float], right: Sequence[bool], total: int
) -> tuple[float, float]:
    """As `bucc_optimize`: pairs from the best down, the F1 of those so far, and midway to the next
    where it is best.
    """
    ranked = sorted(zip(scores, right, strict=True), reverse=True)
    best = 0.0
    threshold = 0.0
    hits = 0
    for count, (score, hit) in enumerate(ranked, 1):
        hits += hit
        if hits:
            precision = hits / count
            recall = hits / total
            f1 = 2 * precision * recall / (precision + recall)
            if f1 > best:
                best = f1
                threshold = (score + ranked[count][0]) / 2 if count < len(ranked) else score
    return threshold, 100 * best


if __name__ == "__main__":
    sys.exit(main())
