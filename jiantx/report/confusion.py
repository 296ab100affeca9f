"""Which labels a model confuses: counts by label, and the tables that are made of them."""

import itertools
import json
import math
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from jiantx.metrics.counts import ClassCounts
from jiantx.report import heatmaps
from jiantx.report.averages import distinct
from jiantx.report.export import ExportsTables, table_frame
from jiantx.report.scores import Tag, TagSet, describe_tags, without_tag
from jiantx.report.tables import TextTable, format_score

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

CONFUSION = "confusion"  # the metric that counts have in JSON, beside the scores
MOST_LABELS = 200  # counts of more labels are not stored
NO_LABEL = "(none)"  # predicted for what the model could not read
_MOST_DRAWN = 40


@dataclass(frozen=True)
class LabelCounts:
    """How often each label was predicted for each gold label of a task, split and language.

    Args:
        task: Name of the task.
        split: Name of the split.
        language: Language code.
        examples: How many examples were counted.
        labels: The labels of the task.
        cells: (gold, predicted) -> how often; empty if an example has several labels.
        classes: Label, or type of entity -> its counts.
        tags: The run, as in `Score`.
    """

    task: str
    split: str
    language: str
    examples: int
    labels: tuple[str, ...]
    cells: Mapping[tuple[str, str], int] = field(hash=False)
    classes: Mapping[str, ClassCounts] = field(hash=False)
    tags: Mapping[str, Tag] = field(default_factory=dict, hash=False)

    @property
    def key(self) -> tuple[Any, ...]:
        """Everything that tells these counts from others."""
        return self.task, self.split, self.language, frozenset(self.tags.items())

    def matches(self, wanted: Mapping[str, Collection[Any]]) -> bool:
        """Whether the coordinates have wanted values; those of scores alone do not matter.

        Args:
            wanted: Field or tag -> wanted values.
        """
        coordinates: dict[str, Any] = {"task": self.task, "split": self.split}
        coordinates |= {"language": self.language, **self.tags}
        names = [name for name in wanted if name not in ("metric", "value", "examples")]
        return all(coordinates.get(name) in wanted[name] for name in names)

    def to_json_line(self) -> str:
        """Write the counts as a record beside those of scores: with the value null."""
        names = distinct([*self.labels, *itertools.chain(*self.cells)])
        index = {name: number for number, name in enumerate(names)}
        cells = sorted([index[gold], index[other], n] for (gold, other), n in self.cells.items())
        counts: dict[str, Any] = {"labels": list(self.labels), "cells": cells}
        counts["others"] = names[len(self.labels) :]
        counts["classes"] = {name: list(numbers) for name, numbers in self.classes.items()}
        record: dict[str, Any] = {"task": self.task, "split": self.split, "language": self.language}
        record |= {"metric": CONFUSION, "value": None, "examples": self.examples}
        record |= {**self.tags, "counts": counts}
        return json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False)


def is_label_counts(record: Any) -> bool:
    """Whether a record of a JSON file is of label counts, and not of a score."""
    return isinstance(record, dict) and isinstance(record.get("counts"), dict)


def label_counts_from_json(record: Mapping[str, Any]) -> LabelCounts:
    """Read what `LabelCounts.to_json_line` wrote.

    Raises:
        ValueError: If the record is damaged.
    """
    try:
        return _read_counts(record)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"the label counts of {record.get('task')!r} are damaged: {error!r}."
        ) from None


def _read_counts(record: Mapping[str, Any]) -> LabelCounts:
    known_names = ("task", "split", "language", "metric", "value", "examples", "counts")
    tags = {name: value for name, value in record.items() if name not in known_names}
    counts = record["counts"]
    names = [*counts["labels"], *counts["others"]]
    texts = [record["task"], record["split"], record["language"], *names]
    numbers = [record["examples"], *itertools.chain(*counts["cells"], *counts["classes"].values())]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("expected texts as names")
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("expected whole numbers as counts")
    if not all(type(tag) in (str, int) for tag in tags.values()):
        raise TypeError("expected texts or whole numbers as tags")
    json.dumps(record, ensure_ascii=False).encode()  # raises on half of a surrogate pair
    cells = {(names[gold], names[other]): count for gold, other, count in counts["cells"]}
    classes = {name: ClassCounts(*values) for name, values in counts["classes"].items()}
    labels = tuple(counts["labels"])
    task, split, language = texts[:3]
    return LabelCounts(task, split, language, record["examples"], labels, cells, classes, tags)


