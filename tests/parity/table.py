"""The tables of docs/parity.md."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jiantx as jx

from . import answers, glue, labels, mining, rankings, tagging
from .comparison import TOLERANCE, Comparison, differing
from .gold import MOCK_SUBMISSION
from .seqeval_versions import NEW, OLD

HEADER = [
    "| metric | data (rows) | ours | independent | difference | by what |",
    "|---|---|---|---|---|---|",
]


def all_comparisons(seqeval_folders: Mapping[str, Path | None]) -> Iterator[Comparison]:
    """Compare every metric. One seeded generator makes all noise: each run has the same figures."""
    rng = random.Random(0)
    yield from labels.comparisons(rng)
    yield from tagging.comparisons(rng, seqeval_folders)
    yield from answers.comparisons(rng)
    yield from rankings.comparisons(rng)
    yield from mining.comparisons(rng)
    yield labels.masked_accuracy_comparison(rng)
    yield from glue.comparisons(random.Random(0))


def tables(seqeval_folders: Mapping[str, Path | None]) -> tuple[str, int]:
    """All tables in Markdown, and how many figures differ."""
    comparisons = list(all_comparisons(seqeval_folders))
    mock_table, mock_differing = mock_submission_table()
    different = len(differing(comparisons))
    compared = sum(not math.isnan(row.independent) for row in comparisons)
    summary = (
        f"{compared} rows compared; {different} differ by more than {TOLERANCE:g} (on 0–100). If a "
        "row has several languages, its scores are their means, and its difference is the largest "
        "of any language."
    )
    missing = [version for version, folder in seqeval_folders.items() if folder is None]
    if missing:
        summary += f"\n\n**Not run: seqeval {' and '.join(missing)}; pip could not fetch it.**"
    comparison_table = [*HEADER, *(row.to_markdown() for row in comparisons)]
    udpos_table = tagging.udpos_table(random.Random(1))
    lines = [*comparison_table, "", summary, "", *udpos_table, "", *mock_table]
    return "\n".join(lines), different + mock_differing


def mock_submission_table(folder: Path = MOCK_SUBMISSION) -> tuple[list[str], int]:
    """XTREME's mock submission, scored by jiantx and by the official program.

    The official scores are stored beside the submission.

    Args:
        folder: Of the submission.

    Returns:
        The lines of the table, and how many figures differ.
    """
    if not folder.is_dir():
        return [f"**Not run: XTREME's mock submission, which is not at {folder}.**"], 0
    table = [
        "| XTREME's mock submission | figures | equal to 1e-9 | largest difference |",
        "|---|---|---|---|",
    ]
    differing_count = 0
    for version in (OLD, NEW):
        path = folder / f"official_scores.seqeval-{version}.json"
        official = flatten(json.loads(path.read_text(encoding="utf-8")))
        ours = flatten(jx.score_xtreme(folder / "predictions", folder / "labels", seqeval=version))
        gaps = [abs(ours.get(name, math.inf) - value) for name, value in official.items()]
        equal = sum(gap <= TOLERANCE for gap in gaps)
        differing_count += len(gaps) - equal + len(set(ours) - set(official))
        largest = f"{max(gaps):.0e}".replace("0e+00", "0")
        table.append(f"| seqeval {version} | {len(gaps)} | {equal} | {largest} |")
    return table, differing_count


def flatten(scores: Any, path: str = "") -> dict[str, float]:
    """{"a": {"b": 1}} -> {"/a/b": 1}"""
    if not isinstance(scores, dict):
        return {path: scores}
    flat: dict[str, float] = {}
    for key, inner in scores.items():
        flat |= flatten(inner, f"{path}/{key}")
    return flat
