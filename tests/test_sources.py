"""Rows from a copy of the Hub, from files, from lists; what is said where there are none; readers
of file formats.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value

from jiantx.cache import cache_dir
from jiantx.sources import (
    Concat,
    DataError,
    Files,
    Hub,
    Rows,
    class_names,
    data_root,
    decode_class_labels,
    hub,
    read_bucc,
    read_ccgbank,
    read_conll,
    read_conllu,
    read_csv,
    read_jsonl,
    read_laser,
    read_lines,
    read_mewslix,
    read_squad,
    read_supertags,
    read_tsv,
    read_xquad_r,
    read_xquad_r_sentences,
    read_xtreme_tsv,
)

NLI = ClassLabel(names=["entailment", "neutral", "contradiction"])


def write_repo(root: Path, name: str, configs: Mapping[str, Mapping[str, Dataset]]) -> None:
    """A data set as the Hub keeps it: a card with `configs:` and parquet files."""
    folder, lines = root / name, ["---", "configs:"]
    for config, splits in configs.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        for split, rows in splits.items():
            path = folder / config / f"{split}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows.to_parquet(str(path))
            lines += [f"  - split: {split}", f"    path: {config}/{path.name}"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))


def nli(texts: list[str], labels: list[int]) -> Dataset:
    return Dataset.from_dict(
        {"text": texts, "label": labels}, features=Features({"text": Value("string"), "label": NLI})
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    german = {"validation": nli(["gut", "schlecht", "so"], [0, 2, -1]), "dev_2": nli(["mehr"], [1])}
    english = {
        "train": nli(["a", "b"], [0, 1]),
        **{split: nli([split], [1]) for split in ("validation", "dev_2")},
    }
    write_repo(root, "org/nli", {"deu": german, "en": english})
    write_repo(root, "org/one", {"plain_text": {"train": nli(["x"], [0])}})
    write_repo(root, "org/pairs-de", {"default": {"train": nli(["y"], [0])}})
    return root


@pytest.fixture(autouse=True)
def _no_bars(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert "Generating" not in capfd.readouterr().err, "reading a mirror prints progress bars"


def texts(rows: Dataset) -> list[str]:
    return list(rows["text"])


# --- the root -------------------------------------------------------------------------------------


def test_root_by_function_and_by_environment(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert data_root() is None
    monkeypatch.setenv("JIANTX_DATA", str(root))
    assert data_root() == root
    assert data_root(tmp_path) == tmp_path == data_root(), "the function wins over the environment"
    assert data_root(None) is None is data_root(), "None is the Hub, whatever the environment says"


@pytest.mark.parametrize("by", ["function", "environment"])
def test_root_that_is_no_folder(by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "missing"
    monkeypatch.setenv("JIANTX_DATA", str(missing))
    with pytest.raises(DataError, match=r"missing' is not a folder"):
        data_root(missing) if by == "function" else data_root()


def test_relative_root_stays_where_it_was_set(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root.parent)
    data_root(root.name)
    monkeypatch.chdir(tmp_path)
    assert texts(Hub("org/one").rows("train", "en")) == ["x"]


# --- Hub ------------------------------------------------------------------------------------------


def test_a_card_that_names_no_splits_is_left_to_datasets(tmp_path: Path) -> None:
    folder = tmp_path / "org" / "plain"
    folder.mkdir(parents=True)
    (folder / "splitted.jsonl").write_text('{"text": "x"}\n')
    for files in ("[splitted.jsonl]", "splitted.jsonl"):
        lines = [
            "---",
            "configs:",
            "- config_name: default",
            f"  data_files: {files}",
            "---",
            files,
        ]
        (folder / "README.md").write_text("\n".join(lines))
        hub._repository.cache_clear()
        data_root(tmp_path)
        assert texts(Hub("org/plain").rows("train", "en")) == ["x"], files


def test_making_a_source_opens_nothing() -> None:
    Hub("no/such", "{language}", languages=("xx",))
    Files("/no/such/{split}", read_lines)


def test_language_in_config(root: Path) -> None:
    data_root(root)
    source = Hub("org/nli", "{language}", languages={"de": "deu", "en": "en"})
    assert texts(source.rows("validation", "de")) == ["gut", "schlecht", "so"]
    assert texts(source.rows("train", "en")) == ["a", "b"]
    assert source.rows("train", "en").features["label"].names == NLI.names


def test_language_in_path(root: Path) -> None:
    data_root(root)
    source = Hub("org/pairs-{language}", languages=("de", "fr"))
    assert texts(source.rows("train", "de")) == ["y"]
    assert source.available("train") == ("de",)
    with pytest.raises(DataError, match=r"no data set 'org/pairs-fr'"):
        source.rows("train", "fr")


def test_only_configuration_needs_no_name(root: Path) -> None:
    data_root(root)
    assert texts(Hub("org/one").rows("train", "en")) == ["x"]


def test_splits_are_mapped_and_joined(root: Path) -> None:
    data_root(root)
    splits = {"train": "validation", "validation": ("validation", "dev_2"), "test": "nothing"}
    source = Hub("org/nli", "{language}", languages={"de": "deu"}, splits=splits)
    assert texts(source.rows("train", "de")) == ["gut", "schlecht", "so"]
    assert texts(source.rows("validation", "de")) == ["gut", "schlecht", "so", "mehr"]
    assert source.available("validation") == ("de",) and source.available("test") == ()
    with pytest.raises(DataError, match=r"no split 'nothing'\. It has: validation, dev_2\."):
        source.rows("test", "de")
    with pytest.raises(DataError, match=r"no split 'dev'"):
        source.rows("dev", "de")


def test_one_of_several_splits_missing(root: Path) -> None:
    data_root(root)
    source = Hub("org/nli", "en", splits={"train": ("train", "more")})
    assert source.available("train") == ()
    with pytest.raises(DataError, match=r"org/nli \(en\) has no split 'train\+more'"):
        source.rows("train", "en")


def test_where_keeps_rows_by_language(root: Path) -> None:
    data_root(root)
    languages = {"de": "deu", "en": "en"}
    source = Hub(
        "org/nli",
        "{language}",
        languages=languages,
        where=lambda row, language: row["label"] is not None,
    )
    assert texts(source.rows("validation", "de")) == ["gut", "schlecht"]
    german = Hub(
        "org/nli", "{language}", languages=languages, where=lambda row, language: language == "de"
    )
    assert german.available("validation") == ("de",), (
        "a language whose rows are all dropped is not available"
    )


def test_available_asks_the_present_root(root: Path, tmp_path: Path) -> None:
    source = Hub("org/nli", "{language}", languages={"fr": "fra", "en": "en", "de": "deu"})
    data_root(root)
    assert source.available("train") == ("en",)
    assert source.available("validation") == ("en", "de"), "in the order in which they are declared"
    assert source.available("test") == ()
    data_root(tmp_path)
    assert source.available("validation") == ()


def test_missing_data_set_says_where_it_was_looked_for(tmp_path: Path) -> None:
    data_root(tmp_path)
    with pytest.raises(DataError) as caught:
        Hub("org/absent").rows("train", "en")
    assert "no data set 'org/absent'" in str(caught.value) and str(tmp_path / "org/absent") in str(
        caught.value
    )


def test_missing_split_lists_those_there_are(root: Path) -> None:
    data_root(root)
    with pytest.raises(
        DataError, match=r"org/nli \(en\) has no split 'test'\. It has: train, validation, dev_2\."
    ):
        Hub("org/nli", "en").rows("test", "en")


def test_missing_language(root: Path) -> None:
    data_root(root)
    source = Hub("org/nli", "{language}", languages=("en", "fr"))
    with pytest.raises(DataError, match=r"no language 'tr'\. There are: en, fr\."):
        source.rows("train", "tr")
    with pytest.raises(
        DataError,
        match=r"org/nli \(fr\) has no split 'train'\. It has: nothing for this language\. "
        r"Its configurations: deu, en\.",
    ):
        source.rows("train", "fr")


def test_copy_that_lacks_a_listed_file(root: Path, tmp_path: Path) -> None:
    write_repo(
        tmp_path, "org/part", {"default": {"train": nli(["x"], [0]), "test": nli(["y"], [0])}}
    )
    next((tmp_path / "org/part").rglob("test-*")).unlink()
    data_root(tmp_path)
    with pytest.raises(DataError, match="org/part"):
        Hub("org/part").rows("test", "en")


def test_two_roots_with_equal_cards_do_not_mix(tmp_path: Path) -> None:
    """`datasets` names its cache by the card alone: another copy's rows would be read."""
    for name, text in (("first", "one"), ("second", "two")):
        write_repo(tmp_path / name, "org/same", {"default": {"train": nli([text], [0])}})
    cards = [(tmp_path / name / "org/same/README.md").read_text() for name in ("first", "second")]
    assert cards[0] == cards[1]
    for name, text in (("first", "one"), ("second", "two"), ("first", "one")):
        data_root(tmp_path / name)
        assert texts(Hub("org/same").rows("train", "en")) == [text]


