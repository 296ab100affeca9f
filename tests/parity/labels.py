"""Labels, sets of labels, numbers and guesses of masked tokens, beside scikit-learn and SciPy."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from scipy import stats
from sklearn import metrics as sklearn_metrics
from sklearn.preprocessing import MultiLabelBinarizer

from jiantx import metrics
from jiantx.task_types.masked_lm import masked_accuracy

from .comparison import Comparison, Sample, compare
from .gold import references_by_language

RARE_TAGS = ("NUM", "SYM", "X", "INTJ", "AUX")


def comparisons(rng: random.Random) -> Iterator[Comparison]:
    for task in ("xnli", "pawsx"):
        samples = [noisy_labels(rng, gold) for gold in references_by_language(task)]
        yield compare("accuracy", task, samples, metrics.accuracy, sklearn_accuracy, "scikit-learn")

    samples = [noisy_labels(rng, gold) for gold in references_by_language("pawsx")]
    yield compare(
        "f1_of", 'pawsx, "1"', samples, metrics.f1_of("1"), sklearn_binary_f1, "scikit-learn"
    )

    # examples with several labels, or none
    data = "rare tags of udpos's sentences"
    samples = [noisy_rare_tags(rng, gold) for gold in references_by_language("udpos")]
    yield compare("micro_f1", data, samples, metrics.micro_f1, sklearn_micro_f1, "scikit-learn")
    yield compare(
        "accuracy, sets", data, samples, metrics.accuracy, sklearn_set_accuracy, "scikit-learn"
    )

    for data, digits in (("stsb", 3), ("stsb, rounded", 0)):  # rounded predictions tie
        samples = [noisy_numbers(rng, gold, digits) for gold in references_by_language("stsb")]
        yield compare("pearson", data, samples, metrics.pearson, scipy_pearson, "SciPy")
        yield compare("spearman", data, samples, metrics.spearman, scipy_spearman, "SciPy")


def masked_accuracy_comparison(rng: random.Random) -> Comparison:
    lines = []
    for _ in range(3000):
        lines.append([rng.random() < 0.4 for _ in range(rng.randint(0, 12))])
    sample = Sample(lines, [(True,)] * len(lines))
    data = "hits and misses, made up"
    return compare("masked_accuracy", data, [sample], masked_accuracy, numpy_share, "NumPy")


# --- noise ----------------------------------------------------------------------------------------


def noisy_labels(rng: random.Random, gold: Sequence[str]) -> Sample:
    labels = sorted(set(gold))
    predictions = [label if rng.random() < 0.7 else rng.choice(labels) for label in gold]
    return Sample(predictions, gold)


def noisy_rare_tags(rng: random.Random, sentences: Sequence[Sequence[str]]) -> Sample:
    """The set of rare tags of each sentence; predictions miss some and have some too many."""
    references = [{tag for tag in tags if tag in RARE_TAGS} for tags in sentences]
    return Sample([noisy_set(rng, tags) for tags in references], references)


def noisy_set(rng: random.Random, tags: Collection[str]) -> set[str]:
    predicted = {tag for tag in sorted(tags) if rng.random() < 0.8}
    if rng.random() < 0.2:
        predicted.add(rng.choice(["NUM", "SYM", "X"]))
    return predicted


def noisy_numbers(rng: random.Random, gold: Sequence[float], digits: int) -> Sample:
    return Sample([round(number + rng.gauss(0, 1), digits) for number in gold], gold)


# --- independent computations ---------------------------------------------------------------------


def sklearn_accuracy(predictions: Sequence[Any], references: Sequence[Any]) -> float:
    return 100 * sklearn_metrics.accuracy_score(references, predictions)


def sklearn_binary_f1(predictions: Sequence[str], references: Sequence[str]) -> float:
    return 100 * sklearn_metrics.f1_score(references, predictions, pos_label="1")


def sklearn_set_accuracy(predictions: Sequence[Any], references: Sequence[Any]) -> float:
    predicted, gold = binarized(predictions, references)
    return 100 * sklearn_metrics.accuracy_score(gold, predicted)


def sklearn_micro_f1(predictions: Sequence[Any], references: Sequence[Any]) -> float:
    predicted, gold = binarized(predictions, references)
    return 100 * sklearn_metrics.f1_score(gold, predicted, average="micro")


def binarized(predictions: Sequence[Any], references: Sequence[Any]) -> tuple[np.ndarray, ...]:
    """(examples, labels) for each side, 1 where the example has the label."""
    binarizer = MultiLabelBinarizer().fit([*predictions, *references])
    return binarizer.transform(predictions), binarizer.transform(references)


def scipy_pearson(predictions: Sequence[float], references: Sequence[float]) -> float:
    return 100 * float(stats.pearsonr(predictions, references).statistic)


def scipy_spearman(predictions: Sequence[float], references: Sequence[float]) -> float:
    return 100 * float(stats.spearmanr(predictions, references).statistic)


def numpy_share(predictions: Sequence[Sequence[bool]], references: Any) -> float:
    flat = np.concatenate([np.array(hits, np.float64) for hits in predictions])
    return 100 * float(flat.mean())
