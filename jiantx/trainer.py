"""`transformers.Trainer` with several tasks: our batches, the loss per item, our evaluation. Public hooks only."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import PartialState
from accelerate.utils import send_to_device
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import TrainOutput
from transformers.utils import logging

from jiantx.batching import TrainingFeatures, TrainingLoader
from jiantx.checkpoints import (
    MANIFEST,
    exclusive_writer,
    find_problem,
    latest_checkpoint,
    rotate,
    write_manifest,
)
from jiantx.evaluation import evaluate
from jiantx.features import Features, load_features
from jiantx.model import MultitaskModel
from jiantx.report import Report
from jiantx.sampling import Sampler, Sampling
from jiantx.sources import DataError
from jiantx.task import Task

logger = logging.get_logger("jiantx.trainer")

_SHARDED = (
    "transformers loads no checkpoint into a model that was sharded as it was loaded (`distributed_config`). Without "
    "that, DDP does it, where the model fits; on GPUs, TrainingArguments(fsdp=True)."
)


class Trainer(transformers.Trainer):
    """Train a model on one or several tasks. Everything that `transformers.Trainer` takes works here too.

    sampling: how tasks share the steps. max_length: tokens a sequence; each task's own if None. eval_tasks: scored by
    `evaluate` on their validation split in their training languages (default: the tasks).

    >>> Trainer(model, TrainingArguments("runs/a", max_steps=1000), tasks=[nli, squad]).train()  # doctest: +SKIP
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
        args = copy.copy(args) if args is not None else TrainingArguments("runs")
        if args.n_gpu > 1:
            raise ValueError(
                f"{args.n_gpu} GPUs in one process would split flat batches (DataParallel). Start one process a GPU: "
                f"torchrun --nproc-per-node {args.n_gpu} your_script.py"
            )
        # a checkpoint counts only once its manifest is written, so old ones are deleted after that, by us
        self._keep, args.save_total_limit = args.save_total_limit, None
        if args.load_best_model_at_end and args.metric_for_best_model in (
            None,
            "loss",
        ):  # the default; ours is a score
            args.metric_for_best_model, args.greater_is_better = "eval_score", True
        args.logging_nan_inf_filter = False  # it hides NaN, and waits for the device at every step
        args.restore_callback_states_from_checkpoint = (
            True  # or the patience of early stopping starts anew
        )
        heads = getattr(model, "heads", {}).values()
        idle = len(heads) > 1 or any(
            head.layer is not None for head in heads
        )  # other tasks' heads, layers not reached
        if args.ddp_find_unused_parameters is None and idle:
            args.ddp_find_unused_parameters = True
        self.tasks = {task.name: task for task in tasks}
        if len(self.tasks) < len(tasks):
            raise ValueError(f"Two tasks have one name: {[task.name for task in tasks]}.")
        self.sampling = sampling or Sampling()
        self.sampling.check(self.tasks)
        for task in tasks:
            model.head_of(task)
        if args.torch_compile:
            model.compile_layers(backend=args.torch_compile_backend, mode=args.torch_compile_mode)
            # or accelerate compiles the whole model, once for every head
            args.torch_compile, args.torch_compile_backend, args.torch_compile_mode = (
                False,
                None,
                None,
            )
        self.max_length = max_length
        self._eval_tasks = list(tasks if eval_tasks is None else eval_tasks)
        self._features: dict[tuple[str, str], Features] = {}
        self._sampler: Sampler | None = None
        self._sums: dict[
            str, Tensor
        ] = {}  # task -> (loss, items) since the last log, on the device
        self._first_bad = torch.tensor(-1)
        kwargs.setdefault(
            "eval_dataset", {}
        )  # not None, or `eval_strategy` is refused; `evaluate` reads its own
        kwargs.setdefault("processing_class", getattr(model, "tokenizer", None))
        callbacks = [_Whole(self._keep, self._stop_if_bad), *(kwargs.pop("callbacks", None) or [])]
        super().__init__(model, args, callbacks=callbacks, **kwargs)
        if self.args.fsdp and not (self.is_fsdp_enabled or self.is_fsdp_xla_enabled):
            raise ValueError(
                "On this device accelerate ignores `fsdp` and would train with DDP. Shard the model as it is loaded: "
                "MultitaskModel.from_pretrained(path, tasks, distributed_config=transformers.DistributedConfig("
                f"fsdp_size={self.args.world_size}))."
            )
        if self.is_distributed_loading_by_transformers and self.args.load_best_model_at_end:
            raise ValueError(f"load_best_model_at_end: {_SHARDED}")

    # --- hooks of transformers.Trainer ---

    def get_train_dataloader(self) -> TrainingLoader:
        """Batches of every task, one task a step; ours alone shards them over ranks."""
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        features = self._training_features(seed)
        self._sampler = Sampler(
            self.sampling,
            {
                name: {code: len(features[name, code].table) for code in task.train_languages}
                for name, task in self.tasks.items()
            },
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
        """The batches of a step, on their way to the device: transformers would send them later, and wait for each."""
        send = partial(send_to_device, device=device, non_blocking=device.type == "cuda")
        return super().get_batch_samples(map(send, epoch_iterator), num_batches, device)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The sum over items, divided by the items of the whole step over all micro-batches and ranks."""
        found = model(**inputs)
        items = found.num_items if num_items_in_batch is None else num_items_in_batch
        weights, losses = self.sampling.loss_weight or {}, []
        for part, output in zip(
            inputs.get("sub_batches", [inputs]), found.sub_outputs or [found], strict=True
        ):
            self._note(part["task"], output.loss.detach(), output.num_items)
            losses.append(output.loss * weights.get(part["task"], 1.0))
        loss = torch.stack(losses).sum() / torch.clamp(
            torch.as_tensor(items, device=found.loss.device), min=1
        )
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = (
                loss * self.accelerator.num_processes
            )  # DDP takes the mean over ranks; the items are everyone's
        return (loss, found) if return_outputs else loss

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Main scores on the validation splits, in the training languages: `eval_<task>`, their mean `eval_score`.

        eval_dataset: tasks to score instead of the trainer's own.
        """
        model = self.accelerator.unwrap_model(self.model)
        report = Report()
        for task in eval_dataset or self._eval_tasks:
            if languages := _evaluated(task):
                size = self.args.per_device_eval_batch_size
                report += evaluate(
                    model, [task], languages=languages, batch_size=size, max_length=self.max_length
                )
        model.report = report  # for the model card
        metrics = {
            f"{metric_key_prefix}_{task}": value for task, value in report.mean(by="task").items()
        }
        if metrics:
            metrics[f"{metric_key_prefix}_score"] = report.mean()
        self.log(dict(metrics))
        self.control: Any = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def train(self, resume_from_checkpoint: str | bool | None = None, **kwargs: Any) -> Any:
        """Train; with `resume_from_checkpoint=True` from the newest whole checkpoint of the output folder, or afresh.

        Straight run and resumed run end with the same parameters; the logged history is the same if `save_steps` is a
        multiple of `logging_steps`. ValueError if a checkpoint given by name is not whole; RuntimeError if another
        process trains in this folder.
        """
        if self.args.load_best_model_at_end and not any(map(_evaluated, self._eval_tasks)):
            named = "; ".join(
                f"{task.name} in {', '.join(task.train_languages)}" for task in self._eval_tasks
            )
            raise ValueError(
                f"load_best_model_at_end needs development rows, and there are none of {named or 'any task'}. "
                "Give `eval_tasks` that have some, or leave it off."
            )
        folder = Path(self.args.output_dir)
        known = self.accelerator.unwrap_model(self.model).config.tasks  # for the model card
        for task in self.tasks.values():
            known[task.name] = {"head": task.head_name, "languages": list(task.train_languages)}
        writes = self.args.process_index == 0 and self.args.save_strategy != "no"
        with exclusive_writer(folder) if writes else nullcontext():
            path = self._start(folder, resume_from_checkpoint)
            if path and self.is_distributed_loading_by_transformers:
                raise ValueError(f"Resuming from {path}: {_SHARDED}")
            if path and (ended := self._ended(path)):
                return ended
            try:
                return super().train(resume_from_checkpoint=path, **kwargs)
            except Exception as error:
                error.add_note(
                    f"Training stopped at step {self.state.global_step}. Last whole checkpoint: "
                    f"{latest_checkpoint(folder)[0] or 'none'}. `train(resume_from_checkpoint=True)` goes on from there."
                )
                raise

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As in transformers; a folder that is overwritten is no longer whole."""
        if self.args.process_index == 0:
            (Path(output_dir or self.args.output_dir) / MANIFEST).unlink(missing_ok=True)
        super().save_model(output_dir, _internal_call)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add each task's mean loss per item; stop where a loss was not finite."""
        if "loss" in logs:
            self._stop_if_bad()
            if len(self.tasks) > 1 and self._sums:
                names = sorted(self._sums)  # the same on all ranks
                sums = self.accelerator.reduce(torch.stack([self._sums[name] for name in names]))
                for name, (loss, items) in zip(names, sums.tolist(), strict=True):
                    logs[f"loss_{name}"] = loss / max(items, 1)
            self._sums.clear()
        super().log(logs, start_time)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """6 x parameters (without embeddings) x tokens; the parameters are counted once."""
        return 6 * self._parameters * int(inputs["input_ids"].numel())

    @cached_property
    def _parameters(self) -> int:
        return int(
            self.accelerator.unwrap_model(self.model).num_parameters(exclude_embeddings=True)
        )

    # --- ours ---

    def _start(self, folder: Path, wanted: str | bool | None) -> str | None:
        """The checkpoint to start from, and what is said of it."""
        if wanted is True:
            path, passed = latest_checkpoint(folder)
            for broken, why in passed:
                logger.warning(f"Passed over {broken}: {why}.")
            logger.warning(
                f"Resuming from {path}." if path else f"No checkpoint in {folder}: a fresh start."
            )
            return str(path) if path else None
        if wanted and (reason := find_problem(Path(wanted))):
            raise ValueError(f"The checkpoint {wanted} is not whole: {reason}.")
        if (
            not wanted
            and self.args.save_strategy != "no"
            and (path := latest_checkpoint(folder)[0])
        ):
            logger.warning(
                f"A fresh start, in a folder that has another run's checkpoints, such as {path.name}."
            )
        return wanted or None

    @property
    def features(self) -> Mapping[tuple[str, str], Features]:
        """What is trained on, by task and language; nothing before training."""
        return self._features

    def _ended(self, path: str) -> TrainOutput | None:
        """The result of a run that had come to its end, or had been stopped: transformers would train on."""
        state = TrainerState.load_from_json(str(Path(path) / TRAINER_STATE_NAME))
        *_, last_step = self.set_initial_training_values(self.args, self.get_train_dataloader())
        control: Any = state.stateful_callbacks.get("TrainerControl", {})
        if state.global_step < last_step and not control.get("args", {}).get(
            "should_training_stop"
        ):
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
            have = task.languages("train")
            most = (self.sampling.max_examples or {}).get(name)
            options: Any = {"max_length": self.max_length, "max_examples": most, "seed": seed}
            for language in task.train_languages:
                if have and language not in have:
                    raise DataError(
                        f"Task {name} has no training rows in {language!r}. It has: {', '.join(have)}. Choose with "
                        "task.replace(train_languages=(…))."
                    )
                found = load_features(
                    task.for_training, "train", language, self.processing_class, **options
                )
                self._features[name, language] = found
                for note in found.notes():
                    logger.warning(note)
        return self._features

    def _note(self, task: str, loss: Tensor, items: Tensor) -> None:
        """Add to the task's sums, remember the first step whose loss is not finite; nothing waits for the device."""
        here = torch.stack([loss.float(), items.float()])
        self._sums[task] = self._sums[task] + here if task in self._sums else here
        bad = self._first_bad.to(loss.device)
        self._first_bad = torch.where((bad < 0) & ~loss.isfinite(), self.state.global_step, bad)

    def _stop_if_bad(self) -> None:
        # on all ranks, at the same places: one that stopped alone would leave the others waiting
        steps = self.accelerator.gather(self._first_bad.to(self.args.device).reshape(1))
        step = int(min(steps[steps >= 0], default=-1))
        if step < 0 or self._sampler is None:
            return
        rows: dict[str, set[str]] = {}
        for micro in range(self.args.gradient_accumulation_steps):
            for rank in range(self.args.world_size):
                for draw in self._sampler.draws(step, micro, rank):
                    found = self._features[draw.task, draw.language]
                    numbers = found.table.select_columns(["example"])[draw.rows]["example"]
                    ids = (
                        found.rows["id"]
                        if "id" in found.rows.column_names
                        else range(len(found.rows))
                    )
                    pair = f"task {draw.task!r}, language {draw.language!r}"
                    rows.setdefault(pair, set()).update(str(ids[number]) for number in numbers)
        said = "; ".join(
            f"{pair}, training rows {', '.join(sorted(own))}" for pair, own in rows.items()
        )
        path, _ = latest_checkpoint(Path(self.args.output_dir))
        raise FloatingPointError(
            f"The loss of step {step} is not finite: {said}. Last whole checkpoint: {path or 'none'}. Lower the "
            "learning rate, or look at these rows."
        )


def _evaluated(task: Task) -> list[str]:
    """The training languages that have development rows."""
    have = task.languages("validation")  # to find them, some sources go through all rows
    return [language for language in task.train_languages if language in have]


class _Whole(TrainerCallback):
    """Writes the manifest of a checkpoint once all its files are there, then deletes old ones.

    `check` runs before a checkpoint, before an evaluation and at the end, so that no model is kept or scored after a
    loss that was not finite.
    """

    def __init__(self, keep: int | None, check: Callable[[], None]) -> None:
        self.keep, self.check = keep, check

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
            write_manifest(folder / f"checkpoint-{state.global_step}")
            rotate(folder, self.keep, state.best_model_checkpoint)
