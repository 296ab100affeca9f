"""Vectors of texts, as the retrieval head computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from transformers.utils import logging

from jiantx.columns import check_utf8
from jiantx.features import encode_examples
from jiantx.fields import check_choice, check_count
from jiantx.inference import head_in_place, run_model, task_of, tokenizer_of
from jiantx.metrics import accuracy_at_1
from jiantx.model import MultitaskModel
from jiantx.model.new_heads import with_new_heads
from jiantx.sources import DataError, Rows
from jiantx.task_types import Retrieval
from jiantx.tasks import TaskOrName

logger = logging.get_logger("jiantx.sentence_vectors")

_UNREAD = ("query", "candidate", "corpus", "grades", "negatives")  # of a task whose head is run


def encode(
    model: MultitaskModel,
    texts: Sequence[str],
    task: TaskOrName | None = None,
    *,
    prefix: str = "",
    layer: int | None = None,
    pooling: Literal["mean", "cls", "last"] | None = None,
    normalize: bool | None = None,
    batch_size: int = 32,
    max_length: int | None = None,
    dtype: torch.dtype | None = None,
    progress: bool = True,
) -> npt.NDArray[np.float32]:
    """Compute a vector for each text.

    The texts run without padding, those of similar length together. With a task, the vectors are
    those that its head compares. On several ranks each computes a share, and all return all.

    Args:
        model: Any; with `task`, one that has its head.
        texts: A list of texts.
        task: A retrieval task or its name, whose head, layer, pooling, length and normalisation are
            taken. None: the mean over the tokens of the last layer, of length 1.
        prefix: Put before each text, such as "query: ". A task's own prefixes are not added.
        layer: The hidden state that is read instead; 0 is the embeddings.
        pooling: How it is pooled instead: "mean" over the tokens, the first ("cls") or the "last".
        normalize: Whether vectors are divided by their length, if otherwise than the task says.
        batch_size: Texts of a batch.
        max_length: Tokens of a text; the task's own if None, or 512.
        dtype: `torch.bfloat16` or `torch.float16` computes in half precision.
        progress: Show a progress bar, after a second.

    Returns:
        (texts, hidden) in float32, in the order of the texts.

    Raises:
        DataError: A text is blank, or no text; names its index.
        ValueError: The task is no retrieval task, or the encoder lacks the layer.

    >>> encode(model, ["Guten Tag.", "Habari."], prefix="query: ").shape  # doctest: +SKIP
    (2, 384)
    """
    check_count("batch_size", batch_size)
    _check_texts(texts)
    if pooling is not None:
        check_choice("encode: pooling", pooling, ("mean", "cls", "last"))
    run_task = _task_to_run(model, task, layer=layer, pooling=pooling, normalize=normalize)
    if not len(texts):
        return np.zeros((0, model.encoder.config.hidden_size), dtype=np.float32)
    was_training = model.training
    run_with = with_new_heads(model, [run_task]) if task is None else model
    examples = []
    for index, text in enumerate(texts):
        row = {"candidate": prefix + text}
        examples.append(run_task.example(row, id=str(index), language="en"))
    table = encode_examples(run_task, examples, tokenizer_of(model), max_length)
    cut = int(np.sum(table.with_format("numpy")["truncated"][:]))
    if cut:
        length = max_length or run_task.max_length
        logger.warning(f"{cut:,} of {len(texts):,} texts were cut off (max_length {length}).")
    model.check_token_ids(run_task, tokenizer_of(model), table)
    tables = [("texts", table)]
    title = f"encoding {len(texts):,} texts"
    head = run_with.head_of(run_task)
    if layer is not None and head.layer_mix is not None:
        raise ValueError(
            f"encode(layer={layer}): the head of task {run_task.head_name} reads a mix."
        )
    with head_in_place(run_with, run_task.head_name, head):
        _, outputs = run_model(
            run_with, run_task, tables, batch_size, None, title, dtype, progress=progress
        )
    model.train(was_training)  # the encoder is shared
    vectors: npt.NDArray[np.float32] = outputs["embeddings"].float().numpy()
    return vectors


def _task_to_run(model: MultitaskModel, task: TaskOrName | None, **changes: object) -> Retrieval:
    """A task whose only texts are candidates, with what is to be otherwise than in the given one.

    Args:
        model: Its own tasks may be named.
        task: A retrieval task, its name, or None.
        changes: Field -> value; None: as the task says.
    """
    overrides = {name: value for name, value in changes.items() if value is not None}
    if task is None:
        resolved: object = Retrieval(name="encoded_texts", source=Rows({}))
    else:
        resolved = task_of(model, task, _UNREAD)
    if not isinstance(resolved, Retrieval):
        raise ValueError(
            f"encode(task=…) takes a retrieval task, whose head computes vectors; {task!r:.100} is "
            "something else. Leave it out for the mean of the last layer."
        )
    return resolved.replace(
        head=resolved.head_name,
        source=Rows({}),
        query=None,
        candidate="candidate",
        corpus=None,
        grades=None,
        negatives=None,
        mining=False,
        metrics=(accuracy_at_1,),
        main_metrics=(),
        query_prefix="",
        candidate_prefix="",
        center=False,
        **overrides,
    )


def _check_texts(texts: Sequence[str]) -> None:
    """Refuse one text, which is a sequence of letters, and what is no text."""
    if isinstance(texts, str):
        raise DataError("encode takes a list of texts, and found one text. Write [text].")
    if isinstance(texts, Mapping | Set) or hasattr(texts, "columns"):
        raise DataError(
            f"encode takes a list of texts, and found {type(texts).__name__}, which is read by its "
            'keys or columns, or in any order. Write list(texts.values()), or frame["text"].'
        )
    for index, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"Text {index} is {text!r:.100}; expected a text that is not blank.")
        check_utf8(text)
