"""Declared values, checked when they are declared: names, and what a field's annotation allows."""

from __future__ import annotations

import math
import re
import typing
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal

from jiantx.registry import near_names

# What `nn.ModuleDict` has already, and so cannot hold as a head (a test compares this with torch's
# own).
RESERVED = frozenset(
    """add_module apply bfloat16 buffers call_super_init children clear compile cpu cuda double
    dump_patches eval extra_repr float forward get_buffer get_extra_state get_parameter
    get_submodule half ipu items keys load_state_dict modules mtia named_buffers named_children
    named_modules named_parameters parameters pop register_backward_hook register_buffer
    register_forward_hook register_forward_pre_hook register_full_backward_hook
    register_full_backward_pre_hook register_load_state_dict_post_hook
    register_load_state_dict_pre_hook register_module register_parameter
    register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state
    set_submodule share_memory state_dict to to_empty train training type update values xpu
    zero_grad""".split()
)


def check_fields(declared: Any, noun: str, lowest: Mapping[str, int] | None = None) -> None:
    """Check the fields of a dataclass against their annotations.

    Checked are fields with a fixed set of values (`Literal`, `bool`), numbers, and fields that hold
    several texts, where one text would be taken for its letters.

    Args:
        declared: The dataclass's object.
        noun: Names it in messages: "Task xnli".
        lowest: Field -> the lowest number that it may hold.

    Raises:
        ValueError: A field holds what its annotation does not allow.
    """
    class_: Any = type(declared)
    for name, hint in field_hints(class_).items():
        problem = _problem(getattr(declared, name), hint, (lowest or {}).get(name, -math.inf))
        if problem:
            raise ValueError(f"{noun}: {name}={getattr(declared, name)!r}. {problem}")


def check_choice(name: str, value: Any, choices: Collection[Any]) -> None:
    """Check an argument with a fixed set of values.

    Args:
        name: The argument's name.
        value: What was passed.
        choices: What it may be.

    Raises:
        ValueError: It is not one of them.
    """
    if value not in choices:
        raise ValueError(f"{name}={value!r}. {_expected(value, choices)}")


def check_count(name: str, value: Any) -> None:
    """Check an argument that counts something. 0 would often be taken for None, which means "all".

    Args:
        name: The argument's name.
        value: What was passed; None is the default.

    Raises:
        ValueError: It is no whole number of at least 1.
    """
    if value is None or (isinstance(value, Integral) and int(value) >= 1):
        return
    raise ValueError(f"{name}={value!r}. Expected a whole number, at least 1.")


@cache
def field_hints(class_: Any) -> dict[str, Any]:
    """Field -> annotation, of a dataclass."""
    for base in class_.__mro__:
        try:
            hints = typing.get_type_hints(base)
        except NameError:  # a user's class names what only type checkers import
            continue
        names = {field.name for field in fields(class_)}
        return {name: hint for name, hint in hints.items() if name in names}
    return {}


def fixed_values(hint: Any) -> tuple[Any, ...]:
    """All values that an annotation allows; empty if they are not few."""
    values: list[Any] = []
    for option in _options(hint):
        if option is bool:
            values += [True, False]
        elif option is NoneType:
            values.append(None)
        elif typing.get_origin(option) is Literal:
            values += typing.get_args(option)
        else:
            return ()
    return tuple(values)


def _options(hint: Any) -> tuple[Any, ...]:
    """The members of a union; of another annotation, itself."""
    is_union = typing.get_origin(hint) in (typing.Union, UnionType)
    return typing.get_args(hint) if is_union else (hint,)


def _problem(value: Any, hint: Any, lowest: float) -> str:
    """What an annotation does not allow in a value, and what it does; empty if all is well."""
    choices = fixed_values(hint)
    if choices:
        return "" if value in choices else _expected(value, choices)
    options = _options(hint)
    if {*options} <= {int, float, NoneType}:
        return "" if value is None and NoneType in options else _number_problem(value, hint, lowest)
    origins = [typing.get_origin(option) for option in options]
    if str in options or not {tuple, Sequence} & set(origins):
        return ""
    if isinstance(value, str):
        return f"Expected several values, found one text. Write ({value!r},)."
    if callable(value) and set(origins) <= {tuple, Sequence, NoneType}:
        return f"Expected several values, found one function. Write ({_name(value)},)."
    return ""


def _number_problem(value: Any, hint: Any, lowest: float) -> str:
    is_whole = float not in _options(hint)
    kind = Integral if is_whole else Real
    is_number = isinstance(value, kind) and not isinstance(value, bool)
    if is_number and math.isfinite(value) and value >= lowest:
        return ""
    bound = "" if lowest == -math.inf else f" of at least {lowest}"
    return f"Expected a {'whole ' if is_whole else ''}number{bound}."


def _name(function: Any) -> str:
    return getattr(function, "__name__", repr(function))


def _expected(value: Any, choices: Collection[Any]) -> str:
    names = [choice for choice in choices if isinstance(choice, str)]
    return f"Expected one of {', '.join(map(repr, choices))}.{near_names(value, names)}"


def check_labels(task: str, labels: Any) -> tuple[str, ...]:
    """Check the labels of a task: different names, in an order that is the same in all processes.

    Args:
        task: Its name, for messages.
        labels: What it declares, or what its function returned.

    Returns:
        The labels.

    Raises:
        ValueError: They are no list or tuple of different names, or there are none.
    """
    is_list = isinstance(labels, Sequence) and not isinstance(labels, str)
    if not is_list or not all(isinstance(label, str) and label for label in labels) or not labels:
        raise ValueError(
            f"Task {task}: labels are {labels!r}; expected a tuple of names. Where the data set "
            "has numbers, give a `label` function of the row that names them."
        )
    if len(set(labels)) < len(labels):
        raise ValueError(f"Task {task}: a label is named twice in {labels!r}.")
    return tuple(labels)


def check_name(name: str) -> None:
    """ValueError for what cannot name a task or a head: names become parts of files' names."""
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(
            f"{name!r} cannot be a name: use small letters, digits and _, a letter first."
        )
    if name in RESERVED:
        raise ValueError(
            f"{name!r} cannot be a name: torch's ModuleDict has an attribute of that name."
        )
