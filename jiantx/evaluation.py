"""Scores and predictions: every row once, in the order of the rows, on any number of ranks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers.utils import logging

from jiantx.columns import row_id
from jiantx.features import cut_notes, encode_examples, load_features
from jiantx.fields import check_count
from jiantx.inference import run_tables, task_of, tokenizer_of
from jiantx.layer_sweeps import group_by_pass, layers_of_group
from jiantx.metrics import mean_of_metrics
from jiantx.model import MultitaskModel
from jiantx.prediction_rows import warn_of_other_files, write_predictions
from jiantx.report import MAIN, LabelCounts, Report, Score
from jiantx.scoring import SplitPredictions, label_counts_of, scores_of
from jiantx.sources import DataError, Row, as_held, as_row, function_name, iter_items
from jiantx.task import Task
from jiantx.tasks import TaskOrName, Tasks, resolve_tasks

logger = logging.get_logger("jiantx.evaluation")

_NO_ROWS = (
    " If its rows are your own, give the task itself, or on the command line --import FILE.py: a "
    "saved folder holds no rows."
)


def evaluate(
    model: MultitaskModel,
    tasks: Tasks,
    *,
    split: str = "validation",
    languages: Collection[str] | None = None,
    batch_size: int = 32,
    max_length: int | None = None,
    layers: Sequence[int] | None = None,
    predictions: str | Path | None = None,
    dtype: torch.dtype | None = None,
) -> Report:
    """Score a model on a split of some tasks.

    Args:
        model: A model with a head for each task.
        tasks: Tasks to score: one task or name, or several. Retrieval tasks that differ only in
            their layer are scored in one pass of the encoder.
        split: "train", "validation" or "test".
        languages: Languages to score, where a task has them; if None, all languages of each task.
        batch_size: Features of a batch.
        max_length: Maximum tokens of a sequence; if None, each task's `max_length`.
        layers: For retrieval, score each of these hidden states (0 is the embeddings) in one pass.
            The tag `layer` tells the scores apart.
        predictions: A folder for one JSON-lines file per task and language, with one row per
            example: id, language, inputs, gold, prediction, confidence, correct, score.
            `jx.errors(folder)` reads it.
        dtype: `torch.bfloat16` or `torch.float16` computes in half precision, which is faster. None
            computes in the precision of the weights, also after a training in half precision.

    Returns:
        A report with every metric of every task and language; NaN where one is undefined. For
        classification and tagging with at most 200 labels, also with the counts of labels.

    Raises:
        DataError: A task has no such split, no labels in it, or none of the languages.
        ValueError: Two tasks have the same name, or `layers` is empty or given for a task that is
            not a retrieval task.

    >>> evaluate(model, [get_task("xnli")], languages=["de", "sw"]).to_markdown()  # doctest: +SKIP
    """
    check_count("batch_size", batch_size)
    tasks = resolve_tasks(tasks)
    if isinstance(languages, str):
        languages = [languages]
    check_task_names(tasks)
    languages_of = {task.name: scored_languages(task, split, languages) for task in tasks}
    check_languages(tasks, split, languages, languages_of)
    _check_layers(tasks, layers)
    if len(tasks) > 1:  # a bad row is found before a pass, and not after the passes of other tasks
        for task in tasks:
            for language in languages_of[task.name]:
                load_features(task, split, language, tokenizer_of(model), max_length=max_length)
    if predictions is not None:
        if Path(predictions).is_file():
            raise ValueError(f"predictions={str(predictions)!r} is a file. Give a folder.")
        warn_of_other_files(Path(predictions), split, languages_of)
    records: dict[str, list[Score]] = {task.name: [] for task in tasks}
    label_counts: list[LabelCounts | None] = []
    for group in group_by_pass(model, tasks) if layers is None else [[task] for task in tasks]:
        swept_layers = layers
        if len(group) > 1:
            swept_layers = layers_of_group(model, group)
        for result in predict_splits(
            model,
            group[0],
            split,
            languages_of[group[0].name],
            batch_size=batch_size,
            max_length=max_length,
            layers=swept_layers,
            dtype=dtype,
        ):
            for task_result in [result] if len(group) == 1 else _by_task(model, group, result):
                records[task_result.features.task.name] += scores_of(task_result)
                label_counts.append(label_counts_of(task_result))
                if predictions is not None and PartialState().is_main_process:
                    write_predictions(Path(predictions), task_result)
                for note in task_result.features.notes():
                    logger.warning_once(note)
    scores = itertools.chain.from_iterable(records.values())
    return Report(scores, filter(None, label_counts))


def _by_task(
    model: MultitaskModel, group: Sequence[Task], result: SplitPredictions
) -> Iterator[SplitPredictions]:
    """The predictions of one layer, for each of the tasks that read this layer."""
    for task in group:
        if model.head_of(task).layer == result.layer:
            features = replace(result.features, task=task)
            yield replace(result, features=features, layer=None)


def check_task_names(tasks: Iterable[Task]) -> None:
    """Raise a ValueError if different tasks have one name: their scores could not be told apart."""
    by_name: dict[str, Task] = {}
    for task in tasks:
        if by_name.setdefault(task.name, task) is not task:
            raise ValueError(
                f"Two tasks have one name, {task.name!r}, so their scores could not be told apart. "
                'Rename one of them: task.replace(name="…", head=task.head_name).'
            )


def check_languages(
    tasks: Sequence[Task],
    split: str,
    languages: Collection[str] | None,
    languages_of: Mapping[str, Sequence[str]],
) -> None:
    """Check that each language is one of some task.

    Args:
        tasks: The tasks.
        split: The split that is scored.
        languages: Those that the user named, or None.
        languages_of: Task -> those of them that it has.

    Raises:
        DataError: One of the languages is no task's.
    """
    unknown = set(languages or ()).difference(*languages_of.values())
    if unknown:
        available = {task.name: ", ".join(task.languages(split)) for task in tasks}
        raise DataError(
            f"No task has the language(s) {', '.join(sorted(unknown))} in its split {split!r}. "
            f"There are: {available}."
        )


def _check_layers(tasks: Sequence[Task], layers: Sequence[int] | None) -> None:
    """Refuse a sweep over layers (several are scored in one pass) for tasks without a choice."""
    if layers is None:
        return
    if not layers:
        raise ValueError("No layers are given. Without a sweep, leave `layers` out.")
    not_retrieval = [task.name for task in tasks if task.task_type != "retrieval"]
    if not_retrieval:
        raise ValueError(
            f"A sweep over layers is for retrieval; {', '.join(not_retrieval)} is something else."
        )


def predict(
    model: MultitaskModel,
    task: TaskOrName,
    rows: Iterable[Any],
    *,
    language: str | None = None,
    dtype: torch.dtype | None = None,
) -> list[Any]:
    """Predict for raw rows. Labels are not needed; if rows have labels, they are ignored.

    Retrieval ranks the candidates of the rows or, if the task has a corpus, of its split `test`
    (else `validation`). Each call encodes the corpus again, so give many rows at once. Mined pairs
    are returned with their scores; no threshold is applied.

    Args:
        model: A model with the task's head.
        task: The task, or its name: of a registered task, or one that the model was trained on.
        rows: Texts, pairs of texts, dictionaries with the task's columns, or other input of `Rows`.
        language: Of the rows. If None, the task's training language, or "en" if it has several.
        dtype: As for `evaluate`.

    Returns:
        One `Prediction` of the task's type for each row, in order.

    Raises:
        DataError: A row lacks a column, or is a text although the task reads several columns. The
            message names the row.

    >>> predict(model, xnli, rows)[0].label  # doctest: +SKIP
    """
    task = task_of(model, task)
    if language is None:
        language = task.train_languages[0] if len(task.train_languages) == 1 else "en"
    examples = []
    without_gold = task
    if task.gold and callable(getattr(task, task.gold)):
        without_gold = task.replace(**{task.gold: _no_gold})
    for index, item in enumerate(iter_items(rows)):
        try:
            row = _input_row(task, item, index)
            inputs = {column: value for column, value in row.items() if column != task.gold_column}
            example_id = row_id(row, index)
            examples.append(without_gold.example(inputs, id=example_id, language=language))
        except DataError as error:
            message = f"Task {task.name}, language {language!r}, row {index}: {error}"
            raise DataError(message) from error.__cause__
    if not examples:
        return []
    tokenizer = tokenizer_of(model)
    table = encode_examples(task, examples, tokenizer)
    for note in cut_notes(task, table, min(task.max_length, tokenizer.model_max_length)):
        logger.warning(f"Task {task.name}: {note}")
    corpus_split = "test" if task.corpus_task and task.languages("test") else "validation"
    title = f"predicting {task.name}"
    results = run_tables(model, task, corpus_split, {language: table}, title, dtype=dtype)
    ((_, _, outputs),) = results
    return list(task.decode(outputs, table, examples))


# The fields of task types that name columns of text, in the order in which texts are given.
_TEXT_FIELDS = (
    *("text", "text_pair", "question", "context"),
    *("query", "candidate", "better", "worse"),
)


def _no_gold(row: Row) -> None:
    """The gold of a row that is to be predicted."""


def _input_row(task: Task, item: Any, index: int) -> Row:
    """A row to predict for; texts are put into the task's columns."""
    if isinstance(item, str):
        item = [item]
    is_texts = type(item) in (list, tuple) and all(isinstance(text, str) for text in item)
    if not is_texts:
        return as_held(dict(as_row(item, index)))
    fields = [field for field in _TEXT_FIELDS if getattr(task, field, None) is not None]
    if task.corpus_task is not None:  # its candidates are there already
        fields.remove("candidate")
    columns = [getattr(task, field) for field in fields]
    if len(columns) != len(item) or any(map(callable, columns)):
        needed = ", ".join(
            column if isinstance(column, str) else f"what {function_name(column)} reads"
            for column in columns
        )
        texts = "a text" if len(item) == 1 else f"{len(item)} texts"
        raise DataError(
            f"It is {texts}; expected a dictionary with the task's columns"
            f"{f' ({needed})' if needed else ''}."
        )
    return dict(zip(columns, item))


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
    dtype: torch.dtype | None = None,
) -> Iterator[SplitPredictions]:
    """Predict a split, language by language and, in a sweep, layer by layer.

    For mining, the threshold is the best one on the task's `threshold_split`.

    Args:
        model: With the task's head.
        task: What is predicted.
        split: "train", "validation" or "test".
        languages: Languages of the split.
        batch_size: Features of a batch.
        max_length: Tokens of a sequence; the task's own if None.
        layers: Hidden states to sweep over.
        labelled: Refuse rows without labels.
        dtype: As for `evaluate`.
    """

    mix = model.head_of(task).layer_mix
    head_numbers = {} if mix is None else mix.numbers()

    def run(split: str, labelled: bool) -> Iterator[SplitPredictions]:
        features_of = {
            language: load_features(
                task, split, language, tokenizer_of(model), max_length=max_length, labelled=labelled
            )
            for language in languages
        }
        tables = {language: features.table for language, features in features_of.items()}
        title = f"evaluating {task.name}"
        for language, layer, outputs in run_tables(
            model, task, split, tables, title, batch_size, max_length, layers, dtype
        ):
            features = features_of[language]
            examples = features.examples()
            predictions = task.decode(outputs, features.table, examples)
            references = [task.reference(example) for example in examples]
            yield SplitPredictions(features, predictions, references, layer, head_numbers, examples)

    if not task.threshold_split:
        yield from run(split, labelled)
        return
    scored = list(run(split, labelled))
    tuned = scored if split == task.threshold_split else run(task.threshold_split, True)
    for result, on_threshold_split in zip(scored, tuned):
        threshold = task.best_threshold(
            on_threshold_split.predictions, on_threshold_split.references
        )
        yield replace(result, predictions=task.apply_threshold(result.predictions, threshold))


