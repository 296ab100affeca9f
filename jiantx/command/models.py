"""`jiantx evaluate` and `jiantx predict`: a saved model at work."""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import fields
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

from jiantx.command.data import choose_data_root
from jiantx.dataset_summary.input_columns import input_columns
from jiantx.predictor import Predictor, load
from jiantx.sources import DataError, Row, read_jsonl, read_lines
from jiantx.sources.readers.delimited import read_delimited
from jiantx.sources.readers.tables import text_lines
from jiantx.task import Task


def _read_table(
    path: Path, encoding: str, delimiter: str | None = None, quote: str | None = '"'
) -> list[Row]:
    """The rows of a table; its delimiter is found if none is given."""
    table = read_delimited(path, delimiter=delimiter, encoding=encoding, quote=quote)
    return [row for _, row in table]


def _read_texts(path: Path) -> list[Row]:
    """A row for each line with a text. Says how many lines have none, as the output lacks them."""
    rows = list(read_lines(path))
    blank_count = sum(not line.strip() for line in text_lines(path))
    if blank_count:
        noun = "blank line is" if blank_count == 1 else "blank lines are"
        print(f"{blank_count:,} {noun} left out.", file=sys.stderr)
    return rows


_READERS: dict[str, Callable[[Path, str], Iterable[Row]]] = {
    "csv": _read_table,
    "tsv": partial(_read_table, delimiter="\t", quote=None),
    "jsonl": lambda path, encoding: read_jsonl(path),
    "txt": lambda path, encoding: _read_texts(path),
}
_ENCODED = ("csv", "tsv")  # formats that --encoding is for
_OUTPUTS = (".csv", ".jsonl")


def evaluate_model(options: argparse.Namespace) -> None:
    """Score a saved model, print the main scores, and write what is asked for."""
    output = None if options.output is None else Path(options.output)
    if output is not None:
        _prepare_output(output)
    choose_data_root(options.data_root)
    model = load(options.model, device=options.device)
    report = model.evaluate(
        options.tasks or None,
        split=options.split,
        languages=options.languages,
        batch_size=options.batch_size,
        predictions=options.predictions,
    )
    print(report.to_markdown(), end="")
    if output is not None:
        report.with_tags(model=str(options.model)).to_json(output)
        print(f"\nWritten: {output}")


def predict_file(options: argparse.Namespace) -> None:
    """Predict for the rows of a file, and write the rows with their predictions.

    Raises:
        DataError: The file or its format is not known, or a row does not fit the task.
    """
    output = None if options.output is None else Path(options.output)
    if output is not None and output.suffix not in _OUTPUTS:
        raise DataError(f"--output {output}: expected a file .csv or .jsonl.")
    if output is not None and output.resolve() == Path(options.file).resolve():
        raise DataError(f"--output {output}: this is the file that is read. Name another one.")
    if output is not None:
        _prepare_output(output)
    choose_data_root(options.data_root)
    rows, file_format = _read_rows(options.file, options.format, options.encoding)
    model = load(options.model, device=options.device)
    task = model.task(options.task)
    names = [name for name in input_columns(task).values() if isinstance(name, str)]
    read_indices = [index for index, row in enumerate(rows) if not _lacks_input(row, names)]
    skipped_count = len(rows) - len(read_indices)
    if skipped_count:
        noun = "row has" if skipped_count == 1 else "rows have"
        print(f"{skipped_count:,} {noun} a blank input and no prediction.", file=sys.stderr)
    read_rows = [rows[index] for index in read_indices]
    inputs = [row["text"] for row in read_rows] if file_format == "txt" else read_rows
    predictions = _predict(model, task, inputs, options.language)
    columns = list(rows)
    for index, prediction in zip(read_indices, predictions, strict=True):
        columns[index] = {**rows[index], **_predicted_columns(prediction)}
    if output is None:
        _write_jsonl(sys.stdout, columns)
        return
    write = _write_csv if output.suffix == ".csv" else _write_jsonl
    with output.open("w", encoding="utf-8", newline="") as file:
        write(file, columns)
    noun = "row" if len(columns) == 1 else "rows"
    print(f"Written: {output} ({len(columns):,} {noun}, task {task.name})", file=sys.stderr)


def _prepare_output(path: Path) -> None:
    """Make the folder of a file that will be written, before anything is computed.

    Raises:
        DataError: The file cannot be written.
    """
    if path.is_dir():
        raise DataError(f"--output {path}: this is a folder. Name a file in it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"--output {path}: {error.strerror} ({error.filename}).") from error
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise DataError(f"--output {path}: it cannot be written there. Name another file.")


def _predict(
    model: Predictor, task: Task, inputs: Sequence[Any], language: str | None
) -> list[Any]:
    predictions: list[Any] = model.predict(inputs, task=task, language=language)
    return predictions


def _lacks_input(row: Row, names: Sequence[str]) -> bool:
    """Whether a cell of these columns, which the task reads, is blank."""
    cells = [row.get(name) for name in names]
    return any(isinstance(cell, str) and not cell.strip() for cell in cells)


def _read_rows(file: str, file_format: str | None, encoding: str) -> tuple[list[Row], str]:
    """The rows of a file or of stdin, and their format."""
    from_stdin = file == "-"
    is_guessed = from_stdin and file_format is None
    path = Path(file)
    if file_format is None:
        file_format = "txt" if from_stdin else path.suffix.removeprefix(".")
    if file_format not in _READERS:
        raise DataError(
            f"{file}: {path.suffix or 'a file without an ending'} is of no known format. Expected "
            f"one of {', '.join(_READERS)}; --format names it."
        )
    if not from_stdin and not path.is_file():
        raise DataError(f"There is no file {path}.")
    with TemporaryDirectory() if from_stdin else nullcontext() as folder:
        if folder is not None:  # readers read files
            path = Path(folder, "stdin")
            path.write_bytes(sys.stdin.buffer.read())
        try:
            rows = list(_READERS[file_format](path, encoding))
        except DataError as error:
            phrases = ("encoding=", "`encoding`", "the file's encoding", "no encoding")
            is_about_encoding = file_format in _ENCODED and any(p in str(error) for p in phrases)
            hint = " On the command line it is --encoding." if is_about_encoding else ""
            raise DataError(f"{error}{hint}") from error
    if is_guessed and rows and all(_is_json_object(row["text"]) for row in rows):
        raise DataError("Each line of stdin is a JSON object, and not a text. Pass --format jsonl.")
    return rows, file_format


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _predicted_columns(prediction: Any) -> dict[str, Any]:
    """What a prediction says: the fields that its repr shows, without details."""
    values = {
        field.name: getattr(prediction, field.name)
        for field in fields(prediction)
        if field.repr and field.name not in ("id", "language")
    }
    return {f"predicted_{name}": value for name, value in values.items()}


def _write_jsonl(file: TextIO, rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _write_csv(file: TextIO, rows: Sequence[Mapping[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.writer(file)
    writer.writerow(names)
    for row in rows:
        writer.writerow([_csv_cell(row.get(name)) for name in names])


def _csv_cell(value: Any) -> Any:
    """A list or a dictionary in a cell is JSON."""
    return (
        json.dumps(value, ensure_ascii=False) if isinstance(value, tuple | list | dict) else value
    )
