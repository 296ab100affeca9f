"""Scores and predictions: every row once, in the order of the rows, whatever the order and the ranks they ran in."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
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

from jiantx.batching import Batch, evaluation_batches, sorted_batches, token_counts
from jiantx.features import Features, encode_examples, load_features
from jiantx.metrics import metric_name
from jiantx.model import MultitaskModel
from jiantx.report import MAIN, Report, Score
from jiantx.sources import DataError, Row
from jiantx.task import Prediction, Task

logger = logging.get_logger("jiantx.evaluation")


def evaluate(
    model: MultitaskModel,
    tasks: Sequence[Task],
    *,
    split: str = "validation",
    languages: Collection[str] | None = None,
    batch_size: int = 32,
    max_length: int | None = None,
    predictions: str | Path | None = None,
) -> Report:
    """Score a model on a split of some tasks, in all their languages or in those of `languages` that they have.

    max_length: each task's own if None. predictions: a folder for one file a task and language, one row an example (id,
    language, prediction, gold, score). DataError where a task has nothing to score: no such split, no labels, none of
    the languages.

    >>> evaluate(model, [get_task("xnli")], languages=["de", "sw"]).to_markdown()  # doctest: +SKIP
    """
    chosen = {task.name: _languages(task, split, languages) for task in tasks}
    if unknown := set(languages or ()) - {language for found in chosen.values() for language in found}:
        have = {task.name: ", ".join(task.languages(split)) for task in tasks}
        wanted = ", ".join(sorted(unknown))
        raise DataError(f"No task has the language(s) {wanted} in its split {split!r}. There are: {have}.")
    records: list[Score] = []
    for task in tasks:
        parts = [
            load_features(task, split, language, _tokenizer(model), max_length=max_length)
            for language in chosen[task.name]
        ]
        tables = {part.language: part.table for part in parts}
        outputs = _run(model, task, tables, batch_size, f"evaluating {task.name}")
        for part, found in zip(parts, outputs, strict=True):
            examples = part.examples()
            decoded = task.decode(found, part.table, examples)
            references = [task.reference(example) for example in examples]
            records += _scores(part, decoded, references)
            if predictions is not None and PartialState().is_main_process:
                _write_predictions(Path(predictions), part, decoded, references)
            for note in part.notes():
                logger.warning(note)
    return Report(records)


def predict(model: MultitaskModel, task: Task, rows: Sequence[Row], *, language: str = "en") -> list[Any]:
    """Predict for raw rows; no gold is needed. One `Prediction` of the task's type a row, in order.

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
    (outputs,) = _run(model, task, {language: table}, 32, f"predicting {task.name}")
    return list(task.decode(outputs, table, examples))


def _languages(task: Task, split: str, wanted: Collection[str] | None) -> list[str]:
    have = task.languages(split)
    if not have:
        splits = [name for name in ("train", "validation", "test") if task.languages(name)]
        task.rows(split, next(iter(wanted or ()), "en"))  # where the data set itself is not there, that is the error
        raise DataError(f"Task {task.name} has no split {split!r} here. It has: {', '.join(splits) or 'none'}.")
    found = [language for language in have if wanted is None or language in wanted]
    if not found:
        raise DataError(
            f"Task {task.name}, split {split!r}, has none of the languages {', '.join(wanted or ())}. "
            f"It has: {', '.join(have)}."
        )
    return found


def _tokenizer(model: MultitaskModel) -> Any:
    if model.tokenizer is None:
        raise ValueError("The model has no tokenizer. Load it with from_pretrained, or set model.tokenizer.")
    return model.tokenizer


def _scores(part: Features, predictions: Sequence[Prediction], references: Sequence[Any]) -> list[Score]:
    task = part.task
    values = [prediction.value for prediction in predictions]
    found = {metric_name(metric): float(metric(values, references)) for metric in task.metrics}
    found[MAIN] = task.main_score(found)
    return [
        Score(task.name, part.split, part.language, name, value, len(references))
        for name, value in found.items()
        if not math.isnan(value)  # what cannot be computed is missing, and never 0
    ]


def _write_predictions(
    folder: Path, part: Features, predictions: Sequence[Prediction], references: Sequence[Any]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{part.task.name}-{part.split}-{part.language}.jsonl"
    with open(path, "w", encoding="utf-8") as file:
        for prediction, gold in zip(predictions, references, strict=True):
            row = {
                "id": prediction.id,
                "language": prediction.language,
                "prediction": prediction.value,
                "gold": gold,
                "score": prediction.confidence,
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


# --- running a model over features ------------------------------------------------------------------------------------


@dataclass
class _Ran:
    """Outputs of some rows, in the order they ran in."""

    rows: np.ndarray
    counts: np.ndarray
    outputs: dict[str, Tensor]


def _run(
    model: MultitaskModel, task: Task, tables: Mapping[str, datasets.Dataset], batch_size: int, title: str
) -> list[Mapping[str, np.ndarray]]:
    """The outputs of each language's rows, in their order: what `task.decode` takes."""
    head = model.head_of(task)
    state = PartialState()
    table = datasets.concatenate_datasets(list(tables.values()))
    parts = sorted_batches(token_counts(table), batch_size, rank=state.process_index, ranks=state.num_processes)
    # what is random in a row (masking) depends on its language and place alone, not on what is scored beside it
    keys = [("evaluation", task.name, language, row) for language, t in tables.items() for row in range(len(t))]
    batches = evaluation_batches(task, table, _tokenizer(model), parts, keys)
    bar = tqdm(batches, title, len(parts), leave=False, delay=1, disable=not state.is_main_process)
    ran = _forward(model, parts, bar)
    if state.num_processes > 1:
        everyone: list[_Ran] = gather_object([ran])
        ran = _Ran(
            np.concatenate([r.rows for r in everyone]),
            np.concatenate([r.counts for r in everyone]),
            {name: torch.cat([r.outputs[name] for r in everyone if name in r.outputs]) for name in everyone[0].outputs},
        )
    counts, outputs = _in_order(ran)
    row_ends = np.cumsum([len(t) for t in tables.values()])
    out_ends = np.concatenate([[0], np.cumsum(counts)])
    found: list[Mapping[str, np.ndarray]] = []
    for start, end in zip([0, *row_ends[:-1]], row_ends):
        here = slice(int(out_ends[start]), int(out_ends[end]))
        collected = head.collect({name: values[here] for name, values in outputs.items()})
        found.append({**{n: v.numpy() for n, v in collected.items()}, "counts": counts[start:end]})
    return found


@torch.inference_mode()
def _forward(model: MultitaskModel, parts: Sequence[np.ndarray], batches: Iterable[Batch]) -> _Ran:
    training, device = model.training, model.device
    model.eval()
    counts, outputs = [], []
    try:
        for batch in batches:
            counts.append(batch["counts"].numpy())
            moved = {k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}
            outputs.append(model(**moved).outputs)
    finally:
        model.train(training)
    rows = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
    joined = {name: torch.cat([o[name] for o in outputs]).cpu() for name in outputs[0]} if outputs else {}
    return _Ran(rows, np.concatenate(counts) if counts else np.zeros(0, dtype=np.int64), joined)


def _in_order(ran: _Ran) -> tuple[np.ndarray, dict[str, Tensor]]:
    """Counts and outputs in the order of the rows."""
    order = np.argsort(ran.rows, kind="stable")
    counts = ran.counts[order]
    starts = (np.cumsum(ran.counts) - ran.counts)[order]
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    places = torch.from_numpy(np.repeat(starts, counts) + within)
    return counts, {name: values[places] for name, values in ran.outputs.items()}
