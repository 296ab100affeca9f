"""Metrics: pure functions of (predictions, references), on 0–100, equal to the official scorers.

An undefined value (no examples, the correlation of a constant, F1 without any positive) is
`math.nan`, never 0.
"""

from jiantx.metrics.answers import (
    Answer,
    Answers,
    best_exact_match,
    best_f1,
    exact_match,
    mlqa_exact_match,
    mlqa_f1,
    squad_f1,
    squad_v2_exact,
    squad_v2_f1,
)
from jiantx.metrics.base import (
    Metric,
    check_metrics,
    mean_of_metrics,
    metric_name,
    named,
)
from jiantx.metrics.labels import accuracy, f1_of, micro_f1, micro_f1_of, pearson, spearman
from jiantx.metrics.rankings import (
    Rankings,
    accuracy_at_1,
    best_threshold,
    mean_average_precision,
    mean_reciprocal_rank,
    mined_f1,
    mined_precision,
    mined_recall,
)
from jiantx.metrics.tag_schemes import Scheme
from jiantx.metrics.tagging import (
    CHUNK_METRICS,
    ChunkScores,
    Tags,
    chunk_f1,
    chunk_f1_seqeval1,
    chunk_scores,
    token_accuracy,
)

__all__ = [
    "CHUNK_METRICS",
    "Answer",
    "Answers",
    "ChunkScores",
    "Metric",
    "Rankings",
    "Scheme",
    "Tags",
    "accuracy",
    "accuracy_at_1",
    "best_exact_match",
    "best_f1",
    "best_threshold",
    "check_metrics",
    "chunk_f1",
    "chunk_f1_seqeval1",
    "chunk_scores",
    "exact_match",
    "f1_of",
    "mean_average_precision",
    "mean_of_metrics",
    "mean_reciprocal_rank",
    "metric_name",
    "micro_f1",
    "micro_f1_of",
    "mined_f1",
    "mined_precision",
    "mined_recall",
    "mlqa_exact_match",
    "mlqa_f1",
    "named",
    "pearson",
    "spearman",
    "squad_f1",
    "squad_v2_exact",
    "squad_v2_f1",
    "token_accuracy",
]
