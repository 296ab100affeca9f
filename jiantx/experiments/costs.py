"""What a plan will cost before it runs: tokens, floating-point operations, and seconds by a short measurement."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, TrainingArguments

from jiantx.attention import encoder_class
from jiantx.batching import list_lengths
from jiantx.experiments.recipe import Cell, Recipe, joint_sampling, parse_row
from jiantx.experiments.stages import Stage
from jiantx.features import encode_examples
from jiantx.model import MultitaskConfig, MultitaskModel, without_pooler
from jiantx.sampling import Sampler
from jiantx.task import Task

_SAMPLE = 100  # rows that stand for all of a split
_MEASURED = 1024  # tokens of a measured step


@dataclass(frozen=True)
class Cost:
    """A stage: tokens that it trains on and scores, and whether it is done and costs nothing any more."""

    stage: str
    done: bool
    trained: int
    scored: int


@dataclass(frozen=True)
class Costs:
    """The costs of a plan. parameters: of the encoder, without embeddings; seconds: of a token, trained and scored."""

    stages: tuple[Cost, ...]
    parameters: int
    seconds: tuple[float, float]
    device: str

    def flops(self, cost: Cost) -> float:
        """6 N a trained token, 2 N a scored one (Kaplan et al. 2020, 2001.08361)."""
        return self.parameters * (6.0 * cost.trained + 2.0 * cost.scored)

    def hours(self, cost: Cost) -> float:
        """By the measured tokens a second."""
        return (cost.trained * self.seconds[0] + cost.scored * self.seconds[1]) / 3600

    def to_text(self) -> str:
        """A line a stage, and the sum of what is not done."""
        left = [cost for cost in self.stages if not cost.done]
        width = max([len("still to run"), *(len(cost.stage) for cost in self.stages)])
        lines = [
            f"{'stage':{width}}  {'trained tokens':>15} {'scored tokens':>15} {'FLOPs':>9} {'h:mm:ss':>9}"
        ]
        for cost in self.stages:
            numbers = f"{cost.trained:>15,} {cost.scored:>15,} {self.flops(cost):>9.1e} {_clock(self.hours(cost)):>9}"
            lines.append(f"{cost.stage:{width}}  {'done' if cost.done else numbers}")
        whole = (
            sum(c.trained for c in left),
            sum(c.scored for c in left),
            sum(map(self.flops, left)),
        )
        hours = sum(map(self.hours, left))
        lines.append(
            f"{'still to run':{width}}  {whole[0]:>15,} {whole[1]:>15,} {whole[2]:>9.1e} {_clock(hours):>9}"
        )
        rates = " and ".join(f"{1 / each:,.0f}" for each in self.seconds)
        return "\n".join(lines) + (
            f"\n\n{self.parameters:,} parameters without embeddings; {rates} tokens a second trained and scored, as "
            f"measured on this machine's {self.device}: times are of one process, without loading, reading, "
            "optimizer and checkpoints, and as if no training stopped early. Tokens are estimated from "
            f"{_SAMPLE} rows of each split.\n"
        )


def _clock(hours: float) -> str:
    seconds = round(3600 * hours)
    return f"{seconds // 3600:,}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def estimate_costs(recipe: Recipe, plan: Mapping[Cell, Stage]) -> Costs:
    """Estimate what the stages of a plan cost. It reads some rows and runs a few steps of the encoder's shape."""
    stages, sizes, found = recipe.stages(plan), _Sizes(recipe), dict[str, Cost]()
    own: dict[tuple[str, ...], tuple[int, int]] = {}  # targets, which cost the same in every row
    before: dict[str, tuple[int, int]] = {}  # row -> those of its intermediate training
    for place, stage in plan.items():
        if place.names not in own:
            own[place.names] = sizes.target(place)
        for earlier in stage.after:
            if place.row not in before:
                before[place.row] = sizes.training(parse_row(place.row), recipe.intermediate, None)
            found[earlier.key] = Cost(earlier.name, stages.done(earlier), *before[place.row])
        found[stage.key] = Cost(stage.name, stages.done(stage), *own[place.names])
    config = AutoConfig.from_pretrained(recipe.encoder)
    bf16 = bool(recipe.target.get("bf16") or recipe.intermediate.get("bf16"))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Costs(
        tuple(found.values()),
        parameter_count(config),
        measured_seconds(config, bf16, device),
        device,
    )


def parameter_count(encoder: str | os.PathLike[str] | PreTrainedConfig) -> int:
    """Parameters of an encoder (Hub id, folder or config) without its embeddings, counted without making it."""
    config = (
        encoder if isinstance(encoder, PreTrainedConfig) else AutoConfig.from_pretrained(encoder)
    )
    kind = encoder_class(config)
    with torch.device("meta"):
        return int(
            kind._from_config(config, **without_pooler(kind)).num_parameters(
                exclude_embeddings=True
            )
        )


def measured_seconds(config: PreTrainedConfig, bf16: bool, device: str) -> tuple[float, float]:
    """Seconds of a token, trained (forward and backward) and scored, of an encoder of this shape: medians of three."""
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


