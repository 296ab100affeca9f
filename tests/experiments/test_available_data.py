"""The rows and targets whose data are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

import jiantx as jx


@pytest.mark.slow
def test_preset_rows_without_data_are_skipped_and_listed(
    world: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jx.data_root(jx.default_root())
    options, _ = jx.experiments.parse_arguments(["--preset", "paper"])
    assert not options.rows_given
    rows = jx.experiments.available_rows(options.intermediate, skip_missing=True)
    assert set(options.intermediate) - set(rows) == {"mnli[de,ru,sw]", "mnli[en,de,ru,sw]"}
    printed = capsys.readouterr().out
    assert "Skipped rows: mnli[de,ru,sw], mnli[en,de,ru,sw]. Task mnli" in printed


@pytest.mark.parametrize("arguments", [["--intermediate", "mnli"], []])
def test_requested_rows_without_data_are_an_error(arguments: list[str], tmp_path: Path) -> None:
    jx.data_root(tmp_path)
    options, _ = jx.experiments.parse_arguments(arguments)
    assert options.rows_given
    with pytest.raises(jx.DataError, match="Task mnli"):
        jx.experiments.available_rows(options.intermediate, skip_missing=False)


def test_rows_that_can_run_are_named_beside_those_that_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of `all`, CCGbank is not free."""

    def rows(task: jx.Task, split: str, language: str) -> None:
        if task.name == "ccg":
            raise jx.DataError("Task ccg: no file.")

    monkeypatch.setattr(jx.Task, "rows", rows)
    with pytest.raises(jx.DataError) as caught:
        jx.experiments.available_rows(["none", "mnli", "all", "ccg"], skip_missing=False)
    without_ccg = "+".join(name for name in jx.XSTILTS_INTERMEDIATE if name != "ccg")
    assert str(caught.value) == (
        "Rows lack data. all, ccg: Task ccg: no file. "
        f"Rows that can run: mnli, {without_ccg} instead of all."
    )
