"""Averages of main scores, and the checks that only comparable scores are averaged."""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, TypeVar

from jiantx.report.scores import Score

# scores that differ in these tags measure other things
_ORIGINS = ("encoder", "version", "eval_rows", "layer", "layers")
_NEVER_AVERAGED = (*_ORIGINS, "intermediate")  # rows of a table are compared, and not averaged

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def distinct(values: Iterable[_Value]) -> list[_Value]:
    """Return each value once, in the order of first appearance."""
    return list(dict.fromkeys(values))


def grouped(pairs: Iterable[tuple[_Key, _Value]]) -> dict[_Key, list[_Value]]:
    """Collect the values of each key, both in the order of appearance."""
    groups: dict[_Key, list[_Value]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


def mean(values: Iterable[float]) -> float:
    """Return the mean of the values that are not NaN; NaN if there is none."""
    numbers = [value for value in values if not math.isnan(value)]
    return fmean(numbers) if numbers else math.nan


def mean_of_all(values: Iterable[float]) -> float:
    """Return the mean; NaN if there are no values, or if one is NaN.

    A mean over the other values would not be comparable, and could be higher.
    """
    numbers = list(values)
    return fmean(numbers) if numbers else math.nan


def cell_means(scores: Sequence[Score]) -> dict[tuple[str, str], float]:
    """Average scores over seeds and other tags.

    Returns:
        (task, language) -> mean; NaN if one of the scores is undefined.

    Raises:
        ValueError: If scores of one cell differ in encoder, version or split.
    """
    means = {}
    groups = grouped(((score.task, score.language), score) for score in scores)
    for cell, cell_scores in groups.items():
        check_comparable(cell_scores)
        means[cell] = mean_of_all(score.value for score in cell_scores)
    return means


def mean_of_tasks(scores: Sequence[Score]) -> float:
    """Average scores over seeds, then over each task's languages, then over tasks.

    The average is NaN if a score is undefined, and if there are none.

    Raises:
        ValueError: If scores differ in encoder, version, `eval_rows`, layers or intermediate
            training, or those of one task in their split.
    """
    check_comparable(scores)
    by_task = grouped((task, value) for (task, _), value in cell_means(scores).items())
    return mean_of_all(map(mean_of_all, by_task.values()))


def transfer_gaps(scores: Iterable[Score]) -> dict[str, tuple[float, float]]:
    """Average main scores in English and in the other languages; see `Report.transfer_gaps`."""
    tagged = [score for score in scores if "intermediate" in score.tags]
    runs = grouped((str(score.tags["intermediate"]), score) for score in tagged)
    gaps = {}
    averaged = {}
    for intermediate, run in runs.items():
        languages_of = grouped((score.task, score.language) for score in run)
        with_gap = {
            task
            for task, languages in languages_of.items()
            if "en" in languages and len(set(languages)) > 1
        }
        in_both = [score for score in run if score.task in with_gap]
        english = [score for score in in_both if score.language == "en"]
        transferred = [score for score in in_both if score.language != "en"]
        if in_both:
            gaps[intermediate] = (mean_of_tasks(english), mean_of_tasks(transferred))
            averaged[intermediate] = in_both
    warn_if_uneven(averaged, "intermediate")
    return gaps


def warn_if_uneven(groups: Mapping[Any, Sequence[Score]], by: str) -> None:
    """Warn if averages that stand beside each other are over different scores.

    Tasks are not compared: each has languages of its own.

    Args:
        groups: Value of `by` -> the scores that are averaged.
        by: A field or a tag.
    """
    if by in ("task", "split", *_ORIGINS):
        return
    averaged: dict[Any, list[str]] = {}
    for value, scores in groups.items():
        names = [s.task if by == "language" else f"{s.task}/{s.language}" for s in scores]
        averaged[value] = distinct(names)
    everything = distinct(name for names in averaged.values() for name in names)
    phrases = []
    for value, names in averaged.items():
        lacking = [name for name in everything if name not in names]
        if lacking:
            more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
            phrases.append(f"{value} has no {', '.join(lacking[:5])}{more}")
    if phrases:
        warnings.warn(
            f"The averages by {by!r} are over different scores, and cannot be compared: "
            f"{'; '.join(phrases)}. Choose what all of them have with where(…).",
            stacklevel=3,
        )


def check_comparable(scores: Sequence[Score]) -> None:
    """Raise a ValueError if scores differ in one of these tags, or a task has two splits."""
    for name in _NEVER_AVERAGED:
        values = distinct(score.tags.get(name) for score in scores)
        if len(values) > 1:
            raise ValueError(
                f"Scores that differ in their tag {name!r} ({', '.join(map(str, values))}) have no "
                f"common average. Choose one with where({name}=...), or take mean(by={name!r})."
            )
    check_one_split(scores)


def check_one_split(scores: Sequence[Score]) -> None:
    """Raise a ValueError if scores of one task come from two splits."""
    for task, splits in grouped((score.task, score.split) for score in scores).items():
        if len(set(splits)) > 1:
            raise ValueError(f"There are two splits of {task!r}. Choose one with where(split=...).")
