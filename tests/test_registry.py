"""Names: refused twice, suggested when misspelt."""

from __future__ import annotations

import re

import pytest

from jiantx.registry import Registry


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
        ValueError, match=r"^A number named 'one' is registered already\. Choose another name\.$"
    ):
        registry.register("one", 11)
    assert registry["one"] == 1


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
