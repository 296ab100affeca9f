"""Rows as functions see them: names of classes, dictionaries as they were, failures that say where."""

from __future__ import annotations

import datetime
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value

import jiantx as jx
from jiantx.sources import DataError, MissingColumn, read_csv, read_jsonl
from jiantx.sources.function_rows import ColumnText, plain

Label = Callable[[Any], Any]
CLASSES = {"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])}


def coded(*labels: int) -> Dataset:
    rows = {"text": [f"text {label}" for label in labels], "label": list(labels)}
    return Dataset.from_dict(rows, features=Features(CLASSES))


def task(rows: Any, **fields: Any) -> jx.Classification:
    source = rows if isinstance(rows, jx.sources.Source) else jx.Rows({"train": rows})
    fields = {"name": "mood", "labels": ("neg", "pos"), **fields}
    return jx.Classification(source=source, **fields)


def labels_of(mine: jx.Task, **options: Any) -> list[Any]:
    return [example.label for example in mine.examples("train", **options)]


# --- classes are names ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "label",
    [
        lambda row: "pos" if row["label"] == 1 else "neg",
        lambda row: "neg" if row["label"] != 1 else "pos",
        lambda row: "pos" if row["label"] == 1.0 else "neg",
        lambda row: "pos" if row["label"] == True else "neg",  # noqa: E712
        lambda row: "pos" if row.get("label") == 1 else "neg",
        lambda row: "pos" if row["label"] in (1, 2) else "neg",
        lambda row: "pos" if dict(row)["label"] == 1 else "neg",
    ],
)
@pytest.mark.parametrize("joined", [False, True])
def test_a_class_is_never_equal_to_a_number(label: Label, joined: bool) -> None:
    """It gave one label for every row."""
    source: Any = jx.Rows({"train": coded(1, 0)})
    mine = task(jx.Concat(source, source) if joined else source, label=label)
    with pytest.raises(DataError, match=r"row 0: <lambda> failed\. It compares the class 'pos'"):
        labels_of(mine)


def test_the_same_for_where(tmp_path: Path) -> None:
    folder = tmp_path / "org" / "mood"
    folder.mkdir(parents=True)
    coded(1, 0, -1).to_parquet(str(folder / "train.parquet"))
    jx.data_root(tmp_path)

    def kept(where: Any) -> list[Any]:
        return labels_of(task(jx.Hub("org/mood", where=where)))

    assert kept(lambda row, language: row["label"] != "neg") == ["pos", None]
    assert kept(lambda row, language: row["label"] is not None) == ["pos", "neg"]
    for where in (
        lambda row, language: row["label"] != -1,
        lambda row, language: row["label"] == 1,
        lambda row, language: row["label"] >= 0,
        lambda row, language: row["label"],
    ):
        with pytest.raises(DataError, match="Task mood, split 'train', language 'en': Row 0: "):
            kept(where)


def test_classes_by_name_work_and_leave_no_trace() -> None:
    mine = task(coded(1, 0), label=lambda row: row["label"])
    labels = labels_of(mine)
    assert labels == ["pos", "neg"] and {type(label) for label in labels} == {str}
    for label in (
        lambda row: {"neg": "pos", "pos": "neg"}[row["label"]],
        lambda row: "neg" if row["label"] == "pos" else "pos",
        lambda row: "neg" if row["label"] in {"pos", "maybe"} else "pos",
        lambda row: "pos" if row["label"].startswith("n") and row["label"] is not None else "neg",
    ):
        assert labels_of(task(coded(1, 0), label=label)) == ["neg", "pos"]
    seen: list[Any] = []
    labels_of(task(coded(1), label=lambda row: seen.append(row["label"])))
    assert isinstance(seen[0], str) and type(pickle.loads(pickle.dumps(seen[0]))) is str


def test_the_truth_of_a_class_is_said() -> None:
    with pytest.warns(UserWarning, match="whether the class 'neg' is true"):
        labels_of(task(coded(0), label=lambda row: "pos" if row["label"] else "neg"))


