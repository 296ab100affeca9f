"""Figures that notebooks show. Imported only where a picture is drawn: it needs matplotlib."""

import io
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure


class ShownFigure(Figure):
    """A figure that belongs to no window, so that nothing must be closed, and notebooks show."""

    def savefig(self, fname: Any, **options: Any) -> None:
        """Save the figure as matplotlib does; without an option, nothing at its edges is cut off.

        Args:
            fname: A path or a file.
            **options: Of matplotlib's `savefig`.
        """
        super().savefig(fname, **{"bbox_inches": "tight", "pad_inches": 0.12, **options})

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        with style.context("default"):  # whatever this machine's matplotlibrc says
            self.savefig(buffer, format="png", dpi=100)
        return buffer.getvalue()
