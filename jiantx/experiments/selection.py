"""Selects scores: without failed runs, and from the row that is best for each target."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from jiantx.report import MAIN, Report, Score
from jiantx.report.scores import comparable_value
from jiantx.task import Task
from jiantx.tasks import TASKS, get_task, training_tasks

# Two metrics decide whether a run failed. Their records carry the name of the fine-tuning.
DEVELOPMENT = "development"  # main score on English validation rows
CHANCE = "chance"  # main score of the majority class on the same rows

_ONE_SIDED_95 = 1.645  # standard errors
_Scores = dict[tuple[str, str, int, str], tuple[float | None, int]]


def training_name(tasks: Iterable[Task]) -> str:
    """Return the name of a fine-tuning on these tasks, one after the other, such as `siqa+copa`."""
    return "+".join(dict.fromkeys(task.name for task in tasks))


def _training_names(report: Report, targets: Iterable[Task]) -> dict[str, str]:
    """Target -> name of its fine-tuning; empty if the target is not fine-tuned.

    No rows are read: a report can be understood where its data are not.
    """
    checked = {record.task for record in report if record.metric == DEVELOPMENT}
    names = {}
    for target in targets:
        own_name = target.name if target.name in checked else ""
        names[target.name] = training_name(training_tasks(target)) if target.train_on else own_name
    return names


def _row_and_seed(record: Score) -> tuple[str, int]:
    return str(record.tags["intermediate"]), int(record.tags["seed"])


def _registered_targets(report: Report) -> list[Task]:
    """The targets of a recipe's report, which are its tasks with main scores.

    Raises:
        LookupError: They are not registered, or are fine-tuned otherwise than those of the report.
    """
    advice = "Register it, or give the targets of the recipe: without_failed(report, targets)."
    names = dict.fromkeys(record.task for record in report if record.metric == MAIN)
    unknown = [name for name in names if name not in TASKS]
    if unknown:
        raise LookupError(f"The target {unknown[0]!r} of the report is not registered. {advice}")
    targets = [get_task(name) for name in names]
    trained = {record.task for record in report if record.metric == DEVELOPMENT}
    unused = sorted(trained - set(_training_names(report, targets).values()))
    if unused:
        raise LookupError(
            f"The report has the fine-tuning {unused[0]!r}, which no registered target of the "
            f"report has. {advice}"
        )
    return targets


def failed_runs(report: Report) -> dict[tuple[str, int], list[str]]:
    """Find the runs that did not learn.

    A run failed if its main score on validation rows is not significantly above that of always
    predicting the majority class (95 %, one-sided, with the standard error of an accuracy); for
    tags, answers and rankings, if it is not above 0.

    Args:
        report: Scores by `Recipe.report`. The records of `DEVELOPMENT` and `CHANCE` decide.

    Returns:
        (row, seed) -> names of the fine-tunings that failed.
    """
    scores: dict[tuple[str, str, int], float] = {}
    for record in report.where(metric=DEVELOPMENT):
        scores[record.task, *_row_and_seed(record)] = record.value
    failed: dict[tuple[str, int], list[str]] = {}
    for record in report.where(metric=CHANCE):
        chance = record.value / 100
        standard_error = math.sqrt(chance * (1 - chance) / record.examples)
        threshold = record.value + 100 * _ONE_SIDED_95 * standard_error
        # an undefined score is not above it either
        if not scores[record.task, *_row_and_seed(record)] > threshold:
            failed.setdefault(_row_and_seed(record), []).append(record.task)
    return failed


def unchecked_targets(report: Report, targets: Iterable[Task]) -> list[str]:
    """Name the fine-tuned targets of which the report does not say whether their runs learned.

    Args:
        report: Scores by `Recipe.report`.
        targets: The targets of the report.
    """
    scored = {record.task for record in report if record.metric == MAIN}
    checked = {record.task for record in report if record.metric == DEVELOPMENT}
    unchecked = []
    for target in targets:
        if target.name in scored:
            training = training_name(training_tasks(target))
            if training and training not in checked:
                unchecked.append(target.name)
    return unchecked


class FailedSeeds(NamedTuple):
    """The runs of one row and one target that did not learn.

    Attributes:
        failed: Their seeds.
        all: All seeds that were run.
    """

    failed: set[int]
    all: set[int]


FailedCells = Mapping[tuple[str, str], FailedSeeds]  # (row, target) -> its seeds


def failed_cells(report: Report, targets: Iterable[Task]) -> dict[tuple[str, str], FailedSeeds]:
    """Find the cells of the table, some or all of whose runs did not learn.

    Args:
        report: Scores by `Recipe.report`, with the records that decide whether a run failed.
        targets: The targets of the report.

    Returns:
        (row, target) -> its seeds, for cells with failed runs.
    """
    training_names = _training_names(report, targets)
    failed = failed_runs(report)
    cells: dict[tuple[str, str], FailedSeeds] = {}
    for record in report:
        row_spec, seed = _row_and_seed(record)
        seeds = cells.setdefault((row_spec, record.task), FailedSeeds(set(), set()))
        seeds.all.add(seed)
        if training_names.get(record.task) in failed.get((row_spec, seed), ()):
            seeds.failed.add(seed)
    return {cell: seeds for cell, seeds in cells.items() if seeds.failed}


def unlearned_targets(
    report: Report, targets: Sequence[Task], failed: FailedCells
) -> dict[str, list[str]]:
    """Find the targets that no run of the row `none`, or no run of any row, learned.

    A difference to a score of guessing says nothing about transfer.

    Args:
        report: Scores by `Recipe.report`.
        targets: The targets of the report.
        failed: By `failed_cells`.

    Returns:
        Target -> the rows after which a run learned it; empty if all targets are such.
    """
    rows: dict[str, dict[str, None]] = {}  # target -> rows with scores of it
    for record in report:
        if record.metric == MAIN:
            rows.setdefault(record.task, {})[str(record.tags["intermediate"])] = None
    unlearned = {}
    for target in targets:
        of_target = list(rows.get(target.name, ()))
        learned = [row for row in of_target if not _all_failed(failed.get((row, target.name)))]
        if of_target and "none" not in learned and ("none" in of_target or not learned):
            unlearned[target.name] = learned
    return unlearned if len(unlearned) < len(targets) else {}


def _all_failed(seeds: FailedSeeds | None) -> bool:
    return seeds is not None and seeds.failed == seeds.all


def unjudged_cells(failed: FailedCells, rows: Sequence[str]) -> list[tuple[str, str]]:
    """Find the cells of which no run learned, after the row or after `none`.

    Args:
        failed: By `failed_cells`.
        rows: All rows of the table.

    Returns:
        (row, target) of each.
    """
    all_failed = [cell for cell, seeds in failed.items() if _all_failed(seeds)]
    cells = [cell for cell in all_failed if cell[0] != "none"]
    for spec, target in all_failed:
        if spec == "none":
            cells += [(row, target) for row in rows if row != "none"]
    return sorted(set(cells))


def without_failed(report: Report, targets: Iterable[Task] | None = None) -> Report:
    """Exclude the scores of failed runs.

    If all seeds of a row failed for a target, its scores stay: there is nothing else to show.

    Args:
        report: Scores by `Recipe.report`, with the records that decide whether a run failed.
        targets: The targets of the report; if None, the registered tasks of its main scores.

    Raises:
        LookupError: `targets` is None, and the registered tasks are not those of the report.
    """
    cells = failed_cells(report, _registered_targets(report) if targets is None else targets)

    def is_excluded(record: Score) -> bool:
        row_spec, seed = _row_and_seed(record)
        seeds = cells.get((row_spec, record.task))
        return seeds is not None and seed in seeds.failed and seeds.failed != seeds.all

    return Report(record for record in report if not is_excluded(record))


def judged_scores(report: Report, targets: Iterable[Task] | None = None) -> Report:
    """Return the scores that the page's tables show: of runs and targets that learned.

    The scores of failed runs are excluded as by `without_failed`, and so are the targets that
    `unlearned_targets` finds.

    Args:
        report: Scores by `Recipe.report`, with the records that decide whether a run failed.
        targets: The targets of the report; if None, the registered tasks of its main scores.

    Raises:
        LookupError: `targets` is None, and the registered tasks are not those of the report.
    """
    targets = _registered_targets(report) if targets is None else list(targets)
    unlearned = unlearned_targets(report, targets, failed_cells(report, targets))
    names = [target.name for target in targets if target.name not in unlearned]
    return without_failed(report, targets).where(task=names)


def best_rows(report: Report, targets: Sequence[Task]) -> dict[str, str]:
    """Choose the row of each target that has the best validation score.

    1. Where a target has a validation set of its own, its validation score is the mean over the
       languages of that split. A validation split whose scores are the same as those of the test
       split is the same set under another name, and does not count.
    2. Otherwise, if the target is fine-tuned on another task, the validation score is that of the
       other task in English.
    3. A target that has neither takes the row with the best mean over the other targets.

    Failed runs do not count, where another seed of their row has learned.

    Args:
        report: Scores by `Recipe.report`, of the validation and the test split.
        targets: The targets to choose for.

    Returns:
        Target -> row; empty if no target has validation scores for every row.
    """
    scored = report.where(metric=(MAIN, DEVELOPMENT))
    row_specs = list(dict.fromkeys(str(record.tags["intermediate"]) for record in scored))
    with_validation_set = _tasks_with_validation_set(report)
    failed = failed_runs(report)
    scores: dict[str, dict[str, float]] = {}  # target -> row -> validation score
    for name, training in _training_names(report, targets).items():
        if name in with_validation_set:
            records = list(report.where(task=name, split="validation", metric=MAIN))
        elif training != name:
            records = list(report.where(task=training, split="validation", metric=DEVELOPMENT))
        else:
            continue
        by_row = _means_by_row(_of_learned_runs(records, training, failed), row_specs)
        if len(by_row) == len(row_specs):
            scores[name] = by_row
    if not (row_specs and scores):
        return {}
    average = {}
    for row_spec in row_specs:
        average[row_spec] = fmean(by_row[row_spec] for by_row in scores.values())
    best = {}
    for target in targets:
        target_scores = scores.get(target.name, average)
        best[target.name] = max(row_specs, key=target_scores.__getitem__)
    return best


def _of_learned_runs(
    records: Sequence[Score], training: str, failed: Mapping[tuple[str, int], Sequence[str]]
) -> list[Score]:
    """Leave out failed runs as the tables do: where another seed of the row has learned."""
    learned = [
        record for record in records if training not in failed.get(_row_and_seed(record), ())
    ]
    learned_rows = {record.tags["intermediate"] for record in learned}
    failed_rows = [record for record in records if record.tags["intermediate"] not in learned_rows]
    return learned + failed_rows


def _means_by_row(records: Iterable[Score], row_specs: Iterable[str]) -> dict[str, float]:
    """Row -> mean of its scores. Rows without scores are left out; undefined ones are the worst."""
    values: dict[str, list[float]] = {row_spec: [] for row_spec in row_specs}
    for record in records:
        value = -math.inf if math.isnan(record.value) else record.value
        values[str(record.tags["intermediate"])].append(value)
    return {row_spec: fmean(of_row) for row_spec, of_row in values.items() if of_row}


def _tasks_with_validation_set(report: Report) -> set[str]:
    """Return the tasks whose validation split is another set than their test split."""
    validation: _Scores = {}  # (task, row, seed, language) -> score, number of examples
    test: _Scores = {}
    for record in report.where(metric=MAIN):
        key = (record.task, *_row_and_seed(record), record.language)
        by_key = validation if record.split == "validation" else test
        by_key[key] = comparable_value(record)
    tasks = set()
    for key in validation.keys() & test.keys():
        if validation[key] != test[key]:
            tasks.add(key[0])
    return tasks