def scored_languages(task: Task, split: str, requested: Collection[str] | None) -> list[str]:
    """The languages of a split that are scored.

    Args:
        task: The task.
        split: The split.
        requested: Of these, those that the task has; all of its languages if None.

    Raises:
        DataError: There are none.
    """
    available = task.languages(split)
    languages = [language for language in available if requested is None or language in requested]
    if languages:
        return languages
    # if the data themselves are missing, the source says so
    for language in getattr(task.source, "languages", None) or ():
        if not requested or language in requested:
            task.rows(split, language)
            break
    if not available:
        splits = [name for name in ("train", "validation", "test") if task.languages(name)]
        raise DataError(
            f"Task {task.name} has no split {split!r} here. It has: {', '.join(splits) or 'none'}."
            f"{'' if splits else _NO_ROWS}"
        )
    raise DataError(
        f"Task {task.name}, split {split!r}, has none of the languages "
        f"{', '.join(requested or ())}. It has: {', '.join(available)}."
    )


def with_undefined_as_lowest(report: Report, tasks: Iterable[Task]) -> Report:
    """Replace main scores that are undefined, so that models can be compared by their mean.

    Left out, an undefined score would raise the mean: a model that collapsed would be the best.
    So each undefined metric counts as the worst score that it can have.

    Args:
        report: All metrics of the tasks.
        tasks: The tasks.

    Returns:
        A report in which no main score is NaN.
    """
    main_metrics = {task.name: task.main_metrics or task.metrics for task in tasks}
    records = []
    for record in report:
        if record.metric == MAIN and math.isnan(record.value):
            values = {other.metric: other.value for other in report if _same_rows(other, record)}
            value = mean_of_metrics(main_metrics[record.task], values, undefined_as_lowest=True)
            record = replace(record, value=value)
            logger.warning(
                f"Task {record.task}, split {record.split!r}, language {record.language!r}: the "
                f"main score is undefined, and counts as {value:.1f} where models are compared."
            )
        records.append(record)
    return Report(records, report.label_counts)


def _same_rows(one: Score, other: Score) -> bool:
    return (one.task, one.split, one.language) == (other.task, other.split, other.language)
