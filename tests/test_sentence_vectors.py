"""`jx.encode`: the retrieval head's vectors, without a task's rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ModelOf
from transformers import AutoModel
from transformers.utils import logging

import jiantx as jx
from jiantx.batching import collate
from jiantx.features import encode_examples

TEXTS = ["the cat", "a dog sees the red house in river and not who", "tall", "slowly " * 40]
TASK = jx.Retrieval(
    name="pairs",
    source=jx.Rows({"train": [{"query": "cat", "candidate": "dog"}]}),
    candidate_prefix="the: ",
    max_length=24,
)


def head_vectors(model: jx.MultitaskModel, task: jx.Retrieval) -> np.ndarray:
    """What the head outputs for candidates, all in one batch of the longest first."""
    order = sorted(range(len(TEXTS)), key=lambda index: -len(TEXTS[index]))
    rows = [{"query": TEXTS[index], "candidate": TEXTS[index]} for index in order]
    examples = [task.example(row, id=str(i), language="en") for i, row in enumerate(rows)]
    candidates = [replace(example, query=None) for example in examples]
    table = encode_examples(task.replace(query=None), candidates, model.tokenizer)
    batch = collate(task, table.with_format("arrow")[:], model.tokenizer)
    with torch.inference_mode():
        vectors = model(**batch).outputs["embeddings"].numpy()
    return vectors[np.argsort(order)]


@pytest.mark.parametrize("changes", [{}, {"layer": 1, "pooling": "cls"}, {"pooling": "pooler"}])
def test_vectors_are_the_head_s_to_the_last_digit(changes: Any, model_of: ModelOf) -> None:
    task = TASK.replace(**changes)
    model = model_of([task])
    vectors = jx.encode(model, TEXTS, task, prefix="the: ")
    assert vectors.dtype == np.float32 and vectors.shape == (4, model.encoder.config.hidden_size)
    assert np.array_equal(vectors, head_vectors(model, task))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    assert not np.array_equal(vectors, jx.encode(model, TEXTS, task)), "a prefix is given here"


def test_without_a_task_it_is_the_mean_of_the_last_layer(model_of: ModelOf, tmp_path: Path) -> None:
    """Against transformers, text by text; the model keeps its heads and its mode."""
    model = model_of([TASK]).train()
    vectors = jx.encode(model, TEXTS, normalize=False, batch_size=3)
    assert model.training and model.encoder.training and list(model.heads) == ["pairs"]
    model.save_encoder(tmp_path)
    plain = AutoModel.from_pretrained(tmp_path).eval()
    for text, vector in zip(TEXTS, vectors, strict=True):
        assert model.tokenizer is not None
        inputs = model.tokenizer(text, return_tensors="pt")
        with torch.inference_mode():
            states = plain(**{key: inputs[key] for key in ("input_ids", "attention_mask")})
        expected = states.last_hidden_state[0].mean(dim=0).numpy()
        np.testing.assert_allclose(vector, expected, atol=1e-5)
    units = jx.encode(model, TEXTS)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(units, vectors / lengths, atol=1e-6)


def test_layer_pooling_and_order(model_of: ModelOf) -> None:
    model = model_of([TASK])
    one = TASK.replace(layer=1, pooling="cls")
    expected = jx.encode(model, TEXTS, one)
    assert np.array_equal(jx.encode(model, TEXTS, TASK, layer=1, pooling="cls"), expected)
    assert np.array_equal(jx.encode(model, TEXTS, layer=1, pooling="cls", max_length=24), expected)
    backwards = jx.encode(model, TEXTS[::-1], one)
    np.testing.assert_allclose(backwards[::-1], expected, atol=1e-6)
    assert jx.encode(model, []).shape == (0, model.encoder.config.hidden_size)


def test_texts_that_are_cut_are_counted(
    model_of: ModelOf, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING", "jiantx"):
        jx.encode(model_of([TASK]), TEXTS, TASK)
    assert "1 of 4 texts were cut off (max_length 24)." in caplog.text


def test_a_model_without_heads_encodes(encoder_folder: Any) -> None:
    model = jx.MultitaskModel.from_pretrained(encoder_folder("xlm-r"), [])
    assert jx.encode(model, ["the cat"]).shape == (1, model.encoder.config.hidden_size)


def test_bad_input_is_refused(model_of: ModelOf, tiny_tasks: Any) -> None:
    model = model_of([TASK, tiny_tasks["classification"]])
    with pytest.raises(jx.DataError, match=r"takes a list of texts, and found one text. Write \[t"):
        jx.encode(model, "the cat")
    frame = pd.DataFrame({"text": ["the cat", "a dog"]})
    not_lists: list[Any] = [frame, {"d1": "the cat"}, {"the cat", "a dog"}]
    for texts in not_lists:
        with pytest.raises(jx.DataError, match=f"found {type(texts).__name__}, which is read by"):
            jx.encode(model, texts)
    assert jx.encode(model, frame["text"]).shape == (2, 32)
    with pytest.raises(jx.DataError, match="Text 1 is ' '; expected a text that is not blank"):
        jx.encode(model, ["a", " "])
    with pytest.raises(ValueError, match="takes a retrieval task"):
        jx.encode(model, ["a"], tiny_tasks["classification"])
    with pytest.raises(ValueError, match="Layer 9 of an encoder with 2"):
        jx.encode(model, ["a"], layer=9)


def test_the_bar_has_a_label_and_can_be_silenced(
    model_of: ModelOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars = []

    def bar(batches: Any, title: str, *_: Any, disable: bool, **__: Any) -> Any:
        bars.append((title, disable))
        return batches

    monkeypatch.setattr("jiantx.inference.tqdm", bar)
    model = model_of([TASK])
    jx.encode(model, TEXTS)
    jx.encode(model, TEXTS, progress=False)
    assert bars == [("encoding 4 texts", False), ("encoding 4 texts", True)]
    assert logging.get_verbosity() > 0


def test_a_pooler_that_nobody_trained_is_refused(model_of: ModelOf, tiny_tasks) -> None:
    model = model_of([tiny_tasks["classification"]])
    for pooling in ("pooler", "max"):
        with pytest.raises(ValueError, match="encode: pooling"):
            jx.encode(model, ["a cat"], pooling=pooling)  # type: ignore[arg-type]


def test_vectors_of_a_float64_model_are_in_float32(model_of: ModelOf, tiny_tasks) -> None:
    task = tiny_tasks["retrieval"]
    model = model_of([task]).double()
    assert jx.encode(model, ["a cat"], task).dtype == jx.encode(model, [], task).dtype == np.float32


def test_encoding_leaves_adapters_as_they_are(model_of: ModelOf) -> None:
    peft = pytest.importorskip("peft")
    model = model_of([TASK])
    adapted = peft.get_peft_model(model, model.lora_config())
    before = {name: value.clone() for name, value in adapted.state_dict().items()}
    assert any("lora_A" in name for name in before)
    jx.encode(adapted, TEXTS)
    for name, value in adapted.state_dict().items():
        assert torch.equal(value, before[name]), name
