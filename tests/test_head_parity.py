"""Heads give the same numbers as transformers' own classes, which load what a model exports."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from conftest import EncoderFolder, ModelOf, batch_of
from tokenizers import pre_tokenizers
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    RobertaTokenizer,
)

import jiantx as jx

PARITY = ("xlm-r", "roberta", "bert")


def padded(batch: Mapping[str, Any], pad: int) -> dict[str, torch.Tensor]:
    """A flat batch as transformers' models take it."""
    names = [name for name in ("input_ids", "token_type_ids") if name in batch]
    lengths = batch["lengths"].tolist()
    inputs = {
        name: torch.nn.utils.rnn.pad_sequence(
            batch[name].split(lengths),
            batch_first=True,
            padding_value=pad if name == "input_ids" else 0,
        )
        for name in names
    }
    inputs["attention_mask"] = (torch.arange(max(lengths)) < batch["lengths"][:, None]).long()
    return inputs


def exported(
    model_of: ModelOf, task: jx.Task, family: str, folder: Path, auto: Any
) -> tuple[Any, Any]:
    """Our model, and transformers' own class loaded from the folder that it exported."""
    model = model_of([task], family)
    for parameter in model.heads.parameters():  # also biases that are not 0
        parameter.data += 0.1 * torch.randn(
            parameter.shape, generator=torch.Generator().manual_seed(1)
        )
    model.export(task, folder)
    plain, info = auto.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    return model, plain.eval()


@pytest.mark.parametrize("family", PARITY)
def test_classification_agrees(
    family: str, model_of: ModelOf, tiny_tasks, tokenizer_of, tmp_path: Path
) -> None:
    task = tiny_tasks["pair"]
    model, plain = exported(model_of, task, family, tmp_path, AutoModelForSequenceClassification)
    batch = batch_of(task, tokenizer_of(family))
    with torch.inference_mode():
        ours = model(**batch)
        hf_output = plain(**padded(batch, plain.config.pad_token_id), labels=batch["labels"])
    torch.testing.assert_close(
        ours.outputs["probabilities"], hf_output.logits.softmax(-1), atol=1e-5, rtol=1e-5
    )
    assert float(ours.loss / ours.num_items) == pytest.approx(float(hf_output.loss), abs=1e-5)
    assert plain.config.id2label == dict(enumerate(task.labels))
    assert plain.config.label2id == {label: i for i, label in enumerate(task.labels)}


@pytest.mark.parametrize("family", PARITY)
def test_several_labels_and_numbers_agree(
    family: str, model_of: ModelOf, tiny_tasks, tokenizer_of, tmp_path: Path
) -> None:
    for kind, output, problem in (
        ("multi_label", "probabilities", "multi_label_classification"),
        ("regression", "numbers", "regression"),
    ):
        task = tiny_tasks[kind]
        if kind == "regression":
            task = task.replace(low=0.0, high=1.0, label=lambda row: row["label"] / 5)
        model, plain = exported(
            model_of, task, family, tmp_path / kind, AutoModelForSequenceClassification
        )
        assert plain.config.problem_type == problem
        batch = batch_of(task, tokenizer_of(family))
        targets = batch["targets"].view(-1, len(task.label_names) or 1)
        with torch.inference_mode():
            ours = model(**batch)
            hf_output = plain(**padded(batch, plain.config.pad_token_id), labels=targets)
        expected = hf_output.logits.sigmoid() if kind == "multi_label" else hf_output.logits[:, 0]
        torch.testing.assert_close(ours.outputs[output], expected, atol=1e-5, rtol=1e-5)
        assert float(ours.loss / ours.num_items) == pytest.approx(float(hf_output.loss), abs=1e-5)


