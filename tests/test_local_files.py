"""A user's own files: delimiters, encodings, headers, languages, JSON, and what errors say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import jiantx as jx
from jiantx.evaluation import scored_languages
from jiantx.sources import DataError
from jiantx.sources.readers.delimited import find_delimiter


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, text: str, encoding: str = "utf-8") -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return name


def rows(source: jx.Source, split: str = "train", language: str = "en") -> list[dict[str, Any]]:
    return source.rows(split, language).to_list()


def error_of(source: jx.Source, split: str = "train", language: str = "en") -> str:
    with pytest.raises(DataError) as caught:
        source.rows(split, language)
    return str(caught.value)


# --- delimiters -----------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_among_others_in_cells(delimiter: str) -> None:
    other = ";" if delimiter == "," else ","
    cell = f"well{other} it is{other} good"
    path = write("a.csv", f"text{delimiter}label\n{cell}{delimiter}glad\nbad{delimiter}sad\n")
    assert rows(jx.Csv(path))[0] == {"text": cell, "label": "glad"}


def test_a_delimiter_in_quotes_does_not_count() -> None:
    path = write("a.csv", 'text;label\n"one; two\nthree";x\n"say ""yes""";y\n')
    assert [row["text"] for row in rows(jx.Csv(path))] == ["one; two\nthree", 'say "yes"']


def test_two_delimiters_that_fit_are_refused() -> None:
    path = write("a.csv", "a;b,c;d\n1;2,3;4\n")
    message = error_of(jx.Csv(path))
    assert "comma ',': 2 (2 rows); semicolon ';': 3 (2 rows)" in message
    assert rows(jx.Csv(path, delimiter=";"))[0] == {"a": "1", "b,c": "2,3", "d": "4"}


def test_one_column_needs_no_delimiter() -> None:
    assert rows(jx.Csv(write("a.csv", "text\nyes\nno\n"))) == [{"text": "yes"}, {"text": "no"}]


def test_a_broken_row_does_not_change_the_delimiter() -> None:
    path = write("a.csv", "text,label\nyes,x\nno;y\n" + "good,x\n" * 5)
    assert find_delimiter(Path(path), "utf-8", '"') == ","
    assert rows(jx.Csv(path))[1] == {"text": "no;y", "label": None}


def test_an_open_quotation_mark_is_named_by_the_line_where_it_opens() -> None:
    path = write("a.csv", 'text,label\nyes,x\n"no,y\nmore,z\n')
    message = error_of(jx.Csv(path))
    assert "The row that begins in line 3 opens a quotation mark" in message
    assert rows(jx.Csv(path, quote=None))[1] == {"text": '"no', "label": "y"}


def test_tsv_reads_quotation_marks_as_letters() -> None:
    assert rows(jx.Tsv(write("a.tsv", 'text\tlabel\n"no\tx\n'))) == [{"text": '"no', "label": "x"}]


# --- encodings ------------------------------------------------------------------------------------


def test_a_file_that_is_not_utf8_says_which_encoding_reads_well() -> None:
    path = write("a.csv", "text,label\nplain,x\nschön,y\n", "latin-1")
    message = error_of(jx.Csv(path))
    assert "line 3: not UTF-8 text (byte 22 of the file is 0xf6)" in message
    assert "begins 'schön,y'" in message and "encoding='cp1252'" in message
    assert rows(jx.Csv(path, encoding="cp1252"))[1]["text"] == "schön"


