"""Errors: which they are, in which order, and how they are shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import ModelOf

import jiantx as jx
from jiantx.error_views import lines_of, to_html, to_terminal

WRITTEN = (
    "classification",
    "multi_label",
    "tagging",
    "qa",
    "choice",
    "retrieval",
    "spans",
    "edges",
)


@pytest.fixture(scope="module")
def model(model_of: ModelOf, tiny_tasks) -> jx.MultitaskModel:
    return model_of(list(tiny_tasks.values()))


@pytest.fixture(scope="module")
def folder(model, tiny_tasks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("predictions")
    jx.evaluate(model, list(tiny_tasks.values()), predictions=path)
    return path


def prediction_row(**changes: Any) -> dict[str, Any]:
    row = {"id": "1", "language": "en", "inputs": {"text": "a cat"}, "gold": "no"}
    return row | {"prediction": "yes", "confidence": 0.9, "correct": False, "score": 0.9} | changes


def text_of(row: dict[str, Any]) -> str:
    return "\n".join(to_terminal(line, colored=False) for line in lines_of(row))


def write(folder: Path, *rows: dict[str, Any], name: str = "mood-validation-en.jsonl") -> Path:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_folder_has_the_errors_of_its_model(kind: str, model, folder: Path, tiny_tasks) -> None:
    task = tiny_tasks[kind]
    from_model = jx.errors(model, task, limit=3)
    from_folder = jx.errors(folder, task.name, limit=3)
    assert str(from_model) == str(from_folder) and len(from_model) == len(from_folder)
    assert from_folder.to_html() == from_model.to_html()
    assert len(from_model) == len(from_model.to_pandas())


def test_wrong_ones_are_counted_as_the_scores_count_them(model, folder: Path, tiny_tasks) -> None:
    for kind in ("classification", "multi_label", "choice", "retrieval", "spans"):
        task = tiny_tasks[kind].replace(metrics=("accuracy",), main_metrics=())
        found_errors = jx.errors(folder, task.name)
        report = jx.evaluate(model, task)
        for language, (wrong, total) in found_errors.languages.items():
            (score,) = report.where(metric="accuracy", language=language)
            assert 100 * (total - wrong) / total == pytest.approx(score.value)
    exact = jx.evaluate(model, tiny_tasks["qa"]).where(metric="exact").records[0].value
    wrong, total = jx.errors(folder, "answers").languages["en"]
    assert 100 * (total - wrong) / total == pytest.approx(exact)


def test_the_surest_come_first_and_languages_are_told_apart(folder: Path) -> None:
    errors = jx.errors(folder, "mood", limit=2)
    confidences = [row["confidence"] for row in errors]
    assert confidences == sorted(confidences, reverse=True) and len(errors) > 2
    wrong_in = {language: wrong for language, (wrong, _) in errors.languages.items()}
    assert sum(wrong_in.values()) == len(errors)
    assert errors.summary.startswith(f"mood, validation: {len(errors)} of 36 wrong (de ")
    assert repr(errors) == f"<Errors: {errors.summary}>"
    german = errors.by_language()["de"]
    assert {row["language"] for row in german} == {"de"} and len(german) == wrong_in["de"]
    assert jx.errors(folder, "mood", languages="de").languages == german.languages
    assert f"{len(errors) - 2} more; limit={len(errors)} shows all" in str(errors)


def test_of_tags_the_surest_wrong_one_counts(tmp_path: Path) -> None:
    common: dict[str, Any] = {
        "inputs": {"words": ["a", "b"]},
        "gold": ["O", "O"],
        "confidence": 0.5,
    }
    surest = prediction_row(id="sure", prediction=["X", "O"], score=[0.8, 0.5], **common)
    unsure = prediction_row(id="unsure", prediction=["X", "O"], score=[0.6, 0.99], **common)
    errors = jx.errors(write(tmp_path, unsure, surest))
    assert [row["id"] for row in errors] == ["sure", "unsure"]
    assert "en sure: 1 of 2 tags wrong\n    a[O → X] b" in str(errors)


def test_of_rankings_the_first_score_counts(tmp_path: Path) -> None:
    shared: dict[str, Any] = {
        "language": "en",
        "inputs": {},
        "gold": ["a"],
        "confidence": None,
        "correct": False,
    }
    rows = [
        # as many relevant ones as candidates, as tags have
        {"id": str(number), "prediction": ["b", "a"], "score": [number / 10, 0.95], **shared}
        for number in (3, 9, 5)
    ]
    assert [row["id"] for row in jx.errors(write(tmp_path, *rows))] == ["9", "5", "3"]


def test_groups(tmp_path: Path) -> None:
    rows = [prediction_row(groups=["x"]), prediction_row(id="2", groups=["x", "y"], correct=True)]
    errors = jx.errors(write(tmp_path, *rows))
    assert errors.groups == {"x": (1, 2), "y": (0, 1)}
    assert "group  wrong  of\n-----  -----  --\nx          1   2\ny          0   1" in str(errors)
    assert {name: len(of_group) for name, of_group in errors.by_group().items()} == {"x": 1, "y": 0}


def test_groups_of_a_language_are_its_own(tmp_path: Path) -> None:
    rows = [prediction_row(id=str(i), groups=["x"], correct=i > 0) for i in range(10)]
    write(tmp_path, *rows)
    german = [{**row, "language": "de", "correct": False} for row in rows]
    write(tmp_path, *german, name="mood-validation-de.jsonl")
    english = jx.errors(tmp_path).by_language()["en"]
    assert english.groups == {"x": (1, 10)}
    assert "1 of 10 wrong" in english.by_group()["x"].summary


def test_texts_with_line_separators_are_read(tmp_path: Path) -> None:
    row = prediction_row(inputs={"text": "one\u2028two\x85three"})
    path = tmp_path / "mood-validation-en.jsonl"
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    assert len(jx.errors(tmp_path)) == 1


def test_named_groups_are_written(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    task = tiny_tasks["classification"].replace(
        named_groups=lambda row: "long" if len(row["text"]) > 20 else None
    )
    jx.evaluate(model_of([task]), task, predictions=tmp_path, languages=["en"])
    lines = (tmp_path / "mood-validation-en.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert {tuple(row["groups"]) for row in rows} == {("long",), ()}
    for row in rows:
        assert (len(row["inputs"]["text"]) > 20) == (row["groups"] == ["long"])


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"answer": "old cat", "start": 4}, "the [old {cat}] sat"),
        ({"answer": "sat", "start": 12}, "the old {cat} [sat]"),
        ({"answer": "cat", "start": 8}, "the old [{cat}] sat"),
        ({"answer": "a", "start": 9}, "the old {c[a]t} sat"),
        ({"answer": "at", "start": 9}, "the old {c[at]} sat"),
        ({"answer": "", "start": 0}, "the old {cat} sat"),
    ],
)
def test_spans_are_marked(changes: dict[str, Any], shown: str) -> None:
    inputs = {"question": "who sat?", "context": "the old cat sat"}
    gold = [["cat", "old cat"], "en"]
    row = prediction_row(inputs=inputs, gold=gold, prediction=["", 0.0], f1=50.0, gold_starts=[8])
    text = text_of({**row, **changes})
    assert text.splitlines()[1:] == ["question: who sat?", f"context: {shown}"]
    assert f"cat / old cat → {changes['answer'] or 'no answer'} (0.90), F1 50" in text


def test_a_long_passage_is_cut_around_its_spans() -> None:
    inputs = {"question": "who?", "context": "x " * 500 + "cat" + " y" * 500}
    row = prediction_row(inputs=inputs, gold=[["cat"], "en"], prediction=["", 0.0], f1=0.0)
    text = text_of(row | {"answer": "", "start": 0, "gold_starts": [1000]})
    assert " … x" in text and "{cat}" in text and len(text) < 300


def test_choices_are_marked(model, tiny_tasks) -> None:
    for row in jx.errors(model, tiny_tasks["choice"]):
        text = text_of(row)
        assert f"{{{row['inputs']['choices'][row['gold']]}}}" in text
        assert f"[{row['inputs']['choices'][row['prediction']]}]" in text


def test_colours_are_for_terminals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = jx.errors(write(tmp_path, prediction_row()))
    assert "\x1b" not in str(errors) and "\x1b[31myes\x1b[0m" in errors.to_text(colored=True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert "\x1b[32mno\x1b[0m" in str(errors)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in str(errors)


def test_texts_steer_neither_terminal_nor_page(tmp_path: Path) -> None:
    row = prediction_row(inputs={"text": "\x1b[2J<script>\nx"}, id="<b>")
    errors = jx.errors(write(tmp_path, row))
    assert "text: \ufffd[2J<script> x" in errors.to_text(colored=True)
    content = errors.to_html(tmp_path / "errors.html")
    page = (tmp_path / "errors.html").read_text(encoding="utf-8")
    assert content in page and 'charset="utf-8"' in page
    assert "<script>" not in page and "<b>en &lt;b&gt;: </b>" in page
    assert "<mark" in to_html(lines_of(row)[0])


def test_what_cannot_be_shown_is_said(model, folder: Path, tiny_tasks, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stars are neither right nor wrong"):
        jx.errors(folder, "stars")
    with pytest.raises(ValueError, match=r"several tasks\. Choose one of answers, choices"):
        jx.errors(folder)
    with pytest.raises(
        ValueError, match=r"no predictions for mood, split 'test'.*It has: answers-"
    ):
        jx.errors(folder, "mood", "test")
    for source in (folder, model):
        with pytest.raises((ValueError, jx.DataError), match="ge"):
            jx.errors(source, tiny_tasks["classification"], languages=["de", "ge"])
    with pytest.raises(ValueError, match="Of which task"):
        jx.errors(model)
    with pytest.raises(ValueError, match=r"any task.*no file of predictions"):
        jx.errors(tmp_path)
    with pytest.raises(ValueError, match="limit=0"):
        jx.errors(folder, "mood", limit=0)
    old = {"id": "1", "language": "en", "prediction": "yes", "gold": "no", "score": 0.5}
    with pytest.raises(
        ValueError, match="line 1 has no confidence, correct, inputs: another version"
    ):
        jx.errors(write(tmp_path, old))
    (tmp_path / "mood-validation-en.jsonl").write_text("{")
    with pytest.raises(ValueError, match=r"mood-validation-en\.jsonl, line 1: "):
        jx.errors(tmp_path)


def test_predictions_can_be_printed(model, tiny_tasks) -> None:
    (label,) = jx.predict(model, tiny_tasks["classification"], [{"text": "the cat"}])
    assert str(label) == f"{label.label} ({label.probabilities[label.label]:.2f})"
    row = {"prompt": "who", "choices": ["a cat", "a dog", "a cat"]}
    (choice,) = jx.predict(model, tiny_tasks["choice"], [row])
    assert list(choice.probabilities) == ["a cat", "a dog"]
    assert sum(choice.probabilities.values()) == pytest.approx(1)
    assert choice.probabilities["a dog"] == pytest.approx(choice.choice_probabilities[1])
    (tags,) = jx.predict(model, tiny_tasks["tagging"], [{"tokens": ["the", "cat"]}])
    assert str(tags) == f"the/{tags.tags[0]} cat/{tags.tags[1]}"
    assert tags.probability == min(tags.probabilities)
    questions = [
        {"question": "where quickly", "context": "the cat sat quickly " * n} for n in (1, 9)
    ]
    for answer in jx.predict(model, tiny_tasks["qa"], questions):
        assert 0 < answer.probability <= 1 and f"({answer.probability:.2f})" in str(answer)
    (several,) = jx.predict(model, tiny_tasks["multi_label"], [{"text": "the cat"}])
    assert str(several) == "no label" or all(label in str(several) for label in several.label)
