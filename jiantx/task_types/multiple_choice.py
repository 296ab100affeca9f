"""The right one of several choices that complete a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from jiantx.metrics import Metric, accuracy
from jiantx.sources import DataError, Row
from jiantx.task import (
    Column,
    Example,
    Prediction,
    Task,
    check_utf8,
    column_gold,
    column_text,
    column_value,
)
from jiantx.tokenization import encode, has_segments

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class ChoiceExample(Example):
    """A prompt, its choices, and the number of the right one."""

    prompt: str
    choices: tuple[str, ...]
    label: int | None = None


@dataclass(frozen=True, kw_only=True)
class ChoicePrediction(Prediction):
    """The chosen text, its number and its probability among the choices."""

    says: ClassVar[str] = "choice"
    sure: ClassVar[str] = "probability"
    choice: int
    text: str
    probability: float
    probabilities: tuple[float, ...] = field(repr=False)


@final
@dataclass(frozen=True, kw_only=True)
class MultipleChoice(Task):
    """One of several choices. Each is encoded with the prompt, which is cut at its start where both are too long.

    `label` is the number of the right choice from 0 (an integer or its digits), or its letter from A.
    """

    task_type: ClassVar[str] = "multiple_choice"
    output_column: ClassVar[str] = "lengths"
    prompt: Column = "prompt"
    choices: Column = "choices"
    label: Column = "label"
    metrics: tuple[Metric, ...] = (accuracy,)

    def example(self, row: Row, *, id: str, language: str) -> ChoiceExample:
        choices = column_value(row, self.choices)
        if (
            not isinstance(choices, list | tuple)
            or len(choices) < 2
            or not all(isinstance(c, str) for c in choices)
        ):
            raise DataError(f"Expected a list of at least two choices, found {choices!r}.")
        if not all(choice.strip() for choice in choices):
            raise DataError(f"A choice is an empty text: {choices!r}.")
        return ChoiceExample(
            id=id,
            language=language,
            prompt=column_text(row, self.prompt),
            choices=tuple(map(check_utf8, choices)),
            label=_number(column_gold(row, self.label), len(choices)),
        )

    def features(
        self, examples: Sequence[ChoiceExample], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, Sequence[Any]]:
        prompts, choices = zip(*((e.prompt, choice) for e in examples for choice in e.choices))
        encodings = encode(tokenizer, prompts, choices, max_length=max_length, cut="start")
        ends = np.cumsum([len(e.choices) for e in examples]).tolist()
        groups = [encodings[start:end] for start, end in zip([0, *ends], ends)]
        found: dict[str, Sequence[Any]] = {
            "example": range(len(examples)),
            "input_ids": [list(chain.from_iterable(e.ids for e in group)) for group in groups],
            "lengths": [[len(e) for e in group] for group in groups],
            "truncated": [int(any(e.overflowing for e in group)) for group in groups],
            "labels": [[e.label if e.label is not None else -100] for e in examples],
        }
        if has_segments(tokenizer):
            found["token_type_ids"] = [
                list(chain.from_iterable(e.type_ids for e in group)) for group in groups
            ]
        return found

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        features: datasets.Dataset,
        examples: Sequence[ChoiceExample],
    ) -> list[ChoicePrediction]:
        ends = np.cumsum([len(e.choices) for e in examples])[:-1]
        found = []
        for example, scores in zip(
            examples, np.split(outputs["scores"], ends), strict=True
        ):  # (choices,)
            odds = np.exp(scores - scores.max())
            best = int(scores.argmax())
            probabilities = (odds / odds.sum()).tolist()
            found.append(
                ChoicePrediction(
                    id=example.id,
                    language=example.language,
                    choice=best,
                    text=example.choices[best],
                    probability=probabilities[best],
                    probabilities=tuple(probabilities),
                )
            )
        return found

    def reference(self, example: ChoiceExample) -> int | None:
        return example.label


def _number(label: Any, choices: int) -> int | None:
    if label is None:
        return None
    text = str(label).strip().upper()
    digits = text.isdecimal() and len(text) < 9
    number = int(text) if digits else ord(text) - ord("A") if len(text) == 1 else -1
    if isinstance(label, bool | float) or not 0 <= number < choices:
        raise DataError(
            f"The label is {label!r}; expected a choice's number, 0 to {choices - 1}, or its letter, A to "
            f"{chr(ord('A') + choices - 1)}."
        )
    return number
