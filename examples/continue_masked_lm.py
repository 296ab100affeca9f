r"""Continue the pretraining of an encoder by multilingual masked LM, and watch its retrieval.

Sentences of two languages are near each other in an encoder that was trained for retrieval. Masked
LM undoes it: this program makes an encoder "fresh from masked LM", as those of Phang et al. (2020)
were, from one that is not.

    python examples/continue_masked_lm.py                       # the artificial world, in minutes
    python examples/continue_masked_lm.py --encoder intfloat/multilingual-e5-small \
        --data-root hub --keep mnli squad_v1 hellaswag

The masked-LM head is new where the encoder has none. A new head is trained alone first: its first
gradients would destroy the encoder. A stopped run goes on where it stopped.
"""

from argparse import RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import HfArgumentParser, TrainingArguments, set_seed

import jiantx as jx


@dataclass
class Options:
    """The arguments of the program."""

    encoder: str | None = field(
        default=None,
        metadata={"help": "Hub id or folder (default: the artificial world's encoder)"},
    )
    data_root: str | None = field(
        default=None, metadata={"help": "a folder, or `hub` (default: the artificial world)"}
    )
    keep: list[str] = field(
        default_factory=list,
        metadata={"help": "tasks whose pieces stay in the vocabulary (default: mlm and tatoeba)"},
    )
    languages: list[str] = field(
        default_factory=list,
        metadata={"help": "languages of tatoeba that are watched (default: all)"},
    )
    layers: list[int] = field(
        default_factory=list,
        metadata={"help": "layers that are watched (default: every third, and the last)"},
    )
    head_steps: int = field(
        default=200,
        metadata={"help": "steps of the head alone, before those of all weights (default: 200)"},
    )
    max_steps: int = field(default=300, metadata={"help": "steps of all weights (default: 300)"})
    watch_steps: int = field(
        default=100, metadata={"help": "steps between two looks at tatoeba (default: 100)"}
    )
    batch_size: int = field(default=32, metadata={"help": "lines a step (default: 32)"})
    max_length: int = field(default=96, metadata={"help": "tokens of a line (default: 96)"})
    head_learning_rate: float = field(default=1e-3, metadata={"help": "(default: 1e-3)"})
    learning_rate: float = field(default=1e-4, metadata={"help": "(default: 1e-4)"})
    bf16: bool = field(default=False, metadata={"help": "mixed precision"})
    output: Path = field(
        default=Path("runs/masked_lm"), metadata={"help": "(default: runs/masked_lm)"}
    )


class Watched(jx.Trainer):
    """A trainer whose `evaluate` looks at retrieval, layer by layer."""

    layers: Sequence[int]
    languages: Sequence[str] | None

    def evaluate(
        self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any
    ) -> dict[str, float]:
        report = jx.evaluate(self.model, ["tatoeba"], languages=self.languages, layers=self.layers)
        metrics = {}
        for layer in self.layers:
            metrics[f"{metric_key_prefix}_layer_{layer}"] = report.where(layer=layer).mean()
        self.log(dict(metrics))
        return metrics


def main() -> None:
    parser = HfArgumentParser(
        Options, description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    (options,) = parser.parse_args_into_dataclasses()
    root = options.data_root or jx.default_root()
    jx.data_root(None if root == "hub" else root)
    mlm = jx.get_task("mlm")
    mlm = mlm.replace(train_languages=mlm.languages("train"), max_length=options.max_length)

    # 1. The encoder, without the pieces that no text here has.
    set_seed(1)
    model = jx.MultitaskModel.from_pretrained(
        options.encoder or jx.default_encoder(), [mlm, "tatoeba"]
    )
    tasks = [mlm, "tatoeba", *options.keep]
    count = jx.trim_vocabulary(model, tasks, splits=["train", "validation"])
    print(f"{count:,} pieces remain.")

    # 2. Masked LM in all languages that have text: the head alone, then all weights.
    common: dict[str, Any] = {
        "per_device_train_batch_size": options.batch_size,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": 0.1,
        "weight_decay": 0.01,
        "bf16": options.bf16,
        "use_cpu": not torch.cuda.is_available(),
        "eval_strategy": "steps",
        "eval_steps": options.watch_steps,
        "save_steps": options.watch_steps,
        "save_total_limit": 1,
        "logging_steps": 10,
        "report_to": "none",
    }
    if options.head_steps:
        head_arguments = TrainingArguments(
            str(options.output / "head"),
            **common | {"eval_strategy": "no"},
            max_steps=options.head_steps,
            learning_rate=options.head_learning_rate,
        )
        start_from_frequencies(model, mlm)
        model.encoder.requires_grad_(False)
        head_trainer = jx.Trainer(model, head_arguments, tasks=[mlm])
        head_trainer.train(resume_from_checkpoint=True)
        model.encoder.requires_grad_(True)
        print_losses(head_trainer, "head, step")
    arguments = TrainingArguments(
        str(options.output / "training"),
        **common,
        max_steps=options.max_steps,
        learning_rate=options.learning_rate,
    )
    trainer = Watched(model, arguments, tasks=[mlm])
    depth = model.encoder.config.num_hidden_layers
    trainer.layers = options.layers or sorted({*range(3, depth, 3), depth})
    trainer.languages = options.languages or None
    trainer.train(resume_from_checkpoint=True)
    model.save_encoder(options.output / "encoder")  # any program can start from it
    print_losses(trainer, "step")
    for entry in trainer.state.log_history:
        for layer in trainer.layers:
            if f"eval_layer_{layer}" in entry:
                score = entry[f"eval_layer_{layer}"]
                print(f"step {entry['step']}: tatoeba, layer {layer}: {score:.1f}")


@torch.no_grad()
def start_from_frequencies(model: jx.MultitaskModel, mlm: jx.Task) -> None:
    """Let a new masked-LM head guess by how frequent pieces are; leave a trained one as it is.

    Args:
        model: With the head.
        mlm: The task, in the languages that it is trained in.
    """
    head: Any = model.head_of(mlm)
    bias = head.bias
    tokenizer: Any = model.tokenizer
    if bias.any():
        return
    counts = torch.ones_like(bias)
    for language in mlm.train_languages:
        for ids in tokenizer(mlm.rows("train", language)["text"][:])["input_ids"]:
            counts.index_add_(0, torch.tensor(ids), torch.ones(len(ids)))
    bias.copy_(counts.log() - counts.sum().log())


def print_losses(trainer: jx.Trainer, label: str) -> None:
    """Print the losses that a training logged.

    Args:
        trainer: After its training.
        label: What stands before the number of the step.
    """
    for entry in trainer.state.log_history:
        if "loss" in entry:
            print(f"{label} {entry['step']}: loss {entry['loss']:.2f}")


if __name__ == "__main__":
    main()
