"""One row becomes several: a sentence with entities, or a conversation with turns."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jiantx.sources.base import DataError, DerivedSource, Row
from jiantx.sources.class_labels import iter_rows
from jiantx.sources.containers import as_row
from jiantx.sources.files import cached_table
from jiantx.sources.function_rows import call_on_row, function_name
from jiantx.sources.storing import arrow_errors, as_table, in_memory

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa


@dataclass(frozen=True)
class Unfold(DerivedSource):
    """Each row of another source becomes several rows, or none.

    If the other source reads files, the new rows are cached until its rows or the function change.

    Args:
        source: Where the rows come from.
        rows_of: A function of a row that returns the new rows, in order; classes are names in the
            row.

    >>> from jiantx.sources import Rows
    >>> def turns(row):
    ...     return [{"text": turn} for turn in row["turns"]]
    >>> Unfold(Rows([{"turns": ["Hi!", "Hello."]}]), turns).rows("train", "en")["text"][:]
    ['Hi!', 'Hello.']
    """

    rows_of: Callable[[Row], Iterable[Row]]

    def available(self, split: str) -> tuple[str, ...]:
        return self.source.available(split)

    def rows(self, split: str, language: str) -> datasets.Dataset:
        stored = self.source.rows(split, language)
        noun = f"The rows of {function_name(self.rows_of)}"

        def read() -> pa.Table:
            with arrow_errors(noun):
                return as_table(lambda: (row for _, row in self._unfolded(stored)))

        if not stored.cache_files:  # in memory
            return in_memory(read())
        return cached_table(("unfold", self.rows_of, stored), read, noun)

    def _unfolded(self, stored: datasets.Dataset) -> Iterator[tuple[int, Row]]:
        """(index of the stored row, new row) of all new rows."""
        for index, stored_row in enumerate(iter_rows(stored)):
            try:
                new_rows = call_on_row(self.rows_of, stored_row, role="`rows_of`")
                if not isinstance(new_rows, Iterable) or isinstance(new_rows, str | dict):
                    raise DataError(
                        f"{function_name(self.rows_of)} returned {new_rows!r:.80}; expected a list "
                        "of rows."
                    )
                for new_index, new_row in enumerate(new_rows):
                    yield index, as_row(new_row, new_index)
            except DataError as error:
                raise DataError(f"Row {index}: {error}") from error.__cause__

    def locate(self, split: str, language: str, index: int) -> str:
        unfolded = self._unfolded(self.source.rows(split, language))
        for stored_index, _ in itertools.islice(unfolded, index, index + 1):
            return self.source.locate(split, language, stored_index)
        return ""
