"""GLUE's and SuperGLUE's files: names, forms, order, the zip, and the scorer."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import ModelOf

import jiantx as jx
from jiantx import get_task
from jiantx.features import Features
from jiantx.glue import write
from jiantx.glue.files import GLUE_SUBMISSION, SUPERGLUE_SUBMISSION
from jiantx.glue.forms import NAME, SMALL_NAME, TEXT
from jiantx.metrics import Answer
from jiantx.report import MAIN
from jiantx.scoring import SplitPredictions

HUB = Path(jx.__file__).parents[2] / "shared" / "hub"
real = pytest.mark.skipif(not HUB.is_dir(), reason=f"no real slices at {HUB}")


class Said:
    """A prediction with the one attribute that the writers read."""

    def __init__(self, value: Any) -> None:
        self.value = value


def text_of(submission: Any, name: str, rows: Sequence[Any], values: Sequence[Any]) -> str:
    """The file of some rows and predictions."""
    task = get_task(name).replace(source=jx.Rows({"test": list(rows)}))
    table = task.rows("test")
    features = Features(task, "test", "en", table, table, 0)
    result = SplitPredictions(features, [Said(value) for value in values], [None] * len(rows))
    return write.file_text(submission, task, result)


def test_the_official_names_of_the_files() -> None:
    glue = "CoLA SST-2 MRPC STS-B QQP MNLI-m MNLI-mm QNLI RTE WNLI AX"
    superglue = "BoolQ CB COPA MultiRC ReCoRD RTE WiC WSC AX-b AX-g"
    for submission, names, suffix in (
        (GLUE_SUBMISSION, glue, "tsv"),
        (SUPERGLUE_SUBMISSION, superglue, "jsonl"),
    ):
        expected = {f"{name}.{suffix}" for name in names.split()}
        assert {file.name for file in submission.files.values()} == expected
    assert set(jx.GLUE) | {"glue_diagnostic"} == set(GLUE_SUBMISSION.files)
    assert set(jx.SUPERGLUE) <= set(SUPERGLUE_SUBMISSION.files)


@pytest.mark.parametrize(
    ("name", "values", "written"),
    [
        ("cola", ["acceptable", "unacceptable"], ["1", "0"]),
        ("mrpc", ["equivalent", "not_equivalent"], ["1", "0"]),
        ("wnli", ["entailment", "not_entailment"], ["1", "0"]),
        ("rte", ["entailment", "not_entailment"], ["entailment", "not_entailment"]),
        ("mnli_mismatched", ["neutral", "contradiction"], ["neutral", "contradiction"]),
        ("glue_diagnostic", ["neutral", "entailment"], ["neutral", "entailment"]),
        ("glue_stsb", [5.04, -0.2], ["5.000", "0.000"]),
        ("glue_stsb", [1.23456, 3.0], ["1.235", "3.000"]),
    ],
)
def test_tables_of_glue(name: str, values: list[Any], written: list[str]) -> None:
    """The index counts the rows, whatever their `idx` (MRPC's interleaves with training rows)."""
    rows = [{"sentence1": "a", "sentence2": "b", "idx": 7}, {"sentence1": "c", "idx": 3}]
    text = text_of(GLUE_SUBMISSION, name, rows, values)
    assert text == f"index\tprediction\n0\t{written[0]}\n1\t{written[1]}\n"


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("boolq", "True", "true"),
        ("cb", "contradiction", "contradiction"),
        ("copa", 1, 1),
        ("superglue_rte", "not_entailment", "not_entailment"),
        ("axb", "entailment", "entailment"),
    ],
)
def test_lines_of_superglue(name: str, value: Any, written: Any) -> None:
    rows = [{"text": "a", "idx": 12}, {"text": "b", "idx": 4}]
    lines = text_of(SUPERGLUE_SUBMISSION, name, rows, [value, value]).splitlines()
    assert [json.loads(line) for line in lines] == [
        {"idx": 12, "label": written},
        {"idx": 4, "label": written},
    ]


def test_wsc_is_capitalised_and_wic_is_not() -> None:
    files = SUPERGLUE_SUBMISSION.files
    task = get_task("boolq")  # which has the labels of both
    assert files["wic"].form is SMALL_NAME and files["wsc"].form is NAME
    assert SMALL_NAME.write(task, "True") == "true" and NAME.write(task, "True") == "True"
    assert SMALL_NAME.read(task, "true") == NAME.read(task, "True") == "True"


