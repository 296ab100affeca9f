"""The page of a table: by target, by language, averages, best rows, what failed or is missing."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from jiantx.experiments.conclusions import conclude, repeated_training_sentence
from jiantx.experiments.html_page import Details, Facts, Finding, Page, Picture
from jiantx.experiments.html_table import PageTable
from jiantx.experiments.result_tables import (
    AVERAGE,
    draw_comparison,
    picture_columns,
    result_table,
    split_table,
)
from jiantx.experiments.run_facts import data_table, describe_run
from jiantx.experiments.selection import (
    CHANCE,
    DEVELOPMENT,
    FailedCells,
    best_rows,
    failed_cells,
    failed_runs,
    judged_scores,
    unchecked_targets,
    unjudged_cells,
    unlearned_targets,
)
from jiantx.experiments.significance import format_paired
from jiantx.experiments.stages import Stages
from jiantx.report import Comparison, Report, text_table
from jiantx.report.tables import FEWER, format_score
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
    "These runs did not learn: their validation score is not significantly above that of the "
    "majority class (one-sided 95 %; for tagging, QA and retrieval: above 0). They are excluded "
    "where another seed of the same row succeeded, and so is their seed from averages that include "
    "them."
)
_UNCHECKED = (
    "There are no labelled validation rows that would show whether runs learned: they count as "
    "learned for"
)
_TITLE = "Intermediate tasks and cross-lingual transfer"
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
    encoder: str | os.PathLike[str] | None = None,
) -> None:
    """Write the scores, the timings, and a page of tables and pictures; print the main tables.

    The page begins with what the tables say in three sentences, and with what was run.

    Args:
        report: Scores of the finished cells, by `Recipe.report`.
        targets: The targets, in the order of the columns.
        stages: All stages of the table, whether they are done or not.
        folder: An existing folder, for `report.json`, `timings.json`, `report.html`, `report.md`
            and the pictures.
        splits: The scored splits. With both "validation" and "test", the page has a table of the
            best row for each target, and its first sentences are about "test".
        command: The command that made the table, for the top of the page.
        encoder: Hub id or folder of the encoder; None leaves out its size.
    """
    page = Page(_TITLE)
    failed = failed_cells(report, targets)
    unlearned = unlearned_targets(report, targets, failed)
    failed = {cell: seeds for cell, seeds in failed.items() if cell[1] not in unlearned}
    all_targets = targets
    targets = [target for target in targets if target.name not in unlearned]
    names = [target.name for target in targets]
    scores = judged_scores(report, all_targets)
    main_split = "test" if "test" in splits else splits[0]
    _add_finding(page, scores.where(split=main_split), targets, main_split, failed)
    _add_unlearned(page, unlearned)
    _add_unfinished(page, stages)
    facts = describe_run(stages.descriptions(), report, command, encoder, all_targets)
    page.add("## What was run", Facts(facts))
    page.add(data_table(report, all_targets, main_split))
    _add_sampled_rows(page, report, all_targets)
    report.to_json(folder / "report.json")
    timings = json.dumps(stages.timings(), indent=1) + "\n"
    (folder / "timings.json").write_text(timings, encoding="utf-8")
    for split in splits:
        _add_split(page, scores.where(split=split), names, split, folder, failed)
    has_baseline = len(scores.where(intermediate="none")) > 0
    if set(splits) == {"validation", "test"} and has_baseline:
        chosen = best_rows(report, targets)
        if chosen:
            page.add("## The best intermediate task for each target", best_table(scores, chosen))
    _add_failed_runs(page, report, all_targets)
    _add_changed_rows(page, report)
    for split in splits:
        _add_all_scores(page, scores.where(split=split), split)
    written = page.write(folder)
    file_names = [path.name for path in (*written, *sorted(folder.glob("*.png")))]
    print(f"\nWritten to {folder}: report.json, timings.json, {', '.join(file_names)}")


def _add_unlearned(page: Page, unlearned: Mapping[str, Sequence[str]]) -> None:
    """Say which targets are in no table."""
    for target, rows in unlearned.items():
        runs = "No run of the row `none`" if rows else "No run"
        learned = (
            f" After {', '.join(f'`{row}`' for row in rows)}, a run learned it." if rows else ""
        )
        sentence = (
            f"**{runs} learned {target}** (see Runs that failed). It is left out of all tables and "
            f"means, since a difference to guessing says nothing about transfer.{learned} Train it "
            "for more steps, or at another rate."
        )
        page.add(sentence)
        print(f"\n{sentence.replace('**', '')}")


def _add_finding(
    page: Page, scores: Report, targets: Sequence[Task], split: str, failed: FailedCells
) -> None:
    """Say in three sentences what one split shows."""
    baseline = scores.where(intermediate="none")
    if not len(baseline):
        return
    by_target = _by_target(scores, [target.name for target in targets])
    by_language = scores.compare(baseline, by="language")
    marked = {*failed, *_failed_rows(failed)}
    unjudged = unjudged_cells(failed, [row.label for row in by_target.rows])
    sentences = conclude(by_target, by_language, marked, unjudged)
    page.add(f"## What it says ({split})", Finding(sentences))
    notes = [repeated_training_sentence(by_target, targets, unjudged)]
    if failed:
        failed_names = [f"{target} after `{row}`" for (row, target) in failed]
        shown = ", ".join(failed_names[:5]) + (
            f", and {len(failed_names) - 5} more" if len(failed_names) > 5 else ""
        )
        notes.append(f"Runs that did not learn, marked `‡` in the tables: {shown}.")
    page.add("\n".join(f"- {note}" for note in notes if note))
    print("\n" + "\n".join([*sentences, *filter(None, notes)]).replace("**", ""))


def _add_unfinished(page: Page, stages: Stages) -> None:
    unfinished = [stage.name for stage in stages if not stages.done(stage)]
    if unfinished:
        page.add(
            f"**{len(unfinished)} stages are not done yet**, such as {unfinished[0]}: the tables "
            "lack their scores."
        )


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


def _by_target(scores: Report, targets: Sequence[str]) -> Comparison:
    """Differences to the row `none`, with a column for each target that has scores."""
    scored = {score.task for score in scores}
    names = [name for name in targets if name in scored]
    return scores.compare(scores.where(intermediate="none"), tasks=names)


def _add_split(
    page: Page,
    scores: Report,
    targets: Sequence[str],
    split: str,
    folder: Path,
    failed: FailedCells,
) -> None:
    """Show the tables and pictures of one split, on the page and in the terminal."""
    baseline = scores.where(intermediate="none")
    if not len(baseline):
        page.add(
            f"## Scores ({split})",
            "No table: the baseline row `none` has no scores here yet.",
        )
        return
    by_target = _by_target(scores, targets)
    unjudged = set(unjudged_cells(failed, [row.label for row in by_target.rows]))
    unjudged_rows = {row for row, _ in unjudged}
    title = f"Main score by target ({split}), mean over languages"
    # an average is marked with its parts
    marked = {*failed, *((row, AVERAGE) for row, _ in failed)}
    caption = f"{title}. Row `none`: scores; other rows: differences"
    unjudged |= {(row, AVERAGE) for row in unjudged_rows}
    table = result_table(by_target, caption, marked, unjudged=unjudged)
    page.add(f"## By target ({split})")
    _print_table(title, table)
    path = folder / f"{split}-targets.png"
    _add_comparison(page, by_target, table, path, title, marked, unjudged)

    by_language = scores.compare(baseline, by="language")
    title = f"Main score by language ({split}), mean over the targets that have it"
    caption = f"{title}. Row `none`: scores; other rows: differences"
    marked_rows = _failed_rows(failed)
    unjudged = {(row, "") for row in unjudged_rows}
    table = result_table(by_language, caption, marked_rows, unjudged=unjudged, with_average=False)
    page.add(f"## By language ({split})")
    _print_table(title, table)
    path = folder / f"{split}-languages.png"
    _add_comparison(
        page, by_language, table, path, title, marked_rows, unjudged, with_average=False
    )

    title = f"English beside the other languages ({split})"
    path = folder / f"{split}-gaps.png"
    if _can_draw(path, lambda: scores.plot_gaps(path, title=title)):
        gaps = scores.transfer_gaps()
        phrases = [
            f"{row}: {english:.1f} and {transferred:.1f}"
            for row, (english, transferred) in gaps.items()
        ]
        alt = f"{title}: mean main score in English and in the others. {'; '.join(phrases)}."
        page.add(f"## {title}", Picture(path, alt))


def _failed_rows(failed: FailedCells) -> set[tuple[str, str]]:
    """(row, "") of the rows whose scores by language hold those of runs that did not learn."""
    return {(row, "") for (row, _), seeds in failed.items() if seeds.failed == seeds.all}


def _print_table(title: str, table: PageTable) -> None:
    notes = "\n".join(table.notes)
    print(f"\n{title}\n\n{text_table(table.header, table.rows)}\n{notes}")


def _add_comparison(
    page: Page,
    comparison: Comparison,
    table: PageTable,
    path: Path,
    title: str,
    failed: Collection[tuple[str, str]],
    unjudged: Collection[tuple[str, str]],
    *,
    with_average: bool = True,
) -> None:
    """Add a comparison as a table and a picture, or as several if it has many columns."""
    column_groups = picture_columns(comparison, with_average=with_average)
    paths = [path]
    for number in range(2, len(column_groups) + 1):
        paths.append(path.with_stem(f"{path.stem}-{number}"))

    def draw() -> None:
        draw_comparison(
            comparison, paths, title, failed, unjudged=unjudged, with_average=with_average
        )

    is_drawn = _can_draw(path, draw)
    page.add(*split_table(table, column_groups))
    if is_drawn:
        for picture, columns in zip(paths, column_groups, strict=True):
            alt = f"Heat map of the numbers above: {', '.join(columns)}. {title}."
            page.add(Picture(picture, alt))


def _can_draw(path: Path, draw: Callable[[], object]) -> bool:
    """Draw a picture; print why it cannot be drawn."""
    try:
        draw()
    except (ImportError, ValueError) as error:  # no matplotlib, or no language but English
        print(f"No picture {path.name}: {error}")
        return False
    return True


def _add_all_scores(page: Page, scores: Report, split: str) -> None:
    """Add the tables that few readers need: every score, and the benchmark's row."""
    if not len(scores):
        return
    untagged = Report(
        replace(record, tags={name: record.tags[name] for name in ("intermediate", "seed")})
        for record in scores
    )
    page.add(Details(f"Every target and language ({split})", [untagged.to_markdown()]))
    if not any(score.task in XTREME for score in scores):
        return
    legend = f"`{FEWER}` a mean over fewer languages than the benchmark has."
    leaderboard = scores.benchmark(XTREME).to_markdown(mark=f" {FEWER}")
    page.add(Details(f"The row of the XTREME leaderboard ({split})", [leaderboard, legend]))


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
    """List how many training rows were changed, at most, in a row of the table and a seed."""
    # task, split, language, change -> (changed rows, all rows) of each training
    counts: dict[tuple[str, str, str, str], list[tuple[int, int]]] = {}
    for record in report.where(metric=list(_CHANGES)):
        key = (record.task, record.split, record.language, record.metric)
        counts.setdefault(key, []).append((int(record.value), record.examples))
    lines = []
    for (task, split, language, change), trainings in sorted(counts.items()):
        highest, row_count = max(trainings)
        # trainings without such rows have no record
        count = f"{'up to ' if len(trainings) > 1 else ''}{highest}"
        description = _CHANGES[change].format(f"{count} of {row_count}")
        lines.append(f"- {task} {split} {language}: {description}")
    if lines:
        page.add("## Rows that were changed", "\n".join(lines))


def _add_failed_runs(page: Page, report: Report, targets: Sequence[Task]) -> None:
    """List the runs that did not learn, and the targets for which this is not known."""
    phrases_of: dict[tuple[str, str], list[str]] = {}  # (row, fine-tuning) -> its failed seeds
    for (row_spec, seed), trained in sorted(failed_runs(report).items()):
        for name in trained:
            records = report.where(intermediate=row_spec, seed=seed, task=name)
            score, chance = (
                format_score(next(iter(records.where(metric=metric))).value)
                for metric in (DEVELOPMENT, CHANCE)
            )
            phrase = f"seed {seed} ({score}; chance {chance})"
            phrases_of.setdefault((row_spec, name), []).append(phrase)
    if phrases_of:
        lines = []
        for (row_spec, name), phrases in phrases_of.items():
            lines.append(f"- fine-tuning on {name} after `{row_spec}`: {', '.join(phrases)}")
        page.add("## Runs that failed", _FAILED, "\n".join(lines))
    unchecked = unchecked_targets(report, targets)
    if unchecked:
        page.add(f"{_UNCHECKED} {', '.join(unchecked)}.")
