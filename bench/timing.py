"""What the programs of bench/ that measure time share: the machine, turns, ratios, results."""

from __future__ import annotations

import gc
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import torch

RESULTS = Path(__file__).parent / "results"
T = TypeVar("T")


def machine() -> str:
    """What ran it: processors, threads, versions, date."""
    name, info = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.partition(":")[2].strip()
            for line in info.read_text().splitlines()
            if "model name" in line
        ]
        name = f"{len(names)} x {names[0]}" if names else name
    if torch.cuda.is_available():
        name = f"{torch.cuda.get_device_name()}, {name}"
    return (
        f"{name}, {torch.get_num_threads()} threads; Python {platform.python_version()}, torch {version('torch')}, "
        f"transformers {version('transformers')}; {date.today()}"
    )


def matmul_rate(
    dtype: torch.dtype = torch.float32,
    size: int | None = None,
    times: int = 15,
    device: str = "cpu",
) -> float:
    """Floating point operations a second of a square matrix product: the median of a few.

    size: 1,024, and 8,192 on a GPU, which a small product would not fill.
    """
    on_gpu = torch.device(device).type == "cuda"
    size = size or (8192 if on_gpu else 1024)
    one, other = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(times + 2):
        started = time.perf_counter()
        one @ other
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / statistics.median(seconds[2:])


def take_turns(
    alternatives: Mapping[str, Callable[[int], T]], steps: int, *, repeat: int, warm_up: int = 2
) -> dict[str, list[T]]:
    """Run every alternative for `warm_up` steps, then all of them in turn, `repeat` times; what each turn gave.

    Every other turn goes backwards, so that none always runs after the same one.
    """
    for run in alternatives.values():
        run(min(warm_up, steps))
    found: dict[str, list[T]] = {name: [] for name in alternatives}
    for turn in range(repeat):
        for name in list(alternatives)[:: -1 if turn % 2 else 1]:
            gc.collect()
            found[name].append(alternatives[name](steps))
    return found


def clocked(run: Callable[[], Any]) -> Callable[[int], float]:
    """An alternative for `take_turns`: the seconds of one run."""

    def timed(_: int) -> float:
        started = time.perf_counter()
        run()
        return time.perf_counter() - started

    return timed


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Median, least and most of the ratios of the turns."""
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def said(found: tuple[float, float, float]) -> str:
    return f"{found[0]:.2f} ({found[1]:.2f} to {found[2]:.2f})"


def write(
    name: str,
    options: Mapping[str, Any],
    records: Sequence[Mapping[str, Any]],
    folder: Path = RESULTS,
) -> Path:
    """Write what was measured, with the machine and the options that it was measured with."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    whole = {"machine": machine(), "options": dict(options), "records": list(records)}
    path.write_text(json.dumps(whole, indent=1, default=str) + "\n", encoding="utf-8")
    return path


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    return body([header, ["---"] * len(header), *rows])


def body(rows: Iterable[Sequence[Any]]) -> str:
    """Lines of a Markdown table."""
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in rows)
