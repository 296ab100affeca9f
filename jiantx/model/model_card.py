"""The model card of a saved model: its tasks, labels, languages and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jiantx.report import Report

_MAX_LABELS = 20  # labels of a task that are listed one by one
_TABLE_HEADER = ["| task | head | type | labels | languages of training |", "|---|---|---|---|---|"]
_USAGE = """```python
import jiantx as jx

model = jx.MultitaskModel.from_pretrained("…")  # this folder
```"""


def model_card(
    encoder: str,
    tasks: Mapping[str, Mapping[str, Any]],
    heads: Mapping[str, Mapping[str, Any]],
    report: Report | None,
) -> str:
    """Write README.md for the Hugging Face Hub, with its metadata.

    Args:
        encoder: The family of the encoder.
        tasks: Task name -> its head and its training languages.
        heads: Head name -> its config.
        report: Scores to show.
    """
    task_types = dict.fromkeys(head["type"] for head in heads.values())
    lines = ["---", "library_name: jiantx", "tags:", "- jiantx"]
    lines += [f"- {task_type}" for task_type in task_types]
    languages = {record.language for record in report or ()}
    for task in tasks.values():
        languages |= set(task["languages"])
    if languages:
        lines.append("language:")
        lines += [f'- "{language}"' for language in sorted(languages) if len(language) == 2]
    lines += ["---", "", f"# {', '.join(tasks) or 'Heads'} on a shared encoder ({encoder})", ""]
    lines += [_USAGE, "", *_TABLE_HEADER]
    for name, task in tasks.items():
        head = heads[task["head"]]
        trained = ", ".join(task["languages"]) or "not trained"
        labels = _label_text(head.get("labels", ()))
        lines.append(f"| {name} | {task['head']} | {head['type']} | {labels} | {trained} |")
    if report is not None and len(report):
        splits = ", ".join(sorted({record.split for record in report}))
        lines += ["", f"## Main scores ({splits}, 0 to 100)", "", report.to_markdown()]
    return "\n".join([*lines, ""])


def _label_text(labels: Sequence[str]) -> str:
    if len(labels) > _MAX_LABELS:
        return f"{len(labels):,} labels"
    return ", ".join(labels) or "–"
