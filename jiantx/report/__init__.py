"""Scores of runs: averages, comparisons with a baseline, benchmarks, tables, files and pictures."""

from jiantx.report.benchmark import Benchmark, Leaderboard
from jiantx.report.comparison import Cell, Comparison, Row, interval
from jiantx.report.groups import GroupTables
from jiantx.report.report import Report
from jiantx.report.scores import MAIN, Score, Tag, TagSet
from jiantx.report.tables import markdown_table, text_table

__all__ = [
    "MAIN",
    "Benchmark",
    "Cell",
    "Comparison",
    "GroupTables",
    "Leaderboard",
    "Report",
    "Row",
    "Score",
    "Tag",
    "TagSet",
    "interval",
    "markdown_table",
    "text_table",
]
