"""What an encoder costs to fine-tune and to run, and what it scores."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from fine_tuning import Training
from measure import step_bytes, tokens_per_word

import jiantx as jx

GROUPS = ("English", "other languages")


@dataclass(frozen=True)
class EncoderCosts:
    """Measurements of one encoder.

    Attributes:
        scores: Group of languages -> mean score, one per seed.
        parameters: Without embeddings.
        flops: Floating-point operations to train and score all targets with one seed.
        seconds: Time of the same.
        trained_per_second: Tokens.
        inferred_per_second: Tokens.
        memory: Bytes of a training step on the first target.
        tokens_per_word: By language.
        unknown_share: The largest share of unknown tokens in a language.
    """

    scores: dict[str, list[float]]
    parameters: int
    flops: float
    seconds: float
    trained_per_second: float
    inferred_per_second: float
    memory: int
    tokens_per_word: dict[str, float]
    unknown_share: float

    def mean_score(self, group: str) -> float:
        """Return the mean over seeds."""
        return fmean(self.scores[group])

    def price(self, group: str) -> float:
        """Return the operations to read a word: 2 x parameters x tokens per word."""
        is_english = group == "English"
        rates = []
        for language, rate in self.tokens_per_word.items():
            if (language == "en") == is_english:
                rates.append(rate)
        return 2 * self.parameters * fmean(rates)


def measure_encoder(encoder: str, options: Training, row: str) -> EncoderCosts:
    """Fine-tune an encoder on all targets, and measure what it costs.

    Args:
        encoder: Hub id or folder.
        options: The study's arguments.
        row: Intermediate training: tasks joined by "+", or "none".

    Returns:
        The measurements.
    """
    recipe = options.recipe(encoder)
    plan = recipe.plan([row], options.targets, seeds=options.seeds)
    plan = {cell: stage for cell, stage in plan.items() if cell.row == row}
    estimate = jx.experiments.estimate_costs(recipe, plan)
    stages = recipe.stages(plan)
    stages.run()
    report = recipe.report(plan)
    other_languages = {record.language for record in report.where(split=options.split)} - {"en"}
    scores: dict[str, list[float]] = {group: [] for group in GROUPS}
    for seed in range(1, options.seeds + 1):
        of_seed = report.where(seed=seed)
        scores["English"].append(of_seed.where(language="en").mean())
        scores["other languages"].append(of_seed.where(language=other_languages).mean())
    rates, unknown_share = tokens_per_word(encoder, ["en", *sorted(other_languages)])
    return EncoderCosts(
        scores=scores,
        parameters=estimate.parameters,
        flops=sum(map(estimate.flops, estimate.stages)) / options.seeds,
        seconds=sum(timing["seconds"] for timing in stages.timings()) / options.seeds,
        trained_per_second=1 / estimate.seconds_per_token[0],
        inferred_per_second=1 / estimate.seconds_per_token[1],
        memory=step_bytes(
            encoder, _first_training_task(options.targets), options.batch_size, options.bf16
        ),
        tokens_per_word=rates,
        unknown_share=unknown_share,
    )


def _first_training_task(targets: list[str]) -> jx.Task:
    """Return the first task that is trained for a target; some targets train nothing."""
    for name in targets:
        for task in jx.tasks.training_tasks(jx.get_task(name)):
            return task
    raise LookupError("no target is trained")
