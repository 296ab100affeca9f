"""The model card of a training run: written where transformers would write its draft."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainingArguments
from transformers.utils import CONFIG_NAME, logging

from jiantx.model import MultitaskModel
from jiantx.sampling import Sampler

logger = logging.get_logger("jiantx.trainer")


class CardCallback(TrainerCallback):
    """Tells the model's config of the training, and writes the model card before each push.

    Args:
        trainer: A `jiantx.Trainer`.
    """

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        self._training: dict[str, Any] = {}  # the entry of the config
        self._has_own_optimizer = False

    def on_init_end(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        self._has_own_optimizer = self.trainer.optimizer is not None  # the user's

    def on_train_begin(
        self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any
    ) -> None:
        config = without_adapters(kwargs["model"]).config
        # a run that failed before its first step trained nothing
        config.trainings = [training for training in config.trainings if training["steps"]]
        if state.global_step and config.trainings:  # resumed: the checkpoint's last training
            self._training = config.trainings[-1]
        else:
            self._training = self._describe(args)
            config.trainings.append(self._training)
        _warn_of_undrawn_tasks(self.trainer._sampler, state.max_steps)

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        self._training["steps"] = state.global_step
        without_adapters(kwargs["model"]).report = None  # scores of the weights before the step

    def on_train_end(
        self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any
    ) -> None:
        if args.load_best_model_at_end and state.best_global_step:
            self._training["steps"] = state.best_global_step

    def on_push_begin(
        self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any
    ) -> None:
        # a run that is stopped has pushed a card too
        self.trainer.create_model_card()

    def _describe(self, args: TrainingArguments) -> dict[str, Any]:
        """An entry of `MultitaskConfig.trainings`."""
        rows: dict[str, dict[str, int]] = {}
        for (task, language), features in self.trainer.features.items():
            rows.setdefault(task, {})[language] = len(features.rows)
        sampler = self.trainer._sampler
        sizes = {task: sampler.examples_per_step(task) for task in rows}
        precisions = {"bfloat16": args.bf16, "float16": args.fp16}
        dtype = str(self.trainer.model.dtype).removeprefix("torch.")
        return {
            "rows": rows,
            "steps": 0,
            "batch_size": sizes if len(set(sizes.values())) > 1 else next(iter(sizes.values())),
            "learning_rate": None if self._has_own_optimizer else args.learning_rate,
            "precision": next((name for name, is_on in precisions.items() if is_on), dtype),
            "seed": args.seed,
        }


def undrawn_tasks(sampler: Sampler, steps: int) -> list[str]:
    """The tasks that none of the first steps trains.

    Args:
        sampler: Of the training.
        steps: Of the optimiser.
    """
    undrawn = dict.fromkeys(sampler.sizes)
    for step in range(steps):
        for draw in range(sampler.sampling.mix):
            undrawn.pop(sampler.task_of(step, draw)[0], None)
        if not undrawn:
            break
    return list(undrawn)


def _warn_of_undrawn_tasks(sampler: Sampler, steps: int) -> None:
    """Warn of tasks that are trained in no step, unless their weight is 0."""
    left_out = {name for name, weight in (sampler.sampling.weights or {}).items() if not weight}
    names = [name for name in undrawn_tasks(sampler, steps) if name not in left_out]
    if names:
        counts = [f"{name} {sum(rows.values()):,}" for name, rows in sampler.sizes.items()]
        logger.warning(
            f"None of the {steps:,} steps trains {', '.join(names)}: tasks are drawn by their rows "
            f"({', '.join(counts)}). Take more steps, or give small tasks a larger share: "
            "Sampling(exponent=0.5), Sampling(weights=…)."
        )


def take_trainings(model: Any, checkpoint: str | Path) -> None:
    """Let a model's config have the trainings of a checkpoint, whose weights it is to have.

    Args:
        model: A `MultitaskModel`, perhaps with PEFT's adapters, whose checkpoints have no config.
        checkpoint: Its folder.
    """
    path = Path(checkpoint, CONFIG_NAME)
    if path.exists():
        saved = json.loads(path.read_text(encoding="utf-8"))
        without_adapters(model).config.trainings = saved.get("trainings", [])


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
        model: A `MultitaskModel`, perhaps with PEFT's adapters.
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
    base.card_metadata = {**base.card_metadata, **set_fields}  # for the cards after this one
    base.write_card(folder, is_adapter=base is not model)
    if base is not model:
        model.create_or_update_model_card(folder)  # PEFT's library name and version
