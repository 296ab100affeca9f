"""`jiantx tasks` and `jiantx show`: what can be trained and scored, and on what rows."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator
from dataclasses import fields

from jiantx.command.data import choose_data_root
from jiantx.metrics import metric_name
from jiantx.registry import near_names
from jiantx.report.tables import text_table
from jiantx.sources import Concat, DataError, Files, Hub, Source, Unfold, function_name
from jiantx.task import SPLITS, Task
from jiantx.tasks import ALIASES, BENCHMARKS, get_task, list_tasks

_NOT_SHOWN = ("name", "source", "corpus", "metrics", "main_metrics", "labels", "head", "train_on")


def list_matching_tasks(options: argparse.Namespace) -> None:
    """Print the tasks that meet all conditions.

    Raises:
        LookupError: There are none.
    """
    names = list_tasks(type=options.type, language=options.language, benchmark=options.benchmark)
    wanted = [word.casefold() for word in options.words]
    names = tuple(
        name for name in names if all(word in _searched_text(get_task(name)) for word in wanted)
    )
    if not names:
        hint = near_names(wanted[0], [*list_tasks(), *ALIASES]) if wanted else ""
        raise LookupError(f"No task has {' and '.join(options.words)!r}.{hint}")
    choose_data_root(options.data_root)
    has_root = options.data_root not in (None, "hub")
    rows = []
    for name in names:
        task = get_task(name)
        languages = _available_languages(task) if has_root else _declared_languages(task)
        if not has_root or (languages and options.language in (None, *languages)):
            benchmarks = ", ".join(_benchmarks(task))
            rows.append([name, task.task_type, str(len(languages)), benchmarks])
    if not rows:
        language = f" in {options.language!r}" if options.language else ""
        raise LookupError(f"No task of {len(names)} has rows{language} in {options.data_root}.")
    print(text_table(["task", "type", "languages", "benchmarks"], rows), end="")
    count = "1 task" if len(rows) == 1 else f"{len(rows)} tasks"
    print(f"\n{count}. `jiantx show NAME` prints one's card and some of its rows.")


def _searched_text(task: Task) -> str:
    aliases = [alias for alias, name in ALIASES.items() if name == task.name]
    texts = [task.name, *aliases, task.task_type, *_benchmarks(task), *_sources(task.source)]
    texts += task.label_names if isinstance(getattr(task, "labels", None), tuple) else ()
    return " ".join(texts).casefold()


def _benchmarks(task: Task) -> list[str]:
    return [benchmark.name for benchmark in BENCHMARKS.values() if task.name in benchmark]


def _declared_languages(task: Task) -> tuple[str, ...]:
    languages = getattr(task.source, "languages", None)
    if languages is not None:
        return tuple(languages)
    return _available_languages(task)


def _available_languages(task: Task) -> tuple[str, ...]:
    """The languages of a task's rows, in any split."""
    available = [language for split in SPLITS for language in task.source.available(split)]
    return tuple(dict.fromkeys(available))


def _sources(source: Source) -> Iterator[str]:
    """Where rows come from, in words."""
    if isinstance(source, Concat):
        for inner in source.sources:
            yield from _sources(inner)
    elif isinstance(source, Unfold):
        yield from _sources(source.source)
    elif isinstance(source, Hub):
        yield f"Hub {source.path}" + (f", {source.config}" if source.config else "")
    elif isinstance(source, Files):
        yield f"files {source.pattern}" + (f" from {source.origin}" if source.origin else "")
    else:
        yield type(source).__name__


def show_task(options: argparse.Namespace) -> None:
    """Print a task's card and some of its rows.

    Raises:
        DataError: There are no rows in the language or split that is asked for.
    """
    choose_data_root(options.data_root)
    task = get_task(options.task)
    facts = dict(_facts(task))
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name:<{width}}  {_wrapped(value, width + 2)}")
    split = options.split or _first_split(task, options.language)
    available = task.languages(split)
    default = "en" if "en" in available else next(iter(available), "en")
    print(f"\n{task.preview(options.rows, split=split, language=options.language or default)}")


def _facts(task: Task) -> Iterator[tuple[str, str]]:
    """The lines of a card: (what, its value)."""
    yield "task", task.name
    yield "type", task.task_type
    yield "source", "; ".join(dict.fromkeys(_sources(task.source)))
    if task.corpus_task is not None:
        yield "candidates", "; ".join(dict.fromkeys(_sources(task.corpus_task.source)))
    languages = _declared_languages(task)
    yield "languages", f"{len(languages)}: {' '.join(sorted(languages))}"
    if isinstance(getattr(task, "labels", None), tuple):
        yield "labels", ", ".join(task.label_names)
    for field in fields(task):
        value = getattr(task, field.name)
        if field.name not in _NOT_SHOWN and value != field.default:
            yield field.name, function_name(value) + "()" if callable(value) else str(value)
    yield "metrics", ", ".join(map(metric_name, task.metrics))
    yield "main score", ", ".join(map(metric_name, task.main_metrics or task.metrics))
    if task.train_on:
        yield "trained on", ", then ".join(task.train_on)
    if task.head is not None:
        yield "head", task.head
    benchmarks = _benchmarks(task)
    if benchmarks:
        yield "benchmarks", ", ".join(benchmarks)


def _first_split(task: Task, language: str | None) -> str:
    """The first split with rows, for scoring before for training."""
    for split in ("validation", "test", "train"):
        languages = task.languages(split)
        if languages if language is None else language in languages:
            return split
    if language is not None and any(map(task.languages, SPLITS)):
        available = sorted({code for split in SPLITS for code in task.languages(split)})
        raise DataError(
            f"Task {task.name} has no rows in {language!r} here.{near_names(language, available)} "
            f"It has: {', '.join(available)}."
        )
    return "validation"  # whose source says what is missing


def _wrapped(text: str, indent: int) -> str:
    lines = textwrap.wrap(text, 100 - indent, break_long_words=False) or [""]
    return f"\n{' ' * indent}".join(lines)
