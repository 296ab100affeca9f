"""What was run: when, on which encoder and data, with which versions, steps and seeds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from jiantx.experiments.html_table import PageTable
from jiantx.experiments.rows import parse_row
from jiantx.experiments.speed import parameter_count
from jiantx.report import MAIN, Report
from jiantx.sources import Concat, Files, Hub, LocalFiles, data_root
from jiantx.task import Task
from jiantx.tasks import training_tasks

Description = Mapping[str, Any]  # what a stage noted about itself, by `Stages.descriptions`


def describe_run(
    descriptions: Sequence[Description],
    report: Report,
    command: str,
    encoder: str | os.PathLike[str] | None = None,
    targets: Sequence[Task] = (),
) -> list[tuple[str, str]]:
    """Describe a run, by what its finished stages noted.

    Args:
        descriptions: Of the finished stages.
        report: Scores of the run.
        command: The command that made the table.
        encoder: Hub id or folder of the encoder; None leaves out its size.
        targets: The targets. The data root is named if they, or what was trained, read from it.

    Returns:
        (term, text in Markdown) of each fact that is known.
    """
    seeds = sorted({int(record.tags["seed"]) for record in report if "seed" in record.tags})
    inputs = [stage["inputs"] for stage in descriptions]
    encoders = _distinct(values["encoder"] for values in inputs if "encoder" in values)
    roots = _distinct(values["data_root"] for values in inputs if "data_root" in values)
    if not any(_reads_data_root(task.source) for task in _all_tasks(report, targets)):
        roots = []
    facts = {
        "Command": f"`{command}`",
        "Time": _time_text(descriptions),
        "Encoder": _encoder_text(encoders, encoder),
        "Data": ", ".join(_root_text(root) for root in roots),
        "Intermediate training": _training_text(inputs, is_intermediate=True),
        "Fine-tuning": _training_text(inputs, is_intermediate=False),
        "Processes": _processes_text(descriptions),
        "Seeds": f"{len(seeds)}: {', '.join(map(str, seeds))}" if seeds else "",
        "Versions": _versions_text(descriptions),
    }
    return [(term, text) for term, text in facts.items() if text]


def data_table(report: Report, targets: Sequence[Task], split: str) -> PageTable:
    """Make the table of the data that one split of each target was scored on.

    Args:
        report: Scores of the run.
        targets: The targets.
        split: The split.
    """
    rows = []
    for target in targets:
        examples: dict[str, int] = {}  # language -> scored rows
        for record in report.where(task=target.name, split=split, metric=MAIN):
            examples[record.language] = record.examples
        if not examples:
            continue
        languages = list(examples)
        trained = ", ".join(task.name for task in training_tasks(target))
        sizes = sorted(set(examples.values()))
        size = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
        rows.append(
            [
                target.name,
                _source_text(target.source, languages[0]),
                trained or "nothing",
                f"{len(languages)}: {', '.join(sorted(languages))}",
                size,
            ]
        )
    return PageTable(
        f"What was scored ({split})",
        ["target", "read from", "fine-tuned on", "languages", "rows of each"],
        rows,
        text_columns=("read from", "fine-tuned on", "languages"),
    )


def _source_text(source: Any, language: str) -> str:
    """Where a source reads: the Hub's dataset and its revision, or the pattern of its files."""
    inner_sources = _inner_sources(source)
    if inner_sources:
        return ", ".join(_distinct(_source_text(inner, language) for inner in inner_sources))
    if isinstance(source, LocalFiles):
        return ", ".join(_distinct(map(str, _paths(source.path))))
    if isinstance(source, Files):
        patterns = [source.pattern] if isinstance(source.pattern, str) else source.pattern
        return ", ".join(patterns)
    if not isinstance(source, Hub):
        return type(source).__name__
    path = source.path.replace("{language}", language)
    if data_root() is not None:  # which decides the revision
        return path
    return f"{path} at {source.revision[:12]}" if source.revision else f"{path}, not pinned"


def _all_tasks(report: Report, targets: Sequence[Task]) -> Iterator[Task]:
    """The targets, what fine-tunes them, and the intermediate tasks."""
    for target in targets:
        yield from (target, *training_tasks(target))
    rows = {str(record.tags["intermediate"]) for record in report if "intermediate" in record.tags}
    for row in sorted(rows):
        yield from parse_row(row)


def _inner_sources(source: Any) -> tuple[Any, ...]:
    """The sources that a source joins, or the one that it splits or samples."""
    if isinstance(source, Concat):
        return source.sources
    return (source.source,) if hasattr(source, "source") else ()


def _paths(path: Any) -> list[Any]:
    """The paths of local files, which may stand by split."""
    if isinstance(path, Mapping):
        path = [inner for value in path.values() for inner in _paths(value)]
    return list(path) if isinstance(path, list | tuple) else [path]