def test_record_writes_the_text_of_an_answer() -> None:
    task = get_task("boolq")
    assert SUPERGLUE_SUBMISSION.files["record"].form is TEXT
    assert TEXT.write(task, Answer("Ada")) == TEXT.write(task, "Ada") == "Ada"
    assert TEXT.read(task, "Ada") == Answer("Ada")
    rows = jx.Rows({"test": [{"idx": {"passage": 3, "query": 9}}]}).rows("test", "en")
    assert SUPERGLUE_SUBMISSION.keys(task, rows) == [9]


def test_the_index_of_axb_may_be_a_text() -> None:
    rows = jx.Rows({"test": [{"idx": "0"}, {"idx": "1"}]}).rows("test", "en")
    assert SUPERGLUE_SUBMISSION.keys(get_task("axb"), rows) == [0, 1]


def multirc_rows() -> list[dict[str, Any]]:
    rows = []
    for answer, (paragraph, question) in enumerate([(0, 0), (0, 0), (0, 1), (5, 2)]):
        idx = {"paragraph": paragraph, "question": question, "answer": answer}
        rows.append({"paragraph": "p", "question": "q", "answer": "a", "idx": idx, "label": "True"})
    return rows


def test_multirc_is_nested() -> None:
    values = ["True", "False", "True", "False"]
    text = text_of(SUPERGLUE_SUBMISSION, "multirc", multirc_rows(), values)
    first, second = map(json.loads, text.splitlines())
    questions = first["passage"]["questions"]
    assert first["idx"] == 0 and second["idx"] == 5
    assert [question["idx"] for question in questions] == [0, 1]
    assert questions[0]["answers"] == [{"idx": 0, "label": 1}, {"idx": 1, "label": 0}]
    assert second["passage"]["questions"] == [{"idx": 2, "answers": [{"idx": 3, "label": 0}]}]


def test_rows_without_an_index_are_refused() -> None:
    with pytest.raises(jx.DataError, match=r"Task boolq: the rows have no column 'idx'.*text"):
        text_of(SUPERGLUE_SUBMISSION, "boolq", [{"text": "a"}], ["True"])
    twice = [{"text": "a", "idx": 1}, {"text": "b", "idx": 1}]
    with pytest.raises(jx.DataError, match="2 rows have 1 different `idx`"):
        text_of(SUPERGLUE_SUBMISSION, "boolq", twice, ["True", "True"])


@pytest.mark.parametrize(
    ("submission", "name", "value", "message"),
    [
        (SUPERGLUE_SUBMISSION, "wic", "", r"WiC.jsonl .*of row 3 the prediction is ''.*max_length"),
        (SUPERGLUE_SUBMISSION, "wsc", "", "expected one of False, True"),
        (SUPERGLUE_SUBMISSION, "multirc", "maybe", "expected one of False, True"),
        (GLUE_SUBMISSION, "glue_stsb", float("nan"), "STS-B.tsv .*expected a number"),
    ],
)
def test_what_is_no_prediction_is_not_written(
    submission: Any, name: str, value: Any, message: str
) -> None:
    """A target whose spans are cut off has no label, and an empty one would void the file."""
    idx = {"paragraph": 3, "question": 1, "answer": 2} if name == "multirc" else 3
    with pytest.raises(jx.DataError, match=message):
        text_of(submission, name, [{"idx": idx}], [value])


# --- whole submissions ------------------------------------------------------------------------------


def perfect(model: Any, task: jx.Task, split: str, languages: Any, **kwargs: Any) -> Any:
    """Yield predictions that equal the gold, instead of `predict_splits`."""
    rows = task.rows(split)
    features = Features(task, split, "en", rows, rows, 0)
    gold = [task.reference(example) for example in features.examples()]
    yield SplitPredictions(features, [Said(value) for value in gold], gold)


