"""The program: its verbs and flags, exit codes, and how errors are said.

Nothing heavy is imported before a verb runs, so that `jiantx --help` answers at once."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence

_DESCRIPTION = """\
Train one encoder on several tasks, and see how well it carries over to other languages.

  jiantx tasks nli                         find tasks
  jiantx show xnli --language sw           read a task's card and some of its rows
  jiantx evaluate FOLDER xnli udpos        score a saved model
  jiantx predict FOLDER file.csv           predict with a saved model
  jiantx recipe --intermediate mnli        the paper's recipe: train, transfer, compare
  jiantx report FOLDER                     the tables of its scores

`jiantx VERB --help` explains one. The same in Python: import jiantx as jx."""
_RECIPE_GOES_ON = " Stages that are done are kept: the same command goes on with the others."
_ROOT_HELP = (
    "where tasks read their rows: a folder, `hub`, or `artificial` for the artificial world "
    "(default: the folder that JIANTX_DATA names, else the Hub)"
)
_ERROR = 1
_USAGE_ERROR = 2  # as argparse has it
_INTERRUPTED = 130  # as shells have it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: The command line without the program's name; that of this process if None.

    Returns:
        The exit code: 0, 1 after an error message, 130 after Ctrl-C. A wrong command line exits
        with 2.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    is_debugging = "--debug" in arguments[:1]
    if arguments[is_debugging : is_debugging + 1] == ["recipe"]:  # which has flags of its own
        rest = arguments[is_debugging + 1 :]
        return _run(
            lambda: _recipe(rest), is_debugging=is_debugging, after_interrupt=_RECIPE_GOES_ON
        )
    options = program_parser().parse_args(arguments)
    return _run(lambda: _call(options), is_debugging=is_debugging or options.debug)


def _run(verb: Callable[[], None], *, is_debugging: bool, after_interrupt: str = "") -> int:
    """Run a verb; an error becomes one line on stderr.

    Args:
        verb: What is run.
        is_debugging: Show tracebacks.
        after_interrupt: What the user can do after Ctrl-C.
    """
    try:
        verb()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"Interrupted.{after_interrupt}", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:  # `jiantx tasks | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # whatever it is, users get its message
        if is_debugging:
            traceback.print_exc()
        else:
            print(f"error: {_in_one_line(error)}", file=sys.stderr)
        return _ERROR
    return 0


def _in_one_line(error: Exception) -> str:
    message = " ".join(str(error).split())
    is_ours = isinstance(error, ValueError | LookupError | OSError) and not isinstance(
        error, KeyError
    )
    if is_ours and message:
        return message
    return f"{type(error).__name__}: {message} (jiantx --debug … shows where)"


def _call(options: argparse.Namespace) -> None:
    if options.imports:
        from jiantx.tasks import import_tasks

        import_tasks(options.imports)
    verb: Callable[[argparse.Namespace], None] = options.verb
    verb(options)


def program_parser() -> argparse.ArgumentParser:
    """Define the verbs and their flags."""
    parser = argparse.ArgumentParser(
        prog="jiantx",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    _add_tasks(verbs)
    _add_show(verbs)
    _add_evaluate(verbs)
    _add_predict(verbs)
    verbs.add_parser("recipe", help="intermediate tasks, then target tasks, in every language")
    _add_report(verbs)
    return parser


class _Version(argparse.Action):
    """Prints the version; read only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *args: object) -> None:
        from jiantx import __version__

        print(f"jiantx {__version__}")
        parser.exit()


def _add_verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    verb: Callable[[argparse.Namespace], None],
    help: str,
    examples: str,
    *,
    reads_data: bool = True,
    root_help: str = _ROOT_HELP,
) -> argparse.ArgumentParser:
    """Add a verb, with the flags that all verbs have."""
    parser = verbs.add_parser(
        name,
        help=help,
        description=f"{help[0].upper()}{help[1:]}.",
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(verb=verb)
    common = parser.add_argument_group("common flags")
    common.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="FILE.py",
        help="run this file first: it registers tasks of your own (may be repeated)",
    )
    if reads_data:
        common.add_argument(
            "--data-root",
            metavar="FOLDER",
            help=root_help,
        )
    common.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show the traceback of an error",
    )
    return parser


