"""What the studies share: arguments, encoders made on first use, how these are trained, what intervals allow to say."""

from __future__ import annotations

import math
import re
import sys
from argparse import Action, ArgumentDefaultsHelpFormatter, RawDescriptionHelpFormatter
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from transformers import HfArgumentParser
from transformers.utils import logging

import jiantx as jx

Interval = tuple[float, float]  # a mean, and half of its 95 % interval
USUAL = ("udpos", "panx", "tatoeba")  # targets that small encoders learn in a few steps


def option(says: str, default: Any = None) -> Any:
    """An argument with its line of help."""
    given: dict[str, Any] = (
        {"default_factory": default.copy} if isinstance(default, list) else {"default": default}
    )
    return field(metadata={"help": says}, **given)


@dataclass(kw_only=True)
class Options:
    """The arguments of every study."""

    data_root: str | None = option(
        "folder, or hub for the Hugging Face Hub (default: the artificial world)"
    )
    seeds: int = option("how often everything is run, at least twice for an interval", 3)
    output: Path = option(
        "where results go, and where a study that was stopped goes on", Path("runs")
    )
    absent: list[str] = field(
        default_factory=list, init=False
    )  # usual targets that have no rows here


@dataclass(kw_only=True)
class Training(Options):
    """Of a study that fine-tunes encoders on targets, after intermediate tasks or without."""

    targets: list[str] = option(
        f"trained and scored (default: of {' '.join(USUAL)} those that have rows)", []
    )
    split: Literal["validation", "test"] = option("what is scored", "validation")
    steps: list[int] | None = option(
        "of intermediate and of target training (default: few in the artificial world; else -1: three epochs)"
    )
    batch_size: int = option("examples a step", 32)
    learning_rate: float | None = option("default: 1e-5 (1024 / hidden size)^2, at most 1e-3")
    bf16: bool = option("train in mixed precision, on a GPU", False)
    in_the_world: ClassVar[list[int]] = [
        150,
        40,
    ]  # steps, if no other data are given: the demo preset's

    def __post_init__(self) -> None:
        self.steps = self.steps or ([-1, -1] if self.data_root else self.in_the_world)
        if len(self.steps) != 2:
            raise ValueError("--steps takes two numbers: of intermediate and of target training")
        for name in self.targets:
            jx.get_task(name)

    def recipe(self, encoder: str) -> jx.experiments.Recipe:
        """The paper's rate, 1e-5, is XLM-R large's; smaller encoders take larger steps, and above 1e-3 they broke."""
        rate = self.learning_rate or jx.experiments.default_learning_rate(encoder)
        both = {
            "learning_rate": rate,
            "per_device_train_batch_size": self.batch_size,
            "bf16": self.bf16,
        }
        both |= {"warmup_steps": 0.1, "weight_decay": 0.01, "num_train_epochs": 3}
        kinds = zip(("intermediate", "target"), self.steps or (), strict=True)
        stages: dict[str, Any] = {kind: {**both, "max_steps": steps} for kind, steps in kinds}
        return jx.experiments.Recipe(
            encoder=encoder, output=self.output, splits=(self.split,), **stages
        )

    def usual(self) -> Sequence[str]:
        """The targets, if none are given."""
        return USUAL

    def check(self, rows: Iterable[str]) -> None:
        """Stop now, not in an hour, where the data root lacks rows; of the usual targets, leave those out."""
        given, tasks = self.targets, [jx.get_task(name) for name in self.targets or self.usual()]
        here = [
            t.name
            for t in tasks
            if t.is_labelled(self.split) and trains(jx.tasks.training_tasks(t))
        ]
        self.absent = [task.name for task in tasks if task.name not in here]
        self.targets = here
        check_rows(rows, self.absent if given or not here else ())


def check_rows(rows: Iterable[str], absent: Iterable[str] = ()) -> None:
    """End the study where the data root lacks rows to train on; absent: the targets that it lacks."""
    try:
        lacks = [*(row for row in rows if not trains(jx.experiments.parse_row(row))), *absent]
    except (LookupError, ValueError) as error:
        sys.exit(f"error: {error.args[0]}")
    if lacks:
        sys.exit(f"{jx.data_root() or 'The Hugging Face Hub'} lacks rows of {', '.join(lacks)}.")


