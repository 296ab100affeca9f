"""The first rows of a split as a task reads them."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jiantx.registry import near_names
from jiantx.sources import DataError, MissingColumn

if TYPE_CHECKING:
    import pandas as pd

    from jiantx.task import Task

_SHOWN = 300  # characters of a value in print


@dataclasses.dataclass(frozen=True, repr=False)
class Preview:
    """Some examples of a split; printed in a terminal, a table in a notebook.

    Args:
        task: The task's name.
        split: The split.
        language: The language.
        row_count: All rows of the split in this language.
        examples: The first of them, a dictionary each: the id, the inputs, the gold.
        missing_gold: The sentence that is shown if the rows lack the gold column.
    """

    task: str
    split: str
    language: str
    row_count: int
    examples: tuple[dict[str, Any], ...]
    missing_gold: str = ""

    @property
    def _title(self) -> str:
        shown = len(self.examples)
        return f"{self.task}, {self.split}, {self.language}: {shown} of {self.row_count:,} rows"

    def __repr__(self) -> str:
        lines = [self._title]
        width = max((len(name) for example in self.examples for name in example), default=0)
        for example in self.examples:
            lines.append("")
            for name, value in example.items():
                lines.append(f"  {name:{width}}  {_shown(value)}")
        if self.missing_gold:
            lines += ["", f"No gold: {self.missing_gold}"]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        names = self._names()
        header = "".join(f"<th>{html.escape(name)}</th>" for name in names)
        lines = []
        for example in self.examples:
            values = [html.escape(_shown(example.get(name))) for name in names]
            lines.append("<tr>" + "".join(f"<td>{value}</td>" for value in values) + "</tr>")
        body = "\n".join(lines)
        note = f"\n<p>No gold: {html.escape(self.missing_gold)}</p>" if self.missing_gold else ""
        table = f"<table>\n<tr>{header}</tr>\n{body}\n</table>"
        return f"<p>{html.escape(self._title)}</p>\n{table}{note}"

    def _names(self) -> list[str]:
        names: dict[str, None] = {}
        for example in self.examples:
            names |= dict.fromkeys(example)
        return list(names)

    def to_pandas(self) -> pd.DataFrame:
        """The examples as a frame, one row each, with whole values."""
        import pandas as pd

        return pd.DataFrame(list(self.examples), columns=self._names())


def preview_rows(task: Task, n: int, split: str, language: str | None) -> Preview:
    """The first rows of a split as a task reads them.

    Args:
        task: The task.
        n: Rows.
        split: The split.
        language: A language; None: the first training language that has the split, or the first
            language.

    Raises:
        DataError: There are no such rows, or one of them is bad.
    """
    if language is None:
        language = _first_language(task, split)
    rows = task.rows(split, language)
    task = task.as_it_reads(split, rows.column_names)
    first_rows = rows.select(range(min(n, len(rows))))
    examples = [
        _as_dictionary(example, task.gold)
        for example in task.examples(split, language, rows=first_rows)
    ]
    column = task.gold_column
    is_missing = column is not None and column not in rows.column_names
    missing_gold = str(MissingColumn(column, rows.column_names)) if is_missing else ""
    return Preview(task.name, split, language, len(rows), tuple(examples), missing_gold)


def _first_language(task: Task, split: str) -> str:
    available = task.languages(split)
    if not available:
        task.rows(split, task.train_languages[0])  # says what is missing
        raise DataError(
            f"Task {task.name} has no rows in {split!r}.{near_names(split, ['train', 'test'])}"
        )
    trained = [language for language in task.train_languages if language in available]
    return (trained or list(available))[0]


def _as_dictionary(example: Any, gold: str) -> dict[str, Any]:
    """The fields of an example that hold something, and its gold."""
    values = {}
    for field in dataclasses.fields(example):
        value = getattr(example, field.name)
        is_gold = field.name == gold
        if field.repr and field.name != "language" and (is_gold or value not in (None, (), 0)):
            values[field.name] = value
    return values


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, Sequence) and not isinstance(value, str):
        if not value:
            return "(none)"
        items = [str(item) for item in value]
        is_words = not any(" " in item for item in items)
        value = " ".join(items) if is_words else " | ".join(items)
    text = " ".join(str(value).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
