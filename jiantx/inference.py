"""Running a model over features: each row once, outputs in order, on any number of ranks."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import datasets
import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch import Tensor
from transformers.utils.logging import tqdm

from jiantx.batching import Batch, evaluation_batches, list_lengths, sorted_batches
from jiantx.columns import row_id
from jiantx.features import Features, load_features
from jiantx.half_precision import autocast, without_training_precision
from jiantx.heads import Head
from jiantx.model import MultitaskModel
from jiantx.model.declarations import saved_task
from jiantx.sources import DataError
from jiantx.task import Task
from jiantx.tasks import TASKS, TaskOrName, resolve_task

_Outputs = dict[str, Tensor]
_MOVED = 32  # batches whose outputs move to the CPU together


def tokenizer_of(model: MultitaskModel) -> Any:
    """The model's tokenizer; ValueError if it has none."""
    if model.tokenizer is None:
        raise ValueError(
            "The model has no tokenizer. Load it with from_pretrained, or set model.tokenizer."
        )
    return model.tokenizer


def task_of(model: MultitaskModel, task: TaskOrName, unread_fields: Collection[str] = ()) -> Task:
    """A task, the registered task of that name, or else the one that the model was trained on.

    Args:
        model: Its config holds the declarations of its tasks, without rows.
        task: The task, or its name.
        unread_fields: Fields that the caller does not read, and that the model's own may lack.

    Raises:
        LookupError: Neither the registry nor the model has a task of that name.
        DataError: The model's own task needs code that no config holds.
    """
    entry = model.config.tasks.get(task) if isinstance(task, str) else None
    if entry is None or task in TASKS or entry["head"] not in model.config.heads:
        return resolve_task(task)
    return saved_task(str(task), entry, model.config.heads[entry["head"]], unread_fields)


@contextmanager
def head_in_place(model: MultitaskModel, name: str, head: Head) -> Iterator[None]:
    """Run this head instead of the model's own inside the block.

    Args:
        model: Changed while the block runs.
        name: Of the model's head.
        head: That runs.
    """
    own_head = model.heads[name]
    model.heads[name] = head
    try:
        yield
    finally:
        model.heads[name] = own_head


def run_tables(
    model: MultitaskModel,
    task: Task,
    split: str,
    tables: Mapping[str, datasets.Dataset],
    title: str,
    batch_size: int = 32,
    max_length: int | None = None,
    layers: Sequence[int] | None = None,
    dtype: torch.dtype | None = None,
) -> Iterator[tuple[str, int | None, Mapping[str, np.ndarray]]]:
    """Run the features of some languages, and the candidates that their queries are compared with.

    All tables run together, the queries' and then the corpus's. Table t has the rows
    `row_bounds[t]:row_bounds[t + 1]` and the outputs `output_bounds[t]:output_bounds[t + 1]`.

    Args:
        model: With the task's head.
        task: Of the features.
        split: Of the corpus, for a task that has one.
        tables: Language -> features.
        title: Of the progress bar.
        batch_size: Features of a batch.
        max_length: Tokens of a candidate; the task's own if None.
        layers: Hidden states to sweep over.
        dtype: Half precision to compute in.

    Yields:
        Language, layer (None without a sweep), and what `task.decode` takes: the outputs of the
        language's rows, in order.
    """
    head = model.head_of(task)
    if layers is not None and head.layer_mix is not None:
        raise ValueError(
            f"A sweep over layers is for heads that read one layer; that of task {task.name} reads "
            "a mix. Leave `layers` out."
        )
    corpus_languages = {language: task.candidate_languages(split, language) for language in tables}
    corpus: dict[str, Features] = {}  # language -> candidates, each language once
    for language in dict.fromkeys(itertools.chain(*corpus_languages.values())):
        assert task.corpus_task is not None
        corpus[language] = load_features(
            task.corpus_task,
            split,
            language,
            tokenizer_of(model),
            max_length=max_length,
            labelled=False,
        )
    corpus_ids = {language: _candidate_ids(task, features) for language, features in corpus.items()}
    named_tables = list(tables.items())
    for language, features in corpus.items():
        named_tables.append((f"candidates {language}", features.table))
    for _, table in named_tables:
        model.check_token_ids(task, tokenizer_of(model), table)
    table_index = {name: index for index, (name, _) in enumerate(named_tables)}

    with head_in_place(model, task.head_name, head):
        counts, outputs = run_model(model, task, named_tables, batch_size, layers, title, dtype)
    row_bounds = np.cumsum([0, *(len(table) for _, table in named_tables)])
    output_bounds = np.concatenate([[0], np.cumsum(counts)])[row_bounds]

    def outputs_of(first_table: int, last_table: int, layer: int | None) -> _Outputs:
        suffix = "" if layer is None else f"@{layer}"
        rows = slice(int(output_bounds[first_table]), int(output_bounds[last_table + 1]))
        return {
            name.removesuffix(suffix): values[rows]
            for name, values in outputs.items()
            if name.endswith(suffix)
        }

    for language in tables:
        query_table = table_index[language]
        pool = [table_index[f"candidates {other}"] for other in corpus_languages[language]]
        for layer in layers or (None,):
            query_outputs = outputs_of(query_table, query_table, layer)
            # a pool is one language or all of them, and so its tables follow each other
            candidates = None
            collected: dict[str, np.ndarray] = {}
            if pool:
                ids = np.concatenate([corpus_ids[other] for other in corpus_languages[language]])
                candidates = outputs_of(pool[0], pool[-1], layer)
                candidates["rows_per_id"] = _rows_per_id(ids)
                sizes = [len(corpus_ids[other]) for other in corpus_languages[language]]
                candidates["rows_per_language"] = torch.tensor(sizes)
                collected["candidates"] = ids
            for name, values in head.collect(query_outputs, candidates).items():
                collected[name] = values.numpy()
            rows = slice(row_bounds[query_table], row_bounds[query_table + 1])
            yield language, layer, {**collected, "counts": counts[rows]}


