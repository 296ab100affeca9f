"""The rows of the training benchmarks: jiantx's features, and the same for transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import harness
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

SINGLE = {"nli": "mnli", "squad": "squad_v1", "tagging": "udpos", "choice": "hellaswag"}
MIXED = (
    "anli_plus",
    "mnli",
    "qqp",
    "squad_v2",
    "squad_v1",
    "hellaswag",
    "cosmosqa",
    "commonsenseqa",
    "ccg",
)
COLLATORS = {
    "token_classification": DataCollatorForTokenClassification,
    "multiple_choice": DataCollatorForMultipleChoice,
}
Row = dict[str, Any]


@cache
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(harness.SHARED / "models" / "tiny-xlm")


@cache
def features_of(name: str) -> Features:
    """The training features of a task: of the hub's slice where there is one, of the artificial
    world otherwise.
    """
    task = jx.get_task(name).for_training
    for root in (harness.SHARED / "hub", jx.default_root()):
        jx.data_root(root)
        try:
            features = load_features(task, "train", task.train_languages[0], tokenizer())
        except jx.DataError:
            continue
        if getattr(task, "labels", None):
            task = task.replace(labels=task.label_names)  # they may stand in the data
        return replace(features, task=task)
    raise SystemExit(f"There is no training data for {name}.")


def sample_features(features: Features, count: int) -> Features:
    """As many features, chosen at random, in memory: the same ones for everybody."""
    rows = np.random.default_rng(0).permutation(len(features.table))[:count]
    return replace(features, table=features.table.select(rows).flatten_indices(keep_in_memory=True))


def plain_rows(features: Features, rows: Sequence[int]) -> list[Row]:
    """Features as transformers' own models take them, in plain lists."""
    columns = features.table[list(rows)]
    kind = features.task.task_type
    rows_of_model: list[Row] = []
    for index, ids in enumerate(columns["input_ids"]):
        row: Row = {"input_ids": ids}
        if kind == "token_classification":
            row["labels"] = [-100] * len(ids)
            for word, label in zip(
                columns["word_positions"][index], columns["labels"][index], strict=True
            ):
                row["labels"][word] = label
        elif kind == "question_answering":
            row |= {name: columns[name][index][0] for name in ("start_positions", "end_positions")}
        else:
            row["labels"] = columns["labels"][index][0]
        if kind == "multiple_choice":
            ends = np.cumsum(columns["lengths"][index]).tolist()
            row["input_ids"] = [ids[start:end] for start, end in zip([0, *ends], ends)]
        rows_of_model.append(row)
    return rows_of_model


def collator(task: jx.Task, fixed: bool = False) -> Callable[[list[Row]], Any]:
    """transformers' own collators: each batch at its longest sequence, or at the task's maximum
    length.
    """
    padding_options: dict[str, Any] = (
        {"padding": "max_length", "max_length": task.max_length} if fixed else {}
    )
    return COLLATORS.get(task.task_type, DataCollatorWithPadding)(tokenizer(), **padding_options)


def grouped(rows: Sequence[Row], batch: int) -> list[Row]:
    """The order of group_by_length in an epoch: batches of like length within each 50 of them.

    Its own sampler sorts within fewer where the rows are few; on a whole data set it would not.
    """
    lengths = [
        max(map(len, ids)) if isinstance(ids[0], list) else len(ids)
        for ids in (r["input_ids"] for r in rows)
    ]
    return [
        rows[i] for i in get_length_grouped_indices(lengths, batch, min(50, len(rows) // batch))
    ]
