"""The paper's recipe (arXiv 2005.13013): encoder -> intermediate tasks -> target -> scores."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from accelerate import PartialState
from transformers import set_seed

import jiantx
from jiantx.evaluation import evaluate
from jiantx.experiments.cells import Cell, TargetGroup
from jiantx.experiments.rows import BASELINE, parse_row
from jiantx.experiments.selection import CHANCE, DEVELOPMENT, training_name
from jiantx.experiments.stages import Stage, Stages, fingerprint
from jiantx.experiments.training import (
    chance_score,
    english_main_score,
    subsample_validation,
    task_fingerprints,
    train,
)
from jiantx.model import MultitaskModel
from jiantx.report import Report
from jiantx.sources import DataError, data_root
from jiantx.task import Task
from jiantx.tasks import get_task, training_tasks

_PAPER_ROWS = 500  # English validation rows, as in the paper's code
_FORMAT = 3  # of what a stage writes; a new number runs all stages again


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What all rows of a table share: the encoder, how it is trained, what is scored.

    A stage is identified by these fields, its tasks' declarations, the encoder's files, the data
    root's path and jiantx's version, but not by the rows of the data: when they change, choose
    another `output`.

    Args:
        encoder: Hub id or folder.
        output: The folder of all results.
        intermediate: `TrainingArguments` of the intermediate training, by name.
        target: Those of the fine-tuning on a target.
        by_task: More of them for the fine-tuning on a task: `{"squad_v1": {...}}` for XQuAD too.
        max_length: Task -> tokens of a sequence, by the same names.
        patience: Evaluations without improvement after which a training ends.
        eval_examples: Validation rows that are scored during training, and that decide at the end
            whether a run failed (there 500 if None, as in the paper's code).
        splits: Which splits of the targets are scored.
        languages: Which of their languages; all if None.
        max_train_examples: Training rows of each task at most, chosen at random.
        train_languages: Languages to fine-tune targets in. With `shots=None` they replace English.
        shots: Fine-tune in English first, then on this many rows of each of `train_languages`.
        adapt: What of the encoder a target trains: "full" all, "lora" adapters of rank 8, "frozen"
            nothing.

    >>> Recipe(encoder="xlm-roberta-base", output="runs").run(["mnli"], ["xnli"])  # doctest: +SKIP
    """

    encoder: str | os.PathLike[str]
    output: str | os.PathLike[str]
    intermediate: Mapping[str, Any] = field(default_factory=dict)
    target: Mapping[str, Any] = field(default_factory=dict)
    by_task: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    max_length: Mapping[str, int] = field(default_factory=dict)
    patience: int | None = None
    eval_examples: int | None = None
    splits: tuple[str, ...] = ("validation",)
    languages: tuple[str, ...] | None = None
    max_train_examples: int | None = None
    train_languages: tuple[str, ...] = ()
    shots: int | None = None
    adapt: Literal["full", "lora", "frozen"] = "full"

    def run(self, rows: Sequence[str], targets: Sequence[str | Task], *, seeds: int = 1) -> Report:
        """Run the stages of a table that are not done, and report its scores.

        Args:
            rows: As `parse_row` reads them; the baseline `none` is always run.
            targets: Tasks or their names.
            seeds: How often everything is run.

        Returns:
            Scores with the tags `intermediate` (the row) and `seed`.
        """
        plan = self.plan(rows, targets, seeds=seeds)
        self.stages(plan).run()
        return self.report(plan)

    def plan(
        self, rows: Sequence[str], targets: Sequence[str | Task], *, seeds: int = 1
    ) -> dict[Cell, Stage]:
        """Plan the stages of a table: one for each row, seed and group of targets.

        Targets that are fine-tuned in the same way (XQuAD and MLQA, on SQuAD) share a stage. The
        stages of a row and seed depend on one stage of intermediate training, if the row has any.

        Args:
            rows: As `parse_row` reads them.
            targets: Tasks or their names.
            seeds: How many seeds, from 1.
        """
        groups = [self._group(tasks) for tasks in self._targets_by_training(targets)]
        row_specs = dict.fromkeys([BASELINE, *rows])
        plan = {}
        for seed, row_spec in itertools.product(range(1, seeds + 1), row_specs):
            depends_on: tuple[Stage, ...] = ()
            if row_spec != BASELINE:
                depends_on = (self._intermediate_stage(row_spec, seed),)
            for group in groups:
                cell = Cell(row_spec, seed, tuple(group.languages), group.targets)
                plan[cell] = self._target_stage(row_spec, seed, group, depends_on)
        return plan

    def _targets_by_training(self, targets: Sequence[str | Task]) -> list[list[Task]]:
        """The targets, those that are fine-tuned in the same way together."""
        groups: dict[tuple[Any, ...], list[Task]] = {}
        for target in targets:
            task = get_task(target) if isinstance(target, str) else target
            finetuning = [trained for trained, _ in self.finetuning_stages(task)]
            if finetuning:
                max_length = self.max_length.get(finetuning[-1].name, task.max_length)
                task = task.replace(max_length=max_length)
            key = tuple(task_fingerprints(finetuning)) or (task.name,)
            groups.setdefault(key, []).append(task)
        return list(groups.values())

    def stages(self, plan: Mapping[Cell, Stage]) -> Stages:
        """The stages of a plan in their order, each once."""
        return Stages(Path(self.output), plan.values())

    def report(self, plan: Mapping[Cell, Stage]) -> Report:
        """The scores of the finished cells, and how many training rows were changed.

        Tags: intermediate, seed, encoder, version. Counts of the intermediate training have the tag
        stage="intermediate".
        """
        stages = self.stages(plan)
        report = Report()
        # scores of different encoders or versions are never averaged
        origin = {"encoder": self._fingerprint, "version": jiantx.__version__}
        for cell, target_stage in plan.items():
            for stage in filter(stages.done, (*target_stage.depends_on, target_stage)):
                scores = Report.from_json(stages.folder_of(stage) / "report.json")
                kind = {} if stage is target_stage else {"stage": "intermediate"}
                report += scores.with_tags(intermediate=cell.row, seed=cell.seed, **origin, **kind)
        return report

    def finetuning_stages(self, target: Task) -> list[tuple[Task, int | None]]:
        """What fine-tunes a target, in order, each with its most rows a language (None: all)."""
        tasks = [
            task.replace(max_length=self.max_length.get(task.name, task.max_length))
            for task in training_tasks(target)
        ]
        in_english = [(task, None) for task in tasks]
        if not self.train_languages:
            return [*in_english]
        in_languages = [
            (task.replace(train_languages=self.train_languages), self.shots) for task in tasks
        ]
        return in_languages if self.shots is None else [*in_english, *in_languages]

    # --- the stages -------------------------------------------------------------------------------

    def _intermediate_stage(self, row_spec: str, seed: int) -> Stage:
        """Train the encoder on one task, or jointly on several; keep the encoder only."""
        tasks = parse_row(row_spec)

        def run(folder: Path, dependencies: Sequence[Path]) -> None:
            set_seed(seed)
            model = MultitaskModel.from_pretrained(self.encoder, tasks)
            changes = self._train(model, tasks, folder, self.intermediate, seed, None)
            if PartialState().is_main_process:
                model.save_encoder(folder / "encoder")
                changes.to_json(folder / "report.json")

        inputs = {"trained": task_fingerprints(tasks), "arguments": dict(self.intermediate)}
        return Stage(f"{row_spec}, seed {seed}", self._common_inputs(seed) | inputs, run)

    def _group(self, targets: Sequence[Task]) -> TargetGroup:
        finetuning = self.finetuning_stages(targets[0])
        arguments = [{**self.target, **self.by_task.get(task.name, {})} for task, _ in finetuning]
        languages: dict[str, dict[str, list[str]]] = {}
        for task in targets:
            by_split = {split: self.labelled_languages(task, split) for split in self.splits}
            languages[task.name] = {split: codes for split, codes in by_split.items() if codes}
        unscored = [name for name, by_split in languages.items() if not by_split]
        if unscored:
            where = f" in {', '.join(self.languages)}." if self.languages else "."
            raise DataError(
                f"Nothing to score of {', '.join(unscored)}: no labelled rows of "
                f"{' or '.join(self.splits)} here{where}"
            )
        inputs = {
            "trained": task_fingerprints([task for task, _ in finetuning]),
            "arguments": arguments,
            "targets": task_fingerprints(targets),
            "scored": languages,
        }
        if finetuning:
            inputs |= {"shots": self.shots, "adapt": self.adapt}
        return TargetGroup(tuple(targets), finetuning, arguments, languages, inputs)

    def _target_stage(
        self, row_spec: str, seed: int, group: TargetGroup, depends_on: tuple[Stage, ...]
    ) -> Stage:
        """Fine-tune a fresh copy of the intermediate encoder with new heads, and score the targets.

        A target without training rows, such as sentence retrieval, is scored on the intermediate
        encoder.
        """

        def run(folder: Path, dependencies: Sequence[Path]) -> None:
            set_seed(seed)
            encoder = dependencies[0] / "encoder" if dependencies else self.encoder
            trained = [task for task, _ in group.finetuning]
            tasks = {task.name: task for task in (*trained, *group.targets)}
            model = MultitaskModel.from_pretrained(encoder, list(tasks.values()), heads="new")
            report = Report()
            for index, (task, max_rows) in enumerate(group.finetuning):
                stage_folder = folder / f"{index}-{task.name}"
                model, changes = self._fine_tune(
                    model, task, stage_folder, group.arguments[index], seed, max_rows
                )
                if len(group.finetuning) > 1:
                    changes = changes.with_tags(finetuning_stage=index)
                report += changes
            for target in group.targets:
                for split, languages in group.languages[target.name].items():
                    report += evaluate(model, [target], split=split, languages=languages)
            if trained:
                report += self._learning_check(model, trained, seed, report)
            if PartialState().is_main_process:
                report.to_json(folder / "report.json")

        name = f"{row_spec} -> {'+'.join(group.languages)}, seed {seed}"
        return Stage(name, self._common_inputs(seed) | group.inputs, run, depends_on)

    def labelled_languages(self, task: Task, split: str) -> list[str]:
        """The languages of a split that are scored; none if its labels are placeholders.

        Args:
            task: A target.
            split: One of its splits.
        """
        languages = [
            language
            for language in task.languages(split)
            if self.languages is None or language in self.languages
        ]
        return languages if task.is_labelled(split, languages) else []

    def development_task(self, task: Task, seed: int) -> Task | None:
        """The English validation rows, if any, that decide whether a training failed.

        Args:
            task: What was trained.
            seed: Chooses the rows.
        """
        # a corpus would be encoded for this alone
        if task.corpus_task is not None or "en" not in task.languages("validation"):
            return None
        return subsample_validation(task, self.eval_examples or _PAPER_ROWS, seed, ["en"])

    def validation_tasks(self, tasks: Sequence[Task]) -> list[Task]:
        """The tasks whose validation rows are scored during their training.

        In their training languages or, if these have no such rows (translations), in English.
        """
        scored = []
        for task in tasks:
            if task.corpus_task is not None:  # a corpus takes long to encode
                continue
            available = task.languages("validation")
            languages = [language for language in task.train_languages if language in available]
            if not languages and "en" in available:
                languages = ["en"]
            if languages:
                scored.append(task.replace(train_languages=tuple(languages)))
        return scored

    def _common_inputs(self, seed: int) -> dict[str, Any]:
        """What a stage's result depends on, beside what it trains and the stages before it."""
        return {
            "seed": seed,
            "max_train_examples": self.max_train_examples,
            "patience": self.patience,
            "eval_examples": self.eval_examples,
            "encoder": self._fingerprint,
            "data_root": str(data_root()),
            "version": jiantx.__version__,
            "format": _FORMAT,
        }

    @cached_property
    def _fingerprint(self) -> str:
        return fingerprint(self.encoder)  # reads all of a folder, and so once

    def _fine_tune(
        self,
        model: MultitaskModel,
        task: Task,
        folder: Path,
        arguments: Mapping[str, Any],
        seed: int,
        max_rows: int | None,
    ) -> tuple[MultitaskModel, Report]:
        """Train a target's head, and as much of the encoder as `adapt` says."""
        if self.adapt == "lora":
            from peft import get_peft_model

            adapted: Any = get_peft_model(model, model.lora_config())  # type: ignore[arg-type]
            changes = self._train(adapted, [task], folder, arguments, seed, max_rows)
            return adapted.merge_and_unload(), changes
        model.encoder.requires_grad_(self.adapt == "full")
        return model, self._train(model, [task], folder, arguments, seed, max_rows)

    def _train(
        self,
        model: MultitaskModel,
        tasks: Sequence[Task],
        folder: Path,
        arguments: Mapping[str, Any],
        seed: int,
        max_rows: int | None,
    ) -> Report:
        eval_tasks = [
            subsample_validation(task, self.eval_examples, seed, task.train_languages)
            for task in self.validation_tasks(tasks)
        ]
        return train(
            model,
            tasks,
            folder,
            arguments,
            seed=seed,
            max_rows=max_rows or self.max_train_examples,
            eval_tasks=eval_tasks,
            patience=self.patience,
        )

    def _learning_check(
        self, model: MultitaskModel, trained: Sequence[Task], seed: int, report: Report
    ) -> Report:
        """The two scores that decide whether a run failed.

        DEVELOPMENT is the main score on English validation rows; CHANCE is the accuracy of the
        majority class (0 for tasks that are not scored by accuracy alone).
        """
        task = self.development_task(trained[-1], seed)
        if task is None:
            return Report()
        rows = len(task.rows("validation", "en"))
        # nothing is computed twice: the same rows may be scored already
        record = english_main_score(report, task, rows)
        if record is None and task.is_labelled("validation", ["en"]):
            record = english_main_score(evaluate(model, [task], languages=["en"]), task, rows)
        if record is None:
            return Report()
        record = replace(record, task=training_name(trained))
        development = replace(record, metric=DEVELOPMENT)
        return Report([development, replace(record, metric=CHANCE, value=chance_score(task))])
