"""What becomes of each argument and method of `transformers.Trainer` and of `TrainingArguments`.

Each works, or is refused by name. `docs/make_trainer_arguments.py` writes the table for readers,
and a test compares these names with those of the installed transformers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import transformers
from transformers import TrainingArguments
from transformers.utils import logging

from jiantx.fields import check_count

logger = logging.get_logger("jiantx.trainer")

_BY_TRANSFORMERS = ""  # transformers' own code does it
_OWN_SCORES = "Tasks are scored by `jx.evaluate`, with their own metrics."
_OWN_ROWS = "Rows come from the sources of `tasks`: `task.replace(source=jx.Rows(…))`."
_FOR_SCRIPTS = "For your script, as in transformers: no trainer reads it."

PARAMETERS: dict[str, str] = {
    **dict.fromkeys("args callbacks optimizers optimizer_cls_and_kwargs".split(), _BY_TRANSFORMERS),
    "model": "A `MultitaskModel`, perhaps with adapters.",
    "model_init": "Makes the model if there is none, and one for each trial of a search. `train` "
    "does not call it: create a trainer for each run.",
    "processing_class": "The model's own tokenizer, which is the default; another one is refused.",
}
"""Parameters of `transformers.Trainer` that work -> a note."""

REFUSED_PARAMETERS: dict[str, str] = {
    "data_collator": "jiantx makes its batches. A task type of your own may change them: "
    "`augment`, see docs/add_a_task.md.",
    "train_dataset": f"{_OWN_ROWS} Name the tasks in `tasks`.",
    "eval_dataset": f"{_OWN_ROWS} Name the tasks to score in `eval_tasks`.",
    "trial": "Call `hyperparameter_search`: each trial has a trainer of its own.",
    "ignore_keys": "A head decides which outputs there are.",
    "ignore_keys_for_eval": "A head decides which outputs there are.",
    "compute_loss_func": 'Give each task its loss: `Trainer(losses={"mnli": …})`, see '
    "docs/howto/class_imbalance.md. Or register a head, see docs/add_a_task.md.",
    "compute_metrics": f"{_OWN_SCORES} Choose them with `task.replace(metrics=…)`.",
    "preprocess_logits_for_metrics": f"{_OWN_SCORES} A task type's `decode` turns outputs into "
    "predictions.",
}
"""Parameters of `transformers.Trainer`, `train` and `evaluate` that are refused -> what to do
instead."""

METHODS: dict[str, str] = {
    **dict.fromkeys(
        """add_callback autocast_smart_context_manager compute_loss_context_manager
        create_accelerator_and_postprocess create_optimizer_and_scheduler
        create_scheduler end get_cp_size get_decay_parameter_names get_learning_rates
        get_num_trainable_parameters get_optimizer_cls_and_kwargs get_optimizer_group get_sp_size
        get_total_train_batch_size get_tp_size init_hf_repo is_local_process_zero
        is_world_process_zero log_metrics metrics_format pop_callback
        remove_callback save_metrics save_state set_initial_training_values store_flos
        training_step""".split(),
        _BY_TRANSFORMERS,
    ),
    "compute_loss": "The sum over items, divided by the items of the whole step.",
    "create_model_card": "",
    "evaluate": "Scores tasks: `eval_tasks`, or those that you pass.",
    "floating_point_ops": "6 × parameters × tokens.",
    "get_batch_samples": "",
    "create_optimizer": "With the groups of `learning_rates`, `weight_decays` and `layer_decay`.",
    "get_train_dataloader": "Batches of one task per step, without padding.",
    "hyperparameter_search": "With Optuna, which maximizes `eval_score` by default; see "
    "docs/howto/search_hyperparameters.md.",
    "log": "Adds the loss of each task; see docs/howto/logging.md.",
    "num_examples": "Of an epoch: of each task its rows, or the cap of the sampling.",
    "push_to_hub": "",
    "save_model": "",
    "train": "Resumes exactly, and only from a checkpoint of the same run.",
}
"""Public methods of `transformers.Trainer` that work -> a note."""

REFUSED_METHODS: dict[str, str] = {
    "predict": "Use `jx.predict(model, task, rows)`, or `jx.evaluate(model, tasks, "
    "predictions=folder)` for whole splits.",
    "evaluation_loop": f"{_OWN_SCORES}",
    "prediction_step": f"{_OWN_SCORES}",
    "get_eval_dataloader": f"{_OWN_SCORES}",
    "get_test_dataloader": f"{_OWN_SCORES}",
    "call_model_init": "A trainer keeps its model. `hyperparameter_search` makes one a trial.",
}
"""Public methods of `transformers.Trainer` that are refused -> what to do instead."""

ARGUMENTS: dict[str, str] = {
    **dict.fromkeys(
        """output_dir per_device_train_batch_size num_train_epochs max_steps learning_rate
        lr_scheduler_kwargs warmup_steps optim optim_args weight_decay adam_beta1 adam_beta2
        adam_epsilon optim_target_modules gradient_accumulation_steps
        average_tokens_across_devices max_grad_norm bf16 fp16 tf32 activation_checkpointing
        activation_checkpointing_kwargs gradient_checkpointing gradient_checkpointing_kwargs
        torch_empty_cache_steps logging_strategy logging_steps logging_first_step
        log_on_each_node log_level log_level_replica report_to run_name project trackio_space_id
        trackio_bucket_id trackio_static_space_id eval_steps eval_delay
        per_device_eval_batch_size eval_on_start save_strategy save_steps push_to_hub hub_token
        hub_private_repo hub_model_id hub_strategy hub_always_push hub_revision
        load_best_model_at_end full_determinism seed use_cpu
        dataloader_num_workers dataloader_pin_memory dataloader_persistent_workers
        dataloader_prefetch_factor dataloader_multiprocessing_context ddp_bucket_cap_mb
        ddp_broadcast_buffers ddp_backend ddp_timeout debug local_rank""".split(),
        _BY_TRANSFORMERS,
    ),
    **dict.fromkeys("do_train do_eval do_predict resume_from_checkpoint".split(), _FOR_SCRIPTS),
    "lr_scheduler_type": "`reduce_lr_on_plateau` and `greedy` follow `metric_for_best_model`: "
    "`eval_score` by default, where higher is better.",
    "label_smoothing_factor": "In every loss that is a cross-entropy: over the labels, the choices "
    "of an example, the tokens of a window, the vocabulary, or the candidates of a batch. Other "
    "losses (regression, multi-label) stay as they are, which is logged; without any "
    "cross-entropy it is refused.",
    "neftune_noise_alpha": "Scaled by each sequence's own length, as in the paper's code.",
    "torch_compile": "Compiles the encoder layer by layer.",
    "torch_compile_backend": "As `torch_compile`.",
    "torch_compile_mode": "As `torch_compile`.",
    "logging_nan_inf_filter": "Always off: a loss that is not finite stops the run.",
    "include_num_input_tokens_seen": "`all` and `non_padding` are the same: no token is padding.",
    "disable_tqdm": "Also for the bars of evaluations, of features and of datasets. "
    "`jx.progress(False)` hides all bars of a program.",
    "eval_strategy": "Refused if no task has validation rows.",
    "metric_for_best_model": "`eval_score` by default, or any other name that evaluations log, "
    "such as `eval_loss`, `eval_<task>`, `eval_<task>_loss`, `eval_<task>_<language>` or "
    "`eval_<task>_<metric>`; see docs/howto/best_checkpoint_and_early_stopping.md. It is checked "
    "before training. `loss`, transformers' default, stands for `eval_score`.",
    "greater_is_better": "True for scores and False for losses, as by default; the opposite is "
    "refused.",
    "save_only_model": "Such checkpoints cannot be resumed from.",
    "save_total_limit": "Old checkpoints are deleted after the new one is complete.",
    "restore_callback_states_from_checkpoint": "Always on.",
    "data_seed": "Of the order of tasks and rows; `seed` if None.",
    "accelerator_config": "`split_batches`, `dispatch_batches`, `even_batches` and "
    "`use_seedable_sampler` are refused if changed: jiantx shards its batches itself.",
    "parallelism_config": "Refused with tensor, context or sequence parallelism.",
    "dataloader_drop_last": "It changes nothing: no batch is incomplete.",
    "remove_unused_columns": "It changes nothing: columns that no head reads are never made.",
    "ddp_find_unused_parameters": "True by default if the model has several heads.",
    "ddp_static_graph": "Refused if the model has several heads.",
    "bf16_full_eval": "Evaluations are computed in bfloat16; the weights keep their precision. "
    "`bf16` does this, too.",
    "fp16_full_eval": "As `bf16_full_eval`, in float16.",
    "fsdp": "On GPUs; see docs/distributed.md.",
    "fsdp_config": "As `fsdp`.",
    "skip_memory_metrics": "False measures training, not evaluation.",
}
"""`TrainingArguments` that work -> a note."""

REFUSED_ARGUMENTS: dict[str, str] = {
    "use_liger_kernel": "Liger has no kernels for a multi-task model. Use `torch_compile=True`.",
    "liger_kernel_config": "Liger has no kernels for a multi-task model.",
    "use_cache": "No head generates text.",
    "auto_find_batch_size": "After an out-of-memory error transformers would go on with weights "
    "that are trained in part. Choose `per_device_train_batch_size` and "
    "`gradient_accumulation_steps`: their product is the batch.",
    "prediction_loss_only": f"{_OWN_SCORES}",
    "eval_do_concat_batches": f"{_OWN_SCORES}",
    "eval_use_gather_object": f"{_OWN_SCORES}",
    "eval_accumulation_steps": "Outputs move to the CPU every 32 batches. Lower "
    "`per_device_eval_batch_size` if the GPU's memory does not suffice.",
    "include_for_metrics": f"{_OWN_SCORES}",
    "batch_eval_metrics": f"{_OWN_SCORES}",
    "save_on_each_node": "Nodes share one folder; see docs/distributed.md.",
    "enable_jit_checkpoint": "Its checkpoints are not complete, so that no run resumes from them. "
    "Use `save_steps`.",
    "ignore_data_skip": "Resuming skips rows at once. With this argument, it would train on some "
    "rows twice.",
    "dataloader_in_order": "Which rows a step trains on depends on the seed alone.",
    "label_names": "A task names its own columns.",
    "train_sampling_strategy": "Use `Trainer(sampling=jx.Sampling(…))`. Batches have no padding, "
    "so grouping by length saves nothing.",
    "length_column_name": "Use `Trainer(sampling=jx.Sampling(…))`.",
    "deepspeed": "jiantx was not tried with it. Use DDP or FSDP; see docs/distributed.md.",
}
"""`TrainingArguments` that are refused unless they have their default -> what to do instead."""


COUNTS = (
    "per_device_train_batch_size",
    "per_device_eval_batch_size",
    "gradient_accumulation_steps",
)
"""`TrainingArguments` that count something."""


def default_arguments() -> dict[str, Any]:
    """The fields of the installed `TrainingArguments`, with their defaults."""
    defaults: dict[str, Any] = {}
    for field in dataclasses.fields(TrainingArguments):
        factory = field.default_factory
        defaults[field.name] = field.default if factory is dataclasses.MISSING else factory()
    return defaults


def refused_argument(values: Mapping[str, Any]) -> str | None:
    """Say which of some `TrainingArguments` jiantx refuses, and what to do instead.

    Args:
        values: Name -> value. Values that are the default are never refused.

    Returns:
        A sentence about the first of them; None if there is none.
    """
    defaults = default_arguments()
    for name, value in values.items():
        if name in defaults and name in REFUSED_ARGUMENTS and value != defaults[name]:
            return _refusal(f"TrainingArguments({name}={value!r})", REFUSED_ARGUMENTS[name])
    return None


def check_arguments(args: TrainingArguments) -> None:
    """Refuse what jiantx would ignore, and name what it does not know.

    Args:
        args: The user's.

    Raises:
        ValueError: An argument would have no effect, or a wrong one.
    """
    defaults = default_arguments()
    values = {name: getattr(args, name) for name in defaults}
    problem = (
        refused_argument(values)
        or _accelerator_problem(args.accelerator_config)
        or _parallelism_problem(args.parallelism_config)
    )
    if problem:
        raise ValueError(problem)
    for name in COUNTS:
        check_count(f"TrainingArguments: {name}", values[name])
    for name in sorted(set(defaults) - set(ARGUMENTS) - set(REFUSED_ARGUMENTS)):
        if values[name] != defaults[name]:
            logger.warning(
                f"jiantx does not know TrainingArguments({name}={values[name]!r}) of transformers "
                f"{transformers.__version__}: it may have no effect."
            )


def check_parameters(values: Mapping[str, Any]) -> None:
    """Refuse parameters of `transformers.Trainer` and its methods that jiantx would ignore.

    Args:
        values: Name -> value; None is the default.

    Raises:
        ValueError: A parameter is refused.
    """
    for name, instead in REFUSED_PARAMETERS.items():
        if values.get(name) is not None:
            raise ValueError(_refusal(f"Trainer({name}=…)", instead))


def _refusal(call: str, instead: str) -> str:
    return f"{call} is not supported by jiantx. {instead}"


def _accelerator_problem(config: Any) -> str | None:
    """Options of accelerate's data loader, which jiantx's own replaces."""
    default = type(config)()
    for name in ("split_batches", "dispatch_batches", "even_batches", "use_seedable_sampler"):
        value = getattr(config, name, None)
        if value != getattr(default, name, None):
            call = f"TrainingArguments(accelerator_config={{{name!r}: {value!r}}})"
            return _refusal(call, "jiantx shards its batches itself.")
    return None


def _parallelism_problem(config: Any) -> str | None:
    """Kinds of parallelism that would split a flat batch, or give ranks one share of the rows."""
    for name in ("tp_size", "cp_size", "sp_size"):
        size = getattr(config, name, 1)
        if size > 1:
            call = f"TrainingArguments(parallelism_config=ParallelismConfig({name}={size}))"
            return _refusal(call, "Use DDP or FSDP; see docs/distributed.md.")
    return None


class RefusedMethods:
    """Methods of `transformers.Trainer` that work with datasets instead of tasks: each is refused.

    Raises:
        NotImplementedError: In every method; says what to do instead.
    """


def _refused_method(name: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(_refusal(f"Trainer.{name}", REFUSED_METHODS[name]))

    method.__name__ = name
    method.__doc__ = f"Refused. {REFUSED_METHODS[name]}"
    return method


for _name in REFUSED_METHODS:
    setattr(RefusedMethods, _name, _refused_method(_name))
