"""What `preview` and `describe` say of data, and labels that are found in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import jiantx as jx
from jiantx.sources import DataError

TRAIN = [
    {"text": "one two three", "label": "a"},
    {"text": "one", "label": "b"},
    {"text": "one", "label": "a"},
    {"text": "four five", "label": "rare"},
    {"text": " ", "label": ""},
]
VALIDATION = [{"text": "six", "label": "a"}, {"text": "one two three", "label": "b"}]


def task(train: Any = TRAIN, validation: Any = VALIDATION, **fields: Any) -> jx.Classification:
    source = jx.Rows({"train": train, "validation": validation})
    return jx.Classification("mine", source, **fields)


# --- preview --------------------------------------------------------------------------------------


def test_preview_shows_inputs_and_gold_as_the_task_reads_them() -> None:
    preview = task(text=lambda row: row["text"].upper(), labels=("a", "b", "rare")).preview(2)
    assert "mine, train, en: 2 of 5 rows" in str(preview)
    assert "text   ONE TWO THREE" in str(preview) and "label  b" in str(preview)
    assert preview.to_pandas()["label"].tolist() == ["a", "b"]


def test_preview_of_a_row_without_gold_and_with_markup() -> None:
    preview = task(train=[{"text": "<b>&"}], labels=("a", "b")).preview()
    assert "label  –" in str(preview)
    assert "<td>&lt;b&gt;&amp;</td>" in preview._repr_html_()


def test_preview_takes_a_language_that_is_there() -> None:
    source = jx.Rows({"test": {"de": [{"text": "ja", "label": "a"}]}})
    other = jx.Classification("mine", source, labels=("a", "b"))
    assert other.preview(split="test").language == "de"
    with pytest.raises(DataError, match="no split 'train'"):
        other.preview()


def test_preview_of_words_and_choices() -> None:
    tagged = jx.TokenClassification(
        "ner",
        jx.Rows([{"tokens": ["Paris", "ruft"], "tags": ["B-LOC", "O"]}]),
        labels=("B-LOC", "O"),
    )
    assert "words  Paris ruft" in str(tagged.preview()) and "tags   B-LOC O" in str(
        tagged.preview()
    )
    choice = jx.MultipleChoice(
        "pick", jx.Rows([{"prompt": "so", "choices": ["a b", "c"], "label": 0}])
    )
    text = str(choice.preview())
    assert "choices  a b | c" in text and "label    0" in text


# --- describe -------------------------------------------------------------------------------------


def test_sizes_lengths_and_gaps() -> None:
    train, validation = task().describe().splits
    assert (train.rows, train.unlabelled, train.empty, train.repeated) == (5, 1, 1, 1)
    assert (train.median, train.longest) == (1, 3)
    assert (validation.rows, validation.repeated) == (2, 0)
    assert train.share("a") == 50.0 and validation.share("a") == 50.0


def test_findings_name_each_problem() -> None:
    findings = " ".join(task().describe().findings())
    assert (
        "Rows of validation whose inputs are also in train: en 1 (50.0 %). The first is row 1 in "
        "en, which is row 0 of train." in findings
    )
    assert "2 inputs occur with more than one label in en." in findings
    assert "Rows that repeat an earlier row of their split: train en 1." in findings
    assert "Rows with an empty input: train en 1." in findings
    assert "Labels that occur only in train: 'rare'." in findings


def test_data_without_problems_have_no_findings() -> None:
    clean = task(TRAIN[:2], [{"text": "new", "label": "a"}, {"text": "newer", "label": "b"}])
    assert clean.describe().findings() == []


def test_labels_of_few_scored_rows_are_named() -> None:
    scored = [{"text": f"new {i}", "label": "a" if i else "b"} for i in range(40)]
    findings = task(TRAIN[:2], scored).describe().findings()
    assert [text for text in findings if "fewer than 5 rows in validation en: 'b' 1." in text]
    few = task(TRAIN[:2], scored[:6]).describe().findings()
    assert not few, "a small sample has few rows of each label"


def test_undeclared_labels_are_named() -> None:
    findings = " ".join(task(labels=("a", "b")).describe().findings())
    assert "Labels that the task does not declare: 'rare'." in findings


def test_a_misspelt_column_of_labels_is_said() -> None:
    misspelt = task(label="lable", labels=("a", "b"))
    sentence = "No gold: The row has no column 'lable'. It has: text, label. Did you mean 'label'?"
    assert sentence in misspelt.describe().findings() and sentence in str(misspelt.preview(2))
    unlabelled_test = task(validation=[{"text": "x"}])
    assert not [text for text in unlabelled_test.describe().findings() if "No gold" in text]


def test_pairs_need_no_column_of_gold() -> None:
    pairs = jx.Rows([{"query": "a", "candidate": "b"}, {"query": "c", "candidate": "d"}])
    retrieval = jx.Retrieval("pairs", pairs)
    assert "No gold" not in f"{retrieval.preview()}{retrieval.describe()}"
    corpus = jx.Rows({"validation": [{"id": "1", "candidate": "b"}]})
    assert "No gold" not in str(retrieval.replace(corpus=corpus).describe())
    queries = retrieval.replace(source=jx.Rows({"validation": [{"query": "a"}]}), corpus=corpus)
    assert "no column 'relevant'" in str(queries.describe())


def test_training_rows_of_a_retrieval_task_are_pairs() -> None:
    train = [{"query": "a", "candidate": ["b", "c"], "hard": ["d"]}]
    task = jx.Retrieval(
        "search",
        jx.Rows({"train": train, "validation": [{"query": "a", "relevant": ["1"]}]}),
        corpus=jx.Rows({"validation": [{"id": "1", "candidate": "b"}]}),
        negatives="hard",
    )
    (example,) = task.preview().examples
    assert example == {"id": "0", "query": "a", "positives": ("b", "c"), "negatives": ("d",)}
    assert "relevant" in str(task.preview(split="validation"))
    assert [split.unlabelled for split in task.describe().splits] == [0, 0]
    assert "also in train: en 1" in str(task.describe()), "queries are compared"


def test_a_label_of_one_row_among_many_is_a_suspicion(caplog: pytest.LogCaptureFixture) -> None:
    labels = ["positive"] * 20 + ["negative"] * 15 + ["postive"]
    suspicious = task(train=[{"text": str(n), "label": x} for n, x in enumerate(labels)])
    assert suspicious.label_names == ("negative", "positive", "postive")
    assert "labels that only one of the train rows has: 'postive'. Did you mean" in caplog.text
    assert "Labels of one row in train: 'postive'. Mistakes, perhaps." in str(suspicious.describe())
    caplog.clear()
    few = task()
    assert "rare" in few.label_names and not caplog.text


def test_a_pair_is_repeated_only_as_a_pair() -> None:
    rows = [
        {"text": "a", "pair": "b", "label": "x"},
        {"text": "a", "pair": "c", "label": "y"},
        {"text": "a", "pair": None, "label": "y"},
        {"text": "a", "pair": "b", "label": "x"},
    ]
    (entry,) = jx.Classification("pairs", jx.Rows(rows), text_pair="pair").describe().splits
    assert (entry.repeated, entry.empty) == (1, 1)


def test_tags_are_counted_by_word_and_lengths_by_list() -> None:
    rows = [
        {"tokens": ["a", "b", "c"], "tags": ["O", "O", "B-X"]},
        {"tokens": ["d"], "tags": ["O"]},
    ]
    summary = jx.TokenClassification("ner", jx.Rows(rows)).describe()
    assert summary.splits[0].share("O") == 75.0 and summary.splits[0].longest == 3


def test_units(tokenizer: Any) -> None:
    rows = [{"text": "猫 看见", "label": "x"}, {"text": "猫", "label": "y"}]
    source = jx.Rows({"train": {"zh": rows}})
    chinese = jx.Classification("mine", source)
    assert 'describe(unit="characters")' in str(chinese.describe())
    assert chinese.describe(unit="characters").splits[0].longest == 4
    tokens = chinese.describe(tokenizer=tokenizer)
    expected = len(tokenizer("猫 看见", add_special_tokens=False)["input_ids"])
    assert tokens.splits[0].longest == expected and tokens.unit == "tokens"
    with pytest.raises(ValueError, match="Expected 'words' or 'characters'"):
        chinese.describe(unit="letters")  # type: ignore[arg-type]


def test_tables_and_picture(tmp_path: Path) -> None:
    summary = task().describe()
    assert summary.to_pandas()["rows"].tolist() == [5, 2]
    assert len(summary.to_pandas("labels")) == 6
    assert summary.to_pandas("overlaps")["rows"].tolist() == [1]
    with pytest.raises(ValueError, match="Did you mean 'labels'"):
        summary.to_pandas("label")  # type: ignore[arg-type]
    assert "<table>" in summary._repr_html_()
    summary.plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_a_missing_column_names_the_split() -> None:
    with pytest.raises(DataError, match=r"Task mine, split 'train', language 'en': .*'txt'"):
        task(text="txt").describe()


@pytest.mark.slow
@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    "name", ["mnli", "udpos", "xquad", "hellaswag", "tatoeba", "stsb", "lareqa"]
)
def test_every_task_type_can_be_looked_at(name: str) -> None:
    jx.data_root(jx.default_root())
    built_in = jx.get_task(name)
    summary = built_in.describe(languages=["en", "de"])
    assert all(entry.longest > 0 for entry in summary.splits)
    assert str(built_in.preview(1, summary.splits[0].split))


# --- labels in the data ---------------------------------------------------------------------------


def test_labels_are_those_of_the_training_rows() -> None:
    found_task = task(validation=[{"text": "new", "label": "other"}])
    assert found_task.label_names == ("a", "b", "rare")
    with pytest.raises(DataError, match="Unknown label 'other'"):
        list(found_task.examples("validation"))


def test_labels_of_a_function_and_of_lists() -> None:
    assert task(label=lambda row: row["label"].upper() or None).label_names == ("A", "B", "RARE")
    rows = [{"text": "x", "label": ["p", "q"]}, {"text": "y", "label": []}]
    many = jx.Classification("mine", jx.Rows(rows), multi_label=True)
    assert many.label_names == ("p", "q")


def test_classes_keep_their_order() -> None:
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["sad", "glad"])})
    dataset = Dataset.from_dict({"text": ["a"], "label": [1]}, features=features)
    assert jx.Classification("mine", jx.Rows(dataset)).label_names == ("sad", "glad")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], r"label=lambda row: str\(row"),
        (["a", "a"], "expected at least two"),
        (["good", "Good "], "differ only in case or blanks"),
        ([f"text {i}" for i in range(30)], "30 different values in 30 rows"),
    ],
)
def test_what_is_hardly_a_label_is_refused(labels: list[Any], message: str) -> None:
    rows = [{"text": "x", "label": label} for label in labels]
    with pytest.raises(DataError, match=message):
        _ = task(rows).label_names


def test_a_frame_has_the_findings_of_a_list() -> None:
    pd = pytest.importorskip("pandas")
    rows = [{"text": "same", "label": "a"}, {"text": "same", "label": "b"}]
    for source in (jx.Rows(rows), jx.Rows(pd.DataFrame(rows))):
        described = jx.Classification("mine", source, labels=("a", "b")).describe()
        assert "1 input occurs with more than one label" in " ".join(described.findings())


def test_rows_that_are_missing_are_said_to_be() -> None:
    with pytest.raises(DataError, match=r"no file .*nowhere\.csv"):
        _ = jx.Classification("mine", jx.Csv("nowhere.csv")).label_names


def test_found_labels_are_no_field() -> None:
    """A task that was looked at equals one that was not, for the registry and the cache."""
    looked_at = task()
    assert looked_at.label_names and looked_at == task()
    assert looked_at.replace(labels=("x", "y")).label_names == ("x", "y")
    assert vars(looked_at) == vars(task())


def answered(*texts: str, **fields: Any) -> jx.QuestionAnswering:
    rows = []
    for text in texts:
        answers = {"text": [text] if text else [], "answer_start": [0] if text else []}
        rows.append({"question": "q", "context": "one two", "answers": answers})
    return jx.QuestionAnswering("answered", jx.Rows(rows), **fields)


def test_questions_without_an_answer_are_unlabelled_unless_that_is_their_answer() -> None:
    questions = answered("one", "", "")
    assert questions.describe().splits[0].unlabelled == 2
    assert "Rows without gold in a split that has some: train en 2." in str(questions.describe())
    with pytest.raises(jx.DataError, match=r"row 1: The row has no gold.*unanswerable=True"):
        list(questions.examples("train", labelled=True))
    unanswerable = questions.replace(unanswerable=True)
    assert unanswerable.describe().splits[0].unlabelled == 0
    assert "answers   (none)" in str(unanswerable.preview())


def test_unlabelled_rows_are_a_finding_unless_all_are() -> None:
    assert "Rows without gold in a split that has some: train en 1." in str(task().describe())
    withheld = task(TRAIN[:2], [{"text": "new", "label": None}, {"text": "newer", "label": None}])
    assert withheld.describe().splits[1].unlabelled == 2
    assert "Rows without gold" not in str(withheld.describe())


def test_rows_without_known_inputs_are_no_repetitions() -> None:
    """Of a task type that does not say which of its fields name columns."""
    from jiantx.dataset_summary.input_columns import row_keys

    assert row_keys([], 3).to_pylist() == ["0", "1", "2"]


def test_minus_one_is_a_number_of_a_scale() -> None:
    rows = [{"text": f"text {number}", "label": number} for number in (-2, -1, 0, 2)]
    source = jx.Rows({"train": rows, "validation": rows})
    scale = jx.Regression("mine", source, low=-2, high=2)
    assert [split.unlabelled for split in scale.describe().splits] == [0, 0]


def test_lists_of_one_length_hold_labels() -> None:
    import datasets

    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.Sequence(datasets.Value("string"), length=2),
        }
    )
    columns = {"text": ["x", "y"], "label": [["p", "q"], ["q", "r"]]}
    rows = datasets.Dataset.from_dict(columns, features=features)
    many = jx.Classification("mine", jx.Rows(rows), multi_label=True)
    assert many.label_names == ("p", "q", "r")
    assert many.describe().splits[0].label_counts == {"p": 1, "q": 2, "r": 1}


def test_a_label_of_blanks_is_none() -> None:
    rows = [{"text": f"text {i}", "label": label} for i, label in enumerate(("a", "b", " "))]
    blank = jx.Classification("mine", jx.Rows({"train": rows, "validation": rows}))
    assert blank.label_names == ("a", "b")
    (train, _) = blank.describe().splits
    assert train.unlabelled == 1 and train.label_counts == {"a": 1, "b": 1}
    with pytest.raises(DataError, match="row 2: The row has no gold"):
        list(blank.examples("train", labelled=True))


def test_training_rows_need_no_grades() -> None:
    corpus = jx.Rows({"test": [{"id": "d1", "candidate": "a cook"}]})
    graded = [{"query": "who", "relevant": ["d1"], "grades": [3]}]
    pairs = [{"query": "who", "candidate": ["a cook"]}]
    source = jx.Rows({"train": pairs, "test": graded})
    search = jx.Retrieval("search", source, corpus=corpus, grades="grades", metrics=("ndcg_at_3",))
    assert [split.rows for split in search.describe().splits] == [1, 1]