def test_copy_that_changes_is_read_anew(tmp_path: Path) -> None:
    data_root(tmp_path)
    for text in ("old", "newer"):
        write_repo(tmp_path, "org/same", {"default": {"train": nli([text], [0])}})
        assert texts(Hub("org/same").rows("train", "en")) == [text]


# --- Files ----------------------------------------------------------------------------------------


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    for name in ("x/de.dev.txt", "y/de.dev.txt", "x/en.dev.txt", "x/en.train.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{name}\n")
    return tmp_path


def test_patterns_language_split_and_star(lines: Path) -> None:
    data_root(lines)
    source = Files(
        "*/{language}.{split}.txt",
        read_lines,
        languages=("de", "en", "fr"),
        splits={"validation": "dev"},
    )
    assert texts(source.rows("validation", "de")) == ["x/de.dev.txt", "y/de.dev.txt"], (
        "sorted, whatever the disk says"
    )
    assert source.available("validation") == ("de", "en") and source.available("train") == ()
    joined = Files("x/{language}.{split}.txt", read_lines, splits={"train": ("train", "dev")})
    assert texts(joined.rows("train", "en")) == ["x/en.train.txt", "x/en.dev.txt"]
    mapped = Files("x/{language}.dev.txt", read_lines, languages={"xx": "de"})
    assert texts(mapped.rows("train", "xx")) == ["x/de.dev.txt"]