def test_utf8_read_as_another_encoding_is_refused() -> None:
    path = write("a.csv", "text,label\nschön,y\n")
    assert "the file is UTF-8, not latin-1" in error_of(jx.Csv(path, encoding="latin-1"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_are_no_letters(encoding: str) -> None:
    path = write("a.csv", "text,label\nschön,y\nno,x\n", encoding)
    options = {"encoding": encoding} if encoding == "utf-16" else {}
    assert rows(jx.Csv(path, **options))[0] == {"text": "schön", "label": "y"}  # type: ignore[arg-type]


def test_utf16_and_unknown_encodings_are_named() -> None:
    path = write("a.csv", "text,label\nno,x\n", "utf-16")
    assert "Give encoding='utf-16'" in error_of(jx.Csv(path))
    assert "There is no encoding 'latin_one'" in error_of(jx.Csv(path, encoding="latin_one"))
    assert "NUL characters" in error_of(jx.Csv(path, encoding="cp932"))


# --- headers and cells ----------------------------------------------------------------------------


def test_a_missing_header_is_refused_and_can_be_named() -> None:
    path = write("a.csv", "a nice day,good\nbad day,bad\nok day,good\n")
    assert "'good' is also a value of its column" in error_of(jx.Csv(path))
    with_columns = jx.Csv(path, columns=("text", "label"))
    assert (
        rows(with_columns)[0] == {"text": "a nice day", "label": "good"}
        and len(rows(with_columns)) == 3
    )
    assert len(rows(jx.Csv(path, header=True))) == 2


def test_columns_may_replace_a_header() -> None:
    path = write("a.csv", "Sentence,Sentiment\ngood,pos\n")
    columns = ("text", "label")
    assert rows(jx.Csv(path, columns=columns, header=True)) == [{"text": "good", "label": "pos"}]
    assert len(rows(jx.Csv(path, columns=columns, header=False))) == 2
    for source_type in (jx.Csv, jx.Tsv):
        with pytest.raises(ValueError, match="header=False says that the file has no header"):
            source_type(path, header=False)


def test_a_cell_may_hold_a_book() -> None:
    text = "word " * 30_000
    assert rows(jx.Csv(write("a.csv", f'text,label\n"{text}",pos\n')))[0]["text"] == text
    assert rows(jx.Tsv(write("a.tsv", f"text\tlabel\n{text}\tpos\n")))[0]["text"] == text


def test_brackets_in_names_are_letters() -> None:
    Path("d[1]").mkdir()
    write("d[1]/a.en.csv", "text,label\ngood,pos\n")
    assert len(rows(jx.Csv("d[1]/a.{language}.csv"))) == 1


def test_columns_beside_a_header_are_refused() -> None:
    path = write("a.csv", "text,label\nyes,x\n")
    assert "Leave `columns` out" in error_of(jx.Csv(path, columns=("text", "label")))


def test_cells_stay_text() -> None:
    path = write("a.csv", "text,label\nNA,0\nnull,1\n12,01\n")
    assert [tuple(row.values()) for row in rows(jx.Csv(path))] == [
        ("NA", "0"),
        ("null", "1"),
        ("12", "01"),
    ]


def test_errors_of_rows_name_file_and_line() -> None:
    path = write("a.csv", 'text,label\n"one\ntwo",x\nyes,y\n,x\n')
    task = jx.Classification("mine", jx.Csv(path), labels=("x", "y"))
    with pytest.raises(DataError, match=r"row 2 \(.*a\.csv, line 5\): Column 'text' is an empty"):
        list(task.examples("train"))
    filtered = jx.Csv(path, where=lambda row, language: row["text"] != "one\ntwo")
    with pytest.raises(DataError, match=r"row 1 \(.*a\.csv, line 5\)"):
        list(task.replace(source=filtered).examples("train"))


def test_the_row_of_a_subsample_gets_no_wrong_line() -> None:
    path = write("a.csv", "text,label\nyes,x\nno,x\n,x\n")
    task = jx.Classification("mine", jx.Csv(path), labels=("x", "y"))
    with pytest.raises(DataError, match="row 0: Column 'text'"):
        list(task.examples("train", rows=task.rows("train").select([2])))


# --- splits and languages -------------------------------------------------------------------------


def test_files_by_split_and_their_usual_names() -> None:
    for name in ("train", "dev", "test"):
        write(f"x/{name}.csv", f"text,label\n{name},a\n")
    by_name = jx.Csv("x/{split}.csv")
    by_path = jx.Csv({"train": "x/train.csv", "validation": "x/dev.csv", "test": "x/test.csv"})
    for source in (by_name, by_path):
        assert rows(source, "validation")[0]["text"] == "dev"
        assert [source.available(split) for split in ("train", "test", "other")] == [
            ("en",),
            ("en",),
            (),
        ]
    write("x/val.csv", "text,label\nval,a\n")
    assert "may be the split 'validation'" in error_of(by_name, "validation")


def test_one_file_is_train_alone() -> None:
    source = jx.Csv(write("a.csv", "text,label\nyes,x\n"))
    assert source.available("train") == ("en",) and source.available("validation") == ()
    assert 'split={"train": "80%", "validation": "20%"}' in error_of(source, "validation")


def test_languages_stand_in_the_names_of_files() -> None:
    for language in ("en", "de", "pt-BR"):
        write(f"x/r.{language}.csv", f"text,label\n{language},a\n")
    source = jx.Csv("x/r.{language}.csv")
    assert source.available("train") == ("de", "en", "pt-BR")
    assert rows(source, language="pt-BR")[0]["text"] == "pt-BR"
    assert "Languages: de, en, pt-BR" in error_of(source, language="fr")
    mapped = jx.Csv("x/r.{language}.csv", languages={"pt": "pt-BR"})
    assert mapped.available("train") == ("pt",) and rows(mapped, language="pt")


def test_a_file_beside_a_wildcard_is_of_the_longest_code_that_fits() -> None:
    for name in ("de", "de-CH", "de-CH.2", "de.2"):
        write(f"x/r.{name}.csv", f"text,label\n{name},a\n")

    def texts(source: jx.Source, language: str) -> set[str]:
        return {row["text"] for row in rows(source, language=language)}

    source = jx.Csv("x/r.{language}*.csv")
    assert set(source.available("train")) == {"de", "de-CH"}
    assert texts(source, "de") == {"de", "de.2"}
    assert texts(source, "de-CH") == {"de-CH", "de-CH.2"}
    mapped = jx.Csv("x/r.{language}*.csv", languages={"de": "de", "gsw": "de-CH"})
    assert texts(mapped, "gsw") == {"de-CH", "de-CH.2"}


def test_a_language_may_stand_twice_in_a_name_and_a_split_is_none() -> None:
    write("de/r.de.csv", "text,label\na,x\n")
    write("en/r.de.csv", "text,label\nb,x\n")
    assert jx.Csv("{language}/r.{language}.csv").available("train") == ("de",)
    for name in ("sw", "dev", "val"):
        write(f"y/{name}.csv", "text,label\na,x\n")
    assert jx.Csv("y/{language}.csv").available("train") == ("sw",)


def test_languages_stand_in_a_column() -> None:
    path = write("a.csv", "text,lang\nyes,en\nja,de\nno,en\n")
    source = jx.Csv(path, language_column="lang")
    assert source.available("train") == ("en", "de")
    assert [row["text"] for row in rows(source)] == ["yes", "no"]
    assert source.locate("train", "en", 1).endswith("a.csv, line 4")
    assert "no column 'language'" in error_of(jx.Csv(path, language_column="language"))


def test_splits_stand_in_a_column() -> None:
    path = write("a.csv", "text,lang,part\nyes,en,train\nja,de,train\nno,en,dev\nmaybe,en,train\n")
    source = jx.Csv(path, language_column="lang", split_column="part")
    assert source.available("train") == ("en", "de")
    assert source.available("validation") == ("en",) and source.available("test") == ()
    assert [row["text"] for row in rows(source)] == ["yes", "maybe"]
    assert [row["text"] for row in rows(source, "validation")] == ["no"]
    assert source.locate("train", "en", 1).endswith("a.csv, line 5")
    assert "holds 'train', 'dev'. Expected 'test', 'testing'." in error_of(source, "test")
    message = error_of(source, "validation", "de")
    assert "in 'de'. Other languages have rows with 'dev' in 'part'." in message
    nothing = jx.Csv(
        path, language_column="lang", split_column="part", where=lambda row, code: False
    )
    assert "in 'en' that `where` keeps" in error_of(nothing)
    assert nothing.available("train") == ()
    misspelt = jx.Csv(path, split_column="partt")
    assert "no column 'partt' (asked for by split_column)" in error_of(misspelt)


def test_words_of_splits_are_neither_merged_nor_dropped_in_silence() -> None:
    path = write("a.csv", "text,part\na,train\nb,dev\nc,eval\n")
    assert "holds 'dev' and 'eval', and both may be" in error_of(
        jx.Csv(path, split_column="part"), "validation"
    )
    path = write("b.csv", "text,part\na,train\nb,Train\nc,tset\n")
    with pytest.warns(
        UserWarning, match="rows with 'Train', 'tset' in the column 'part' are of no"
    ):
        assert [row["text"] for row in rows(jx.Csv(path, split_column="part"))] == ["a"]


def test_splits_in_a_column_of_each_language() -> None:
    write("x.en.jsonl", '{"text": "a", "set": "train"}\n{"text": "b", "set": null}\n')
    write("x.de.jsonl", '{"text": "c", "set": "val"}\n')
    source = jx.Json("x.{language}.jsonl", split_column="set")
    with pytest.warns(UserWarning, match="rows with None in the column 'set'"):
        assert source.available("train") == ("en",) and source.available("validation") == ("de",)
    with pytest.warns(UserWarning, match="of no split"):
        assert [row["text"] for row in rows(source)] == ["a"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"text": "a", "lang": "en"}\n{"text": "b", "lang": null}\n'),
        ("b.jsonl", '{"text": "a", "lang": "en"}\n{"text": "b"}\n'),
        ("c.jsonl", '{"text": "a", "lang": 1}\n{"text": "b", "lang": 2}\n'),
    ],
)
def test_a_row_without_a_language_is_named(name: str, text: str) -> None:
    source = jx.Json(write(name, text), language_column="lang")
    with pytest.raises(DataError, match=r"row [01]: the language, in the column 'lang', is"):
        source.available("train")


