"""Scores of runs: averages, comparisons with a baseline, benchmarks, tables, files and pictures."""

from jiantx.report.benchmark import Benchmark, Leaderboard
from jiantx.report.comparison import Cell, Comparison, Row, excludes_zero, interval
from jiantx.report.confusion import ClassTable, Confusion, LabelCounts
from jiantx.report.groups import GroupTables
from jiantx.report.layers import centers_of_gravity, expected_layers, layer_weights, plot_layers
from jiantx.report.report import Report
from jiantx.report.scores import MAIN, Score, Tag, TagSet
from jiantx.report.tables import markdown_table, text_table

__all__ = [
    "MAIN",
    "Benchmark",
    "Cell",
    "ClassTable",
    "Comparison",
    "Confusion",
    "GroupTables",
    "LabelCounts",
    "Leaderboard",
    "Report",
    "Row",
    "Score",
    "Tag",
    "TagSet",
    "centers_of_gravity",
    "excludes_zero",
    "expected_layers",
    "interval",
    "layer_weights",
    "markdown_table",
    "plot_layers",
    "text_table",
]
