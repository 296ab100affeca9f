"""The progress bar of a training, with a label that says what is trained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tqdm.auto import tqdm
from transformers import ProgressCallback, TrainingArguments
from transformers import trainer as trainer_module

from jiantx.progress_bars import are_bars_hidden


class TrainingBar(ProgressCallback):
    """transformers' progress bar with a label.

    Args:
        label: Stands before the bar, as "training on mnli".
        shows_logs: Whether a line appears for every log.
    """

    def __init__(self, label: str, *, shows_logs: bool = True) -> None:
        super().__init__()
        self.label = label
        self.shows_logs = shows_logs

    def on_train_begin(
        self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero and are_bars_hidden():
            self.training_bar = tqdm(disable=True)  # one that shows nothing
            self.current_step = 0
            return
        super().on_train_begin(args, state, control, **kwargs)
        if self.training_bar is not None:  # only the first process has one
            self.training_bar.set_description(self.label)

    def on_log(
        self, args: TrainingArguments, state: Any, control: Any, logs: Any = None, **kwargs: Any
    ) -> None:
        if self.shows_logs:
            super().on_log(args, state, control, logs=logs, **kwargs)


def label_training_bar(trainer: Any, label: str, *, shows_logs: bool = True) -> None:
    """Give the progress bar of a trainer a label; a trainer without one is left as it is.

    Args:
        trainer: A `transformers.Trainer`.
        label: Stands before the bar.
        shows_logs: Whether a line appears for every log.
    """
    if trainer.pop_callback(ProgressCallback) is not None:
        trainer.add_callback(TrainingBar(label, shows_logs=shows_logs))
    elif are_bars_hidden():  # notebooks have a bar of their own, with a table of the logs
        trainer.pop_callback(trainer_module.DEFAULT_PROGRESS_CALLBACK)


def training_label(task_names: Iterable[str]) -> str:
    """Return the label of a training on these tasks."""
    return f"training on {', '.join(task_names)}"
