"""Scores and predictions: every row once, in the order of the rows."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ModelOf, classified
from datasets import Dataset
from transformers import TrainingArguments
from transformers.utils import logging

import jiantx as jx
from jiantx import inference
from jiantx.evaluation import with_undefined_as_lowest
from jiantx.grouping import row_groups
from jiantx.metrics import Answer, Answers, exact_match, squad_v2_exact
from jiantx.report import MAIN
from jiantx.tasks import TASKS, get_task, register

TYPES = (
    "classification",
    "pair",
    "multi_label",
    "regression",
    "tagging",
    "qa",
    "choice",
    "retrieval",
    "mlm",
    "spans",
    "edges",
)


@pytest.fixture(scope="module")
def tasks(tiny_tasks) -> dict[str, jx.Task]:
    return dict(tiny_tasks)


@pytest.fixture(scope="module")
def model(model_of: ModelOf, tasks) -> jx.MultitaskModel:
    return model_of(list(tasks.values()))


def assert_close(one: Any, other: Any) -> None:
    """Equal predictions, numbers to rounding: another batch adds up in another order."""
    assert one.id == other.id and one.language == other.language
    if hasattr(one, "number"):
        assert one.number == pytest.approx(other.number, abs=1e-4)
    elif hasattr(one, "span"):
        assert (one.answer, one.span, one.start) == (other.answer, other.span, other.start)
        assert one.score == pytest.approx(other.score, abs=1e-4)
    else:
        assert one.value == other.value


# --- the order and the number of rows -------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind != "mlm"])
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_predictions_are_in_the_order_of_the_rows(
    kind: str, batch_size: int, model, tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With length grouping, transformers' Trainer returns them in another order; tasknet samples at
    random.
    """
    task = tasks[kind]
    rows = list(task.rows("train"))
    expected = jx.predict(model, task, rows)
    assert [p.id for p in expected] == [str(row.get("id", i)) for i, row in enumerate(rows)]
    if kind != "retrieval":  # which ranks the rows among themselves
        alone = [jx.predict(model, task, [{"id": str(i), **row}])[0] for i, row in enumerate(rows)]
        for one, other in zip(alone, expected, strict=True):
            assert_close(one, other)

    def shuffled(lengths: np.ndarray, size: int, **_: int) -> list[np.ndarray]:
        order = np.random.default_rng(batch_size).permutation(len(lengths))
        return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]

    monkeypatch.setattr(inference, "sorted_batches", shuffled)
    for one, other in zip(jx.predict(model, task, rows), expected, strict=True):
        assert_close(one, other)


@pytest.mark.parametrize("kind", TYPES)
def test_every_row_is_scored_once(kind: str, model, tasks, tmp_path: Path) -> None:
    task = tasks[kind]
    report = jx.evaluate(model, [task], predictions=tmp_path)
    languages = task.languages("validation")
    for language in languages:
        rows = task.rows("validation", language)
        inside = report.where(language=language).records
        assert {score.examples for score in inside} == {len(rows)}
        assert MAIN in {score.metric for score in inside}
        lines = (
            (tmp_path / f"{task.name}-validation-{language}.jsonl")
            .read_text(encoding="utf-8")
            .splitlines()
        )
        written = [json.loads(line) for line in lines]
        assert [row["id"] for row in written] == [
            str(row.get("id", i)) for i, row in enumerate(rows)
        ]
        always = {"id", "language", "inputs", "prediction", "gold", "score"}
        always |= {"confidence", "correct"}
        for row in written:
            assert set(row) - {"f1", "answer", "start", "gold_starts"} == always
            assert row["inputs"] and "label" not in row["inputs"]
        assert {row["language"] for row in written} == {language}
    assert len(list(tmp_path.iterdir())) == len(languages)


