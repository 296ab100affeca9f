"""What an evaluation during training logs, under which names, and which of them may be followed."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch import Tensor, nn
from transformers import TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from jiantx.evaluation import evaluate, with_undefined_as_lowest
from jiantx.features import load_features
from jiantx.half_precision import half_precision
from jiantx.inference import tokenizer_of
from jiantx.metrics import metric_name
from jiantx.metrics.base import lowest_score
from jiantx.report import MAIN, Report
from jiantx.task import Task
from jiantx.trainer_setup import evaluated_languages

SCORE = "score"
LOSS = "loss"


def logged_names(
    languages_of: Mapping[str, Sequence[str]], tasks: Sequence[Task], heads: Mapping[str, Any]
) -> dict[str, str]:
    """The names under which an evaluation logs, without their prefix, and what they stand for.

    Args:
        languages_of: Task -> the languages in which it is scored.
        tasks: The tasks.
        heads: Task -> its head.

    Returns:
        Name -> meaning. There are `score` and `loss`, the means over tasks; and for each task its
        main score, `<task>`, the mean over its languages; `<task>_loss`; `<task>_<language>`, the
        main score in a language; and `<task>_<metric>`, the mean of a metric over its languages.

    Raises:
        ValueError: One name would stand for two things.
    """
    names = {SCORE: "the mean of the main scores"}
    if [task.name for task in tasks] == [SCORE]:  # the mean over one task is its score
        names = {}
    meanings = []
    for task in tasks:
        languages = languages_of.get(task.name, ())
        if not languages:
            continue
        label = f"task {task.name}"
        meanings.append((task.name, f"the main score of {label}"))
        for language in languages:
            meanings.append((f"{task.name}_{language}", f"{label} in {language}"))
        for metric in task.metrics:
            name = metric_name(metric)
            meanings.append((f"{task.name}_{name}", f"the metric {name} of {label}"))
        # with a label_map, the rows do not say which of the head's labels is right
        if heads[task.name].evaluation_loss and not getattr(task, "label_map", None):
            names[LOSS] = "the mean of the losses"
            meanings.append((f"{task.name}_{LOSS}", f"the loss of {label}"))
    for name, meaning in meanings:
        if name in names:
            raise ValueError(
                f"Evaluations would log two things as `eval_{name}`: {names[name]}, and {meaning}. "
                'Rename one: task.replace(name="…", head=task.head_name), or for a metric '
                'named("…")(metric) from jiantx.metrics.'
            )
        names[name] = meaning
    return names


def score_tasks(
    model: Any,
    tasks: Sequence[Task],
    languages_of: Mapping[str, Sequence[str]],
    args: TrainingArguments,
    max_length: int | None,
) -> tuple[Report, dict[str, float]]:
    """Score tasks on their validation splits; one forward pass gives scores and losses.

    Args:
        model: With a head for each task.
        tasks: What is scored.
        languages_of: Task -> languages; a task without any is skipped.
        args: Of the training.
        max_length: Tokens of a sequence; each task's own if None.

    Returns:
        The report, and name -> value as `logged_names` has them. Losses are means over the items:
        examples, words, windows or masked positions.
    """
    report = Report()
    losses: dict[str, float] = {}
    for task in tasks:
        languages = languages_of.get(task.name, ())
        if not languages:
            continue
        with _loss_sums(model) as sums:
            report += evaluate(
                model,
                [task],
                languages=languages,
                batch_size=args.per_device_eval_batch_size,
                max_length=max_length,
                dtype=half_precision(vars(args)),
            )
        loss = _mean_loss(sums)
        if loss is not None:
            losses[task.name] = loss
    comparable = with_undefined_as_lowest(report, tasks)
    values = dict(comparable.mean(by="task"))
    if values:
        values[SCORE] = comparable.mean()
    for record in comparable:
        if record.metric == MAIN:
            values[f"{record.task}_{record.language}"] = record.value
    for task in tasks:
        for metric in task.metrics:
            name = metric_name(metric)
            scores = [r.value for r in report if r.task == task.name and r.metric == name]
            if scores:
                defined = [lowest_score(metric) if math.isnan(s) else s for s in scores]
                values[f"{task.name}_{name}"] = math.fsum(defined) / len(defined)
    for name, loss in losses.items():
        values[f"{name}_{LOSS}"] = loss
    if losses:
        values[LOSS] = math.fsum(losses.values()) / len(losses)
    return report, values


@contextmanager
def _loss_sums(model: nn.Module) -> Iterator[list[Tensor]]:
    """Collect (loss, items) of each batch that the model runs, on the device.

    The heads compute the losses anyway.
    """
    sums: list[Tensor] = []

    def add(module: nn.Module, args: Any, batch: Mapping[str, Any], output: Any) -> None:
        loss = getattr(output, "loss", None)
        items = getattr(output, "num_items", None)
        if loss is not None and items is not None and not batch.get("is_repeat"):
            sums.append(torch.stack([loss.float(), items.float()]))

    handle = model.register_forward_hook(add, with_kwargs=True)
    try:
        yield sums
    finally:
        handle.remove()


def _mean_loss(sums: Sequence[Tensor]) -> float | None:
    """The loss per item over all batches and ranks; None if there are no items."""
    pairs = torch.stack(list(sums)).tolist() if sums else []
    if PartialState().num_processes > 1:
        pairs = gather_object(pairs)
    items = math.fsum(count for _, count in pairs)
    return math.fsum(loss for loss, _ in pairs) / items if items else None


def check_evaluation(
    args: TrainingArguments,
    eval_tasks: Sequence[Task],
    languages: Collection[str] | None,
    model: Any,
    max_length: int | None,
) -> None:
    """Check that evaluations during training have heads and rows, and the metric that is followed.

    Their features are made now: a bad row is an error before training, not in the middle of it.

    Args:
        args: Of the run.
        eval_tasks: Scored during training.
        languages: In which they are scored; each task's training languages if None.
        model: What is trained.
        max_length: Tokens of a sequence; each task's own if None.

    Raises:
        DataError: A validation row is bad, or has no gold.
        ValueError: Evaluations are asked for, and no task has validation rows in these languages,
            or in one of them; or `metric_for_best_model` is not one of what they log, or
            `greater_is_better` is wrong for it.
        LookupError: The model has no head for one of the tasks.
    """
    asking = []
    if args.load_best_model_at_end:
        asking.append("load_best_model_at_end")
    if args.eval_strategy != IntervalStrategy.NO:
        asking.append(f"eval_strategy={args.eval_strategy.value!r}")
    if args.eval_on_start:
        asking.append("eval_on_start")
    if not asking:
        return
    languages_of = {}
    heads = {}
    missing = []
    for task in eval_tasks:
        languages_of[task.name] = evaluated_languages(task, languages)
        if languages_of[task.name]:
            heads[task.name] = model.head_of(task)  # an error now, not at the first evaluation
        else:
            missing.append(f"{task.name} in {', '.join(languages or task.train_languages)}")
    if not heads:
        raise ValueError(
            f"{' and '.join(asking)} needs validation rows, and there are none of "
            f"{'; '.join(missing) or 'any task'}. Give `eval_tasks` that have some, or leave it "
            "out."
        )
    unknown = sorted(set(languages or ()).difference(*languages_of.values()))
    if unknown:
        available = {task.name: ", ".join(task.languages("validation")) for task in eval_tasks}
        raise ValueError(
            f"Trainer(eval_languages=…): no task has validation rows in {', '.join(unknown)}. "
            f"There are: {available}."
        )
    names = logged_names(languages_of, eval_tasks, heads)
    if args.metric_for_best_model is not None:
        _check_metric(args.metric_for_best_model, args.greater_is_better, names)
    for task in eval_tasks:
        for language in languages_of[task.name]:
            load_features(task, "validation", language, tokenizer_of(model), max_length=max_length)


def _check_metric(metric: str, greater_is_better: bool | None, names: Mapping[str, str]) -> None:
    """Check `metric_for_best_model` and `greater_is_better`; ValueError if one cannot work."""
    logged = metric if metric.startswith("eval_") else f"eval_{metric}"  # as transformers
    name = logged.removeprefix("eval_")
    if name not in names:
        raise ValueError(
            f"metric_for_best_model={metric!r} is not one of the scores of an evaluation: "
            f"{', '.join(f'eval_{choice}' for choice in names)}. Choose one of them."
        )
    is_loss = names[name].startswith("the loss") or name == LOSS
    if is_loss and greater_is_better:
        raise ValueError(
            f"metric_for_best_model={metric!r} with greater_is_better=True would keep the worst "
            "model: a lower loss is better. Leave greater_is_better out."
        )
    if not is_loss and not greater_is_better:
        raise ValueError(
            f"metric_for_best_model={metric!r} with greater_is_better=False would keep the worst "
            "model: a higher score is better. Pass greater_is_better=True. transformers assumes "
            "False for names that end in 'loss'."
        )
