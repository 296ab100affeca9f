"""The arguments of the batch-size study, and the trainings that they describe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from batch_training import training_stage
from study import Options, option

import jiantx as jx

RULES = {"fixed": 0.0, "sqrt": 0.5, "linear": 1.0}  # learning rate ~ batch size ** exponent


class Setting(NamedTuple):
    """A batch size, and the rule that its learning rate follows."""

    batch_size: int
    rule: str


@dataclass(kw_only=True)
class BatchOptions(Options):
    encoder: str = option("Hub id or folder (default: the artificial world's own)", "")
    task: str = option(
        "intermediate task, trained and scored in English (default: mnli; in the world ccg)", ""
    )
    batch_sizes: list[int] = option("each divides the next", [8, 32, 128])
    base: int = option("the batch size that has the usual learning rate", 32)
    examples: int = option("of every run, about (default: 131072; in the world 2048)", 0)
    bf16: bool = option("train and score in mixed precision", False)
    eval_rows: int | None = option("score so many validation rows (default: all)")
    score: float | None = option(
        "to be reached (default: nine tenths of the way from the least to the best)"
    )

    def __post_init__(self) -> None:
        if not self.task:
            self.task = "mnli" if self.data_root else "ccg"  # ccg is learned in a minute
        sizes = sorted({*self.batch_sizes, self.base})
        if any(larger % smaller for smaller, larger in pairwise(sizes)):
            raise ValueError(f"of the batch sizes {sizes} each must divide the next")
        self.batch_sizes = sizes
        # All evaluations, and the budget of equal steps, are at whole steps of every batch size.
        ratio = sizes[-1] // sizes[0]
        self.evaluations = ratio * math.ceil(8 / ratio)
        examples = self.examples or (131072 if self.data_root else 2048)
        steps_between = max(1, round(examples / self.evaluations / sizes[-1]))
        self.examples = steps_between * sizes[-1] * self.evaluations

    @property
    def fewest_steps(self) -> int:
        """The steps of a run with the largest batch."""
        return self.examples // max(self.batch_sizes)

    def stage(self, setting: Setting, seed: int) -> jx.experiments.Stage:
        """Return the training of one setting and seed.

        Args:
            setting: A batch size, and the rule that gives its learning rate.
            seed: Of the head's weights and of the order of the examples.
        """
        batch_size, rule = setting
        base_rate = jx.experiments.default_learning_rate(self.encoder)
        arguments = {
            "per_device_train_batch_size": batch_size,
            "learning_rate": base_rate * (batch_size / self.base) ** RULES[rule],
            "weight_decay": 0.01,
            "seed": seed,
            "lr_scheduler_type": "constant_with_warmup",
            "warmup_steps": max(1, self.fewest_steps // 10),
            "max_steps": self.examples // batch_size,
            "eval_strategy": "steps",
            "eval_steps": self.examples // self.evaluations // batch_size,
            "bf16": self.bf16,
            "use_cpu": self.bf16 and not torch.cuda.is_available(),  # transformers asks for it
        }
        return training_stage(self.encoder, self.task, arguments, self.base, self.eval_rows)
