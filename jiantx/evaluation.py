"""Scores and predictions: every row once, in the order of the rows, whatever the order and the ranks they ran in."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch import Tensor
from tqdm.auto import tqdm
from transformers.utils import logging

from jiantx.batching import Batch, evaluation_batches, list_lengths, sorted_batches
from jiantx.features import Features, encode_examples, load_features
from jiantx.metrics import metric_name
from jiantx.model import MultitaskModel
from jiantx.report import MAIN, Report, Score
from jiantx.sources import DataError, Row
from jiantx.task import Task

logger = logging.get_logger("jiantx.evaluation")

TRUNCATED = (
    "truncated"  # a metric beside the others: how many inputs had text cut off, where any had
)


def evaluate(
    model: MultitaskModel,
    tasks: Sequence[Task],
    *,
    split: str = "validation",
    languages: Collection[str] | None = None,
    batch_size: int = 32,
    max_length: int | None = None,
    layers: Sequence[int] | None = None,
    predictions: str | Path | None = None,
) -> Report:
    """Score a model on a split of some tasks, in all their languages or in those of `languages` that they have.

    max_length: each task's own if None. layers: for retrieval, score each of these hidden states (0: embeddings) in one
    pass; the scores' tag `layer` tells them apart. predictions: a folder for one file a task and language, one row an
    example (id, language, prediction, gold, score). DataError where a task has nothing to score: no such split, no
    labels, none of the languages.

    >>> evaluate(model, [get_task("xnli")], languages=["de", "sw"]).to_markdown()  # doctest: +SKIP
    """
    languages = [languages] if isinstance(languages, str) else languages
    chosen = {task.name: _languages(task, split, languages) for task in tasks}
    if unknown := set(languages or ()) - {
        language for found in chosen.values() for language in found
    }:
        have = {task.name: ", ".join(task.languages(split)) for task in tasks}
        wanted = ", ".join(sorted(unknown))
        raise DataError(
            f"No task has the language(s) {wanted} in its split {split!r}. There are: {have}."
        )
    if layers is not None and not layers:
        raise ValueError("No layers are given. Without a sweep, leave `layers` out.")
    if layers is not None and (
        other := [task.name for task in tasks if task.task_type != "retrieval"]
    ):
        raise ValueError(
            f"A sweep over layers is for retrieval; {', '.join(other)} is something else."
        )
    records: list[Score] = []
    for task in tasks:
        settings: Any = {"batch_size": batch_size, "max_length": max_length, "layers": layers}
        for found in predict_splits(model, task, split, chosen[task.name], **settings):
            records += _scores(found)
            if predictions is not None and PartialState().is_main_process:
                _write_predictions(Path(predictions), found)
            for note in found.features.notes():
                logger.warning_once(note)
    return Report(records)


def predict(
    model: MultitaskModel, task: Task, rows: Sequence[Row], *, language: str = "en"
) -> list[Any]:
    """Predict for raw rows; no gold is needed. One `Prediction` of the task's type a row, in order.

    Retrieval ranks the rows' own candidates, or those of the task's corpus (`test`, else `validation`), which each call
    encodes anew: give many rows at once. Mined pairs come with their scores and without a threshold.

    >>> predict(model, xnli, [{"premise": "It rains.", "hypothesis": "It is wet."}])[0].label  # doctest: +SKIP
    """
    examples = []
    for number, row in enumerate(rows):
        try:
            inputs = {column: value for column, value in row.items() if column != task.gold_column}
            examples.append(task.example(inputs, id=str(row.get("id", number)), language=language))
        except DataError as error:
            raise DataError(f"Task {task.name}, row {number}: {error}") from None
    if not examples:
        return []
    table = encode_examples(task, examples, _tokenizer(model))
    # whose candidates are searched, where they are apart
    split = "test" if task.corpus_task and task.languages("test") else "validation"
    ((_, _, outputs),) = _outputs(model, task, split, {language: table}, f"predicting {task.name}")
    return list(task.decode(outputs, table, examples))


@dataclass(frozen=True)
class SplitPredictions:
    """What a model says of a split in one language, and the gold, in the order of the rows."""

    features: Features
    predictions: Sequence[Any]
    references: Sequence[Any]
    layer: int | None = None  # of a sweep


def predict_splits(
    model: MultitaskModel,
    task: Task,
    split: str,
    languages: Sequence[str],
    *,
    batch_size: int = 32,
    max_length: int | None = None,
    layers: Sequence[int] | None = None,
    labelled: bool = True,
) -> Iterator[SplitPredictions]:
    """Run a split, language by language, and in a sweep layer by layer; mined pairs from the threshold on."""

    def run(split: str, labelled: bool) -> Iterator[SplitPredictions]:
        parts = {
            code: load_features(
                task, split, code, _tokenizer(model), max_length=max_length, labelled=labelled
            )
            for code in languages
        }
        tables = {code: part.table for code, part in parts.items()}
        title = f"evaluating {task.name}"
        for code, layer, outputs in _outputs(
            model, task, split, tables, title, batch_size, max_length, layers
        ):
            examples = parts[code].examples()
            decoded = task.decode(outputs, tables[code], examples)
            yield SplitPredictions(
                parts[code], decoded, [task.reference(example) for example in examples], layer
            )

    if not task.threshold_split:
        yield from run(split, labelled)
        return
    found = list(run(split, labelled))
    for one, other in zip(
        found, found if split == task.threshold_split else run(task.threshold_split, True)
    ):
        threshold = task.best_threshold(other.predictions, other.references)
        yield replace(one, predictions=task.apply_threshold(one.predictions, threshold))


def _languages(task: Task, split: str, wanted: Collection[str] | None) -> list[str]:
    have = task.languages(split)
    found = [language for language in have if wanted is None or language in wanted]
    if not found:
        # where the data themselves are not there, that is the error
        declared = [
            code for code in getattr(task.source, "languages", ()) if code in (wanted or (code,))
        ]
        for language in declared[:1]:
            task.rows(split, language)
        splits = [name for name in ("train", "validation", "test") if task.languages(name)]
        if not have:
            raise DataError(
                f"Task {task.name} has no split {split!r} here. It has: {', '.join(splits) or 'none'}."
            )
        raise DataError(
            f"Task {task.name}, split {split!r}, has none of the languages {', '.join(wanted or ())}. "
            f"It has: {', '.join(have)}."
        )
    return found


def _tokenizer(model: MultitaskModel) -> Any:
    if model.tokenizer is None:
        raise ValueError(
            "The model has no tokenizer. Load it with from_pretrained, or set model.tokenizer."
        )
    return model.tokenizer


def _scores(found: SplitPredictions) -> list[Score]:
    part, task = found.features, found.features.task
    says = [prediction.value for prediction in found.predictions]
    values = {metric_name(metric): float(metric(says, found.references)) for metric in task.metrics}
    values[MAIN] = task.main_score(values)
    values[TRUNCATED] = part.count("truncated") or math.nan
    tags = {} if found.layer is None else {"layer": found.layer}
    return [
        Score(task.name, part.split, part.language, name, value, len(says), tags)
        for name, value in values.items()
        if not math.isnan(value)  # what cannot be computed is missing, and never 0
    ]


def _write_predictions(folder: Path, found: SplitPredictions) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    part, layer = found.features, "" if found.layer is None else f"-layer{found.layer}"
    path = folder / f"{part.task.name}-{part.split}-{part.language}{layer}.jsonl"
    with open(path, "w", encoding="utf-8") as file:
        for prediction, gold in zip(found.predictions, found.references, strict=True):
            row = {
                "id": prediction.id,
                "language": prediction.language,
                "prediction": prediction.value,
                "gold": gold,
                "score": prediction.confidence,
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


# --- running a model over features ------------------------------------------------------------------------------------

_Outputs = dict[str, Tensor]
_MOVED = 32  # batches whose outputs move to the CPU together


def _outputs(
    model: MultitaskModel,
    task: Task,
    split: str,
    tables: Mapping[str, datasets.Dataset],
    title: str,
    batch_size: int = 32,
    max_length: int | None = None,
    layers: Sequence[int] | None = None,
) -> Iterator[tuple[str, int | None, Mapping[str, np.ndarray]]]:
    """For each language (and layer) what `task.decode` takes: the outputs of its rows, in their order."""
    head, corpus = model.head_of(task), task.corpus_task
    pools = {code: task.candidate_languages(split, code) for code in tables}
    searched: dict[str, Features] = {}
    for code in dict.fromkeys(itertools.chain(*pools.values())):
        assert corpus is not None
        searched[code] = load_features(
            corpus, split, code, _tokenizer(model), max_length=max_length, labelled=False
        )
    named = [*tables.items(), *((f"candidates {code}", f.table) for code, f in searched.items())]
    counts, outputs = _run(model, task, named, batch_size, layers, title)
    rows = np.cumsum([0, *(len(table) for _, table in named)])
    ends = np.concatenate([[0], np.cumsum(counts)])[rows]
    place = {name: i for i, (name, _) in enumerate(named)}
    ids = {code: _ids(features.rows) for code, features in searched.items()}

    def of(first: int, last: int, layer: int | None) -> _Outputs:
        end = "" if layer is None else f"@{layer}"
        here = slice(int(ends[first]), int(ends[last + 1]))
        return {
            name.removesuffix(end): values[here]
            for name, values in outputs.items()
            if name.endswith(end)
        }

    for code in tables:
        at, pool = place[code], [place[f"candidates {other}"] for other in pools[code]]
        for layer in layers or (None,):
            # a pool is one language or all of them, and so stands in one stretch
            there = of(pool[0], pool[-1], layer) if corpus else None
            found = {
                name: values.numpy()
                for name, values in head.collect(of(at, at, layer), there).items()
            }
            if corpus:
                found["candidates"] = np.concatenate([ids[other] for other in pools[code]])
            yield code, layer, {**found, "counts": counts[rows[at] : rows[at + 1]]}


def _ids(rows: datasets.Dataset) -> np.ndarray:
    """(rows,) ids, as `task.examples` gives them."""
    ids = rows["id"][:] if "id" in rows.column_names else range(len(rows))
    return np.array([str(id) for id in ids], dtype=object)


@torch.no_grad()  # not inference_mode: parameters that FSDP gathers in it cannot be trained afterwards
def _run(
    model: MultitaskModel,
    task: Task,
    tables: Sequence[tuple[str, datasets.Dataset]],
    batch_size: int,
    layers: Sequence[int] | None,
    title: str,
) -> tuple[np.ndarray, _Outputs]:
    """(rows,) how many outputs each row has, and the outputs of all rows in their order, on the CPU."""
    state = PartialState(
        cpu=model.device.type == "cpu"
    )  # without `cpu`, accelerate sees no ranks where no GPU is
    table = datasets.concatenate_datasets([table for _, table in tables])
    tokens = list_lengths(table, "input_ids")
    # how many outputs a row has at most: masking alone decides that when the batch is made
    room = (
        list_lengths(table, task.output_column)
        if task.output_column in table.column_names
        else tokens
    )
    firsts = np.cumsum([0, *(len(table) for _, table in tables)])

    def key_of(row: int) -> tuple[Any, ...]:
        # what is random in a row (masking) depends on its language and place alone, not on what is scored beside it
        number = int(np.searchsorted(firsts, row, side="right")) - 1
        return ("evaluation", task.name, tables[number][0], row - int(firsts[number]))

    parts = sorted_batches(tokens, batch_size, rank=state.process_index, ranks=state.num_processes)
    batches = evaluation_batches(task, table, _tokenizer(model), parts, key_of)
    bar = tqdm(batches, title, len(parts), leave=False, delay=1, disable=not state.is_main_process)
    kept = _InOrder(room)
    _forward(model, parts, bar, layers, kept)
    if state.num_processes > 1:
        own = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
        for rank, theirs in enumerate(gather_object([(own, *kept.take(own))])):
            if rank != state.process_index:
                kept.put(*theirs)
    return kept.all()


class _InOrder:
    """Outputs of rows, written where they belong: each row has room for so many."""

    def __init__(self, room: np.ndarray) -> None:
        self.room, self.starts = room, np.cumsum(room) - room
        self.counts = np.zeros_like(room)
        self.outputs: _Outputs = {}

    def _places(self, rows: np.ndarray) -> Tensor:
        counts = self.counts[rows]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return torch.from_numpy(np.repeat(self.starts[rows], counts) + within)

    def put(self, rows: np.ndarray, counts: np.ndarray, outputs: _Outputs) -> None:
        self.counts[rows] = counts
        places = self._places(rows)
        for name, values in outputs.items():
            if name not in self.outputs:
                self.outputs[name] = values.new_empty((int(self.room.sum()), *values.shape[1:]))
            self.outputs[name][places] = values

    def take(self, rows: np.ndarray) -> tuple[np.ndarray, _Outputs]:
        places = self._places(rows)
        return self.counts[rows], {name: values[places] for name, values in self.outputs.items()}

    def all(self) -> tuple[np.ndarray, _Outputs]:
        if np.array_equal(self.counts, self.room):  # without a copy: there may be a million vectors
            return self.counts, self.outputs
        return self.take(np.arange(len(self.room)))


def _forward(
    model: MultitaskModel,
    parts: Sequence[np.ndarray],
    batches: Iterable[Batch],
    layers: Sequence[int] | None,
    kept: _InOrder,
) -> None:
    training, device = model.training, model.device
    sweep = {} if layers is None else {"layers": layers}
    model.eval()
    try:
        waiting: list[tuple[np.ndarray, np.ndarray, _Outputs]] = []  # on the device
        for number, (part, batch) in enumerate(zip(parts, batches, strict=True), 1):
            moved = {
                k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v
                for k, v in batch.items()
            }
            waiting.append((part, batch["counts"].numpy(), model(**moved, **sweep).outputs))
            if len(waiting) == _MOVED or number == len(parts):
                rows, counts, outputs = zip(*waiting, strict=True)
                joined = {
                    name: torch.cat([each[name] for each in outputs]).cpu() for name in outputs[0]
                }
                kept.put(np.concatenate(rows), np.concatenate(counts), joined)
                waiting = []
    finally:
        model.train(training)
