"""Whole experiments: the table of a recipe as stages that run once, its costs, its results.

Nothing else of jiantx imports this package.
"""

from jiantx.experiments.available_data import available_rows, available_targets
from jiantx.experiments.cells import Cell
from jiantx.experiments.command_line import parse_arguments, recipe_from_options
from jiantx.experiments.costs import Cost, Costs, estimate_costs
from jiantx.experiments.html_page import Page
from jiantx.experiments.presets import PRESETS, ROWS
from jiantx.experiments.recipe import Recipe
from jiantx.experiments.recipe_program import run_recipe
from jiantx.experiments.results_page import best_table, write_results_page
from jiantx.experiments.rows import BASELINE, default_learning_rate, joint_sampling, parse_row
from jiantx.experiments.selection import (
    CHANCE,
    DEVELOPMENT,
    best_rows,
    failed_runs,
    judged_scores,
    training_name,
    without_failed,
)
from jiantx.experiments.significance import (
    Interval,
    format_interval,
    format_paired,
    significance_sentence,
    split_by_sign,
)
from jiantx.experiments.speed import measured_seconds, parameter_count, step_seconds
from jiantx.experiments.stages import Stage, Stages, fingerprint, shard

__all__ = [
    "BASELINE",
    "CHANCE",
    "Cell",
    "Cost",
    "Costs",
    "DEVELOPMENT",
    "Interval",
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
    "judged_scores",
    "fingerprint",
    "format_interval",
    "format_paired",
    "joint_sampling",
    "measured_seconds",
    "parameter_count",
    "parse_arguments",
    "parse_row",
    "recipe_from_options",
    "run_recipe",
    "shard",
    "significance_sentence",
    "split_by_sign",
    "step_seconds",
    "training_name",
    "without_failed",
    "write_results_page",
]