def test_relative_patterns_start_at_the_root_or_the_working_directory(
    lines: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    relative, absolute = (
        Files("x/en.{split}.txt", read_lines),
        Files(f"{lines}/x/en.{{split}}.txt", read_lines),
    )
    monkeypatch.chdir(lines)
    assert texts(relative.rows("train", "en")) == ["x/en.train.txt"]
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert relative.available("train") == ()
    data_root(lines)
    assert texts(relative.rows("train", "en")) == ["x/en.train.txt"]
    data_root(tmp_path_factory.mktemp("empty"))
    assert texts(absolute.rows("train", "en")) == ["x/en.train.txt"]


def test_missing_files_say_where_they_belong_and_can_be_had(tmp_path: Path) -> None:
    data_root(tmp_path)
    source = Files(
        "ud/{language}.{split}.conllu",
        read_conllu,
        languages=("tr",),
        origin="https://example.org/ud.tgz",
    )
    with pytest.raises(DataError) as caught:
        source.rows("train", "tr")
    message = str(caught.value)
    assert (
        str(tmp_path / "ud/tr.train.conllu") in message and "https://example.org/ud.tgz" in message
    )
    assert "'train'" in message and "'tr'" in message
    with pytest.raises(DataError, match=r"no language 'fi'\. There are: tr\."):
        source.rows("train", "fi")


def test_root_with_brackets_is_a_folder_like_others(tmp_path: Path) -> None:
    folder = tmp_path / "[1] data"
    folder.mkdir()
    (folder / "en.train.txt").write_text("a line\n")
    data_root(folder)
    assert texts(Files("{language}.{split}.txt", read_lines).rows("train", "en")) == ["a line"]


# --- Rows -----------------------------------------------------------------------------------------

LISTED = [{"text": "a"}, {"text": "b"}]


@pytest.mark.parametrize(
    "splits",
    [
        {"train": LISTED},
        {"train": Dataset.from_list(LISTED)},
        DatasetDict({"train": Dataset.from_list(LISTED)}),
        {"train": {"en": LISTED}},
        {"train": {"en": Dataset.from_list(LISTED)}},
        {"train": tuple(LISTED)},
    ],
    ids=["list", "Dataset", "DatasetDict", "by-language", "Dataset-by-language", "tuple"],
)
def test_rows_in_memory(splits: Any) -> None:
    source = Rows(splits)
    assert texts(source.rows("train", "en")) == ["a", "b"]
    assert source.available("train") == ("en",) and source.available("test") == ()
    with pytest.raises(DataError, match=r"no split 'test'\. They have: train\."):
        source.rows("test", "en")
    with pytest.raises(DataError, match=r"no language 'de'\. There are: en\."):
        source.rows("train", "de")


# --- Concat ---------------------------------------------------------------------------------------


def test_concat_shared_columns_and_labels_by_name() -> None:
    other = ClassLabel(names=["contradiction", "entailment", "neutral"])
    first = nli(["a", "b"], [0, 2])
    second = Dataset.from_dict(
        {"id": [7, 8], "label": [0, 1], "text": ["c", "d"]},
        features=Features({"id": Value("int64"), "label": other, "text": Value("string")}),
    )
    joined = Concat(Rows({"train": first}), Rows({"train": second})).rows("train", "en")
    assert set(joined.column_names) == {"text", "label"}
    assert texts(joined) == ["a", "b", "c", "d"]
    assert list(joined["label"]) == ["entailment", "contradiction", "contradiction", "entailment"]


def test_concat_takes_what_is_there() -> None:
    source = Concat(
        Rows({"train": LISTED, "test": LISTED}), Rows({"train": {"de": LISTED, "en": LISTED}})
    )
    assert source.available("train") == ("en", "de") and source.available("test") == ("en",)
    assert texts(source.rows("train", "en")) == ["a", "b", "a", "b"]
    assert texts(source.rows("train", "de")) == ["a", "b"] == texts(source.rows("test", "en"))
    with pytest.raises(DataError, match="None of the joined sources has the split 'dev' in 'en'"):
        source.rows("dev", "en")


def test_concat_does_without_no_source_that_declares_the_rows(tmp_path: Path) -> None:
    """Half of ANLI+ vanished where SNLI was not in the data root."""
    data_root(tmp_path)
    absent = Hub("org/absent", splits={"train": "train"})
    source = Concat(Rows({"train": LISTED, "test": LISTED}), absent)
    assert source.available("train") == () and source.available("test") == ("en",)
    assert texts(source.rows("test", "en")) == ["a", "b"]
    with pytest.raises(DataError, match="has no data set 'org/absent'"):
        source.rows("train", "en")


def test_sources_are_values() -> None:
    one, same = (Concat(Hub("a/b", "{language}", languages=("de",)), Hub("c/d")) for _ in range(2))
    assert one == same and hash(one) == hash(same) and one != Concat(Hub("a/b"))


# --- names of classes -----------------------------------------------------------------------------


def tagged() -> Dataset:
    tags = Sequence(ClassLabel(names=["O", "B-X", "I-X"]))
    features = Features({"tokens": Sequence(Value("string")), "tags": tags, "label": NLI})
    values = {"tokens": [["a", "b"], [], ["c"]], "tags": [[0, 2], [], [1]], "label": [2, -1, 0]}
    return Dataset.from_dict(values, features=features)


def test_class_numbers_become_names() -> None:
    rows = decode_class_labels(tagged())
    assert list(rows["tags"]) == [["O", "I-X"], [], ["B-X"]]
    assert list(rows["label"]) == ["contradiction", None, "entailment"], "-1 is no label"
    assert list(rows["tokens"]) == [["a", "b"], [], ["c"]]
    assert class_names(tagged(), "tags") == ["O", "B-X", "I-X"]
    assert class_names(tagged(), "tokens") is None is class_names(tagged(), "absent")


@pytest.mark.parametrize("indices", [[2, 0], [0], [], [1, 1, 2], [0, 1]])
def test_names_of_selected_rows(indices: list[int]) -> None:
    rows = decode_class_labels(tagged().select(indices))
    all_rows = list(decode_class_labels(tagged()))
    assert list(rows) == [all_rows[index] for index in indices]


def test_names_of_sliced_and_joined_tables() -> None:
    from datasets import concatenate_datasets

    rows = concatenate_datasets([tagged().select(range(1, 3)), tagged()])
    assert list(decode_class_labels(rows)["tags"]) == [[], ["B-X"], ["O", "I-X"], [], ["B-X"]]


def test_null_lists_and_labels_stay_null() -> None:
    features = Features(
        {"tags": Sequence(ClassLabel(names=["O", "X"])), "label": ClassLabel(names=["no", "yes"])}
    )
    rows = Dataset.from_dict(
        {"tags": [[1], None, [0, 1]], "label": [None, 1, 0]}, features=features
    )
    assert list(decode_class_labels(rows)["tags"]) == [["X"], None, ["O", "X"]]
    assert list(decode_class_labels(rows)["label"]) == [None, "yes", "no"]


def test_rows_without_classes_are_left_alone() -> None:
    rows = Dataset.from_list(LISTED)
    assert decode_class_labels(rows) is rows


# --- readers --------------------------------------------------------------------------------------


def test_read_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes("one\r\n\n  \nçok güzel \u2028 line\nlast".encode())
    assert [row["text"] for row in read_lines(path)] == ["one", "çok güzel \u2028 line", "last"]


def test_read_jsonl(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n\n{"a": "ğ\u2028"}\n', encoding="utf-8")
    assert list(read_jsonl(path)) == [{"a": 1}, {"a": "ğ\u2028"}]


@pytest.mark.parametrize(
    ("line", "said"), [("{'a': 1}", "not JSON"), ("[1]", "expected a JSON object, found list")]
)
def test_bad_json_line_is_named(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f'{{"a": 1}}\n\n{line}\n')
    with pytest.raises(DataError, match=said) as caught:
        list(read_jsonl(path))
    assert f"{path}, line 3:" in str(caught.value)


@pytest.mark.parametrize("reader", [read_lines, read_jsonl, read_conllu])
def test_text_that_is_not_utf8(reader: Any, tmp_path: Path) -> None:
    path = tmp_path / "en_x.conllu"
    path.write_bytes(b"# caf\xe9\n")
    with pytest.raises(DataError, match=r"en_x\.conllu, line 1: not UTF-8"):
        list(reader(path))


def test_squad_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b'{"data": ["caf\xe9"]}')
    with pytest.raises(DataError, match=r"x\.json"):
        list(read_squad(path))


def test_read_squad(tmp_path: Path) -> None:
    first = {
        "id": "1",
        "question": "Wo?",
        "answers": [{"text": "hier", "answer_start": 0}, {"text": "er", "answer_start": 2}],
    }
    second = {
        "id": "2",
        "question": "Wer?",
        "is_impossible": True,
        "answers": [],
        "plausible_answers": [{"text": "hier"}],
    }
    third = {"id": "3", "question": "?"}
    data = [{"title": "T", "paragraphs": [{"context": "hier.", "qas": [first, second]}]}]
    data.append({"paragraphs": [{"context": "c", "qas": [third]}]})
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"version": "v2.0", "data": data}))
    rows = list(read_squad(path))
    assert rows[0] == {
        "id": "1",
        "title": "T",
        "context": "hier.",
        "question": "Wo?",
        "answers": {"text": ["hier", "er"], "answer_start": [0, 2]},
    }
    assert rows[1]["answers"] == {"text": [], "answer_start": []}
    assert rows[2]["answers"] is None, "a hidden test file does not say that there is no answer"
    assert rows[2]["title"] == "" and rows[2]["context"] == "c"

    contradiction = {**second, "answers": [{"text": "hier", "answer_start": 0}]}
    data[0]["paragraphs"] = [{"context": "hier.", "qas": [contradiction]}]
    path.write_text(json.dumps({"data": data}))
    with pytest.raises(
        DataError, match="Question '2' has is_impossible: true, and the answer 'hier'"
    ):
        list(read_squad(path))


