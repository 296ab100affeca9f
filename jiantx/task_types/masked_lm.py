"""Words that were masked in a line of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from jiantx.metrics import Metric, named
from jiantx.sampling import generator
from jiantx.sources import DataError, Row
from jiantx.task import Column, Example, Prediction, Task, column_text
from jiantx.tokenization import encode, sequence_features

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerBase


@named("accuracy")
def masked_accuracy(predictions: Sequence[Sequence[bool]], references: Sequence[Any]) -> float:
    """Share of masked pieces that were guessed, in %, over all lines; predictions are hits and misses."""
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} predictions for {len(references)} references.")
    pieces = sum(map(len, predictions))
    return 100.0 * sum(map(sum, predictions)) / pieces if pieces else float("nan")


@dataclass(frozen=True, kw_only=True)
class LineExample(Example):
    """A line of text."""

    text: str


@dataclass(frozen=True, kw_only=True)
class MaskPrediction(Prediction):
    """Whether each masked piece was guessed, and the guesses' token ids."""

    says: ClassVar[str] = "correct"
    token_ids: tuple[int, ...] = field(repr=False)
    correct: tuple[bool, ...]


@final
@dataclass(frozen=True, kw_only=True)
class MaskedLM(Task):
    """Masked language modelling: `mask_share` of the pieces are chosen; of these 80 % are masked, 10 % replaced.

    The choice is made when a batch is made, from the seed and the example's place in the run alone.
    """

    task_type: ClassVar[str] = "masked_lm"
    gold: ClassVar[str] = ""
    text: Column = "text"
    mask_share: float = 0.15
    language_exponent: float = 0.3
    metrics: tuple[Metric, ...] = (masked_accuracy,)

    def example(self, row: Row, *, id: str, language: str) -> LineExample:
        return LineExample(id=id, language=language, text=column_text(row, self.text))

    def features(
        self, examples: Sequence[LineExample], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, Sequence[Any]]:
        if tokenizer.mask_token_id is None:
            raise DataError(
                f"{type(tokenizer).__name__} has no mask token. Masked LM needs one: use another encoder."
            )
        encodings = encode(tokenizer, [e.text for e in examples], max_length=max_length)
        return {"example": range(len(examples)), **sequence_features(tokenizer, encodings)}

    def augment(
        self,
        batch: dict[str, np.ndarray],
        tokenizer: PreTrainedTokenizerBase,
        keys: Sequence[tuple[int, ...]],
    ) -> dict[str, np.ndarray]:
        ids, lengths = batch["input_ids"], batch["lengths"]
        draws = np.concatenate(
            [generator("mask", *key).random((length, 2)) for key, length in zip(keys, lengths)]
        )
        special = np.isin(
            ids, [i for i in tokenizer.all_special_ids if i != tokenizer.unk_token_id]
        )
        chosen = (draws[:, 0] < self.mask_share) & ~special
        # the second draw decides between mask (80 %), another piece (10 %, which one by the same number) and as it is
        fate = draws[:, 1]
        other = ((fate - 0.8) / 0.1 * len(tokenizer)).astype(np.int64)
        masked = np.where(fate < 0.8, tokenizer.mask_token_id, np.where(fate < 0.9, other, ids))
        places = np.flatnonzero(chosen)
        counts = np.add.reduceat(chosen, np.cumsum(lengths) - lengths, dtype=np.int64)
        return {
            **batch,
            "input_ids": np.where(chosen, masked, ids),
            "masked_positions": places,
            "labels": ids[places],
            "counts": counts,
        }

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        features: datasets.Dataset,
        examples: Sequence[LineExample],
    ) -> list[MaskPrediction]:
        ends = np.cumsum(outputs["counts"])[:-1]
        guesses, hits = np.split(outputs["token_ids"], ends), np.split(outputs["correct"], ends)
        return [
            MaskPrediction(
                id=e.id,
                language=e.language,
                token_ids=tuple(g.tolist()),
                correct=tuple(h.astype(bool).tolist()),
            )
            for e, g, h in zip(examples, guesses, hits, strict=True)
        ]

    def reference(self, example: LineExample) -> tuple[bool, ...]:
        return (
            True,
        )  # which pieces are masked is not known before the batch; gold is to guess all of them
