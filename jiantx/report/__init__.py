"""Scores, and what is said about them: averages, comparisons, tables, files."""

import json
import math
import os
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeVar, overload

from jiantx.cache import write_text

MAIN = "main_score"  # the metric under which each task's one main score stands: 0–100, higher is better
_APART = (
    "encoder",
    "version",
)  # tags that are never averaged over: such scores measure different things

Tag = str | int
TagSet = frozenset[tuple[str, Tag]]

_T = TypeVar("_T")
_U = TypeVar("_U")


@dataclass(frozen=True)
class Score:
    """One number: a metric of one task, on one split, in one language.

    `tags` says which run it comes from ({"intermediate": "mnli", "seed": 1}); their names are not those of the fields.
    """

    task: str
    split: str
    language: str
    metric: str
    value: float
    examples: int
    tags: Mapping[str, Tag] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        # Also numbers of NumPy, which JSON would refuse.
        object.__setattr__(self, "value", float(self.value))
        object.__setattr__(self, "examples", int(self.examples))
        object.__setattr__(self, "tags", dict(self.tags))
        for name, tag in self.tags.items():
            if name in _FIELDS:
                raise ValueError(f"A tag cannot be named {name!r}, like a field of Score.")
            if not isinstance(tag, (str, int)) or isinstance(tag, bool):
                raise TypeError(f"The tag {name!r} is {tag!r}. Tags are text or whole numbers.")


_FIELDS = tuple(f.name for f in fields(Score) if f.name != "tags")


