"""`Report`: a list of scores that can be filtered, averaged, compared, drawn and saved."""

import math
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from jiantx.report import plots
from jiantx.report.averages import (
    cell_means,
    grouped,
    mean_of_tasks,
    transfer_gaps,
    warn_if_uneven,
)
from jiantx.report.benchmark import Benchmark, Leaderboard, score_benchmark
from jiantx.report.comparison import Comparison
from jiantx.report.comparison_rows import compare_scores
from jiantx.report.confusion import (
    ClassTable,
    Confusion,
    LabelCounts,
    distinct_counts,
    make_class_table,
    make_confusion,
    select_counts,
    with_tags,
)
from jiantx.report.export import ExportsTables
from jiantx.report.files import read_report, write_report
from jiantx.report.groups import GroupTables, score_groups
from jiantx.report.run_tables import draw_run, run_table
from jiantx.report.scores import (
    FIELDS,
    MAIN,
    Score,
    Tag,
    comparable_value,
    describe_tags,
    flat_record,
    matches,
    run_tags,
    score_key,
)
from jiantx.report.tables import TextTable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class Report(ExportsTables):
    """A list of scores, and the counts of labels that belong to them.

    Args:
        records: Scores, of one run or of many. Equal scores are kept once.
        label_counts: How often each label was predicted for each gold label; see `confusion`.

    Raises:
        ValueError: If two records have different values for one score.

    Example:
        >>> report = Report([
        ...     Score("xnli", "test", "de", MAIN, 76.5, 5010),
        ...     Score("xnli", "test", "sw", MAIN, 66.5, 5010),
        ... ])
        >>> report.mean()
        71.5
    """

    def __init__(
        self, records: Iterable[Score] = (), label_counts: Iterable[LabelCounts] = ()
    ) -> None:
        by_key: dict[Any, Score] = {}
        for record in records:
            earlier = by_key.setdefault(score_key(record), record)
            if comparable_value(earlier) != comparable_value(record):
                raise ValueError(
                    f"Two values for one score: {earlier.value} ({earlier.examples} examples) and "
                    f"{record.value} ({record.examples} examples) are both {record.metric} of "
                    f"{record.task}, {record.split}, {record.language}, "
                    f"{describe_tags(record.tags.items()) or 'no tags'}."
                )
        self.records = list(by_key.values())
        self.label_counts = distinct_counts(label_counts)

    def __add__(self, other: "Report") -> "Report":
        label_counts = [*self.label_counts, *other.label_counts]
        return Report([*self.records, *other.records], label_counts)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Score]:
        return iter(self.records)

    def __repr__(self) -> str:
        task_count = len({record.task for record in self})
        language_count = len({record.language for record in self})
        return f"<Report: {len(self)} scores, {task_count} tasks, {language_count} languages>"

    def where(self, **coordinates: Any) -> "Report":
        """Select the scores with these fields or tags.

        Args:
            **coordinates: Field or tag -> the wanted value, or a collection of wanted values.

        Returns:
            A report of the selected scores.

        Raises:
            ValueError: If no score has such a field or tag.

        Example:
            >>> report = Report([Score("xnli", "test", "de", MAIN, 76.5, 5010, {"seed": 1})])
            >>> report.where(task="xnli", language=["de", "sw"], seed=1)
            <Report: 1 scores, 1 tasks, 1 languages>
        """
        wanted = {}
        for name, values in coordinates.items():
            self._check_name(name)
            is_collection = isinstance(values, Collection) and not isinstance(values, str)
            wanted[name] = values if is_collection else (values,)
        label_counts = [counts for counts in self.label_counts if counts.matches(wanted)]
        return Report((record for record in self if matches(record, wanted)), label_counts)

    def with_tags(self, **tags: Tag) -> "Report":
        """Return the same scores with these tags added, or replaced."""
        records = [replace(record, tags={**record.tags, **tags}) for record in self]
        return Report(records, (with_tags(counts, tags) for counts in self.label_counts))

    def _check_name(self, name: str) -> None:
        names = dict.fromkeys(FIELDS)
        for record in self:
            names |= dict.fromkeys(record.tags)
        if self.records and name not in names:
            raise ValueError(
                f"No score here has a field or a tag {name!r}. There are: {', '.join(names)}."
            )

    @overload
    def mean(self, by: None = None) -> float: ...
    @overload
    def mean(self, by: str) -> dict[Any, float]: ...
    def mean(self, by: str | None = None) -> float | dict[Any, float]:
        """Average the main scores over seeds (and other tags), then languages, then tasks.

        The average is NaN if one of the scores is undefined: without it, the average could be
        higher. Select the defined ones with `where`. Scores of different encoders, versions,
        `eval_rows`, layers or intermediate training, or of two splits of one task, are never
        averaged.

        Averages over different scores cannot be compared. A warning says what is missing, such as
        a task that one language lacks. With `where`, select the tasks that all languages have.

        Args:
            by: A field or a tag, to get one average for each of its values. Scores without the tag
                are left out.

        Returns:
            The average, or value of `by` -> average. The average of no scores is NaN.

        Raises:
            ValueError: If scores must not be averaged, or no score has the field or tag `by`.
        """
        if by is None:
            return mean_of_tasks(self._main_scores())
        self._check_name(by)
        groups = grouped((flat_record(score).get(by), score) for score in self._main_scores())
        groups.pop(None, None)
        warn_if_uneven(groups, by)
        return {value: mean_of_tasks(scores) for value, scores in groups.items()}

    def cells(self) -> dict[tuple[str, str], float]:
        """Return (task, language) -> main score, averaged over seeds (and other tags).

        NaN where one of the scores is undefined.
        """
        return cell_means(self._main_scores())

    def transfer_gaps(self) -> dict[str, tuple[float, float]]:
        """Average main scores in English and in the other languages.

        Returns:
            Tag "intermediate" -> (mean in English, mean in the other languages), both over the
            tasks that are scored in English and in another language. Means over different scores
            cannot be compared, and come with a warning.

        Raises:
            ValueError: If scores must not be averaged, or none has the tag "intermediate".
        """
        self._check_name("intermediate")
        return transfer_gaps(self._main_scores())

    def _main_scores(self) -> list[Score]:
        return [score for score in self if score.metric == MAIN]

    def _defined_main_scores(self) -> list[Score]:
        return [score for score in self._main_scores() if not math.isnan(score.value)]

    def compare(
        self, baseline: "Report", *, tasks: Sequence[str] | None = None, by: str = "task"
    ) -> Comparison:
        """Make the table of differences to a baseline, as in Phang et al. 2020.

        A row is a set of tags other than "seed". A difference is taken seed by seed, over the
        languages that both sides have, and then averaged over seeds.

        Args:
            baseline: One run, or several. If there are several, each run is compared with the
                baseline that has the same tags, apart from "intermediate". This report may hold
                the baseline's scores; they are skipped.
            tasks: The tasks to compare, in order; None for all.
            by: "task" for a column per task, each a mean over languages; "language" for a column
                per language, each a mean over tasks.

        Returns:
            The table.

        Raises:
            ValueError: If there is no baseline, if a run has no baseline or several, or if a task
                has two splits.

        Example:
            >>> def score(intermediate, seed, value):
            ...     tags = {"intermediate": intermediate, "seed": seed}
            ...     return Score("xnli", "test", "sw", MAIN, value, 5010, tags)
            >>> report = Report([score("none", 1, 60.0), score("mnli", 1, 64.5)])
            >>> print(report.compare(report.where(intermediate="none")).to_text(), end="")
                  xnli  average
            ----  ----  -------
            none  60.0     60.0
            mnli  +4.5     +4.5
        """
        return compare_scores(
            self._defined_main_scores(), baseline._defined_main_scores(), tasks=tasks, by=by
        )

    def benchmark(self, benchmark: Benchmark) -> Leaderboard:
        """Make the leaderboard rows of a benchmark, one for each set of tags other than "seed".

        Raises:
            ValueError: If scores of a run differ in encoder or version, or a task has two splits.

        Example:
            >>> mine = Benchmark("mine", {"nli": {"xnli": ("de", "sw")}})
            >>> report = Report([Score("xnli", "test", "de", MAIN, 76.5, 5010)])
            >>> print(report.benchmark(mine), end="")
            | mine (test) | **all** | xnli | **nli** |
            | --- | ---: | ---: | ---: |
            | report | 76.5* | 76.5* | 76.5* |
            <BLANKLINE>
            Missing in report: xnli (sw).
        """
        return score_benchmark(self._main_scores(), benchmark)

    def by_group(self) -> GroupTables:
        """Make the tables of named groups: a line for each group, a column for each metric.

        Each task, split, language and set of tags other than "seed" has a table. Scores are
        averaged over seeds.

        Raises:
            ValueError: If no score is of a named group (`Task.named_groups`).

        Example:
            >>> report = Report([
            ...     Score("hans", "validation", "en", "accuracy", 60.0, 30),
            ...     Score("hans", "validation", "en", "accuracy[subsequence]", 50.0, 10),
            ... ])
            >>> print(report.by_group(), end="")
            **hans, validation, en**
            <BLANKLINE>
            | group | examples | accuracy |
            | --- | ---: | ---: |
            | all | 30 | 60.0 |
            | subsequence | 10 | 50.0 |
        """
        return score_groups(self)

    def confusion(self, task: Any, language: str | Collection[str] | None = None) -> Confusion:
        """Make the table of how often each label was predicted for each gold label.

        Tags of words are counted word by word. Counts are added up over seeds.

        Args:
            task: The task, or its name.
            language: One language, or several whose counts are added up; all if None.

        Returns:
            The table: `to_pandas`, `plot`, `to_markdown`, `to_latex`, `to_csv`.

        Raises:
            ValueError: If the report holds no counts of the task or the language, or those of
                several splits or runs. Only `evaluate` stores counts.
        """
        return make_confusion(select_counts(self.label_counts, task, language))

    def per_class(self, task: Any, language: str | Collection[str] | None = None) -> ClassTable:
        """Make the table of precision, recall, F1 and support of each class.

        A class is a label or, for tagging that is scored by chunks, a type of entity. A precision
        is undefined if the class is never predicted, a recall if it is never gold.

        Args:
            task: The task, or its name.
            language: One language, or several whose counts are added up; all if None.

        Raises:
            ValueError: As for `confusion`.
        """
        return make_class_table(select_counts(self.label_counts, task, language))

    # --- Tables, files, pictures ------------------------------------------------------------------

    def text_tables(self) -> list[TextTable]:
        """The tables of main scores: a line for each task, a column for each language.

        Each set of tags other than "seed" has a table of its own. Undefined scores, and means that
        include one, are dashes. A mean over fewer tasks than other languages have is marked.
        """
        runs = grouped((run_tags(score), score) for score in self._main_scores())
        return [run_table(tags, scores) for tags, scores in runs.items()]

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row per score, of all metrics, with tags as columns beside the fields."""
        import pandas as pd

        return pd.DataFrame(self.to_records(), columns=None if self.records else list(FIELDS))

    def to_records(self) -> list[dict[str, Any]]:
        """Return a dictionary per score, tags beside fields; made for `pandas.DataFrame`."""
        return [flat_record(record) for record in self]

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write the scores as JSON, sorted, one in each line, with null for NaN; then the counts.

        Equal reports give equal bytes. If writing fails, an older file stays as it was.
        """
        write_report(Path(path), self.records, self.label_counts)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> "Report":
        """Read a file that `to_json` wrote.

        Raises:
            ValueError: If the file is damaged. The message names the file, the index of the score
                and the problem.
        """
        try:
            return cls(*read_report(Path(path)))
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"{path}: {error}") from None

    def plot(
        self, path: str | os.PathLike[str] | None = None, *, title: str | None = None
    ) -> "Figure":
        """Draw one run's main scores as a heat map: tasks down, languages across, means apart.

        Scores are averaged over seeds. Needs matplotlib.

        Args:
            path: The picture to write, if any. Its suffix is the format: .png, .pdf, .svg.
            title: Text above the table.

        Returns:
            The matplotlib figure, which notebooks show.

        Raises:
            ValueError: If the report holds several runs (sets of tags other than "seed"), or no
                main score.
        """
        return draw_run(self._main_scores(), path, title=title)

    def plot_gaps(
        self, path: str | os.PathLike[str] | None = None, *, title: str | None = None
    ) -> "Figure":
        """Draw the means of `transfer_gaps`, English beside the other languages.

        Each tag "intermediate" has a line. Needs matplotlib.

        Args:
            path: The picture to write, if any. Its suffix is the format: .png, .pdf, .svg.
            title: Text above the picture.

        Returns:
            The matplotlib figure, which notebooks show.

        Raises:
            ValueError: If no task is scored in English and in another language.
        """
        gaps = self.transfer_gaps()
        if not gaps:
            raise ValueError(
                "The report holds no task that is scored in English and in another language."
            )
        return plots.draw_gaps(gaps, path, title=title)
