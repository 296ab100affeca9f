"""How large a batch should intermediate training take, and how should its learning rate follow?

    python examples/studies/batch_size.py               # a small artificial world, in minutes
    python examples/studies/batch_size.py --data-root hub --encoder xlm-roberta-base \\
        --task squad_v1 --batch-sizes 8 32 128 512 --examples 262144

Every run sees --examples examples at a constant learning rate, after the same few steps of warm-up,
and is scored on validation rows as it goes. So one run answers for two budgets. At equal epochs,
its score is that of the end. At equal steps, it is the score after as many steps as the largest
batch takes in all. A batch has the learning rate of --base (fixed), or the rate grows with the
square root of the batch (sqrt), or with the batch (linear). A stopped study resumes in --output.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from itertools import chain
from typing import Any

from batch_options import RULES, BatchOptions, Setting
from batch_size_tables import add_budget, mean_examples_to, noise_sentences, speed_table
from findings import publish
from study import check_rows, run

import jiantx as jx

CAVEAT = (
    "Differences are over seeds, with 95 % intervals (Student's t), one by one: "
    "of twenty, one misses by chance."
)


def main(options: BatchOptions) -> None:
    check_rows([options.task])
    options.encoder = options.encoder or str(jx.default_encoder())
    plan = {}
    for seed in range(1, options.seeds + 1):
        for batch_size in options.batch_sizes:
            for rule in RULES:  # at the base all rules agree, and are one stage
                setting = Setting(batch_size, rule)
                plan[setting, seed] = options.stage(setting, seed)
    stages = jx.experiments.Stages(options.output, plan.values())
    stages.run()
    results = {}
    for key, stage in plan.items():
        results[key] = json.loads((stages.folder_of(stage) / "result.json").read_text())
    show(options, results)


def show(options: BatchOptions, results: Mapping[tuple[Setting, int], Mapping[str, Any]]) -> None:
    """Publish tables, pictures and a paragraph.

    Args:
        options: The study's arguments.
        results: The `result.json` of each training, by setting and seed. Its `curve` holds pairs
            of examples seen and validation score.
    """
    seeds = range(1, options.seeds + 1)
    curves = {}
    for setting, _ in results:
        curves[setting] = [results[setting, seed]["curve"] for seed in seeds]
    evaluations = chain.from_iterable(chain.from_iterable(curves.values()))
    scores = [score for _, score in evaluations]
    if not scores:
        sys.exit("The loss of every run became infinite: there is nothing to compare.")
    goal = options.score or 0.1 * min(scores) + 0.9 * max(scores)

    header = ["batch size", "rule", "rate", f"examples to a score of {goal:.1f}"]
    table = {}
    for setting, seed_curves in curves.items():
        if setting.batch_size != options.base or setting.rule == "fixed":
            rate = f"{results[setting, 1]['rate']:.1e}"
            examples = mean_examples_to(goal, seed_curves)
            table[setting] = [str(setting.batch_size), setting.rule, rate, examples]
    budgets = {
        "equal epochs": dict.fromkeys(options.batch_sizes, options.examples),
        "equal steps": {size: options.fewest_steps * size for size in options.batch_sizes},
    }
    pictures = []
    sentences = []
    for budget, examples_of in budgets.items():
        picture = options.output / f"{budget.replace(' ', '_')}.png"
        axis = f"{options.task}, development score\n(95 % interval)"
        sentence = add_budget(table, budget, curves, examples_of, options.base, picture, axis)
        header += [f"score at {budget}", f"less batch {options.base}"]
        pictures.append(picture)
        sentences.append(sentence)

    base = Setting(options.base, "fixed")
    costs = {size: results[Setting(size, "fixed"), 1] for size in options.batch_sizes}
    fastest = max(costs, key=lambda size: costs[size]["trained"])
    sentences.append(f"Training is fastest, by tokens a second, with a batch of {fastest}.")
    sentences += noise_sentences([results[base, seed]["noise"] for seed in seeds])
    publish(
        f"Batch size and learning rate of intermediate training on {options.task}",
        options,
        f"## {options.examples:,} examples, or {options.fewest_steps:,} steps",
        jx.report.markdown_table(header, table.values()),
        *pictures,
        "## Speed and memory",
        speed_table(costs),
        f"{' '.join(sentences)} {CAVEAT}",
    )


if __name__ == "__main__":
    run(main, BatchOptions)
