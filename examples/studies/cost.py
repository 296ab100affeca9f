"""What do multilingual encoders cost beside monolingual ones of like size, and what do they give for it?

    python examples/studies/cost.py                                      # artificial world, offline, in minutes
    python examples/studies/cost.py --data-root hub --bf16 --targets xnli panx tatoeba \\
        --encoders xlm-roberta-base roberta-base bert-base-multilingual-cased bert-base-cased

Every encoder is fine-tuned on the English targets and scored in English and in the other languages. Beside the scores:
tokens a word, floating-point operations (6 x parameters without embeddings x tokens trained, 2 x scored), time, memory,
points for the compute, and which encoders nothing beats at their price.

Encoders are Hub ids, folders, or sizes such as 160x4 (hidden size 160, four layers), which are pretrained here on the
artificial world's text: 160x4 in all its languages, 160x4-en for as many steps in English only, with one vocabulary.
What is done is kept in --output, and a study that was stopped goes on there.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from torch.autograd.graph import saved_tensors_hooks
from transformers import AutoTokenizer, TrainingArguments
from transformers.utils import logging

import jiantx as jx

ENCODERS = ("160x4", "160x4-en", "80x2", "80x2-en")
GROUPS = ("English", "other languages")
Interval = tuple[float, float]


@dataclass
class Measured:
    """One encoder. scores: English's and the other languages', by seed; the rest of one seed, or of one step."""

    scores: dict[str, list[float]]
    parameters: int  # without embeddings
    flops: float  # trained and scored
    seconds: float  # of all stages, as they ran
    speeds: Interval  # tokens a second, trained and inferred
    memory: int  # bytes of a training step
    fertility: dict[str, float]  # language -> tokens a word
    unknown: float  # the largest share of unknown tokens in a language

    def price(self, group: str) -> float:
        """Operations to read a word: 2 x parameters x tokens a word."""
        own = [tokens for code, tokens in self.fertility.items() if (code == "en") == (group == "English")]
        return 2 * self.parameters * fmean(own)


def main() -> None:
    options = parse()
    logging.disable_progress_bar()  # of loading weights
    jx.data_root(None if options.data_root == "hub" else options.data_root or jx.default_root())
    found = {}
    for word in options.encoders:
        size = re.fullmatch(r"(\d+)x(\d+)(-en)?", word)
        more = {"languages": ("en",) if size and size[3] else None, "max_steps": options.pretraining_steps}
        path = str(jx.default_encoder(hidden=int(size[1]), layers=int(size[2]), **more)) if size else word
        found[Path(word).name] = measured(path, options)
    show(options, found)


def measured(encoder: str, options: argparse.Namespace) -> Measured:
    # 1e-5 for XLM-R large (hidden size 1024), as in the paper's code; smaller encoders take larger steps
    rate = options.learning_rate or jx.default_learning_rate(encoder)
    both = {"learning_rate": float(f"{rate:.2g}"), "per_device_train_batch_size": 32, "bf16": options.bf16}
    both |= {"warmup_steps": 0.1, "weight_decay": 0.01, "num_train_epochs": 3, "max_steps": options.steps}
    recipe = jx.Recipe(encoder=encoder, output=options.output, intermediate=both, target=both)
    whole = recipe.plan([options.row], options.targets, seeds=options.seeds)
    plan = {cell: stage for cell, stage in whole.items() if cell.row == options.row}
    estimate, stages = jx.estimate_costs(recipe, plan), recipe.stages(plan)
    stages.run()
    report, seeds = recipe.report(plan), range(1, options.seeds + 1)
    others = {record.language for record in report} - {"en"}
    languages = dict(zip(GROUPS, ("en", others), strict=True))
    words, unknown = fertility(encoder, ["en", *sorted(others)])
    return Measured(
        scores={g: [report.where(language=own, seed=seed).mean() for seed in seeds] for g, own in languages.items()},
        parameters=estimate.parameters,
        flops=sum(map(estimate.flops, estimate.stages)) / options.seeds,
        seconds=sum(timing["seconds"] for timing in stages.timings()) / options.seeds,
        speeds=(1 / estimate.seconds[0], 1 / estimate.seconds[1]),
        memory=memory(encoder, jx.get_task(options.targets[0]), options),
        fertility=words,
        unknown=unknown,
    )


def memory(encoder: str, target: jx.Task, options: argparse.Namespace) -> int:
    """Bytes of a step on 32 examples: weights, gradients, AdamW's two moments, and what is kept for going backward."""
    task = target.training_tasks()[0]
    model = jx.MultitaskModel.from_pretrained(encoder, [task])
    args = TrainingArguments(str(options.output), per_device_train_batch_size=32, report_to="none")
    batch = next(iter(jx.Trainer(model, args, tasks=[task]).get_train_dataloader()))
    kept = {p.data_ptr(): p.nbytes for p in model.parameters()}
    weights = sum(kept.values())

    def keep(x: torch.Tensor) -> torch.Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    on = {name: x.to(model.device) if torch.is_tensor(x) else x for name, x in batch.items()}
    with saved_tensors_hooks(keep, lambda x: x), torch.autocast(model.device.type, torch.bfloat16, options.bf16):
        model.train()(**on)
    return int(sum(kept.values()) + 3 * weights)


