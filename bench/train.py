"""Training throughput: real tokens a second of `jiantx.Trainer` and of what else one would train with.

    python bench/train.py                        # all tasks, batches of 8 and 32
    python bench/train.py --tasks nli --batch 8  # one comparison
    python bench/train.py --tasks overhead       # the step of a tiny encoder beside a bare PyTorch loop

Beside it: `transformers.Trainer` with its defaults; the same with `train_sampling_strategy="group_by_length"`; and a
plain loop whose batches are padded to the task's maximum length, as jiant's were. All take turns in one process, over
the same rows of the same features, with the same encoder (random weights), optimizer and precision. Features are made
beforehand. The clock runs from the start of the epoch, so reading and collating are in it, to the end of the last step.
Only real tokens count; that all have seen as many is checked.

The encoder does not drop out attention probabilities unless --attention-dropout says so: jiantx never does, and on a
CPU it would cost the others torch's fast attention.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import transformers
from timing import body, machine, matmul_rate, ratio, table, take_turns, write
from timing import said as spread
from torch import nn
from transformers import (
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForMultipleChoice,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    PrinterCallback,
    TrainerCallback,
    TrainingArguments,
    XLMRobertaConfig,
    get_linear_schedule_with_warmup,
)
from transformers.trainer_pt_utils import get_length_grouped_indices

import jiantx as jx
from jiantx.batching import TrainingFeatures
from jiantx.features import Features, load_features
from jiantx.sampling import Sampler

SHARED = Path(__file__).resolve().parents[2] / "shared"
SINGLE = {"nli": "mnli", "squad": "squad_v1", "tagging": "udpos", "choice": "hellaswag"}
MIXED = (
    "anli_plus",
    "mnli",
    "qqp",
    "squad_v2",
    "squad_v1",
    "hellaswag",
    "cosmosqa",
    "commonsenseqa",
    "ccg",
)
OURS, MIX = "jiantx", "jiantx, mix=4"
DEFAULT, GROUPED, FIXED = "HF Trainer", "HF Trainer, group_by_length", "loop, fixed padding"
BARE, PLAIN = "bare loop", "HF Trainer over the same flat batches"
OVERHEAD_BAR = 1.25
KINDS = {
    "classification": AutoModelForSequenceClassification,
    "token_classification": AutoModelForTokenClassification,
    "question_answering": AutoModelForQuestionAnswering,
    "multiple_choice": AutoModelForMultipleChoice,
}
COLLATORS = {
    "token_classification": DataCollatorForTokenClassification,
    "multiple_choice": DataCollatorForMultipleChoice,
}
Row = dict[str, Any]


@dataclass
class Turn:
    """One run: seconds, CPU seconds of all threads, real tokens, and places for tokens, padding included."""

    seconds: float
    cpu: float
    real: int
    places: int


Run = Callable[[int], Turn]
Instant = tuple[float, float]


def now() -> Instant:
    return time.perf_counter(), time.process_time()


def main() -> int:
    options = parse()
    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    print(machine())
    print(
        f"Encoder: {options.layers} layers of {options.hidden}, {'bf16 autocast' if options.bf16 else 'float32'}; "
        f"{options.steps} steps, {options.repeat} times. Real tokens a second, median; ratios of each turn, least and "
        "most in brackets.\n"
    )
    records: list[dict[str, Any]] = []
    print(table(HEADER, []))
    for task in sorted(
        options.tasks, key="overhead".__eq__
    ):  # which has a table of its own, the last
        for batch in options.batch if task != "overhead" else options.batch[:1]:
            records.append(compare(options, task, batch))
            said = overhead_said if task == "overhead" else speeds_said
            print(said(records[-1]), flush=True)
            written = write(
                "train", vars(options), records, options.results
            )  # what there is, if it is stopped
    print(f"\nWritten: {written}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="+", default=[*SINGLE, "mixture", "overhead"])
    parser.add_argument("--batch", nargs="+", type=int, default=[8, 32])
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--steps", type=int, default=8, help="of each turn")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--attention-dropout", type=float, default=0.0)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    if unknown := set(options.tasks) - {*SINGLE, "mixture", "overhead"}:
        parser.error(f"no such tasks: {sorted(unknown)}")
    return options


# --- the comparison --------------------------------------------------------------------------------------------------

HEADER = (
    "task",
    "batch",
    "trained by",
    "tokens/s",
    "jiantx / it",
    "the same a CPU second",
    "share of matmul rate",
    "padding",
)


def compare(options: argparse.Namespace, task: str, batch: int) -> dict[str, Any]:
    """Run one task's alternatives in turn; raises if they saw different tokens."""
    torch.manual_seed(0)
    steps = 4 * options.steps if task == "overhead" else options.steps  # they are short
    runs, parameters = MAKERS.get(task, partial(single, name=SINGLE.get(task)))(
        options, batch, steps
    )
    dtype = torch.bfloat16 if options.bf16 else torch.float32
    rate = matmul_rate(dtype)
    turns = take_turns(runs, steps, repeat=options.repeat, warm_up=max(2, steps // 8))
    rate = max(rate, matmul_rate(dtype))
    real = {name: sum(turn.real for turn in found) for name, found in turns.items()}
    if (
        len({count for name, count in real.items() if name != MIX}) > 1
    ):  # mixed steps draw other rows
        raise SystemExit(f"{task}: they saw different numbers of real tokens, {real}.")
    found = {name: [turn.real / turn.seconds for turn in done] for name, done in turns.items()}
    cpu = {name: [turn.real / turn.cpu for turn in done] for name, done in turns.items()}
    return {
        "task": task,
        "batch": batch,
        "steps": steps,
        "matmul_rate": rate,
        "tokens_per_second": found,
        "seconds": {name: [turn.seconds for turn in done] for name, done in turns.items()},
        "cpu_seconds": {name: [turn.cpu for turn in done] for name, done in turns.items()},
        "share": {
            name: 6 * parameters * statistics.median(rates) / rate for name, rates in found.items()
        },
        "padding": {
            name: 1 - real[name] / sum(turn.places for turn in done) for name, done in turns.items()
        },
        "ratio": {name: ratio(found[OURS], rates) for name, rates in found.items() if name != OURS},
        "cpu_ratio": {name: ratio(cpu[OURS], rates) for name, rates in cpu.items() if name != OURS},
    }


def speeds_said(record: Mapping[str, Any]) -> str:
    """Lines of the table."""
    found = []
    for name, rates in record["tokens_per_second"].items():
        times = [
            spread(record[key][name]) if name in record[key] else ""
            for key in ("ratio", "cpu_ratio")
        ]
        share, padding = (f"{100 * record[key][name]:.0f} %" for key in ("share", "padding"))
        found.append(
            (
                record["task"],
                record["batch"],
                name,
                f"{statistics.median(rates):,.0f}",
                *times,
                share,
                padding,
            )
        )
    return body(found)


def overhead_said(record: Mapping[str, Any]) -> str:
    seconds, cpu = record["seconds"], record["cpu_seconds"]
    rows = [
        (
            name,
            f"{1000 * statistics.median(found) / record['steps']:.2f}",
            spread(ratio(found, seconds[BARE])),
            spread(ratio(cpu[name], cpu[BARE])),
        )
        for name, found in seconds.items()
    ]
    slower = ratio(seconds[OURS], seconds[BARE])[0]
    kept = f"{slower:.2f} is {'within' if slower <= OVERHEAD_BAR else 'OVER'} the bar of {OVERHEAD_BAR}"
    head = (
        f"2 layers of 128, NLI, batches of {record['batch']}",
        "ms a step",
        "times the bare loop",
        "of CPU seconds",
    )
    return f"\n{table(head, rows)}\n\njiantx's step beside the bare loop: {kept}."


# --- data ------------------------------------------------------------------------------------------------------------


@cache
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(SHARED / "models" / "tiny-xlm")


@cache
def features_of(name: str) -> Features:
    """The training features of a task: of the hub's slice where there is one, of the artificial world otherwise."""
    task = jx.get_task(name).for_training
    for root in (SHARED / "hub", jx.default_root()):
        jx.data_root(root)
        try:
            found = load_features(task, "train", task.train_languages[0], tokenizer())
        except jx.DataError:
            continue
        if getattr(task, "labels", None):
            task = task.replace(labels=task.label_names)  # they may stand in the data
        return replace(found, task=task)
    raise SystemExit(f"There is no training data for {name}.")


def some(features: Features, count: int) -> Features:
    """As many features, chosen at random, in memory: the same ones for everybody."""
    rows = np.random.default_rng(0).permutation(len(features.table))[:count]
    return replace(features, table=features.table.select(rows).flatten_indices(keep_in_memory=True))


def plain_rows(features: Features, rows: Sequence[int]) -> list[Row]:
    """Features as transformers' own models take them, in plain lists."""
    columns = features.table[list(rows)]
    kind, found = features.task.task_type, []
    for place, ids in enumerate(columns["input_ids"]):
        row: Row = {"input_ids": ids}
        if kind == "token_classification":
            row["labels"] = [-100] * len(ids)
            for word, label in zip(
                columns["word_positions"][place], columns["labels"][place], strict=True
            ):
                row["labels"][word] = label
        elif kind == "question_answering":
            row |= {name: columns[name][place][0] for name in ("start_positions", "end_positions")}
        else:
            row["labels"] = columns["labels"][place][0]
        if kind == "multiple_choice":
            ends = np.cumsum(columns["lengths"][place]).tolist()
            row["input_ids"] = [ids[start:end] for start, end in zip([0, *ends], ends)]
        found.append(row)
    return found


def collator(task: jx.Task, fixed: bool = False) -> Callable[[list[Row]], Any]:
    """transformers' own collators: each batch at its longest sequence, or at the task's maximum length."""
    how: dict[str, Any] = {"padding": "max_length", "max_length": task.max_length} if fixed else {}
    return COLLATORS.get(task.task_type, DataCollatorWithPadding)(tokenizer(), **how)


def grouped(rows: Sequence[Row], batch: int) -> list[Row]:
    """The order of group_by_length in an epoch: batches of like length within each 50 of them.

    Its own sampler sorts within fewer where the rows are few; on a whole data set it would not.
    """
    lengths = [
        max(map(len, ids)) if isinstance(ids[0], list) else len(ids)
        for ids in (r["input_ids"] for r in rows)
    ]
    return [
        rows[i] for i in get_length_grouped_indices(lengths, batch, min(50, len(rows) // batch))
    ]


# --- models ----------------------------------------------------------------------------------------------------------


class Meter:
    """Counts the tokens, and the places for them, that a model is given."""

    def __init__(self, *models: nn.Module) -> None:
        self.real = self.places = 0
        for model in models:
            model.register_forward_pre_hook(self.count, with_kwargs=True)

    def count(self, module: nn.Module, args: Any, inputs: Mapping[str, Any]) -> None:
        self.places += inputs["input_ids"].numel()
        self.real += (
            int(inputs["attention_mask"].sum())
            if "attention_mask" in inputs
            else inputs["input_ids"].numel()
        )

    def turn(self, started: Instant, ended: Instant) -> Turn:
        """What was seen between two instants; the next one starts at 0."""
        found = Turn(ended[0] - started[0], ended[1] - started[1], self.real, self.places)
        self.real = self.places = 0
        return found


def encoder_config(options: argparse.Namespace, hidden: int, layers: int) -> XLMRobertaConfig:
    return XLMRobertaConfig(
        vocab_size=len(tokenizer()),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=max(1, hidden // 64),
        intermediate_size=4 * hidden,
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        attention_probs_dropout_prob=options.attention_dropout,
    )


def our_model(config: XLMRobertaConfig, tasks: Sequence[jx.Task]) -> jx.MultitaskModel:
    heads = {task.head_name: task.head_config() for task in tasks}
    model = jx.MultitaskModel(jx.MultitaskConfig(encoder=config, heads=heads))
    model._set_tokenizer(tokenizer())
    model._choose_path("auto")  # what `from_pretrained` does once the weights are there
    return model


def their_model(config: XLMRobertaConfig, task: jx.Task) -> Any:
    labels = {"num_labels": len(task.label_names)} if "classification" in task.task_type else {}
    return KINDS[task.task_type].from_config(type(config)(**{**config.to_dict(), **labels}))


# --- what is compared ------------------------------------------------------------------------------------------------


class Clock(TrainerCallback):
    """From the start of the first epoch, before its first batch is read, to the end of the last step."""

    started: Instant | None = None
    ended: Instant

    def on_epoch_begin(self, *args: Any, **kwargs: Any) -> None:
        self.started = self.started or now()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.ended = now()


def arguments(
    options: argparse.Namespace, batch: int, steps: int, **more: Any
) -> TrainingArguments:
    """Defaults, but for what would be measured otherwise, or not on a CPU."""
    return TrainingArguments(
        output_dir=tempfile.gettempdir(),
        per_device_train_batch_size=batch,
        max_steps=steps,
        bf16=options.bf16,
        seed=0,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **more,
    )


def timed(trainer: transformers.Trainer, meter: Meter) -> Turn:
    clock = Clock()
    trainer.add_callback(clock)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    assert clock.started
    return meter.turn(clock.started, clock.ended)


def ours(
    options: argparse.Namespace,
    model: jx.MultitaskModel,
    features: Sequence[Features],
    batch: int,
    meter: Meter,
    steps: int,
    sampling: jx.Sampling | None = None,
    whole: bool = False,
) -> Turn:
    trainer = jx.Trainer(
        model, arguments(options, batch, steps), tasks=[f.task for f in features], sampling=sampling
    )
    # features made beforehand, and as many rows as the steps take: everybody trains on the same ones, once
    trainer._features = {
        (f.task.name, f.language): f if whole else some(f, steps * batch) for f in features
    }
    return timed(trainer, meter)


def theirs(
    options: argparse.Namespace,
    model: Any,
    features: Features,
    rows: Sequence[Row],
    batch: int,
    meter: Meter,
    group: bool,
    steps: int,
) -> Turn:
    rows = rows[: steps * batch]
    trainer = transformers.Trainer(
        model,
        arguments(
            options, batch, steps, train_sampling_strategy="sequential" if group else "random"
        ),
        train_dataset=grouped(rows, batch) if group else rows,
        data_collator=collator(features.task),
        processing_class=tokenizer(),
    )
    return timed(trainer, meter)


def loop(
    options: argparse.Namespace,
    models: Sequence[nn.Module],
    batches: Callable[[int], Iterator[tuple[nn.Module, Any]]],
    meter: Meter,
    steps: int,
) -> Turn:
    """A bare loop, with the Trainer's optimizer, schedule and clipping."""
    parameters = list({id(p): p for model in models for p in model.parameters()}.values())
    optimizer = torch.optim.AdamW(parameters, lr=5e-5, weight_decay=0.0, fused=True)
    schedule = get_linear_schedule_with_warmup(optimizer, 0, steps)
    for model in models:
        model.train()
    started = now()
    for model, batch in batches(steps):
        with torch.autocast("cpu", torch.bfloat16) if options.bf16 else nullcontext():
            output = model(**batch)
        # transformers' models give the mean, ours the sum
        loss = (
            output.loss
            if getattr(output, "num_items", None) is None
            else output.loss / output.num_items
        )
        loss.backward()
        used = [p for p in parameters if p.grad is not None]
        nn.utils.clip_grad_norm_(used, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return meter.turn(started, now())


def single(
    options: argparse.Namespace, batch: int, steps: int, *, name: str
) -> tuple[dict[str, Run], int]:
    """One task: its trainers, and the parameters that a token meets."""
    whole = features_of(name)
    features = some(whole, steps * batch)
    if len(features.table) < steps * batch:
        raise SystemExit(
            f"{name} has {len(features.table)} features, too few for {steps} steps of {batch}."
        )
    rows = plain_rows(features, range(len(features.table)))
    config = encoder_config(options, options.hidden, options.layers)
    model, plain = our_model(config, [features.task]), their_model(config, features.task)
    pad = collator(features.task, fixed=True)

    def padded(steps: int) -> Iterator[tuple[nn.Module, Any]]:
        for step in range(steps):
            yield plain, pad(rows[step * batch : (step + 1) * batch])

    meter = Meter(plain)
    their = partial(theirs, options, plain, features, rows, batch, meter)
    return {
        OURS: partial(ours, options, model, [whole], batch, Meter(model)),
        DEFAULT: partial(their, False),
        GROUPED: partial(their, True),
        FIXED: partial(loop, options, [plain], padded, meter),
    }, model.num_parameters(exclude_embeddings=True)


def mixture(options: argparse.Namespace, batch: int, steps: int) -> tuple[dict[str, Run], int]:
    """The paper's nine intermediate tasks, p ~ min(rows, 2**17): transformers' Trainer has no such thing."""
    every = {f.task.name: f for f in map(features_of, MIXED)}
    config = encoder_config(options, options.hidden, options.layers)
    model = our_model(config, [f.task for f in every.values()])
    plain = {name: their_model(config, f.task) for name, f in every.items()}
    first = next(iter(plain.values())).base_model
    for other in plain.values():
        other.base_model.embeddings, other.base_model.encoder = first.embeddings, first.encoder
    pads = {name: collator(f.task, fixed=True) for name, f in every.items()}
    sampling = jx.Sampling(cap=2**17)
    sizes = {name: {f.language: len(f.table)} for name, f in every.items()}
    sampler = Sampler(sampling, sizes, batch_size=batch, seed=0)  # the Trainer's own draws

    def padded(steps: int) -> Iterator[tuple[nn.Module, Any]]:
        for step in range(steps):
            (draw,) = sampler.draws(step)
            yield (
                plain[draw.task],
                pads[draw.task](plain_rows(every[draw.task], draw.rows.tolist())),
            )

    our = partial(ours, options, model, list(every.values()), batch, Meter(model), whole=True)
    return {
        OURS: partial(our, sampling=sampling),
        MIX: partial(our, sampling=replace(sampling, mix=4)),
        FIXED: partial(loop, options, list(plain.values()), padded, Meter(*plain.values())),
    }, model.encoder.num_parameters(exclude_embeddings=True)


class FlatTrainer(transformers.Trainer):
    """transformers' Trainer with our model and nothing of our Trainer: what its own loop costs."""

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, **kwargs: Any
    ) -> Any:
        output = model(**inputs)
        loss = output.loss / output.num_items
        return (loss, output) if return_outputs else loss


def overhead(options: argparse.Namespace, batch: int, steps: int) -> tuple[dict[str, Run], int]:
    """A tiny encoder, so that the step is mostly what is around it; the bare loop has its batches ready."""
    whole = features_of(SINGLE["nli"])
    task = whole.task
    model = our_model(encoder_config(options, 128, 2), [task])
    meter = Meter(model)

    @cache
    def batches(steps: int) -> list[Any]:
        features = some(whole, steps * batch)
        pair = (task.name, features.language)
        draws = Sampler(
            jx.Sampling(),
            {task.name: {features.language: len(features.table)}},
            batch_size=batch,
            seed=0,
        ).epoch(0)
        read = TrainingFeatures({pair: features}, tokenizer(), seed=0)
        return [read.__getitems__(drawn) for drawn in draws]

    def flat(steps: int) -> Turn:
        trainer = FlatTrainer(
            model,
            arguments(
                options, 1, steps, remove_unused_columns=False, train_sampling_strategy="sequential"
            ),
            train_dataset=batches(steps),
            data_collator=lambda found: found[0],
        )
        return timed(trainer, meter)

    return {
        OURS: partial(ours, options, model, [whole], batch, meter),
        PLAIN: flat,
        BARE: lambda steps: loop(
            options, [model], lambda n: ((model, ready) for ready in batches(n)), meter, steps
        ),
    }, model.num_parameters(exclude_embeddings=True)


MAKERS: dict[str, Callable[..., tuple[dict[str, Run], int]]] = {
    "mixture": mixture,
    "overhead": overhead,
}


if __name__ == "__main__":
    sys.exit(main())