def trains(tasks: Iterable[jx.Task]) -> bool:
    """Whether there are rows to train them on."""
    return all(set(task.train_languages) <= set(task.languages("train")) for task in tasks)


class _Help(ArgumentDefaultsHelpFormatter, RawDescriptionHelpFormatter):
    def _get_help_string(self, action: Action) -> str | None:
        return super()._get_help_string(action) if action.default else action.help


O = TypeVar("O", bound=Options)


def run(study: Callable[[O], None], kind: type[O]) -> None:
    """Run a study with the command line's arguments; what is wrong with them or the data ends it with a sentence."""
    program = sys.modules[kind.__module__]
    parser = HfArgumentParser(
        kind, description=program.__doc__, formatter_class=_Help, allow_abbrev=False
    )
    parser.set_defaults(output=Path("runs") / Path(str(program.__file__)).stem)
    try:
        options = kind(**vars(parser.parse_args()))
    except (LookupError, ValueError) as error:
        parser.error(str(error.args[0]))
    logging.disable_progress_bar()  # of loading weights
    try:
        jx.data_root(None if options.data_root == "hub" else options.data_root or jx.default_root())
        study(options)
    except jx.DataError as error:
        sys.exit(f"error: {error}")


def made(word: str, steps: int) -> str:
    """A folder or Hub id as it is; 160x4 (hidden size, layers) is pretrained on first use, 160x4-en on English."""
    size = re.fullmatch(r"(\d+)x(\d+)(-en)?", word)
    if not size:
        return word
    languages = ("en",) if size[3] else None
    return str(
        jx.default_encoder(
            hidden=int(size[1]), layers=int(size[2]), languages=languages, max_steps=steps
        )
    )


# --- what is said ----------------------------------------------------------------------------------------------------


def plus_minus(found: Interval, sign: str = "") -> str:
    """A number and half of its interval."""
    mean, half = found
    if math.isnan(mean):
        return "–"
    return f"{mean:{sign if round(mean, 1) else ''}z.1f}" + (
        "" if math.isnan(half) else f" ± {half:.1f}"
    )


def told(found: Mapping[str, Interval]) -> tuple[list[str], list[str], list[str]]:
    """Differences above zero, below it, and those whose interval holds it, which are neither."""
    up = [f"{name} ({plus_minus(x, '+')})" for name, x in found.items() if x[0] > x[1]]
    down = [f"{name} ({plus_minus(x, '+')})" for name, x in found.items() if -x[0] > x[1]]
    return up, down, [name for name, x in found.items() if not abs(x[0]) > x[1]]


def counted(found: Mapping[str, Interval], seeds: int) -> str:
    """The same, as the end of a sentence."""
    up, down, unsure = told(found)
    return (
        f"above zero for {len(up)} of {len(found)} ({'; '.join(up) or 'none'}) and below it for {len(down)} "
        f"({'; '.join(down) or 'none'}), their 95 % intervals over {seeds} seeds excluding it; of the other "
        f"{len(unsure)} neither can be said. "
    )


def failures(reports: Iterable[jx.Report]) -> str:
    """A sentence on trainings that failed; nothing where none did."""
    failed = [
        f"{t} after {row}"
        for r in reports
        for (row, _), tasks in jx.experiments.failed_runs(r).items()
        for t in tasks
    ]
    ended = "; ".join(f"{run} {times} times" for run, times in Counter(failed).items())
    return (
        f"Trainings not above guessing in development, counted as they are: {ended}. "
        if ended
        else ""
    )


def publish(title: str, options: Options, *parts: str | Path) -> None:
    """Put the command and what came of it on a page in the output, and print it."""
    page = jx.experiments.Page(title)
    without = [f"Without {', '.join(options.absent)}: no rows here."] if options.absent else []
    page.add(f"`{' '.join(['python', *sys.argv])}`", *parts, *without)
    page.write(options.output)
    print(
        f"\n{page.to_markdown()}\nWritten to {options.output}: {', '.join(written(options.output, parts))}"
    )


def written(output: Path, parts: Sequence[str | Path]) -> list[str]:
    """The names of what a study leaves."""
    names = ["report.html", "report.md", *(part.name for part in parts if isinstance(part, Path))]
    return [*names, *(["report.json"] if (output / "report.json").exists() else [])]
