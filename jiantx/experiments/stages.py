"""A stage is a function of its declared inputs. It runs once: who asks again reads what it left.

A stage's folder is named by a hash over its inputs and over the stages it builds on, and counts once its manifest is
written. So a stopped plan goes on where it was, rows of a table share stages, and several processes can share a folder.
"""

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
_FACTS = "stage.json"


@dataclass(frozen=True)
class Stage:
    """name: for people. inputs: plain JSON, all that the result depends on. run: writes the result into its folder.

    `run(folder, before)` gets its own folder and those of the stages in `after`. What a stopped run left in the folder
    is still there when it runs again, so that training can resume.
    """

    name: str
    inputs: Mapping[str, Any]
    run: Callable[[Path, Sequence[Path]], None] = field(compare=False, repr=False)
    after: tuple[Stage, ...] = ()

    @cached_property
    def key(self) -> str:
        """A hash over the inputs and the keys of the stages before."""
        text = json.dumps([self.inputs, [stage.key for stage in self.after]], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class Stages:
    """The stages of a plan, in an order in which each comes after those it builds on; equal ones are one."""

    def __init__(self, folder: Path, stages: Iterable[Stage]) -> None:
        self.folder = folder
        self.stages = list(
            {stage.key: stage for wanted in stages for stage in _with_those_before(wanted)}.values()
        )

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)

    def folder_of(self, stage: Stage) -> Path:
        """Where a stage leaves its result."""
        return self.folder / "stages" / stage.key

    def done(self, stage: Stage) -> bool:
        """Whether a stage's result is there and whole."""
        return find_problem(self.folder_of(stage)) is None

    def run(self) -> None:
        """Run what is not done, with a progress bar over stages; the ranks of one job run each stage together."""
        ranks = PartialState(cpu=not torch.cuda.is_available())
        gc.collect()
        gc.freeze()  # or each collection after a stage looks through all libraries, a third of a second long
        try:
            bar = tqdm(self.stages, "stages", unit="stage", disable=not ranks.is_main_process)
            for stage in bar:
                bar.set_postfix_str(stage.name)
                if self._all_see_done(stage):
                    continue
                folder = self.folder_of(stage)
                folder.mkdir(parents=True, exist_ok=True)
                with FileLock(f"{folder}.lock") if ranks.is_main_process else nullcontext():
                    if not self._all_see_done(stage):  # another job was at it, and has done it
                        self._run(stage, folder, ranks)
        finally:
            gc.unfreeze()

    def _all_see_done(self, stage: Stage) -> bool:
        """What the first rank sees: others may look a moment later."""
        (done,) = broadcast_object_list([self.done(stage)])
        return bool(done)

    def _run(self, stage: Stage, folder: Path, ranks: PartialState) -> None:
        start = time.perf_counter()
        stage.run(folder, [self.folder_of(before) for before in stage.after])
        _give_back()  # a trainer and its model hold each other: two models might not fit
        ranks.wait_for_everyone()
        if ranks.is_main_process:
            seconds = round(time.perf_counter() - start, 3)
            write_json(
                folder / _FACTS,
                {"name": stage.name, "inputs": dict(stage.inputs), "seconds": seconds},
            )
            write_manifest(folder)
        ranks.wait_for_everyone()

    def timings(self) -> list[dict[str, Any]]:
        """Name and seconds of each stage that is done, in order."""
        found = []
        for stage in self.stages:
            if self.done(stage):
                facts = json.loads((self.folder_of(stage) / _FACTS).read_text(encoding="utf-8"))
                found.append({"stage": stage.name, "seconds": facts["seconds"]})
        return found


def _give_back() -> None:
    """Free what a stage left, and return it to the system: glibc keeps such pieces, which became gigabytes."""
    gc.collect()
    if sys.platform == "linux":
        with suppress(AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def _with_those_before(stage: Stage) -> Iterator[Stage]:
    for before in stage.after:
        yield from _with_those_before(before)
    yield stage


def fingerprint(path: str | os.PathLike[str]) -> str:
    """What stands for an encoder in a stage's inputs: a Hub id as it is, a folder by the contents of its files."""
    folder = Path(path)
    if not folder.is_dir():
        return os.fspath(path)
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(folder.iterdir()):
        # not what a stage says of itself: how long it took is no part of the encoder
        if file.suffix in (".json", ".safetensors", ".bin", ".txt", ".model") and file.name not in (
            MANIFEST,
            _FACTS,
        ):
            digest.update(file.name.encode())
            with open(file, "rb") as stream:
                hashlib.file_digest(stream, lambda: digest)  # goes on with the same digest
    return f"{folder.name}-{digest.hexdigest()}"


def shard(rows: Sequence[T], part: int, parts: int) -> list[T]:
    """Part `part` (from 1) of `parts` of the rows of a table; ValueError for a part that is none."""
    if not 1 <= part <= parts:
        raise ValueError(f"Shard {part}/{parts}: the part must be 1 to {parts}.")
    return list(rows[part - 1 :: parts])
