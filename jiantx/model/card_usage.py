"""The model card's code: how to load a saved model, and an input for each of its tasks."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from jiantx.model.declarations import missing_code
from jiantx.tasks import TASKS

_MOST_EXAMPLES = 8  # tasks that have a line of their own
_ADAPTER_USAGE = """```python
import jiantx as jx
from peft import PeftModel

model = jx.MultitaskModel.from_pretrained("…", tasks)  # the encoder that was adapted
model = PeftModel.from_pretrained(model, {path})  # this folder
```"""
_TEXT = "What a lovely day."
_SECOND_TEXT = "It rains."
# Task type -> an input. The names of texts stand for the columns that the task reads.
_INPUTS: dict[str, Any] = {
    "token_classification": "Ann lives in Paris .",
    "question_answering": ("Who wrote it?", "Ann wrote it."),
    "multiple_choice": ("The sky is", ["blue.", "loud."]),
    "sentence_ranking": ("She sees it.", "She see it."),
    "retrieval": [("Hello!", "Hallo!"), ("Good night.", "Gute Nacht.")],
}


def usage(
    path: str | os.PathLike[str],
    tasks: Mapping[str, Mapping[str, Any]],
    *,
    is_adapter: bool = False,
) -> str:
    """Write code that can be pasted: it loads the model and predicts.

    Args:
        path: Where the model is.
        tasks: Task name -> its entry of the config.
        is_adapter: The folder holds PEFT's adapters and no encoder.
    """
    quoted_path = json.dumps(os.fspath(path), ensure_ascii=False)
    if is_adapter:
        return _ADAPTER_USAGE.format(path=quoted_path)
    lacking = {name: missing_code(entry) for name, entry in tasks.items() if name not in TASKS}
    lacking = {name: code for name, code in lacking.items() if code}
    lines = ["import jiantx as jx", ""]
    options = ""
    if lacking and len(lacking) == len(tasks):  # nothing can be predicted without them
        lines.insert(1, f"from my_tasks import {', '.join(lacking)}  # where they are declared")
        options = f", tasks=[{', '.join(lacking)}]"
    remark = "this folder, or its id on the Hub"
    lines.append(f"model = jx.load({quoted_path}{options})  # {remark}")
    for name, code in ({} if options else lacking).items():
        lines.append(f"# {name} needs its {', '.join(code)}, which no folder holds: give it,")
        lines.append(f"# jx.load({quoted_path}, tasks=[{name}])")
    examples = [(name, _example(entry)) for name, entry in tasks.items()]
    examples = [(name, example) for name, example in examples if example is not None]
    for name, example in examples[:_MOST_EXAMPLES]:
        chosen = f', task="{name}"' if len(tasks) > 1 else ""
        lines.append(f"print(model.predict({_literal(example)}{chosen}))")
    return "\n".join(["```python", *lines, "```"])


def _example(entry: Mapping[str, Any]) -> Any:
    """An input of a task; None if it cannot be written down without the task's data."""
    declared = entry.get("declaration")
    if declared is None or missing_code(entry):
        return None
    columns = declared.get("fields", {})
    if declared["type"] in ("classification", "regression"):
        return _TEXT if columns.get("text_pair") is None else (_TEXT, _SECOND_TEXT)
    if declared["type"] == "span_classification":
        return _spans(columns)
    if declared["type"] == "multiple_choice" and columns.get("scored_texts") is not None:
        return None
    return _INPUTS.get(declared["type"])


def _literal(value: Any) -> str:
    """A value as Python code, with double quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        items = [f"{_literal(key)}: {_literal(item)}" for key, item in value.items()]
        return f"{{{', '.join(items)}}}"
    if isinstance(value, tuple | list):
        joined = ", ".join(map(_literal, value))
        return f"({joined})" if isinstance(value, tuple) else f"[{joined}]"
    return repr(value)


def _spans(columns: Mapping[str, Any]) -> dict[str, Any]:
    """A row with a target, in whichever units: the first word, or the first letter."""
    row: dict[str, Any] = {columns["text"]: _TEXT, columns["span1"]: [0, 1]}
    if columns.get("text_pair") is not None:
        row[columns["text_pair"]] = _SECOND_TEXT
    if columns.get("span2") is not None:
        row[columns["span2"]] = [0, 1]
    return row
