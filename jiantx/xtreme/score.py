"""XTREME's scorer: the scores of Google's `evaluate.py`, from files and without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from jiantx import metrics
from jiantx.fields import check_choice
from jiantx.metrics import Answer, Answers, Metric, metric_name
from jiantx.sources import DataError, read_squad
from jiantx.task import Task
from jiantx.tasks import get_task
from jiantx.xtreme.files import Version, benchmark_of, file_format, file_path, read_items

_UNSCORED = ("lareqa",)  # the official program has no reader for it
_METRICS: dict[str, tuple[Metric, ...]] = {
    "retrieval": (metrics.accuracy,),  # of line numbers
    "rankings": (metrics.mean_average_precision,),
}


def score_xtreme(
    predictions_dir: str | Path,
    labels_dir: str | Path,
    version: Version = "xtreme",
    *,
    seqeval: Literal["0.0.12", "1.2.2"] = "0.0.12",
) -> dict[str, Any]:
    """Score a submission as XTREME's `evaluate.py` does, and return the scores under its keys.

    LAReQA is skipped, because the official program cannot score it.

    Args:
        predictions_dir: The folder of the submission.
        labels_dir: A folder of labels in the same layout.
        version: "xtreme" or "xtreme-r".
        seqeval: Whose rules score tags. From 1.0 on, CCONJ and SCONJ count as one tag.

    Returns:
        `all_task`: the mean over tasks. `<group>`: the mean over the tasks of a group. `<task>`: a
        dictionary of metric -> language -> score, of the metrics' means over languages
        (`avg_<metric>`), and of `avg_metric`, the task's score in the means over tasks.

    Raises:
        DataError: Files are missing or cannot be read, or have more or fewer items than their
            labels; names all of them.
        ValueError: There is no such version.
    """
    benchmark = benchmark_of(version)
    check_choice("seqeval", seqeval, ("0.0.12", "1.2.2"))
    by_metric: dict[str, dict[str, dict[str, float]]] = {}  # task -> metric -> language -> score
    problems: list[str] = []
    for name in benchmark:
        if name not in _UNSCORED:
            by_metric[name] = _scores_by_metric(
                get_task(name),
                benchmark.languages[name],
                predictions_dir,
                labels_dir,
                seqeval,
                problems,
            )
    if problems:
        raise DataError("\n".join([f"Files that cannot be scored: {len(problems)}.", *problems]))
    scores: dict[str, Any] = {name: _with_averages(of_task) for name, of_task in by_metric.items()}
    groups = dict(benchmark.groups)
    if "xcopa" in benchmark:
        groups["multi_choice"] = ("xcopa",)
    group_means = {}
    for group, tasks in groups.items():
        group_means[group] = fmean(scores[task]["avg_metric"] for task in tasks if task in scores)
    all_task = fmean(task_scores["avg_metric"] for task_scores in scores.values())
    return {"all_task": all_task, **group_means, **scores}


def _with_averages(by_metric: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """A task's scores, metric -> language -> score, with the averages over languages."""
    averages = {metric: fmean(values.values()) for metric, values in by_metric.items()}
    main_metrics = ("exact_match", "f1") if "exact_match" in averages else list(averages)[:1]
    return {
        **by_metric,
        **{f"avg_{metric}": value for metric, value in averages.items()},
        "avg_metric": fmean(averages[metric] for metric in main_metrics),
    }


def _scores_by_metric(
    task: Task,
    languages: Sequence[str],
    predictions_dir: str | Path,
    labels_dir: str | Path,
    seqeval: str,
    problems: list[str],
) -> dict[str, dict[str, float]]:
    """Metric -> language -> score; the first metric is the one that is averaged.

    Files that cannot be scored are left out and added to `problems`.
    """
    by_metric: dict[str, dict[str, float]] = {}
    for language in languages:
        predictions_path = file_path(predictions_dir, task, language)
        labels_path = file_path(labels_dir, task, language)
        try:
            scores = _score_file(task, language, predictions_path, labels_path, seqeval)
        except DataError as error:
            problems.append(str(error))
            continue
        for metric, value in scores.items():
            by_metric.setdefault(metric, {})[language] = value
    return by_metric


