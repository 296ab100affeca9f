"""XTREME's files: written as the official program reads them, and scored as it scores them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import jiantx as jx
from jiantx.features import Features
from jiantx.metrics import Answer
from jiantx.scoring import SplitPredictions
from jiantx.xtreme import write
from jiantx.xtreme.files import file_format, file_path, read_items

MOCK = Path(jx.__file__).parents[2] / "shared" / "data" / "xtreme_mock_test_data"
real = pytest.mark.skipif(not MOCK.is_dir(), reason=f"no mock submission at {MOCK}")


def flat(scores: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], float]:
    if not isinstance(scores, dict):
        return {path: scores}
    return {
        inner_path: value
        for name, inner in scores.items()
        for inner_path, value in flat(inner, (*path, name)).items()
    }


@real
@pytest.mark.parametrize("seqeval", ["0.0.12", "1.2.2"])
def test_the_official_scores_of_the_mock_submission(seqeval: Any) -> None:
    """Every number of the official program, to 1e-9; the two versions of seqeval differ."""
    official = json.loads((MOCK / f"official_scores.seqeval-{seqeval}.json").read_text())
    scores = flat(jx.score_xtreme(MOCK / "predictions", MOCK / "labels", seqeval=seqeval))
    assert len(scores) > 300
    assert scores == pytest.approx(flat(official), abs=1e-9)


@real
def test_files_that_are_missing_or_of_another_length_are_named(tmp_path: Path) -> None:
    predictions = tmp_path / "predictions"
    shutil.copytree(MOCK / "predictions", predictions)
    cut = predictions / "xnli" / "test-sw.tsv"
    cut.write_text("".join(cut.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(
        jx.DataError, match=r"xnli/test-sw.tsv has 9 items, .*xnli/test-sw.tsv has 10"
    ):
        jx.score_xtreme(predictions, MOCK / "labels")
    cut.unlink()
    with pytest.raises(jx.DataError, match=r"xnli/test-sw.tsv is missing"):
        jx.score_xtreme(predictions, MOCK / "labels")
    shutil.copy(MOCK / "predictions" / "xnli" / "test-sw.tsv", cut)
    answers = predictions / "xquad" / "test-de.json"
    texts = json.loads(answers.read_text())
    answers.write_text(json.dumps(dict(list(texts.items())[1:])))
    with pytest.raises(
        jx.DataError, match=rf"xquad/test-de.json lacks 1 of {len(texts)} items, such as"
    ):
        jx.score_xtreme(predictions, MOCK / "labels")
    answers.write_text("[]")
    with pytest.raises(
        jx.DataError, match=r"xquad/test-de.json: expected a JSON object of ids, found list"
    ):
        jx.score_xtreme(predictions, MOCK / "labels")
    answers.write_text(json.dumps(texts))
    tags = predictions / "udpos" / "test-de.tsv"
    tags.write_text(tags.read_text().replace("\n", "\nNOUN\n", 1))
    with pytest.raises(jx.DataError, match=r"udpos/test-de.tsv: sentence 0 has \d+ tags"):
        jx.score_xtreme(predictions, MOCK / "labels")
    with pytest.raises(ValueError, match=r"There is no version '2'. There are: xtreme, xtreme-r"):
        jx.score_xtreme(predictions, MOCK / "labels", "2")  # type: ignore[arg-type]


@real
def test_all_files_that_cannot_be_scored_are_named(tmp_path: Path) -> None:
    predictions = tmp_path / "predictions"
    shutil.copytree(MOCK / "predictions", predictions)
    broken = [predictions / name for name in ("xnli/test-sw.tsv", "udpos/test-de.tsv")]
    for path in broken:
        path.unlink()
    with pytest.raises(jx.DataError, match="Files that cannot be scored: 2") as caught:
        jx.score_xtreme(predictions, MOCK / "labels")
    assert all(f"{path} is missing" in str(caught.value) for path in broken)


@pytest.mark.parametrize("line", ["{}", '{"label": null}', '{"label": "1"}', '{"label": true}'])
def test_a_choice_without_a_number_is_refused(line: str, tmp_path: Path) -> None:
    """On both sides it was None, and None equals None."""
    path = tmp_path / "test-zh.jsonl"
    path.write_text(f'{{"label": 0}}\n{line}\n')
    with pytest.raises(jx.DataError, match=r"test-zh.jsonl: item 1 has the label"):
        read_items(path, "multiple_choice")


# --- writing --------------------------------------------------------------------------------------

PARALLEL = [("Haus", "a house"), ("Apfel", "an apple"), ("Zug", "Trains")]
ROWS: dict[str, list[dict[str, Any]]] = {
    "xnli": [{"premise": "p", "hypothesis": f"h {i}", "label": "neutral"} for i in range(3)],
    "udpos": [
        {"tokens": ["eins", "zwei"], "tags": ["NUM", "NUM"]},
        {"tokens": ["drei"], "tags": ["NUM"]},
    ],
    "xquad": [
        {
            "id": f"q{i}",
            "context": "eins zwei",
            "question": "wo?",
            "answers": {"text": ["zwei"], "answer_start": [5]},
        }
        for i in range(2)
    ],
    "tatoeba": [{"source_sentence": one, "target_sentence": other} for one, other in PARALLEL],
    "bucc2018": [{"id": f"de-{i}", "text": f"satz {i}", "relevant": [f"en-{i}"]} for i in range(3)],
    "xcopa": [
        {"premise": "p", "question": "cause", "choice1": "a", "choice2": "b", "label": 1}
        for _ in range(2)
    ],
    "lareqa": [{"id": f"q{i}", "question": f"f {i}", "relevant": [f"en_{i}_0"]} for i in range(2)],
}
LANGUAGE = {"xcopa": "zh"}


def perfect(model: Any, task: jx.Task, split: str, languages: Any, **kwargs: Any) -> Any:
    """Yield predictions that equal the gold, instead of `predict_splits`."""
    for language in languages:
        rows = task.rows(split, language)
        features = Features(task, split, language, rows, rows, 0)
        examples = features.examples()
        gold = [task.reference(example) for example in examples]
        predictions = [PerfectPrediction(task, *pair) for pair in zip(examples, gold, strict=True)]
        yield SplitPredictions(features, predictions, gold)


class PerfectPrediction:
    """A prediction with all attributes that the writers read."""

    def __init__(self, task: jx.Task, example: Any, gold: Any) -> None:
        self.id = example.id
        self.label = self.choice = self.tags = gold
        self.answer = gold.texts[0] if isinstance(task, jx.QuestionAnswering) else ""
        self.ranking = gold


@pytest.mark.parametrize("name", sorted(ROWS))
def test_written_files_hold_every_item_in_the_official_order(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "predict_splits", perfect)
    language = LANGUAGE.get(name, "de")
    task = jx.get_task(name).replace(source=jx.Rows({"test": {language: ROWS[name]}}))
    version: Any = "xtreme" if name in jx.XTREME else "xtreme-r"
    no_model: Any = None
    (path,) = jx.write_xtreme_predictions(
        no_model, [task], tmp_path, version, languages=language, check_counts=False
    )
    assert path == file_path(tmp_path, task, language) and path.parent.name == name
    text = path.read_text()
    expected = {
        "xnli": "neutral\n" * 3,
        "udpos": "NUM\nNUM\n\nNUM\n\n",
        "xquad": '{"q0": "zwei", "q1": "zwei"}\n',
        # in the order of the English sides, "Trains" first: line numbers from 0, no arrays
        "tatoeba": "2\n0\n1\n",
        "bucc2018": "de-0\ten-0\nde-1\ten-1\nde-2\ten-2\n",
        "xcopa": '{"label": 1}\n' * 2,
        "lareqa": '{"q0": ["en_0_0"], "q1": ["en_1_0"]}\n',
    }
    assert text == expected[name]
    form = {
        "udpos": "token_classification",
        "xquad": "question_answering",
        "lareqa": "rankings",
    }.get(name, "lines")
    assert len(read_items(path, form)) == len(ROWS[name])


@pytest.mark.parametrize("name", ["xquad", "lareqa"])
def test_rows_with_one_id_cannot_be_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file has room for one of their answers."""
    monkeypatch.setattr(write, "predict_splits", perfect)
    rows = [{**row, "id": "q"} for row in ROWS[name]]
    task = jx.get_task(name).replace(source=jx.Rows({"test": {"de": rows}}))
    version: Any = "xtreme" if name in jx.XTREME else "xtreme-r"
    no_model: Any = None
    with pytest.raises(jx.DataError, match=rf"{name}, .*'de': 2 rows have 1 different ids"):
        jx.write_xtreme_predictions(
            no_model, [task], tmp_path, version, languages=["de"], check_counts=False
        )


