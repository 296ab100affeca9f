"""Edge probing's micro-F1 equals its restatement, with the exceptions for coreference and roles."""

from __future__ import annotations

import random
from typing import Any

from . import edges
from .comparison import differing


def test_edge_probing_scores(tokenizer: Any) -> None:
    comparisons = list(edges.comparisons(random.Random(0), tokenizer))
    assert [comparison.metric for comparison in comparisons] == [
        "micro_f1",
        "micro_f1",
        "clean_micro_f1",
        "f1_1",
    ]
    assert not differing(comparisons)
    assert all(20 < comparison.ours < 95 for comparison in comparisons), "the noise is noise"
