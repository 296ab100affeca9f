"""The model card of a training run: written where transformers would write its draft."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainingArguments

from jiantx.model import MultitaskModel


class CardCallback(TrainerCallback):
    """Tells the model's config of the training, and writes the model card before each push.

    Args:
        trainer: A `jiantx.Trainer`.
    """

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        self._training: dict[str, Any] = {}  # the entry of the config

    def on_train_begin(
        self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any
    ) -> None:
        trainings = without_adapters(kwargs["model"]).config.trainings
        is_resumed = state.global_step > 0 and any(item is self._training for item in trainings)
        if not is_resumed:
            self._training = self._describe(args)
            trainings.append(self._training)

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        self._training["steps"] = state.global_step

    def on_push_begin(
        self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any
    ) -> None:
        # a run that is stopped has pushed a card too
        self.trainer.create_model_card()

    def _describe(self, args: TrainingArguments) -> dict[str, Any]:
        """An entry of `MultitaskConfig.trainings`."""
        rows: dict[str, dict[str, int]] = {}
        for (task, language), features in self.trainer.features.items():
            rows.setdefault(task, {})[language] = len(features.table)
        precisions = {"bfloat16": args.bf16, "float16": args.fp16}
        accumulation = args.gradient_accumulation_steps
        return {
            "rows": rows,
            "steps": 0,
            "batch_size": args.per_device_train_batch_size * accumulation * args.world_size,
            "learning_rate": args.learning_rate,
            "precision": next((name for name, is_on in precisions.items() if is_on), "float32"),
            "seed": args.seed,
        }


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
    base.card_metadata = {**base.card_metadata, **set_fields}  # for the cards after this one
    base.write_card(folder, is_adapter=base is not model)
    if base is not model:
        model.create_or_update_model_card(folder)  # PEFT's library name and version
