"""One intermediate task, or several at once? By size of the encoder, on XTREME-R's tasks.

    python examples/studies/single_vs_multi_task.py     # artificial world, offline, in minutes
    python examples/studies/single_vs_multi_task.py --data-root hub --bf16 \\
        --encoders xlm-roberta-base xlm-roberta-large facebook/xlm-roberta-xl

Every encoder is trained on each intermediate task alone and on all jointly, then on each target.
Two differences, seed by seed, answer the question: joint training minus the best single task, and
minus the mean of the single tasks, which a blind choice gives on average. The best task is chosen
by the scores of the other seeds: chosen by its own score, it would win by chance.

Encoders are Hub ids, folders, or sizes such as 64x2 (hidden size 64, two layers), pretrained here
on the artificial world's text. With --steps, several tasks take as many steps as one.
With -1, the default on real data, it reads all rows three times and costs the sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

from estimators import minus_best, minus_mean
from findings import (
    failure_sentence,
    format_interval,
    intervals_of,
    plot_by_size,
    publish,
)
from fine_tuning import USUAL_TARGETS, EncoderTraining
from size_summary import summarize_differences
from study import has_training_rows, option, run

import jiantx as jx

WORLD_TASKS = ["mnli", "qqp", "ccg"]
SeedScores = Mapping[str, Sequence[float]]  # encoder -> a score, or difference, per seed


@dataclass(kw_only=True)
class Options(EncoderTraining):
    encoders: list[str] = option("sizes, Hub ids or folders", ["32x2", "80x2", "112x3"])
    single: list[str] = option(
        "default: the paper's nine, where there are rows; in the world " + " ".join(WORLD_TASKS), []
    )
    multi: str | None = option("tasks joined by +, or all, the paper's nine (default: --single)")
    targets: list[str] = option(
        f"default: XTREME-R's, where there are rows; in the world {' '.join(USUAL_TARGETS)}", []
    )
    reads_report: ClassVar[bool] = True

    def default_targets(self) -> Sequence[str]:
        return jx.XTREME_R if self.data_root else USUAL_TARGETS

    def default_single(self) -> list[str]:
        if not self.data_root:
            return WORLD_TASKS
        names = list(jx.XSTILTS_INTERMEDIATE)
        trainable = [name for name in names if has_training_rows(jx.experiments.parse_row(name))]
        return trainable or names  # without any rows, the check names all nine


def main(options: Options) -> None:
    options.single = options.single or options.default_single()
    multi = options.multi or "+".join(options.single)
    options.check([*options.single, multi])
    report, sizes = options.run_encoders([*options.single, multi])
    rows = ("none", *options.single, multi)
    to_best: dict[str, list[float]] = {}
    to_mean: dict[str, list[float]] = {}
    table = []
    for name, size in sizes.items():
        means = [report.where(encoder=name, intermediate=row).mean(by="seed") for row in rows]
        scores = [list(by_seed.values()) for by_seed in means]
        _, *singles, joint = scores
        to_best[name] = minus_best(joint, singles)
        to_mean[name] = minus_mean(joint, singles)
        cells = [name, f"{size:,}", *(f"{fmean(by_seed):.1f}" for by_seed in scores)]
        for differences in (to_best[name], to_mean[name]):
            cells.append(format_interval(jx.report.interval(differences), "+"))
        table.append(cells)

    series = {"joint − best single": to_best, "joint − mean of singles": to_mean}
    header = ["encoder", "parameters", "none", *options.single, "joint", *series]
    picture = options.output / "single_vs_multi_task.png"
    plot_by_size(
        {label: intervals_of(differences) for label, differences in series.items()},
        sizes,
        picture,
        y=f"difference (points, mean of {len(options.targets)} targets)",
        title="One intermediate task or several at once, 95 % intervals",
    )
    summary = summarize_differences(series, failure_sentence(report, sizes), options.seeds)
    publish(
        "One intermediate task or several at once",
        options,
        jx.report.markdown_table(header, table),
        f"Main scores ({options.split}), means over {', '.join(options.targets)}; "
        "differences ± 95 % intervals.",
        picture,
        f"Joint training is on {multi}. {summary}",
        "## By target",
        report.compare(report.where(intermediate="none"), tasks=options.targets).to_markdown(),
    )


if __name__ == "__main__":
    run(main, Options)
