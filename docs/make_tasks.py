"""Write docs/tasks.md from the registry and docs/tasks.toml (`make docs`; a test compares)."""

from __future__ import annotations

import itertools
import tomllib
from pathlib import Path

import jiantx as jx
from jiantx.metrics import metric_name
from jiantx.sources import Concat, Files, Hub, Source, Unfold
from jiantx.task import Task
from jiantx.tasks import BENCHMARKS

HERE = Path(__file__).parent
INTRODUCTION = """# The task library

Every task that `jx.get_task(name)` knows, from the registry and `docs/tasks.toml` (`make docs`
writes this page).
`jx.list_tasks(type="question_answering", language="sw", benchmark="xtreme")` finds them by what
they are.

- *Sizes* are the published rows of train / validation / test (for one language where they are the
  same in all), from the papers and data cards; "-" is none.
- *Tried* says what rows this project has run the task on. "Real rows": slices of the real data, in
  its own columns. "The synthetic world only", or "rows made up", "by hand": the declaration is
  written from the publisher's description, and no real row was at hand.
- A *revision* pins the commit of a repository of the Hugging Face Hub; what has none is read as it
  is today. No revision could be tried here, where there is no Hub.
- Main scores are on 0 to 100, higher is better; several metrics are averaged.
"""


def card(task: Task, record: dict[str, str]) -> str:
    """One task's section; `record` is its table in tasks.toml."""
    languages = declared_languages(task)
    main = [metric_name(metric) for metric in task.main_metrics or task.metrics]
    facts = {
        "paper": record["citation"],
        "licence": record["licence"],
        "source": "; ".join(dict.fromkeys(sources(task.source))),
        "candidates": "; ".join(sources(task.corpus_task.source)) if task.corpus_task else "",
        "languages": f"{len(languages)}: {' '.join(sorted(languages))}",
        "sizes": record["sizes"],
        "metrics": ", ".join(metric_name(metric) for metric in task.metrics),
        "main score": " and ".join(main) + (", their mean" if len(main) > 1 else ""),
        "trained on": ", then ".join(f"`{name}`" for name in task.train_on),
        "head": f"`{task.head_name}`" if task.head else "",
        "benchmarks": ", ".join(b.name for b in BENCHMARKS.values() if task.name in b),
        "to know": record.get("notes", ""),
        "tried on": record["tried"],
    }
    lines = [f"- {name}: {value}" for name, value in facts.items() if value]
    return "\n".join([f"### {task.name}", "", *lines, ""])


def declared_languages(task: Task) -> tuple[str, ...]:
    """The languages that a task's source declares."""
    return getattr(task.source, "languages", ("en",))


def sources(source: Source) -> list[str]:
    """Where rows come from, in words."""
    if isinstance(source, Concat):
        return list(itertools.chain.from_iterable(map(sources, source.sources)))
    if isinstance(source, Unfold):
        return sources(source.source)
    if isinstance(source, Hub):
        config = f", `{source.config}`" if source.config else ""
        revision = f"revision `{source.revision}`" if source.revision else "not pinned"
        return [f"Hub `{source.path}`{config}, {revision}"]
    assert isinstance(source, Files)
    return [f"files `{source.pattern}` from {source.origin}"]


def page() -> str:
    """The whole page: a table of all tasks, then a section a task type."""
    records = tomllib.loads((HERE / "tasks.toml").read_text(encoding="utf-8"))
    tasks = [jx.get_task(name) for name in jx.list_tasks()]
    in_one_only = set(records) ^ {task.name for task in tasks}
    if in_one_only:
        raise SystemExit(f"docs/tasks.toml and the registry differ in {in_one_only}.")
    lines = [
        INTRODUCTION,
        "| task | type | languages | train / validation / test | tried on |",
        "|---|---|---:|---|---|",
    ]
    for task in tasks:
        record = records[task.name]
        lines.append(
            f"| [{task.name}](#{task.name}) | {task.task_type} | {len(declared_languages(task))} "
            f"| {record['sizes']} | {record['tried']} |"
        )
    lines.append("")
    for task_type in sorted({task.task_type for task in tasks}):
        lines += [f"## {task_type.replace('_', ' ').capitalize()}", ""]
        lines += [card(task, records[task.name]) for task in tasks if task.task_type == task_type]
    return "\n".join(lines)


if __name__ == "__main__":
    (HERE / "tasks.md").write_text(page(), encoding="utf-8")
    print(f"Written: {HERE / 'tasks.md'}")
