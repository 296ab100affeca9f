"""A stage is a function of its declared inputs. It runs once: who asks again reads what it left.

A stage's folder is named by a hash over its inputs and over the stages it builds on, and counts
once its manifest is written. So a stopped plan goes on where it was, rows of a table share stages,
and several processes can share a folder."""

from __future__ import annotations

import ctypes
import gc
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from filelock import FileLock
from tqdm.auto import tqdm

from jiantx.checkpoints import MANIFEST, find_problem, write_json, write_manifest

T = TypeVar("T")
_STAGE_FILE = "stage.json"


@dataclass(frozen=True)
class Stage:
    """A function of its declared inputs.

    Args:
        name: For people.
        inputs: Plain JSON, all that the result depends on.
        run: `run(folder, dependencies)` writes the result into its folder; it gets the folders of
            the
            stages in `depends_on`. What a stopped run left in the folder is still there when it
            runs again, so that training can resume.
        depends_on: Stages that must be done before.
    """

    name: str
    inputs: Mapping[str, Any]
    run: Callable[[Path, Sequence[Path]], None] = field(compare=False, repr=False)
    depends_on: tuple[Stage, ...] = ()

    @cached_property
    def key(self) -> str:
        """A hash over the inputs and the keys of the stages before."""
        text = json.dumps([self.inputs, [stage.key for stage in self.depends_on]], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class Stages:
    """The stages of a plan, each after those that it depends on; equal ones are one.

    Args:
        folder: Of all results.
        stages: Of the plan.
    """

    def __init__(self, folder: Path, stages: Iterable[Stage]) -> None:
        self.folder = folder
        by_key: dict[str, Stage] = {}
        for requested in stages:
            for stage in _dependencies_first(requested):
                by_key[stage.key] = stage
        self.stages = list(by_key.values())

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)

    def folder_of(self, stage: Stage) -> Path:
        """Where a stage writes its result."""
        return self.folder / "stages" / stage.key

    def done(self, stage: Stage) -> bool:
        """Whether a stage's result is complete."""
        return find_problem(self.folder_of(stage)) is None

    def run(self) -> None:
        """Run what is not done, with a progress bar; the ranks of a job run each stage together."""
        ranks = PartialState(cpu=not torch.cuda.is_available())
        gc.collect()
        # or each collection after a stage looks through all libraries, a third of a second long
        gc.freeze()
        try:
            bar = tqdm(self.stages, "stages", unit="stage", disable=not ranks.is_main_process)
            for stage in bar:
                bar.set_postfix_str(stage.name)
                if self._all_see_done(stage):
                    continue
                folder = self.folder_of(stage)
                folder.mkdir(parents=True, exist_ok=True)
                with FileLock(f"{folder}.lock") if ranks.is_main_process else nullcontext():
                    if not self._all_see_done(stage):  # another job may have run it meanwhile
                        self._run_stage(stage, folder, ranks)
        finally:
            gc.unfreeze()

    def _all_see_done(self, stage: Stage) -> bool:
        """Whether a stage is done, as the first rank sees it: others may look a moment later."""
        (done,) = broadcast_object_list([self.done(stage)])
        return bool(done)

    def _run_stage(self, stage: Stage, folder: Path, ranks: PartialState) -> None:
        started = time.perf_counter()
        stage.run(folder, [self.folder_of(dependency) for dependency in stage.depends_on])
        _release_memory()  # a trainer and its model refer to each other: two models might not fit
        ranks.wait_for_everyone()
        if ranks.is_main_process:
            seconds = round(time.perf_counter() - started, 3)
            description = {"name": stage.name, "inputs": dict(stage.inputs), "seconds": seconds}
            write_json(folder / _STAGE_FILE, description)
            write_manifest(folder)
        ranks.wait_for_everyone()

    def timings(self) -> list[dict[str, Any]]:
        """Name and seconds of each stage that is done, in order."""
        timings = []
        for stage in filter(self.done, self.stages):
            text = (self.folder_of(stage) / _STAGE_FILE).read_text(encoding="utf-8")
            timings.append({"stage": stage.name, "seconds": json.loads(text)["seconds"]})
        return timings


def _release_memory() -> None:
    """Free what a stage left behind, and return it to the system: glibc would keep gigabytes."""
    gc.collect()
    if sys.platform == "linux":
        with suppress(AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def _dependencies_first(stage: Stage) -> Iterator[Stage]:
    for dependency in stage.depends_on:
        yield from _dependencies_first(dependency)
    yield stage


def fingerprint(path: str | os.PathLike[str]) -> str:
    """What identifies an encoder in a stage's inputs: a Hub id, or a hash over a folder's files."""
    folder = Path(path)
    if not folder.is_dir():
        return os.fspath(path)
    digest = hashlib.blake2b(digest_size=8)
    suffixes = (".json", ".safetensors", ".bin", ".txt", ".model")
    for file in sorted(folder.iterdir()):
        # how long a stage took is no part of the encoder
        if file.suffix in suffixes and file.name not in (MANIFEST, _STAGE_FILE):
            digest.update(file.name.encode())
            with open(file, "rb") as stream:
                hashlib.file_digest(stream, lambda: digest)  # continues the same digest
    return f"{folder.name}-{digest.hexdigest()}"


def shard(rows: Sequence[T], index: int, count: int) -> list[T]:
    """A share of the rows of a table.

    Args:
        rows: Of the table.
        index: Which share, from 1.
        count: How many shares there are.

    Raises:
        ValueError: There is no such share.
    """
    if not 1 <= index <= count:
        raise ValueError(f"Shard {index}/{count}: the part must be 1 to {count}.")
    return list(rows[index - 1 :: count])
