"""The command line of a recipe: its flags, and those of `TrainingArguments`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import HfArgumentParser, TrainingArguments

from jiantx.experiments.precision import PRECISIONS, precision_arguments
from jiantx.experiments.presets import PRESETS, ROWS, TRAINING
from jiantx.experiments.recipe import Recipe
from jiantx.experiments.rows import BASELINE, default_learning_rate, parse_row
from jiantx.experiments.stages import shard
from jiantx.registry import near_names
from jiantx.tasks import get_task, import_tasks, list_tasks
from jiantx.trainer_arguments import refused_argument

KINDS = ("intermediate", "target")  # of training, for flags
_SET_BY_RECIPE = {"seed": "--seeds", "output_dir": "--output"}  # TrainingArguments -> flag
_RECIPE_FIELDS = ("patience", "eval_examples", "max_length")
_OUTPUT = Path("runs/intermediate_then_target")

TrainingFlags = dict[str, dict[str, Any]]
"""Kind of training, or fine-tuned task -> the `TrainingArguments` typed for it, by name."""


def _count(text: str) -> int:
    """A flag's number of at least 1."""
    number = int(text) if text.strip().isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return number


def recipe_parser(description: str | None, program: str | None = None) -> argparse.ArgumentParser:
    """Define the recipe's flags.

    Args:
        description: Text at the top of `--help`.
        program: How the program is called; argparse's own guess if None.
    """
    parser = argparse.ArgumentParser(
        prog=program,
        description=description,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_table_flags(parser)
    _add_training_flags(parser)
    _add_run_flags(parser)
    return parser


def _add_table_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that choose the encoder, the rows and the columns of the table."""
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        metavar="FILE.py",
        help="run this file first: it registers tasks of your own (may be repeated)",
    )
    parser.add_argument(
        "--preset",
        choices=sorted(PRESETS),
        help="rows and hyperparameters; explicit flags override the preset",
    )
    parser.add_argument(
        "--encoder",
        help="Hub id or folder (default: the encoder of the artificial world)",
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
        help="columns of the table (default: the tasks of XTREME that the data root has)",
    )
    parser.add_argument(
        "--languages", nargs="+", metavar="CODE", help="languages to score (default: all)"
    )
    parser.add_argument(
        "--split",
        nargs="+",
        choices=("validation", "test"),
        help="splits to score (default: validation; with the presets paper and xtreme both, and "
        "validation scores choose the best rows)",
    )
    parser.add_argument(
        "--eval-rows",
        type=_count,
        metavar="N",
        help="score at most N rows of each language of a target, chosen at random: the same for "
        "all rows of the table and all seeds (default: all). Tatoeba and BUCC are scored whole",
    )
    parser.add_argument(
        "--eval-examples",
        type=_count,
        metavar="N",
        help="score at most N validation rows of each language during a training (default: all; "
        "with the preset paper 500). After it, as many rows decide whether the run failed "
        "(default: 500)",
    )
    parser.add_argument(
        "--seeds", type=_count, default=1, metavar="N", help="number of seeds (default: 1)"
    )


def _add_training_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that choose training rows, trained weights and their precision."""
    parser.add_argument(
        "--dtype",
        choices=PRECISIONS,
        help="precision in which all trainings and scores are computed; weights are float32 "
        "(default: float32)",
    )
    parser.add_argument(
        "--trim-vocabulary",
        action="store_true",
        help="before any training, drop the pieces of the vocabulary that no data of the table "
        "use. Scores stay the same, except those of masked LM. With other rows or targets, all "
        "stages run again",
    )
    parser.add_argument(
        "--max-train-examples",
        type=_count,
        metavar="N",
        help="train on at most N rows of each task and language, chosen at random",
    )
    parser.add_argument(
        "--target-train-languages",
        nargs="+",
        default=[],
        metavar="CODE",
        help="fine-tune targets in these languages instead of English; with --shots N first in "
        "English, then on N rows of each",
    )
    parser.add_argument("--shots", type=_count, metavar="N", help="see --target-train-languages")
    parser.add_argument(
        "--adapt",
        choices=("full", "lora", "frozen"),
        default="full",
        help="weights of the encoder that are trained on a target: all, LoRA adapters, or none "
        "(default: full)",
    )
    parser.add_argument(
        "--freeze-encoder",
        dest="adapt",
        action="store_const",
        const="frozen",
        help="the same as --adapt frozen",
    )


def _add_run_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that choose what this process runs, and where results go."""
    parser.add_argument(
        "--plan", action="store_true", help="list the stages and their costs, and stop"
    )
    parser.add_argument(
        "--shard",
        default="1/1",
        metavar="I/N",
        help="run the rows of process I of N (default: 1/1, all rows)",
    )
    parser.add_argument(
        "--output", type=Path, default=_OUTPUT, metavar="DIR", help=f"default: {_OUTPUT}"
    )


def parse_arguments(
    arguments: Sequence[str], description: str | None = None, *, program: str | None = None
) -> tuple[argparse.Namespace, TrainingFlags]:
    """Parse the recipe's flags, and those of `TrainingArguments`; exit with a message on errors.

    `--learning_rate 1e-5` holds for every training, `--target.learning_rate 1e-5` for one kind, and
    `--squad_v1.learning_rate 1e-5` for the targets that are fine-tuned on this task.

    Args:
        arguments: The command line without the program's name.
        description: Text at the top of `--help`.
        program: How the program is called; what this process was started with if None.

    Returns:
        The recipe's options, and the `TrainingArguments` of each kind of training and of each
        fine-tuned task that a flag names. Of the options, `intermediate` begins with the baseline,
        and `shard` is a pair of numbers.
    """
    import_tasks(_imported_files(arguments))  # first, as flags may name their tasks
    parser = recipe_parser(description, program)
    options, remaining = parser.parse_known_args(list(arguments))
    options.languages = _split_commas(options.languages)
    options.target_train_languages = _split_commas(options.target_train_languages)
    if not options.split:
        scores_test = options.preset in ("paper", "xtreme")
        options.split = ["validation", "test"] if scores_test else ["validation"]
    options.rows_given = options.intermediate is not None or options.preset is None
    row_specs = options.intermediate or ROWS.get(options.preset, ["mnli"])
    options.intermediate = list(dict.fromkeys([BASELINE, *row_specs]))
    try:
        index, count = map(int, options.shard.split("/"))
        shard(options.intermediate, index, count)
    except ValueError as error:
        parser.error(f"--shard {options.shard}: {error}")
    options.shard = (index, count)
    if options.shots and not options.target_train_languages:
        parser.error("--shots N needs languages: name them with --target-train-languages")
    try:
        for row_spec in options.intermediate:
            parse_row(row_spec)
        for name in options.targets or []:
            get_task(name)
    except (LookupError, ValueError) as error:
        parser.error(str(error.args[0]))
    flags = _training_flags(parser, remaining)
    try:
        for kind, values in flags.items():
            values.update(precision_arguments(options.dtype, values, kind))
    except ValueError as error:
        parser.error(str(error))
    return options, flags


def _imported_files(arguments: Sequence[str]) -> list[str]:
    """The files after --import."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--import", dest="imports", action="append", default=[])
    imported: list[str] = parser.parse_known_args(list(arguments))[0].imports
    return imported


