"""Children of a process that has imported everything: each costs its own seconds and no more."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import torch


def fork(job: Callable[[], object], error_file: Path) -> int:
    """Start a child, which says nothing, and return its process id.

    Args:
        job: What the child does. Its exit status is 0, or 1 if it raised.
        error_file: Where the traceback goes.
    """
    child = os.fork()
    if child:
        return child
    try:
        torch.set_num_threads(1)
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        job()
    except BaseException:
        error_file.write_text(traceback.format_exc(), encoding="utf-8")
        os._exit(1)
    os._exit(0)


def wait(child: int) -> int:
    """Wait for a child: its exit status; negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
