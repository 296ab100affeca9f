"""From a model's outputs to answers and scores, beside plain loops with the same results.

    python benchmarks/decoding.py

Span decoding is compared with a loop over start x end candidates, window by window, as
transformers' example has it; chunk F1 with seqeval; the threshold of mined pairs with the loop of
XTREME's `bucc_optimize`. Logits and tags are random around the gold. Results must be equal: the
answers of all examples, and the scores.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import eq
from typing import Any

import numpy as np
from decoding_peers import Answers, looped_spans, looped_threshold
from measuring import (
    add_data_arguments,
    add_encoder_argument,
    argument_parser,
    clocked,
    format_ratio,
    machine,
    parse_options,
    ratio,
    set_data_root,
    table,
    take_turns,
    write_results,
)

TAGS = "O O O O B-PER I-PER B-ORG I-ORG B-LOC I-LOC".split()
WINDOW_COLUMNS = ["example", "input_ids", "context_start", "offset_starts", "offset_ends"]


def main() -> int:
    """Measure all comparisons."""
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JIANTX_CACHE"] = folder
        os.environ["TQDM_DISABLE"] = "1"
        set_data_root(options.data_root, folder)
        records = [
            *compare_spans(options, unanswerable=False),
            *compare_spans(options, unanswerable=True),
            compare_chunk_f1(options),
            compare_thresholds(options),
        ]
    lines = []
    for record in records:
        our_seconds, peer_seconds = record["seconds"].values()
        seconds = (f"{np.median(our_seconds):.4f}", f"{np.median(peer_seconds):.3f}")
        speed_up = format_ratio(ratio(peer_seconds, our_seconds))
        lines.append([record["what"], record["peer"], *seconds, speed_up])
    print(f"{machine()}. Results are equal.\n")
    print(table(["what", "peer", "jiantx, s", "peer, s", "times as fast (range)"], lines))
    print(f"\nWritten: {write_results('decoding', options, records)}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argument_parser(__doc__, repeat=5)
    add_data_arguments(parser)
    parser.add_argument("--rows", type=int, default=2500, help="SQuAD's training rows")
    parser.add_argument("--sentences", type=int, default=20_000)
    parser.add_argument("--pairs", type=int, default=50_000)
    add_encoder_argument(parser)
    return parse_options(parser, arguments)


def compare(
    title: str,
    peer: str,
    run_ours: Callable[[], Any],
    run_peer: Callable[[], Any],
    repeat: int,
    same: Callable[[Any, Any], bool],
) -> dict[str, Any]:
    """Measure both in turn; raise SystemExit if their results are not the same."""
    if not same(run_ours(), run_peer()):
        raise SystemExit(f"{title}: jiantx and {peer} give different results.")
    runs = {"jiantx": clocked(run_ours), peer: clocked(run_peer)}
    return {"what": title, "peer": peer, "seconds": take_turns(runs, 1, repeat=repeat)}


# --- Spans ------------------------------------------------------------------------------------


def compare_spans(options: argparse.Namespace, *, unanswerable: bool) -> Iterator[dict[str, Any]]:
    """Compare the decoding of answers with a loop over windows, from the data set and in memory."""
    from transformers import AutoTokenizer
    from transformers.utils import logging

    import jiantx as jx
    from jiantx.features import load_features

    logging.set_verbosity_error()  # it warns of passages longer than the model's positions
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    task = jx.get_task("squad_v1").replace(unanswerable=unanswerable)
    assert isinstance(task, jx.QuestionAnswering)
    features = load_features(task, "train", "en", tokenizer, max_examples=options.rows)
    examples = features.examples()
    outputs = random_logits(features.table)

    def run_ours() -> Answers:
        answers = task.decode(outputs, features.table, examples)
        return [(answer.answer, answer.start, answer.score) for answer in answers]

    windows = features.table.select_columns(WINDOW_COLUMNS)
    kind = "with no answer among the answers, " if unanswerable else ""
    title = f"spans, {kind}{len(examples):,} questions, {len(features.table):,} windows"
    peers = {"loop, reading its windows": windows, "loop, windows in memory": list(windows)}
    for peer, peer_windows in peers.items():
        run_peer = partial(looped_spans, outputs, peer_windows, examples, unanswerable=unanswerable)
        yield compare(title, peer, run_ours, run_peer, options.repeat, eq)


def random_logits(table: Any, seed: int = 0) -> dict[str, np.ndarray]:
    """Draw (tokens,) noise, higher at the gold, and at the first token more or less."""
    rng = np.random.default_rng(seed)
    lengths = np.array([len(ids) for ids in table["input_ids"][:]])
    first_tokens = np.cumsum(lengths) - lengths
    outputs = {}
    for side in ("start", "end"):
        logits = rng.normal(0, 2, lengths.sum()).astype(np.float32)
        gold = np.array(table[f"{side}_positions"][:])[:, 0]
        logits[first_tokens + gold] += 5
        logits[first_tokens] += rng.normal(5, 5, len(lengths)).astype(np.float32)
        outputs[f"{side}_logits"] = logits
    return outputs


# --- Scores -----------------------------------------------------------------------------------


def compare_chunk_f1(options: argparse.Namespace) -> dict[str, Any]:
    """Compare the F1 of chunks with seqeval's."""
    from seqeval.metrics import f1_score

    from jiantx.metrics import chunk_f1_seqeval1

    predicted, gold = random_tags(options.sentences)
    word_count = sum(map(len, gold))
    return compare(
        f"chunk F1, {len(gold):,} sentences, {word_count:,} words",
        "seqeval",
        lambda: chunk_f1_seqeval1(predicted, gold),
        lambda: 100 * f1_score(gold, predicted),
        options.repeat,
        lambda our_f1, peer_f1: abs(our_f1 - peer_f1) < 1e-9,
    )


def random_tags(count: int, seed: int = 0) -> tuple[list[list[str]], list[list[str]]]:
    """Draw predicted and gold tags of random sentences; 8 of 10 are right."""
    rng = random.Random(seed)
    gold = []
    for _ in range(count):
        length = rng.randint(1, 30)
        gold.append([rng.choice(TAGS) for _ in range(length)])
    predicted = []
    for tags in gold:
        predicted.append([tag if rng.random() < 0.8 else rng.choice(TAGS) for tag in tags])
    return predicted, gold


def compare_thresholds(options: argparse.Namespace) -> dict[str, Any]:
    """Compare the threshold of mined pairs with the loop of XTREME."""
    from jiantx.metrics import best_threshold

    scores, is_gold = random_pairs(options.pairs)
    total = int(1.1 * sum(is_gold))
    return compare(
        f"best threshold, {options.pairs:,} mined pairs",
        "loop over pairs",
        lambda: best_threshold(scores, is_gold, total),
        lambda: looped_threshold(scores, is_gold, total),
        options.repeat,
        lambda our_best, peer_best: bool(np.allclose(our_best, peer_best, rtol=0, atol=1e-9)),
    )


def random_pairs(count: int, seed: int = 0) -> tuple[list[float], list[bool]]:
    """Draw scores of pairs, all different, and which pairs are gold."""
    rng = np.random.default_rng(seed)
    is_gold = rng.random(count) < 0.5
    scores = rng.normal(np.where(is_gold, 1.2, 1.0), 0.1)
    return scores.tolist(), is_gold.tolist()


if __name__ == "__main__":
    sys.exit(main())