@pytest.mark.parametrize(
    "text", ["[]", "{}", "not json", '{"data": 3}', '{"data": [{"title": "x"}]}']
)
def test_file_that_is_not_squad(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"x\.json: (expected SQuAD's|not) JSON"):
        list(read_squad(path))


def test_a_fault_in_squad_json_is_located(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    questions: list[dict[str, Any]] = [{"id": "1", "question": "?"}, {"id": 2, "question": "?"}]
    data = [{"paragraphs": []}, {"paragraphs": [{"context": "c", "qas": questions}]}]
    path.write_text(json.dumps({"data": data}))
    with pytest.raises(DataError, match=r"At data\[1\]\.paragraphs\[0\]\.qas\[1\], id is 2"):
        list(read_squad(path))
    del questions[0]["id"]
    path.write_text(json.dumps({"data": data}))
    with pytest.raises(DataError, match=r"qas\[0\], the key 'id' is missing"):
        list(read_squad(path))


def conllu(path: Path, *sentences: list[tuple[str, str, str, str]]) -> list[dict[str, Any]]:
    """Write (id, form, tag, head) and read it."""
    blocks = [
        "\n".join(
            [
                "# text",
                *(
                    "\t".join([i, form, "_", tag, "_", "_", head, "_", "_", "_"])
                    for i, form, tag, head in rows
                ),
            ]
        )
        for rows in sentences
    ]
    path.write_text("\n\n".join(blocks) + "\n\n", encoding="utf-8")
    return list(read_conllu(path))


def test_read_squad_without_answer_start(tmp_path: Path) -> None:
    """The only occurrence is the answer; with several, the question is named."""

    def squad(**answer: Any) -> Path:
        context = answer.pop("context", "Ann met Bo.")
        answers = [{"text": "Ann", **answer}]
        question = {"id": "q7", "question": "Who?", "answers": answers}
        paragraphs = [{"context": context, "qas": [question]}]
        return written(tmp_path / "x.json", json.dumps({"data": [{"paragraphs": paragraphs}]}))

    nothing: dict[str, Any] = {}
    for unknown in (nothing, {"answer_start": None}):
        (row,) = read_squad(squad(context="Bo met Ann.", **unknown))
        assert row["answers"] == {"text": ["Ann"], "answer_start": [7]}
    for answer, message in (
        ({"context": "Ann met Ann."}, "has no answer_start, and occurs more than once"),
        ({"text": "Cy"}, "'Cy' has no answer_start, and is nowhere"),
        ({"text": ""}, "'' has no answer_start"),
    ):
        with pytest.raises(DataError, match=f"x.json: Question 'q7': the answer .*{message}"):
            list(read_squad(squad(**answer)))


def test_conllu_plain_sentences(tmp_path: Path) -> None:
    rows = [("1", "Dogs", "NOUN", "2"), ("2", "bark", "VERB", "0")]
    path = tmp_path / "en_x-ud-dev.conllu"
    assert conllu(path, rows, [("1", "bark", "VERB", "0")]) == [
        {"tokens": ["Dogs", "bark"], "tags": ["NOUN", "VERB"]},
        {"tokens": ["bark"], "tags": ["VERB"]},
    ]
    path.write_text(
        path.read_text().rstrip("\n")
    )  # the last sentence counts without a blank line after it
    assert len(list(read_conllu(path))) == 2


def test_conllu_fuses_with_the_tag_of_the_highest_word(tmp_path: Path) -> None:
    """Surface words. Here a noun stands above two verbs."""
    rows = [
        ("1", "vamos", "VERB", "0"),
        ("2-4", "dámelo", "_", "_"),
        ("2", "da", "NOUN", "1"),
        ("3", "me", "VERB", "2"),
        ("4", "lo", "VERB", "2"),
        ("5", ".", "PUNCT", "1"),
    ]
    (row,) = conllu(tmp_path / "en_x.conllu", rows)
    assert row == {"tokens": ["vamos", "dámelo", "."], "tags": ["VERB", "NOUN", "PUNCT"]}, (
        "height wins over precedence"
    )


@pytest.mark.parametrize(
    ("language", "tags", "chosen"),
    [
        ("en", ("DET", "ADP"), "ADP"),
        ("de", ("AUX", "NOUN"), "NOUN"),
        ("es", ("AUX", "NOUN"), "AUX"),
        ("es", ("PRON", "AUX"), "AUX"),
        ("fr", ("ADV", "ADP"), "ADV"),
        ("en", ("NOUN", "PRON"), "NOUN"),
        ("fr", ("NOUN", "PRON"), "PRON"),
        ("it", ("PRON", "ADV"), "ADV"),
        ("en", ("PRON", "ADV"), "PRON"),
        ("en", ("FOO", "X"), "X"),
    ],
)
def test_conllu_ties_by_the_list_of_the_language(
    language: str, tags: tuple[str, str], chosen: str, tmp_path: Path
) -> None:
    rows = [
        ("1-2", "ab", "_", "_"),
        ("1", "a", tags[0], "3"),
        ("2", "b", tags[1], "3"),
        ("3", "c", "VERB", "0"),
    ]
    (row,) = conllu(tmp_path / f"{language}_bank-ud-dev.conllu", rows)
    assert row == {"tokens": ["ab", "c"], "tags": [chosen, "VERB"]}


def test_conllu_leaves_out_empty_nodes_and_cleans_words(tmp_path: Path) -> None:
    rows = [
        ("1", "10 000", "NUM", "2"),
        ("2", "می\u200cخواهم", "VERB", "0"),
        ("2.1", "ghost", "VERB", "_"),
    ]
    (row,) = conllu(tmp_path / "fa_x.conllu", rows)
    assert row == {"tokens": ["10000", "میخواهم"], "tags": ["NUM", "VERB"]}


def test_conllu_drops_masked_sentences(tmp_path: Path) -> None:
    """As ESL's, whose words are not free."""
    masked = [("1", "_", "NOUN", "2"), ("2", "_", "VERB", "0")]
    nearly = [("1", "_", "PUNCT", "2"), ("2", "word", "VERB", "0")]
    half_masked = [*nearly, ("3", "more", "NOUN", "2")]
    rows = conllu(tmp_path / "en_esl.conllu", masked, nearly, half_masked)
    assert [row["tokens"] for row in rows] == [["_", "word", "more"]]


def test_conllu_cycle_ends(tmp_path: Path) -> None:
    rows = [("1-2", "ab", "_", "_"), ("1", "a", "NOUN", "2"), ("2", "b", "VERB", "1")]
    assert [row["tokens"] for row in conllu(tmp_path / "en_x.conllu", rows)] == [["ab"]]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1\tword\tNOUN", "expected 10 columns separated by tabs, found 3"),
        ("one\tword\t_\tNOUN\t_\t_\t0\t_\t_\t_", "'one' and '0' are no word number and head"),
        ("1\tword\t_\tNOUN\t_\t_\troot\t_\t_\t_", "'1' and 'root'"),
    ],
)
def test_bad_conllu_line_is_named(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "en_x.conllu"
    path.write_text(f"# text\n{line}\n\n")
    with pytest.raises(DataError, match=said) as caught:
        list(read_conllu(path))
    assert f"{path}, line 2:" in str(caught.value)


def test_cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIANTX_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("JIANTX_CACHE")
    assert cache_dir() == Path.home() / ".cache" / "jiantx"


def test_rows_print_sizes_only() -> None:
    assert Rows([{"text": "a"}]).available("validation") == ()  # rows without a split are train
    assert repr(Rows({"train": [{"text": "a"}] * 3})) == "Rows({'train': {'en': 3}})"


# --- readers of the publishers' formats -----------------------------------------------------------


def written(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def refused(reader: Any, path: Path, said: str, line: int | None = None) -> None:
    """The reader stops, and says in which file (and line), and why."""
    with pytest.raises(DataError, match=said) as caught:
        list(reader(path))
    assert str(caught.value).startswith(f"{path}, line {line}:" if line else str(path))


def test_csv_fields_in_quotes(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", '\ufeffid,text\r\n1,"a, ""b""\nc"\r\n\r\n2,\u2028d\r\n')
    assert list(read_csv(path)) == [
        {"id": "1", "text": 'a, "b"\nc'},
        {"id": "2", "text": "\u2028d"},
    ]


def test_tsv_takes_quotation_marks_as_letters(tmp_path: Path) -> None:
    """The Hub's PAWS-X lost the rows that a quotation mark swallowed."""
    path = written(tmp_path / "x.tsv", 'id\ttext\tlabel\n1\t"a\t0\n2\tb"\t1\n3\tc\n')
    assert [tuple(row.values()) for row in read_tsv(path)] == [
        ("1", '"a', "0"),
        ("2", 'b"', "1"),
        ("3", "c", None),
    ]


def test_xtreme_tsv_is_written_by_a_csv_writer(tmp_path: Path) -> None:
    path = written(tmp_path / "x.tsv", '"a ""b"""\tc\t1\r\nd\te\r\n')
    assert [tuple(row.values()) for row in read_xtreme_tsv(path)] == [
        ('a "b"', "c", "1"),
        ("d", "e", None),
    ]


@pytest.mark.parametrize(
    ("reader", "text", "said", "line"),
    [
        (read_csv, "a,a\n1,2\n", "expected a header of different names", 1),
        (read_csv, "", "expected a header of different names", 1),
        (
            read_ccgbank,
            "(<T S 0 2> (<L N NNP NNP Ada N> ) (<L V VB VB runs V>) )\n",
            "expected leaves",
            1,
        ),
        (read_csv, "a,b\n1,2\n1,2,3\n", "found 3 fields, expected 2: a, b", 3),
        (read_csv, 'a,b\n1,"2" x\n', "expected after", 2),
        (read_csv, 'a,b\n1,"2\n', "unexpected end of data", 2),
        (read_tsv, "a\tb\n1\t2\t3\n", "found 3 fields", 2),
        (read_xtreme_tsv, "a\tb\tc\td\n", "found 4 fields, expected 3: sentence1", 1),
        (read_xtreme_tsv, 'a\tb\t1\n"a\tb\t1\n', "unexpected end of data", 2),
        (read_conll, "a\tX\n\nb\n", "expected a word and its tag", 3),
        (partial(read_conll, token=1, tag=2), "1\ta\tX\n2\tb\n", "expected a word and its tag", 2),
        (
            read_supertags,
            "a b\tN V\na b N V\n",
            "expected words, a tab, and a tag for each; found 4 words and 0 tags",
            2,
        ),
        (read_bucc, "de-1\ta\nde-2 b\n", "expected an id, a tab and a sentence", 2),
        (read_bucc, "de-1\ta\nde-2\t \n", "expected an id, a tab and a sentence", 2),
        (read_mewslix, '{"entity_id": "Q1"}\n', "expected Mewsli-X's mention or entity", 1),
        (read_mewslix, '{"context": {"text": "a"}}\n', "expected Mewsli-X's mention or entity", 1),
    ],
)
def test_bad_lines_are_named(reader: Any, text: str, said: str, line: int, tmp_path: Path) -> None:
    refused(reader, written(tmp_path / "x", text), said, line)


def test_a_where_that_asks_for_a_column_that_is_not_there(tmp_path: Path) -> None:
    write_repo(tmp_path, "a/b", {"default": {"train": Dataset.from_dict({"x": [1, 2]})}})
    data_root(tmp_path)
    with pytest.raises(DataError, match=r"no column 'y' \(asked for by `where`\)\. It has: x"):
        Hub("a/b", where=lambda row, language: bool(row["y"])).rows("train", "en")


def test_a_column_of_several_types_names_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "x.jsonl", '{"a": 1}\n{"a": "b"}\n')
    with pytest.raises(DataError, match=r"x.jsonl have a column of several types"):
        Files(str(path), read_jsonl).rows("train", "en")


@pytest.mark.parametrize(
    "reader",
    [
        read_csv,
        read_tsv,
        read_xtreme_tsv,
        read_conll,
        read_supertags,
        read_ccgbank,
        read_bucc,
        read_mewslix,
    ],
)
def test_published_text_that_is_not_utf8(reader: Any, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"caf\xe9\t1\n")
    refused(reader, path, "not UTF-8", 1)


def words_and_tags(tmp_path: Path, text: str, **options: Any) -> list[str]:
    """The sentences of a file, `word/tag word/tag`."""
    rows = read_conll(written(tmp_path / "x", text), **options)
    return [" ".join(map("/".join, zip(row["tokens"], row["tags"]))) for row in rows]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # a word # inside a sentence, and at its start
        ("We O\n# O\nwin O\n\nthe O\n", ["We/O #/O win/O", "the/O"]),
        ("# O\nwin O\n\n# B-X\n\nlose B-X", ["#/O win/O", "#/B-X", "lose/B-X"]),
        ("#\tO\nwin\tO", ["#/O win/O"]),
        ("#\tO", ["#/O"]),
        ("a\tO\n# 5\tB-X\n", ["a/O # 5/B-X"]),
        # comments before and between sentences
        ("# a comment\n# text = We win\nWe O\nwin O\n\n#\n# 2\nx O\n", ["We/O win/O", "x/O"]),
        ("# id 7 domain=en\nWe _ _ O\n# _ _ O\n", ["We/O #/O"]),
        ("#\thttp://a.b [2009-10-17]\n1\tWe\tO\n", ["1/O"]),
        ("We O\n\n# the end\n", ["We/O"]),
        ("#tag O\n#1 O\n##  O\n", ["#tag/O #1/O ##/O"]),
        # lines of documents
        ("-DOCSTART- -X- -X- O\n\nWe P C O\n", ["We/O"]),
        ("-DOCSTART- O\nWe O\n-DOCSTART- O\nx O\n", ["We/O", "x/O"]),
        ("#begin document (a/b); part 000\na 0 We O\n\n#end document\n", ["a/O"]),
        # blanks, line ends and marks
        ("We O  \nwin\tB-X \n \t \nx O", ["We/O win/B-X", "x/O"]),
        ("\ufeffWe O\r\nwin O\r\n\r\n\r\nx O\r\n", ["We/O win/O", "x/O"]),
        ("  We   O\n", ["We/O"]),
        ("a\u00a0b O\n", ["a\u00a0b/O"]),
    ],
)
def test_conll_as_its_users_write_it(text: str, expected: list[str], tmp_path: Path) -> None:
    assert words_and_tags(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("We P C O\nwin P C\n", 2, "expected 4 columns, as its sentence's first word has"),
        ("We O\n5 5 O\n", 2, "expected 2 columns"),  # a blank inside a word
        ("We O\n# a comment\n", 2, "expected 2 columns"),
        ("We O # note\nwin O\n", 2, "expected 4 columns"),
        ("We\tO\t\nwin\tO\t\n", 1, "expected a tag in column -1"),
        ("We\tO\nwin\t\n", 2, "expected a tag in column -1"),
        ("We\n", 1, "expected a word and its tag"),
    ],
)
def test_conll_with_missing_columns_is_refused(
    text: str, line: int, message: str, tmp_path: Path
) -> None:
    """Another column would be taken for the tag, or another sentence's word would be lost."""
    with pytest.raises(DataError, match=f"line {line}: {message}"):
        words_and_tags(tmp_path, text)


