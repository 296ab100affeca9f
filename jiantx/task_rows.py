"""How a task's rows are read: languages, rows, examples, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from jiantx.columns import column_value, row_id
from jiantx.registry import near_names
from jiantx.sources import DataError, Row, class_names, iter_rows

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerBase

    from jiantx.dataset_summary import Preview, Summary
    from jiantx.sources import Source
    from jiantx.task import Task

SPLITS = ("train", "validation", "test")


class TaskRows:
    """What every task does with its source. `Task` is its only subclass."""

    missing_gold_advice: ClassVar[str] = (
        "Drop such rows with the source's `where`, or fill them in."
    )

    if TYPE_CHECKING:
        name: str
        source: Source
        gold: ClassVar[str]

        @property
        def gold_column(self) -> str | None: ...
        @property
        def gold_names(self) -> tuple[str, ...]: ...
        def example(self, row: Row, *, id: str, language: str) -> Any: ...
        def reference(self, example: Any) -> Any: ...

    def languages(self, split: str) -> tuple[str, ...]:
        """The languages that have the split at the present data root.

        Raises:
            DataError: None has it, and it is no usual split: the name may be misspelt.
        """
        available = self.source.available(split)
        if not available and split not in SPLITS:
            known_splits = [name for name in SPLITS if self.source.available(name)]
            raise DataError(
                f"Task {self.name} has no split {split!r}.{near_names(split, SPLITS)} "
                f"It has: {', '.join(known_splits) or 'none'}."
            )
        return available

    def rows(self, split: str, language: str = "en") -> datasets.Dataset:
        """The rows as stored.

        Args:
            split: "train", "validation", "test", or another that the source knows.
            language: An ISO 639 code.

        Raises:
            DataError: There are none; names the task.
        """
        for name in (split, language):  # they become parts of files' names
            if any(letter in name for letter in "/\\\0"):
                raise DataError(
                    f"Task {self.name}: {name!r} cannot name a split or a language, "
                    "since it holds a path."
                )
        try:
            return self.source.rows(split, language)
        except DataError as error:
            raise DataError(
                f"Task {self.name}, split {split!r}, language {language!r}: {error}"
            ) from error.__cause__

    def examples(
        self,
        split: str,
        language: str = "en",
        *,
        rows: datasets.Dataset | None = None,
        labelled: bool = False,
    ) -> Iterator[Any]:
        """Examples of a split.

        Args:
            split: The split.
            language: An ISO 639 code.
            rows: Some of the split's rows (default: all).
            labelled: Refuse rows without gold.

        Raises:
            DataError: A row is bad; names task, split, language and row.
        """
        rows = self.rows(split, language) if rows is None else rows
        self._check_label_names(rows, split, language)
        for index, row in enumerate(iter_rows(rows)):
            try:
                example = self.example(row, id=row_id(row, index), language=language)
                if labelled and self.reference(example) is None:
                    raise DataError(self._no_gold(row, split))
            except DataError as error:
                location = self._location(rows, split, language, index)
                raise DataError(
                    f"Task {self.name}, split {split!r}, language {language!r}, "
                    f"row {index}{location}: {error}"
                ) from error.__cause__
            yield example

    def _location(self, rows: datasets.Dataset, split: str, language: str, index: int) -> str:
        """The file, the line and the id of a row, in brackets, where they are known."""
        try:
            location = self.source.locate(split, language, index)
            # not where `rows` are a choice, whose indices are others
            if location and self.source.rows(split, language)[index] != rows[index]:
                location = ""
        except (DataError, IndexError):
            location = ""
        # an id that is no number says more than the index
        id_note = ""
        if "id" in rows.column_names:  # that column alone: others may hold images
            id_text = row_id(rows.select_columns(["id"])[index], index)
            id_note = "" if id_text.isdigit() else f"id {id_text!r}"
        details = ", ".join(filter(None, (location, id_note)))
        return f" ({details})" if details else ""

    def preview(self, n: int = 5, split: str = "train", language: str | None = None) -> Preview:
        """The first rows of a split as the task reads them: inputs and gold.

        Args:
            n: Rows.
            split: The split.
            language: A language (default: the first training language that has the split).

        Returns:
            What prints itself, is a table in a notebook, and has `to_pandas()`.

        Raises:
            DataError: There are no such rows, or one of them is bad.
        """
        from jiantx.dataset_summary import preview_rows

        return preview_rows(cast("Task", self), n, split, language)

    def describe(
        self,
        *,
        splits: Sequence[str] | None = None,
        languages: Sequence[str] | None = None,
        unit: Literal["words", "characters"] = "words",
        tokenizer: PreTrainedTokenizerBase | None = None,
    ) -> Summary:
        """Rows, lengths, label shares and repeated rows, by split and language.

        Inputs are compared exactly. What may be wrong is listed below the tables: rows that two
        splits share, repeated rows, inputs with several labels, empty texts, labels of one split.

        Args:
            splits: Splits (default: all).
            languages: Languages (default: all).
            unit: What lengths are counted in. Languages without spaces need "characters".
            tokenizer: Counts lengths in its tokens instead, without special tokens.

        Returns:
            What prints itself, is a table in a notebook, and has `to_pandas()` and `plot(path)`.

        Raises:
            DataError: There are no rows, or a column is missing.
        """
        from jiantx.dataset_summary import summarize

        return summarize(cast("Task", self), splits, languages, unit, tokenizer)

    def _no_gold(self, row: Row, split: str) -> str:
        if self.gold:
            try:
                column_value(row, getattr(self, self.gold))
            except DataError as error:
                return str(error)
        labelled = [name for name in SPLITS if self._has_gold(name)]
        if split in labelled:
            return (
                "The row has no gold, so it cannot be trained on or scored. "
                f"{self.missing_gold_advice}"
            )
        return (
            "The label is a placeholder, so nothing can be scored. "
            f"Splits with labels: {', '.join(labelled) or 'none'}."
        )

    def is_labelled(self, split: str, languages: Iterable[str] | None = None) -> bool:
        """Whether a split has gold, by its first row: public test splits may have placeholders.

        Args:
            split: The split.
            languages: Where to look (default: all languages of the split).
        """
        for language in self.languages(split) if languages is None else languages:
            rows = self.rows(split, language)
            for example in self.examples(
                split, language, rows=rows.select(range(min(1, len(rows))))
            ):
                return self.reference(example) is not None
        return False

    def _has_gold(self, split: str) -> bool:
        try:
            return self.is_labelled(split)
        except DataError:
            return False

    def _check_label_names(self, rows: datasets.Dataset, split: str, language: str) -> None:
        """A data set's class names, where it lists them, are the task's labels, in any order."""
        column = self.gold_column
        names = class_names(rows, column) if column else None
        if names is not None and set(names) != set(self.gold_names):
            raise DataError(
                f"Task {self.name}, split {split!r}, language {language!r}: the data set's labels "
                f"are {list(names)}, the task's are {list(self.gold_names)}. Declare the task "
                f"with the data set's names, or give a `{self.gold}` function of the row that maps "
                "them."
            )