def _candidate_ids(task: Task, corpus: Features) -> np.ndarray:
    """(rows,) ids of a corpus, as `task.examples` gives them; all of its rows have one, or none."""
    rows = corpus.rows
    stored_ids = rows["id"][:] if "id" in rows.column_names else [None] * len(rows)
    keep_blank = bool(task.threshold_split)  # what is mined leaves texts without an id unpaired
    missing = [index for index, id in enumerate(stored_ids) if id is None or id == ""]
    if 0 < len(missing) < len(rows) and not keep_blank:
        raise DataError(
            f"Task {task.name}, split {corpus.split!r}, language {corpus.language!r}: row "
            f"{missing[0]} of the corpus has no id, though other rows have. Give each row one."
        )
    is_pooled = len(task.candidate_languages(corpus.split, corpus.language)) > 1
    if len(missing) == len(rows) and is_pooled and not keep_blank:
        raise DataError(
            f"Task {task.name}: the candidates of all languages are ranked together (pool='all'), "
            f"and those in {corpus.language!r} have no ids: a row of one language would count as "
            "that of another. Give each row of the corpus an id of its own."
        )
    ids = [row_id({"id": id}, i, keep_blank=keep_blank) for i, id in enumerate(stored_ids)]
    return np.array(ids, dtype=object)


def _rows_per_id(ids: np.ndarray) -> Tensor:
    """(distinct ids,) how many rows have each id, the largest number first."""
    return torch.tensor(sorted(Counter(ids.tolist()).values(), reverse=True))


@torch.no_grad()  # not inference_mode: parameters that FSDP gathers in it cannot be trained later
def run_model(
    model: MultitaskModel,
    task: Task,
    tables: Sequence[tuple[str, datasets.Dataset]],
    batch_size: int,
    layers: Sequence[int] | None,
    title: str,
    dtype: torch.dtype | None,
    *,
    progress: bool = True,
) -> tuple[np.ndarray, _Outputs]:
    """Run every row of `tables` through the model once.

    On several ranks each runs a share, and all return everything.

    Args:
        model: With the task's head.
        task: Of the features.
        tables: (name, features).
        batch_size: Features of a batch.
        layers: Hidden states to sweep over.
        title: Of the progress bar.
        dtype: Half precision to compute in.
        progress: Show the bar, on the first rank.

    Returns:
        counts: (rows,) number of outputs of each row. outputs: name -> (sum of counts, ...) CPU
        tensor in the order of the rows.
    """
    # without `cpu`, accelerate sees no ranks on machines without a GPU
    state = PartialState(cpu=model.device.type == "cpu")
    table = datasets.concatenate_datasets([table for _, table in tables])
    token_counts = list_lengths(table, "input_ids")
    # masking decides only when a batch is made how many outputs a row has: at most its tokens
    max_outputs = token_counts
    if task.output_column in table.column_names:
        max_outputs = list_lengths(table, task.output_column)
    first_rows = np.cumsum([0, *(len(table) for _, table in tables)])

    def key_of(row: int) -> tuple[Any, ...]:
        # what is random in a row (masking) depends on its table and its index in it alone
        index = int(np.searchsorted(first_rows, row, side="right")) - 1
        return ("evaluation", task.name, tables[index][0], row - int(first_rows[index]))

    row_batches = sorted_batches(
        token_counts, batch_size, rank=state.process_index, ranks=state.num_processes
    )
    batches = evaluation_batches(task, table, tokenizer_of(model), row_batches, key_of)
    is_silent = not (progress and state.is_main_process)
    bar = tqdm(batches, title, len(row_batches), leave=False, delay=1, disable=is_silent)
    buffer = _OutputBuffer(max_outputs)
    # all ranks run as many batches: what comes after a rank's own ones repeats the last
    batch_count = math.ceil(len(table) / batch_size)
    own_batches = len(range(state.process_index, batch_count, state.num_processes))
    with without_training_precision(model), autocast(model.device, dtype):
        _forward(model, row_batches, bar, layers, buffer, own_batches)
    if state.num_processes > 1:
        rank_rows = np.concatenate(row_batches) if row_batches else np.zeros(0, dtype=np.int64)
        gathered = gather_object([(rank_rows, *buffer.read(rank_rows))])
        for rank, (rows, counts, outputs) in enumerate(gathered):
            if rank != state.process_index:
                buffer.write(rows, counts, outputs)
    return buffer.read_all()


