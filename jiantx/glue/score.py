"""Score the files of a submission on splits whose labels are public."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers.utils import logging

from jiantx.glue.files import GLUE_SUBMISSION, SUPERGLUE_SUBMISSION, Submission
from jiantx.report import Report, Score
from jiantx.scoring import score_values
from jiantx.sources import DataError
from jiantx.task import Task
from jiantx.tasks import get_task, list_tasks

logger = logging.get_logger("jiantx.evaluation")


def score_glue(folder: str | Path, split: str = "validation") -> Report:
    """Score files in GLUE's format, without a model.

    Args:
        folder: Of `write_glue_predictions`, or of another program: CoLA.tsv, MRPC.tsv, …
        split: The split that was predicted. Labels are those of the tasks' own rows. The test
            labels of MRPC and of the diagnostic set are public.

    Returns:
        A report with every metric of the tasks that have a file here and labels in the split.
        `report.benchmark(jx.GLUE)` averages them.

    Raises:
        DataError: There is nothing to score, or files lack rows, have too many or cannot be read;
            names all of them.

    Example:
        >>> score_glue("glue").benchmark(GLUE)  # doctest: +SKIP
    """
    return _score(GLUE_SUBMISSION, Path(folder), split)


def score_superglue(folder: str | Path, split: str = "validation") -> Report:
    """Score files in SuperGLUE's format, without a model.

    Args:
        folder: Of `write_superglue_predictions`, or of another program: BoolQ.jsonl, CB.jsonl, …
        split: The split that was predicted. Labels are those of the tasks' own rows. The test
            labels of AX-b and AX-g are public.

    Returns:
        A report with every metric of the tasks that have a file here and labels in the split.
        `report.benchmark(jx.SUPERGLUE)` averages them.

    Raises:
        DataError: There is nothing to score, or files lack rows, have too many or cannot be read;
            names all of them.

    Example:
        >>> score_superglue("superglue").benchmark(SUPERGLUE)  # doctest: +SKIP
    """
    return _score(SUPERGLUE_SUBMISSION, Path(folder), split)


def _score(submission: Submission, folder: Path, split: str) -> Report:
    registered = set(list_tasks())
    scores: list[Score] = []
    unlabelled = []
    problems = []
    for name, file in submission.files.items():
        path = folder / file.name
        if name not in registered or not path.is_file():
            continue
        task = get_task(name)
        if not task.languages(split) or not task.is_labelled(split):
            unlabelled.append(file.name)
            continue
        try:
            scores += _score_file(submission, task, path, split)
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise DataError("\n".join([f"Files that cannot be scored: {len(problems)}.", *problems]))
    if unlabelled:
        logger.warning_once(
            f"Not scored, since the split {split!r} has no labels: {', '.join(unlabelled)}."
        )
    if not scores:
        names = ", ".join(file.name for file in submission.files.values())
        raise DataError(
            f"{folder} has no file that can be scored on the split {split!r}. "
            f"{submission.leaderboard} has: {names}."
        )
    return Report(scores)


def _score_file(submission: Submission, task: Task, path: Path, split: str) -> list[Score]:
    rows = task.rows(split)
    examples = task.examples(split, rows=rows, labelled=True)
    references = [task.reference(example) for example in examples]
    values = _values(submission, task, path, submission.keys(task, rows))
    return score_values(task, split, "en", rows, values, references)


def _values(submission: Submission, task: Task, path: Path, keys: list[Any]) -> list[Any]:
    """The predictions of a file, in the order of the rows."""
    items = submission.read(path)
    missing = [key for key in keys if key not in items]
    if missing or len(items) > len(keys):
        example = f"; it lacks {missing[0]!r}" if missing else ""
        raise DataError(f"{path} has {len(items):,} predictions for {len(keys):,} rows{example}.")
    form = submission.file_of(task).form
    values = []
    for key in keys:
        try:
            values.append(form.read(task, items[key]))
        except DataError as error:
            raise DataError(f"{path}: of row {key!r} {error}") from None
    return values
