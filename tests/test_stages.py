"""A stage runs once for its inputs."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import jiantx as jx
from jiantx.experiments.stages import fingerprint, shard


class Log:
    """Stages that say when they run."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def stage(
        self,
        name: str,
        inputs: dict[str, Any] | None = None,
        *after: jx.experiments.Stage,
        then: Any = None,
    ) -> jx.experiments.Stage:
        def run(folder: Path, before: Sequence[Path]) -> None:
            self.ran.append(name)
            text = "+".join([(path / "out.txt").read_text() for path in before] + [name])
            (folder / "out.txt").write_text(text)
            if then is not None:
                then(folder)

        return jx.experiments.Stage(name, {"name": name} if inputs is None else inputs, run, after)


def test_a_done_stage_is_not_run_again(tmp_path: Path) -> None:
    log = Log()
    plan = jx.experiments.Stages(tmp_path, [log.stage("a")])
    plan.run()
    plan.run()
    jx.experiments.Stages(tmp_path, [log.stage("a")]).run()
    assert log.ran == ["a"]
    assert (
        plan.done(plan.stages[0])
        and (plan.folder_of(plan.stages[0]) / "out.txt").read_text() == "a"
    )


def test_a_changed_input_is_another_stage(tmp_path: Path) -> None:
    log = Log()
    for inputs in ({"rate": 1}, {"rate": 2}, {"rate": 1}):
        first = log.stage("a", inputs)
        jx.experiments.Stages(tmp_path, [log.stage("b", {"steps": 5}, first)]).run()
    assert log.ran == ["a", "b", "a", "b"]  # what builds on it is another one too
    assert log.stage("a", {"x": 1, "y": 2}).key == log.stage("renamed", {"y": 2, "x": 1}).key
    assert log.stage("a", {"x": 1}).key != log.stage("a", {"x": "1"}).key


def test_a_stage_that_failed_halfway_is_run_again(tmp_path: Path) -> None:
    log, broken = Log(), [True]

    def then(folder: Path) -> None:
        actual = sorted(path.name for path in folder.iterdir())
        if broken:
            assert actual == ["out.txt"]
            (folder / "half.txt").write_text("")
            raise RuntimeError("the machine stopped")
        assert actual == ["half.txt", "out.txt"]  # what it left is there, so that it can go on

    plan = jx.experiments.Stages(tmp_path, [log.stage("b", None, log.stage("a"), then=then)])
    with pytest.raises(RuntimeError, match="stopped"):
        plan.run()
    assert [plan.done(stage) for stage in plan] == [True, False]
    assert [facts["stage"] for facts in plan.timings()] == ["a"]
    broken.clear()
    plan.run()
    assert log.ran == ["a", "b", "b"] and all(map(plan.done, plan))


def test_a_damaged_result_is_made_again(tmp_path: Path) -> None:
    log = Log()
    plan = jx.experiments.Stages(tmp_path, [log.stage("a")])
    plan.run()
    (plan.folder_of(plan.stages[0]) / "out.txt").write_text("?")
    plan.run()
    assert log.ran == ["a", "a"]


def test_shared_stages_run_once_and_in_order(tmp_path: Path) -> None:
    log = Log()
    base = log.stage("base")
    middle = [log.stage(f"middle{i}", None, base) for i in range(2)]
    last = [log.stage(f"last{i}", None, base, middle[i]) for i in range(2)]
    plan = jx.experiments.Stages(tmp_path, last)
    assert [stage.name for stage in plan] == ["base", "middle0", "last0", "middle1", "last1"]
    plan.run()
    assert log.ran == ["base", "middle0", "last0", "middle1", "last1"]
    assert (plan.folder_of(last[1]) / "out.txt").read_text() == "base+base+middle1+last1"


def test_timings(tmp_path: Path) -> None:
    log = Log()
    plan = jx.experiments.Stages(
        tmp_path, [log.stage("a", then=lambda folder: time.sleep(0.05)), log.stage("b")]
    )
    assert plan.timings() == []
    plan.run()
    first, second = plan.timings()
    assert (first["stage"], second["stage"]) == ("a", "b")
    assert 0.05 <= first["seconds"] < 5 and second["seconds"] >= 0


def _run_slowly(folder: Path, calls: Path) -> None:
    def run(here: Path, before: Sequence[Path]) -> None:
        with open(calls, "a") as file:
            file.write("x")
        time.sleep(0.1)
        (here / "out.txt").write_text("done")

    jx.experiments.Stages(folder, [jx.experiments.Stage("slow", {"x": 1}, run)]).run()


@pytest.mark.parametrize("worker", [threading.Thread, multiprocessing.get_context("fork").Process])
def test_two_at_once_run_it_once(worker: Callable[..., Any], tmp_path: Path) -> None:
    both = [
        worker(target=_run_slowly, args=(tmp_path / "plan", tmp_path / "calls")) for _ in range(2)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert (tmp_path / "calls").read_text() == "x"


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_shards_are_a_partition(parts: int) -> None:
    rows = list("abcde")
    actual = [shard(rows, item, parts) for item in range(1, parts + 1)]
    assert sorted(row for item in actual for row in item) == rows
    assert max(map(len, actual)) - min(map(len, actual)) <= 1
    for item in (0, parts + 1):
        with pytest.raises(ValueError, match=f"must be 1 to {parts}"):
            shard(rows, item, parts)


def test_fingerprint(tmp_path: Path) -> None:
    assert fingerprint("xlm-roberta-base") == "xlm-roberta-base"
    folder = tmp_path / "encoder"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "pytorch_model.bin", "vocab.txt"):
        (folder / name).write_text(name)
    seen = [fingerprint(folder)]
    assert seen[0].startswith("encoder-") and fingerprint(str(folder)) == seen[0]
    for name in ("stage.json", "manifest.json", "README.md"):  # no part of the encoder
        (folder / name).write_text("x")
        assert fingerprint(folder) == seen[0]
    for name in ("config.json", "model.safetensors", "pytorch_model.bin", "vocab.txt"):
        (folder / name).write_text("changed")
        seen.append(fingerprint(folder))
    assert len(set(seen)) == 5


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_a_stage_took_is_given_back(tmp_path):
    """Many pieces, of which the last is kept: without a word the C library would keep all below it."""
    remaining = []

    def run(folder, before):
        pieces = [bytearray(4000) for _ in range(50_000)]
        remaining.append(pieces[-1])
        (folder / "x").write_text("")

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    jx.experiments.Stages(tmp_path, [jx.experiments.Stage("pieces", {}, run)]).run()
    assert remaining and resident() - before < 100e6