def _add_tasks(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add_verb(
        verbs,
        "tasks",
        _tasks,
        "list the tasks that can be trained and scored by name",
        "  jiantx tasks\n  jiantx tasks nli\n  jiantx tasks --type question_answering "
        "--language sw\n  jiantx tasks --benchmark xtreme\n  jiantx tasks --data-root artificial",
        root_help="only tasks that have rows there, and the languages of these rows: a folder, or "
        "`artificial` for the artificial world",
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="WORD",
        help="only tasks with all of these in their names, types, labels, benchmarks or data sets",
    )
    parser.add_argument("--type", help="only this task type")
    parser.add_argument("--language", metavar="CODE", help="only tasks in this language")
    parser.add_argument("--benchmark", help="only tasks of this benchmark")


def _add_show(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add_verb(
        verbs,
        "show",
        _show,
        "print what a task declares, and some of its rows",
        "  jiantx show xnli --language sw\n  jiantx show udpos --split train --rows 1\n"
        "  jiantx show mood --import my_tasks.py",
    )
    parser.add_argument("task", metavar="TASK", help="name of the task")
    parser.add_argument(
        "--language", metavar="CODE", help="language of the rows (default: en, or the first)"
    )
    parser.add_argument("--split", help="split of the rows (default: validation, test or train)")
    parser.add_argument(
        "--rows", type=int, default=3, metavar="N", help="number of rows (default: 3)"
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a saved model: its folder, or its Hub id")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, … (default: the GPU if there is one)")


def _add_evaluate(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add_verb(
        verbs,
        "evaluate",
        _evaluate,
        "score a saved model, and print a table of main scores by task and language",
        "  jiantx evaluate runs/nli xnli --split test --languages de sw\n"
        "  jiantx evaluate runs/nli xnli udpos --output report.json\n"
        "  jiantx evaluate runs/mood mood --import my_tasks.py",
    )
    _add_model(parser)
    parser.add_argument(
        "tasks", nargs="*", metavar="TASK", help="what is scored (default: the model's tasks)"
    )
    parser.add_argument("--split", default="validation", help="(default: validation)")
    parser.add_argument(
        "--languages", nargs="+", metavar="CODE", help="languages to score (default: all)"
    )
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="(default: 32)")
    parser.add_argument(
        "--output", metavar="FILE.json", help="write every metric there, for `jiantx report`"
    )
    parser.add_argument(
        "--predictions", metavar="FOLDER", help="write a file of predictions per task and language"
    )


def _add_predict(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add_verb(
        verbs,
        "predict",
        _predict,
        "predict for the rows of a file with a saved model",
        "  jiantx predict runs/mood reviews.csv --output predicted.csv\n"
        "  echo 'What a day!' | jiantx predict runs/mood\n"
        "  jiantx predict runs/many pairs.jsonl --task nli",
    )
    _add_model(parser)
    parser.add_argument(
        "file",
        nargs="?",
        default="-",
        metavar="FILE",
        help="rows with the task's columns (.csv, .tsv, .jsonl), or a text per line (.txt); "
        "- or nothing reads stdin",
    )
    parser.add_argument("--task", help="name of the task; not needed if the model has one task")
    parser.add_argument(
        "--language", metavar="CODE", help="language of the rows (default: the task's own, or en)"
    )
    parser.add_argument(
        "--format",
        choices=("csv", "tsv", "jsonl", "txt"),
        help="format of the input (default: by the ending of the file; txt for stdin)",
    )
    parser.add_argument(
        "--encoding", default="utf-8", help="encoding of a csv or tsv file (default: utf-8)"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="a .csv or .jsonl file: the rows, with columns predicted_… (default: JSON lines on "
        "stdout)",
    )


def _add_report(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add_verb(
        verbs,
        "report",
        _report,
        "print the tables of one report or of a folder of them, and write them as a page",
        "  jiantx report report.json\n  jiantx report runs/intermediate_then_target\n"
        "  jiantx report runs --output all_runs.html",
        reads_data=False,
    )
    parser.add_argument(
        "path",
        metavar="PATH",
        help="a report's .json file, or a folder with report.json in it or in its subfolders",
    )
    parser.add_argument(
        "--output",
        metavar="FILE.html",
        help="the page (default: scores.html beside the report)",
    )


# --- the verbs; each imports what it needs --------------------------------------------------------


def _tasks(options: argparse.Namespace) -> None:
    from jiantx.command.tasks import list_matching_tasks

    list_matching_tasks(options)


def _show(options: argparse.Namespace) -> None:
    from jiantx.command.tasks import show_task

    show_task(options)


def _evaluate(options: argparse.Namespace) -> None:
    from jiantx.command.models import evaluate_model

    evaluate_model(options)


def _predict(options: argparse.Namespace) -> None:
    from jiantx.command.models import predict_file

    predict_file(options)


def _report(options: argparse.Namespace) -> None:
    from jiantx.command.reports import show_reports

    show_reports(options)


def _recipe(arguments: Sequence[str]) -> None:
    from jiantx.experiments import run_recipe

    run_recipe(arguments, program="jiantx recipe")
