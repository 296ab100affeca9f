"""Saving a multi-task model: as it is, on the Hub, as a plain encoder, as a plain model of one
task.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from huggingface_hub import HfApi
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from jiantx.heads import Head
from jiantx.model.embeddings import EmbeddingsMixin
from jiantx.model.export import plain_model
from jiantx.model.model_card import model_card
from jiantx.report import Report
from jiantx.task import Task

if TYPE_CHECKING:
    from peft import LoraConfig

_PUSH_OPTIONS = ("repo_id", "commit_message", "private", "token", "revision", "create_pr")


class SavingMixin(EmbeddingsMixin):
    """The ways out of a `MultitaskModel`, which defines these attributes."""

    tokenizer: PreTrainedTokenizerBase | None
    report: Report | None

    def head_of(self, task: Task, *, exact: bool = False) -> Head:
        """The head of a task.

        Args:
            task: The task.
            exact: Refuse other settings than the model's head has.
        """
        raise NotImplementedError

    def save_pretrained(self, save_directory: str | os.PathLike[str], **kwargs: Any) -> None:
        """Save encoder, heads, tokenizer and a model card; `from_pretrained` loads the same model.

        Args:
            save_directory: A folder.
            kwargs: As transformers' own. With `push_to_hub=True` (and the arguments of
                `push_to_hub`), upload the folder; the repository has its name.
        """
        push = kwargs.pop("push_to_hub", False)
        push_options = {}
        if push:
            push_options = {name: kwargs.pop(name) for name in _PUSH_OPTIONS if name in kwargs}
        self.follow_embeddings()
        super().save_pretrained(save_directory, **kwargs)
        if not self.should_save_on_this_rank(kwargs.get("is_main_process", True)):
            return
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(save_directory)
        family = self.encoder.config.model_type
        card = model_card(family, self.config.tasks, self.config.heads, self.report)
        (Path(save_directory) / "README.md").write_text(card, encoding="utf-8")
        if push:  # here, as transformers would upload before tokenizer and card are written
            repo_id = Path(save_directory).name
            self.push_to_hub(**{"repo_id": repo_id, **push_options}, **kwargs)

    def push_to_hub(  # type: ignore[override]
        self,
        repo_id: str,
        *,
        commit_message: str = "Upload a jiantx model",
        private: bool | None = None,
        token: bool | str | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        **kwargs: Any,
    ) -> str:
        """Upload what `save_pretrained` writes, with its model card (transformers' would replace
        it).

        Args:
            repo_id: Made if it does not exist.
            commit_message: Of the upload.
            private: Of a new repository.
            token: Of the Hub.
            revision: A branch.
            create_pr: Open a pull request.
            kwargs: For `save_pretrained`.

        Returns:
            The URL of the commit.
        """
        api = HfApi(token=token)
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder, **kwargs)
            commit = api.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                commit_message=commit_message,
                revision=revision,
                create_pr=create_pr,
            )
            return str(commit)

    def _check_unsharded(self) -> None:
        if self.is_distributed_loading_by_transformers:
            raise ValueError(
                "The model is sharded over ranks: save_pretrained on all of them, then load the "
                "folder in one process."
            )

    def save_encoder(self, path: str | os.PathLike[str]) -> None:
        """Save the encoder and its tokenizer as a plain transformers folder.

        Raises:
            ValueError: The model is sharded.
        """
        self._check_unsharded()
        self.follow_embeddings()
        self.encoder.save_pretrained(path)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(path)

    def export(self, task: Task, path: str | os.PathLike[str]) -> PreTrainedModel:
        """Write a plain `AutoModelFor…` folder for one task, with label names and tokenizer.

        Args:
            task: Not of retrieval.
            path: A folder.

        Returns:
            The exported model.

        Raises:
            ValueError: The encoder is not XLM-R, RoBERTa, CamemBERT or BERT, transformers has no
                class for such a head, or the model is sharded.
        """
        self._check_unsharded()
        plain = plain_model(self.encoder, self.head_of(task), task, self.dtype)
        plain.save_pretrained(path)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(path)
        return plain

    def lora_config(self, **kwargs: Any) -> LoraConfig:
        """A PEFT config that adapts the encoder and trains the heads in full.

        Args:
            kwargs: As `peft.LoraConfig`'s.
        """
        from peft import LoraConfig
        from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as TARGETS

        family = self.encoder.config.model_type
        kwargs.setdefault("target_modules", TARGETS.get(family, "all-linear"))
        # Without `modules_to_save` PEFT leaves the heads frozen and random. It wants the names
        # inside
        # the dictionary.
        return LoraConfig(**{"modules_to_save": list(self.heads), **kwargs})
