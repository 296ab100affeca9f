"""Keys hold the content of what functions use, or are refused."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset
from torch import nn

import jiantx as jx
from jiantx.experiments.training import task_fingerprints
from jiantx.features import load_features
from jiantx.fingerprints import UncacheableError, fingerprint_text


def frame(value: str) -> pd.DataFrame:
    names = ["x"] * 200
    names[100] = value
    return pd.DataFrame({"name": names, "number": range(200)})


def array(value: str) -> np.ndarray:
    numbers = np.zeros(3000)
    numbers[1500] = len(value)
    return numbers


class Table:
    """An object with a `repr` that tells little, and a private constant."""

    _FACTOR = 1

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __repr__(self) -> str:
        return "a table"


def of_class(value: str) -> type:
    return type("Constants", (), {"_TABLE": frame(value)})


def layer(value: str) -> nn.Module:
    module = nn.Linear(2, 2)
    nn.init.constant_(module.weight, len(value))
    nn.init.zeros_(module.bias)
    return module


MAKERS: dict[str, Callable[[str], Any]] = {
    "frame": frame,
    "series": lambda value: frame(value)["name"],
    "categories": lambda value: frame(value)["name"].astype("category"),
    "array": array,
    "array-of-objects": lambda value: np.array([value, None], dtype=object),
    "tensor": lambda value: torch.tensor(array(value)),
    "bfloat16": lambda value: torch.tensor(array(value)).to(torch.bfloat16),
    "scalar-tensor": lambda value: torch.tensor(len(value)),
    "module": layer,
    "dataset": lambda value: Dataset.from_pandas(frame(value)),
    "selected-rows": lambda value: Dataset.from_pandas(frame(value)).select([3, 100]),
    "transform": lambda value: Dataset.from_dict({"a": [1]}).with_transform(closing_over(value)),
    "pattern": lambda value: re.compile("a" * 300 + value),
    "bytes": lambda value: b"a" * 20_000 + value.encode(),
    "dictionary-of-frames": lambda value: {"a": [frame(value)]},
    "object": lambda value: Table(frame(value)),
    "class-constant": of_class,
    "rows": lambda value: jx.Rows({"train": [{"text": value}]}),
    "generator-of-rows": lambda value: jx.Rows({"train": iter([{"text": value}])}),
    "numpy-scalar": lambda value: np.float32(len(value)),
    "path": Path,
    "keys": lambda value: {value: 1}.keys(),
    "set-of-objects": lambda value: {re.compile(value), re.compile("b"), re.compile("c")},
}


def closing_over(value: Any) -> Callable[[Any], Any]:
    def text(row: Any) -> Any:
        return row[value]

    return text


@pytest.mark.parametrize("kind", MAKERS)
def test_content_is_in_the_key(kind: str) -> None:
    """An abbreviated `repr` stood for it, and a corrected value left old features in use."""
    make = MAKERS[kind]
    one, same, other = (fingerprint_text(closing_over(make(v))) for v in ("a", "a", "bcd"))
    assert one == same != other


@pytest.mark.slow
def test_content_has_one_text_in_all_processes() -> None:
    code = (
        "from test_fingerprints import MAKERS, closing_over, fingerprint_text\n"
        "print(*(fingerprint_text(closing_over(make('a'))) for make in MAKERS.values()))"
    )
    texts = set()
    for seed in "12":
        env = {**os.environ, "PYTHONHASHSEED": seed}
        env["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        command = [sys.executable, "-c", code]
        texts.add(
            subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout
        )
    assert len(texts) == 1


def test_data_of_a_module_of_one_s_own() -> None:
    texts = []
    for value in "ab":
        module = ModuleType("tables")
        module.__file__ = __file__
        vars(module)["COUNTRIES"] = frame(value)
        space: dict[str, Any] = {"tables": module}
        exec("def text(row):\n    return tables.COUNTRIES.name[row['id']]\n", space)
        texts.append(fingerprint_text(space["text"]))
    assert texts[0] != texts[1]


@pytest.mark.parametrize("statement", ["from cleaning import norm", "import cleaning; import json"])
def test_a_module_that_is_imported_in_a_function(
    statement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "column.py").write_text(f"def text(row):\n    {statement}\n    return row['a']\n")
    space: dict[str, Any] = {}
    exec(compile((tmp_path / "column.py").read_text(), tmp_path / "column.py", "exec"), space)
    texts = []
    for letter in "ab":
        (tmp_path / "cleaning.py").write_text(f"def norm(text):\n    return text + {letter!r}\n")
        texts.append(fingerprint_text(space["text"]))
    assert texts[0] != texts[1]


def test_constants_of_a_class_are_told_apart_by_their_names() -> None:
    classes = [type("Words", (), names) for names in ({"A": "x", "B": "y"}, {"B": "x", "A": "y"})]
    one, other = map(fingerprint_text, classes)
    assert one != other


def test_helpers_and_bases_of_a_class() -> None:
    texts = []
    for value in "ab":
        space: dict[str, Any] = {"HELPED": frame(value), "__name__": "mine"}
        exec(
            "class Base:\n    def text(self, row):\n        return HELPED\n"
            "class Mine(Base):\n    pass\nmine = Mine()\n",
            space,
        )
        texts.append(fingerprint_text(space["mine"].text))
    assert texts[0] != texts[1]


@pytest.mark.parametrize("make", [threading.Lock, lambda: (letter for letter in "a")])
def test_what_has_no_content_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(UncacheableError, match="cannot be told by its content"):
        fingerprint_text(closing_over(make()))


def mood(text: Any) -> jx.Classification:
    rows = [{"text": "a", "label": "no"}]
    return jx.Classification(
        name="mood", source=jx.Rows({"train": rows}), labels=("no", "yes"), text=text
    )


def test_features_of_a_refused_function_are_not_cached(
    tokenizer: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("JIANTX_CACHE", str(tmp_path))
    texts = (f"a{i}" for i in range(9))
    with caplog.at_level(logging.WARNING, logger="jiantx"):
        tables = [
            load_features(mood(lambda row: next(texts)), "train", "en", tokenizer).table
            for _ in range(2)
        ]
    assert tables[0][0] != tables[1][0] and not list(tmp_path.rglob("*.arrow"))
    assert "The features of mood are not cached: generator" in caplog.text
    with pytest.raises(UncacheableError, match="Task mood cannot be told from its variants"):
        task_fingerprints([mood(lambda row: next(texts))])


def test_a_corrected_value_makes_new_features_and_stages(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JIANTX_CACHE", str(tmp_path))
    tasks = []
    for value in ("the", "cat"):
        names = frame(value)["name"]
        tasks.append(mood(lambda row, names=names: names[100]))
    first, second = (load_features(task, "train", "en", tokenizer).table[0] for task in tasks)
    assert first["input_ids"] != second["input_ids"]
    assert task_fingerprints(tasks[:1]) != task_fingerprints(tasks[1:])
