"""A training step with all embeddings, with those that its data use, and with a trimmed vocabulary.

    python benchmarks/sparse_embeddings.py --encoder intfloat/multilingual-e5-small

MNLI, batches of 32, in float32 and in bf16. All ways train by `jiantx.Trainer`, on the same rows,
in turn. The first two train the same model; the third one a copy without the pieces that the
training rows do not use. A turn gives the median of its steps, from the second on: the first one
allocates AdamW's moments. Rows are drawn from all that there are, because their number decides how
many embeddings are used. After a first training from the same weights, the parameters of the first
two ways are compared.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

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
TRIMMED = "a trimmed vocabulary"
HEADER = (
    "dtype",
    "trained",
    "trained rows of the matrix",
    "ms a step",
    "all embeddings / this",
    "weights, MB",
    "gradients and moments, MB",
)


class Way(NamedTuple):
    """What is trained, on which features, and whether only the embeddings that they use."""

    model: jx.MultitaskModel
    features: Features
    sparse: bool


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
    """Measure all ways in each precision, in turn."""
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
    ways = {
        DENSE: Way(model, features, sparse=False),
        SPARSE: Way(model, features, sparse=True),
        TRIMMED: trimmed_way(model, features),
    }
    records: list[dict[str, Any]] = []
    for bf16 in (False, True):
        options.bf16 = bf16
        records += measure(options, ways)
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


def trimmed_way(model: jx.MultitaskModel, features: Features) -> Way:
    """Return a copy of the model without unused pieces, and the same rows in its pieces.

    Args:
        model: Has a unigram tokenizer, and stays as it is.
        features: Of a task's training rows.
    """
    trimmed = copy.deepcopy(model)
    jx.trim_vocabulary(trimmed, [features.task], splits=["train"])
    pieces = load_features(features.task, "train", features.language, trimmed.tokenizer)
    return Way(trimmed, pieces, sparse=False)


def trainer_of(options: argparse.Namespace, way: Way, steps: int) -> jx.Trainer:
    """Return a trainer over features that were made before.

    Args:
        options: --batch and the precision.
        way: What is trained.
        steps: Of the training.
    """
    features = way.features
    arguments = training_runs.training_arguments(options, options.batch, steps, weight_decay=0.01)
    trainer = jx.Trainer(way.model, arguments, tasks=[features.task], sparse_embeddings=way.sparse)
    trainer._features = {(features.task.name, features.language): features}
    trainer.remove_callback(PrinterCallback)
    return trainer


def largest_difference(
    options: argparse.Namespace, model: jx.MultitaskModel, features: Features
) -> float:
    """Train all and the used embeddings from the same weights; the model has them again afterwards.

    Returns:
        The largest difference of a parameter.
    """
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trained = []
    for sparse in (False, True):
        model.load_state_dict(before)
        trainer_of(options, Way(model, features, sparse), options.steps).train()
        trained.append({name: value.clone() for name, value in model.state_dict().items()})
    model.load_state_dict(before)
    dense, compact = trained
    return max(float((dense[name] - compact[name]).abs().max()) for name in dense)


def measure(options: argparse.Namespace, ways: Mapping[str, Way]) -> list[dict[str, Any]]:
    """Train all ways in turn, in one precision.

    Args:
        options: The precision, the steps and the turns.
        ways: By name.

    Returns:
        A record for each way.
    """
    sizes: dict[str, dict[str, float]] = {}

    def run(name: str, steps: int) -> float:
        trainer = trainer_of(options, ways[name], steps)
        clock = StepClock()
        trainer.add_callback(clock)
        trainer.train()
        sizes[name] = trained_sizes(trainer)
        return clock.seconds()

    alternatives: dict[str, Callable[[int], float]] = {name: partial(run, name) for name in ways}
    seconds = measuring.take_turns(alternatives, options.steps, repeat=options.repeat)
    records = []
    for name in ways:
        records.append(
            {
                "dtype": "bf16" if options.bf16 else "float32",
                "way": name,
                "seconds": statistics.median(seconds[name]),
                "times": None if name == DENSE else ratio(seconds[DENSE], seconds[name]),
                **sizes[name],
            }
        )
    return records


def trained_sizes(trainer: jx.Trainer) -> dict[str, float]:
    """Return the trained rows of the embeddings, and the bytes of weights, and of the rest."""
    states = trainer.optimizer.state
    moments = 0
    for state in states.values():
        moments += sum(values.nbytes for values in state.values() if values.dim() > 0)
    rows = len(states[trainer.model.get_input_embeddings().weight]["exp_avg"])
    weights = sum(parameter.nbytes for parameter in trainer.model.parameters())
    # gradients are half as large as two moments
    return {"rows": rows, "weights": weights, "bytes": 1.5 * moments}


def line(record: dict[str, Any]) -> tuple[str, ...]:
    """Return the cells of a record."""
    return (
        record["dtype"],
        record["way"],
        f"{record['rows']:,}",
        f"{1000 * record['seconds']:.0f}",
        format_ratio(record["times"]) if record["times"] else "",
        f"{record['weights'] / 1e6:,.0f}",
        f"{record['bytes'] / 1e6:,.0f}",
    )


if __name__ == "__main__":
    sys.exit(main())
