"""Write docs/tasks.md from the registry and docs/tasks.toml (`make docs`; a test compares)."""

from __future__ import annotations

import tomllib
from pathlib import Path

import jiantx as jx
from jiantx.metrics import metric_name
from jiantx.sources import Concat, Files, Hub, Source
from jiantx.task import Task

HERE = Path(__file__).parent
INTRODUCTION = """# The task library

Every task that `jx.get_task(name)` knows, from the registry and `docs/tasks.toml` (`make docs` writes this page).
`jx.list_tasks(type="question_answering", language="sw", benchmark="xtreme")` finds them by what they are.

- *Sizes* are the published rows of train / validation / test (for one language where they are the same in all), from
  the papers and data cards; "-" is none.
- *Tried* says what rows this project has run the task on. "Real rows": slices of the real data, in its own columns.
  "The synthetic world only": the declaration is written from the publisher's description, and no real row was at hand.
- A *revision* pins the commit of a repository of the Hugging Face Hub; what has none is read as it is today. No
  revision could be tried here, where there is no Hub.
- Main scores are on 0 to 100, higher is better; several metrics are averaged.
"""


def card(task: Task, known: dict[str, str]) -> str:
    """One task's section."""
    languages = getattr(task.source, "languages", ("en",))
    main = [metric_name(metric) for metric in task.main_metrics or task.metrics]
    benchmarks = [
        b.name for b in (jx.XTREME, jx.XTREME_R, jx.XSTILTS_INTERMEDIATE) if task.name in b
    ]
    facts = {
        "paper": known["citation"],
        "licence": known["licence"],
        "source": "; ".join(dict.fromkeys(sources(task.source))),
        "candidates": "; ".join(sources(task.corpus_task.source)) if task.corpus_task else "",
        "languages": f"{len(languages)}: {' '.join(sorted(languages))}",
        "sizes": known["sizes"],
        "metrics": ", ".join(metric_name(metric) for metric in task.metrics),
        "main score": " and ".join(main) + (", their mean" if len(main) > 1 else ""),
        "trained on": ", then ".join(f"`{name}`" for name in task.train_on),
        "head": f"`{task.head_name}`" if task.head else "",
        "benchmarks": ", ".join(benchmarks),
        "to know": known.get("notes", ""),
        "tried on": known["tried"],
    }
    lines = [f"- {name}: {value}" for name, value in facts.items() if value]
    return "\n".join([f"### {task.name}", "", *lines, ""])


def sources(source: Source) -> list[str]:
    """Where rows come from, in words."""
    if isinstance(source, Concat):
        return [text for part in source.sources for text in sources(part)]
    if isinstance(source, Hub):
        config = f", `{source.config}`" if source.config else ""
        return [
            f"Hub `{source.path}`{config}, "
            + (f"revision `{source.revision}`" if source.revision else "not pinned")
        ]
    assert isinstance(source, Files)
    return [f"files `{source.pattern}` from {source.origin}"]


def page() -> str:
    """The whole page."""
    known = tomllib.loads((HERE / "tasks.toml").read_text(encoding="utf-8"))
    tasks = [jx.get_task(name) for name in jx.list_tasks()]
    if set(known) != {task.name for task in tasks}:
        raise SystemExit(
            f"docs/tasks.toml and the registry differ in {set(known) ^ {task.name for task in tasks}}."
        )
    parts, types = (
        [INTRODUCTION],
        dict.fromkeys(task.task_type for task in sorted(tasks, key=lambda t: t.task_type)),
    )
    rows = [
        "| task | type | languages | train / validation / test | tried on |",
        "|---|---|---:|---|---|",
    ]
    for task in tasks:
        facts = (
            task.task_type,
            len(getattr(task.source, "languages", ("en",))),
            known[task.name]["sizes"],
        )
        link = f"[{task.name}](#{task.name})"
        rows.append(f"| {link} | {' | '.join(map(str, facts))} | {known[task.name]['tried']} |")
    parts += ["\n".join(rows), ""]
    for kind in types:
        parts += [f"## {kind.replace('_', ' ').capitalize()}", ""]
        parts += [card(task, known[task.name]) for task in tasks if task.task_type == kind]
    return "\n".join(parts)


if __name__ == "__main__":
    (HERE / "tasks.md").write_text(page(), encoding="utf-8")
    print(f"Written: {HERE / 'tasks.md'}")
