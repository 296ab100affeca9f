"""The config of a multi-task model: the encoder's, and what the heads must know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from transformers import AutoConfig, PreTrainedConfig

from jiantx.fields import check_name
from jiantx.model.declarations import declaration
from jiantx.task import Task

_Entries = Mapping[str, Mapping[str, Any]]


class MultitaskConfig(PreTrainedConfig):
    """The encoder's config and the heads', so that a saved folder describes itself.

    Args:
        encoder: A config, or its values with a `model_type`.
        heads: Head name -> its config: task type, labels, sizes.
        tasks: Task name -> its head, the languages that it was trained in, their `datasets` on the
            Hub if there are any, and its `declaration`, from which a saved model makes it again.
        base_model: The encoder's name on the Hub; read off `encoder` if None.
        trainings: What the model was trained on and how, in order: a dictionary for each with
            `rows` (task -> language -> number), `steps`, `batch_size` (by task where they differ),
            `learning_rate` (None of a given optimizer), `precision` and `seed`.
        kwargs: As `transformers.PreTrainedConfig`'s.

    Raises:
        ValueError: A value is not of this form.
    """

    model_type = "jiantx"
    sub_configs = {"encoder": AutoConfig}

    def __init__(
        self,
        encoder: PreTrainedConfig | Mapping[str, Any] | None = None,
        heads: _Entries | None = None,
        tasks: _Entries | None = None,
        base_model: str | None = None,
        trainings: Sequence[Mapping[str, Any]] = (),
        **kwargs: Any,
    ) -> None:
        if isinstance(encoder, Mapping):
            encoder = _encoder_config(encoder)
        elif not isinstance(encoder, PreTrainedConfig | None):
            raise ValueError(f"The config's encoder is {encoder!r}; expected a config.")
        _check_entries("heads", heads or {})
        _check_entries("tasks", tasks or {})
        for name, head in (heads or {}).items():
            _check_head(name, head)
        for name, task in (tasks or {}).items():
            _check_task(name, task)
        # The token ids: otherwise Trainer aligns them, and says so each time. The range: heads
        # start
        # with the encoder's spread.
        for name in ("pad_token_id", "bos_token_id", "eos_token_id", "initializer_range"):
            kwargs.setdefault(name, getattr(encoder, name, None))
        # before `encoder` is set: it would forget which attention a loaded encoder's config asks
        # for
        super().__init__(**kwargs)
        self.encoder: PreTrainedConfig | None = encoder
        self.heads = {name: _current_names(head) for name, head in (heads or {}).items()}
        self.tasks = {name: dict(task) for name, task in (tasks or {}).items()}
        self.base_model = base_model or _hub_id(encoder)
        self.trainings = [dict(training) for training in trainings]


def _hub_id(encoder: PreTrainedConfig | None) -> str | None:
    """Where an encoder was loaded from, if that was the Hub."""
    name = getattr(encoder, "name_or_path", None)
    if not name or Path(name).exists():
        return None
    try:
        validate_repo_id(name)
    except HFValidationError:
        return None
    return str(name)


def task_entry(task: Task, saved: Mapping[str, Any]) -> dict[str, Any]:
    """What the config holds of a task, with the languages and datasets of a saved entry.

    Args:
        task: Any.
        saved: An entry of the same task; empty if it was not trained.
    """
    trained = {name: saved[name] for name in ("languages", "datasets") if name in saved}
    declared = {"declaration": declaration(task)}
    return {"head": task.head_name, "languages": [], **trained, **declared}


def trained_entry(task: Task, max_length: int | None) -> dict[str, Any]:
    """What the config holds of a task that is trained, in its training languages.

    Args:
        task: The task.
        max_length: Of the trainer, in the place of the task's own; so the saved model predicts from
            as many tokens as it was trained on.
    """
    if max_length is not None:
        task = task.replace(max_length=max_length)
    datasets: dict[str, None] = {}
    for language in task.train_languages:
        datasets |= dict.fromkeys(task.source.hub_ids(language))
    entry = {"languages": list(task.train_languages)}
    return task_entry(task, {**entry, "datasets": list(datasets)} if datasets else entry)


def _encoder_config(values: Mapping[str, Any]) -> PreTrainedConfig:
    model_type = values.get("model_type")
    if not isinstance(model_type, str):
        raise ValueError(
            f"The config's encoder has the model_type {model_type!r}; expected a name."
        )
    try:
        return AutoConfig.for_model(**values)
    except Exception as error:  # families refuse values with errors of many types
        raise ValueError(
            f"The config's encoder, a {model_type!r}, cannot be made: {error}"
        ) from error


def _check_entries(field: str, entries: Any) -> None:
    is_mapping = isinstance(entries, Mapping)
    if not is_mapping or not all(isinstance(entry, Mapping) for entry in entries.values()):
        raise ValueError(
            f"The config's {field} are {entries!r}; expected a dictionary of dictionaries by name."
        )


def _check_head(name: str, head: Mapping[str, Any]) -> None:
    check_name(name)
    if not isinstance(head.get("type"), str):
        raise ValueError(
            f"The config's head {name!r} is {dict(head)}; expected a task type under 'type'."
        )


def _check_task(name: str, task: Mapping[str, Any]) -> None:
    has_languages = isinstance(task.get("languages"), list | tuple)
    if not isinstance(task.get("head"), str) or not has_languages:
        raise ValueError(
            f"The config's task {name!r} is {dict(task)}; expected its 'head' and 'languages'."
        )
    declared = task.get("declaration", {"type": "", "fields": {}})  # before 0.2 there was none
    is_mapping = isinstance(declared, Mapping) and isinstance(declared.get("type"), str)
    if not is_mapping or not all(
        isinstance(declared.get(key, {}), Mapping) for key in ("fields", "code")
    ):
        raise ValueError(
            f"The declaration of the config's task {name!r} is {declared!r}; expected a 'type' and "
            "dictionaries 'fields' and 'code'."
        )


def _current_names(head: Mapping[str, Any]) -> dict[str, Any]:
    """A head's config, with the old key "first" (before 0.2) under its present name."""
    return {"cls_pooling" if key == "first" else key: value for key, value in head.items()}


AutoConfig.register("jiantx", MultitaskConfig)