def _split_commas(values: Sequence[str] | None) -> list[str]:
    """Return languages that were separated by blanks, commas or both."""
    languages: list[str] = []
    for value in values or ():
        languages += filter(None, value.split(","))
    return languages


def _training_flags(parser: argparse.ArgumentParser, typed: Sequence[str]) -> TrainingFlags:
    """Read the flags of `TrainingArguments`, for both kinds of training, for one, or for one task.

    They are checked here, before anything runs.
    """
    typed_by_kind: dict[str, list[str]] = {kind: [] for kind in KINDS}
    kinds = list(KINDS)
    for argument in typed:
        if argument.startswith("--"):
            kinds, argument = _kinds_of(parser, argument)
        for kind in kinds:
            typed_by_kind.setdefault(kind, []).append(argument)
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
                if not hasattr(values, name):  # --no_dataloader_pin_memory
                    name = name.removeprefix("no_")
                flags[kind][name] = getattr(values, name)
        problem = refused_argument(flags[kind])
        if problem:
            parser.error(problem)
    return flags


def _kinds_of(parser: argparse.ArgumentParser, flag: str) -> tuple[list[str], str]:
    """Return the kinds of training, or the task, that a flag is for, and the flag without them."""
    kind, dot, name = flag[2:].partition("=")[0].partition(".")
    if not dot:
        kinds = list(KINDS)
        name = flag[2:]
    elif kind in KINDS or kind in list_tasks():
        kinds = [kind]
        name = flag[2:].partition(".")[2]
    else:
        parser.error(
            f"{flag}: {kind!r} is no kind of training ({', '.join(KINDS)}) and no task."
            f"{near_names(kind, [*KINDS, *list_tasks()])}"
        )
    replacement = _SET_BY_RECIPE.get(_field_name(f"--{name}"))
    if replacement:
        parser.error(f"{flag} is set by the recipe. Use {replacement}.")
    return kinds, f"--{name}"


def _field_name(flag: str) -> str:
    """--warmup-steps=10 -> warmup_steps"""
    return flag[2:].partition("=")[0].replace("-", "_")


def recipe_from_options(options: argparse.Namespace, flags: TrainingFlags) -> Recipe:
    """Build a recipe: defaults, overridden by the preset, overridden by explicit flags.

    Args:
        options: The recipe's options, by `parse_arguments`, with an encoder.
        flags: `TrainingArguments` of each kind of training and of tasks, by `parse_arguments`.
    """
    preset = PRESETS.get(options.preset, {})
    learning_rate = default_learning_rate(options.encoder)
    defaults = {**TRAINING, "learning_rate": learning_rate, "num_train_epochs": 3}
    training: dict[str, Any] = {}
    for kind in KINDS:
        training[kind] = {**defaults, **preset.get(kind, {}), **flags[kind]}
    by_task = {}
    for name, values in preset.get("by_task", {}).items():
        by_task[name] = {**values, **flags["target"]}
    for name in flags:
        if name not in KINDS:
            by_task[name] = {**by_task.get(name, {}), **flags[name]}
    preset_fields = {name: preset[name] for name in _RECIPE_FIELDS if name in preset}
    if options.eval_examples is not None:
        preset_fields["eval_examples"] = options.eval_examples
    return Recipe(
        encoder=options.encoder,
        output=options.output,
        **training,
        by_task=by_task,
        **preset_fields,
        splits=tuple(options.split),
        languages=tuple(options.languages) or None,
        eval_rows=options.eval_rows,
        trim_vocabulary=options.trim_vocabulary,
        max_train_examples=options.max_train_examples,
        train_languages=tuple(options.target_train_languages),
        shots=options.shots,
        adapt=options.adapt,
    )
