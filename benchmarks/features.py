"""Features beside the usual ways of making them: rows to a cached data set, cold and warm, and the
memory it takes.

    python benchmarks/features.py                   # SQuAD windows, NLI and tagging: jiantx and its
    peers take turns python benchmarks/features.py --million         # NLI of 10,000 to 1,000,000
    rows: seconds and memory, cold and warm

The peers are restated here: the batched functions of transformers' examples (run_qa, run_glue,
run_ner) through `Dataset.map(batched=True)`, which caches too; and a featuriser that takes one
example after the other, and its words one by one, as run_squad did. That one need not write its
features, and so is timed at its best.

Rows are the slices of ../shared/hub (or --data-root), made up by `jiantx.synthetic` where there are
none. Each measurement of memory is a process of its own."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import harness
from feature_peers import PEERS

SIZES = (10_000, 100_000, 1_000_000)


def main() -> int:
    options = parse()
    if options.worker:
        print(json.dumps(work(*options.worker, options.tokenizer)))
        return 0
    return million(options) if options.million else compare(options)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = harness.parser(__doc__, repeat=5)
    harness.add_data_flags(parser)
    parser.add_argument("--rows", type=int, default=2500, help="of each task")
    parser.add_argument("--million", action="store_true", help="time and memory as the data grow")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="rows, with --million")
    parser.add_argument("--worker", nargs=2, metavar=("WHAT", "FOLDER"), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


# --- the comparison -------------------------------------------------------------------------------


def compare(options: argparse.Namespace) -> int:
    os.environ["RAYON_NUM_THREADS"] = str(options.threads)
    os.environ["TQDM_DISABLE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if options.threads > 1 else "false"
    import datasets
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()  # of passages longer than the model's positions
    datasets.disable_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    with tempfile.TemporaryDirectory() as folder:
        data_summary = data(options.data_root, folder)
        records = []
        for name in PEERS:
            records += speeds(name, options, tokenizer, f"{folder}/{name}")
    print(f"{harness.machine()}; {options.threads} threads of the tokenizer. {data_summary}\n")
    lines = []
    for record in records:
        ours, *peers = record["seconds"]
        first = record["seconds"][ours]
        for peer in peers:
            peer_seconds = record["seconds"][peer]
            times = harness.format_ratio(harness.ratio(peer_seconds, first))
            size = f"{record['task']}, {record['rows']:,} rows, {record['what']}"
            windows = f"{record['features'][ours]:,} and {record['features'][peer]:,}"
            lines.append([size, peer, seconds(first), seconds(peer_seconds), times, windows])
    head = ["what", "peer", "jiantx, s", "peer, s", "times as fast (range)", "features"]
    print(harness.table(head, lines))
    harness.write("features", vars(options), records, options.results)
    return 0


def seconds(figures: Sequence[float]) -> str:
    return f"{statistics.median(figures):.3f}"


def data(root: Path, folder: str) -> str:
    """Set the data root: real slices, or what `jiantx.synthetic` makes up; and say which."""
    import jiantx as jx
    from jiantx import synthetic

    real = root.is_dir()
    jx.data_root(
        root if real else synthetic.write_root(Path(folder) / "made-up", train_examples=2500)
    )
    return (
        "Rows: real, of ../shared/hub."
        if root == harness.SHARED / "hub" and real
        else f"Rows: of {jx.data_root()}."
    )


def speeds(
    name: str, options: argparse.Namespace, tokenizer: Any, folder: str
) -> Iterator[dict[str, Any]]:
    import jiantx as jx
    from jiantx.features import load_features

    count = options.rows
    Path(folder).mkdir()
    raw = rows_of(name, count)
    batched, loop = PEERS[name]
    # type: Iterator[int], dict[str, str], dict[str, int]
    counter = itertools.count()
    last_map = {}
    feature_counts = {}

    def ours(fresh: bool, rows: int) -> int:
        chosen_rows = raw.select(range(rows)) if rows < count else raw
        task = jx.get_task(name).replace(source=jx.Rows({"train": {"en": chosen_rows}}))
        if fresh:
            os.environ["JIANTX_CACHE"] = f"{folder}/cache-{next(counter)}"
        return len(load_features(task, "train", "en", tokenizer).table)

    def mapped(fresh: bool, rows: int) -> int:
        chosen_rows = raw.select(range(rows)) if rows < count else raw
        if fresh:
            last_map["file"] = f"{folder}/map-{next(counter)}.arrow"
        function = partial(batched, tokenizer=tokenizer)
        columns = chosen_rows.column_names
        return len(
            chosen_rows.map(
                function, batched=True, remove_columns=columns, cache_file_name=last_map["file"]
            )
        )

    def looped(rows: int) -> int:
        return len(loop(raw[:rows], tokenizer)["input_ids"])

    def timed(key: str, run: Callable[[int], int]) -> Callable[[int], float]:
        def clock(rows: int) -> float:
            started = time.perf_counter()
            feature_counts[key] = run(rows)
            return time.perf_counter() - started

        return clock

    for cache_state, fresh in (("cold", True), ("warm", False)):
        runs: dict[str, Callable[[int], int]] = {
            "jiantx": partial(ours, fresh),
            "batched map": partial(mapped, fresh),
        }
        if fresh:
            runs["one by one"] = looped
        else:  # what the last cold run left
            for run in runs.values():
                run(count)
        turns = {key: timed(key, run) for key, run in runs.items()}
        seconds = harness.take_turns(
            turns, count, repeat=options.repeat, warm_up=count if not fresh else 200
        )
        yield {
            "task": name,
            "rows": count,
            "what": cache_state,
            "seconds": seconds,
            "features": dict(feature_counts),
        }


def rows_of(name: str, count: int) -> Any:
    """Training rows as stored, repeated if need be."""
    import datasets

    import jiantx as jx

    task = jx.get_task(name)
    source = getattr(task.source, "sources", (task.source,))[0]
    rows = source.rows("train", "en")
    return (
        datasets.concatenate_datasets([rows] * -(-count // len(rows)))
        .select(range(count))
        .flatten_indices()
    )


# --- as the data grow -----------------------------------------------------------------------------


def million(options: argparse.Namespace) -> int:
    records = []
    lines = []
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            write_nli(Path(folder) / "root", size, options.data_root)
            for cache_state in ("cold", *["warm"] * options.repeat):
                records.append(
                    {"rows": size, "what": cache_state, **measured(options, cache_state, folder)}
                )
        for cache_state in ("cold", "warm"):
            runs = [run for run in records if (run["rows"], run["what"]) == (size, cache_state)]
            figures = [name for name in runs[0] if name not in ("rows", "what")]
            middle = {name: median_of(runs, name) for name in figures}
            spread = (
                f" ({min(r['seconds'] for r in runs):.2f} to {max(r['seconds'] for r in runs):.2f})"
            )
            took = f"{middle['seconds']:.2f}{spread if len(runs) > 1 else ''}"
            memory = [f"{middle[k]:,.0f}" for k in ("private", "private_after", "peak", "file")]
            lines.append(
                [f"{size:,}", cache_state, took, f"{size / middle['seconds']:,.0f}", *memory]
            )
    head = [
        "NLI rows",
        "cache",
        "seconds (range)",
        "rows/s",
        "most private memory, MB more than before",
    ]
    head += ["of that still held after, MB", "most of all memory, MB", "features' file, MB"]
    print(f"{harness.machine()}; {options.threads} threads of the tokenizer\n")
    print(harness.table(head, lines))
    harness.write("features-million", vars(options), records, options.results)
    return int(any(run["what"] == "warm" and run["seconds"] > 2 for run in records))


def median_of(runs: Sequence[Mapping[str, Any]], figure: str) -> float:
    return statistics.median(run[figure] for run in runs)


def write_nli(root: Path, count: int, data_root: Path) -> None:
    """MNLI's repository with `count` training rows: those of the slice, a running number before
    each premise.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    import jiantx as jx

    data(data_root, str(root.parent))
    rows = jx.get_task("mnli").source.sources[0].rows("train", "en")  # type: ignore[attr-defined]
    table = rows.with_format("arrow")[:].combine_chunks()
    folder = root / "nyu-mll" / "glue"
    (folder / "mnli").mkdir(parents=True)
    with pq.ParquetWriter(folder / "mnli" / "train-00000-of-00001.parquet", table.schema) as writer:
        for start in range(0, count, len(table)):
            chunk = table.slice(0, count - start)
            numbers = pa.array(f"{start + i} " for i in range(len(chunk)))
            premises = pc.binary_join_element_wise(numbers, chunk["premise"].combine_chunks(), "")
            writer.write_table(
                chunk.set_column(chunk.column_names.index("premise"), "premise", premises).cast(
                    table.schema
                )
            )
    config = {"config_name": "mnli", "data_files": [{"split": "train", "path": "mnli/train-*"}]}
    (folder / "README.md").write_text(
        f"---\nconfigs:\n- {json.dumps(config)}\n---\n", encoding="utf-8"
    )