class Report:
    """A list of scores. The same score twice is kept once; two values for one score are an error.

    >>> report = Report([Score("xnli", "test", "de", MAIN, 76.5, 5010), Score("xnli", "test", "sw", MAIN, 66.5, 5010)])
    >>> report.mean()
    71.5
    """

    def __init__(self, records: Iterable[Score] = ()) -> None:
        kept: dict[Any, Score] = {}
        for record in records:
            other = kept.setdefault(_coordinates(record), record)
            if _value(other) != _value(record):
                raise ValueError(
                    f"Two values for one score: {other.value} ({other.examples} examples) and {record.value} "
                    f"({record.examples} examples) are both {record.metric} of {record.task}, {record.split}, "
                    f"{record.language}, {_describe(record.tags.items()) or 'no tags'}."
                )
        self.records = list(kept.values())

    def __add__(self, other: "Report") -> "Report":
        return Report([*self.records, *other.records])

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Score]:
        return iter(self.records)

    def __repr__(self) -> str:
        tasks, languages = (
            len(_distinct(r.task for r in self)),
            len(_distinct(r.language for r in self)),
        )
        return f"<Report: {len(self)} scores, {tasks} tasks, {languages} languages>"

    def where(self, **coordinates: Any) -> "Report":
        """The scores with these fields or tags; each is given as a value or as a collection of values.

        >>> Report().where(task="xnli", language=["de", "sw"], seed=1)
        <Report: 0 scores, 0 tasks, 0 languages>
        """
        for name in coordinates:
            self._check_name(name)
        chosen = {
            name: wanted
            if isinstance(wanted, Collection) and not isinstance(wanted, str)
            else (wanted,)
            for name, wanted in coordinates.items()
        }
        return Report(
            r for r in self if all(_flat(r).get(name) in wanted for name, wanted in chosen.items())
        )

    def with_tags(self, **tags: Tag) -> "Report":
        """The same scores with these tags added, or replaced."""
        return Report(replace(record, tags={**record.tags, **tags}) for record in self)

    def _check_name(self, name: str) -> None:
        tags = _distinct(tag for record in self for tag in record.tags)
        if self.records and name not in (*_FIELDS, *tags):
            known = ", ".join((*_FIELDS, *tags))
            raise ValueError(f"No score here has a field or a tag {name!r}. There are: {known}.")

    @overload
    def mean(self, by: None = None) -> float: ...
    @overload
    def mean(self, by: str) -> dict[Any, float]: ...
    def mean(self, by: str | None = None) -> float | dict[Any, float]:
        """The average main score; `by` a field or a tag, one average for each of its values.

        Averages are taken over seeds (and other tags), then over a task's languages, then over tasks. NaN is left
        out, and so are scores without the tag `by`; the average of nothing is NaN. Different encoders or versions, or
        two splits of one task, are never averaged: a `ValueError`.
        """
        if by is None:
            return _mean_of_tasks(self._main())
        self._check_name(by)
        groups = _grouped((_flat(record).get(by), record) for record in self._main())
        return {
            value: _mean_of_tasks(records) for value, records in groups.items() if value is not None
        }

    def cells(self) -> dict[tuple[str, str], float]:
        """(task, language) to its main score, averaged over seeds (and other tags)."""
        return _cells(self._main())

    def _main(self) -> list[Score]:
        return [record for record in self if record.metric == MAIN and not math.isnan(record.value)]

    def compare(
        self, baseline: "Report", *, tasks: Sequence[str] | None = None, by: str = "task"
    ) -> "Comparison":
        """The table of differences to a baseline, as in Phang et al. 2020.

        A row is a set of tags other than "seed". A difference is taken seed by seed, over the languages that both
        sides have, and then averaged over seeds. This report may hold the baseline's own scores; they are skipped. A
        baseline of several rows serves each row by the one whose tags agree, other than "intermediate". `tasks` chooses
        and orders; by="language" has languages for columns and averages over tasks.

        >>> report.compare(report.where(intermediate="none")).to_markdown()  # doctest: +SKIP
        """
        if by not in ("task", "language"):
            raise ValueError(f"A comparison is by 'task' or by 'language', not by {by!r}.")
        theirs, shared = baseline._main(), set(baseline)
        own = [record for record in self._main() if record not in shared]
        if not theirs:
            raise ValueError("The baseline holds no main score.")
        _check_splits([*theirs, *own])
        base_runs, runs = _runs(theirs, tasks), _runs(own, tasks)
        side = ("task", "language").index(by)
        places = [at[:2] for scores in (*runs.values(), *base_runs.values()) for at in scores]
        columns = (
            list(tasks)
            if tasks is not None and by == "task"
            else _distinct(place[side] for place in places)
        )

        labels = iter(_labels([*base_runs, *runs], len(base_runs)))
        rows = [_row(next(labels), True, columns, side, scores) for scores in base_runs.values()]
        missing: list[str] = []
        for run, scores in runs.items():
            label, base = next(labels), base_runs[_partner(run, list(base_runs))]
            missing += _missing(label, scores, base)
            differences = {at: scores[at] - base[at] for at in scores if at in base}
            rows.append(_row(label, False, columns, side, differences))
        return Comparison(tuple(columns), tuple(rows), tuple(missing))

    def benchmark(self, benchmark: "Benchmark") -> "Leaderboard":
        """The leaderboard row of a benchmark, one for each set of tags other than "seed"; and the cells it lacks.

        >>> print(report.benchmark(XTREME))  # doctest: +SKIP
        """
        own = [record for record in self._main() if record.task in benchmark]
        runs = _grouped((_run(record), record) for record in own) or {frozenset(): []}
        found, missing = {}, {}
        for label, records in zip(_labels(list(runs), 0), runs.values(), strict=True):
            _check_apart(records)
            cells = _cells(
                [
                    record
                    for record in records
                    if record.language in benchmark.languages[record.task]
                ]
            )
            scores = {
                task: _mean(value for (name, _), value in cells.items() if name == task)
                for task in benchmark
            }
            found[label] = scores | benchmark.average(scores)
            absent = {
                t: tuple(c for c in codes if (t, c) not in cells)
                for t, codes in benchmark.languages.items()
            }
            missing[label] = {task: languages for task, languages in absent.items() if languages}
        return Leaderboard(
            benchmark, found, missing, tuple(_distinct(record.split for record in own))
        )

    def to_markdown(self) -> str:
        """Main scores: a row a task, a column a language; one table for each set of tags other than "seed"."""
        groups = _grouped((_run(record), record) for record in self._main())
        return "\n".join(_block(run, records) for run, records in groups.items()) or "No scores.\n"

    _repr_markdown_ = to_markdown

    def to_records(self) -> list[dict[str, Any]]:
        """One flat dictionary a score, its tags beside its fields; made for `pandas.DataFrame`."""
        return [_flat(record) for record in self]

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write the scores, one a line, NaN as null. Equal reports give equal bytes; the file is whole or absent."""
        rows = []
        for record in sorted(
            self, key=lambda r: (*_coordinates(r)[:4], json.dumps(r.tags, sort_keys=True))
        ):
            row = {**_flat(record), "value": None if math.isnan(record.value) else record.value}
            rows.append(json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False))
        write_text(Path(path), "[\n" + ",\n".join(rows) + "\n]\n")

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> "Report":
        """Read what `to_json` wrote; a `ValueError` names the file, the number of the score, and what is wrong."""
        try:
            return cls(_from_rows(json.loads(Path(path).read_text(encoding="utf-8"))))
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"{path}: {error}") from None

    def plot(self, path: str | os.PathLike[str], *, title: str | None = None) -> None:
        """Draw one run's main scores, tasks by languages, averaged over seeds; needs matplotlib."""
        from jiantx.report import plots

        plots.scores(self, path, title=title)

    def plot_gaps(self, path: str | os.PathLike[str], *, title: str | None = None) -> None:
        """Draw English beside the other languages, a line for each `intermediate`; needs matplotlib."""
        from jiantx.report import plots

        plots.gaps(self, path, title=title)


