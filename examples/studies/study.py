"""What all studies share: their arguments, how they start, and the check that data are there."""

from __future__ import annotations

import sys
from argparse import Action, ArgumentDefaultsHelpFormatter, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from transformers import HfArgumentParser
from transformers.utils import logging

import jiantx as jx


def option(help_text: str, default: Any = None) -> Any:
    """Return a dataclass field that is a command line argument with a line of help.

    Args:
        help_text: What `--help` says of it.
        default: Its default. A list is copied for each instance.
    """
    metadata = {"help": help_text}
    if isinstance(default, list):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(kw_only=True)
class Options:
    """The arguments of every study."""

    data_root: str | None = option(
        "folder, or hub for the Hugging Face Hub (default: the artificial world)"
    )
    seeds: int = option("how often everything is run; an interval needs at least two", 3)
    output: Path = option("folder of the results; a stopped study resumes there", Path("runs"))
    # Default targets that are skipped, because the data root lacks their rows.
    skipped_targets: list[str] = field(default_factory=list, init=False)


OptionsType = TypeVar("OptionsType", bound=Options)


class _HelpFormatter(ArgumentDefaultsHelpFormatter, RawDescriptionHelpFormatter):
    """Keeps the line breaks of a study's docstring, and shows defaults where there are any."""

    def _get_help_string(self, action: Action) -> str | None:
        return super()._get_help_string(action) if action.default else action.help


def run(study: Callable[[OptionsType], None], options_type: type[OptionsType]) -> None:
    """Run a study with the command line's arguments.

    Wrong arguments, and data that cannot be read, end the program with one sentence.

    Args:
        study: Takes the options; its module's docstring describes the program.
        options_type: A dataclass of `option` fields.
    """
    module = sys.modules[study.__module__]
    parser = HfArgumentParser(
        options_type,
        description=module.__doc__,
        formatter_class=_HelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(output=Path("runs") / Path(str(module.__file__)).stem)
    try:
        options = options_type(**vars(parser.parse_args()))
    except (LookupError, ValueError) as error:
        parser.error(str(error.args[0]))
    logging.disable_progress_bar()  # of loading weights
    try:
        if options.data_root == "hub":
            jx.data_root(None)
        else:
            jx.data_root(options.data_root or jx.default_root())
        study(options)
    except jx.DataError as error:
        sys.exit(f"error: {error}")


def has_training_rows(tasks: Iterable[jx.Task]) -> bool:
    """Return whether the data root has rows to train every task on."""
    return all(set(task.train_languages) <= set(task.languages("train")) for task in tasks)


def check_rows(rows: Iterable[str], missing_targets: Iterable[str] = ()) -> None:
    """End the study where the data root lacks rows to train on.

    Args:
        rows: Intermediate training, as in the paper's table: tasks joined by "+", or "none".
        missing_targets: Names of targets that are known to lack rows.
    """
    missing = []
    try:
        for row in rows:
            if not has_training_rows(jx.experiments.parse_row(row)):
                missing.append(row)
    except (LookupError, ValueError) as error:
        sys.exit(f"error: {error.args[0]}")
    missing += missing_targets
    if missing:
        data_root = jx.data_root() or "The Hugging Face Hub"
        sys.exit(f"{data_root} lacks rows of {', '.join(missing)}.")
