r"""The recipe of Phang et al. 2020 (arXiv 2005.13013): intermediate tasks, then target tasks.

An encoder is trained on English intermediate tasks, then on each target task in English, and is
scored on the target in every language. The result is a table: a row for each set of intermediate
tasks, a column for each target, and differences from the row `none` that skips the first step.

    # a small artificial world, in minutes
    python examples/intermediate_then_target.py

    # what the paper's table would cost, without running it
    python examples/intermediate_then_target.py --preset paper --encoder xlm-roberta-large \
        --data-root hub --plan

Rows are named after --intermediate. `none` is always run, `mnli+squad_v1` trains on both tasks
jointly, `all` on the paper's nine, `mnli+mlm` adds multilingual masked LM, and `mnli[en,de]` trains
in these languages.

All flags that --help does not list belong to `transformers.TrainingArguments`. They hold for every
training; `--intermediate.learning_rate 1e-5` and `--target.num_train_epochs 5` hold for one kind,
`--squad_v1.num_train_epochs 5` for the targets that are fine-tuned on SQuAD.

Several processes can share an --output. Each runs its rows with --shard and writes the table of all
rows that are done; the last one writes the whole table. `torchrun --nproc-per-node 8` trains each
stage on eight GPUs.
"""

from __future__ import annotations

import sys

import torch
from accelerate import PartialState
from filelock import FileLock

import jiantx as jx


def main() -> None:
    options, training_flags = jx.experiments.parse_arguments(sys.argv[1:], description=__doc__)
    ranks = PartialState(cpu=not torch.cuda.is_available())  # one, unless torchrun starts more

    # 1. Data and encoder. By default both are the artificial world's.
    root = options.data_root or jx.default_root()
    jx.data_root(None if root == "hub" else root)
    options.encoder = options.encoder or str(jx.default_encoder())

    # 2. The recipe: what all rows of the table share. Flags override the preset.
    recipe = jx.experiments.recipe_from_options(options, training_flags)

    # 3. Columns and rows. Those of a preset whose data are missing are skipped and listed.
    targets = jx.experiments.available_targets(recipe, options.targets)
    skip_missing = not options.rows_given
    rows = jx.experiments.available_rows(options.intermediate, skip_missing=skip_missing)

    # 4. The plan: a stage for each cell of the table. This process runs the cells of its rows.
    table = recipe.plan(rows, targets, seeds=options.seeds)
    shard = jx.experiments.shard(rows, *options.shard)
    cells = {cell: stage for cell, stage in table.items() if cell.row in shard}
    stages = recipe.stages(cells)
    done = sum(map(stages.done, stages))
    ranks.print(
        f"{len(cells)} cells, {len(stages.stages)} stages, {done} of them done already, "
        f"in {options.output}"
    )
    if options.plan:
        ranks.print(jx.experiments.estimate_costs(recipe, cells).to_text())
        return

    # 5. Train and score. Stages that are done are not run again.
    stages.run()

    # 6. The page of results, with the scores of all processes so far.
    if ranks.is_main_process:
        options.output.mkdir(parents=True, exist_ok=True)
        with FileLock(options.output / "report.lock"):
            jx.experiments.write_results_page(
                recipe.report(table),
                targets,
                recipe.stages(table),
                options.output,
                splits=options.split,
                command=" ".join(["python", *sys.argv]),
                encoder=options.encoder,
            )
    ranks.wait_for_everyone()
    ranks.destroy_process_group()


if __name__ == "__main__":
    try:
        main()
    except jx.DataError as error:
        sys.exit(f"error: {error}")
