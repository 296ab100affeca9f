"""A retrieval model's exported folder gives sentence-transformers the same vectors."""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import FAMILIES, ModelOf
from safetensors.torch import load_file
from test_encoders import folder_of
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoTokenizer, T5EncoderModel

import jiantx as jx
from jiantx.batching import collate
from jiantx.features import encode_examples

TEXTS = [
    "the cat",
    "a dog sees the red house in river and not who",
    "tall",
    "quickly slowly " * 30,
]
HAS_LIBRARY = importlib.util.find_spec("sentence_transformers") is not None


def our_vectors(model: jx.MultitaskModel, task: jx.Retrieval, texts: Sequence[str]) -> Tensor:
    """(texts, hidden), each text once as a query and once as its own candidate."""
    rows = [{"query": text, "candidate": text} for text in texts]
    examples = [task.example(row, id=str(i), language="en") for i, row in enumerate(rows)]
    table = encode_examples(task, examples, model.tokenizer)
    keys = [("test", index) for index in range(len(table))]
    batch = collate(task, table.with_format("arrow")[:], model.tokenizer, keys)
    with torch.inference_mode():
        return model(**batch).outputs["embeddings"][1::2]


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@torch.inference_mode()
def vectors_of_folder(folder: Path, texts: Sequence[str]) -> Tensor:
    """What sentence-transformers computes: its modules' definitions, with plain transformers."""
    modules = read_json(folder / "modules.json")
    names = [module["type"].rpartition(".")[2] for module in modules]
    assert names[0] == "Transformer"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    settings = read_json(folder / "sentence_bert_config.json")
    is_t5 = AutoConfig.from_pretrained(folder).model_type == "t5"
    encoder = (T5EncoderModel if is_t5 else AutoModel).from_pretrained(
        folder, **settings["model_args"]
    )
    batch = tokenizer(
        list(texts),
        padding=True,
        truncation=True,
        max_length=settings["max_seq_length"],
        return_tensors="pt",
    )
    output = encoder.eval()(**batch)
    mask = batch["attention_mask"][:, :, None].float()
    states = output.last_hidden_state
    vectors = states
    for name, module in zip(names[1:], modules[1:], strict=True):
        path = folder / module["path"]
        config = read_json(path / "config.json") if (path / "config.json").exists() else {}
        if name == "WeightedLayerPooling":
            weights = load_file(path / "model.safetensors")["layer_weights"]
            layers = torch.stack(output.hidden_states)[config["layer_start"] :]
            states = (weights[:, None, None, None] * layers).sum(0) / weights.sum()
        elif name == "Pooling":
            if config["pooling_mode_mean_tokens"]:
                vectors = (states * mask).sum(1) / mask.sum(1)
            elif config["pooling_mode_lasttoken"]:
                vectors = states[range(len(texts)), batch["attention_mask"].sum(1) - 1]
            else:
                assert config["pooling_mode_cls_token"]
                vectors = states[:, 0]
        elif name == "Dense":
            assert config["activation_function"] == "torch.nn.modules.activation.Tanh"
            weights_by_key = load_file(path / "model.safetensors")
            vectors = torch.tanh(
                vectors @ weights_by_key["linear.weight"].T + weights_by_key["linear.bias"]
            )
        else:
            assert name == "Normalize"
            vectors = torch.nn.functional.normalize(vectors, dim=1)
    return vectors


def check_folder(folder: Path, expected: Tensor) -> None:
    torch.testing.assert_close(vectors_of_folder(folder, TEXTS), expected, atol=1e-5, rtol=0)
    if HAS_LIBRARY:
        library_class = importlib.import_module("sentence_transformers").SentenceTransformer
        library = library_class(str(folder), device="cpu")
        vectors = library.encode(TEXTS, convert_to_tensor=True)
        torch.testing.assert_close(vectors, expected, atol=1e-5, rtol=0)


def retrieval(**changes: Any) -> jx.Retrieval:
    rows = jx.Rows({"train": [{"query": "cat", "candidate": "dog"}]})
    return jx.Retrieval(name="pairs", source=rows, **{"max_length": 24, **changes})


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler", "last"])
@pytest.mark.parametrize("layer", [0, 1, None])
def test_every_pooling_and_layer(
    pooling: Any, layer: int | None, model_of: ModelOf, tmp_path: Path
) -> None:
    task = retrieval(pooling=pooling, layer=layer)
    model = model_of([task])
    encoder = model.export(task, tmp_path)
    assert encoder.config.num_hidden_layers == {0: 1, 1: 1, None: 2}[layer]
    check_folder(tmp_path, our_vectors(model, task, TEXTS))


@pytest.mark.parametrize("layer", [0, 1, None])
@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"mbart"}))  # its decoder would run too
def test_families(family: str, layer: int | None, model_of: ModelOf, tmp_path: Path) -> None:
    """Some normalise their last states, some share one layer, T5 has no first token."""
    task = retrieval(layer=layer, pooling="cls")
    model = model_of([task], family)
    model.export(task, tmp_path)
    check_folder(tmp_path, our_vectors(model, task, TEXTS))


def test_a_pooler_of_an_encoder_without_a_first_token(model_of: ModelOf, tmp_path: Path) -> None:
    task = retrieval(pooling="pooler")
    model = model_of([task], "t5")
    model.export(task, tmp_path)
    check_folder(tmp_path, our_vectors(model, task, TEXTS))


def test_depth_in_training_mode_and_half_precision(model_of: ModelOf, tmp_path: Path) -> None:
    """The model stays in the mode it was in; the folder is in its dtype."""
    task = retrieval(depth=0.5)
    model = model_of([task]).to(torch.bfloat16)
    expected = our_vectors(model, task, TEXTS)
    model.train()
    encoder = model.export(task, tmp_path)
    assert model.training and not encoder.training
    assert encoder.config.num_hidden_layers == 1 and encoder.dtype == torch.bfloat16
    torch.testing.assert_close(vectors_of_folder(tmp_path, TEXTS), expected, atol=0.05, rtol=0)


