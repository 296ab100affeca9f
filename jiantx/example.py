"""What a task makes of a row, and what a model predicts for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Example:
    """A row in its task type's form: text and gold. Gold is None where the row has none."""

    id: str
    language: str


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
        """A probability or a score; None if the head gives none."""
        return None
