"""The JSON file of a report: a list of scores, and after them the counts of labels."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jiantx.cache import write_text
from jiantx.report.confusion import LabelCounts, is_label_counts, label_counts_from_json
from jiantx.report.scores import Score, from_json_records, to_json_line


def write_report(path: Path, scores: Iterable[Score], counts: Iterable[LabelCounts]) -> None:
    """Write a report; equal reports give equal bytes.

    Args:
        path: The file. If writing fails, an older one stays as it was.
        scores: Sorted before they are written, one in each line.
        counts: The same.
    """
    lines = [to_json_line(score) for score in sorted(scores, key=_json_order)]
    lines += sorted(one.to_json_line() for one in counts)
    write_text(path, "[\n" + ",\n".join(lines) + "\n]\n")


def read_report(path: Path) -> tuple[list[Score], list[LabelCounts]]:
    """Read a file that `write_report` wrote, or one without counts.

    Args:
        path: The file.

    Raises:
        ValueError: If the file is damaged.
    """
    records = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(records, list):
        return list(from_json_records(records)), []  # which says what is wrong
    counts = [label_counts_from_json(record) for record in records if is_label_counts(record)]
    records = [record for record in records if not is_label_counts(record)]
    return list(from_json_records(records)), counts


def _json_order(score: Score) -> tuple[Any, ...]:
    tags = json.dumps(score.tags, sort_keys=True)
    return score.task, score.split, score.language, score.metric, tags
