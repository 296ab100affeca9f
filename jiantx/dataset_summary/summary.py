"""Rows, lengths, labels and repeated rows of a task, by split and language."""

from __future__ import annotations

import html
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

from jiantx.dataset_summary.pictures import draw_summary
from jiantx.dataset_summary.repeated_rows import Overlap
from jiantx.labels_in_data import single_labels
from jiantx.registry import near_names
from jiantx.report.tables import text_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_WITHOUT_SPACES = ("zh", "ja", "th", "lo", "km", "my", "bo", "dz")
_SHOWN_LABELS = 30
_FEW_ROWS = 5  # of a label; fewer make its score one of chance


@dataclass(frozen=True)
class SplitSummary:
    """The rows of a split in one language.

    Args:
        split: The split.
        language: The language.
        rows: All rows.
        unlabelled: Rows without gold.
        empty: Rows with an input that is missing or blank.
        repeated: Rows whose inputs an earlier row of the split has.
        median: Median length of a row's inputs together.
        percentile_95: 95 % of the rows are at most as long.
        longest: Length of the longest row.
        label_counts: Label -> how often it occurs.
        label_total: Labels in all: labelled rows, or tagged words.
    """

    split: str
    language: str
    rows: int
    unlabelled: int
    empty: int
    repeated: int
    median: float
    percentile_95: float
    longest: int
    label_counts: Mapping[str, int] = field(repr=False)
    label_total: int = field(repr=False)

    def share(self, label: str) -> float:
        """The share of a label in per cent."""
        return 100 * self.label_counts.get(label, 0) / max(1, self.label_total)


