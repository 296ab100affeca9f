"""Names: not given to two values, suggested when misspelt."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

import jiantx as jx
from jiantx.registry import Registry, declares_same


def numbers() -> Registry[int]:
    registry: Registry[int] = Registry("number")
    for name, value in {"one": 1, "two": 2, "twelve": 12, "seven": 7}.items():
        registry.register(name, value)
    return registry


def test_register_gives_its_value_back() -> None:
    registry = numbers()
    value = object()
    things: Registry[object] = Registry("thing")
    assert things.register("x", value) is value
    assert registry["two"] == 2 and "two" in registry and "three" not in registry
    assert list(registry) == ["one", "two", "twelve", "seven"]


def test_name_twice_is_refused_and_the_first_stays() -> None:
    registry = numbers()
    with pytest.raises(
        ValueError,
        match=r"^A number named 'one' is registered already\. "
        r"Choose another name, or replace it with overwrite=True\.$",
    ):
        registry.register("one", 11)
    assert registry["one"] == 1
    assert registry.register("one", 11, overwrite=True) == 11 == registry["one"]


def test_an_equal_value_replaces_the_first() -> None:
    registry = numbers()
    assert registry.register("one", 1) == 1


def function(text: str, **names: Any) -> Any:
    """A function out of its text, as a cell of a notebook makes it anew."""
    exec(text, names)
    return names["f"]


LABEL = "def f(row): return NAMES[row['label']]"
RATE = "f = lambda row: row['rate'] > 3"


def frame(*values: int) -> Any:
    return Dataset.from_dict({"a": list(values)}).to_pandas()


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        (1, 1, 2),
        (1, 1, 1.0),
        (("a", ["b"]), ("a", ["b"]), ("a", ["c"])),
        ({"a": 1}, {"a": 1}, {"a": 2}),
        ({"a": 1, "b": 2}, {"a": 1, "b": 2}, {"b": 2, "a": 1}),  # the order of languages counts
        (function(RATE), function(RATE), function(RATE.replace("3", "4"))),
        (function(LABEL, NAMES="ab"), function(LABEL, NAMES="ab"), function(LABEL, NAMES="ba")),
        (np.arange(1), np.arange(1), np.arange(1) + 1),
        (
            Dataset.from_dict({"a": [1]}),
            Dataset.from_dict({"a": [1]}),
            Dataset.from_dict({"a": [2]}),
        ),
        (frame(1), frame(1), frame(2)),
    ],
)
def test_what_is_equal(one: Any, same: Any, other: Any) -> None:
    assert declares_same(one, one) and declares_same(one, same)
    assert not declares_same(one, other) and not declares_same(other, one)


def test_rows_are_equal_by_content_and_not_by_number() -> None:
    def rows(label: str) -> jx.Rows:
        return jx.Rows({"train": [{"text": "a", "label": label}]})

    assert declares_same(rows("x"), rows("x")) and not declares_same(rows("x"), rows("y"))


@pytest.mark.parametrize(
    ("misspelt", "near"), [("sevn", ["seven"]), ("twelfe", ["twelve"]), ("tow", ["two"])]
)
def test_near_names_are_suggested(misspelt: str, near: list[str]) -> None:
    with pytest.raises(
        LookupError, match=rf"^No number is named '{misspelt}'\. Did you mean "
    ) as caught:
        numbers()[misspelt]
    hint = str(caught.value).split("Did you mean")[1].split("?")[0]
    assert set(near) <= set(re.findall(r"'(\w+)'", hint))


@pytest.mark.parametrize("name", ["zzz", 3])
def test_message_is_a_sentence_that_lists_the_known(name: object) -> None:
    with pytest.raises(LookupError) as caught:
        numbers()[name]  # type: ignore[index]
    message = str(caught.value)  # a KeyError would print its message in quotes
    assert message == f"No number is named {name!r}. Known: one, seven, twelve, two."