def test_conll_more_columns_after_the_tag_do_no_harm(tmp_path: Path) -> None:
    text = "1\tWe\tO\n2\twin\tB-X\tsee below\n"
    assert words_and_tags(tmp_path, text, token=1, tag=2) == ["We/O win/B-X"]


def test_conllu_comments_blanks_and_marks(tmp_path: Path) -> None:
    line = "1\t{}\t_\tNOUN \t_\t_\t0\t_\t_\t_ \r\n"
    text = f"\ufeff# text = # a\r\n{line.format('#')}\r\n# newdoc\r\n\r\n{line.format('_x')}"
    rows = list(read_conllu(written(tmp_path / "en_x.conllu", text)))
    assert [(row["tokens"], row["tags"]) for row in rows] == [(["#"], ["NOUN"]), (["_x"], ["NOUN"])]


def test_conll_columns_comments_and_prefixes(tmp_path: Path) -> None:
    text = "# id\n1\tAda\tB-PER\t-\n2\t#\tO\t-\n\n\n# text\n1\tx\tO\t-"
    rows = list(read_conll(written(tmp_path / "x", text), token=1, tag=2))
    assert rows == [
        {"tokens": ["Ada", "#"], "tags": ["B-PER", "O"]},
        {"tokens": ["x"], "tags": ["O"]},
    ]
    text = "a X\r\n# PUNCT\r\n#b Y\r\n \t\r\nc\tZ\r\n"
    rows = list(read_conll(written(tmp_path / "y", text.replace("# P", "#\tP"))))
    assert rows == [
        {"tokens": ["a", "#", "#b"], "tags": ["X", "PUNCT", "Y"]},
        {"tokens": ["c"], "tags": ["Z"]},
    ]


