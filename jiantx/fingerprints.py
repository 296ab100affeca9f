"""The text of functions and values, for the keys of cached files and stages.

Values with the same text are taken to be equal. The text does not depend on the process: it holds
no addresses, and sets are sorted.

>>> fingerprint_text({"a": (1, "b")})
"(('a'(), (1(), 'b'())))"
"""

from __future__ import annotations

import functools
import inspect
import sysconfig
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

_Described = tuple[str, Iterable[Any]]  # a label, and the values that a value is made of


def fingerprint_text(value: Any, ancestors: frozenset[int] = frozenset()) -> str:
    """The text of a function, with the helpers and constants that it uses, or of any other value.

    Args:
        value: Anything that a task declares.
        ancestors: The `id` of the values that hold this one; a cycle ends at them.

    Returns:
        `label(children, …)`.
    """
    if id(value) in ancestors:
        return getattr(value, "__qualname__", type(value).__qualname__)
    label, children = _label_and_children(value)
    texts = [fingerprint_text(child, ancestors | {id(value)}) for child in children]
    if isinstance(value, set | frozenset):
        texts.sort()
    return f"{label}({', '.join(texts)})"


@functools.singledispatch
def _label_and_children(value: Any) -> _Described:
    """What a value says of itself, and the values that it is made of."""
    calls = [type(value).__call__] if callable(value) else []
    if " at 0x" in repr(value):  # an object without a `__repr__` of its own
        return "", [type(value), getattr(value, "__dict__", {}), *calls]
    return repr(value), calls


@_label_and_children.register
def _(function: FunctionType) -> _Described:
    global_names = _global_names(function.__code__)
    used = [function.__globals__[name] for name in global_names if name in function.__globals__]
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    defaults = [function.__defaults__, function.__kwdefaults__]
    return "", [function.__code__, *defaults, *cells, *used]


@_label_and_children.register
def _(code: CodeType) -> _Described:
    # The text may lack lines of a lambda, or be newer than what runs: hence with the instructions.
    return f"{_source(code)}{code.co_code!r}{code.co_names}", code.co_consts


@_label_and_children.register
def _(class_: type) -> _Described:
    members = [getattr(member, "__func__", member) for member in vars(class_).values()]
    methods = [member.__code__ for member in members if isinstance(member, FunctionType)]
    constants = {
        name: member for name, member in vars(class_).items() if _is_constant(name, member)
    }
    return class_.__qualname__, [*methods, constants]


@_label_and_children.register
def _(module: ModuleType) -> _Described:
    return f"{module.__name__}{_module_text(module)}", ()


@_label_and_children.register
def _(method: MethodType) -> _Described:
    return "", (method.__func__, method.__self__)


@_label_and_children.register
def _(function: functools.partial) -> _Described:  # type: ignore[type-arg]
    return "", (function.func, function.args, function.keywords)


@_label_and_children.register
def _(mapping: dict) -> _Described:  # type: ignore[type-arg]
    return "", mapping.items()


@_label_and_children.register(list)
@_label_and_children.register(tuple)
@_label_and_children.register(set)
@_label_and_children.register(frozenset)
def _(collection: Iterable[Any]) -> _Described:
    return "", collection


def _is_constant(name: str, member: Any) -> bool:
    constant_types = (bool, int, float, str, bytes, tuple, list, dict, set, frozenset, Enum)
    return not name.startswith("_") and isinstance(member, constant_types)


def _module_text(module: ModuleType) -> str:
    """All of a script's text, since what is used of it is not known; empty for a library."""
    path = getattr(module, "__file__", None)
    if not path:
        return ""
    libraries = map(sysconfig.get_path, ("stdlib", "purelib", "platlib"))
    if any(Path(path).is_relative_to(library) for library in libraries):
        return ""
    return Path(path).read_text(encoding="utf-8", errors="replace")


@functools.lru_cache(maxsize=4096)  # finding it takes milliseconds
def _source(code: CodeType) -> str:
    """The text that code was compiled from; empty if it is not in a file."""
    try:
        return inspect.getsource(code)
    except OSError:
        return ""


def _global_names(code: CodeType) -> Iterator[str]:
    """The global names that code uses, in its comprehensions and inner functions too."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)
