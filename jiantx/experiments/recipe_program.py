"""The recipe as a program: of Phang et al. 2020 (arXiv 2005.13013), or with your own rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from accelerate import PartialState
from filelock import FileLock

from jiantx.experiments.available_data import available_rows, available_targets
from jiantx.experiments.command_line import parse_arguments, recipe_from_options
from jiantx.experiments.costs import estimate_costs
from jiantx.experiments.results_page import write_results_page
from jiantx.experiments.stages import shard
from jiantx.sources import data_root
from jiantx.synthetic import default_encoder, default_root

_DESCRIPTION = """\
An encoder is trained on English intermediate tasks, then on each target task in English, and is
scored on the target in every language. The result is a table: a row for each set of intermediate
tasks, a column for each target, and differences from the row `none` that skips the first step.

    # a small artificial world, in minutes
    {program}

    # what the paper's table would cost, without running it
    {program} --preset paper --encoder xlm-roberta-large --data-root hub --plan

Rows are named after --intermediate. `none` is always run, `mnli+squad_v1` trains on both tasks
jointly, `all` on the paper's nine, `mnli+mlm` adds multilingual masked LM, and `mnli[en,de]` trains
in these languages.

All flags that are not listed below belong to `transformers.TrainingArguments`. They hold for every
training; `--intermediate.learning_rate 1e-5` and `--target.num_train_epochs 5` hold for one kind,
`--squad_v1.num_train_epochs 5` for the targets that are fine-tuned on SQuAD.

Several processes can share an --output. Each runs its rows with --shard and writes the table of all
rows that are done; the last one writes the whole table. Each stage is trained on eight GPUs by
`torchrun --nproc-per-node 8 -m jiantx recipe …`.
"""


def run_recipe(
    arguments: Sequence[str], *, program: str = "jiantx recipe", description: str | None = None
) -> None:
    """Run the recipe of a command line: plan, train, score, write the page of results.

    Args:
        arguments: The command line without the program's name.
        program: What is typed before the arguments, for `--help` and the page of results.
        description: Text at the top of `--help`; the recipe's own if None.

    Raises:
        DataError: Data are missing, or are not what a task expects.
    """
    if description is None:
        description = _DESCRIPTION.format(program=program)
    options, training_flags = parse_arguments(arguments, description, program=program)
    ranks = PartialState(cpu=not torch.cuda.is_available())  # one, unless torchrun starts more

    # 1. Data and encoder. By default both are the artificial world's.
    root = options.data_root or default_root()
    data_root(None if root == "hub" else root)
    options.encoder = options.encoder or str(default_encoder())

    # 2. The recipe: what all rows of the table share. Flags override the preset.
    recipe = recipe_from_options(options, training_flags)

    # 3. Columns and rows. Those of a preset whose data are missing are skipped and listed.
    targets = available_targets(recipe, options.targets)
    skip_missing = not options.rows_given
    rows = available_rows(options.intermediate, skip_missing=skip_missing)

    # 4. The plan: a stage for each cell of the table. This process runs the cells of its rows.
    table = recipe.plan(rows, targets, seeds=options.seeds)
    shard_rows = shard(rows, *options.shard)
    cells = {cell: stage for cell, stage in table.items() if cell.row in shard_rows}
    stages = recipe.stages(cells)
    done = sum(map(stages.done, stages))
    ranks.print(
        f"{len(cells)} cells, {len(stages.stages)} stages, {done} of them done already, "
        f"in {options.output}"
    )
    if options.plan:
        ranks.print("Reading rows, and timing steps of such an encoder (minutes for a large one).")
        ranks.print(estimate_costs(recipe, cells).to_text())
        return

    # 5. Train and score. Stages that are done are not run again.
    stages.run()

    # 6. The page of results, with the scores of all processes so far.
    if ranks.is_main_process:
        options.output.mkdir(parents=True, exist_ok=True)
        with FileLock(options.output / "report.lock"):
            write_results_page(
                recipe.report(table),
                targets,
                recipe.stages(table),
                options.output,
                splits=options.split,
                command=" ".join([program, *arguments]),
                encoder=options.encoder,
            )
    ranks.wait_for_everyone()
    ranks.destroy_process_group()