def test_one_language_for_all_rows_is_trained_in() -> None:
    path = write("a.csv", "text,label\nja,x\nnein,y\n")
    task = jx.Classification("mine", jx.Csv(path, language="de"))
    assert task.train_languages == ("de",) and task.languages("train") == ("de",)
    assert "Languages: de" in error_of(task.source)
    frame = jx.Rows([{"text": "ja", "label": "x"}], language="de")
    assert task.replace(source=frame).train_languages == ("de",)
    both = jx.Concat(task.source, frame)
    assert jx.Classification("mine", both).train_languages == ("de",)


@pytest.mark.parametrize(
    "fields",
    [
        {"language": "de", "language_column": "lang"},
        {"languages": ("en", "de")},
        {"stratify": "label"},
        {"split": {"train": "all"}},
        {"split": {"train": "80%", "validation": "20%"}, "split_column": "part"},
    ],
)
def test_arguments_that_contradict_each_other_are_refused(fields: Any) -> None:
    with pytest.raises(ValueError, match=r"Csv|split="):
        jx.Csv("a.csv", **fields)


def test_a_missing_file_names_near_ones() -> None:
    write("reviews.csv", "text\nyes\n")
    assert "Did you mean 'reviews.csv'?" in error_of(jx.Csv("reveiws.csv"))
    assert "There is no folder" in error_of(jx.Csv("nowhere/a.csv"))