def _evaluations(arguments: Mapping[str, Any], steps: int, epoch: int) -> int:
    """How often a training of so many steps is evaluated on the way."""
    strategy = str(
        getattr(arguments.get("eval_strategy"), "value", arguments.get("eval_strategy", "no"))
    )
    if strategy == "epoch":
        return math.ceil(steps / epoch)
    every: float = arguments.get("eval_steps") or arguments.get("logging_steps", 500)
    return steps // math.ceil(every * steps if every < 1 else every) if strategy == "steps" else 0


class _Sizes:
    """Features and tokens of splits, from a sample of their rows, each sampled once."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.tokenizer = recipe, AutoTokenizer.from_pretrained(recipe.encoder)
        self.seen: dict[
            tuple[Any, ...], tuple[int, float, float]
        ] = {}  # rows; features and tokens of one

    def target(self, place: Cell) -> tuple[int, int]:
        """Tokens that targets train on, and that are scored."""
        recipe, course = self.recipe, self.recipe.course(place.targets[0])
        arguments = [{**recipe.target, **recipe.by_task.get(task.name, {})} for task, _ in course]
        parts = [
            self.training([task], own, most)
            for (task, most), own in zip(course, arguments, strict=True)
        ]
        scored = sum(
            self.scored(t, split, recipe.scored(t, split))
            for t in place.targets
            for split in recipe.splits
        )
        scored += self.development(place, course[-1][0]) if course else 0
        return sum(trained for trained, _ in parts), int(scored) + sum(
            on_the_way for _, on_the_way in parts
        )

    def training(
        self, tasks: Sequence[Task], arguments: Mapping[str, Any], most: int | None
    ) -> tuple[int, int]:
        """Tokens of a training, and of the development rows that are scored on the way."""
        names = (
            "max_steps",
            "num_train_epochs",
            "per_device_train_batch_size",
            "gradient_accumulation_steps",
        )
        # the fields' defaults: an instance would make its output folder
        told = [
            arguments.get(name, TrainingArguments.__dataclass_fields__[name].default)
            for name in names
        ]
        max_steps, epochs, batch = told[0], told[1], told[2] * told[3]
        most = most or self.recipe.max_train_examples
        found = {
            t.name: {c: self.of(t.for_training, "train", c, most) for c in t.train_languages}
            for t in tasks
        }
        sizes = {
            name: {code: max(1, int(size)) for code, (size, _) in by.items()}
            for name, by in found.items()
        }
        sampling = joint_sampling(tasks)
        epoch = Sampler(sampling, sizes, batch_size=batch, seed=0).steps_per_epoch
        steps = max_steps if max_steps > 0 else math.ceil(epochs * epoch)
        totals = {name: sum(by.values()) for name, by in sizes.items()}
        shares = sampling.probabilities(totals)
        tokens = {
            name: sum(tokens for _, tokens in by.values()) / totals[name]
            for name, by in found.items()
        }
        trained = int(steps * batch * sum(shares[name] * tokens[name] for name in totals))
        often = _evaluations(arguments, steps, epoch)
        once = [
            (t, code) for t in self.recipe.evaluated(tasks) for code in t.train_languages if often
        ]
        return trained, int(
            often * sum(self.of(t, "validation", c, self.recipe.eval_examples)[1] for t, c in once)
        )

    def scored(self, task: Task, split: str, languages: Sequence[str]) -> float:
        """Tokens of a split, and of the candidates that its queries are compared with."""
        tokens = sum(self.of(task, split, code)[1] for code in languages)
        if task.corpus_task is None:
            return tokens
        pools = dict.fromkeys(
            other for code in languages for other in task.candidate_languages(split, code)
        )
        return tokens + sum(self.of(task.corpus_task, split, other)[1] for other in pools)

    def development(self, place: Cell, trained: Task) -> float:
        """Tokens of the development rows that tell whether a training failed, unless they are scored anyway."""
        some = self.recipe.development_rows(trained, place.seed)
        if some is None:
            return 0
        rows = len(some.rows("validation", "en"))
        own = [
            t
            for t in place.targets
            if t.name == trained.name and "validation" in self.recipe.splits
        ]
        whole = [
            t
            for t in own
            if "en" in self.recipe.scored(t, "validation") and len(t.rows("validation")) == rows
        ]
        return 0 if whole else self.of(trained, "validation", "en", rows)[1]

    def of(
        self, task: Task, split: str, language: str, most: int | None = None
    ) -> tuple[float, float]:
        """Features and tokens of a split, or of so many rows of it."""
        key = (
            task.name,
            task.corpus_task is None,
            task.max_length,
            split,
            language,
        )  # a corpus has its task's name
        if key not in self.seen:
            rows = task.rows(split, language)
            some = rows.select(range(0, len(rows), max(1, len(rows) // _SAMPLE)))
            table = encode_examples(
                task, list(task.examples(split, language, rows=some)), self.tokenizer
            )
            tokens = int(list_lengths(table, "input_ids").sum())
            self.seen[key] = (len(rows), len(table) / len(some), tokens / len(some))
        count, features, each = self.seen[key]
        count = min(most or count, count)
        return features * count, each * count
