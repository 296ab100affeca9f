"""The gold of the comparisons."""

from __future__ import annotations

from pathlib import Path

import pytest

import jiantx as jx

from .gold import REAL_SLICES, write_artificial_root


@pytest.fixture(scope="session")
def _gold_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if REAL_SLICES.is_dir():
        return REAL_SLICES
    return write_artificial_root(tmp_path_factory.mktemp("parity") / "root")


@pytest.fixture
def gold(_gold_root: Path) -> None:
    """Slices of the real data sets are the data root, or else the artificial world."""
    jx.data_root(_gold_root)
