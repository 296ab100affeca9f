"""Write predictions in the format of XTREME's leaderboards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jiantx.cache import write_text
from jiantx.evaluation import predict_splits
from jiantx.model import MultitaskModel
from jiantx.scoring import SplitPredictions
from jiantx.sources import DataError
from jiantx.task import Task
from jiantx.tasks import Tasks, resolve_tasks
from jiantx.xtreme.files import Version, benchmark_of, file_format, file_path
from jiantx.xtreme.official_sizes import OFFICIAL_SIZES


def write_xtreme_predictions(
    model: MultitaskModel,
    tasks: Tasks,
    folder: str | Path,
    version: Version = "xtreme",
    *,
    languages: Sequence[str] | None = None,
    batch_size: int = 32,
    check_counts: bool = True,
) -> list[Path]:
    """Predict the test splits of XTREME or XTREME-R and write the leaderboard's files.

    Call it once for each fine-tuned model, with the same folder. A file is
    `<folder>/<task>/test-<language>.tsv` (or .json, .jsonl). BUCC's threshold comes from its
    validation split.

    Args:
        model: A fine-tuned model with a head for each of the tasks.
        tasks: Tasks of the benchmark or their names, or one alone.
        folder: The folder of the submission.
        version: "xtreme" or "xtreme-r".
        languages: The languages to predict; all of the task's in the benchmark if None.
        batch_size: Examples per batch.
        check_counts: Raise an error if a split has another size than the official one. Pass False
            to predict a part of the data.

    Returns:
        The paths of the written files.

    Raises:
        DataError: A task is not in the benchmark, a language is missing, or a split has another
            size than the official one. Raised before anything is predicted.
        ValueError: There is no such version.

    Example:
        >>> write_xtreme_predictions(model, [get_task("xnli")], "submission")  # doctest: +SKIP
    """
    benchmark = benchmark_of(version)
    tasks = resolve_tasks(tasks)
    requested = [languages] if isinstance(languages, str) else languages
    languages_of: dict[str, list[str]] = {}
    for task in tasks:
        if task.name not in benchmark:
            raise DataError(
                f"Task {task.name} does not belong to {version}. Its tasks: {', '.join(benchmark)}."
            )
        languages_of[task.name] = list(requested or benchmark.languages[task.name])
        for language in languages_of[task.name]:
            row_count = len(task.rows("test", language))
            if check_counts:
                _check_count(task, language, row_count, file_path(folder, task, language))
    written = []
    for task in tasks:
        for split_predictions in predict_splits(
            model, task, "test", languages_of[task.name], batch_size=batch_size, labelled=False
        ):
            path = file_path(folder, task, split_predictions.features.language)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, "".join(_WRITERS[file_format(task)](split_predictions)))
            written.append(path)
    return written


def _check_count(task: Task, language: str, row_count: int, path: Path) -> None:
    official = OFFICIAL_SIZES.get(task.name, {}).get(language)
    if official not in (None, row_count):
        raise DataError(
            f"{path}: the test split has {row_count:,} rows, the official one {official:,}. "
            "Give check_counts=False to predict a part of it."
        )


# --- one writer per format: predictions -> lines --------------------------------------------------


def _write_labels(split: SplitPredictions) -> Iterator[str]:
    for prediction in split.predictions:
        yield f"{prediction.label}\n"


def _write_choices(split: SplitPredictions) -> Iterator[str]:
    for prediction in split.predictions:
        yield f'{{"label": {prediction.choice}}}\n'


def _write_tags(split: SplitPredictions) -> Iterator[str]:
    for prediction in split.predictions:
        yield "".join(f"{tag}\n" for tag in prediction.tags) + "\n"


def _write_answers(split: SplitPredictions) -> Iterator[str]:
    yield _json_text(split, [prediction.answer for prediction in split.predictions])


def _write_rankings(split: SplitPredictions) -> Iterator[str]:
    yield _json_text(split, [list(prediction.ranking) for prediction in split.predictions])


def _write_pairs(split: SplitPredictions) -> Iterator[str]:
    for prediction in split.predictions:
        if prediction.ranking:
            yield f"{prediction.id}\t{prediction.ranking[0]}\n"


def _write_line_numbers(split: SplitPredictions) -> Iterator[str]:
    """For Tatoeba, whose English queries are in alphabetical order; line numbers start at 0."""
    examples = split.features.examples()
    line_numbers = {example.id: index for index, example in enumerate(examples)}
    queries = [example.query for example in examples]
    alphabetical = sorted(range(len(queries)), key=queries.__getitem__)
    for index in alphabetical:
        best_candidate = split.predictions[index].ranking[0]
        yield f"{line_numbers[best_candidate]}\n"


def _json_text(split: SplitPredictions, values: Sequence[Any]) -> str:
    """A JSON object, id -> value; the format has room for one value for each id."""
    ids = [prediction.id for prediction in split.predictions]
    by_id = dict(zip(ids, values, strict=True))
    if len(by_id) < len(ids):
        raise DataError(
            f"Task {split.features.task.name}, split {split.features.split!r}, language "
            f"{split.features.language!r}: {len(ids):,} rows have {len(by_id):,} different ids. "
            "The leaderboard's file needs one for each row."
        )
    return json.dumps(by_id, ensure_ascii=False) + "\n"


_WRITERS: dict[str, Callable[[SplitPredictions], Iterator[str]]] = {
    "classification": _write_labels,
    "multiple_choice": _write_choices,
    "token_classification": _write_tags,
    "question_answering": _write_answers,
    "rankings": _write_rankings,
    "pairs": _write_pairs,
    "retrieval": _write_line_numbers,
}
