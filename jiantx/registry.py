"""Names and what they stand for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Generic, TypeVar

from jiantx.fingerprints import fingerprint_text

T = TypeVar("T")


def near_names(name: object, known: Iterable[str]) -> str:
    """The end of a message about an unknown name; empty if no known one is similar.

    Args:
        name: The unknown name.
        known: The names that it might have been.

    >>> near_names("validaton", ["train", "validation", "test"])
    " Did you mean 'validation'?"
    """
    near = difflib.get_close_matches(str(name), list(known), n=3)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


class Registry(Generic[T]):
    """A dictionary that replaces a value by another only if asked to.

    It suggests similar names for an unknown one.

    Args:
        noun: What the values are, for error messages: "task".
        advice: What to do about an unknown name; if empty, messages list all names.
    """

    def __init__(self, noun: str, advice: str = "") -> None:
        self.noun = noun
        self.advice = advice
        self._values: dict[str, T] = {}

    def register(self, name: str, value: T, *, overwrite: bool = False) -> T:
        """Store `value` under `name` and return it.

        Args:
            name: The name to look the value up by.
            value: Any object.
            overwrite: Replace another value of that name.

        Raises:
            ValueError: The name stands for another value, and `overwrite` is false. Equal values
                replace each other, as when a cell of a notebook runs again.
        """
        if name in self._values and not overwrite and not declares_same(self._values[name], value):
            changes = _changed_fields(self._values[name], value)
            differs = f", with other {', '.join(changes)}" if changes else ""
            raise ValueError(
                f"A {self.noun} named {name!r} is registered already{differs}. "
                "Choose another name, or replace it with overwrite=True."
            )
        self._values[name] = value
        return value

    def __getitem__(self, name: str) -> T:
        if name in self._values:
            return self._values[name]
        hint = near_names(name, self._values)
        advice = self.advice or f"Known: {', '.join(sorted(self._values))}."
        raise LookupError(f"No {self.noun} is named {name!r}.{hint} {advice}")

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)


def declares_same(one: Any, other: Any) -> bool:
    """Whether two declared values are equal; functions and classes are if their code is.

    Code is equal if its text is, and the constants, helpers and closures that it uses.

    Args:
        one: A task, a source, a column function, or any other value.
        other: What it is compared with.

    >>> declares_same((1, lambda row: row["text"]), (1, lambda row: row["label"]))
    False
    """
    if one is other:
        return True
    if is_dataclass(one) and not isinstance(one, type):
        is_same_class = declares_same(type(one), type(other))
        return is_same_class and not _changed_fields(one, other)
    if callable(one) and callable(other):
        return fingerprint_text(one) == fingerprint_text(other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return list(one) == list(other) and all(declares_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(declares_same, one, other))
    return type(one) is type(other) and _equals(one, other)


def _changed_fields(one: Any, other: Any) -> list[str]:
    """The names of a dataclass's fields that another one has otherwise, or lacks."""
    if not is_dataclass(one) or not is_dataclass(other):
        return []
    missing = object()
    return [
        field.name
        for field in fields(one)
        if not declares_same(getattr(one, field.name), getattr(other, field.name, missing))
    ]


def _equals(one: Any, other: Any) -> bool:
    """`==`, and `equals` of tables: data sets, frames, arrays."""
    if hasattr(one, "with_format"):  # a `datasets.Dataset`
        is_same_kind = one.features == other.features
        return is_same_kind and _equals(one.with_format("arrow")[:], other.with_format("arrow")[:])
    if hasattr(one, "equals"):
        return bool(one.equals(other))
    try:
        return bool(one == other)
    except (TypeError, ValueError):  # an array's `==` is an array
        return False
