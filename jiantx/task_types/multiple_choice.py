"""The right one of several choices that complete a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from jiantx.columns import Column, check_utf8, column_gold, column_text, column_value
from jiantx.metrics import Answer, Answers, Metrics, accuracy, check_metrics
from jiantx.sources import DataError, Row
from jiantx.task import Example, Prediction, Task
from jiantx.task_types.choice_sequences import choice_features

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class ChoiceExample(Example):
    """A prompt, its choices, and the number of the right one.

    Args:
        prompt: The text before the choices.
        choices: The texts that are encoded, one for each choice.
        label: The index of the right choice; of the first one if several are right.
        texts: The texts that are scored, one for each choice; empty if indices are scored.
        right_texts: Those of `texts` that are right.
    """

    gold_fields: ClassVar[tuple[str, ...]] = ("label", "right_texts")
    prompt: str
    choices: tuple[str, ...]
    label: int | None = None
    texts: tuple[str, ...] = ()
    right_texts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ChoicePrediction(Prediction):
    """The chosen text, its number and its probability among the choices.

    `probabilities` is text -> probability, in the order of the choices; equal texts share one.
    `choice_probabilities` has one for each choice.
    """

    choice: int
    text: str
    probability: float
    choice_probabilities: tuple[float, ...] = field(repr=False)
    probabilities: Mapping[str, float] = field(repr=False)
    is_scored_by_text: bool = field(default=False, repr=False)

    @property
    def value(self) -> Any:
        return Answer(self.text) if self.is_scored_by_text else self.choice

    @property
    def confidence(self) -> Any:
        return self.probability

    def __str__(self) -> str:
        return f"{self.text} ({self.probability:.2f})"


@final
@dataclass(frozen=True, kw_only=True)
class MultipleChoice(Task):
    """One of several choices, of which an example may have any number.

    Each choice is encoded with the prompt, which is cut at its start if both are too long together.
    If several choices are right, training maximises the sum of their probabilities. See `Task` for
    the other fields.

    Args:
        prompt: The column of the text before the choices.
        choices: The column of the choices, a list of texts.
        label: The column of the right choice: its number (an integer or digits), or its letter from
            A. With `scored_texts`, the right text or a list of them.
        labels_from: The number of the first choice.
        scored_texts: The column of the texts that stand for the choices in scores, a list in the
            order of the choices. Metrics are then those of answers. An example may have one choice.
    """

    task_type: ClassVar[str] = "multiple_choice"
    output_column: ClassVar[str] = "lengths"
    lowest: ClassVar[Mapping[str, int]] = {"labels_from": 0}
    prompt: Column = "prompt"
    choices: Column = "choices"
    label: Column = "label"
    labels_from: int = 0
    scored_texts: Column | None = None
    metrics: Metrics = (accuracy,)

    def __post_init__(self) -> None:
        super().__post_init__()
        scored_by = "labels" if self.scored_texts is None else "answers"
        check_metrics(self.name, self.metrics, self.main_metrics, scored_by)

    def example(self, row: Row, *, id: str, language: str) -> ChoiceExample:
        at_least = 2 if self.scored_texts is None else 1
        choices = _texts(row, self.choices, "choice", at_least)
        prompt = column_text(row, self.prompt)
        gold = column_gold(row, self.label)
        if self.scored_texts is None:
            label = _choice_index(gold, len(choices), self.labels_from)
            return ChoiceExample(
                id=id, language=language, prompt=prompt, choices=choices, label=label
            )
        texts = _texts(row, self.scored_texts, "scored text", 1)
        if len(texts) != len(choices):
            raise DataError(
                f"{len(choices)} choices have {len(texts)} scored texts; expected one text per "
                "choice."
            )
        right_texts = _right_texts(gold, texts)
        return ChoiceExample(
            id=id,
            language=language,
            prompt=prompt,
            choices=choices,
            label=texts.index(right_texts[0]) if right_texts else None,
            texts=texts,
            right_texts=right_texts,
        )

    def features(
        self, examples: Sequence[ChoiceExample], tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> dict[str, Sequence[Any]]:
        groups = [(example.prompt, example.choices) for example in examples]
        labels = [[-100 if example.label is None else example.label] for example in examples]
        columns: dict[str, Sequence[Any]] = {
            "example": range(len(examples)),
            **choice_features(tokenizer, groups, max_length),
            "labels": labels,
        }
        if self.scored_texts is not None:  # `labels` counts the items; several may be right
            columns["targets"] = [_is_right(example) for example in examples]
        return columns

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
            texts = example.texts or example.choices
            by_text = dict.fromkeys(texts, 0.0)
            for text, probability in zip(texts, probabilities, strict=True):
                by_text[text] += probability
            predictions.append(
                ChoicePrediction(
                    id=example.id,
                    language=example.language,
                    choice=best,
                    text=texts[best],
                    probability=probabilities[best],
                    choice_probabilities=tuple(probabilities),
                    probabilities=by_text,
                    is_scored_by_text=self.scored_texts is not None,
                )
            )
        return predictions

    def reference(self, example: ChoiceExample) -> int | Answers | None:
        if self.scored_texts is None or not example.right_texts:
            return example.label
        return Answers(example.right_texts, example.language)

    def _check_label_names(self, rows: datasets.Dataset, split: str, language: str) -> None:
        """Class names are numbers or letters of choices, which are checked row by row."""


def _texts(row: Row, column: Column, noun: str, at_least: int) -> tuple[str, ...]:
    """A column of texts that are not blank.

    Raises:
        DataError: It is no list of texts, one is blank, or there are too few.
    """
    texts = column_value(row, column)
    is_list = isinstance(texts, list | tuple)
    if not is_list or len(texts) < at_least or not all(isinstance(text, str) for text in texts):
        count = "two choices" if at_least == 2 else f"one {noun}"
        raise DataError(f"Expected a list of at least {count}, found {texts!r}.")
    if not all(text.strip() for text in texts):
        raise DataError(f"A {noun} is an empty text: {texts!r}.")
    return tuple(map(check_utf8, texts))


def _right_texts(gold: Any, texts: tuple[str, ...]) -> tuple[str, ...]:
    """The right texts, each once and in the order of the choices; empty without gold.

    Raises:
        DataError: One of them is no text, or none of `texts`.
    """
    if gold is None:
        return ()
    right_texts = (gold,) if isinstance(gold, str) else gold
    if not isinstance(right_texts, list | tuple):
        raise DataError(f"The label is {gold!r}; expected the right text or a list of them.")
    for text in right_texts:
        if text not in texts:
            raise DataError(f"The right text {text!r} is not one of the choices {list(texts)}.")
    return tuple(text for text in dict.fromkeys(texts) if text in right_texts)


def _choice_index(label: Any, choices: int, first: int) -> int | None:
    """The index of the right choice, from its number or its letter; None without a label.

    Args:
        label: What the row holds.
        choices: How many there are.
        first: The number of the first one.
    """
    if label is None:
        return None
    text = str(label).strip().upper()
    index = -1
    if text.isdecimal() and len(text) < 9:
        index = int(text) - first
    elif len(text) == 1:
        index = ord(text) - ord("A")
    if isinstance(label, bool | float) or not 0 <= index < choices:
        last_letter = chr(ord("A") + choices - 1)
        raise DataError(
            f"The label is {label!r}; expected a choice's number, {first} to {first + choices - 1},"
            f" or its letter, A to {last_letter}."
        )
    return index


def _is_right(example: ChoiceExample) -> list[float]:
    """(choices,) 1 where the choice's text is right, else 0."""
    return [float(text in example.right_texts) for text in example.texts]
