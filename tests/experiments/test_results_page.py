"""The page of results compares rows seed by seed, and lists what was changed and what failed."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipe_fixtures import score

import jiantx as jx
from jiantx.experiments import CHANCE, DEVELOPMENT
from jiantx.tasks import get_task


def test_best_rows_are_compared_over_the_seeds_that_both_have() -> None:
    baseline = [score("none", 1, 70.0), score("none", 2, 72.0), score("none", 3, 50.0)]
    report = jx.Report([*baseline, score("mnli", 1, 71.0), score("mnli", 2, 73.5)])
    table = jx.experiments.best_table(report, {"xnli": "mnli"})
    assert "| xnli | mnli | 71.0 | 72.2 | +1.2 ± 3.2 |" in table
    assert "| **average** | | 71.0 | 72.2 | +1.2 ± 3.2 |" in table


def test_changed_rows_and_failed_runs_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jx.Comparison, "plot", lambda *arguments: None)
    monkeypatch.setattr(jx.Report, "plot_gaps", lambda *arguments: None)
    records = []
    for seed in (1, 2):
        records.append(score("none", seed, 70.0))
        records.append(score("none", seed, 70.0 * seed - 40, "mnli", DEVELOPMENT))
        records.append(score("none", seed, 33.0, "mnli", CHANCE))
        records.append(score("none", seed, 10.0 + seed, "mnli", "truncated", split="train"))
    for picture in ("targets", "languages", "gaps"):
        (tmp_path / f"validation-{picture}.png").write_bytes(b"")
    jx.experiments.write_results_page(
        jx.Report(records),
        [get_task("xnli")],
        jx.experiments.Stages(tmp_path, []),
        tmp_path,
        splits=["validation"],
        command="python program.py",
    )
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "- mnli train en: text cut off in 11 to 12 of 100 inputs" in page
    assert "- none, seed 1: mnli" in page and "- none, seed 2: mnli" not in page
    assert (tmp_path / "report.json").exists() and (tmp_path / "timings.json").exists()
