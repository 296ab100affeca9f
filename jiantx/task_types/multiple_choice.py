"""The right one of several choices that complete a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from jiantx.columns import Column, check_utf8, column_gold, column_text, column_value
from jiantx.metrics import Metric, accuracy
from jiantx.sources import DataError, Row
from jiantx.task import Example, Prediction, Task
from jiantx.tokenization import encode, grouped_features

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

    choice: int
    text: str
    probability: float
    probabilities: tuple[float, ...] = field(repr=False)

    @property
    def value(self) -> Any:
        return self.choice

    @property
    def confidence(self) -> Any:
        return self.probability


@final
@dataclass(frozen=True, kw_only=True)
class MultipleChoice(Task):
    """One of several choices.

    Each choice is encoded with the prompt, which is cut at its start if both are too long together.
    See `Task` for the other fields.

    Args:
        prompt: The column of the text before the choices.
        choices: The column of the choices, a list of texts.
        label: The column of the right choice: its number from 0 (an integer or digits), or its
            letter from A.
    """

    task_type: ClassVar[str] = "multiple_choice"
    scored_by: ClassVar[str] = "labels"
    output_column: ClassVar[str] = "lengths"
    prompt: Column = "prompt"
    choices: Column = "choices"
    label: Column = "label"
    metrics: tuple[Metric, ...] = (accuracy,)

    def example(self, row: Row, *, id: str, language: str) -> ChoiceExample:
        choices = column_value(row, self.choices)
        is_list = isinstance(choices, list | tuple)
        if not is_list or len(choices) < 2 or not all(isinstance(c, str) for c in choices):
            raise DataError(f"Expected a list of at least two choices, found {choices!r}.")
        if not all(choice.strip() for choice in choices):
            raise DataError(f"A choice is an empty text: {choices!r}.")
        return ChoiceExample(
            id=id,
            language=language,
            prompt=column_text(row, self.prompt),
            choices=tuple(map(check_utf8, choices)),
            label=_choice_index(column_gold(row, self.label), len(choices)),
        )

    def features(
        self, examples: Sequence[ChoiceExample], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, Sequence[Any]]:
        prompts: list[str] = []
        choices: list[str] = []
        for example in examples:
            prompts += [example.prompt] * len(example.choices)
            choices += example.choices
        encodings = iter(encode(tokenizer, prompts, choices, max_length=max_length, cut="start"))
        groups = [list(islice(encodings, len(example.choices))) for example in examples]
        labels = [[-100 if example.label is None else example.label] for example in examples]
        return {
            "example": range(len(examples)),
            **grouped_features(tokenizer, groups),
            "labels": labels,
        }

    def decode(
        self,
        outputs: Mapping[str, np.ndarray],
        features: datasets.Dataset,
        examples: Sequence[ChoiceExample],
    ) -> list[ChoicePrediction]:
        ends = np.cumsum([len(e.choices) for e in examples])[:-1]
        predictions = []
        scores_of_examples = np.split(outputs["scores"], ends)  # (choices,) each
        for example, scores in zip(examples, scores_of_examples, strict=True):
            odds = np.exp(scores - scores.max())
            best = int(scores.argmax())
            probabilities = (odds / odds.sum()).tolist()
            predictions.append(
                ChoicePrediction(
                    id=example.id,
                    language=example.language,
                    choice=best,
                    text=example.choices[best],
                    probability=probabilities[best],
                    probabilities=tuple(probabilities),
                )
            )
        return predictions

    def reference(self, example: ChoiceExample) -> int | None:
        return example.label


def _choice_index(label: Any, choices: int) -> int | None:
    """The index of the right choice, from its number or its letter; None without a label."""
    if label is None:
        return None
    text = str(label).strip().upper()
    index = -1
    if text.isdecimal() and len(text) < 9:
        index = int(text)
    elif len(text) == 1:
        index = ord(text) - ord("A")
    if isinstance(label, bool | float) or not 0 <= index < choices:
        last_letter = chr(ord("A") + choices - 1)
        raise DataError(
            f"The label is {label!r}; expected a choice's number, 0 to {choices - 1}, or its "
            f"letter, A to {last_letter}."
        )
    return index
