"""How large a batch should intermediate training take, and how should its learning rate follow?

    python examples/studies/batch_size.py                               # a small artificial world, in minutes
    python examples/studies/batch_size.py --data-root hub --encoder xlm-roberta-base --task squad_v1 \\
        --batch-sizes 8 32 128 512 --examples 262144

Every run sees --examples examples at a constant rate, after the same few steps of warm-up, and is scored in development
as it goes. So one run serves two budgets: its end is at equal epochs, and where it stands after as many steps as the
largest batch takes in all is at equal steps. The rate of a batch is that of --base (fixed), or grows with the root of
the batch (sqrt), or with the batch (linear). A stopped study goes on where it was.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from measure import costs_of, noise_scale
from study import Options, check_rows, option, plus_minus, publish, run, told
from transformers import PrinterCallback, TrainingArguments, set_seed

import jiantx as jx

RULES = {"fixed": 0.0, "sqrt": 0.5, "linear": 1.0}  # rate ~ batch size ** exponent
QUIET = {"report_to": "none", "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True}
CAVEAT = "Differences are over seeds, with 95 % intervals (Student's t), one by one: of twenty, one misses by chance."
Results = Mapping[tuple[int, str, int], Mapping[str, Any]]  # of batch size, rule, seed


@dataclass(kw_only=True)
class BatchOptions(Options):
    encoder: str = option(
        "Hub id or folder (default: the artificial world's own, made on first use)", ""
    )
    task: str = option(
        "intermediate task, trained and scored in English (default: mnli; in the world ccg)", ""
    )
    batch_sizes: list[int] = option("each divides the next", [8, 32, 128])
    base: int = option("the batch size that has the usual rate", 32)
    examples: int = option("of every run, about (default: 131072; in the world 2048)", 0)
    score: float | None = option(
        "to be reached (default: nine tenths of the way from the least to the best)"
    )

    def __post_init__(self) -> None:
        self.task = self.task or (
            "mnli" if self.data_root else "ccg"
        )  # which is learnt in a minute
        sizes = self.batch_sizes = sorted({*self.batch_sizes, self.base})
        if any(larger % smaller for smaller, larger in pairwise(sizes)):
            raise ValueError(f"of the batch sizes {sizes} each must divide the next")
        ratio = sizes[-1] // sizes[0]
        self.evaluations = ratio * math.ceil(
            8 / ratio
        )  # so that all stand at whole steps, and so do equal steps
        wanted = self.examples or (131072 if self.data_root else 2048)
        self.examples = (
            max(1, round(wanted / self.evaluations / sizes[-1])) * sizes[-1] * self.evaluations
        )


def main(options: BatchOptions) -> None:
    check_rows([options.task])
    options.encoder = options.encoder or str(jx.default_encoder())
    rate = jx.experiments.default_learning_rate(options.encoder)
    plan = {
        (size, rule, seed): training(options, size, rate * (size / options.base) ** power, seed)
        for seed in range(1, options.seeds + 1)
        for size in options.batch_sizes
        for rule, power in RULES.items()  # which agree at the base, and are one stage there
    }
    stages = jx.experiments.Stages(options.output, plan.values())
    stages.run()
    files = {key: stages.folder_of(stage) / "result.json" for key, stage in plan.items()}
    show(options, {key: json.loads(path.read_text()) for key, path in files.items()})


def training(options: BatchOptions, size: int, rate: float, seed: int) -> jx.experiments.Stage:
    """Train and score; at the base, measure the gradient's noise; at its rate, what a batch of this size costs."""
    task, warm_up = (
        jx.get_task(options.task),
        max(1, options.examples // max(options.batch_sizes) // 10),
    )
    arguments = {
        **{
            "per_device_train_batch_size": size,
            "learning_rate": rate,
            "weight_decay": 0.01,
            "seed": seed,
        },
        **{
            "lr_scheduler_type": "constant_with_warmup",
            "warmup_steps": warm_up,
            "max_steps": options.examples // size,
        },
        **{"eval_strategy": "steps", "eval_steps": options.examples // options.evaluations // size},
    }

    def run(folder: Path, before: Sequence[Path]) -> None:
        set_seed(seed)
        model = jx.MultitaskModel.from_pretrained(options.encoder, [task])
        trainer = jx.Trainer(
            model, TrainingArguments(str(folder), **arguments, **QUIET), tasks=[task]
        )
        trainer.remove_callback(PrinterCallback)
        noise = [noise_scale(trainer, size)] if size == options.base else []
        try:
            trainer.train()
        except FloatingPointError:  # it diverged, and has no score
            trainer.state.log_history = []
        noise += [noise_scale(trainer, size)] if size == options.base else []
        log = [entry for entry in trainer.state.log_history if "eval_score" in entry]
        curve = [(entry["step"] * size, entry["eval_score"]) for entry in log]
        costs = (
            costs_of(trainer)
            if rate == jx.experiments.default_learning_rate(options.encoder) and seed == 1
            else {}
        )
        (folder / "result.json").write_text(
            json.dumps({"rate": rate, "noise": noise, "curve": curve, **costs})
        )

    facts = {
        "encoder": jx.experiments.fingerprint(options.encoder),
        "data_root": str(jx.data_root()),
        "task": task.name,
    }
    return jx.experiments.Stage(
        f"batch {size}, rate {rate:.1e}, seed {seed}",
        facts | {"base": options.base} | arguments,
        run,
    )


# --- the result ------------------------------------------------------------------------------------------------------


def show(options: BatchOptions, results: Results) -> None:
    """Tables, pictures and a paragraph."""
    steps, seeds = options.examples // max(options.batch_sizes), range(1, options.seeds + 1)
    curves = {
        (size, rule): [results[size, rule, seed]["curve"] for seed in seeds]
        for size, rule, _ in results
    }
    settings = [
        at for at in curves if at[0] != options.base or at[1] == "fixed"
    ]  # at the base all rules agree
    every = [score for found in curves.values() for curve in found for _, score in curve]
    if not every:
        sys.exit("The loss of every run became infinite: there is nothing to compare.")
    goal = options.score or 0.1 * min(every) + 0.9 * max(every)
    header = ["batch size", "rule", "rate", f"examples to a score of {goal:.1f}"]
    rows = {
        at: [*map(str, at), f"{results[*at, 1]['rate']:.1e}", needed(goal, curves[at])]
        for at in settings
    }
    said, pictures = [], []
    budgets = {"equal epochs": dict.fromkeys(options.batch_sizes, options.examples)}
    budgets["equal steps"] = {size: steps * size for size in options.batch_sizes}
    for budget, seen in budgets.items():
        scores = {
            at: [dict(curve).get(seen[at[0]], math.nan) for curve in found]
            for at, found in curves.items()
        }
        base = scores[options.base, "fixed"]
        less = {
            at: jx.report.interval(np.subtract(scores[at], base).tolist())
            for at in settings
            if at[0] != options.base
        }
        header += [f"score at {budget}", f"less batch {options.base}"]
        for at, row in rows.items():
            row += [
                plus_minus(jx.report.interval(scores[at])),
                plus_minus(less[at], "+") if at in less else "",
            ]
        up, down, _ = told({f"{size} {rule}": x for (size, rule), x in less.items()})
        sure = ", ".join([*up, *down]) or "no other setting"
        said.append(f"At {budget}, told from a batch of {options.base}: {sure}.")
        points = {
            rule: [
                jx.report.plots.Point(size * 1.08**shift, *jx.report.interval(scores[size, rule]))
                for size in options.batch_sizes
            ]
            for shift, rule in enumerate(RULES, -1)  # side by side, or they would hide one another
        }
        pictures.append(options.output / f"{budget.replace(' ', '_')}.png")
        y, x = (
            f"{options.task}, development score\n(95 % interval)",
            "batch size (examples, log scale)",
        )
        jx.report.plots.plot_points(
            points,
            pictures[-1],
            x=x,
            y=y,
            title=f"Learning rate by batch size, at {budget}",
            log_x=True,
        )

    costs = {size: results[size, "fixed", 1] for size in options.batch_sizes}
    speeds = [
        "batch size",
        "trained tokens a second",
        "inferred tokens a second",
        "memory of training, MB",
    ]
    table = [
        [f"{n}", *(f"{c[k]:,.0f}" for k in ("trained", "inferred")), f"{c['bytes'] / 1e6:,.0f}"]
        for n, c in costs.items()
    ]
    fastest = max(costs, key=lambda size: costs[size]["trained"])
    said.append(f"Training is fastest, by tokens a second, with a batch of {fastest}.")
    noise = np.array([results[options.base, "fixed", seed]["noise"] for seed in seeds])
    for when, found in zip(("before", "after"), noise.T, strict=True):
        texts = ", ".join("not to be measured" if math.isnan(x) else f"{x:.2g}" for x in found)
        said.append(f"Gradient noise scale {when} training, in examples, by seed: {texts}.")
    said.append(
        "Well below it, larger batches save steps at no cost in examples; above it, they cost examples."
    )
    publish(
        f"Batch size and learning rate of intermediate training on {options.task}",
        options,
        f"## {options.examples:,} examples, or {steps:,} steps",
        jx.report.markdown_table(header, rows.values()),
        *pictures,
        "## Speed and memory",
        jx.report.markdown_table(speeds, table),
        f"{' '.join(said)} {CAVEAT}",
    )


def needed(score: float, curves: Sequence[Sequence[tuple[int, float]]]) -> str:
    """The mean of the examples that runs needed to a score, and how many never had it."""
    found = [
        examples
        for examples in (examples_to(score, curve) for curve in curves)
        if examples < math.inf
    ]
    text = f"{fmean(found):,.0f}" if found else ""
    return text if len(found) == len(curves) else f"{text} ({len(found)} of {len(curves)} runs)"


def examples_to(score: float, curve: Sequence[tuple[int, float]]) -> float:
    """When a curve first has the score, on the line between two evaluations; infinite if it never has."""
    for (before, low), (after, high) in zip([(0, -math.inf), *curve], curve):
        if high >= score:
            return (
                after - (after - before) * (high - score) / (high - low)
                if low > -math.inf
                else after
            )
    return math.inf


if __name__ == "__main__":
    run(main, BatchOptions)
