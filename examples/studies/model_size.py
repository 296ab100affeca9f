"""Does intermediate training do more for a large encoder than for a small one?

    python examples/studies/model_size.py                                # artificial world, offline, in minutes
    python examples/studies/model_size.py --data-root hub --bf16 \\
        --encoders xlm-roberta-base xlm-roberta-large facebook/xlm-roberta-xl

Every encoder is fine-tuned on the targets with and without an intermediate task before; the difference of the two means
is put against the encoder's parameters, and a line is fitted to it with its uncertainty.

Encoders are Hub ids, folders, or sizes such as 64x2 (hidden size 64, two layers), which are pretrained here on the
artificial world's text. Of the Hub's: xlm-roberta-base, xlm-roberta-large, facebook/xlm-roberta-xl and -xxl, and the
encoders of google/mt5-small, -base, -large, -xl and -xxl (which want a --learning-rate of about 1e-3). Training takes
16 bytes a parameter before any activation: 56 GB for XLM-R XL, 171 for XXL. What is done is kept in --output, and a
run that was stopped goes on there.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from transformers.utils import logging

import jiantx as jx

SIZES = ("32x2", "48x2", "80x2", "112x3", "160x4")


def main() -> None:
    options = parse()
    logging.disable_progress_bar()  # of loading weights
    check(options)
    report, sizes, failed = jx.Report(), {}, []
    for word in options.encoders:
        name, (encoder, size) = Path(word).name, made(word, options.pretraining_steps)
        sizes[name] = size
        found = recipe(encoder, options).run([options.intermediate], options.targets, seeds=options.seeds)
        failed += [f"{task} after {row}" for (row, _), tasks in jx.failed_runs(found).items() for task in tasks]
        report += found.with_tags(encoder=name)
    report.to_json(options.output / "report.json")

    comparison = report.compare(report.where(intermediate="none"), tasks=options.targets)
    rows = [row for row in comparison.rows if not row.is_baseline]
    gains = {name: jx.interval(row.average.values) for name, row in zip(sizes, rows, strict=True)}
    line = fit(list(sizes.values()), [mean for mean, _ in gains.values()])
    points = [jx.Point(sizes[n], mean, half, n) for n, (mean, half) in gains.items()]
    jx.plot_points(
        {f"{options.intermediate}, 95 % interval over {options.seeds} seeds": points},
        options.output / "model_size.png",
        x="parameters without embeddings (log scale)",
        y=f"difference to no intermediate\ntraining (points, mean of {len(options.targets)} targets)",
        log_x=True,
        joined=False,
        lines={"least squares": line["line"], "its 95 % band": line["band"]} if line else {},
    )
    table = ["| encoder | parameters | difference, 95 % interval |", "| --- | ---: | ---: |"]
    table += [f"| {name} | {sizes[name]:,} | {mean:+.1f} ± {half:.1f} |" for name, (mean, half) in gains.items()]
    page = jx.Page(f"What {options.intermediate} does for encoders of {len(sizes)} sizes")
    page.add(f"`{' '.join(['python', *sys.argv])}`", "\n".join(table), options.output / "model_size.png")
    page.add(said(gains, line, failed, options), "## By target", comparison.to_markdown())
    page.write(options.output)
    print(f"\n{page.to_markdown()}\nWritten to {options.output}: report.html, report.md, report.json, model_size.png")


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


def fit(sizes: Sequence[int], gains: Sequence[float]) -> dict[str, Any]:
    """Least squares over log10 of the sizes, with 95 % intervals; nothing where under three sizes leave none."""
    if len(set(sizes)) < 3:
        return {}
    x = np.log10(sizes)
    found, at = stats.linregress(x, gains), np.linspace(x.min(), x.max(), 50)
    half = float(stats.t.ppf(0.975, len(x) - 2) * found.stderr)
    line, away = found.intercept + found.slope * at, half * np.sqrt(x.var() + (at - x.mean()) ** 2)
    band = (10 ** np.concatenate([at, [math.nan], at]), np.concatenate([line + away, [math.nan], line - away]))
    return {"slope": float(found.slope), "half": half, "line": (10**at, line), "band": band}


def said(gains: Mapping[str, tuple[float, float]], line: dict[str, Any], failed: Sequence[str], options: Any) -> str:
    """The numbers in a paragraph: what an interval around zero holds is not called a gain."""
    up = [f"{name} {mean:+.1f} ± {half:.1f}" for name, (mean, half) in gains.items() if mean > half]
    down = [f"{name} {mean:+.1f} ± {half:.1f}" for name, (mean, half) in gains.items() if -mean > half]
    text = (
        f"With {options.intermediate} before, the mean over {', '.join(options.targets)} ({options.split}) is higher "
        f"for {len(up)} of {len(gains)} encoders ({'; '.join(up) or 'none'}) and lower for {len(down)} "
        f"({'; '.join(down) or 'none'}), their 95 % intervals over {options.seeds} seeds excluding zero; of the other "
        f"{len(gains) - len(up) - len(down)} neither can be said. "
    )
    if line:
        shown = abs(line["slope"]) > line["half"]
        text += (
            f"Ten times the parameters change it by {line['slope']:+.1f} ± {line['half']:.1f} points (least squares, "
            f"means of {len(gains)} encoders, 95 % by Student's t with {len(gains) - 2} degrees of freedom)"
            f"{': a trend' if shown else ': the interval holds zero, and no trend with size is shown'}. "
        )
    own = {task.name for task in jx.row_tasks(options.intermediate)}
    if alike := [name for name in options.targets if own & {t.name for t in jx.get_task(name).training_tasks()}]:
        text += f"{', '.join(alike)} trains on the same rows again: its difference is in part that of longer training. "
    if failed:
        ended = "; ".join(f"{run} {n} times" for run, n in Counter(failed).items())
        text += f"Trainings not above guessing in development, counted as they are: {ended}. "
    return f"{text}Each size is one pretrained encoder: seeds repeat the fine-tuning only."


def check(options: argparse.Namespace) -> None:
    """Set the data root, and stop now, not in an hour, where it lacks rows."""
    root = options.data_root or jx.default_root()
    jx.data_root(None if root == "hub" else root)
    targets = [jx.get_task(name) for name in options.targets]
    trained = [*jx.row_tasks(options.intermediate), *(task for target in targets for task in target.training_tasks())]
    lacks = [f"{task.name} (train)" for task in trained if set(task.train_languages) - set(task.languages("train"))]
    lacks += [f"{task.name} ({options.split})" for task in targets if not task.languages(options.split)]
    if lacks:
        sys.exit(f"{root} lacks rows of {', '.join(dict.fromkeys(lacks))}.")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", nargs="+", default=SIZES, metavar="NAME", help=f"default: {' '.join(SIZES)}")
    parser.add_argument("--data-root", help="folder, or hub for the Hugging Face Hub (default: the artificial world)")
    parser.add_argument("--intermediate", default="mnli", metavar="ROW", help="tasks joined by + (default: mnli)")
    targets = ["xnli", "udpos", "tatoeba"]
    parser.add_argument("--targets", nargs="+", default=targets, metavar="TASK", help=f"default: {' '.join(targets)}")
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
    parser.add_argument("--output", type=Path, default=Path("runs/model_size"), help="default: %(default)s")
    options = parser.parse_args()
    options.steps = options.steps or ([-1, -1] if options.data_root else [200, 60])
    return options


if __name__ == "__main__":
    try:
        main()
    except jx.DataError as error:
        sys.exit(f"error: {error}")
