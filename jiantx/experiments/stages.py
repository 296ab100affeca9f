"""Stages: functions of their declared inputs that run once and leave their result in a folder.

The folder's name is a hash over the stage's inputs and over the stages that it depends on. A stage
is done when the manifest of its folder is written. Therefore a stopped plan continues where it
stopped, rows of a table share stages, and several processes can share the folder of results.
"""

from __future__ import annotations

import ctypes
import gc
import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from filelock import FileLock
from tqdm.auto import tqdm

import jiantx
from jiantx.checkpoints import MANIFEST, find_problem, write_json, write_manifest
from jiantx.progress_bars import are_bars_hidden

T = TypeVar("T")
_STAGE_FILE = "stage.json"


@dataclass(frozen=True)
class Stage:
    """One step of an experiment.

    Args:
        name: Name of the stage for people. It may change: the stage is identified by its inputs.
        inputs: All that the result depends on, as plain JSON.
        run: `run(folder, dependencies)` writes the result into `folder`. `dependencies` are the
            folders of the stages in `depends_on`. If an earlier run was stopped, its files are
            still in `folder`, so that a training can resume.
        depends_on: Stages that must be done before this one.

    Example:
        >>> def write_greeting(folder, dependencies):
        ...     (folder / "greeting.txt").write_text("hello")
        >>> stage = Stage("greet", {"language": "en"}, write_greeting)
        >>> Stages(Path("runs"), [stage]).run()  # doctest: +SKIP
    """

    name: str
    inputs: Mapping[str, Any]
    run: Callable[[Path, Sequence[Path]], None] = field(compare=False, repr=False)
    depends_on: tuple[Stage, ...] = ()

    @cached_property
    def key(self) -> str:
        """A hash over the inputs and over the keys of the stages that this one depends on."""
        text = json.dumps([self.inputs, [stage.key for stage in self.depends_on]], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class Stages:
    """The stages of a plan in an order in which they can run; equal stages are one.

    Args:
        folder: Folder of all results. Each stage has a folder below it.
        stages: The last stages of the plan. Those that they depend on are added.
    """

    def __init__(self, folder: Path, stages: Iterable[Stage]) -> None:
        self.folder = folder
        self._requested = list(stages)
        by_key: dict[str, Stage] = {}
        for requested in self._requested:
            for stage in _dependencies_first(requested):
                by_key[stage.key] = stage
        self.stages = list(by_key.values())

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)

    def folder_of(self, stage: Stage) -> Path:
        """Return the folder into which a stage writes its result."""
        return self.folder / "stages" / stage.key

    def done(self, stage: Stage) -> bool:
        """Return whether a stage's result is complete."""
        return find_problem(self.folder_of(stage)) is None

    def needed(self) -> list[Stage]:
        """Return the stages that have to run, in order.

        A stage that is not done does not have to run if all stages that depend on it are done. So
        the encoder of an intermediate training can be deleted once its row of a table is scored.
        """
        needed: set[str] = set()
        waiting = list(self._requested)
        while waiting:
            stage = waiting.pop()
            if stage.key not in needed and not self.done(stage):
                needed.add(stage.key)
                waiting += stage.depends_on
        return [stage for stage in self.stages if stage.key in needed]

    def run(self) -> None:
        """Run the stages that are `needed`.

        The ranks of one job run each stage together. Of several jobs that share the folder, one
        runs a stage under a lock, and the others wait for it.
        """
        ranks = PartialState(cpu=not torch.cuda.is_available())
        gc.collect()
        # without it, the collection after each stage would search all imported libraries (0.3 s)
        gc.freeze()
        try:
            (needed,) = broadcast_object_list([[stage.key for stage in self.needed()]])
            is_hidden = are_bars_hidden() or not ranks.is_main_process
            bar = tqdm(self.stages, "stages", unit="stage", disable=is_hidden)
            for stage in bar:
                bar.set_postfix_str(stage.name)
                if stage.key not in needed or self._all_see_done(stage):
                    continue
                folder = self.folder_of(stage)
                folder.mkdir(parents=True, exist_ok=True)
                with FileLock(f"{folder}.lock") if ranks.is_main_process else nullcontext():
                    if not self._all_see_done(stage):  # another job may have run it meanwhile
                        self._run_stage(stage, folder, ranks)
        finally:
            gc.unfreeze()

    def _all_see_done(self, stage: Stage) -> bool:
        """Return whether the first rank sees that a stage is done.

        Ranks that looked for themselves might look at different moments and disagree.
        """
        (done,) = broadcast_object_list([self.done(stage)])
        return bool(done)

    def _run_stage(self, stage: Stage, folder: Path, ranks: PartialState) -> None:
        """Run one stage; the first rank then describes it and writes its manifest."""
        started = time.perf_counter()
        stage.run(folder, [self.folder_of(dependency) for dependency in stage.depends_on])
        _release_memory()  # a trainer and its model refer to each other: two models might not fit
        ranks.wait_for_everyone()
        if ranks.is_main_process:
            seconds = round(time.perf_counter() - started, 3)
            description = {
                "name": stage.name,
                "inputs": dict(stage.inputs),
                "seconds": seconds,
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                "software": _software_versions(),
                "processes": ranks.num_processes,
            }
            write_json(folder / _STAGE_FILE, description)
            write_manifest(folder)
        ranks.wait_for_everyone()

    def descriptions(self) -> list[dict[str, Any]]:
        """Return what each stage that is done noted about itself, in order.

        Its `name`, its `inputs`, the `seconds` that it took, when it `finished` (UTC), the versions
        of the `software`, and how many `processes` ran it; stages of earlier versions lack the last
        three.
        """
        descriptions = []
        for stage in filter(self.done, self.stages):
            text = (self.folder_of(stage) / _STAGE_FILE).read_text(encoding="utf-8")
            descriptions.append({**json.loads(text), "name": stage.name})
        return descriptions

    def timings(self) -> list[dict[str, Any]]:
        """Return the `stage` (its name) and `seconds` of each stage that is done, in order."""
        return [
            {"stage": stage["name"], "seconds": stage["seconds"]} for stage in self.descriptions()
        ]