def _score_file(
    task: Task, language: str, predictions_path: Path, labels_path: Path, seqeval: str
) -> dict[str, float]:
    """The official metrics of one task in one language.

    Predictions and labels are brought into the same order first: by line, or by the ids of the
    labels. Mined pairs are grouped by query.
    """
    format = file_format(task)
    predictions: Any = read_items(predictions_path, format)
    if format == "question_answering":
        labels: Any = _read_answers(labels_path, language)
    else:
        labels = read_items(labels_path, format)
    if not labels:
        raise DataError(f"{labels_path} has no items, so nothing can be scored.")
    if format == "pairs":
        predicted_pairs = _read_pairs(predictions_path, predictions)
        gold_pairs = _read_pairs(labels_path, labels)
        query_ids = sorted({pair[0] for pair in predicted_pairs | gold_pairs})
        predictions = _group_by_query(predicted_pairs, query_ids)
        labels = _group_by_query(gold_pairs, query_ids)
    elif isinstance(labels, dict):
        missing = [id for id in labels if id not in predictions]
        if missing:
            raise DataError(
                f"{predictions_path} lacks {len(missing)} of {len(labels)} items, "
                f"such as {missing[0]!r}."
            )
        predictions = [predictions[id] for id in labels]
        labels = list(labels.values())
    if len(predictions) != len(labels):
        raise DataError(
            f"{predictions_path} has {len(predictions)} items, {labels_path} has {len(labels)}. "
            "Expected as many."
        )
    if format == "token_classification":
        _check_sentences(predictions, labels, predictions_path, labels_path)
        scores = metrics.chunk_scores(predictions, labels, seqeval=seqeval)
        return {"f1": scores.f1, "precision": scores.precision, "recall": scores.recall}
    if format == "question_answering":
        predictions = [Answer(text) for text in predictions]
    task_metrics = _METRICS.get(format, task.metrics)
    return {metric_name(m): task.compute(m, predictions, labels) for m in task_metrics}


def _check_sentences(
    predictions: Sequence[Sequence[str]],
    labels: Sequence[Sequence[str]],
    predictions_path: Path,
    labels_path: Path,
) -> None:
    """Raise DataError if a sentence has another number of tags than its labels."""
    for index, (predicted, gold) in enumerate(zip(predictions, labels, strict=True)):
        if len(predicted) != len(gold):
            raise DataError(
                f"{predictions_path}: sentence {index} has {len(predicted)} tags, "
                f"{labels_path} has {len(gold)}."
            )


def _read_answers(path: Path, language: str) -> dict[str, Answers]:
    """Read labels in the format of SQuAD: question id -> right answers."""
    if not path.is_file():
        raise DataError(f"{path} is missing.")
    return {row["id"]: Answers(tuple(row["answers"]["text"]), language) for row in read_squad(path)}


def _read_pairs(path: Path, lines: Sequence[str]) -> set[tuple[str, ...]]:
    """Split lines of two ids at the tab."""
    pairs = {tuple(line.split("\t")) for line in lines}
    wrong = [pair for pair in pairs if len(pair) != 2]
    if wrong:
        raise DataError(f"{path}: expected two ids and a tab between them, found {wrong[0]}.")
    return pairs


def _group_by_query(pairs: set[tuple[str, ...]], query_ids: Sequence[str]) -> list[tuple[str, ...]]:
    """(queries,) the ids that each query is paired with."""
    partners: dict[str, list[str]] = {}
    for query_id, partner in pairs:
        partners.setdefault(query_id, []).append(partner)
    return [tuple(partners.get(query_id, ())) for query_id in query_ids]
