"""The model card of a saved model: its tasks, labels, languages and scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jiantx.report import Report

_MOST_LABELS = 20  # that are listed one by one


def model_card(
    encoder: str,
    tasks: Mapping[str, Mapping[str, Any]],
    heads: Mapping[str, Mapping[str, Any]],
    report: Report | None,
) -> str:
    """README.md for the Hugging Face Hub, with its metadata.

    encoder: the family of the encoder. tasks: name -> head, languages (of training). heads: name -> type, labels.
    report: the scores to show, if any.
    """
    scored = sorted({record.language for record in report or ()})
    languages = sorted(
        {code for task in tasks.values() for code in task["languages"]} | set(scored)
    )
    lines = [
        "---",
        "library_name: jiantx",
        "tags:",
        "- jiantx",
        *(f"- {head['type']}" for head in _types(heads)),
    ]
    lines += (
        ["language:", *(f'- "{code}"' for code in languages if len(code) == 2)] if languages else []
    )
    lines += ["---", "", f"# {', '.join(tasks) or 'Heads'} on a shared encoder ({encoder})", ""]
    lines += [
        "```python",
        "import jiantx as jx",
        "",
        'model = jx.MultitaskModel.from_pretrained("…")  # this folder',
    ]
    lines += [
        "```",
        "",
        "| task | head | type | labels | languages of training |",
        "|---|---|---|---|---|",
    ]
    for name, task in tasks.items():
        head = heads[task["head"]]
        labels = head.get("labels", ())
        shown = ", ".join(labels) if len(labels) <= _MOST_LABELS else f"{len(labels):,} labels"
        trained = ", ".join(task["languages"]) or "not trained"
        lines.append(f"| {name} | {task['head']} | {head['type']} | {shown or '–'} | {trained} |")
    if report is not None and len(report):
        splits = ", ".join(sorted({record.split for record in report}))
        lines += ["", f"## Main scores ({splits}, 0 to 100)", "", report.to_markdown()]
    return "\n".join([*lines, ""])


def _types(heads: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return list({head["type"]: head for head in heads.values()}.values())