def test_wikiann_words_lose_their_language(tmp_path: Path) -> None:
    """The raw tokens carry an `xx:` prefix. A colon of the word's own stays."""
    path = written(tmp_path / "dev", "en:Paris\tB-LOC\nen::\tO\nen:10:30\tO\n\n")
    assert list(read_conll(path, prefixed=True)) == [
        {"tokens": ["Paris", ":", "10:30"], "tags": ["B-LOC", "O", "O"]}
    ]


def test_supertags(tmp_path: Path) -> None:
    path = written(tmp_path / "x", "The cat\tNP/N N\n\nIt is\tNP (S[dcl]\\NP)/NP\n")
    assert list(read_supertags(path)) == [
        {"tokens": ["The", "cat"], "tags": ["NP/N", "N"]},
        {"tokens": ["It", "is"], "tags": ["NP", "(S[dcl]\\NP)/NP"]},
    ]


def test_ccgbank_leaves(tmp_path: Path) -> None:
    """The leaves as CCGbank writes them: category, two tags, word, category with the heads'
    indices.
    """
    text = (
        "ID=wsj_0001.1 PARSER=GOLD NUMPARSE=1\n"
        "(<T S[dcl] 0 2> (<T NP 0 1> (<T N 1 2> (<L N/N NNP NNP Pierre N_73/N_73>) (<L N NNP NNP Vinken N>) ) ) "
        "(<T S[dcl]\\NP 0 2> (<L , , , , ,>) (<L (S[adj]\\NP)\\NP JJ JJ old (S[adj]\\NP_83)\\NP_84>) "
        "(<L LRB -LRB- -LRB- -LRB- LRB>) (<L N CD CD 1\\/2 N>) (<L . . . . .>) ) )\n"
    )
    (row,) = read_ccgbank(written(tmp_path / "wsj_0001.auto", text))
    assert row["tokens"] == ["Pierre", "Vinken", ",", "old", "-LRB-", "1\\/2", "."]
    assert row["tags"] == ["N/N", "N", ",", "(S[adj]\\NP)\\NP", "LRB", "N", "."]