def test_a_file_that_changes_is_read_again() -> None:
    source = jx.Csv(write("a.csv", "text,label\nyes,x\n"), split={"train": 1})
    assert len(rows(source)) == 1
    write("a.csv", "text,label\nyes,x\nno, maybe,y\n")
    assert "found 3 fields, expected 2" in error_of(source)


# --- JSON, CoNLL, SQuAD ---------------------------------------------------------------------------

ROW = {"text": "yes", "label": "x"}


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (json.dumps(ROW) + "\n", None),
        (json.dumps(ROW) + "\n\n" + json.dumps(ROW), None),
        (json.dumps([ROW]), None),
        (json.dumps([ROW], indent=2), None),
        (json.dumps({"version": 1, "data": [ROW]}), "data"),
        (json.dumps({"version": 1, "data": [ROW]}, indent=2), "data"),
    ],
)
def test_three_forms_of_json(text: str, field: str | None) -> None:
    assert rows(jx.Json(write("a.json", text), field=field))[0] == ROW


@pytest.mark.parametrize(
    ("content", "field", "message"),
    [
        ({"data": [ROW], "n": 1}, None, "lists of rows under data. Say which: field='data'"),
        ({"data": [ROW]}, "date", "no field 'date'. Did you mean 'data'"),
        ([ROW], "data", "field='data' is for a JSON object, found list"),
        ({"text": ["yes"], "label": ["x"]}, None, "jx.Rows(pandas.read_json(…))"),
        ([ROW, 3], None, "object 2: expected a JSON object, found 3"),
    ],
)
def test_json_that_says_too_little(content: Any, field: str | None, message: str) -> None:
    path = write("a.json", json.dumps(content))
    assert message in error_of(jx.Json(path, field=field))


