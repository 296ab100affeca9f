"""What is kept: whole or absent, under a key that says what it was made from."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from datasets import Dataset

from jiantx.cache import cache_dir, load_or_write, write_arrow, write_text
from jiantx.fingerprints import fingerprint_text


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JIANTX_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("JIANTX_CACHE")
    assert cache_dir() == Path.home() / ".cache" / "jiantx"


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.arrow"

    def tables(stop: bool) -> Iterator[pa.Table]:
        yield pa.table({"x": [1, 2]})
        if stop:
            raise KeyboardInterrupt
        yield pa.table({"x": [3]})

    with pytest.raises(KeyboardInterrupt):
        write_arrow(path, tables(True))
    assert os.listdir(path.parent) == []
    write_arrow(path, tables(False))
    assert Dataset.from_file(str(path))["x"][:] == [1, 2, 3] and os.listdir(path.parent) == [
        "rows.arrow"
    ]


def test_an_error_names_the_folder_that_is_absent(tmp_path: Path) -> None:
    """Not the temporary file, which no user knows."""
    folder = tmp_path / "tables"
    with pytest.raises(FileNotFoundError, match="no folder to write 'scores") as error:
        write_text(folder / "scores.csv", "")
    assert error.value.filename == str(folder)


def test_no_table_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no table to write to .*x\.arrow"):
        write_arrow(tmp_path / "x.arrow", [])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("left", [0, 3, -1, -8])
def test_a_file_that_was_cut_short_is_made_again(left: int, tmp_path: Path) -> None:
    """Arrow would open most of these, and lack rows."""
    path, table = tmp_path / "rows.arrow", pa.table({"x": [1, 2]})
    load_or_write(path, lambda: [table])
    path.write_bytes(path.read_bytes()[:left])
    assert load_or_write(path, lambda: [table])["x"][:] == [1, 2]
    assert load_or_write(path, lambda: pytest.fail("it is there"))["x"][:] == [1, 2]


CONSTANT = ("a", "b")


def uses(row: dict[str, str]) -> str:
    return helper(row) + CONSTANT[0]


def helper(row: dict[str, str]) -> str:
    return row["x"]


def test_a_text_is_that_of_all_that_a_function_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint_text(uses)
    assert 'row["x"]' in before and "'b'" in before, "its helpers and constants"
    monkeypatch.setitem(globals(), "CONSTANT", ("a", "c"))
    assert fingerprint_text(uses) != before
    assert fingerprint_text(functools.partial(uses)) != fingerprint_text(uses)
    assert fingerprint_text({"b": 1, "a": {3, 1, 2}}) == fingerprint_text({"b": 1, "a": {2, 3, 1}})


def test_a_text_is_the_same_in_another_process() -> None:
    code = "import json; from jiantx.fingerprints import fingerprint_text; print(json.dumps(fingerprint_text((json.dumps, {'a', 'b'}))))"
    texts = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
        ).stdout
        for env in ({**os.environ, "PYTHONHASHSEED": "1"}, {**os.environ, "PYTHONHASHSEED": "2"})
    }
    assert len(texts) == 1 and " at 0x" not in json.loads(texts.pop())
