"""A stage runs once for its inputs, also where several processes share the folder."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from jiantx.experiments import Stage, Stages, fingerprint, shard


class Log:
    """Makes stages, and notes the names of those that run."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def stage(
        self,
        name: str,
        inputs: dict[str, Any] | None = None,
        *depends_on: Stage,
        then: Callable[[Path], None] | None = None,
    ) -> Stage:
        def run(folder: Path, dependencies: Sequence[Path]) -> None:
            self.ran.append(name)
            texts = [(path / "out.txt").read_text() for path in dependencies]
            (folder / "out.txt").write_text("+".join([*texts, name]))
            if then is not None:
                then(folder)

        return Stage(name, {"name": name} if inputs is None else inputs, run, depends_on)


@pytest.fixture
def log() -> Log:
    return Log()


def test_a_finished_stage_is_not_run_again(log: Log, tmp_path: Path) -> None:
    plan = Stages(tmp_path, [log.stage("a")])
    plan.run()
    plan.run()
    Stages(tmp_path, [log.stage("a")]).run()
    assert log.ran == ["a"]
    (stage,) = plan
    assert plan.done(stage)
    assert (plan.folder_of(stage) / "out.txt").read_text() == "a"


def test_a_changed_input_is_another_stage(log: Log, tmp_path: Path) -> None:
    for inputs in ({"rate": 1}, {"rate": 2}, {"rate": 1}):
        first = log.stage("a", inputs)
        Stages(tmp_path, [log.stage("b", {"steps": 5}, first)]).run()
    assert log.ran == ["a", "b", "a", "b"], "and so is a stage that depends on it"


def test_keys_depend_on_inputs_and_not_on_names(log: Log) -> None:
    stage = log.stage("a", {"x": 1, "y": 2})
    assert stage.key == log.stage("renamed", {"y": 2, "x": 1}).key
    assert log.stage("a", {"x": 1}).key != log.stage("a", {"x": "1"}).key


def test_a_stage_that_failed_halfway_is_run_again(log: Log, tmp_path: Path) -> None:
    failures = [RuntimeError("the machine stopped")]
    seen: list[list[str]] = []

    def then(folder: Path) -> None:
        seen.append(sorted(path.name for path in folder.iterdir()))
        if failures:
            (folder / "half.txt").write_text("")
            raise failures.pop()

    plan = Stages(tmp_path, [log.stage("b", None, log.stage("a"), then=then)])
    with pytest.raises(RuntimeError, match="stopped"):
        plan.run()
    assert [plan.done(stage) for stage in plan] == [True, False]
    assert [timing["stage"] for timing in plan.timings()] == ["a"]
    plan.run()
    assert log.ran == ["a", "b", "b"]
    assert all(map(plan.done, plan))
    assert seen == [["out.txt"], ["half.txt", "out.txt"]], "its files stay, so that it can resume"


def test_a_damaged_result_is_computed_again(log: Log, tmp_path: Path) -> None:
    plan = Stages(tmp_path, [log.stage("a")])
    plan.run()
    (plan.folder_of(plan.stages[0]) / "out.txt").write_text("?")
    plan.run()
    assert log.ran == ["a", "a"]


def test_shared_stages_run_once_and_in_order(log: Log, tmp_path: Path) -> None:
    base = log.stage("base")
    middle = [log.stage(f"middle{i}", None, base) for i in range(2)]
    last = [log.stage(f"last{i}", None, base, middle[i]) for i in range(2)]
    plan = Stages(tmp_path, last)
    assert [stage.name for stage in plan] == ["base", "middle0", "last0", "middle1", "last1"]
    plan.run()
    assert log.ran == ["base", "middle0", "last0", "middle1", "last1"]
    assert (plan.folder_of(last[1]) / "out.txt").read_text() == "base+base+middle1+last1"


