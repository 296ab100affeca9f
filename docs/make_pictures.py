"""Draw pictures of the docs from the tables of their pages: `python docs/make_pictures.py`.

The pictures so have the numbers that the pages show. Those of other pages are drawn by the commands
that stand beside them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent / "examples" / "studies"), str(DOCS)]

import make_results  # noqa: E402
from estimators import fit_line  # noqa: E402
from findings import plot_by_size  # noqa: E402

from jiantx.report import heatmaps, plots  # noqa: E402

Table = list[list[str]]  # the header, then the lines


def read_table(page: str, after: str) -> Table:
    """Read the first table behind a text of a page.

    Args:
        page: Name of the page.
        after: The text.
    """
    text = (DOCS / page).read_text(encoding="utf-8")
    lines = text[text.index(after) :].splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return [rows[0], *rows[2:]]  # without the rule


def read_interval(text: str) -> tuple[float, float]:
    """Read `+1.0 ± 0.5`, a mean and half its interval."""
    mean, _, half_width = text.partition("±")
    return float(mean), float(half_width) if half_width else math.nan


def draw_table(table: Table, title: str, path: Path) -> None:
    """Draw a table of one seed: the line `none` of scores, then differences."""
    header, *lines = table
    cells = []
    for label, *texts in lines:
        is_baseline = label == "none"
        values = [float(text) for text in texts]
        cells.append(
            [
                heatmaps.HeatmapCell(value, text.replace("-", "−"), neutral=is_baseline)
                for value, text in zip(values, texts, strict=True)
            ]
        )
    heatmaps.draw_differences(
        cells,
        rows=[label for label, *_ in lines],
        columns=header[1:],
        path=path,
        title=title,
        rows_apart=1,
    )


def draw_demo(path: Path) -> None:
    """Draw the demo's table."""
    table = read_table("demo.md", "## The tables")
    draw_table(table, "Main score by target (validation), mean over languages", path)


def draw_model_size(path: Path) -> None:
    """Draw the differences of the model-size study, and the line through them."""
    _, *lines = read_table("results/artificial_world.md", "## Model size")
    sizes = {name: int(size.replace(",", "")) for name, size, _ in lines}
    differences = {name: read_interval(text) for name, _, text in lines}
    line = fit_line(list(sizes.values()), [mean for mean, _ in differences.values()])
    plot_by_size(
        {"mnli, 95 % interval over 3 seeds": differences},
        sizes,
        path,
        y="difference to no intermediate\ntraining (points, mean of 3 targets)",
        title=f"What mnli does for encoders of {len(sizes)} sizes",
        lines={"least squares": line["line"], "its 95 % band": line["band"]},
    )


def draw_single_vs_multi_task(path: Path) -> None:
    """Draw the differences between joint training and single tasks."""
    header, *lines = read_table(
        "results/artificial_world.md", "## One intermediate task or several"
    )
    sizes = {line[0]: int(line[1].replace(",", "")) for line in lines}
    series: dict[str, Mapping[str, tuple[float, float]]] = {}
    for column in (-2, -1):
        series[header[column]] = {line[0]: read_interval(line[column]) for line in lines}
    plot_by_size(
        series,
        sizes,
        path,
        y="difference (points, mean of 3 targets)",
        title="One intermediate task or several at once, 95 % intervals",
    )


def draw_batch_size(path: Path) -> None:
    """Draw the scores of the batch-size study at equal steps."""
    header, *lines = read_table("results/artificial_world.md", "## Batch size")
    column = header.index("equal steps")
    rules: list[str] = list(dict.fromkeys(line[1] for line in lines if line[1]))
    points: dict[str, list[plots.Point]] = {rule: [] for rule in rules}
    for line in lines:
        point = plots.Point(float(line[0]), *read_interval(line[column]))
        for rule in [line[1]] if line[1] else rules:  # the base belongs to all rules
            points[rule].append(point)
    plots.plot_points(
        points,
        path,
        x="batch size (examples, log scale)",
        y="ccg, score on validation rows\n(95 % interval)",
        title="Learning rate by batch size, at equal steps",
        log_x=True,
        bounds=(0, 100),
    )


PICTURES: dict[str, Callable[[Path], None]] = {
    "demo.png": draw_demo,
    "results_table.png": make_results.draw,
    "results_model_size.png": draw_model_size,
    "results_single_vs_multi_task.png": draw_single_vs_multi_task,
    "results_batch_size.png": draw_batch_size,
}


def main(names: Sequence[str]) -> None:
    """Draw the pictures with these names, or all."""
    for name in names or PICTURES:
        PICTURES[name](DOCS / name)


if __name__ == "__main__":
    main(sys.argv[1:])