def _reads_data_root(source: Any) -> bool:
    """Whether rows come from the data root or the Hub, and not from files or lists of the user."""
    inner_sources = _inner_sources(source)
    if inner_sources:
        return any(map(_reads_data_root, inner_sources))
    return isinstance(source, Hub | Files)


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _root_text(root: str) -> str:
    if root == "None":
        return "the Hugging Face Hub"
    kind = "the artificial world, " if Path(root).name.startswith("synthetic") else ""
    return f"{kind}`{root}`"


def _time_text(descriptions: Sequence[Description]) -> str:
    """When the last stage finished, and how long all stages took."""
    if not descriptions:
        return ""
    seconds = sum(stage["seconds"] for stage in descriptions)
    finished = [stage["finished"] for stage in descriptions if "finished" in stage]
    when = ""
    if finished:
        last = datetime.fromisoformat(max(finished)).astimezone(UTC)
        when = f"{last:%Y-%m-%d %H:%M} UTC; "
    noun = "stage" if len(descriptions) == 1 else "stages"
    return f"{when}{len(descriptions)} {noun} took {_duration(seconds)} in all"


def _duration(seconds: float) -> str:
    """5 min 3 s"""
    rounded = timedelta(seconds=round(seconds))
    hours, remainder = divmod(int(rounded.total_seconds()), 3600)
    minutes, rest = divmod(remainder, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _encoder_text(fingerprints: Sequence[str], encoder: str | os.PathLike[str] | None) -> str:
    """The encoders' fingerprints; of one encoder whose config can be read, its size too."""
    text = ", ".join(f"`{name}`" for name in fingerprints)
    if encoder is None:
        return text
    try:
        config = AutoConfig.from_pretrained(encoder)
        parameters = parameter_count(config)
    except (OSError, ValueError):
        return text or f"`{encoder}`"
    facts = [f"{parameters:,} parameters without embeddings"]
    for name, noun in (("num_hidden_layers", "layers"), ("hidden_size", "units")):
        if getattr(config, name, None):
            facts.append(f"{getattr(config, name)} {noun}")
    revision = getattr(config, "_commit_hash", None)
    if revision:
        facts.append(f"revision {revision[:12]}")
    return f"{text or f'`{encoder}`'}: {', '.join(facts)}"


def _training_text(inputs: Sequence[Description], *, is_intermediate: bool) -> str:
    """How tasks were trained; tasks that were trained alike share a phrase."""
    tasks_of: dict[str, list[str]] = {}
    for values in inputs:
        arguments = values.get("arguments")
        if arguments is None or isinstance(arguments, dict) != is_intermediate:
            continue
        if isinstance(arguments, dict):
            names = "+".join(str(trained[0]) for trained in values["trained"])
            tasks_of.setdefault(_arguments_text(arguments), []).append(names)
            continue
        for trained, task_arguments in zip(values["trained"], arguments, strict=True):
            tasks_of.setdefault(_arguments_text(task_arguments), []).append(str(trained[0]))
    phrases = [f"{', '.join(_distinct(names))}: {text}" for text, names in tasks_of.items()]
    return "; ".join(phrases)


def _arguments_text(arguments: Mapping[str, Any]) -> str:
    """150 steps of 16 examples, learning rate 0.00041"""
    steps = arguments.get("max_steps") or 0
    length = f"{steps} steps" if steps > 0 else f"{arguments.get('num_train_epochs', 3):g} epochs"
    batch_size = arguments.get("per_device_train_batch_size", 8)
    accumulated = arguments.get("gradient_accumulation_steps") or 1
    times = f"{accumulated} × " if accumulated > 1 else ""
    text = f"{length} of {times}{batch_size} examples per device"
    if "learning_rate" in arguments:
        text += f", learning rate {arguments['learning_rate']:g}"
    return text


def _processes_text(descriptions: Sequence[Description]) -> str:
    """How many processes trained together, if not one; a warning where it differs."""
    counts = sorted({stage.get("processes", 1) for stage in descriptions})
    if len(counts) < 2:
        return "" if counts in ([], [1]) else f"{counts[0]} in each training"
    return (
        f"{', '.join(map(str, counts[:-1]))} and {counts[-1]}: batches are larger with more "
        "processes, so differences between rows may be those of the batch"
    )


def _versions_text(descriptions: Sequence[Description]) -> str:
    """The versions that the stages noted; those of one library that differ stand side by side."""
    versions: dict[str, list[str]] = {}
    for stage in descriptions:
        noted = stage.get("software") or {"jiantx": stage["inputs"].get("version", "")}
        for name, version in noted.items():
            versions.setdefault(name, []).append(version)
    texts = [f"{name} {' and '.join(_distinct(numbers))}" for name, numbers in versions.items()]
    return ", ".join(text for text in texts if not text.endswith(" "))
