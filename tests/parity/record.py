"""ReCoRD's EM and F1, beside the rules of its script, restated over rows and scores of entities."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

import jiantx as jx
from jiantx import metrics
from jiantx.metrics import Answer, Answers

from .answers import restated_exact, restated_f1, squad_words
from .comparison import Comparison, Sample, compare

NAMES = ("exact_match", "squad_f1")
EntityScores = Mapping[str, float]
"""Entity -> its score for a query."""


def comparisons(rng: random.Random) -> Iterator[Comparison]:
    task = jx.get_task("record")
    for split in ("train", "validation"):
        rows = list(task.rows(split))
        yield from record_comparisons(f"record, {split}", rng, rows)
    yield from record_comparisons("entities, made up", rng, made_up_rows(rng, 300))


def record_comparisons(
    data: str, rng: random.Random, rows: Sequence[Mapping[str, Any]]
) -> Iterator[Comparison]:
    scores = [noisy_scores(rng, row) for row in rows]
    sample = predicted(rows, scores)
    for name in NAMES:
        ours = getattr(metrics, name)
        restated = partial(restated_mean, name, rows, scores)
        yield compare(name, data, [sample], ours, restated, "plain loop of the script's rules")


def noisy_scores(rng: random.Random, row: Mapping[str, Any]) -> EntityScores:
    """Right entities score higher, but not always highest."""
    return {
        entity: rng.gauss(2.0 if entity in row["answers"] else 0.0, 1.0)
        for entity in row["entities"]
    }


def predicted(rows: Sequence[Mapping[str, Any]], scores: Sequence[EntityScores]) -> Sample:
    """What jiantx predicts from these scores of choices, and its references."""
    task = jx.get_task("record")
    examples = []
    outputs: list[float] = []
    for index, row in enumerate(rows):
        example = task.example(dict(row), id=str(index), language="en")
        examples.append(example)
        outputs += [scores[index][text] for text in example.texts]
    predictions = task.decode({"scores": np.array(outputs)}, None, examples)  # type: ignore[arg-type]
    values = [prediction.value for prediction in predictions]
    return Sample(values, [task.reference(example) for example in examples])


def restated_mean(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    scores: Sequence[EntityScores],
    predictions: Sequence[Answer],
    references: Sequence[Answers],
) -> float:
    """The mean over queries of the best score that the best entity has with any right answer.

    It reads rows and scores, and neither the predictions nor the references of jiantx.
    """
    score = restated_exact if name == "exact_match" else restated_f1
    total = 0.0
    for row, entity_scores in zip(rows, scores, strict=True):
        entity = max(entity_scores, key=lambda text: entity_scores[text])
        total += max(score(entity, [answer], "en", squad_words) for answer in row["answers"])
    return 100 * total / len(rows)


def made_up_rows(rng: random.Random, count: int) -> list[dict[str, Any]]:
    """Entities that share words, differ by case, articles or marks, and are named repeatedly."""
    names = "Ann Lee|the Lee|Lee|lee's|Ann|A. Lee|Bo|Bo Ann Lee|an Bo|Cy-Bo|Cy".split("|")
    rows = []
    for _ in range(count):
        entities = rng.sample(names, rng.randint(2, len(names)))
        answers = rng.sample(entities, rng.choice((1, 1, 2)))
        query = "It was @placeholder"
        mentions = entities + rng.choices(entities, k=2)
        rows.append({"passage": "Who?", "query": query, "entities": mentions, "answers": answers})
    return rows