def _software_versions() -> dict[str, str]:
    """Versions of the libraries that a result depends on most, and of Python."""
    versions = {"jiantx": jiantx.__version__}
    for name in ("transformers", "torch", "datasets"):
        versions[name] = version(name)
    return {**versions, "python": platform.python_version()}


def _release_memory() -> None:
    """Free the memory of a finished stage, and return it to the system: glibc would keep it."""
    gc.collect()
    if sys.platform == "linux":
        with suppress(AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def _dependencies_first(stage: Stage) -> Iterator[Stage]:
    """Yield all stages that a stage depends on, each after its own dependencies; then the stage."""
    for dependency in stage.depends_on:
        yield from _dependencies_first(dependency)
    yield stage


def fingerprint(path: str | os.PathLike[str]) -> str:
    """Return what identifies an encoder in a stage's inputs.

    Args:
        path: Hub id or folder of the encoder.

    Returns:
        A Hub id unchanged; for a folder its name and a hash over its configuration, tokenizer and
        weights.
    """
    folder = Path(path)
    if not folder.is_dir():
        return os.fspath(path)
    digest = hashlib.blake2b(digest_size=8)
    suffixes = (".json", ".safetensors", ".bin", ".txt", ".model")
    for file in sorted(folder.iterdir()):
        # what a stage notes about itself, such as its seconds, is no part of the encoder
        if file.suffix in suffixes and file.name not in (MANIFEST, _STAGE_FILE):
            digest.update(file.name.encode())
            with open(file, "rb") as stream:
                hashlib.file_digest(stream, lambda: digest)  # continues the same digest
    return f"{folder.name}-{digest.hexdigest()}"


def shard(rows: Sequence[T], index: int, count: int) -> list[T]:
    """Return the rows of a table that one of several processes runs.

    Args:
        rows: All rows of the table.
        index: Index of the process, from 1.
        count: Number of processes.

    Raises:
        ValueError: `index` is not between 1 and `count`.

    Example:
        >>> shard(["none", "mnli", "qqp"], 1, 2)
        ['none', 'qqp']
    """
    if not 1 <= index <= count:
        raise ValueError(f"Shard {index}/{count}: the part must be 1 to {count}.")
    return list(rows[index - 1 :: count])