# --- Benchmarks ------------------------------------------------------------------------------------------------------


class Benchmark(tuple[str, ...]):
    """Names of tasks that know their groups, the languages that count, and how scores are averaged.

    groups: group -> task -> its languages that count.
    """

    name: str
    groups: dict[str, tuple[str, ...]]
    languages: dict[str, tuple[str, ...]]

    def __new__(cls, name: str, groups: Mapping[str, Mapping[str, Sequence[str]]]) -> "Benchmark":
        self = super().__new__(cls, [task for tasks in groups.values() for task in tasks])
        self.name = name
        self.groups = {group: tuple(tasks) for group, tasks in groups.items()}
        self.languages = {t: tuple(c) for g in groups.values() for t, c in g.items()}
        return self

    def __getnewargs__(self) -> tuple[str, dict[str, dict[str, Sequence[str]]]]:  # type: ignore[override]
        return self.name, {
            g: {task: self.languages[task] for task in tasks} for g, tasks in self.groups.items()
        }

    def average(self, scores: Mapping[str, float]) -> dict[str, float]:
        """The mean of the tasks' scores under "all", and of each group's; NaN where a task is missing.

        >>> Benchmark("mine", {"nli": {"xnli": ("de",)}, "qa": {"xquad": ("de",)}}).average({"xnli": 70, "xquad": 50})
        {'all': 60.0, 'nli': 70.0, 'qa': 50.0}
        """
        parts = {"all": tuple(self), **self.groups}
        return {
            part: math.fsum(scores.get(t, math.nan) for t in names) / len(names)
            for part, names in parts.items()
        }


@dataclass(frozen=True)
class Leaderboard:
    """Rows of a benchmark, one a run, as `Report.benchmark` makes them.

    scores: row -> "all", group or task -> score; a task's is the mean over its languages that are there, and averages
    need every task. missing: row -> task -> the languages that are not there. splits: what was scored.
    """

    benchmark: Benchmark
    scores: Mapping[str, Mapping[str, float]]
    missing: Mapping[str, Mapping[str, tuple[str, ...]]]
    splits: tuple[str, ...]

    def to_markdown(self) -> str:
        """A column for each group and its tasks; a star where languages are missing, and which."""
        parts = {"all": tuple(self.benchmark)}
        for group, tasks in self.benchmark.groups.items():
            parts |= {task: (task,) for task in tasks} | {group: tasks}
        lines: list[list[str]] = []
        legend: dict[str, list[str]] = {}
        for row, scores in self.scores.items():
            absent = self.missing[row]
            lines.append([row])
            for part, tasks in parts.items():
                star = "*" if not math.isnan(scores[part]) and absent.keys() & set(tasks) else ""
                lines[-1].append(_number(scores[part]) + star)
            whole = {
                task
                for task, languages in absent.items()
                if len(languages) == len(self.benchmark.languages[task])
            }
            said = [
                f"{t} ({'all languages' if t in whole else ', '.join(codes)})"
                for t, codes in absent.items()
            ]
            legend.setdefault("; ".join(said), []).append(row)
        title = f"{self.benchmark.name} ({', '.join(self.splits) or 'no scores'})"
        header = [title, *(f"**{part}**" if part not in self.benchmark else part for part in parts)]
        every = [list(self.scores)] if len(self.scores) > 1 else []
        return markdown_table(header, lines) + "".join(
            f"\nMissing in {'every row' if rows in every else ', '.join(rows)}: {said}.\n"
            for said, rows in legend.items()
            if said
        )

    __str__ = _repr_markdown_ = to_markdown


