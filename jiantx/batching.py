"""Features to flat batches: the sequences of a batch one after the other, without padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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
    """Make a flat batch of some features, on the CPU.

    A pure function: the same features and keys give the same batch.

    Args:
        task: The task of the features.
        table: One row a feature, as `task.features` makes them.
        tokenizer: For tasks that change the batch (masking).
        keys: (features,) keys of randomness, for such tasks.

    Returns:
        `input_ids`, `position_ids` (total tokens,): positions from 0 in each sequence; `lengths`
        (sequences,) and `longest`, their maximum; `sequences` (features,): sequences of each
        feature, and `most_sequences`, their maximum; `counts` (features,): outputs of each feature;
        `task` and `head`: names; and every other list column of the features, its entries one after
        the other. Columns that end in `_positions` are indices into the batch's tokens instead of
        the feature's.
    """
    flat: dict[str, np.ndarray] = {}
    sizes: dict[str, np.ndarray] = {}
    for name in table.column_names:
        if pa.types.is_list(table.schema.field(name).type):
            array = table[name].combine_chunks()
            flat[name] = array.flatten().to_numpy(zero_copy_only=False)
            sizes[name] = np.diff(array.offsets.to_numpy())
    token_counts = sizes["input_ids"]
    starts = np.cumsum(token_counts) - token_counts
    for name, values in flat.items():
        if name.endswith("_positions"):
            flat[name] = values + np.repeat(starts, sizes[name])
    flat["counts"] = sizes.get(task.output_column, token_counts)
    flat["sequences"] = sizes["lengths"]
    flat = task.augment(flat, tokenizer, keys)

    lengths = flat["lengths"]
    ends = np.cumsum(lengths)
    flat["position_ids"] = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
    tensors = {name: torch.from_numpy(_for_torch(array)) for name, array in flat.items()}
    return {
        **tensors,
        "longest": int(lengths.max()),
        "most_sequences": int(flat["sequences"].max()),
        "task": task.name,
        "head": task.head_name,
    }


def merge_batches(batches: Sequence[Batch]) -> Batch:
    """Join batches of several tasks, so that the encoder runs once.

    Args:
        batches: As `collate` makes them.

    Returns:
        What the encoder reads, and `sub_batches`: what the heads read of each batch, with its
        number of `tokens`.
    """
    merged: Batch = {"longest": max(batch["longest"] for batch in batches)}
    for name in ("input_ids", "position_ids", "lengths", "token_type_ids", "labels"):
        if name in batches[0]:
            merged[name] = torch.cat([batch[name] for batch in batches])
    encoder_inputs = ("input_ids", "position_ids", "token_type_ids")
    merged["sub_batches"] = []
    for batch in batches:
        head_inputs = {name: value for name, value in batch.items() if name not in encoder_inputs}
        merged["sub_batches"].append({**head_inputs, "tokens": len(batch["input_ids"])})
    return merged


def _for_torch(array: np.ndarray) -> np.ndarray:
    """A writable copy in int64 or float32."""
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int64, copy=True)


class TrainingFeatures(Dataset[Batch]):
    """Draws to batches. Indexed by a `Draw`, so that the loader's workers read and collate.

    Args:
        features: (task, language) -> its training features.
        tokenizer: For tasks that change the batch (masking).
        seed: Of the run.
    """

    def __init__(
        self,
        features: Mapping[tuple[str, str], Features],
        tokenizer: PreTrainedTokenizerBase,
        seed: int,
    ) -> None:
        self.features = features
        self.tokenizer = tokenizer
        self.seed = seed
        self._tables = {pair: f.table.with_format("arrow") for pair, f in features.items()}

    def __len__(self) -> int:
        return sum(len(f.table) for f in self.features.values())

    def __getitems__(self, draws: Sequence[Draw]) -> Batch:
        batches = [self._batch(draw) for draw in draws]
        return batches[0] if len(batches) == 1 else merge_batches(batches)

    def _batch(self, draw: Draw) -> Batch:
        task = self.features[draw.task, draw.language].task
        rows = self._tables[draw.task, draw.language][draw.rows]
        positions = draw.stream_positions.tolist()
        keys = [(self.seed, draw.task, draw.language, position) for position in positions]
        return collate(task, rows, self.tokenizer, keys)


class _EpochBatches:
    """The batch sampler of a `DataLoader`: the draws of one epoch after another."""

    def __init__(self, sampler: Sampler, rank: int) -> None:
        self.sampler = sampler
        self.rank = rank
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.sampler.steps_per_epoch * self.sampler.accumulation

    def __iter__(self) -> Iterator[tuple[Draw, ...]]:
        return self.sampler.epoch(self.epoch, self.rank)


class TrainingLoader(DataLoader[Batch]):
    """A `DataLoader` that knows its epoch; batches come ready, on the CPU.

    Args:
        features: What is drawn from.
        sampler: What is drawn.
        rank: Whose share of the batches.
        workers: Processes that read and collate; 0 is this one.
        pin: Pin the batches' memory, so that copies to a GPU do not block.
        options: As `DataLoader`'s (persistent_workers, prefetch_factor, multiprocessing_context).
    """

    def __init__(
        self,
        features: TrainingFeatures,
        sampler: Sampler,
        rank: int,
        *,
        workers: int,
        pin: bool,
        **options: Any,
    ) -> None:
        super().__init__(
            features,
            batch_sampler=_EpochBatches(sampler, rank),  # type: ignore[arg-type]
            collate_fn=_identity,
            num_workers=workers,
            pin_memory=pin,
            # not the global one, which belongs to dropout, and is saved and restored
            generator=torch.Generator(),
            **options,
        )

    def set_epoch(self, epoch: int) -> None:
        """Called by `transformers.Trainer` before each epoch."""
        self.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]


def _identity(batch: Any) -> Any:
    return batch


def sorted_batches(
    lengths: np.ndarray, batch_size: int, *, rank: int = 0, ranks: int = 1
) -> list[np.ndarray]:
    """Group rows of similar length into batches, the longest first, and take a rank's share.

    Each row is in exactly one batch, but all ranks get as many batches: the last one is repeated
    for ranks that lack one.

    Args:
        lengths: (rows,) tokens of each row.
        batch_size: Rows of a batch.
        rank: Whose share.
        ranks: How many ranks there are.

    Returns:
        (rows of the batch,) indices, for each batch.
    """
    order = np.argsort(-lengths, kind="stable")
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    # all ranks gather sharded parameters at each batch, so all need as many
    batches += batches[-1:] * (-len(batches) % ranks)
    return batches[rank::ranks]


def evaluation_batches(
    task: Task,
    table: datasets.Dataset,
    tokenizer: PreTrainedTokenizerBase,
    row_batches: Sequence[np.ndarray],
    key_of: Callable[[int], tuple[Any, ...]],
) -> Iterator[Batch]:
    """Make the batches of given rows.

    Args:
        task: The task of the features.
        table: Its features.
        tokenizer: For tasks that change the batch (masking).
        row_batches: (rows of the batch,) indices into the table, for each batch.
        key_of: Row -> its key of randomness.
    """
    rows = table.with_format("arrow")
    for row_indices in row_batches:
        keys = [key_of(row) for row in row_indices.tolist()]
        yield collate(task, rows[row_indices], tokenizer, keys)


def list_lengths(table: datasets.Dataset, column: str) -> np.ndarray:
    """Count the entries of a list column; of `input_ids`, these are the tokens.

    Args:
        table: Any dataset.
        column: A column of lists.

    Returns:
        (rows,) counts.
    """
    values = table.with_format("arrow").select_columns([column])[:][column]
    return pc.list_value_length(values).to_numpy()
