"""Names: refused twice, suggested when misspelt, filled at the first look-up."""

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
    assert Registry("thing").register("x", value) is value
    assert registry["two"] == 2 and "two" in registry and "three" not in registry
    assert list(registry) == ["one", "two", "twelve", "seven"]


def test_name_twice_is_refused_and_the_first_stays() -> None:
    registry = numbers()
    with pytest.raises(ValueError, match=r"^A number named 'one' is registered already\. Choose another name\.$"):
        registry.register("one", 11)
    assert registry["one"] == 1


@pytest.mark.parametrize(("misspelt", "near"), [("sevn", ["seven"]), ("twelfe", ["twelve"]), ("tow", ["two"])])
def test_near_names_are_suggested(misspelt: str, near: list[str]) -> None:
    with pytest.raises(LookupError, match=rf"^No number is named '{misspelt}'\. Did you mean ") as caught:
        numbers()[misspelt]
    hint = str(caught.value).split("Did you mean")[1].split("?")[0]
    assert set(near) <= set(re.findall(r"'(\w+)'", hint))


@pytest.mark.parametrize("name", ["zzz", 3])
def test_message_is_a_sentence_that_lists_the_known(name: object) -> None:
    with pytest.raises(LookupError) as caught:
        numbers()[name]  # type: ignore[index]
    message = str(caught.value)  # a KeyError would print its message in quotes
    assert message == f"No number is named {name!r}. Known: one, seven, twelve, two."


@pytest.mark.parametrize(
    "first",
    [lambda r: r["x"], lambda r: "x" in r, list, lambda r: r.register("y", 2)],
    ids=["get", "in", "iter", "register"],
)
def test_filled_once_at_the_first_use(first: object) -> None:
    calls = []

    def fill() -> None:
        calls.append(1)
        registry.register("x", 1)

    registry: Registry[int] = Registry("letter", fill)
    assert not calls
    first(registry)  # type: ignore[operator]
    assert registry["x"] == 1 and len(calls) == 1


def test_built_in_name_cannot_be_taken_before_the_first_look_up() -> None:
    registry: Registry[int] = Registry("letter", lambda: registry.register("x", 1))
    with pytest.raises(ValueError, match="registered already"):
        registry.register("x", 2)


def test_a_fill_that_fails_says_so_again() -> None:
    """A half-filled registry must not answer as if it were whole."""
    tries = []

    def fill() -> None:
        tries.append(1)
        raise ImportError("broken")

    registry: Registry[int] = Registry("letter", fill)
    for _ in range(2):
        with pytest.raises(ImportError, match="broken"):
            registry["x"]
    assert len(tries) == 2
