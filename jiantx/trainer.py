"""`transformers.Trainer` with several tasks: our batches, the loss per item, our evaluation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate.utils import send_to_device
from torch import Tensor, nn
from transformers import TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import TrainOutput
from transformers.utils import logging

from jiantx.batching import TrainingFeatures, TrainingLoader
from jiantx.checkpoints import (
    MANIFEST,
    exclusive_writer,
    latest_checkpoint,
)
from jiantx.evaluation import evaluate
from jiantx.features import Features, load_features
from jiantx.model import MultitaskModel
from jiantx.report import Report
from jiantx.sampling import Draw, Sampler, Sampling
from jiantx.sources import DataError
from jiantx.task import Task
from jiantx.trainer_setup import (
    CANNOT_LOAD_SHARDED,
    FSDP_IGNORED,
    ManifestCallback,
    check_validation_rows,
    checkpoint_to_resume,
    compile_instead_of_accelerate,
    describe_rows,
    evaluated_languages,
    prepare_arguments,
)

logger = logging.get_logger("jiantx.trainer")


class Trainer(transformers.Trainer):
    """Train a model on one or several tasks, with what `transformers.Trainer` offers.

    Args:
        model: With a head for each task.
        args: `transformers.TrainingArguments`. `metric_for_best_model` is `eval_score` by default.
        tasks: What the model learns, each in its `train_languages`.
        sampling: How tasks share the steps; in proportion to their rows if None.
        max_length: Tokens of a sequence; each task's own if None.
        eval_tasks: Scored by `evaluate` on their validation splits in their training languages; the
            tasks if None.
        kwargs: As `transformers.Trainer`'s (callbacks, optimizers, …).

    Raises:
        ValueError: Several GPUs in one process, two tasks of one name, a head that does not fit its
            task, or a combination of arguments that cannot work.
        LookupError: The model has no head for a task.

    >>> Trainer(model, arguments, tasks=[nli, squad]).train()  # doctest: +SKIP
    """

    def __init__(
        self,
        model: MultitaskModel,
        args: TrainingArguments | None = None,
        *,
        tasks: Sequence[Task],
        sampling: Sampling | None = None,
        max_length: int | None = None,
        eval_tasks: Sequence[Task] | None = None,
        **kwargs: Any,
    ) -> None:
        args, kept_checkpoints = prepare_arguments(args, model)
        self.tasks = {task.name: task for task in tasks}
        if len(self.tasks) < len(tasks):
            raise ValueError(f"Two tasks have one name: {[task.name for task in tasks]}.")
        self.sampling = sampling or Sampling()
        self.sampling.check(self.tasks)
        for task in tasks:
            model.head_of(task, exact=True)
        compile_instead_of_accelerate(args, model)
        self.max_length = max_length
        self._eval_tasks = list(tasks if eval_tasks is None else eval_tasks)
        self._features: dict[tuple[str, str], Features] = {}
        self._sampler: Sampler | None = None
        # task -> (loss, items) since the last log, on the device
        self._loss_sums: dict[str, Tensor] = {}
        self._first_nonfinite_step = torch.tensor(-1)
        # not None, or `eval_strategy` is refused; `evaluate` reads its own tasks
        kwargs.setdefault("eval_dataset", {})
        kwargs.setdefault("processing_class", getattr(model, "tokenizer", None))
        manifests = ManifestCallback(kept_checkpoints, self._raise_if_nonfinite)
        callbacks = [manifests, *(kwargs.pop("callbacks", None) or [])]
        super().__init__(model, args, callbacks=callbacks, **kwargs)
        if self.args.fsdp and not (self.is_fsdp_enabled or self.is_fsdp_xla_enabled):
            raise ValueError(FSDP_IGNORED.format(ranks=self.args.world_size))
        if self.is_distributed_loading_by_transformers and self.args.load_best_model_at_end:
            raise ValueError(f"load_best_model_at_end: {CANNOT_LOAD_SHARDED}")

    # --- hooks of transformers.Trainer ------------------------------------------------------------

    def get_train_dataloader(self) -> TrainingLoader:
        """Make batches, one task a step; this loader, not accelerate, shards them over ranks."""
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        features = self._training_features(seed)
        sizes: dict[str, dict[str, int]] = {}
        for name, task in self.tasks.items():
            sizes[name] = {
                language: len(features[name, language].table) for language in task.train_languages
            }
        self._sampler = Sampler(
            self.sampling,
            sizes,
            batch_size=self.args.per_device_train_batch_size,
            seed=seed,
            language_exponents={name: task.language_exponent for name, task in self.tasks.items()},
            accumulation=self.args.gradient_accumulation_steps,
            ranks=self.args.world_size,
        )
        return TrainingLoader(
            TrainingFeatures(features, self.processing_class, seed),
            self._sampler,
            self.args.process_index,
            workers=self.args.dataloader_num_workers,
            pin=self.args.dataloader_pin_memory and torch.cuda.is_available(),
        )

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> Any:
        """Send the batches of a step to the device without waiting; transformers waits for each.

        Args:
            epoch_iterator: Of the loader.
            num_batches: Micro-batches of the step.
            device: Where they go.
        """
        send = partial(send_to_device, device=device, non_blocking=device.type == "cuda")
        return super().get_batch_samples(map(send, epoch_iterator), num_batches, device)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Divide the sum over items by the items of the whole step, of all micro-batches and ranks.

        Args:
            model: Ours, perhaps wrapped.
            inputs: A flat batch.
            return_outputs: Return the head's output too.
            num_items_in_batch: Items of the whole step; the batch's own if None.
        """
        output = model(**inputs)
        items = output.num_items if num_items_in_batch is None else num_items_in_batch
        weights = self.sampling.loss_weight or {}
        sub_batches = inputs.get("sub_batches", [inputs])
        losses = []
        for batch, sub_output in zip(sub_batches, output.sub_outputs or [output], strict=True):
            self._record_loss(batch["task"], sub_output.loss.detach(), sub_output.num_items)
            losses.append(sub_output.loss * weights.get(batch["task"], 1.0))
        item_count = torch.as_tensor(items, device=output.loss.device)
        loss = torch.stack(losses).sum() / torch.clamp(item_count, min=1)
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            # DDP takes the mean over ranks, but the items are those of all ranks
            loss = loss * self.accelerator.num_processes
        return (loss, output) if return_outputs else loss

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Score the validation splits in the training languages.

        Args:
            eval_dataset: Tasks to score instead of the trainer's own.
            ignore_keys: Ignored.
            metric_key_prefix: Before the names of the scores.

        Returns:
            Main scores, `eval_<task>`, and their mean, `eval_score`.
        """
        model = self._own_model
        report = Report()
        for task in eval_dataset or self._eval_tasks:
            languages = evaluated_languages(task)
            if languages:
                report += evaluate(
                    model,
                    [task],
                    languages=languages,
                    batch_size=self.args.per_device_eval_batch_size,
                    max_length=self.max_length,
                )
        model.report = report  # for the model card
        task_scores = report.mean(by="task")
        metrics = {f"{metric_key_prefix}_{task}": score for task, score in task_scores.items()}
        if metrics:
            metrics[f"{metric_key_prefix}_score"] = report.mean()
        self.log(dict(metrics))
        self.control: Any = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def train(self, resume_from_checkpoint: str | bool | None = None, **kwargs: Any) -> Any:
        """Train the model.

        A run that was stopped and resumed ends with the same parameters as one that was not. The
        logged history is the same if `save_steps` is a multiple of `logging_steps`.

        Args:
            resume_from_checkpoint: True resumes from the newest complete checkpoint of the output
                folder, or starts afresh if there is none. A path resumes from that checkpoint.
            kwargs: As transformers' own.

        Raises:
            ValueError: The given checkpoint is not complete, or `load_best_model_at_end` is set and
                no task has validation rows.
            RuntimeError: Another process trains in this folder.
            FloatingPointError: A loss was not finite.
        """
        check_validation_rows(self.args, self._eval_tasks)
        folder = Path(self.args.output_dir)
        trained_tasks = self._own_model.config.tasks  # for the model card
        for task in self.tasks.values():
            languages = list(task.train_languages)
            trained_tasks[task.name] = {"head": task.head_name, "languages": languages}
        writes = self.args.process_index == 0 and self.args.save_strategy != "no"
        with exclusive_writer(folder) if writes else nullcontext():
            saves = self.args.save_strategy != "no"
            path = checkpoint_to_resume(folder, resume_from_checkpoint, saves=saves)
            if path and self.is_distributed_loading_by_transformers:
                raise ValueError(f"Resuming from {path}: {CANNOT_LOAD_SHARDED}")
            finished_output = self._finished_output(path) if path else None
            if finished_output:
                return finished_output
            try:
                return super().train(resume_from_checkpoint=path, **kwargs)
            except Exception as error:
                error.add_note(
                    f"Training stopped at step {self.state.global_step}. Last whole checkpoint: "
                    f"{latest_checkpoint(folder)[0] or 'none'}. "
                    "`train(resume_from_checkpoint=True)` goes on from there."
                )
                raise

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save as transformers does; a folder that is being overwritten counts as incomplete.

        Args:
            output_dir: The folder; the trainer's own if None.
            _internal_call: For transformers.
        """
        if self.args.process_index == 0:
            (Path(output_dir or self.args.output_dir) / MANIFEST).unlink(missing_ok=True)
        super().save_model(output_dir, _internal_call)

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

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """6 x parameters (without embeddings) x tokens; the parameters are counted once."""
        return 6 * self._parameters * int(inputs["input_ids"].numel())

    @cached_property
    def _parameters(self) -> int:
        return int(self._own_model.num_parameters(exclude_embeddings=True))

    # --- ours -------------------------------------------------------------------------------------

    @property
    def _own_model(self) -> MultitaskModel:
        return self.accelerator.unwrap_model(self.model)

    @property
    def features(self) -> Mapping[tuple[str, str], Features]:
        """The training features, by task and language; empty before training."""
        return self._features

    def _finished_output(self, path: str) -> TrainOutput | None:
        """The result of a run that had ended, by its last step or early; None if it had not.

        transformers would go on training.
        """
        state = TrainerState.load_from_json(str(Path(path) / TRAINER_STATE_NAME))
        *_, last_step = self.set_initial_training_values(self.args, self.get_train_dataloader())
        control: Any = state.stateful_callbacks.get("TrainerControl", {})
        stopped_early = control.get("args", {}).get("should_training_stop")
        if state.global_step < last_step and not stopped_early:
            return None
        logger.warning(f"The run had ended: {state.global_step} of {last_step} steps are done.")
        # private, but it knows every form that a checkpoint's weights may have
        best = state.best_model_checkpoint if self.args.load_best_model_at_end else None
        self._load_from_checkpoint(best or path)
        self.state = state
        return TrainOutput(state.global_step, math.nan, {})

    def _training_features(self, seed: int) -> Mapping[tuple[str, str], Features]:
        if self._features:
            return self._features
        for name, task in self.tasks.items():
            available = task.languages("train")
            for language in task.train_languages:
                if available and language not in available:
                    raise DataError(
                        f"Task {name} has no training rows in {language!r}. "
                        f"It has: {', '.join(available)}. "
                        "Choose with task.replace(train_languages=(…))."
                    )
                features = load_features(
                    task.for_training,
                    "train",
                    language,
                    self.processing_class,
                    max_length=self.max_length,
                    max_examples=(self.sampling.max_examples or {}).get(name),
                    seed=seed,
                )
                self._own_model.check_token_ids(task, self.processing_class, features.table)
                self._features[name, language] = features
                for note in features.notes():
                    logger.warning(note)
        return self._features

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
        path, _ = latest_checkpoint(Path(self.args.output_dir))
        raise FloatingPointError(
            f"The loss of step {step} is not finite: {describe_rows(self._features, draws)}. "
            f"Last whole checkpoint: {path or 'none'}. "
            "Lower the learning rate, or look at these rows."
        )
