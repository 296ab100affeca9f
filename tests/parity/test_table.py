"""The table of docs/parity.md shows differences, and what was not computed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import jiantx as jx
from jiantx import metrics

from . import __main__ as command
from . import table, tagging
from .comparison import TOLERANCE, Comparison, Sample, compare, compare_scores, differing
from .seqeval_versions import NEW, OLD

SAMPLE = Sample(["a", "b"], ["a", "a"])  # accuracy 50
PAGE = Path(jx.__file__).parents[1] / "docs" / "parity.md"


def compare_with(score: float) -> Comparison:
    return compare("accuracy", "made up", [SAMPLE], metrics.accuracy, lambda p, r: score, "hand")


def test_a_difference_is_shown() -> None:
    wrong = compare_with(50 + 1e-6)
    assert wrong.difference > TOLERANCE
    row = "| accuracy | made up (2) | 50.000000 | 50.000001 | 1e-06 | hand |"
    assert wrong.to_markdown() == row
    assert differing([wrong, compare_with(50)]) == [row]


def test_an_equal_score_is_shown() -> None:
    row = "| accuracy | made up (2) | 50.000000 | 50.000000 | 0 | hand |"
    assert compare_with(50).to_markdown() == row


def test_nan_differs_from_a_number() -> None:
    undefined = compare_with(math.nan)
    assert undefined.difference == 1
    assert differing([undefined])


def test_nan_equals_nan() -> None:
    empty = Sample([], [])
    both = compare("accuracy", "none", [empty], metrics.accuracy, lambda p, r: math.nan, "hand")
    assert both.difference == 0


def test_a_score_that_was_not_computed_is_no_difference() -> None:
    row = compare_scores("accuracy", "made up", [SAMPLE], metrics.accuracy, None, "nobody")
    assert row.difference == 0
    assert "**not run**" in row.to_markdown()


@pytest.mark.parametrize(("score", "exit_status"), [(50.0, 0), (51.0, 1)])
@pytest.mark.usefixtures("gold")
def test_the_command_fails_if_a_figure_differs(
    score: float,
    exit_status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def one_comparison(seqeval_folders: Any) -> Iterator[Comparison]:
        yield compare_with(score)

    monkeypatch.setattr(table, "all_comparisons", one_comparison)
    monkeypatch.setattr(table, "mock_submission_table", lambda: ([], 0))
    monkeypatch.setattr(tagging, "udpos_table", lambda rng: ["| UDPOS |"])
    monkeypatch.setattr(command, "fetch", lambda folder, version: None)
    (tmp_path / "root").mkdir()
    output = tmp_path / "table.md"
    arguments = ["--data-root", str(tmp_path / "root"), "--output", str(output)]
    assert command.main(arguments) == exit_status
    page = output.read_text(encoding="utf-8")
    assert capsys.readouterr().out == page
    assert page.startswith(f"Gold: the data root {tmp_path / 'root'}.\n\n| metric | data (rows) |")
    assert f"1 rows compared; {exit_status} differ by more than 1e-09" in page
    assert f"**Not run: seqeval {OLD} and {NEW}; pip could not fetch it.**" in page


def test_a_mock_submission_that_is_missing_is_named(tmp_path: Path) -> None:
    lines, count = table.mock_submission_table(tmp_path / "absent")
    assert lines == [
        f"**Not run: XTREME's mock submission, which is not at {tmp_path / 'absent'}.**"
    ]
    assert count == 0


def test_figures_of_the_mock_submission_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One figure differs, one is missing, and one is too many."""
    official = {"all_task": 50.0, "xnli": {"accuracy": {"de": 40.0, "en": 60.0}}}
    ours = {"all_task": 50.0, "xnli": {"accuracy": {"de": 41.0, "fr": 60.0}}}
    for version in (OLD, NEW):
        path = tmp_path / f"official_scores.seqeval-{version}.json"
        path.write_text(json.dumps(official))
    monkeypatch.setattr(jx, "score_xtreme", lambda *folders, seqeval: ours, raising=False)
    lines, count = table.mock_submission_table(tmp_path)
    assert lines[2:] == [
        f"| seqeval {OLD} | 3 | 1 | inf |",
        f"| seqeval {NEW} | 3 | 1 | inf |",
    ]
    assert count == 6


@pytest.mark.skipif(not PAGE.is_file(), reason="the docs are not here")
def test_the_page_names_the_command_and_has_the_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert "python -m tests.parity" in page
    assert "\n".join(table.HEADER) in page
