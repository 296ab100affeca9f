"""Probing: which tasks the layers of a frozen encoder serve, and how well."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from transformers import TrainingArguments, set_seed
from transformers.trainer_utils import IntervalStrategy

from jiantx.evaluation import check_languages, check_task_names, evaluate, scored_languages
from jiantx.features import load_features
from jiantx.half_precision import half_precision
from jiantx.inference import tokenizer_of
from jiantx.losses import Loss
from jiantx.model import MultitaskModel
from jiantx.model.new_heads import with_new_heads
from jiantx.progress_bars import without_bars
from jiantx.registry import near_names
from jiantx.report import Report
from jiantx.sampling import Sampling
from jiantx.sources import DataError
from jiantx.stored_states import StoredStates
from jiantx.task import Task
from jiantx.tasks import Tasks, resolve_tasks
from jiantx.tasks.registry import training_tasks
from jiantx.trainer import Trainer
from jiantx.trainer_setup import evaluated_languages, load_training_features

if TYPE_CHECKING:
    import datasets


def probe(
    encoder: str | PathLike[str] | MultitaskModel,
    tasks: Tasks,
    args: TrainingArguments,
    *,
    layers: Literal["all"] | Sequence[int] = "all",
    split: str = "validation",
    languages: Collection[str] | None = None,
    losses: Mapping[str, Loss] | None = None,
    max_length: int | None = None,
    max_examples: int | None = None,
    store: Literal["float32", "float16"] | None = "float32",
    max_bytes: float = 20e9,
) -> Report:
    """Train the head of each task on a mix of the layers of a frozen encoder, and score it.

    Each head is trained alone and from the same seed, so its scores do not depend on the other
    tasks. Tasks that share a head share its training. The encoder's states are computed once and
    stored on disk. Later calls read them too, for other layers, or other tasks over the same texts.

    Args:
        encoder: Hub id or folder of an encoder or a saved jiantx model, or a model in memory, which
            is not changed.
        tasks: One task or name, or several. A task with `train_on` is trained on those tasks.
        args: For each training. A probe needs a higher learning rate than fine-tuning, about 1e-3.
            Each head and mix has its own folder in `output_dir`.
        layers: Layers to mix: "all", `range(k + 1)` for the layers up to k, or `[k]` for layer k
            alone; 0 is the embeddings.
        split: The split to score.
        languages: Languages to score, where a task has them; if None, all languages of each task.
        losses: Task that is trained -> its loss, as for `Trainer`.
        max_length: Maximum tokens of a sequence; if None, each task's `max_length`.
        max_examples: Training rows per task and language, drawn by the seed; all if None.
        store: How states are stored. "float32" gives the encoder's own numbers, "float16" takes
            half the disk space, None runs the encoder at each step.
        max_bytes: The most bytes that one call may write.

    Returns:
        The report of `evaluate`, with the tag `layers` (such as "0-12"). Beside the metrics, it has
        the weight of each layer (`layer_weight_3`) and `center_of_gravity`. They enter no mean; see
        `jiantx.report.layer_weights`, `expected_layers` and `plot_layers`.

    Raises:
        DataError: A task has no training rows, or none to score.
        ValueError: The encoder lacks one of the layers, or the states need too much room.

    >>> report = probe("xlm-roberta-base", ["udpos"], args, layers=range(5))  # doctest: +SKIP
    """
    if args.neftune_noise_alpha:
        raise ValueError(
            f"TrainingArguments(neftune_noise_alpha={args.neftune_noise_alpha}) adds noise to the "
            "embeddings, and a probe reads a frozen encoder. Leave it out."
        )
    tasks = resolve_tasks(tasks)
    check_task_names(tasks)
    was_training = isinstance(encoder, MultitaskModel) and encoder.encoder.training
    if isinstance(languages, str):
        languages = [languages]
    languages_of = {task.name: scored_languages(task, split, languages) for task in tasks}
    check_languages(tasks, split, languages, languages_of)
    if isinstance(encoder, MultitaskModel):
        model = with_new_heads(encoder, tasks, layer_mix=layers)
    else:
        model = MultitaskModel.from_pretrained(encoder, tasks, heads="new", layer_mix=layers)
    runs: list[_Run] = []
    for name in dict.fromkeys(task.head_name for task in tasks):
        scored_tasks = [task for task in tasks if task.head_name == name]
        runs.append(_Run(name, scored_tasks, layers, args, max_length, max_examples))
    _share_losses(losses or {}, runs)

    def score(scored_tasks: Sequence[Task]) -> Report:
        return evaluate(
            model,
            scored_tasks,
            split=split,
            languages=languages,
            batch_size=args.per_device_eval_batch_size,
            max_length=max_length,
            dtype=half_precision(vars(args)),
        )

    with _frozen_encoder(model, args, was_training), without_bars(args.disable_tqdm):
        tables = []
        for task in tasks:  # a bad row is found before a training
            tables += _tables(model, task, split, languages_of[task.name], max_length)
        if store is not None:
            stored = StoredStates(model, dtype=store, half=half_precision(vars(args)))
            for run in runs:
                tables += run.tables(model)
            size = args.per_device_eval_batch_size
            stored.add(model, tables, batch_size=size, max_bytes=max_bytes)
            model.stored_states = stored
        finished: list[Task] = []
        for run in runs:
            try:
                model.heads[run.head_name] = run.train(model)
            except Exception as error:
                if finished:
                    error.add_note(f"Probes that had finished:\n\n{score(finished).to_markdown()}")
                raise
            finished += run.scored_tasks
        report = score(tasks)
    return report.with_tags(layers=_describe_layers(next(iter(model.heads.values()))))


class _Run:
    """The training of one head.

    Args:
        head_name: Of the head.
        scored_tasks: That share it.
        layers: What it mixes.
        args: Of all trainings.
        max_length: Tokens of a sequence; each task's own if None.
        max_examples: Training rows per task and language; all if None.

    Raises:
        DataError: There are no training rows.
        ValueError: A task that trains the head has another one.
    """

    def __init__(
        self,
        head_name: str,
        scored_tasks: Sequence[Task],
        layers: Any,
        args: TrainingArguments,
        max_length: int | None,
        max_examples: int | None,
    ) -> None:
        self.head_name = head_name
        self.scored_tasks = scored_tasks
        self.layers = layers
        self.args = args
        self.max_length = max_length
        self.tasks: dict[str, Task] = {}  # name -> task that trains the head
        for task in scored_tasks:
            self.tasks |= {trained.name: trained for trained in training_tasks(task)}
        if not self.tasks:
            names = ", ".join(task.name for task in scored_tasks)
            raise DataError(
                f"A probe of {names} has nothing to train on: there is no training split. Name "
                'tasks that have one with task.replace(train_on=("…",)).'
            )
        unfit_tasks = [task.name for task in self.tasks.values() if task.head_name != head_name]
        if unfit_tasks:
            raise ValueError(
                f"The head {head_name!r} is to be trained on {', '.join(unfit_tasks)}, which has "
                f"another head. Give it this one: task.replace(head={head_name!r})."
            )
        self.losses: dict[str, Loss] = {}
        limits = None if max_examples is None else dict.fromkeys(self.tasks, max_examples)
        self.sampling = Sampling(max_examples=limits)

    def tables(self, model: MultitaskModel) -> list[datasets.Dataset]:
        """The features that the training reads.

        Args:
            model: That is probed.
        """
        features = load_training_features(
            self.tasks,
            model,
            tokenizer_of(model),
            max_length=self.max_length,
            sampling=self.sampling,
            seed=self.args.seed if self.args.data_seed is None else self.args.data_seed,
        )
        tables = [pair.table for pair in features.values() if _reads_as_stored(pair.task)]
        if self.args.eval_strategy == IntervalStrategy.NO and not self.args.eval_on_start:
            return tables
        for task in self.tasks.values():
            languages = evaluated_languages(task)
            tables += _tables(model, task, "validation", languages, self.max_length)
        return tables

    def train(self, model: MultitaskModel) -> Any:
        """Train a new head.

        Args:
            model: Whose encoder it reads.

        Returns:
            The head.
        """
        set_seed(self.args.seed)
        own_model = with_new_heads(model, list(self.tasks.values()), layer_mix=self.layers)
        args = copy.copy(self.args)
        folder = f"layers-{_describe_layers(own_model.heads[self.head_name])}"
        args.output_dir = str(Path(self.args.output_dir) / self.head_name / folder)
        Trainer(
            own_model,
            args,
            tasks=list(self.tasks.values()),
            sampling=self.sampling,
            losses=self.losses,
            max_length=self.max_length,
        ).train()
        return own_model.heads[self.head_name]


def _share_losses(losses: Mapping[str, Loss], runs: Sequence[_Run]) -> None:
    """Give each training the losses of its tasks.

    Raises:
        ValueError: A loss is for a task that is not trained.
    """
    trained = [name for run in runs for name in run.tasks]
    for name, loss in losses.items():
        if name not in trained:
            raise ValueError(
                f"losses names {name!r}, and the trained tasks are {trained}."
                f"{near_names(name, trained)}"
            )
        for run in runs:
            if name in run.tasks:
                run.losses[name] = loss


@contextmanager
def _frozen_encoder(
    model: MultitaskModel, args: TrainingArguments, was_training: bool
) -> Iterator[None]:
    """Freeze the encoder and move it to the device of the trainings, inside the block.

    Args:
        model: Of the encoder.
        args: Of the trainings.
        was_training: Whether the encoder is to be in training mode afterwards.
    """
    device = model.device
    trained = [parameter for parameter in model.encoder.parameters() if parameter.requires_grad]
    model.freeze_encoder().to(args.device)
    try:
        yield
    finally:
        model.encoder.to(device)
        model.encoder.train(was_training)
        for parameter in trained:
            parameter.requires_grad_(True)


def _tables(
    model: MultitaskModel,
    task: Task,
    split: str,
    languages: Sequence[str],
    max_length: int | None,
) -> list[datasets.Dataset]:
    """The features that an evaluation reads; none if they do not show the tokens of batches."""
    if not _reads_as_stored(task):
        return []
    tokenizer = tokenizer_of(model)
    return [
        load_features(task, split, language, tokenizer, max_length=max_length).table
        for language in languages
    ]


def _reads_as_stored(task: Task) -> bool:
    """Whether batches have the tokens of the features, and not others as in masked LM."""
    return task.augment_keeps_tokens or type(task).augment is Task.augment


def _describe_layers(head: Any) -> str:
    """The layers that a head mixes: "0-12", "3", "0,6,12"."""
    layers = head.needed_layers
    first, last = layers[0], layers[-1]
    if first == last:
        return str(first)
    if len(layers) == last - first + 1:
        return f"{first}-{last}"
    return ",".join(map(str, layers))
