"""One encoder, a dictionary of heads."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from huggingface_hub import HfApi
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DistributedConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from jiantx.attention import NAME as FLAT
from jiantx.attention import SequenceLayout, encoder_class, layers_of, probe_flat_attention
from jiantx.heads import (
    EXPORT_KEYS,
    HEADS,
    MASKED_LM_KEYS,
    Head,
    HeadOutput,
    pad_sequences,
    sequence_index,
)
from jiantx.model.model_card import model_card
from jiantx.report import Report
from jiantx.sources import DataError
from jiantx.task import Task, check_name

if TYPE_CHECKING:
    from peft import LoraConfig

logger = logging.get_logger("jiantx.model")

_EXPORTS = {
    "classification": AutoModelForSequenceClassification,
    "regression": AutoModelForSequenceClassification,
    "token_classification": AutoModelForTokenClassification,
    "question_answering": AutoModelForQuestionAnswering,
    "multiple_choice": AutoModelForMultipleChoice,
    "masked_lm": AutoModelForMaskedLM,
}


class MultitaskConfig(PreTrainedConfig):
    """The encoder's config and the heads' (name -> type, labels, sizes), so that a folder says all of itself.

    tasks: name -> its head and the languages that it was trained in, for the model card.
    """

    model_type = "jiantx"
    sub_configs = {"encoder": AutoConfig}

    def __init__(
        self,
        encoder: PreTrainedConfig | Mapping[str, Any] | None = None,
        heads: Mapping[str, Mapping[str, Any]] | None = None,
        tasks: Mapping[str, Mapping[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(encoder, Mapping):
            if not isinstance(kind := encoder.get("model_type"), str):
                raise ValueError(
                    f"The config's encoder has the model_type {kind!r}; expected a name."
                )
            try:
                encoder = AutoConfig.for_model(**encoder)
            except Exception as error:  # a value that a family refuses is of whatever type it says
                raise ValueError(
                    f"The config's encoder, a {kind!r}, cannot be made: {error}"
                ) from error
        elif not isinstance(encoder, PreTrainedConfig | None):
            raise ValueError(f"The config's encoder is {encoder!r}; expected a config.")
        for part, values in {"heads": heads or {}, "tasks": tasks or {}}.items():
            if not isinstance(values, Mapping) or not all(
                isinstance(v, Mapping) for v in values.values()
            ):
                raise ValueError(
                    f"The config's {part} are {values!r}; expected a dictionary of dictionaries by name."
                )
        for name, head in (heads or {}).items():
            check_name(name)
            if not isinstance(head.get("type"), str):
                raise ValueError(
                    f"The config's head {name!r} is {dict(head)}; expected a task type under 'type'."
                )
        for name, task in (tasks or {}).items():
            if not isinstance(task.get("head"), str) or not isinstance(
                task.get("languages"), list | tuple
            ):
                raise ValueError(
                    f"The config's task {name!r} is {dict(task)}; expected its 'head' and 'languages'."
                )
        # tokens: or Trainer aligns them, and says so each time; the range: heads start with the encoder's spread
        for name in ("pad_token_id", "bos_token_id", "eos_token_id", "initializer_range"):
            kwargs.setdefault(name, getattr(encoder, name, None))
        super().__init__(
            **kwargs
        )  # first: it would forget which attention a loaded encoder's config asks for
        self.encoder = encoder
        self.heads = {name: dict(head) for name, head in (heads or {}).items()}
        self.tasks = {name: dict(task) for name, task in (tasks or {}).items()}


AutoConfig.register("jiantx", MultitaskConfig)


class MultitaskModel(PreTrainedModel):
    """A shared encoder with one head for each head name of its tasks. Make it with `from_pretrained`.

    >>> model = MultitaskModel.from_pretrained("xlm-roberta-base", [nli, squad])  # doctest: +SKIP
    """

    config_class = MultitaskConfig
    base_model_prefix = "encoder"
    main_input_name = "input_ids"
    accepts_loss_kwargs = True
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_attention_backend = True

    def __init__(self, config: MultitaskConfig, encoder: PreTrainedModel | None = None) -> None:
        super().__init__(config)
        if encoder is None:
            kind = encoder_class(config.encoder)
            encoder = kind._from_config(config.encoder, **without_pooler(kind))
        self.encoder = encoder
        self.heads: Any = (
            nn.ModuleDict(  # name -> Head; of a ModuleDict mypy knows no more than Module
                {
                    name: _head_of(self.encoder.config, name, head)
                    for name, head in config.heads.items()
                }
            )
        )
        self.tokenizer: PreTrainedTokenizerBase | None = None
        self._offset: int | None = None  # first position of a flat sequence; None: run padded
        self.report: Report | None = (
            None  # the scores that the model card shows; the trainer's, or yours
        )
        self.post_init()

    # --- loading and saving ---

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        path: str | os.PathLike[str],
        tasks: Sequence[Task] | None = None,
        *,
        heads: Literal["keep", "new"] = "keep",
        padding_free: bool | Literal["auto"] = "auto",
        **kwargs: Any,
    ) -> Self:
        """Load a plain encoder (Hub id or folder) or a saved jiantx model, with heads for `tasks`.

        heads: "keep" takes the saved heads that fit the tasks, "new" only the encoder. Without `tasks`, the saved heads
        as they are. padding_free: "auto" tests the encoder; False pads (and drops attention probabilities out as the
        encoder's config says); True is an error where the test fails. kwargs go to transformers (dtype, revision, …);
        weights are float32 unless a dtype is given. distributed_config: `transformers.DistributedConfig(fsdp_size=…)`
        shards the whole model over the ranks. ValueError if encoder weights are missing.
        """
        dtype = kwargs.pop("dtype", kwargs.pop("torch_dtype", torch.float32))
        distributed = kwargs.pop("distributed_config", None)
        _check_folder(path, kwargs.get("subfolder"))
        hub: dict[str, Any] = {
            k: kwargs[k]
            for k in ("revision", "cache_dir", "token", "local_files_only", "subfolder")
            if k in kwargs
        }
        # False and not None: transformers would ask at the terminal whether to run what the folder holds
        hub["trust_remote_code"] = kwargs.pop("trust_remote_code", False)
        config = AutoConfig.from_pretrained(path, **hub)
        _check_config(path, config)
        wanted = _head_configs(tasks) if tasks is not None else None
        if isinstance(config, MultitaskConfig):
            with _quietly(), _reading(path):
                model, info = super().from_pretrained(
                    path, config=config, dtype=dtype, **_TELLING, **kwargs
                )
            _check_weights(path, config, model, info)
            if wanted is not None:
                model._set_heads(wanted, keep=heads == "keep")
        else:
            if wanted is None:
                raise ValueError(
                    f"{os.fspath(path)} is a plain encoder: give the tasks that it is to learn."
                )
            with_mlm = any(head["type"] == "masked_lm" for head in wanted.values())
            encoder, mlm = _load_encoder(path, config, dtype, with_mlm, kwargs)
            model = cls(MultitaskConfig(encoder=encoder.config), encoder=encoder)
            model._set_heads(wanted, keep=False)
            for head in model.heads.values():
                if mlm and head.config["type"] == "masked_lm":
                    head.load_state_dict(
                        {**head.state_dict(), **mlm}
                    )  # some checkpoints have no bias
                    logger.info("The masked-LM head is the checkpoint's own.")
        if tasks is not None:
            trained = {
                name: task["languages"]
                for name, task in model.config.tasks.items()
                if heads == "keep"
            }
            model.config.tasks = {
                task.name: {"head": task.head_name, "languages": trained.get(task.name, [])}
                for task in tasks
            }
        model._set_tokenizer(_load_tokenizer(path, hub))
        model._choose_path(padding_free)
        found: Self = model.eval()
        found._shard(distributed)
        return found

    def _shard(self, how: DistributedConfig | None) -> None:
        """Spread the parameters over the ranks (FSDP2): layers one by one, heads and embeddings together."""
        how, _, mesh = self.prepare_distribute_model(how)
        if mesh is None:
            return
        whole = self.state_dict()
        names = {module: name for name, module in self.named_modules()}
        layers = layers_of(self.encoder)
        self.fsdp_plan = (
            {f"{names[layers]}.*": "free_full_weight"}
            if layers
            else {"encoder": "keep_full_weight"}
        )
        self.maybe_distribute_model(self, how, mesh)
        # rank 0's values, as with DDP: a new head may be another on each rank
        set_model_state_dict(
            self, whole, options=StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
        )

    def _set_heads(self, wanted: Mapping[str, dict[str, Any]], *, keep: bool) -> None:
        """Keep the heads that fit, make the others new."""
        kept = [name for name in wanted if keep and name in self.heads]
        for name in kept:
            _check_fits(name, self.heads[name], wanted[name])
        new = {n: _head_of(self.encoder.config, n, h) for n, h in wanted.items() if n not in kept}
        for module in new.values():
            module.apply(self._init_weights).to(device=self.device, dtype=self.dtype)
        dropped = [name for name in self.heads if name not in wanted]
        self.heads = nn.ModuleDict({n: new[n] if n in new else self.heads[n] for n in wanted})
        self.config.heads = dict(wanted)
        said = f"Heads kept: {', '.join(kept) or 'none'}; new: {', '.join(new) or 'none'}"
        if keep and (new or dropped):  # of a saved model, that may be a misspelt name
            logger.warning(f"{said}; dropped: {', '.join(dropped) or 'none'}.")
        else:
            logger.info(f"{said}.")

    def _set_tokenizer(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Without a first token (T5's), heads pool by the mean; without a limit of length, it learns the encoder's."""
        self.tokenizer, config = tokenizer, self.encoder.config
        if tokenizer.cls_token_id is None:
            for name, head in self.heads.items():
                head.config["cls_pooling"] = self.config.heads[name]["cls_pooling"] = "mean"
        most = getattr(config, "max_position_embeddings", None)
        if most and tokenizer.model_max_length > most:
            first = probe_flat_attention(config)
            tokenizer.model_max_length = most - (
                (config.pad_token_id or 0) + 1 if first is None else first
            )

    def _choose_path(self, padding_free: bool | Literal["auto"]) -> None:
        self._offset = probe_flat_attention(self.encoder.config) if padding_free else None
        if padding_free is True and self._offset is None:
            raise ValueError(
                f"{type(self.encoder).__name__} cannot run without padding: its attention is not transformers' "
                'AttentionInterface. Use padding_free="auto".'
            )
        if self._offset is not None:
            self.encoder.set_attn_implementation(FLAT)
            names = ("attention_probs_dropout_prob", "attention_dropout")
            if any(getattr(self.encoder.config, name, 0.0) for name in names):
                logger.warning_once(
                    "jiantx runs this encoder without padding, and does not drop out attention probabilities "
                    "(padding_free=False does)."
                )
        elif padding_free == "auto":
            logger.warning_once(
                f"{type(self.encoder).__name__} does not run without padding (its states differ or it ignores the "
                "setting), so its batches are padded."
            )

    def _check_whole(self) -> None:
        if self.is_distributed_loading_by_transformers:
            raise ValueError(
                "The model is sharded over ranks: save_pretrained on all of them, then load the folder in one process."
            )

    def head_of(self, task: Task) -> Head:
        """The head of a task; LookupError if the model has none, ValueError if it has other labels or settings."""
        if task.head_name not in self.heads:
            raise LookupError(
                f"The model has no head {task.head_name!r} for task {task.name!r}. It has: {', '.join(self.heads)}. "
                "Name the task in MultitaskModel.from_pretrained(path, tasks)."
            )
        found: Head = self.heads[task.head_name]
        _check_fits(task.head_name, found, task.head_config())
        return found

    @property
    def padding_free(self) -> bool:
        """Whether batches run flat."""
        return self._offset is not None

    def save_pretrained(self, save_directory: str | os.PathLike[str], **kwargs: Any) -> None:
        """Save encoder, heads, tokenizer and a model card; `from_pretrained(folder)` gives the same model.

        With `push_to_hub=True` (and what `push_to_hub` takes), upload them; the repository has the folder's name.
        """
        names = ("repo_id", "commit_message", "private", "token", "revision", "create_pr")
        push = kwargs.pop("push_to_hub", False) and {
            name: kwargs.pop(name) for name in names if name in kwargs
        }
        super().save_pretrained(save_directory, **kwargs)
        if self.should_save_on_this_rank(kwargs.get("is_main_process", True)):
            if self.tokenizer is not None:
                self.tokenizer.save_pretrained(save_directory)
            card = model_card(
                self.encoder.config.model_type, self.config.tasks, self.config.heads, self.report
            )
            (Path(save_directory) / "README.md").write_text(card, encoding="utf-8")
            if push is not False:  # transformers would upload before these are there
                self.push_to_hub(**{"repo_id": Path(save_directory).name, **push}, **kwargs)

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
        """Upload what `save_pretrained` writes, the model card included (transformers' own would replace it)."""
        api = HfApi(token=token)
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder, **kwargs)
            how: Any = {
                "commit_message": commit_message,
                "revision": revision,
                "create_pr": create_pr,
            }
            return str(api.upload_folder(repo_id=repo_id, folder_path=folder, **how))

    def save_encoder(self, path: str | os.PathLike[str]) -> None:
        """Save the encoder and its tokenizer as a plain transformers folder; ValueError for a sharded model."""
        self._check_whole()
        self.encoder.save_pretrained(path)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(path)

    def export(self, task: Task, path: str | os.PathLike[str]) -> PreTrainedModel:
        """Write a plain `AutoModelFor…` folder for one task, with label names and tokenizer, and return the model.

        For XLM-R, RoBERTa, CamemBERT and BERT; ValueError for other families, for retrieval and for a sharded model.
        """
        self._check_whole()
        kind, family = task.task_type, self.encoder.config.model_type
        keys = EXPORT_KEYS.get(family, {}).get(kind)
        if keys is None:
            raise ValueError(
                f"transformers has no class that a {kind} head of {family!r} fits; use save_encoder()."
            )
        config = AutoConfig.for_model(**self.encoder.config.to_dict())
        head: Any = self.head_of(task)
        if kind in ("classification", "token_classification"):
            config.id2label = dict(enumerate(task.label_names))
            config.label2id = {label: i for i, label in enumerate(task.label_names)}
        elif kind == "regression":
            config.num_labels, config.problem_type = 1, "regression"
        elif kind == "question_answering":
            config.num_labels = 2
        if head.config.get("multi_label"):
            config.problem_type = "multi_label_classification"
        plain = _EXPORTS[kind].from_config(config, dtype=self.dtype)
        base = plain.base_model_prefix
        state = {f"{base}.{k}": v for k, v in self.encoder.state_dict().items()}
        for name, values in head.state_dict().items():
            part = name.split(".")[0]
            state[name.replace(part, keys[part].format(base=base), 1)] = values
        loaded = plain.load_state_dict(state, strict=False)
        plain.tie_weights()
        tied = {k for k in loaded.missing_keys if k.endswith(("decoder.weight", "decoder.bias"))}
        if set(loaded.missing_keys) - tied or loaded.unexpected_keys:
            raise ValueError(
                f"{type(plain).__name__} has other parameters than expected: {loaded}."
            )
        plain.save_pretrained(path)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(path)
        return plain.eval()

    def lora_config(self, **kwargs: Any) -> LoraConfig:
        """A PEFT config that adapts the encoder and trains the heads in full; kwargs as `peft.LoraConfig`'s."""
        from peft import LoraConfig
        from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as TARGETS

        kwargs.setdefault(
            "target_modules", TARGETS.get(self.encoder.config.model_type, "all-linear")
        )
        # without `modules_to_save` PEFT leaves the heads frozen and random; it wants the names inside the dictionary
        return LoraConfig(**{"modules_to_save": list(self.heads), **kwargs})

    # --- running ---

    def compile_layers(self, **kwargs: Any) -> None:
        """`torch.compile` the encoder's layers; kwargs as its own (backend, mode). `torch_compile=True` does it too.

        Layer by layer, one graph serves all layers, every head, and batches of any size. Of the whole model each head
        would have its own.
        """
        for layer in layers_of(self.encoder) or [self.encoder]:
            layer.compile(dynamic=True, **kwargs)

    def forward(
        self,
        head: str | None = None,
        layers: Sequence[int] | None = None,
        sub_batches: Sequence[dict[str, Any]] | None = None,
        **batch: Any,
    ) -> HeadOutput:
        """Run a flat batch (see `batching.collate`) through the encoder and one head. The only entrance.

        layers: read these hidden states one after the other, and name the outputs `<name>@<layer>`; None: the head's.
        sub_batches: of a mixed batch (see `batching.merge_batches`), each for its own head.
        """
        if sub_batches is not None:
            return self._mixed(sub_batches, batch)
        module = self.heads[head]
        states = self.states(**batch, layers=[module.layer] if layers is None else layers)
        if layers is None:
            return self._head(module, states[0], batch)
        each = {
            layer: self._head(module, some, batch).outputs
            for layer, some in zip(layers, states, strict=True)
        }
        return HeadOutput(
            outputs={
                f"{name}@{layer}": x for layer, o in each.items() for name, x in (o or {}).items()
            }
        )

    def _mixed(self, sub_batches: Sequence[dict[str, Any]], batch: dict[str, Any]) -> HeadOutput:
        modules = [self.heads[part["head"]] for part in sub_batches]
        layers = list(dict.fromkeys(module.layer for module in modules))
        states = dict(zip(layers, self.states(**batch, layers=layers), strict=True))
        sizes = [part["tokens"] for part in sub_batches]
        found = [
            self._head(module, states[module.layer].split(sizes)[place], part)
            for place, (module, part) in enumerate(zip(modules, sub_batches, strict=True))
        ]
        losses, items = (
            [getattr(output, name) for output in found] for name in ("loss", "num_items")
        )
        return HeadOutput(
            loss=torch.stack(losses).sum(), num_items=torch.stack(items).sum(), sub_outputs=found
        )

    def _head(self, module: nn.Module, states: Tensor, batch: Mapping[str, Any]) -> HeadOutput:
        lengths = batch["lengths"]
        more = {
            "starts": lengths.cumsum(0) - lengths,
            "embedding": self.get_input_embeddings().weight,
        }
        found: HeadOutput = module(states, {**batch, **more})
        return found

    def states(
        self,
        input_ids: Tensor,
        lengths: Tensor,
        position_ids: Tensor,
        longest: int,
        token_type_ids: Tensor | None = None,
        *,
        layers: Sequence[int | None] = (None,),
        **for_heads: Any,
    ) -> list[Tensor]:
        """(total tokens, hidden) states of a flat batch after so many layers each (0: embeddings; None: the last)."""
        tokens = {"input_ids": input_ids}
        if token_type_ids is not None and getattr(self.encoder.config, "type_vocab_size", 1) > 1:
            tokens["token_type_ids"] = token_type_ids
        if self._offset is not None:
            flat = {name: values[None] for name, values in tokens.items()}
            flat["position_ids"] = (position_ids + self._offset)[None]
            return [
                states[0]
                for states in self._run(layers, sequences=SequenceLayout(lengths, longest), **flat)
            ]
        pads = {"input_ids": self.encoder.config.pad_token_id or 0}
        padded = {
            name: pad_sequences(values, lengths, longest, pads.get(name, 0))
            for name, values in tokens.items()
        }
        padded["attention_mask"] = pad_sequences(torch.ones_like(input_ids), lengths, longest, 0)
        owner = sequence_index(lengths, len(input_ids))
        return [states[owner, position_ids] for states in self._run(layers, **padded)]

    def _run(self, layers: Sequence[int | None], **inputs: Any) -> list[Tensor]:
        """The encoder's states after so many layers each; no layer above the highest is run."""
        depth = self.encoder.config.num_hidden_layers
        wanted = [depth if layer is None else layer for layer in layers]
        if wrong := [layer for layer in wanted if not 0 <= layer <= depth]:
            raise ValueError(
                f"Layer {wrong[0]} of an encoder with {depth}: choose 0 (embeddings) to {depth}."
            )
        inner = set(wanted) - {depth}
        modules = layers_of(self.encoder)
        if modules is None and inner:
            hidden = self.encoder(**inputs, output_hidden_states=True).hidden_states
            return [hidden[layer] for layer in wanted]
        found: dict[int, Tensor] = {}
        with _read_before(
            {layer: modules[layer] for layer in inner} if modules else {},
            found,
            depth not in wanted,
        ):
            found[depth] = self.encoder(**inputs).last_hidden_state
        return [found[layer] for layer in wanted]


