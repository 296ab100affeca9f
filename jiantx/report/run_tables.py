"""The table of one run: tasks down, languages across."""

import math

from jiantx.report.averages import cell_means, distinct, mean_of_all
from jiantx.report.scores import Score, TagSet, describe_tags
from jiantx.report.tables import describe_fewer, format_score, markdown_table


def run_table(tags: TagSet, scores: list[Score]) -> str:
    """Write the table of one run: tasks down, languages across.

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
        legend += f"\nUndefined, and so without a mean: {', '.join(distinct(undefined))}.\n"
    return _run_title(tags, scores) + markdown_table(header, texts) + legend


def _run_title(tags: TagSet, scores: list[Score]) -> str:
    phrases = [describe_tags(tags)] if tags else []
    seed_count = len({score.tags.get("seed") for score in scores})
    if seed_count > 1:
        phrases.append(f"mean of {seed_count} seeds")
    return f"**{', '.join(phrases)}**\n\n" if phrases else ""


def _scores_by_task(cells: dict[tuple[str, str], float]) -> dict[str, dict[str, float]]:
    """(task, language) -> score as task -> language -> score."""
    by_task: dict[str, dict[str, float]] = {}
    for (task, language), score in cells.items():
        by_task.setdefault(task, {})[language] = score
    return by_task
