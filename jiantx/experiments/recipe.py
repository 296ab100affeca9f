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

import jiantx
from jiantx.experiments.cells import Cell, FinetuningStage, TrainingKey
from jiantx.experiments.recipe_checks import check_plan, check_recipe, check_seeds
from jiantx.experiments.recipe_stages import intermediate_stage, target_group, target_stage
from jiantx.experiments.rows import BASELINE
from jiantx.experiments.stages import Stage, Stages, fingerprint
from jiantx.experiments.training import subsample_validation, task_fingerprints
from jiantx.experiments.vocabulary_stage import vocabulary_stage
from jiantx.progress_bars import without_bars
from jiantx.report import Report
from jiantx.task import Task
from jiantx.tasks import resolve_tasks, training_tasks

_LEARNING_CHECK_ROWS = 500  # validation rows, as many as in the paper's code


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings that all rows of a table share: encoder, training and scoring.

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
        eval_examples: How many validation rows per language are scored during a training (None:
            all). After it, as many rows decide whether the run failed (None: 500, as in the
            paper's code).
        splits: Splits of the targets that are scored.
        languages: Languages of the targets that are scored; None scores all.
        eval_rows: Score at most this many rows of each language of a split, chosen at random: the
            same for every row of the table and every seed. Targets whose rows cannot be scored
            alone (mining, and retrieval among the rows themselves) are scored whole, and a corpus
            is searched whole. None scores all.
        trim_vocabulary: Before any training, drop the pieces that no data of the table use. Scores
            stay the same, except for masked LM, whose loss is over the remaining pieces. Other
            rows or targets give another vocabulary, so all stages run again.
        max_train_examples: Largest number of training rows per task and language, chosen at
            random; None takes all.
        train_languages: Languages to fine-tune targets in; with `shots=None`, instead of English.
        shots: Fine-tune in English first, then on this many rows of each of `train_languages`.
        adapt: Which weights of the encoder are trained on a target: "full" all, "lora" adapters of
            rank 8, "frozen" none.

    Example:
        >>> recipe = Recipe(encoder="xlm-roberta-base", output="runs")
        >>> report = recipe.run(["mnli"], ["xnli"], seeds=3)  # doctest: +SKIP
        >>> report.where(intermediate="mnli").mean(by="language")  # doctest: +SKIP
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
    eval_rows: int | None = None
    trim_vocabulary: bool = False
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
        with without_bars(bool(self.target.get("disable_tqdm"))):
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

        With `trim_vocabulary`, one more stage trims the encoder that all of them start from.

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
        groups = [target_group(self, tasks) for tasks in self._targets_by_training(targets)]
        check_plan(self, groups)
        row_specs = dict.fromkeys([BASELINE, *([rows] if isinstance(rows, str) else rows)])
        encoder_stages: tuple[Stage, ...] = ()  # whose encoder all rows start from
        if self.trim_vocabulary:
            encoder_stages = (vocabulary_stage(self, row_specs, groups),)
        plan = {}
        for seed, row_spec in itertools.product(range(1, seeds + 1), row_specs):
            depends_on = encoder_stages
            if row_spec != BASELINE:
                depends_on = (intermediate_stage(self, row_spec, seed, encoder_stages),)
            for group in groups:
                cell = Cell(row_spec, seed, tuple(group.languages), group.targets)
                plan[cell] = target_stage(self, row_spec, seed, group, depends_on)
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

        Every record has the tags `intermediate` (the row), `seed`, `encoder` and `version`, and
        `eval_rows` if the recipe has them. Those of the intermediate training also have
        `stage="intermediate"`. A trimmed encoder has the tag of the whole one.
        """
        stages = self.stages(plan)
        report = Report()
        # scores of different encoders, versions or numbers of rows are never averaged
        origin: dict[str, Any] = {"encoder": self.fingerprint, "version": jiantx.__version__}
        if self.eval_rows is not None:
            origin["eval_rows"] = self.eval_rows
        for cell, last_stage in plan.items():
            for stage in filter(stages.done, (*last_stage.depends_on, last_stage)):
                scores = Report.from_json(stages.folder_of(stage) / "report.json")
                kind = {} if stage is last_stage else {"stage": "intermediate"}
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

    def scored_languages(self, task: Task) -> dict[str, list[str]]:
        """Map each split of a target that is scored to its languages."""
        languages = {split: self.labelled_languages(task, split) for split in self.splits}
        return {split: codes for split, codes in languages.items() if codes}

    def development_task(self, task: Task, seed: int) -> Task | None:
        """Choose the validation rows that decide whether a training failed.

        They are English, or in the first training language if there are no English ones.

        Args:
            task: The task that was trained.
            seed: Chooses the rows where there are more than needed.

        Returns:
            The task with these rows; None if it has none, or if a corpus would have to be encoded
            for them alone.
        """
        available = task.languages("validation")
        languages = [code for code in ("en", *task.train_languages) if code in available]
        if task.corpus_task is not None or not languages:
            return None
        max_rows = self.eval_examples or _LEARNING_CHECK_ROWS
        return subsample_validation(task, max_rows, seed, languages[:1])

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

    @cached_property
    def fingerprint(self) -> str:
        """What identifies the encoder, before its vocabulary is trimmed."""
        return fingerprint(self.encoder)  # reads all of a folder, and so once
