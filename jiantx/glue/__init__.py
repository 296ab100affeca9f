"""Files for the GLUE and SuperGLUE leaderboards, and a scorer of files where labels are public."""

from jiantx.glue.score import score_glue, score_superglue
from jiantx.glue.write import write_glue_predictions, write_superglue_predictions

__all__ = [
    "score_glue",
    "score_superglue",
    "write_glue_predictions",
    "write_superglue_predictions",
]
