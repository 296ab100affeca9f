"""A small run, and what can happen to one: it is killed, its disk is slow or full, its files are
cut short.

Each run is a child of a process that has imported everything, so that a run costs its own second
and no more. Used by tests/test_reliability.py, a few times, and with SOAK=1 some hundred times."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import re
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator
from mmap import mmap
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import safetensors
import safetensors.torch
import torch
import transformers
from conftest import _tiny_tasks
from forks import fork, wait
from transformers import TrainerCallback
from transformers.utils import logging

import jiantx as jx
from jiantx.checkpoints import checkpoints, find_problem, latest_checkpoint
from jiantx.experiments import rows as rows_module

ROW, TARGET = "mood+entities", "pairs"  # two tasks jointly, then a third on their encoder
STEPS = {"intermediate": 8, "target": 6}
SAVED = {
    "save_strategy": "steps",
    "save_steps": 2,
    "logging_steps": 2,
    "per_device_train_batch_size": 4,
}


def run(folder: Path, encoder: str) -> None:
    """Both stages and the report, with everything that is kept below the folder."""
    tasks_by_name = {task.name: task for task in _tiny_tasks().values()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JIANTX_CACHE", str(folder / "cache"))
        patch.setattr(rows_module, "get_task", tasks_by_name.__getitem__)
        _run(folder, encoder, tasks_by_name)


def _run(folder: Path, encoder: str, tasks_by_name: dict[str, jx.Task]) -> None:
    stages: dict[str, Any] = {
        kind: {**SAVED, "max_steps": steps, "disable_tqdm": True, "save_total_limit": 2}
        for kind, steps in STEPS.items()
    }
    recipe = jx.experiments.Recipe(encoder=encoder, output=folder / "out", **stages)
    plan = {
        cell: stage
        for cell, stage in recipe.plan([ROW], [tasks_by_name[TARGET]]).items()
        if cell.row == ROW
    }
    recipe.stages(plan).run()
    recipe.report(plan).to_json(folder / "out" / "report.json")


def result(folder: Path) -> str:
    """A hash over the report and over the parameters that each training ended with."""
    files = [folder / "out" / "report.json", *folder.glob("out/stages/*/encoder/model.safetensors")]
    for training in sorted(trainings(folder)):
        files.append(max(checkpoints(training), key=_step) / "model.safetensors")
    assert len(files) == 4, files
    return hashlib.blake2b(b"".join(path.read_bytes() for path in files)).hexdigest()


def trainings(folder: Path) -> list[Path]:
    """The folders that hold checkpoints."""
    return list({path.parent for path in folder.glob("out/stages/**/checkpoint-*")})


# --- children -------------------------------------------------------------------------------------


def start(folder: Path, encoder: str, prepare: Callable[[Path], None] | None = None) -> int:
    """A child that runs; its steps and its error, if it has one, are left beside the folder."""

    def job() -> None:
        os.environ["TQDM_DISABLE"] = "1"
        logging.set_verbosity_error()
        transformers.trainer.DEFAULT_CALLBACKS.append(_Steps(beside(folder, "steps")))
        if prepare is not None:
            prepare(folder)
        run(folder, encoder)

    return fork(job, beside(folder, "error"))


def beside(folder: Path, name: str) -> Path:
    """A file of ours about a run."""
    return folder.with_name(f"{folder.name}.{name}")


class _Steps(TrainerCallback):
    """Notes every step that is begun."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        with open(self.path, "a") as file:
            file.write(f"{args.output_dir} {state.global_step}\n")


# --- kills ----------------------------------------------------------------------------------------


def slow(seconds: float, count: mmap) -> Callable[[Path], None]:
    """A file system on which whatever opens, renames or removes takes so long, and tensors arrive
    in two halves.

    count: how often it did, for who waits outside.
    """

    def tick() -> None:
        count[:8] = struct.pack("q", struct.unpack("q", count[:8])[0] + 1)
        time.sleep(seconds)

    def prepare(folder: Path) -> None:
        def hook(event: str, args: tuple[Any, ...]) -> None:
            if event in _WRITES and _below(folder, args[0]):
                tick()

        _in_python(tick)
        sys.addaudithook(hook)

    return prepare


def moments(folder: Path, encoder: str) -> int:
    """How often a run opens, renames or removes something."""
    count = mmap(-1, 8)
    assert wait(start(folder, encoder, slow(0, count))) == 0, beside(folder, "error").read_text()
    return int(struct.unpack("q", count[:8])[0])


