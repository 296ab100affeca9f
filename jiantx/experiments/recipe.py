"""The recipe of Phang et al. 2020 (arXiv 2005.13013) as stages that run once.

Each row of the table trains the encoder on intermediate tasks, then on each target in English, and
scores the target in every language.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from accelerate import PartialState
from transformers import set_seed

import jiantx
from jiantx.experiments.cells import Cell, FinetuningStage, TargetGroup, TrainingKey
from jiantx.experiments.recipe_checks import check_plan, check_recipe, check_seeds
from jiantx.experiments.rows import BASELINE, parse_row
from jiantx.experiments.selection import training_name
from jiantx.experiments.stages import Stage, Stages, fingerprint
from jiantx.experiments.training import (
    learning_check,
    limit_training,
    merge_adapters,
    score_targets,
    subsample_validation,
    task_fingerprints,
    train,
)
from jiantx.half_precision import half_precision
from jiantx.model import MultitaskModel
from jiantx.report import Report
from jiantx.sources import DataError, data_root
from jiantx.task import Task
from jiantx.tasks import resolve_tasks, training_tasks

_LEARNING_CHECK_ROWS = 500  # English validation rows, as many as in the paper's code
_FORMAT = 3  # of what a stage writes; a new number runs all stages again


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What all rows of a table share: the encoder, how it is trained, what is scored.

    A stage is identified by these fields, the declarations of its tasks, the encoder's files, the
    path of the data root and jiantx's version. It is not identified by the rows of the data: when
    they change, choose another `output`.

    Args:
        encoder: Hub id or folder of the pretrained encoder.
        output: Folder of all results. Recipes may share one.
        intermediate: `TrainingArguments` of the training on intermediate tasks, by name.
        target: `TrainingArguments` of the fine-tuning on targets, by name.
        by_task: Task -> `TrainingArguments` that override `target` where this task is trained.
            XQuAD is trained on SQuAD, so its key is `squad_v1`.
        max_length: Trained task -> maximum length of a sequence in tokens, with the same keys.
        patience: End a training after this many evaluations without improvement. None: never.
        eval_examples: Validation rows per language that are scored during training. As many
            decide at its end whether the run failed (500 if None, as in the paper's code).
        splits: Splits of the targets that are scored.
        languages: Languages of the targets that are scored; None scores all.
        max_train_examples: Largest number of training rows per task and language, chosen at
            random; None takes all.
        train_languages: Languages to fine-tune targets in; with `shots=None`, instead of English.
        shots: Fine-tune in English first, then on this many rows of each of `train_languages`.
        adapt: What of the encoder a target trains: "full" all weights, "lora" adapters of rank 8,
            "frozen" nothing.

    Example:
        >>> recipe = Recipe(encoder="xlm-roberta-base", output="runs")
        >>> recipe.run(["mnli"], ["xnli"], seeds=3).mean(by="language")  # doctest: +SKIP
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

    def __post_init__(self) -> None:
        check_recipe(self)

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
        """Plan the stages of a table. A cell is a row x a seed x a group of targets.

        For the rows `none` and `mnli`, the targets xquad, mlqa and tatoeba, and one seed:

        | row | group of targets | its stage | depends on |
        | --- | --- | --- | --- |
        | none | xquad, mlqa | SQuAD, then score both | |
        | none | tatoeba | score | |
        | mnli | xquad, mlqa | SQuAD, then score both | mnli |
        | mnli | tatoeba | score | mnli |

        Args:
            rows: Rows as `parse_row` reads them. The baseline `none` is always planned first.
            targets: Tasks or their names.
            seeds: Number of seeds; they are 1, 2, ….

        Returns:
            The stage of each cell. A stage holds the stages that it depends on.

        Raises:
            DataError: A target has no labelled rows to score.
        """
        check_seeds(seeds)
        groups = [self._group(tasks) for tasks in self._targets_by_training(targets)]
        check_plan(self, groups)
        row_specs = dict.fromkeys([BASELINE, *([rows] if isinstance(rows, str) else rows)])
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
        """Group the targets that are fine-tuned alike."""
        groups: dict[TrainingKey, list[Task]] = {}
        for task in resolve_tasks(targets):
            trained = [stage.task for stage in self.finetuning_stages(task)]
            if trained:
                max_length = self.max_length.get(trained[-1].name, task.max_length)
                task = task.replace(max_length=max_length)
            untrained_target = "" if trained else task.name
            key = TrainingKey(tuple(task_fingerprints(trained)), untrained_target)
            groups.setdefault(key, []).append(task)
        return list(groups.values())

    def stages(self, plan: Mapping[Cell, Stage]) -> Stages:
        """The stages of a plan in their order, each once."""
        return Stages(Path(self.output), plan.values())

    def report(self, plan: Mapping[Cell, Stage]) -> Report:
        """Read the scores of the finished cells, and how many training rows were changed.

        Every record has the tags `intermediate` (the row), `seed`, `encoder` and `version`. Those
        of the intermediate training also have `stage="intermediate"`.
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

    def finetuning_stages(self, target: Task) -> list[FinetuningStage]:
        """List the trainings that fine-tune a target, in order; empty if it has no training rows.

        They are `training_tasks(target)`, in English; in `train_languages` if there are some; with
        `shots`, first in English and then in those languages.
        """
        tasks = []
        for task in training_tasks(target):
            max_length = self.max_length.get(task.name, task.max_length)
            tasks.append(task.replace(max_length=max_length))
        in_english = [FinetuningStage(task, None) for task in tasks]
        if not self.train_languages:
            return in_english
        in_languages = []
        for task in tasks:
            translated = task.replace(train_languages=self.train_languages)
            in_languages.append(FinetuningStage(translated, self.shots))
        return in_languages if self.shots is None else [*in_english, *in_languages]

    def finetuning_arguments(self, task: Task) -> dict[str, Any]:
        """Return the `TrainingArguments` that a target's training on this task uses, by name."""
        return {**self.target, **self.by_task.get(task.name, {})}

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
        """Describe targets that are fine-tuned alike; DataError if one cannot be scored."""
        finetuning_stages = self.finetuning_stages(targets[0])
        trained = [stage.task for stage in finetuning_stages]
        arguments = [self.finetuning_arguments(task) for task in trained]
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
        inputs: dict[str, Any] = {
            "trained": task_fingerprints(trained),
            "arguments": arguments,
            "targets": task_fingerprints(targets),
            "languages": languages,
        }
        if half_precision(self.target):
            inputs["precision"] = str(half_precision(self.target))
        if trained:
            inputs["shots"] = self.shots
            inputs["adapt"] = self.adapt
        return TargetGroup(tuple(targets), finetuning_stages, arguments, languages, inputs)

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
            tasks = {task.name: task for task in (*group.trained_tasks, *group.targets)}
            model = MultitaskModel.from_pretrained(encoder, list(tasks.values()), heads="new")
            report = Report()
            for index, (task, max_rows) in enumerate(group.finetuning_stages):
                training_folder = folder / f"{index}-{task.name}"
                arguments = group.arguments[index]
                model, changes = self._fine_tune(
                    model, task, training_folder, arguments, seed, max_rows
                )
                if len(group.finetuning_stages) > 1:
                    changes = changes.with_tags(finetuning_stage=index)
                report += changes
            report += score_targets(model, group, half_precision(self.target))
            if group.trained_tasks:
                report += self._learning_check(model, group.trained_tasks, seed, report)
            if PartialState().is_main_process:
                report.to_json(folder / "report.json")

        name = f"{row_spec} -> {'+'.join(group.languages)}, seed {seed}"
        return Stage(name, self._common_inputs(seed) | group.inputs, run, depends_on)

    # --- which rows are scored --------------------------------------------------------------------

    def labelled_languages(self, task: Task, split: str) -> list[str]:
        """List the languages of a split that are scored.

        Args:
            task: A target.
            split: One of its splits.

        Returns:
            Those of `languages` that have the split; none if its labels are placeholders.
        """
        languages = list(task.languages(split))
        if self.languages:
            languages = [language for language in languages if language in self.languages]
        return languages if task.is_labelled(split, languages) else []

    def development_task(self, task: Task, seed: int) -> Task | None:
        """Choose the English validation rows that decide whether a training failed.

        Args:
            task: The task that was trained.
            seed: Chooses the rows where there are more than needed.

        Returns:
            The task with these rows; None if it has none, or if a corpus would have to be encoded
            for them alone.
        """
        if task.corpus_task is not None or "en" not in task.languages("validation"):
            return None
        max_rows = self.eval_examples or _LEARNING_CHECK_ROWS
        return subsample_validation(task, max_rows, seed, ["en"])

    def validation_tasks(self, tasks: Sequence[Task]) -> list[Task]:
        """Select the tasks whose validation rows are scored during their training.

        They are scored in their training languages. Machine translations have no validation rows,
        and are scored in English. Tasks with a corpus are not scored: encoding it takes long.
        """
        scored = []
        for task in tasks:
            if task.corpus_task is not None:
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
        trainable = limit_training(model, self.adapt)
        changes = self._train(trainable, [task], folder, arguments, seed, max_rows)
        return merge_adapters(trainable), changes

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
        task = self.development_task(trained[-1], seed)
        if task is None:
            return Report()
        precision = half_precision(self.target)
        return learning_check(model, task, report, name=training_name(trained), dtype=precision)