def test_bilou_tags_from_one_conll_file() -> None:
    path = write("a.conll", "Angela B-PER\nMerkel L-PER\n\n\nParis U-LOC\nruft O\n")
    source = jx.Conll(path, language="de")
    task = jx.TokenClassification("ner", source)
    assert task.label_names == ("B-PER", "L-PER", "O", "U-LOC")
    assert source.locate("train", "de", 1).endswith("a.conll, line 5")


def test_squad_questions_are_split() -> None:
    paragraphs = []
    for index in range(4):
        answer = {"text": str(index), "answer_start": 0}
        question = {"id": f"q{index}", "question": "How many?", "answers": [answer]}
        paragraphs.append({"context": str(index), "qas": [question]})
    path = write("a.json", json.dumps({"data": [{"paragraphs": paragraphs}]}))
    source = jx.Squad(path, split={"train": 3, "validation": "rest"})
    assert len(rows(source)) == 3 and len(rows(source, "validation")) == 1
    assert re.search(r"a\.json, question \d$", source.locate("validation", "en", 0))


# --- what users also give -------------------------------------------------------------------------


def test_files_without_rows_are_refused() -> None:
    assert "found an empty file" in error_of(jx.Csv(write("a.csv", "")))
    assert "There are no rows in" in error_of(jx.Csv(write("a.csv", "text,label\n")))
    assert "is a folder" in error_of(jx.Csv("."))


def test_one_row_of_json_lines_with_lists() -> None:
    row = {"tokens": ["a", "b"], "tags": ["O", "O"]}
    assert rows(jx.Json(write("a.jsonl", json.dumps(row)))) == [row]
    assert "name the file .jsonl" in error_of(jx.Json(write("a.json", json.dumps(row))))


def test_a_delimiter_is_one_character() -> None:
    with pytest.raises(ValueError, match=r"delimiter='; '\. Expected one character"):
        jx.Csv("a.csv", delimiter="; ")


def test_files_of_two_forms_and_languages_are_joined() -> None:
    german = jx.Csv(write("a.csv", "text,label\nja,x\n"), language="de")
    swahili = jx.Json(write("a.json", json.dumps([{"text": "ndiyo", "label": "y"}])), language="sw")
    joined = jx.Concat(german, swahili)
    assert joined.available("train") == ("de", "sw")
    assert rows(joined, language="sw")[0]["text"] == "ndiyo"
    assert "split 'test'" in error_of(joined, "test", "de")


LEAST = 1


def has_enough(row: dict[str, Any], language: str) -> bool:
    return int(row["score"]) >= LEAST


def test_rows_are_chosen_again_where_a_constant_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("a.csv", "text,score\na,1\nb,2\nc,3\n")
    assert len(rows(jx.Csv(path, where=has_enough))) == 3
    monkeypatch.setitem(globals(), "LEAST", 3)
    assert len(rows(jx.Csv(path, where=has_enough))) == 1