class _Stopped(Exception):
    """Raised where the encoder need not run on."""


@contextmanager
def _read_before(
    layers: Mapping[int, nn.Module], found: dict[int, Tensor], stop: bool
) -> Iterator[None]:
    """Keep the states that these layers read, by their numbers; `stop` ends the run at the highest of them."""

    def keep(number: int, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        found[number] = args[0] if args else kwargs["hidden_states"]
        if stop and number == max(layers):
            raise _Stopped

    # before FSDP's own hooks: a layer that is not run need not be gathered
    hook: Any = {"with_kwargs": True, "prepend": True}
    handles = [
        layer.register_forward_pre_hook(partial(keep, number), **hook)
        for number, layer in layers.items()
    ]
    try:
        with suppress(_Stopped):
            yield
    finally:
        for handle in handles:
            handle.remove()


def _head_of(encoder: PreTrainedConfig, name: str, config: Mapping[str, Any]) -> Head:
    try:
        return HEADS[config["type"]](encoder, config)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"The head {name!r} cannot be made from its config, {dict(config)}: {error!r}."
        ) from error


def _head_configs(tasks: Sequence[Task]) -> dict[str, dict[str, Any]]:
    """Head name -> config; ValueError where tasks that share a head disagree."""
    first: dict[str, Task] = {}
    for task in tasks:
        other = first.setdefault(task.head_name, task)
        if other.head_config() != task.head_config():
            raise ValueError(
                f"Tasks {other.name!r} and {task.name!r} share the head {task.head_name!r}, but need different ones: "
                f"{other.head_config()} and {task.head_config()}. Give one of them another `head` name."
            )
    # sorted: an optimizer's state follows this order, and so does a saved config
    return {name: first[name].head_config() for name in sorted(first)}


