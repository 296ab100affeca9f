"""A saved folder predicts without its tasks, as `jx.predict` does with them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    pipeline,
)

import jiantx as jx
from jiantx.task_types.classification import TextExample

TYPES = "classification pair multi_label regression tagging qa choice retrieval spans edges".split()


@pytest.fixture(scope="module")
def saved(
    tmp_path_factory: pytest.TempPathFactory, model_of: Any, tiny_tasks: Any
) -> tuple[jx.MultitaskModel, Path]:
    """A model with a head of every type, and its folder."""
    model = model_of([tiny_tasks[name] for name in (*TYPES, "mlm")])
    folder = tmp_path_factory.mktemp("saved")
    model.save_pretrained(folder)
    return model, folder


@pytest.fixture(scope="module")
def loaded(saved: tuple[jx.MultitaskModel, Path]) -> jx.Predictor:
    return jx.load(saved[1])


def assert_same(predictions: Any, expected: Any) -> None:
    """Equal but for the last digits: the order of additions depends on where weights lie."""
    numbers: list[list[float]] = [[], []]

    def without_numbers(value: Any, index: int) -> Any:
        if isinstance(value, float):
            numbers[index].append(value)
            return "number"
        if isinstance(value, dict):
            return {key: without_numbers(item, index) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [without_numbers(item, index) for item in value]
        return without_numbers(vars(value), index) if is_dataclass(value) else value

    assert without_numbers(predictions, 0) == without_numbers(expected, 1)
    assert numbers[0] == pytest.approx(numbers[1], abs=1e-4)


def raw_rows(task: jx.Task) -> list[dict[str, Any]]:
    """Rows without gold."""
    rows = [dict(row) for row in task.rows("validation", "en").select(range(4))]
    return [{k: v for k, v in row.items() if k != task.gold_column} for row in rows]


@pytest.mark.parametrize("name", TYPES)
def test_a_folder_predicts_what_its_model_and_task_predict(
    name: str, saved: Any, loaded: jx.Predictor, tiny_tasks: Any
) -> None:
    task = tiny_tasks[name]
    rows = raw_rows(task)
    expected = jx.predict(saved[0], task, rows)
    assert_same(loaded.predict(rows, task=task.name), expected)
    if name != "retrieval":  # whose candidates are the other rows
        assert_same(loaded.predict(rows[0], task=task.name), expected[0])
    de = loaded.predict(rows, task=task.name, language="de")
    assert [prediction.language for prediction in de] == ["de"] * 4


def test_a_given_task_that_differs_from_the_saved_one_is_named(
    tmp_path: Path, model_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Without its prefixes, a retrieval task has other scores, and nothing else would tell."""
    corpus = jx.Rows({"test": [{"id": "d1", "candidate": "a dog"}]})
    rows = jx.Rows({"test": [{"query": "the dog", "relevant": ["d1"]}]})
    task = jx.Retrieval("search", rows, corpus=corpus, query_prefix="query: ", max_length=64)
    model_of([task]).save_pretrained(tmp_path)
    jx.load(tmp_path, tasks=[task])
    assert "the given task has" not in caplog.text
    jx.load(tmp_path, tasks=[task.replace(query_prefix="", max_length=32)])
    assert "max_length=32 (saved: 64), query_prefix='' (saved: 'query: ')" in caplog.text
    # vectors need neither rows nor corpus
    loaded = jx.load(tmp_path)
    expected = jx.encode(loaded.model, ["the dog"], task)
    assert np.array_equal(loaded.encode(["the dog"], "search"), expected)
    assert loaded.encode(["the dog"]).shape == expected.shape
    with pytest.raises(jx.DataError, match="This task needs corpus"):
        loaded.predict({"query": "the dog"})


def test_a_models_own_tasks_may_be_named(saved: Any, tiny_tasks: Any) -> None:
    model = saved[0]
    classification = tiny_tasks["classification"]
    rows = raw_rows(classification)
    assert classification.name not in jx.list_tasks()
    assert_same(
        jx.predict(model, classification.name, rows), jx.predict(model, classification, rows)
    )
    retrieval = tiny_tasks["retrieval"]
    texts = ["the cat", "a dog"]
    vectors = jx.encode(model, texts, task=retrieval.name)
    assert np.array_equal(vectors, jx.encode(model, texts, task=retrieval))
    with pytest.raises(LookupError, match="No task is named 'nothing'"):
        jx.predict(model, "nothing", rows)