def fertility(encoder: str, languages: Sequence[str]) -> tuple[dict[str, float], float]:
    """Tokens a word by language, on the words of a tagging task that is there; the largest share of unknown ones."""
    tokenizer, tasks = AutoTokenizer.from_pretrained(encoder), map(jx.get_task, ("udpos", "panx"))
    task, found, unknown = next(task for task in tasks if task.languages("validation")), {}, 0.0
    for code in (code for code in languages if code in task.languages("validation")):
        sentences = [" ".join(example.words) for example in task.examples("validation", code)]
        ids = list(chain(*tokenizer(sentences, add_special_tokens=False)["input_ids"]))
        found[code] = len(ids) / sum(len(sentence.split(" ")) for sentence in sentences)
        unknown = max(unknown, ids.count(tokenizer.unk_token_id) / len(ids))
    return found, unknown


# --- the result ------------------------------------------------------------------------------------------------------


def show(options: argparse.Namespace, found: Mapping[str, Measured]) -> None:
    """Tables, a picture and a paragraph, printed and on a page."""
    costs = [["encoder", *GROUPS, "parameters", "TFLOP", "seconds", "points a TFLOP", *SPEEDS, "memory, MB"]]
    for name, own in found.items():
        scores = [plus_minus(jx.interval(own.scores[group])) for group in GROUPS]
        points = " / ".join(f"{fmean(own.scores[group]) / own.flops * 1e12:.3g}" for group in GROUPS)
        numbers = [f"{own.parameters:,}", f"{own.flops / 1e12:.3g}", f"{own.seconds:.0f}", points]
        costs.append([name, *scores, *numbers, *(f"{x:,.0f}" for x in own.speeds), f"{own.memory / 1e6:,.0f}"])
    codes = list(next(iter(found.values())).fertility)
    words = [["encoder", *codes], *([n, *(f"{own.fertility[code]:.2f}" for code in codes)] for n, own in found.items())]

    fronts = {group: front(found, group) for group in GROUPS}
    points_of: dict[str, list[jx.Point]] = {group: [] for group in GROUPS}
    for group, drawn in points_of.items():
        for name, own in sorted(found.items(), key=lambda item: fmean(item[1].scores[group])):
            below = any(point.x == own.price(group) for point in drawn)  # then its name goes a line higher
            drawn.append(jx.Point(own.price(group), *jx.interval(own.scores[group]), name + "\n" * below))
    lines = {}
    for group, names in fronts.items():
        x, y = [found[name].price(group) for name in names], [fmean(found[name].scores[group]) for name in names]
        lines[f"nothing better, {group}"] = (x, y)
    picture, score = options.output / "pareto.png", f"main score, mean of {', '.join(options.targets)}"
    price = "floating-point operations to read a word (log scale)"
    jx.plot_points(points_of, picture, x=price, y=score, log_x=True, joined=False, lines=lines)
    page = jx.Page("What multilingual and monolingual encoders cost")
    page.add(f"`{' '.join(['python', *sys.argv])}`", jx.markdown_table(costs[0], costs[1:]), LEGEND, picture)
    page.add("## Tokens a word", jx.markdown_table(words[0], words[1:]), "## What it says", said(found, fronts))
    page.write(options.output)
    print(page.to_markdown())