@pytest.mark.parametrize("name", ["positive", "Pos", "1"])
def test_a_class_that_is_compared_with_no_class_is_said(name: str) -> None:
    """It never holds: all rows got the other label."""
    with pytest.warns(
        UserWarning, match=rf"the class 'neg' with '{name}', which is not one of the"
    ):
        labels_of(task(coded(0), label=lambda row: "pos" if row["label"] == name else "neg"))
    unlabelled = task(coded(0, 1), label=lambda row: "neg" if row["label"] != "" else "pos")
    assert labels_of(unlabelled) == ["neg", "neg"], "a test for blanks is no test for a class"


NAME_OF_NUMBER = {1: "pos"}


@pytest.mark.parametrize(
    "label",
    [
        lambda row: "pos" if row["label"] in {1, 2} else "neg",
        lambda row: NAME_OF_NUMBER.get(row["label"], "neg"),
        lambda row, names={1: "pos"}: names.get(row["label"], "neg"),
    ],
)
def test_a_class_that_is_looked_up_among_numbers_is_said(label: Label) -> None:
    """A set compares nothing where the hashes differ."""
    with pytest.warns(UserWarning, match="looks up the class 'pos', and has a set or a dictionary"):
        labels_of(task(coded(1), label=label))


def test_a_text_is_never_equal_to_the_number_that_it_spells() -> None:
    """The labels of CSV are text."""
    rows = [{"text": "a", "label": "1"}, {"text": "b", "label": "0"}]
    with pytest.raises(DataError, match="compares the text '1' with 1"):
        labels_of(task(rows, label=lambda row: "pos" if row["label"] == 1 else "neg"))
    both = task(rows, label=lambda row: "pos" if row["label"] in ("1", 1) else "neg")
    assert labels_of(both) == ["pos", "neg"], "both forms may be asked for"


