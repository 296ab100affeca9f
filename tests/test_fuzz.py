"""Whatever the bytes are: no error but our own, and nothing accepted that is not so.
`tests/fuzz/soak.py` for long.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import jiantx as jx

pytest.importorskip("hypothesis")
from fuzz import inputs, targets

EXAMPLES = {"decode_qa": 60, "config": 60}


@pytest.fixture(scope="module", autouse=True)
def _folder() -> Iterator[None]:
    yield
    targets.remove_folder()


@pytest.mark.parametrize("name", targets.TARGETS)
def test_any_bytes(name: str) -> None:
    assert inputs.run(targets.TARGETS[name], EXAMPLES.get(name, 200)) > 0


@pytest.mark.parametrize(
    "path", sorted(inputs.CORPUS.glob("*/*")), ids=lambda path: str(path.relative_to(inputs.CORPUS))
)
def test_cases_that_were_found(path: Path) -> None:
    targets.TARGETS[path.parent.name](path.read_bytes())


def test_every_folder_of_cases_has_its_target() -> None:
    assert {path.name for path in inputs.CORPUS.iterdir()} <= set(targets.TARGETS)


def test_a_wrong_reading_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that loses a row, and one that raises an error of its own."""
    monkeypatch.setattr(jx, "read_lines", lambda path: [])
    with pytest.raises(AssertionError):
        targets.read_lines(b"a\n")
    monkeypatch.setattr(jx, "read_jsonl", lambda path: [json.loads(path.read_text())])
    with pytest.raises(ValueError, match="Expecting"):
        targets.read_jsonl(b"{")
