"""Scores, and what is said about them: averages, comparisons, tables, files."""

import json
import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeVar, overload

MAIN = "main_score"
"""The metric under which each task's one main score stands: 0–100, higher is better."""

_APART = ("encoder", "version")
"""Tags whose values are never averaged over: such scores measure different things."""

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
                    f"{record.language}, {_describe(record.tags) or 'no tags'}."
                )
        self.records = list(kept.values())

    def __add__(self, other: "Report") -> "Report":
        return Report([*self.records, *other.records])

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Score]:
        return iter(self.records)

    def __repr__(self) -> str:
        tasks, languages = len(_distinct(r.task for r in self)), len(_distinct(r.language for r in self))
        return f"<Report: {len(self)} scores, {tasks} tasks, {languages} languages>"

    def _repr_markdown_(self) -> str:
        return self.to_markdown()

    # --- Choosing ----------------------------------------------------------------------------------------------------

    def where(self, **coordinates: Any) -> "Report":
        """The scores with these fields or tags; each is given as a value or as a collection of values.

        >>> Report().where(task="xnli", language=["de", "sw"], seed=1)
        <Report: 0 scores, 0 tasks, 0 languages>

        Raises:
            ValueError: a name that is neither a field nor a tag of any score.
        """
        for name in coordinates:
            self._check_name(name)
        return Report(
            record
            for record in self
            if all(_get(record, name) in _collection(wanted) for name, wanted in coordinates.items())
        )

    def with_tags(self, **tags: Tag) -> "Report":
        """The same scores with these tags added, or replaced."""
        return Report(replace(record, tags={**record.tags, **tags}) for record in self)

    def _check_name(self, name: str) -> None:
        tags = _distinct(tag for record in self for tag in record.tags)
        if self.records and name not in (*_FIELDS, *tags):
            known = ", ".join((*_FIELDS, *tags))
            raise ValueError(f"No score here has a field or a tag {name!r}. There are: {known}.")

    # --- Averages ----------------------------------------------------------------------------------------------------

    @overload
    def mean(self, by: None = None) -> float: ...
    @overload
    def mean(self, by: str) -> dict[Any, float]: ...
    def mean(self, by: str | None = None) -> float | dict[Any, float]:
        """The average main score; `by` a field or a tag, one average for each of its values.

        Averages are taken over seeds (and other tags), then over a task's languages, then over tasks. NaN is left
        out, and so are scores without the tag `by`; the average of nothing is NaN.

        Raises:
            ValueError: scores of different encoders or versions, or of two splits of one task, would be averaged.
        """
        if by is None:
            return _mean_of_tasks(self._main())
        self._check_name(by)
        groups = _grouped((_get(record, by), record) for record in self._main())
        return {value: _mean_of_tasks(records) for value, records in groups.items() if value is not None}

    def cells(self) -> dict[tuple[str, str], float]:
        """(task, language) to its main score, averaged over seeds (and other tags)."""
        return _cells(self._main())

    def _main(self) -> list[Score]:
        return [record for record in self if record.metric == MAIN and not math.isnan(record.value)]

    def compare(self, baseline: "Report", *, tasks: Sequence[str] | None = None, by: str = "task") -> "Comparison":
        """The table of differences to a baseline, as in Phang et al. 2020.

        A row is a set of tags other than "seed". A difference is taken seed by seed, over the languages that both
        sides have, and then averaged over seeds. This report may hold the baseline's own scores; they are skipped. A
        baseline of several rows serves each row by the one whose tags agree, other than "intermediate".

        Args:
            baseline: scores of the runs that the others are held against.
            tasks: which tasks, in which order; all, as they first appear, if not given.
            by: "task", or "language" to have languages for columns and average over tasks.

        >>> report.compare(report.where(intermediate="none")).to_markdown()  # doctest: +SKIP
        """
        return _compare(self, baseline, tasks, by)

    # --- Tables and files --------------------------------------------------------------------------------------------

    def to_markdown(self) -> str:
        """Main scores: a row a task, a column a language; one table for each set of tags other than "seed"."""
        groups = _grouped((_without_seed(record), record) for record in self._main())
        if not groups:
            return "No scores.\n"
        return "\n".join(self._block(key, records) for key, records in groups.items())

    def _block(self, key: TagSet, records: list[Score]) -> str:
        splits = _distinct(record.split for record in records)
        by_split = {split: _cells([r for r in records if r.split == split]) for split in splits}
        languages = _distinct(record.language for record in records)
        tasks = [(task, split) for split, cells in by_split.items() for task in _distinct(task for task, _ in cells)]
        rows = []
        for task, split in tasks:
            values = [by_split[split].get((task, language), math.nan) for language in languages]
            rows.append([task if len(splits) == 1 else f"{task} ({split})", *values, _mean(values)])
        if len(_distinct(task for task, _ in tasks)) == len(tasks) > 1:  # else a task would count twice
            columns = zip(*(row[1:] for row in rows), strict=True)
            rows.append(["**mean**", *(_mean(column) for column in columns)])
        header = ["task", *languages, "mean"]
        if len(languages) == 1:  # its mean says nothing new
            header, rows = header[:-1], [row[:-1] for row in rows]
        seeds = len(_distinct(record.tags.get("seed") for record in records))
        title = ", ".join(filter(None, [_describe(dict(key)), f"mean of {seeds} seeds" if seeds > 1 else ""]))
        texts = [[_number(cell) if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
        return (f"**{title}**\n\n" if title else "") + _markdown(header, texts)

    def to_records(self) -> list[dict[str, Any]]:
        """One flat dictionary a score, its tags beside its fields; made for `pandas.DataFrame`."""
        return [{**{name: getattr(record, name) for name in _FIELDS}, **record.tags} for record in self]

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write the scores, one a line. Equal reports give equal bytes; the file is whole or absent.

        NaN is written as null, and read back as NaN.
        """
        rows = [
            json.dumps(
                {**row, "value": None if math.isnan(row["value"]) else row["value"]},
                sort_keys=True,
                ensure_ascii=False,
                allow_nan=False,
            )
            for row in Report(sorted(self, key=_order)).to_records()
        ]
        path = Path(path)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_text("[\n" + ",\n".join(rows) + "\n]\n", encoding="utf-8")
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> "Report":
        """Read what `to_json` wrote.

        Raises:
            ValueError: with the file, the number of the score, and what is wrong.
        """
        try:
            return cls(_from_rows(json.loads(Path(path).read_text(encoding="utf-8"))))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from None

    def plot(self, path: str | os.PathLike[str], *, title: str | None = None) -> None:
        """Draw the main scores, tasks by languages, averaged over seeds; needs matplotlib.

        For reports of several runs see `compare(...).plot(path)`.
        """
        from jiantx import plots

        plots.scores(self, path, title=title)


# --- Comparisons -----------------------------------------------------------------------------------------------------


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
        if self.sd is None:
            return False
        return abs(self.mean) > _t975(len(self.values) - 1) * self.sd / math.sqrt(len(self.values))


@dataclass(frozen=True)
class Row:
    """A line of a comparison: scores of a baseline, or differences to it."""

    label: str
    tags: Mapping[str, Tag]
    is_baseline: bool
    cells: tuple[Cell, ...]
    average: Cell


@dataclass(frozen=True)
class Comparison:
    """A table of differences to a baseline, as `Report.compare` makes it.

    `missing` lists the scores that only one side has, which no difference takes in.
    """

    by: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    missing: tuple[str, ...] = ()

    def to_markdown(self) -> str:
        """Baseline rows as scores, other rows as signed differences: mean ± standard deviation over seeds."""
        header, rows = self._texts()
        legend = self._legend()
        return _markdown(header, rows) + ("\n" + "\n\n".join(legend) + "\n" if legend else "")

    def to_text(self) -> str:
        """The same, aligned for a terminal."""
        header, rows = self._texts()
        if any(text.endswith(" *") for row in rows for text in row):  # then numbers end two places before the mark
            rows = [[row[0], *(text if text.endswith(" *") else f"{text}  " for text in row[1:])] for row in rows]
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
            for row in [header, ["-" * width for width in widths], *rows]
        ]
        legend = self._legend()
        return "\n".join([*lines, *([""] if legend else []), *legend]) + "\n"

    def plot(self, path: str | os.PathLike[str], *, title: str | None = None) -> None:
        """Draw the table as a heat map; needs matplotlib."""
        from jiantx import plots

        plots.heatmap(self, path, title=title)

    def _repr_markdown_(self) -> str:
        return self.to_markdown()

    def _texts(self) -> tuple[list[str], list[list[str]]]:
        header = ["", *self.columns, "average"]
        return header, [
            [row.label, *(_cell(c, row.is_baseline) for c in (*row.cells, row.average))] for row in self.rows
        ]

    def _legend(self) -> list[str]:
        cells = [cell for row in self.rows if not row.is_baseline for cell in (*row.cells, row.average)]
        lines = []
        if any(cell.sd is not None for cell in cells):
            lines.append(
                "Differences in points, paired by seed: mean ± standard deviation over seeds. "
                "`*` the 95 % interval (Student's t, cell by cell) excludes zero."
            )
        if self.missing:
            shown = "; ".join(self.missing[:5])
            more = f"; and {len(self.missing) - 5} more" if len(self.missing) > 5 else ""
            lines.append(f"On one side only, and left out: {shown}{more}.")
        return lines


_Cells = dict[tuple[str, str], dict[Tag | None, float]]  # (task, language) to seed to main score


def _compare(report: Report, baseline: Report, tasks: Sequence[str] | None, by: str) -> Comparison:
    if by not in ("task", "language"):
        raise ValueError(f"A comparison is by 'task' or by 'language', not by {by!r}.")
    if not baseline._main():
        raise ValueError("The baseline holds no main score.")
    known = {_coordinates(record): _value(record) for record in baseline}
    own = [record for record in report if known.get(_coordinates(record)) != _value(record)]
    _check_splits([*baseline._main(), *Report(own)._main()])
    base_rows, rows = _rows(baseline), _rows(Report(own))
    present = [task for cells in (*rows.values(), *base_rows.values()) for task, _ in cells]
    tasks = _distinct(present) if tasks is None else list(tasks)
    base_rows, rows = (
        {key: {at: seeds for at, seeds in cells.items() if at[0] in tasks} for key, cells in some.items()}
        for some in (base_rows, rows)
    )
    # As the caller ordered the tasks, or as the languages first appear.
    languages = _distinct(at[1] for cells in (*rows.values(), *base_rows.values()) for at in cells)
    columns = tasks if by == "task" else languages

    labels = _labels([*base_rows, *rows], baselines=len(base_rows))
    made: list[Row] = []
    for (key, cells), label in zip(base_rows.items(), labels, strict=False):
        made.append(_row(label, key, True, columns, by, cells))
    missing: list[str] = []
    for (key, cells), label in zip(rows.items(), labels[len(base_rows) :], strict=True):
        base = base_rows[_partner(key, list(base_rows))]
        differences: _Cells = {}
        for at in dict.fromkeys([*base, *cells]):
            ours, theirs = cells.get(at, {}), base.get(at, {})
            differences[at] = {seed: ours[seed] - theirs[seed] for seed in ours if seed in theirs}
            for seed in {**ours, **theirs}:
                if (seed in ours) != (seed in theirs):
                    where = f"{label}: {at[0]}/{at[1]}" + ("" if seed is None else f", seed {seed}")
                    missing.append(f"{where} (not in the {'baseline' if seed in ours else 'row'})")
        made.append(_row(label, key, False, columns, by, differences))
    return Comparison(by, tuple(columns), tuple(made), tuple(missing))


def _rows(report: Report) -> dict[TagSet, _Cells]:
    rows: dict[TagSet, _Cells] = {}
    for record in report._main():
        seeds = rows.setdefault(_without_seed(record), {}).setdefault((record.task, record.language), {})
        seeds[record.tags.get("seed")] = record.value
    return rows


def _row(label: str, key: TagSet, is_baseline: bool, columns: Sequence[str], by: str, cells: _Cells) -> Row:
    """Average the other coordinate inside each column, seed by seed, and then the columns."""
    side = ("task", "language").index(by)
    per_column: dict[str, dict[Tag | None, list[float]]] = {column: {} for column in columns}
    for at, seeds in cells.items():
        for seed, value in seeds.items():
            per_column[at[side]].setdefault(seed, []).append(value)
    means = {column: {seed: fmean(some) for seed, some in seeds.items()} for column, seeds in per_column.items()}
    every_seed = _distinct(seed for seeds in means.values() for seed in seeds)
    average = [fmean(seeds[seed] for seeds in means.values() if seed in seeds) for seed in every_seed]
    return Row(
        label=label,
        tags=dict(sorted(key)),
        is_baseline=is_baseline,
        cells=tuple(Cell(tuple(means[column].values())) for column in columns),
        average=Cell(tuple(average)),
    )


def _partner(key: TagSet, baselines: list[TagSet]) -> TagSet:
    if len(baselines) == 1:
        return baselines[0]

    def rest(tags: TagSet) -> set[tuple[str, Tag]]:
        return {(name, tag) for name, tag in tags if name != "intermediate"}

    found = [baseline for baseline in baselines if rest(baseline) == rest(key)]
    if len(found) != 1:
        raise ValueError(f"{len(found)} rows of the baseline agree with {_describe(dict(key))}; one must.")
    return found[0]


def _labels(keys: list[TagSet], baselines: int) -> list[str]:
    """What tells the rows apart: the tag "intermediate" where there is one, and the tags that are not always equal."""
    rows = [dict(sorted(key)) for key in keys]
    differing = {name for row in rows for name in row if len({other.get(name) for other in rows}) > 1}
    labels = []
    for index, row in enumerate(rows):
        if "intermediate" in row:
            more = _describe({name: tag for name, tag in row.items() if name in differing - {"intermediate"}})
            label = f"{row['intermediate']} ({more})" if more else str(row["intermediate"])
        else:
            label = _describe(row) or ("baseline" if index < baselines else "report")
        labels.append(label)
    # Two reports with equal tags can be compared, too.
    return [
        f"{label} (baseline)" if i < baselines and label in labels[baselines:] else label
        for i, label in enumerate(labels)
    ]


# --- Averages --------------------------------------------------------------------------------------------------------


def _mean_of_tasks(records: list[Score]) -> float:
    _check_apart(records)
    by_task = _grouped((task, value) for (task, _), value in _cells(records).items())
    return _mean([_mean(values) for values in by_task.values()])


def _cells(records: list[Score]) -> dict[tuple[str, str], float]:
    groups = _grouped(((record.task, record.language), record) for record in records)
    for some in groups.values():
        _check_apart(some)
    return {at: _mean([record.value for record in some]) for at, some in groups.items()}


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
    splits = _grouped((record.task, record.split) for record in records)
    for task, some in splits.items():
        if len(set(some)) > 1:
            raise ValueError(f"There are two splits of {task!r}. Choose one with where(split=...).")


def _mean(values: Iterable[float]) -> float:
    values = [value for value in values if not math.isnan(value)]
    return fmean(values) if values else math.nan


_T975 = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860),
)


def _t975(degrees: int) -> float:
    """The 97.5 % quantile of Student's t."""
    if degrees <= len(_T975):
        return _T975[degrees - 1]
    z = 1.959964  # the first terms of its expansion around the normal one (Abramowitz & Stegun 26.7.5)
    return z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)


# --- Small things ----------------------------------------------------------------------------------------------------


def _coordinates(record: Score) -> tuple[object, ...]:
    return record.task, record.split, record.language, record.metric, frozenset(record.tags.items())


def _value(record: Score) -> tuple[object, int]:
    return None if math.isnan(record.value) else record.value, record.examples  # NaN is equal to NaN here


def _order(record: Score) -> tuple[str, ...]:
    return record.task, record.split, record.language, record.metric, json.dumps(record.tags, sort_keys=True)


def _get(record: Score, name: str) -> Any:
    return getattr(record, name) if name in _FIELDS else record.tags.get(name)


def _without_seed(record: Score) -> TagSet:
    return frozenset((name, tag) for name, tag in record.tags.items() if name != "seed")


def _collection(wanted: Any) -> Collection[Any]:
    return wanted if isinstance(wanted, Collection) and not isinstance(wanted, str) else (wanted,)


def _distinct(values: Iterable[_T]) -> list[_T]:
    return list(dict.fromkeys(values))


def _grouped(pairs: Iterable[tuple[_T, _U]]) -> dict[_T, list[_U]]:
    groups: dict[_T, list[_U]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


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
        own = {name: row[name] for name in _FIELDS}
        own["value"] = math.nan if row["value"] is None else row["value"]
        yield Score(**own, tags={name: tag for name, tag in row.items() if name not in _FIELDS})


def _describe(tags: Mapping[str, Tag]) -> str:
    return ", ".join(f"{name}={tags[name]}" for name in sorted(tags))


def _number(value: float, sign: str = "") -> str:
    if math.isnan(value):
        return "–"
    text = f"{value:{sign}.1f}"
    return text[1:] if text in ("+0.0", "-0.0") else text


def _cell(cell: Cell, is_baseline: bool) -> str:
    text = _number(cell.mean, "" if is_baseline else "+")
    if cell.sd is not None:
        text += f" ± {cell.sd:.1f}"
    return text + (" *" if cell.significant and not is_baseline else "")


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |\n" for line in lines)
