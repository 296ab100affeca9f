"""Tokens of multiple choice: each prompt tokenized once, beside once for each of its choices.

    python benchmarks/choice_tokens.py

Both make the same columns, which is checked first. Seconds are those of the processor, over all
threads, so that other programs disturb them little.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

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

TASKS = ("hellaswag", "race_middle", "record")
HEADER = ["task", "rows", "choices", "once, s", "for each choice, s", "times as fast (range)"]


def main() -> int:
    """Measure all tasks that have training rows."""
    options = parse()
    os.environ["RAYON_NUM_THREADS"] = str(options.threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if options.threads > 1 else "false"
    from transformers import AutoTokenizer

    import jiantx as jx

    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    records = []
    with tempfile.TemporaryDirectory() as folder:
        data = set_data_root(options.data_root, folder)
        for name in TASKS:
            if jx.get_task(name).languages("train"):
                records.append(compare(name, options, tokenizer))
    print(f"{machine()}; {options.threads} threads of the tokenizer. {data}\n")
    print(table(HEADER, map(record_line, records)))
    print(f"\nWritten: {write_results('choice_tokens', options, records)}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argument_parser(__doc__, repeat=5)
    add_data_arguments(parser)
    parser.add_argument("--rows", type=int, default=400, help="of each task")
    add_encoder_argument(parser)
    return parse_options(parser, arguments)


def compare(name: str, options: argparse.Namespace, tokenizer: Any) -> dict[str, Any]:
    """Measure one task."""
    import jiantx as jx
    from jiantx.task_types.choice_sequences import choice_features

    task = jx.get_task(name)
    examples = list(itertools.islice(task.examples("train"), options.rows))
    groups = [(example.prompt, example.choices) for example in examples]
    ways = {
        "once": lambda: arrow_table(choice_features(tokenizer, groups, task.max_length), tokenizer),
        "each": lambda: arrow_table(
            encode_every_pair(tokenizer, groups, task.max_length), tokenizer
        ),
    }
    assert ways["once"]().equals(ways["each"]())
    turns = {key: processor_seconds(make) for key, make in ways.items()}
    return {
        "task": name,
        "rows": len(groups),
        "choices": sum(len(choices) for _, choices in groups),
        "seconds": take_turns(turns, 1, repeat=options.repeat, warm_up=0),
    }


def encode_every_pair(
    tokenizer: Any, groups: Sequence[Any], max_length: int
) -> dict[str, list[Any]]:
    """Encode every prompt as often as it has choices."""
    from jiantx.tokenization import encode, grouped_features

    prompts: list[str] = []
    all_choices: list[str] = []
    for prompt, choices in groups:
        prompts += [prompt] * len(choices)
        all_choices += choices
    encodings = iter(encode(tokenizer, prompts, all_choices, max_length=max_length, cut="start"))
    encoded = [list(itertools.islice(encodings, len(choices))) for _, choices in groups]
    return grouped_features(tokenizer, encoded)


def arrow_table(columns: dict[str, list[Any]], tokenizer: Any) -> Any:
    """Make the table that is cached."""
    import pyarrow as pa

    from jiantx import features

    schema = features._schema(columns, len(tokenizer))
    arrays = [features._array(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def processor_seconds(make: Callable[[], Any]) -> Callable[[int], float]:
    """Make an alternative that returns the seconds of the processor."""

    def timed(_: int) -> float:
        started = time.process_time()
        make()
        return time.process_time() - started

    return timed


def record_line(record: dict[str, Any]) -> list[str]:
    """Write a line of the table."""
    shared = record["seconds"]["once"]
    repeated = record["seconds"]["each"]
    medians = [f"{statistics.median(values):.3f}" for values in (shared, repeated)]
    counts = [f"{record['rows']:,}", f"{record['choices']:,}"]
    return [record["task"], *counts, *medians, format_ratio(ratio(repeated, shared))]


if __name__ == "__main__":
    sys.exit(main())