@pytest.mark.slow
def test_xtreme_r_has_more_languages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "predict_splits", perfect)
    rows = dict.fromkeys(jx.XTREME_R.languages["udpos"], ROWS["udpos"])
    task = jx.get_task("udpos").replace(source=jx.Rows({"test": rows}))
    for version, languages in (("xtreme", 33), ("xtreme-r", 38)):
        written = jx.write_xtreme_predictions(None, [task], tmp_path, version, check_counts=False)  # type: ignore[arg-type]
        assert len(written) == languages


def test_counts_are_checked_before_anything_is_predicted(tmp_path: Path) -> None:
    task = jx.get_task("xnli").replace(source=jx.Rows({"test": {"de": ROWS["xnli"]}}))
    with pytest.raises(
        jx.DataError, match=r"xnli/test-de.tsv: the test split has 3 rows, the official one 5,010"
    ):
        jx.write_xtreme_predictions(None, [task], tmp_path, languages=["de"])  # type: ignore[arg-type]
    with pytest.raises(jx.DataError, match=r"Task xnli, split 'test', language 'ar'"):
        jx.write_xtreme_predictions(None, [task], tmp_path, check_counts=False)  # type: ignore[arg-type]
    with pytest.raises(
        jx.DataError, match=r"Task xcopa does not belong to xtreme. Its tasks: xnli, pawsx"
    ):
        jx.write_xtreme_predictions(None, [jx.get_task("xcopa")], tmp_path)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_real_model_writes_and_is_scored(tmp_path: Path, model_of: Any) -> None:
    """All words get a tag and all questions an answer; the data are Python rows."""
    names = ("xnli", "udpos", "xquad", "tatoeba", "xcopa")
    tasks = [
        jx.get_task(name).replace(source=jx.Rows({"test": {LANGUAGE.get(name, "de"): ROWS[name]}}))
        for name in names
    ]
    model = model_of(tasks)
    for task, name in zip(tasks, names, strict=True):
        language = LANGUAGE.get(name, "de")
        version: Any = "xtreme" if name in jx.XTREME else "xtreme-r"
        (path,) = jx.write_xtreme_predictions(
            model, [task], tmp_path, version, languages=[language], check_counts=False
        )
        form = {"udpos": "token_classification", "xquad": "question_answering"}.get(name, "lines")
        assert len(read_items(path, form)) == len(ROWS[name])
    tags = read_items(file_path(tmp_path, tasks[1], "de"), "token_classification")
    assert [len(sentence) for sentence in tags] == [2, 1]
    assert (
        Answer("").text == ""
        and len(json.loads(file_path(tmp_path, tasks[2], "de").read_text())) == 2
    )