def test_inputs_without_column_names(loaded: jx.Predictor) -> None:
    """Each stands for a dictionary of the task's columns."""
    forms: list[tuple[str, Any, dict[str, Any]]] = [
        ("mood", "the cat", {"text": "the cat"}),
        ("pairs", ("the cat", "a dog"), {"text": "the cat", "pair": "a dog"}),
        ("stars", "the cat", {"text": "the cat"}),
        ("entities", "the cat eats", {"tokens": ["the", "cat", "eats"]}),
        ("entities", ("the", "cat"), {"tokens": ["the", "cat"]}),
        ("answers", ("who", "the cat eats"), {"question": "who", "context": "the cat eats"}),
        ("choices", ("the", ["cat", "dog"]), {"prompt": "the", "choices": ["cat", "dog"]}),
    ]
    for task, form, row in forms:
        expected = loaded.predict(row, task=task)
        assert_same(loaded.predict(form, task=task), expected)
        assert_same(loaded.predict([form, form], task=task)[0], expected)
        assert_same(loaded.predict(**row, task=task), expected)
    assert loaded.predict([["the", "cat"]], task="entities")[0].words == ("the", "cat")
    assert loaded.predict([], task="mood") == []
    lazy = loaded.predict((text for text in ["the cat", "a dog eats"]), task="entities")
    assert [len(prediction.tags) for prediction in lazy] == [2, 3]


@pytest.mark.parametrize(
    ("task", "inputs", "problem"),
    [
        ("pairs", "the cat", r"It is a text; expected a dictionary with .* \(text, pair\)"),
        ("pairs", ["the cat", "a dog"], "row 0: It is a text"),
        ("mood", ("the cat", "a dog"), r"It is 2 texts; expected a dictionary with .* \(text\)"),
        ("entities", ["the", "cat"], r"several texts of one word each.*tuple, \('the', 'cat'\)"),
        ("choices", ("the", "cat"), r'expected \("prompt", \["choice A"'),
        ("mood", {"txt": "the cat"}, "no column 'text'"),
    ],
)
def test_what_does_not_fit_the_task_is_refused(
    loaded: jx.Predictor, task: str, inputs: Any, problem: str
) -> None:
    with pytest.raises(jx.DataError, match=problem):
        loaded.predict(inputs, task=task)


def test_one_task_needs_no_name_and_several_do(
    loaded: jx.Predictor, tiny_tasks: Any, model_of: Any
) -> None:
    alone = jx.Predictor(model_of([tiny_tasks["classification"]]))  # not saved yet
    assert alone.predict("the cat").label in ("no", "perhaps", "yes")
    with pytest.raises(
        LookupError, match=r"has the tasks answers, .*, topics. Name one: task=\"an"
    ):
        loaded.predict("the cat")
    with pytest.raises(LookupError, match=r"no task 'mod'. Did you mean 'mood'"):
        loaded.predict("the cat", task="mod")
    with pytest.raises(TypeError, match="either inputs or columns"):
        alone.predict("the cat", text="a dog")
    with pytest.raises(TypeError, match="Give an input"):
        alone.predict()
    assert "mood" in repr(alone)


# --- what a folder cannot hold --------------------------------------------------------------------


def shout(row: dict[str, Any]) -> str:
    return str(row["words"]).upper()


def gold_of(row: dict[str, Any]) -> str:
    raise AssertionError("gold is not read")


def declared(name: str, **changes: Any) -> jx.Classification:
    fields = {"text": shout, "labels": ("no", "yes"), "max_length": 17, **changes}
    return jx.Classification(name=name, source=jx.Rows({"train": []}), **fields)


def test_a_function_is_missed_by_name_and_can_be_given(
    tmp_path: Path, model_of: Any, caplog: Any, tiny_tasks: Any
) -> None:
    task = declared("shouted")
    model = model_of([task, tiny_tasks["classification"]])
    model.save_pretrained(tmp_path)
    loaded = jx.load(tmp_path)
    message = r"Task shouted: .* holds names of columns, but no code.* needs text \(shout\)"
    assert loaded.predict("the cat", task="mood")  # the others are ready
    with pytest.raises(jx.DataError, match=message):
        loaded.predict({"words": "the cat"}, task="shouted")
    with pytest.raises(LookupError, match="has the tasks mood, shouted"):
        loaded.predict("the cat")
    with_task = jx.load(tmp_path, tasks=[task])
    rows = [{"words": "the cat"}]
    assert_same(with_task.predict(rows, task="shouted"), jx.predict(model, task, rows))


