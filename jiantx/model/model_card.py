"""The model card of a saved model: its tasks, labels, languages and scores."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from jiantx.report import Report
from jiantx.report.scores import Score, is_about_run, split_group_metric
from jiantx.report.tables import table_line

_MAX_LABELS = 20  # labels of a task that are listed one by one
_TABLE_HEADER = ["| task | head | type | labels | languages of training |", "|---|---|---|---|---|"]
_USAGE = """```python
import jiantx as jx

model = jx.MultitaskModel.from_pretrained("…")  # this folder
```"""
_ADAPTER_USAGE = """```python
import jiantx as jx
from peft import PeftModel

model = jx.MultitaskModel.from_pretrained("…", tasks)  # the encoder that was adapted
model = PeftModel.from_pretrained(model, "…")  # this folder
```"""
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
        base_model: The encoder's name on the Hub.
        is_adapter: The folder holds PEFT's adapters and no encoder.
        tags: More tags.
        metadata: More fields of `huggingface_hub.ModelCardData`, or others for ours.
    """
    task_types = [head["type"] for head in heads.values()]
    type_of = {name: heads[task["head"]]["type"] for name, task in tasks.items()}
    languages = {record.language for record in report or ()}
    datasets: dict[str, None] = {}
    for task in tasks.values():
        languages |= set(task["languages"])
        datasets |= dict.fromkeys(task.get("datasets", ()))
    results = [
        _eval_result(record, tasks.get(record.task, {}), type_of.get(record.task))
        for record in report or ()
        if not is_about_run(record.metric) and not math.isnan(record.value)
        if not split_group_metric(record.metric)[1]
    ]
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
    lines = ["---", data.to_yaml(), "---", "", f"# {title}", ""]
    lines += [_ADAPTER_USAGE if is_adapter else _USAGE, "", *_TABLE_HEADER]
    for name, task in tasks.items():
        head = heads[task["head"]]
        trained = ", ".join(task["languages"]) or "not trained"
        labels = _label_text(head.get("labels", ()))
        lines.append(table_line([name, task["head"], head["type"], labels, trained]))
    if report is not None and len(report):
        splits = ", ".join(sorted({record.split for record in report}))
        lines += ["", f"## Main scores ({splits}, 0 to 100)", "", report.to_markdown()]
    return "\n".join([*lines, ""])


def _eval_result(record: Score, task: Mapping[str, Any], task_type: str | None) -> EvalResult:
    """One number of the metadata's `model-index`.

    Its name holds the task and the language, as the Hub groups the numbers of one dataset.
    """
    datasets = task.get("datasets", ())
    return EvalResult(
        task_type=_PIPELINE_TAGS.get(task_type or "", task_type or record.task),
        dataset_type=datasets[0] if len(datasets) == 1 else record.task,
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
