"""Evaluation in many languages: one pass over all of them, sorted by length, without padding.

    python benchmarks/evaluate.py                  # XNLI in 15 languages, UDPOS in 33
    python benchmarks/evaluate.py --hidden 768

`jx.evaluate` runs from cached features to scores. Beside it: `transformers.Trainer.predict`,
language by language, over the same features in plain lists, then argmax and accuracy by NumPy; and
`jx.evaluate` once a language; on a processor that multiplies bfloat16 quickly, also
`jx.evaluate(…, dtype=torch.bfloat16)`. The models hold the same weights, and their predictions in
float32 must be the same. Rows are those of --data-root, or of the artificial world; where it has
fewer languages than the task, they are taken again under other names. The second table shows what
languages cost: `jx.evaluate` of XNLI in 1, 5 and 15 of them.
"""

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
import measuring
import numpy as np
import torch
import training_data
import training_runs
import transformers
from measuring import clocked, format_ratio, ratio, table, table_lines, take_turns, write_results
from training_data import Row

import jiantx as jx
from jiantx.evaluation import predict_splits
from jiantx.features import load_features
from jiantx.half_precision import multiplies_fast

LANGUAGE_COUNTS = {"xnli": 15, "udpos": 33}
GROWTH = (1, 5, 15)
OURS = "jiantx, one pass"
OURS_BF16 = "jiantx, one pass, dtype=bfloat16"
PER_LANGUAGE = "jiantx, a language at a time"
THEIRS = "HF Trainer.predict, a language at a time"
HEADER = (
    "task",
    "languages",
    "rows",
    "evaluated by",
    "seconds",
    "one pass is so many times as fast",
)


