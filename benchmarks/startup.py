"""Start-up: seconds from the start of Python to the end of the first training step.

    python benchmarks/startup.py                       # a small encoder with random weights
    python benchmarks/startup.py --encoder xlm-roberta-base --data-root root

A process of its own trains one step of MNLI with `jiantx.Trainer`, first with an empty cache and
then with the cache that the first one left. Beside it, one does the same with
`transformers.Trainer`: the same rows, the same encoder, tokenized by `Dataset.map` without a cache.
All take turns. Phases follow each other; imports include the start of Python.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from measuring import (
    add_data_arguments,
    add_encoder_argument,
    add_size_arguments,
    argument_parser,
    in_turns,
    machine,
    measure_apart,
    parse_options,
    set_data_root,
    table,
    write_results,
)

COLD = "jiantx, empty cache"
WARM = "jiantx"
THEIRS = "HF Trainer"
LABELS = ("entailment", "neutral", "contradiction")
PHASES = ("imports", "encoder", "features", "trainer", "first step")
Phases = dict[str, float]


def main() -> int:
    """Measure all alternatives."""
    options = parse()
    if options.worker:
        print(json.dumps(WORKERS[options.worker](options)))
        return 0
    runs: dict[str, list[Phases]] = {COLD: [], WARM: [], THEIRS: []}
    with tempfile.TemporaryDirectory() as folder:
        data = set_data_root(options.data_root, folder)
        write_inputs(options, Path(folder))
        for turn in range(options.repeat):
            for name in in_turns([COLD, THEIRS], 1):
                runs[name].append(measure(options, name, folder, turn))
                if name == COLD:  # which left a cache
                    runs[WARM].append(measure(options, WARM, folder, turn))
    lines = []
    for phase in (*PHASES, "all"):
        medians = [statistics.median(run[phase] for run in turns) for turns in runs.values()]
        lines.append([phase, *(f"{seconds:.2f}" for seconds in medians)])
    print(f"{machine()}. {data} {options.rows:,} rows of MNLI.\n")
    print(table(["seconds", *runs], lines))
    print(f"\nWritten: {write_results('startup', options, [runs])}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argument_parser(__doc__)
    add_data_arguments(parser)
    add_size_arguments(parser)
    parser.add_argument("--rows", type=int, default=2000, help="training rows")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--worker", choices=list(WORKERS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    add_encoder_argument(parser)
    return parse_options(parser, arguments)


def measure(options: argparse.Namespace, name: str, folder: str, turn: int) -> Phases:
    """Train one step in a process of its own; return the seconds of its phases and of all."""
    worker = "theirs" if name == THEIRS else "ours"
    arguments = ["--worker", worker, "--folder", folder, "--threads", str(options.threads)]
    arguments += ["--batch", str(options.batch)]
    phases = measure_apart(
        __file__,
        arguments,
        failure=f"{name} failed.",
        JIANTX_CACHE=f"{folder}/cache{turn}",
        BENCHMARK_STARTED=str(time.time()),
        TQDM_DISABLE="1",
    )
    return {**phases, "all": sum(phases.values())}


def write_inputs(options: argparse.Namespace, folder: Path) -> None:
    """Write the rows and the encoder that all processes read."""
    import torch
    from transformers import AutoTokenizer, XLMRobertaConfig, XLMRobertaModel

    import jiantx as jx

    task = jx.get_task("mnli")
    rows = task.rows("train", "en")
    rows = rows.select(range(min(options.rows, len(rows))))
    with open(folder / "rows.jsonl", "w", encoding="utf-8") as file:
        for example in task.examples("train", "en", rows=rows):
            row = {"text": example.text, "text_pair": example.text_pair, "label": example.label}
            file.write(json.dumps(row) + "\n")
    encoder = folder / "encoder"
    if options.encoder:
        os.symlink(Path(options.encoder).resolve(), encoder)
        return
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=options.hidden,
        num_hidden_layers=options.layers,
        num_attention_heads=max(1, options.hidden // 64),
        intermediate_size=4 * options.hidden,
        max_position_embeddings=514,
        type_vocab_size=1,
    )
    XLMRobertaModel(config).save_pretrained(encoder)
    tokenizer.save_pretrained(encoder)


# --- In a process of its own ------------------------------------------------------------------


class Stopwatch:
    """Measures phases that follow each other, from the start of the process."""

    def __init__(self) -> None:
        self.phases: Phases = {}
        self.ended = float(os.environ["BENCHMARK_STARTED"])

    def end(self, phase: str) -> None:
        """End a phase, and begin the next one."""
        now = time.time()
        self.phases[phase] = now - self.ended
        self.ended = now


def arguments_of(options: argparse.Namespace) -> Any:
    """Return the arguments of a training of one step."""
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=str(options.folder / "run"),
        per_device_train_batch_size=options.batch,
        max_steps=1,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def start_ours(options: argparse.Namespace) -> Phases:
    """Train one step with jiantx."""
    stopwatch = Stopwatch()
    import torch

    import jiantx as jx
    from jiantx.features import load_features

    torch.set_num_threads(options.threads)
    trainer_class = jx.Trainer
    model_class = jx.MultitaskModel
    stopwatch.end("imports")
    task = jx.Classification(
        name="mnli",
        source=jx.Files(str(options.folder / "rows.jsonl"), jx.read_jsonl, splits={"train": "x"}),
        text_pair="text_pair",
        labels=LABELS,
    )
    model = model_class.from_pretrained(options.folder / "encoder", [task])
    stopwatch.end("encoder")
    load_features(task, "train", "en", model.tokenizer)  # the trainer takes them from the cache
    stopwatch.end("features")
    trainer = trainer_class(model, arguments_of(options), tasks=[task])
    stopwatch.end("trainer")
    trainer.train()
    stopwatch.end("first step")
    return stopwatch.phases


def start_theirs(options: argparse.Namespace) -> Phases:
    """Train one step with transformers."""
    stopwatch = Stopwatch()
    import torch
    from datasets import load_dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
    )

    torch.set_num_threads(options.threads)
    stopwatch.end("imports")
    encoder = options.folder / "encoder"
    model = AutoModelForSequenceClassification.from_pretrained(
        encoder, num_labels=3, dtype=torch.float32
    )
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    stopwatch.end("encoder")
    with tempfile.TemporaryDirectory() as cache:
        path = str(options.folder / "rows.jsonl")
        rows = load_dataset("json", data_files=path, split="train", cache_dir=cache)

        def encode(batch: Any) -> Any:
            pairs = (batch["text"], batch["text_pair"])
            labels = [LABELS.index(label) for label in batch["label"]]
            return {**tokenizer(*pairs, truncation=True, max_length=256), "labels": labels}

        rows = rows.map(encode, batched=True, remove_columns=["text", "text_pair", "label"])
        stopwatch.end("features")
        trainer = Trainer(
            model,
            arguments_of(options),
            train_dataset=rows,
            data_collator=DataCollatorWithPadding(tokenizer),
            processing_class=tokenizer,
        )
        stopwatch.end("trainer")
        trainer.train()
        stopwatch.end("first step")
    return stopwatch.phases


WORKERS: dict[str, Callable[[argparse.Namespace], Phases]] = {
    "ours": start_ours,
    "theirs": start_theirs,
}

if __name__ == "__main__":
    sys.exit(main())
