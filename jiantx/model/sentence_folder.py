"""A retrieval model as a folder of sentence-transformers, with the same vectors."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from jiantx.attention import text_encoder
from jiantx.heads import Head, RetrievalHead
from jiantx.model.loading import without_pooler
from jiantx.task_types import Retrieval

logger = logging.get_logger("jiantx.model")

# the names that all versions of sentence-transformers read
_POOLING = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "last": "pooling_mode_lasttoken",
}
# Relative to the largest state. Half precision: the two ways add up in another order.
_TOLERANCES = {torch.float32: 1e-4}
_HALF_TOLERANCE = 0.1


def save_sentence_transformer(
    path: str | os.PathLike[str],
    task: Retrieval,
    encoder: PreTrainedModel,
    head: Head,
    tokenizer: PreTrainedTokenizerBase,
    *,
    sample: Tensor,
    expected: Tensor,
    prompts: Mapping[str, str] | None,
) -> PreTrainedModel:
    """Write the modules that compute a retrieval head's vectors.

    These are the encoder up to the head's layer, the pooling, the pooler's dense layer, and the
    division of each vector by its length, where the task normalises.

    Args:
        path: A folder.
        task: The head's.
        encoder: Whole.
        head: Of retrieval.
        tokenizer: Cuts as the task does.
        sample: (tokens,) ids to compare states on.
        expected: (tokens, hidden) their states at the head's layer.
        prompts: Texts before a "query" and a "document"; the task's prefixes if None.

    Returns:
        The encoder that was written.

    Raises:
        ValueError: The encoder has a decoder, or gives other states when it is cut at the head's
            layer, or a prompt has another name, or the task centres its vectors.
    """
    assert isinstance(head, RetrievalHead)
    if text_encoder(encoder) is not encoder:
        raise ValueError(
            f"Task {task.name}: {type(encoder).__name__} has a decoder, which "
            "sentence-transformers would run too; use save_pretrained."
        )
    _check_texts(task, prompts)
    folder = Path(path)
    cut, modules = _encoder_to_layer(encoder, head, sample, expected)
    hidden = encoder.config.hidden_size
    chosen_mode = _POOLING[head.token_pooling]
    modes = {mode: mode == chosen_mode for mode in _POOLING.values()}
    modules.append(_Module("Pooling", {"word_embedding_dimension": hidden, **modes}))
    if head.config["pooling"] == "pooler":
        config = {"in_features": hidden, "out_features": hidden, "bias": True}
        config["activation_function"] = "torch.nn.modules.activation.Tanh"
        weights = {f"linear.{key}": values for key, values in head.dense.state_dict().items()}
        modules.append(_Module("Dense", config, weights))
    if task.normalize:
        modules.append(_Module("Normalize"))
    cut.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _write_modules(folder, modules)
    transformer = {
        "max_seq_length": tokenizer.model_max_length,
        "do_lower_case": False,  # the tokenizer does it where its model needs it
        "model_args": without_pooler(type(cut)),
    }
    _write_json(folder / "sentence_bert_config.json", transformer)
    prefixes = {"query": task.query_prefix, "document": task.candidate_prefix}
    settings = {
        "prompts": {**prefixes, **(prompts or {})},
        "default_prompt_name": None,
        "similarity_fn_name": "cosine" if task.normalize else "dot",
    }
    _write_json(folder / "config_sentence_transformers.json", settings)
    return cut


@dataclass
class _Module:
    """A module of sentence-transformers, after the transformer."""

    name: str
    config: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)


def _encoder_to_layer(
    encoder: PreTrainedModel, head: RetrievalHead, sample: Tensor, expected: Tensor
) -> tuple[PreTrainedModel, list[_Module]]:
    """An encoder up to a head's layer, and the module that picks the layer if it is not the last.

    The embeddings are the states before the first layer. And an encoder may normalise its last
    states: the states of an inner layer are then those before one layer more.
    """
    depth = encoder.config.num_hidden_layers
    layer = depth if head.layer is None else head.layer
    cut = _cut_encoder(encoder, max(layer, 1))
    if layer and _agree(cut(sample[None]).last_hidden_state[0], expected):
        return cut, []
    cut = _cut_encoder(encoder, min(layer + 1, depth), output_hidden_states=True)
    if not _agree(cut(sample[None]).hidden_states[layer][0], expected):
        raise ValueError(
            f"{type(encoder).__name__} gives other states at layer {layer} when it is cut there, "
            "so sentence-transformers would compute other vectors. Use save_pretrained."
        )
    config = {
        "word_embedding_dimension": encoder.config.hidden_size,
        "layer_start": layer,
        "num_hidden_layers": layer + 1,
    }
    weights = {"layer_weights": torch.tensor([1.0, 0.0])}
    return cut, [_Module("WeightedLayerPooling", config, weights)]


def _check_texts(task: Retrieval, prompts: Mapping[str, str] | None) -> None:
    """Warn of texts that sentence-transformers would read otherwise than the task."""
    if task.center:
        raise ValueError(
            f"Task {task.name}: center=True subtracts the mean of all vectors, and "
            "sentence-transformers encodes each text by itself. Export "
            "task.replace(center=False), and subtract the means yourself."
        )
    unknown = sorted(set(prompts or ()) - {"query", "document"})
    if unknown:
        raise ValueError(
            f"Task {task.name}: prompts are for {unknown}; expected 'query' and 'document', the "
            "names that sentence-transformers looks up."
        )
    columns = {"query": task.query, "candidate": task.candidate}
    computed = [name for name, column in columns.items() if callable(column)]
    if computed and prompts is None and not (task.query_prefix or task.candidate_prefix):
        logger.warning(
            f"Task {task.name} computes the column(s) {', '.join(computed)}. Encode the "
            "results of the function. If it adds a prefix to each text, declare query_prefix "
            'and candidate_prefix, or give them here: export(…, prompts={"query": "query: ", '
            '"document": "passage: "}).'
        )
    if task.max_query_length and task.max_query_length < task.max_length:
        logger.warning(
            f"Task {task.name} cuts queries at {task.max_query_length} tokens. In "
            f"sentence-transformers, set model.max_seq_length = {task.max_query_length} for them."
        )


def _cut_encoder(encoder: PreTrainedModel, layer: int, **changes: Any) -> PreTrainedModel:
    """The first layers of an encoder, as an encoder of its own."""
    values = encoder.config.to_dict()
    depth = encoder.config.num_hidden_layers
    for name, value in values.items():
        if "layer" in name and isinstance(value, list) and len(value) == depth:
            values[name] = value[:layer]  # one entry a layer
    if layer != depth:  # Funnel's cannot be set
        depth_name = encoder.config.attribute_map.get("num_hidden_layers", "num_hidden_layers")
        values[depth_name] = layer
    config = AutoConfig.for_model(**{**values, **changes})
    encoder_type = type(encoder)
    cut = encoder_type._from_config(config, **without_pooler(encoder_type), dtype=encoder.dtype)
    loaded = cut.load_state_dict(encoder.state_dict(), strict=False)
    if loaded.missing_keys:
        raise ValueError(f"{encoder_type.__name__} cannot be cut: it lacks {loaded.missing_keys}.")
    return cut.to(encoder.device).eval()


def _agree(states: Tensor, expected: Tensor) -> bool:
    tolerance = _TOLERANCES.get(expected.dtype, _HALF_TOLERANCE)
    difference = (states.float() - expected.float()).abs().max()
    return bool(difference <= tolerance * expected.float().abs().max())


def _write_modules(folder: Path, modules: Sequence[_Module]) -> None:
    """Write a subfolder for each module after the transformer, and the list of all of them."""
    paths = {"Transformer": ""}
    for index, module in enumerate(modules, start=1):
        subfolder = folder / f"{index}_{module.name}"
        subfolder.mkdir(parents=True, exist_ok=True)
        if module.config:
            _write_json(subfolder / "config.json", module.config)
        if module.weights:
            save_file(module.weights, subfolder / "model.safetensors")
        paths[module.name] = subfolder.name
    entries = []
    for index, (name, path) in enumerate(paths.items()):
        kind = f"sentence_transformers.models.{name}"
        entries.append({"idx": index, "name": str(index), "path": path, "type": kind})
    _write_json(folder / "modules.json", entries)


def _write_json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