def without_pooler(kind: type[PreTrainedModel]) -> dict[str, bool]:
    """Heads have their own; a pooler that nobody reads would only cost memory and confuse DDP."""
    return (
        {"add_pooling_layer": False}
        if "add_pooling_layer" in inspect.signature(kind.__init__).parameters
        else {}
    )


def _check_fits(name: str, head: Any, wanted: Mapping[str, Any]) -> None:
    """ValueError where a task means another head than the model's: its labels would be taken for one another."""
    saved = {k: v for k, v in head.config.items() if k != "cls_pooling"}
    if saved != wanted:
        raise ValueError(
            f"The model's head {name!r} is {saved}, the task's is {dict(wanted)}. "
            'Load the model with heads="new", or give the task another `head` name.'
        )


def _load_encoder(
    path: str | os.PathLike[str],
    config: PreTrainedConfig,
    dtype: Any,
    with_mlm: bool,
    kwargs: Mapping[str, Any],
) -> tuple[PreTrainedModel, dict[str, Tensor]]:
    """The encoder, and the state of the checkpoint's masked-LM head where it is asked for and there."""
    mlm: dict[str, Tensor] = {}
    keys = MASKED_LM_KEYS.get(config.model_type)
    saved_as = (config.architectures or [""])[0]
    with _quietly(), _reading(path):
        if with_mlm and keys and saved_as.endswith(("ForMaskedLM", "ForPreTraining")):
            whole, info = AutoModelForMaskedLM.from_pretrained(
                path, dtype=dtype, **_TELLING, **kwargs
            )
            state = whole.state_dict()
            theirs = {
                name.replace(part, ours, 1): name
                for ours, part in keys.items()
                for name in state
                if name == part or name.startswith(f"{part}.")
            }
            # an ELECTRA discriminator, say, has no such head: it gets a new one
            own = {
                name
                for name in info["missing_keys"]
                if not name.startswith(f"{whole.base_model_prefix}.")
            }
            if own.isdisjoint(theirs.values()):
                mlm = {ours: state[name] for ours, name in theirs.items()}
            info["missing_keys"] = set(info["missing_keys"]) - own
            encoder = whole.base_model
        else:
            kind = encoder_class(config)
            encoder, info = kind.from_pretrained(
                path, dtype=dtype, **_TELLING, **without_pooler(kind), **kwargs
            )
    _check_weights(path, config, encoder, info)
    return encoder, mlm