# --- Comparisons -----------------------------------------------------------------------------------------------------


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean and half of its 95 % interval by Student's t, NaN for less than two values; NaN are left out."""
    values = [value for value in values if not math.isnan(value)]
    if len(values) < 2:
        return _mean(values), math.nan
    from scipy.special import stdtrit  # scikit-learn brings SciPy

    return fmean(values), float(stdtrit(len(values) - 1, 0.975)) * stdev(values) / math.sqrt(
        len(values)
    )


@dataclass(frozen=True)
class Cell:
    """Scores, or differences to the baseline: one value a seed. Empty where there is none."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over seeds; NaN if there is no value."""
        return _mean(self.values)

    @property
    def sd(self) -> float | None:
        """The sample standard deviation over seeds; None with fewer than two."""
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def significant(self) -> bool:
        """Whether the 95 % interval around the mean (Student's t over seeds) excludes zero; never with one seed."""
        mean, half = interval(self.values)
        return abs(mean) > half


@dataclass(frozen=True)
class Row:
    """A line of a comparison: scores of a baseline, or differences to it."""

    label: str
    is_baseline: bool
    cells: tuple[Cell, ...]
    average: Cell


@dataclass(frozen=True)
class Comparison:
    """A table of differences to a baseline, as `Report.compare` makes it.

    `missing` lists the scores that only one side has, which no difference takes in.
    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    missing: tuple[str, ...] = ()

    def to_markdown(self) -> str:
        """Baseline rows as scores, other rows as signed differences: mean ± standard deviation over seeds."""
        header, *rows = self._texts()
        return markdown_table(header, rows) + self._legend()

    _repr_markdown_ = to_markdown

    def to_text(self) -> str:
        """The same, aligned for a terminal."""
        header, *rows = self._texts()
        if any(
            text.endswith(" *") for row in rows for text in row
        ):  # then numbers end two places before the mark
            rows = [
                [row[0], *(text if text.endswith(" *") else f"{text}  " for text in row[1:])]
                for row in rows
            ]
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        lines = []
        for first, *others in (header, ["-" * width for width in widths], *rows):
            lines.append(
                "  ".join([first.ljust(widths[0]), *map(str.rjust, others, widths[1:])]).rstrip()
            )
        return "\n".join(lines) + "\n" + self._legend()

    def plot(self, path: str | os.PathLike[str], *, title: str | None = None) -> None:
        """Draw the table as a heat map; needs matplotlib."""
        from jiantx.report import plots

        plots.heatmap(self, path, title=title)

    def _texts(self) -> list[list[str]]:
        rows = [
            [row.label, *(_text(c, row.is_baseline) for c in (*row.cells, row.average))]
            for row in self.rows
        ]
        return [["", *self.columns, "average"], *rows]

    def _legend(self) -> str:
        text = ""
        if any(
            cell.sd is not None
            for row in self.rows
            if not row.is_baseline
            for cell in (*row.cells, row.average)
        ):
            text += (
                "\nDifferences in points, paired by seed: mean ± standard deviation over seeds. "
                "`*` the 95 % interval (Student's t, cell by cell) excludes zero.\n"
            )
        if any(
            len(row.average.values) < max(len(cell.values) for cell in row.cells)
            for row in self.rows
            if row.cells
        ):
            text += "\nMeans are over the seeds that have all their parts.\n"
        if self.missing:
            more = f"; and {len(self.missing) - 5} more" if len(self.missing) > 5 else ""
            text += f"\nOn one side only, and left out: {'; '.join(self.missing[:5])}{more}.\n"
        return text


_Scores = dict[tuple[str, str, Tag | None], float]  # (task, language, seed) to main score


def _missing(label: str, ours: _Scores, theirs: _Scores) -> Iterator[str]:
    for at in (*theirs, *ours):
        if at not in ours or at not in theirs:
            task, language, seed = at
            where = f"{label}: {task}/{language}" + ("" if seed is None else f", seed {seed}")
            yield f"{where} (not in the {'baseline' if at in ours else 'row'})"


def _runs(records: list[Score], tasks: Sequence[str] | None) -> dict[TagSet, _Scores]:
    runs: dict[TagSet, _Scores] = {}
    for r in records:
        scores = runs.setdefault(_run(r), {})
        if tasks is None or r.task in tasks:
            scores[r.task, r.language, r.tags.get("seed")] = r.value
    return runs


def _row(label: str, is_baseline: bool, columns: list[str], side: int, scores: _Scores) -> Row:
    """Average the other coordinate inside each column, seed by seed, and then the columns.

    A seed that lacks a part of a mean has none: means over different sets cannot be put beside one another.
    """
    groups = _grouped(((at[side], at[2]), value) for at, value in scores.items())
    parts: Counter[Any] = Counter(place[side] for place in {at[:2] for at in scores})
    means = {at: fmean(values) for at, values in groups.items() if len(values) == parts[at[0]]}
    by_seed = _grouped((seed, value) for (_, seed), value in means.items())
    cells = [
        Cell(tuple(value for (at, _), value in means.items() if at == column)) for column in columns
    ]
    average = Cell(tuple(fmean(values) for values in by_seed.values() if len(values) == len(parts)))
    return Row(label, is_baseline, tuple(cells), average)


def _partner(run: TagSet, baselines: list[TagSet]) -> TagSet:
    rest = _without(run, "intermediate")
    found = [
        other
        for other in baselines
        if len(baselines) == 1 or _without(other, "intermediate") == rest
    ]
    if len(found) != 1:
        raise ValueError(
            f"{len(found)} rows of the baseline agree with {_describe(run)}; one must."
        )
    return found[0]


def _labels(runs: list[TagSet], baselines: int) -> list[str]:
    """What tells the rows apart: the tag "intermediate" where there is one, and the tags that are not always equal."""
    common = frozenset.intersection(*runs)
    labels = []
    for index, run in enumerate(runs):
        label = _describe(run) or ("baseline" if index < baselines else "report")
        if "intermediate" in (tags := dict(run)):
            more = _describe(_without(run - common, "intermediate"))
            label = f"{tags['intermediate']} ({more})" if more else str(tags["intermediate"])
        labels.append(label)
    for index in range(baselines):  # two reports with equal tags can be compared, too
        if labels[index] in labels[baselines:]:
            labels[index] += " (baseline)"
    return labels


# --- Averages --------------------------------------------------------------------------------------------------------


def _mean_of_tasks(records: list[Score]) -> float:
    _check_apart(records)
    by_task = _grouped((task, value) for (task, _), value in _cells(records).items())
    return _mean(map(_mean, by_task.values()))


def _cells(records: list[Score]) -> dict[tuple[str, str], float]:
    groups = _grouped(((record.task, record.language), record) for record in records)
    for some in groups.values():
        _check_apart(some)
    return {at: _mean(record.value for record in some) for at, some in groups.items()}


def _check_apart(records: list[Score]) -> None:
    for name in _APART:
        values = _distinct(record.tags.get(name) for record in records)
        if len(values) > 1:
            raise ValueError(
                f"Scores that differ in their tag {name!r} ({', '.join(map(str, values))}) have no common average. "
                f"Choose one with where({name}=...), or take mean(by={name!r})."
            )
    _check_splits(records)


def _check_splits(records: list[Score]) -> None:
    for task, splits in _grouped((record.task, record.split) for record in records).items():
        if len(set(splits)) > 1:
            raise ValueError(f"There are two splits of {task!r}. Choose one with where(split=...).")


def _mean(values: Iterable[float]) -> float:
    values = [value for value in values if not math.isnan(value)]
    return fmean(values) if values else math.nan


# --- Small things ----------------------------------------------------------------------------------------------------


def _coordinates(record: Score) -> tuple[object, ...]:
    return record.task, record.split, record.language, record.metric, frozenset(record.tags.items())


def _value(record: Score) -> tuple[object, int]:
    return None if math.isnan(
        record.value
    ) else record.value, record.examples  # NaN is equal to NaN here


def _flat(record: Score) -> dict[str, Any]:
    return {**{name: getattr(record, name) for name in _FIELDS}, **record.tags}


def _run(record: Score) -> TagSet:
    return _without(record.tags.items(), "seed")


def _without(tags: Iterable[tuple[str, Tag]], name: str) -> TagSet:
    return frozenset(tag for tag in tags if tag[0] != name)


def _distinct(values: Iterable[_T]) -> list[_T]:
    return list(dict.fromkeys(values))


def _grouped(pairs: Iterable[tuple[_T, _U]]) -> dict[_T, list[_U]]:
    groups: dict[_T, list[_U]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


_LARGEST = sys.float_info.max


def _from_rows(rows: Any) -> Iterator[Score]:
    if not isinstance(rows, list):
        raise TypeError(f"expected a list of scores, found {type(rows).__name__}.")
    kinds = {"value": (int, float, type(None)), "examples": (int,)}
    for index, row in enumerate(rows):
        for name in _FIELDS:
            if not isinstance(row, dict) or name not in row:
                raise ValueError(f"score {index} has no {name!r}.")
            if not isinstance(row[name], kinds.get(name, (str,))) or isinstance(row[name], bool):
                raise TypeError(f"score {index}: its {name!r} is {row[name]!r}.")
        value = math.nan if row["value"] is None else row["value"]
        if row["value"] is not None and not abs(value) <= _LARGEST:
            raise ValueError(
                f"score {index}: its 'value' is {row['value']!r}; expected a finite number, or null."
            )
        json.dumps(
            row, ensure_ascii=False
        ).encode()  # half a surrogate pair is no text, and could not be written again
        tags = {name: tag for name, tag in row.items() if name not in _FIELDS}
        yield Score(**{name: row[name] for name in _FIELDS} | {"value": value, "tags": tags})


def _describe(tags: Iterable[tuple[str, Tag]]) -> str:
    return ", ".join(f"{name}={tag}" for name, tag in sorted(tags))


def _block(run: TagSet, records: list[Score]) -> str:
    splits, languages = (
        _distinct(getattr(r, name) for r in records) for name in ("split", "language")
    )
    rows: list[tuple[str, list[float]]] = []
    for split in splits:
        cells = _cells([record for record in records if record.split == split])
        for task in _distinct(task for task, _ in cells):
            values = [cells.get((task, language), math.nan) for language in languages]
            rows.append(
                (task if len(splits) == 1 else f"{task} ({split})", [*values, _mean(values)])
            )
    if len({record.task for record in records}) == len(rows) > 1:  # else a task would count twice
        rows.append(
            (
                "**mean**",
                [_mean(column) for column in zip(*(values for _, values in rows), strict=True)],
            )
        )
    columns = (
        [*languages, "mean"] if len(languages) > 1 else languages
    )  # one language's mean says nothing new
    seeds = len(_distinct(record.tags.get("seed") for record in records))
    title = ", ".join(filter(None, [_describe(run), f"mean of {seeds} seeds" if seeds > 1 else ""]))
    texts = [[label, *map(_number, values[: len(columns)])] for label, values in rows]
    return (f"**{title}**\n\n" if title else "") + markdown_table(["task", *columns], texts)


def _number(value: float, sign: str = "") -> str:
    if math.isnan(value):
        return "–"
    text = f"{value:{sign}.1f}"
    return text[1:] if text in ("+0.0", "-0.0") else text


def _text(cell: Cell, is_baseline: bool) -> str:
    text = _number(cell.mean, "" if is_baseline else "+")
    if cell.sd is not None:
        text += f" ± {cell.sd:.1f}"
    return text + (" *" if cell.significant and not is_baseline else "")


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table: names on the left, numbers on the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "".join(
        "| " + " | ".join(text.replace("|", "\\|") for text in line) + " |\n" for line in lines
    )