def test_splits_of_any_source() -> None:
    files = jx.Files(write("a.csv", "text,label\nja,x\nno,y\n"), jx.read_csv)
    shares = {"train": 1, "validation": 1}
    assert 'splits={"train": "train"}' in error_of(jx.Split(files, shares), "validation")
    one_split = jx.Files("a.csv", jx.read_csv, splits={"train": "train"})
    assert len(rows(jx.Split(one_split, shares), "validation")) == 1


def test_columns_in_the_place_of_splits_are_refused() -> None:
    with pytest.raises(TypeError, match="If these are columns, give a frame"):
        jx.Rows({"text": ["a"], "label": ["x"]})


def test_keys_that_are_languages_are_no_splits(tmp_path: Path) -> None:
    (tmp_path / "de.csv").write_text("text,label\na,x\n")
    source = jx.Csv({"en": tmp_path / "en.csv", "de": tmp_path / "de.csv"})
    with pytest.raises(DataError, match=r"its keys are 'en', 'de'\. Expected splits .*Concat"):
        source.rows("train", "de")
    with pytest.raises(DataError, match=r'"train": …, "validation": …'):
        jx.Csv({"test": tmp_path / "de.csv"}).rows("train", "en")


def test_a_language_that_no_file_has_is_named_when_scoring(tmp_path: Path) -> None:
    (tmp_path / "de.csv").write_text("text,label\na,x\nb,y\n")
    mine = jx.Classification("mine", jx.Csv(tmp_path / "{language}.csv"), labels=("x", "y"))
    with pytest.raises(DataError, match=r"none of the languages sw\. It has: de\."):
        scored_languages(mine, "train", ["sw"])


def test_the_language_of_each_path_is_known() -> None:
    """Else English training rows would be read as those of every language."""
    with pytest.raises(
        ValueError, match=r"'en.csv' has not, so the language of its rows is unknow"
    ):
        jx.Csv({"train": "en.csv", "test": "{language}.csv"}, languages=("en", "de"))


def test_tags_and_questions_may_have_another_encoding() -> None:
    conll = write("a.conll", "Käse\tO\n\nBrötchen\tB-X\n", encoding="cp1252")
    with pytest.raises(DataError, match="give encoding='cp1252'"):
        rows(jx.Conll(conll))
    assert rows(jx.Conll(conll, encoding="cp1252"))[0]["tokens"] == ["Käse"]
    question = {"id": "1", "question": "Wo?", "answers": [{"text": "Köln", "answer_start": 0}]}
    data = {"data": [{"paragraphs": [{"context": "Köln.", "qas": [question]}]}]}
    squad = write("a.json", json.dumps(data, ensure_ascii=False), encoding="cp1252")
    assert rows(jx.Squad(squad, encoding="cp1252"))[0]["context"] == "Köln."


@pytest.mark.parametrize("field", ["stratify", "group"])
def test_a_row_that_cannot_be_assigned_is_located(field: str) -> None:
    write("a.csv", "text,kind\none,x\ntwo,x\nthree,\n")
    fields: dict[str, Any] = {field: "kind"}
    source = jx.Csv("a.csv", split={"train": "50%", "validation": "50%"}, **fields)
    assert "a.csv, line 4 has no value in the column 'kind'" in error_of(source)


def test_multiword_tokens_of_conllu_are_no_words() -> None:
    rest = "\t_" * 6
    lines = [f"1-2\tdu\t_\t_{rest}", f"1\tde\tde\tADP{rest}", f"2\tle\tle\tDET{rest}", ""]
    path = write("a.conllu", "\n".join(lines))
    with pytest.raises(DataError, match=r"line 1: 1-2 is a multiword token .*jx\.read_conllu"):
        rows(jx.Conll(path, token=1, tag=3))
    write("a.conllu", "\n".join(lines[1:]))
    assert rows(jx.Conll(path, token=1, tag=3))[0]["tokens"] == ["de", "le"]
