"""What a plan will cost: tokens, floating-point operations, and seconds by a short measurement."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, TrainingArguments

from jiantx.attention import encoder_class
from jiantx.batching import list_lengths
from jiantx.experiments.cells import Cell
from jiantx.experiments.recipe import Recipe
from jiantx.experiments.rows import joint_sampling, parse_row
from jiantx.experiments.stages import Stage
from jiantx.features import encode_examples
from jiantx.model import MultitaskConfig, MultitaskModel, without_pooler
from jiantx.sampling import Sampler
from jiantx.task import Task

_SAMPLE = 100  # rows that stand for all of a split
_MEASURED = 1024  # tokens of a measured step


@dataclass(frozen=True)
class Cost:
    """The cost of a stage.

    Args:
        stage: Its name.
        done: Whether it is done, and costs nothing any more.
        trained_tokens: Tokens that it trains on.
        scored_tokens: Tokens that it scores.
    """

    stage: str
    done: bool
    trained_tokens: int
    scored_tokens: int


@dataclass(frozen=True)
class Costs:
    """The costs of a plan.

    Args:
        stages: One cost for each stage.
        parameters: Of the encoder, without embeddings.
        seconds_per_token: Of training, and of scoring.
        device: What they were measured on.
    """

    stages: tuple[Cost, ...]
    parameters: int
    seconds_per_token: tuple[float, float]
    device: str

    def flops(self, cost: Cost) -> float:
        """6 N a trained token, 2 N a scored one (Kaplan et al. 2020, 2001.08361)."""
        return self.parameters * (6.0 * cost.trained_tokens + 2.0 * cost.scored_tokens)

    def hours(self, cost: Cost) -> float:
        """By the measured seconds per token."""
        training, scoring = self.seconds_per_token
        return (cost.trained_tokens * training + cost.scored_tokens * scoring) / 3600

    def to_text(self) -> str:
        """One line a stage, and the sum of what is not done."""
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
            f"\n\n{self.parameters:,} parameters without embeddings; {1 / training:,.0f} and "
            f"{1 / scoring:,.0f} tokens a second trained and scored, as measured on this machine's "
            f"{self.device}: times are of one process, without loading, reading, optimizer and "
            "checkpoints, and as if no training stopped early. Tokens are estimated from "
            f"{_SAMPLE} rows of each split.\n"
        )

    def _figures(self, cost: Cost) -> str:
        clock = _clock(self.hours(cost))
        tokens = f"{cost.trained_tokens:>15,} {cost.scored_tokens:>15,}"
        return f"{tokens} {self.flops(cost):>9.1e} {clock:>9}"


def _clock(hours: float) -> str:
    seconds = round(3600 * hours)
    return f"{seconds // 3600:,}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def estimate_costs(recipe: Recipe, plan: Mapping[Cell, Stage]) -> Costs:
    """Estimate what the stages of a plan cost.

    Reads some rows, and runs a few steps of the encoder's shape.

    Args:
        recipe: Of the plan.
        plan: By `recipe.plan`.
    """
    stages = recipe.stages(plan)
    counter = _TokenCounter(recipe)
    costs: dict[str, Cost] = {}
    target_tokens: dict[tuple[str, ...], tuple[int, int]] = {}  # the same in every row
    row_tokens: dict[str, tuple[int, int]] = {}  # of intermediate training
    for cell, stage in plan.items():
        if cell.names not in target_tokens:
            target_tokens[cell.names] = counter.target(cell)
        for earlier in stage.depends_on:
            if cell.row not in row_tokens:
                tasks = parse_row(cell.row)
                row_tokens[cell.row] = counter.training(tasks, recipe.intermediate, None)
            costs[earlier.key] = Cost(earlier.name, stages.done(earlier), *row_tokens[cell.row])
        costs[stage.key] = Cost(stage.name, stages.done(stage), *target_tokens[cell.names])
    config = AutoConfig.from_pretrained(recipe.encoder)
    bf16 = bool(recipe.target.get("bf16") or recipe.intermediate.get("bf16"))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    seconds = measured_seconds(config, bf16, device)
    return Costs(tuple(costs.values()), parameter_count(config), seconds, device)


def parameter_count(encoder: str | os.PathLike[str] | PreTrainedConfig) -> int:
    """The parameters of an encoder without its embeddings, counted without allocating them.

    Args:
        encoder: Hub id, folder or config.
    """
    is_config = isinstance(encoder, PreTrainedConfig)
    config = encoder if is_config else AutoConfig.from_pretrained(encoder)
    encoder_type = encoder_class(config)
    with torch.device("meta"):
        model = encoder_type._from_config(config, **without_pooler(encoder_type))
    return int(model.num_parameters(exclude_embeddings=True))


def measured_seconds(config: PreTrainedConfig, bf16: bool, device: str) -> tuple[float, float]:
    """Measure an encoder of some shape: medians of three steps.

    Args:
        config: The encoder's.
        bf16: With autocast to bfloat16.
        device: A torch device.

    Returns:
        Seconds per token trained (forward and backward), and scored.
    """
    head = {"type": "classification", "labels": ["a", "b"], "multi_label": False}
    model = MultitaskModel(MultitaskConfig(encoder=config, heads={"head": head})).to(device)
    model.set_padding_free("auto")
    length = 128
    count = _MEASURED // length
    batch: dict[str, Any] = {
        "input_ids": torch.randint(5, config.vocab_size, (_MEASURED,), device=device),
        "position_ids": torch.arange(length, device=device).repeat(count),
        "lengths": torch.full((count,), length, device=device),
        "labels": torch.zeros(count, dtype=torch.long, device=device),
        "longest": length,
        "head": "head",
    }

    def seconds(training: bool) -> float:
        times = []
        for _ in range(4):
            started = time.perf_counter()
            with torch.autocast(device, torch.bfloat16) if bf16 else nullcontext():
                loss = model(**batch).loss
            if training:
                loss.backward()
                model.zero_grad()
            float(loss.detach())  # waits for the device
            times.append(time.perf_counter() - started)
        return statistics.median(times[1:]) / _MEASURED

    trained = seconds(True)
    with torch.inference_mode():
        return trained, seconds(False)


def _argument(arguments: Mapping[str, Any], name: str) -> Any:
    """A value of `TrainingArguments`, or its default; an instance would make its output folder."""
    return arguments.get(name, TrainingArguments.__dataclass_fields__[name].default)


def _steps(arguments: Mapping[str, Any], steps_per_epoch: int) -> int:
    max_steps = _argument(arguments, "max_steps")
    if max_steps > 0:
        return max_steps
    return math.ceil(_argument(arguments, "num_train_epochs") * steps_per_epoch)


def _evaluations(arguments: Mapping[str, Any], steps: int, steps_per_epoch: int) -> int:
    """How often a training is evaluated on the way."""
    strategy = arguments.get("eval_strategy", "no")
    strategy = str(getattr(strategy, "value", strategy))
    if strategy == "epoch":
        return math.ceil(steps / steps_per_epoch)
    if strategy != "steps":
        return 0
    interval: float = arguments.get("eval_steps") or arguments.get("logging_steps", 500)
    return steps // math.ceil(interval * steps if interval < 1 else interval)


class _TokenCounter:
    """Counts the features and tokens of splits, from a sample of their rows.

    Each split is sampled once.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.tokenizer = AutoTokenizer.from_pretrained(recipe.encoder)
        # split of a task -> rows; features and tokens of one row
        self._samples: dict[tuple[Any, ...], tuple[int, float, float]] = {}

    def target(self, cell: Cell) -> tuple[int, int]:
        """Tokens that a group of targets is fine-tuned on, and that are scored."""
        recipe = self.recipe
        finetuning = recipe.finetuning_stages(cell.targets[0])
        trained_tokens = 0
        scored_tokens = 0.0
        for task, max_rows in finetuning:
            arguments = {**recipe.target, **recipe.by_task.get(task.name, {})}
            trained, evaluated = self.training([task], arguments, max_rows)
            trained_tokens += trained
            scored_tokens += evaluated
        target_tokens = 0.0
        for task in cell.targets:
            for split in recipe.splits:
                languages = recipe.labelled_languages(task, split)
                target_tokens += self._scored_tokens(task, split, languages)
        if finetuning:
            target_tokens += self._learning_check_tokens(cell, finetuning[-1][0])
        return trained_tokens, int(scored_tokens) + int(target_tokens)

    def training(
        self, tasks: Sequence[Task], arguments: Mapping[str, Any], max_rows: int | None
    ) -> tuple[int, int]:
        """Tokens of a training, and of the validation rows that are scored on the way.

        Args:
            tasks: The tasks that are trained together.
            arguments: Arguments of the training, by their names in TrainingArguments.
            max_rows: Of each task and language (default: the recipe's).
        """
        max_rows = max_rows or self.recipe.max_train_examples
        feature_counts: dict[str, dict[str, int]] = {}  # task -> language -> features
        token_counts: dict[str, float] = {}
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
        steps_per_epoch = sampler.steps_per_epoch
        steps = _steps(arguments, steps_per_epoch)
        totals = {name: sum(by_language.values()) for name, by_language in feature_counts.items()}
        shares = sampling.probabilities(totals)
        mean_tokens = sum(shares[name] * (token_counts[name] / totals[name]) for name in totals)
        evaluations = _evaluations(arguments, steps, steps_per_epoch)
        evaluated = evaluations * self._evaluation_tokens(tasks) if evaluations else 0
        return int(steps * batch_size * mean_tokens), int(evaluated)

    def _evaluation_tokens(self, tasks: Sequence[Task]) -> float:
        """Tokens of one evaluation during training."""
        tokens = 0.0
        for task in self.recipe.validation_tasks(tasks):
            for language in task.train_languages:
                tokens += self.count(task, "validation", language, self.recipe.eval_examples)[1]
        return tokens

    def _scored_tokens(self, task: Task, split: str, languages: Iterable[str]) -> float:
        """Tokens of a split, and of the candidates that its queries are compared with."""
        languages = list(languages)
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
        """Tokens of the validation rows that decide whether a training failed.

        0 if they are scored anyway.
        """
        development_task = self.recipe.development_task(trained, cell.seed)
        if development_task is None:
            return 0
        row_count = len(development_task.rows("validation", "en"))
        for task in cell.targets:
            is_scored = (
                task.name == trained.name
                and "validation" in self.recipe.splits
                and "en" in self.recipe.labelled_languages(task, "validation")
            )
            if is_scored and len(task.rows("validation")) == row_count:
                return 0
        return self.count(trained, "validation", "en", row_count)[1]

    def count(
        self, task: Task, split: str, language: str, max_rows: int | None = None
    ) -> tuple[float, float]:
        """Estimated features and tokens of a split, from at most 100 evenly spaced rows.

        Cached by task, split and language.

        Args:
            task: The task.
            split: The split.
            language: An ISO 639 code.
            max_rows: Count so many of its rows (default: all).
        """
        # a corpus has its task's name
        key = (task.name, task.corpus_task is None, task.max_length, split, language)
        if key not in self._samples:
            rows = task.rows(split, language)
            sample = rows.select(range(0, len(rows), max(1, len(rows) // _SAMPLE)))
            examples = list(task.examples(split, language, rows=sample))
            table = encode_examples(task, examples, self.tokenizer)
            tokens = int(list_lengths(table, "input_ids").sum())
            self._samples[key] = (len(rows), len(table) / len(sample), tokens / len(sample))
        row_count, features_per_row, tokens_per_row = self._samples[key]
        row_count = min(max_rows or row_count, row_count)
        return features_per_row * row_count, tokens_per_row * row_count
