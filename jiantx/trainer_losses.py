"""The losses of a run: chosen by task, logged by task, watched for one that is not finite."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from jiantx.features import Features
from jiantx.losses import Loss, batch_entries
from jiantx.sampling import Draw, Sampler
from jiantx.task import Task
from jiantx.trainer_setup import describe_rows


class LossesMixin(transformers.Trainer):
    """The losses that `Trainer` asks for, and what it keeps of them, on the device, for its logs.

    Attributes:
        losses: Task -> its loss, where it is not the head's own.
    """

    tasks: Mapping[str, Task]
    _features: Mapping[tuple[str, str], Features]
    _sampler: Sampler | None
    _own_model: Any
    losses: Mapping[str, Loss]
    _loss_entries: dict[str, dict[str, Any]]  # task -> what its batches say of the loss
    _loss_sums: dict[str, Tensor]  # task -> (loss, items) since the last log
    _first_nonfinite_step: Tensor  # -1 if there is none

    def _last_checkpoint(self) -> Path | None:
        """The newest complete checkpoint of this run."""
        raise NotImplementedError

    def _forget_losses(self) -> None:
        """Begin a run."""
        self._loss_entries = {}
        self._loss_sums = {}
        self._first_nonfinite_step = torch.tensor(-1)

    def _prepare_losses(self) -> None:
        """Make what batches say of the losses: before the first step, so that a bad one fails."""
        assert self._sampler is not None
        for name, loss in self.losses.items():
            if name in self._loss_entries:
                continue
            self._loss_entries[name] = batch_entries(
                loss,
                self.tasks[name],
                self._own_model.head_of(self.tasks[name]),
                [features for (task, _), features in self._features.items() if task == name],
                label_smoothing=self.args.label_smoothing_factor,
                device=self.args.device,
                item_count=self._sampler.draw_size(name),
            )

    def _choose_loss(self, batch: dict[str, Any]) -> None:
        """Let a batch of one task say to its head which loss to compute."""
        name = batch["task"]
        smoothing = self.args.label_smoothing_factor
        if name not in self.losses:
            batch.update({"label_smoothing": smoothing} if smoothing else {})
            return
        if name not in self._loss_entries:  # outside `train`
            self.get_train_dataloader()
        batch.update(self._loss_entries[name])

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add each task's mean loss per item; stop if a loss was not finite.

        Args:
            logs: Changed in place.
            start_time: For transformers.
        """
        if "loss" in logs:
            self._raise_if_nonfinite()
            if len(self.tasks) > 1 and self._loss_sums:
                names = sorted(self._loss_sums)  # the same on all ranks
                stacked = torch.stack([self._loss_sums[name] for name in names])
                sums = self.accelerator.reduce(stacked)
                for name, (loss, items) in zip(names, sums.tolist(), strict=True):
                    logs[f"loss_{name}"] = loss / max(items, 1)
            self._loss_sums.clear()
        super().log(logs, start_time)

    def _record_loss(self, task: str, loss: Tensor, items: Tensor) -> None:
        """Add to the task's sums, and remember the first step whose loss is not finite.

        Nothing waits for the device.
        """
        loss_and_items = torch.stack([loss.float(), items.float()])
        if task in self._loss_sums:
            loss_and_items = self._loss_sums[task] + loss_and_items
        self._loss_sums[task] = loss_and_items
        step = self._first_nonfinite_step.to(loss.device)
        is_first = (step < 0) & ~loss.isfinite()
        self._first_nonfinite_step = torch.where(is_first, self.state.global_step, step)

    def _raise_if_nonfinite(self) -> None:
        # on all ranks at the same time: one that stopped alone would leave the others waiting
        own_step = self._first_nonfinite_step.to(self.args.device).reshape(1)
        steps = self.accelerator.gather(own_step)
        step = int(min(steps[steps >= 0], default=-1))
        if step < 0 or self._sampler is None:
            return
        micro_batches = range(self.args.gradient_accumulation_steps)
        draws: list[Draw] = []
        for micro, rank in itertools.product(micro_batches, range(self.args.world_size)):
            draws += self._sampler.draws(step, micro, rank)
        raise FloatingPointError(
            f"The loss of step {step} is not finite: {describe_rows(self._features, draws)}. "
            f"Last whole checkpoint: {self._last_checkpoint() or 'none'}. "
            "Look at these rows, or start afresh with a lower learning rate."
        )
