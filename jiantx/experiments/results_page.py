"""The page of a table: by target, by language, averages, best rows, what failed or is missing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from jiantx.experiments.html_page import Page
from jiantx.experiments.selection import best_rows, failed_runs, without_failed
from jiantx.experiments.stages import Stages
from jiantx.report import Comparison, Report, interval
from jiantx.task import Task
from jiantx.tasks.benchmarks import XTREME

_CHANGES = {  # counts of training rows that were changed
    "truncated": "text cut off in {} inputs",
    "realigned": "answers moved to the nearest exact occurrence in {} rows",
    "answer_outside_windows": (
        "answers longer than a window in {} rows, which train as if there were none"
    ),
}
_FAILED = (
    "These runs did not learn: their validation score is not significantly above the majority-"
    "class baseline (one-sided 95 %; for tagging and QA: above 0). They are excluded where another "
    "seed of the same row succeeded, and so is their seed from averages that include them."
)
_PAIRED = (
    "Over the seeds that both have (the average: in all targets); difference by seed, ± its 95 % "
    "interval."
)


def write_results_page(
    report: Report,
    targets: Sequence[Task],
    stages: Stages,
    folder: Path,
    *,
    splits: Sequence[str],
    command: str,
) -> None:
    """Write report.json, timings.json, and a page of tables and pictures; print the main tables.

    Args:
        report: Of a recipe.
        targets: Its targets.
        stages: Of the whole table, done or not.
        folder: An existing folder.
        splits: Which splits were scored.
        command: What was typed.
    """
    names = [target.name for target in targets]
    page = Page("English intermediate tasks, zero-shot cross-lingual transfer")
    page.add(f"`{command}`")
    unfinished = [stage.name for stage in stages if not stages.done(stage)]
    if unfinished:
        page.add(
            f"**{len(unfinished)} stages are not done yet**, such as {unfinished[0]}: the tables "
            "lack them."
        )
    report.to_json(folder / "report.json")
    timings = json.dumps(stages.timings(), indent=1) + "\n"
    (folder / "timings.json").write_text(timings, encoding="utf-8")
    scores = without_failed(report, targets).where(task=names)
    for split in splits:
        _add_split(page, scores.where(split=split), names, split, folder)
    has_baseline = len(scores.where(intermediate="none")) > 0
    if set(splits) == {"validation", "test"} and has_baseline:
        chosen = best_rows(report, targets)
        if chosen:
            page.add("## The best intermediate task for each target", best_table(scores, chosen))
    _add_changed_rows(page, report)
    _add_failed_runs(page, report)
    written = page.write(folder)
    file_names = [path.name for path in (*written, *sorted(folder.glob("*.png")))]
    print(f"\nWritten to {folder}: report.json, timings.json, {', '.join(file_names)}")


def _add_split(
    page: Page, scores: Report, targets: Sequence[str], split: str, folder: Path
) -> None:
    """The tables and pictures of one split, on the page and in the terminal."""
    baseline = scores.where(intermediate="none")
    if not baseline.mean(by="task"):
        page.add(
            f"## {split}",
            "No table: the row `none`, to which the others are compared, has no scores here.",
        )
        return
    scored_targets = [name for name in targets if name in scores.mean(by="task")]
    by_target = scores.compare(baseline, tasks=scored_targets)
    by_language = scores.compare(baseline, by="language")
    target_title = f"Main score by target ({split}), mean over languages"
    language_title = f"Main score by language ({split}), mean over the targets that have it"
    print(f"\n{target_title}\n\n{by_target.to_text()}\n{language_title}\n\n{by_language.to_text()}")
    pictures = _draw(scores, by_target, by_language, split, folder)
    page.add(f"## {target_title}", by_target.to_markdown())
    page.add(*pictures[:1], f"## {language_title}", by_language.to_markdown(), *pictures[1:])
    sentence = significance_sentence(by_target)
    page.add("## XTREME", scores.benchmark(XTREME).to_markdown(), sentence)
    untagged = Report(
        replace(record, tags={name: record.tags[name] for name in ("intermediate", "seed")})
        for record in scores
    )
    page.add(f"## Every target and language ({split})", untagged.to_markdown())
    print(f"\n{sentence}")


def _draw(
    scores: Report, by_target: Comparison, by_language: Comparison, split: str, folder: Path
) -> list[Path]:
    """Draw what can be drawn; say what cannot."""
    drawings = {
        f"{split}-targets.png": by_target.plot,
        f"{split}-languages.png": by_language.plot,
        f"{split}-gaps.png": scores.plot_gaps,
    }
    drawn = []
    for name, draw in drawings.items():
        try:
            draw(folder / name)
            drawn.append(folder / name)
        except (ImportError, ValueError) as error:  # no matplotlib, or no language but English
            print(f"No picture {name}: {error}")
    return drawn


def significance_sentence(comparison: Comparison) -> str:
    """Say which rows differ from the baseline: their intervals exclude zero."""
    rows = [row for row in comparison.rows if not row.is_baseline]
    seeds = max((len(row.average.values) for row in rows), default=0)
    if seeds < 2:
        return "One seed says nothing of chance: no difference here is a result."
    significant = [row for row in rows if row.average.significant]
    raised = [row for row in significant if row.average.mean > 0]
    lowered = [row for row in significant if row.average.mean < 0]
    raised_text = ", ".join(f"{row.label} ({row.average.mean:+.1f})" for row in raised)
    lowered_text = ", ".join(f"{row.label} ({row.average.mean:+.1f})" for row in lowered)
    return (
        f"Of {len(rows)} rows, {len(raised)} raise the average ({raised_text or 'none'}) and "
        f"{len(lowered)} lower it ({lowered_text or 'none'}), their 95 % intervals over {seeds} "
        f"seeds excluding zero; of the other {len(rows) - len(significant)} that cannot be said. "
        "Intervals are one by one: of 20, one misses by chance."
    )


def best_table(scores: Report, chosen: Mapping[str, str]) -> str:
    """The table of the best rows, chosen on validation and scored on test rows if there are some.

    So the paper chose what it submitted to XTREME.

    Args:
        scores: Without failed runs.
        chosen: Target -> its best row.
    """
    lines = [
        "| target | chosen on validation | none | chosen | difference |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    pairs_of_targets: list[dict[int, tuple[float, float]]] = []  # seed -> scores of none, chosen
    for name, row_spec in chosen.items():
        target_scores = scores.where(task=name)
        if "test" in {record.split for record in target_scores}:
            target_scores = target_scores.where(split="test")
        baseline = target_scores.where(intermediate="none").mean(by="seed")
        best = target_scores.where(intermediate=row_spec).mean(by="seed")
        pairs = {seed: (baseline[seed], best[seed]) for seed in baseline.keys() & best.keys()}
        pairs_of_targets.append(pairs)
        lines.append(f"| {name} | {row_spec} | {format_paired(pairs)} |")
    seeds = set.intersection(*map(set, pairs_of_targets))
    averages = {}
    for seed in seeds:
        baselines, bests = zip(*(pairs[seed] for pairs in pairs_of_targets), strict=True)
        averages[seed] = (fmean(baselines), fmean(bests))
    return "\n".join([*lines, f"| **average** | | {format_paired(averages)} |", "", _PAIRED])


def format_paired(by_seed: Mapping[int, tuple[float, float]]) -> str:
    """Three cells: baseline, chosen, and their difference with its interval.

    Args:
        by_seed: Seed -> scores of the baseline and of the chosen row; may be empty.
    """
    if not by_seed:
        return "– | – | –"
    baselines, bests = zip(*by_seed.values(), strict=True)
    mean, half_width = interval([best - base for base, best in by_seed.values()])
    half_text = "" if math.isnan(half_width) else f" ± {half_width:.1f}"
    return f"{fmean(baselines):.1f} | {fmean(bests):.1f} | {mean:+.1f}{half_text}"


def _add_changed_rows(page: Page, report: Report) -> None:
    """List the training rows that were changed, over all rows of the table, seeds and trainings."""
    counts: dict[tuple[str, str, str, str], list[tuple[int, int]]] = {}
    for record in report.where(metric=list(_CHANGES)):
        key = (record.task, record.split, record.language, record.metric)
        counts.setdefault(key, []).append((int(record.value), record.examples))
    lines = []
    for (task, split, language, change), changed in sorted(counts.items()):
        fewest, _ = min(changed)
        most_changed, row_count = max(changed)
        count = f"{most_changed}" if fewest == most_changed else f"{fewest} to {most_changed}"
        description = _CHANGES[change].format(f"{count} of {row_count}")
        lines.append(f"- {task} {split} {language}: {description}")
    if lines:
        page.add("## Rows that were changed", "\n".join(lines))


def _add_failed_runs(page: Page, report: Report) -> None:
    failed = failed_runs(report)
    if failed:
        lines = [
            f"- {row_spec}, seed {seed}: {', '.join(trained)}"
            for (row_spec, seed), trained in failed.items()
        ]
        page.add("## Runs that failed", _FAILED, "\n".join(lines))
