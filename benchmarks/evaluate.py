"""Evaluation in many languages: one pass over all of them, sorted by length, without padding.

    python benchmarks/evaluate.py                  # XNLI in 15 languages, UDPOS in 33
    python benchmarks/evaluate.py --hidden 768

`jx.evaluate` runs from cached features to scores. Beside it: `transformers.Trainer.predict`,
language by language, over the same features in plain lists, then argmax and accuracy by numpy; and
`jx.evaluate` once a language. The models hold the same weights, and their predictions are checked
to be the same. Rows are those of ../shared/hub, or of the artificial world; where it has fewer
languages than the task, they are taken again under other names. The second table is what languages
cost: `jx.evaluate` of XNLI in 1, 5 and 15 of them."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import cycle
from typing import Any

import datasets
import harness
import numpy as np
import torch
import training_data as data
import training_peers as peers
import transformers
from harness import body, clocked, format_ratio, machine, ratio, table, take_turns, write

import jiantx as jx
from jiantx.evaluation import predict_splits
from jiantx.features import load_features

COUNTS = {"xnli": 15, "udpos": 33}
GROWING = (1, 5, 15)
OURS = "jiantx, one pass"
APART = "jiantx, a language at a time"
THEIRS = "HF Trainer.predict, a language at a time"


def main() -> int:
    options = parse()
    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    print(machine())
    size = f"{options.layers} layers of {options.hidden}"
    print(f"Encoder: {size}. Predictions are equal.\n")
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
    seconds = {count: f"{np.median(turns):.2f}" for count, turns in records[-1]["seconds"].items()}
    print("\n" + table(("languages of XNLI", *seconds), [("seconds", *seconds.values())]))
    print(f"\nWritten: {write('evaluate', vars(options), records, options.results)}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = harness.parser(__doc__)
    harness.add_encoder_flags(parser, layers=4, hidden=384)
    parser.add_argument("--tasks", nargs="+", choices=list(COUNTS), default=list(COUNTS))
    parser.add_argument("--rows", type=int, default=100, help="of each language")
    parser.add_argument("--batch", type=int, default=32)
    parser.set_defaults(bf16=False, attention_dropout=0.0)
    return parser.parse_args(arguments)


def task_of(name: str, count: int, rows: int) -> jx.Task:
    """The task on rows in memory, in so many languages: those that are there, taken again under
    other names.
    """
    for root in (harness.SHARED / "hub", jx.default_root()):
        jx.data_root(root)
        task = jx.get_task(name)
        available = task.languages("test")
        if available:
            break
    rows_by_language = {}
    for index, language in zip(range(count), cycle(available)):
        language_rows = task.rows("test", language)
        rows_by_language[language if index < len(available) else f"{language}{index}"] = (
            language_rows.select(range(min(rows, len(language_rows))))
        )
    return task.replace(source=jx.Rows({"test": rows_by_language}))


def compare(options: argparse.Namespace, name: str, folder: str) -> dict[str, Any]:
    task = task_of(name, COUNTS[name], options.rows)
    model = peers.jiantx_model(
        peers.encoder_config(options, options.hidden, options.layers), [task]
    ).eval()
    plain = model.export(task, f"{folder}/{name}")
    features = {
        language: load_features(task, "test", language, data.tokenizer())
        for language in task.languages("test")
    }
    rows = {language: data.plain_rows(f, range(len(f.table))) for language, f in features.items()}
    check(model, task, rows, partial(theirs, options, plain, task))
    runs: dict[str, Callable[[], Any]] = {
        OURS: lambda: jx.evaluate(model, [task], split="test", batch_size=options.batch),
        APART: lambda: [
            jx.evaluate(model, [task], split="test", languages=[language], batch_size=options.batch)
            for language in rows
        ],
        THEIRS: lambda: [
            theirs(options, plain, task, language_rows) for language_rows in rows.values()
        ],
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
    model = peers.jiantx_model(
        peers.encoder_config(options, options.hidden, options.layers), [task]
    ).eval()
    languages = task.languages("test")
    runs = {
        str(count): clocked(
            partial(
                jx.evaluate,
                model,
                [task],
                split="test",
                languages=languages[:count],
                batch_size=options.batch,
            )
        )
        for count in GROWING
    }
    return {"task": "xnli", "seconds": take_turns(runs, 1, repeat=options.repeat, warm_up=1)}


def theirs(
    options: argparse.Namespace, plain: Any, task: jx.Task, rows: list[data.Row]
) -> np.ndarray:
    """The labels that transformers' Trainer predicts, at the places that have one, in order."""
    arguments = peers.arguments(options, options.batch, 1, per_device_eval_batch_size=options.batch)
    trainer = transformers.Trainer(
        plain, arguments, data_collator=data.collator(task), processing_class=data.tokenizer()
    )
    output = trainer.predict(rows)
    predicted = output.predictions.argmax(axis=-1)
    gold = np.asarray(output.label_ids)
    if task.task_type == "token_classification":
        predicted = predicted[gold != -100]
        gold = gold[gold != -100]
    (predicted == gold).mean()
    return predicted


def check(
    model: jx.MultitaskModel,
    task: jx.Task,
    rows: Mapping[str, list[data.Row]],
    predict: Callable[[list[data.Row]], np.ndarray],
) -> None:
    """SystemExit unless jiantx predicts what transformers does; one in 10,000 may differ, where two
    labels tie.
    """
    for split_predictions in predict_splits(model, task, "test", list(rows)):
        predictions = [prediction.value for prediction in split_predictions.predictions]
        ours = (
            [tag for tags in predictions for tag in tags]
            if task.task_type == "token_classification"
            else predictions
        )
        expected = [
            task.label_names[label_id]
            for label_id in predict(rows[split_predictions.features.language])
        ]
        if np.not_equal(ours, expected).sum() > 1 + len(ours) / 10_000:
            raise SystemExit(
                f"{task.name}: the predictions differ in {split_predictions.features.language}."
            )


def lines(record: Mapping[str, Any]) -> str:
    ours = record["seconds"][OURS]
    table_rows = []
    for name, seconds in record["seconds"].items():
        times = "" if name == OURS else format_ratio(ratio(seconds, ours))
        table_rows.append(
            (
                record["task"],
                record["languages"],
                record["rows"],
                name,
                f"{np.median(seconds):.2f}",
                times,
            )
        )
    return body(table_rows)


if __name__ == "__main__":
    sys.exit(main())
