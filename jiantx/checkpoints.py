"""Folders that are whole or absent: a manifest, written last, lists their files with sizes and hashes."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from jiantx.cache import sync, write_text

MANIFEST = "manifest.json"
_PATIENCE = 10  # seconds; workers that read for a killed process hold its locks until they notice
_HASHED = (
    64 << 20
)  # files up to this size are hashed; of larger ones the size is compared, unless verify="full"


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all. The same value gives the same bytes."""
    write_text(
        path,
        json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n",
    )


def write_manifest(folder: Path) -> None:
    """Declare a folder whole. Everything else in it must be written before."""
    files = {
        name: {"size": path.stat().st_size, "blake2b": _hash(path)} for name, path in _files(folder)
    }
    for _, path in _files(folder):
        sync(path)
    write_json(folder / MANIFEST, {"files": files, "written": time.time()})
    for place in (folder, folder.parent):
        sync(place)


@contextmanager
def exclusive_writer(folder: Path) -> Iterator[None]:
    """Hold a folder; RuntimeError where another process holds it. A process that dies holds nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(
        folder / "_writer.lock", timeout=_PATIENCE
    )  # transformers does not push names with a "_"
    try:
        lock.acquire()
    except Timeout:
        raise RuntimeError(
            f"Another process is writing to {folder}. Give this one a folder of its own, or wait until that has ended."
        ) from None
    try:
        yield
    finally:
        lock.release()


def find_problem(folder: Path, verify: Literal["quick", "full"] = "quick") -> str | None:
    """What is wrong with a folder, in a few words; None if its manifest holds."""
    try:
        listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        if not listed:
            return "its manifest lists no file"
        return next(
            filter(
                None, (_why_other(folder, name, facts, verify) for name, facts in listed.items())
            ),
            None,
        )
    except FileNotFoundError:
        return "it was not finished (no manifest)"
    except OSError as error:
        return f"it cannot be read ({error})"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "its manifest is no manifest"


def _why_other(folder: Path, name: str, facts: dict[str, Any], verify: str) -> str | None:
    """In what a file differs from what the manifest says of it."""
    path = folder / name
    if ".." in path.parts or not path.is_relative_to(folder):
        return f"its manifest lists {name!r}, which is outside"
    if not path.is_file():
        return f"{name} is missing"
    if path.stat().st_size != facts["size"]:
        return f"{name} has {path.stat().st_size} bytes instead of {facts['size']}"
    if (verify == "full" or facts["size"] <= _HASHED) and _hash(path) != facts["blake2b"]:
        return f"{name} has changed"
    return None


def latest_checkpoint(folder: Path) -> tuple[Path | None, list[tuple[Path, str]]]:
    """The newest whole checkpoint of a run's folder, and the newer ones that were passed over, with the reason."""
    passed: list[tuple[Path, str]] = []
    for path in reversed(checkpoints(folder)):
        if (reason := find_problem(path)) is None:
            return path, passed
        passed.append((path, reason))
    return None, passed


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoint folders of a run, whole or not, oldest first: as written, since a folder may hold two runs'.

    One that has no manifest that can be read counts as the last.
    """
    found = {path: path.name.removeprefix("checkpoint-") for path in folder.glob("checkpoint-*")}
    steps = {path: int(step) for path, step in found.items() if step.isdecimal()}
    return sorted(steps, key=lambda path: (_written(path), steps[path]))


def _written(folder: Path) -> float:
    try:
        return float(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["written"])
    except (OSError, ValueError, KeyError, TypeError):
        return math.inf


def rotate(folder: Path, keep: int | None, best: str | None) -> None:
    """Delete all but the newest `keep` whole checkpoints and the best; None and 0 keep all, as in transformers."""
    if not keep:
        return
    whole = [path for path in checkpoints(folder) if (path / MANIFEST).is_file()]
    for path in whole[: max(0, len(whole) - keep)]:
        if best is None or path.resolve() != Path(best).resolve():
            (
                path / MANIFEST
            ).unlink()  # first, so that a half-deleted folder is not taken for a whole one
            shutil.rmtree(path)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST and path.suffix not in (".tmp", ".lock"):
            yield path.relative_to(folder).as_posix(), path


def _hash(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
