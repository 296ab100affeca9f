"""Whole experiments: a recipe's table as stages that run once, what it costs, what it shows.

Stands on the roof: nothing else of jiantx imports it.
"""

from jiantx.experiments.costs import estimate_costs, parameter_count
from jiantx.experiments.html_page import Page
from jiantx.experiments.recipe import (
    Recipe,
    best_rows,
    default_learning_rate,
    failed_runs,
    parse_row,
    without_failed,
)
from jiantx.experiments.stages import Stage, Stages, fingerprint, shard

__all__ = [
    "Page",
    "Recipe",
    "Stage",
    "Stages",
    "best_rows",
    "default_learning_rate",
    "estimate_costs",
    "failed_runs",
    "fingerprint",
    "parameter_count",
    "parse_row",
    "shard",
    "without_failed",
]
