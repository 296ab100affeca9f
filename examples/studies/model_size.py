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

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from study import Interval, Training, counted, failures, made, option, plus_minus, publish, run

import jiantx as jx


@dataclass(kw_only=True)
class Options(Training):
    encoders: list[str] = option(
        "sizes, Hub ids or folders", ["32x2", "48x2", "80x2", "112x3", "160x4"]
    )
    pretraining_steps: int = option("of sizes", 300)
    intermediate: str = option("row: tasks joined by +", "mnli")


def main(options: Options) -> None:
    options.check([options.intermediate])
    reports, sizes = {}, {}
    for word in options.encoders:
        name, encoder = Path(word).name, made(word, options.pretraining_steps)
        sizes[name] = jx.experiments.parameter_count(encoder)
        found = options.recipe(encoder).run(
            [options.intermediate], options.targets, seeds=options.seeds
        )
        reports[name] = found.with_tags(encoder=name)
    report = jx.Report(record for found in reports.values() for record in found)
    report.to_json(options.output / "report.json")

    comparison = report.compare(report.where(intermediate="none"), tasks=options.targets)
    rows = [row for row in comparison.rows if not row.is_baseline]
    differences = {
        name: jx.report.interval(row.average.values) for name, row in zip(sizes, rows, strict=True)
    }
    line = fit(list(sizes.values()), [mean for mean, _ in differences.values()])
    jx.report.plots.plot_points(
        {
            f"{options.intermediate}, 95 % interval over {options.seeds} seeds": [
                jx.report.plots.Point(sizes[name], *found, name)
                for name, found in differences.items()
            ]
        },
        options.output / "model_size.png",
        x="parameters without embeddings (log scale)",
        y=f"difference to no intermediate\ntraining (points, mean of {len(options.targets)} targets)",
        log_x=True,
        joined=False,
        lines={"least squares": line["line"], "its 95 % band": line["band"]} if line else {},
    )
    table = [
        [name, f"{sizes[name]:,}", plus_minus(found, "+")] for name, found in differences.items()
    ]
    publish(
        f"What {options.intermediate} does for encoders of {len(sizes)} sizes",
        options,
        jx.report.markdown_table(["encoder", "parameters", "difference, 95 % interval"], table),
        options.output / "model_size.png",
        said(differences, line, failures(reports.values()), options),
        "## By target",
        comparison.to_markdown(),
    )


def fit(sizes: Sequence[int], differences: Sequence[float]) -> dict[str, Any]:
    """Least squares over log10 of the sizes, with 95 % intervals; nothing where under three sizes leave none."""
    if len(set(sizes)) < 3:
        return {}
    x = np.log10(sizes)
    found, at = stats.linregress(x, differences), np.linspace(x.min(), x.max(), 50)
    half = float(stats.t.ppf(0.975, len(x) - 2) * found.stderr)
    line, away = found.intercept + found.slope * at, half * np.sqrt(x.var() + (at - x.mean()) ** 2)
    band = (
        10 ** np.concatenate([at, [math.nan], at]),
        np.concatenate([line + away, [math.nan], line - away]),
    )
    return {"slope": float(found.slope), "half": half, "line": (10**at, line), "band": band}


def said(
    differences: Mapping[str, Interval], line: Mapping[str, Any], failed: str, options: Any
) -> str:
    """The numbers in a paragraph: what an interval around zero holds is not called a gain."""
    text = f"With {options.intermediate} before, the mean over {', '.join(options.targets)} ({options.split}) changes: "
    text += counted(differences, options.seeds)
    if line:
        shown = (
            "a trend"
            if abs(line["slope"]) > line["half"]
            else "the interval holds zero, and no trend is shown"
        )
        text += (
            f"Ten times the parameters change it by {plus_minus((line['slope'], line['half']), '+')} points (least "
            f"squares, means of {len(differences)} encoders, 95 % by Student's t with {len(differences) - 2} degrees "
            f"of freedom): {shown}. "
        )
    own = {task.name for task in jx.experiments.parse_row(options.intermediate)}
    if alike := [
        name
        for name in options.targets
        if own & {t.name for t in jx.tasks.training_tasks(jx.get_task(name))}
    ]:
        text += f"{', '.join(alike)} trains on the same rows again: its difference is in part that of longer training. "
    return f"{text}{failed}Each size is one pretrained encoder: seeds repeat the fine-tuning only."


if __name__ == "__main__":
    run(main, Options)
