"""Rows from where people have them."""

from __future__ import annotations

import dataclasses
import pickle
from collections import namedtuple
from types import MappingProxyType
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, Features, Value

import jiantx as jx
from jiantx.sources import DataError, iter_items

Named = namedtuple("Named", "text label")


@dataclasses.dataclass
class Data:
    text: str
    label: str


PLAIN = [{"text": "a", "label": "pos"}, {"text": "b", "label": "neg"}]
CODED = Dataset.from_dict(
    {"text": ["a", "b"], "label": [1, 0]},
    features=Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])}),
)
FRAME = pd.DataFrame(PLAIN)
CONTAINERS = {
    "generator": lambda: (row for row in PLAIN),
    "stream": CODED.to_iterable_dataset,
    "dataclasses": lambda: [Data(**row) for row in PLAIN],
    "named-tuples": lambda: [Named(**row) for row in PLAIN],
    "mappings": lambda: list(map(MappingProxyType, PLAIN)),
    "pandas": lambda: FRAME,
    "pandas-with-an-index": lambda: pd.concat([FRAME, FRAME]).iloc[2:].set_index(pd.Index([7, 3])),
    "pandas-categories": lambda: FRAME.astype({"label": "category"}),
    "pyarrow": lambda: pa.Table.from_pylist(PLAIN),
    "views": lambda: pa.table({c: pa.array(FRAME[c], pa.string_view()) for c in FRAME}),
    "numpy-format": lambda: CODED.with_format("numpy"),
    "transform": lambda: CODED.with_transform(lambda batch: batch),
}


def task(rows: Any) -> jx.Classification:
    return jx.Classification(
        name="mood", source=jx.Rows({"train": rows}), labels=("neg", "pos"), text="text"
    )


@pytest.mark.parametrize("kind", CONTAINERS)
def test_rows_are_read_from_many_containers(kind: str) -> None:
    for rows in (CONTAINERS[kind](), {"en": CONTAINERS[kind]()}):
        mine = task(rows)
        for _ in range(2):  # a generator too is read again
            examples = list(mine.examples("train", labelled=True))
            assert [(e.text, e.label) for e in examples] == [("a", "pos"), ("b", "neg")]
        assert repr(mine.source).startswith("Rows({'train': {'en': ")


def test_a_transform_is_applied() -> None:
    rows = CODED.with_transform(
        lambda batch: {"text": [text.upper() for text in batch["text"]], "label": batch["label"]}
    )
    assert [(e.text, e.label) for e in task(rows).examples("train")] == [("A", "pos"), ("B", "neg")]


def test_a_generator_is_pickled_as_its_rows() -> None:
    copy = pickle.loads(pickle.dumps(jx.Rows({"train": (row for row in PLAIN)})))
    assert list(copy.rows("train", "en")) == PLAIN


def test_a_missing_value_of_pandas_is_none() -> None:
    rows = pd.DataFrame({"text": ["a"], "label": [float("nan")]}).astype({"label": object})
    assert next(task(rows).examples("train")).label is None


def test_a_column_of_a_frame_is_its_texts() -> None:
    assert list(iter_items(pd.DataFrame(PLAIN)["text"])) == ["a", "b"]


@pytest.mark.parametrize("rows", [["a"], [PLAIN], [3], [Data]])
def test_what_is_no_row_is_refused(rows: Any) -> None:
    with pytest.raises(DataError, match=r"Row 0 is .*; expected a dictionary of columns"):
        list(task(rows).examples("train"))


@pytest.mark.parametrize("rows", [FRAME["text"], "a text", 3, CODED.map])
def test_what_are_no_rows_is_refused(rows: Any) -> None:
    with pytest.raises(DataError, match="The rows are "):
        list(task(rows).examples("train"))
