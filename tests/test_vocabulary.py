"""A trimmed vocabulary: the same model on the same data, smaller."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import batch_of
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast, TrainingArguments

import jiantx as jx
from jiantx.features import load_features


def test_nothing_changes_on_the_data(model_of: Any, tiny_tasks: Any, tmp_path: Path) -> None:
    tasks = [tiny_tasks[kind] for kind in ("pair", "tagging", "qa", "mlm")]
    model = model_of(tasks, hidden_dropout_prob=0.0)
    before = [model(**batch_of(task, model.tokenizer)) for task in tasks]
    ids = load_features(tasks[0], "train", "en", model.tokenizer).table["input_ids"][:]
    pieces = [model.tokenizer.convert_ids_to_tokens(row) for row in ids]
    size = len(model.tokenizer)
    remaining = jx.trim_vocabulary(model, tasks)
    assert remaining == len(model.tokenizer) == model.get_input_embeddings().num_embeddings < size
    for task, expected in zip(tasks, before, strict=True):
        actual = model(**batch_of(task, model.tokenizer))
        assert actual.num_items == expected.num_items
        if not isinstance(task, jx.MaskedLM):  # whose loss is over the pieces that are left
            torch.testing.assert_close(actual.loss, expected.loss)
            for name, values in expected.outputs.items():
                torch.testing.assert_close(actual.outputs[name], values)
    again = load_features(tasks[0], "train", "en", model.tokenizer).table["input_ids"][:]
    assert [model.tokenizer.convert_ids_to_tokens(row) for row in again] == pieces
    assert max(map(max, again)) < remaining

    model.save_pretrained(tmp_path / "saved")
    loaded = jx.MultitaskModel.from_pretrained(tmp_path / "saved", tasks)
    assert loaded.tokenizer is not None and len(loaded.tokenizer) == remaining
    assert jx.evaluate(loaded, tasks[:2]).records == jx.evaluate(model, tasks[:2]).records
    arguments = TrainingArguments(
        str(tmp_path / "run"), max_steps=2, report_to="none", save_strategy="no"
    )
    jx.Trainer(loaded, arguments, tasks=tasks).train()


def test_nothing_changes_on_longer_text(model_of: Any, tiny_tasks: Any) -> None:
    task = tiny_tasks["pair"]
    model, short = model_of([task]), task.replace(max_length=8)

    def pieces() -> list[list[str]]:
        ids = load_features(task, "train", "en", model.tokenizer).table["input_ids"][:]
        return [model.tokenizer.convert_ids_to_tokens(row) for row in ids]

    before = pieces()
    jx.trim_vocabulary(model, [short])
    assert pieces() == before, "what lies beyond its max_length is kept too"


def test_unknown_characters_cost_what_they_did(tokenizer: Any, encoder_folder: Any) -> None:
    """Their score is that of the worst piece, which may occur nowhere, less a constant."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    pieces = [("ob", -1.0), ("cd", -1.0), ("bŋc", -9.0), ("▁neverthere", -40.0)]
    mask = state["model"]["vocab"].pop()
    state["model"]["vocab"] += [*pieces, mask]
    for token in state["added_tokens"]:
        if token["content"] == "<mask>":
            token["id"] = len(state["model"]["vocab"]) - 1
    changed = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        model_max_length=512,
        model_input_names=tokenizer.model_input_names,
        **tokenizer.special_tokens_map,
    )
    rows = [{"text": "obŋcd ob cd", "label": "yes"}, {"text": "the", "label": "no"}]
    task = jx.Classification(name="mood", source=jx.Rows({"train": rows}), labels=("no", "yes"))
    model = jx.MultitaskModel.from_pretrained(encoder_folder(tokenizer=changed), [task])
    expected = model.tokenizer.tokenize(rows[0]["text"])  # type: ignore[union-attr]
    assert "bŋc" in expected
    jx.trim_vocabulary(model, task)
    assert model.tokenizer.tokenize(rows[0]["text"]) == expected  # type: ignore[union-attr]


