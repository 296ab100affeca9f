"""Rows as functions see them: column functions and `where`. A failure names the function.

One view for all of them: classes are names, never numbers, and None where there is no label. A text
that is compared with a number that it spells, or a class name with any number, is an error, since
the two are never equal.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import reprlib
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from numbers import Number
from types import FunctionType
from typing import Any

from jiantx.registry import near_names
from jiantx.sources.base import DataError, Row


class MissingColumn(DataError, KeyError):
    """A row lacks a column.

    Args:
        column: The column.
        columns: Those that the row has.
        asked_by: Who asks for it, where a function does.
    """

    def __init__(self, column: Any, columns: Iterable[str], asked_by: str = "") -> None:
        super().__init__(column)
        self.column = column
        self.columns = tuple(columns)
        self.asked_by = asked_by

    def __str__(self) -> str:
        asked_by = f" (asked for by {self.asked_by})" if self.asked_by else ""
        columns = ", ".join(self.columns)
        near = near_names(self.column, self.columns)
        return f"The row has no column {self.column!r}{asked_by}. It has: {columns}.{near}"

    def __reduce__(self) -> tuple[Any, ...]:
        return MissingColumn, (self.column, self.columns, self.asked_by)


class ColumnText(str):
    """A text of a row. Compared with a number that it spells, it raises DataError."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        self._check_comparison(other)
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        self._check_comparison(other)
        return str.__ne__(self, other)

    def _check_comparison(self, other: object) -> None:
        if isinstance(other, Number) and _spells(self, other):
            raise DataError(
                f"It compares the text {str(self)!r} with {other!r}, and a text never equals a "
                f"number. Compare it with {str(self)!r}, or convert it: `int(row[…])`."
            )


class ClassName(ColumnText):
    """The name of a class. Compared with a number, it raises DataError; with no class, it warns."""

    names: tuple[str, ...]  # of all classes of the column
    looked_up: ClassName | None = None  # the last that was looked up in a set or dictionary

    def __hash__(self) -> int:
        ClassName.looked_up = self
        return str.__hash__(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str(self),)

    def __bool__(self) -> bool:
        warnings.warn(
            f"A function of the row tests whether the class {str(self)!r} is true. A class is a "
            f"name, so it is always true. Compare it with one of: {', '.join(self.names)}. A "
            "missing label is None.",
            stacklevel=2,
        )
        return True

    def _check_comparison(self, other: object) -> None:
        if isinstance(other, Number):
            raise DataError(
                f"It compares the class {str(self)!r} with {other!r}. Functions of a row see the "
                f"names of classes, in any data set: {', '.join(self.names)}; None where there is "
                "no label (-1). Compare with these."
            )
        is_name = isinstance(other, ClassName) or other in (*self.names, "")
        if isinstance(other, str) and not is_name:
            warnings.warn(
                f"A function of the row compares the class {str(self)!r} with {other!r}, which "
                f"is not one of the classes: {', '.join(self.names)}."
                f"{near_names(other, self.names)}",
                stacklevel=3,
            )


def class_values(names: tuple[str, ...]) -> dict[str, ClassName]:
    """The name of each class -> the value that stands for it in rows."""
    values = {}
    for name in names:
        value = ClassName(name)
        value.names = names
        values[name] = value
    return values


def _spells(text: str, number: Any) -> bool:
    try:
        return bool(float(text) == number)
    except ValueError:
        return text.strip().lower() == str(number).lower()


class Undecoded:
    """A value that is decoded when a function asks for it: an image, a sound."""

    def __init__(self, decode: Callable[[], Any]) -> None:
        self.decode = decode

    def __repr__(self) -> str:
        return "<not decoded>"


