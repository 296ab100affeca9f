"""Write predictions in the formats of the GLUE and SuperGLUE leaderboards."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

from accelerate import PartialState

from jiantx.cache import write_text
from jiantx.evaluation import predict_splits
from jiantx.glue.files import GLUE_SUBMISSION, SUPERGLUE_SUBMISSION, Submission
from jiantx.model import MultitaskModel
from jiantx.scoring import SplitPredictions
from jiantx.sources import DataError
from jiantx.task import Task
from jiantx.tasks import Tasks, resolve_tasks

ZIP_NAME = "submission.zip"


def write_glue_predictions(
    model: MultitaskModel,
    tasks: Tasks,
    folder: str | Path,
    *,
    split: str = "test",
    batch_size: int = 32,
    check_counts: bool = True,
) -> list[Path]:
    """Predict tasks of GLUE, and write their files and the zip of all files in the folder.

    Call it once for each fine-tuned model, with the same folder. The leaderboard takes
    `submission.zip` once it has all eleven files: those of the tasks of `jx.GLUE`, and AX.tsv of
    `glue_diagnostic`.

    Args:
        model: A fine-tuned model with a head for each of the tasks.
        tasks: Tasks of GLUE or their names, or one alone.
        folder: The folder of the submission.
        split: "test", or another one for `score_glue`.
        batch_size: Examples per batch.
        check_counts: Raise an error if a test split has another size than the official one. Pass
            False to predict a part of the data.

    Returns:
        The paths of the written files, and of the zip.

    Raises:
        DataError: A task is not in GLUE, has no such split, or has another number of rows than the
            official test set. Raised before anything is predicted. Or the official file cannot hold
            a prediction.

    Example:
        >>> write_glue_predictions(model, ["cola"], "glue")  # doctest: +SKIP
    """
    return _write(GLUE_SUBMISSION, model, tasks, Path(folder), split, batch_size, check_counts)


def write_superglue_predictions(
    model: MultitaskModel,
    tasks: Tasks,
    folder: str | Path,
    *,
    split: str = "test",
    batch_size: int = 32,
    check_counts: bool = True,
) -> list[Path]:
    """Predict tasks of SuperGLUE, and write their files and the zip of all files in the folder.

    Call it once for each fine-tuned model, with the same folder. The leaderboard takes
    `submission.zip` once it has all ten files: those of the tasks of `jx.SUPERGLUE`, of `axb` and
    of `axg`.

    Args:
        model: A fine-tuned model with a head for each of the tasks.
        tasks: Tasks of SuperGLUE or their names, or one alone.
        folder: The folder of the submission.
        split: "test", or another one for `score_superglue`.
        batch_size: Examples per batch.
        check_counts: Raise an error if a test split has another size than the official one. Pass
            False to predict a part of the data.

    Returns:
        The paths of the written files, and of the zip.

    Raises:
        DataError: A task is not in SuperGLUE, has no such split, or has another number of rows than
            the official test set. Raised before anything is predicted. Or the official file cannot
            hold a prediction.

    Example:
        >>> write_superglue_predictions(model, ["boolq"], "superglue")  # doctest: +SKIP
    """
    return _write(SUPERGLUE_SUBMISSION, model, tasks, Path(folder), split, batch_size, check_counts)


def _write(
    submission: Submission,
    model: MultitaskModel,
    tasks: Tasks,
    folder: Path,
    split: str,
    batch_size: int,
    check_counts: bool,
) -> list[Path]:
    tasks = resolve_tasks(tasks)
    for task in tasks:
        official = submission.file_of(task).test_rows
        row_count = len(task.rows(split))
        if check_counts and split == "test" and row_count != official:
            raise DataError(
                f"Task {task.name}: the test split has {row_count:,} rows, the official one "
                f"{official:,}. Give check_counts=False to predict a part of it."
            )
        submission.keys(task, task.rows(split))  # a missing one is found before a pass
    written = []
    folder.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        path = folder / submission.file_of(task).name
        for result in predict_splits(
            model, task, split, ["en"], batch_size=batch_size, labelled=False
        ):
            text = file_text(submission, task, result)
            if PartialState().is_main_process:
                write_text(path, text)
        written.append(path)
    names = [file.name for file in submission.files.values()]
    if PartialState().is_main_process:
        write_zip(folder, names)
    return [*written, folder / ZIP_NAME]


def file_text(submission: Submission, task: Task, result: SplitPredictions) -> str:
    """The text of a task's file.

    Args:
        submission: What the leaderboard takes.
        task: The task.
        result: Its predictions.

    Raises:
        DataError: The file cannot hold a prediction; names its row.
    """
    file = submission.file_of(task)
    keys = submission.keys(task, result.features.rows)
    items = {}
    for key, prediction in zip(keys, result.predictions, strict=True):
        try:
            items[key] = file.form.write(task, prediction.value)
        except DataError as error:
            raise DataError(f"{file.name} cannot be written: of row {key!r} {error}") from None
    return submission.write(items)


def write_zip(folder: Path, names: Sequence[str]) -> None:
    """Write the zip of the files that a folder has; equal files give equal bytes.

    Args:
        folder: The folder of the submission.
        names: The official names.
    """
    draft = folder / f".{ZIP_NAME}"
    with zipfile.ZipFile(draft, "w") as archive:
        for name in names:
            if (folder / name).is_file():
                entry = zipfile.ZipInfo(name)  # dated 1980
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, (folder / name).read_bytes())
    draft.replace(folder / ZIP_NAME)
