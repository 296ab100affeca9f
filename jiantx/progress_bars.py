"""Progress bars of every library that jiantx works with: shown, or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import ClassVar


class progress(AbstractContextManager[None]):
    """Show progress bars, or none: of features, training, evaluation, recipes and downloads.

    It takes effect at once and stays. As a context manager, it ends with the block. Logs and
    warnings are not bars; `transformers.utils.logging.set_verbosity_error()` silences them.

    Args:
        show: Whether bars are shown.

    >>> with progress(False):
    ...     are_bars_hidden()
    True
    """

    _own_bars: ClassVar[bool] = True  # of trainings, of stages and of the artificial world

    def __init__(self, show: bool = True) -> None:
        self._before = _current()
        _set(show, show, show)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _set(*self._before)


def without_bars(disable: bool) -> AbstractContextManager[None]:
    """Show no progress bars inside the block, if they are to be disabled.

    Args:
        disable: As `TrainingArguments.disable_tqdm`.
    """
    return progress(False) if disable else nullcontext()


@contextmanager
def without_weight_bars() -> Iterator[None]:
    """Show no bar of the weights that transformers loads or saves, which takes a second."""
    from transformers.utils import logging

    shows_bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shows_bars:
            logging.enable_progress_bar()


def are_bars_hidden() -> bool:
    """Whether `progress(False)` is in force: for bars that no library's own switch hides."""
    return not progress._own_bars


def _current() -> tuple[bool, bool, bool]:
    """Whether bars are shown: those without a switch, those of transformers, those of datasets."""
    import datasets
    from transformers.utils import logging

    transformers_bars = logging.is_progress_bar_enabled()  # and jiantx's own, and the Hub's
    return progress._own_bars, transformers_bars, not datasets.are_progress_bars_disabled()


def _set(own: bool, transformers: bool, datasets: bool) -> None:
    """Show bars, or not; see `_current`."""
    from datasets import disable_progress_bars, enable_progress_bars
    from transformers.utils import logging

    _, transformers_before, datasets_before = _current()
    progress._own_bars = own
    # only what changes: a library warns where an environment variable decides
    if transformers and not transformers_before:
        logging.enable_progress_bar()
    elif transformers_before and not transformers:
        logging.disable_progress_bar()
    if datasets and not datasets_before:
        enable_progress_bars()
    elif datasets_before and not datasets:
        disable_progress_bars()
