"""Training only the embeddings that the training data use, where that changes no result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed
import transformers
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.utils.hooks import RemovableHandle
from transformers.utils import logging

from jiantx.attention import padding_id
from jiantx.features import Features, mark_token_ids
from jiantx.model import MultitaskModel
from jiantx.model.embeddings import named_token_ids
from jiantx.model.used_embeddings import UsedEmbeddings, group_of, use_all_rows, use_rows
from jiantx.task import Task

logger = logging.get_logger("jiantx.trainer")


class SparseEmbeddingsMixin(transformers.Trainer):
    """The trainer's choice between all embeddings and those that its data use."""

    tasks: Mapping[str, Task]
    _features: Mapping[tuple[str, str], Features]
    _own_model: Any
    _sparse_embeddings: bool | Literal["auto"]
    _embedding_hooks: list[RemovableHandle]
    _owns_optimizer = False

    def create_optimizer(self, model: nn.Module | None = None) -> Optimizer:
        """As transformers'; in training, its AdamW then holds only the embeddings that are used.

        Args:
            model: What is trained; the trainer's own if None.

        Raises:
            ValueError: `sparse_embeddings` is True, and some results would differ.
        """
        self._owns_optimizer |= self.optimizer is None
        optimizer: Optimizer = super().create_optimizer(model)
        if self.is_in_train:  # before accelerate wraps the model: DDP keeps the parameters' shapes
            self._compact_embeddings(getattr(optimizer, "optimizer", optimizer))
        return optimizer

    @contextmanager
    def _whole_embeddings_afterwards(self) -> Iterator[None]:
        """Leave the model with plain embeddings, also after an error."""
        self._embedding_hooks = []
        try:
            yield
        finally:
            for hook in self._embedding_hooks:
                hook.remove()
            module = self._own_model.get_input_embeddings()
            if isinstance(module, UsedEmbeddings):
                use_all_rows(module)

    def _compact_embeddings(self, optimizer: Optimizer) -> None:
        """Let an optimizer hold only the embeddings that the features use, if that is exact."""
        module = self._own_model.get_input_embeddings()
        reason = next(self._reasons_against_sparse(optimizer), None)
        if reason is None:
            ids = used_ids(self._own_model, self._features)
            if len(ids) == len(module.weight):
                reason = "the training data use all of them"
        if reason is None:
            self._broadcast(module.weight)
            reason = _compact_if_looked_up(self._own_model, module, ids)
        if reason is None:
            logger.info(f"{len(ids):,} of {module.num_embeddings:,} embeddings are trained.")
            self._embedding_hooks += module.follow(optimizer)
        elif self._sparse_embeddings is True:
            raise ValueError(
                f"Trainer(sparse_embeddings=True) cannot be exact: {reason}. Use "
                'sparse_embeddings="auto", which then trains all embeddings.'
            )
        else:
            logger.info(f"Embeddings are not sparse: {reason}.")
        if type(optimizer) is AdamW:
            hook = optimizer.register_load_state_dict_pre_hook(self._fit_moments)
            self._embedding_hooks.append(hook)

    def _reasons_against_sparse(self, optimizer: Optimizer) -> Iterator[str]:
        """Yield what speaks against it. A reason is checked if those before it do not hold."""
        if self._sparse_embeddings is False:
            yield "sparse_embeddings is False"
        if not self._owns_optimizer:
            yield "the trainer was given an optimizer"
        if type(optimizer) is not AdamW:
            yield f"{type(optimizer).__name__} may change unused embeddings otherwise than AdamW"
        if self.args.fp16:
            yield "the gradient scaler of fp16 skips steps"
        if self.is_fsdp_enabled or self.is_distributed_loading_by_transformers:
            yield "the model is sharded"
        for (name, _), features in self._features.items():
            if type(features.task).augment is not Task.augment:
                yield f"task {name} chooses token ids as it makes batches"
            if self._own_model.head_of(features.task).reads_embedding:
                yield f"the head of task {name} reads all embeddings"
        yield from _reasons_against_module(self._own_model, optimizer)

    def _broadcast(self, weight: Tensor) -> None:
        """Take rank 0's embeddings, as DDP does with the parameters that it sees."""
        if self.args.world_size > 1:
            torch.distributed.broadcast(weight.data, src=0)

    def _fit_moments(self, optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        """Fit AdamW's moments in a checkpoint to the form of the parameter.

        Whether the embeddings are sparse may change between two parts of a run, as `fp16` may. The
        moments of unused rows are 0.

        Args:
            optimizer: That is to load them.
            state: Of the checkpoint.

        Raises:
            ValueError: The checkpoint has moments of another number of embeddings.
        """
        module: Any = self._own_model.get_input_embeddings()
        is_sparse = isinstance(module, UsedEmbeddings)
        parameter = module.parameter if is_sparse else module.weight
        group = group_of(optimizer, parameter)
        if group < 0:
            return state
        members = optimizer.param_groups[group]["params"]
        position = next(i for i, member in enumerate(members) if member is parameter)
        key = state["param_groups"][group]["params"][position]
        moments = state["state"].get(key, {})
        fitted = {}
        for name, values in moments.items():
            if values.dim() < 2 or len(values) == len(parameter):
                continue
            ids = used_ids(self._own_model, self._features).to(values.device)
            if is_sparse and len(values) == module.num_embeddings:
                fitted[name] = values[ids]
            elif not is_sparse and len(values) == len(ids):
                fitted[name] = values.new_zeros(parameter.shape).index_copy_(0, ids, values)
            else:
                raise ValueError(
                    f"The checkpoint's optimizer has moments of {len(values):,} embeddings, and "
                    f"this run trains {len(parameter):,}. Load the checkpoint's weights alone: "
                    "MultitaskModel.from_pretrained(checkpoint, tasks)."
                )
        return {**state, "state": {**state["state"], key: {**moments, **fitted}}}


def used_ids(model: MultitaskModel, features: Mapping[Any, Features]) -> Tensor:
    """The token ids that a training reads: those of its features, and those that the config names.

    Args:
        model: What is trained.
        features: All training features: of every task and language, and so of every rank.

    Returns:
        (used ids,) in increasing order.
    """
    is_used = np.zeros(model.get_input_embeddings().num_embeddings, dtype=bool)
    config = model.encoder.config
    for id in (padding_id(config), *named_token_ids(config).values()):
        if 0 <= id < len(is_used):
            is_used[id] = True
    for task_features in features.values():
        mark_token_ids(task_features.table, is_used)
    return torch.from_numpy(np.flatnonzero(is_used))


def _reasons_against_module(model: MultitaskModel, optimizer: Optimizer) -> Iterator[str]:
    """Yield what speaks against it in the model itself, as `_reasons_against_sparse`."""
    module = model.get_input_embeddings()
    if type(module) is not nn.Embedding or module.max_norm is not None or module.sparse:
        yield f"{module} is more than a table of rows"
    weight = module.weight
    if not weight.requires_grad:
        yield "they are frozen"
    if group_of(optimizer, weight) < 0:
        yield "the optimizer does not train them"
    if weight.dtype not in (torch.float32, torch.float64):
        yield f"weight decay would be rounded otherwise in {weight.dtype}"
    if weight._backward_hooks or getattr(weight, "_post_accumulate_grad_hooks", None):
        yield "a hook reads their gradient"
    for path, other in model.named_modules():
        is_tied = any(value is weight for value in other._parameters.values())
        if is_tied and other is not module:
            yield f"{path} has the same parameter"
        if other._compiled_call_impl is not None and module in other.modules():
            yield f"{path or 'the model'} is compiled"


def _compact_if_looked_up(model: MultitaskModel, module: nn.Embedding, ids: Tensor) -> str | None:
    """Make embeddings compact, unless the encoder does more with them than look up rows.

    A sequence runs in training mode. Whatever reads the whole matrix meanwhile restores it.

    Args:
        model: What is trained.
        module: Its input embeddings.
        ids: (used ids,) that the training reads.

    Returns:
        Why the embeddings are not compact; None if they are.
    """
    compact = use_rows(module, ids)
    matrix = compact._whole
    sequence = compact._ids[:2]
    positions = torch.arange(len(sequence), device=sequence.device)
    length = torch.tensor([len(sequence)], device=sequence.device)
    was_training = model.training
    devices = [sequence.device] if sequence.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        model.train().states(sequence, length, positions, len(sequence))
    model.train(was_training)
    if compact._whole is matrix:
        return None
    use_all_rows(compact)
    return "the encoder reads their whole matrix in each step"
