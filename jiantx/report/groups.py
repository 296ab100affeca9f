"""Scores of named groups: one table for each task, split, language and run."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jiantx.metrics.base import RESERVED_NAMES
from jiantx.report.averages import grouped, mean_of_all
from jiantx.report.export import ExportsTables
from jiantx.report.scores import MAIN, Score, describe_tags, run_tags, split_group_metric
from jiantx.report.tables import TextTable, format_score

if TYPE_CHECKING:
    import pandas as pd

ALL_ROWS = "all"  # the line of all examples


@dataclass(frozen=True)
class GroupTables(ExportsTables):
    """Scores of named groups. `Report.by_group` makes it.

    Args:
        scores: Title of a table -> group -> metric -> score, averaged over seeds. The group "all"
            is all examples of the split.
        examples: Title of a table -> group -> number of its examples.
    """

    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    examples: Mapping[str, Mapping[str, int]]

    def text_tables(self) -> list[TextTable]:
        """A table per title. An undefined score is a dash."""
        tables = []
        for title, groups in self.scores.items():
            metrics = list(dict.fromkeys(itertools.chain.from_iterable(groups.values())))
            lines = []
            for group, scores in groups.items():
                values = [scores.get(metric, float("nan")) for metric in metrics]
                count = f"{self.examples[title][group]:,}"
                lines.append([group, count, *map(format_score, values)])
            tables.append(TextTable(["group", "examples", *metrics], lines, title))
        return tables

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row per title and group: its examples, and a column per metric."""
        import pandas as pd

        records = []
        for title, groups in self.scores.items():
            for group, scores in groups.items():
                examples = self.examples[title][group]
                records.append({"table": title, "group": group, "examples": examples, **scores})
        return pd.DataFrame(records).set_index(["table", "group"])

    def __str__(self) -> str:
        return self.to_markdown()


def score_groups(scores: Iterable[Score]) -> GroupTables:
    """Make the tables of named groups; see `Report.by_group`."""
    tables = grouped((_title(score), score) for score in scores)
    with_groups = {}
    for title, table_scores in tables.items():
        if any(split_group_metric(score.metric)[1] for score in table_scores):
            with_groups[title] = table_scores
    if not with_groups:
        raise ValueError(
            "No score here is of a named group. Evaluate a task that has `named_groups`, such as "
            "hans."
        )
    values = {title: _values(table_scores) for title, table_scores in with_groups.items()}
    examples = {}
    for title, table_scores in with_groups.items():
        counts = {}
        for score in table_scores:
            metric, group = split_group_metric(score.metric)
            if metric not in RESERVED_NAMES or metric == MAIN:
                counts[group or ALL_ROWS] = score.examples
        examples[title] = counts
    return GroupTables(values, examples)


def _title(score: Score) -> str:
    tags = describe_tags(run_tags(score))
    return ", ".join(filter(None, [score.task, score.split, score.language, tags]))


def _values(scores: Sequence[Score]) -> dict[str, dict[str, float]]:
    """Group -> metric -> mean over seeds; all examples first."""
    means: dict[str, dict[str, float]] = {ALL_ROWS: {}}
    by_metric = grouped((score.metric, score.value) for score in scores)
    for name, values in by_metric.items():
        metric, group = split_group_metric(name)
        if metric not in RESERVED_NAMES:
            means.setdefault(group or ALL_ROWS, {})[metric] = mean_of_all(values)
    return means
