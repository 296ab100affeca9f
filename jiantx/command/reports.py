"""`jiantx report`: the tables of scores that were written before."""

from __future__ import annotations

import argparse
from pathlib import Path

from jiantx.experiments import DEVELOPMENT, judged_scores
from jiantx.experiments.html_page import Page
from jiantx.report import Report
from jiantx.report.scores import MAIN
from jiantx.sources import DataError

_NAME = "report.json"


def show_reports(options: argparse.Namespace) -> None:
    """Print the tables of one or several reports, and write them as a page.

    Raises:
        DataError: There is no report.
    """
    path = Path(options.path)
    report = _read(path)
    page = Page(f"Scores of {path.resolve().stem}")
    report = _without_failed_runs(page, report)
    for split in sorted({record.split for record in report if record.metric == MAIN}):
        scores = report.where(split=split, metric=MAIN)
        _add_comparison(page, scores, split)
        page.add(f"## Main scores ({split})", scores.to_markdown())
    print(page.to_markdown(), end="")
    folder = path if path.is_dir() else path.parent
    output = folder / "scores.html" if options.output is None else Path(options.output)
    if output.suffix != ".html":
        raise DataError(f"--output {output}: expected a file .html.")
    output.parent.mkdir(parents=True, exist_ok=True)
    written = page.write(output.parent, output.stem)
    print(f"\nWritten: {', '.join(map(str, written))}")


def _without_failed_runs(page: Page, report: Report) -> Report:
    """Of a recipe's report, the scores that the recipe's page shows; the page says so."""
    if not any(record.metric == DEVELOPMENT for record in report):
        return report
    try:
        judged = judged_scores(report)
    except LookupError as error:
        page.add(
            f"Whether runs failed is not known, so all are shown: {error.args[0]} "
            "(Here: --import FILE.py.)"
        )
        return report
    if len(judged.where(metric=MAIN)) < len(report.where(metric=MAIN)):
        page.add("Runs that did not learn are left out, as on the recipe's page.")
    return judged


def _read(path: Path) -> Report:
    """The scores of a file, or of a folder's own report, or of all reports below it.

    Several are told apart by a tag. A recipe's folder has a report of its whole table beside those
    of its stages.
    """
    if path.is_file():
        return Report.from_json(path)
    table = path / _NAME
    files = sorted(path.rglob(_NAME))
    if table.is_file() and len(files) > 1:
        count = len(files) - 1
        noun = "report in a folder below is" if count == 1 else "reports in folders below are"
        print(f"{table} is shown, and {count} {noun} not.\n")
        files = [table]
    if not files:
        problem = "holds no report.json" if path.is_dir() else "does not exist"
        raise DataError(
            f"{path} {problem}. `jiantx evaluate MODEL TASK --output FOLDER/report.json` writes "
            "one."
        )
    if len(files) == 1:
        return Report.from_json(files[0])
    report = Report()
    for file in files:
        run = file.parent.relative_to(path).as_posix()
        report += Report.from_json(file).with_tags(run=run)
    return report


def _add_comparison(page: Page, scores: Report, split: str) -> None:
    """Show the differences to the row `none`, where the report is a recipe's."""
    is_recipe = all("intermediate" in record.tags for record in scores)
    if not is_recipe or not len(scores.where(intermediate="none")):
        return
    baseline = scores.where(intermediate="none")
    title = f"## Main scores by target ({split}), mean over languages"
    page.add(title, scores.compare(baseline).to_markdown())
