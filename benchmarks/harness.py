"""What the benchmarks share: flags, turns, ratios, tables, results, measurements in a process of
their own.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"  # slices of real datasets and small encoders, where there are some
RESULTS = Path(__file__).parent / "results"
T = TypeVar("T")


# --- flags ----------------------------------------------------------------------------------------


def parser(description: str | None, *, repeat: int = 3) -> argparse.ArgumentParser:
    """Make a parser with the flags that every benchmark has.

    Args:
        description: The benchmark's docstring.
        repeat: The default of --repeat.
    """
    flags = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add_argument("--repeat", type=int, default=repeat, help="turns of each alternative")
    flags.add_argument("--threads", type=int, default=2)
    flags.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON file")
    return flags


def add_data_flags(flags: argparse.ArgumentParser) -> None:
    """Add the flags of a benchmark that reads real rows."""
    flags.add_argument("--tokenizer", default=str(SHARED / "models" / "tiny-xlm"))
    flags.add_argument("--data-root", type=Path, default=SHARED / "hub")


def add_encoder_flags(flags: argparse.ArgumentParser, *, layers: int, hidden: int) -> None:
    """Add the size of a random encoder.

    Args:
        flags: The parser that gets the flags.
        layers: The default number of layers.
        hidden: The default hidden size.
    """
    flags.add_argument("--layers", type=int, default=layers)
    flags.add_argument("--hidden", type=int, default=hidden)


# --- machine --------------------------------------------------------------------------------------


def machine() -> str:
    """Describe the machine: processors, threads, versions, date."""
    import torch  # here: benchmarks of memory measure processes without torch

    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        model_lines = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        if model_lines:
            processor = f"{len(model_lines)} x {model_lines[0].partition(':')[2].strip()}"
    if torch.cuda.is_available():
        processor = f"{torch.cuda.get_device_name()}, {processor}"
    return (
        f"{processor}, {torch.get_num_threads()} threads; Python {platform.python_version()}, "
        f"torch {version('torch')}, transformers {version('transformers')}; {date.today()}"
    )


def matmul_rate(
    dtype: Any = None, size: int | None = None, times: int = 15, device: str = "cpu"
) -> float:
    """Measure the floating-point operations per second of a square matrix product.

    Args:
        dtype: A torch dtype; float32 if None.
        size: Rows of the matrices; 1,024, and 8,192 on a GPU, which a small product would not fill.
        times: Products; the result is their median.
        device: A torch device.
    """
    import torch

    on_gpu = torch.device(device).type == "cuda"
    size = size or (8192 if on_gpu else 1024)
    left = torch.randn(size, size, device=device).to(dtype or torch.float32)
    right = torch.randn(size, size, device=device).to(dtype or torch.float32)
    seconds = []
    for _ in range(times + 2):
        started = time.perf_counter()
        left @ right
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / statistics.median(seconds[2:])


# --- measuring ------------------------------------------------------------------------------------


def take_turns(
    alternatives: Mapping[str, Callable[[int], T]], steps: int, *, repeat: int, warm_up: int = 2
) -> dict[str, list[T]]:
    """Run every alternative for `warm_up` steps, then all of them in turn, `repeat` times.

    Every other turn goes backwards, so that none always runs after the same one.

    Args:
        alternatives: Name -> a function of the number of steps.
        steps: Steps of a turn.
        repeat: Turns of each alternative.
        warm_up: Steps before the first turn.

    Returns:
        Name -> the results of its turns.
    """
    for run in alternatives.values():
        run(min(warm_up, steps))
    results: dict[str, list[T]] = {name: [] for name in alternatives}
    for turn in range(repeat):
        for name in list(alternatives)[:: -1 if turn % 2 else 1]:
            gc.collect()
            results[name].append(alternatives[name](steps))
    return results


def clocked(run: Callable[[], Any]) -> Callable[[int], float]:
    """Make an alternative for `take_turns` that returns the seconds of one run."""

    def timed(_: int) -> float:
        started = time.perf_counter()
        run()
        return time.perf_counter() - started

    return timed


def peak_memory() -> int:
    """The most memory that this process has held so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def in_new_process(
    arguments: Sequence[str], *, environment: Mapping[str, str] | None = None, failure: str = ""
) -> dict[str, Any]:
    """Run the benchmark again in a process of its own, whose peak memory is its own.

    Args:
        arguments: Its command line; the process prints a JSON object as its last line.
        environment: Variables to add.
        failure: What to say if it fails.

    Returns:
        The JSON object.

    Raises:
        SystemExit: The process failed.
    """
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    completed = subprocess.run(
        [sys.executable, *arguments],
        env={**variables, **(environment or {})},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if completed.returncode:
        raise SystemExit(failure or f"{' '.join(arguments)} failed.")
    figures: dict[str, Any] = json.loads(completed.stdout.splitlines()[-1])
    return figures


# --- results --------------------------------------------------------------------------------------


def ratio(ours: Sequence[float], peer: Sequence[float]) -> tuple[float, float, float]:
    """Divide turn by turn.

    Args:
        ours: (turns,) figures.
        peer: (turns,) figures of the other side.

    Returns:
        Median, smallest and largest of the ratios.
    """
    ratios = [one / other for one, other in zip(ours, peer, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def format_ratio(spread: tuple[float, float, float]) -> str:
    """Write a median with its range."""
    median, smallest, largest = spread
    return f"{median:.2f} ({smallest:.2f} to {largest:.2f})"


def write(
    name: str,
    options: Mapping[str, Any],
    records: Sequence[Mapping[str, Any]],
    folder: Path = RESULTS,
) -> Path:
    """Write measurements, with the machine and the options, to `folder/name.json`.

    Args:
        name: The benchmark.
        options: Its flags.
        records: What was measured.
        folder: Made if it is missing.

    Returns:
        The path of the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    document = {"machine": machine(), "options": dict(options), "records": list(records)}
    path.write_text(json.dumps(document, indent=1, default=str) + "\n", encoding="utf-8")
    return path


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Write a Markdown table.

    Args:
        header: Names of the columns.
        rows: Cells.
    """
    return body([header, ["---"] * len(header), *rows])


def body(rows: Iterable[Sequence[Any]]) -> str:
    """Write lines of a Markdown table."""
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in rows)