def test_bucc_sentences_that_occur_twice_have_no_id(tmp_path: Path) -> None:
    """Jiant kept repeated sentences, and its F1 was higher than XTREME's; here they can neither ask
    nor answer.
    """
    written(tmp_path / "de-en.sample.gold", "de-1\ten-7\nde-2\ten-8\nde-2\ten-9\n")
    german = written(
        tmp_path / "de-en.sample.de", "de-1\teins\nde-2\tzwei \nde-3\teins\nde-4\tvier\n"
    )
    english = written(tmp_path / "de-en.sample.en", "en-7\tone\nen-8\ttwo\n")
    assert list(read_bucc(german)) == [
        {"id": "", "text": "eins", "relevant": ["en-7"]},
        {"id": "de-2", "text": "zwei", "relevant": ["en-8", "en-9"]},
        {"id": "de-4", "text": "vier", "relevant": []},
    ]
    assert [row["relevant"] for row in read_bucc(english)] == [["de-1"], ["de-2"]]
    gold = written(tmp_path / "de-en.sample.gold", "de-1\ten-7\nde-2\n")
    with pytest.raises(DataError, match="expected two ids, found 'de-2'") as caught:
        list(read_bucc(german))
    assert str(caught.value).startswith(f"{gold}, line 2:")
    gold.unlink()
    assert [row["relevant"] for row in read_bucc(german)] == [[], [], []], (
        "what is to be mined has no gold"
    )


def test_laser_sides_are_parallel(tmp_path: Path) -> None:
    path = written(tmp_path / "tatoeba.deu-eng.deu", "Hallo.\nJa.\n")
    english = written(tmp_path / "tatoeba.deu-eng.eng", "Hello.\nYes.\n")
    assert [tuple(row.values()) for row in read_laser(path)] == [
        ("Hallo.", "Hello."),
        ("Ja.", "Yes."),
    ]
    written(english, "Hello.\n")
    refused(read_laser, path, f"has 2 lines, {english} has 1")


def test_xquad_r_answers_are_sentences_of_any_language(tmp_path: Path) -> None:
    def paragraph(context: str, breaks: list[list[int]], start: int) -> dict[str, Any]:
        answers = [{"text": context[start : start + 2], "answer_start": start}]
        qas = [{"id": "q", "question": "?", "answers": answers}]
        return {"context": context, "sentence_breaks": breaks, "qas": qas}

    english, german = (
        paragraph("One.\nTwo.", [[0, 5], [5, 9]], 5),
        paragraph("Eins. Zwei.", [[0, 5], [6, 11]], 0),
    )
    for code, content in (("en", english), ("de", german)):
        (tmp_path / f"{code}.json").write_text(json.dumps({"data": [{"paragraphs": [content]}]}))
    (row,) = read_xquad_r(tmp_path / "en.json")
    assert row["relevant"] == ["de_0_0", "en_0_1"] and row["id"] == "q"
    assert list(read_xquad_r_sentences(tmp_path / "en.json")) == [
        {"id": "en_0_0", "candidate": "One.One.Two."},
        {"id": "en_0_1", "candidate": "Two.One.Two."},
    ]
    moved = paragraph("One.\nThree.", [[0, 5], [5, 11]], 0)
    (tmp_path / "en.json").write_text(json.dumps({"data": [{"paragraphs": [moved]}]}))
    (row,) = read_xquad_r(tmp_path / "en.json")
    assert row["relevant"] == ["de_0_0", "en_0_0"], "a file that was written anew is read anew"
    path = tmp_path / "bad" / "en.json"
    path.parent.mkdir()
    del english["sentence_breaks"]
    path.write_text(json.dumps({"data": [{"paragraphs": [english]}]}))
    for reader in (read_xquad_r, read_xquad_r_sentences):
        refused(reader, path, "expected XQuAD-R's JSON")


