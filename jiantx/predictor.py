"""A saved model that predicts, with the tasks that its folder holds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import Pipeline, TokenClassificationPipeline, pipeline
from transformers.utils import logging

from jiantx.evaluation import evaluate, predict
from jiantx.inference import tokenizer_of
from jiantx.model import MultitaskModel
from jiantx.model.declarations import changed_fields, saved_task
from jiantx.registry import near_names
from jiantx.report import Report
from jiantx.sentence_vectors import encode
from jiantx.sources import DataError, function_name
from jiantx.task import Task
from jiantx.task_types import MultipleChoice, TokenClassification
from jiantx.tasks import TASKS, TaskOrName, Tasks, get_task, resolve_tasks

logger = logging.get_logger("jiantx.predictor")

# transformers' pipelines -> the task types that they can run
_PIPELINES = {
    "text-classification": ("classification", "regression"),
    "token-classification": ("token_classification",),
    "fill-mask": ("masked_lm",),
}
_FEATURES = "feature-extraction"


def load(
    path: str | os.PathLike[str], tasks: Tasks | None = None, *, device: Any = None, **kwargs: Any
) -> Predictor:
    """Load a saved jiantx model with its tasks, ready to predict.

    The folder holds label names, columns and lengths of the tasks. It cannot hold column functions
    and corpora; these come from the registered tasks with the same names.

    Args:
        path: A folder, or a Hub id.
        tasks: Tasks, or their names. Each replaces the saved task with its name, or shares a head
            with a saved task.
        device: Where the model runs; if None, the GPU if there is one.
        kwargs: Arguments of `MultitaskModel.from_pretrained`.

    Raises:
        ValueError: The path holds no jiantx model.
        OSError: There is no such folder, and no such model on the Hub.

    >>> load("runs/mood").predict("What a day!").label  # doctest: +SKIP
    'glad'
    """
    try:
        model = MultitaskModel.from_pretrained(path, **kwargs)
    except OSError as error:
        if Path(path).exists():
            raise
        raise OSError(
            f"There is no folder {os.fspath(path)}, and no such model could be read from the Hub: "
            f"{error}"
        ) from error
    is_placed = "device_map" in kwargs or "distributed_config" in kwargs
    if device is None and torch.cuda.is_available() and not is_placed:
        device = "cuda"
    if device is not None:
        model.to(device)
    return Predictor(model, tasks)


class Predictor:
    """A model and the tasks that it was trained on.

    Args:
        model: A model that was loaded or trained.
        tasks: Tasks, or their names, that replace or complete those of the model's config.

    Attributes:
        model: The model.
        tasks: Name -> task.
    """

    def __init__(self, model: MultitaskModel, tasks: Tasks | None = None) -> None:
        self.model = model
        self.tasks: dict[str, Task] = {}
        self._problems: dict[str, str] = {}  # task -> why it cannot predict
        given_tasks = {task.name: task for task in resolve_tasks(() if tasks is None else tasks)}
        for name, entry in model.config.tasks.items():
            if name in given_tasks or entry["head"] not in model.config.heads:
                continue
            try:
                self.tasks[name] = saved_task(name, entry, model.config.heads[entry["head"]])
            except DataError as error:
                self._problems[name] = str(error)
                logger.warning(str(error))
        for task in given_tasks.values():
            model.head_of(task)
            _warn_of_changes(task, model.config.tasks.get(task.name, {}))
        self.tasks |= given_tasks

    def __repr__(self) -> str:
        family = self.model.encoder.config.model_type
        return f"<Predictor: {', '.join(self.tasks) or 'no tasks'} on {family}>"

    def predict(
        self,
        inputs: Any = None,
        *,
        task: TaskOrName | None = None,
        language: str | None = None,
        dtype: torch.dtype | None = None,
        **columns: Any,
    ) -> Any:
        """Predict for one input or for several, as `jx.predict(model, task, rows)` does.

        One input is a text (for tagging, a sentence whose words are separated by blanks), a
        dictionary with the task's columns, or a tuple: ("premise", "hypothesis"), ("question",
        "context"), the words of a sentence, ("prompt", ["choice A", "choice B"]).

        Args:
            inputs: One input, or a list (a data set, a frame, …) of several.
            task: Which task, by its name; not needed if the model has one.
            language: Of the inputs; if None, the one that the task trains in, or "en" of several.
            dtype: As of `evaluate`.
            columns: The columns of one input, instead of `inputs`: question="…", context="…".

        Returns:
            For one input its `Prediction`, for several a list of them in order.

        Raises:
            LookupError: The model has several tasks and none is named, or has no such task.
            DataError: An input does not fit the task. The message says what it expects.
        """
        chosen = self.task(task)
        if columns:
            if inputs is not None:
                raise TypeError("Give either inputs or columns.")
            inputs = columns
        is_one = isinstance(inputs, str | tuple | Mapping) or is_dataclass(inputs)
        rows = [inputs] if is_one else inputs
        if rows is None:
            raise TypeError('Give an input: predict("some text").')
        if isinstance(rows, list | Iterator):
            rows = _as_rows(chosen, list(rows))
        predictions = predict(self.model, chosen, rows, language=language, dtype=dtype)
        return predictions[0] if is_one else predictions

    def task(self, name: TaskOrName | None = None) -> Task:
        """One of the tasks.

        Args:
            name: Its name, or the name of a registered task that shares a head with one; None if
                there is only one task. A `Task` is returned unchanged.

        Raises:
            LookupError: There are several tasks and none is named, or there is no such task.
            DataError: The folder does not hold all that the task needs.
        """
        if isinstance(name, Task):
            return name
        names = [*self.tasks, *self._problems]
        if name is None:
            if len(names) != 1:
                example = _naming(names[0]) if names else ""
                raise LookupError(f"The model has the tasks {', '.join(names) or '–'}.{example}")
            name = names[0]
        if name in self._problems:
            raise DataError(self._problems[name])
        if name in self.tasks:
            return self.tasks[name]
        if name in TASKS and get_task(name).head_name in self.model.heads:
            return get_task(name)
        raise LookupError(
            f"The model has no task {name!r}.{near_names(name, names)} It has: {', '.join(names)}."
        )

    def evaluate(self, tasks: Tasks | None = None, **kwargs: Any) -> Report:
        """Score the model.

        Args:
            tasks: Tasks to score: one task or name, or several. None scores the model's tasks that
                have rows: tasks that are registered, or that you passed.
            kwargs: Arguments of `jx.evaluate`: split, languages, batch_size, predictions, …

        Raises:
            LookupError: None of the model's tasks is registered.
        """
        if tasks is None:
            split = kwargs.get("split", "validation")
            tasks = [task for task in self.tasks.values() if task.languages(split)]
            if not tasks:
                raise LookupError(
                    f"The folder holds no rows, and none of its tasks ({', '.join(self.tasks)}) is "
                    f"registered with a split {split!r}. Give the tasks with their rows: "
                    "jx.load(folder, tasks=[task]), or on the command line --import FILE.py."
                )
        elif isinstance(tasks, str | Task):
            tasks = [self.task(tasks)]
        else:
            tasks = [self.task(task) for task in tasks]
        return evaluate(self.model, tasks, **kwargs)

    def encode(
        self, texts: Sequence[str], task: TaskOrName | None = None, **options: Any
    ) -> npt.NDArray[np.float32]:
        """Compute vectors of texts, as `jx.encode(model, texts, task)` does.

        Args:
            texts: A list of texts.
            task: The retrieval task whose head computes them. Neither its rows nor its corpus are
                needed. None: the mean over the tokens of the last layer, of length 1.
            options: Of `jx.encode`: prefix, layer, pooling, normalize, batch_size, …

        Returns:
            (texts, hidden) in float32.
        """
        return encode(self.model, texts, task, **options)

    def pipeline(self, kind: str, *, task: TaskOrName | None = None, **kwargs: Any) -> Pipeline:
        """Make a pipeline of transformers, which gives the labels and scores of `predict`.

        Args:
            kind: "text-classification" (also a regression's numbers), "token-classification",
                "fill-mask", or "feature-extraction" for the encoder's states.
            task: Which task; not needed if one of the model's tasks fits.
            kwargs: For `transformers.pipeline`: top_k, aggregation_strategy, batch_size, device, …

        Raises:
            ValueError: transformers has no such pipeline, or the encoder's family has no class that
                computes the same (see `MultitaskModel.export`).
            LookupError: No task of the model fits, or several do and none is named.
        """
        kwargs.setdefault("device", self.model.device)
        if kind == _FEATURES:
            encoder = self.model.plain_encoder()
            kwargs.setdefault("truncation", True)
            return pipeline(kind, model=encoder, tokenizer=tokenizer_of(self.model), **kwargs)
        if kind not in _PIPELINES:
            hint = near_names(kind, [*_PIPELINES, _FEATURES])
            if kind == "question-answering":
                hint = " transformers 5 has removed it: use predict, or model.export(task, folder)."
            raise ValueError(
                f"There is no pipeline {kind!r}.{hint} There are: "
                f"{', '.join([*_PIPELINES, _FEATURES])}."
            )
        model, tokenizer = self.model.to_transformers(self._task_for(kind, task))
        if kind == "text-classification":
            kwargs.setdefault("truncation", True)  # at the task's max_length, as `predict` does
        if kind == "token-classification":
            kwargs.setdefault("pipeline_class", _TagPipeline)
        return pipeline(kind, model=model, tokenizer=tokenizer, **kwargs)

    def _task_for(self, kind: str, name: TaskOrName | None) -> Task:
        """The task that a pipeline runs."""
        types = _PIPELINES[kind]
        fitting = [task.name for task in self.tasks.values() if task.task_type in types]
        if name is None and len(fitting) == 1:
            name = fitting[0]
        if name is None:
            raise LookupError(
                f"A {kind} pipeline runs a task of type {' or '.join(types)}. Of these, the model "
                f"has: {', '.join(fitting) or 'none'}." + (_naming(fitting[0]) if fitting else "")
            )
        task = self.task(name)
        if task.task_type not in types:
            raise LookupError(
                f"A {kind} pipeline runs a task of type {' or '.join(types)}; {task.name} is of "
                f"type {task.task_type}."
            )
        return task


def _warn_of_changes(task: Task, entry: Mapping[str, Any]) -> None:
    """Warn if a given task reads its inputs otherwise than the saved one of its name."""
    changed = changed_fields(task, entry)
    if changed:
        values = [
            f"{name}={value!r} (saved: {saved!r})" for name, (value, saved) in changed.items()
        ]
        logger.warning(
            f"Task {task.name}: the given task has {', '.join(values)}. It is used as given, so "
            "that scores may differ from those of the saved one."
        )


class _TagPipeline(TokenClassificationPipeline):  # type: ignore[misc]  # not annotated
    """Warns of texts that are cut, whose last words would have no tag without a word about it."""

    def preprocess(self, sentence: Any, *args: Any, **options: Any) -> Iterator[Any]:
        has_stride = "stride" in (options.get("tokenizer_params") or {})
        longest = self.tokenizer.model_max_length
        for inputs in super().preprocess(sentence, *args, **options):
            if not has_stride and inputs["input_ids"].shape[1] == longest:
                is_split = options.get("is_split_into_words", False)
                encoded = self.tokenizer(sentence, is_split_into_words=is_split, verbose=False)
                count = len(encoded["input_ids"])
                if count > longest:
                    logger.warning(
                        f"A text of {count:,} tokens was cut at {longest:,}, and its last words "
                        "have no tag. predict() tags all words, and so does this pipeline with "
                        "stride= and aggregation_strategy=."
                    )
            yield inputs


def _as_rows(task: Task, inputs: list[Any]) -> list[Any]:
    """Inputs as `jx.predict` takes them: sentences and choices are put into the task's columns."""
    if isinstance(task, TokenClassification):
        texts = [item for item in inputs if isinstance(item, str)]
        if len(texts) > 1 and not any(len(text.split()) > 1 for text in texts):
            raise DataError(
                f"Task {task.name}: {texts[:3]} are several texts of one word each. Give the words "
                f"of one sentence as a tuple, {tuple(texts[:2])}, and several sentences as a list "
                "of such tuples."
            )
        return [_sentence_row(task, item) for item in inputs]
    if isinstance(task, MultipleChoice):
        return [_choice_row(task, item) for item in inputs]
    return inputs


def _sentence_row(task: TokenClassification, item: Any) -> Any:
    if isinstance(item, str):
        item = item.split()
    if isinstance(item, Mapping) and isinstance(item.get(task.words), str):  # a cell of a table
        return {**item, _named(task, "words"): item[_named(task, "words")].split()}
    if type(item) not in (list, tuple):
        return item
    return {_named(task, "words"): list(item)}


def _choice_row(task: MultipleChoice, item: Any) -> Any:
    if type(item) not in (list, tuple):
        return item
    if len(item) != 2 or isinstance(item[1], str):
        raise DataError(
            f'Task {task.name}: expected ("prompt", ["choice A", "choice B"]), found {item!r}.'
        )
    return {_named(task, "prompt"): item[0], _named(task, "choices"): list(item[1])}


def _named(task: Task, field: str) -> str:
    """The name of a column."""
    column = getattr(task, field)
    if not isinstance(column, str):
        raise DataError(
            f"Task {task.name} computes its {field} by {function_name(column)}. Give dictionaries "
            "with the columns that this function reads."
        )
    return column


def _naming(task: str) -> str:
    """How to name a task, in Python and on the command line."""
    return f' Name one: task="{task}", or --task {task} on the command line.'
