"""Several ranks, each a child of this process.

What a launcher does besides (it ends a job of which one rank died) is tested with the launcher.
"""

from __future__ import annotations

import os
import signal
import socket
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.state import AcceleratorState, GradientState
from forks import fork

DEADLINE = 300.0  # seconds


def run_on_ranks(number: int, folder: Path, *jobs: Callable[[Path], None]) -> None:
    """Run some functions on every rank, one after the other.

    Args:
        number: How many ranks.
        folder: What each function is given.
        *jobs: The functions.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    children = [_start_rank(rank, number, port, folder, jobs) for rank in range(number)]
    failed = _wait_for(children)
    errors = [_error_file(folder, rank) for rank in range(number)]
    texts = [path.read_text(encoding="utf-8") for path in errors if path.exists()]
    assert not failed, "\n".join(text[-5000:] for text in texts) or f"ranks {failed} ended"


def _start_rank(
    rank: int, number: int, port: int, folder: Path, jobs: tuple[Callable[[Path], None], ...]
) -> int:
    def run_jobs() -> None:
        os.environ |= {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(number),
            "LOCAL_WORLD_SIZE": str(number),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "OMP_NUM_THREADS": "1",
            "ACCELERATE_USE_CPU": "true",
        }
        warnings.resetwarnings()
        for state in (AcceleratorState, PartialState, GradientState):
            state._reset_state()
        PartialState(cpu=True)
        for job in jobs:
            job(folder)
        # a rank that ends alone may abort the other, whose threads still wait for it
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()

    return fork(run_jobs, _error_file(folder, rank))


def _error_file(folder: Path, rank: int) -> Path:
    return folder / f"rank{rank}.error"


def _wait_for(children: list[int]) -> list[int]:
    """The ranks that failed; when one does, the others are ended."""
    waiting = dict(enumerate(children))
    failed: list[int] = []
    end = time.monotonic() + DEADLINE
    while waiting:
        for rank, child in list(waiting.items()):
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                del waiting[rank]
                failed += [rank] if status else []
        if failed or time.monotonic() > end:
            for child in waiting.values():
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            return failed or list(waiting)
        time.sleep(0.01)
    return failed
