"""The text of functions and values, for the keys of cached files and stages.

Values with the same text are taken to be equal, so the text holds their content: that of an object
is what pickle would write of it. It does not depend on the process: it holds no addresses, and sets
are sorted. What cannot be told by its content (a generator, an open file) is refused.

>>> fingerprint_text({"a": (1, "b")})
"(('a'(), (1(), 'b'())))"
"""

from __future__ import annotations

import copyreg
import dis
import functools
import hashlib
import importlib.util
import inspect
import re
import sys
import sysconfig
from collections.abc import ItemsView, Iterable, Iterator, KeysView, ValuesView
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

_Described = tuple[str, Iterable[Any]]  # a label, and the values that a value is made of
_LONG = 10_000  # characters; a longer text is replaced by its hash
_EXACT = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    type(...),
)  # types whose `repr` is all there is


class UncacheableError(TypeError):
    """A value cannot be told by its content, and so nothing made with it can be cached."""


def fingerprint_text(value: Any) -> str:
    """The text of a function, with the helpers and constants that it uses, or of any other value.

    Args:
        value: Anything that a task declares.

    Returns:
        `label(children, …)`, or the hash of it if it is long.

    Raises:
        UncacheableError: A value cannot be told by its content.
    """
    return _text(value, frozenset(), {})


def _text(value: Any, ancestors: frozenset[int], known: dict[int, tuple[Any, str]]) -> str:
    """The text of a value.

    Args:
        value: The value.
        ancestors: The `id` of the values that hold this one; a cycle ends at them.
        known: `id` -> a value (which keeps the `id` its own) and its text.
    """
    if id(value) in ancestors:
        return getattr(value, "__qualname__", type(value).__qualname__)
    if id(value) not in known:
        label, children = _label_and_children(value)
        texts = [_text(child, ancestors | {id(value)}, known) for child in children]
        if isinstance(value, set | frozenset):
            texts.sort()
        text = f"{label}({', '.join(texts)})"
        known[id(value)] = (value, text if len(text) < _LONG else _hash(text.encode()))
    return known[id(value)][1]


def _hash(content: Any) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


@functools.singledispatch
def _label_and_children(value: Any) -> _Described:
    """What a value says of itself, and the values that it is made of."""
    if type(value) in _EXACT:
        return repr(value), ()
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return _tensor_content(value, torch)
    datasets = sys.modules.get("datasets")
    if datasets is not None and isinstance(value, datasets.Dataset):
        return f"{value.features}{rows_hash(value)}", [value.format]
    return _pickled(value)


def _pickled(value: Any) -> _Described:
    """What pickle would write of an object: its class, how it is made, its state."""
    try:
        registered = copyreg.dispatch_table.get(type(value))
        # from protocol 5 on, large contents are kept apart
        reduced = registered(value) if registered else value.__reduce_ex__(4)
    except Exception as error:  # of many types
        raise UncacheableError(
            f"{type(value).__name__} {str(value)[:60]!r} cannot be told by its content ({error})"
        ) from error
    if isinstance(reduced, str):  # it is known by its name; a wrapper holds what it wraps
        module = getattr(value, "__module__", "")
        return f"{module}.{reduced}", [getattr(value, "__wrapped__", None)]
    make, arguments, *state = reduced
    children = [list(item) if isinstance(item, Iterator) else item for item in state]
    if _is_library_module(getattr(make, "__module__", None)):
        make = f"{make.__module__}.{make.__qualname__}"
    return "", [make, type(value), arguments, *children]


def _tensor_content(tensor: Any, torch: Any) -> _Described:
    try:
        numbers = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    except (RuntimeError, TypeError) as error:  # sparse, quantised, without data
        raise UncacheableError(f"a tensor cannot be told by its content ({error})") from error
    return f"{tensor.dtype}{tuple(tensor.shape)}{_hash(numbers)}", ()


def rows_hash(rows: Any) -> str:
    """A hash of what a `datasets.Dataset` holds, whatever the chunks of its table."""
    import pyarrow as pa

    digest = hashlib.blake2b(digest_size=16)
    for block in rows.with_format("arrow").iter(batch_size=50_000):
        sink = pa.BufferOutputStream()
        fields = [field.remove_metadata() for field in block.schema]
        with pa.ipc.new_stream(sink, pa.schema(fields)) as writer:
            writer.write_table(block.cast(pa.schema(fields)).combine_chunks())
        digest.update(sink.getvalue())
    return digest.hexdigest()


@_label_and_children.register
def _(content: bytes) -> _Described:
    return _hash(content), ()


