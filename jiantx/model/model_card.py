"""The model card of a saved model: its tasks, labels, languages and scores."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from inspect import signature
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from jiantx.model.card_usage import usage
from jiantx.report import Report
from jiantx.report.scores import MAIN, Score, is_about_run, split_group_metric
from jiantx.report.tables import table_line

_MAX_LABELS = 20  # labels of a task that are listed one by one
_TABLE_HEADER = ["| task | head | type | labels | languages of training |", "|---|---|---|---|---|"]
# task type -> the Hub's word for it
_PIPELINE_TAGS = {
    "classification": "text-classification",
    "regression": "text-classification",
    "span_classification": "text-classification",
    "token_classification": "token-classification",
    "question_answering": "question-answering",
    "multiple_choice": "multiple-choice",
    "retrieval": "sentence-similarity",
    "masked_lm": "fill-mask",
}


def model_card(
    encoder: str,
    tasks: Mapping[str, Mapping[str, Any]],
    heads: Mapping[str, Mapping[str, Any]],
    report: Report | None,
    *,
    path: str | os.PathLike[str] = "…",
    trainings: Sequence[Mapping[str, Any]] = (),
    base_model: str | None = None,
    is_adapter: bool = False,
    tags: Sequence[str] = (),
    **metadata: Any,
) -> str:
    """Write README.md for the Hugging Face Hub, with its metadata.

    Args:
        encoder: The family of the encoder.
        tasks: Task name -> its head, its training languages and, where known, its `datasets`.
        heads: Head name -> its config.
        report: Scores to show.
        path: The folder or the id on the Hub that the card's code loads.
        trainings: What the encoder was trained on and how, in order, as `MultitaskConfig` has it.
        base_model: The encoder's name on the Hub.
        is_adapter: The folder holds PEFT's adapters and no encoder.
        tags: More tags.
        metadata: More fields of `huggingface_hub.ModelCardData`, or fields that only this card has.
    """
    task_types = [head["type"] for head in heads.values()]
    type_of = {name: heads[task["head"]]["type"] for name, task in tasks.items()}
    languages = {record.language for record in report or ()}
    datasets: dict[str, None] = {}
    for task in tasks.values():
        languages |= set(task["languages"])
        datasets |= dict.fromkeys(task.get("datasets", ()))
    results = _eval_results(report or Report(), tasks, type_of)
    title = f"{', '.join(tasks) or 'Heads'} on a shared encoder ({encoder})"
    fields: dict[str, Any] = {
        "library_name": "jiantx",
        "pipeline_tag": next(filter(None, map(_PIPELINE_TAGS.get, type_of.values())), None),
        "base_model": base_model,
        "language": [code for code in sorted(languages) if re.fullmatch("[a-z]{2,3}", code)],
        "datasets": list(datasets),
        "tags": ["jiantx", *task_types, *tags],  # ModelCardData keeps the first of equals
    }
    known_fields = {name: value for name, value in fields.items() if value}
    known_fields |= metadata
    if results:
        known_fields |= {"model_name": metadata.get("model_name", title), "eval_results": results}
    else:
        known_fields.pop("model_name", None)  # it names the scores
    data = ModelCardData(**known_fields)
    lines = [
        "---",
        data.to_yaml(),
        "---",
        "",
        f"# {title}",
        "",
        _origin(encoder, tasks, base_model),
        "",
    ]
    lines += ["## Usage", "", usage(path, tasks, is_adapter=is_adapter), ""]
    if not is_adapter:
        lines += ["It needs `pip install jiantx`.", ""]
    if tasks:
        lines += ["## Tasks", "", *_TABLE_HEADER, *_task_lines(tasks, heads, trainings), ""]
    if trainings:
        lines += ["## Training", "", *_training_lines(trainings), ""]
    if datasets:
        links = [f"- [{name}](https://huggingface.co/datasets/{name})" for name in datasets]
        lines += ["## Training data", "", *links, ""]
    if report is not None and any(record.metric == MAIN for record in report):
        splits = ", ".join(sorted({record.split for record in report}))
        lines += [f"## Main scores ({splits}, 0 to 100)", "", report.to_markdown()]
        lines += _zero_shot_lines(report, _trained_languages(tasks, trainings))
    return "\n".join(lines)


def check_metadata(metadata: Mapping[str, Any]) -> None:
    """Check that no field of a card's metadata is nearly one that the Hub reads.

    Args:
        metadata: Field -> value. A field of another name is the user's own.

    Raises:
        TypeError: A field is misspelt.
    """
    listed_fields = [name for name in signature(ModelCardData).parameters if name != "kwargs"]
    for name in metadata:
        similar = get_close_matches(name, listed_fields, n=1, cutoff=0.8)
        if similar and name not in listed_fields:
            raise TypeError(
                f"The card's metadata have the field {name!r}. Did you mean {similar[0]!r}?"
            )


def _origin(encoder: str, tasks: Iterable[str], base_model: str | None) -> str:
    """Say what the model is, and where its encoder comes from."""
    names = [f"`{name}`" for name in tasks]
    heads = f"heads for {len(names)} tasks"
    if len(names) < 2:
        heads = f"a head for {names[0]}" if names else "no head for a task"
    if base_model is None:
        return f"An encoder ({encoder}) with {heads}."
    link = f"[{base_model}](https://huggingface.co/{base_model})"
    return f"An encoder with {heads}, fine-tuned from {link}."


def _training_lines(trainings: Sequence[Mapping[str, Any]]) -> list[str]:
    """One item for each training: its rows, steps, batch, rate, precision and seed."""
    lines = []
    for training in trainings:
        rows = []
        for task, row_counts in training["rows"].items():
            counts = [f"{count:,} ({language})" for language, count in row_counts.items()]
            rows.append(f"{task}, {' + '.join(counts)}")
        size = training["batch_size"]
        if isinstance(size, Mapping):
            size = ", ".join(f"{count} ({task})" for task, count in size.items())
        rate = training["learning_rate"]  # None of an optimizer of the user's own
        facts = [f"{training['steps']:,} steps", f"batch size {size}"]
        facts += [] if rate is None else [f"learning rate {rate:g}"]
        facts += [training["precision"], f"seed {training['seed']}"]
        lines.append(f"- Training rows: {'; '.join(rows)}. {', '.join(facts)}.")
    return lines


def _trained_languages(
    tasks: Mapping[str, Mapping[str, Any]], trainings: Sequence[Mapping[str, Any]]
) -> dict[str, set[str]]:
    """Task -> the languages of all its trainings: the task's own are those of the last one."""
    languages = {name: set(task["languages"]) for name, task in tasks.items()}
    for training in trainings:
        for name, row_counts in training["rows"].items():
            languages.setdefault(name, set()).update(row_counts)
    return languages