def test_predictions_of_an_earlier_evaluation_are_named(
    model, tasks, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task = tasks["classification"]
    jx.evaluate(model, task, predictions=tmp_path)
    jx.evaluate(model, task, predictions=tmp_path)  # all are written anew
    assert "earlier evaluation" not in caplog.text
    jx.evaluate(model, task, predictions=tmp_path, languages=["en"])
    left = [name for name in task.languages("validation") if name != "en"]
    assert left and all(f"{task.name}-validation-{name}.jsonl" in caplog.text for name in left)
    assert "another folder" in caplog.text and "-en.jsonl" not in caplog.text


@pytest.mark.parametrize("kind", ["classification", "mlm"])
def test_languages_together_are_languages_alone(kind: str, model, tasks) -> None:
    task = tasks[kind]
    together = jx.evaluate(model, [task], batch_size=5)
    alone = jx.Report(
        [s for l in ("en", "de", "zh") for s in jx.evaluate(model, [task], languages=[l]).records]
    )
    assert together.records == alone.records
    assert len({score.language for score in together.records}) == 3


def test_batch_size_changes_no_score(model, tasks) -> None:
    for kind in TYPES:
        one, other = (
            jx.evaluate(model, [tasks[kind]], batch_size=size).records for size in (2, 50)
        )
        for a, b in zip(one, other, strict=True):
            assert (a.metric, a.language, a.examples) == (b.metric, b.language, b.examples)
            assert a.value == pytest.approx(b.value, abs=1e-3)


def test_scores_are_those_of_the_predictions(model, tasks) -> None:
    task = tasks["classification"]
    rows = list(task.rows("validation", "de"))
    predictions = jx.predict(model, task, rows, language="de")
    right = sum(p.label == row["label"] for p, row in zip(predictions, rows, strict=True))
    report = jx.evaluate(model, [task], languages=["de"])
    expected = pytest.approx(100 * right / len(rows))
    assert report.where(metric="accuracy").records[0].value == report.mean() == expected
    assert {prediction.language for prediction in predictions} == {"de"}
    for prediction in predictions:
        assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert (
            prediction.probability
            == max(prediction.probabilities.values())
            == prediction.confidence
        )


def test_raw_rows_need_no_gold(model, tasks) -> None:
    for kind in TYPES:
        task = tasks[kind]
        rows = list(task.rows("train"))[:3]
        gold = task.gold_column
        plain_ = [{name: value for name, value in row.items() if name != gold} for row in rows]
        assert [p.value for p in jx.predict(model, task, plain_)] == [
            p.value for p in jx.predict(model, task, rows)
        ]
    assert jx.predict(model, tasks["tagging"], []) == []
    (tags,) = jx.predict(model, tasks["tagging"], [{"tokens": ["the", "cat", "."]}])
    assert tags.words == ("the", "cat", ".") and len(tags.tags) == len(tags.probabilities) == 3
    wrong = [{"text": "the cat", "label": "no such label"}]
    assert jx.predict(model, tasks["classification"], wrong)[0].label in ("no", "perhaps", "yes")


def test_a_bad_row_is_named(model, tasks) -> None:
    with pytest.raises(jx.DataError, match=r"Task mood, language .en., row 1: .*empty text"):
        jx.predict(model, tasks["classification"], [{"text": "the cat"}, {"text": " "}])


def test_long_input_keeps_its_words(model, tasks) -> None:
    tokens = ["the", "cat"] * 400  # more tokens than a model takes
    (actual,) = jx.predict(model, tasks["tagging"], [{"tokens": tokens}])
    assert len(actual.tags) == 800


def test_answers_are_read_from_the_passage(model, tasks) -> None:
    rows = list(tasks["qa"].rows("train"))
    for row, prediction in zip(rows, jx.predict(model, tasks["qa"], rows), strict=True):
        assert row["context"][prediction.start :].startswith(prediction.span)
        assert prediction.answer in (prediction.span, "")
        assert (prediction.answer == "") == (prediction.no_answer > 0)


def test_rankings(model, tasks) -> None:
    task = tasks["retrieval"]
    actual = jx.predict(model, task, list(task.rows("train")))
    for prediction in actual:
        assert len(prediction.ranking) == len(set(prediction.ranking)) == 3
        assert list(prediction.scores) == sorted(prediction.scores, reverse=True)
    original = task.replace(candidate="query")  # each is its own nearest
    assert jx.evaluate(model, [original]).mean() == 100


def values_of(report: jx.Report) -> dict[str, float | None]:
    """None for NaN, so that results can be compared."""
    return {s.metric: None if math.isnan(s.value) else s.value for s in report}


def test_what_cannot_be_computed_is_missing(model, tasks, caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        {"text": "the cat sees", "label": 2.0},
        {"text": "a dog", "label": 2.0},
    ]  # all gold alike: no correlation
    task = tasks["regression"].replace(source=jx.Rows({"validation": rows}))
    logging.enable_propagation()
    try:
        report = jx.evaluate(model, [task])
    finally:
        logging.disable_propagation()
    assert values_of(report) == {"pearson": None, "spearman": None, MAIN: None}
    assert "stars, split 'validation', language 'en': undefined" in caplog.text
    assert "pearson, spearman" in caplog.text

    def mean(predictions: Any, references: Any) -> float:
        return 50.0

    def never(predictions: Any, references: Any) -> float:
        return math.nan

    half = task.replace(metrics=(mean, never), main_metrics=(mean,))
    assert values_of(jx.evaluate(model, [half])) == {"mean": 50.0, "never": None, MAIN: 50.0}
    both = task.replace(metrics=(mean, never))
    assert values_of(jx.evaluate(model, [both])) == {"mean": 50.0, "never": None, MAIN: None}

    def overflow(predictions: Any, references: Any) -> float:
        return math.inf

    report = jx.evaluate(model, [task.replace(metrics=(overflow,))])
    assert values_of(report) == {"overflow": None, MAIN: None}


def test_a_metric_that_sorts_changes_no_other(model, tasks) -> None:
    def sorts(predictions: Any, references: Any) -> float:
        predictions.sort()
        references.sort()
        return 1.0

    by_task = {name: values_of(jx.evaluate(model, [task])) for name, task in tasks.items()}
    name = next(n for n, values in by_task.items() if 0 < (values.get("accuracy") or 0) < 100)
    task = tasks[name]
    after = values_of(jx.evaluate(model, [task.replace(metrics=(sorts, *task.metrics))]))
    assert after["accuracy"] == by_task[name]["accuracy"]


def test_a_metric_that_fails_is_named(model, tasks) -> None:
    def by_topic(predictions: Any, references: Any) -> float:
        return {"sport": 1.0}[predictions[0]]

    with pytest.raises(KeyError) as error:
        jx.evaluate(model, [tasks["pair"].replace(metrics=(by_topic,))])
    message = "the metric 'by_topic' of task pairs, split 'validation', language 'en'"
    assert message in error.value.__notes__[0]


def test_questions_are_scored_by_what_is_predicted(tasks) -> None:
    """By default, the best span was scored, also where `predict` says that there is no answer.

    Without `unanswerable`, SQuAD v2's metrics took the first token for "no answer".
    """
    predictions = [Answer("cat", 0.5), Answer("dog", -0.5)]
    with_unanswerable = tasks["qa"].replace(metrics=(exact_match, squad_v2_exact))
    without = with_unanswerable.replace(unanswerable=False)
    for metric in without.metrics:
        nothing_first = [Answers(()), Answers(("dog",))]
        assert with_unanswerable.compute(metric, predictions, nothing_first) == 100.0
        both = [Answers(("cat",)), Answers(("dog",))]
        assert without.compute(metric, predictions, both) == 100.0


def test_an_undefined_score_is_no_reason_to_prefer_a_model() -> None:
    """It left the mean: a model whose predictions were all alike had 50 instead of -0.02."""

    def report(correlation: float) -> jx.Report:
        values = {("mood", "accuracy"): 50.0, ("mood", MAIN): 50.0}
        values |= {("stars", name): correlation for name in ("pearson", "spearman", MAIN)}
        return jx.Report(
            jx.Score(task, "validation", "en", metric, value, 8)
            for (task, metric), value in values.items()
        )

    source = jx.Rows({})
    tasks = [
        jx.Regression(name="stars", source=source, low=0.0, high=5.0),
        jx.Classification(name="mood", source=source, labels=("no", "yes")),
    ]
    worst, collapsed = (
        with_undefined_as_lowest(report(value), tasks).mean() for value in (-99.0, math.nan)
    )
    assert (worst, collapsed) == (-24.5, -25.0)
    assert math.isnan(report(math.nan).mean())
    assert with_undefined_as_lowest(report(3.0), tasks).records == report(3.0).records


def test_different_tasks_of_one_name_are_refused(model, tasks) -> None:
    task = tasks["classification"]
    other = task.replace(source=jx.Rows({"validation": {"zh": classified(2)}}))
    with pytest.raises(ValueError, match="Two tasks have one name, 'mood'"):
        jx.evaluate(model, [task, other])
    assert len(jx.evaluate(model, [task, task], languages="de")) == 2


def test_model_is_left_as_it_was(model_of: ModelOf, tasks) -> None:
    model = model_of([tasks["tagging"]]).train()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    jx.evaluate(model, [tasks["tagging"]])
    assert model.training and torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_max_length_and_what_was_cut(model, tasks, caplog: pytest.LogCaptureFixture) -> None:
    logging.enable_propagation()
    try:
        actual, full = (
            jx.evaluate(model, [tasks["classification"]], languages=["en"], max_length=n)
            for n in (8, 128)
        )
    finally:
        logging.disable_propagation()
    (record,) = actual.where(metric="truncated")
    message = f"mood validation en: {record.value:.0f} of 12 inputs had text cut off (max_length 8)"
    assert 0 < record.value < 12 and message in caplog.text
    assert not full.where(metric="truncated")


# --- what cannot be scored ------------------------------------------------------------------------


def test_no_such_split(model, tasks) -> None:
    with pytest.raises(jx.DataError, match=r"no split 'test'.*train, validation"):
        jx.evaluate(model, [tasks["classification"]], split="test")


def test_a_misspelt_split_is_answered_with_a_near_one(model, tasks) -> None:
    task = tasks["classification"]
    message = (
        r"Task mood has no split 'validaton'\. Did you mean 'validation'\? It has: train, valid"
    )
    with pytest.raises(jx.DataError, match=message):
        jx.evaluate(model, [task], split="validaton")
    with pytest.raises(jx.DataError, match=message):
        task.languages("validaton")
    assert task.languages("test") == ()  # a usual split that it lacks


def test_tasks_may_be_named(model, tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    """One task alone, names, and both together; wrong names get near ones."""
    get_task("xnli")  # the library is there
    monkeypatch.setattr(TASKS, "_values", dict(TASKS._values))
    mood = register(tasks["classification"])
    expected = jx.evaluate(model, [mood], languages=["de"]).records
    for tasks_or_names in (mood, "mood", ["mood"], (mood,), iter(["mood"])):
        assert jx.evaluate(model, tasks_or_names, languages=["de"]).records == expected
    rows = [{"text": "a cat"}]
    assert jx.predict(model, "mood", rows)[0].value == jx.predict(model, mood, rows)[0].value
    assert model.head_of("mood") is model.head_of(mood)
    trainer = jx.Trainer(model, tasks="mood", eval_tasks=[mood])
    assert trainer.tasks == {"mood": mood}
    with pytest.raises(LookupError, match=r"No task is named 'moood'\. Did you mean 'mood'"):
        jx.evaluate(model, ["moood"])
    for accepts_tasks in (
        lambda: jx.predict(model, "moood", rows),
        lambda: jx.Trainer(model, tasks=["moood"]),
        lambda: jx.Trainer(model, tasks="mood", eval_tasks="moood"),
        lambda: trainer.evaluate(["moood"]),
        lambda: model.export("moood", "nowhere"),
        lambda: jx.MultitaskModel.from_pretrained("nowhere", "moood"),
        lambda: jx.trim_vocabulary(model, "moood"),
        lambda: jx.write_xtreme_predictions(model, "moood", "nowhere"),
    ):
        with pytest.raises(LookupError, match="Did you mean 'mood'"):
            accepts_tasks()
    with pytest.raises(TypeError, match="Expected a task or the name of a registered one, found 3"):
        jx.evaluate(model, 3)  # type: ignore[arg-type]


def test_a_language_is_lacking(model, tasks) -> None:
    with pytest.raises(
        jx.DataError, match=r"split 'validation', has none of the languages sw\. It has: en, de, zh"
    ):
        jx.evaluate(model, [tasks["classification"]], languages=["sw"])
    with pytest.raises(jx.DataError, match=r"No task has the language\(s\) sw"):
        jx.evaluate(model, [tasks["classification"]], languages=["en", "sw"])
    report = jx.evaluate(model, [tasks["classification"], tasks["tagging"]], languages=["en", "de"])
    scored = {(score.task, score.language) for score in report.records}
    assert scored == {("mood", "en"), ("mood", "de"), ("entities", "en")}


@pytest.mark.parametrize("placeholder", [None, "", -1])
def test_placeholder_labels(placeholder: Any, model, tasks) -> None:
    hidden = [{"text": row["text"], "label": placeholder} for row in classified(4)]
    source = jx.Rows({"train": classified(4), "validation": classified(4), "test": hidden})
    task = tasks["classification"].replace(source=source)
    with pytest.raises(
        jx.DataError, match=r"split 'test', .*row 0: .*placeholder.* with labels: train, validation"
    ):
        jx.evaluate(model, [task], split="test")
    assert len(jx.predict(model, task, hidden)) == 4


def test_a_model_without_the_head(model_of: ModelOf, tasks) -> None:
    with pytest.raises(LookupError, match=r"no head 'mood' for task 'mood'. It has: entities"):
        jx.evaluate(model_of([tasks["tagging"]]), [tasks["classification"]])


def test_a_model_without_tokenizer(model_of: ModelOf, tasks) -> None:
    model = model_of([tasks["tagging"]])
    model.tokenizer = None
    with pytest.raises(ValueError, match="The model has no tokenizer"):
        jx.evaluate(model, [tasks["tagging"]])


# --- ranks ----------------------------------------------------------------------------------------


def test_in_order_puts_ragged_outputs_back() -> None:
    buffer = inference._OutputBuffer(max_outputs=np.array([4, 2, 1]))
    buffer.write(np.array([2, 0]), np.array([1, 3]), {"x": torch.tensor([20, 0, 1, 2])})
    buffer.write(np.array([1]), np.array([2]), {"x": torch.tensor([10, 11])})
    counts, outputs = buffer.read_all()
    assert counts.tolist() == [3, 2, 1] and outputs["x"].tolist() == [0, 1, 2, 10, 11, 20]


def test_predict_asks_no_gold_of_a_label_function(model_of: ModelOf, tiny_tasks) -> None:
    task = tiny_tasks["classification"].replace(label=lambda row: ("glad", "sad")[row["number"]])
    row = {name: value for name, value in task.rows("train")[0].items() if name != "label"}
    (actual,) = jx.predict(model_of([task]), task, [row])
    assert actual.label in task.label_names


def test_predict_takes_texts_and_pairs(model: Any, tasks: Any) -> None:
    for name, columns in (
        ("classification", ("text",)),
        ("pair", ("text", "pair")),
        ("qa", ("question", "context")),
    ):
        task = tasks[name]
        rows = [{column: row[column] for column in columns} for row in task.rows("train")][:2]
        expected = jx.predict(model, task, rows)
        texts = [tuple(row.values()) for row in rows]
        assert jx.predict(model, task, texts) == expected
        if len(columns) == 1:
            assert jx.predict(model, task, [text for (text,) in texts]) == expected
        assert jx.predict(model, task, (row for row in rows)) == expected
        assert jx.predict(model, task, Dataset.from_list(rows)) == expected
        assert jx.predict(model, task, pd.DataFrame(rows)) == expected


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("pair", ["a"], r"row 0: It is a text; expected a dictionary .*\(text, pair\)"),
        ("classification", [("a", "b")], r"row 0: It is 2 texts; .* \(text\)"),
        ("choice", [("a", "b")], "row 0: It is 2 texts; expected a dictionary with the task's"),
        ("classification", "a text", "expected a list of rows"),
        ("classification", {"text": "a"}, "expected a list of rows"),
        ("classification", [{"text": "a"}, 3], "row 1: Row 1 is 3; expected a dictionary"),
    ],
)
def test_predict_says_what_it_takes(
    name: str, rows: Any, message: str, model: Any, tasks: Any
) -> None:
    with pytest.raises(jx.DataError, match=message):
        jx.predict(model, tasks[name], rows)


