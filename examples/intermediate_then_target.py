"""The recipe of Phang et al. 2020 (arXiv 2005.13013): encoder -> intermediate task -> target task
-> other languages.

    python examples/intermediate_then_target.py                        # a small artificial world,
    in minutes python examples/intermediate_then_target.py --preset paper --encoder
    xlm-roberta-large --data-root hub --plan

Each word of --intermediate is a row of the result: `none` is the baseline and is always run,
`mnli+squad_v1` trains on both jointly, `all` on the paper's nine, `mnli+mlm` mixes multilingual
masked LM in, `mnli[en,de]` trains in these languages. All flags that are not listed below are
`transformers.TrainingArguments`' own and hold for every training stage;
`--intermediate.learning_rate 1e-5` or `--target.num_train_epochs 5` hold for one of the two.

--plan says what would be run and what it would cost. Several processes may share an --output: each
runs its share of the rows with --shard and rewrites the table when it finishes, so that the last
one has all rows. `torchrun --nproc-per-node 8` trains each stage
on eight GPUs.
"""

from __future__ import annotations

import sys

import torch
from accelerate import PartialState
from filelock import FileLock
from transformers.utils import logging

import jiantx as jx


def main() -> None:
    options, training_flags = jx.experiments.parse_arguments(sys.argv[1:], description=__doc__)
    ranks = PartialState(cpu=not torch.cuda.is_available())  # under torchrun; otherwise one
    logging.disable_progress_bar()  # of loading weights; training and scoring keep theirs

    # 1. Data and encoder: the artificial world, unless there are others.
    root = options.data_root or jx.default_root()
    jx.data_root(None if root == "hub" else root)
    options.encoder = options.encoder or str(jx.default_encoder())

    # 2. The recipe: what all rows of the table share.
    recipe = jx.experiments.recipe_from_options(options, training_flags)

    # 3. The table: rows, targets, seeds. Each cell is a stage; stages that are alike run once.
    targets = jx.experiments.available_targets(options, recipe)
    rows = jx.experiments.available_rows(options)
    table = recipe.plan(rows, targets, seeds=options.seeds)
    index, count = map(int, options.shard.split("/"))
    own_rows = jx.experiments.shard(rows, index, count)
    own_cells = {cell: stage for cell, stage in table.items() if cell.row in own_rows}
    stages = recipe.stages(own_cells)
    done = sum(map(stages.done, stages))
    ranks.print(
        f"{len(own_cells)} cells, {len(stages.stages)} stages, {done} of them done already, "
        f"in {options.output}"
    )
    if options.plan:
        ranks.print(jx.experiments.estimate_costs(recipe, own_cells).to_text())
        return

    # 4. Train and score what is not done yet.
    stages.run()

    # 5. The result: whoever writes last has read all that is done.
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
            )
    ranks.wait_for_everyone()
    ranks.destroy_process_group()


if __name__ == "__main__":
    try:
        main()
    except jx.DataError as error:
        sys.exit(f"error: {error}")