def distinct_counts(counts: Iterable[LabelCounts]) -> list[LabelCounts]:
    """Return counts of one task, split, language and run once.

    Raises:
        ValueError: If two of them differ.
    """
    by_key: dict[Any, LabelCounts] = {}
    for one in counts:
        earlier = by_key.setdefault(one.key, one)
        if earlier != one:
            raise ValueError(
                f"Two different label counts are of {one.task}, {one.split}, {one.language}, "
                f"{describe_tags(one.tags.items()) or 'no tags'}."
            )
    return list(by_key.values())


@dataclass(frozen=True)
class Confusion(ExportsTables):
    """How often each label was predicted for each gold label. `Report.confusion` makes it.

    Args:
        title: What was counted.
        labels: The gold labels, in the order of the rows.
        predicted: The predicted labels, in the order of the columns.
        counts: (labels, predicted) how often.
    """

    title: str
    labels: tuple[str, ...]
    predicted: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    def text_tables(self) -> list[TextTable]:
        """The table: a row per gold label, a column per predicted label."""
        rows = []
        for label, row in zip(self.labels, self.counts, strict=True):
            rows.append([label, *(f"{count:,}" for count in row)])
        return [TextTable(["gold \\ predicted", *self.predicted], rows, self.title)]

    def to_pandas(self) -> "pd.DataFrame":
        """Return the counts: gold labels down, predicted labels across."""
        return table_frame(
            self.counts, rows=self.labels, columns=self.predicted, names=("gold", "predicted")
        )

    def plot(
        self, path: str | os.PathLike[str] | None = None, *, title: str | None = None
    ) -> "Figure":
        """Draw the counts, coloured by their share of the gold label. Needs matplotlib.

        Args:
            path: The picture to write, if any. Its suffix is the format: .png, .pdf, .svg.
            title: Text above the table; what was counted if None.

        Returns:
            The matplotlib figure, which notebooks show.

        Raises:
            ValueError: If there are more than 40 labels: nobody could read them.
        """
        if len(self.labels) > _MOST_DRAWN:
            raise ValueError(
                f"{len(self.labels)} labels are too many for a picture (at most {_MOST_DRAWN}). "
                "Choose some in the frame of to_pandas()."
            )
        return heatmaps.draw_counts(
            self.counts,
            rows=self.labels,
            columns=self.predicted,
            path=path,
            title=self.title if title is None else title,
        )


@dataclass(frozen=True)
class ClassTable(ExportsTables):
    """Precision, recall and F1 of each class, and its support. `Report.per_class` makes it.

    Args:
        title: What was counted.
        noun: What a class is: "label" or "type".
        classes: Class -> its counts.
    """

    title: str
    noun: str
    classes: Mapping[str, ClassCounts]

    def text_tables(self) -> list[TextTable]:
        """The table: a row per class. What is undefined is a dash."""
        rows = []
        for name, counts in self.classes.items():
            scores = map(format_score, (counts.precision, counts.recall, counts.f1))
            rows.append([name, *scores, f"{counts.actual:,}"])
        header = [self.noun, "precision", "recall", "F1", "support"]
        return [TextTable(header, rows, self.title)]

    def to_pandas(self) -> "pd.DataFrame":
        """Return precision, recall, f1 (0–100; NaN if undefined) and support of each class."""
        rows = []
        for counts in self.classes.values():
            rows.append([counts.precision, counts.recall, counts.f1, counts.actual])
        columns = ["precision", "recall", "f1", "support"]
        return table_frame(rows, rows=list(self.classes), columns=columns, names=(self.noun, ""))


