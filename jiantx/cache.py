"""What is made once and kept: where it lies, how it is written, what its name must say.

A kept file's name is its key, a hash over all that it depends on. It is written under a temporary name and renamed, so
that runs can share it and a killed one leaves nothing that another trusts.
"""

from __future__ import annotations

import errno
import functools
import inspect
import itertools
import os
import secrets
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa


def cache_dir() -> Path:
    """Where jiantx keeps what it made once: `$JIANTX_CACHE`, or `~/.cache/jiantx`."""
    return Path(os.environ.get("JIANTX_CACHE") or Path.home() / ".cache" / "jiantx")


def write_text(path: Path, text: str) -> None:
    """Write a file of text, whole or not at all: under a temporary name, synced, renamed."""
    temporary = _beside(path)
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
        _replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def _replace(temporary: Path, path: Path) -> None:
    """Give a written file its name; synced first, or the name may outlive a power cut, and the bytes not."""
    sync(temporary)
    os.replace(temporary, path)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_END = b"\xff\xff\xff\xff\0\0\0\0"  # of an Arrow stream; one that was cut short opens as if it had fewer rows


def load_or_write(path: Path, make: Callable[[], Iterable[pa.Table]]) -> datasets.Dataset:
    """The rows kept at a path, mapped; made and written first where they are not there, or not to their end."""
    import datasets

    if not _whole(path):
        write_arrow(path, make())
    return datasets.Dataset.from_file(str(path))


def _whole(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            file.seek(-len(_END), os.SEEK_END)
            return file.read() == _END
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno != errno.EINVAL:  # shorter than that
            raise
        return False


def write_arrow(path: Path, tables: Iterable[pa.Table]) -> None:
    """Write tables of one schema, whole or not at all, for `kept` to map."""
    import pyarrow as pa

    tables = iter(tables)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    try:
        first = next(tables)
        with (
            pa.OSFile(str(temporary), "wb") as file,
            pa.ipc.new_stream(file, first.schema) as writer,
        ):
            for table in itertools.chain([first], tables):
                writer.write_table(table)
        _replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def fingerprint_text(value: Any, inside: frozenset[int] = frozenset()) -> str:
    """The text of a function and of the helpers and constants that it uses; of any other value, what it holds.

    It is the same in every process: no addresses, no order of a set.
    """
    if id(value) in inside:
        return getattr(value, "__qualname__", type(value).__qualname__)
    own, parts = _own_and_parts(value)
    texts = [fingerprint_text(part, inside | {id(value)}) for part in parts]
    return f"{own}({', '.join(sorted(texts) if isinstance(value, set | frozenset) else texts)})"


def _own_and_parts(value: Any) -> tuple[str, Iterable[Any]]:
    """What a value says of itself, and the values that it is made of."""
    own, parts = "", ()  # type: str, Iterable[Any]
    match value:
        case FunctionType():
            used = [
                value.__globals__[name]
                for name in _names(value.__code__)
                if name in value.__globals__
            ]
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            parts = [value.__code__, value.__defaults__, value.__kwdefaults__, *cells, *used]
        case CodeType():  # its text may lack lines of a lambda, or be newer than what runs: with its instructions
            own, parts = f"{_source(value)}{value.co_code!r}{value.co_names}", value.co_consts
        case type():  # and its methods, and constants such as an Enum's
            found = (getattr(member, "__func__", member) for member in vars(value).values())
            parts = [member.__code__ for member in found if isinstance(member, FunctionType)]
            constants = {
                name: member for name, member in vars(value).items() if _is_constant(name, member)
            }
            own, parts = value.__qualname__, [*parts, constants]
        case ModuleType():  # a script's own: all of its text, since what is used of it is not known
            own = f"{value.__name__}{_module_text(value)}"
        case MethodType():
            parts = (value.__func__, value.__self__)
        case functools.partial():
            parts = (value.func, value.args, value.keywords)
        case dict():
            parts = value.items()
        case list() | tuple() | set() | frozenset():
            parts = value
        case _:
            own, parts = repr(value), [type(value).__call__] if callable(value) else []
            if " at 0x" in own:
                own, parts = "", [type(value), getattr(value, "__dict__", {}), *parts]
    return own, parts


def _is_constant(name: str, member: Any) -> bool:
    plain = (bool, int, float, str, bytes, tuple, list, dict, set, frozenset, Enum)
    return not name.startswith("_") and isinstance(member, plain)


def _module_text(module: ModuleType) -> str:
    """The text of a module that is no library's."""
    path, libraries = (
        getattr(module, "__file__", None),
        map(sysconfig.get_path, ("stdlib", "purelib", "platlib")),
    )
    if not path or any(Path(path).is_relative_to(library) for library in libraries):
        return ""
    return Path(path).read_text(encoding="utf-8", errors="replace")


@functools.lru_cache(maxsize=4096)  # to find it takes milliseconds
def _source(code: CodeType) -> str:
    """The text that code was made from; empty where it is not in a file."""
    try:
        return inspect.getsource(code)
    except OSError:
        return ""


def _names(code: CodeType) -> Iterator[str]:
    """The global names that code uses, in its comprehensions and inner functions too."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