def main() -> int:
    """Measure all tasks, and then what languages cost."""
    options = parse()
    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    os.environ["TQDM_DISABLE"] = "1"
    print(measuring.machine())
    print(f"Encoder: {options.layers} layers of {options.hidden}. Predictions are equal.\n")
    print(table(HEADER, []))
    records = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.tasks:
            records.append(compare(options, name, folder))
            print(record_lines(records[-1]), flush=True)
        growth = measure_growth(options)
    records.append(growth)
    seconds = [f"{np.median(turns):.2f}" for turns in growth["seconds"].values()]
    print("\n" + table(("languages of XNLI", *growth["seconds"]), [("seconds", *seconds)]))
    print(f"\nWritten: {write_results('evaluate', options, records)}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = measuring.argument_parser(__doc__)
    measuring.add_data_arguments(parser)
    measuring.add_size_arguments(parser)
    names = list(LANGUAGE_COUNTS)
    parser.add_argument("--tasks", nargs="+", choices=names, default=names)
    parser.add_argument("--rows", type=int, default=100, help="of each language")
    parser.add_argument("--batch", type=int, default=32)
    parser.set_defaults(bf16=False, attention_dropout=0.0)
    measuring.add_encoder_argument(parser)
    return measuring.parse_options(parser, arguments)


def task_in_memory(options: argparse.Namespace, name: str, count: int) -> jx.Task:
    """Return a task whose test rows are in memory, in `count` languages.

    If there are fewer, they are taken again under other names.
    """
    for root in (options.data_root, jx.default_root()):
        jx.data_root(root)
        task = jx.get_task(name)
        languages = task.languages("test")
        if languages:
            break
    rows_by_language = {}
    for index, language in zip(range(count), cycle(languages)):
        rows = task.rows("test", language)
        unique_name = language if index < len(languages) else f"{language}{index}"
        rows_by_language[unique_name] = rows.select(range(min(options.rows, len(rows))))
    return task.replace(source=jx.Rows({"test": rows_by_language}))


def compare(options: argparse.Namespace, name: str, folder: str) -> dict[str, Any]:
    """Measure one task, after checking that predictions agree."""
    tokenizer = training_data.tokenizer_of(options)
    task = task_in_memory(options, name, LANGUAGE_COUNTS[name])
    model = evaluated_model(options, task)
    plain = model.export(task, f"{folder}/{name}")
    rows = {}
    for language in task.languages("test"):
        features = load_features(task, "test", language, tokenizer)
        rows[language] = training_data.plain_rows(features, range(len(features.table)))
    check_predictions(model, task, rows, partial(their_labels, options, plain, task))
    evaluate = partial(jx.evaluate, model, [task], split="test", batch_size=options.batch)

    def evaluate_per_language() -> None:
        for language in rows:
            evaluate(languages=[language])

    def predict_per_language() -> None:
        for language_rows in rows.values():
            their_labels(options, plain, task, language_rows)

    runs = {OURS: clocked(evaluate)}
    if multiplies_fast(torch.device("cpu"), torch.bfloat16):
        runs[OURS_BF16] = clocked(partial(evaluate, dtype=torch.bfloat16))
    runs |= {
        PER_LANGUAGE: clocked(evaluate_per_language),
        THEIRS: clocked(predict_per_language),
    }
    return {
        "task": name,
        "languages": len(rows),
        "rows": sum(map(len, rows.values())),
        "seconds": take_turns(runs, 1, repeat=options.repeat, warm_up=1),
    }


def evaluated_model(options: argparse.Namespace, task: jx.Task) -> jx.MultitaskModel:
    """Return a model with random weights and the head of a task, ready to evaluate."""
    config = training_runs.encoder_config(options)
    return training_runs.our_model(config, [task], training_data.tokenizer_of(options)).eval()


def measure_growth(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what more languages cost."""
    task = task_in_memory(options, "xnli", max(GROWTH))
    model = evaluated_model(options, task)
    languages = task.languages("test")
    evaluate = partial(jx.evaluate, model, [task], split="test", batch_size=options.batch)
    runs = {}
    for count in GROWTH:
        runs[str(count)] = clocked(partial(evaluate, languages=languages[:count]))
    return {"task": "xnli", "seconds": take_turns(runs, 1, repeat=options.repeat, warm_up=1)}


def their_labels(
    options: argparse.Namespace, plain: Any, task: jx.Task, rows: list[Row]
) -> np.ndarray:
    """Return the label ids that transformers' Trainer predicts, where there is a gold one.

    The accuracy is computed as well, because scores are part of what is timed.
    """
    tokenizer = training_data.tokenizer_of(options)
    arguments = training_runs.training_arguments(
        options, options.batch, 1, per_device_eval_batch_size=options.batch
    )
    trainer = transformers.Trainer(
        plain,
        arguments,
        data_collator=training_data.collator(task, tokenizer),
        processing_class=tokenizer,
    )
    output = trainer.predict(rows)
    predicted = output.predictions.argmax(axis=-1)
    gold = np.asarray(output.label_ids)
    if task.task_type == "token_classification":
        is_scored = gold != -100
        predicted = predicted[is_scored]
        gold = gold[is_scored]
    (predicted == gold).mean()
    return predicted


def check_predictions(
    model: jx.MultitaskModel,
    task: jx.Task,
    rows: Mapping[str, list[Row]],
    predict: Callable[[list[Row]], np.ndarray],
) -> None:
    """Raise SystemExit unless jiantx predicts what transformers does.

    One label in 10,000 may differ, where two labels tie.
    """
    for split in predict_splits(model, task, "test", list(rows)):
        language = split.features.language
        our_values: list[Any] = []
        for prediction in split.predictions:
            value = prediction.value
            our_values += value if task.task_type == "token_classification" else [value]
        their_values = [task.label_names[label] for label in predict(rows[language])]
        if np.not_equal(our_values, their_values).sum() > 1 + len(our_values) / 10_000:
            raise SystemExit(f"{task.name}: the predictions differ in {language}.")


def record_lines(record: Mapping[str, Any]) -> str:
    """Write the table's lines of one task."""
    ours = record["seconds"][OURS]
    lines = []
    for name, seconds in record["seconds"].items():
        speed_up = "" if name == OURS else format_ratio(ratio(seconds, ours))
        columns = (record["task"], record["languages"], record["rows"], name)
        lines.append((*columns, f"{np.median(seconds):.2f}", speed_up))
    return table_lines(lines)


if __name__ == "__main__":
    sys.exit(main())
