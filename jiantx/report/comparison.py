"""Tables of differences to a baseline, as in Phang et al. 2020."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from jiantx.cache import write_text
from jiantx.report import heatmaps
from jiantx.report.averages import distinct, mean
from jiantx.report.export import ExportsTables, table_frame
from jiantx.report.tables import FEWER, TextTable, describe_fewer, format_score

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


_NO_SPREAD = 1e-9  # points; less is rounding


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and half the width of its 95 % interval, by Student's t.

    NaN are left out. With fewer than two values, the half width is NaN.

    Example:
        >>> mean, half_width = interval([1.0, 2.0, 3.0])
        >>> print(f"{mean:.2f} ± {half_width:.2f}")
        2.00 ± 2.48
    """
    values = [value for value in values if not math.isnan(value)]
    count = len(values)
    if count < 2:
        return mean(values), math.nan
    from scipy.special import stdtrit  # scikit-learn brings SciPy

    quantile = float(stdtrit(count - 1, 0.975))
    return fmean(values), quantile * stdev(values) / math.sqrt(count)


def excludes_zero(mean: float, half_width: float) -> bool:
    """Whether an interval excludes zero.

    False for a single value, which has no interval. Also False if all seeds have equal values,
    because a test needs a spread.

    Args:
        mean: Its center.
        half_width: Half its width; NaN for one value.
    """
    return abs(mean) > half_width > _NO_SPREAD


@dataclass(frozen=True)
class Cell:
    """One cell of a comparison.

    Args:
        values: One value per seed: a score of a baseline, or a difference to it. Empty if no seed
            has a value.
        lacks: Names that other means in the table include and this mean lacks: tasks if columns are
            languages, languages if columns are tasks, and columns in an average.
    """

    values: tuple[float, ...]
    lacks: tuple[str, ...] = ()

    @property
    def mean(self) -> float:
        """The mean over seeds; NaN without values."""
        return mean(self.values)

    @property
    def sd(self) -> float | None:
        """The sample standard deviation over seeds; None with fewer than two."""
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def half_width(self) -> float | None:
        """Half the 95 % interval (Student's t over seeds); None with fewer than two."""
        return interval(self.values)[1] if len(self.values) > 1 else None

    @property
    def significant(self) -> bool:
        """Whether the 95 % interval (Student's t over seeds) excludes zero; see `excludes_zero`."""
        return excludes_zero(*interval(self.values))


@dataclass(frozen=True)
class Row:
    """A line of a comparison.

    Args:
        label: What distinguishes this run from the others.
        is_baseline: Whether cells hold scores of a baseline, instead of differences to it.
        cells: One cell per column of the comparison.
        average: The mean over columns, for each seed that has a value in all of them.
    """

    label: str
    is_baseline: bool
    cells: tuple[Cell, ...]
    average: Cell

    @property
    def all_cells(self) -> tuple[Cell, ...]:
        """The cells, and the average as the last one."""
        return (*self.cells, self.average)


