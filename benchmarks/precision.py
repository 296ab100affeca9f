"""How far scores in bfloat16 are from scores in float32, for the same weights.

    python benchmarks/precision.py --encoder ENCODER_FOLDER --data-root DATA_ROOT

Each task is scored twice by `jx.evaluate` on its validation rows: in float32, and with
`dtype=torch.bfloat16`. Before that, a task with training rows is trained on them (or on those of
its intermediate task) for a few steps in float32; retrieval takes the encoder as it is. The table
shows both scores, how many rows are predicted otherwise, and the standard error of the score over
rows: a difference far below it cannot be told from another choice of rows.

A processor without units for bfloat16 multiplies it so slowly that no scores could be had there.
On such a one the program computes each product in float32 and rounds it, as those units do, and
says so; everything else runs in bfloat16 as it is.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import datasets
import measuring
import torch
import transformers
from measuring import table, table_lines, write_results
from torch.utils._python_dispatch import TorchDispatchMode

import jiantx as jx
from jiantx.half_precision import multiplies_fast
from jiantx.report import MAIN

DTYPES = (None, torch.bfloat16)
PRODUCTS = (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.bmm)
HEADER = (
    "task",
    "language",
    "rows",
    "float32",
    "bfloat16",
    "difference",
    "rows predicted otherwise",
    "standard error",
)


def main() -> int:
    """Score all tasks."""
    options = parse()
    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    os.environ["TQDM_DISABLE"] = "1"
    jx.data_root(options.data_root)
    print(measuring.machine())
    print(f"{options.steps} training steps of {options.batch} rows in float32.")
    if not multiplies_fast(torch.device("cpu"), torch.bfloat16):
        print("No units for bfloat16 here: its products are computed in float32 and rounded.")
    print("\n" + table(HEADER, []))
    records = []
    for name in options.tasks:
        task_records = compare(options, jx.get_task(name))
        print(record_lines(task_records), flush=True)
        records += task_records
    print(f"\nWritten: {write_results('precision', options, records)}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = measuring.argument_parser(__doc__, repeat=None)
    measuring.add_data_arguments(parser)
    parser.add_argument("--encoder", required=True, help="folder or Hub id of a real encoder")
    parser.add_argument("--tasks", nargs="+", default=["tatoeba", "xnli", "udpos"])
    parser.add_argument("--languages", nargs="+", default=["de", "sw", "zh"])
    parser.add_argument("--rows", type=int, default=300, help="of each language, at most")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=40, help="of training")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    return parser.parse_args(arguments)


class RoundedProducts(TorchDispatchMode):
    """Computes matrix products of bfloat16 in float32 and rounds them, as hardware does."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation."""
        is_product = func.overloadpacket in PRODUCTS and args[0].dtype == torch.bfloat16
        if not is_product:
            return func(*args, **(kwargs or {}))
        exact = func(*(matrix.float() for matrix in args), **(kwargs or {}))
        return exact.to(torch.bfloat16)


def compare(options: argparse.Namespace, task: jx.Task) -> list[dict[str, Any]]:
    """Train a task, and score it in both precisions; one record per language."""
    model = trained_model(options, task)
    task = with_fewer_rows(task, options.languages, options.rows)
    reports = []
    predictions = []
    with tempfile.TemporaryDirectory() as folder:
        for dtype in DTYPES:
            path = Path(folder) / str(dtype)
            is_slow = not multiplies_fast(model.device, dtype)
            with RoundedProducts() if is_slow else nullcontext():
                reports.append(jx.evaluate(model, task, dtype=dtype, predictions=path))
            predictions.append(read_predictions(path, task))
    scores = [
        {score.language: score for score in report if score.metric == MAIN} for report in reports
    ]
    records = []
    for language, full in scores[0].items():
        pairs = zip(predictions[0][language], predictions[1][language], strict=True)
        share = full.value / 100
        records.append(
            {
                "task": task.name,
                "language": language,
                "rows": full.examples,
                "float32": full.value,
                "bfloat16": scores[1][language].value,
                "changed": sum(one != other for one, other in pairs),
                "standard_error": 100 * math.sqrt(share * (1 - share) / full.examples),
            }
        )
    return records


def trained_model(options: argparse.Namespace, task: jx.Task) -> jx.MultitaskModel:
    """Return a model for a task, trained for some steps if the task has training rows."""
    torch.manual_seed(0)
    training_task = jx.get_task(task.train_on[0]) if task.train_on else task
    model = jx.MultitaskModel.from_pretrained(options.encoder, [training_task])
    if options.steps and training_task.languages("train"):
        with tempfile.TemporaryDirectory() as folder:
            arguments = transformers.TrainingArguments(
                folder,
                max_steps=options.steps,
                per_device_train_batch_size=options.batch,
                learning_rate=options.learning_rate,
                seed=0,
                use_cpu=not torch.cuda.is_available(),
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
            )
            jx.Trainer(model, arguments, tasks=[training_task]).train()
    return model


def with_fewer_rows(task: jx.Task, languages: Sequence[str], count: int) -> jx.Task:
    """Return a task with the first validation rows of some languages, in memory."""
    rows = {}
    for language in task.languages("validation"):
        if language in languages:
            all_rows = task.rows("validation", language)
            rows[language] = all_rows.select(range(min(count, len(all_rows))))
    return task.replace(source=jx.Rows({"validation": rows}))


def read_predictions(folder: Path, task: jx.Task) -> dict[str, list[Any]]:
    """Read what `evaluate` wrote: language -> each row's prediction, or its best candidate."""
    predictions: dict[str, list[Any]] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            value = row["prediction"]
            best = value[0] if task.task_type == "retrieval" else value
            predictions.setdefault(row["language"], []).append(best)
    return predictions


def record_lines(records: Sequence[dict[str, Any]]) -> str:
    """Write the table's lines of one task."""
    lines = []
    for record in records:
        full, half = record["float32"], record["bfloat16"]
        numbers = (f"{full:.1f}", f"{half:.1f}", f"{half - full:+.1f}".replace("-", "−"))
        changed = f"{record['changed']} of {record['rows']}"
        columns = (record["task"], record["language"], record["rows"], *numbers, changed)
        lines.append((*columns, f"{record['standard_error']:.1f}"))
    return table_lines(lines)


if __name__ == "__main__":
    sys.exit(main())
