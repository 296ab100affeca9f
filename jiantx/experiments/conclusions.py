"""What a table of results says, in three sentences: it claims what its intervals allow."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from jiantx.experiments.result_tables import seed_count
from jiantx.experiments.rows import parse_row
from jiantx.experiments.significance import Interval, format_interval, significance_sentence
from jiantx.report import Comparison, excludes_zero, interval
from jiantx.report.tables import FAILED, format_counts
from jiantx.task import Task
from jiantx.tasks import training_tasks

_MOST_NAMED = 3  # differences that a sentence names
Differences = Mapping[tuple[str, str], Interval]  # (row, target or language) -> difference


def conclude(
    by_target: Comparison,
    by_language: Comparison,
    failed: Collection[tuple[str, str]] = (),
    unjudged: Collection[tuple[str, str]] = (),
) -> list[str]:
    """Say which rows are better on average, where rows help and hurt, and what is not shown.

    An effect is claimed only if its 95 % interval excludes zero, and some run learned both after
    the row and after `none`.

    Args:
        by_target: Differences to the row `none`, with a column for each target.
        by_language: The same, with a column for each language.
        failed: (row, target) of the cells some of whose runs did not learn, and (row, "") of rows
            whose scores by language hold such runs; they are marked.
        unjudged: (row, target) of cells of which no run learned, after the row or after `none`.

    Returns:
        Three sentences, in Markdown.
    """
    averages = _averages(by_target)
    if not averages:
        return ["No row can be compared with `none` yet."]
    unjudged_rows = {row for row, _ in unjudged}
    averages = {row: pair for row, pair in averages.items() if row not in unjudged_rows}
    seeds = seed_count(by_target)
    targets = f"{len(by_target.columns)} {_plural(len(by_target.columns), 'target')}"
    if not averages:
        nothing = "**No row is judged on average**."
        too_few = [significance_sentence({}, seeds)] if seeds < 2 else []
        return [nothing + _unjudged_sentence(unjudged), *too_few]
    if seeds < 2:
        return _of_one_seed(averages, targets)
    target_differences = differences(by_target)
    language_differences = differences(by_language)
    for cell in unjudged:
        target_differences.pop(cell, None)
    for row, language in list(language_differences):
        if row in unjudged_rows:
            del language_differences[row, language]
    return [
        _average_sentence(
            averages, f"the average of {targets}", _average_seeds(by_target, averages)
        )
        + _unjudged_sentence(unjudged),
        _where_sentence(target_differences, "target", failed)
        + " "
        + _where_sentence(language_differences, "language", failed),
        _undecided_sentence(target_differences, language_differences),
    ]


def repeated_training_sentence(
    by_target: Comparison, targets: Sequence[Task], unjudged: Collection[tuple[str, str]]
) -> str:
    """Name the claimed differences that may come from training on the same rows twice.

    Args:
        by_target: Differences to the row `none`, with a column for each target.
        targets: The targets.
        unjudged: As for `conclude`.

    Returns:
        A sentence; "" if there is no such difference.
    """
    trained_names = {}
    for target in targets:
        trained_names[target.name] = {task.name for task in training_tasks(target)}
    repeated = []
    for row_spec, target_name in _claimed(differences(by_target)):
        intermediate = {task.name for task in parse_row(row_spec)}
        is_judged = (row_spec, target_name) not in unjudged
        if is_judged and intermediate & trained_names.get(target_name, set()):
            repeated.append(f"{target_name} after `{row_spec}`")
    if not repeated:
        return ""
    return (
        f"Trained on the same rows twice: {', '.join(repeated)}. Such a difference may be that of "
        "longer training."
    )


def differences(comparison: Comparison) -> dict[tuple[str, str], Interval]:
    """Return the differences of a comparison of which two or more seeds are known.

    Args:
        comparison: Of rows with a baseline.

    Returns:
        (row, column) -> mean and half the width of its 95 % interval.
    """
    intervals = {}
    for row in comparison.rows:
        for column, cell in zip(comparison.columns, row.cells, strict=True):
            if len(cell.values) > 1 and not row.is_baseline:
                intervals[row.label, column] = interval(cell.values)
    return intervals


def _averages(comparison: Comparison) -> dict[str, Interval]:
    """Row -> difference of its average, for rows with all columns."""
    averages = {}
    for row in comparison.rows:
        if row.average.values and not row.average.lacks and not row.is_baseline:
            averages[row.label] = interval(row.average.values)
    return averages


def _unjudged_sentence(unjudged: Collection[tuple[str, str]]) -> str:
    """Name the cells that cannot be judged; "" if there are none."""
    if not unjudged:
        return ""
    names = [f"{target} after `{row}`" for row, target in unjudged]
    hidden = f", and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return (
        " Not judged, since no run learned after the row or after `none`: "
        f"{', '.join(names[:_MOST_NAMED])}{hidden}. These rows are not judged on average or by "
        "language either."
    )


def _average_seeds(comparison: Comparison, judged: Collection[str]) -> str:
    """How many seeds the averages of these rows are over, such as "3" or "2 to 3"."""
    rows = [row for row in comparison.rows if row.label in judged]
    return format_counts([len(row.average.values) for row in rows])


def _of_one_seed(averages: Mapping[str, Interval], targets: str) -> list[str]:
    highest = max(averages, key=lambda row: averages[row][0])
    mean = format_interval(averages[highest], "+")
    return [
        f"**No effect is shown.** {significance_sentence(averages, 1)}",
        f"The highest average of {targets} in this one run is that of `{highest}`: it differs from "
        f"`none` by {mean} points, which may be chance.",
        "Run three seeds or more (`--seeds 3`) to get intervals; finished stages are not run "
        "again.",
    ]


def _average_sentence(averages: Mapping[str, Interval], average: str, seeds: str) -> str:
    """Name the rows that are above `none`, and those below it."""
    over_seeds = f"95 % intervals over {seeds} seeds"
    tested = {row: pair for row, pair in averages.items() if not math.isnan(pair[1])}
    if not tested:
        return f"**No row is shown to be better than `none`**: {average} has one seed only."
    claimed = {row: pair for row, pair in tested.items() if excludes_zero(*pair)}
    above = {row: pair for row, pair in claimed.items() if pair[0] > 0}
    below = {row: pair for row, pair in claimed.items() if pair[0] < 0}
    worse = f" Shown to be worse: {_rows_text(below)}." if below else ""
    highest = max(tested, key=lambda row: tested[row][0])
    highest_text = _rows_text({highest: tested[highest]})
    if not above:
        return (
            f"**No row is shown to be better than `none` on average**: the highest is "
            f"{highest_text}, in {average} ({over_seeds}).{worse}"
        )
    higher = "" if highest in above else f" The mean of {highest_text} is higher, but not shown."
    return (
        f"**Shown to be better than `none` on average**: {_rows_text(above)}, in {average} "
        f"({over_seeds}).{higher}{worse}"
    )


def _rows_text(rows: Mapping[str, Interval]) -> str:
    """`mnli` (+1.0 ± 0.5 points) and `qqp` (+0.8 ± 0.2 points)"""
    texts = [f"`{row}` ({format_interval(pair, '+')} points)" for row, pair in rows.items()]
    return " and ".join(texts)


def _claimed(intervals: Differences) -> dict[tuple[str, str], Interval]:
    return {cell: pair for cell, pair in intervals.items() if excludes_zero(*pair)}


def _where_sentence(intervals: Differences, noun: str, failed: Collection[tuple[str, str]]) -> str:
    claimed = _claimed(intervals)
    if not claimed:
        return f"By {noun}, no row is shown to help or to hurt."
    signed = {
        "help": {cell: pair for cell, pair in claimed.items() if pair[0] > 0},
        "harm": {cell: pair for cell, pair in claimed.items() if pair[0] < 0},
    }
    phrases = []
    for effect, cells in signed.items():
        if cells:
            phrases.append(f"**{effect}** is shown for {_cells_text(cells, failed)}")
        else:
            phrases.append(f"no {effect} is shown")
    return f"By {noun}, {'; '.join(phrases)}."


def _cells_text(cells: Differences, failed: Collection[tuple[str, str]]) -> str:
    """xnli after `mnli` (+6.3 ± 3.2), …, and 3 more; the largest first."""
    ordered = sorted(cells, key=lambda cell: -abs(cells[cell][0]))
    texts = []
    for row_spec, column in ordered[:_MOST_NAMED]:
        difference = format_interval(cells[row_spec, column], "+")
        has_failed = (row_spec, column) in failed or (row_spec, "") in failed
        mark = f" {FAILED}" if has_failed else ""
        texts.append(f"{column} after `{row_spec}` ({difference}{mark})")
    hidden = len(ordered) - _MOST_NAMED
    return ", ".join(texts) + (f", and {hidden} more" if hidden > 0 else "")


def _undecided_sentence(by_target: Differences, by_language: Differences) -> str:
    counts = []
    for noun, intervals in (("target", by_target), ("language", by_language)):
        undecided = len(intervals) - len(_claimed(intervals))
        counts.append(f"{undecided} of {len(intervals)} differences by {noun}")
    tested = len(by_target) + len(by_language)
    expected = tested / 20
    by_chance = f"about {expected:.0f}" if expected >= 1 else f"fewer than one ({expected:.2g})"
    return (
        f"**Not shown**: {' and '.join(counts)} (their intervals include zero). Rows are compared "
        f"with `none`, and not with each other. If nothing had an effect, {by_chance} of {tested} "
        "intervals would exclude zero by chance."
    )


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"
