"""Write the tables of docs/results/paper_table.md from the scores beside it (`make docs`).

The scores are those that the command on the page wrote; `read_scores` joins nothing and leaves
nothing out.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from jiantx.experiments import best_rows, best_table, failed_runs, judged_scores
from jiantx.experiments.conclusions import conclude
from jiantx.experiments.result_tables import AVERAGE, draw_comparison, result_table
from jiantx.experiments.selection import failed_cells, unjudged_cells, unlearned_targets
from jiantx.report import Comparison, Report
from jiantx.task import Task
from jiantx.tasks import get_task
from jiantx.tasks.benchmarks import XTREME

FOLDER = Path(__file__).parent / "results"
PAGE = FOLDER / "paper_table.md"
SCORES = FOLDER / "paper_table.json.gz"
_TITLE = "Main score by target ({split}), mean over languages"


def read_scores() -> Report:
    """Read the table's scores; of their tags, only row and seed tell runs apart."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "report.json")
        path.write_bytes(gzip.decompress(SCORES.read_bytes()))
        report = Report.from_json(path)
    names = ("intermediate", "seed")
    return Report(
        replace(score, tags={name: score.tags[name] for name in names}) for score in report
    )


class PaperTable:
    """The scores of the table, and what can be said of them."""

    def __init__(self) -> None:
        self.report = read_scores()
        scored = {score.task for score in self.report}
        targets = [get_task(name) for name in XTREME if name in scored]
        failed = failed_cells(self.report, targets)
        self.unlearned = unlearned_targets(self.report, targets, failed)
        self.targets: list[Task] = [task for task in targets if task.name not in self.unlearned]
        self.failed = {
            cell: seeds for cell, seeds in failed.items() if cell[1] not in self.unlearned
        }
        self.scores = judged_scores(self.report, targets)

    def compare(self, split: str, by: str = "task") -> Comparison:
        """Differences to the row `none`, by target or by language."""
        scores = self.scores.where(split=split)
        baseline = scores.where(intermediate="none")
        if by == "language":
            return scores.compare(baseline, by="language")
        scored = {score.task for score in scores}
        names = [task.name for task in self.targets if task.name in scored]
        return scores.compare(baseline, tasks=names)

    def unjudged(self, comparison: Comparison) -> set[tuple[str, str]]:
        """(row, target) of the cells that claim nothing, and the averages over them."""
        cells = set(unjudged_cells(self.failed, [row.label for row in comparison.rows]))
        return cells | {(row, AVERAGE) for row, _ in cells}

    def by_target(self, split: str) -> str:
        """The table of a split, in Markdown."""
        comparison = self.compare(split)
        marked = {*self.failed, *((row, AVERAGE) for row, _ in self.failed)}
        unjudged = self.unjudged(comparison)
        return result_table(
            comparison, _TITLE.format(split=split), marked, unjudged=unjudged
        ).to_markdown()

    def by_language(self) -> str:
        """The table of languages, over the test split."""
        comparison = self.compare("test", by="language")
        title = "Main score by language (test), mean over the targets that have it"
        return result_table(comparison, title, (), with_average=False).to_markdown()

    def best(self) -> str:
        """The table of the best row for each target."""
        chosen = best_rows(self.report, self.targets)
        return best_table(self.scores, chosen)

    def finding(self) -> str:
        """What the test split says, in three sentences."""
        by_target = self.compare("test")
        rows = [row.label for row in by_target.rows]
        unjudged = unjudged_cells(self.failed, rows)
        by_language = self.compare("test", by="language")
        sentences = conclude(by_target, by_language, self.failed, unjudged)
        return "\n\n".join(f"> {sentence}" for sentence in sentences)

    def did_not_learn(self) -> str:
        """The runs that failed, a line for each row and fine-tuning."""
        seeds_of: dict[tuple[str, str], list[str]] = {}
        for (row, seed), trained in sorted(failed_runs(self.report).items()):
            for name in trained:
                seeds_of.setdefault((name, row), []).append(str(seed))
        lines = [
            f"- {name} after `{row}`: seed {', '.join(seeds)}"
            for (name, row), seeds in sorted(seeds_of.items())
        ]
        return "\n".join(lines)


def for_the_page(block: str) -> str:
    """Keep cells on one line, and leave out notes that are about the recipe's own page."""
    lines = []
    for line in block.strip().splitlines():
        if line.startswith("| "):
            line = re.sub(r" (?=[±*†‡])|(?<=±) ", "\u00a0", line)
        if not line.startswith("Left out, since the other side"):
            lines.append(line.replace("; all other differences are grey", ""))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def page() -> str:
    """The text of the page, with its tables made again."""
    table = PaperTable()
    blocks: dict[str, Callable[[], str]] = {
        "finding": table.finding,
        "validation": lambda: table.by_target("validation"),
        "test": lambda: table.by_target("test"),
        "best": table.best,
        "languages": table.by_language,
        "failed": table.did_not_learn,
    }
    text = PAGE.read_text(encoding="utf-8")
    for name, make in blocks.items():
        start, end = f"<!-- {name} -->", "<!-- end -->"
        if text.count(start) != 1:
            raise ValueError(f"{PAGE} has {text.count(start)} blocks {name!r}; expected one.")
        before, _, rest = text.partition(start)
        _, _, after = rest.partition(end)
        text = f"{before}{start}\n\n{for_the_page(make())}\n\n{end}{after}"
    return text


def draw(path: Path) -> None:
    """Draw the table of the validation split."""
    table = PaperTable()
    comparison = table.compare("validation")
    title = _TITLE.format(split="validation")
    marked = {*table.failed, *((row, AVERAGE) for row, _ in table.failed)}
    draw_comparison(comparison, [path], title, marked, unjudged=table.unjudged(comparison))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
