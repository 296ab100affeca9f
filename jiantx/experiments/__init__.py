"""Whole experiments: the paper's table as stages that run once, what it costs, what it shows.

Nothing else of jiantx imports this package.
"""

from jiantx.experiments.cells import Cell
from jiantx.experiments.command_line import (
    available_rows,
    available_targets,
    parse_arguments,
    recipe_from_options,
)
from jiantx.experiments.costs import estimate_costs, measured_seconds, parameter_count
from jiantx.experiments.html_page import Page
from jiantx.experiments.presets import PRESETS, ROWS
from jiantx.experiments.recipe import Recipe
from jiantx.experiments.results_page import best_table, format_paired, write_results_page
from jiantx.experiments.rows import BASELINE, default_learning_rate, joint_sampling, parse_row
from jiantx.experiments.selection import (
    CHANCE,
    DEVELOPMENT,
    best_rows,
    failed_runs,
    without_failed,
)
from jiantx.experiments.stages import Stage, Stages, fingerprint, shard

__all__ = [
    "BASELINE",
    "CHANCE",
    "Cell",
    "DEVELOPMENT",
    "PRESETS",
    "Page",
    "ROWS",
    "Recipe",
    "Stage",
    "Stages",
    "available_rows",
    "available_targets",
    "best_rows",
    "best_table",
    "default_learning_rate",
    "estimate_costs",
    "failed_runs",
    "fingerprint",
    "format_paired",
    "joint_sampling",
    "measured_seconds",
    "parameter_count",
    "parse_arguments",
    "parse_row",
    "recipe_from_options",
    "shard",
    "without_failed",
    "write_results_page",
]
