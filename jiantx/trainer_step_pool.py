"""Losses over the whole step: its batches run twice, the first time without a graph (GradCache).

Gao et al. 2021 (2101.06983). The first pass computes the vectors of all batches of the step, on all
devices. From these come the step's loss and its gradients by the vectors. The second pass computes
each batch's vectors again, with a graph, and passes the gradients on. So a step of many small
batches has the gradients of one large batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
import transformers
from accelerate.utils import pad_across_processes
from torch import Tensor, nn

from jiantx.heads.contrast import PAIR_COLUMNS, cached_losses, pair_columns
from jiantx.heads.states import smoothing_of
from jiantx.model.embedding_noise import noisy_embeddings
from jiantx.sampling import Sampler
from jiantx.task import Task


class StepPoolMixin(transformers.Trainer):
    """What `Trainer` does for heads whose `pools_step` is true."""

    tasks: Mapping[str, Task]
    _own_model: Any
    _micro_batches: Sequence[dict[str, Any]] = ()  # of the step

    def _choose_loss(self, batch: dict[str, Any]) -> None:
        """Let a batch of one task say to its head which loss to compute."""
        raise NotImplementedError

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """As transformers'; the batches of the step are remembered."""
        self._micro_batches, num_items = super().get_batch_samples(*args, **kwargs)
        return self._micro_batches, num_items

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """As transformers'; before the first batch of a step, the losses over the step are made.

        Args:
            model: A `MultitaskModel`, perhaps wrapped.
            inputs: A flat batch.
            num_items_in_batch: Items of the whole step.
        """
        # here and not in `get_batch_samples`: a resumed run restores its random state in between
        if self._micro_batches and inputs is self._micro_batches[0]:
            self._cache_losses(model)
        return super().training_step(model, inputs, num_items_in_batch)

    def _run_batch(self, model: nn.Module, inputs: dict[str, Any]) -> Any:
        """Run a flat batch through the model, with what the arguments add to training."""
        for batch in sub_batches_of(inputs):
            self._choose_loss(batch)
        alpha = self.args.neftune_noise_alpha
        embeddings = self._own_model.get_input_embeddings()
        noise = noisy_embeddings(embeddings, inputs["lengths"], alpha) if alpha else nullcontext()
        with noise:
            return model(**inputs)

    def _cache_losses(self, model: nn.Module) -> None:
        """Put into each batch of the step its share of the losses over the step."""
        batches = [sub_batches_of(inputs) for inputs in self._micro_batches]
        pooled = [
            index
            for index, batch in enumerate(batches[0])
            if self._own_model.head_of(self.tasks[batch["task"]]).pools_step
        ]
        if not pooled:
            return
        if len(batches) * self.args.world_size == 1:
            for index in pooled:
                _check_pool(batches[0][index]["task"], len(batches[0][index]["sequences"]))
            return
        vectors = self._vectors_of_step(model, pooled)
        for index in pooled:
            pool = [micro_batch[index] for micro_batch in batches]
            self._cache_losses_of(pool, vectors[index])

    @torch.no_grad()
    def _vectors_of_step(self, model: nn.Module, pooled: Sequence[int]) -> dict[int, list[Tensor]]:
        """Run the batches of the step as they will run with a graph, with the same dropout.

        Args:
            model: A `MultitaskModel`, perhaps wrapped.
            pooled: Which of the draws of a batch have losses over the step.

        Returns:
            Draw -> (sequences, hidden) vectors of each batch.
        """
        vectors: dict[int, list[Tensor]] = {index: [] for index in pooled}
        devices = [self.args.device] if self.args.device.type == "cuda" else []
        model.train()
        with torch.random.fork_rng(devices=devices), self.compute_loss_context_manager():
            for inputs in self._micro_batches:
                for index in pooled:
                    sub_batches_of(inputs)[index]["vectors_only"] = True
                output = self._run_batch(model, inputs)
                outputs = output.sub_outputs or [output]
                for index in pooled:
                    del sub_batches_of(inputs)[index]["vectors_only"]
                    vectors[index].append(outputs[index].outputs["embeddings"])
        return vectors

    def _cache_losses_of(self, pool: Sequence[dict[str, Any]], vectors: Sequence[Tensor]) -> None:
        """Compute the losses of one draw over all batches and devices.

        Args:
            pool: The draw's batches on this device.
            vectors: (sequences, hidden) of each.
        """
        own_pairs = [pair_columns(batch, len(v)) for batch, v in zip(pool, vectors, strict=True)]
        head = self._own_model.head_of(self.tasks[pool[0]["task"]])
        smoothing = smoothing_of(pool[0])
        all_vectors = self._gather(vectors)
        columns = {
            name: self._gather([pairs[name] for pairs in own_pairs]) for name in PAIR_COLUMNS
        }
        all_pairs = [
            {name: values[index] for name, values in columns.items()}
            for index in range(len(all_vectors))
        ]
        _check_pool(pool[0]["task"], sum(len(pairs["sequences"]) for pairs in all_pairs))
        losses = cached_losses(head, all_vectors, all_pairs, smoothing=smoothing)
        first = self.args.process_index * len(pool)
        for batch, loss in zip(pool, losses[first : first + len(pool)], strict=True):
            batch["cached_loss"] = loss

    def _gather(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The tensors of all devices, those of the first device first; all have as many."""
        if self.args.world_size == 1:
            return list(tensors)
        gather: Callable[[Tensor], Tensor] = self.accelerator.gather
        joined = torch.cat(list(tensors))
        sizes = torch.tensor([len(tensor) for tensor in tensors], device=joined.device)
        sizes_of_ranks = gather(sizes).view(-1, len(tensors)).tolist()
        padded = gather(pad_across_processes(joined, dim=0).contiguous())
        gathered: list[Tensor] = []
        blocks = torch.split(padded, len(padded) // len(sizes_of_ranks))
        for block, rank_sizes in zip(blocks, sizes_of_ranks, strict=True):
            gathered += torch.split(block[: sum(rank_sizes)], rank_sizes)
        return gathered

    def _check_step_pool(self) -> None:
        """Refuse ways to train in which the second pass may differ from the first.

        Raises:
            ValueError: A task trains over the step, and the model is sharded or compiled.
        """
        names = [name for name, task in self.tasks.items() if _pools_step(task)]
        if not names:
            return
        reason = ""
        if self.is_fsdp_enabled or self.is_distributed_loading_by_transformers:
            reason = "the model is sharded (FSDP), and its parameters are gathered once per pass"
        elif self.is_deepspeed_enabled:
            reason = "DeepSpeed runs the backward passes itself"
        elif any(module._compiled_call_impl is not None for module in self._own_model.modules()):
            reason = "torch_compile may draw other dropout masks in the second pass"
        if reason:
            raise ValueError(
                f'Task {names[0]}: training_pool="step" is not supported here: {reason}. Use '
                'task.replace(training_pool="batch") with a larger per_device_train_batch_size, or '
                "one process per GPU with DDP."
            )


def _pools_step(task: Task) -> bool:
    return getattr(task, "training_pool", "batch") == "step"


def sub_batches_of(inputs: dict[str, Any]) -> list[dict[str, Any]]:
    """The draws of a batch, each with what its head reads: the batch itself if nothing is mixed."""
    sub_batches: list[dict[str, Any]] = inputs.get("sub_batches", [inputs])
    return sub_batches


def check_draws(
    model: Any,
    tasks: Mapping[str, Task],
    sampler: Sampler,
    sizes: Mapping[str, Mapping[str, int]],
) -> None:
    """Check that the draws of each task are large enough for its head, before training.

    Args:
        model: A `MultitaskModel`.
        tasks: Those that are trained, by name.
        sampler: Of the run.
        sizes: Task -> language -> training rows.

    Raises:
        ValueError: A draw is too small, or a step whose pairs share their candidates.
    """
    for name, task in tasks.items():
        fewest_rows = min(sizes[name].values())
        head = model.head_of(task)
        head.check_draw(name, min(sampler.draw_size(name), fewest_rows))
        if head.pools_step:
            step_size = sampler.examples_per_step(name) // sampler.sampling.mix
            _check_pool(name, min(step_size, fewest_rows))


def _check_pool(task: str, queries: int) -> None:
    """ValueError for a step of one pair."""
    if queries < 2:
        raise ValueError(
            f"Task {task}: a step of {queries} pair has no wrong candidates, so its loss is always "
            "0. Give a larger per_device_train_batch_size or gradient_accumulation_steps."
        )
