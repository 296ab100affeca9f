"""Where a run goes on: complete checkpoints, the run that they belong to, runs that have ended."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transformers
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import TrainOutput
from transformers.utils import logging

from jiantx.checkpoints import (
    begin_run,
    find_problem,
    last_run,
    latest_checkpoint,
    rotate,
    run_of,
    write_manifest,
)
from jiantx.features import Features
from jiantx.run_record import check_same_run, describe_run
from jiantx.sampling import Sampler
from jiantx.task import Task
from jiantx.trainer_card import take_trainings

logger = logging.get_logger("jiantx.trainer")


class ManifestCallback(TrainerCallback):
    """Writes the manifest of a checkpoint once all its files are written, then deletes old ones.

    Args:
        keep: Checkpoints that stay; all if None.
        check: Runs before a checkpoint, before an evaluation and at the end, so that no model is
            saved or scored after a loss that was not finite.

    Attributes:
        run: What the checkpoints belong to.
        resumed_best: Of a run that goes on, its best checkpoint so far, where that lies now.
    """

    def __init__(self, keep: int | None, check: Callable[[], None]) -> None:
        self.keep = keep
        self.check = check
        self.run: dict[str, Any] = {}
        self.resumed_best: str | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any
    ) -> None:
        if self.resumed_best is not None:
            state.best_model_checkpoint = self.resumed_best

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        if control.should_save or control.should_evaluate:
            self.check()

    def on_epoch_end(
        self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any
    ) -> None:
        self.on_step_end(args, state, control)

    def on_train_end(
        self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any
    ) -> None:
        self.check()

    def on_save(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        PartialState().wait_for_everyone()  # each rank writes its own random state
        if state.is_world_process_zero:
            folder = Path(args.output_dir)
            write_manifest(folder / f"checkpoint-{state.global_step}", self.run)
            rotate(folder, self.keep, state.best_model_checkpoint)


def checkpoint_to_resume(folder: Path, requested: str | bool | None, *, saves: bool) -> str | None:
    """The checkpoint to resume from, None for a fresh start; logs which one and why.

    Args:
        folder: The output folder of the run.
        requested: `resume_from_checkpoint` of `Trainer.train`.
        saves: The run writes checkpoints.

    Raises:
        ValueError: The requested checkpoint is not complete.
    """
    if requested is True:
        newest, skipped = latest_checkpoint(folder, last_run(folder))
        for checkpoint, problem in skipped:
            logger.warning(f"Passed over {checkpoint}: {problem}.")
        if newest is None:
            logger.warning(f"No checkpoint in {folder}: a fresh start.")
            return None
        logger.warning(f"Resuming from {newest}.")
        return str(newest)
    if requested:
        problem_of_requested = find_problem(Path(requested))
        if problem_of_requested:
            raise ValueError(f"The checkpoint {requested} is not whole: {problem_of_requested}.")
        return requested
    newest, _ = latest_checkpoint(folder) if saves else (None, [])
    if newest:
        logger.warning(
            f"A fresh start, in a folder that has another run's checkpoints, such as {newest.name}."
        )
    return None


def best_checkpoint(checkpoint: Path) -> str | None:
    """The best checkpoint of a run up to one of its checkpoints; None if it has none.

    A checkpoint notes the path of the best one. If the run's folder was moved or copied since, that
    path leads nowhere or to another run, but the best checkpoint still lies beside the others.

    Args:
        checkpoint: To resume from.

    Raises:
        ValueError: It is not there any more.
    """
    state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    if state.best_model_checkpoint is None:
        return None
    noted = Path(state.best_model_checkpoint)
    run_id = run_of(checkpoint).get("id", "")
    for path in (checkpoint.parent / noted.name, noted):
        if find_problem(path) is None and run_of(path).get("id", "") == run_id:
            if path != noted:
                logger.warning(f"The best checkpoint so far is {path}.")
            return str(path)
    raise ValueError(
        f"{checkpoint}: the run's best checkpoint so far, {noted.name}, is not whole or not there. "
        "Put it beside this one, or resume with load_best_model_at_end=False."
    )


def _lost_patience(state: TrainerState) -> bool:
    """Whether early stopping ended a run.

    Other callbacks may stop a run that is to go on, such as one that notices that its machine is
    about to be taken away.
    """
    for saved in state.stateful_callbacks.values():
        for callback in saved if isinstance(saved, list) else [saved]:
            patience = callback.get("args", {}).get("early_stopping_patience")
            waited = callback.get("attributes", {}).get("early_stopping_patience_counter", 0)
            if patience is not None and waited >= patience:
                return True
    return False


class ResumingMixin(transformers.Trainer):
    """What `Trainer` knows of its run and of the checkpoints that an earlier process wrote."""

    tasks: Mapping[str, Task]
    _eval_tasks: list[Task]
    _features: Mapping[tuple[str, str], Features]
    _sampler: Sampler | None
    _manifests: ManifestCallback
    _own_model: Any
    eval_languages: Collection[str] | None

    @property
    def _run_settings(self) -> dict[str, Any]:
        """What jiantx's own parameters say of the run, by their names."""
        raise NotImplementedError

    def _identify_run(self, path: str | None) -> None:
        """Describe this run for its checkpoints, and compare it with that of a checkpoint.

        Args:
            path: Of the checkpoint to resume from.
        """
        (new_id,) = broadcast_object_list([secrets.token_hex(8)])
        run = {"id": new_id}
        if path or self.args.save_strategy != "no":  # the features are hashed only where needed
            self.get_train_dataloader()
            assert self._sampler is not None
            run |= describe_run(
                self.args,
                self._own_model,
                self.tasks,
                self._eval_tasks,
                self._features,
                self._sampler,
                settings=self._run_settings,
                eval_languages=self.eval_languages,
            )
        self._manifests.resumed_best = None
        if path:
            saved = run_of(Path(path))
            check_same_run(path, saved, run)
            run["id"] = saved.get("id", "")
            take_trainings(self._own_model, path)
            if self.args.load_best_model_at_end:
                self._manifests.resumed_best = best_checkpoint(Path(path))
        self._manifests.run = run
        if self.args.save_strategy != "no" and self.args.process_index == 0:
            begin_run(Path(self.args.output_dir), run["id"])

    def _last_checkpoint(self) -> Path | None:
        """The newest complete checkpoint of this run."""
        run_id = self._manifests.run.get("id", "")
        return latest_checkpoint(Path(self.args.output_dir), run_id)[0]

    @contextmanager
    def _advice_on_errors(self, path: str | None) -> Iterator[None]:
        """Add to an error where the run could go on.

        Args:
            path: Of the checkpoint that this process resumed from.
        """
        try:
            yield
        except Exception as error:
            last = self._last_checkpoint() or (Path(path) if path else None)
            if last or self.state.global_step:  # else nothing is lost
                error.add_note(
                    f"Training stopped at step {self.state.global_step}. "
                    f"Last whole checkpoint: {last or 'none'}. {self._advice(last)}"
                )
            raise

    def _advice(self, last: Path | None) -> str:
        """How to go on after a crash from a checkpoint of this run, if there is one."""
        if last is None:
            return "Start it afresh: `train()`."
        is_here = last.parent == Path(self.args.output_dir)
        requested = True if is_here else str(last)
        return f"`train(resume_from_checkpoint={requested!r})` goes on from there."

    def _finished_output(self, path: str) -> TrainOutput | None:
        """The result of a run that had ended, by its last step or by early stopping; else None.

        transformers would go on training.
        """
        state = TrainerState.load_from_json(str(Path(path) / TRAINER_STATE_NAME))
        *_, last_step = self.set_initial_training_values(self.args, self.get_train_dataloader())
        if state.global_step < last_step and not _lost_patience(state):
            if run_of(Path(path)).get("save_only_model"):
                raise ValueError(
                    f"{path} was written with save_only_model=True: it has no optimizer to resume "
                    "with. To train on from its weights alone, load them: "
                    f"MultitaskModel.from_pretrained({path!r}, tasks)."
                )
            return None
        logger.warning(f"The run had ended: {state.global_step} of {last_step} steps are done.")
        # private, but it knows every form that a checkpoint's weights may have
        best = self._manifests.resumed_best
        self._load_from_checkpoint(best or path)
        take_trainings(self._own_model, best or path)
        state.best_model_checkpoint = best or state.best_model_checkpoint
        self.state = state
        return TrainOutput(state.global_step, math.nan, {})
