"""Features to flat batches: the sequences of a batch one after the other, without padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import DataLoader, Dataset

from jiantx.features import Features
from jiantx.sampling import Draw, Sampler
from jiantx.task import Task

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerBase

Batch = dict[str, Any]


def collate(
    task: Task,
    table: pa.Table,
    tokenizer: PreTrainedTokenizerBase,
    keys: Sequence[tuple[Any, ...]] = (),
) -> Batch:
    """A flat batch of some features, on the CPU; pure: the same features and `keys`, the same batch.

    input_ids, position_ids (total tokens,): positions from 0 in each sequence; lengths (sequences,); longest: their
    maximum; sequences (features,): sequences of each feature; most_sequences: their maximum; counts (features,):
    outputs of each feature; task and head: names; and every other list column of the features, its entries one after
    the other. Columns that end in `_positions` hold places in the batch instead of places in the feature.
    """
    flat: dict[str, np.ndarray] = {}
    sizes: dict[str, np.ndarray] = {}
    for name in table.column_names:
        if pa.types.is_list(table.schema.field(name).type):
            array = table[name].combine_chunks()
            flat[name] = array.flatten().to_numpy(zero_copy_only=False)
            sizes[name] = np.diff(array.offsets.to_numpy())
    tokens = sizes["input_ids"]
    starts = np.cumsum(tokens) - tokens
    for name, places in flat.items():
        if name.endswith("_positions"):
            flat[name] = places + np.repeat(starts, sizes[name])
    flat["counts"] = sizes.get(task.output_column, tokens)
    flat["sequences"] = sizes["lengths"]
    flat = task.augment(flat, tokenizer, keys)

    lengths = flat["lengths"]
    ends = np.cumsum(lengths)
    flat["position_ids"] = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
    batch: Batch = {name: torch.from_numpy(_wide(array)) for name, array in flat.items()}
    most = {"longest": int(lengths.max()), "most_sequences": int(flat["sequences"].max())}
    return {**batch, **most, "task": task.name, "head": task.head_name}


def merge_batches(parts: Sequence[Batch]) -> Batch:
    """Batches of several tasks as one for the encoder: `parts` holds what the heads read, each with its `tokens`."""
    whole: Batch = {"longest": max(part["longest"] for part in parts)}
    for name in ("input_ids", "position_ids", "lengths", "token_type_ids", "labels"):
        if name in parts[0]:
            whole[name] = torch.cat([part[name] for part in parts])
    encoded = ("input_ids", "position_ids", "token_type_ids")
    whole["parts"] = [
        {
            **{name: value for name, value in part.items() if name not in encoded},
            "tokens": len(part["input_ids"]),
        }
        for part in parts
    ]
    return whole


def _wide(array: np.ndarray) -> np.ndarray:
    """int64 or float32, and writable, as torch wants it."""
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int64, copy=True)


class TrainingFeatures(Dataset[Batch]):
    """Draws to batches. Indexed by a `Draw`, so that the loader's workers read and collate."""

    def __init__(
        self,
        features: Mapping[tuple[str, str], Features],
        tokenizer: PreTrainedTokenizerBase,
        seed: int,
    ) -> None:
        self.features, self.tokenizer, self.seed = features, tokenizer, seed
        self._tables = {pair: f.table.with_format("arrow") for pair, f in features.items()}

    def __len__(self) -> int:
        return sum(len(f.table) for f in self.features.values())

    def __getitems__(self, draws: Sequence[Draw]) -> Batch:
        parts = [self._batch(draw) for draw in draws]
        return parts[0] if len(parts) == 1 else merge_batches(parts)

    def _batch(self, draw: Draw) -> Batch:
        pair = (draw.task, draw.language)
        keys = [(self.seed, draw.task, draw.language, int(place)) for place in draw.places]
        return collate(
            self.features[pair].task, self._tables[pair][draw.rows], self.tokenizer, keys
        )


class _Epochs:
    """The batch sampler of a `DataLoader`: the draws of one epoch after another."""

    def __init__(self, sampler: Sampler, rank: int) -> None:
        self.sampler, self.rank, self.number = sampler, rank, 0

    def set_epoch(self, epoch: int) -> None:
        self.number = epoch

    def __len__(self) -> int:
        return self.sampler.steps_per_epoch * self.sampler.accumulation

    def __iter__(self) -> Iterator[tuple[Draw, ...]]:
        return self.sampler.epoch(self.number, self.rank)


class TrainingLoader(DataLoader[Batch]):
    """A `DataLoader` that knows its epoch; batches come ready, on the CPU."""

    def __init__(
        self, features: TrainingFeatures, sampler: Sampler, rank: int, *, workers: int, pin: bool
    ) -> None:
        super().__init__(
            features,
            batch_sampler=_Epochs(sampler, rank),  # type: ignore[arg-type]
            collate_fn=_same,
            num_workers=workers,
            pin_memory=pin,
            generator=torch.Generator(),  # its own: the global one belongs to dropout, and is saved and restored
        )

    def set_epoch(self, epoch: int) -> None:
        """Called by `transformers.Trainer` before each epoch."""
        self.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]


def _same(batch: Any) -> Any:
    return batch


def sorted_batches(
    lengths: np.ndarray, batch_size: int, *, rank: int = 0, ranks: int = 1
) -> list[np.ndarray]:
    """Rows in batches of like length, the longest first, this rank's share of them.

    Each row is in exactly one batch, but all ranks get as many: the last batch is given out again where one is lacking.
    """
    order = np.argsort(-lengths, kind="stable")
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    batches += batches[-1:] * (
        -len(batches) % ranks
    )  # sharded parameters are gathered by all ranks at each batch
    return batches[rank::ranks]


def evaluation_batches(
    task: Task,
    table: datasets.Dataset,
    tokenizer: PreTrainedTokenizerBase,
    parts: Sequence[np.ndarray],
    key_of: Callable[[int], tuple[Any, ...]],
) -> Iterator[Batch]:
    """The batches of given rows; `key_of` gives each row's key of randomness."""
    rows = table.with_format("arrow")
    for part in parts:
        yield collate(task, rows[part], tokenizer, [key_of(row) for row in part.tolist()])


def list_lengths(table: datasets.Dataset, column: str) -> np.ndarray:
    """(features,) entries of each feature in a list column; of `input_ids`, its tokens."""
    import pyarrow.compute as pc

    values = table.with_format("arrow").select_columns([column])[:][column]
    found: np.ndarray = pc.list_value_length(values).to_numpy()
    return found
