"""Splits taken by share: exact, stable, stratified, and never through a group."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

import jiantx as jx
from jiantx.sources import DataError
from jiantx.sources.shares import split_sizes

SHARES = {"train": "80%", "validation": "20%"}
ROWS = [{"text": f"text {i}", "label": "ab"[i % 5 == 0], "document": i // 7} for i in range(203)]


def texts(source: jx.Source, split: str, language: str = "en") -> set[str]:
    return set(source.rows(split, language)["text"])


def test_every_row_is_in_one_split_and_sizes_are_exact() -> None:
    source = jx.Rows(ROWS, split={"train": "70%", "validation": "15%", "test": "15%"})
    splits = [texts(source, split) for split in ("train", "validation", "test")]
    assert [len(split) for split in splits] == [142, 31, 30]  # of 142.1, 30.45, 30.45
    assert len(set.union(*splits)) == 203


@pytest.mark.parametrize("fields", [{}, {"stratify": "label"}, {"group": "document"}])
def test_parts_of_one_file_are_split_each_for_itself(
    fields: dict[str, Any], tmp_path: Path
) -> None:
    # the parts are slices of one cached file
    pd.DataFrame(ROWS).to_csv(tmp_path / "a.csv", index=False)
    dataset = datasets.load_dataset(
        "csv", data_files=str(tmp_path / "a.csv"), split="train", cache_dir=str(tmp_path)
    )
    for start, stop in ((0, 35), (35, 203)):
        rows = dataset.select(range(start, stop))
        in_memory = jx.Rows(rows.to_list(), split=SHARES, **fields)
        source = jx.Rows(rows, split=SHARES, **fields)
        for split in SHARES:
            assert texts(source, split) == texts(in_memory, split)


@pytest.mark.parametrize(
    ("shares", "sizes"),
    [
        ({"train": "rest", "validation": 3}, {"train": 7, "validation": 3}),
        (
            {"train": "50%", "test": 2, "validation": "rest"},
            {"train": 5, "test": 2, "validation": 3},
        ),
        ({"train": "33.3%", "validation": "66.7 %"}, {"train": 3, "validation": 7}),
        ({"train": "30%"}, {"train": 3}),
    ],
)
def test_sizes(shares: dict[str, Any], sizes: dict[str, int]) -> None:
    assert split_sizes(shares, 10) == sizes


def test_a_row_keeps_its_split_in_any_order_and_with_more_rows() -> None:
    shuffled = random.Random(0).sample(ROWS, len(ROWS))
    source = jx.Rows(ROWS, split=SHARES)
    assert texts(source, "train") == texts(jx.Rows(shuffled, split=SHARES), "train")
    more = [{"text": f"new {i}", "label": "a", "document": 99} for i in range(20)]
    moved = texts(source, "train") & texts(jx.Rows(ROWS + more, split=SHARES), "validation")
    assert len(moved) <= 8
    assert texts(source, "train") != texts(jx.Rows(ROWS, split=SHARES, seed=1), "train")


def test_other_rows_and_keys_do_not_move_a_row() -> None:
    """A row with one more key, or keys in another order, says nothing about the others."""
    train = texts(jx.Rows(ROWS, split=SHARES), "train")
    noted = [*ROWS, {"text": "new", "label": "a", "document": 99, "note": "late"}]
    assert len(train & texts(jx.Rows(noted, split=SHARES), "validation")) <= 2
    turned = [dict(reversed(row.items())) if i % 2 else row for i, row in enumerate(ROWS)]
    assert train == texts(jx.Rows(turned, split=SHARES), "train")


def test_rows_with_pictures_are_in_one_split() -> None:
    pil = pytest.importorskip("PIL.Image")
    pictures = [pil.new("RGB", (2, 2), (i, 0, 0)) for i in range(40)]
    columns = {"text": [str(i) for i in range(40)], "picture": pictures}
    features = datasets.Features({"text": datasets.Value("string"), "picture": datasets.Image()})
    rows = datasets.Dataset.from_dict(columns, features=features)
    first, again = (jx.Rows(rows, split=SHARES) for _ in range(2))
    assert not texts(first, "train") & texts(first, "validation")
    assert texts(first, "validation") == texts(again, "validation")


def test_the_assignment_is_the_same_on_every_machine() -> None:
    source = jx.Rows(
        [{"text": letter} for letter in "abcdefghij"], split={"validation": 4, "train": 6}
    )
    assert "".join(sorted(texts(source, "validation"))) == "ehij"


def test_stratified_splits_have_equal_shares_and_exact_sizes() -> None:
    source = jx.Rows(ROWS, split={**SHARES}, stratify="label")
    counts = {split: Counter(source.rows(split, "en")["label"]) for split in SHARES}
    assert sum(counts["train"].values()) == 162 and sum(counts["validation"].values()) == 41
    assert counts["validation"]["b"] == 8  # of 41 rows with b


def test_rare_labels_do_not_break_stratified_splits() -> None:
    rows = [{"text": str(i), "label": str(i % 9)} for i in range(10)]
    source = jx.Rows(
        rows, split={"train": "50%", "validation": "25%", "test": "25%"}, stratify="label"
    )
    sizes = [len(source.rows(split, "en")) for split in ("train", "validation", "test")]
    assert sum(sizes) == 10 and sizes[0] == 5


def test_a_group_stays_in_one_split_in_all_languages() -> None:
    german = [{**row, "text": f"de {row['text']}"} for row in ROWS[50:]]
    source = jx.Rows({"train": {"en": ROWS, "de": german}}, split=SHARES, group="document")
    documents: dict[str, set[int]] = {}
    for split in SHARES:
        documents[split] = set()
        for language in ("en", "de"):
            documents[split] |= set(source.rows(split, language)["document"])
    assert not documents["train"] & documents["validation"]
    validation_rows = sum(len(source.rows("validation", code)) for code in ("en", "de"))
    assert abs(validation_rows - 0.2 * (203 + 153)) <= 14  # a group has up to 14 rows


def test_the_validation_split_comes_from_train_and_test_stays() -> None:
    source = jx.Rows({"train": ROWS, "test": ROWS[:3]}, split={"train": "rest", "validation": 20})
    assert [len(source.rows(split, "en")) for split in ("train", "validation", "test")] == [
        183,
        20,
        3,
    ]
    wrapped = jx.Split(jx.Rows({"train": ROWS, "validation": ROWS}), SHARES)
    with pytest.raises(DataError, match="Leave one of them out"):
        wrapped.rows("validation", "en")


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"train": "80%", "validation": "30%"}, "110 % of the rows"),
        ({"train": "train[:80%]"}, "slices are not supported"),
        ({"train": 0.8}, "expected a percentage such as '20%'"),
        ({"train": "0%"}, "expected a percentage"),
        ({"train": True}, "expected a percentage"),
        ({"train": "80%", "dev": "20%"}, "has no split 'dev'"),
        ({"train": "rest", "test": "rest"}, "may stand once"),
        ({"train": "100%", "test": "rest"}, "nothing is left"),
        ({}, "Expected shares"),
        ({"validation": "20%"}, 'does not name \'train\'.*"train": "rest"'),
    ],
)
def test_shares_that_cannot_be(shares: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        jx.Rows(ROWS, split=shares)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"split": {"train": 300}}, "of 203 rows would be"),
        ({"split": {"train": "rest", "validation": "0.1%"}}, "at least one row in each split"),
        ({"split": SHARES, "group": "documents"}, "Did you mean 'document'"),
        ({"split": SHARES, "stratify": "lable"}, "Did you mean 'label'"),
        (
            {"split": {"train": 201, "validation": 1, "test": 1}, "group": "document"},
            "without splitting a group",
        ),
    ],
)
def test_rows_that_cannot_be_split(fields: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        jx.Rows(ROWS, **fields).rows("train", "en")


def test_stratify_and_group_cannot_both_hold() -> None:
    with pytest.raises(ValueError, match="Give one of them"):
        jx.Rows(ROWS, split=SHARES, stratify="label", group="document")


def test_a_group_without_a_value_is_refused() -> None:
    with pytest.raises(DataError, match="Row 1 in en has no value in the column 'document'"):
        jx.Rows(
            [ROWS[0], {**ROWS[1], "document": None}], split={"train": 2}, group="document"
        ).rows("train", "en")


def test_a_frame_is_a_source() -> None:
    frame = pd.DataFrame(ROWS).drop(columns="document")
    source = jx.Rows(frame, language="de", split=SHARES)
    assert source.available("validation") == ("de",) and len(source.rows("train", "de")) == 162
    with pytest.raises(ValueError, match="Leave one of them out"):
        jx.Rows({"train": {"en": ROWS}}, language="de")


def test_a_group_that_is_no_number_is_named() -> None:
    rows = [{"text": str(i), "document": float("nan") if i == 3 else 1.0 + i} for i in range(9)]
    with pytest.raises(DataError, match="Row 3 in en has no value in the column 'document'"):
        jx.Rows(rows, split=SHARES, group="document").rows("train", "en")