def test_functions_come_from_the_registered_task_of_that_name(
    tmp_path: Path, model_of: Any
) -> None:
    """All else is the folder's: here `max_length` and the order of the labels."""
    labels = jx.get_task("pawsx").label_names
    task = jx.get_task("pawsx").replace(max_length=17, labels=labels[::-1])
    assert callable(getattr(task, "text"))  # noqa: B009
    model = model_of([task])
    model.save_pretrained(tmp_path)
    loaded = jx.load(tmp_path)
    assert loaded.task().max_length == 17 and loaded.task().label_names == labels[::-1]
    rows = [{"sentence1": "the cat " * 20, "sentence2": "a dog"}]
    assert_same(loaded.predict(rows), jx.predict(model, task, rows))


def test_a_function_of_the_gold_is_not_missed(tmp_path: Path, model_of: Any) -> None:
    task = declared("judged", text="words", label=gold_of)
    model = model_of([task])
    model.save_pretrained(tmp_path)
    rows = [{"words": "the cat", "label": "x"}]
    assert_same(jx.load(tmp_path).predict(rows), jx.predict(model, task, rows))


@dataclass(frozen=True, kw_only=True)
class Reversed(jx.Task):
    """A type of the user's own, whose head is that of a classification."""

    task_type: ClassVar[str] = "reversed"
    prefix: str = ""

    def example(self, row: Any, *, id: str, language: str) -> TextExample:
        return TextExample(id=id, language=language, text=self.prefix + row["text"][::-1])

    features = jx.Classification.features
    decode = jx.Classification.decode  # type: ignore[assignment]
    reference = jx.Classification.reference


def test_declarations_are_rebuilt_with_their_own_fields() -> None:
    """Also those of a user's class, once it is imported."""
    from jiantx.model.declarations import declaration, saved_task

    task = Reversed(name="turned", source=jx.Rows({}), metrics=(len,), prefix="query: ")
    entry = json.loads(json.dumps({"head": "turned", "declaration": declaration(task)}))
    again = saved_task("turned", entry, {"labels": []})
    assert isinstance(again, Reversed) and again.prefix == "query: "
    entry["declaration"]["type"] = "elsewhere"
    with pytest.raises(jx.DataError, match="of the type 'elsewhere', which is not one of jiantx's"):
        saved_task("turned", entry, {"labels": []})
    entry["declaration"] = {"type": "reversed", "fields": {"suffix": "."}}
    with pytest.raises(jx.DataError, match=r"Reversed has no field suffix. .* another version"):
        saved_task("turned", entry, {"labels": []})


def without_declarations(folder: Path) -> None:
    """Make a folder as jiantx 0.1 wrote it."""
    config = json.loads((folder / "config.json").read_text())
    for entry in config["tasks"].values():
        del entry["declaration"]
    (folder / "config.json").write_text(json.dumps(config))


def test_folders_of_older_versions_load(tmp_path: Path, model_of: Any, tiny_tasks: Any) -> None:
    mood = tiny_tasks["classification"]
    tasks = [jx.get_task("xnli"), mood]
    model = model_of(tasks)
    model.save_pretrained(tmp_path)
    without_declarations(tmp_path)
    loaded = jx.load(tmp_path)
    row = {"premise": "the cat", "hypothesis": "a dog"}
    assert_same(loaded.predict([row], task="xnli"), jx.predict(model, "xnli", [row]))
    with pytest.raises(jx.DataError, match="Task mood: the folder was saved by a jiantx that did"):
        loaded.predict("the cat", task="mood")
    assert jx.load(tmp_path, tasks=mood).predict("the cat", task="mood").label


def test_a_folder_of_checkpoints_names_them(tmp_path: Path, model_of: Any, tiny_tasks: Any) -> None:
    model = model_of([tiny_tasks["classification"]])
    for step in (9, 10):
        model.save_pretrained(tmp_path / f"checkpoint-{step}")
    with pytest.raises(ValueError, match=r"no saved model. It holds checkpoints: load .*point-10"):
        jx.load(tmp_path)
    assert jx.load(tmp_path / "checkpoint-9").tasks


