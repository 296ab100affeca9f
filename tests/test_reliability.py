"""What docs/reliability.md promises: a run that is killed, or whose disk fails, ends as one that
was left alone.

`make soak` runs this file with SOAK set: 200 kills and every place that is written, instead of a
few of each."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from pathlib import Path

import disturb
import pytest
from conftest import EncoderFolder
from disturb import ERRORS, beside, killed, result, start
from forks import wait

SOAK = bool(os.environ.get("SOAK"))
KILLS = 200 if SOAK else 3
PLACES = None if SOAK else 4  # how many of them, at random; None: all, with each error
FILES = None if SOAK else 2
PAUSE = 0.01  # seconds that the slow file system takes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def encoder(encoder_folder: EncoderFolder) -> str:
    return str(encoder_folder())


@pytest.fixture(scope="module")
def undisturbed(encoder: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the run gives when nothing happens to it."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    assert wait(start(folder, encoder)) == 0, beside(folder, "error").read_text()
    return result(folder)


def test_killed_at_random(
    encoder: str, undisturbed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random_, fell, rounds = random.Random(0), Counter[str](), 0
    moment_count = disturb.moments(tmp_path / "counted", encoder)
    while fell.total() < KILLS:
        folder = tmp_path / f"run{rounds}"
        for moment, right in killed(folder, encoder, random_, moment_count, PAUSE):
            assert right, "a run went on from another place than its newest whole checkpoint"
            fell[moment] += 1
        assert result(folder) == undisturbed
        shutil.rmtree(folder)
        rounds += 1
        if SOAK or fell.total() >= KILLS:
            with capsys.disabled():
                print(
                    f"\n{fell.total()} kills over {rounds} runs {dict(fell)}: all ended as the undisturbed one"
                )
    assert not SOAK or min(fell.values()) >= 10, "kills at every moment"


def test_every_place_that_is_written_fails_once(
    encoder: str, undisturbed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    every = disturb.places(tmp_path / "places", encoder)
    assert len(every) > 20, every
    chosen = [(written_path, error) for written_path in every for error in ERRORS]
    if PLACES:
        chosen = random.Random(0).sample(chosen, PLACES)
    passed = []
    for index, (written_path, error) in enumerate(chosen):
        folder = tmp_path / f"run{index}"
        if wait(start(folder, encoder, disturb.failing(written_path, error))) == 0:
            passed.append(written_path)  # it was tried again, or only a file that nobody needs
        else:
            error_text = beside(folder, "error").read_text(encoding="utf-8")
            assert os.strerror(error) in error_text and str(folder) in error_text, (
                f"{written_path}: {error_text}"
            )
            assert wait(start(folder, encoder)) == 0, (
                f"{written_path}: {beside(folder, 'error').read_text()}"
            )
        assert result(folder) == undisturbed, written_path
        shutil.rmtree(folder)
    with capsys.disabled():
        print(
            f"\n{len(chosen)} writes failed, of {len(every)} places; the run passed over {len(passed)}: {set(passed)}"
        )


def test_every_file_is_cut_short_once(
    encoder: str, undisturbed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a run that stopped in its second stage: it ends with the right result, made anew where it
    must be.
    """
    half = tmp_path / "run"  # the place is part of what a run says: copies lie where it lay
    stop = disturb.failing("open out/stages/#/#-pairs/checkpoint-#/trainer_state.json", ERRORS[0])
    assert wait(start(half, encoder, stop)) == 1
    shutil.copytree(half, tmp_path / "kept")
    files = sorted(
        path.relative_to(half) for path in half.rglob("*") if path.is_file() and path.stat().st_size
    )
    for file in files if FILES is None else random.Random(0).sample(files, FILES):
        shutil.rmtree(half)
        shutil.copytree(tmp_path / "kept", half)
        data = (half / file).read_bytes()
        (half / file).write_bytes(data[: len(data) // 2])
        assert wait(start(half, encoder)) == 0, f"{file}: {beside(half, 'error').read_text()}"
        assert result(half) == undisturbed, file
    with capsys.disabled():
        print(f"\n{len(files)} files of a stopped run")


def test_runs_that_share_everything(encoder: str, undisturbed: str, tmp_path: Path) -> None:
    """Started at one moment: one cache, one output."""
    folder = tmp_path / "run"
    children = [start(folder, encoder) for _ in range(3)]
    assert [wait(child) for child in children] == [0, 0, 0], beside(folder, "error").read_text()
    assert result(folder) == undisturbed
