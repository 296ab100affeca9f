"""One intermediate task, or several at once? By size of the encoder, on XTREME-R's tasks.

    python examples/studies/single_vs_multi_task.py                      # artificial world, offline, in minutes
    python examples/studies/single_vs_multi_task.py --data-root hub --bf16 \\
        --encoders xlm-roberta-base xlm-roberta-large facebook/xlm-roberta-xl

Every encoder is trained on each intermediate task alone and on all jointly, then on each target. Two differences, by
seed, answer: joint training less the best single task, and less the mean of the singles, which is what a task chosen
blindly gives. The best is chosen by the other seeds' scores: chosen by its own, it would win by chance.

Encoders are Hub ids, folders, or sizes such as 64x2 (hidden size 64, two layers), which are pretrained here on the
artificial world's text. With --steps, training on several tasks takes as many steps as on one, and costs no more; with
-1, the default elsewhere, all rows are read three times, and it costs the sum. What is done is kept in --output, and a
run that was stopped goes on there.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from transformers.utils import logging

import jiantx as jx

SIZES, FEW = ("32x2", "80x2", "112x3"), ("xnli", "udpos", "tatoeba")


def main() -> None:
    options = parse()
    logging.disable_progress_bar()  # of loading weights
    targets, absent = present(options)
    report, sizes, failed, table = jx.Report(), {}, [], []
    best: dict[str, list[float]] = {}  # encoder -> joint training less the best single task, seed by seed
    mean: dict[str, list[float]] = {}  # less the mean of the singles
    for word in options.encoders:
        name, (encoder, size) = Path(word).name, made(word, options.pretraining_steps)
        found = recipe(encoder, options).run([*options.single, options.multi], targets, seeds=options.seeds)
        failed += [f"{task} after {row}" for (row, _), tasks in jx.failed_runs(found).items() for task in tasks]
        report += found.with_tags(encoder=name)
        none, *singles, joint = (
            list(found.where(intermediate=row).mean(by="seed").values())
            for row in ("none", *options.single, options.multi)
        )
        best[name], sizes[name] = less_best(joint, singles), size
        mean[name] = [score - fmean(column) for score, *column in zip(joint, *singles, strict=True)]
        cells = [f"{size:,}", *(f"{fmean(scores):.1f}" for scores in (none, *singles, joint))]
        table.append([name, *cells, *("{:+.1f} ± {:.1f}".format(*jx.interval(own[name])) for own in (best, mean))])
    report.to_json(options.output / "report.json")

    differences, picture = {"joint − best single": best, "joint − mean of singles": mean}, "single_vs_multi_task.png"
    jx.plot_points(
        {what: points(own, sizes, 1.08**number) for number, (what, own) in enumerate(differences.items())},
        options.output / picture,
        x="parameters without embeddings (log scale)",
        y=f"difference (points, mean of {len(targets)} targets)",
        title=f"95 % intervals over {options.seeds} seeds",
        log_x=True,
        joined=False,
    )
    head = ["encoder", "parameters", "none", *options.single, "joint", *differences]
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *table]
    page = jx.Page("One intermediate task or several at once")
    page.add(f"`{' '.join(['python', *sys.argv])}`", "\n".join(f"| {' | '.join(line)} |" for line in lines))
    page.add(f"Main scores ({options.split}), means over {', '.join(targets)}; differences ± 95 % intervals.{absent}")
    page.add(options.output / picture, said(differences, failed, options))
    page.add("## By target", report.compare(report.where(intermediate="none"), tasks=targets).to_markdown())
    page.write(options.output)
    print(f"\n{page.to_markdown()}\nWritten to {options.output}: report.html, report.md, report.json, {picture}")


def made(word: str, steps: int) -> tuple[str, int]:
    """An encoder as a folder or Hub id (a size is pretrained on first use), and its parameters without embeddings."""
    size = re.fullmatch(r"(\d+)x(\d+)", word)
    path = str(jx.default_encoder(hidden=int(size[1]), layers=int(size[2]), max_steps=steps)) if size else word
    return path, jx.parameter_count(path)


def recipe(encoder: str, options: argparse.Namespace) -> jx.Recipe:
    """The paper's rate, 1e-5, is XLM-R large's; smaller encoders take larger steps, and above 1e-3 they broke."""
    rate = options.learning_rate or jx.default_learning_rate(encoder)
    both = {"learning_rate": rate, "per_device_train_batch_size": options.batch_size, "bf16": options.bf16}
    both |= {"warmup_steps": 0.1, "weight_decay": 0.01, "num_train_epochs": 3}
    kinds = zip(("intermediate", "target"), options.steps, strict=True)
    stages: dict[str, Any] = {kind: {**both, "max_steps": steps} for kind, steps in kinds}
    return jx.Recipe(encoder=encoder, output=options.output, splits=(options.split,), **stages)


def less_best(joint: Sequence[float], singles: Sequence[Sequence[float]]) -> list[float]:
    """Seed by seed, less the single task that is best over the other seeds; with one seed, over that."""
    found = []
    for seed, score in enumerate(joint):
        others = [other for other in range(len(joint)) if other != seed] or [seed]
        best = max(singles, key=lambda scores: fmean(scores[other] for other in others))
        found.append(score - best[seed])
    return found


def points(own: Mapping[str, list[float]], sizes: Mapping[str, int], shift: float) -> list[jx.Point]:
    """Each encoder's at its size, or named and beside it, where another series stands."""
    found = [(sizes[name] * shift, *jx.interval(values), name if shift > 1 else "") for name, values in own.items()]
    return [jx.Point(x, mean, half, label) for x, mean, half, label in found]


