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
from jiantx.experiments.significance import format_paired, significance_sentence
from jiantx.experiments.stages import Stages
from jiantx.report import Comparison, Report, interval
from jiantx.task import Task
from jiantx.tasks.benchmarks import XTREME

_CHANGES = {  # counts of training rows that were changed
    "truncated": "text cut off in {} inputs",
    "realigned": "answers moved to the nearest exact occurrence in {} rows",
    "answer_outside_windows": (
        "answers longer than a window in {} rows, which train as if they had no answer"
    ),
    "lost_targets": "spans without a piece or too long in {} targets, which are not trained on",
}
_FAILED = (
    "These runs did not learn: their validation score is not significantly above the "
    "majority-class baseline (one-sided 95 %; for tagging and QA: above 0). They are excluded "
    "where another seed of the same row succeeded, and so is their seed from averages that include "
    "them."
)
_AVERAGE = "The difference of the average from the row `none`"
_ONE_BY_ONE = "Each interval is tested by itself: of 20 intervals, about one misses by chance."
_PAIRED = (
    "Means over the seeds that both rows have (for the average: in all targets). Differences are "
    "paired by seed, ± half the 95 % interval."
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
    """Write the scores, the timings, and a page of tables and pictures; print the main tables.

    Args:
        report: Scores of the finished cells, by `Recipe.report`.
        targets: The targets, in the order of the columns.
        stages: All stages of the table, whether they are done or not.
        folder: An existing folder, for `report.json`, `timings.json`, `report.html`, `report.md`
            and the pictures.
        splits: The scored splits. With both "validation" and "test", the page has a table of the
            best row for each target.
        command: The command that made the table, for the top of the page.
    """
    names = [target.name for target in targets]
    page = Page("English intermediate tasks, zero-shot cross-lingual transfer")
    page.add(f"`{command}`")
    unfinished = [stage.name for stage in stages if not stages.done(stage)]
    if unfinished:
        page.add(
            f"**{len(unfinished)} stages are not done yet**, such as {unfinished[0]}: the tables "
            "lack their scores."
        )
    _add_sampled_rows(page, report, targets)
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


def _add_sampled_rows(page: Page, report: Report, targets: Sequence[Task]) -> None:
    """Say that not all rows were scored, where that is so."""
    numbers = {int(record.tags["eval_rows"]) for record in report if "eval_rows" in record.tags}
    if not numbers:
        return
    unsampled = [target.name for target in targets if not target.has_independent_rows]
    sentence = (
        f"**Scores are of at most {max(numbers):,} rows** of each language, chosen at random: the "
        "same for all rows of the table and all seeds."
    )
    if unsampled:
        sentence += f" Scored whole: {', '.join(unsampled)}."
    page.add(sentence)
    print(f"\n{sentence.replace('**', '')}")


def _add_split(
    page: Page, scores: Report, targets: Sequence[str], split: str, folder: Path
) -> None:
    """Show the tables and pictures of one split, on the page and in the terminal."""
    baseline = scores.where(intermediate="none")
    if not baseline.mean(by="task"):
        page.add(
            f"## {split}",
            "No table: the baseline row `none` has no scores here yet.",
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
    sentence = _average_sentence(by_target)
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
    """Draw the pictures of one split, and return their paths; print which cannot be drawn."""
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


def _average_sentence(comparison: Comparison) -> str:
    """Say which rows have another average than the baseline."""
    rows = [row for row in comparison.rows if not row.is_baseline]
    seeds = max((len(row.average.values) for row in rows), default=0)
    intervals = {row.label: interval(row.average.values) for row in rows}
    sentence = significance_sentence(intervals, seeds, subject=_AVERAGE)
    return sentence if seeds < 2 else f"{sentence} {_ONE_BY_ONE}"


def best_table(scores: Report, chosen: Mapping[str, str]) -> str:
    """Compare the chosen row of each target with the baseline, in Markdown.

    A target is scored on its test split, or on its validation split if no test scores are there.
    The paper chose in the same way what it submitted to XTREME.

    Args:
        scores: Scores without those of failed runs.
        chosen: Target -> its best row, by `best_rows`.

    Returns:
        One line per target, a line of averages, and a legend.
    """
    lines = [
        "| target | chosen on validation | none | chosen | difference |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    pairs_by_target = []
    for target, row_spec in chosen.items():
        pairs = _paired_scores(scores.where(task=target), row_spec)
        pairs_by_target.append(pairs)
        lines.append(f"| {target} | {row_spec} | {format_paired(pairs)} |")
    averages = {}
    for seed in set.intersection(*map(set, pairs_by_target)):
        baselines, best = zip(*(pairs[seed] for pairs in pairs_by_target), strict=True)
        averages[seed] = (fmean(baselines), fmean(best))
    lines.append(f"| **average** | | {format_paired(averages)} |")
    return "\n".join([*lines, "", _PAIRED])


def _paired_scores(scores: Report, row_spec: str) -> dict[int, tuple[float, float]]:
    """Seed -> score of the baseline and of a row, for the seeds that both have."""
    if "test" in {record.split for record in scores}:
        scores = scores.where(split="test")
    baseline = scores.where(intermediate="none").mean(by="seed")
    best = scores.where(intermediate=row_spec).mean(by="seed")
    pairs = {seed: (baseline[seed], best[seed]) for seed in baseline.keys() & best.keys()}
    return {seed: pair for seed, pair in pairs.items() if not any(map(math.isnan, pair))}


def _add_changed_rows(page: Page, report: Report) -> None:
    """List how many training rows were changed: the range over the table's rows and seeds."""
    # task, split, language, change -> (changed rows, all rows) of each training
    counts: dict[tuple[str, str, str, str], list[tuple[int, int]]] = {}
    for record in report.where(metric=list(_CHANGES)):
        key = (record.task, record.split, record.language, record.metric)
        counts.setdefault(key, []).append((int(record.value), record.examples))
    lines = []
    for (task, split, language, change), trainings in sorted(counts.items()):
        lowest, _ = min(trainings)
        highest, row_count = max(trainings)
        count = _format_range(lowest, highest)
        description = _CHANGES[change].format(f"{count} of {row_count}")
        lines.append(f"- {task} {split} {language}: {description}")
    if lines:
        page.add("## Rows that were changed", "\n".join(lines))


def _format_range(lowest: int, highest: int) -> str:
    return f"{highest}" if lowest == highest else f"{lowest} to {highest}"


def _add_failed_runs(page: Page, report: Report) -> None:
    """List the runs that did not learn."""
    failed = failed_runs(report)
    if failed:
        lines = [
            f"- {row_spec}, seed {seed}: {', '.join(trained)}"
            for (row_spec, seed), trained in failed.items()
        ]
        page.add("## Runs that failed", _FAILED, "\n".join(lines))
