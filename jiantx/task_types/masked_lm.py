"""Words that were masked in a line of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from jiantx.columns import Column, column_text
from jiantx.metrics import Metrics, named
from jiantx.sampling import generator
from jiantx.sources import Row
from jiantx.task import Example, Prediction, Task
from jiantx.tokenization import check_mask_token, encode, sequence_features

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerBase


@named("accuracy")
def masked_accuracy(predictions: Sequence[Sequence[bool]], references: Sequence[Any]) -> float:
    """Share of masked pieces that were guessed, over all lines; reported as "accuracy".

    Args:
        predictions: (lines,) lists of hits and misses.
        references: (lines,) ignored.
    """
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

    token_ids: tuple[int, ...] = field(repr=False)
    correct: tuple[bool, ...]

    @property
    def value(self) -> Any:
        return self.correct


@final
@dataclass(frozen=True, kw_only=True)
class MaskedLM(Task):
    """Masked language modelling: some pieces are chosen; 80 % of them are masked, 10 % replaced.

    The choice is made with the batch, from the seed and the example's position in the run alone.
    See `Task` for the other fields.

    Args:
        text: The column of the text.
        mask_share: The share of the pieces that are chosen.
    """

    task_type: ClassVar[str] = "masked_lm"
    gold: ClassVar[str] = ""
    text: Column = "text"
    mask_share: float = 0.15
    language_exponent: float = 0.3
    metrics: Metrics = (masked_accuracy,)

    def example(self, row: Row, *, id: str, language: str) -> LineExample:
        return LineExample(id=id, language=language, text=column_text(row, self.text))

    def features(
        self, examples: Sequence[LineExample], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, Sequence[Any]]:
        check_mask_token(tokenizer)
        encodings = encode(tokenizer, [e.text for e in examples], max_length=max_length)
        return {"example": range(len(examples)), **sequence_features(tokenizer, encodings)}

    def augment(
        self,
        batch: dict[str, np.ndarray],
        tokenizer: PreTrainedTokenizerBase,
        keys: Sequence[tuple[int, ...]],
    ) -> dict[str, np.ndarray]:
        ids = batch["input_ids"]
        lengths = batch["lengths"]
        draws = np.concatenate(
            [generator("mask", *key).random((length, 2)) for key, length in zip(keys, lengths)]
        )
        special = np.isin(
            ids, [i for i in tokenizer.all_special_ids if i != tokenizer.unk_token_id]
        )
        chosen = (draws[:, 0] < self.mask_share) & ~special
        # the second draw decides: below 0.8 mask, below 0.9 another piece (the same number says
        # which
        # one), otherwise no change
        action = draws[:, 1]
        random_ids = ((action - 0.8) / 0.1 * len(tokenizer)).astype(np.int64)
        replaced = np.where(action < 0.9, random_ids, ids)
        masked = np.where(action < 0.8, tokenizer.mask_token_id, replaced)
        masked_positions = np.flatnonzero(chosen)
        counts = np.add.reduceat(chosen, np.cumsum(lengths) - lengths, dtype=np.int64)
        return {
            **batch,
            "input_ids": np.where(chosen, masked, ids),
            "masked_positions": masked_positions,
            "labels": ids[masked_positions],
            "counts": counts,
        }

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        features: datasets.Dataset,
        examples: Sequence[LineExample],
    ) -> list[MaskPrediction]:
        ends = np.cumsum(outputs["counts"])[:-1]
        guesses = np.split(outputs["token_ids"], ends)
        hits = np.split(outputs["correct"], ends)
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
