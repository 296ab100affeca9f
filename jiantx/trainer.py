"""`transformers.Trainer` with several tasks: its batches, its loss per item, its evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate.utils import send_to_device
from torch import Tensor, nn
from transformers import TrainingArguments
from transformers.utils import logging

from jiantx.batching import TrainingFeatures, TrainingLoader
from jiantx.checkpoints import MANIFEST, exclusive_writer
from jiantx.evaluation import check_task_names
from jiantx.features import Features
from jiantx.fields import check_choice
from jiantx.losses import Loss, check_losses, describe_loss
from jiantx.model import MultitaskModel
from jiantx.model.config import trained_entry
from jiantx.progress_bars import without_bars
from jiantx.resuming import ManifestCallback, ResumingMixin, checkpoint_to_resume
from jiantx.sampling import Sampler, Sampling
from jiantx.tasks import Tasks, resolve_tasks
from jiantx.trainer_arguments import RefusedMethods, check_parameters
from jiantx.trainer_best import BestModelMixin
from jiantx.trainer_card import CardCallback, without_adapters, write_card
from jiantx.trainer_embeddings import SparseEmbeddingsMixin
from jiantx.trainer_evaluation import check_evaluation, logged_names, score_tasks
from jiantx.trainer_groups import ParameterGroupsMixin, ParameterSettings, check_optimizer
from jiantx.trainer_losses import LossesMixin
from jiantx.trainer_search import SearchMixin, model_to_train
from jiantx.trainer_setup import (
    CANNOT_LOAD_SHARDED,
    FSDP_IGNORED,
    check_eval_dataset,
    check_label_smoothing,
    compile_instead_of_accelerate,
    decay_parameter_names,
    evaluated_languages,
    listed_languages,
    load_training_features,
    prepare_arguments,
    step_count,
    tokenizer_for_training,
)
from jiantx.trainer_step_pool import StepPoolMixin, check_draws, sub_batches_of
from jiantx.training_bar import label_training_bar, training_label

logger = logging.get_logger("jiantx.trainer")


class Trainer(
    RefusedMethods,
    ResumingMixin,
    SparseEmbeddingsMixin,
    ParameterGroupsMixin,
    LossesMixin,
    StepPoolMixin,
    SearchMixin,
    BestModelMixin,
):
    """Train a model on one or several tasks, with the options of `transformers.Trainer`.

    docs/trainer_arguments.md lists which arguments and methods work, and which are refused.

    Args:
        model: A model with a head for each task. If None, `model_init` makes it.
        args: `transformers.TrainingArguments`. `metric_for_best_model` is `eval_score` by default.
        tasks: Tasks to train on, each in its `train_languages`: one task or name, or several.
        sampling: How tasks share the steps; if None, in proportion to their rows.
        losses: Task -> the loss that replaces its head's own: `jx.CrossEntropy(…)` for class
            weights and label smoothing, `jx.FocalLoss(…)`, or a function of (scores, targets).
        max_length: Maximum tokens of a sequence; if None, each task's `max_length`.
        eval_tasks: Tasks whose validation splits `evaluate` scores; if None, `tasks`.
        eval_languages: Languages to score; if None, each task's training languages.
        freeze: Names or patterns of parameters that are not trained, such as "embeddings" and
            "encoder.layer.[0-5]"; see `jiantx.trainer_groups.ParameterSettings`.
        learning_rates: Pattern -> learning rate. The last pattern that matches counts; parameters
            without a match have the rate of `args`.
        weight_decays: Pattern -> weight decay, by the same rules; biases and norms never decay.
        layer_decay: The learning rate of a layer is this factor times that of the layer above.
        sparse_embeddings: Update only the embeddings that the training data use: "auto" if no
            result changes, True or an error, False never. docs/performance.md has the conditions.
        model_init: A function that returns a new model, for each trial of `hyperparameter_search`.
        kwargs: Other parameters of `transformers.Trainer` (callbacks, optimizers, …).

    Raises:
        ValueError: No model, several GPUs in one process, two tasks of one name, a head that does
            not fit its task, or a combination of arguments that cannot work.
        LookupError: The model has no head for a task.

    >>> Trainer(model, arguments, tasks=[nli, squad]).train()  # doctest: +SKIP
    """

    def __init__(
        self,
        model: MultitaskModel | None = None,
        args: TrainingArguments | None = None,
        *,
        tasks: Tasks,
        sampling: Sampling | None = None,
        losses: Mapping[str, Loss] | None = None,
        max_length: int | None = None,
        eval_tasks: Tasks | None = None,
        eval_languages: Collection[str] | None = None,
        freeze: Sequence[str] = (),
        learning_rates: Mapping[str, float] | None = None,
        weight_decays: Mapping[str, float] | None = None,
        layer_decay: float | None = None,
        sparse_embeddings: bool | Literal["auto"] = "auto",
        model_init: Callable[..., MultitaskModel] | None = None,
        **kwargs: Any,
    ) -> None:
        settings = {**locals(), **kwargs}
        self._settings = {
            key: settings[key] for key in settings.keys() - {"self", "kwargs", "__class__"}
        }
        check_parameters(kwargs)
        model = model_to_train(model, model_init, args)
        check_choice("sparse_embeddings", sparse_embeddings, (True, False, "auto"))
        self._sparse_embeddings = sparse_embeddings
        args, kept_checkpoints = prepare_arguments(args, model)
        self.parameter_settings = ParameterSettings(
            freeze=freeze,
            learning_rates=learning_rates or {},
            weight_decays=weight_decays or {},
            layer_decay=layer_decay,
        )
        check_optimizer(self.parameter_settings, args, kwargs.get("optimizers") or ())
        tasks = resolve_tasks(tasks)
        if not tasks:
            raise ValueError("Trainer(tasks=[]): name a task that the model is to learn.")
        self.tasks = {task.name: task for task in tasks}
        if len(self.tasks) < len(tasks):
            raise ValueError(f"Two of {[t.name for t in tasks]} have one name. Rename or drop one.")
        self.sampling = sampling or Sampling()
        self.sampling.check(self.tasks, args.per_device_train_batch_size)
        for task in tasks:
            model.head_of(task, exact=True)
        self.losses = losses or {}
        check_losses(self.losses, self.tasks, model)
        check_label_smoothing(args, model, tasks, self.losses)
        compile_instead_of_accelerate(args, model)
        self.max_length = max_length
        self._eval_tasks = tasks if eval_tasks is None else resolve_tasks(eval_tasks)
        check_task_names(self._eval_tasks)
        if len(self._eval_tasks) > 1 and "score" in [task.name for task in self._eval_tasks]:
            raise ValueError("No task can be named 'score': `eval_score` is the mean over tasks.")
        self.eval_languages = listed_languages(eval_languages)
        self._features: Mapping[tuple[str, str], Features] = {}
        self._sampler: Sampler | None = None
        self._forget_losses()
        # not None, or `eval_strategy` is refused; `evaluate` reads its own tasks
        kwargs["eval_dataset"] = {}
        tokenizer = tokenizer_for_training(model, kwargs.pop("processing_class", None))
        self._manifests = ManifestCallback(kept_checkpoints, self._raise_if_nonfinite)
        callbacks = [self._manifests, CardCallback(self), *(kwargs.pop("callbacks", None) or [])]
        super().__init__(model, args, callbacks=callbacks, processing_class=tokenizer, **kwargs)
        label_training_bar(self, training_label(self.tasks))
        self.parameter_settings.check(model, lambda: self.get_decay_parameter_names(model))
        self.neftune_noise_alpha = None  # `compute_loss` adds the noise, not transformers
        if self.args.fsdp and not (self.is_fsdp_enabled or self.is_fsdp_xla_enabled):
            raise ValueError(FSDP_IGNORED.format(ranks=self.args.world_size))
        self._check_step_pool()
        if self.is_distributed_loading_by_transformers and self.args.load_best_model_at_end:
            raise ValueError(f"load_best_model_at_end: {CANNOT_LOAD_SHARDED}")

    # --- hooks of transformers.Trainer ------------------------------------------------------------

    def get_train_dataloader(self) -> TrainingLoader:
        """Make batches, one task a step; this loader, not accelerate, shards them over ranks."""
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        if not self._features:
            self._features = load_training_features(
                self.tasks,
                self._own_model,
                self.processing_class,
                max_length=self.max_length,
                sampling=self.sampling,
                seed=seed,
            )
        features = self._features
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
        self._sampler.steps = step_count(self.args, self._sampler.steps_per_epoch)
        check_draws(self._own_model, self.tasks, self._sampler, sizes)
        self._prepare_losses()
        return TrainingLoader(
            TrainingFeatures(features, self.processing_class, seed),
            self._sampler,
            self.args.process_index,
            workers=self.args.dataloader_num_workers,
            pin=self.args.dataloader_pin_memory and torch.cuda.is_available(),
            persistent_workers=self.args.dataloader_persistent_workers,
            prefetch_factor=self.args.dataloader_prefetch_factor,
            multiprocessing_context=self.args.dataloader_multiprocessing_context,
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
            model: A `MultitaskModel`, perhaps wrapped.
            inputs: A flat batch.
            return_outputs: Return the head's output too.
            num_items_in_batch: Items of the whole step; the batch's own if None.
        """
        weights = self.sampling.loss_weight or {}
        output = self._run_batch(model, inputs)
        items = output.num_items if num_items_in_batch is None else num_items_in_batch
        losses = []
        sub_outputs = output.sub_outputs or [output]
        for batch, sub_output in zip(sub_batches_of(inputs), sub_outputs, strict=True):
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
        """Score the validation splits, in `eval_languages` or else the training languages.

        Args:
            eval_dataset: Tasks to score instead of the trainer's own.
            ignore_keys: Must be None; each head decides which outputs it returns.
            metric_key_prefix: Put before the names of the scores.

        Returns:
            Main scores, `eval_<task>`, and their mean, `eval_score`; losses, `eval_<task>_loss` and
            `eval_loss`; `eval_<task>_<language>` and `eval_<task>_<metric>`. Tasks without
            validation rows in these languages are skipped. An undefined metric counts as its worst
            score. The precision is the same as in training.

        Raises:
            TypeError: `eval_dataset` holds something that is neither a task nor a name.
        """
        check_parameters({"ignore_keys": ignore_keys})
        check_eval_dataset(eval_dataset)
        model = self._own_model
        tasks = self._eval_tasks if eval_dataset is None else resolve_tasks(eval_dataset)
        languages_of = {task.name: evaluated_languages(task, self.eval_languages) for task in tasks}
        heads = {task.name: model.head_of(task) for task in tasks if languages_of[task.name]}
        logged_names(languages_of, tasks, heads)  # an error if one would stand for two things
        with without_bars(self.args.disable_tqdm):
            report, values = score_tasks(model, tasks, languages_of, self.args, self.max_length)
        without_adapters(model).report = report  # for the model card
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in values.items()}
        self.log(dict(metrics))
        self.control: Any = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: None = None,
        ignore_keys_for_eval: None = None,
    ) -> Any:
        """Train the model.

        A stopped and resumed run ends with the same parameters as an uninterrupted run. The logged
        history is the same if `save_steps` is a multiple of `logging_steps`.

        Args:
            resume_from_checkpoint: True resumes from the newest complete checkpoint of the latest
                run in the output folder; without a checkpoint, it starts a new run. A path resumes
                from that checkpoint.
            trial: Must be None; `hyperparameter_search` creates a trainer for each trial.
            ignore_keys_for_eval: Must be None; each head decides which outputs it returns.

        Raises:
            ValueError: The checkpoint is not complete or belongs to another run, evaluations are
                asked for and no task has validation rows, or an argument is refused.
            RuntimeError: Another process trains in this folder.
            FloatingPointError: A loss was not finite.
        """
        check_parameters({"trial": trial, "ignore_keys_for_eval": ignore_keys_for_eval})
        if type(self).evaluate is Trainer.evaluate:  # a subclass may score something else
            check_evaluation(
                self.args, self._eval_tasks, self.eval_languages, self._own_model, self.max_length
            )
        self._forget_losses()
        without_adapters(self._own_model).report = None  # scores of the weights before
        folder = Path(self.args.output_dir)
        for task in self.tasks.values():  # for the model card
            self._own_model.config.tasks[task.name] = trained_entry(task, self.max_length)
        saves = self.args.save_strategy != "no"
        writes = self.args.process_index == 0 and saves
        with (
            exclusive_writer(folder) if writes else nullcontext(),
            without_bars(self.args.disable_tqdm),
            self.parameter_settings.frozen(self._own_model),
        ):
            path = checkpoint_to_resume(folder, resume_from_checkpoint, saves=saves)
            if path and self.is_distributed_loading_by_transformers:
                raise ValueError(f"Resuming from {path}: {CANNOT_LOAD_SHARDED}")
            self._identify_run(path)
            finished_output = self._finished_output(path) if path else None
            if finished_output:
                return finished_output
            with self._advice_on_errors(path), self._whole_embeddings_afterwards():
                return super().train(resume_from_checkpoint=path)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save as transformers does; a folder that is being overwritten counts as incomplete.

        Args:
            output_dir: The folder; the trainer's own if None.
            _internal_call: For transformers.
        """
        if self.args.process_index == 0:
            (Path(output_dir or self.args.output_dir) / MANIFEST).unlink(missing_ok=True)
        super().save_model(output_dir, _internal_call)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write jiantx's model card where transformers would write its draft; see `write_card`."""
        if self.is_world_process_zero():
            write_card(self._own_model, self.args.output_dir, *args, **kwargs)

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """As transformers', whatever the heads are named."""
        return decay_parameter_names(model, super().get_decay_parameter_names)

    def num_examples(self, dataloader: Any) -> int:
        """The examples of an epoch: of each task its rows, or the cap of the sampling."""
        rows: Counter[str] = Counter()
        for (name, _), features in self._features.items():
            rows[name] += len(features.table)
        return sum(map(self.sampling.capped, rows.values()))

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """6 x parameters (without embeddings) x tokens; the parameters are counted once."""
        return 6 * self._parameters * int(inputs["input_ids"].numel())

    @cached_property
    def _parameters(self) -> int:
        return int(self._own_model.num_parameters(exclude_embeddings=True))

    # --- what transformers' trainer lacks ---------------------------------------------------------

    @property
    def _run_settings(self) -> dict[str, Any]:
        """What jiantx's own parameters say of a run, by their names."""
        losses = {name: describe_loss(loss) for name, loss in self.losses.items()}
        return {"losses": losses, **self.parameter_settings.described()}

    @property
    def _own_model(self) -> MultitaskModel:
        return self.accelerator.unwrap_model(self.model)

    @property
    def features(self) -> Mapping[tuple[str, str], Features]:
        """The training features, by task and language; empty before training."""
        return self._features
