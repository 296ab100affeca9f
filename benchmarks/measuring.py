"""Measure time and memory: turns, processes, tables, and the arguments that all benchmarks share.

torch is imported where it is needed, because some benchmarks measure processes without it.
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
SHARED = ROOT.parent / "shared"  # slices of the data sets and a tokenizer, where there are any
RESULTS = Path(__file__).parent / "results"
Result = TypeVar("Result")


# --- Arguments --------------------------------------------------------------------------------


def argument_parser(description: str | None, *, repeat: int | None = 3) -> argparse.ArgumentParser:
    """Return a parser of the arguments that all benchmarks have.

    Args:
        description: The docstring of the benchmark.
        repeat: The default of --repeat; None for no such flag.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if repeat is not None:
        parser.add_argument("--repeat", type=int, default=repeat, help="turns of each alternative")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON files")
    return parser


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --data-root and --tokenizer, by default those beside the repository."""
    parser.add_argument("--data-root", type=Path, default=SHARED / "hub")
    parser.add_argument("--tokenizer", default=str(SHARED / "models" / "tiny-xlm"))


def add_size_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --layers and --hidden of an encoder with random weights."""
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=384)


def add_encoder_argument(parser: argparse.ArgumentParser) -> None:
    """Add --encoder, which `parse_options` reads."""
    parser.add_argument(
        "--encoder",
        help="Hub id or folder of a real encoder, for --tokenizer, --layers and --hidden",
    )


def parse_options(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None
) -> argparse.Namespace:
    """Read the command line; exit with a message if --encoder is contradicted.

    Args:
        parser: With the arguments of a benchmark.
        arguments: The command line; that of this process if None.

    Returns:
        The options. With --encoder, `tokenizer`, `layers`, `depth`, `hidden` and `vocabulary`,
        where the benchmark has them, are those of the encoder.
    """
    options = parser.parse_args(arguments)
    if options.encoder is None:
        return options
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(options.encoder)
    values = {
        "tokenizer": options.encoder,
        "layers": config.num_hidden_layers,
        "depth": config.num_hidden_layers,
        "hidden": config.hidden_size,
        "vocabulary": config.vocab_size,
    }
    for name, value in values.items():
        if hasattr(options, name):
            if getattr(options, name) != parser.get_default(name):
                parser.error(f"--{name} contradicts --encoder, which has its own. Leave out one.")
            setattr(options, name, value)
    return options


def set_data_root(data_root: Path, folder: str, train_examples: int = 2500) -> str:
    """Read data from `data_root`, or else from the artificial world.

    Args:
        data_root: Folder of real data sets; it need not exist.
        folder: Where the artificial data sets are written if it does not.
        train_examples: How many training rows the artificial data sets have.

    Returns:
        A sentence that says which data are read.
    """
    import jiantx as jx
    from jiantx import synthetic

    if data_root.is_dir():
        jx.data_root(data_root)
    else:
        jx.data_root(synthetic.write_root(Path(folder) / "root", train_examples=train_examples))
    if data_root == SHARED / "hub" and data_root.is_dir():
        return "Rows: real, of ../shared/hub."
    return f"Rows: of {jx.data_root()}."


# --- The machine ------------------------------------------------------------------------------


def machine() -> str:
    """Describe what ran the benchmark: processors, threads, versions, date."""
    import torch

    name = platform.processor() or platform.machine()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.is_file():
        lines = cpu_info.read_text(encoding="utf-8").splitlines()
        models = [line.partition(":")[2].strip() for line in lines if "model name" in line]
        name = f"{len(models)} x {models[0]}" if models else name
    if torch.cuda.is_available():
        name = f"{torch.cuda.get_device_name()}, {name}"
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{package} {version(package)}" for package in ("torch", "transformers", "numpy")]
    return f"{name}, {torch.get_num_threads()} threads; {', '.join(versions)}; {date.today()}"


def matmul_rate(
    dtype: Any = None, size: int | None = None, times: int = 15, device: str = "cpu"
) -> float:
    """Measure floating-point operations per second of a square matrix product.

    Args:
        dtype: A torch type, by default float32.
        size: Rows of the matrices, by default 1,024; on a GPU 8,192, which a small product would
            not fill.
        times: How many products are measured.
        device: Name of a torch device.

    Returns:
        The median rate.
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


# --- Turns ------------------------------------------------------------------------------------


def in_turns(names: Iterable[str], repeat: int) -> Iterable[str]:
    """Yield all names `repeat` times; every other time backwards.

    None always runs after the same one, then.
    """
    order = list(names)
    for turn in range(repeat):
        yield from reversed(order) if turn % 2 else order


def take_turns(
    alternatives: Mapping[str, Callable[[int], Result]],
    steps: int,
    *,
    repeat: int,
    warm_up: int = 2,
) -> dict[str, list[Result]]:
    """Run every alternative to warm up, and then all of them in turn.

    Args:
        alternatives: Name -> function of a number of steps.
        steps: Steps of each turn.
        repeat: Turns of each alternative.
        warm_up: Steps of the warm-up, at most `steps`.

    Returns:
        Name -> the results of its turns.
    """
    for run in alternatives.values():
        run(min(warm_up, steps))
    results: dict[str, list[Result]] = {name: [] for name in alternatives}
    for name in in_turns(alternatives, repeat):
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


Ratio = tuple[float, float, float]  # median, least and most over turns


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Ratio:
    """Divide turn by turn.

    Returns:
        The median, the least and the most of the ratios.
    """
    ratios = [top / bottom for top, bottom in zip(numerators, denominators, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def format_ratio(median_and_range: Ratio) -> str:
    """Write a ratio and its range: "1.20 (1.10 to 1.31)"."""
    median, lowest, highest = median_and_range
    return f"{median:.2f} ({lowest:.2f} to {highest:.2f})"


# --- Processes and their memory ---------------------------------------------------------------


def measure_apart(
    program: str, arguments: Sequence[str], *, failure: str, **environment: str
) -> dict[str, Any]:
    """Run a program in a process of its own, so that its peak memory is its own.

    Args:
        program: Path of the program, usually `__file__`.
        arguments: Its arguments, which ask it for one measurement.
        failure: What the error says if the program fails.
        **environment: Environment variables, beside those of this process.

    Returns:
        The JSON object in the last line that the program printed.

    Raises:
        SystemExit: If the program fails.
    """
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    process = subprocess.run(
        [sys.executable, program, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if process.returncode:
        raise SystemExit(failure)
    figures: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return figures


def peak_memory() -> int:
    """Return the most memory, in bytes, that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# --- Results ----------------------------------------------------------------------------------


def write_results(
    name: str, options: argparse.Namespace, records: Iterable[Mapping[str, Any]]
) -> Path:
    """Write measurements, the machine and the options into the folder --results.

    Args:
        name: Name of the file, without the suffix.
        options: The options of the benchmark.
        records: The measurements.

    Returns:
        Path of the file.
    """
    options.results.mkdir(parents=True, exist_ok=True)
    path: Path = options.results / f"{name}.json"
    results = {"machine": machine(), "options": vars(options), "records": list(records)}
    path.write_text(json.dumps(results, indent=1, default=str) + "\n", encoding="utf-8")
    return path


def table(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    """Write a Markdown table.

    Args:
        header: Names of the columns.
        lines: Values of each line; none to write the head alone, and lines as they are measured.
    """
    return table_lines([header, ["---"] * len(header), *lines])


def table_lines(lines: Iterable[Sequence[Any]]) -> str:
    """Write lines of a Markdown table."""
    return "\n".join(f"| {' | '.join(map(str, values))} |" for values in lines)
