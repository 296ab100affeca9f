"""Repositories that are scripts, read from the branch of the Hub that holds their parquet copy."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from fake_hub import commit_of, fake_hub

from jiantx.sources import DataError, Hub, data_root
from jiantx.sources.parquet_conversion import (
    BRANCH,
    files_by_config,
    is_script_error,
    known_config,
)

NLI = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
REPOSITORY = Path(__file__).resolve().parents[1]


def parquet(*texts: str) -> bytes:
    sink = io.BytesIO()
    rows = Dataset.from_dict({"text": list(texts), "label": [1] * len(texts)}, features=NLI)
    rows.to_parquet(sink)
    return sink.getvalue()


# --- names and files ------------------------------------------------------------------------------


def test_the_error_of_the_installed_datasets_is_known(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "set.py").write_text("")
    with pytest.raises(RuntimeError) as raised:
        datasets.load_dataset(str(tmp_path / "set"))
    assert is_script_error(raised.value)
    assert not is_script_error(RuntimeError("out of memory"))
    assert not is_script_error(ValueError("Dataset scripts are no longer supported"))


def test_only_the_layout_of_a_conversion_is_one() -> None:
    files = ["README.md", "en/train/0001.parquet", "en/train/0000.parquet", "de/test/0000.parquet"]
    assert files_by_config(files) == {
        "de": {"test": ["de/test/0000.parquet"]},
        "en": {"train": ["en/train/0000.parquet", "en/train/0001.parquet"]},
    }
    assert files_by_config([*files, "data/train-00000-of-00001.parquet"]) == {}
    assert files_by_config(["train.jsonl"]) == {}


@pytest.mark.parametrize(
    ("config", "configs", "known"),
    [
        ("plain_text", ["default"], "default"),
        ("default", ["plain_text"], "plain_text"),
        ("default", ["piqa"], "piqa"),
        (None, ["anything"], "anything"),
        ("en", ["en", "default"], "en"),
        ("en", ["default"], "en"),  # another language may be all that was converted
        ("plain_text", ["en"], "plain_text"),
        ("plain_text", ["default", "en"], "plain_text"),
        (None, ["default", "en"], None),
    ],
)
def test_the_only_configuration_may_have_another_name(
    config: str | None, configs: list[str], known: str | None
) -> None:
    assert known_config("ybisk/piqa", config, configs) == known


@pytest.fixture
def root(tmp_path: Path) -> Callable[[str, bytes], None]:
    """(path under the data root, content) -> the file."""
    data_root(tmp_path)

    def write(path: str, content: bytes) -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    return write


def test_a_copy_of_the_branch_under_the_data_root(root: Callable[[str, bytes], None]) -> None:
    """Configurations stay apart, which `datasets` would join: a conversion has no card."""
    for config in ("hau", "swa"):
        root(f"org/ner/{config}/train/0000.parquet", parquet(config))
    root("org/piqa/default/train/0000.parquet", parquet("a"))
    root("org/piqa/default/train/0001.parquet", parquet("b"))
    ner = Hub("org/ner", "{language}", languages={"ha": "hau", "sw": "swa", "yo": "yor"})
    assert ner.rows("train", "sw")["text"][:] == ["swa"]
    assert ner.available("train") == ("ha", "sw")
    assert ner.available("test") == ()
    with pytest.raises(DataError, match="has no split 'train'"):
        Hub("org/ner").rows("train", "en")
    for name in (None, "default", "plain_text"):
        rows = Hub("org/piqa", name).rows("train", "en")
        assert rows["text"][:] == ["a", "b"]
        assert rows.features["label"].names == ["no", "yes"]


# --- the Hub --------------------------------------------------------------------------------------

MAIN = commit_of("main")
CARD = b"---\nlicense: mit\n---\n"
CARD_WITH_FILES = b"""---
configs:
- config_name: default
  data_files:
  - split: train
    path: old.parquet
---
"""
REPOSITORIES: dict[str, dict[str, dict[str, bytes]]] = {
    "org/piqa": {
        "main": {"README.md": CARD, "piqa.py": b"x"},
        BRANCH: {
            "default/train/0000.parquet": parquet("a"),
            "default/train/0001.parquet": parquet("b"),
            "default/test/0000.parquet": parquet("c"),
        },
    },
    "org/ner": {
        "main": {"ner.py": b"x"},
        BRANCH: {f"{name}/train/0000.parquet": parquet(name) for name in ("hau", "swa")},
    },
    "org/gone": {"main": {"README.md": CARD, "gone.py": b"x"}},
    "org/listed": {
        "main": {"README.md": CARD_WITH_FILES, "listed.py": b"x", "old.parquet": parquet("old")},
        BRANCH: {"default/train/0000.parquet": parquet("new")},
    },
}
PROGRAM = """
import json, sys
import jiantx as jx

for path, config, split, options in json.loads(sys.argv[1]):
    source = jx.Hub(path, config, **options)
    language = source.available(split)[-1] if source.available(split) else "en"
    try:
        rows = source.rows(split, language)
        answer = [rows["text"][:], rows.features["label"].names, source.available(split)]
    except jx.DataError as error:
        answer = str(error)
    print("ANSWER", json.dumps(answer))
"""


@pytest.mark.slow  # a process of its own, which has the Hub's address
def test_scripts_are_read_from_their_conversions(tmp_path: Path) -> None:
    languages = {"ha": "hau", "sw": "swa", "yo": "yor"}
    joined = {"splits": {"train": ["train", "test"]}}
    names = ["no", "yes"]
    cases: list[tuple[list[Any], Any]] = [
        (["org/piqa", "plain_text", "train", {}], [["a", "b"], names, ["en"]]),
        (["org/piqa", None, "test", {}], [["c"], names, ["en"]]),
        (["org/piqa", "plain_text", "train", joined], [["a", "b", "c"], names, ["en"]]),
        (["org/piqa", "plain_text", "train", {"revision": MAIN}], [["a", "b"], names, ["en"]]),
        (["org/piqa", "plain_text", "test", {"revision": BRANCH}], [["c"], names, ["en"]]),
        (
            ["org/piqa", None, "test", {"revision": commit_of(BRANCH)}],
            [["c"], names, ["en"]],
        ),
        (
            ["org/ner", "{language}", "train", {"languages": languages}],
            [["swa"], names, ["ha", "sw"]],
        ),
        (["org/listed", None, "train", {}], [["new"], names, ["en"]]),
        (["org/piqa", None, "validation", {}], "org/piqa has no split 'validation'"),
        (["org/gone", None, "train", {}], "org/gone is a script on the Hub"),
    ]
    environment = {
        **os.environ,
        "HF_HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "JIANTX_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": str(REPOSITORY),
    }
    environment.pop("JIANTX_DATA", None)
    with fake_hub(REPOSITORIES) as address:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps([case for case, _ in cases])],
            env={**environment, "HF_ENDPOINT": address},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    lines = [line.removeprefix("ANSWER ") for line in done.stdout.splitlines()]
    for (case, expected), line in zip(cases, lines, strict=True):
        answer = json.loads(line)
        if isinstance(expected, str):
            assert expected in answer, case
        else:
            assert answer == expected, case
    remedy = "with `to_parquet` to <folder>/org/gone/"
    assert remedy in lines[-1]
    notes = [line for line in done.stderr.splitlines() if "is a script on the Hub" in line]
    assert len([note for note in notes if note.startswith("org/ner")]) == 1, "said once"
    pinned = [note for note in notes if MAIN in note]
    assert len(pinned) == 1
    assert f"declare revision='{commit_of(BRANCH)}'" in pinned[0]
