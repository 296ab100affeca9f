"""Saving a multi-task model: as a whole, on the Hub, as a plain encoder, as a plain model of one
task.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub import HfApi
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from jiantx.heads import Head
from jiantx.model.declarations import saved_task
from jiantx.model.embeddings import EmbeddingsMixin
from jiantx.model.export import plain_model, plain_tokenizer
from jiantx.model.model_card import check_metadata, model_card
from jiantx.model.sentence_folder import save_sentence_transformer
from jiantx.progress_bars import without_weight_bars
from jiantx.report import Report
from jiantx.task import Task
from jiantx.task_types import Retrieval
from jiantx.tasks import TASKS, TaskOrName, resolve_task

if TYPE_CHECKING:
    from peft import LoraConfig

_PUSH_OPTIONS = ("repo_id", "commit_message", "private", "token", "revision", "create_pr")
_SAMPLE_TEXT = "Retrieval ranks 20 candidates of a query by the cosine of their vectors."


class SavingMixin(EmbeddingsMixin):
    """The ways out of a `MultitaskModel`, which defines these attributes."""

    _card_metadata: Mapping[str, Any] = MappingProxyType({})
    tokenizer: PreTrainedTokenizerBase | None
    report: Report | None
    _padded_attention: str

    def head_of(self, task: TaskOrName, *, exact: bool = False) -> Head:
        """The head of a task.

        Args:
            task: The task or its name.
            exact: Refuse other settings than the model's head has.
        """
        raise NotImplementedError

    @property
    def card_metadata(self) -> Mapping[str, Any]:
        """More metadata of the model card, such as {"license": "mit"}.

        Raises:
            TypeError: A field that is set looks like a misspelt field of the Hub's metadata.
        """
        return self._card_metadata

    @card_metadata.setter
    def card_metadata(self, metadata: Mapping[str, Any]) -> None:
        check_metadata(metadata)
        self._card_metadata = metadata

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
        self._check_no_adapters()
        self.follow_embeddings()
        with without_weight_bars():
            super().save_pretrained(save_directory, **kwargs)
        if not self.should_save_on_this_rank(kwargs.get("is_main_process", True)):
            return
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(save_directory)
        self.write_card(save_directory)
        if push:  # here, as transformers would upload before tokenizer and card are written
            repo_id = Path(save_directory).name
            self.push_to_hub(**{"repo_id": repo_id, **push_options}, **kwargs)

    def write_card(
        self, save_directory: str | os.PathLike[str], *, repo_id: str | None = None, **kwargs: Any
    ) -> None:
        """Write the model card into a folder.

        Args:
            save_directory: The folder.
            repo_id: On the Hub, for the card's code; the folder if None.
            kwargs: More metadata, as of `huggingface_hub.ModelCardData`. It overrides
                `card_metadata`.
        """
        config = self.config
        check_metadata(kwargs)
        metadata = {"base_model": config.base_model, **self.card_metadata, **kwargs}
        card = model_card(
            self.encoder.config.model_type,
            config.tasks,
            config.heads,
            self.report,
            path=repo_id or save_directory,
            trainings=config.trainings,
            **metadata,
        )
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "README.md").write_text(card, encoding="utf-8")

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
            self.write_card(folder, repo_id=repo_id)
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

    def _check_no_adapters(self) -> None:
        """Refuse to write weights under the names that PEFT gives them: nobody could load them."""
        module_names = {name for path, _ in self.named_modules() for name in path.split(".")}
        if module_names & {"base_layer", "modules_to_save"}:
            raise ValueError(
                "The model holds PEFT's adapters. Save those with the PeftModel's save_pretrained, "
                "or merge them into the weights first: model = peft_model.merge_and_unload()."
            )

    def plain_encoder(self) -> PreTrainedModel:
        """Copy the encoder, as one of transformers that reads padded batches.

        Raises:
            ValueError: The model is sharded, or holds adapters.
        """
        self._check_unsharded()
        self._check_no_adapters()
        encoder = copy.deepcopy(self.encoder)
        encoder.set_attn_implementation(self._padded_attention)
        return encoder.eval()

    def save_encoder(self, path: str | os.PathLike[str]) -> None:
        """Save the encoder and its tokenizer as a plain transformers folder.

        Raises:
            ValueError: The model is sharded, or holds adapters.
        """
        self._check_unsharded()
        self._check_no_adapters()
        self.follow_embeddings()
        self.encoder.save_pretrained(path)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(path)

    def export(
        self,
        task: TaskOrName,
        path: str | os.PathLike[str],
        *,
        prompts: Mapping[str, str] | None = None,
    ) -> PreTrainedModel:
        """Write a folder that predicts one task as jiantx does, without jiantx.

        It is an `AutoModelFor…` with label names, or, for retrieval, a SentenceTransformer whose
        encoder ends at the head's layer. The tokenizer cuts texts at the task's `max_length`, where
        the caller asks for truncation.

        Args:
            task: A task, or the name of a registered task or of a task of this model. XLM-R,
                RoBERTa, CamemBERT and BERT can export all types except span classification. Every
                other encoder without a decoder can export retrieval only.
            path: A folder.
            prompts: For retrieval, the texts that SentenceTransformer puts before each "query" and
                each "document". None uses the task's prefixes.

        Returns:
            The exported model; for retrieval, its encoder.

        Raises:
            ValueError: transformers has no class that computes the same, the head reads a mix of
                layers, or the model is sharded or holds adapters.
        """
        task = self._own_task(task)
        if isinstance(task, Retrieval):
            self._check_exportable(task)
            if self.tokenizer is None:
                raise ValueError("The model has no tokenizer, which sentence-transformers needs.")
            tokenizer = plain_tokenizer(self.tokenizer, task, self.encoder.config)
            return self._export_retrieval(task, path, tokenizer, prompts)
        if prompts is not None:
            raise ValueError(f"Task {task.name} is no retrieval task: it takes no `prompts`.")
        plain, task_tokenizer = self.to_transformers(task)
        plain.save_pretrained(path)
        if task_tokenizer is not None:
            task_tokenizer.save_pretrained(path)
        return plain

    def to_transformers(
        self, task: TaskOrName
    ) -> tuple[PreTrainedModel, PreTrainedTokenizerBase | None]:
        """Make what `export` writes, without a folder: an `AutoModelFor…` and its tokenizer.

        Args:
            task: The task or its name, of any type but retrieval.

        Returns:
            The model, with weights of its own, and a tokenizer that cuts texts as the task does if
            the caller asks for truncation; None if this model has no tokenizer.

        Raises:
            ValueError: As of `export`.
        """
        task = self._own_task(task)
        head = self._check_exportable(task)
        tokenizer = self.tokenizer and plain_tokenizer(self.tokenizer, task, self.encoder.config)
        return plain_model(self.encoder, head, task, self.dtype), tokenizer

    def _own_task(self, task: TaskOrName) -> Task:
        """The task, or that of a name: a registered one, else one that this model declares."""
        if isinstance(task, str) and task not in TASKS and task in self.config.tasks:
            entry = self.config.tasks[task]
            return saved_task(task, entry, self.config.heads[entry["head"]])
        return resolve_task(task)

    def _check_exportable(self, task: Task) -> Head:
        """The head of a task, if another class can compute the same."""
        self._check_unsharded()
        self._check_no_adapters()
        head = self.head_of(task)
        if head.layer_mix is not None:
            raise ValueError(
                f"The head of task {task.name} reads a mix of layers, which no exported model can. "
                "Save it with save_pretrained."
            )
        return head

    @torch.no_grad()
    def _export_retrieval(
        self,
        task: Retrieval,
        path: str | os.PathLike[str],
        tokenizer: PreTrainedTokenizerBase,
        prompts: Mapping[str, str] | None,
    ) -> PreTrainedModel:
        head = self.head_of(task)
        sample = tokenizer(_SAMPLE_TEXT, return_tensors="pt", truncation=True)["input_ids"][0]
        sample = sample.to(self.device)
        length = len(sample)
        was_training = self.training
        (expected,) = self.eval().states(
            sample,
            torch.tensor([length], device=self.device),
            torch.arange(length, device=self.device),
            length,
            layers=[head.layer],
        )
        self.train(was_training)
        return save_sentence_transformer(
            path,
            task,
            self.encoder,
            head,
            tokenizer,
            sample=sample,
            expected=expected,
            prompts=prompts,
        )

    def lora_config(self, **kwargs: Any) -> LoraConfig:
        """A PEFT config that adapts the encoder and trains the heads in full.

        Args:
            kwargs: As `peft.LoraConfig`'s.
        """
        from peft import LoraConfig
        from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as TARGETS

        family = self.encoder.config.model_type
        kwargs.setdefault("target_modules", TARGETS.get(family, "all-linear"))
        # Without `modules_to_save` PEFT leaves the heads frozen and random. It takes each module
        # whose name ends so: without "heads.", a head "query" would mean the encoder's layers too.
        names = [f"heads.{name}" for name in self.heads]
        return LoraConfig(**{"modules_to_save": names, **kwargs})
