"""The metrics of GLUE, SuperGLUE and MC-TACO equal independent computations."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import jiantx as jx

from . import glue
from .comparison import differing


@pytest.mark.usefixtures("gold")
def test_metrics_of_glue_equal_independent_computations() -> None:
    comparisons = list(glue.comparisons(random.Random(0)))
    assert len(comparisons) == 13
    assert not differing(comparisons)
    assert all(10 < row.ours < 95 for row in comparisons), "noise that a metric can tell"


def test_metrics_of_glue_without_real_rows(tmp_path: Path) -> None:
    jx.data_root(tmp_path)
    assert not differing(glue.comparisons(random.Random(0)))