def test_a_damaged_declaration_is_named(tmp_path: Path, model_of: Any, tiny_tasks: Any) -> None:
    model_of([tiny_tasks["classification"]]).save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_text()
    config = json.loads(text)
    config["tasks"]["mood"]["declaration"] = {"type": "classification", "fields": ["text"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="The declaration of the config's task 'mood' is"):
        jx.load(tmp_path)


# --- scores ---------------------------------------------------------------------------------------


def test_a_folder_is_scored_on_tasks_whose_rows_are_known(
    saved: Any, loaded: jx.Predictor, tiny_tasks: Any
) -> None:
    task = tiny_tasks["classification"]
    scores = loaded.evaluate(task, languages=["de"])
    assert_same(list(scores), list(jx.evaluate(saved[0], task, languages=["de"])))
    with_task = jx.load(saved[1], tasks=[task])
    assert {score.task for score in with_task.evaluate()} == {"mood"}
    with pytest.raises(LookupError, match="The folder holds no rows, and none of its tasks"):
        loaded.evaluate()
    with pytest.raises(LookupError, match="is registered with a split 'test'"):
        with_task.evaluate(split="test")


# --- transformers ---------------------------------------------------------------------------------


def test_text_classification_pipelines_predict_the_same(loaded: jx.Predictor) -> None:
    long_text = "the cat sees a red house " * 80  # cut as the task cuts
    run = loaded.pipeline("text-classification", task="mood", top_k=None)
    for text in ("the cat", long_text):
        (scores,) = run([text])
        expected = loaded.predict(text, task="mood").probabilities
        assert {s["label"]: s["score"] for s in scores} == pytest.approx(expected, abs=1e-5)
    pair = {"text": "the cat", "text_pair": "a dog"}
    output = loaded.pipeline("text-classification", task="pairs")(pair)
    expected = loaded.predict(("the cat", "a dog"), task="pairs")
    assert (output["label"], output["score"]) == (
        expected.label,
        pytest.approx(expected.probability, abs=1e-5),
    )
    (number,) = loaded.pipeline("text-classification", task="stars")("the cat")
    assert number["score"] == pytest.approx(
        loaded.predict("the cat", task="stars").number, abs=1e-4
    )


def test_token_classification_pipelines_predict_the_same(loaded: jx.Predictor) -> None:
    run = loaded.pipeline("token-classification", ignore_labels=[])
    sentence = "the cat sees a river".split()
    expected = loaded.predict(tuple(sentence), task="entities")
    (pieces,) = run([sentence], is_split_into_words=True)
    starts = {0, 4, 8, 13, 15}  # of the words: a word's tag is that of its first piece
    first_pieces = [piece for piece in pieces if piece["start"] in starts]
    assert tuple(piece["entity"] for piece in first_pieces) == expected.tags
    scores = [float(piece["score"]) for piece in first_pieces]
    assert scores == pytest.approx(expected.probabilities, abs=1e-5)


def test_a_token_classification_pipeline_says_what_it_cuts(
    loaded: jx.Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    run = loaded.pipeline("token-classification", ignore_labels=[])
    run("the cat sees")
    assert "was cut" not in caplog.text
    longest = run.tokenizer.model_max_length
    run("the cat sees a river " * longest)
    assert f"tokens was cut at {longest:,}, and its last words have no tag" in caplog.text


def test_fill_mask_and_features(saved: Any, loaded: jx.Predictor) -> None:
    model, folder = saved
    (guess, *_) = loaded.pipeline("fill-mask")("the <mask> sees")
    plain, tokenizer = model.to_transformers(loaded.tasks["lines"])
    inputs = tokenizer("the <mask> sees", return_tensors="pt")
    with torch.no_grad():
        logits = plain(**inputs).logits[0, inputs["input_ids"][0] == tokenizer.mask_token_id]
    assert guess["token"] == int(logits.argmax())
    features = np.array(loaded.pipeline("feature-extraction")("the cat")[0])
    ids = tokenizer("the cat", return_tensors="pt")["input_ids"][0]
    length = len(ids)
    with torch.no_grad():
        (states,) = model.states(ids, torch.tensor([length]), torch.arange(length), length)
    assert features == pytest.approx(states.numpy(), abs=1e-5)
    by_folder = pipeline("feature-extraction", model=str(folder))
    assert np.array(by_folder("the cat")[0]) == pytest.approx(features, abs=1e-5)
    assert model.padding_free  # as before


def test_pipelines_that_are_not_there_are_named(loaded: jx.Predictor) -> None:
    with pytest.raises(ValueError, match="transformers 5 has removed it: use predict, or"):
        loaded.pipeline("question-answering")
    with pytest.raises(ValueError, match="Did you mean 'text-classification'"):
        loaded.pipeline("text-clasification")
    with pytest.raises(
        LookupError, match=r"has: mood, pairs, stars, topics. Name one: task=\"mood"
    ):
        loaded.pipeline("text-classification")
    with pytest.raises(LookupError, match="entities is of type token_classification"):
        loaded.pipeline("text-classification", task="entities")


def test_auto_model_is_the_encoder(saved: Any) -> None:
    model, folder = saved
    encoder = AutoModel.from_pretrained(folder)
    assert type(encoder) is type(model.encoder)
    inputs = AutoTokenizer.from_pretrained(folder)(
        ["the cat", "a dog sees the river"], padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        states = encoder(**inputs).last_hidden_state
        expected = model.plain_encoder()(**inputs).last_hidden_state
    assert torch.equal(states, expected)
    half = AutoModel.from_pretrained(folder, dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16


def test_auto_classes_with_heads_take_the_one_task_that_fits(saved: Any, loaded: Any) -> None:
    model, folder = saved
    tagger = pipeline("token-classification", model=str(folder), ignore_labels=[])
    expected = loaded.pipeline("token-classification", ignore_labels=[])("the cat sees")
    output = tagger("the cat sees")
    assert [piece["entity"] for piece in output] == [piece["entity"] for piece in expected]
    answering = AutoModelForQuestionAnswering.from_pretrained(folder)
    assert answering.qa_outputs.weight.equal(model.heads["answers"].out.weight)
    with pytest.raises(LookupError, match=r"has 4 that fit: mood, pairs, stars, topics. Choose"):
        AutoModelForSequenceClassification.from_pretrained(folder)


def test_auto_classes_take_what_transformers_users_ask_for(
    tmp_path: Path, model_of: Any, tiny_tasks: Any
) -> None:
    model_of([tiny_tasks["classification"]]).save_pretrained(tmp_path)
    auto = AutoModelForSequenceClassification
    inputs = AutoTokenizer.from_pretrained(tmp_path)("the cat", return_tensors="pt")
    layers = AutoModel.from_pretrained(tmp_path).config.num_hidden_layers
    for auto_class in (AutoModel, auto):
        options = {"output_hidden_states": True, "output_attentions": True}
        output = auto_class.from_pretrained(tmp_path, **options)(**inputs)
        assert len(output.hidden_states) == layers + 1 and len(output.attentions) == layers
        eager = auto_class.from_pretrained(tmp_path, attn_implementation="eager")
        assert eager.config._attn_implementation == "eager"
        assert auto_class.from_pretrained(tmp_path, output_loading_info=True)[1] == {}
    names = {index: f"name {index}" for index in range(len(tiny_tasks["classification"].labels))}
    label2id = {name: index for index, name in names.items()}
    renamed = auto.from_pretrained(tmp_path, id2label=names, label2id=label2id)
    assert renamed.config.id2label == names and renamed.config.label2id == label2id
    with pytest.raises(ValueError, match=r"7 labels are asked for, and the head of mood has"):
        auto.from_pretrained(tmp_path, num_labels=7)
    with pytest.raises(ValueError, match="the encoder of a multi-task model has none"):
        AutoModel.from_pretrained(tmp_path, num_labels=7)


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    [
        "import jiantx; from transformers import AutoModel",
        "from transformers import AutoModel; import jiantx",
        "from jiantx.heads import Head; from transformers import AutoModel",
    ],
)
def test_auto_model_knows_jiantx_after_any_import(saved: Any, imports: str) -> None:
    code = f"{imports}; print(type(AutoModel.from_pretrained({str(saved[1])!r})).__name__)"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "XLMRobertaModel", done.stderr
