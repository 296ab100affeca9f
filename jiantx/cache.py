"""Cached files: where they are, and how they are written.

The name of a cached file is its key, a hash over all that it depends on. It is written under a
temporary name and renamed, so that runs can share it, and a killed run leaves nothing that another
trusts.
"""

from __future__ import annotations

import errno
import itertools
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa


def cache_dir() -> Path:
    """The folder of cached files: `$JIANTX_CACHE`, or `~/.cache/jiantx`."""
    return Path(os.environ.get("JIANTX_CACHE") or Path.home() / ".cache" / "jiantx")


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all: under a temporary name, synced, renamed.

    Args:
        path: Replaced if it exists.
        text: Written as UTF-8.
    """
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(text)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all: under a temporary name inside the block, then renamed.

    Args:
        path: Replaced if it exists.

    Yields:
        The temporary name; what was written there is deleted after an error.

    Raises:
        FileNotFoundError: If the folder of `path` does not exist.
    """
    if not path.parent.is_dir():
        message = f"There is no folder to write {path.name!r} into. Make it first"
        raise FileNotFoundError(errno.ENOENT, message, str(path.parent))
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        # synced first: otherwise the name may outlive a power cut, and the bytes not
        sync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# The end of an Arrow stream. A stream that was cut short opens, with fewer rows.
_END = b"\xff\xff\xff\xff\0\0\0\0"


def load_or_write(path: Path, make: Callable[[], Iterable[pa.Table]]) -> datasets.Dataset:
    """Open a cached file of rows, memory-mapped; compute and write it first if it is not complete.

    Args:
        path: An Arrow stream.
        make: Computes the rows, as tables of one schema.
    """
    import datasets

    if not _is_complete(path):
        write_arrow(path, make())
    return datasets.Dataset.from_file(str(path))


def _is_complete(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            file.seek(-len(_END), os.SEEK_END)
            return file.read() == _END
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno != errno.EINVAL:  # the file is shorter than the end of a stream
            raise
        return False


def write_arrow(path: Path, tables: Iterable[pa.Table]) -> None:
    """Write an Arrow stream, whole or not at all.

    Args:
        path: Replaced if it exists; its folder is made if it is missing.
        tables: At least one; all of one schema. They are written as they come.

    Raises:
        ValueError: There are no tables.
    """
    import pyarrow as pa

    tables = iter(tables)
    path.parent.mkdir(parents=True, exist_ok=True)
    first = next(tables, None)
    if first is None:
        raise ValueError(f"There is no table to write to {path}; expected at least one.")
    with (
        whole_file(path) as temporary,
        pa.OSFile(str(temporary), "wb") as file,
        pa.ipc.new_stream(file, first.schema) as writer,
    ):
        for table in itertools.chain([first], tables):
            writer.write_table(table)