def measured(options: argparse.Namespace, cache_state: str, folder: str) -> dict[str, float]:
    """Load the features in a new process."""
    environment = {
        "JIANTX_CACHE": f"{folder}/cache",
        "HF_HUB_OFFLINE": "1",
        "TQDM_DISABLE": "1",
        "RAYON_NUM_THREADS": str(options.threads),
        "TOKENIZERS_PARALLELISM": "true",
    }
    worker = ["--worker", cache_state, folder, "--tokenizer", options.tokenizer]
    return harness.in_new_process([__file__, *worker], environment=environment)


def work(cache_state: str, folder: str, tokenizer_path: str) -> dict[str, float]:
    """One process: open the rows, load the features, and what memory that took."""
    import datasets
    from transformers import AutoTokenizer

    import jiantx as jx
    from jiantx.features import load_features

    datasets.disable_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_path)
    jx.data_root(f"{folder}/root")
    task = jx.get_task("mnli")
    before = memory()
    with Watch() as watch:
        started = time.perf_counter()
        features = load_features(task, "train", "en", tokenizer)  # opens the rows first
        seconds = time.perf_counter() - started
    private = watch.private - before[1]
    after = memory()[1] - before[1]
    file = Path(features.table.cache_files[0]["filename"]).stat().st_size / 1e6
    return {
        "seconds": seconds,
        "private": private,
        "private_after": after,
        "peak": watch.total,
        "file": file,
    }


def memory() -> tuple[float, float]:
    """What this process holds in memory, in MB: all, and without the pages of files, which the
    system can take back.
    """
    with open("/proc/self/status", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file)
    return tuple(int(fields[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "RssAnon"))  # type: ignore[return-value]


class Watch:
    """The most memory that the process held while it ran, looked up every 20 ms."""

    total = private = 0.0

    def __enter__(self) -> Watch:
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.done.wait(0.02):
            self._look()

    def _look(self) -> None:
        total, private = memory()
        self.total = max(self.total, total)
        self.private = max(self.private, private)

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()
        self._look()


if __name__ == "__main__":
    sys.exit(main())