def test_files_where_sees_the_same(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\na,1\nb,0\n")
    source = jx.Files(f"{tmp_path}/train.csv", read_csv, where=lambda row, _: row["label"] == 1)
    with pytest.raises(DataError, match=r"train.csv, row 0: `where` failed.*compares the text '1'"):
        labels_of(task(source))


# --- dictionaries ---------------------------------------------------------------------------------

SPORT_AND_POLITICS = [{"labels": {"sport": 1}}, {"labels": {"politics": 1}}, {"labels": None}]
OPTIONS = [{"options": {"A": "x", "B": "y"}}, {"options": {"B": "y", "A": "x"}}]
NESTED = [{"a": [{"x": {"k": 1}}, {"y": 2}]}, {"a": []}, {"a": [{"x": {"l": None}}]}]
RAGGED = [{"text": "a"}, {"text": "b", "note": None}, {"note": "n", "text": "c"}]
SAME = [{"answers": {"text": ["a"], "start": [0]}}, {"answers": {"text": [], "start": []}}]


def seen_by_functions(source: jx.sources.Source) -> list[Any]:
    rows: list[Any] = []
    mine = task(source, text=lambda row: "text", label=lambda row: rows.append(dict(row)))
    list(mine.examples("train"))
    return rows


@pytest.mark.parametrize("rows", [SPORT_AND_POLITICS, OPTIONS, NESTED, RAGGED, SAME])
@pytest.mark.parametrize("kind", ["rows", "files", "concat"])
def test_functions_see_what_the_row_holds(rows: list[Any], kind: str, tmp_path: Path) -> None:
    """Arrow gives all dictionaries of a column the same keys, in one order."""
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    source: Any = jx.Rows({"train": rows})
    if kind == "files":
        source = jx.Files(str(path), read_jsonl)
    elif kind == "concat":
        source = jx.Concat(source, jx.Rows({"train": rows[::-1]}))
        rows = [*rows, *rows[::-1]]
    seen = seen_by_functions(source)
    assert seen == rows
    for row, original in zip(seen, rows, strict=True):
        assert {name: repr(row[name]) for name in row} == {n: repr(original[n]) for n in original}
        assert kind == "concat" or list(row) == list(original), "in the row's order"


def test_dictionaries_that_differ_between_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jiantx.sources.storing._CHUNK", 1)
    path = tmp_path / "x.jsonl"
    path.write_text('{"d": {"a": 1}}\n{"d": {"b": 1}, "e": 1}\n')
    rows = seen_by_functions(jx.Files(str(path), read_jsonl))
    assert rows == [{"d": {"a": 1}}, {"d": {"b": 1}, "e": 1}]


@pytest.mark.parametrize("last", [{"b": 1}, {"c": 2, "a": 1}, {"a": 1, "c": 2}])
def test_dictionaries_that_differ_between_joined_sources(last: dict[str, int]) -> None:
    splits: list[Any] = [[{"d": {"a": 1}, "e": 1}], [{"d": {"a": 1, "c": 2}}, {"d": last}]]
    source = jx.Concat(*[jx.Rows({"train": rows}) for rows in splits])
    seen = [row["d"] for row in seen_by_functions(source)]
    assert repr(seen) == repr([{"a": 1}, {"a": 1, "c": 2}, last])


def test_dictionaries_of_equal_keys_need_no_further_column() -> None:
    assert jx.Rows({"train": SAME}).rows("train", "en").column_names == ["answers"]


def test_the_right_option_is_gold() -> None:
    rows = [{"prompt": "p", "label": 0, **row} for row in OPTIONS]
    mine = jx.MultipleChoice(
        name="mine",
        source=jx.Rows({"train": rows}),
        choices=lambda row: list(row["options"].values()),
    )
    examples = list(mine.examples("train"))
    assert [example.choices[example.label] for example in examples] == ["x", "y"]


def test_dictionaries_with_what_json_cannot_hold() -> None:
    """Rows with a date in a dictionary that nobody asked for could not be read."""
    day = datetime.date(2026, 11, 29)
    rows: list[dict[str, Any]] = [
        {"d": {"a": b"1", "days": [{"day": day}, {}]}},
        {"d": {"b": 1.5}},
        {"e": np.float32(0.5), "d": {"days": []}},
    ]
    source = jx.Rows({"train": rows})
    for joined in (source, jx.Concat(source, source)):
        seen = [row["d"] for row in seen_by_functions(joined)]
        assert seen[:3] == [row["d"] for row in rows]
    other = jx.Rows({"train": [{"d": {"day": day}}]})
    joined = jx.Concat(jx.Rows({"train": [{"d": {"a": 1}}]}), other)
    assert [row["d"] for row in seen_by_functions(joined)] == [{"a": 1}, {"day": day}]


def test_joined_sources_with_other_types_are_said() -> None:
    joined = jx.Concat(jx.Rows({"train": [{"label": 1}]}), jx.Rows({"train": [{"label": "x"}]}))
    with pytest.raises(DataError, match=r"Task mood, split 'train'.*different types in one column"):
        task(joined).rows("train")


# --- failures -------------------------------------------------------------------------------------


def test_a_column_function_that_fails_says_where() -> None:
    rows = [{"text": "a", "label": 0}, {"text": "b" * 99, "label": "1"}]
    mine = task(jx.Rows({"dev": {"de": [rows[1]]}}), label=lambda row: ("neg", "pos")[row["label"]])
    with pytest.raises(DataError) as caught:
        list(mine.examples("dev", "de"))
    message = str(caught.value)
    assert message.startswith("Task mood, split 'dev', language 'de', row 0: <lambda> failed. ")
    assert "TypeError: tuple indices must be integers" in message and "label: '1'" in message
    assert len(message) < 300, "long texts are shortened"
    assert isinstance(caught.value.__cause__, TypeError), "the function's traceback is shown"


def test_a_lookup_that_fails_is_no_missing_column() -> None:
    with pytest.raises(DataError, match=r"row 0: <lambda> failed\. KeyError: 'pos'"):
        labels_of(task(coded(1), label=lambda row: {0: "neg"}[row["label"]]))
    mine = task([{"text": "a"}], label=lambda row: row["label"])
    assert labels_of(mine) == [None], "a raw row may lack the column"
    with pytest.raises(DataError, match=r"no column 'label' \(asked for by <lambda>\)"):
        labels_of(mine, labelled=True)


def test_a_missing_column_is_a_key_error_for_functions() -> None:
    def label(row: Any) -> str:
        try:
            return str(row["label"])
        except KeyError:
            return "neg"

    assert labels_of(task([{"text": "a"}], label=label)) == ["neg"]
    error = pickle.loads(pickle.dumps(MissingColumn("x", ["a"], "f")))
    assert str(error) == "The row has no column 'x' (asked for by f). It has: a."


def test_a_reader_that_fails_names_its_file(tmp_path: Path) -> None:
    def reader(path: Path) -> Any:
        yield {"text": "a"}
        yield {"text": path.read_text("utf-8")}

    for name in ("1.txt", "2.txt"):
        (tmp_path / name).write_text("a")
    (tmp_path / "2.txt").write_bytes(b"\xe9")
    with pytest.raises(DataError, match=r"2.txt: reader failed after 1 rows: UnicodeDecodeError"):
        jx.Files(f"{tmp_path}/*.txt", reader).rows("train", "en")


def test_text_that_arrow_cannot_hold_is_no_column_of_several_types(tmp_path: Path) -> None:
    (tmp_path / "1.txt").write_text("a")
    source = jx.Files(f"{tmp_path}/*.txt", lambda path: [{"text": "\ud800"}])
    with pytest.raises(DataError, match=r"1.txt hold text that is not valid Unicode"):
        source.rows("train", "en")


# --- columns that nobody asks for -----------------------------------------------------------------


def test_a_where_that_fails_names_the_row_and_opens_no_image(tmp_path: Path) -> None:
    (tmp_path / "org" / "mood").mkdir(parents=True)
    media(text=["a"], label=[1]).to_parquet(str(tmp_path / "org" / "mood" / "train.parquet"))
    jx.data_root(tmp_path)
    source = jx.Hub("org/mood", where=lambda row, language: row["text"] + 1)
    with pytest.raises(DataError, match=r"Row 0: `where` failed. TypeError: .* holds text: 'a'\."):
        source.rows("train", "en")


def media(**columns: Any) -> Dataset:
    features = {name: value for name, value in CLASSES.items() if name in columns}
    features = Features({**features, "image": Image()})
    return Dataset.from_dict({**columns, "image": [b"no image"]}, features=features)


def test_images_that_nobody_asks_for_are_not_decoded() -> None:
    rows = media(text=["a"], label=[1])
    assert labels_of(task(rows)) == ["pos"] == labels_of(task(rows, label=lambda r: r["label"]))
    unlabelled = media(text=["a"])
    assert labels_of(task(unlabelled)) == [None]
    assert labels_of(task(unlabelled, label=lambda row: "pos")) == ["pos"]
    with pytest.raises(DataError, match="UnidentifiedImageError"):
        labels_of(task(unlabelled, label=lambda row: row["image"]))
    with pytest.raises(DataError, match="UnidentifiedImageError"):
        labels_of(task(media(), text=lambda row: row.get("image")))


def test_a_long_list_of_words_is_not_copied_word_by_word() -> None:
    """The words of a sentence are read once a target, by tasks of spans."""
    tokens = ["a"] * 50
    assert plain(tokens) is tokens
    assert plain([[ColumnText("a")], {"b": ColumnText("c")}]) == [["a"], {"b": "c"}]
    assert type(plain([1, ColumnText("a")])[1]) is str