@dataclass(frozen=True, repr=False)
class Summary:
    """What a task's data hold; printed as tables, in a terminal and in a notebook.

    Args:
        task: The task's name.
        unit: What lengths are counted in: "words", "characters" or "tokens".
        splits: One entry for each split and language.
        labels: The labels: those that are declared, then others that occur.
        undeclared: Labels that occur and are not declared.
        overlaps: Rows that two splits share.
        conflicts: (language, inputs that occur with more than one label).
        missing_gold: The sentence that is shown if no split has the gold column.
    """

    task: str
    unit: str
    splits: tuple[SplitSummary, ...]
    labels: tuple[str, ...]
    undeclared: tuple[str, ...]
    overlaps: tuple[Overlap, ...]
    conflicts: tuple[tuple[str, int], ...]
    missing_gold: str = ""

    def findings(self) -> list[str]:
        """Return possible problems of the data, one sentence each; empty if there are none."""
        sentences = [f"No gold: {self.missing_gold}"] if self.missing_gold else []
        sentences += self._overlap_sentences()
        for language, count in self.conflicts:
            inputs = "input occurs" if count == 1 else "inputs occur"
            sentences.append(f"{count:,} {inputs} with more than one label in {language}.")
        repeated = self._nonzero_counts("repeated")
        if repeated:
            sentences.append(f"Rows that repeat an earlier row of their split: {repeated}.")
        empty = self._nonzero_counts("empty")
        if empty:
            sentences.append(
                f"Rows with an empty input: {empty}. Drop them with the source's `where`."
            )
        unlabelled = self._nonzero_counts("unlabelled", but_not_all=True)
        if unlabelled:
            sentences.append(
                f"Rows without gold in a split that has some: {unlabelled}. Training on them is "
                "an error. Drop them with the source's `where`, or fill them in."
            )
        if self.undeclared:
            sentences.append(f"Labels that the task does not declare: {_joined(self.undeclared)}.")
        if single := self._single_labels():
            sentences.append(f"Labels of one row in train: {_joined(single)}. Mistakes, perhaps.")
        for split, rare_labels in self._rare_labels().items():
            sentences.append(
                f"Labels of fewer than {_FEW_ROWS} rows in {split}: {', '.join(rare_labels)}. "
                "Their scores say little, and macro averages depend on them."
            )
        for split, labels in self.labels_of_one_split().items():
            sentences.append(f"Labels that occur only in {split}: {_joined(labels)}.")
        languages = dict.fromkeys(entry.language for entry in self.splits)
        without = [code for code in languages if code.split("-")[0] in _WITHOUT_SPACES]
        if without and self.unit == "words":
            sentences.append(
                f"Words are separated by spaces, which {', '.join(without)} lacks: "
                'describe(unit="characters").'
            )
        return sentences

    def _single_labels(self) -> list[str]:
        counts: Counter[str] = Counter()
        for entry in self.splits:
            if entry.split == "train":
                counts += Counter(entry.label_counts)
        return single_labels(counts)

    def _rare_labels(self) -> dict[str, list[str]]:
        """Scored split and language -> its labels of few rows, where most rows have others."""
        rare = {}
        for entry in self.splits:
            counts = entry.label_counts
            is_scored = entry.split != "train" and entry.label_total <= entry.rows
            if is_scored and entry.rows >= _FEW_ROWS * len(counts):
                few = [f"{label!r} {n}" for label, n in counts.items() if n < _FEW_ROWS]
                if few:
                    rare[f"{entry.split} {entry.language}"] = few
        return rare

    def _overlap_sentences(self) -> list[str]:
        overlaps_of: dict[tuple[str, str], list[Overlap]] = {}
        for overlap in self.overlaps:
            overlaps_of.setdefault((overlap.split, overlap.other), []).append(overlap)
        sentences = []
        for (split, other), overlaps in overlaps_of.items():
            counts = [f"{item.language} {item.rows:,} ({item.share:.1f} %)" for item in overlaps]
            first = overlaps[0]
            sentences.append(
                f"Rows of {split} whose inputs are also in {other}: {', '.join(counts)}. The first "
                f"is row {first.indices[0]} in {first.language}, which is row {first.other_index} "
                f"of {other}."
            )
        return sentences

    def _nonzero_counts(self, field_name: str, *, but_not_all: bool = False) -> str:
        counts = []
        for entry in self.splits:
            count = getattr(entry, field_name)
            if count and not (but_not_all and count == entry.rows):
                counts.append(f"{entry.split} {entry.language} {count:,}")
        return ", ".join(counts)

    def labels_of_one_split(self) -> dict[str, list[str]]:
        """Split -> the labels that occur in it alone, where several splits have labels."""
        splits_of: dict[str, set[str]] = {label: set() for label in self.labels}
        labelled_splits = {entry.split for entry in self.splits if entry.label_total}
        for entry in self.splits:
            for label in entry.label_counts:
                splits_of[label].add(entry.split)
        alone: dict[str, list[str]] = {}
        for label, splits in splits_of.items():
            if len(splits) == 1 and len(labelled_splits) > 1:
                alone.setdefault(next(iter(splits)), []).append(label)
        return alone

    # --- tables -----------------------------------------------------------------------------------

    def _size_table(self) -> tuple[list[str], list[list[str]]]:
        header = ["split", "language", "rows", "unlabelled", "empty", "repeated"]
        header += [f"{self.unit}: median", "95 %", "longest"]
        lines = []
        for entry in self.splits:
            counts = (entry.rows, entry.unlabelled, entry.empty, entry.repeated)
            lengths = (entry.median, entry.percentile_95, entry.longest)
            numbers = [*(f"{count:,}" for count in counts), *(f"{size:,.0f}" for size in lengths)]
            lines.append([entry.split, entry.language, *numbers])
        return header, lines

    def _label_table(self) -> tuple[list[str], list[list[str]]]:
        labelled = [entry for entry in self.splits if entry.label_total]
        header = ["label, %", *(f"{entry.split} {entry.language}" for entry in labelled)]
        lines = []
        for label in self.labels[:_SHOWN_LABELS]:
            lines.append([label, *(f"{entry.share(label):.1f}" for entry in labelled)])
        return header, lines

    def _more_labels(self) -> str:
        hidden = len(self.labels) - _SHOWN_LABELS
        return f"… and {hidden:,} more labels" if hidden > 0 else ""

    def __repr__(self) -> str:
        blocks = [f"Task {self.task}", text_table(*self._size_table()).rstrip()]
        if self.labels:
            table = text_table(*self._label_table()).rstrip()
            blocks.append("\n".join(filter(None, [table, self._more_labels()])))
        findings = self.findings()
        if findings:
            blocks.append("\n".join(f"- {sentence}" for sentence in findings))
        return "\n\n".join(blocks)

    def _repr_html_(self) -> str:
        blocks = [f"<p>Task {html.escape(self.task)}</p>", _html_table(*self._size_table())]
        if self.labels:
            blocks += [_html_table(*self._label_table()), f"<p>{self._more_labels()}</p>"]
        items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in self.findings())
        return "\n".join(blocks) + (f"\n<ul>{items}</ul>" if items else "")

    def to_pandas(self, table: Literal["splits", "labels", "overlaps"] = "splits") -> pd.DataFrame:
        """One of the tables as a frame.

        Args:
            table: "splits" (a row for each split and language), "labels" (a row for each label,
                split and language, with its count and its share in per cent) or "overlaps".

        Raises:
            ValueError: There is no such table.
        """
        import pandas as pd

        if table == "splits":
            records = [asdict(entry) for entry in self.splits]
            return pd.DataFrame(records).drop(columns=["label_counts"], errors="ignore")
        if table == "labels":
            records = []
            for entry in self.splits:
                for label in self.labels:
                    records.append(
                        {
                            "split": entry.split,
                            "language": entry.language,
                            "label": label,
                            "count": entry.label_counts.get(label, 0),
                            "share": entry.share(label),
                        }
                    )
            return pd.DataFrame(records)
        if table == "overlaps":
            return pd.DataFrame([asdict(overlap) for overlap in self.overlaps])
        tables = ("splits", "labels", "overlaps")
        raise ValueError(
            f"There is no table {table!r}.{near_names(table, tables)} There are: "
            f"{', '.join(tables)}."
        )

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw lengths and label shares. Needs matplotlib: `pip install jiantx[plots]`.

        Args:
            path: The picture to write; its suffix is the format: .png, .pdf, .svg.

        Returns:
            The figure, which a notebook shows.
        """
        names = [f"{entry.split} {entry.language}" for entry in self.splits]
        lengths = [(entry.median, entry.percentile_95, entry.longest) for entry in self.splits]
        shares: dict[str, list[float]] = {}
        for label in self.labels:
            shares[label] = [entry.share(label) for entry in self.splits]
        return draw_summary(names, lengths, shares, self.unit, path, title=self.task)


def _joined(labels: Sequence[str]) -> str:
    shown = ", ".join(map(repr, labels[:8]))
    return f"{shown} and {len(labels) - 8:,} more" if len(labels) > 8 else shown


def _html_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = []
    for tag, cells in [("th", header), *(("td", line) for line in lines)]:
        escaped = [html.escape(cell) for cell in cells]
        rows.append("<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in escaped) + "</tr>")
    return "<table>\n" + "\n".join(rows) + "\n</table>"
