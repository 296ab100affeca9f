"""A vocabulary as small as the data: an experiment meets a part of XLM-R's 250,002 pieces."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from jiantx.features import load_features
from jiantx.model import MultitaskModel
from jiantx.task import Task


def trim_vocabulary(
    model: MultitaskModel,
    tasks: Sequence[Task],
    *,
    splits: Sequence[str] = ("train", "validation", "test"),
) -> int:
    """Drop the pieces that these splits of the tasks never use, from tokenizer and embeddings; how many are left.

    Nothing changes on these data: a unigram tokenizer cuts the same pieces when others are gone, and the embeddings of
    those that stay are the same. Other text falls to the pieces that are left; single characters all stay. The
    optimiser updates, and checkpoints hold, so many embeddings fewer. ValueError for a tokenizer that is no unigram.
    """
    tokenizer = model.tokenizer
    if tokenizer is None:
        raise ValueError(
            "The model has no tokenizer. Load it with from_pretrained, or set model.tokenizer."
        )
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    if state["model"]["type"] != "Unigram":
        kind = state["model"]["type"]
        raise ValueError(
            f"{type(tokenizer).__name__} is a {kind} tokenizer; only Unigram's pieces can go one by one."
        )
    vocabulary = state["model"]["vocab"]
    keep = np.zeros(len(tokenizer), dtype=bool)
    keep[[token["id"] for token in state["added_tokens"]]] = True
    keep[[i for i, (piece, _) in enumerate(vocabulary) if len(piece.removeprefix("▁")) <= 1]] = True
    for ids in _used(tasks, splits, tokenizer):
        keep[ids] = True
    kept = np.flatnonzero(keep)
    new_id = {int(old): new for new, old in enumerate(kept)}

    state["model"]["vocab"] = [vocabulary[old] for old in kept.tolist() if old < len(vocabulary)]
    state["model"]["unk_id"] = new_id[state["model"]["unk_id"]]
    for token in state["added_tokens"]:
        token["id"] = new_id[token["id"]]
    _renumber(state["post_processor"], new_id)
    backend = Tokenizer.from_str(json.dumps(state))
    names = ("model_max_length", "model_input_names", "padding_side", "truncation_side")
    options: dict[str, Any] = {name: getattr(tokenizer, name) for name in names}
    model.tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, **tokenizer.special_tokens_map, **options
    )

    rows, old = torch.from_numpy(kept), model.get_input_embeddings()
    pad = None if old.padding_idx is None else new_id[old.padding_idx]
    small = nn.Embedding(
        len(kept), old.weight.shape[1], pad, device=old.weight.device, dtype=old.weight.dtype
    )
    small.weight.data.copy_(old.weight.data[rows.to(old.weight.device)])
    model.encoder.set_input_embeddings(small)
    for config in (model.encoder.config, model.config):
        for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
            if getattr(config, name, None) is not None:
                setattr(config, name, new_id[getattr(config, name)])
    model.encoder.config.vocab_size = len(kept)
    for head in model.heads.values():
        if head.config["type"] == "masked_lm":
            head.bias = nn.Parameter(head.bias.data[rows.to(head.bias.device)])
    return len(kept)


def _used(
    tasks: Sequence[Task], splits: Sequence[str], tokenizer: PreTrainedTokenizerBase
) -> Iterator[np.ndarray]:
    """The token ids of every split and language, candidates included."""
    for task in tasks:
        for split in splits:
            forms = [task.for_training] if split == "train" else [task, task.corpus_task]
            for form in filter(None, forms):
                for language in form.languages(split):
                    # as long as text may ever be read, not as this task reads it
                    most = min(tokenizer.model_max_length, 2**16)
                    found = load_features(
                        form, split, language, tokenizer, max_length=most, labelled=False
                    )
                    for block in found.table.with_format("arrow").iter(batch_size=10_000):
                        yield np.unique(block["input_ids"].combine_chunks().flatten().to_numpy())


def _renumber(processor: Mapping[str, Any] | None, new_id: Mapping[int, int]) -> None:
    """Ids of special tokens in a post-processor: TemplateProcessing's, or RoBERTa's and BERT's."""
    for token in (processor or {}).get("special_tokens", {}).values():
        token["ids"] = [new_id[old] for old in token["ids"]]
    for name in ("sep", "cls"):
        if processor and name in processor:
            processor[name][1] = new_id[processor[name][1]]
    for part in (processor or {}).get("processors", []):
        _renumber(part, new_id)
