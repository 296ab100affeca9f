"""How the rows of a comparison are made: differences seed by seed, means over what both have."""

from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean
from typing import NamedTuple

from jiantx.report.averages import check_one_split, distinct
from jiantx.report.comparison import Cell, Comparison, Row
from jiantx.report.scores import (
    Score,
    Tag,
    TagSet,
    describe_tags,
    label_runs,
    run_tags,
    score_key,
    without_tag,
)

_AXES = ("task", "language")


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
        message = "The baseline holds no main score."
        runs = list(_group_runs(scores, tasks))
        if runs:
            message += f" Choose it from the report's runs: {', '.join(label_runs(runs))}."
        raise ValueError(message)
    new_scores = _without_baseline(scores, baseline_scores)
    check_one_split([*baseline_scores, *new_scores])
    baseline_runs = _group_runs(baseline_scores, tasks)
    new_runs = _group_runs(new_scores, tasks)
    differences: dict[TagSet, _RunScores] = {}
    for tags, run in new_runs.items():
        baseline = baseline_runs[_matching_baseline(tags, list(baseline_runs))]
        differences[tags] = {key: run[key] - baseline[key] for key in run if key in baseline}
    if tasks is not None and by == "task":
        columns = list(tasks)
    else:  # what no baseline has is in no column
        columns = _column_names([*differences.values(), *baseline_runs.values()], by)

    labels = _row_labels([*baseline_runs, *new_runs], len(baseline_runs))
    baseline_labels = labels[: len(baseline_runs)]
    new_labels = labels[len(baseline_runs) :]
    averaged = _averaged_cells([*baseline_runs.values(), *differences.values()], by)
    rows = []
    for label, run in zip(baseline_labels, baseline_runs.values(), strict=True):
        rows.append(_row(label, run, columns, averaged, by, is_baseline=True))
    missing: list[str] = []
    for label, (tags, run) in zip(new_labels, new_runs.items(), strict=True):
        baseline = baseline_runs[_matching_baseline(tags, list(baseline_runs))]
        missing += _describe_missing(label, run, baseline)
        rows.append(_row(label, differences[tags], columns, averaged, by, is_baseline=False))
    return Comparison(tuple(columns), tuple(rows), tuple(missing))


def _without_baseline(scores: Sequence[Score], baseline_scores: Sequence[Score]) -> list[Score]:
    """Leave out the baseline's own scores.

    A run without tags of its own may have some scores that equal the baseline's. If others differ,
    it is another run, and all its scores count.
    """
    baseline_values = {score_key(score): score.value for score in baseline_scores}
    other_runs = set()
    for score in scores:
        if baseline_values.get(score_key(score), score.value) != score.value:
            other_runs.add(run_tags(score))
    baseline_set = set(baseline_scores)
    return [score for score in scores if run_tags(score) in other_runs or score not in baseline_set]


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
            f"{len(matching)} rows of the baseline agree with {describe_tags(tags)}, apart from "
            "the tag 'intermediate'; expected one. Give one baseline run for each set of tags."
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