def perfect_submission(folder: Path, names: Any, *, labels: bool) -> None:
    """Files of a few items for every task and language, as predictions or as labels."""
    answers = {"q1": "zwei", "q2": "drei"}
    questions = [
        {"id": i, "question": "?", "answers": [{"text": t, "answer_start": 0}]}
        for i, t in answers.items()
    ]
    squad = {"data": [{"title": "", "paragraphs": [{"context": "zwei drei", "qas": questions}]}]}
    texts = {
        "classification": "neutral\nentailment\n",
        "multiple_choice": '{"label": 1}\n{"label": 0}\n',
        "token_classification": "NOUN\nB-PER\n\nO\nVERB\n",
        "question_answering": json.dumps(squad if labels else answers),
        "rankings": json.dumps(
            {"m1": ["Q1"], "m2": ["Q2"]} if labels else {"m1": ["Q1", "Q2"], "m2": ["Q1", "Q2"]}
        ),
        "pairs": "de-1\ten-1\n",
        "retrieval": "1\n0\n",
    }
    for name in names:
        task = jx.get_task(name)
        for language in (jx.XTREME_R if name in jx.XTREME_R else jx.XTREME).languages[name]:
            path = file_path(folder, task, language)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts[file_format(task)])


def test_xtreme_r(tmp_path: Path) -> None:
    """Its tasks, languages, groups and keys; the official program cannot score LAReQA."""
    for folder, labels in (("predictions", False), ("labels", True)):
        perfect_submission(
            tmp_path / folder, [name for name in jx.XTREME_R if name != "lareqa"], labels=labels
        )
    scores = jx.score_xtreme(tmp_path / "predictions", tmp_path / "labels", "xtreme-r")
    assert set(scores) == {
        "all_task",
        "classification",
        "tagging",
        "qa",
        "retrieval",
        "multi_choice",
    } | set(jx.XTREME_R) - {"lareqa"}
    assert len(scores["tatoeba"]["accuracy"]) == 41 and len(scores["udpos"]["f1"]) == 38
    assert scores["mewslix"]["avg_map@20"] == scores["mewslix"]["avg_metric"] == 75.0
    means = [
        scores[name]["avg_metric"] for name in jx.XTREME_R if name not in ("lareqa", "mewslix")
    ]
    assert means == [100.0] * 8 and scores["retrieval"] == 87.5 and scores["multi_choice"] == 100.0
    assert scores["all_task"] == pytest.approx((8 * 100 + 75) / 9)
