"""The files of a submission and of its labels: their paths and formats, and a reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from jiantx.registry import near_names
from jiantx.report import Benchmark
from jiantx.sources import DataError, Row, read_json, read_jsonl, read_lines, read_text
from jiantx.task import Task
from jiantx.tasks.benchmarks import XTREME, XTREME_R

Version = Literal["xtreme", "xtreme-r"]
BENCHMARKS: dict[str, Benchmark] = {"xtreme": XTREME, "xtreme-r": XTREME_R}
_SUFFIXES = {"question_answering": "json", "rankings": "json", "multiple_choice": "jsonl"}


def benchmark_of(version: str) -> Benchmark:
    """The benchmark of a version; ValueError lists the versions."""
    if version not in BENCHMARKS:
        raise ValueError(
            f"There is no version {version!r}. There are: {', '.join(BENCHMARKS)}."
            f"{near_names(version, BENCHMARKS)}"
        )
    return BENCHMARKS[version]


def file_format(task: Task) -> str:
    """How a task is written: its type or, for retrieval, "pairs", "rankings" or "retrieval"."""
    if task.task_type != "retrieval":
        return task.task_type
    if task.threshold_split:
        return "pairs"
    return "rankings" if task.corpus_task else "retrieval"


def file_path(folder: str | Path, task: Task, language: str) -> Path:
    """The path of a task's test predictions or labels.

    Args:
        folder: The folder of the submission, or of the labels.
        task: A task of the benchmark.
        language: One of the task's languages.

    Returns:
        `<folder>/<task>/test-<language>.<suffix>`.
    """
    suffix = _SUFFIXES.get(file_format(task), "tsv")
    return Path(folder) / task.name / f"test-{language}.{suffix}"


def read_items(path: Path, format: str) -> list[Any] | dict[str, Any]:
    """Read a file of predictions or labels.

    Args:
        path: The file.
        format: `file_format` of the file's task.

    Returns:
        A list with one entry for each item, or a dictionary by id.

    Raises:
        DataError: The file is missing or cannot be read.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing.")
    if format == "question_answering":
        return _read_json_object(path, str, "text")
    if format == "rankings":
        return _read_json_object(path, list, "list of ids")
    if format == "multiple_choice":
        return [_choice(path, index, row) for index, row in enumerate(read_jsonl(path))]
    if format == "token_classification":
        sentences = read_text(path).replace("\r", "").split("\n\n")
        return [sentence.split() for sentence in sentences if sentence.strip()]
    return [row["text"].strip() for row in read_lines(path)]


def _choice(path: Path, index: int, row: Row) -> int:
    label = row.get("label")
    if not isinstance(label, int) or isinstance(label, bool):
        raise DataError(
            f"{path}: item {index} has the label {label!r}; expected the number of a choice, such "
            'as {"label": 0}.'
        )
    return label


def _read_json_object(path: Path, value_type: type, expected: str) -> dict[str, Any]:
    """Read a JSON object of ids and check the type of its values.

    Args:
        path: The file.
        value_type: The type of every value.
        expected: The name of that type in the error message.
    """
    values = read_json(path)
    if not isinstance(values, dict):
        raise DataError(f"{path}: expected a JSON object of ids, found {type(values).__name__}.")
    for id, value in values.items():
        if not isinstance(value, value_type):
            raise DataError(f"{path}: {id!r} has {value!r}; expected a {expected}.")
    return values