SPEEDS = ("trained tokens a second", "inferred tokens a second")
LEGEND = """Scores: mean over seeds ± half the 95 % interval. TFLOP and seconds: of fine-tuning on all targets and
scoring them, once. Points a TFLOP: English / other languages, which have their own means: a target without English rows
(such as Tatoeba) counts in the second alone. Memory: of a training step on 32 examples."""


def front(found: Mapping[str, Measured], group: str) -> list[str]:
    """The encoders, cheapest first, that have a better mean score than all that cost no more."""
    order = sorted(found, key=lambda name: (found[name].price(group), -fmean(found[name].scores[group])))
    best, names = -math.inf, list[str]()
    for name in order:
        if (score := fmean(found[name].scores[group])) > best:
            best, names = score, [*names, name]
    return names


def said(found: Mapping[str, Measured], fronts: Mapping[str, Sequence[str]]) -> str:
    """What the numbers say, from the numbers: an interval that holds zero is no difference."""
    (first, own), *others = found.items()
    texts = []
    for group in GROUPS:
        told = {
            name: jx.interval(np.subtract(other.scores[group], own.scores[group]).tolist()) for name, other in others
        }
        sure = [f"{name} ({plus_minus(x, '+')})" for name, x in told.items() if abs(x[0]) > x[1]]
        unsure = [name for name, x in told.items() if not abs(x[0]) > x[1]]
        texts.append(f"In {group}, beside {first}: {', '.join(sure) or 'no encoder'} can be told from it")
        texts[-1] += f"; {', '.join(unsure)} cannot." if unsure else "."
        texts.append(f"By their means, nothing beats {', '.join(fronts[group])} at their price.")
    ratios = {name: max(x.fertility.values()) / x.fertility["en"] for name, x in found.items()}
    most = max(ratios, key=ratios.__getitem__)
    texts.append(f"A word costs up to {ratios[most]:.1f} times as many tokens as in English ({most}).")
    for name, x in found.items():
        if x.unknown > 0.01:
            texts.append(f"{name} does not know {x.unknown:.0%} of its tokens in one of them: its count says little.")
    return " ".join(texts) + CAVEAT


CAVEAT = """ Differences are over seeds of fine-tuning, with 95 % intervals (Student's t), one by one: of twenty, one
misses by chance; each encoder was pretrained once. Pretraining is not in the costs."""


def plus_minus(found: Interval, sign: str = "") -> str:
    mean, half = found
    return f"{mean:{sign}.1f}" + ("" if math.isnan(half) else f" ± {half:.1f}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--encoders", nargs="+", default=ENCODERS, metavar="NAME", help=f"default: {' '.join(ENCODERS)}")
    add("--data-root", help="folder, or hub for the Hugging Face Hub (default: the artificial world)")
    add("--row", default="none", metavar="TASK[+TASK…]", help="what to train on before the targets (default: none)")
    targets = ["udpos", "panx", "tatoeba"]
    add("--targets", nargs="+", default=targets, metavar="TASK", help=f"default: {' '.join(targets)}")
    add("--seeds", type=int, default=3, metavar="N", help="of the fine-tuning, two at least for intervals (default: 3)")
    add("--steps", type=int, metavar="N", help="of 32 examples; -1: three epochs (default; in the default world 100)")
    add("--pretraining-steps", type=int, default=300, metavar="N", help="of sizes (default: 300)")
    add("--learning-rate", type=float, metavar="RATE", help="default: 1e-5 x (1024 / hidden size)^2, at most 1e-3")
    add("--bf16", action="store_true", help="train in mixed precision, on a GPU")
    add("--output", type=Path, default=Path("runs/cost"), metavar="DIR", help="default: %(default)s")
    options = parser.parse_args()
    options.steps = options.steps or (-1 if options.data_root else 100)
    return options


if __name__ == "__main__":
    try:
        main()
    except jx.DataError as error:
        sys.exit(f"error: {error}")
