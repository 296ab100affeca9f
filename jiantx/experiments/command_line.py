"""The command line of the recipe: flags, what the data root lacks, the recipe that follows."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import HfArgumentParser, TrainingArguments

from jiantx.experiments.presets import PRESETS, ROWS, TRAINING
from jiantx.experiments.recipe import Recipe
from jiantx.experiments.rows import BASELINE, default_learning_rate, parse_row
from jiantx.experiments.stages import shard
from jiantx.sources import DataError, data_root
from jiantx.task import Task
from jiantx.tasks import get_task, list_tasks
from jiantx.tasks.benchmarks import XTREME

KINDS = ("intermediate", "target")  # of training
_SET_BY_RECIPE = {"seed": "--seeds", "output_dir": "--output"}
_RECIPE_FIELDS = ("patience", "eval_examples", "max_length")
_OUTPUT = Path("runs/intermediate_then_target")

TrainingFlags = dict[str, dict[str, Any]]  # kind of training -> `TrainingArguments` by name


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--preset",
        choices=sorted(PRESETS),
        help="rows and hyperparameters; explicit flags override the preset",
    )
    parser.add_argument(
        "--encoder",
        help="Hub id or folder (default: the artificial world's own, made on first use)",
    )
    parser.add_argument(
        "--data-root",
        help="folder, or hub for the Hugging Face Hub (default: the artificial world)",
    )
    parser.add_argument(
        "--intermediate",
        nargs="+",
        metavar="TASK[+TASK…]",
        help=f"rows of the table (default: none mnli); tasks: {', '.join(list_tasks())}",
    )
    parser.add_argument(
        "--targets",
        nargs="+",
        metavar="TASK",
        help="default: XTREME's, where the data root has them",
    )
    parser.add_argument(
        "--languages", nargs="+", metavar="CODE", help="languages to score (default: all)"
    )
    parser.add_argument(
        "--split",
        nargs="+",
        choices=("validation", "test"),
        help="scored splits (default: validation; presets paper and xtreme: both, which "
        "chooses the best rows)",
    )
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="runs of everything (default: 1)"
    )
    parser.add_argument(
        "--max-train-examples",
        type=int,
        metavar="N",
        help="training rows of each task at most, chosen at random",
    )
    parser.add_argument(
        "--target-train-languages",
        nargs="+",
        default=[],
        metavar="CODE",
        help="fine-tune targets in these languages: instead of English or, with --shots N, after "
        "it, on N rows of each",
    )
    parser.add_argument("--shots", type=int, metavar="N", help="see --target-train-languages")
    parser.add_argument(
        "--adapt",
        choices=("full", "lora", "frozen"),
        default="full",
        help="what of the encoder a target trains: all, a LoRA, or nothing (default: full)",
    )
    parser.add_argument(
        "--freeze-encoder",
        dest="adapt",
        action="store_const",
        const="frozen",
        help="the same as --adapt frozen",
    )
    parser.add_argument(
        "--plan", action="store_true", help="list the stages and their costs, and stop"
    )
    parser.add_argument(
        "--shard", default="1/1", metavar="I/N", help="run the I-th of N shares of the rows"
    )
    parser.add_argument(
        "--output", type=Path, default=_OUTPUT, metavar="DIR", help=f"default: {_OUTPUT}"
    )
    return parser


def parse_arguments(
    arguments: Sequence[str], description: str | None = None
) -> tuple[argparse.Namespace, TrainingFlags]:
    """Parse the recipe's flags, and those of `TrainingArguments`. Exits with a message if one is
    wrong.

    Args:
        arguments: As typed, without the program's name.
        description: For --help.

    Returns:
        The recipe's options, and the `TrainingArguments` of each kind of training.
    """
    parser = _parser(description)
    options, remaining = parser.parse_known_args(list(arguments))
    options.languages = _split_commas(options.languages)
    options.target_train_languages = _split_commas(options.target_train_languages)
    scores_test = options.preset in ("paper", "xtreme")
    options.split = options.split or ["validation", "test"][: 1 + scores_test]
    options.rows_given = options.intermediate is not None or options.preset is None
    row_specs = options.intermediate or ROWS.get(options.preset, ["mnli"])
    options.intermediate = list(dict.fromkeys([BASELINE, *row_specs]))
    try:
        index, count = map(int, options.shard.split("/"))
        options.shard_rows = shard(options.intermediate, index, count)
    except ValueError as error:
        parser.error(f"--shard {options.shard}: {error}")
    if options.shots and not options.target_train_languages:
        parser.error("--shots N is of languages: name them with --target-train-languages")
    try:
        for row_spec in options.intermediate:
            parse_row(row_spec)
        for name in options.targets or []:
            get_task(name)
    except (LookupError, ValueError) as error:
        parser.error(str(error.args[0]))
    return options, _training_flags(parser, remaining)


def _split_commas(values: Sequence[str] | None) -> list[str]:
    """Languages that are separated by blanks or commas."""
    languages: list[str] = []
    for value in values or ():
        languages += filter(None, value.split(","))
    return languages


def _training_flags(parser: argparse.ArgumentParser, typed: Sequence[str]) -> TrainingFlags:
    """The flags of `TrainingArguments`, for one kind of training or for both.

    They are checked now, and not when the training starts.
    """
    typed_by_kind: dict[str, list[str]] = {kind: [] for kind in KINDS}
    kinds = list(KINDS)
    for argument in typed:
        if argument.startswith("--"):
            kinds, argument = _kinds_of(parser, argument)
        for kind in kinds:
            typed_by_kind[kind].append(argument)
    flags: TrainingFlags = {}
    for kind, kind_arguments in typed_by_kind.items():
        training_parser = HfArgumentParser(TrainingArguments, allow_abbrev=False)
        values, unknown = training_parser.parse_known_args(kind_arguments)
        if unknown:
            parser.error(f"{unknown[0]} is not a flag of this program, nor of TrainingArguments")
        flags[kind] = {}
        for argument in kind_arguments:
            if argument.startswith("--"):
                name = _field_name(argument)
                if not hasattr(values, name):
                    name = name.removeprefix("no_")
                flags[kind][name] = getattr(values, name)
    return flags


def _kinds_of(parser: argparse.ArgumentParser, flag: str) -> tuple[list[str], str]:
    """The kinds of training that a flag is for, and the flag without its kind."""
    kind, dot, name = flag[2:].partition(".")
    if dot and kind in KINDS:
        kinds = [kind]
    else:
        kinds = list(KINDS)
        name = flag[2:]
    replacement = _SET_BY_RECIPE.get(_field_name(f"--{name}"))
    if replacement:
        parser.error(f"{flag} is set by the recipe. Use {replacement}.")
    return kinds, f"--{name}"


def _field_name(flag: str) -> str:
    """--warmup-steps=10 -> warmup_steps"""
    return flag[2:].partition("=")[0].replace("-", "_")


def recipe_from_options(
    options: argparse.Namespace, flags: Mapping[str, Mapping[str, Any]]
) -> Recipe:
    """The recipe of some options: defaults, the preset over them, explicit flags over both.

    Args:
        options: By `parse_arguments`, with an encoder.
        flags: By `parse_arguments`.
    """
    preset = PRESETS.get(options.preset, {})
    learning_rate = default_learning_rate(options.encoder)
    defaults = {**TRAINING, "learning_rate": learning_rate, "num_train_epochs": 3}
    training: dict[str, Any] = {
        kind: {**defaults, **preset.get(kind, {}), **flags[kind]} for kind in flags
    }
    by_task = {
        name: {**values, **flags["target"]} for name, values in preset.get("by_task", {}).items()
    }
    return Recipe(
        encoder=options.encoder,
        output=options.output,
        **training,
        by_task=by_task,
        **{name: preset[name] for name in _RECIPE_FIELDS if name in preset},
        splits=tuple(options.split),
        languages=tuple(options.languages) or None,
        max_train_examples=options.max_train_examples,
        train_languages=tuple(options.target_train_languages),
        shots=options.shots,
        adapt=options.adapt,
    )


def available_targets(options: argparse.Namespace, recipe: Recipe) -> list[Task]:
    """The requested targets, or those of XTREME that can be fine-tuned and scored here.

    Prints which are skipped and why. Exits if a requested one is missing, or all are.

    Args:
        options: By `parse_arguments`.
        recipe: By `recipe_from_options`.
    """
    targets: list[Task] = []
    missing: list[str] = []
    for name in options.targets or XTREME:
        target = get_task(name)
        lacking = _lacking_data(target, recipe)
        if lacking:
            missing.append(f"{name} ({lacking})")
        else:
            targets.append(target)
    root = data_root() or "The Hugging Face Hub"
    if missing and (options.targets or not targets):
        sys.exit(f"{root} lacks what these targets need: {'; '.join(missing)}.")
    if missing:
        print(f"Left out, as {root} lacks what they need: {'; '.join(missing)}.")
    unscored = []
    for target in targets:
        for split in recipe.splits:
            if not recipe.labelled_languages(target, split):
                unscored.append(f"{target.name} ({split})")
    if unscored:
        print(
            f"Not scored, as there are no labelled rows in these languages: {', '.join(unscored)}."
        )
    return targets


def _lacking_data(target: Task, recipe: Recipe) -> str:
    """What a target lacks here; empty if it can be fine-tuned and scored."""
    if not any(recipe.labelled_languages(target, split) for split in recipe.splits):
        return f"labelled {' and '.join(recipe.splits)} rows in these languages"
    untrained = [
        task.name
        for task, _ in recipe.finetuning_stages(target)
        if set(task.train_languages) - set(task.languages("train"))
    ]
    return f"training rows of {', '.join(untrained)}" if untrained else ""


def available_rows(options: argparse.Namespace) -> list[str]:
    """The requested rows, or those of the preset that can be trained here.

    Prints which rows of a preset are skipped and why.

    Args:
        options: By `parse_arguments`.

    Raises:
        DataError: A requested row lacks its data.
    """
    row_specs: list[str] = []
    skipped: dict[str, list[str]] = {}  # reason -> rows
    for row_spec in options.intermediate:
        try:
            for task in parse_row(row_spec):
                for language in task.train_languages:
                    task.rows("train", language)
            row_specs.append(row_spec)
        except DataError as error:
            if options.rows_given:
                raise
            skipped.setdefault(str(error), []).append(row_spec)
    for reason, skipped_rows in skipped.items():
        print(f"Left out: {', '.join(skipped_rows)}. {reason}")
    return row_specs
