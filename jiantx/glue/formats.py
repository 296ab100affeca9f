"""The two kinds of files: GLUE's tables, and SuperGLUE's lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jiantx.registry import near_names
from jiantx.sources import DataError, Row, read_jsonl, read_tsv

Items = Mapping[Any, str | int]
"""The key of a row -> what the file holds for it."""

_HEADER = ("index", "prediction")


def table_keys(row_count: int) -> list[Hashable]:
    """The keys of GLUE's rows: numbers from 0, whatever their `idx`."""
    return list(range(row_count))


def write_table(items: Items) -> str:
    """The text of a table with the columns index and prediction."""
    lines = ["\t".join(_HEADER)]
    lines += [f"{key}\t{item}" for key, item in items.items()]
    return "\n".join(lines) + "\n"


def read_table(path: Path) -> dict[Hashable, Any]:
    """Index -> prediction. DataError if a line has no index, or two have one."""
    items: dict[Hashable, Any] = {}
    for line_number, row in enumerate(read_tsv(path), 2):
        index = row.get("index")
        if tuple(row) != _HEADER or not str(index).isdecimal():
            raise DataError(
                f"{path}, line {line_number}: found {row}, expected the columns index (a number "
                "from 0) and prediction."
            )
        _add(items, int(str(index)), row["prediction"], path)
    return items


def json_keys(rows: Sequence[Any]) -> list[Hashable]:
    """The keys of SuperGLUE's rows, from their column `idx`.

    Args:
        rows: (rows,) what `idx` holds: a number; its text (AX-b's files); or the numbers of
            paragraph, question and answer (MultiRC), of passage and query (ReCoRD).
    """
    keys: list[Hashable] = []
    for idx in rows:
        if isinstance(idx, Mapping) and "answer" in idx:
            keys.append((idx["paragraph"], idx["question"], idx["answer"]))
        else:
            keys.append(int(idx["query"] if isinstance(idx, Mapping) else idx))
    return keys


def write_json_lines(items: Items) -> str:
    """One object a row, or a paragraph with all of its questions and answers (MultiRC)."""
    if all(isinstance(key, tuple) for key in items):
        lines = _paragraphs(items)
    else:
        lines = [{"idx": key, "label": item} for key, item in items.items()]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _paragraphs(items: Items) -> list[Row]:
    nested: dict[int, dict[int, list[Row]]] = {}
    for (paragraph, question, answer), item in items.items():
        answers = nested.setdefault(paragraph, {}).setdefault(question, [])
        answers.append({"idx": answer, "label": item})
    lines = []
    for paragraph, questions in nested.items():
        listed = [{"idx": question, "answers": answers} for question, answers in questions.items()]
        lines.append({"idx": paragraph, "passage": {"questions": listed}})
    return lines


def read_json_lines(path: Path) -> dict[Hashable, Any]:
    """Key of a row -> its label. DataError if a line has another form, or two have one key."""
    items: dict[Hashable, Any] = {}
    for line_number, line in enumerate(read_jsonl(path), 1):
        try:
            for key, item in _labels_of_line(line):
                _add(items, key, item, path)
        except (LookupError, TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"{path}, line {line_number}: found {line}, expected an object with idx and label "
                "or, for MultiRC, with idx and passage."
            ) from None
    return items


def _labels_of_line(line: Row) -> Iterator[tuple[Hashable, Any]]:
    if "passage" not in line:
        yield int(line["idx"]), line["label"]
        return
    for question in line["passage"]["questions"]:
        for answer in question["answers"]:
            yield (line["idx"], question["idx"], answer["idx"]), answer["label"]


def _add(items: dict[Hashable, Any], key: Hashable, item: Any, path: Path) -> None:
    if key in items:
        raise DataError(f"{path}: two predictions for {key!r}. Expected one for each row.")
    items[key] = item


def unknown_task(name: str, expected: Sequence[str], leaderboard: str) -> DataError:
    """The error for a task that has no file.

    Args:
        name: The task.
        expected: The leaderboard's tasks.
        leaderboard: Its name.
    """
    return DataError(
        f"Task {name} does not belong to {leaderboard}.{near_names(name, expected)} "
        f"Its tasks: {', '.join(expected)}."
    )
