"""Benchmarks: which tasks and languages count, and how their scores are averaged."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jiantx.report.averages import cell_means, check_comparable, distinct, grouped, mean
from jiantx.report.export import ExportsTables, table_frame
from jiantx.report.scores import Score, TagSet, label_runs, run_tags
from jiantx.report.tables import TextTable, format_score

if TYPE_CHECKING:
    import pandas as pd


class Benchmark(tuple[str, ...]):
    """Names of tasks that know their groups, the languages that count, and how to average scores.

    Args:
        name: Name of the benchmark, such as "XTREME".
        groups: Group -> task -> the languages of the task that count.
        count_once: Sets of tasks that count as one in averages, with their mean: the two halves of
            MNLI in GLUE.

    Raises:
        ValueError: If a task or a group has the name of another one, or is named "all"; if
            `count_once` names a task twice, or one that no group has.

    Example:
        >>> mine = Benchmark("mine", {"nli": {"xnli": ("de", "sw")}, "qa": {"xquad": ("de",)}})
        >>> mine
        ('xnli', 'xquad')
        >>> mine.languages["xnli"]
        ('de', 'sw')
    """

    name: str
    groups: dict[str, tuple[str, ...]]
    languages: dict[str, tuple[str, ...]]
    count_once: tuple[tuple[str, ...], ...]

    def __new__(
        cls,
        name: str,
        groups: Mapping[str, Mapping[str, Sequence[str]]],
        count_once: Sequence[Sequence[str]] = (),
    ) -> "Benchmark":
        languages: dict[str, Sequence[str]] = {}
        task_names: list[str] = []
        for tasks in groups.values():
            task_names += tasks
            languages |= tasks
        names = ["all", *groups, *task_names]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(
                f"Benchmark {name!r}: {', '.join(repeated)} names several of its columns. Tasks, "
                "groups and the average over `all` need different names."
            )
        joined = list(itertools.chain.from_iterable(count_once))
        wrong = sorted({task for task in joined if task not in languages or joined.count(task) > 1})
        if wrong:
            raise ValueError(
                f"Benchmark {name!r}: count_once has {', '.join(wrong)}; expected tasks of the "
                "benchmark, each once."
            )
        self = super().__new__(cls, task_names)
        self.name = name
        self.groups = {group: tuple(tasks) for group, tasks in groups.items()}
        self.languages = {task: tuple(counted) for task, counted in languages.items()}
        self.count_once = tuple(map(tuple, count_once))
        return self

    def __getnewargs__(self) -> Any:  # pickles the arguments of __new__
        groups: dict[str, dict[str, Sequence[str]]] = {}
        for group, tasks in self.groups.items():
            groups[group] = {task: self.languages[task] for task in tasks}
        return self.name, groups, self.count_once

    def average(self, scores: Mapping[str, float]) -> dict[str, float]:
        """Average the scores of tasks over the whole benchmark, and over each group.

        Args:
            scores: Task -> score.

        Returns:
            "all" or group -> mean; NaN where a task has no score.

        Example:
            >>> mine = Benchmark("mine", {"nli": {"xnli": ("de",)}, "qa": {"xquad": ("de",)}})
            >>> mine.average({"xnli": 70, "xquad": 50})
            {'all': 60.0, 'nli': 70.0, 'qa': 50.0}
        """
        averages = {}
        for group, tasks in {"all": tuple(self), **self.groups}.items():
            means = [self._mean(counted, scores) for counted in self._counted(tasks)]
            averages[group] = math.fsum(means) / len(means)
        return averages

    def _counted(self, tasks: Sequence[str]) -> list[tuple[str, ...]]:
        """What counts once in an average over tasks: a task, or several together."""
        together: dict[str, tuple[str, ...]] = {}
        for joined in self.count_once:
            together |= dict.fromkeys(joined, joined)
        return list(dict.fromkeys(together.get(task, (task,)) for task in tasks))

    def _mean(self, tasks: Sequence[str], scores: Mapping[str, float]) -> float:
        return math.fsum(scores.get(task, math.nan) for task in tasks) / len(tasks)


@dataclass(frozen=True)
class Leaderboard(ExportsTables):
    """Rows of a benchmark, one per run. `Report.benchmark` makes it.

    Args:
        benchmark: The benchmark.
        scores: Row -> "all", group or task -> score. A task's score is the mean over those of its
            languages that were scored; the averages need every task.
        missing: Row -> task -> the languages that were not scored.
        splits: The splits that were scored.
    """

    benchmark: Benchmark
    scores: Mapping[str, Mapping[str, float]]
    missing: Mapping[str, Mapping[str, tuple[str, ...]]]
    splits: tuple[str, ...]

    def text_tables(self) -> list[TextTable]:
        return self._tables("*")

    def to_markdown(self, *, mark: str = "*") -> str:
        """Write a Markdown table: a column for each group and each of its tasks.

        Args:
            mark: Marks the scores that lack languages; below the table stands which ones.
        """
        return "\n".join(table.to_markdown() for table in self._tables(mark))

    def _tables(self, mark: str) -> list[TextTable]:
        """The table; `mark` marks the scores that lack languages."""
        columns = self._columns()
        title = f"{self.benchmark.name} ({', '.join(self.splits) or 'no scores'})"
        names = [name if name in self.benchmark else f"**{name}**" for name in columns]
        lines = []
        for label, scores in self.scores.items():
            missing = self.missing[label]
            texts = []
            for name, tasks in columns.items():
                incomplete = not math.isnan(scores[name]) and missing.keys() & set(tasks)
                texts.append(format_score(scores[name]) + (mark if incomplete else ""))
            lines.append([label, *texts])
        return [TextTable([title, *names], lines, legend=self._legend())]

    def to_pandas(self) -> "pd.DataFrame":
        """Return the scores: a row per run, a column for each group and each of its tasks."""
        columns = list(self._columns())
        values = []
        for scores in self.scores.values():
            values.append([scores[name] for name in columns])
        return table_frame(
            values,
            rows=list(self.scores),
            columns=columns,
            names=("row", ""),
        )

    def __str__(self) -> str:
        return self.to_markdown()

    def _columns(self) -> dict[str, tuple[str, ...]]:
        """Column -> its tasks: "all", then for each group its tasks, and then the group."""
        columns = {"all": tuple(self.benchmark)}
        for group, tasks in self.benchmark.groups.items():
            for task in tasks:
                columns[task] = (task,)
            columns[group] = tasks
        return columns

    def _legend(self) -> str:
        """Say which languages are missing; rows that lack the same ones share a sentence."""
        rows_of = grouped((self._describe_missing(label), label) for label in self.scores)
        legend = ""
        for phrases, rows in rows_of.items():
            if not phrases:
                continue
            all_rows = len(rows) == len(self.scores) > 1
            legend += f"\nMissing in {'every row' if all_rows else ', '.join(rows)}: {phrases}.\n"
        return legend

    def _describe_missing(self, label: str) -> str:
        phrases = []
        for task, languages in self.missing[label].items():
            fully_missing = len(languages) == len(self.benchmark.languages[task])
            listed = "all languages" if fully_missing else ", ".join(languages)
            phrases.append(f"{task} ({listed})")
        return "; ".join(phrases)


def score_benchmark(scores: Iterable[Score], benchmark: Benchmark) -> Leaderboard:
    """Make the leaderboard rows of all runs; see `Report.benchmark`.

    Args:
        scores: Main scores. Those of other tasks do not count.
        benchmark: The benchmark.

    Returns:
        One row per run; without any scores, one empty row.

    Raises:
        ValueError: If the scores of a run differ in encoder, version, `eval_rows` or layers, or a
            task has two splits.
    """
    counted = [score for score in scores if score.task in benchmark]
    runs: dict[TagSet, list[Score]] = grouped((run_tags(score), score) for score in counted)
    if not runs:
        runs = {frozenset(): []}
    rows = {}
    missing = {}
    for label, run_scores in zip(label_runs(list(runs)), runs.values(), strict=True):
        check_comparable(run_scores)
        cells = _counted_cells(run_scores, benchmark)
        task_scores = {task: _mean_over_languages(cells, task) for task in benchmark}
        rows[label] = task_scores | benchmark.average(task_scores)
        missing[label] = _missing_languages(cells, benchmark)
    splits = distinct(score.split for score in counted)
    return Leaderboard(benchmark, rows, missing, tuple(splits))


def _counted_cells(scores: Iterable[Score], benchmark: Benchmark) -> dict[tuple[str, str], float]:
    """(task, language) -> score, for the languages that count; undefined ones are left out."""
    languages = benchmark.languages
    cells = cell_means([score for score in scores if score.language in languages[score.task]])
    return {cell: value for cell, value in cells.items() if not math.isnan(value)}


def _mean_over_languages(cells: Mapping[tuple[str, str], float], task: str) -> float:
    return mean(value for (name, _), value in cells.items() if name == task)


def _missing_languages(
    cells: Mapping[tuple[str, str], float], benchmark: Benchmark
) -> dict[str, tuple[str, ...]]:
    """Task -> the languages without a score, for tasks that lack any."""
    missing = {}
    for task, languages in benchmark.languages.items():
        absent = tuple(language for language in languages if (task, language) not in cells)
        if absent:
            missing[task] = absent
    return missing
