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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from study import USUAL, Training, counted, failures, made, option, plus_minus, publish, run, trains

import jiantx as jx

FEW = ["mnli", "qqp", "ccg"]


@dataclass(kw_only=True)
class Options(Training):
    encoders: list[str] = option("sizes, Hub ids or folders", ["32x2", "80x2", "112x3"])
    pretraining_steps: int = option("of sizes", 300)
    single: list[str] = option(
        f"default: the paper's nine, where there are rows; in the world {' '.join(FEW)}", []
    )
    multi: str | None = option(
        "row: tasks joined by +; all: the paper's nine (default: those of --single)"
    )
    targets: list[str] = option(
        f"default: XTREME-R's, where there are rows; in the world {' '.join(USUAL)}", []
    )

    def usual(self) -> Sequence[str]:
        return jx.XTREME_R if self.data_root else USUAL


def main(options: Options) -> None:
    nine = (
        [name for name in jx.XSTILTS_INTERMEDIATE if trains(jx.experiments.parse_row(name))]
        if options.data_root
        else FEW
    )
    options.single = options.single or nine or list(jx.XSTILTS_INTERMEDIATE)
    multi = options.multi or "+".join(options.single)
    options.check([*options.single, multi])
    reports, sizes, table = {}, {}, []
    best: dict[
        str, list[float]
    ] = {}  # encoder -> joint training less the best single task, seed by seed
    mean: dict[str, list[float]] = {}  # less the mean of the singles
    for word in options.encoders:
        name, encoder = Path(word).name, made(word, options.pretraining_steps)
        found = options.recipe(encoder).run(
            [*options.single, multi], options.targets, seeds=options.seeds
        )
        rows = ("none", *options.single, multi)
        none, *singles, joint = (
            list(found.where(intermediate=row).mean(by="seed").values()) for row in rows
        )
        reports[name], sizes[name] = (
            found.with_tags(encoder=name),
            jx.experiments.parameter_count(encoder),
        )
        best[name] = less_best(joint, singles)
        mean[name] = [score - fmean(column) for score, *column in zip(joint, *singles, strict=True)]
        cells = [
            f"{sizes[name]:,}",
            *(f"{fmean(scores):.1f}" for scores in (none, *singles, joint)),
        ]
        table.append(
            [
                name,
                *cells,
                *(plus_minus(jx.report.interval(own[name]), "+") for own in (best, mean)),
            ]
        )
    report = jx.Report(record for found in reports.values() for record in found)
    report.to_json(options.output / "report.json")

    differences = {"joint − best single": best, "joint − mean of singles": mean}
    jx.report.plots.plot_points(
        {
            what: points(own, sizes, 1.08**number)
            for number, (what, own) in enumerate(differences.items())
        },
        options.output / "single_vs_multi_task.png",
        x="parameters without embeddings (log scale)",
        y=f"difference (points, mean of {len(options.targets)} targets)",
        title=f"95 % intervals over {options.seeds} seeds",
        log_x=True,
        joined=False,
    )
    targets = ", ".join(options.targets)
    publish(
        "One intermediate task or several at once",
        options,
        jx.report.markdown_table(
            ["encoder", "parameters", "none", *options.single, "joint", *differences], table
        ),
        f"Main scores ({options.split}), means over {targets}; differences ± 95 % intervals.",
        options.output / "single_vs_multi_task.png",
        f"Joint training is on {multi}. {said(differences, failures(reports.values()), options.seeds)}",
        "## By target",
        report.compare(report.where(intermediate="none"), tasks=options.targets).to_markdown(),
    )


def less_best(joint: Sequence[float], singles: Sequence[Sequence[float]]) -> list[float]:
    """Seed by seed, less the single task that is best over the other seeds; with one seed, over that."""
    found = []
    for seed, score in enumerate(joint):
        others = [other for other in range(len(joint)) if other != seed] or [seed]
        best = max(singles, key=lambda scores: fmean(scores[other] for other in others))
        found.append(score - best[seed])
    return found


def points(
    own: Mapping[str, Sequence[float]], sizes: Mapping[str, int], shift: float
) -> list[jx.report.plots.Point]:
    """Each encoder's at its size, or named and beside it, where another series stands."""
    found = [
        (sizes[name] * shift, *jx.report.interval(values), name if shift > 1 else "")
        for name, values in own.items()
    ]
    return [jx.report.plots.Point(x, mean, half, label) for x, mean, half, label in found]


def said(differences: Mapping[str, Mapping[str, Sequence[float]]], failed: str, seeds: int) -> str:
    """The numbers in a paragraph: what an interval around zero holds is called neither better nor worse."""
    text = ""
    for what, own in differences.items():
        first, *_, last = *own, *own
        change: Any = jx.report.interval(
            [b - a for a, b in zip(own[first], own[last], strict=True)]
        )
        chance = (
            ""
            if abs(change[0]) > change[1]
            else ": the interval holds zero, and no trend with size is shown"
        )
        text += f"{what.capitalize()} is {counted({n: jx.report.interval(v) for n, v in own.items()}, seeds)}"
        text += f"From {first} to {last} it changes by {plus_minus(change, '+')}{chance}. "
    return f"{text}{failed}Each size is one pretrained encoder: seeds repeat the fine-tuning only."


if __name__ == "__main__":
    run(main, Options)