def _check_folder(path: str | os.PathLike[str], subfolder: str | None) -> None:
    """ValueError for a folder that is none; what does not look like one is a Hub id."""
    folder, own = Path(path), Path(path, subfolder or "")
    if folder.is_dir() and not (own / "config.json").is_file():
        raise ValueError(
            f"The folder {own} holds no config.json, and so no encoder and no saved model."
        )
    if not folder.exists() and (
        folder.is_absolute() or os.fspath(path).startswith(".") or len(folder.parts) > 2
    ):
        raise ValueError(
            f"There is no folder {folder}, and a Hub id has the form name or organisation/name."
        )


def _check_config(path: str | os.PathLike[str], config: PreTrainedConfig) -> None:
    """ValueError for a config that names code of the Hub: transformers would fetch such a kernel and run it."""
    for part in (config, *(getattr(config, name, None) for name in config.sub_configs)):
        for name in ("_attn_implementation", "_experts_implementation"):
            if "/" in str(getattr(part, name, None)):
                raise ValueError(
                    f"The config of {os.fspath(path)} asks for {getattr(part, name)!r}, a kernel from the Hub, and "
                    f"would run its code. Take {name.removeprefix('_')!r} out of config.json."
                )


@contextmanager
def _reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """ValueError where a file of weights is no such file, or a pickle of more than tensors: no other is loaded."""
    try:
        yield
    except (SafetensorError, UnpicklingError) as error:
        raise ValueError(
            f"The weights of {os.fspath(path)} cannot be read ({type(error).__name__}). Expected safetensors, or a "
            "pytorch_model.bin that holds tensors only; no other pickle is loaded."
        ) from None