def _zero_shot_lines(report: Report, trained: Mapping[str, set[str]]) -> list[str]:
    """Name the languages of each task that were scored and not trained in."""
    phrases = []
    for name in dict.fromkeys(record.task for record in report):
        scored = dict.fromkeys(record.language for record in report if record.task == name)
        zero_shot = [language for language in scored if language not in trained.get(name, ())]
        if trained.get(name) and zero_shot:
            phrases.append(f"{name} in {', '.join(zero_shot)}")
    return [f"Zero-shot, without training rows: {'; '.join(phrases)}.", ""] if phrases else []


def _task_lines(
    tasks: Mapping[str, Mapping[str, Any]],
    heads: Mapping[str, Mapping[str, Any]],
    trainings: Sequence[Mapping[str, Any]],
) -> list[str]:
    """The lines of the table of tasks."""
    languages_of = _trained_languages(tasks, trainings)
    lines = []
    for name, task in tasks.items():
        head = heads[task["head"]]
        last_languages = dict.fromkeys(task["languages"])
        languages = [*last_languages, *sorted(languages_of[name] - last_languages.keys())]
        trained = ", ".join(languages) or "not trained"
        labels = _label_text(head.get("labels", ()))
        lines.append(table_line([name, task["head"], head["type"], labels, trained]))
    return lines


def _eval_results(
    report: Report, tasks: Mapping[str, Mapping[str, Any]], type_of: Mapping[str, str]
) -> list[EvalResult]:
    """The numbers of the metadata's `model-index`, without counts and undefined ones."""
    scored = dict.fromkeys(record.task for record in report)
    datasets_of = {name: tuple(tasks.get(name, {}).get("datasets", ())) for name in scored}
    # the Hub joins the numbers of one dataset: tasks that share one go by their names
    counts = Counter(datasets_of.values())
    results = []
    for record in report:
        is_about_rows = not is_about_run(record.metric) and not split_group_metric(record.metric)[1]
        if is_about_rows and not math.isnan(record.value):
            names = datasets_of[record.task]
            has_own = len(names) == 1 and counts[names] == 1
            dataset = names[0] if has_own else record.task
            results.append(_eval_result(record, dataset, type_of.get(record.task)))
    return results


def _eval_result(record: Score, dataset: str, task_type: str | None) -> EvalResult:
    """One number of the metadata's `model-index`.

    Its name holds the task and the language, as the Hub groups the numbers of one dataset.
    """
    return EvalResult(
        task_type=_PIPELINE_TAGS.get(task_type or "", task_type or record.task),
        dataset_type=dataset,
        dataset_name=f"{record.task} ({record.language})",
        dataset_config=record.language,
        dataset_split=record.split,
        metric_type=record.metric,
        metric_name=f"{record.task}, {record.language}: {record.metric}",
        metric_value=record.value,
        metric_args=dict(record.tags) or None,
    )


def _label_text(labels: Sequence[str]) -> str:
    if len(labels) > _MAX_LABELS:
        return f"{len(labels):,} labels"
    return ", ".join(labels).replace("<", "&lt;") or "–"  # Markdown hides what looks like HTML
