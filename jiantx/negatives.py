"""Hard negatives: texts that an encoder puts near a query, and that do not belong to it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from transformers.utils import logging

from jiantx.fields import check_count
from jiantx.model import MultitaskModel
from jiantx.nearest_neighbors import nearest_allowed
from jiantx.sampling import generator
from jiantx.sentence_vectors import encode
from jiantx.sources import DataError, DerivedSource, in_memory
from jiantx.task_types import Retrieval
from jiantx.task_types.contrast import ContrastExample, text_key
from jiantx.tasks import TaskOrName, resolve_task

if TYPE_CHECKING:
    import datasets

logger = logging.get_logger("jiantx.negatives")

COLUMN = "negatives"


@dataclass(frozen=True, repr=False)
class MinedNegatives(DerivedSource):
    """A source whose training rows have a column `negatives`; its other splits are as they were.

    Args:
        source: The rows.
        mined: Language -> the training rows with the column.
    """

    mined: dict[str, Any]

    def __repr__(self) -> str:
        sizes = {language: len(rows) for language, rows in self.mined.items()}
        return f"MinedNegatives({self.source!r}, train={sizes})"

    def rows(self, split: str, language: str) -> datasets.Dataset:
        if split == "train" and language in self.mined:
            rows: datasets.Dataset = self.mined[language]
            return rows
        return self.source.rows(split, language)

    def available(self, split: str) -> tuple[str, ...]:
        return self.source.available(split)


def mine_negatives(
    model: MultitaskModel,
    task: TaskOrName,
    *,
    count: int = 1,
    among: int | None = None,
    margin: float = 0.0,
    languages: Collection[str] | str | None = None,
    seed: int = 0,
    batch_size: int = 32,
    dtype: torch.dtype | None = None,
    progress: bool = True,
) -> MinedNegatives:
    """Give each training row texts that the model puts near its query, and that are wrong.

    They come from the candidates of the other training rows in the same language. A text that
    belongs to the query in any row is left out, and so is one that is too close.

    Args:
        model: With the task's head: the encoder as it is now.
        task: A retrieval task or its name; its training rows are pairs.
        count: Negatives of a row; fewer where fewer are allowed.
        among: Choose them at random from so many nearest; None: take the nearest.
        margin: A text is too close if its score is above that of the row's own positive (the lowest
            of several) less this margin, which may be negative. The scores are cosines, or inner
            products if the task does not normalise.
        languages: Of the training rows; the task's `train_languages` if None.
        seed: Of the random choice, which is the same for the same rows and seed.
        batch_size: Texts of a batch.
        dtype: As for `evaluate`.
        progress: Show progress bars.

    Returns:
        A source: the task's own, with the column `negatives` in the training rows. Train on
        `task.replace(source=mined, negatives="negatives")`.

    Raises:
        ValueError: The task is no retrieval task, or `among` is less than `count`.
        DataError: There are no training rows in a language.

    >>> mined = mine_negatives(model, task, count=4, among=50, margin=0.05)  # doctest: +SKIP
    """
    task = resolve_task(task)
    if not isinstance(task, Retrieval):
        raise ValueError(f"Task {task.name} is no retrieval task: it has no negatives to mine.")
    check_count("count", count)
    check_count("among", among)
    if not isinstance(margin, int | float):
        raise ValueError(f"margin={margin!r}: expected a number, which may be negative.")
    if among is not None and among < count:
        raise ValueError(f"among={among} is less than count={count}. Choose from more.")
    if isinstance(languages, str):
        languages = [languages]
    rows_of = {}
    pairs_of = {}
    for language in task.train_languages if languages is None else languages:
        rows_of[language] = task.rows("train", language)
        examples = task.for_training.examples("train", language, rows=rows_of[language])
        pairs_of[language] = list(examples)
        if not pairs_of[language]:
            raise DataError(f"Task {task.name} has no training rows in {language!r}.")
    options = {"batch_size": batch_size, "dtype": dtype, "progress": progress}
    mined = {}
    for language, pairs in pairs_of.items():
        texts, nearest = _nearest_wrong(model, task, pairs, among or count, margin, options)
        negatives = []
        for index, row in enumerate(nearest):
            allowed = row[row >= 0]
            chosen = np.arange(min(count, len(allowed)))
            if among is not None and len(allowed) > count:
                rng = generator("negatives", seed, task.name, language, index)
                chosen = np.sort(rng.permutation(len(allowed))[:count])
            negatives.append([texts[candidate] for candidate in allowed[chosen]])
        _log_missing(task, language, count, negatives)
        mined[language] = _with_column(rows_of[language], negatives)
    return MinedNegatives(task.source, mined)


def _nearest_wrong(
    model: MultitaskModel,
    task: Retrieval,
    pairs: Sequence[ContrastExample],
    count: int,
    margin: float,
    options: dict[str, Any],
) -> tuple[list[str], np.ndarray]:
    """The different positives of all rows, and which wrong ones are nearest to each query.

    Returns:
        texts; (rows, count) their indices, the nearest first, -1 where there are no more.
    """
    index_of: dict[str, int] = {}
    for pair in pairs:
        for text in pair.positives:
            index_of.setdefault(text, len(index_of))
    texts = list(index_of)
    candidates = _vectors(model, texts, task, task.candidate_prefix, task.max_length, options)
    lengths = (task.max_length, task.max_query_length or task.max_length)
    questions = [pair.query for pair in pairs]
    queries = _vectors(model, questions, task, task.query_prefix, min(lengths), options)
    indices_of_key: dict[int, list[int]] = {}
    for text, index in index_of.items():
        indices_of_key.setdefault(text_key(text), []).append(index)
    query_rows: list[int] = []
    known_candidates: list[int] = []
    ceilings = torch.empty(len(pairs))
    for row, pair in enumerate(pairs):
        positives = [index_of[text] for text in pair.positives]
        ceilings[row] = (candidates[positives] @ queries[row]).min() - margin
        for key in pair.known_keys:
            known_candidates += indices_of_key[key]
        query_rows += [row] * (len(known_candidates) - len(query_rows))
    excluded = torch.tensor([query_rows, known_candidates])
    nearest = nearest_allowed(
        queries, candidates, min(count, len(texts)), ceilings=ceilings, excluded=excluded
    )
    return texts, nearest.numpy()


def _vectors(
    model: MultitaskModel,
    texts: Sequence[str],
    task: Retrieval,
    prefix: str,
    max_length: int,
    options: dict[str, Any],
) -> Tensor:
    vectors = encode(model, texts, task, prefix=prefix, max_length=max_length, **options)
    return torch.from_numpy(vectors)


def _log_missing(
    task: Retrieval, language: str, count: int, negatives: Sequence[Sequence[str]]
) -> None:
    """Say how many rows have fewer negatives than were asked for."""
    short = sum(len(texts) < count for texts in negatives)
    if short:
        logger.warning(
            f"Task {task.name}, language {language!r}: {short:,} of {len(negatives):,} rows have "
            f"fewer than {count} negatives, since the other candidates belong to the query or are "
            "too close. Lower the margin for more."
        )


def _with_column(rows: datasets.Dataset, negatives: Sequence[Sequence[str]]) -> datasets.Dataset:
    """The rows with the column `negatives`, in place of one that they have."""
    import pyarrow as pa

    column = pa.table({COLUMN: pa.array(negatives, pa.list_(pa.string()))})
    if COLUMN in rows.column_names:
        rows = rows.remove_columns([COLUMN])
    import datasets

    return datasets.concatenate_datasets([rows, in_memory(column)], axis=1)
