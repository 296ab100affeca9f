"""Tags of words, beside scikit-learn, two versions of seqeval, and a plain loop of their rules."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jiantx as jx
from jiantx import metrics

from . import seqeval_versions
from .comparison import Comparison, Sample, compare, compare_scores
from .gold import references_by_language
from .labels import sklearn_accuracy
from .seqeval_versions import NEW, OLD

UPOS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()
BIO = "O B-PER I-PER B-ORG I-ORG B-LOC I-LOC".split()
SWAPPED = {"CCONJ": "SCONJ", "SCONJ": "CCONJ"}
MADE_UP = "tags of all kinds, made up"  # of no scheme: they are read as seqeval reads them
CHUNK_F1: dict[str, Any] = {OLD: metrics.chunk_f1, NEW: metrics.chunk_f1_seqeval1}

Tags = Sequence[Sequence[str]]
SeqevalScores = Sequence[tuple[float, float, float]]
"""Precision, recall and F1 of each sample."""


def comparisons(
    rng: random.Random, seqeval_folders: Mapping[str, Path | None]
) -> Iterator[Comparison]:
    """Compare all metrics of tags.

    Args:
        rng: Makes the noise.
        seqeval_folders: Version -> where it is installed; None if it is not.
    """
    samples_of: dict[str, list[Sample]] = {}
    for task, tags in (("udpos", UPOS), ("panx", BIO)):
        samples_of[task] = [noisy_tags(rng, gold, tags) for gold in references_by_language(task)]
    samples_of[MADE_UP] = [made_up_tags(rng, 2000)]
    seqeval_scores: dict[str, Mapping[str, SeqevalScores]] = {}
    for version, folder in seqeval_folders.items():
        if folder:
            seqeval_scores[version] = seqeval_versions.chunk_scores(folder, samples_of)
    for data, samples in samples_of.items():
        yield compare(
            "token_accuracy",
            data,
            samples,
            metrics.token_accuracy,
            sklearn_word_accuracy,
            "scikit-learn",
        )
        for version in (OLD, NEW):
            scores = seqeval_scores.get(version, {}).get(data)
            yield from chunk_comparisons(data, samples, version, scores)


def chunk_comparisons(
    data: str, samples: Sequence[Sample], version: str, seqeval_scores: SeqevalScores | None
) -> Iterator[Comparison]:
    """F1, precision and recall beside one version of seqeval, and F1 beside the plain loop."""
    chunk_f1 = CHUNK_F1[version]
    name = chunk_f1.__name__
    if data == MADE_UP:
        chunk_f1 = partial(chunk_f1, scheme="seqeval")
    computed_by = f"seqeval {version}"
    precisions = recalls = f1s = None
    if seqeval_scores:
        precisions, recalls, f1s = zip(*seqeval_scores)
    our_precision = partial(chunk_score, version, "precision")
    our_recall = partial(chunk_score, version, "recall")
    yield compare_scores(name, data, samples, chunk_f1, f1s, computed_by)
    yield compare_scores(
        "chunk_scores, precision", data, samples, our_precision, precisions, computed_by
    )
    yield compare_scores("chunk_scores, recall", data, samples, our_recall, recalls, computed_by)
    restated = partial(restated_chunk_f1, version)
    yield compare(name, data, samples, chunk_f1, restated, "plain loop")


def chunk_score(version: str, name: str, predictions: Any, references: Any) -> float:
    return getattr(metrics.chunk_scores(predictions, references, seqeval=version), name)


# --- noise ----------------------------------------------------------------------------------------


def noisy_tags(rng: random.Random, gold: Tags, tags: Sequence[str]) -> Sample:
    """Some tags are others, and some sentences are shifted by a word from some word on.

    CCONJ and SCONJ are often taken for each other.
    """
    predictions = []
    for sentence in gold:
        predicted = [tag if rng.random() < 0.9 else rng.choice(tags) for tag in sentence]
        for index, tag in enumerate(predicted):
            if tag in SWAPPED and rng.random() < 0.3:
                predicted[index] = SWAPPED[tag]
        if rng.random() < 0.1 and predicted:
            start = rng.randrange(len(predicted))
            predicted[start + 1 :] = predicted[start:-1]
        predictions.append(predicted)
    return Sample(predictions, [list(sentence) for sentence in gold])


def made_up_tags(rng: random.Random, sentence_count: int) -> Sample:
    """Prefixes of all schemes, types with hyphens, and bare tags."""
    tags = [*UPOS, *BIO]
    for prefix in "BIES":
        tags += [f"{prefix}-PER", f"{prefix}-A-B"]
    gold = []
    for _ in range(sentence_count):
        gold.append([rng.choice(tags) for _ in range(rng.randint(0, 9))])
    return noisy_tags(rng, gold, tags)


# --- independent computations ---------------------------------------------------------------------


def sklearn_word_accuracy(predictions: Tags, references: Tags) -> float:
    predicted_words = list(itertools.chain.from_iterable(predictions))
    gold_words = list(itertools.chain.from_iterable(references))
    return sklearn_accuracy(predicted_words, gold_words)


def restated_chunk_f1(version: str, predictions: Tags, references: Tags) -> float:
    predicted = restated_chunks(predictions, version)
    gold = restated_chunks(references, version)
    if not predicted and not gold:
        return math.nan
    return 100 * 2 * len(predicted & gold) / (len(predicted) + len(gold))


def restated_chunks(sentences: Tags, version: str) -> set[tuple[str, int, int]]:
    """(type, first word, last word) of all chunks; an O follows each sentence."""
    type_of = type_since_1_0 if version == NEW else type_before_1_0
    tags = itertools.chain.from_iterable((*sentence, "O") for sentence in sentences)
    chunks = set()
    start = 0
    last_prefix = "O"
    last_type = ""
    for index, tag in enumerate(tags):
        prefix = tag[0]
        chunk_type = type_of(tag)
        changed = chunk_type != last_type
        if (
            last_prefix in "ES"
            or (last_prefix in "BI" and prefix in "BSO")
            or (last_prefix != "O" and changed)
        ):
            chunks.add((last_type, start, index - 1))
        if (
            prefix in "BS"
            or (prefix in "EI" and last_prefix in "ESO")
            or (prefix != "O" and changed)
        ):
            start = index
        last_prefix = prefix
        last_type = chunk_type
    return chunks


def type_before_1_0(tag: str) -> str:
    """Whatever follows the last hyphen."""
    return tag.rpartition("-")[2]


def type_since_1_0(tag: str) -> str:
    """The first letter is taken off first, also where it is no prefix."""
    return tag[1:].partition("-")[2] or tag[1:] or "_"


# --- UDPOS, scored in three ways ------------------------------------------------------------------


def udpos_table(rng: random.Random) -> list[str]:
    """How the three ways to score UDPOS differ on the same predictions, in Markdown."""
    table = [
        f"| UDPOS | words | chunk F1, seqeval {OLD} (official) | chunk F1, seqeval {NEW} "
        "| higher by | accuracy | of CCONJ and SCONJ, confused |",
        "|---|---|---|---|---|---|---|",
    ]
    languages = jx.get_task("udpos").languages("test")
    for language, gold in zip(languages, references_by_language("udpos"), strict=True):
        swapped = [[SWAPPED.get(tag, tag) for tag in sentence] for sentence in gold]
        noisy = noisy_tags(rng, gold, UPOS).predictions
        table.append(udpos_row(f"{language}, noisy", noisy, gold))
        table.append(udpos_row(f"{language}, all CCONJ and SCONJ swapped", swapped, gold))
    return table


def udpos_row(name: str, predictions: Tags, references: Tags) -> str:
    predicted_words = itertools.chain.from_iterable(predictions)
    gold_words = list(itertools.chain.from_iterable(references))
    conjunctions = confused = 0
    for predicted, gold in zip(predicted_words, gold_words, strict=True):
        conjunctions += gold in SWAPPED
        confused += gold in SWAPPED and predicted == SWAPPED[gold]
    old = metrics.chunk_f1(predictions, references)
    new = metrics.chunk_f1_seqeval1(predictions, references)
    accuracy = metrics.token_accuracy(predictions, references)
    return (
        f"| {name} | {len(gold_words):,} | {old:.2f} | {new:.2f} | {new - old:.2f} "
        f"| {accuracy:.2f} | {confused} of {conjunctions} |"
    )
