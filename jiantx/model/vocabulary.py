"""A vocabulary as small as the data: an experiment meets only some of XLM-R's 250,002 pieces."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils.logging import tqdm

from jiantx.features import used_token_ids
from jiantx.heads import MaskedLMHead
from jiantx.model.embeddings import named_token_ids, unused_positions, without_embeddings
from jiantx.model.model import MultitaskModel
from jiantx.sources import DataError
from jiantx.task import Task
from jiantx.tasks import Tasks, resolve_tasks

_TOKENIZER_OPTIONS = ("model_max_length", "model_input_names", "padding_side", "truncation_side")

SplitInLanguage = tuple[Task, str, str]
"""A task, one of its splits, and a language."""


def trim_vocabulary(
    model: MultitaskModel,
    tasks: Tasks,
    *,
    splits: Sequence[str] = ("train", "validation", "test"),
) -> int:
    """Drop the pieces that the tasks' data never use, from the tokenizer and the embeddings.

    Nothing changes on these data: a unigram tokenizer splits their texts as before, and the
    remaining pieces keep their embeddings. Other texts are split into the remaining pieces, which
    include all single characters. The optimiser updates fewer embeddings,
    and checkpoints hold fewer.

    Args:
        model: Changed in place.
        tasks: Tasks whose data are read: one task or name, or several. Of the train split, only
            the training languages are read.
        splits: The splits that are read.

    Returns:
        The number of remaining pieces.

    Raises:
        ValueError: The model has no tokenizer, its tokenizer is not a unigram tokenizer, or a
            remaining token has no embedding.
    """
    return trim_to_splits(model, _all_languages(resolve_tasks(tasks), splits))


def trim_to_splits(model: MultitaskModel, splits: Iterable[SplitInLanguage]) -> int:
    """As `trim_vocabulary`, where splits and languages differ by task.

    Args:
        model: Changed in place.
        splits: Whose data count. A corpus is a task of its own: `task.corpus_task`.

    Returns:
        The number of remaining pieces.

    Raises:
        ValueError: As in `trim_vocabulary`.
    """
    if hasattr(model, "get_base_model"):  # PEFT's wrapper would keep the tokenizer to itself
        model = model.get_base_model()
    tokenizer = model.tokenizer
    if tokenizer is None:
        raise ValueError(
            "The model has no tokenizer. Load it with from_pretrained, or set model.tokenizer."
        )
    check_trimmable(tokenizer)
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    model.follow_embeddings()
    old_ids = _remaining_ids(model, state, splits, tokenizer)
    new_id = {old_id: id for id, old_id in enumerate(old_ids.tolist())}
    model.tokenizer = _trimmed_tokenizer(tokenizer, state, new_id)
    rows = torch.from_numpy(old_ids)
    _trim_embeddings(model, rows, new_id)
    for config in (model.encoder.config, model.config):
        for name, id in named_token_ids(config).items():
            setattr(config, name, new_id.get(id, id))  # no token has the id -1
    for head in model.heads.modules():  # PEFT keeps a head twice
        if isinstance(head, MaskedLMHead):
            head.keep_tokens(rows)
    model.follow_embeddings()
    return len(old_ids)


def check_trimmable(tokenizer: PreTrainedTokenizerBase) -> None:
    """Check that pieces can be dropped from a tokenizer one by one.

    Raises:
        DataError: It is no unigram tokenizer.
    """
    kind = type(tokenizer.backend_tokenizer.model).__name__
    if kind != "Unigram":
        raise DataError(
            f"{type(tokenizer).__name__} is a {kind} tokenizer; only Unigram's pieces can go one "
            "by one."
        )


def _remaining_ids(
    model: MultitaskModel,
    state: Mapping[str, Any],
    splits: Iterable[SplitInLanguage],
    tokenizer: PreTrainedTokenizerBase,
) -> np.ndarray:
    """The token ids that stay, in increasing order: special ones, single characters, used ones."""
    keep = np.zeros(len(tokenizer), dtype=bool)
    keep[: unused_positions(model.encoder)] = True  # or the padding id, and all positions, move
    named_ids = named_token_ids(model.encoder.config).values()
    keep[[id for id in named_ids if 0 <= id < len(keep)]] = True
    keep[[token["id"] for token in state["added_tokens"]]] = True
    vocabulary = state["model"]["vocab"]
    for id, (piece, _) in enumerate(vocabulary):
        if len(piece.removeprefix("▁")) <= 1:
            keep[id] = True
    # the score of an unknown character is the lowest one of all pieces less a constant
    keep[min(range(len(vocabulary)), key=lambda id: vocabulary[id][1])] = True
    # as long as a text may ever be read, not as this task reads it
    max_length = min(tokenizer.model_max_length, 2**16)
    bar = tqdm(list(splits), "trimming the vocabulary", unit="split", leave=False, delay=1)
    for task, split, language in bar:
        bar.set_postfix_str(f"{task.name} {split} {language}")
        keep[used_token_ids(task, split, language, tokenizer, max_length=max_length)] = True
    old_ids = np.flatnonzero(keep)
    rows = model.get_input_embeddings().weight.shape[0]
    if old_ids[-1] >= rows:
        raise ValueError(f"Nothing is trimmed: {without_embeddings(tokenizer, rows)}")
    return old_ids


def _all_languages(tasks: Sequence[Task], splits: Sequence[str]) -> list[SplitInLanguage]:
    """Every split and language of some tasks, candidates included."""
    all_languages: list[SplitInLanguage] = []
    for task in tasks:
        for split in splits:
            variants = [task.for_training] if split == "train" else [task, task.corpus_task]
            for variant in filter(None, variants):
                languages = variant.languages(split)
                if split == "train":  # rows in other languages are not read
                    languages = tuple(set(languages) & set(task.train_languages))
                all_languages += [(variant, split, language) for language in sorted(languages)]
    return all_languages


def _trimmed_tokenizer(
    tokenizer: PreTrainedTokenizerBase, state: dict[str, Any], new_id: Mapping[int, int]
) -> PreTrainedTokenizerFast:
    """The tokenizer with the remaining pieces; `state` is its JSON, changed in place."""
    vocabulary = state["model"]["vocab"]
    state["model"]["vocab"] = [vocabulary[old] for old in new_id if old < len(vocabulary)]
    state["model"]["unk_id"] = new_id[state["model"]["unk_id"]]
    for token in state["added_tokens"]:
        token["id"] = new_id[token["id"]]
    _renumber(state["post_processor"], new_id)
    options: dict[str, Any] = {name: getattr(tokenizer, name) for name in _TOKENIZER_OPTIONS}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        **tokenizer.special_tokens_map,
        **options,
    )


def _renumber(processor: Mapping[str, Any] | None, new_id: Mapping[int, int]) -> None:
    """Renumber the special tokens of a post-processor, of any of three kinds."""
    if processor is None:
        return
    for token in processor.get("special_tokens", {}).values():
        token["ids"] = [new_id[old] for old in token["ids"]]
    for name in ("sep", "cls"):
        if name in processor:
            processor[name][1] = new_id[processor[name][1]]
    for inner_processor in processor.get("processors", []):
        _renumber(inner_processor, new_id)


def _trim_embeddings(model: MultitaskModel, rows: torch.Tensor, new_id: Mapping[int, int]) -> None:
    """Keep the embeddings of the remaining pieces, in the same modules: they may be frozen."""
    weight = model.get_input_embeddings().weight
    weight.data = weight.data[rows.to(weight.device)]
    weight.grad = None
    for module in model.encoder.modules():  # some encoders look up one weight in several places
        if isinstance(module, nn.Embedding) and module.weight is weight:
            module.num_embeddings = len(rows)
            if module.padding_idx is not None:
                module.padding_idx = new_id[module.padding_idx]
