"""The files of a submission to GLUE or SuperGLUE: names, forms, numbers of rows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jiantx.glue import formats
from jiantx.glue.formats import Items, unknown_task
from jiantx.glue.forms import CHOICE, NAME, NUMBER, SIMILARITY, SMALL_NAME, TEXT, Form
from jiantx.sources import DataError
from jiantx.task import Task

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class TaskFile:
    """The file of one task.

    Args:
        name: The official name.
        form: Of its predictions.
        test_rows: How many rows the official test set has.
    """

    name: str
    form: Form
    test_rows: int


@dataclass(frozen=True)
class Submission:
    """What a leaderboard takes.

    Args:
        leaderboard: Its name.
        files: Name of a task -> its file.
        write: Key of a row -> prediction as the text of a file.
        read: A file as key -> prediction.
    """

    leaderboard: str
    files: Mapping[str, TaskFile]
    write: Callable[[Items], str]
    read: Callable[[Path], dict[Hashable, Any]]

    def file_of(self, task: Task) -> TaskFile:
        """The file of a task; DataError if it has none."""
        if task.name not in self.files:
            raise unknown_task(task.name, list(self.files), self.leaderboard)
        return self.files[task.name]

    def keys(self, task: Task, rows: datasets.Dataset) -> list[Hashable]:
        """What names each row in the file.

        Args:
            task: A task of the leaderboard.
            rows: Rows of a split, in order.

        Raises:
            DataError: Two rows have one key, or the rows have none.
        """
        if self.read is formats.read_table:
            return formats.table_keys(len(rows))
        if "idx" not in rows.column_names:
            raise DataError(
                f"Task {task.name}: the rows have no column 'idx', which names them in the file. "
                f"They have: {', '.join(rows.column_names)}."
            )
        keys = formats.json_keys(list(rows["idx"]))
        if len(set(keys)) < len(keys):
            raise DataError(
                f"Task {task.name}: {len(keys):,} rows have {len(set(keys)):,} different `idx`. "
                "The file needs one for each row."
            )
        return keys


GLUE_SUBMISSION = Submission(
    "GLUE",
    {
        "cola": TaskFile("CoLA.tsv", NUMBER, 1063),
        "sst2": TaskFile("SST-2.tsv", NUMBER, 1821),
        "mrpc": TaskFile("MRPC.tsv", NUMBER, 1725),
        "glue_stsb": TaskFile("STS-B.tsv", SIMILARITY, 1379),
        "qqp": TaskFile("QQP.tsv", NUMBER, 390_965),
        "mnli": TaskFile("MNLI-m.tsv", NAME, 9796),
        "mnli_mismatched": TaskFile("MNLI-mm.tsv", NAME, 9847),
        "qnli": TaskFile("QNLI.tsv", NAME, 5463),
        "rte": TaskFile("RTE.tsv", NAME, 3000),
        "wnli": TaskFile("WNLI.tsv", NUMBER, 146),  # though RTE and QNLI have names
        "glue_diagnostic": TaskFile("AX.tsv", NAME, 1104),
    },
    formats.write_table,
    formats.read_table,
)
SUPERGLUE_SUBMISSION = Submission(
    "SuperGLUE",
    {
        "boolq": TaskFile("BoolQ.jsonl", SMALL_NAME, 3245),
        "cb": TaskFile("CB.jsonl", NAME, 250),
        "copa": TaskFile("COPA.jsonl", CHOICE, 500),
        "multirc": TaskFile("MultiRC.jsonl", NUMBER, 9693),
        "record": TaskFile("ReCoRD.jsonl", TEXT, 10_000),
        "superglue_rte": TaskFile("RTE.jsonl", NAME, 3000),
        "wic": TaskFile("WiC.jsonl", SMALL_NAME, 1400),
        "wsc": TaskFile("WSC.jsonl", NAME, 146),  # capitalised, though WiC is not
        "axb": TaskFile("AX-b.jsonl", NAME, 1104),
        "axg": TaskFile("AX-g.jsonl", NAME, 356),
    },
    formats.write_json_lines,
    formats.read_json_lines,
)
