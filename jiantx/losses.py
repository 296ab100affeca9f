"""What a task's head minimises in training: class weights, label smoothing, focal or own losses."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, logsigmoid
from transformers.utils import logging

from jiantx.features import Features
from jiantx.heads import Head, chosen_loss
from jiantx.heads.precision import full_precision
from jiantx.registry import near_names
from jiantx.task import Task

logger = logging.get_logger("jiantx.trainer")

ClassWeights = Mapping[str, float] | Literal["balanced"] | None
ItemLoss = Callable[[Tensor, Tensor], Tensor]
"""(scores, targets) -> one loss for each item, see `docs/howto/class_imbalance.md`."""


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """The cross-entropy of a task, with its own class weights and label smoothing.

    As everywhere in jiantx, the sum over items is divided by the number of items of the step.
    `torch.nn.CrossEntropyLoss(weight=…)` divides by the sum of their weights instead. "balanced"
    weights are 1 on average over the training rows, so that the two agree on average.

    Args:
        class_weights: Label -> factor of the loss of the items with this label; other labels have
            the factor 1. "balanced" uses the training rows: items / (labels x items of the label),
            as scikit-learn. With several labels per example, the factor applies to positives
            (torch's `pos_weight`), and "balanced" is negatives / positives.
        label_smoothing: The share of the loss that is spread evenly over all labels. None uses
            `TrainingArguments(label_smoothing_factor=…)`.

    Raises:
        ValueError: A number is outside its range.

    >>> CrossEntropy(class_weights={"entailment": 2.0}, label_smoothing=0.1)
    CrossEntropy(class_weights={'entailment': 2.0}, label_smoothing=0.1)
    """

    class_weights: ClassWeights = None
    label_smoothing: float | None = None

    def __post_init__(self) -> None:
        _check_class_weights(self.class_weights)
        smoothing = self.label_smoothing
        if smoothing is not None and not (isinstance(smoothing, Real) and 0 <= smoothing <= 1):
            raise ValueError(
                f"CrossEntropy(label_smoothing={smoothing!r}): expected a number from 0 to 1."
            )


@dataclass(frozen=True, kw_only=True)
class FocalLoss:
    """The focal loss of Lin et al. 2017 (1708.02002): items that are learnt already count less.

    The cross-entropy of an item is multiplied by (1 - p) ** gamma, where p is the probability of
    its label. With several labels per example, each label of an example is such an item.

    Args:
        gamma: 0 is the cross-entropy.
        class_weights: As those of `CrossEntropy`; the paper's alpha.

    Raises:
        ValueError: A number is outside its range.

    >>> FocalLoss(gamma=2.0).gamma
    2.0
    """

    gamma: float = 2.0
    class_weights: ClassWeights = None

    def __post_init__(self) -> None:
        _check_class_weights(self.class_weights)
        if not (isinstance(self.gamma, Real) and 0 <= self.gamma < math.inf):
            raise ValueError(f"FocalLoss(gamma={self.gamma!r}): expected a number, at least 0.")


Loss = CrossEntropy | FocalLoss | ItemLoss


def check_losses(losses: Mapping[str, Loss], tasks: Mapping[str, Task], model: Any) -> None:
    """Check that each loss is for a task that is trained, and for a head that can compute it.

    Args:
        losses: Task -> loss.
        tasks: Name -> task.
        model: With their heads.

    Raises:
        ValueError: A name is not one of the tasks, a label is not one of the task's, or the head
            computes no such loss.
        TypeError: A value is no loss.
    """
    if not isinstance(losses, Mapping):
        raise TypeError(
            f"Trainer(losses={losses!r}): expected a dictionary, task -> loss, such as "
            f"{{{next(iter(tasks))!r}: jx.FocalLoss()}}."
        )
    for name, loss in losses.items():
        if name not in tasks:
            raise ValueError(
                f"Trainer(losses=…) names {name!r}; the tasks are {sorted(tasks)}."
                f"{near_names(name, tasks)}"
            )
        if not isinstance(loss, CrossEntropy | FocalLoss) and not callable(loss):
            raise TypeError(
                f"Trainer(losses={{{name!r}: {loss!r}}}): expected jx.CrossEntropy(…), "
                "jx.FocalLoss(…), or a function of (scores, targets)."
            )
        _check_fits(tasks[name], loss, model.head_of(tasks[name]))


def smooths_labels(loss: Loss | None, head: Head) -> bool:
    """Whether `TrainingArguments(label_smoothing_factor=…)` changes the loss of a task.

    Args:
        loss: Of the task; None if it is the head's own.
        head: Of the task.
    """
    if isinstance(loss, CrossEntropy):
        return head.smooths_labels and loss.label_smoothing is None
    return head.smooths_labels and loss is None


def batch_entries(
    loss: Loss,
    task: Task,
    head: Head,
    features: Iterable[Features],
    *,
    label_smoothing: float,
    device: torch.device,
    item_count: int = 2,
) -> dict[str, Any]:
    """What a batch of a task says to its head about the loss.

    Args:
        loss: Of the task.
        task: The task.
        head: Of the task.
        features: Its training features, one for each language.
        label_smoothing: Where the loss does not give its own.
        device: Of the batches.
        item_count: Examples of a batch; a function is tried on as many items.

    Returns:
        `loss`: an `ItemLoss`; or `label_smoothing`; or nothing.
    """
    if isinstance(loss, CrossEntropy) and loss.label_smoothing is not None:
        label_smoothing = loss.label_smoothing
    weights = None
    if isinstance(loss, CrossEntropy | FocalLoss) and loss.class_weights is not None:
        numbers = _class_weights(loss.class_weights, task, features)
        scores_dtype = full_precision(next(head.parameters()).detach()).dtype
        weights = torch.tensor(numbers, dtype=scores_dtype, device=device)
    if isinstance(loss, FocalLoss):
        focal = _binary_focal if _has_several_labels(head) else _focal
        return {"loss": partial(focal, gamma=loss.gamma, weights=weights)}
    if isinstance(loss, CrossEntropy):
        if weights is None:
            return {"label_smoothing": label_smoothing} if label_smoothing else {}
        if _has_several_labels(head):
            binary = partial(binary_cross_entropy_with_logits, reduction="none", pos_weight=weights)
            return {"loss": binary}
        smoothed = partial(cross_entropy, reduction="none", label_smoothing=label_smoothing)
        return {"loss": partial(smoothed, weight=weights)}
    if type(head).__module__.startswith("jiantx."):  # others may have scores of any shape
        _try_function(loss, task, head, device, item_count)
    return {"loss": loss}


def describe_loss(loss: Loss) -> Any:
    """Describe a loss, so that another one can be told from it: plain values, or the function."""
    if isinstance(loss, CrossEntropy | FocalLoss):
        return {"type": type(loss).__name__, **dataclasses.asdict(loss)}
    return loss


# --- checks ---------------------------------------------------------------------------------------


def _check_class_weights(weights: Any) -> None:
    if weights is None or (isinstance(weights, str) and weights == "balanced"):
        return
    is_valid = isinstance(weights, Mapping) and all(
        isinstance(value, Real) and 0 <= float(value) < math.inf for value in weights.values()
    )
    if not is_valid:
        raise ValueError(
            f"class_weights={weights!r}: expected a dictionary, label -> number of at least 0, or "
            '"balanced".'
        )


def _check_fits(task: Task, loss: Loss, head: Head) -> None:
    call = f"Trainer(losses={{{task.name!r}: …}})"
    class_weights = getattr(loss, "class_weights", None)
    if isinstance(loss, CrossEntropy):
        if loss.label_smoothing and not head.smooths_labels:
            raise ValueError(
                f"{call}: the loss of {_named_head(task)} is no softmax over labels, so they "
                "cannot be smoothed. Leave label_smoothing out."
            )
        if class_weights is None and not head.smooths_labels and not task.label_names:
            raise ValueError(
                f"{call}: {_named_head(task)} has no labels, so its loss is no cross-entropy. "
                "Leave it out, or give a function of (scores, targets)."
            )
        if class_weights is None:
            return
    if not head.takes_loss:
        raise ValueError(
            f"{call}: {_named_head(task)} computes its own loss. Only label_smoothing can be "
            "chosen, and only classification, tagging, spans and regression take another loss. "
            "For other losses, write a head: docs/add_a_task.md."
        )
    if isinstance(loss, CrossEntropy | FocalLoss) and not task.label_names:
        raise ValueError(
            f"{call}: {_named_head(task)} has no labels. Give a function of (scores, targets), "
            "such as partial(torch.nn.functional.huber_loss, reduction='none')."
        )
    if isinstance(class_weights, Mapping):
        for label in class_weights:
            if label not in task.label_names:
                raise ValueError(
                    f"{call}: class_weights has {label!r}, which is not one of the labels "
                    f"{list(task.label_names)}.{near_names(str(label), task.label_names)}"
                )


def _try_function(
    loss: ItemLoss, task: Task, head: Head, device: torch.device, item_count: int
) -> None:
    """Call a loss function on made-up items, so that a bad one fails before the first step.

    Raises:
        ValueError: It fails, or does not return one loss for each item.
    """
    label_count = len(task.label_names)
    shape = (item_count, label_count) if label_count else (item_count,)
    dtype = full_precision(next(head.parameters()).detach()).dtype
    scores = torch.linspace(0.1, 0.9, math.prod(shape), dtype=dtype, device=device).reshape(shape)
    labels = torch.zeros(item_count, dtype=torch.long, device=device)
    targets = labels if label_count and not _has_several_labels(head) else torch.zeros_like(scores)
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):  # it may draw random numbers
            chosen_loss(scores, targets, {"task": task.name, "labels": labels, "loss": loss})
    except Exception as error:
        raise ValueError(
            f"Trainer(losses={{{task.name!r}: …}}): the function failed when it was tried on "
            f"{item_count} items, with scores of shape {tuple(scores.shape)} and targets of shape "
            f"{tuple(targets.shape)} ({targets.dtype}): {type(error).__name__}: {error}"
        ) from error


def _named_head(task: Task) -> str:
    return f"the head of task {task.name} ({task.task_type})"


def _has_several_labels(head: Head) -> bool:
    return bool(head.config.get("multi_label"))


# --- class weights --------------------------------------------------------------------------------


def _class_weights(
    class_weights: Mapping[str, float] | str, task: Task, features: Iterable[Features]
) -> list[float]:
    """One weight for each label of the task, in their order."""
    names = task.label_names
    if isinstance(class_weights, Mapping):
        return [float(class_weights.get(name, 1.0)) for name in names]
    items = 0
    counts = np.zeros(len(names), dtype=np.int64)
    several_labels = False
    for language_features in features:
        table = language_features.table.with_format("numpy")
        labels = _flat(table, "labels")
        items += int((labels != -100).sum())
        if "targets" in table.column_names:  # 0 or 1 for each label
            counts += (_flat(table, "targets").reshape(-1, len(names)) > 0).sum(axis=0)
            several_labels = True
        elif "gold_labels" in table.column_names:
            counts += np.bincount(_flat(table, "gold_labels"), minlength=len(names))
            several_labels = True
        else:
            counts += np.bincount(labels[labels >= 0], minlength=len(names))
    if several_labels:
        has_weight = (counts > 0) & (counts < items)
        balanced = (items - counts) / np.maximum(counts, 1)
    else:
        has_weight = counts > 0
        balanced = items / (max(int(has_weight.sum()), 1) * np.maximum(counts, 1))
    unweighted = [name for name, is_weighted in zip(names, has_weight) if not is_weighted]
    if unweighted:
        logger.warning(
            f'Task {task.name}, class_weights="balanced": no training row has, or every one has, '
            f"{', '.join(unweighted)}. Their weight is 1."
        )
    return [float(value) for value in np.where(has_weight, balanced, 1.0)]


def _flat(table: Any, column: str) -> np.ndarray:
    """All entries of a list column."""
    values = table.with_format("arrow").select_columns([column])[:][column].combine_chunks()
    flat: np.ndarray = values.flatten().to_numpy(zero_copy_only=False)
    return flat


# --- focal ----------------------------------------------------------------------------------------


def _focal(scores: Tensor, targets: Tensor, *, gamma: float, weights: Tensor | None) -> Tensor:
    """(items,) focal losses over the labels.

    Args:
        scores: (items, labels).
        targets: (items,) ids of labels.
        gamma: As in `FocalLoss`.
        weights: (labels,).
    """
    log_probabilities = -cross_entropy(scores, targets, reduction="none")
    losses = _damped(log_probabilities, gamma)
    return losses if weights is None else losses * weights[targets]


def _binary_focal(
    scores: Tensor, targets: Tensor, *, gamma: float, weights: Tensor | None
) -> Tensor:
    """(items, labels) focal losses, a yes or no for each label.

    Args:
        scores: (items, labels).
        targets: (items, labels) 0 or 1.
        gamma: As in `FocalLoss`.
        weights: (labels,) of the positive side.
    """
    losses = _damped(logsigmoid(scores * (2 * targets - 1)), gamma)
    return losses if weights is None else losses * torch.where(targets > 0, weights, 1.0)


def _damped(log_probabilities: Tensor, gamma: float) -> Tensor:
    """Minus the log-probabilities, each times (1 - p) ** gamma."""
    # the smallest number keeps the gradient of a root finite where p is 1
    wrong = (-torch.expm1(log_probabilities)).clamp_min(1e-12)
    return -(wrong**gamma) * log_probabilities
