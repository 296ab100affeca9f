"""Edge probing's score: the binary F1 of decisions at a logit of 0, restated in a slow loop."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Iterator

import numpy as np

import jiantx as jx
from jiantx.features import encode_examples
from jiantx.metrics import metric_name

from .comparison import Comparison, Sample, compare_scores

TASKS = ("spr2", "dpr", "edge_srl", "edge_coref")
TARGETS = 800


def comparisons(rng: random.Random, tokenizer: object) -> Iterator[Comparison]:
    for name in TASKS:
        task = jx.get_task(name)
        assert isinstance(task, jx.SpanClassification)
        labels = task.label_names
        gold = [made_up_labels(rng, labels, several=name == "spr2") for _ in range(TARGETS)]
        logits = [[noisy_logit(rng, label in of_target) for label in labels] for of_target in gold]
        (metric,) = task.metrics
        sample = Sample(predicted_labels(task, logits, tokenizer), gold)
        independent = cell_f1(labels, logits, gold, counts_in(name))
        data = f"{name}'s labels, targets made up"
        yield compare_scores(
            metric_name(metric),
            data,
            [sample],
            metric,
            [independent],
            "a loop over the rules of edge probing",
        )


# --- noise ----------------------------------------------------------------------------------------


def made_up_labels(
    rng: random.Random, labels: Collection[str], *, several: bool
) -> tuple[str, ...]:
    if not several:
        return (rng.choice(list(labels)),)
    return tuple(label for label in labels if rng.random() < 0.3)


def noisy_logit(rng: random.Random, is_gold: bool) -> float:
    """Some are 0, which is a positive decision."""
    logit = rng.gauss(1.0 if is_gold else -2.0, 1.0)
    return 0.0 if abs(logit) < 0.05 else logit


def predicted_labels(
    task: jx.SpanClassification, logits: list[list[float]], tokenizer: object
) -> list[tuple[str, ...]]:
    """The labels that jiantx predicts of these logits."""
    row = {"text": "a b", "span1": [0, 1], "span2": [1, 2]}
    examples = [task.example(row, id=str(i), language="en") for i in range(len(logits))]
    table = encode_examples(task, examples, tokenizer)  # type: ignore[arg-type]
    probabilities = 1 / (1 + np.exp(-np.array(logits)))
    decoded = task.decode({"probabilities": probabilities}, table, examples)
    return [tuple(prediction.label) for prediction in decoded]


# --- the independent computation ------------------------------------------------------------------


def counts_in(name: str) -> Callable[[str], bool]:
    """Which labels the published score counts."""
    if name == "edge_coref":
        return lambda label: label == "1"
    if name == "edge_srl":
        return lambda label: label[:2] not in ("R-", "C-")
    return lambda label: True


def cell_f1(
    labels: Collection[str],
    logits: list[list[float]],
    gold: list[tuple[str, ...]],
    is_counted: Callable[[str], bool],
) -> float:
    true_positives = false_positives = false_negatives = 0
    for target, own_logits in enumerate(logits):
        for label, logit in zip(labels, own_logits, strict=True):
            if not is_counted(label):
                continue
            is_positive = logit >= 0
            is_gold = label in gold[target]
            true_positives += is_positive and is_gold
            false_positives += is_positive and not is_gold
            false_negatives += not is_positive and is_gold
    if not true_positives + false_positives or not true_positives + false_negatives:
        return math.nan
    precision = true_positives / (true_positives + false_positives)
    recall = true_positives / (true_positives + false_negatives)
    return 100 * 2 * precision * recall / (precision + recall)
