"""One encoder, a dictionary of heads."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from jiantx.attention import NAME as FLAT_ATTENTION
from jiantx.attention import SequenceLayout, encoder_class, padding_id
from jiantx.encoder_traits import PADDING_WARNING, EncoderTraits, check_serves, probe_encoder
from jiantx.fields import check_choice
from jiantx.heads import Head, HeadOutput, sequence_index
from jiantx.heads.base import check_output
from jiantx.model.config import MultitaskConfig, task_entry
from jiantx.model.dropout import draw_masks_quickly
from jiantx.model.embeddings import longest_input
from jiantx.model.encoder_modes import EncoderModesMixin
from jiantx.model.head_configs import (
    build_head,
    cls_pooling,
    fitted_head,
    head_configs,
    head_for,
    with_layer_mix,
)
from jiantx.model.hidden_states import flat_inputs, hidden_states, pad_inputs
from jiantx.model.loading import (
    LOADING_OPTIONS,
    check_config,
    check_folder,
    check_weights,
    errors_only,
    load_encoder,
    load_tokenizer,
    task_architecture,
    weight_errors,
    without_pooler,
)
from jiantx.model.saving import SavingMixin
from jiantx.model.sharding import shard_model
from jiantx.report import Report
from jiantx.task import Task
from jiantx.tasks import TaskOrName, Tasks, resolve_task, resolve_tasks

logger = logging.get_logger("jiantx.model")

_HUB_OPTIONS = ("revision", "cache_dir", "token", "local_files_only", "subfolder")


class MultitaskModel(EncoderModesMixin, SavingMixin):
    """A shared encoder with one head for each head name of its tasks.

    Create it with `from_pretrained`.

    Args:
        config: The encoder's config and the heads'.
        encoder: The encoder; one with random weights if None.

    Attributes:
        heads: Head name -> `Head`.
        report: The scores that the model card shows; the trainer's, or yours.

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
            encoder_type = encoder_class(config.encoder)
            encoder = encoder_type._from_config(config.encoder, **without_pooler(encoder_type))
        else:  # or `post_init` would draw adapters in it anew
            for module in encoder.modules():
                module._is_hf_initialized = True
        draw_masks_quickly(encoder)
        self.encoder = encoder
        heads = {name: build_head(encoder.config, name, h) for name, h in config.heads.items()}
        self.heads: Any = nn.ModuleDict(heads)  # Any: mypy takes its members for plain modules
        self.tokenizer: PreTrainedTokenizerBase | None = None
        self._traits = EncoderTraits()
        self._first_position: int | None = None  # of a flat sequence; None: run padded
        self._padded_attention = encoder.config._attn_implementation
        self.report: Report | None = None
        self.post_init()

    # --- loading ----------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        path: str | os.PathLike[str],
        tasks: Tasks | None = None,
        *,
        heads: Literal["keep", "new"] = "keep",
        padding_free: bool | Literal["auto"] = "auto",
        layer_mix: Literal["all"] | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Load a plain encoder or a saved jiantx model, with heads for some tasks.

        Args:
            path: Hub id or folder.
            tasks: Tasks to learn or to predict: one task or name, or several. If None, a saved
                model keeps its heads unchanged.
            heads: "keep" loads the saved heads of these tasks, "new" loads only the encoder.
            padding_free: "auto" tests whether the encoder can run without padding. False pads, and
                applies attention dropout as the encoder's config says. True is an error if the test
                fails.
            layer_mix: Heads read a learned mix of these layers (0 is the embeddings) or of "all"
                layers; each head has its own weights. None: a saved head's mix or, without one, the
                task's own layer (usually the last).
            kwargs: For transformers' `from_pretrained` (revision, token, …). Weights are float32
                unless `dtype` is given. `distributed_config=DistributedConfig(fsdp_size=…)` shards
                the whole model over the ranks.

        Raises:
            ValueError: Encoder weights are missing, a saved head does not fit its task or
                `layer_mix`, two tasks share a head but need different ones, or the encoder lacks a
                layer of `layer_mix`.
            DataError: There is no tokenizer.

        >>> model = MultitaskModel.from_pretrained("xlm-roberta-base", [nli])  # doctest: +SKIP
        """
        check_choice("heads", heads, ("keep", "new"))
        tasks = None if tasks is None else resolve_tasks(tasks)
        dtype = kwargs.pop("dtype", kwargs.pop("torch_dtype", torch.float32))
        distributed = kwargs.pop("distributed_config", None)
        check_folder(path, kwargs.get("subfolder"))
        hub_options = {name: kwargs[name] for name in _HUB_OPTIONS if name in kwargs}
        # False and not None: transformers would ask at the terminal whether to run a folder's code
        hub_options["trust_remote_code"] = kwargs.pop("trust_remote_code", False)
        config = AutoConfig.from_pretrained(path, **hub_options)
        check_config(path, config)
        if tasks is None and layer_mix is not None:
            raise ValueError("`layer_mix` is for the heads of tasks: give the tasks too.")
        needed_heads = head_configs(tasks) if tasks is not None else None
        if isinstance(config, MultitaskConfig):
            with errors_only(), weight_errors(path):
                model, info = super().from_pretrained(
                    path, config=config, dtype=dtype, **LOADING_OPTIONS, **kwargs
                )
            check_weights(path, config, model, info)
            if needed_heads is not None:
                model._replace_heads(needed_heads, layer_mix, keep=heads == "keep")
        elif needed_heads is None:
            content = task_architecture(config) or "plain encoder"
            raise ValueError(
                f"{os.fspath(path)} holds a {content} and no saved jiantx model. Give the tasks "
                "that its encoder is to learn, or load a folder that `save_pretrained` wrote."
            )
        else:
            check_serves(config, kwargs)
            model = cls._from_plain_encoder(path, config, needed_heads, layer_mix, dtype, kwargs)
        if tasks is not None:
            model._declare_tasks(tasks, keep_languages=heads == "keep")
        model._set_tokenizer(load_tokenizer(path, hub_options))
        model.set_padding_free(padding_free)
        model.eval()
        shard_model(model, distributed)
        return model

    @classmethod
    def _from_plain_encoder(
        cls,
        path: str | os.PathLike[str],
        config: PreTrainedConfig,
        head_configs: Mapping[str, dict[str, Any]],
        layer_mix: Any,
        dtype: Any,
        kwargs: Mapping[str, Any],
    ) -> Self:
        """Load an encoder and put new heads on it; the masked-LM head is the checkpoint's own."""
        mlm_names = [name for name, head in head_configs.items() if head["type"] == "masked_lm"]
        encoder, mlm_head = load_encoder(path, config, dtype, kwargs, with_mlm=bool(mlm_names))
        model = cls(MultitaskConfig(encoder=encoder.config), encoder=encoder)
        form = {} if mlm_head is None else {"form": mlm_head.form}
        head_configs = {**head_configs, **{n: {**head_configs[n], **form} for n in mlm_names}}
        model._replace_heads(head_configs, layer_mix, keep=False)
        if mlm_head is not None:
            for name in mlm_names:
                mix = {k: v for k, v in model.heads[name].state_dict().items() if "layer_mix" in k}
                model.heads[name].load_state_dict({**mlm_head.state, **mix})
                logger.info("The masked-LM head is the checkpoint's own.")
        return model

    def _declare_tasks(self, tasks: Sequence[Task], *, keep_languages: bool) -> None:
        """Write the tasks into the config; `keep_languages`: with those they were trained in."""
        declared = {}
        for task in tasks:
            saved = self.config.tasks.get(task.name, {}) if keep_languages else {}
            declared[task.name] = task_entry(task, saved)
        self.config.tasks = declared

    def _replace_heads(
        self, head_configs: Mapping[str, dict[str, Any]], layer_mix: Any, *, keep: bool
    ) -> None:
        """Keep the heads that fit (with `keep`), make the others new, drop the rest."""
        head_configs = with_layer_mix(head_configs, layer_mix, self.encoder.config)
        kept_names = [name for name in head_configs if keep and name in self.heads]
        encoder = self.encoder.config
        for name in kept_names:
            self.heads[name] = fitted_head(encoder, name, self.heads[name], head_configs[name])
        new_heads: dict[str, Any] = {}
        for name, head_config in head_configs.items():
            if name not in kept_names:
                new_heads[name] = build_head(encoder, name, head_config)
        for head in new_heads.values():  # after all are built: a seed keeps giving the same weights
            head.apply(self._init_weights).to(device=self.device, dtype=self.dtype)
        dropped_names = [name for name in self.heads if name not in head_configs]
        available_heads = {**dict(self.heads.items()), **new_heads}
        self.heads = nn.ModuleDict({name: available_heads[name] for name in head_configs})
        self.config.heads = {name: dict(head.config) for name, head in self.heads.items()}
        new_names = ", ".join(new_heads)
        summary = f"Heads kept: {', '.join(kept_names) or 'none'}; new: {new_names or 'none'}"
        if keep and (new_heads or dropped_names):  # of a saved model, that may be a misspelt name
            logger.warning(f"{summary}; dropped: {', '.join(dropped_names) or 'none'}.")
        else:
            logger.info(f"{summary}.")

    def _set_tokenizer(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Attach a tokenizer, whose limit is at most the encoder's. Heads pool as both need it."""
        self.tokenizer = tokenizer
        pooling = cls_pooling(tokenizer, is_causal=probe_encoder(self.encoder.config).is_causal)
        if pooling != "cls":
            for name, head in self.heads.items():
                head.config["cls_pooling"] = self.config.heads[name]["cls_pooling"] = pooling
        limit = longest_input(self.encoder)
        if limit is not None:
            tokenizer.model_max_length = min(tokenizer.model_max_length, limit)

    def set_padding_free(self, padding_free: bool | Literal["auto"]) -> None:
        """Choose whether batches run without padding; see `from_pretrained`.

        Raises:
            ValueError: `padding_free` is True, and the encoder cannot.
        """
        check_choice("padding_free", padding_free, (True, False, "auto"))
        encoder_name = type(self.encoder).__name__
        config = self.encoder.config
        self._traits = probe_encoder(config)
        self._first_position = self._traits.first_position if padding_free else None
        if padding_free is True and self._first_position is None:
            raise ValueError(
                f"{encoder_name} cannot run without padding: its states differ, or it ignores the "
                'setting. Use padding_free="auto".'
            )
        if self._first_position is None and config._attn_implementation == FLAT_ATTENTION:
            self.encoder.set_attn_implementation(self._padded_attention)
        if self._first_position is not None:
            self.encoder.set_attn_implementation(FLAT_ATTENTION)
        elif padding_free == "auto":
            logger.warning_once(
                f"{encoder_name} does not run without padding (its states differ or it ignores the "
                "setting), so its batches are padded."
            )
        if self._traits.depends_on_padding:
            logger.warning_once(PADDING_WARNING.format(encoder_name))

    # --- heads ------------------------------------------------------------------------------------

    def head_of(self, task: TaskOrName, *, exact: bool = False) -> Head:
        """The head of a task, or of the registered task of that name, with the task's settings.

        Args:
            task: The task or its name.
            exact: Refuse other settings than the model's head has.

        Raises:
            LookupError: The model has no such head.
            ValueError: The head has other labels or settings than the task.
        """
        self.follow_embeddings()
        return head_for(resolve_task(task), self.encoder.config, self.heads, exact=exact)

    @property
    def padding_free(self) -> bool:
        """Whether batches run without padding."""
        return self._first_position is not None

    # --- running ----------------------------------------------------------------------------------

    def forward(
        self,
        head: str | None = None,
        layers: Sequence[int] | None = None,
        sub_batches: Sequence[dict[str, Any]] | None = None,
        **batch: Any,
    ) -> HeadOutput:
        """Run a flat batch through the encoder and one head. All other ways lead through here.

        Args:
            head: The head's name.
            layers: Read these hidden states one after the other, and name the outputs
                `<name>@<layer>`. None: the head's own layer.
            sub_batches: Of a mixed batch (see `batching.merge_batches`), each for its own head.
            batch: Flat tensors, see `batching.collate`.
        """
        if sub_batches is not None:
            return self._forward_mixed(sub_batches, batch)
        module = self.heads[head]
        states = self.states(**batch, layers=module.needed_layers if layers is None else layers)
        if layers is None:
            return self._run_head(module, module.mix_layers(states), batch)
        outputs = {}
        for layer, layer_states in zip(layers, states, strict=True):
            layer_outputs = self._run_head(module, layer_states, batch).outputs or {}
            for name, values in layer_outputs.items():
                outputs[f"{name}@{layer}"] = values
        return HeadOutput(outputs=outputs)

    def _forward_mixed(
        self, sub_batches: Sequence[dict[str, Any]], batch: dict[str, Any]
    ) -> HeadOutput:
        """Run the encoder once, and each head on the tokens of its own sub-batch."""
        modules = [self.heads[sub_batch["head"]] for sub_batch in sub_batches]
        layers = list(dict.fromkeys(chain(*(module.needed_layers for module in modules))))
        states = dict(zip(layers, self.states(**batch, layers=layers), strict=True))
        token_counts = [sub_batch["tokens"] for sub_batch in sub_batches]
        outputs: list[Any] = []
        for index, (module, sub_batch) in enumerate(zip(modules, sub_batches, strict=True)):
            needed = [states[layer].split(token_counts)[index] for layer in module.needed_layers]
            outputs.append(self._run_head(module, module.mix_layers(needed), sub_batch))
        loss = torch.stack([output.loss for output in outputs]).sum()
        num_items = torch.stack([output.num_items for output in outputs]).sum()
        return HeadOutput(loss=loss, num_items=num_items, sub_outputs=outputs)

    def _run_head(self, module: nn.Module, states: Tensor, batch: Mapping[str, Any]) -> HeadOutput:
        lengths = batch["lengths"]
        inputs = {**batch, "starts": lengths.cumsum(0) - lengths}
        if module.reads_embedding:
            inputs["embedding"] = self.get_input_embeddings().weight
        output: HeadOutput = module(states, inputs)
        check_output(module, output)
        return output

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
        """Encode a flat batch.

        Args:
            input_ids: (total tokens,).
            lengths: (sequences,) tokens of each sequence.
            position_ids: (total tokens,) from 0 in each sequence.
            longest: The largest length.
            token_type_ids: (total tokens,) segments.
            layers: How many layers have run; 0 is the embeddings, None all of them.
            for_heads: Ignored.

        Returns:
            (total tokens, hidden) states for each of `layers`.
        """
        if self.stored_states is not None:
            stored = self.stored_states.read(self, input_ids, lengths, token_type_ids, layers)
            if stored is not None:
                return stored
        tokens = {"input_ids": input_ids}
        if token_type_ids is not None and self._traits.takes_segments(self.encoder.config):
            tokens["token_type_ids"] = token_type_ids
        if self._first_position is not None:
            layout = SequenceLayout(lengths, longest)
            inputs = flat_inputs(tokens, position_ids + self._first_position, layout)
        else:
            inputs = pad_inputs(tokens, lengths, longest, padding_id(self.encoder.config))
        from_inputs = self._traits.inner_layers == "inputs"
        rows = hidden_states(self.encoder, layers, from_layer_inputs=from_inputs, **inputs)
        if self._first_position is not None:
            return [states[0] for states in rows]
        sequence = sequence_index(lengths, len(input_ids))
        return [states[sequence, position_ids] for states in rows]
