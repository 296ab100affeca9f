"""Folders are whole or absent."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from jiantx import checkpoints
from jiantx.checkpoints import (
    MANIFEST,
    exclusive_writer,
    find_problem,
    latest_checkpoint,
    rotate,
    write_json,
    write_manifest,
)


def folder_of(path: Path, **files: str) -> Path:
    for name, text in {"a.txt": "first", "deep/b.bin": "second", **files}.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    write_manifest(path)
    return path


def test_whole(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "x")
    assert find_problem(folder) is None and find_problem(folder, verify="full") is None
    listed = json.loads((folder / MANIFEST).read_text())["files"]
    assert list(listed) == ["a.txt", "deep/b.bin"] and listed["a.txt"]["size"] == 5


def test_what_is_wrong(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "x")
    (folder / "a.txt").write_text("other")
    assert find_problem(folder) == "a.txt has changed"
    (folder / "a.txt").write_text("fir")
    assert find_problem(folder) == "a.txt has 3 bytes instead of 5"
    (folder / "a.txt").unlink()
    assert find_problem(folder) == "a.txt is missing"
    (folder / MANIFEST).write_text("{")
    assert find_problem(folder) == "its manifest is no manifest"
    (folder / MANIFEST).write_text('{"files": {"a.txt": {}}}')
    (folder / "a.txt").write_text("first")
    assert find_problem(folder) == "its manifest is no manifest"
    (folder / MANIFEST).unlink()
    assert find_problem(folder) == "it was not finished (no manifest)"
    (folder / MANIFEST).mkdir()
    assert "it cannot be read ([Errno 21] Is a directory" in str(find_problem(folder))
    assert find_problem(tmp_path / "nothing") == "it was not finished (no manifest)"


def test_large_files_are_hashed_on_demand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path / "x")
    (folder / "a.txt").write_text("other")
    monkeypatch.setattr(checkpoints, "_HASHED", 4)
    assert find_problem(folder) is None
    assert find_problem(folder, verify="full") == "a.txt has changed"


def test_leftovers_are_no_part(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "x", **{"c.tmp": "half", "d.lock": ""})
    assert list(json.loads((folder / MANIFEST).read_text())["files"]) == ["a.txt", "deep/b.bin"]
    (folder / "more.txt").write_text("a file that came later")
    assert find_problem(folder) is None


def test_newest(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) == (None, [])
    for step in (2, 9, 10):
        folder_of(tmp_path / f"checkpoint-{step}")
    (tmp_path / "checkpoint-final").mkdir()
    (tmp_path / "checkpoint-11").mkdir()
    unfinished = (tmp_path / "checkpoint-11", "it was not finished (no manifest)")
    assert latest_checkpoint(tmp_path) == (tmp_path / "checkpoint-10", [unfinished])
    (tmp_path / "checkpoint-10" / "a.txt").write_text("")
    path, passed = latest_checkpoint(tmp_path)
    assert path == tmp_path / "checkpoint-9"
    assert passed == [unfinished, (tmp_path / "checkpoint-10", "a.txt has 0 bytes instead of 5")]
    assert [p.name for p in checkpoints.checkpoints(tmp_path)] == [
        f"checkpoint-{i}" for i in (2, 9, 10, 11)
    ]


def test_a_second_run_s_checkpoints_are_the_newer_ones(tmp_path: Path) -> None:
    """However few its steps: or it would be resumed from the first run's, and its own would be
    deleted.
    """
    for step in (4, 8, 2):
        folder_of(tmp_path / f"checkpoint-{step}")
    assert latest_checkpoint(tmp_path) == (tmp_path / "checkpoint-2", [])
    rotate(tmp_path, 1, None)
    assert checkpoints.checkpoints(tmp_path) == [tmp_path / "checkpoint-2"]


def test_a_folder_has_one_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "_PATIENCE", 0)
    with exclusive_writer(tmp_path / "run"):
        second = exclusive_writer(tmp_path / "run")
        with (
            pytest.raises(
                RuntimeError, match=r"Another process is writing to .*run\. Give this one"
            ),
            second,
        ):
            pytest.fail("there are two")
        with exclusive_writer(tmp_path / "other"):
            pass
    with exclusive_writer(tmp_path / "run"):
        pass


@pytest.mark.parametrize(
    ("keep", "best", "left"),
    [
        (None, None, {2, 4, 6, 8, 9}),
        (0, None, {2, 4, 6, 8, 9}),
        (-1, None, {2, 4, 6, 8, 9}),
        (1, None, {8, 9}),
        (2, "checkpoint-4", {4, 6, 8, 9}),
        (2, "checkpoint-8", {6, 8, 9}),
        (7, None, {2, 4, 6, 8, 9}),
    ],
)
def test_rotation(keep: int | None, best: str | None, left: set[int], tmp_path: Path) -> None:
    for step in (2, 4, 6, 8):
        folder_of(tmp_path / f"checkpoint-{step}")
    (tmp_path / "checkpoint-9").mkdir()  # one that is being written does not count, and stays
    rotate(tmp_path, keep, str(tmp_path / best) if best else None)
    assert {int(path.name.split("-")[1]) for path in tmp_path.iterdir()} == left


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"b": 1, "a": "ä"})
    first = path.read_bytes()
    assert first.decode() == '{\n "a": "ä",\n "b": 1\n}\n'
    write_json(path, {"a": "ä", "b": 1})
    assert path.read_bytes() == first
    for value in ({"a": object()}, {"a": math.nan}):
        with pytest.raises((TypeError, ValueError)):
            write_json(path, value)
    assert path.read_bytes() == first and list(tmp_path.iterdir()) == [path]
