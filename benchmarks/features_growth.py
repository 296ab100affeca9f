"""Seconds and memory of features as the data grow: NLI of 10,000 to 1,000,000 rows.

    python benchmarks/features_growth.py
    python benchmarks/features_growth.py --sizes 100000 1000000 --threads 1

Each size is measured without a cache once (cold), and then with it (warm). Every measurement is a
process of its own. The exit code is 1 if a warm run takes over 2 seconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from measuring import (
    add_data_arguments,
    add_encoder_argument,
    argument_parser,
    machine,
    measure_apart,
    parse_options,
    set_data_root,
    table,
    write_results,
)

SIZES = (10_000, 100_000, 1_000_000)
WARM_SECONDS_BAR = 2
MEMORY = ("private", "private_after", "peak", "file")
HEADER = [
    "NLI rows",
    "cache",
    "seconds (range)",
    "rows/s",
    "most private memory, MB more than before",
    "of that still held after, MB",
    "most of all memory, MB",
    "features' file, MB",
]


def main() -> int:
    """Measure all sizes; with --worker, one of them."""
    options = parse()
    if options.worker:
        print(json.dumps(measure(options.worker, options.tokenizer)))
        return 0
    records: list[dict[str, Any]] = []
    lines = []
    for size in options.sizes:
        runs = list(measure_size(options, size))
        records += runs
        for state in ("cold", "warm"):
            lines.append(table_line([run for run in runs if run["what"] == state]))
    print(f"{machine()}; {options.threads} threads of the tokenizer\n\n{table(HEADER, lines)}")
    print(f"\nWritten: {write_results('features-growth', options, records)}")
    warm_runs = [run for run in records if run["what"] == "warm"]
    return int(any(run["seconds"] > WARM_SECONDS_BAR for run in warm_runs))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argument_parser(__doc__, repeat=5)
    add_data_arguments(parser)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="rows")
    parser.add_argument("--worker", metavar="FOLDER", help=argparse.SUPPRESS)
    add_encoder_argument(parser)
    return parse_options(parser, arguments)


def measure_size(options: argparse.Namespace, size: int) -> Iterator[dict[str, Any]]:
    """Yield a cold run of a size, and then the warm ones."""
    with tempfile.TemporaryDirectory() as folder:
        write_nli(Path(folder) / "root", size, options.data_root)
        for state in ("cold", *["warm"] * options.repeat):
            figures = measure_apart(
                __file__,
                ["--worker", folder, "--tokenizer", options.tokenizer],
                failure=f"The {state} run of {size:,} rows failed.",
                JIANTX_CACHE=f"{folder}/cache",
                HF_HUB_OFFLINE="1",
                TQDM_DISABLE="1",
                RAYON_NUM_THREADS=str(options.threads),
                TOKENIZERS_PARALLELISM="true",
            )
            yield {"rows": size, "what": state, **figures}


def table_line(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write the medians of runs of one size and state."""
    size = runs[0]["rows"]
    seconds = [run["seconds"] for run in runs]
    median_seconds = statistics.median(seconds)
    time_text = f"{median_seconds:.2f}"
    if len(runs) > 1:
        time_text += f" ({min(seconds):.2f} to {max(seconds):.2f})"
    memory = []
    for figure in MEMORY:
        median = statistics.median(run[figure] for run in runs)
        memory.append(f"{median:,.0f}")
    return [f"{size:,}", runs[0]["what"], time_text, f"{size / median_seconds:,.0f}", *memory]


def write_nli(root: Path, count: int, data_root: Path) -> None:
    """Write MNLI's repository with `count` training rows.

    They are the rows of `data_root`, repeated, with a running number before each premise.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    import jiantx as jx

    set_data_root(data_root, f"{root.parent}/made-up")
    source: Any = jx.get_task("mnli").source
    rows = source.sources[0].rows("train", "en")
    table = rows.with_format("arrow")[:].combine_chunks()
    premise_column = table.column_names.index("premise")
    folder = root / "nyu-mll" / "glue"
    (folder / "mnli").mkdir(parents=True)
    with pq.ParquetWriter(folder / "mnli" / "train-00000-of-00001.parquet", table.schema) as writer:
        for start in range(0, count, len(table)):
            block = table.slice(0, count - start)
            numbers = pa.array(f"{start + i} " for i in range(len(block)))
            premises = pc.binary_join_element_wise(numbers, block["premise"].combine_chunks(), "")
            numbered = block.set_column(premise_column, "premise", premises)
            writer.write_table(numbered.cast(table.schema))
    config = {"config_name": "mnli", "data_files": [{"split": "train", "path": "mnli/train-*"}]}
    card = f"---\nconfigs:\n- {json.dumps(config)}\n---\n"
    (folder / "README.md").write_text(card, encoding="utf-8")


# --- One measurement --------------------------------------------------------------------------


def measure(folder: str, tokenizer_path: str) -> dict[str, float]:
    """Open the rows and load their features; return seconds, and memory in MB."""
    import datasets
    from transformers import AutoTokenizer

    import jiantx as jx
    from jiantx.features import load_features

    datasets.disable_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_path)
    jx.data_root(f"{folder}/root")
    task = jx.get_task("mnli")
    _, private_before = memory()
    with MemoryWatch() as watch:
        started = time.perf_counter()
        features = load_features(task, "train", "en", tokenizer)  # opens the rows first
        seconds = time.perf_counter() - started
    _, private_after = memory()
    file = Path(features.table.cache_files[0]["filename"])
    return {
        "seconds": seconds,
        "private": watch.private - private_before,
        "private_after": private_after - private_before,
        "peak": watch.total,
        "file": file.stat().st_size / 1e6,
    }


def memory() -> tuple[float, float]:
    """Return the memory of this process in MB: all of it, and without pages of files.

    The system can take pages of files back when it needs them.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    total, private = (int(fields[name].split()[0]) for name in ("VmRSS", "RssAnon"))
    return total * 1024 / 1e6, private * 1024 / 1e6


class MemoryWatch:
    """Records the most memory that the process holds inside `with`, read every 20 ms."""

    total = 0.0
    private = 0.0

    def __enter__(self) -> MemoryWatch:
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.stopped.wait(0.02):
            self._update()

    def _update(self) -> None:
        total, private = memory()
        self.total = max(self.total, total)
        self.private = max(self.private, private)

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.thread.join()
        self._update()


if __name__ == "__main__":
    sys.exit(main())
