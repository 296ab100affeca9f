"""Heads give the same numbers as transformers' own classes, which load what a model exports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from conftest import ModelOf, batch_of
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
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
    if family != "roberta":  # whose first word has no space before it in a running text
        assert [piece["entity"] for piece in pieces] == list(tags.tags)


def test_what_cannot_be_exported(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="retrieval head of 'xlm-roberta'"):
        model_of([tiny_tasks["retrieval"]]).export(tiny_tasks["retrieval"], tmp_path)
    with pytest.raises(ValueError, match="save_encoder"):
        model_of([tiny_tasks["tagging"]], "electra").export(tiny_tasks["tagging"], tmp_path)


def test_exported_tokenizer_is_ours(
    model_of: ModelOf, tiny_tasks, tokenizer, tmp_path: Path
) -> None:
    model_of([tiny_tasks["tagging"]]).export(tiny_tasks["tagging"], tmp_path)
    assert (
        AutoTokenizer.from_pretrained(tmp_path)("the cat")["input_ids"]
        == tokenizer("the cat")["input_ids"]
    )