@_label_and_children.register
def _(function: FunctionType) -> _Described:
    global_names = _global_names(function.__code__)
    used = [function.__globals__[name] for name in global_names if name in function.__globals__]
    cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    if _is_library(function.__code__.co_filename):  # a library's state is no part of a function
        used = [item for item in used if isinstance(item, (*_FOLLOWED, ModuleType))]
    for module in [item for item in used if isinstance(item, ModuleType)]:
        used += _used_of_module(module, function.__code__)
    used += _imported_texts(function)
    defaults = [function.__defaults__, function.__kwdefaults__]
    return "", [function.__code__, *defaults, *cells, *used]


@_label_and_children.register
def _(code: CodeType) -> _Described:
    # The text may lack lines of a lambda, or be newer than what runs: hence with the instructions.
    return f"{_source(code)}{code.co_code!r}{code.co_names}", code.co_consts


@_label_and_children.register
def _(class_: type) -> _Described:
    name = f"{class_.__module__}.{class_.__qualname__}"
    if _is_library_module(class_.__module__):
        file = getattr(sys.modules.get(class_.__module__), "__file__", None)
        return f"{name}{_file_hash(file) if file else ''}", ()
    members = [
        (member_name, _unwrapped(member))
        for member_name, member in vars(class_).items()
        if _is_content(member_name, member)
    ]
    return class_.__qualname__, [*class_.__bases__, *members]


def _is_content(name: str, member: Any) -> bool:
    """Whether a class's member says what it does: a method, a constant."""
    is_internal = name.startswith("__") or name == "_abc_impl"
    return not is_internal or isinstance(_unwrapped(member), FunctionType)


def _unwrapped(member: Any) -> Any:
    """The function of a method or a property; another member as it is."""
    if isinstance(member, property):
        return member.fget
    if isinstance(member, functools.cached_property):
        return member.func
    return getattr(member, "__func__", member)


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


@_label_and_children.register
def _(mapping: MappingProxyType) -> _Described:  # type: ignore[type-arg]
    return "", mapping.items()


@_label_and_children.register(KeysView)
@_label_and_children.register(ValuesView)
@_label_and_children.register(ItemsView)
@_label_and_children.register(list)
@_label_and_children.register(tuple)
@_label_and_children.register(set)
@_label_and_children.register(frozenset)
def _(collection: Iterable[Any]) -> _Described:
    return "", collection


# What is followed from a library's function: not its caches, locks and registries.
_FOLLOWED = (*_EXACT, bytes, tuple, list, dict, set, frozenset, re.Pattern, FunctionType, type)


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # the variable has no value yet
        return False


def _imported_texts(function: FunctionType) -> list[str]:
    """The texts of the user's modules that a function imports when it is called."""
    if _is_library(function.__code__.co_filename):
        return []
    package = function.__globals__.get("__package__") or ""
    texts = []
    for relative_name in _imported_names(function.__code__):
        with suppress(ImportError, ValueError):  # the call will say so
            name = importlib.util.resolve_name(relative_name, package)
            spec = importlib.util.find_spec(name)
            path = spec.origin if spec else None
            if path and path.endswith(".py") and not _is_library(path):
                texts.append(Path(path).read_text(encoding="utf-8", errors="replace"))
    return texts


def _imported_names(code: CodeType) -> Iterator[str]:
    """The names of the modules that code imports, relative ones with their dots."""
    arguments: list[Any] = [0, None]  # of the last two instructions: an import's level and names
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            yield "." * arguments[0] + instruction.argval
        arguments = [arguments[1], instruction.argval]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _imported_names(constant)


def _used_of_module(module: ModuleType, code: CodeType) -> list[Any]:
    """What a function reads of a module that is no library: `tables.COUNTRIES`."""
    if _is_library_module(module.__name__) or not _module_text(module):
        return []
    return [vars(module)[name] for name in _global_names(code) if name in vars(module)]


@functools.lru_cache(maxsize=4096)
def _is_installed(path: str) -> bool:
    """Whether a file belongs to a library, or to Python."""
    libraries = map(sysconfig.get_path, ("stdlib", "purelib", "platlib"))
    return any(Path(path).is_relative_to(library) for library in libraries)


def _is_library_module(name: str | None) -> bool:
    """Whether a module belongs to a library, or to Python."""
    if (name or "").partition(".")[0] in sys.stdlib_module_names:
        return True
    path = getattr(sys.modules.get(name or ""), "__file__", None)
    return path is not None and _is_library(path)


def _is_library(path: str) -> bool:
    """Whether a file belongs to a library, Python or jiantx."""
    return _is_installed(path) or Path(path).is_relative_to(Path(__file__).parent)


@functools.lru_cache(maxsize=4096)
def _file_hash(path: str) -> str:
    return _hash(Path(path).read_bytes())


def _module_text(module: ModuleType) -> str:
    """All of a script's text, since what is used of it is not known; empty for a library."""
    path = getattr(module, "__file__", None)
    if not path or _is_installed(path):
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
