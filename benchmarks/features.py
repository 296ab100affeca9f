"""Features beside the usual ways to make them: rows to a cached data set, cold and warm.

    python benchmarks/features.py

SQuAD windows, NLI and tagging; jiantx and its peers take turns. The peers are restated in
features_peers.py: the batched functions of transformers' examples through
`Dataset.map(batched=True)`, which caches too; and functions that take one example after the other.
The latter need not write their features, and so are timed at their best.

Rows are those of --data-root, or artificial where it does not exist. How seconds and memory grow
with the data is measured by features_growth.py.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from features_peers import PEERS
from measuring import (
    add_data_arguments,
    add_encoder_argument,
    argument_parser,
    format_ratio,
    machine,
    parse_options,
    ratio,
    set_data_root,
    table,
    take_turns,
    write_results,
)

OURS = "jiantx"
HEADER = ["what", "peer", "jiantx, s", "peer, s", "times as fast (range)", "features"]


def main() -> int:
    """Measure all tasks."""
    options = parse()
    os.environ["RAYON_NUM_THREADS"] = str(options.threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if options.threads > 1 else "false"
    os.environ["TQDM_DISABLE"] = "1"
    import datasets
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()  # it warns of passages longer than the model's positions
    datasets.disable_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    records: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        data = set_data_root(options.data_root, folder)
        for name in PEERS:
            records += compare(name, options, tokenizer, Path(folder) / name)
    lines: list[list[str]] = []
    for record in records:
        lines += record_lines(record)
    print(f"{machine()}; {options.threads} threads of the tokenizer. {data}\n")
    print(table(HEADER, lines))
    print(f"\nWritten: {write_results('features', options, records)}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argument_parser(__doc__, repeat=5)
    add_data_arguments(parser)
    parser.add_argument("--rows", type=int, default=2500, help="of each task")
    add_encoder_argument(parser)
    return parse_options(parser, arguments)


def record_lines(record: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield the table's line of each peer."""
    our_seconds = record["seconds"][OURS]
    title = f"{record['task']}, {record['rows']:,} rows, {record['what']}"
    for peer, peer_seconds in record["seconds"].items():
        if peer == OURS:
            continue
        counts = f"{record['features'][OURS]:,} and {record['features'][peer]:,}"
        seconds = [f"{statistics.median(values):.3f}" for values in (our_seconds, peer_seconds)]
        speed_up = format_ratio(ratio(peer_seconds, our_seconds))
        yield [title, peer, *seconds, speed_up, counts]


def compare(
    name: str, options: argparse.Namespace, tokenizer: Any, folder: Path
) -> Iterator[dict[str, Any]]:
    """Measure one task, first without a cache (cold) and then with it (warm)."""
    folder.mkdir()
    makers = FeatureMakers(name, options.rows, tokenizer, folder)
    runs: dict[str, Callable[[int], int]]
    for state in ("cold", "warm"):
        fresh = state == "cold"
        runs = {OURS: partial(makers.ours, fresh), "batched map": partial(makers.mapped, fresh)}
        if fresh:
            runs["one by one"] = makers.looped
        else:  # what the last cold run wrote is read from now on
            for run in runs.values():
                run(options.rows)
        counts: dict[str, int] = {}
        turns = {key: counted_seconds(run, counts, key) for key, run in runs.items()}
        warm_up = 200 if fresh else options.rows
        seconds = take_turns(turns, options.rows, repeat=options.repeat, warm_up=warm_up)
        yield {
            "task": name,
            "rows": options.rows,
            "what": state,
            "seconds": seconds,
            "features": counts,
        }


def counted_seconds(
    run: Callable[[int], int], counts: dict[str, int], key: str
) -> Callable[[int], float]:
    """Make an alternative that returns its seconds, and writes into `counts` what `run` returns."""

    def timed(rows: int) -> float:
        started = time.perf_counter()
        counts[key] = run(rows)
        return time.perf_counter() - started

    return timed


class FeatureMakers:
    """Ways to make the features of a task's first rows; each returns how many it made.

    Args:
        name: Name of the task.
        count: How many rows there are.
        tokenizer: The tokenizer.
        folder: Where caches are written.
    """

    def __init__(self, name: str, count: int, tokenizer: Any, folder: Path) -> None:
        self.name = name
        self.raw = raw_rows(name, count)
        self.tokenizer = tokenizer
        self.folder = folder
        self.batched, self.loop = PEERS[name]
        self.numbers = itertools.count()
        self.cache_file = ""

    def ours(self, fresh: bool, rows: int) -> int:
        """Make features with jiantx, with a `fresh` cache or the last one."""
        import jiantx as jx
        from jiantx.features import load_features

        source = jx.Rows({"train": {"en": self._first_rows(rows)}})
        task = jx.get_task(self.name).replace(source=source)
        if fresh:
            os.environ["JIANTX_CACHE"] = f"{self.folder}/cache-{next(self.numbers)}"
        return len(load_features(task, "train", "en", self.tokenizer).table)

    def mapped(self, fresh: bool, rows: int) -> int:
        """Make features with `Dataset.map`, with a `fresh` cache or the last one."""
        raw = self._first_rows(rows)
        if fresh:
            self.cache_file = f"{self.folder}/map-{next(self.numbers)}.arrow"
        features = raw.map(
            partial(self.batched, tokenizer=self.tokenizer),
            batched=True,
            remove_columns=raw.column_names,
            cache_file_name=self.cache_file,
        )
        return len(features)

    def looped(self, rows: int) -> int:
        """Make features in a loop, in memory."""
        return len(self.loop(self.raw[:rows], self.tokenizer)["input_ids"])

    def _first_rows(self, rows: int) -> Any:
        return self.raw.select(range(rows)) if rows < len(self.raw) else self.raw


def raw_rows(name: str, count: int) -> Any:
    """Return training rows of a task as stored, repeated if there are too few."""
    import datasets

    import jiantx as jx

    source: Any = jx.get_task(name).source
    first_source = getattr(source, "sources", (source,))[0]
    rows = first_source.rows("train", "en")
    copies = -(-count // len(rows))
    return datasets.concatenate_datasets([rows] * copies).select(range(count)).flatten_indices()


if __name__ == "__main__":
    sys.exit(main())