def make_confusion(counts: Sequence[LabelCounts]) -> Confusion:
    """Add counts up; see `Report.confusion`.

    Args:
        counts: What `select_counts` selected.

    Raises:
        ValueError: If an example may have several labels.
    """
    cells: Counter[tuple[str, str]] = Counter()
    for one in counts:
        cells.update(one.cells)
    if not cells:
        raise ValueError(
            f"Examples of {counts[0].task} may have several labels, so that no label is confused "
            f"with another. report.per_class({counts[0].task!r}) counts each label."
        )
    labels = distinct(itertools.chain(*(one.labels for one in counts)))
    predicted = distinct([*labels, *(other for _, other in cells)])
    rows = []
    for gold in labels:
        rows.append(tuple(cells[gold, label] for label in predicted))
    return Confusion(_title(counts), tuple(labels), tuple(predicted), tuple(rows))


def make_class_table(counts: Sequence[LabelCounts]) -> ClassTable:
    """Add the counts of classes up; see `Report.per_class`.

    Args:
        counts: What `select_counts` selected.
    """
    labels = distinct(itertools.chain(*(one.labels for one in counts)))
    classes: dict[str, ClassCounts] = {}
    for one in counts:
        for name, numbers in one.classes.items():
            classes[name] = classes.get(name, ClassCounts(0, 0, 0)).plus(numbers)
    are_labels = all(name in labels for name in classes)
    order = {name: index for index, name in enumerate(labels)}
    names = sorted(classes, key=lambda name: (order.get(name, math.inf), name))
    noun = "label" if are_labels else "type"
    return ClassTable(_title(counts), noun, {name: classes[name] for name in names})


def select_counts(
    counts: Iterable[LabelCounts], task: Any, language: str | Collection[str] | None
) -> list[LabelCounts]:
    """Choose the counts of a task in some languages, over all seeds of one run.

    Args:
        counts: Those of a report.
        task: The task, or its name.
        language: One language or several; all if None.

    Raises:
        ValueError: If there are none, or those of several splits or runs.
    """
    name = getattr(task, "name", task)
    of_task = [one for one in counts if one.task == name]
    if not of_task:
        raise ValueError(
            f"The report holds no label counts of {name!r}. evaluate(…) stores them for "
            f"classification and tagging with at most {MOST_LABELS} labels; a report of an older "
            "version of jiantx, or one that was made of scores, has none. Evaluate the model again."
        )
    languages = (language,) if isinstance(language, str) else language
    selected = [one for one in of_task if languages is None or one.language in languages]
    missing = [
        other for other in languages or () if other not in {one.language for one in selected}
    ]
    if missing or not selected:
        raise ValueError(
            f"The report holds no label counts of {name!r} in {', '.join(missing) or 'no language'}"
            f". It has: {', '.join(distinct(one.language for one in of_task))}."
        )
    splits = distinct(one.split for one in selected)
    if len(splits) > 1:
        raise ValueError(
            f"There are label counts of the splits {', '.join(splits)} of {name!r}. Choose one "
            f"with where(split={splits[0]!r})."
        )
    runs = distinct(_run(one) for one in selected)
    if len(runs) > 1:
        raise ValueError(
            f"There are label counts of {len(runs)} runs: {'; '.join(map(describe_tags, runs))}. "
            "Choose one with where(…)."
        )
    return selected


def with_tags(counts: LabelCounts, tags: Mapping[str, Tag]) -> LabelCounts:
    """Add tags to counts, or replace them.

    Args:
        counts: The counts.
        tags: The tags.
    """
    return replace(counts, tags={**counts.tags, **tags})


def _run(counts: LabelCounts) -> TagSet:
    return without_tag(counts.tags.items(), "seed")


def _title(counts: Sequence[LabelCounts]) -> str:
    languages = distinct(one.language for one in counts)
    shown = ", ".join(languages) if len(languages) < 6 else f"{len(languages)} languages"
    seeds = distinct(one.tags.get("seed") for one in counts)
    phrases = [counts[0].task, counts[0].split, shown, describe_tags(_run(counts[0]))]
    if len(seeds) > 1:
        phrases.append(f"sum of {len(seeds)} seeds")
    return ", ".join(filter(None, phrases))