@pytest.fixture
def perfect_model(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(write, "predict_splits", perfect)
    return None


GLUE_NAMES = "cola sst2 mrpc glue_stsb qnli rte wnli".split()
SUPERGLUE_NAMES = "boolq cb copa multirc superglue_rte".split()


@real
def test_glue_is_written_and_scored(perfect_model: Any, tmp_path: Path) -> None:
    jx.data_root(HUB)
    paths = jx.write_glue_predictions(perfect_model, GLUE_NAMES, tmp_path, split="validation")
    assert [path.name for path in paths][-1] == "submission.zip"
    with zipfile.ZipFile(paths[-1]) as archive:
        assert sorted(archive.namelist()) == sorted(path.name for path in paths[:-1])
        assert archive.read("CoLA.tsv").startswith(b"index\tprediction\n0\t")
    report = jx.score_glue(tmp_path)
    main_scores = {record.task: record.value for record in report if record.metric == MAIN}
    assert main_scores == {name: pytest.approx(100, abs=1e-3) for name in GLUE_NAMES}
    assert "all" in report.benchmark(jx.GLUE).to_markdown()


@real
def test_superglue_is_written_and_scored(perfect_model: Any, tmp_path: Path) -> None:
    jx.data_root(HUB)
    jx.write_superglue_predictions(perfect_model, SUPERGLUE_NAMES, tmp_path, split="validation")
    report = jx.score_superglue(tmp_path)
    main_scores = {record.task: record.value for record in report if record.metric == MAIN}
    assert main_scores == {name: pytest.approx(100) for name in SUPERGLUE_NAMES}


@real
def test_public_test_labels_are_scored(perfect_model: Any, tmp_path: Path) -> None:
    """AX of GLUE from the published file, AX-b and AX-g; the files of hidden labels are named."""
    jx.data_root(HUB)
    no_check: dict[str, Any] = {"check_counts": False}
    jx.write_glue_predictions(perfect_model, "glue_diagnostic", tmp_path, **no_check)
    (tmp_path / "RTE.tsv").write_text("index\tprediction\n0\tentailment\n")
    assert jx.score_glue(tmp_path, "test").where(metric=MAIN).cells() == {
        ("glue_diagnostic", "en"): pytest.approx(100)
    }
    jx.write_superglue_predictions(perfect_model, ["axb", "axg"], tmp_path, **no_check)
    values = {record.metric: record.value for record in jx.score_superglue(tmp_path, "test")}
    assert values["gender_parity"] == values["accuracy"] == values["matthews"] == 100


@real
def test_a_part_of_a_test_set_is_refused(perfect_model: Any, tmp_path: Path) -> None:
    jx.data_root(HUB)
    with pytest.raises(
        jx.DataError, match=r"Task cola: the test split has 200 rows, the official one 1,063"
    ):
        jx.write_glue_predictions(perfect_model, "cola", tmp_path)
    with pytest.raises(jx.DataError, match=r"Task boolq does not belong to GLUE\..* Its tasks: co"):
        jx.write_glue_predictions(perfect_model, "boolq", tmp_path)
    assert not list(tmp_path.iterdir())


@real
@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("WNLI.tsv", "index\tprediction\n0\t1\n", r"has 1 predictions for 34 rows; it lacks 1"),
        ("WNLI.tsv", "0\t1\n", r"has 0 predictions"),
        ("WNLI.tsv", "index\tlabel\n0\t1\n", r"line 2: found .* expected the columns index"),
        ("WNLI.tsv", "index\tprediction\n0\t1\n0\t1\n", r"two predictions for 0"),
        ("RTE.tsv", "", "has 0 predictions for 139 rows"),
    ],
)
def test_bad_tables_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    jx.data_root(HUB)
    (tmp_path / name).write_text(text or "index\tprediction\n")
    with pytest.raises(
        jx.DataError, match=f"Files that cannot be scored: 1.*\n.*{name}.*{message}"
    ):
        jx.score_glue(tmp_path)


@real
def test_predictions_of_another_form_are_named(tmp_path: Path) -> None:
    """WNLI has numbers; COPA's test labels are numbers too."""
    jx.data_root(HUB)
    lines = "".join(f"{index}\tentailment\n" for index in range(34))
    (tmp_path / "WNLI.tsv").write_text(f"index\tprediction\n{lines}")
    with pytest.raises(jx.DataError, match="of row 0 found 'entailment', expected a whole number"):
        jx.score_glue(tmp_path)
    lines = "".join(f"{index}\t7\n" for index in range(34))
    (tmp_path / "WNLI.tsv").write_text(f"index\tprediction\n{lines}")
    with pytest.raises(jx.DataError, match="of row 0 found '7', expected a number from 0 to 1"):
        jx.score_glue(tmp_path)
    (tmp_path / "CB.jsonl").write_text('{"idx": 4}\n')
    with pytest.raises(
        jx.DataError, match=r"CB.jsonl, line 1: found .*expected an object with idx"
    ):
        jx.score_superglue(tmp_path)


