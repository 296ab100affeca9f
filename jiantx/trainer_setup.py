"""What the trainer sets up before it trains: arguments that jiantx's batches need, and features."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from typing import Any

from torch import nn
from transformers import TrainingArguments
from transformers.trainer_utils import SaveStrategy, SchedulerType
from transformers.utils import logging

from jiantx.features import Features, load_features
from jiantx.half_precision import half_precision, warn_if_slow
from jiantx.heads import Head, LayerMix
from jiantx.losses import Loss, smooths_labels
from jiantx.model import MultitaskModel
from jiantx.sampling import Draw, Sampling
from jiantx.sources import DataError
from jiantx.task import Task
from jiantx.trainer_arguments import check_arguments

logger = logging.get_logger("jiantx.trainer")

_PLATEAU_SCHEDULERS = (SchedulerType.REDUCE_ON_PLATEAU, SchedulerType.GREEDY)

CANNOT_LOAD_SHARDED = (
    "transformers loads no checkpoint into a model that was sharded as it was loaded "
    "(`distributed_config`). Without that, DDP does it, where the model fits; on GPUs, "
    "TrainingArguments(fsdp=True)."
)
FSDP_IGNORED = (
    "On this device accelerate ignores `fsdp` and would train with DDP. Shard the model as it is "
    "loaded: MultitaskModel.from_pretrained(path, tasks, "
    "distributed_config=transformers.DistributedConfig(fsdp_size={ranks}))."
)


def note_attention_dropout(model: MultitaskModel) -> None:
    """Say once that flat batches train without the attention dropout that a config has."""
    names = ("attention_probs_dropout_prob", "attention_dropout")
    if model.padding_free and any(getattr(model.encoder.config, name, 0.0) for name in names):
        logger.warning_once(
            "Batches are not padded, so attention dropout is off. Pass padding_free=False to "
            "from_pretrained to keep it."
        )


def prepare_arguments(
    args: TrainingArguments | None, model: MultitaskModel
) -> tuple[TrainingArguments, int | None]:
    """Change what transformers' defaults would get wrong here, in a copy.

    Args:
        args: The user's; `TrainingArguments("runs")` if None.
        model: What is trained.

    Returns:
        The arguments, and how many checkpoints are kept (None: all).

    Raises:
        ValueError: There are several GPUs in one process, or an argument cannot work.
    """
    args = copy.copy(args) if args is not None else TrainingArguments("runs")
    check_arguments(args)
    note_attention_dropout(model)
    if args.n_gpu > 1:
        raise ValueError(
            f"{args.n_gpu} GPUs in one process would split flat batches (DataParallel). Start one "
            f"process a GPU: torchrun --nproc-per-node {args.n_gpu} your_script.py"
        )
    warn_if_slow(args.device, half_precision(vars(args)))
    # a checkpoint counts only once its manifest is written, so old ones are deleted after that,
    # by us
    kept_checkpoints = args.save_total_limit
    args.save_total_limit = None
    follows_plateau = args.lr_scheduler_type in _PLATEAU_SCHEDULERS
    if (
        (args.load_best_model_at_end or args.save_strategy == SaveStrategy.BEST or follows_plateau)
        and args.metric_for_best_model in (None, "loss")  # transformers' default
    ):
        args.metric_for_best_model = "eval_score"
        args.greater_is_better = True
    if follows_plateau:  # transformers would take lower as better
        mode = "max" if args.greater_is_better else "min"
        args.lr_scheduler_kwargs = {"mode": mode, **(args.lr_scheduler_kwargs or {})}
    # no token of a flat batch is padding, though a tokenizer may pad with a token that has a use
    if args.include_num_input_tokens_seen != "no":
        args.include_num_input_tokens_seen = "all"
    args.logging_nan_inf_filter = False  # it hides NaN, and waits for the device at every step
    # without it, the patience of early stopping starts again
    args.restore_callback_states_from_checkpoint = True
    heads = getattr(model, "heads", {}).values()
    # the heads of other tasks, and layers above a head
    has_unused_parameters = len(heads) > 1 or any(head.needed_layers != (None,) for head in heads)
    if args.ddp_find_unused_parameters is None and has_unused_parameters:
        args.ddp_find_unused_parameters = True
    if args.ddp_static_graph and has_unused_parameters:
        raise ValueError(
            "TrainingArguments(ddp_static_graph=True) needs steps that all use the same parameters."
            f" This model's heads, {', '.join(model.heads)}, do not. Leave it out."
        )
    return args, kept_checkpoints


def compile_instead_of_accelerate(args: TrainingArguments, model: MultitaskModel) -> None:
    """If `torch_compile` is set, compile the encoder's layers, and unset it.

    Args:
        args: Changed in place.
        model: Compiled in place.
    """
    if args.torch_compile:
        model.compile_layers(backend=args.torch_compile_backend, mode=args.torch_compile_mode)
        # off, or accelerate would compile the whole model, once for every head
        args.torch_compile = False
        args.torch_compile_backend = None
        args.torch_compile_mode = None


def decay_parameter_names(
    model: nn.Module, names_of: Callable[[nn.Module], list[str]]
) -> list[str]:
    """The parameters that decay: not biases and norms, told by their names, nor `undecayed` ones.

    The name of a head says nothing about its parameters, though it may hold "bias" or "norm".

    Args:
        model: What is trained.
        names_of: transformers' rule.
    """
    names = names_of(model)
    undecayed: set[str] = set()
    for path, module in model.named_modules():
        if isinstance(module, Head):
            names += [f"{path}.{name}" for name in names_of(module)]
        if isinstance(module, Head | LayerMix):
            undecayed |= {f"{path}.{name}" for name in module.undecayed}
    return [name for name in dict.fromkeys(names) if name not in undecayed]


def listed_languages(languages: Collection[str] | str | None) -> Collection[str] | None:
    """The languages that a user gave, in an order that is the same in all processes.

    Args:
        languages: One, or several, in any kind of collection; None stays None.
    """
    if isinstance(languages, str):
        return [languages]
    return sorted(languages) if isinstance(languages, Set) else languages


def step_count(args: TrainingArguments, steps_per_epoch: int) -> int:
    """The steps of a run.

    Args:
        args: Of the run.
        steps_per_epoch: Of its sampler.
    """
    if args.max_steps > 0:
        return args.max_steps
    return max(1, math.ceil(args.num_train_epochs * steps_per_epoch))


def evaluated_languages(task: Task, requested: Collection[str] | None = None) -> list[str]:
    """The languages in which a task is scored during training; logs it if there are none.

    Args:
        task: The task.
        requested: Of these, those that have validation rows; the training languages if None.
    """
    available = task.languages("validation")  # some sources go through all rows for this
    wanted = task.train_languages if requested is None else requested
    languages = [language for language in wanted if language in available]
    if not languages:
        noun = "its training languages" if requested is None else "the languages"
        logger.warning_once(
            f"Task {task.name} is not evaluated: it has no validation rows in {noun}, "
            f"{', '.join(wanted)}."
        )
    return languages


def check_eval_dataset(eval_dataset: Any) -> None:
    """Check what `Trainer.evaluate` is to score instead of its own tasks.

    Raises:
        TypeError: It holds something else than tasks and their names.
    """
    if eval_dataset is None or isinstance(eval_dataset, str | Task):
        return
    non_tasks = [item for item in eval_dataset if not isinstance(item, str | Task)]
    if non_tasks:
        raise TypeError(
            f"Trainer.evaluate(eval_dataset=…) takes tasks, found {type(non_tasks[0]).__name__}: "
            f"{non_tasks[0]!r:.100}. For other rows: [task.replace(source=jx.Rows(…))]."
        )


def check_label_smoothing(
    args: TrainingArguments,
    model: MultitaskModel,
    tasks: Iterable[Task],
    losses: Mapping[str, Loss],
) -> None:
    """Say which tasks `label_smoothing_factor` does not change.

    Args:
        args: Of the run.
        model: What is trained.
        tasks: What it learns.
        losses: Task -> its loss, where it is not the head's own.

    Raises:
        ValueError: It is set, and no task's loss is a cross-entropy.
    """
    if not args.label_smoothing_factor:
        return
    if not 0 <= args.label_smoothing_factor <= 1:
        raise ValueError(
            f"TrainingArguments(label_smoothing_factor={args.label_smoothing_factor}) must be "
            "between 0 and 1."
        )
    names: dict[bool, list[str]] = {True: [], False: []}
    for task in tasks:
        is_smoothed = smooths_labels(losses.get(task.name), model.head_of(task))
        names[is_smoothed].append(task.name)
    unchanged = (
        f"label_smoothing_factor does not change the loss of {', '.join(names[False])}, whose loss "
        "smooths no labels"
    )
    if not names[True]:
        raise ValueError(f"{unchanged}. Leave it out.")
    if names[False]:
        logger.warning(f"{unchanged}.")


def tokenizer_for_training(model: MultitaskModel, requested: Any) -> Any:
    """The tokenizer that features are made with: the model's own, which evaluations use too.

    Args:
        model: What is trained.
        requested: `processing_class` of `Trainer`; the model's tokenizer if None.

    Raises:
        ValueError: The requested one is another tokenizer than the model's.
    """
    model_tokenizer = getattr(model, "tokenizer", None)
    if model_tokenizer is None or requested is None or requested is model_tokenizer:
        return model_tokenizer or requested
    texts = []
    for tokenizer in (model_tokenizer, requested):
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is not None:
            backend.no_padding()
            backend.no_truncation()  # how a batch was last cut is no property of the tokenizer
            texts.append(backend.to_str())
    if len(texts) < 2 or texts[0] != texts[1]:
        raise ValueError(
            "Trainer(processing_class=…) is another tokenizer than the model's, with which it is "
            "evaluated and saved. Leave it out, or set `model.tokenizer`."
        )
    return model_tokenizer


def load_training_features(
    tasks: Mapping[str, Task],
    model: MultitaskModel,
    tokenizer: Any,
    *,
    max_length: int | None,
    sampling: Sampling,
    seed: int,
) -> dict[tuple[str, str], Features]:
    """Load the features of tasks in their training languages; logs what was changed to make them.

    Args:
        tasks: Name -> task.
        model: Whose embeddings are to have all tokens.
        tokenizer: A fast tokenizer.
        max_length: Tokens of a sequence; each task's own if None.
        sampling: May choose some of the rows.
        seed: Of that choice.

    Returns:
        (task, language) -> features.

    Raises:
        DataError: A task has no rows in a training language.
        ValueError: A token has no embedding, or a task cannot be trained on.
    """
    all_features = {}
    for name, task in tasks.items():
        if task.training_problem:
            raise ValueError(f"Task {name} cannot be trained on: {task.training_problem}")
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
                tokenizer,
                max_length=max_length,
                max_examples=(sampling.max_examples or {}).get(name),
                seed=seed,
            )
            model.check_token_ids(task, tokenizer, features.table)
            all_features[name, language] = features
            for note in features.notes():
                logger.warning(note)
    return all_features


def describe_rows(features: Mapping[tuple[str, str], Features], draws: Iterable[Draw]) -> str:
    """Name the training rows of some draws, by task and language.

    Args:
        features: (task, language) -> its training features.
        draws: Of one step.
    """
    affected_rows: dict[str, set[str]] = {}
    for draw in draws:
        drawn_from = features[draw.task, draw.language]
        indices = drawn_from.table.select_columns(["example"])[draw.rows]["example"]
        has_ids = "id" in drawn_from.rows.column_names
        ids = drawn_from.rows["id"] if has_ids else range(len(drawn_from.rows))
        pair = f"task {draw.task!r}, language {draw.language!r}"
        affected_rows.setdefault(pair, set()).update(str(ids[index]) for index in indices)
    return "; ".join(
        f"{pair}, training rows {', '.join(sorted(row_ids))}"
        for pair, row_ids in affected_rows.items()
    )
