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

from dataclasses import dataclass

from estimators import fit_line
from findings import (
    failure_sentence,
    format_interval,
    plot_by_size,
    publish,
)
from fine_tuning import EncoderTraining
from size_summary import summarize_model_size
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
        title=f"What {options.intermediate} does for encoders of {len(sizes)} sizes",
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
        summarize_model_size(differences, line, failure_sentence(report, sizes), options),
        "## By target",
        comparison.to_markdown(),
    )


if __name__ == "__main__":
    run(main, Options)