def test_a_folder_without_files_is_an_error(tmp_path: Path) -> None:
    jx.data_root(tmp_path)
    with pytest.raises(
        jx.DataError, match=r"no file that can be scored on the split 'test'\. GLUE"
    ):
        jx.score_glue(tmp_path, "test")


def test_equal_files_give_equal_zips(tmp_path: Path) -> None:
    (tmp_path / "CoLA.tsv").write_text("index\tprediction\n")
    contents = []
    for _ in range(2):
        write.write_zip(tmp_path, ["CoLA.tsv", "AX.tsv"])
        contents.append((tmp_path / "submission.zip").read_bytes())
    assert contents[0] == contents[1]
    assert not list(tmp_path.glob(".submission*"))


# --- a model, from rows to scores -------------------------------------------------------------------


def pairs(count: int, labels: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {
            "premise": f"the cat {index}",
            "hypothesis": "a dog",
            "label": labels[index % len(labels)],
            "heuristic": ("subsequence", "constituent")[index % 2],
            "idx": index,
        }
        for index in range(count)
    ]


def test_a_model_is_scored_by_group_and_with_mapped_labels(model_of: ModelOf) -> None:
    """HANS with the head of MNLI: a head of three labels, and a report of two."""
    rows = pairs(12, ["entailment", "non-entailment"])
    hans = get_task("hans").replace(source=jx.Rows({"validation": rows}))
    axg = get_task("axg").replace(
        source=jx.Rows({"validation": pairs(12, ["entailment", "not_entailment"])})
    )
    model = model_of([hans, axg])
    report = jx.evaluate(model, [hans, axg])
    values = {(score.task, score.metric): score for score in report}
    assert values["hans", "accuracy[subsequence]"].examples == 6
    assert values["hans", "accuracy[constituent, non-entailment]"].examples == 6
    assert {"accuracy", "gender_parity", MAIN} == {
        metric for name, metric in values if name == "axg"
    }
    assert values["axg", MAIN].value == values["axg", "accuracy"].value
    assert report.by_group().scores["hans, validation, en"]["subsequence"]
    predicted = jx.predict(model, hans, rows)
    assert {prediction.value for prediction in predicted} <= {"entailment", "non-entailment"}
    assert set(predicted[0].probabilities) == {"entailment", "neutral", "contradiction"}
    with pytest.raises(ValueError, match=r"Task hans maps .*'contradiction'\]: mnli\."):
        model.export(hans, "never")


def test_a_test_split_without_labels_is_written(model_of: ModelOf, tmp_path: Path) -> None:
    task = get_task("cb").replace(source=jx.Rows({"test": pairs(5, [None])}))
    model = model_of([task])
    with pytest.raises(jx.DataError, match="has 5 rows, the official one 250"):
        jx.write_superglue_predictions(model, task, tmp_path)
    path, _ = jx.write_superglue_predictions(model, task, tmp_path, check_counts=False)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert path.name == "CB.jsonl" and [line["idx"] for line in lines] == [0, 1, 2, 3, 4]
    predictions = jx.predict(model, task, pairs(5, [None]))
    assert [line["label"] for line in lines] == [prediction.label for prediction in predictions]


def test_blank_texts_of_a_hidden_test_split_are_predicted(
    model_of: ModelOf, tmp_path: Path
) -> None:
    """QQP's test split has some; the official file needs a line for each row."""
    rows = [
        {"question1": " ", "question2": "the cat", "label": None},
        {"question1": "the dog", "question2": "", "label": None},
        {"question1": "", "question2": "", "label": None},
    ]
    task = get_task("qqp").replace(source=jx.Rows({"test": rows}))
    model = model_of([task])
    path, _ = jx.write_glue_predictions(model, task, tmp_path, check_counts=False)
    assert [line[0] for line in path.read_text().splitlines()[1:]] == ["0", "1", "2"]
    with pytest.raises(jx.DataError, match="row 0: Column 'question1' is an empty text"):
        jx.predict(model, task, rows)
    labelled = [{**row, "label": "duplicate"} for row in rows]
    with pytest.raises(jx.DataError, match="row 0: Column 'question1' is an empty text"):
        jx.evaluate(model, task.replace(source=jx.Rows({"validation": labelled})))
