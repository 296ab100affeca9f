"""Flat batches: what is where, the same features and keys give the same batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import batch_of

from jiantx.batching import (
    TrainingFeatures,
    TrainingLoader,
    collate,
    evaluation_batches,
    list_lengths,
    sorted_batches,
)
from jiantx.features import load_features
from jiantx.sampling import Sampler, Sampling

TYPES = (
    "classification",
    "pair",
    "multi_label",
    "regression",
    "tagging",
    "qa",
    "choice",
    "retrieval",
    "mlm",
    "spans",
    "edges",
)


@pytest.mark.parametrize("kind", TYPES)
def test_sequences_stand_one_after_the_other(kind: str, tiny_tasks, tokenizer) -> None:
    task = tiny_tasks[kind].replace(head="shared")
    batch = batch_of(task, tokenizer, range(5))
    table = load_features(task, "train", "en", tokenizer).table
    lengths, total = batch["lengths"], len(batch["input_ids"])
    assert int(lengths.sum()) == total == len(batch["position_ids"])
    assert lengths.tolist() == [n for row in range(5) for n in table[row]["lengths"]]
    assert batch["position_ids"].tolist() == [i for n in lengths.tolist() for i in range(n)]
    assert batch["longest"] == max(lengths.tolist())
    assert batch["sequences"].tolist() == [len(table[row]["lengths"]) for row in range(5)]
    assert batch["most_sequences"] == max(batch["sequences"].tolist())
    assert (batch["task"], batch["head"]) == (task.name, "shared")
    assert len(batch["counts"]) == 5
    if kind != "mlm":
        assert batch["input_ids"].tolist() == [
            i for row in range(5) for i in table[row]["input_ids"]
        ]
    for name, value in batch.items():
        if isinstance(value, torch.Tensor):
            assert value.dtype in (torch.int64, torch.float32) and value.dim() == 1, name


def test_places_become_places_of_the_batch(tiny_tasks, tokenizer) -> None:
    tagging, qa = tiny_tasks["tagging"], tiny_tasks["qa"]
    batch = batch_of(tagging, tokenizer, [3, 0])
    sentence = [word for row in (3, 0) for word in tagging.rows("train")[row]["tokens"]]
    first_pieces = [
        tokenizer("▁" + word, add_special_tokens=False)["input_ids"][0] for word in sentence
    ]
    assert [tokenizer.decode(i) for i in batch["input_ids"][batch["word_positions"]]] == [
        tokenizer.decode(i) for i in first_pieces
    ]
    assert batch["counts"].tolist() == [len(tagging.rows("train")[row]["tokens"]) for row in (3, 0)]

    batch = batch_of(qa, tokenizer)
    starts = batch["lengths"].cumsum(0) - batch["lengths"]
    answered = batch["start_positions"] > starts
    assert answered.any() and not answered.all()
    word_columns = {
        tokenizer.decode(i).strip() for i in batch["input_ids"][batch["start_positions"][answered]]
    }
    assert word_columns == {"quickly"}
    assert torch.equal(
        batch["start_positions"][~answered], starts[~answered]
    )  # no answer: the first token
    assert torch.equal(batch["counts"], batch["lengths"])


def test_same_keys_same_batch(tiny_tasks, tokenizer) -> None:
    task = tiny_tasks["mlm"]
    table = load_features(task, "train", "en", tokenizer).table.with_format("arrow")
    one, same, other = (
        collate(task, table[:4], tokenizer, [(s, i) for i in range(4)]) for s in (0, 0, 1)
    )
    assert all(torch.equal(v, same[n]) for n, v in one.items() if isinstance(v, torch.Tensor))
    assert not torch.equal(one["input_ids"], other["input_ids"])
    # a row's masking does not depend on its neighbours
    alone = collate(task, table[2:3], tokenizer, [(0, 2)])
    begin = int(one["lengths"][:2].sum())
    assert torch.equal(one["input_ids"][begin : begin + int(one["lengths"][2])], alone["input_ids"])


def test_segments_only_where_the_tokenizer_has_them(tiny_tasks, tokenizer, bert_tokenizer) -> None:
    assert "token_type_ids" not in batch_of(tiny_tasks["pair"], tokenizer)
    batch = batch_of(tiny_tasks["pair"], bert_tokenizer)
    assert len(batch["token_type_ids"]) == len(batch["input_ids"]) and set(
        batch["token_type_ids"].tolist()
    ) == {0, 1}


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_each_row_is_in_one_batch(ranks: int) -> None:
    lengths = np.array([3, 9, 1, 1, 4, 8, 2, 2, 5, 6, 7])
    batches_of_rank = [sorted_batches(lengths, 3, rank=rank, ranks=ranks) for rank in range(ranks)]
    assert (
        len({len(rank_batches) for rank_batches in batches_of_rank}) == 1
    )  # sharded parameters are gathered by all ranks at each batch
    batches = {tuple(rows.tolist()) for rank_batches in batches_of_rank for rows in rank_batches}
    assert sorted(row for batch in batches for row in batch) == list(range(11))
    assert all(len(rows) <= 3 for rank_batches in batches_of_rank for rows in rank_batches)
    assert lengths[batches_of_rank[0][0]].tolist() == [
        9,
        8,
        7,
    ]  # the longest first: what does not fit fails at once


def test_no_rows_no_batches() -> None:
    assert sorted_batches(np.array([], dtype=np.int64), 4) == []


def test_evaluation_batches(tiny_tasks, tokenizer) -> None:
    task = tiny_tasks["mlm"]
    table = load_features(task, "train", "en", tokenizer).table
    assert list_lengths(table, "input_ids").tolist() == [len(ids) for ids in table["input_ids"]]
    key_of = lambda row: ("k", row)  # noqa: E731
    (batch,) = evaluation_batches(task, table, tokenizer, [np.array([5, 1])], key_of)
    expected = collate(task, table.with_format("arrow")[[5, 1]], tokenizer, [("k", 5), ("k", 1)])
    assert torch.equal(batch["input_ids"], expected["input_ids"])


@pytest.mark.parametrize("workers", [0, 2])
def test_training_loader(workers: int, tiny_tasks, tokenizer) -> None:
    tasks = [tiny_tasks["tagging"], tiny_tasks["mlm"]]
    features = {(task.name, "en"): load_features(task, "train", "en", tokenizer) for task in tasks}
    sizes = {task: {language: len(f.table)} for (task, language), f in features.items()}
    sampler = Sampler(Sampling(), sizes, batch_size=4, seed=7, accumulation=2)
    data = TrainingFeatures(features, tokenizer, 7)
    assert len(data) == 32
    loader = TrainingLoader(data, sampler, 0, workers=workers, pin=False)
    assert len(loader) == sampler.steps_per_epoch * 2 == 8
    before = torch.get_rng_state()
    loader.set_epoch(1)
    batches = list(loader)
    assert torch.equal(torch.get_rng_state(), before)  # the global generator belongs to dropout
    assert [b["task"] for b in batches] == [
        sampler.task_of(step)[0] for step in range(4, 8) for _ in range(2)
    ]
    draw = sampler.draw(5, 1)
    keys = [(7, draw.task, draw.language, int(position)) for position in draw.stream_positions]
    task = {task.name: task for task in tasks}[draw.task]
    rows = features[draw.task, "en"].table.with_format("arrow")[draw.rows]
    assert torch.equal(batches[3]["input_ids"], collate(task, rows, tokenizer, keys)["input_ids"])
    loader.set_epoch(0)
    assert not torch.equal(next(iter(loader))["input_ids"], batches[0]["input_ids"])
