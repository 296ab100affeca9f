"""The errors of a model: its wrong predictions, the surest first, with what the model read."""

from __future__ import annotations

import html
import json
import math
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jiantx.cache import write_text
from jiantx.error_views import legend_of, lines_of, shown_value, to_html, to_terminal
from jiantx.evaluation import check_languages, predict_splits, scored_languages
from jiantx.fields import check_count
from jiantx.model import MultitaskModel
from jiantx.prediction_rows import prediction_rows
from jiantx.report import text_table
from jiantx.task import Task
from jiantx.tasks import TaskOrName, resolve_task

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
_FILE = re.compile(r"(?P<task>[a-z][a-z0-9_]*)-(?P<split>[^-]+)-(?P<language>.+)")


@dataclass(frozen=True, repr=False)
class Errors:
    """The wrong predictions for a split of a task. `jx.errors` makes it.

    `print` shows the first ones, with colours on a terminal; notebooks show them as HTML.

    Args:
        task: Name of the task.
        split: Name of the split.
        rows: The wrong ones, the surest first: rows of a file of predictions.
        languages: Language -> (wrong, all).
        groups: Named group -> (wrong, all); empty without named groups.
        limit: How many are shown.
        groups_by_language: Language -> named group -> (wrong, all).
    """

    task: str
    split: str
    rows: tuple[Row, ...]
    languages: Mapping[str, tuple[int, int]]
    groups: Mapping[str, tuple[int, int]]
    limit: int = 20
    groups_by_language: Mapping[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @property
    def summary(self) -> str:
        """One line: how many are wrong of how many, in all and by language."""
        total = sum(count for _, count in self.languages.values())
        line = f"{self.task}, {self.split}: {len(self):,} of {total:,} wrong"
        if len(self.languages) > 1:
            shares = [f"{name} {wrong} of {n}" for name, (wrong, n) in self.languages.items()]
            line += f" ({', '.join(shares)})"
        return line

    def by_language(self) -> dict[str, Errors]:
        """The errors of each language."""
        by_language = {}
        for language, counts in self.languages.items():
            rows = tuple(row for row in self.rows if row["language"] == language)
            groups = self.groups_by_language.get(language, {})
            by_language[language] = self._only(rows, {language: counts}, groups)
        return by_language

    def by_group(self) -> dict[str, Errors]:
        """The errors of each named group (`Task.named_groups`); empty without groups."""
        by_group = {}
        for group, counts in self.groups.items():
            rows = tuple(row for row in self.rows if group in row.get("groups", ()))
            by_group[group] = self._only(rows, {group: counts}, {})
        return by_group

    def _only(
        self,
        rows: tuple[Row, ...],
        languages: Mapping[str, tuple[int, int]],
        groups: Mapping[str, tuple[int, int]],
    ) -> Errors:
        return replace(self, rows=rows, languages=languages, groups=groups)

    def to_text(self, *, colored: bool = False) -> str:
        """Write the summary and the first errors for a terminal.

        Args:
            colored: With ANSI colours: gold green, predicted red.
        """
        blocks = [self.summary + self._group_table(), *self._legend()]
        for row in self.rows[: self.limit]:
            heading, *lines = [to_terminal(line, colored=colored) for line in lines_of(row)]
            blocks.append("\n".join([heading, *(f"    {line}" for line in lines)]))
        hidden = len(self.rows) - self.limit
        if hidden > 0:
            blocks.append(f"{hidden:,} more; limit={len(self.rows)} shows all.")
        return "\n\n".join(blocks) + "\n"

    def _legend(self) -> list[str]:
        """What the marks of the shown rows mean; nothing without rows."""
        texts = dict.fromkeys(map(legend_of, self.rows[: self.limit]))
        return list(texts)

    def _group_table(self) -> str:
        if not self.groups:
            return ""
        rows = [[name, f"{wrong:,}", f"{n:,}"] for name, (wrong, n) in self.groups.items()]
        return "\n\n" + text_table(["group", "wrong", "of"], rows).rstrip("\n")

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """Write the summary and the first errors as HTML.

        Args:
            path: A file for the whole page, if any.

        Returns:
            The HTML, without a page around it.
        """
        pieces = [f"<p><b>{html.escape(self.summary)}</b></p>"]
        for name, (wrong, n) in self.groups.items():
            pieces.append(f"<p>{html.escape(name)}: {wrong:,} of {n:,} wrong</p>")
        pieces += [f"<p>{html.escape(text)}</p>" for text in self._legend()]
        for row in self.rows[: self.limit]:
            heading, *lines = map(to_html, lines_of(row))
            body = "".join(f'<div style="margin-left: 2em">{line}</div>' for line in lines)
            pieces.append(f'<div style="margin: 0.8em 0">{heading}{body}</div>')
        content = "\n".join(pieces) + "\n"
        if path is not None:
            title = html.escape(f"Errors: {self.task}, {self.split}")
            head = f'<!doctype html>\n<meta charset="utf-8">\n<title>{title}</title>\n'
            write_text(Path(path), f"{head}{content}")
        return content

    def to_pandas(self) -> pd.DataFrame:
        """Return a row per error: id, language, gold, prediction, confidence, and the inputs."""
        import pandas as pd

        records = []
        for row in self.rows:
            record = {name: row[name] for name in ("id", "language")}
            record["gold"] = shown_value(row["gold"], row)
            record["prediction"] = shown_value(row["prediction"], row)
            records.append({**record, "confidence": row["confidence"], **row["inputs"]})
        columns = None if records else ["id", "language", "gold", "prediction", "confidence"]
        return pd.DataFrame(records, columns=columns)

    def __str__(self) -> str:
        colored = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        return self.to_text(colored=colored).rstrip("\n")

    def __repr__(self) -> str:
        return f"<Errors: {self.summary}>"

    def _repr_html_(self) -> str:
        return self.to_html()


def errors(
    model: MultitaskModel | str | os.PathLike[str],
    task: TaskOrName | None = None,
    split: str = "validation",
    languages: Collection[str] | None = None,
    limit: int = 20,
    *,
    batch_size: int = 32,
) -> Errors:
    """Show the wrong predictions of a model, the surest first.

    Args:
        model: A model with the task's head; or the folder that `evaluate(…, predictions=folder)`
            wrote, which needs no model.
        task: The task or its name. For a folder with the predictions for one task: None.
        split: "train", "validation" or "test".
        languages: Languages of the task; all if None.
        limit: How many are shown; the others can be read in `rows`.
        batch_size: Features of a batch.

    Returns:
        The errors. Print them, or write them with `to_html(path)`.

    Raises:
        DataError: The task has no such language.
        ValueError: Nothing is right or wrong in the task, or the folder has no such predictions.

    >>> print(errors(model, "xnli", languages=["de"], limit=5))  # doctest: +SKIP
    """
    check_count("limit", limit)
    languages = [languages] if isinstance(languages, str) else languages
    if isinstance(model, str | os.PathLike):
        wanted = task.name if isinstance(task, Task) else task
        name, rows = _read_folder(Path(model), wanted, split, languages)
    else:
        if task is None:
            raise ValueError("Of which task? Name it: jx.errors(model, 'xnli').")
        task = resolve_task(task)
        name = task.name
        rows = _predicted_rows(model, task, split, languages, batch_size)
    return _collect(name, split, rows, limit)


def _predicted_rows(
    model: MultitaskModel,
    task: Any,
    split: str,
    languages: Collection[str] | None,
    batch_size: int,
) -> Iterator[Row]:
    """The rows that `evaluate(…, predictions=folder)` would write."""
    of_task = scored_languages(task, split, languages)
    check_languages([task], split, languages, {task.name: of_task})
    for result in predict_splits(model, task, split, of_task, batch_size=batch_size):
        for row in prediction_rows(result):
            # lists instead of tuples, as in a file
            yield json.loads(json.dumps(row, default=str))


def _read_folder(
    folder: Path, task: str | None, split: str, languages: Collection[str] | None
) -> tuple[str, Iterator[Row]]:
    """The task's name, and the rows of its files."""
    paths = sorted(folder.glob("*.jsonl"))
    names = {path: match for path in paths if (match := _FILE.fullmatch(path.stem))}
    tasks = sorted({match["task"] for match in names.values()})
    if task is None and len(tasks) == 1:
        task = tasks[0]
    if task is None and tasks:
        raise ValueError(
            f"{folder} has predictions for several tasks. Choose one of {', '.join(tasks)}: "
            f"jx.errors({str(folder)!r}, {tasks[0]!r})."
        )
    chosen = []
    missing_languages = set(languages or ())
    for path, match in names.items():
        is_layer = re.search(r"-layer\d+$", match["language"])
        is_wanted = languages is None or match["language"] in languages
        if match["task"] == task and match["split"] == split and is_wanted and not is_layer:
            chosen.append(path)
            missing_languages.discard(match["language"])
    if not chosen or task is None or missing_languages:
        listed = ", ".join(path.name for path in paths[:10]) or "no file of predictions"
        raise ValueError(
            f"{folder} has no predictions for {task or 'any task'}, split {split!r}"
            f"{', in ' + ', '.join(sorted(missing_languages)) if languages else ''}. It has: "
            f"{listed}. "
            "Write them with jx.evaluate(…, predictions=folder)."
        )
    return task, _read_rows(chosen)


def _read_rows(paths: Iterable[Path]) -> Iterator[Row]:
    for path in paths:
        # not `splitlines`, which also ends lines inside of texts, at U+2028 for one
        lines = path.read_text(encoding="utf-8").split("\n")
        if not lines[-1]:
            lines.pop()
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
            missing = {"id", "language", "inputs", "gold", "prediction", "confidence", "correct"}
            missing -= row.keys() if isinstance(row, dict) else set()
            if missing:
                raise ValueError(
                    f"{path}, line {number} has no {', '.join(sorted(missing))}: another version "
                    "of jiantx wrote it. Evaluate the model again."
                )
            yield row


def _collect(task: str, split: str, rows: Iterable[Row], limit: int) -> Errors:
    wrong_rows = []
    languages: dict[str, tuple[int, int]] = {}
    groups: dict[str, tuple[int, int]] = {}
    groups_by_language: dict[str, dict[str, tuple[int, int]]] = {}
    for row in rows:
        if row["correct"] is None:
            raise ValueError(
                f"Predictions for {task} are neither right nor wrong (numbers, masked pieces, "
                "mined pairs), so there are no errors to show."
            )
        is_wrong = not row["correct"]
        _count(languages, row["language"], is_wrong)
        for group in row.get("groups", ()):
            _count(groups, group, is_wrong)
            _count(groups_by_language.setdefault(row["language"], {}), group, is_wrong)
        if is_wrong:
            wrong_rows.append(row)
    wrong_rows.sort(key=lambda row: (-_certainty(row), row["language"]))
    languages = dict(sorted(languages.items()))
    return Errors(task, split, tuple(wrong_rows), languages, groups, limit, groups_by_language)


def _count(counts: dict[str, tuple[int, int]], name: str, is_wrong: bool) -> None:
    wrong, total = counts.get(name, (0, 0))
    counts[name] = (wrong + is_wrong, total + 1)


def _certainty(row: Row) -> float:
    """How sure the model is of what is wrong: of tags, of the surest wrong one; of a ranking, the
    score of its first candidate.
    """
    scores = row.get("score")
    columns: list[Any] = [row["gold"], row["prediction"], scores]
    are_aligned = all(
        isinstance(column, list) and len(column) == len(columns[0]) for column in columns
    )
    if are_aligned and row["confidence"] is not None:  # tags; a ranking has no probability
        wrong = [score for gold, tag, score in zip(*columns, strict=True) if gold != tag]
        numbers = [score for score in wrong if isinstance(score, float)]
        return max(numbers, default=-math.inf)
    best_score = scores[0] if isinstance(scores, list) and scores else scores
    for number in (row["confidence"], best_score):
        if isinstance(number, int | float) and not math.isnan(number):
            return float(number)
    return -math.inf
