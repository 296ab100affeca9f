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
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

from batch_size_tables import (
    CAVEAT,
    Setting,
    add_budget,
    mean_examples_to,
    noise_sentences,
    speed_table,
)
from batch_training import training_stage
from findings import publish
from study import Options, check_rows, option, run

import jiantx as jx

RULES = {"fixed": 0.0, "sqrt": 0.5, "linear": 1.0}  # learning rate ~ batch size ** exponent


@dataclass(kw_only=True)
class BatchOptions(Options):
    encoder: str = option(
        "Hub id or folder (default: the artificial world's own, made on first use)", ""
    )
    task: str = option(
        "intermediate task, trained and scored in English (default: mnli; in the world ccg)", ""
    )
    batch_sizes: list[int] = option("each divides the next", [8, 32, 128])
    base: int = option("the batch size that has the usual learning rate", 32)
    examples: int = option("of every run, about (default: 131072; in the world 2048)", 0)
    score: float | None = option(
        "to be reached (default: nine tenths of the way from the least to the best)"
    )

    def __post_init__(self) -> None:
        if not self.task:
            self.task = "mnli" if self.data_root else "ccg"  # ccg is learned in a minute
        sizes = sorted({*self.batch_sizes, self.base})
        if any(larger % smaller for smaller, larger in pairwise(sizes)):
            raise ValueError(f"of the batch sizes {sizes} each must divide the next")
        self.batch_sizes = sizes
        # All evaluations, and the budget of equal steps, are at whole steps of every batch size.
        ratio = sizes[-1] // sizes[0]
        self.evaluations = ratio * math.ceil(8 / ratio)
        examples = self.examples or (131072 if self.data_root else 2048)
        steps_between = max(1, round(examples / self.evaluations / sizes[-1]))
        self.examples = steps_between * sizes[-1] * self.evaluations

    @property
    def fewest_steps(self) -> int:
        """The steps of a run with the largest batch."""
        return self.examples // max(self.batch_sizes)

    def stage(self, setting: Setting, seed: int) -> jx.experiments.Stage:
        """Return the training of one setting and seed."""
        batch_size, rule = setting
        base_rate = jx.experiments.default_learning_rate(self.encoder)
        arguments = {
            "per_device_train_batch_size": batch_size,
            "learning_rate": base_rate * (batch_size / self.base) ** RULES[rule],
            "weight_decay": 0.01,
            "seed": seed,
            "lr_scheduler_type": "constant_with_warmup",
            "warmup_steps": max(1, self.fewest_steps // 10),
            "max_steps": self.examples // batch_size,
            "eval_strategy": "steps",
            "eval_steps": self.examples // self.evaluations // batch_size,
        }
        return training_stage(self.encoder, self.task, arguments, self.base)


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
    """Publish tables, pictures and a paragraph."""
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
    for setting in curves:
        if setting.batch_size != options.base or setting.rule == "fixed":
            rate = f"{results[setting, 1]['rate']:.1e}"
            examples = mean_examples_to(goal, curves[setting])
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