# What does not fit is read from the loading info, and is an error that says what.
_TELLING = {"output_loading_info": True, "ignore_mismatched_sizes": True}


@contextmanager
def _quietly() -> Iterator[None]:
    """Without transformers' table of keys: it is read here, and said in a sentence."""
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def _check_weights(
    path: str | os.PathLike[str],
    config: PreTrainedConfig,
    model: PreTrainedModel,
    info: Mapping[str, Any],
) -> None:
    """ValueError if a checkpoint lacks weights, the pooler's apart: they would be random."""
    missing = sorted(name for name in info["missing_keys"] if "pooler" not in name)
    broken = missing + sorted(
        f"{name} ({tuple(there)} instead of {tuple(here)})"
        for name, there, here in info["mismatched_keys"]
    )
    if broken:
        raise ValueError(
            f"{os.fspath(path)} does not hold the weights of a {type(model).__name__}: {len(broken)} are missing or of "
            f"another shape, such as {', '.join(broken[:3])}. Its config says "
            f"{(config.architectures or [config.model_type])[0]}; check that config.json and weights belong together."
        )


def _load_tokenizer(
    path: str | os.PathLike[str], hub: Mapping[str, Any]
) -> PreTrainedTokenizerBase:
    own = Path(path, hub.get("subfolder") or "")
    if Path(path).is_dir() and not any((own / name).exists() for name in _TOKENIZER_FILES):
        why = f"none of {', '.join(_TOKENIZER_FILES)} is there"
    else:
        try:
            found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(path, **hub)
            return found
        except (
            Exception
        ) as error:  # tokenizers raises no narrower type for a file that it cannot read
            why = str(error).partition("\n")[0]
    raise DataError(
        f"{os.fspath(path)} has no tokenizer that can be loaded ({why}). Save the encoder's tokenizer into the same "
        "folder: tokenizer.save_pretrained(folder)."
    )


_TOKENIZER_FILES = (
    *("tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model"),
    *("spm.model", "sentencepiece.model"),  # DeBERTa's, RemBERT's
)
