"""Names and what they stand for."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Registry(Generic[T]):
    """A dictionary that refuses a name twice and answers a misspelt one with the near ones.

    `fill` runs once, before the first look-up: it imports the modules that register the built-in values.
    """

    def __init__(self, noun: str, fill: Callable[[], object] = lambda: None) -> None:
        self.noun = noun
        self._fill: Callable[[], object] | None = fill
        self._values: dict[str, T] = {}

    def _filled(self) -> dict[str, T]:
        if self._fill is not None:
            fill, self._fill = self._fill, None  # cleared first: what `fill` imports registers here
            try:
                fill()
            except BaseException:
                self._fill = fill  # a registry that is not whole must not answer as if it were
                raise
        return self._values

    def register(self, name: str, value: T) -> T:
        """Keep `value` under `name` and return it; ValueError if the name is taken."""
        values = self._filled()
        if name in values:
            raise ValueError(f"A {self.noun} named {name!r} is registered already. Choose another name.")
        values[name] = value
        return value

    def __getitem__(self, name: str) -> T:
        values = self._filled()
        if name not in values:
            near = difflib.get_close_matches(str(name), values, n=3)
            hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise LookupError(f"No {self.noun} is named {name!r}.{hint} Known: {', '.join(sorted(values))}.")
        return values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._filled()

    def __iter__(self) -> Iterator[str]:
        return iter(self._filled())
