"""Rows that become several rows: in order, cached where they can be, with errors that say where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import jiantx as jx
from jiantx.sources import DataError

calls: list[int] = []


def turns(row: dict[str, Any]) -> list[dict[str, Any]]:
    calls.append(1)
    return [{"text": turn, "label": row["label"]} for turn in row["turns"]]


def write(path: Path, conversations: list[list[str]]) -> None:
    rows = [{"turns": texts, "label": "ab"[i % 2]} for i, texts in enumerate(conversations)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_rows_follow_in_order_and_are_cached(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, [["one", "two"], [], ["three"]])
    source = jx.Unfold(jx.Json(path, language="de"), turns)
    assert source.available("train") == ("de",) and source.only_language == "de"
    assert source.rows("train", "de")["text"][:] == ["one", "two", "three"]
    calls.clear()
    assert source.rows("train", "de")["text"][:] == ["one", "two", "three"]
    assert not calls, "the second time they come from the cache"
    assert source.locate("train", "de", 2).endswith("a.jsonl, object 3")
    task = jx.Classification("turns", source, labels=("a", "b"))
    assert list(task.examples("train", "de"))[2].text == "three"


def test_rows_of_splits_and_of_lists() -> None:
    rows = [{"turns": [f"{i} a", f"{i} b"], "label": "ab"[i % 2]} for i in range(10)]
    split = jx.Rows(rows, split={"train": "80%", "validation": "20%"})
    source = jx.Unfold(split, turns)
    texts = [source.rows(name, "en")["text"][:] for name in ("train", "validation")]
    assert [len(of_split) for of_split in texts] == [16, 4]
    conversations = [{text.split()[0] for text in of_split} for of_split in texts]
    assert not conversations[0] & conversations[1], "a conversation is in one split"


@pytest.mark.parametrize("column", ["split", "language"])
def test_parts_of_one_file_are_unfolded_each_for_itself(column: str, tmp_path: Path) -> None:
    # rows in a block are a slice of the file's table, and no list of chosen indices
    values = ["train"] * 3 + ["validation"] * 2 if column == "split" else ["de"] * 3 + ["sw"] * 2
    rows = [{column: value, "turns": [f"{value} {i}"]} for i, value in enumerate(values)]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({**row, "label": "a"}) + "\n" for row in rows))
    fields: dict[str, Any] = {f"{column}_column": column}
    source = jx.Unfold(jx.Json(path, **fields), turns)
    for value in dict.fromkeys(values):
        split, language = (value, "en") if column == "split" else ("train", value)
        texts = source.rows(split, language)["text"][:]
        assert texts == [row["turns"][0] for row in rows if row[column] == value]


def test_rows_in_memory_beside_a_file_are_read_each_time(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [["one"]])
    for text in ("two", "three"):
        listed = jx.Rows([{"turns": [text], "label": "a"}])
        source = jx.Unfold(jx.Concat(jx.Json(tmp_path / "a.jsonl"), listed), turns)
        assert source.rows("train", "en")["text"][:] == ["one", text]


def test_a_failing_function_names_the_row() -> None:
    rows = [{"turns": ["a"], "label": "a"}, {"turns": None, "label": "b"}]
    with pytest.raises(DataError, match=r"Row 1: .*turns"):
        jx.Unfold(jx.Rows(rows), turns).rows("train", "en")

    def one_row(row: dict[str, Any]) -> Any:
        return {"text": "a"}

    with pytest.raises(DataError, match="expected a list of rows"):
        jx.Unfold(jx.Rows(rows), one_row).rows("train", "en")
