"""The page of results compares rows seed by seed, and lists what was changed and what failed."""

from __future__ import annotations

from dataclasses import replace
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


def write_page(folder: Path, records: list[jx.Score], targets: tuple[str, ...] = ("xnli",)) -> str:
    jx.experiments.write_results_page(
        jx.Report(records),
        [get_task(name) for name in targets],
        jx.experiments.Stages(folder, []),
        folder,
        splits=["validation"],
        command="python program.py",
    )
    return (folder / "report.md").read_text(encoding="utf-8")


def test_changed_rows_and_failed_runs_are_listed(tmp_path: Path) -> None:
    records = []
    for seed in (1, 2):
        records.append(score("none", seed, 70.0))
        records.append(score("none", seed, 70.0 * seed - 40, "mnli", DEVELOPMENT))
        records.append(score("none", seed, 33.0, "mnli", CHANCE))
        records.append(score("none", seed, 10.0 + seed, "mnli", "truncated", split="train"))
    page = write_page(tmp_path, records)
    assert "- mnli train en: text cut off in up to 12 of 100 inputs" in page
    assert "- fine-tuning on mnli after `none`: seed 1 (30.0; chance 33.0)\n" in page
    assert "| none | 70.0 ‡ | 70.0 ‡ |" in page, "the headline table says it, too"
    assert (tmp_path / "report.json").exists() and (tmp_path / "timings.json").exists()


def test_the_page_begins_with_what_it_says_and_what_was_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = []
    for seed in (1, 2, 3):
        for language in ("en", "de"):
            records.append(score("none", seed, 70.0, language=language))
            records.append(score("mnli", seed, 75.0 + seed / 10, language=language))
    page = write_page(tmp_path, records)
    best = "Shown to be better than `none` on average"
    positions = [
        page.index(text) for text in (best, "## What was run", "## By target (validation)")
    ]
    assert positions == sorted(positions)
    assert best in capsys.readouterr().out
    assert "| mnli | +5.2 ± 0.2 * | +5.2 ± 0.2 * |" in page
    assert "Trained on the same rows twice: xnli after `mnli`" in page
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert html.count("<img alt=") == 3 and 'alt=""' not in html
    assert "http" not in html.replace("https://", "", 0) or 'src="http' not in html


def test_a_target_that_no_run_learned_is_left_out_of_means(tmp_path: Path) -> None:
    records = []
    for row, gain in (("none", 0.0), ("mnli", 5.0)):
        for seed in (1, 2):
            records.append(score(row, seed, 70.0 + gain + seed / 10 * gain))
            records.append(score(row, seed, 70.0 + gain, "mnli", DEVELOPMENT))
            records.append(score(row, seed, 33.0, "mnli", CHANCE))
            records.append(score(row, seed, 2.0, "xquad"))
            records.append(score(row, seed, 0.0, "squad_v1", DEVELOPMENT))
            records.append(score(row, seed, 0.0, "squad_v1", CHANCE))
    page = write_page(tmp_path, records, ("xnli", "xquad"))
    assert "**No run learned xquad** (see Runs that failed)" in page
    assert "- fine-tuning on squad_v1 after `none`: seed 1 (0.0; chance 0.0), seed 2" in page
    assert "Not judged" not in page and "| row | xnli | average |" in page
    for index, record in enumerate(records):
        if record.task == "squad_v1" and record.metric == DEVELOPMENT:
            records[index] = replace(record, value=20.0 * (record.tags["intermediate"] == "mnli"))
    page = write_page(tmp_path, records, ("xnli", "xquad"))
    assert "**No run of the row `none` learned xquad** (see" in page
    assert "After `mnli`, a run learned it." in page and "| row | xnli | average |" in page
    # a row alone that failed is not judged
    for index, record in enumerate(records):
        if record.task == "squad_v1" and record.metric == DEVELOPMENT:
            records[index] = replace(record, value=20.0 * (record.tags["intermediate"] == "none"))
    page = write_page(tmp_path, records, ("xnli", "xquad"))
    assert "No run of" not in page and "Not judged" in page and "| row | xnli | xquad |" in page
