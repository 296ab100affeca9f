"""Which runs failed, and which row is best for each target."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean

from jiantx.report import MAIN, Report, Score
from jiantx.task import Task
from jiantx.tasks import training_tasks

# Metrics beside the main score. They belong to what fine-tuned a target, not to the target.
DEVELOPMENT = "development"
CHANCE = "chance"

_Scores = dict[tuple[str, str, int, str], tuple[float, int]]


def training_name(tasks: Iterable[Task]) -> str:
    """What fine-tunes a target, in a word: `siqa+copa`."""
    return "+".join(dict.fromkeys(task.name for task in tasks))


def _training_names(targets: Iterable[Task]) -> dict[str, str]:
    return {target.name: training_name(training_tasks(target)) for target in targets}


def _row_and_seed(record: Score) -> tuple[str, int]:
    return str(record.tags["intermediate"]), int(record.tags["seed"])


def failed_runs(report: Report) -> dict[tuple[str, int], list[str]]:
    """Find the runs that did not learn.

    Their validation score is not significantly above that of the majority class (95 %, one-sided).

    Returns:
        (row, seed) -> what it was fine-tuned on.
    """
    scores = {(r.task, *_row_and_seed(r)): r.value for r in report if r.metric == DEVELOPMENT}
    failed: dict[tuple[str, int], list[str]] = {}
    for record in report:
        if record.metric == CHANCE:
            chance = record.value / 100
            margin = 164.5 * math.sqrt(chance * (1 - chance) / record.examples)
            if scores[record.task, *_row_and_seed(record)] <= record.value + margin:
                failed.setdefault(_row_and_seed(record), []).append(record.task)
    return failed


def without_failed(report: Report, targets: Iterable[Task]) -> Report:
    """Leave out the scores of failed runs, if another seed of the row succeeded.

    Args:
        report: Of a recipe.
        targets: Its targets.
    """
    trained_on = _training_names(targets)
    failed = failed_runs(report)
    seeds: dict[tuple[str, str], set[int]] = {}  # (row, target) -> seeds
    for record in report:
        row_spec, seed = _row_and_seed(record)
        seeds.setdefault((row_spec, record.task), set()).add(seed)

    def is_excluded(record: Score) -> bool:
        row_spec, seed = _row_and_seed(record)
        all_seeds = seeds[row_spec, record.task]
        training = trained_on.get(record.task)
        failed_seeds = {s for s in all_seeds if training in failed.get((row_spec, s), ())}
        return seed in failed_seeds and failed_seeds != all_seeds

    return Report(record for record in report if not is_excluded(record))


def best_rows(report: Report, targets: Sequence[Task]) -> dict[str, str]:
    """Choose the row of each target that is best on validation rows.

    1. If a target's validation split is another set than its test split (the scores differ), its
       validation score is the mean over the split's languages.
    2. Otherwise, if the target is fine-tuned on another task, it is that task's score in English.
    3. A target without either takes the row that is best on average over the others.

    Args:
        report: Of a recipe that scored both splits.
        targets: Its targets.

    Returns:
        Target -> row; empty if no target has a validation score.
    """
    row_specs = list(
        dict.fromkeys(
            str(record.tags["intermediate"]) for record in report.where(metric=(MAIN, DEVELOPMENT))
        )
    )
    own_validation = _with_own_validation_set(report)
    scores: dict[str, dict[str, float]] = {}  # target -> row -> validation score
    for name, training in _training_names(targets).items():
        if name in own_validation:
            records = list(report.where(task=name, split="validation", metric=MAIN))
        elif training != name:
            records = list(report.where(task=training, split="validation", metric=DEVELOPMENT))
        else:
            continue
        by_row = _means_by_row(records, row_specs)
        if len(by_row) == len(row_specs):
            scores[name] = by_row
    if not (row_specs and scores):
        return {}
    average = {
        row_spec: fmean(by_row[row_spec] for by_row in scores.values()) for row_spec in row_specs
    }
    best = {}
    for target in targets:
        target_scores = scores.get(target.name, average)
        best[target.name] = max(row_specs, key=target_scores.__getitem__)
    return best


def _means_by_row(records: Iterable[Score], row_specs: Iterable[str]) -> dict[str, float]:
    """Row -> mean of its scores, of the rows that have some."""
    values: dict[str, list[float]] = {row_spec: [] for row_spec in row_specs}
    for record in records:
        values[str(record.tags["intermediate"])].append(record.value)
    return {row_spec: fmean(of_row) for row_spec, of_row in values.items() if of_row}


def _with_own_validation_set(report: Report) -> set[str]:
    """The tasks whose validation scores differ from their test scores somewhere."""
    validation: _Scores = {}
    test: _Scores = {}
    for record in report.where(metric=MAIN):
        side = validation if record.split == "validation" else test
        key = (record.task, *_row_and_seed(record), record.language)
        side[key] = (record.value, record.examples)
    common = validation.keys() & test.keys()
    return {key[0] for key in common if validation[key] != test[key]}