def test_an_encoder_may_be_deleted_when_its_row_is_scored(log: Log, tmp_path: Path) -> None:
    first = log.stage("trained")
    scored = [log.stage(f"scored{i}", None, first) for i in range(2)]
    plan = Stages(tmp_path, scored)
    plan.run()
    shutil.rmtree(plan.folder_of(first))
    assert plan.needed() == []
    plan.run()
    assert log.ran == ["trained", "scored0", "scored1"]
    shutil.rmtree(plan.folder_of(scored[1]))
    assert [stage.name for stage in plan.needed()] == ["trained", "scored1"]
    plan.run()
    assert log.ran[3:] == ["trained", "scored1"]


def test_timings_are_of_finished_stages(log: Log, tmp_path: Path) -> None:
    slow = log.stage("a", then=lambda folder: time.sleep(0.05))
    plan = Stages(tmp_path, [slow, log.stage("b")])
    assert plan.timings() == []
    plan.run()
    first, second = plan.timings()
    assert (first["stage"], second["stage"]) == ("a", "b")
    assert 0.05 <= first["seconds"] < 5
    assert second["seconds"] >= 0


def _run_slowly(folder: Path, calls: Path) -> None:
    def run(stage_folder: Path, dependencies: Sequence[Path]) -> None:
        with open(calls, "a") as file:
            file.write("x")
        time.sleep(0.1)
        (stage_folder / "out.txt").write_text("done")

    Stages(folder, [Stage("slow", {"x": 1}, run)]).run()


@pytest.mark.parametrize("worker", [threading.Thread, multiprocessing.get_context("fork").Process])
def test_two_workers_at_once_run_a_stage_once(worker: Callable[..., Any], tmp_path: Path) -> None:
    arguments = (tmp_path / "plan", tmp_path / "calls")
    workers = [worker(target=_run_slowly, args=arguments) for _ in range(2)]
    for started in workers:
        started.start()
    for started in workers:
        started.join()
    assert (tmp_path / "calls").read_text() == "x"


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shards_are_a_partition(count: int) -> None:
    rows = list("abcde")
    shards = [shard(rows, index, count) for index in range(1, count + 1)]
    assert sorted(chain.from_iterable(shards)) == rows
    sizes = [len(shard_rows) for shard_rows in shards]
    assert max(sizes) - min(sizes) <= 1
    for index in (0, count + 1):
        with pytest.raises(ValueError, match=f"must be 1 to {count}"):
            shard(rows, index, count)


def test_a_fingerprint_is_of_the_files_of_an_encoder(tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    folder.mkdir()
    encoder_files = ("config.json", "model.safetensors", "pytorch_model.bin", "vocab.txt")
    for name in encoder_files:
        (folder / name).write_text(name)
    original = fingerprint(folder)
    assert original.startswith("encoder-")
    assert fingerprint(str(folder)) == original
    for name in ("stage.json", "manifest.json", "README.md"):
        (folder / name).write_text("x")
        assert fingerprint(folder) == original
    fingerprints = {original}
    for name in encoder_files:
        (folder / name).write_text("changed")
        fingerprints.add(fingerprint(folder))
    assert len(fingerprints) == 5


def test_the_fingerprint_of_a_hub_id_is_the_id() -> None:
    assert fingerprint("xlm-roberta-base") == "xlm-roberta-base"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_memory_of_a_stage_is_returned_to_the_system(tmp_path: Path) -> None:
    """Of many blocks the last one stays: glibc alone would keep all blocks below it."""
    remaining = []

    def run(folder: Path, dependencies: Sequence[Path]) -> None:
        blocks = [bytearray(4000) for _ in range(50_000)]
        remaining.append(blocks[-1])
        (folder / "x").write_text("")

    def resident_bytes() -> int:
        pages = Path("/proc/self/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    before = resident_bytes()
    Stages(tmp_path, [Stage("blocks", {}, run)]).run()
    assert remaining
    assert resident_bytes() - before < 100e6
