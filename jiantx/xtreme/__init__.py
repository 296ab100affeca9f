"""Files for the XTREME leaderboards, and a scorer equal to Google's `evaluate.py`."""

from jiantx.xtreme.score import score_xtreme
from jiantx.xtreme.write import write_xtreme_predictions

__all__ = ["score_xtreme", "write_xtreme_predictions"]