def killed(
    folder: Path, encoder: str, random_: random.Random, most: int, pause: float
) -> Iterator[tuple[str, bool]]:
    """Run with a kill at a random moment, again and again until the run has ended; then nothing
    more.

    Each kill gives where it fell ("save", "training" or "start") and whether the run went on from
    where it should. The moment is up to `most` operations on files from the start, and then up to
    five pauses: how long a run takes depends on what else the machine does."""
    while True:
        newest_checkpoints = {
            str(training): latest_checkpoint(training)[0] for training in trainings(folder)
        }
        beside(folder, "steps").write_text("")
        count = mmap(-1, 8)
        child = start(folder, encoder, slow(pause, count))
        moment = random_.randrange(most)
        while struct.unpack("q", count[:8])[0] < moment and not os.waitid(os.P_PID, child, _ENDED):
            time.sleep(0.001)
        time.sleep(random_.uniform(0, 5 * pause))
        os.kill(child, signal.SIGKILL)  # one that has ended is not reaped yet
        status = wait(child)
        assert status in (0, -signal.SIGKILL), beside(folder, "error").read_text()
        if status == 0:
            return
        first: dict[str, int] = {}
        for line in beside(folder, "steps").read_text().splitlines():
            path, step = line.rsplit(" ", 1)
            first.setdefault(path, int(step))
        right = all(step == _step(newest_checkpoints.get(path)) for path, step in first.items())
        broken = any(
            find_problem(path) for training in trainings(folder) for path in checkpoints(training)
        )
        half = any(folder.rglob("*.tmp"))
        yield ("save" if broken or half else "training" if first else "start"), right


_ENDED = os.WEXITED | os.WNOHANG | os.WNOWAIT


def _step(checkpoint: Path | None) -> int:
    return int(checkpoint.name.split("-")[1]) if checkpoint else 0


# --- faults ---------------------------------------------------------------------------------------

_WRITES = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree")
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)


def places(folder: Path, encoder: str) -> list[str]:
    """What a run writes, renames and removes, each once: of which kind, and where."""
    written: dict[str, None] = {}
    path = beside(folder, "places")

    def prepare(folder: Path) -> None:
        def hook(event: str, args: tuple[Any, ...]) -> None:
            write_position = _place(folder, event, args)
            if write_position is not None and write_position not in written:
                written[write_position] = None
                with open(path, "a", encoding="utf-8") as file:
                    file.write(write_position + "\n")

        _in_python(lambda: None)
        sys.addaudithook(hook)

    assert wait(start(folder, encoder, prepare)) == 0, beside(folder, "error").read_text()
    return path.read_text(encoding="utf-8").splitlines()


def failing(place: str, error: int) -> Callable[[Path], None]:
    """The first time that this place is written, it fails; what was to be written whole is there in
    part.
    """

    def prepare(folder: Path) -> None:
        waiting = [place]

        def hook(event: str, args: tuple[Any, ...]) -> None:
            if waiting and _place(folder, event, args) == waiting[0]:
                waiting.clear()
                if event == "open":
                    Path(args[0]).write_bytes(b"half")
                raise OSError(error, os.strerror(error), str(args[0]))

        _in_python(lambda: None)
        sys.addaudithook(hook)

    return prepare


def _place(folder: Path, event: str, args: tuple[Any, ...]) -> str | None:
    """One word for all that is written alike: hashes, steps and process numbers do not tell places
    apart.
    """
    if event not in _WRITES or not _below(folder, args[0]):
        return None
    if event == "open" and not (isinstance(args[1], str) and set(args[1]) & set("wax+")):
        return None
    name = os.path.relpath(str(args[0]), folder)
    return f"{event} {re.sub(r'[0-9a-f]{8,}|[0-9]+(-[0-9a-f]{8})?', '#', name)}"


def _below(folder: Path, path: Any) -> bool:
    return isinstance(path, (str, os.PathLike)) and str(path).startswith(f"{folder}{os.sep}")


def _in_python(halfway: Callable[[], None]) -> None:
    """What libraries write from C++ and Rust is written from Python here, where it can be seen;
    tensors in halves.
    """
    save = torch.save

    def torch_save(value: Any, file: Any, *args: Any, **kwargs: Any) -> None:
        with open(file, "wb") as stream:
            save(value, stream, *args, **kwargs)

    def serialize_file(tensors: Any, filename: Any, metadata: Any = None) -> None:
        data = safetensors.serialize(tensors, metadata)
        with open(filename, "wb") as stream:
            stream.write(data[: len(data) // 2])
            stream.flush()
            halfway()
            stream.write(data[len(data) // 2 :])

    patch = pytest.MonkeyPatch()  # of this process alone, and never undone
    patch.setattr(torch, "save", torch_save)
    patch.setattr(safetensors.torch, "serialize_file", serialize_file)
    patch.setattr(pa, "OSFile", open)
