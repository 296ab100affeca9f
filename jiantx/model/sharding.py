"""Sharding a model over the ranks as it is loaded."""

from __future__ import annotations

from typing import Any

from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from transformers import DistributedConfig

from jiantx.attention import layers_of


def shard_model(model: Any, distributed: DistributedConfig | None) -> None:
    """Shard the parameters (FSDP2): layers one by one, heads and embeddings together.

    Args:
        model: A `MultitaskModel`, changed in place.
        distributed: Nothing is sharded without it.
    """
    distributed, _, mesh = model.prepare_distribute_model(distributed)
    if mesh is None:
        return
    full_state = model.state_dict()
    layers = layers_of(model.encoder)
    if layers:
        names = {module: name for name, module in model.named_modules()}
        model.fsdp_plan = {f"{names[layers]}.*": "free_full_weight"}
    else:
        model.fsdp_plan = {"encoder": "keep_full_weight"}
    model.maybe_distribute_model(model, distributed, mesh)
    # rank 0's values, as with DDP: a new head may have other values on each rank
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_model_state_dict(model, full_state, options=options)