def test_prompts(model_of: ModelOf, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What column functions put before a text is not known; it is asked for."""
    task = retrieval(
        query=lambda row: f"who: {row['query']}",
        candidate=lambda row: f"the: {row['candidate']}",
    )
    model = model_of([task])
    with caplog.at_level(logging.WARNING, "jiantx"):
        model.export(task, tmp_path)
        assert "pairs computes the column(s) query, candidate" in caplog.text
        caplog.clear()
        prompts = {"query": "who: ", "document": "the: "}
        model.export(task, tmp_path, prompts=prompts)
        assert not caplog.text
    assert read_json(tmp_path / "config_sentence_transformers.json")["prompts"] == prompts
    documents = our_vectors(model, task, TEXTS)
    prompted = [prompts["document"] + text for text in TEXTS]
    torch.testing.assert_close(vectors_of_folder(tmp_path, prompted), documents, atol=1e-5, rtol=0)
    if HAS_LIBRARY:
        library_class = importlib.import_module("sentence_transformers").SentenceTransformer
        library = library_class(str(tmp_path), device="cpu")
        vectors = library.encode_document(TEXTS, convert_to_tensor=True)
        torch.testing.assert_close(vectors, documents, atol=1e-5, rtol=0)


def test_prefixes_are_prompts(
    model_of: ModelOf, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What the task puts before texts, sentence-transformers puts there too."""
    task = retrieval(query_prefix="who: ", candidate_prefix="the: ")
    model = model_of([task])
    model.export(task, tmp_path)
    settings = read_json(tmp_path / "config_sentence_transformers.json")
    assert settings["prompts"] == {"query": "who: ", "document": "the: "}
    assert settings["similarity_fn_name"] == "cosine" and not caplog.text
    if HAS_LIBRARY:
        library_class = importlib.import_module("sentence_transformers").SentenceTransformer
        library = library_class(str(tmp_path), device="cpu")
        for encode, prefix in (
            (library.encode_query, "who: "),
            (library.encode_document, "the: "),
        ):
            expected = torch.from_numpy(jx.encode(model, TEXTS, task, prefix=prefix))
            vectors = encode(TEXTS, convert_to_tensor=True)
            torch.testing.assert_close(vectors, expected, atol=1e-5, rtol=0)
    model.export(task, tmp_path, prompts={"query": "what: "})
    settings = read_json(tmp_path / "config_sentence_transformers.json")
    assert settings["prompts"] == {"query": "what: ", "document": "the: "}


def test_vectors_that_are_not_normalised(model_of: ModelOf, tmp_path: Path) -> None:
    task = retrieval(normalize=False)
    model = model_of([task])
    model.export(task, tmp_path)
    assert [module["type"].rpartition(".")[2] for module in read_json(tmp_path / "modules.json")][
        -1
    ] == "Pooling"
    settings = read_json(tmp_path / "config_sentence_transformers.json")
    assert settings["similarity_fn_name"] == "dot"
    expected = torch.from_numpy(jx.encode(model, TEXTS, task))
    assert (expected.norm(dim=1) - 1).abs().max() > 1e-3
    check_folder(tmp_path, expected)


def test_centred_vectors_are_refused(model_of: ModelOf, tmp_path: Path) -> None:
    task = retrieval(center=True)
    with pytest.raises(ValueError, match=r"Task pairs: center=True .*task.replace\(center=False\)"):
        model_of([task]).export(task, tmp_path)
    assert not list(tmp_path.iterdir())


def test_prompts_have_the_names_that_sentence_transformers_looks_up(
    model_of: ModelOf, tmp_path: Path
) -> None:
    task = retrieval()
    with pytest.raises(ValueError, match=r"prompts are for \['passage'\]; expected 'query' and"):
        model_of([task]).export(task, tmp_path, prompts={"passage": "passage: "})


def test_a_limit_of_queries_is_named(
    model_of: ModelOf, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task = retrieval(max_query_length=8)
    with caplog.at_level(logging.WARNING, "jiantx"):
        model_of([task]).export(task, tmp_path)
    assert "pairs cuts queries at 8 tokens" in caplog.text


def test_an_encoder_that_cannot_be_cut_is_refused(
    model_of: ModelOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its states are compared: here they are another encoder's."""
    task = retrieval(layer=1)
    model = model_of([task])
    states = model.states
    monkeypatch.setattr(model, "states", lambda *args, **kwargs: [2 * states(*args, **kwargs)[0]])
    with pytest.raises(ValueError, match="XLMRobertaModel gives other states at layer 1 when"):
        model.export(task, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_encoder_with_a_decoder_is_refused(tokenizer, tmp_path: Path) -> None:
    task = retrieval()
    folder = folder_of("mbart", tokenizer, tmp_path / "mbart")
    model = jx.MultitaskModel.from_pretrained(folder, [task])
    with pytest.raises(ValueError, match="Task pairs: MBartModel has a decoder"):
        model.export(task, tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_an_encoder_whose_layers_cannot_be_counted_out_is_exported_whole(
    bert_tokenizer, tmp_path: Path
) -> None:
    task = retrieval()
    folder = folder_of("funnel", bert_tokenizer, tmp_path / "funnel")
    model = jx.MultitaskModel.from_pretrained(folder, [task])
    model.export(task, tmp_path / "export")
    for text in TEXTS:  # one by one: its states depend on padding
        expected = our_vectors(model, task, [text])
        torch.testing.assert_close(vectors_of_folder(tmp_path / "export", [text]), expected)