class FunctionRow(dict[str, Any]):
    """A row as a function sees it."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        super().__init__(zip(row, map(function_value, row.values())))

    def __missing__(self, column: str) -> Any:
        raise MissingColumn(column, self)

    def __getitem__(self, column: str) -> Any:
        value = super().__getitem__(column)
        return value.decode() if isinstance(value, Undecoded) else value

    def get(self, column: str, default: Any = None) -> Any:
        return self[column] if super().__contains__(column) else default


def function_value(value: Any) -> Any:
    """A value of a row as functions see it."""
    return ColumnText(value) if type(value) is str else value


_PLAIN_TYPES = frozenset((str, int, float, bool, type(None)))


def plain(value: Any) -> Any:
    """A function's result, or a row's value, with texts as plain `str`, inside collections too."""
    if isinstance(value, ColumnText):
        return str(value)
    if type(value) in (list, tuple, set, frozenset):
        if _PLAIN_TYPES.issuperset(map(type, value)):  # words, tags: not looked at one by one
            return value
        return type(value)(map(plain, value))
    if type(value) is dict:
        return {plain(key): plain(item) for key, item in value.items()}
    return value


def call_on_row(function: Callable[..., Any], row: Row, *arguments: Any, role: str) -> Any:
    """Call a function of a row.

    Args:
        function: A column function, or `where`.
        row: A row as `iter_rows` gives it, or as somebody wrote it.
        arguments: Further arguments of the function.
        role: What the function is, for errors.

    Returns:
        Its result, with texts as plain `str`.

    Raises:
        MissingColumn: The function asks for a column that the row lacks.
        DataError: The function fails; names it, its error, and what the row holds.
    """
    return plain(_call(function, row, *arguments, role=role))


def keeps(where: Callable[[Any, str], Any], row: Mapping[str, Any], language: str) -> bool:
    """Whether a source's `where` keeps a row.

    Args:
        where: A function (row, language).
        row: A row as stored, or a view of it.
        language: Its language.

    Raises:
        DataError: The function fails, or returns a class.
    """
    result = _call(where, row, language, role="`where`")
    if isinstance(result, ClassName):
        raise DataError(
            f"`where` returned the class {str(result)!r}; expected True or False. Classes are "
            f"names, not numbers: compare with one of {', '.join(result.names)}."
        )
    return bool(result)


def _call(function: Callable[..., Any], row: Mapping[str, Any], *arguments: Any, role: str) -> Any:
    ClassName.looked_up = None
    try:
        result = function(FunctionRow(row) if type(row) is dict else row, *arguments)
    except MissingColumn as error:
        raise MissingColumn(error.column, error.columns, role) from None
    except Exception as error:
        kind = "" if isinstance(error, DataError) else f"{type(error).__name__}: "
        reason = f"{kind}{error}".rstrip(".")
        if isinstance(error, TypeError) and "positional argument" in str(error):
            reason += f". It is called with {'(row, language)' if arguments else '(row)'}"
        raise DataError(f"{role} failed. {reason}. The row holds {describe_row(row)}.") from error
    name = ClassName.looked_up
    if name is not None and inspect.isfunction(function) and _holds_numbers(function):
        warnings.warn(
            f"{role} looks up the class {str(name)!r}, and has a set or a dictionary of numbers. "
            f"Classes are names: {', '.join(name.names)}. Look up these.",
            stacklevel=3,
        )
    return result


@functools.lru_cache(maxsize=64)
def _holds_numbers(function: FunctionType) -> bool:
    """Whether a function uses a set of numbers, or a dictionary whose keys are numbers."""
    values = [value for value in function.__code__.co_consts if isinstance(value, frozenset)]
    values += function.__defaults__ or ()
    with suppress(ValueError):  # a variable without a value
        variables = inspect.getclosurevars(function)
        values += [*variables.nonlocals.values(), *variables.globals.values()]
    for value in values:
        is_collection = isinstance(value, dict | set | frozenset) and bool(value)
        if is_collection and all(isinstance(key, Number) for key in value):
            return True
    return False


def describe_row(row: Mapping[str, Any]) -> str:
    """The columns of a row and what they hold, shortened; of a view, those that were read."""
    row = getattr(row, "columns_read", row)
    short = reprlib.Repr()
    short.maxstring = short.maxother = 40
    columns = [f"{name}: {short.repr(plain(row[name]))}" for name in itertools.islice(row, 12)]
    return ", ".join(columns)


def function_name(function: Callable[..., Any]) -> str:
    """What errors call a function."""
    return getattr(function, "__name__", type(function).__name__)
