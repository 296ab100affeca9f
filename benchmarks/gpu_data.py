"""Random features with the lengths of real ones, for a GPU machine that has no data."""

from __future__ import annotations

import argparse
import json
from functools import cache
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import training_data
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

import jiantx as jx
from jiantx.features import Features

LENGTHS = Path(__file__).parent / "lengths.json"
MIXES = {"MNLI": "mnli", "SQuAD": "squad_v1"}


def length_counts(options: argparse.Namespace, name: str) -> list[int]:
    """Return how many training sequences of a task have 0, 1, 2, … tokens."""
    table = training_data.training_features(options, name).table
    counts: list[int] = np.bincount([len(ids) for ids in table["input_ids"]]).tolist()
    return counts


@cache
def bare_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer with XLM-R's special tokens: collators and models ask for no more."""
    special_tokens = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(special_tokens, "<unk>")),
        cls_token="<s>",
        pad_token="<pad>",
        sep_token="</s>",
        unk_token="<unk>",
        model_max_length=512,
    )


def random_lengths(mix: str, count: int, seed: int = 0) -> np.ndarray:
    """Draw lengths from lengths.json."""
    counts = np.array(json.loads(LENGTHS.read_text(encoding="utf-8"))[mix])
    rng = np.random.default_rng(seed)
    lengths: np.ndarray = rng.choice(len(counts), count, p=counts / counts.sum())
    return lengths


def random_features(options: argparse.Namespace, mix: str, count: int) -> Features:
    """Return features like the task's own, of random pieces."""
    rng = np.random.default_rng(1)
    task = jx.get_task(MIXES[mix])
    lengths = random_lengths(mix, count)
    columns: dict[str, Any] = {
        "input_ids": [rng.integers(4, options.vocabulary, length) for length in lengths],
        "lengths": [[int(length)] for length in lengths],
    }
    if task.task_type == "question_answering":
        spans = [sorted(rng.integers(1, length, 2).tolist()) for length in lengths]
        columns["start_positions"] = [[start] for start, _ in spans]
        columns["end_positions"] = [[end] for _, end in spans]
        columns["labels"] = [[0]] * count
    else:
        columns["labels"] = rng.integers(0, len(task.label_names), (count, 1)).tolist()
    rows = datasets.Dataset.from_dict(columns)
    return Features(
        task=task, split="train", language="en", rows=rows, table=rows, max_length=task.max_length
    )


def batch_size(options: argparse.Namespace, mix: str, long: bool) -> int:
    """Return the sequences of a batch; of a long one as many as hold --long tokens on average."""
    if not long:
        batch: int = options.batch
        return batch
    return int(np.ceil(options.long / random_lengths(mix, 100_000).mean()))
