"""Estimates what a plan costs before it runs: tokens, floating-point operations and hours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from transformers import AutoConfig, AutoTokenizer, TrainingArguments

from jiantx.batching import list_lengths
from jiantx.experiments.cells import Cell
from jiantx.experiments.recipe import Recipe
from jiantx.experiments.rows import joint_sampling, parse_row
from jiantx.experiments.scored_rows import splits_to_score
from jiantx.experiments.speed import measured_seconds, parameter_count
from jiantx.experiments.stages import Stage, Stages
from jiantx.features import encode_examples
from jiantx.sampling import Sampler, Sampling
from jiantx.task import Task

_SAMPLE = 100  # rows that stand for all of a split


@dataclass(frozen=True)
class Cost:
    """The cost of a stage.

    Args:
        stage: Name of the stage.
        done: Whether the stage is done. Then it costs nothing any more.
        trained_tokens: Tokens that it trains on, over all steps.
        scored_tokens: Tokens that it scores, during training and after it.
    """

    stage: str
    done: bool
    trained_tokens: int
    scored_tokens: int


@dataclass(frozen=True)
class Costs:
    """The costs of a plan.

    Args:
        stages: The cost of each stage, in the order in which they run.
        parameters: Parameters of the encoder, without embeddings.
        seconds_per_token: Seconds per trained token, and per scored token.
        device: The torch device on which these seconds were measured.
    """

    stages: tuple[Cost, ...]
    parameters: int
    seconds_per_token: tuple[float, float]
    device: str

    def flops(self, cost: Cost) -> float:
        """Return 6 N operations per trained token and 2 N per scored one, for N parameters.

        Kaplan et al. (2020), https://arxiv.org/abs/2001.08361.
        """
        return self.parameters * (6.0 * cost.trained_tokens + 2.0 * cost.scored_tokens)

    def hours(self, cost: Cost) -> float:
        """Return the hours that a stage takes, by the measured seconds per token."""
        training, scoring = self.seconds_per_token
        return (cost.trained_tokens * training + cost.scored_tokens * scoring) / 3600

    def to_text(self) -> str:
        """Return a table with one line per stage and the sum of those that are not done."""
        total_name = "still to run"
        width = max([len(total_name), *(len(cost.stage) for cost in self.stages)])
        header = f"{'trained tokens':>15} {'scored tokens':>15} {'FLOPs':>9} {'h:mm:ss':>9}"
        lines = [f"{'stage':{width}}  {header}"]
        to_run = [cost for cost in self.stages if not cost.done]
        for cost in self.stages:
            figures = "done" if cost.done else self._figures(cost)
            lines.append(f"{cost.stage:{width}}  {figures}")
        trained_tokens = sum(cost.trained_tokens for cost in to_run)
        scored_tokens = sum(cost.scored_tokens for cost in to_run)
        total = Cost(total_name, False, trained_tokens, scored_tokens)
        lines.append(f"{total_name:{width}}  {self._figures(total)}")
        training, scoring = self.seconds_per_token
        return "\n".join(lines) + (
            f"\n\nThe encoder has {self.parameters:,} parameters without embeddings. On this "
            f"machine's {self.device} it trained on {1 / training:,.0f} and scored "
            f"{1 / scoring:,.0f} tokens per second. Times are for one process; they leave out "
            "loading, reading, the optimizer and checkpoints, and assume that no training stops "
            f"early. Tokens are estimated from {_SAMPLE} rows of each split.\n"
        )

    def _figures(self, cost: Cost) -> str:
        clock = _clock(self.hours(cost))
        tokens = f"{cost.trained_tokens:>15,} {cost.scored_tokens:>15,}"
        return f"{tokens} {self.flops(cost):>9.1e} {clock:>9}"


def _clock(hours: float) -> str:
    seconds = round(3600 * hours)
    return f"{seconds // 3600:,}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def estimate_costs(recipe: Recipe, plan: Mapping[Cell, Stage]) -> Costs:
    """Estimate what the stages of a plan cost, before they run.

    This reads up to 100 rows of each split, and times a few steps of an encoder of the same shape
    with random weights. It writes nothing.

    Args:
        recipe: The recipe.
        plan: Stages to estimate, by `recipe.plan`.

    Returns:
        Tokens of each stage, and what turns them into operations and hours.
    """
    stages = recipe.stages(plan)
    counter = _TokenCounter(recipe)
    costs: dict[str, Cost] = {}
    target_tokens: dict[tuple[str, ...], tuple[int, int]] = {}  # the same in every row
    row_tokens: dict[str, tuple[int, int]] = {}  # of intermediate training
    for cell, stage in plan.items():
        if cell.names not in target_tokens:
            target_tokens[cell.names] = counter.target(cell)
        for earlier in Stages(stages.folder, stage.depends_on):
            tokens = (0, 0)  # the encoder does not read what trims its vocabulary
            if "trained" in earlier.inputs:
                if cell.row not in row_tokens:
                    tasks = parse_row(cell.row)
                    row_tokens[cell.row] = counter.training(tasks, recipe.intermediate, None)
                tokens = row_tokens[cell.row]
            costs[earlier.key] = Cost(earlier.name, stages.done(earlier), *tokens)
        costs[stage.key] = Cost(stage.name, stages.done(stage), *target_tokens[cell.names])
    config = AutoConfig.from_pretrained(recipe.encoder)
    bf16 = bool(recipe.target.get("bf16") or recipe.intermediate.get("bf16"))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    seconds = measured_seconds(config, bf16, device)
    return Costs(tuple(costs.values()), parameter_count(config), seconds, device)


def _argument(arguments: Mapping[str, Any], name: str) -> Any:
    """Return a value of `TrainingArguments`, or its default.

    An instance of `TrainingArguments` is not made for this, since it would make its output folder.
    """
    return arguments.get(name, TrainingArguments.__dataclass_fields__[name].default)


def _steps(arguments: Mapping[str, Any], steps_per_epoch: int) -> int:
    """Return the number of optimizer steps of a training that does not stop early."""
    max_steps = _argument(arguments, "max_steps")
    if max_steps > 0:
        return max_steps
    return math.ceil(_argument(arguments, "num_train_epochs") * steps_per_epoch)


def _evaluations(arguments: Mapping[str, Any], steps: int, steps_per_epoch: int) -> int:
    """Return how often the validation rows are scored during a training."""
    strategy = arguments.get("eval_strategy", "no")
    strategy = str(getattr(strategy, "value", strategy))  # an enum, or its text
    if strategy == "epoch":
        return math.ceil(steps / steps_per_epoch)
    if strategy != "steps":
        return 0
    interval: float = arguments.get("eval_steps") or arguments.get("logging_steps", 500)
    if interval < 1:  # a share of all steps
        interval = interval * steps
    return steps // math.ceil(interval)


class _Sample(NamedTuple):
    """What was counted on a sample of a split: its rows, and the means per row."""

    row_count: int
    features_per_row: float
    tokens_per_row: float


class _TokenCounter:
    """Estimates the tokens of trainings and splits from samples; each split is sampled once."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.tokenizer = AutoTokenizer.from_pretrained(recipe.encoder)
        self._samples: dict[tuple[Any, ...], _Sample] = {}

    def target(self, cell: Cell) -> tuple[int, int]:
        """Return the tokens that a cell's targets are fine-tuned on, and those that are scored."""
        recipe = self.recipe
        trained_tokens = 0
        evaluated_tokens = 0  # during training
        finetuning_stages = recipe.finetuning_stages(cell.targets[0])
        for task, max_rows in finetuning_stages:
            arguments = recipe.finetuning_arguments(task)
            trained, evaluated = self.training([task], arguments, max_rows)
            trained_tokens += trained
            evaluated_tokens += evaluated
        target_tokens = 0.0
        for task in cell.targets:
            languages = recipe.scored_languages(task)
            for split in set(splits_to_score(task, languages).values()):
                target_tokens += self._split_tokens(task, split, languages[split])
        if finetuning_stages:
            target_tokens += self._learning_check_tokens(cell, finetuning_stages[-1].task)
        return trained_tokens, evaluated_tokens + int(target_tokens)

    def training(
        self, tasks: Sequence[Task], arguments: Mapping[str, Any], max_rows: int | None
    ) -> tuple[int, int]:
        """Estimate one training.

        Args:
            tasks: The tasks that are trained jointly.
            arguments: `TrainingArguments`, by name.
            max_rows: Largest number of training rows per task and language, if it is not the
                recipe's.

        Returns:
            Tokens that are trained on, and tokens of the validation rows scored on the way.
        """
        max_rows = max_rows or self.recipe.max_train_examples
        feature_counts: dict[str, dict[str, int]] = {}  # task -> language -> features
        token_counts: dict[str, float] = {}  # task -> tokens
        for task in tasks:
            feature_counts[task.name] = {}
            token_counts[task.name] = 0.0
            for language in task.train_languages:
                features, tokens = self.count(task.for_training, "train", language, max_rows)
                feature_counts[task.name][language] = max(1, int(features))
                token_counts[task.name] += tokens
        batch_size = _argument(arguments, "per_device_train_batch_size")
        batch_size *= _argument(arguments, "gradient_accumulation_steps")
        sampling = joint_sampling(tasks)
        sampler = Sampler(sampling, feature_counts, batch_size=batch_size, seed=0)
        steps = _steps(arguments, sampler.steps_per_epoch)
        tokens_per_feature = _tokens_per_feature(sampling, feature_counts, token_counts)
        evaluations = _evaluations(arguments, steps, sampler.steps_per_epoch)
        evaluated_tokens = evaluations * self._evaluation_tokens(tasks) if evaluations else 0
        return int(steps * batch_size * tokens_per_feature), int(evaluated_tokens)

    def _evaluation_tokens(self, tasks: Sequence[Task]) -> float:
        """Return the tokens of one evaluation during training."""
        tokens = 0.0
        for task in self.recipe.validation_tasks(tasks):
            for language in task.train_languages:
                tokens += self.count(task, "validation", language, self.recipe.eval_examples)[1]
        return tokens

    def _split_tokens(self, task: Task, split: str, languages: Sequence[str]) -> float:
        """Return the tokens of a split and of the candidates that its queries are compared with."""
        tokens = sum(self.count(task, split, language)[1] for language in languages)
        if task.corpus_task is None:
            return tokens
        corpus_languages: dict[str, None] = {}
        for language in languages:
            corpus_languages |= dict.fromkeys(task.candidate_languages(split, language))
        for language in corpus_languages:
            tokens += self.count(task.corpus_task, split, language)[1]
        return tokens

    def _learning_check_tokens(self, cell: Cell, trained: Task) -> float:
        """Return the tokens of the validation rows that decide whether a training failed.

        It is 0 if these rows are scored anyway.
        """
        development_task = self.recipe.development_task(trained, cell.seed)
        if development_task is None:
            return 0
        (language,) = development_task.languages("validation")
        row_count = len(development_task.rows("validation", language))
        for task in cell.targets:
            is_scored = (
                task.name == trained.name
                and self.recipe.eval_rows is None
                and "validation" in self.recipe.splits
                and language in self.recipe.labelled_languages(task, "validation")
            )
            if is_scored and len(task.rows("validation", language)) == row_count:
                return 0
        return self.count(trained, "validation", "en", row_count)[1]

    def count(
        self, task: Task, split: str, language: str, max_rows: int | None = None
    ) -> tuple[float, float]:
        """Estimate the size of a split in one language from at most 100 evenly spaced rows.

        Args:
            task: The task.
            split: Its split.
            language: A language that has the split.
            max_rows: Count only this many rows; None counts all.

        Returns:
            Features (windows, for question answering) and tokens.
        """
        # a task, its corpus, and a target of which a sample is scored have the same name
        source = type(task.source)
        key = (task.name, task.corpus_task is None, source, task.max_length, split, language)
        if key not in self._samples:
            self._samples[key] = self._sample(task, split, language)
        row_count, features_per_row, tokens_per_row = self._samples[key]
        row_count = min(max_rows or row_count, row_count)
        return features_per_row * row_count, tokens_per_row * row_count

    def _sample(self, task: Task, split: str, language: str) -> _Sample:
        """Encode some rows of a split."""
        rows = task.rows(split, language)
        step = max(1, len(rows) // _SAMPLE)
        sample = rows.select(range(0, len(rows), step))
        examples = list(task.examples(split, language, rows=sample))
        features = encode_examples(task, examples, self.tokenizer)
        tokens = int(list_lengths(features, "input_ids").sum())
        return _Sample(len(rows), len(features) / len(sample), tokens / len(sample))


def _tokens_per_feature(
    sampling: Sampling,
    feature_counts: Mapping[str, Mapping[str, int]],
    token_counts: Mapping[str, float],
) -> float:
    """Return the mean tokens of a feature, if tasks are drawn by their shares of the sampling."""
    totals = {name: sum(by_language.values()) for name, by_language in feature_counts.items()}
    shares = sampling.probabilities(totals)
    return sum(shares[name] * (token_counts[name] / totals[name]) for name in totals)
