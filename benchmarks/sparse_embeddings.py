"""A training step that trains all embeddings, beside one that trains those that its data use.

    python benchmarks/sparse_embeddings.py --encoder intfloat/multilingual-e5-small

MNLI, batches of 32, in float32 and in bf16. Both ways train the same model by `jiantx.Trainer`, on
the same rows, in turn. A turn gives the median of its steps, from the second on: the first one
allocates AdamW's moments. Rows are drawn from all that there are, because their number decides how
many embeddings are used. After a first training from the same weights, the parameters of both ways
are compared.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import datasets
import measuring
import torch
import training_data
import training_runs
import transformers
from measuring import format_ratio, ratio, table, write_results
from transformers import PrinterCallback, TrainerCallback

import jiantx as jx
from jiantx.features import Features, load_features

DENSE = "all embeddings"
SPARSE = "used embeddings"
WAYS = {DENSE: False, SPARSE: True}  # name -> `sparse_embeddings`
HEADER = (
    "dtype",
    "trained",
    "rows of the matrix",
    "ms a step",
    "all / used",
    "gradients and moments, MB",
)


class StepClock(TrainerCallback):
    """Notes when each step ends."""

    def __init__(self) -> None:
        self.instants: list[float] = []

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.instants.append(time.perf_counter())

    def seconds(self) -> float:
        """Return the median time of a step, without the first."""
        return statistics.median(end - start for start, end in pairwise(self.instants))


def main() -> int:
    """Measure both ways in each precision, in turn."""
    options = parse()
    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        origin = measuring.set_data_root(options.data_root, folder)
        features = all_features(options)
    model = load_model(options, features)
    print(measuring.machine())
    print(origin)
    print(f"{options.task}: {len(features.table):,} rows; batches of {options.batch}.")
    print(f"Largest difference of a parameter: {largest_difference(options, model, features):.1e}.")
    print()
    records: list[dict[str, Any]] = []
    for bf16 in (False, True):
        options.bf16 = bf16
        records += measure(options, model, features)
    print(table(HEADER, [line(record) for record in records]))
    print(f"\nWritten: {write_results('sparse_embeddings', options, records)}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = measuring.argument_parser(__doc__, repeat=5)
    measuring.add_data_arguments(parser)
    measuring.add_size_arguments(parser)
    measuring.add_encoder_argument(parser)
    parser.add_argument("--task", default="mnli")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=8, help="of a turn; at least two")
    parser.set_defaults(attention_dropout=0.0, bf16=False)
    return measuring.parse_options(parser, arguments)


def all_features(options: argparse.Namespace) -> Features:
    """Return the training features of --task in its first language."""
    task = jx.get_task(options.task).for_training
    tokenizer = training_data.tokenizer_of(options)
    return load_features(task, "train", task.train_languages[0], tokenizer)


def load_model(options: argparse.Namespace, features: Features) -> jx.MultitaskModel:
    """Return --encoder with a head for the task, or a model with random weights."""
    if options.encoder:
        return jx.MultitaskModel.from_pretrained(options.encoder, [features.task])
    tokenizer = training_data.tokenizer_of(options)
    return training_runs.our_model(
        training_runs.encoder_config(options), [features.task], tokenizer
    )


def trainer_of(
    options: argparse.Namespace,
    model: jx.MultitaskModel,
    features: Features,
    steps: int,
    sparse: bool,
) -> jx.Trainer:
    """Return a trainer over features that were made before.

    Args:
        options: --batch and the precision.
        model: What is trained.
        features: Of the task.
        steps: Of the training.
        sparse: Train only the embeddings that the features use.
    """
    arguments = training_runs.training_arguments(options, options.batch, steps, weight_decay=0.01)
    trainer = jx.Trainer(model, arguments, tasks=[features.task], sparse_embeddings=sparse)
    trainer._features = {(features.task.name, features.language): features}
    trainer.remove_callback(PrinterCallback)
    return trainer


def largest_difference(
    options: argparse.Namespace, model: jx.MultitaskModel, features: Features
) -> float:
    """Train both ways from the same weights, which the model has again afterwards.

    Returns:
        The largest difference of a parameter.
    """
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trained = []
    for sparse in WAYS.values():
        model.load_state_dict(before)
        trainer_of(options, model, features, options.steps, sparse).train()
        trained.append({name: value.clone() for name, value in model.state_dict().items()})
    model.load_state_dict(before)
    dense, compact = trained
    return max(float((dense[name] - compact[name]).abs().max()) for name in dense)


def measure(
    options: argparse.Namespace, model: jx.MultitaskModel, features: Features
) -> list[dict[str, Any]]:
    """Train both ways in turn, in one precision.

    Returns:
        A record for each way.
    """
    sizes: dict[str, dict[str, float]] = {}

    def run(way: str, steps: int) -> float:
        trainer = trainer_of(options, model, features, steps, WAYS[way])
        clock = StepClock()
        trainer.add_callback(clock)
        trainer.train()
        sizes[way] = trained_sizes(trainer)
        return clock.seconds()

    alternatives: dict[str, Callable[[int], float]] = {way: partial(run, way) for way in WAYS}
    seconds = measuring.take_turns(alternatives, options.steps, repeat=options.repeat)
    records = []
    for way in WAYS:
        records.append(
            {
                "dtype": "bf16" if options.bf16 else "float32",
                "way": way,
                "seconds": statistics.median(seconds[way]),
                "times": ratio(seconds[DENSE], seconds[SPARSE]) if way == SPARSE else None,
                **sizes[way],
            }
        )
    return records


def trained_sizes(trainer: jx.Trainer) -> dict[str, float]:
    """Return the rows of the trained embeddings, and the bytes of gradients and moments."""
    states = trainer.optimizer.state
    moments = 0
    for state in states.values():
        moments += sum(values.nbytes for values in state.values() if values.dim() > 0)
    rows = len(states[trainer.model.get_input_embeddings().weight]["exp_avg"])
    return {"rows": rows, "bytes": 1.5 * moments}  # gradients are half as large as two moments


def line(record: dict[str, Any]) -> tuple[str, ...]:
    """Return the cells of a record."""
    return (
        record["dtype"],
        record["way"],
        f"{record['rows']:,}",
        f"{1000 * record['seconds']:.0f}",
        format_ratio(record["times"]) if record["times"] else "",
        f"{record['bytes'] / 1e6:,.0f}",
    )


if __name__ == "__main__":
    sys.exit(main())
