"""The forms in which tables leave the library: text, Markdown, LaTeX, HTML, CSV, pandas."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jiantx.cache import write_text
from jiantx.report.tables import TextTable

if TYPE_CHECKING:
    import pandas as pd


class ExportsTables(ABC):
    """Writes what a class holds as tables: `print` shows them, and notebooks show them as HTML."""

    @abstractmethod
    def text_tables(self) -> list[TextTable]:
        """The tables, as texts."""

    @abstractmethod
    def to_pandas(self) -> "pd.DataFrame":
        """Return a data frame."""

    def to_markdown(self) -> str:
        """Write the tables as Markdown, legends included."""
        return "\n".join(table.to_markdown() for table in self.text_tables()) or _NOTHING

    def to_text(self) -> str:
        """Write the tables of `to_markdown`, aligned for a terminal."""
        return "\n".join(table.to_text() for table in self.text_tables()) or _NOTHING

    def to_latex(self) -> str:
        """Write the tables of `to_markdown` as LaTeX, for the package booktabs.

        Each is a `tabular`, without a float around it; title and legend are comments.
        """
        return "\n".join(table.to_latex() for table in self.text_tables())

    def to_html(self) -> str:
        """Write the tables of `to_markdown` as HTML, without a page around them."""
        return "\n".join(table.to_html() for table in self.text_tables()) or _NOTHING

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the frame of `to_pandas` as CSV, with full precision.

        Args:
            path: The file to write. If writing fails, an older file stays as it was.
        """
        frame = self.to_pandas()
        has_labels = frame.index.names != [None]
        write_text(Path(path), frame.to_csv(index=has_labels, lineterminator="\n"))

    def __str__(self) -> str:
        return self.to_text().rstrip("\n")

    def _repr_markdown_(self) -> str:
        return self.to_markdown()

    def _repr_html_(self) -> str:
        return self.to_html()


def table_frame(
    values: Sequence[Sequence[Any]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    names: tuple[str, str],
) -> "pd.DataFrame":
    """Make a data frame of the values of a table.

    Args:
        values: One list for each row, as long as `columns`.
        rows: Labels of the rows.
        columns: Labels of the columns.
        names: What rows and columns are; "" for columns of several kinds.
    """
    import pandas as pd

    index = pd.Index(rows, name=names[0])
    return pd.DataFrame(list(values), index, pd.Index(columns, name=names[1] or None))


_NOTHING = "No scores.\n"
