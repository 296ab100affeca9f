"""What a task makes of a row, and what a model predicts for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True)
class Example:
    """A row in its task type's form: text and gold. Gold is None where the row has none."""

    # The fields that hold the gold, or what follows from it.
    gold_fields: ClassVar[tuple[str, ...]] = ("label",)
    id: str
    language: str

    @property
    def inputs(self) -> dict[str, Any]:
        """What the model reads, by field: texts, words, spans; without the gold."""
        hidden = ("id", "language", *self.gold_fields)
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            name: value
            for name, value in values.items()
            if name not in hidden and value is not None and value != ()
        }


@dataclass(frozen=True, kw_only=True)
class Prediction(ABC):
    """One prediction.

    Subclasses define `value`, which metrics compare with the reference, and may define
    `confidence`: a probability or a score, None if the head gives none."""

    id: str
    language: str

    @property
    @abstractmethod
    def value(self) -> Any:
        """What metrics compare with the reference."""

    @property
    def confidence(self) -> Any:
        """A probability or a score, or one of each word; None if the head gives none."""
        return None
