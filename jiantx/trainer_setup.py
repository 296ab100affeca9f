"""What the trainer sets up: arguments that our batches need, and the manifests of checkpoints."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback, TrainingArguments
from transformers.utils import logging

from jiantx.checkpoints import find_problem, latest_checkpoint, rotate, write_manifest
from jiantx.features import Features
from jiantx.model import MultitaskModel
from jiantx.sampling import Draw
from jiantx.task import Task

logger = logging.get_logger("jiantx.trainer")

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
        ValueError: There are several GPUs in one process.
    """
    args = copy.copy(args) if args is not None else TrainingArguments("runs")
    if args.n_gpu > 1:
        raise ValueError(
            f"{args.n_gpu} GPUs in one process would split flat batches (DataParallel). Start one "
            f"process a GPU: torchrun --nproc-per-node {args.n_gpu} your_script.py"
        )
    # a checkpoint counts only once its manifest is written, so old ones are deleted after that,
    # by us
    kept_checkpoints = args.save_total_limit
    args.save_total_limit = None
    # "loss" is transformers' default
    if args.load_best_model_at_end and args.metric_for_best_model in (None, "loss"):
        args.metric_for_best_model = "eval_score"
        args.greater_is_better = True
    args.logging_nan_inf_filter = False  # it hides NaN, and waits for the device at every step
    # without it, the patience of early stopping starts again
    args.restore_callback_states_from_checkpoint = True
    heads = getattr(model, "heads", {}).values()
    # the heads of other tasks, and layers above a head
    has_unused_parameters = len(heads) > 1 or any(head.layer is not None for head in heads)
    if args.ddp_find_unused_parameters is None and has_unused_parameters:
        args.ddp_find_unused_parameters = True
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


def evaluated_languages(task: Task) -> list[str]:
    """The training languages of a task that have validation rows."""
    available = task.languages("validation")  # some sources go through all rows for this
    return [language for language in task.train_languages if language in available]


def check_validation_rows(args: TrainingArguments, eval_tasks: Sequence[Task]) -> None:
    """Check that `load_best_model_at_end` has something to choose by.

    Args:
        args: Of the run.
        eval_tasks: Scored during training.

    Raises:
        ValueError: It is set, and no task has validation rows in its training languages.
    """
    if not args.load_best_model_at_end or any(map(evaluated_languages, eval_tasks)):
        return
    names = [f"{task.name} in {', '.join(task.train_languages)}" for task in eval_tasks]
    raise ValueError(
        "load_best_model_at_end needs validation rows, and there are none of "
        f"{'; '.join(names) or 'any task'}. Give `eval_tasks` that have some, or leave it off."
    )


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


class ManifestCallback(TrainerCallback):
    """Writes the manifest of a checkpoint once all its files are written, then deletes old ones.

    Args:
        keep: Checkpoints that stay; all if None.
        check: Runs before a checkpoint, before an evaluation and at the end, so that no model is
            saved
            or scored after a loss that was not finite.
    """

    def __init__(self, keep: int | None, check: Callable[[], None]) -> None:
        self.keep = keep
        self.check = check

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


class CardCallback(TrainerCallback):
    """Writes the model card before each push: a run that is stopped has pushed one too.

    Args:
        write: Writes it into the output folder.
    """

    def __init__(self, write: Callable[[], None]) -> None:
        self.write = write

    def on_push_begin(
        self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any
    ) -> None:
        self.write()


def without_adapters(model: Any) -> MultitaskModel:
    """The model itself, or the one inside PEFT's adapters."""
    base: MultitaskModel = model.get_base_model() if hasattr(model, "get_base_model") else model
    return base


def write_card(
    model: Any,
    folder: str,
    language: str | list[str] | None = None,
    license: str | None = None,
    tags: str | list[str] | None = None,
    model_name: str | None = None,
    finetuned_from: str | None = None,
    tasks: Any = None,
    dataset_tags: str | list[str] | None = None,
    dataset: Any = None,
    dataset_args: Any = None,
) -> None:
    """Write the model card, with the arguments of transformers' `Trainer.create_model_card`.

    Args:
        model: Ours, perhaps with PEFT's adapters.
        folder: Of the run.
        language: Codes; the tasks' and the report's if None.
        license: Its identifier.
        tags: More tags.
        model_name: Of the scores in the metadata.
        finetuned_from: The encoder's name on the Hub, if it was loaded from a folder.
        tasks: Refused, as the model knows them.
        dataset_tags: Ids of datasets; the tasks' if None.
        dataset: Refused, as the report knows it.
        dataset_args: Likewise.

    Raises:
        TypeError: An argument is refused.
    """
    refused = {"tasks": tasks, "dataset": dataset, "dataset_args": dataset_args}
    for name, value in refused.items():
        if value is not None:
            raise TypeError(
                f"The model card takes no {name!r}: it shows the model's tasks and its report. "
                "Set trainer.model.report for other scores."
            )
    metadata = {
        "language": language,
        "license": license,
        "model_name": model_name,
        "base_model": finetuned_from,
        "datasets": dataset_tags,
        "tags": [tags] if isinstance(tags, str) else tags,
    }
    set_fields = {name: value for name, value in metadata.items() if value is not None}
    base = without_adapters(model)
    base.write_card(folder, is_adapter=base is not model, **set_fields)
    if base is not model:
        model.create_or_update_model_card(folder)  # PEFT's library name and version


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
        newest, skipped = latest_checkpoint(folder)
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