@pytest.mark.parametrize("family", PARITY)
def test_tagging_agrees(
    family: str, model_of: ModelOf, tiny_tasks, tokenizer_of, tmp_path: Path
) -> None:
    task = tiny_tasks["tagging"]
    model, plain = exported(model_of, task, family, tmp_path, AutoModelForTokenClassification)
    batch = batch_of(task, tokenizer_of(family))
    labels = torch.full_like(batch["input_ids"], -100)
    labels[batch["word_positions"]] = batch["labels"]
    inputs = padded(batch, plain.config.pad_token_id)
    rows = torch.nn.utils.rnn.pad_sequence(labels.split(batch["lengths"].tolist()), True, -100)
    with torch.inference_mode():
        output, hf_output = model(**batch), plain(**inputs, labels=rows)
    word_logits = hf_output.logits[inputs["attention_mask"].bool()][batch["word_positions"]]
    torch.testing.assert_close(
        output.outputs["probabilities"],
        word_logits.softmax(-1).max(-1).values,
        atol=1e-5,
        rtol=1e-5,
    )
    assert torch.equal(output.outputs["tags"], word_logits.argmax(-1))
    assert float(output.loss / output.num_items) == pytest.approx(float(hf_output.loss), abs=1e-5)
    assert plain.config.id2label == {0: "O", 1: "B-X"}


