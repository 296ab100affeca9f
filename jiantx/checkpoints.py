"""Folders that are complete or absent.

A manifest, written last, lists the files of a folder with their sizes and hashes.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from jiantx.cache import sync, write_text

MANIFEST = "manifest.json"
# Names the last run that was begun in a folder. transformers does not push names that begin with
# "_".
_RUN_FILE = "_run.json"
_PATIENCE = 10  # seconds; workers that read for a killed process hold its locks until they notice
# Files up to this size are hashed. Of larger ones only the size is compared, unless verify="full".
_HASHED = 64 << 20


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all. The same value gives the same bytes.

    Args:
        path: Replaced if it exists.
        value: Plain JSON; NaN is an error.
    """
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def write_manifest(folder: Path, run: Mapping[str, Any] | None = None) -> None:
    """Declare a folder complete. Everything else in it must be written before.

    Args:
        folder: A checkpoint, or what a stage wrote.
        run: Of a checkpoint, the run that it belongs to; `id` names it.
    """
    files = {}
    for name, path in _files(folder):
        files[name] = {"size": path.stat().st_size, "blake2b": _hash(path)}
    for _, path in _files(folder):
        sync(path)
    belongs_to = {} if run is None else {"run": dict(run)}
    write_json(folder / MANIFEST, {"files": files, "written": time.time(), **belongs_to})
    sync(folder)
    sync(folder.parent)


def run_of(checkpoint: Path) -> dict[str, Any]:
    """The run that a checkpoint belongs to; empty if its manifest does not say."""
    return _read_dictionary(checkpoint / MANIFEST, "run")


def begin_run(folder: Path, run_id: str) -> None:
    """Note that a run begins or goes on in a folder, which may hold an earlier run's checkpoints.

    Args:
        folder: The run's output folder.
        run_id: The `id` of its checkpoints.
    """
    write_json(folder / _RUN_FILE, {"run": {"id": run_id}})


def last_run(folder: Path) -> str | None:
    """The id of the run that was begun last in a folder; None if it is not known."""
    return _read_dictionary(folder / _RUN_FILE, "run").get("id")


def _read_dictionary(path: Path, key: str) -> dict[str, Any]:
    """A dictionary in a file of JSON; empty if it is not there."""
    try:
        value = json.loads(path.read_text(encoding="utf-8")).get(key)
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


@contextmanager
def exclusive_writer(folder: Path) -> Iterator[None]:
    """Hold a folder. A process that dies holds nothing.

    Raises:
        RuntimeError: Another process holds the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # transformers does not push files whose names begin with "_"
    lock = FileLock(folder / "_writer.lock", timeout=_PATIENCE)
    try:
        lock.acquire()
    except Timeout:
        raise RuntimeError(
            f"Another process is writing to {folder}. Give this one a folder of its own, or wait "
            "until that has ended."
        ) from None
    try:
        yield
    finally:
        lock.release()


def find_problem(folder: Path, verify: Literal["quick", "full"] = "quick") -> str | None:
    """Compare a folder with its manifest.

    Args:
        folder: A checkpoint, or what a stage wrote.
        verify: "full" also hashes files over 64 MB, of which "quick" compares only the size.

    Returns:
        What is wrong, in a few words; None if the manifest holds.
    """
    try:
        listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        if not listed:
            return "its manifest lists no file"
        for name, entry in listed.items():
            problem = _file_problem(folder, name, entry, verify)
            if problem is not None:
                return problem
    except FileNotFoundError:
        return "it was not finished (no manifest)"
    except OSError as error:
        return f"it cannot be read ({error})"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "its manifest is no manifest"
    return None


def _file_problem(folder: Path, name: str, entry: dict[str, Any], verify: str) -> str | None:
    """How a file differs from its entry in the manifest; None if it does not."""
    path = folder / name
    if ".." in path.parts or not path.is_relative_to(folder):
        return f"its manifest lists {name!r}, which is outside"
    if not path.is_file():
        return f"{name} is missing"
    size = path.stat().st_size
    if size != entry["size"]:
        return f"{name} has {size} bytes instead of {entry['size']}"
    if (verify == "full" or size <= _HASHED) and _hash(path) != entry["blake2b"]:
        return f"{name} has changed"
    return None


def latest_checkpoint(
    folder: Path, run_id: str | None = None
) -> tuple[Path | None, list[tuple[Path, str]]]:
    """Find the newest complete checkpoint of a run.

    Args:
        folder: The run's output folder.
        run_id: Only checkpoints of this run count ("": of runs without an id); all if None.

    Returns:
        The checkpoint, None if there is none; and the newer ones that were skipped, each with the
        reason.
    """
    skipped: list[tuple[Path, str]] = []
    for path in reversed(checkpoints(folder)):
        problem = find_problem(path)
        if problem is None and run_id is not None and run_of(path).get("id", "") != run_id:
            problem = "an earlier run in this folder wrote it"
        if problem is None:
            return path, skipped
        skipped.append((path, problem))
    return None, skipped


def checkpoints(folder: Path) -> list[Path]:
    """List the checkpoint folders of a run, complete or not, in the order in which they were
    written.

    The order of their steps would not do: a folder may hold the checkpoints of two runs. A folder
    without a readable manifest counts as the newest.
    """
    steps = {}
    for path in folder.glob("checkpoint-*"):
        step = path.name.removeprefix("checkpoint-")
        if step.isdecimal():
            steps[path] = int(step)
    return sorted(steps, key=lambda path: (_written(path), steps[path]))


def _written(folder: Path) -> float:
    """When the manifest was written, in seconds since 1970; infinity if it cannot be read."""
    try:
        return float(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["written"])
    except (OSError, ValueError, KeyError, TypeError):
        return math.inf


def rotate(folder: Path, keep: int | None, best: str | None) -> None:
    """Delete old checkpoints.

    Args:
        folder: The run's output folder.
        keep: How many of the newest complete checkpoints stay; all if it is None, 0 or less, as
            in transformers.
        best: A checkpoint that stays too.
    """
    if keep is None or keep <= 0:
        return
    complete = [path for path in checkpoints(folder) if (path / MANIFEST).is_file()]
    for path in complete[: max(0, len(complete) - keep)]:
        if best is None or path.resolve() != Path(best).resolve():
            # the manifest first, so that a half-deleted folder is not taken for a complete one
            (path / MANIFEST).unlink()
            shutil.rmtree(path)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name and path of every file that the manifest lists."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST and path.suffix not in (".tmp", ".lock"):
            yield path.relative_to(folder).as_posix(), path


def _hash(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
