"""Write docs/reference/recipe_flags.md from the program's own help (`make docs`)."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from jiantx.experiments.command_line import recipe_parser

PAGE = Path(__file__).parent / "reference" / "recipe_flags.md"
INTRODUCTION = """# Flags of the recipe

The program `examples/intermediate_then_target.py`, which is also `jiantx recipe`, has these flags;
[Running the paper](../recipes.md) shows them in use. Flags that are not listed are fields of
`transformers.TrainingArguments`. `--learning_rate 1e-5` holds for every training,
`--intermediate.learning_rate 1e-5` and `--target.num_train_epochs 5` for one kind of training, and
`--squad_v1.num_train_epochs 5` for the targets that are fine-tuned on one task.

| flag | what it does |
| --- | --- |
"""


def page() -> str:
    """The text of the page."""
    actions = recipe_parser(None)._actions
    return INTRODUCTION + "".join(map(_line, filter(_is_flag, actions)))


def _is_flag(action: argparse.Action) -> bool:
    return "--help" not in action.option_strings


def _line(action: argparse.Action) -> str:
    values = " ".join(action.choices) if action.choices else action.metavar or ""
    shown = f"{action.option_strings[0]} {values}".strip().replace("|", "\\|")
    # the names of all tasks are on a page of their own
    text = re.sub(r"; tasks: .*", "; [all tasks](../tasks.md)", str(action.help))
    return f"| `{shown}` | {text} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