def test_predict_sees_a_table_s_rows_as_training_does(model_of: ModelOf, tiny_tasks: Any) -> None:
    seen: list[Any] = []
    rows = jx.Rows({"train": [{"text": "a", "d": {"x": 1}}, {"text": "b", "d": {"y": 1}}]})

    def text(row: Any) -> Any:
        seen.append(row["d"])
        return row["text"]

    task = tiny_tasks["classification"].replace(source=rows, text=text)
    model = model_of([task])
    for stored in (rows.rows("train", "en"), list(rows.rows("train", "en"))):
        jx.predict(model, task, stored)
    assert seen == [{"x": 1}, {"y": 1}] * 2


def test_predict_names_the_row_of_a_failing_function(model_of: ModelOf, tiny_tasks: Any) -> None:
    task = tiny_tasks["classification"].replace(text=lambda row: row["text"][row["n"]])
    rows = [{"text": "ab", "n": 0}, {"text": "ab", "n": "1"}]
    with pytest.raises(jx.DataError, match=r"language 'en', row 1: <lambda> failed. TypeError"):
        jx.predict(model_of([task]), task, rows)


def test_predicting_raw_rows_asks_for_no_data(
    model, tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that was loaded somewhere else has no data root."""
    task = tasks["pair"].replace(source=jx.Hub("no/where"))
    monkeypatch.setattr(jx.Hub, "available", lambda *_: pytest.fail("looked for data"))
    assert len(jx.predict(model, task, list(tasks["pair"].rows("train"))[:2])) == 2


# --- precision ------------------------------------------------------------------------------------


def linear_dtypes(model: jx.MultitaskModel) -> set[torch.dtype]:
    """The dtypes that the encoder's first linear layer will return."""
    seen: set[torch.dtype] = set()
    layer = next(m for m in model.encoder.modules() if isinstance(m, torch.nn.Linear))
    layer.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    return seen


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_chosen(dtype: torch.dtype, model, tasks) -> None:
    seen = linear_dtypes(model)
    full = jx.evaluate(model, list(tasks.values()))
    assert seen == {torch.float32}
    seen.clear()
    half = jx.evaluate(model, list(tasks.values()), dtype=dtype)
    assert seen == {dtype}
    assert [score.task for score in half] == [score.task for score in full]
    seen.clear()
    (prediction,) = jx.predict(model, tasks["classification"], ["the cat"], dtype=dtype)
    assert seen == {dtype} and 0 < prediction.probability < 1


def test_a_dtype_that_is_no_half_precision_is_refused(model, tasks) -> None:
    with pytest.raises(
        ValueError, match=r"dtype=torch.int8\. Expected one of None, torch.bfloat16"
    ):
        jx.evaluate(model, tasks["classification"], dtype=torch.int8)


def test_a_trained_model_is_scored_as_a_loaded_one(model_of: ModelOf, tasks, tmp_path) -> None:
    """accelerate leaves a forward in half precision on the model that it trained."""
    task = tasks["classification"]
    model = model_of([task])
    args = TrainingArguments(
        str(tmp_path / "run"),
        bf16=True,
        use_cpu=True,
        max_steps=1,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = jx.Trainer(model, args, tasks=[task])
    seen = linear_dtypes(model)
    trainer.evaluate()
    assert seen == {torch.bfloat16}, "before training, too"
    trainer.train()
    seen.clear()
    ours = jx.predict(model, task, ["the cat", "a dog"])
    assert seen == {torch.float32}
    model.save_pretrained(tmp_path / "saved")
    loaded = jx.MultitaskModel.from_pretrained(tmp_path / "saved", [task])
    assert ours == jx.predict(loaded, task, ["the cat", "a dog"])
    seen.clear()
    trainer.evaluate()
    assert seen == {torch.bfloat16}


def test_predictions_say_what_was_cut(model_of: Any, tiny_tasks: Any, caplog: Any) -> None:
    from transformers.utils import logging

    logging.enable_propagation()
    text = tiny_tasks["classification"].replace(max_length=8)
    jx.predict(model_of([text]), text, ["the cat sees the red house and the river", "a dog"])
    assert "Task mood: 1 of 2 inputs had text cut off (max_length 8)." in caplog.text
    questions = tiny_tasks["qa"].replace(max_question_length=4)
    passage = "the cat sees the red house " * 40  # several windows, and one question
    rows = [{"question": "who sees the red house in the river", "context": passage}]
    jx.predict(model_of([questions]), questions.replace(max_length=64), rows)
    assert "1 of 1 questions had text cut off (max_question_length 4)." in caplog.text
    logging.disable_propagation()


def test_rows_are_in_the_language_that_the_task_trains_in(model_of: Any, tiny_tasks: Any) -> None:
    german = tiny_tasks["classification"].replace(train_languages=("de",))
    model = model_of([german])
    assert [p.language for p in jx.predict(model, german, ["hund"])] == ["de"]
    both = german.replace(train_languages=("de", "en"))
    assert [p.language for p in jx.predict(model, both, ["hund"])] == ["en"]
    assert [p.language for p in jx.predict(model, german, ["hund"], language="zh")] == ["zh"]


def test_a_bad_row_is_found_before_a_pass_of_another_task(
    model: jx.MultitaskModel, tasks: dict[str, jx.Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = tasks["classification"]
    rows = [{"text": "the cat", "label": "no such label"}]
    bad = good.replace(name="bad", source=jx.Rows({"validation": rows}), head=good.head_name)
    monkeypatch.setattr(inference, "run_model", lambda *args, **kwargs: pytest.fail("a pass"))
    with pytest.raises(jx.DataError, match="Task bad, split 'validation', language 'en', row 0"):
        jx.evaluate(model, [good, bad], languages=["en"])


def test_outputs_that_are_no_numbers_are_refused(
    model: jx.MultitaskModel, tasks: dict[str, jx.Task]
) -> None:
    task = tasks["classification"]
    broken = copy.deepcopy(model)
    torch.nn.init.constant_(broken.heads[task.head_name].out.bias, math.nan)
    for use in (
        lambda: jx.evaluate(broken, task),
        lambda: jx.predict(broken, task, [{"text": "the cat"}]),
    ):
        with pytest.raises(FloatingPointError, match="are not numbers"):
            use()


def test_a_group_that_is_empty_is_none(model: jx.MultitaskModel, tasks: dict[str, jx.Task]) -> None:
    rows = [{"text": "a", "label": "x", "group": group} for group in ("q", "q", "", "")]
    task = jx.Classification("mine", jx.Rows({"validation": rows}), labels=("x",), group="group")
    assert row_groups(task, task.rows("validation"), "validation", "en") == ["q", "q", None, None]