@dataclass(frozen=True)
class Comparison(ExportsTables):
    """A table of differences to a baseline. `Report.compare` makes it.

    Args:
        columns: Tasks, or languages.
        rows: The baselines first, then the runs compared with them.
        missing: Descriptions of the scores that only one side has. No difference includes them.
    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    missing: tuple[str, ...] = ()

    def __repr__(self) -> str:
        columns = ", ".join(self.columns[:5]) + (", …" if len(self.columns) > 5 else "")
        return f"<Comparison: {len(self.rows)} rows, {len(self.columns)} columns ({columns})>"

    def text_tables(self) -> list[TextTable]:
        """The table: baseline rows hold scores, other rows signed differences.

        Each is a mean ± half the 95 % interval over seeds.
        """
        header = ["", *self.columns, "average"]
        rows = []
        for row in self.rows:
            texts = [_format_cell(cell, row.is_baseline) for cell in row.all_cells]
            rows.append([row.label, *texts])
        return [TextTable(header, rows, legend=self._legend())]

    def to_pandas(self) -> "pd.DataFrame":
        """Return the means: scores in the rows of baselines, differences to them in the others.

        `to_records` has the rest. NaN where a cell has no value.
        """
        means = []
        for row in self.rows:
            means.append([cell.mean for cell in row.all_cells])
        return table_frame(
            means,
            rows=[row.label for row in self.rows],
            columns=[*self.columns, "average"],
            names=("row", ""),
        )

    def to_records(self) -> list[dict[str, Any]]:
        """Return a dictionary per cell, made for `pandas.DataFrame`.

        Its keys are row, is_baseline, column, mean, sd, half_width (of the 95 % interval), seeds
        (their number) and significant (None in baselines).
        """
        records = []
        for row in self.rows:
            for column, cell in zip([*self.columns, "average"], row.all_cells, strict=True):
                record = {"row": row.label, "is_baseline": row.is_baseline, "column": column}
                record |= {"mean": cell.mean, "sd": cell.sd, "half_width": cell.half_width}
                record["seeds"] = len(cell.values)
                record["significant"] = None if row.is_baseline else cell.significant
                records.append(record)
        return records

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write `to_records` as CSV: a line for each cell, with its interval.

        Args:
            path: The file to write. If writing fails, an older file stays as it was.
        """
        import pandas as pd

        frame = pd.DataFrame(self.to_records())
        write_text(Path(path), frame.to_csv(index=False, lineterminator="\n"))

    def plot(
        self, path: str | os.PathLike[str] | None = None, *, title: str | None = None
    ) -> "Figure":
        """Draw the table as a heat map: runs down, columns across, their average set apart.

        Baseline rows hold scores on a neutral ground. Differences, in points, are coloured from
        brown (worse) over white (0) to teal (better), with ± half the 95 % interval over seeds,
        and in bold where the interval excludes zero. Equal comparisons give equal bytes.
        Needs matplotlib.

        Args:
            path: The picture to write, if any. Its suffix is the format: .png, .pdf, .svg.
            title: Text above the table.

        Returns:
            The matplotlib figure, which notebooks show.
        """
        baseline_count = sum(row.is_baseline for row in self.rows)
        cells = []
        for row in self.rows:
            cells.append([_heatmap_cell(cell, row.is_baseline) for cell in row.all_cells])
        return heatmaps.draw_differences(
            cells,
            rows=[row.label for row in self.rows],
            columns=[*self.columns, "average"],
            path=path,
            title=title,
            rows_apart=baseline_count % len(self.rows),
        )

    def _legend(self) -> str:
        legend = ""
        if any(_has_interval(row) for row in self.rows):
            legend += (
                "\nDifferences in points, paired by seed: mean ± half the 95 % interval over seeds "
                "(Student's t, cell by cell). `*` the interval excludes zero.\n"
            )
        if any(_average_lacks_seeds(row) for row in self.rows):
            legend += "\nMeans are over the seeds that have all their parts.\n"
        legend += describe_fewer(self._lacking())
        if self.missing:
            shown = "; ".join(self.missing[:5])
            hidden = len(self.missing) - 5
            more = f"; and {hidden} more" if hidden > 0 else ""
            legend += f"\nLeft out, since the other side has no such score: {shown}{more}.\n"
        return legend

    def _lacking(self) -> dict[str, list[str]]:
        """Column -> what its cells lack, in any row."""
        lacking: dict[str, list[str]] = {}
        for row in self.rows:
            for column, cell in zip([*self.columns, "average"], row.all_cells, strict=True):
                lacking[column] = distinct([*lacking.get(column, ()), *cell.lacks])
        return lacking


def _has_interval(row: Row) -> bool:
    return not row.is_baseline and any(cell.half_width is not None for cell in row.all_cells)


def _average_lacks_seeds(row: Row) -> bool:
    seed_counts = [len(cell.values) for cell in row.cells]
    return len(row.average.values) < max(seed_counts, default=0)


def _format_cell(cell: Cell, is_baseline: bool) -> str:
    text = format_score(cell.mean, sign="" if is_baseline else "+")
    if cell.half_width is not None:
        text += f" ± {cell.half_width:.1f}"
    if cell.significant and not is_baseline:
        text += " *"
    return f"{text} {FEWER}" if cell.lacks else text


def _heatmap_cell(cell: Cell, is_baseline: bool) -> heatmaps.HeatmapCell:
    if math.isnan(cell.mean):
        return heatmaps.HeatmapCell(math.nan, "–")
    spread = "" if cell.half_width is None else f"± {cell.half_width:.1f}"
    mark = FEWER if cell.lacks else ""
    if is_baseline:
        return heatmaps.HeatmapCell(cell.mean, f"{cell.mean:.1f}{mark}", spread, neutral=True)
    difference = f"{cell.mean:+.1f}".replace("-", "−")
    if difference[1:] == "0.0":
        difference = "0.0"
    difference += mark
    return heatmaps.HeatmapCell(cell.mean, difference, spread, bold=cell.significant)
