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

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.autograd.graph import saved_tensors_hooks
from transformers import PrinterCallback, TrainingArguments, set_seed
from transformers.utils import logging

import jiantx as jx

RULES = {"fixed": 0.0, "sqrt": 0.5, "linear": 1.0}  # rate ~ batch size ** exponent
QUIET = {"report_to": "none", "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True}


def main() -> None:
    options = parse()
    logging.disable_progress_bar()
    jx.data_root(None if options.data_root == "hub" else options.data_root or jx.default_root())
    options.encoder = options.encoder or str(jx.default_encoder())
    options.rate = jx.default_learning_rate(options.encoder)
    plan = {
        (size, rule, seed): training(options, size, options.rate * (size / options.base) ** power, seed)
        for seed in range(1, options.seeds + 1)
        for size in options.batch_sizes
        for rule, power in RULES.items()  # which agree at the base, and are one stage there
    }
    stages = jx.Stages(options.output, plan.values())
    stages.run()
    files = {key: stages.folder_of(stage) / "result.json" for key, stage in plan.items()}
    show(options, {key: json.loads(path.read_text()) for key, path in files.items()})


def training(options: argparse.Namespace, size: int, rate: float, seed: int) -> jx.Stage:
    """Train and score; at the base, measure the gradient's noise; once for each batch size, measure what it costs."""
    task, warm_up = jx.get_task(options.task), max(1, options.examples // max(options.batch_sizes) // 10)
    arguments = {
        **{"per_device_train_batch_size": size, "learning_rate": rate, "weight_decay": 0.01, "seed": seed},
        **{"lr_scheduler_type": "constant_with_warmup", "warmup_steps": warm_up, "max_steps": options.examples // size},
        **{"eval_strategy": "steps", "eval_steps": options.examples // options.evaluations // size},
    }

    def run(folder: Path, before: Sequence[Path]) -> None:
        set_seed(seed)
        model = jx.MultitaskModel.from_pretrained(options.encoder, [task])
        trainer = jx.Trainer(model, TrainingArguments(str(folder), **arguments, **QUIET), tasks=[task])
        trainer.remove_callback(PrinterCallback)
        noise = [noise_scale(trainer, size)] if size == options.base else []
        try:
            trainer.train()
        except FloatingPointError:  # it diverged, and has no score
            trainer.state.log_history = []
        noise += [noise_scale(trainer, size)] if size == options.base else []
        log = [entry for entry in trainer.state.log_history if "eval_score" in entry]
        curve = [(entry["step"] * size, entry["eval_score"]) for entry in log]
        costs = costs_of(trainer) if rate == options.rate and seed == 1 else {}
        (folder / "result.json").write_text(json.dumps({"rate": rate, "noise": noise, "curve": curve, **costs}))

    facts = {"encoder": jx.fingerprint(options.encoder), "data_root": str(jx.data_root()), "task": task.name}
    return jx.Stage(f"batch {size}, rate {rate:.1e}, seed {seed}", facts | {"base": options.base} | arguments, run)


def batches(trainer: jx.Trainer, count: int) -> Iterator[dict[str, Any]]:
    for batch in islice(cycle(trainer.get_train_dataloader()), count):
        yield {name: x.to(trainer.args.device) if torch.is_tensor(x) else x for name, x in batch.items()}


def noise_scale(trainer: jx.Trainer, size: int, each: int = 8, groups: int = 8) -> float:
    """B_simple = tr(Sigma) / |G|^2, from gradients of two batch sizes (McCandlish et al. 2018, 1812.06162, A.1)."""
    model, small, large, whole = trainer.model.train(), 0.0, 0.0, torch.zeros(1)
    for number, batch in enumerate(batches(trainer, each * groups)):
        model.zero_grad()
        trainer.compute_loss(model, batch).backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        whole = gradient if number % each == 0 else whole + gradient
        small += float(gradient @ gradient) / (each * groups)  # the mean square of a norm
        if number % each == each - 1:
            large += float(whole @ whole) / each**2 / groups
    signal = (each * large - small) / (each - 1)
    return (small - large) / (1 / size - 1 / (size * each)) / signal if signal > 0 else math.nan


def costs_of(trainer: jx.Trainer) -> dict[str, float]:
    """Tokens a second, trained and inferred, and bytes of training: on a CPU, of what torch has to keep for it."""
    model, found, kept = trainer.model, {"bytes": 0.0}, {}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)
    weights = {p.data_ptr(): p.nbytes for p in model.parameters()}

    def keep(x: torch.Tensor) -> torch.Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    for name in ("trained", "inferred"):
        model.train(name == "trained")
        rates = []
        for batch in batches(trainer, 8):
            kept.clear()
            started = time.perf_counter()
            with torch.inference_mode(name == "inferred"), saved_tensors_hooks(keep, lambda x: x):
                loss = model(**batch).loss
            if name == "trained":
                found["bytes"] = max(found["bytes"], sum((kept | weights).values()) + 3 * sum(weights.values()))
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
            float(loss.detach())  # waits for the device
            rates.append(batch["input_ids"].numel() / (time.perf_counter() - started))
        found[name] = statistics.median(rates[2:])
    if trainer.args.device.type == "cuda":
        found["bytes"] = torch.cuda.max_memory_allocated()
    return found


# --- the result ------------------------------------------------------------------------------------------------------


def show(options: argparse.Namespace, results: Mapping[tuple[int, str, int], dict[str, Any]]) -> None:
    """Tables, pictures and a paragraph, printed and on a page."""
    steps, seeds = options.examples // max(options.batch_sizes), range(1, options.seeds + 1)
    curves = {(size, rule): [results[size, rule, seed]["curve"] for seed in seeds] for size, rule, _ in results}
    every = [score for found in curves.values() for curve in found for _, score in curve]
    goal = options.score or 0.1 * min(every) + 0.9 * max(every)
    rows = [["batch size", "rule", "rate", f"examples to a score of {goal:.1f}"]]
    for (size, rule), found in curves.items():
        needed = [number for number in (examples_to(goal, curve) for curve in found) if number < math.inf]
        text = f"{statistics.fmean(needed):,.0f}" if needed else ""
        text += f" ({len(needed)} of {len(found)} runs)" if len(needed) < len(found) else ""
        rows.append([f"{size}", rule, f"{results[size, rule, 1]['rate']:.1e}", text])

    page, said = jx.Page(f"Batch size and learning rate of intermediate training on {options.task}"), []
    pictures = []
    ends = {"equal epochs": dict.fromkeys(options.batch_sizes, options.examples)}
    ends["equal steps"] = {size: steps * size for size in options.batch_sizes}
    for budget, seen in ends.items():
        scores = {at: [dict(curve).get(seen[at[0]], math.nan) for curve in found] for at, found in curves.items()}
        more = {
            at: jx.interval(np.subtract(found, scores[options.base, "fixed"]).tolist()) for at, found in scores.items()
        }
        rows[0] += [f"score at {budget}", f"less batch {options.base}"]
        for row, at in zip(rows[1:], scores, strict=True):
            row += [plus_minus(jx.interval(scores[at])), plus_minus(more[at], "+") if at[0] != options.base else ""]
        sure = [f"{n} {rule} ({plus_minus(x, '+')})" for (n, rule), x in more.items() if abs(x[0]) > x[1]]
        said.append(f"At {budget}, told from a batch of {options.base}: {', '.join(sure) or 'no other setting'}.")
        points = {
            rule: [jx.Point(size * 1.08**shift, *jx.interval(scores[size, rule])) for size in options.batch_sizes]
            for shift, rule in enumerate(RULES, -1)  # side by side, or they would hide one another
        }
        pictures.append(options.output / f"{budget.replace(' ', '_')}.png")
        y, x = f"{options.task}, development score\n(95 % interval)", "batch size (examples, log scale)"
        jx.plot_points(points, pictures[-1], x=x, y=y, title=f"Learning rate by batch size, at {budget}", log_x=True)

    costs = {size: results[size, "fixed", 1] for size in options.batch_sizes}
    table = [["batch size", "trained tokens a second", "inferred tokens a second", "memory of training, MB"]]
    for size, own in costs.items():
        table.append([f"{size}", f"{own['trained']:,.0f}", f"{own['inferred']:,.0f}", f"{own['bytes'] / 1e6:,.0f}"])
    fastest = max(costs, key=lambda size: costs[size]["trained"])
    said.append(f"Training is fastest, by tokens a second, with a batch of {fastest}.")
    noise = np.array([results[options.base, "fixed", seed]["noise"] for seed in seeds])
    for when, found in zip(("before", "after"), noise.T, strict=True):
        texts = ", ".join("not to be measured" if math.isnan(number) else f"{number:.2g}" for number in found)
        said.append(f"Gradient noise scale {when} training, in examples, by seed: {texts}.")
    said.append("Well below it, larger batches save steps at no cost in examples; above it, they cost examples.")
    page.add(f"`{' '.join(['python', *sys.argv])}`")
    once = [row for row in rows if row[0] != str(options.base) or row[1] == "fixed"]  # where all rules agree
    page.add(f"## {options.examples:,} examples, or {steps:,} steps", jx.markdown_table(once[0], once[1:]))
    page.add(*pictures, "## Speed and memory", jx.markdown_table(table[0], table[1:]), f"{' '.join(said)} {CAVEAT}")
    page.write(options.output)
    print(page.to_markdown())


CAVEAT = "Differences are over seeds, with 95 % intervals (Student's t), one by one: of twenty, one misses by chance."


def plus_minus(found: tuple[float, float], sign: str = "") -> str:
    mean, half = found
    return "diverged" if math.isnan(mean) else f"{mean:{sign}.1f}" + ("" if math.isnan(half) else f" ± {half:.1f}")


def examples_to(score: float, curve: Sequence[tuple[int, float]]) -> float:
    """When a curve first has the score, on the line between two evaluations; infinite if it never has."""
    for (before, low), (after, high) in zip([(0, -math.inf), *curve], curve):
        if high >= score:
            return after - (after - before) * (high - score) / (high - low) if low > -math.inf else after
    return math.inf


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--encoder", help="Hub id or folder (default: the artificial world's own, made on first use)")
    add("--data-root", help="folder, or hub for the Hugging Face Hub (default: the artificial world)")
    add("--task", help="intermediate task, trained and scored in English (default: mnli; in the artificial world ccg)")
    add("--batch-sizes", nargs="+", type=int, default=[8, 32, 128], help="each divides the next (default: 8 32 128)")
    add("--base", type=int, default=32, help="the batch size that has the usual rate (default: 32)")
    add("--examples", type=int, help="of every run, about (default: 131072; in the artificial world 2048)")
    add("--score", type=float, help="to be reached (default: nine tenths of the way from the least to the best)")
    add("--seeds", type=int, default=3, help="at least two for an interval (default: 3)")
    add("--output", type=Path, default=Path("runs/batch_size"), help="default: runs/batch_size")
    options = parser.parse_args()
    options.task = options.task or ("mnli" if options.data_root else "ccg")  # which is learnt in a minute
    options.examples = options.examples or (131072 if options.data_root else 2048)
    sizes = options.batch_sizes = sorted({*options.batch_sizes, options.base})
    if any(larger % smaller for smaller, larger in pairwise(sizes)):
        parser.error(f"of the batch sizes {sizes} each must divide the next")
    ratio = sizes[-1] // sizes[0]
    options.evaluations = ratio * math.ceil(8 / ratio)  # so that all stand at whole steps, and so do equal steps
    apart = max(1, round(options.examples / options.evaluations / sizes[-1])) * sizes[-1]
    options.examples = apart * options.evaluations
    return options


if __name__ == "__main__":
    try:
        main()
    except jx.DataError as error:
        sys.exit(f"error: {error}")
