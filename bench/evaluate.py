"""Evaluation in many languages: one pass over all of them, sorted by length, without padding.

    python bench/evaluate.py                  # XNLI in 15 languages, UDPOS in 33
    python bench/evaluate.py --hidden 768

`jx.evaluate` runs from cached features to scores. Beside it: `transformers.Trainer.predict`, language by language, over
the same features in plain lists, then argmax and accuracy by numpy; and `jx.evaluate` once a language. The models hold
the same weights, and their predictions are checked to be the same. Rows are those of ../shared/hub, or of the
artificial world; where it has fewer languages than the task, they are taken again under other names. The second table
is what languages cost: `jx.evaluate` of XNLI in 1, 5 and 15 of them.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import train
import transformers
from timing import clocked, machine, ratio, said, table, take_turns, write

import jiantx as jx
from jiantx.evaluation import predict_splits
from jiantx.features import load_features

COUNTS = {"xnli": 15, "udpos": 33}
GROWING = (1, 5, 15)
OURS, APART, THEIRS = (
    "jiantx, one pass",
    "jiantx, a language at a time",
    "HF Trainer.predict, a language at a time",
)


def main() -> int:
    options = parse()
    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    print(
        f"{machine()}\nEncoder: {options.layers} layers of {options.hidden}. Predictions are equal.\n"
    )
    head = (
        "task",
        "languages",
        "rows",
        "evaluated by",
        "seconds",
        "one pass is so many times as fast",
    )
    records = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TQDM_DISABLE"] = "1"
        print(table(head, []))
        for name in options.tasks:
            records.append(compare(options, name, folder))
            print(lines(records[-1]), flush=True)
        records.append(growth(options, folder))
    seconds = {count: f"{np.median(found):.2f}" for count, found in records[-1]["seconds"].items()}
    print("\n" + table(("languages of XNLI", *seconds), [("seconds", *seconds.values())]))
    print(f"\nWritten: {write('evaluate', vars(options), records, options.results)}")
    return 0


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="+", choices=list(COUNTS), default=list(COUNTS))
    parser.add_argument("--rows", type=int, default=100, help="of each language")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.set_defaults(bf16=False, attention_dropout=0.0)
    return parser.parse_args(arguments)


def task_of(name: str, count: int, rows: int) -> jx.Task:
    """The task on rows in memory, in so many languages: those that are there, taken again under other names."""
    for root in (train.SHARED / "hub", jx.default_root()):
        jx.data_root(root)
        task = jx.get_task(name)
        have = task.languages("test")
        if have:
            break
    found = {}
    for number, code in zip(range(count), cycle(have)):
        part = task.rows("test", code)
        found[code if number < len(have) else f"{code}{number}"] = part.select(
            range(min(rows, len(part)))
        )
    return task.replace(source=jx.Rows({"test": found}))


def compare(options: argparse.Namespace, name: str, folder: str) -> dict[str, Any]:
    task = task_of(name, COUNTS[name], options.rows)
    model = train.our_model(
        train.encoder_config(options, options.hidden, options.layers), [task]
    ).eval()
    plain = model.export(task, f"{folder}/{name}")
    features = {
        code: load_features(task, "test", code, train.tokenizer())
        for code in task.languages("test")
    }
    rows = {code: train.plain_rows(f, range(len(f.table))) for code, f in features.items()}
    check(model, task, rows, partial(theirs, options, plain, task))
    runs: dict[str, Callable[[], Any]] = {
        OURS: lambda: jx.evaluate(model, [task], split="test", batch_size=options.batch),
        APART: lambda: [
            jx.evaluate(model, [task], split="test", languages=[code], batch_size=options.batch)
            for code in rows
        ],
        THEIRS: lambda: [theirs(options, plain, task, part) for part in rows.values()],
    }
    seconds = take_turns(
        {key: clocked(run) for key, run in runs.items()}, 1, repeat=options.repeat, warm_up=1
    )
    return {
        "task": name,
        "languages": len(rows),
        "rows": sum(map(len, rows.values())),
        "seconds": seconds,
    }


def growth(options: argparse.Namespace, folder: str) -> dict[str, Any]:
    """What more languages cost."""
    task = task_of("xnli", max(GROWING), options.rows)
    model = train.our_model(
        train.encoder_config(options, options.hidden, options.layers), [task]
    ).eval()
    codes = task.languages("test")
    runs = {
        str(count): clocked(
            partial(
                jx.evaluate,
                model,
                [task],
                split="test",
                languages=codes[:count],
                batch_size=options.batch,
            )
        )
        for count in GROWING
    }
    return {"task": "xnli", "seconds": take_turns(runs, 1, repeat=options.repeat, warm_up=1)}


def theirs(
    options: argparse.Namespace, plain: Any, task: jx.Task, rows: list[train.Row]
) -> np.ndarray:
    """The labels that transformers' Trainer predicts, at the places that have one, in order."""
    arguments = train.arguments(options, options.batch, 1, per_device_eval_batch_size=options.batch)
    trainer = transformers.Trainer(
        plain, arguments, data_collator=train.collator(task), processing_class=train.tokenizer()
    )
    found = trainer.predict(rows)
    best, gold = found.predictions.argmax(axis=-1), np.asarray(found.label_ids)
    if task.task_type == "token_classification":
        best, gold = best[gold != -100], gold[gold != -100]
    (best == gold).mean()
    return best


def check(
    model: jx.MultitaskModel,
    task: jx.Task,
    rows: Mapping[str, list[train.Row]],
    predict: Callable[[list[train.Row]], np.ndarray],
) -> None:
    """SystemExit unless jiantx predicts what transformers does; one in 10,000 may differ, where two labels tie."""
    for found in predict_splits(model, task, "test", list(rows)):
        says = [prediction.value for prediction in found.predictions]
        ours = (
            [tag for tags in says for tag in tags]
            if task.task_type == "token_classification"
            else says
        )
        expected = [task.label_names[place] for place in predict(rows[found.features.language])]
        if np.not_equal(ours, expected).sum() > 1 + len(ours) / 10_000:
            raise SystemExit(f"{task.name}: the predictions differ in {found.features.language}.")


def lines(record: Mapping[str, Any]) -> str:
    ours = record["seconds"][OURS]
    found = []
    for name, seconds in record["seconds"].items():
        times = "" if name == OURS else said(ratio(seconds, ours))
        found.append(
            (
                record["task"],
                record["languages"],
                record["rows"],
                name,
                f"{np.median(seconds):.2f}",
                times,
            )
        )
    return train.body(found)


if __name__ == "__main__":
    sys.exit(main())
