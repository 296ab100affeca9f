"""Tables of differences to a baseline, as in Phang et al. 2020."""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import NamedTuple

from jiantx.report import heatmaps
from jiantx.report.averages import check_one_split, distinct, mean
from jiantx.report.scores import (
    Score,
    Tag,
    TagSet,
    describe_tags,
    label_runs,
    run_tags,
    without_tag,
)
from jiantx.report.tables import FEWER, describe_fewer, format_score, markdown_table, text_table

_AXES = ("task", "language")


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and half the width of its 95 % interval, by Student's t.

    NaN are left out. With fewer than two values, the half width is NaN.

    Example:
        >>> mean, half_width = interval([1.0, 2.0, 3.0])
        >>> print(f"{mean:.2f} ± {half_width:.2f}")
        2.00 ± 2.48
    """
    values = [value for value in values if not math.isnan(value)]
    count = len(values)
    if count < 2:
        return mean(values), math.nan
    from scipy.special import stdtrit  # scikit-learn brings SciPy

    quantile = float(stdtrit(count - 1, 0.975))
    return fmean(values), quantile * stdev(values) / math.sqrt(count)


@dataclass(frozen=True)
class Cell:
    """One cell of a comparison.

    Args:
        values: One value per seed: a score of a baseline, or a difference to it. Empty if no seed
            has a value.
        lacks: What the mean lacks, and others in the table have: tasks if columns are languages,
            languages if they are tasks, and columns in an average.
    """

    values: tuple[float, ...]
    lacks: tuple[str, ...] = ()

    @property
    def mean(self) -> float:
        """The mean over seeds; NaN without values."""
        return mean(self.values)

    @property
    def sd(self) -> float | None:
        """The sample standard deviation over seeds; None with fewer than two."""
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def significant(self) -> bool:
        """Whether the 95 % interval (Student's t over seeds) excludes zero; never for one seed."""
        center, half_width = interval(self.values)
        return abs(center) > half_width


@dataclass(frozen=True)
class Row:
    """A line of a comparison.

    Args:
        label: What distinguishes this run from the others.
        is_baseline: Whether cells hold scores of a baseline, instead of differences to it.
        cells: One cell per column of the comparison.
        average: The mean over columns, for each seed that has a value in all of them.
    """

    label: str
    is_baseline: bool
    cells: tuple[Cell, ...]
    average: Cell

    @property
    def all_cells(self) -> tuple[Cell, ...]:
        """The cells, and the average as the last one."""
        return (*self.cells, self.average)


@dataclass(frozen=True)
class Comparison:
    """A table of differences to a baseline. `Report.compare` makes it.

    Args:
        columns: Tasks, or languages.
        rows: The baselines first, then the runs compared with them.
        missing: Descriptions of the scores that only one side has. No difference includes them.
    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    missing: tuple[str, ...] = ()

    def to_markdown(self) -> str:
        """Write a Markdown table, with a legend below it.

        Baseline rows hold scores, other rows signed differences: mean ± standard deviation over
        seeds.
        """
        header, *rows = self._texts()
        return markdown_table(header, rows) + self._legend()

    _repr_markdown_ = to_markdown

    def to_text(self) -> str:
        """Write the table of `to_markdown`, aligned for a terminal."""
        header, *rows = self._texts()
        return text_table(header, rows) + self._legend()

    def plot(self, path: str | os.PathLike[str], *, title: str | None = None) -> None:
        """Draw the table as a heat map: runs down, columns across, their average set apart.

        Baseline rows hold scores on a neutral ground. Differences, in points, are coloured from
        brown (worse) over white (0) to teal (better), with ± the standard deviation over seeds,
        and in bold where the 95 % interval excludes zero. Equal comparisons give equal bytes.
        Needs matplotlib.

        Args:
            path: The picture to write. Its suffix is the format: .png, .pdf, .svg.
            title: Text above the table.
        """
        baseline_count = sum(row.is_baseline for row in self.rows)
        cells = []
        for row in self.rows:
            cells.append([_heatmap_cell(cell, row.is_baseline) for cell in row.all_cells])
        heatmaps.draw_differences(
            cells,
            rows=[row.label for row in self.rows],
            columns=[*self.columns, "average"],
            path=path,
            title=title,
            rows_apart=baseline_count % len(self.rows),
        )

    def _texts(self) -> list[list[str]]:
        lines = [["", *self.columns, "average"]]
        for row in self.rows:
            texts = [_format_cell(cell, row.is_baseline) for cell in row.all_cells]
            lines.append([row.label, *texts])
        return lines

    def _legend(self) -> str:
        legend = ""
        if any(_has_deviation(row) for row in self.rows):
            legend += (
                "\nDifferences in points, paired by seed: mean ± standard deviation over seeds. "
                "`*` the 95 % interval (Student's t, cell by cell) excludes zero.\n"
            )
        if any(_average_lacks_seeds(row) for row in self.rows):
            legend += "\nMeans are over the seeds that have all their parts.\n"
        legend += describe_fewer(self._lacking())
        if self.missing:
            shown = "; ".join(self.missing[:5])
            hidden = len(self.missing) - 5
            more = f"; and {hidden} more" if hidden > 0 else ""
            legend += f"\nOn one side only, and left out: {shown}{more}.\n"
        return legend

    def _lacking(self) -> dict[str, list[str]]:
        """Column -> what its cells lack, in any row."""
        lacking: dict[str, list[str]] = {}
        for row in self.rows:
            for column, cell in zip([*self.columns, "average"], row.all_cells, strict=True):
                lacking[column] = distinct([*lacking.get(column, ()), *cell.lacks])
        return lacking


def _has_deviation(row: Row) -> bool:
    return not row.is_baseline and any(cell.sd is not None for cell in row.all_cells)


def _average_lacks_seeds(row: Row) -> bool:
    seed_counts = [len(cell.values) for cell in row.cells]
    return len(row.average.values) < max(seed_counts, default=0)


def _format_cell(cell: Cell, is_baseline: bool) -> str:
    text = format_score(cell.mean, sign="" if is_baseline else "+")
    if cell.sd is not None:
        text += f" ± {cell.sd:.1f}"
    if cell.significant and not is_baseline:
        text += " *"
    return f"{text} {FEWER}" if cell.lacks else text


def _heatmap_cell(cell: Cell, is_baseline: bool) -> heatmaps.HeatmapCell:
    if math.isnan(cell.mean):
        return heatmaps.HeatmapCell(math.nan, "–")
    deviation = "" if cell.sd is None else f"± {cell.sd:.1f}"
    mark = FEWER if cell.lacks else ""
    if is_baseline:
        return heatmaps.HeatmapCell(cell.mean, f"{cell.mean:.1f}{mark}", deviation, neutral=True)
    difference = f"{cell.mean:+.1f}".replace("-", "−")
    if difference[1:] == "0.0":
        difference = "0.0"
    difference += mark
    return heatmaps.HeatmapCell(cell.mean, difference, deviation, bold=cell.significant)


# --- How rows are made ----------------------------------------------------------------------------


class _ScoreKey(NamedTuple):
    task: str
    language: str
    seed: Tag | None


_RunScores = dict[_ScoreKey, float]  # the main scores of one run


def compare_scores(
    scores: Sequence[Score],
    baseline_scores: Sequence[Score],
    *,
    tasks: Sequence[str] | None = None,
    by: str = "task",
) -> Comparison:
    """Compare main scores with those of a baseline; see `Report.compare`.

    Args:
        scores: Main scores, none of them NaN. Those of the baseline are skipped.
        baseline_scores: Main scores of one or more baseline runs.
        tasks: The tasks to compare, in order; None for all.
        by: What columns are: "task" or "language".

    Returns:
        The table.

    Raises:
        ValueError: If there is no baseline, if a run has no baseline or several, or if a task has
            two splits.
    """
    if by not in _AXES:
        raise ValueError(f"A comparison is by 'task' or by 'language', not by {by!r}.")
    tasks = [tasks] if isinstance(tasks, str) else tasks
    if not baseline_scores:
        raise ValueError("The baseline holds no main score.")
    baseline_set = set(baseline_scores)
    new_scores = [score for score in scores if score not in baseline_set]
    check_one_split([*baseline_scores, *new_scores])
    baseline_runs = _group_runs(baseline_scores, tasks)
    new_runs = _group_runs(new_scores, tasks)
    if tasks is not None and by == "task":
        columns = list(tasks)
    else:
        columns = _column_names([*new_runs.values(), *baseline_runs.values()], by)

    labels = _row_labels([*baseline_runs, *new_runs], len(baseline_runs))
    baseline_labels = labels[: len(baseline_runs)]
    new_labels = labels[len(baseline_runs) :]
    averaged = _averaged_cells([*baseline_runs.values(), *new_runs.values()], by)
    rows = []
    for label, run in zip(baseline_labels, baseline_runs.values(), strict=True):
        rows.append(_row(label, run, columns, averaged, by, is_baseline=True))
    missing: list[str] = []
    for label, (tags, run) in zip(new_labels, new_runs.items(), strict=True):
        baseline = baseline_runs[_matching_baseline(tags, list(baseline_runs))]
        missing += _describe_missing(label, run, baseline)
        differences = {key: run[key] - baseline[key] for key in run if key in baseline}
        rows.append(_row(label, differences, columns, averaged, by, is_baseline=False))
    return Comparison(tuple(columns), tuple(rows), tuple(missing))


def _group_runs(scores: Iterable[Score], tasks: Sequence[str] | None) -> dict[TagSet, _RunScores]:
    """Collect the scores of each run; a run without scores of `tasks` stays, and is empty."""
    runs: dict[TagSet, _RunScores] = {}
    for score in scores:
        run = runs.setdefault(run_tags(score), {})
        if tasks is None or score.task in tasks:
            key = _ScoreKey(score.task, score.language, score.tags.get("seed"))
            run[key] = score.value
    return runs


def _column_names(runs: Iterable[_RunScores], by: str) -> list[str]:
    names: list[str] = []
    for run in runs:
        names += [getattr(key, by) for key in run]
    return distinct(names)


_Averaged = dict[str, dict[tuple[str, str], str]]  # column -> (task, language) -> name


def _averaged_cells(runs: Iterable[_RunScores], by: str) -> _Averaged:
    """What the mean of each column is over: the languages of its task, or all tasks."""
    cells = distinct((key.task, key.language) for run in runs for key in run)
    if by == "task":
        averaged: _Averaged = {}
        for task, language in cells:
            averaged.setdefault(task, {})[task, language] = language
        return averaged
    tasks = distinct(task for task, _ in cells)
    return {language: {(task, language): task for task in tasks} for _, language in cells}


def _row(
    label: str,
    scores: _RunScores,
    columns: list[str],
    averaged: _Averaged,
    by: str,
    *,
    is_baseline: bool,
) -> Row:
    """Build one table row.

    The row's average is the mean over columns, for each seed that has a mean in all of them.
    """
    means = _column_means(scores, by)
    scored = {(key.task, key.language) for key in scores}
    cells = []
    for column in columns:
        lacks = [name for cell, name in averaged.get(column, {}).items() if cell not in scored]
        values = tuple(means.get(column, {}).values())
        cells.append(Cell(values, tuple(lacks) if values else ()))
    averages = []
    for seed in distinct(key.seed for key in scores):
        seed_means = [by_seed[seed] for by_seed in means.values() if seed in by_seed]
        if len(seed_means) == len(means):
            averages.append(fmean(seed_means))
    lacks = [column for column, cell in zip(columns, cells, strict=True) if not cell.values]
    return Row(label, is_baseline, tuple(cells), Cell(tuple(averages), tuple(lacks)))


def _column_means(scores: _RunScores, by: str) -> dict[str, dict[Tag | None, float]]:
    """Column -> seed -> mean over the axis that is not shown.

    That axis is languages for task columns, and tasks for language columns. A seed that lacks a
    value of a mean is left out of it, because means over different sets cannot be compared.
    """
    values: dict[str, dict[Tag | None, list[float]]] = {}  # column -> seed -> scores
    expected: dict[str, set[tuple[str, str]]] = {}  # column -> its (task, language) of any seed
    for key, value in scores.items():
        column = getattr(key, by)
        values.setdefault(column, {}).setdefault(key.seed, []).append(value)
        expected.setdefault(column, set()).add((key.task, key.language))

    means: dict[str, dict[Tag | None, float]] = {}
    for column, by_seed in values.items():
        means[column] = {}
        for seed, seed_values in by_seed.items():
            if len(seed_values) == len(expected[column]):
                means[column][seed] = fmean(seed_values)
    return means


def _describe_missing(label: str, run: _RunScores, baseline: _RunScores) -> Iterator[str]:
    for key in (*baseline, *run):
        if key in run and key in baseline:
            continue
        seed = "" if key.seed is None else f", seed {key.seed}"
        absent_from = "baseline" if key in run else "row"
        yield f"{label}: {key.task}/{key.language}{seed} (not in the {absent_from})"


def _matching_baseline(tags: TagSet, baselines: list[TagSet]) -> TagSet:
    """Return the baseline whose tags, other than "intermediate", are those of a run."""
    if len(baselines) == 1:
        return baselines[0]
    wanted = without_tag(tags, "intermediate")
    matching = [other for other in baselines if without_tag(other, "intermediate") == wanted]
    if len(matching) != 1:
        raise ValueError(
            f"{len(matching)} rows of the baseline agree with {describe_tags(tags)}; one must."
        )
    return matching[0]


def _row_labels(runs: list[TagSet], baseline_count: int) -> list[str]:
    """Label the rows of a comparison, those of baselines first."""
    labels = label_runs(runs)
    for index in range(baseline_count):
        if not runs[index]:
            labels[index] = "baseline"
        # Two reports with equal tags can be compared, too.
        if labels[index] in labels[baseline_count:]:
            labels[index] += " (baseline)"
    return labels