@pytest.mark.parametrize("family", PARITY)
def test_question_answering_agrees(
    family: str, model_of: ModelOf, tiny_tasks, tokenizer_of, tmp_path: Path
) -> None:
    task = tiny_tasks["qa"]
    model, plain = exported(model_of, task, family, tmp_path, AutoModelForQuestionAnswering)
    batch = batch_of(task, tokenizer_of(family))
    inputs = padded(batch, plain.config.pad_token_id)
    starts = batch["lengths"].cumsum(0) - batch["lengths"]
    with torch.inference_mode():
        ours = model(**batch)
        hf_output = plain(**inputs)
    mask = inputs["attention_mask"].bool()
    torch.testing.assert_close(
        ours.outputs["start_logits"], hf_output.start_logits[mask], atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(
        ours.outputs["end_logits"], hf_output.end_logits[mask], atol=1e-5, rtol=1e-5
    )
    # transformers' loss puts weight on padding; without it, it is the same sum
    loss = 0.0
    for logits, gold in (
        (hf_output.start_logits, "start_positions"),
        (hf_output.end_logits, "end_positions"),
    ):
        loss += (
            float(cross_entropy(logits.masked_fill(~mask, -torch.inf), batch[gold] - starts)) / 2
        )
    assert float(ours.loss / ours.num_items) == pytest.approx(loss, abs=1e-5)


@pytest.mark.parametrize("family", PARITY)
def test_multiple_choice_agrees(
    family: str, model_of: ModelOf, tiny_tasks, tokenizer_of, tmp_path: Path
) -> None:
    task = tiny_tasks["choice"]
    model, plain = exported(model_of, task, family, tmp_path, AutoModelForMultipleChoice)
    table = [
        i for i, row in enumerate(task.rows("train")) if len(row["choices"]) == 3
    ]  # it takes equal numbers only
    batch = batch_of(task, tokenizer_of(family), table)
    assert len(table) > 2 and set(batch["sequences"].tolist()) == {3}
    inputs = padded(batch, plain.config.pad_token_id)
    grouped = {name: values.view(len(table), 3, -1) for name, values in inputs.items()}
    with torch.inference_mode():
        ours, hf_output = model(**batch), plain(**grouped, labels=batch["labels"])
    torch.testing.assert_close(
        ours.outputs["scores"].view(-1, 3), hf_output.logits, atol=1e-5, rtol=1e-5
    )
    assert float(ours.loss / ours.num_items) == pytest.approx(float(hf_output.loss), abs=1e-5)


@pytest.mark.parametrize("family", PARITY)
def test_masked_lm_agrees(
    family: str, model_of: ModelOf, tiny_tasks, tokenizer_of, tmp_path: Path
) -> None:
    task = tiny_tasks["mlm"]
    model, plain = exported(model_of, task, family, tmp_path, AutoModelForMaskedLM)
    batch = batch_of(task, tokenizer_of(family))
    labels = torch.full_like(batch["input_ids"], -100)
    labels[batch["masked_positions"]] = batch["labels"]
    rows = torch.nn.utils.rnn.pad_sequence(labels.split(batch["lengths"].tolist()), True, -100)
    inputs = padded(batch, plain.config.pad_token_id)
    with torch.inference_mode():
        ours, hf_output = model(**batch), plain(**inputs, labels=rows)
    assert float(ours.loss / ours.num_items) == pytest.approx(float(hf_output.loss), abs=1e-5)
    guesses = hf_output.logits[inputs["attention_mask"].bool()][batch["masked_positions"]].argmax(
        -1
    )
    assert torch.equal(ours.outputs["token_ids"], guesses)
    assert torch.equal(ours.outputs["correct"], guesses == batch["labels"])


@pytest.mark.parametrize("family", ["xlm-r", "bert"])
@pytest.mark.parametrize("auto", [None, AutoModelForMaskedLM])
def test_masked_lm_of_an_untied_encoder_agrees(
    family: str, auto: Any, encoder_folder: EncoderFolder, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["mlm"]
    folder = encoder_folder(family, auto=auto, tie_word_embeddings=False)
    model = jx.MultitaskModel.from_pretrained(folder, [task])
    torch.nn.init.normal_(model.heads["lines"].bias)
    model.export(task, tmp_path)
    plain = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    assert model.tokenizer is not None
    batch = batch_of(task, model.tokenizer)
    inputs = padded(batch, plain.config.pad_token_id)
    with torch.inference_mode():
        states = model.states(**batch)[0][batch["masked_positions"]]
        scores = model.heads["lines"].scores(states, model.get_input_embeddings().weight)
        logits = plain(**inputs).logits[inputs["attention_mask"].bool()]
    torch.testing.assert_close(scores, logits[batch["masked_positions"]])


@pytest.mark.parametrize("family", PARITY)
def test_pipelines_load_what_is_exported(
    family: str, model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    labelled, tagged = tiny_tasks["classification"], tiny_tasks["tagging"]
    model = model_of([labelled, tagged], family)
    model.export(labelled, tmp_path / "a")
    model.export(tagged, tmp_path / "b")
    text = "the cat sees red house"
    (prediction,) = transformers.pipeline("text-classification", str(tmp_path / "a"))(text)
    expected = jx.predict(model, labelled, [{"text": text}])[0]
    assert (prediction["label"], prediction["score"]) == (
        expected.label,
        pytest.approx(expected.probability, abs=1e-5),
    )
    pieces = transformers.pipeline("token-classification", str(tmp_path / "b"), ignore_labels=[])(
        text
    )
    (tags,) = jx.predict(model, tagged, [{"tokens": text.split()}])
    if family != "roberta":  # whose words have several pieces
        assert [piece["entity"] for piece in pieces] == list(tags.tags)


def test_a_saved_task_is_exported_by_its_name(model_of: ModelOf, tiny_tasks, tmp_path) -> None:
    task = tiny_tasks["classification"].replace(name="unregistered")
    model_of([task], "xlm-r").save_pretrained(tmp_path / "saved")
    model = jx.MultitaskModel.from_pretrained(tmp_path / "saved")
    by_name, _ = model.to_transformers("unregistered")
    model.export("unregistered", tmp_path / "exported")
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "exported")
    assert list(plain.config.id2label.values()) == list(task.label_names)
    for name, weights in by_name.state_dict().items():
        torch.testing.assert_close(plain.state_dict()[name], weights)
    with pytest.raises(LookupError, match="No task is named 'unregisterd'"):
        model.export("unregisterd", tmp_path / "never")


TEXTS = ["the cat sees red house", "tall", "a dog " * 40]


@pytest.mark.parametrize("family", PARITY)
def test_a_regression_pipeline_gives_numbers_on_the_scale_of_the_task(
    family: str, model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    """Also where the scale does not begin at 0, and texts are longer than the task's limit."""
    for name, low, high in (("five", 0.0, 5.0), ("years", 1990.0, 2020.0)):
        task = tiny_tasks["regression"].replace(low=low, high=high, max_length=24)
        model = model_of([task], family)
        model.export(task, tmp_path / name)
        pipe = transformers.pipeline("text-classification", str(tmp_path / name))
        numbers = [row["score"] for row in pipe(TEXTS, truncation=True)]
        expected = [p.number for p in jx.predict(model, task, [{"text": t} for t in TEXTS])]
        assert numbers == pytest.approx(expected, abs=1e-5 * high)


def test_a_regression_of_a_half_precision_model_keeps_the_digits_of_its_scale(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["regression"].replace(low=1990.0, high=2020.0)
    model = model_of([task]).to(torch.bfloat16)
    plain = model.export(task, tmp_path)
    assert plain.dtype == torch.float32
    pipe = transformers.pipeline("text-classification", str(tmp_path))
    expected = [p.number for p in jx.predict(model, task, [{"text": t} for t in TEXTS])]
    assert [row["score"] for row in pipe(TEXTS)] == pytest.approx(expected, abs=0.3)


@pytest.mark.parametrize("kind", ["pair", "multi_label"])
@pytest.mark.parametrize("family", PARITY)
def test_pipelines_give_every_label_its_probability(
    kind: str, family: str, model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    """Labels in an order of their own, texts that are cut, and pairs whose longer side is cut."""
    task = tiny_tasks[kind].replace(max_length=24)
    task = task.replace(labels=tuple(reversed(task.labels)))
    model = model_of([task], family)
    model.export(task, tmp_path)
    rows = [{"text": text, "pair": "who sees the cat " * 3} for text in TEXTS]
    inputs = [{"text": row["text"], "text_pair": row["pair"]} for row in rows]
    if kind == "multi_label":
        inputs = [{"text": row["text"]} for row in rows]
    pipe = transformers.pipeline("text-classification", str(tmp_path))
    predictions = jx.predict(model, task, rows)
    for answer, prediction in zip(pipe(inputs, top_k=None, truncation=True), predictions):
        scores = {choice["label"]: choice["score"] for choice in answer}
        assert scores == pytest.approx(dict(prediction.probabilities), abs=1e-5)


def test_a_long_prompt_is_cut_where_the_task_cuts_it(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["choice"].replace(max_length=20)
    model = model_of([task])
    model.export(task, tmp_path)
    row = {"prompt": "the cat sees a dog " * 8 + "who", "choices": ["red house", "green river"]}
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    inputs = tokenizer(
        [row["prompt"]] * 2, row["choices"], truncation=True, padding=True, return_tensors="pt"
    )
    plain = AutoModelForMultipleChoice.from_pretrained(tmp_path)
    with torch.inference_mode():
        logits = plain(**{name: values[None] for name, values in inputs.items()}).logits[0]
    (prediction,) = jx.predict(model, task, [row])
    assert logits.softmax(0).tolist() == pytest.approx(prediction.choice_probabilities, abs=1e-5)


@pytest.mark.parametrize("changes", [{"padding_side": "left"}, {"type_vocab_size": 1}])
def test_padding_and_segments_are_those_of_our_batches(
    changes: dict[str, Any], model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    """BERT's positions count the padding on the left; an encoder may have fewer segments."""
    task = tiny_tasks["pair"]
    sizes = {name: value for name, value in changes.items() if name == "type_vocab_size"}
    model: Any = model_of([task], "bert", **sizes)
    model.tokenizer = copy.deepcopy(model.tokenizer)
    if "padding_side" in changes:
        model.tokenizer.padding_side = model.tokenizer.init_kwargs["padding_side"] = "left"
    rows = [{"text": text, "pair": "who"} for text in TEXTS]
    model.export(task, tmp_path)
    inputs = AutoTokenizer.from_pretrained(tmp_path)(
        TEXTS, ["who"] * len(TEXTS), padding=True, return_tensors="pt"
    )
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    with torch.inference_mode():
        probabilities = plain(**inputs).logits.softmax(-1).tolist()
    for row, prediction in zip(probabilities, jx.predict(model, task, rows), strict=True):
        assert row == pytest.approx(list(prediction.probabilities.values()), abs=1e-5)


WORDS = "Hello don't (the) cat's x2 1,000 dog, who- in".split()


@pytest.mark.parametrize("family", ["roberta", "roberta-class", "xlm-r", "bert"])
def test_words_have_the_same_tags(
    family: str, model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    """A byte-level tokenizer knows a word by the space before it, which a list of words lacks."""
    task = tiny_tasks["tagging"]
    model: Any = model_of([task], family.removesuffix("-class"))
    if family == "roberta-class":  # transformers' own, which is made anew when it is loaded
        state = json.loads(model.tokenizer.backend_tokenizer.to_str())["model"]
        merges = [tuple(merge) for merge in state["merges"]]
        model.tokenizer = RobertaTokenizer(state["vocab"], merges, model_max_length=512)
    before = model.tokenizer("the cat")["input_ids"]
    model.export(task, tmp_path)
    plain_tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    inputs = plain_tokenizer(WORDS, is_split_into_words=True, return_tensors="pt")
    if family.startswith("roberta"):  # a running text is read in the same pieces
        assert plain_tokenizer(" ".join(WORDS))["input_ids"] == inputs["input_ids"][0].tolist()
    first_pieces = [inputs.word_ids().index(word) for word in range(len(WORDS))]
    plain = AutoModelForTokenClassification.from_pretrained(tmp_path)
    with torch.inference_mode():
        scores, tags = plain(**inputs).logits[0, first_pieces].softmax(-1).max(-1)
    (prediction,) = jx.predict(model, task, [{"tokens": WORDS}])
    assert [plain.config.id2label[tag] for tag in tags.tolist()] == list(prediction.tags)
    assert scores.tolist() == pytest.approx(prediction.probabilities, abs=1e-5)
    assert model.tokenizer("the cat")["input_ids"] == before  # the model's own is left as it was


def test_a_tokenizer_that_splits_before_it_sees_bytes_is_named(
    model_of: ModelOf, tiny_tasks, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task = tiny_tasks["tagging"]
    model: Any = model_of([task], "roberta")
    model.tokenizer = copy.deepcopy(model.tokenizer)
    byte_level = model.tokenizer.backend_tokenizer.pre_tokenizer
    model.tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(), byte_level]
    )
    with caplog.at_level(logging.WARNING, "jiantx"):
        model.export(task, tmp_path)
    assert "entities: the exported tokenizer splits words in other pieces" in caplog.text


def test_nothing_of_an_earlier_task_of_the_encoder_is_exported(
    encoder_folder: Any, tiny_tasks, tmp_path: Path
) -> None:
    """Such as the labels and the problem type of the classifier that it was loaded from."""
    folder = encoder_folder(
        "xlm-r", auto=AutoModelForSequenceClassification, num_labels=1, problem_type="regression"
    )
    tasks = [tiny_tasks["classification"], tiny_tasks["qa"], tiny_tasks["regression"]]
    model = jx.MultitaskModel.from_pretrained(folder, tasks)
    model.encoder.config.id2label = {0: "toxic"}
    model.export(tasks[0], tmp_path)
    pipe = transformers.pipeline("text-classification", str(tmp_path))
    (prediction,) = jx.predict(model, tasks[0], [{"text": TEXTS[0]}])
    (answer,) = pipe(TEXTS[0])
    assert answer["label"] == prediction.label
    assert answer["score"] == pytest.approx(prediction.probability, abs=1e-5)
    for task, names in zip(tasks[1:], (("start", "end"), ("score",)), strict=True):
        config = model.export(task, tmp_path / task.name).config
        assert config.id2label == dict(enumerate(names))


def test_what_cannot_be_exported(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    tagging, mood = tiny_tasks["tagging"], tiny_tasks["classification"]
    with pytest.raises(ValueError, match="save_encoder"):
        model_of([tagging], "electra").export(tagging, tmp_path)
    with pytest.raises(ValueError, match="it takes no `prompts`"):
        model_of([tagging]).export(tagging, tmp_path, prompts={"query": "q: "})
    model = model_of([mood])
    model.heads["mood"].config["cls_pooling"] = "mean"  # as for a tokenizer without a first token
    with pytest.raises(ValueError, match="pools by 'mean' here"):
        model.export(mood, tmp_path)
    lines = tiny_tasks["mlm"]
    with pytest.raises(ValueError, match=r"Task lines: .* other scores than its .*ReLU"):
        model_of([lines], hidden_act="relu").export(lines, tmp_path)  # theirs has GELU
    one = jx.Classification(name="one", source=mood.source, labels=("yes",))
    with pytest.raises(ValueError, match="one label, 'yes', whose probability is always 1"):
        model_of([one]).export(one, tmp_path)


def test_exported_tokenizer_is_ours(
    model_of: ModelOf, tiny_tasks, tokenizer, tmp_path: Path
) -> None:
    model_of([tiny_tasks["tagging"]]).export(tiny_tasks["tagging"], tmp_path)
    assert (
        AutoTokenizer.from_pretrained(tmp_path)("the cat")["input_ids"]
        == tokenizer("the cat")["input_ids"]
    )