def test_splits_are_tokenized_once(
    model_of: Any, tiny_tasks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny_tasks["pair"].replace(name="read_once", text="pair", text_pair="text")
    remaining = jx.trim_vocabulary(model_of([task]), [task])
    monkeypatch.setattr(jx.Classification, "features", None)
    assert jx.trim_vocabulary(model_of([task]), [task]) == remaining


def test_a_task_without_training_of_its_own_is_counted(model_of: Any) -> None:
    rows = {"train": [{"better": "the cat", "worse": "cat the"}]}
    task = jx.SentenceRanking(name="pairs", source=jx.Rows(rows))
    model = model_of([jx.MaskedLM(name="lm", source=jx.Rows({}))])
    size = len(model.tokenizer)
    assert jx.trim_vocabulary(model, [task], splits=("train",)) < size


def tokenizer_with_padding_at(tokenizer: Any, index: int) -> PreTrainedTokenizerFast:
    """A copy whose padding token has changed places with an ordinary piece."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = state["model"]["vocab"]
    padding = vocabulary[tokenizer.pad_token_id]
    vocabulary[tokenizer.pad_token_id] = vocabulary[index]
    vocabulary[index] = padding
    for token in state["added_tokens"]:
        if token["content"] == tokenizer.pad_token:
            token["id"] = index
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        model_max_length=512,
        model_input_names=tokenizer.model_input_names,
        **tokenizer.special_tokens_map,
    )


@pytest.mark.parametrize("padding_free", ["auto", False])
def test_positions_stay_where_they_are(
    padding_free: Any, tokenizer: Any, encoder_folder: Any, tiny_tasks: Any, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]  # XLM-R counts positions from its padding id on
    folder = encoder_folder(tokenizer=tokenizer_with_padding_at(tokenizer, 60))
    model = jx.MultitaskModel.from_pretrained(folder, [task], padding_free=padding_free)
    rows = list(task.rows("train", "en"))
    expected = jx.predict(model, task, rows)
    assert jx.trim_vocabulary(model, [task]) < len(tokenizer)
    assert jx.predict(model, task, rows) == expected
    model.save_pretrained(tmp_path)
    loaded = jx.MultitaskModel.from_pretrained(tmp_path, padding_free=padding_free)
    assert jx.predict(loaded, task, rows) == expected


@pytest.mark.parametrize("way", ["encoder", "none"])
def test_tokens_were_added_without_a_word(way: str, model_of: Any, tiny_tasks: Any) -> None:
    tasks = [tiny_tasks["classification"], tiny_tasks["mlm"]]
    model = model_of(tasks)
    model.tokenizer.add_special_tokens({"additional_special_tokens": ["<e1>"]})
    before = jx.evaluate(model, tasks[:1]).records
    if way == "none":
        with pytest.raises(ValueError, match=r"Tokens without one: <e1>.*resize_token"):
            jx.trim_vocabulary(model, tasks)
    else:
        model.encoder.resize_token_embeddings(len(model.tokenizer))
        remaining = jx.trim_vocabulary(model, tasks)
        assert len(model.heads["lines"].bias) == remaining == len(model.tokenizer)
    assert jx.evaluate(model, tasks[:1]).records == before


def test_a_model_with_adapters_is_trimmed_inside(model_of: Any, tiny_tasks: Any) -> None:
    peft = pytest.importorskip("peft")
    tasks = [tiny_tasks["classification"], tiny_tasks["mlm"]]
    model = model_of(tasks)
    adapted = peft.get_peft_model(model, model.lora_config())
    before = jx.evaluate(adapted, tasks[:1]).records
    remaining = jx.trim_vocabulary(adapted, tasks)
    assert len(model.tokenizer) == len(adapted.tokenizer) == remaining
    for either in (adapted, model, adapted.merge_and_unload()):
        assert jx.evaluate(either, tasks[:1]).records == before
        jx.evaluate(either, tasks[1:])
    with pytest.raises(ValueError, match="no tokenizer"):
        model.tokenizer = None
        jx.trim_vocabulary(adapted, tasks)


def test_masking_stays_inside_the_small_vocabulary(model_of: Any, tiny_tasks: Any) -> None:
    task = tiny_tasks["mlm"]
    model = model_of([task])
    remaining = jx.trim_vocabulary(model, [task])
    batch = batch_of(task, model.tokenizer)
    assert int(batch["input_ids"].max()) < remaining == len(model.heads["lines"].bias)
    assert np.isfinite(model(**batch).loss.item())


def test_only_unigram_pieces_can_go(model_of: Any, tiny_tasks: Any) -> None:
    model = model_of([tiny_tasks["pair"]], family="bert")
    with pytest.raises(ValueError, match="is a WordPiece tokenizer; only Unigram's"):
        jx.trim_vocabulary(model, [tiny_tasks["pair"]])


def test_frozen_embeddings_stay_as_they_are(model_of: Any, tiny_tasks: Any, tmp_path: Path) -> None:
    """The other way to spare the optimiser the embeddings; masked LM reads them still."""
    tasks = [tiny_tasks["pair"], tiny_tasks["mlm"]]
    model = model_of(tasks)
    model.get_input_embeddings().requires_grad_(False)
    before = model.get_input_embeddings().weight.clone()
    head = model.heads["lines"].bias.clone()
    arguments = TrainingArguments(
        str(tmp_path), max_steps=6, report_to="none", save_strategy="no", learning_rate=1e-2
    )
    jx.Trainer(model, arguments, tasks=tasks, sampling=jx.Sampling(exponent=0.0)).train()
    assert torch.equal(model.get_input_embeddings().weight, before) and not torch.equal(
        model.heads["lines"].bias, head
    )


def test_embeddings_stay_what_they_are(model_of: Any, tiny_tasks: Any, encoder_folder: Any) -> None:
    """Frozen ones, those of adapters, and mBART's, which are scaled, in three modules."""
    peft = pytest.importorskip("peft")
    task = tiny_tasks["classification"]
    adapted = model_of([task])
    adapted = peft.get_peft_model(adapted, adapted.lora_config())
    for model in (model_of([task]).freeze_encoder(), adapted):
        trained = {name for name, p in model.named_parameters() if p.requires_grad}
        jx.trim_vocabulary(model, [task])
        assert {name for name, p in model.named_parameters() if p.requires_grad} == trained
    model = model_of([task], "mbart", scale_embedding=True)
    kind = type(model.get_input_embeddings())
    before = jx.evaluate(model, [task]).records
    assert jx.trim_vocabulary(model, [task]) < 186
    assert type(model.get_input_embeddings()) is kind is not torch.nn.Embedding
    assert jx.evaluate(model, [task]).records == before


SHARED = Path(jx.__file__).parents[2] / "shared"


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared: real slices and a small encoder")
def test_the_same_scores_on_real_rows() -> None:
    jx.data_root(SHARED / "hub")
    task = jx.get_task("tatoeba")
    model = jx.MultitaskModel.from_pretrained(SHARED / "models" / "tiny-xlm", [task])
    before = jx.evaluate(model, [task], languages=["de", "zh"])
    assert model.tokenizer is not None
    size = len(model.tokenizer)
    remaining = jx.trim_vocabulary(model, [task], splits=("validation",))
    assert (
        remaining < size
        and jx.evaluate(model, [task], languages=["de", "zh"]).records == before.records
    )
