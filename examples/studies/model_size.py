"""Does intermediate training do more for a large encoder than for a small one?

    python examples/studies/model_size.py              # artificial world, offline, in minutes
    python examples/studies/model_size.py --data-root hub --bf16 \\
        --encoders xlm-roberta-base xlm-roberta-large facebook/xlm-roberta-xl

Every encoder is fine-tuned on the targets with and without intermediate training before. The
difference of the two means is plotted against the encoder's parameters, with a fitted line and its
uncertainty.

Encoders are Hub ids, folders, or sizes such as 64x2 (hidden size 64, two layers). Sizes are
pretrained here on the artificial world's text. On the Hub: xlm-roberta-base, xlm-roberta-large,
facebook/xlm-roberta-xl and -xxl, and the encoders of google/mt5-small, -base, -large, -xl and -xxl
(which need a --learning-rate of about 1e-3). Training takes 16 bytes per parameter before any
activation: 56 GB for XLM-R XL, 171 for XXL. Results are kept in --output, and a stopped study
resumes there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from estimators import fit_line
from findings import (
    Interval,
    failure_sentence,
    format_interval,
    plot_by_size,
    publish,
    significance_sentence,
)
from fine_tuning import EncoderTraining
from study import option, run

import jiantx as jx


@dataclass(kw_only=True)
class Options(EncoderTraining):
    encoders: list[str] = option(
        "sizes, Hub ids or folders", ["32x2", "48x2", "80x2", "112x3", "160x4"]
    )
    intermediate: str = option("intermediate training: tasks joined by +", "mnli")


def main(options: Options) -> None:
    options.check([options.intermediate])
    report, sizes = options.run_encoders([options.intermediate])
    comparison = report.compare(report.where(intermediate="none"), tasks=options.targets)
    trained = [row for row in comparison.rows if not row.is_baseline]
    differences = {}
    for name, row in zip(sizes, trained, strict=True):
        differences[name] = jx.report.interval(row.average.values)
    line = fit_line(list(sizes.values()), [mean for mean, _ in differences.values()])

    picture = options.output / "model_size.png"
    label = f"{options.intermediate}, 95 % interval over {options.seeds} seeds"
    plot_by_size(
        {label: differences},
        sizes,
        picture,
        y="difference to no intermediate\n"
        f"training (points, mean of {len(options.targets)} targets)",
        lines={"least squares": line["line"], "its 95 % band": line["band"]} if line else {},
    )
    table = []
    for name, interval in differences.items():
        table.append([name, f"{sizes[name]:,}", format_interval(interval, "+")])
    publish(
        f"What {options.intermediate} does for encoders of {len(sizes)} sizes",
        options,
        jx.report.markdown_table(["encoder", "parameters", "difference, 95 % interval"], table),
        picture,
        summarize(differences, line, failure_sentence(report, sizes), options),
        "## By target",
        comparison.to_markdown(),
    )


def summarize(
    differences: Mapping[str, Interval], line: Mapping[str, Any], failures: str, options: Any
) -> str:
    """Return the result in sentences; a difference whose interval includes zero is no gain."""
    subject = (
        f"With {options.intermediate} before, the change of the mean over "
        f"{', '.join(options.targets)} ({options.split})"
    )
    text = significance_sentence(differences, options.seeds, subject=subject, items="encoders")
    text += " "
    if line:
        is_trend = abs(line["slope"]) > line["half_width"]
        trend = "a trend" if is_trend else "the interval holds zero, and no trend is shown"
        text += (
            "Ten times the parameters change it by "
            f"{format_interval((line['slope'], line['half_width']), '+')} points (least squares, "
            f"means of {len(differences)} encoders, 95 % by Student's t with "
            f"{len(differences) - 2} degrees of freedom): {trend}. "
        )
    intermediate_tasks = {task.name for task in jx.experiments.parse_row(options.intermediate)}
    trained_twice = []
    for name in options.targets:
        target_tasks = {task.name for task in jx.tasks.training_tasks(jx.get_task(name))}
        if target_tasks & intermediate_tasks:
            trained_twice.append(name)
    if trained_twice:
        text += (
            f"{', '.join(trained_twice)} trains on the same rows again: "
            "its difference is in part that of longer training. "
        )
    return (
        f"{text}{failures}Each size is one pretrained encoder: seeds repeat the fine-tuning only."
    )


if __name__ == "__main__":
    run(main, Options)
