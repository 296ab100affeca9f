"""ReCoRD's scores equal the rules of its script, restated."""

from __future__ import annotations

import random

import pytest

from . import record
from .comparison import differing
from .gold import REAL_SLICES


def test_made_up_entities_equal_the_restated_rules() -> None:
    rng = random.Random(0)
    comparisons = list(record.record_comparisons("made up", rng, record.made_up_rows(rng, 300)))
    assert all(5 < row.independent < 95 for row in comparisons)
    assert not differing(comparisons)


@pytest.mark.skipif(not REAL_SLICES.is_dir(), reason=f"no real slices at {REAL_SLICES}")
@pytest.mark.usefixtures("gold")
def test_real_rows_equal_the_restated_rules() -> None:
    comparisons = list(record.comparisons(random.Random(1)))
    assert len(comparisons) == 6
    assert all(row.independent < 95 for row in comparisons)
    assert not differing(comparisons)
