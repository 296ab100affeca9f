"""What the studies share that fine-tune encoders on targets: arguments, recipe and encoders."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from study import Options, check_rows, has_training_rows, option

import jiantx as jx

USUAL_TARGETS = ("udpos", "panx", "tatoeba")  # small encoders learn them in a few steps


@dataclass(kw_only=True)
class Training(Options):
    """The arguments of a study that fine-tunes encoders on targets."""

    targets: list[str] = option(
        f"trained and scored (default: of {' '.join(USUAL_TARGETS)} those that have rows)", []
    )
    split: Literal["validation", "test"] = option("the split that is scored", "validation")
    steps: list[int] | None = option(
        "of intermediate and of target training "
        "(default: few in the artificial world; else -1: three epochs)"
    )
    batch_size: int = option("examples per step", 32)
    learning_rate: float | None = option("default: 1e-5 (1024 / hidden size)^2, at most 1e-3")
    bf16: bool = option("train and score in mixed precision", False)
    eval_rows: int | None = option("score so many rows of each language (default: all)")
    trim_vocabulary: bool = option("first drop the pieces that no data use", False)
    report: Path | None = option(
        "report.json of examples/intermediate_then_target.py: its scores are read, nothing is "
        "trained"
    )
    world_steps: ClassVar[list[int]] = [150, 40]  # default of `steps` in the artificial world
    reads_report: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.steps:
            self.steps = [-1, -1] if self.data_root else self.world_steps
        if len(self.steps) != 2:
            raise ValueError("--steps takes two numbers: of intermediate and of target training")
        for name in self.targets:
            jx.get_task(name)  # raises on unknown names

    def recipe(self, encoder: str) -> jx.experiments.Recipe:
        """Return the recipe of an encoder, with the paper's hyperparameters.

        The paper's learning rate, 1e-5, is for XLM-R large. Smaller encoders take larger steps;
        above 1e-3 they diverged.
        """
        assert self.steps
        intermediate_steps, target_steps = self.steps
        arguments: dict[str, Any] = {
            "learning_rate": self.learning_rate or jx.experiments.default_learning_rate(encoder),
            "per_device_train_batch_size": self.batch_size,
            "bf16": self.bf16,
            "warmup_steps": 0.1,
            "weight_decay": 0.01,
            "num_train_epochs": 3,
        }
        if self.bf16 and not torch.cuda.is_available():
            arguments["use_cpu"] = True  # transformers asks for it
        return jx.experiments.Recipe(
            encoder=encoder,
            output=self.output,
            splits=(self.split,),
            eval_rows=self.eval_rows,
            trim_vocabulary=self.trim_vocabulary,
            intermediate={**arguments, "max_steps": intermediate_steps},
            target={**arguments, "max_steps": target_steps},
        )

    def scores(self, encoder: str, rows: Sequence[str]) -> jx.Report:
        """Return the scores of the targets, without intermediate training and after each row.

        They are those of `report` if there is one; else the recipe is run.

        Args:
            encoder: Hub id or folder.
            rows: Intermediate training: tasks joined by "+".
        """
        if self.report is None:
            return self.recipe(encoder).run(rows, self.targets, seeds=self.seeds)
        self.output.mkdir(parents=True, exist_ok=True)
        table = jx.Report.from_json(self.report).where(intermediate=["none", *rows])
        scores = table.where(task=self.targets, split=self.split)
        scored_rows = {score.tags["intermediate"] for score in scores}
        missing = [row for row in ("none", *rows) if row not in scored_rows]
        if missing:
            sys.exit(f"error: {self.report} has no scores of {', '.join(missing)}.")
        trainings = [jx.tasks.training_tasks(jx.get_task(name)) for name in self.targets]
        trained = [jx.experiments.training_name(tasks) for tasks in trainings]
        checks = (jx.experiments.DEVELOPMENT, jx.experiments.CHANCE)
        return scores + table.where(metric=checks, task=trained)

    def check_report(self) -> None:
        """End a study that measures what no table has."""
        if not self.reads_report:
            sys.exit("error: --report: this study measures more than a table of scores has.")

    def default_targets(self) -> Sequence[str]:
        """Return the targets to take where none are given."""
        return USUAL_TARGETS

    def check(self, rows: Iterable[str]) -> None:
        """End the study now, not in an hour, where the data root lacks rows.

        Without --targets, `self.targets` becomes the default targets that have rows.

        Args:
            rows: Intermediate training: tasks joined by "+", or "none".
        """
        if self.report is not None:
            if not self.report.exists():
                sys.exit(f"error: there is no {self.report}. The recipe writes it with its table.")
            scores = jx.Report.from_json(self.report).where(split=self.split)
            names = dict.fromkeys(score.task for score in scores if "stage" not in score.tags)
            self.targets = self.targets or [name for name in names if name in jx.XTREME]
            self.seeds = len({score.tags["seed"] for score in scores})
            self.check_report()
            return
        available = []
        missing = []
        tasks = [jx.get_task(name) for name in self.targets or self.default_targets()]
        for task in tasks:
            is_labelled = task.is_labelled(self.split)
            if is_labelled and has_training_rows(jx.tasks.training_tasks(task)):
                available.append(task.name)
            else:
                missing.append(task.name)
        needs_all = self.targets or not available
        self.targets = available
        self.skipped_targets = missing
        check_rows(rows, missing if needs_all else ())


@dataclass(kw_only=True)
class EncoderTraining(Training):
    """The arguments of a study that compares encoders."""

    encoders: list[str] = option("sizes, Hub ids or folders", [])
    pretraining_steps: int = option("of encoders that are given as sizes", 300)

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [Path(encoder).name for encoder in self.encoders]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(
                f"--encoders: several are named {', '.join(repeated)} in the tables. Rename their "
                "folders."
            )

    def check_report(self) -> None:
        super().check_report()
        if len(self.encoders) > 1:
            sys.exit("error: --report has the scores of one encoder. Name it with --encoders.")

    def resolve_encoder(self, encoder: str) -> str:
        """Return a Hub id or folder as it is; pretrain a size such as 160x4 or 160x4-en once.

        A size is the hidden size and the number of layers; "-en" means on English text only.
        """
        size = re.fullmatch(r"(\d+)x(\d+)(-en)?", encoder)
        if not size:
            return encoder
        folder = jx.default_encoder(
            hidden=int(size[1]),
            layers=int(size[2]),
            languages=("en",) if size[3] else None,
            max_steps=self.pretraining_steps,
        )
        return str(folder)

    def run_encoders(self, rows: Sequence[str]) -> tuple[jx.Report, dict[str, int]]:
        """Fine-tune every encoder without intermediate training, and after each of the rows.

        Returns:
            The report, in which scores are tagged with `encoder`, and the number of parameters
            without embeddings by the encoder's name. The output has the report too.
        """
        records: list[jx.Score] = []
        sizes = {}
        for encoder in self.encoders:
            name = Path(encoder).name
            path = self.resolve_encoder(encoder)
            sizes[name] = jx.experiments.parameter_count(path)
            report = self.scores(path, rows)
            records += report.with_tags(encoder=name)
        report = jx.Report(records)
        report.to_json(self.output / "report.json")
        return report, sizes
