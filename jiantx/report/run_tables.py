"""The table of one run, and its picture: tasks down, languages across."""

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jiantx.report import heatmaps
from jiantx.report.averages import cell_means, distinct, grouped, mean_of_all, mean_of_tasks
from jiantx.report.scores import Score, TagSet, describe_tags, run_tags
from jiantx.report.tables import TextTable, describe_fewer, format_counts, format_score

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def run_table(tags: TagSet, scores: list[Score]) -> TextTable:
    """Make the table of one run: tasks down, languages across.

    Args:
        tags: Of the run, without "seed".
        scores: Main scores of the run.
    """
    splits = distinct(score.split for score in scores)
    languages = distinct(score.language for score in scores)
    rows: dict[str, dict[str, float]] = {}  # label -> language -> score
    for split in splits:
        cells = cell_means([score for score in scores if score.split == split])
        for task, by_language in _scores_by_task(cells).items():
            rows[task if len(splits) == 1 else f"{task} ({split})"] = by_language
    header = ["task", *languages]
    if len(languages) > 1:
        header.append("mean")  # of one language, the mean is the score
    texts = []
    for label, by_language in rows.items():
        values = [by_language.get(language, math.nan) for language in languages]
        values.append(mean_of_all(by_language.values()))
        texts.append([label, *map(format_score, values[: len(header) - 1])])

    task_count = len({score.task for score in scores})
    legend = ""
    if task_count == len(rows) > 1:  # with two splits, a task would count twice
        lacking = {}
        means = ["**mean**"]
        for language in languages:
            column = {
                label: scored[language] for label, scored in rows.items() if language in scored
            }
            lacking[language] = [label for label in rows if label not in column]
            means.append(format_score(mean_of_all(column.values()), fewer=bool(lacking[language])))
        means.append(format_score(mean_of_all(mean_of_all(row.values()) for row in rows.values())))
        texts.append(means[: len(header)])
        legend = describe_fewer(lacking)
    undefined = [f"{score.task} ({score.language})" for score in scores if math.isnan(score.value)]
    if undefined:
        legend += f"\nNo mean, since a score is undefined: {', '.join(distinct(undefined))}.\n"
    return TextTable(header, texts, _run_title(tags, scores), legend)


def draw_run(
    scores: Sequence[Score], path: str | os.PathLike[str] | None, *, title: str | None
) -> "Figure":
    """Draw the main scores of one run as a heat map; see `Report.plot`.

    Args:
        scores: Its main scores.
        path: The picture to write, if any.
        title: Text above the table.

    Raises:
        ValueError: If the scores are of several runs, or none is defined.
    """
    run_count = len({run_tags(score) for score in scores})
    if run_count > 1:
        raise ValueError(
            f"The report holds {run_count} runs. Choose one with where(...), or plot "
            "report.compare(baseline)."
        )
    if all(math.isnan(score.value) for score in scores):
        raise ValueError("The report holds no main score to plot.")
    cells = cell_means(scores)
    languages = distinct(language for _, language in cells)
    by_task = grouped((score.task, score) for score in scores)
    table = []
    for task, task_scores in by_task.items():
        by_language = [cells.get((task, language), math.nan) for language in languages]
        table.append([*by_language, mean_of_tasks(task_scores)])
    return heatmaps.draw_scores(
        table, rows=list(by_task), columns=[*languages, "mean"], path=path, title=title
    )


def _run_title(tags: TagSet, scores: list[Score]) -> str:
    phrases = [describe_tags(tags)] if tags else []
    seeds = grouped(
        ((score.task, score.split, score.language), score.tags.get("seed")) for score in scores
    )
    counts = [len(set(of_cell)) for of_cell in seeds.values()]
    if max(counts, default=0) > 1:
        phrases.append(f"mean of {format_counts(counts)} seeds")
    return ", ".join(phrases)


def _scores_by_task(cells: dict[tuple[str, str], float]) -> dict[str, dict[str, float]]:
    """(task, language) -> score as task -> language -> score."""
    by_task: dict[str, dict[str, float]] = {}
    for (task, language), score in cells.items():
        by_task.setdefault(task, {})[language] = score
    return by_task
