"""Which rows and targets of a table can run with the data at hand."""

from __future__ import annotations

from collections.abc import Sequence

from jiantx.experiments.recipe import Recipe
from jiantx.experiments.rows import BASELINE, parse_row
from jiantx.sources import DataError, data_root
from jiantx.task import Task
from jiantx.tasks import get_task
from jiantx.tasks.benchmarks import XTREME


def available_targets(recipe: Recipe, names: Sequence[str] | None = None) -> list[Task]:
    """Select the targets that can be fine-tuned and scored with the data at hand.

    Prints which targets of XTREME are skipped, and which splits are not scored.

    Args:
        recipe: The recipe, whose splits and languages are scored.
        names: Requested targets; None selects from XTREME.

    Returns:
        The targets, in order.

    Raises:
        DataError: A requested target lacks data, or every target does.
    """
    targets: list[Task] = []
    skipped: list[str] = []
    for name in names or XTREME:
        target = get_task(name)
        missing = _missing_data(target, recipe)
        if missing:
            skipped.append(f"{name} ({missing})")
        else:
            targets.append(target)
    root = data_root() or "The Hugging Face Hub"
    if skipped and (names or not targets):
        raise DataError(f"{root} lacks what these targets need: {'; '.join(skipped)}.")
    if skipped:
        print(f"Skipped targets, because {root} lacks their data: {'; '.join(skipped)}.")
    unscored = []
    for target in targets:
        for split in recipe.splits:
            if not recipe.labelled_languages(target, split):
                unscored.append(f"{target.name} ({split})")
    if unscored:
        print(
            "Not scored, because there are no labelled rows in these languages: "
            f"{', '.join(unscored)}."
        )
    return targets


def _missing_data(target: Task, recipe: Recipe) -> str:
    """Return what a target lacks; empty if it can be fine-tuned and scored."""
    if not any(recipe.labelled_languages(target, split) for split in recipe.splits):
        return f"labelled {' and '.join(recipe.splits)} rows in these languages"
    untrained = []
    for task, _ in recipe.finetuning_stages(target):
        if set(task.train_languages) - set(task.languages("train")):
            untrained.append(task.name)
    return f"training rows of {', '.join(untrained)}" if untrained else ""


def available_rows(rows: Sequence[str], *, skip_missing: bool) -> list[str]:
    """Select the rows of the table that can be trained with the data at hand.

    Prints which rows are skipped, and why.

    Args:
        rows: Rows as `parse_row` reads them.
        skip_missing: Skip rows whose data are missing, as for the rows of a preset.

    Returns:
        The rows, in order.

    Raises:
        DataError: A row lacks data, and `skip_missing` is false; names the rows that can run.
    """
    available: list[str] = []
    skipped: dict[str, list[str]] = {}  # reason -> rows
    instead: list[str] = []
    for row_spec in rows:
        problems = {task.name: _missing_training_rows(task) for task in parse_row(row_spec)}
        reason = next(filter(None, problems.values()), "")
        if not reason:
            available.append(row_spec)
            continue
        skipped.setdefault(reason, []).append(row_spec)
        complete = [name for name, problem in problems.items() if not problem]
        if complete:
            instead.append(f"{'+'.join(complete)} instead of {row_spec}")
    if skipped and not skip_missing:
        reasons = [f"{', '.join(names)}: {reason}" for reason, names in skipped.items()]
        possible = [*(name for name in available if name != BASELINE), *instead]
        raise DataError(
            f"Rows lack data. {' '.join(reasons)} "
            f"Rows that can run: {', '.join(possible) or 'none of these'}."
        )
    for reason, skipped_rows in skipped.items():
        print(f"Skipped rows: {', '.join(skipped_rows)}. {reason}")
    return available


def _missing_training_rows(task: Task) -> str:
    """Why a task cannot be trained with the data at hand; empty if it can."""
    try:
        for language in task.train_languages:
            task.rows("train", language)
    except DataError as error:
        return str(error)
    return ""