def said(differences: Mapping[str, Mapping[str, list[float]]], failed: Sequence[str], options: Any) -> str:
    """The numbers in a paragraph: what an interval around zero holds is called neither better nor worse."""
    text = f"Joint training is on {options.multi}. "
    for what, own in differences.items():
        found = {name: jx.interval(values) for name, values in own.items()}
        up = [f"{name} {mean:+.1f} ± {half:.1f}" for name, (mean, half) in found.items() if mean > half]
        down = [f"{name} {mean:+.1f} ± {half:.1f}" for name, (mean, half) in found.items() if -mean > half]
        first, *_, last = *own, *own
        mean, half = jx.interval([b - a for a, b in zip(own[first], own[last], strict=True)])
        chance = "" if abs(mean) > half else ": the interval holds zero, and no trend with size is shown"
        text += (
            f"{what.capitalize()} is above zero for {len(up)} of {len(own)} encoders ({'; '.join(up) or 'none'}) and "
            f"below it for {len(down)} ({'; '.join(down) or 'none'}), their 95 % intervals over {options.seeds} seeds "
            f"excluding it; of the other {len(own) - len(up) - len(down)} neither can be said. From {first} to {last} "
            f"it changes by {mean:+.1f} ± {half:.1f}{chance}. "
        )
    if failed:
        ended = "; ".join(f"{run} {n} times" for run, n in Counter(failed).items())
        text += f"Trainings not above guessing in development, counted as they are: {ended}. "
    return f"{text}Each size is one pretrained encoder: seeds repeat the fine-tuning only."


def present(options: argparse.Namespace) -> tuple[list[str], str]:
    """Set the data root; the targets that it has rows of, and which not. Stop now, not in an hour, for named ones."""
    root = options.data_root or jx.default_root()
    jx.data_root(None if root == "hub" else root)

    def trains(tasks: Sequence[jx.Task]) -> bool:
        return all(set(task.train_languages) <= set(task.languages("train")) for task in tasks)

    targets = [jx.get_task(name) for name in options.targets or (jx.XTREME_R if options.data_root else FEW)]
    there = [task.name for task in targets if task.languages(options.split) and trains(task.training_tasks())]
    absent = [task.name for task in targets if task.name not in there]
    lacks = [row for row in (*options.single, options.multi) if not trains(jx.row_tasks(row))]
    lacks += absent if options.targets or not there else []
    if lacks:
        sys.exit(f"{root} lacks rows of {', '.join(lacks)}.")
    return there, f" No rows here: {', '.join(absent)}." if absent else ""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", nargs="+", default=SIZES, metavar="NAME", help=f"default: {' '.join(SIZES)}")
    parser.add_argument("--data-root", help="folder, or hub for the Hugging Face Hub (default: the artificial world)")
    single = ["mnli", "qqp", "ccg"]
    nine = f"default: {' '.join(single)}; the paper's: {' '.join(jx.XSTILTS_INTERMEDIATE)}"
    parser.add_argument("--single", nargs="+", default=single, metavar="TASK", help=nine)
    parser.add_argument("--multi", metavar="ROW", help="tasks joined by +; all: the paper's nine (default: --single's)")
    few = f"default: XTREME-R's, where the data root has them; in the artificial world {' '.join(FEW)}"
    parser.add_argument("--targets", nargs="+", metavar="TASK", help=few)
    parser.add_argument("--split", choices=("validation", "test"), default="validation", help="scored")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="of the fine-tuning (default: 3)")
    steps = "of intermediate and of target training; -1: three epochs (default; in the artificial world 200 60)"
    parser.add_argument("--steps", nargs=2, type=int, metavar="N", help=steps)
    parser.add_argument("--pretraining-steps", type=int, default=300, metavar="N", help="of sizes (default: 300)")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="default: 32")
    parser.add_argument(
        "--learning-rate", type=float, metavar="RATE", help="default: 1e-5 (1024 / hidden size)^2, at most 1e-3"
    )
    parser.add_argument("--bf16", action="store_true", help="train in mixed precision, on a GPU")
    parser.add_argument("--output", type=Path, default=Path("runs/single_vs_multi_task"), help="default: %(default)s")
    options = parser.parse_args()
    options.multi = options.multi or "+".join(options.single)
    options.steps = options.steps or ([-1, -1] if options.data_root else [200, 60])
    return options


if __name__ == "__main__":
    try:
        main()
    except jx.DataError as error:
        sys.exit(f"error: {error}")
