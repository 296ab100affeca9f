"""The model card of a training run: written where transformers would write its draft."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainingArguments

from jiantx.model import MultitaskModel


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
    base.card_metadata = {**base.card_metadata, **set_fields}  # for the cards after this one
    base.write_card(folder, is_adapter=base is not model)
    if base is not model:
        model.create_or_update_model_card(folder)  # PEFT's library name and version