def test_mewslix_mentions_and_entities(tmp_path: Path) -> None:
    def mention(text: str, word: str, **more: Any) -> dict[str, Any]:
        start = text.index(word)
        return {
            "example_id": f"m{start}",
            "mention_span": {"start": start, "end": start + len(word)},
            **more,
        }

    text = "Left. He saw {it} in Paris,\ntoday."
    context = {
        "text": text,
        "language": "de",
        "sentence_spans": [{"start": 0, "end": 5}, {"start": 6, "end": 34}],
    }
    one = mention(text, "Paris", entity_id="Q90")
    entity = {
        "entity_id": "Q90",
        "description_language": "fr",
        "description": "Paris. Capitale. Ville",
        "sentence_spans": [{"start": 0, "end": 6}, {"start": 7, "end": 16}],
    }
    query = "Paris: He saw (it) in { Paris } , today."
    lines = [{"context": context, "mentions": [one, one]}, entity]
    lines.append({"contextual_mention": {"context": context, "mention": one}, "entity": entity})
    path = written(tmp_path / "x.jsonl", "\n".join(map(json.dumps, lines)))
    query_row = {"id": one["example_id"], "language": "de", "query": query}
    assert list(read_mewslix(path)) == [
        *[{**query_row, "relevant": ["Q90"]}] * 2,
        {"id": "Q90", "language": "fr", "candidate": "Paris. Capitale."},
        {**query_row, "relevant": ["Q90"], "candidate": "Paris. Capitale."},
    ]


# --- rows that are kept ---------------------------------------------------------------------------


def test_files_of_several_languages(tmp_path: Path) -> None:
    rows = [
        {"text": "a", "language": "en"},
        {"text": "b", "language": "de"},
        {"text": "c", "language": "en"},
    ]
    written(tmp_path / "all.jsonl", "\n".join(map(json.dumps, rows)))
    source = Files(
        f"{tmp_path}/all.jsonl",
        read_jsonl,
        languages=("de", "en", "fr"),
        where=lambda row, language: row["language"] == language,
    )
    assert texts(source.rows("train", "en")) == ["a", "c"] and texts(
        source.rows("train", "de")
    ) == ["b"]
    assert source.available("train") == ("de", "en"), "a language without rows is not available"
    assert len(source.rows("train", "fr")) == 0


def test_where_reads_the_columns_it_asks_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TyDi QA's language is in its ids: its passages need not be read to find it."""
    data_root(root)
    read: list[str] = []
    original = hub._RowView.__getitem__

    def spied(view: Any, column: str) -> Any:
        if column not in view.columns:
            read.append(column)
        return original(view, column)

    monkeypatch.setattr(hub._RowView, "__getitem__", spied)
    matching = Hub(
        "org/nli",
        "deu",
        where=lambda row, language: row["label"] == "contradiction" and len(row) == 2,
    ).rows("validation", "en")
    assert texts(matching) == ["schlecht"] and read == ["label"], "each column once, for all rows"
    view = hub._RowView(Hub("org/nli", "deu").rows("validation", "en"))
    assert list(view) == ["text", "label"] and len(view) == 2 and view["text"] == "gut"


def test_one_file_is_not_several_languages_or_splits(tmp_path: Path) -> None:
    """English was scored as German, and the training rows as validation."""
    path = tmp_path / "mood.jsonl"
    path.write_text('{"text": "x"}\n')
    with pytest.raises(ValueError, match=r"has no {language}, so en, de would be the same rows"):
        Files(str(path), read_jsonl, languages=("en", "de"))
    with pytest.raises(ValueError, match=r"Hub\('a/b', 'c'\) has no {language}, so en, de"):
        Hub("a/b", "c", languages={"en": "eng", "de": "deu"})
    by_row = Files(str(path), read_jsonl, languages=("en", "de"), where=lambda row, language: True)
    assert by_row.available("train") == ("en", "de")
    source = Files(str(path), read_jsonl)
    assert texts(source.rows("train", "en")) == ["x"]
    with pytest.warns(UserWarning, match=r"has no {split}: its rows are read as 'validation'"):
        source.rows("validation", "en")
    one = Files(str(path), read_jsonl, splits={"validation": "validation"})
    assert texts(one.rows("validation", "en")) == ["x"] and one.available("train") == ()


@pytest.mark.parametrize("pattern", ["{lang}.{split}.csv", "{}.csv", "{splits}.csv"])
def test_a_misspelt_placeholder_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"has the placeholder {.*}\. There are: {language}"):
        Files(pattern, read_lines)
    with pytest.raises(ValueError, match=r"has the placeholder {.*}\. There are: {language}"):
        Hub("a/b", pattern)


def test_concat_speaks_what_its_sources_declare() -> None:
    joined = Concat(
        Hub("a/b", "{language}", languages={"de": "deu", "en": "eng"}),
        Files("x/{language}", read_lines, languages=("fr", "en")),
    )
    assert joined.languages == ("de", "en", "fr")
    assert Concat(Rows({}), Files("x", read_lines, languages=("fr",))).languages == ("en", "fr")
    assert Concat(joined, Hub("a/b", languages=("tr",))).languages == ("de", "en", "fr", "tr")


def read_with_other(path: Path) -> Iterator[dict[str, str]]:
    other = path.with_suffix(".other")  # a reader may look beside its file
    yield {"text": path.read_text("utf-8") + (other.read_text("utf-8") if other.exists() else "")}


def test_rows_of_files_are_read_once_and_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[object] = []
    original_read = Files._read

    def counted_read(*arguments: Any) -> Any:
        reads.append(arguments)
        return original_read(*arguments)

    monkeypatch.setattr(Files, "_read", counted_read)
    path = written(tmp_path / "rows.txt", "one")
    source = Files(str(path), read_with_other)
    rows = source.rows("train", "en")
    assert texts(rows) == ["one"] and rows.cache_files, "mapped, not in memory"
    assert texts(source.rows("train", "en")) == ["one"] and len(reads) == 1
    written(tmp_path / "rows.other", "+")
    assert texts(source.rows("train", "en")) == ["one+"] and len(reads) == 2
    written(path, "three")
    assert texts(source.rows("train", "en")) == ["three+"] and len(reads) == 3
    assert texts(Files(str(path), read_lines).rows("train", "en")) == ["three"], (
        "another reader, other rows"
    )


def test_what_cannot_be_read_is_not_kept(tmp_path: Path) -> None:
    written(tmp_path / "rows.jsonl", '{"text": 1}\n{"text": "two"}')
    source = Files(f"{tmp_path}/rows.jsonl", read_jsonl)
    for _ in range(2):
        with pytest.raises(DataError, match="a column of several types"):
            source.rows("train", "en")