class _OutputBuffer:
    """The outputs of all rows, in their order.

    Args:
        max_outputs: (rows,) how many outputs each row has at most.
    """

    def __init__(self, max_outputs: np.ndarray) -> None:
        self.max_outputs = max_outputs
        self.starts = np.cumsum(max_outputs) - max_outputs
        self.counts = np.zeros_like(max_outputs)
        self.outputs: _Outputs = {}

    def _indices(self, rows: np.ndarray) -> Tensor:
        """(outputs of the rows,) where they are."""
        counts = self.counts[rows]
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return torch.from_numpy(np.repeat(self.starts[rows], counts) + offsets)

    def write(self, rows: np.ndarray, counts: np.ndarray, outputs: _Outputs) -> None:
        self.counts[rows] = counts
        indices = self._indices(rows)
        for name, values in outputs.items():
            if name not in self.outputs:
                size = int(self.max_outputs.sum())
                self.outputs[name] = values.new_empty((size, *values.shape[1:]))
            self.outputs[name][indices] = values

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, _Outputs]:
        indices = self._indices(rows)
        outputs = {name: values[indices] for name, values in self.outputs.items()}
        return self.counts[rows], outputs

    def read_all(self) -> tuple[np.ndarray, _Outputs]:
        if np.array_equal(self.counts, self.max_outputs):
            return self.counts, self.outputs  # without a copy: there may be a million vectors
        return self.read(np.arange(len(self.max_outputs)))


def _check_numbers(name: str, values: Tensor) -> None:
    """Refuse outputs that are no numbers: an argmax of them would be a prediction."""
    if values.is_floating_point() and bool(values.isnan().any()):
        raise FloatingPointError(
            f"The model's {name} are not numbers (NaN), so nothing can be predicted. Its training "
            "diverged: lower the learning rate. Or float16 overflowed: use bfloat16, or dtype=None."
        )


def _forward(
    model: MultitaskModel,
    row_batches: Sequence[np.ndarray],
    batches: Iterable[Batch],
    layers: Sequence[int] | None,
    buffer: _OutputBuffer,
    own_batches: int,
) -> None:
    """Run batches through the model and write their outputs into the buffer.

    Those after `own_batches` are repeated, which the model's hooks see as `is_repeat`.
    """
    was_training = model.training
    device = model.device
    sweep = {} if layers is None else {"layers": layers}
    model.eval()
    try:
        pending: list[tuple[np.ndarray, np.ndarray, _Outputs]] = []  # outputs on the device
        for count, (batch_rows, batch) in enumerate(zip(row_batches, batches, strict=True), 1):
            moved = {
                name: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
                for name, value in batch.items()
            }
            moved["is_repeat"] = count > own_batches
            pending.append((batch_rows, batch["counts"].numpy(), model(**moved, **sweep).outputs))
            if len(pending) == _MOVED or count == len(row_batches):
                rows, counts, outputs = zip(*pending, strict=True)
                joined = {}
                for name, first in outputs[0].items():
                    values = torch.cat([output[name] for output in outputs]).cpu()
                    _check_numbers(name, values)
                    is_half = first.dtype in (torch.float16, torch.bfloat16)
                    joined[name] = values.float() if is_half else values
                buffer.write(np.concatenate(rows), np.concatenate(counts), joined)
                pending = []
    finally:
        model.train(was_training)
