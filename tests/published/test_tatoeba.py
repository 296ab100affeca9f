"""The published accuracies of multilingual-e5-small, by the 4-bit copy of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import jiantx as jx

from .__main__ import SLICES, UNPACK, to_markdown, unpack
from .tatoeba import PUBLISHED, LanguageScores, score

ROW = LanguageScores("sw", published=75.9, ours=73.4, plain=73.4)


@pytest.fixture
def slices() -> Iterator[None]:
    if not UNPACK.exists() or not SLICES.is_dir():
        pytest.skip("the copy of multilingual-e5-small, or the slices of Tatoeba, are not here")
    jx.data_root(SLICES)
    yield
    jx.data_root(None)


def test_the_table_shows_differences() -> None:
    assert "| sw | 75.9 | 73.4 | 73.4 | -2.5 |" in to_markdown([ROW])
    assert "| **mean** | 75.9 | 73.4 | 73.4 | -2.5 |" in to_markdown([ROW])


@pytest.mark.slow
def test_published_accuracies(slices: None, tmp_path: Path) -> None:
    """All languages with PUBLISHED=1, the smallest without."""
    languages = list(PUBLISHED) if os.environ.get("PUBLISHED") else ["jv"]
    for row in score(unpack(tmp_path / "encoder"), languages):
        assert row.ours == pytest.approx(row.plain, abs=1e-9), row.language
        assert abs(row.ours - row.published) < 8, row.language  # 4 bits a weight cost Basque 7.4
