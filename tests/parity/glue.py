"""The metrics of GLUE, SuperGLUE and MC-TACO, beside scikit-learn, SciPy and plain loops."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sklearn import metrics as sklearn_metrics

import jiantx as jx
from jiantx import metrics
from jiantx.grouping import row_groups

from .comparison import Comparison, Sample, compare
from .labels import (
    noisy_labels,
    noisy_numbers,
    scipy_pearson,
    scipy_spearman,
    sklearn_accuracy,
)

SPLITS = ("validation", "test")
MADE_UP = 400  # rows of a task that the data root lacks


class Gold(NamedTuple):
    """Labels of a task, and the group of each."""

    data: str
    references: Sequence[Any]
    groups: Sequence[Any]


def comparisons(rng: random.Random) -> Iterator[Comparison]:
    for name in ("cola", "axb", "glue_diagnostic"):
        data, sample, _ = noisy_gold(name, rng)
        yield compare(
            "matthews", data, [sample], metrics.matthews, sklearn_matthews, "scikit-learn"
        )
    for name, label in (("mrpc", "equivalent"), ("multirc", "True")):
        data, sample, _ = noisy_gold(name, rng)
        ours = metrics.f1_of(label)

        def independent(predictions: Any, references: Any, label: str = label) -> float:
            return 100 * sklearn_metrics.f1_score(references, predictions, pos_label=label)

        yield compare("f1_of", data, [sample], ours, independent, "scikit-learn")
    data, sample, _ = noisy_gold("cb", rng)
    yield compare("macro_f1", data, [sample], metrics.macro_f1, sklearn_macro_f1, "scikit-learn")
    yield compare("accuracy", data, [sample], metrics.accuracy, sklearn_accuracy, "scikit-learn")
    yield from similarity_comparisons(rng)
    yield from group_comparisons(rng)


def similarity_comparisons(rng: random.Random) -> Iterator[Comparison]:
    gold = gold_of("glue_stsb")
    references = gold.references
    if not isinstance(references[0], float):
        references = [float(index % 6) for index in range(MADE_UP)]
    sample = noisy_numbers(rng, references, 3)
    yield compare("pearson", gold.data, [sample], metrics.pearson, scipy_pearson, "SciPy")
    yield compare("spearman", gold.data, [sample], metrics.spearman, scipy_spearman, "SciPy")


def group_comparisons(rng: random.Random) -> Iterator[Comparison]:
    """Metrics of groups. The groups are the last argument of both computations."""
    for name in ("multirc", "mctaco"):
        data, sample, groups = noisy_gold(name, rng)
        yield compare_groups(
            "group_exact_match", data, sample, groups, metrics.group_exact_match, loop_exact_match
        )
    data, sample, groups = noisy_gold("mctaco", rng)
    ours = metrics.group_f1_of("yes")
    yield compare_groups("group_f1_of", data, sample, groups, ours, loop_group_f1)
    data, sample, groups = noisy_gold("axg", rng)
    yield compare_groups(
        "gender_parity", data, sample, groups, metrics.gender_parity, loop_gender_parity
    )


def compare_groups(
    metric: str, data: str, sample: Sample, groups: Sequence[Any], ours: Any, independent: Any
) -> Comparison:
    """`compare`, for metrics of groups."""
    return compare(
        metric,
        data,
        [sample],
        lambda predictions, references: ours(predictions, references, groups),
        lambda predictions, references: independent(predictions, references, groups),
        "plain loop",
    )


# --- gold and noise -------------------------------------------------------------------------------


def gold_of(name: str) -> Gold:
    """The labels of a task's labelled split; made up where the data root lacks the task."""
    task = jx.get_task(name)
    for split in SPLITS:
        if not task.languages(split) or not task.is_labelled(split):
            continue
        rows = task.rows(split)
        references = [task.reference(example) for example in task.examples(split)]
        groups = row_groups(task, rows, split, "en") if task.group else [None] * len(rows)
        return Gold(name, references, groups)
    rng = random.Random(name)
    labels = task.label_names or ("",)
    references = [rng.choice(labels) for _ in range(MADE_UP)]
    return Gold(f"{name}'s labels, made up", references, [index // 2 for index in range(MADE_UP)])


def noisy_gold(name: str, rng: random.Random) -> tuple[str, Sample, Sequence[Any]]:
    gold = gold_of(name)
    return gold.data, noisy_labels(rng, gold.references), gold.groups


# --- independent computations ---------------------------------------------------------------------


def sklearn_matthews(predictions: Sequence[str], references: Sequence[str]) -> float:
    return 100 * float(sklearn_metrics.matthews_corrcoef(references, predictions))


def sklearn_macro_f1(predictions: Sequence[str], references: Sequence[str]) -> float:
    return 100 * float(sklearn_metrics.f1_score(references, predictions, average="macro"))


def loop_exact_match(
    predictions: Sequence[str], references: Sequence[str], groups: Sequence[Any]
) -> float:
    """A question counts unless one of its answers is judged wrongly."""
    wrong = set()
    for prediction, reference, group in zip(predictions, references, groups, strict=True):
        if prediction != reference:
            wrong.add(group)
    questions = set(groups)
    return 100 * (len(questions) - len(wrong)) / len(questions)


def loop_group_f1(
    predictions: Sequence[str], references: Sequence[str], groups: Sequence[Any]
) -> float:
    """The rules of MC-TACO's evaluator: counts of "yes" for each question, then a mean."""
    total = 0.0
    for question in set(groups):
        said_yes = said_rightly = should_be = 0
        for prediction, reference, group in zip(predictions, references, groups, strict=True):
            if group != question:
                continue
            said_yes += prediction == "yes"
            should_be += reference == "yes"
            said_rightly += prediction == reference == "yes"
        precision = said_rightly / said_yes if said_yes else 1
        recall = said_rightly / should_be if should_be else 1
        if precision + recall > 0:
            total += 2 * precision * recall / (precision + recall)
    return 100 * total / len(set(groups))


def loop_gender_parity(
    predictions: Sequence[str], references: Sequence[str], groups: Sequence[Any]
) -> float:
    """The rows 2k and 2k + 1 are a pair."""
    pairs = list(zip(predictions[::2], predictions[1::2], strict=True))
    return 100 * sum(one == other for one, other in pairs) / len(pairs)
