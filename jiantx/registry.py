"""Names and what they stand for."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Registry(Generic[T]):
    """A dictionary that refuses to replace a value and suggests similar names for an unknown one.

    Args:
        noun: What the values are, for error messages: "task".
    """

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self._values: dict[str, T] = {}

    def register(self, name: str, value: T) -> T:
        """Store `value` under `name` and return it.

        Args:
            name: The name to look the value up by.
            value: Any object.

        Raises:
            ValueError: The name is taken.
        """
        if name in self._values:
            raise ValueError(
                f"A {self.noun} named {name!r} is registered already. Choose another name."
            )
        self._values[name] = value
        return value

    def __getitem__(self, name: str) -> T:
        if name in self._values:
            return self._values[name]
        near = difflib.get_close_matches(str(name), self._values, n=3)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        names = ", ".join(sorted(self._values))
        raise LookupError(f"No {self.noun} is named {name!r}.{hint} Known: {names}.")

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)
