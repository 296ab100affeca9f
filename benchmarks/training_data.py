"""The same training features for jiantx and for transformers' own models."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from transformers import (
    AutoTokenizer,
    DataCollatorForMultipleChoice,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
)
from transformers.trainer_pt_utils import get_length_grouped_indices

import jiantx as jx
from jiantx.features import Features, load_features

# Tasks of train.py and breakdown.py, one of each type.
SINGLE = {"nli": "mnli", "squad": "squad_v1", "tagging": "udpos", "choice": "hellaswag"}
COLLATORS = {
    "token_classification": DataCollatorForTokenClassification,
    "multiple_choice": DataCollatorForMultipleChoice,
}
Row = dict[str, Any]


def tokenizer_of(options: argparse.Namespace) -> Any:
    """Return the tokenizer of --tokenizer."""
    return _load_tokenizer(str(options.tokenizer))


@cache
def _load_tokenizer(path: str) -> Any:
    return AutoTokenizer.from_pretrained(path)


def training_features(options: argparse.Namespace, name: str) -> Features:
    """Return the training features of a task.

    They are those of --data-root where it has the task, or else of the artificial world.

    Raises:
        SystemExit: If neither has the task.
    """
    return _load_training_features(name, options.data_root, str(options.tokenizer))


@cache
def _load_training_features(name: str, data_root: Path, tokenizer: str) -> Features:
    task = jx.get_task(name).for_training
    for is_artificial in (False, True):
        try:  # the artificial world is made only where it is needed
            jx.data_root(jx.default_root() if is_artificial else data_root)
            language = task.train_languages[0]
            features = load_features(task, "train", language, _load_tokenizer(tokenizer))
        except jx.DataError:
            continue
        if getattr(task, "labels", None):
            task = task.replace(labels=task.label_names)  # which may come from the data
        return replace(features, task=task)
    raise SystemExit(f"There is no training data for {name}.")


def sample_features(features: Features, count: int) -> Features:
    """Choose features at random, the same ones each time, and hold them in memory.

    Args:
        features: The features to choose from.
        count: How many to choose.
    """
    rows = np.random.default_rng(0).permutation(len(features.table))[:count]
    table = features.table.select(rows).flatten_indices(keep_in_memory=True)
    return replace(features, table=table)


def plain_rows(features: Features, rows: Sequence[int]) -> list[Row]:
    """Return features as transformers' own models take them, in plain lists.

    Args:
        features: The features of one task and language.
        rows: Which of them.
    """
    columns = features.table[list(rows)]
    plain_row = PLAIN_ROWS.get(features.task.task_type, _labelled_row)
    return [plain_row(columns, index) for index in range(len(columns["input_ids"]))]


def _labelled_row(columns: dict[str, list[Any]], index: int) -> Row:
    return {"input_ids": columns["input_ids"][index], "labels": columns["labels"][index][0]}


def _tagged_row(columns: dict[str, list[Any]], index: int) -> Row:
    ids = columns["input_ids"][index]
    labels = [-100] * len(ids)
    tagged = zip(columns["word_positions"][index], columns["labels"][index], strict=True)
    for position, label in tagged:
        labels[position] = label
    return {"input_ids": ids, "labels": labels}


def _answer_row(columns: dict[str, list[Any]], index: int) -> Row:
    return {
        "input_ids": columns["input_ids"][index],
        "start_positions": columns["start_positions"][index][0],
        "end_positions": columns["end_positions"][index][0],
    }


def _choices_row(columns: dict[str, list[Any]], index: int) -> Row:
    row = _labelled_row(columns, index)
    choices = []
    start = 0
    for length in columns["lengths"][index]:
        choices.append(row["input_ids"][start : start + length])
        start += length
    return {**row, "input_ids": choices}


PLAIN_ROWS: dict[str, Callable[[dict[str, list[Any]], int], Row]] = {
    "token_classification": _tagged_row,
    "question_answering": _answer_row,
    "multiple_choice": _choices_row,
}


def collator(task: jx.Task, tokenizer: Any, *, fixed: bool = False) -> Callable[[list[Row]], Any]:
    """Return transformers' own collator for a task.

    Args:
        task: The task.
        tokenizer: The tokenizer, which pads.
        fixed: Pad to the task's maximum length, instead of each batch's longest sequence.
    """
    padding: dict[str, Any] = {}
    if fixed:
        padding = {"padding": "max_length", "max_length": task.max_length}
    collator_type = COLLATORS.get(task.task_type, DataCollatorWithPadding)
    return collator_type(tokenizer, **padding)


def group_by_length(rows: Sequence[Row], batch: int) -> list[Row]:
    """Return rows in the order of group_by_length: batches of like length within each 50 of them.

    transformers' own sampler sorts within fewer where the rows are few; on a whole data set it
    would not.

    Args:
        rows: Rows of `plain_rows`.
        batch: Rows of a batch.
    """
    lengths = [row_length(row) for row in rows]
    megabatch = min(50, len(rows) // batch)
    return [rows[index] for index in get_length_grouped_indices(lengths, batch, megabatch)]


def row_length(row: Row) -> int:
    """Return the tokens of a row, or of its longest choice."""
    ids = row["input_ids"]
    return max(map(len, ids)) if isinstance(ids[0], list) else len(ids)
