"""Embeddings that change size, and what must follow them; text as long as there are positions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import EncoderFolder, ModelOf, batch_of
from test_masked_lm_heads import masked_lm_folder, masked_scores
from test_model import assert_same_weights
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, TrainingArguments

import jiantx as jx

ADDED = ["<e1>", "</e1>"]


@pytest.fixture
def marked(tiny_tasks) -> jx.Task:
    """A task whose texts hold tokens that are added."""
    rows = [{"text": f"the <e1> cat </e1> {word}", "label": word} for word in ("good", "bad")]
    return jx.Classification(
        name="marked",
        source=jx.Rows({"train": rows * 3, "validation": rows}),
        label="label",
        labels=("good", "bad"),
    )


def add_tokens(model: jx.MultitaskModel) -> int:
    assert model.tokenizer is not None
    model.tokenizer.add_special_tokens({"additional_special_tokens": ADDED})
    return len(model.tokenizer)


def train(model: jx.MultitaskModel, tasks: list[jx.Task], folder: Path, **options: Any) -> None:
    arguments = TrainingArguments(str(folder), report_to="none", max_steps=2, **options)
    jx.Trainer(model, arguments, tasks=tasks, sampling=jx.Sampling(exponent=0.0)).train()


@pytest.mark.parametrize("way", ["model", "encoder", "by_hand"])
def test_a_resized_model_is_trained_saved_and_loaded(
    way: str, marked: jx.Task, model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    tasks = [marked, tiny_tasks["mlm"]]
    model = model_of(tasks)
    size = add_tokens(model)
    if way == "model":
        model.resize_token_embeddings(size)
    elif way == "encoder":
        model.encoder.resize_token_embeddings(size)
    else:
        old = model.get_input_embeddings().weight.data
        added = torch.zeros(size - len(old), old.shape[1])
        model.set_input_embeddings(torch.nn.Embedding.from_pretrained(torch.cat([old, added])))
    train(model, tasks, tmp_path / "run", save_steps=1)
    model.save_pretrained(tmp_path / "saved")
    for folder in (tmp_path / "saved", tmp_path / "run" / "checkpoint-2"):
        again = jx.MultitaskModel.from_pretrained(folder)
        assert again.tokenizer is not None and len(again.tokenizer) == size
        assert (
            again.get_input_embeddings().weight.shape[0] == size == len(again.heads["lines"].bias)
        )
        assert again.config.encoder is again.encoder.config
        assert jx.evaluate(again, [marked]).records == jx.evaluate(model, [marked]).records
    model.save_encoder(tmp_path / "encoder")
    assert AutoModel.from_pretrained(tmp_path / "encoder").config.vocab_size == size
    assert len(AutoTokenizer.from_pretrained(tmp_path / "encoder")) == size
    exported = model.export(tiny_tasks["mlm"], tmp_path / "export")
    plain = AutoModelForMaskedLM.from_pretrained(tmp_path / "export")
    assert exported.config.vocab_size == plain.config.vocab_size == size


def test_a_loaded_model_is_resized_and_saved_again(
    model_of: ModelOf, marked: jx.Task, tmp_path: Path
) -> None:
    model_of([marked]).save_pretrained(tmp_path / "one")
    model = jx.MultitaskModel.from_pretrained(tmp_path / "one")
    embeddings = model.resize_token_embeddings(add_tokens(model), pad_to_multiple_of=64)
    assert embeddings.weight.shape[0] % 64 == 0
    model.save_pretrained(tmp_path / "two")
    again = jx.MultitaskModel.from_pretrained(tmp_path / "two")
    assert_same_weights(again.get_input_embeddings(), embeddings)


def test_training_goes_on_after_resizing(
    model_of: ModelOf, marked: jx.Task, tmp_path: Path
) -> None:
    for resume in (False, True):
        model = model_of([marked])
        model.resize_token_embeddings(add_tokens(model))
        arguments = TrainingArguments(
            str(tmp_path), report_to="none", max_steps=2 + resume, save_steps=1
        )
        jx.Trainer(model, arguments, tasks=[marked]).train(resume_from_checkpoint=resume)


@pytest.mark.parametrize("resized", [False, True])
def test_trimming_after_tokens_were_added(
    resized: bool, model_of: ModelOf, marked: jx.Task, tiny_tasks, tmp_path: Path
) -> None:
    tasks = [marked, tiny_tasks["mlm"]]
    model = model_of(tasks)
    model.resize_token_embeddings(add_tokens(model), pad_to_multiple_of=64 if resized else None)
    expected = jx.predict(model, marked, list(marked.rows("train")))
    remaining = jx.trim_vocabulary(model, tasks)
    assert model.tokenizer is not None and len(model.tokenizer) == remaining
    assert model.get_input_embeddings().weight.shape[0] == remaining
    assert jx.predict(model, marked, list(marked.rows("train"))) == expected
    model.save_pretrained(tmp_path)
    again = jx.MultitaskModel.from_pretrained(tmp_path)
    assert jx.predict(again, marked, list(marked.rows("train"))) == expected
    assert again.config.encoder.vocab_size == remaining


def test_a_decoder_of_its_own_follows(tiny_tasks, bert_tokenizer, tmp_path: Path) -> None:
    folder = masked_lm_folder("rembert", bert_tokenizer, tmp_path / "plain")
    task = tiny_tasks["mlm"]
    model = jx.MultitaskModel.from_pretrained(folder, [task])
    actual, _ = masked_scores(folder, task, model)
    head = model.heads["lines"]
    old = head.decoder.detach().clone()
    model.resize_token_embeddings(len(old) + 3)
    torch.testing.assert_close(head.decoder[-1], old.mean(dim=0))
    assert torch.equal(head.decoder[: len(old)], old) and len(head.bias) == len(old) + 3
    model.resize_token_embeddings(len(old))
    torch.testing.assert_close(masked_scores(folder, task, model)[0], actual)


def test_tokens_without_embeddings(
    marked: jx.Task, model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    other, lines = tiny_tasks["pair"], tiny_tasks["mlm"]
    model = model_of([marked, other, lines])
    rows = model.get_input_embeddings().weight.shape[0]
    add_tokens(model)
    message = rf"Task marked: .* {rows + 2} tokens.* {rows} embeddings.*<e1>, </e1>.*resize_token"
    with pytest.raises(ValueError, match=message):
        train(model, [marked], tmp_path, save_strategy="no")
    with pytest.raises(ValueError, match=message):
        jx.evaluate(model, [marked])
    with pytest.raises(ValueError, match=message):
        jx.predict(model, marked, list(marked.rows("train")))
    with pytest.raises(ValueError, match="Task lines: the tokenizer has"):
        train(model, [lines], tmp_path, save_strategy="no")  # replaces pieces by any token
    jx.evaluate(model, [other], split="train")  # whose text holds none of them


# --- length ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["auto", False])
@pytest.mark.parametrize(
    ("family", "pad", "limit"),
    [
        *(("xlm-roberta", pad, 514 - 1 - pad) for pad in (0, 1, 3)),
        *((family, 1, 512) for family in ("roberta", "camembert", "xmod", "xlm-roberta-xl")),
        *((family, 1, 512) for family in ("mpnet", "longformer", "ibert", "luke", "esm")),
        *((family, 1, 512) for family in ("data2vec-text", "roberta-prelayernorm")),
        *((family, 1, 514) for family in ("bert", "albert", "distilbert", "electra", "rembert")),
        *((family, 0, 514) for family in ("convbert", "fnet", "nomic_bert", "modernbert", "yoso")),
    ],
)
def test_long_text_is_never_out_of_bounds(
    family: str, pad: int, limit: int, way: Any, tiny_tasks, tokenizer, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"].replace(max_length=10_000)
    masked_lm_folder(family, tokenizer, tmp_path, pad_token_id=pad)
    lengths = {}
    for stated in (512, 513, 514, 10**30):
        tokenizer_of_stated = AutoTokenizer.from_pretrained(tmp_path, model_max_length=stated)
        tokenizer_of_stated.save_pretrained(tmp_path)
        model = jx.MultitaskModel.from_pretrained(tmp_path, [task], padding_free=way)
        assert model.tokenizer is not None
        lengths[stated] = model.tokenizer.model_max_length
    assert lengths == {stated: min(stated, limit) for stated in lengths}
    if limit < 514:
        assert len(jx.predict(model, task, [{"text": "a " * 600}, {"text": "a"}])) == 2


def test_a_shorter_limit_of_the_tokenizer_stays(
    encoder_folder: EncoderFolder, tiny_tasks, tmp_path: Path
) -> None:
    model = jx.MultitaskModel.from_pretrained(encoder_folder(), [tiny_tasks["pair"]])
    assert model.tokenizer is not None
    model.tokenizer.model_max_length = 100
    model.save_pretrained(tmp_path)
    again = jx.MultitaskModel.from_pretrained(tmp_path)
    assert again.tokenizer is not None and again.tokenizer.model_max_length == 100
    batch_of(tiny_tasks["pair"], again.tokenizer)
