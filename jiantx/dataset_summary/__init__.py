"""What a task's data hold: its first rows, sizes, lengths, labels, repeated rows."""

from jiantx.dataset_summary.preview import Preview, preview_rows
from jiantx.dataset_summary.summarizing import summarize
from jiantx.dataset_summary.summary import Summary

__all__ = ["Preview", "Summary", "preview_rows", "summarize"]
