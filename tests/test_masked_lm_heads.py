"""The masked-LM head of every family of transformers: the checkpoint's own, or a warning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from conftest import ModelOf, batch_of
from transformers import AutoConfig, AutoModelForMaskedLM
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

import jiantx as jx

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 514,
    "initializer_range": 0.1,
    "pad_token_id": 0,
}
# What a family's config needs beside, or calls otherwise.
CHANGES: dict[str, dict[str, Any]] = {
    "albert": {"embedding_size": 16},
    "big_bird": {"block_size": 8},
    "convbert": {"embedding_size": 32, "head_ratio": 2},
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64},
    "electra": {"embedding_size": 16},
    "esm": {"token_dropout": True, "position_embedding_type": "absolute"},
    "eurobert": {"num_key_value_heads": 4, "head_dim": 8},
    "flaubert": {"emb_dim": 32, "n_layers": 2, "n_heads": 4, "n_langs": 1},
    "longformer": {"attention_window": [8, 8]},
    "luke": {"entity_emb_size": 16, "entity_vocab_size": 10},
    "mobilebert": {"embedding_size": 16, "intra_bottleneck_size": 16, "true_hidden_size": 16},
    "nystromformer": {"num_landmarks": 512, "segment_means_seq_len": 512},
    "rembert": {"input_embedding_size": 16, "output_embedding_size": 48},
    "roc_bert": {
        "pronunciation_vocab_size": 20,
        "shape_vocab_size": 20,
        "shape_embed_dim": 8,
        "pronunciation_embed_dim": 8,
    },
    "roformer": {"embedding_size": 16},
    "squeezebert": {"embedding_size": 32},
    "xlm": {"emb_dim": 32, "n_layers": 2, "n_heads": 4, "n_langs": 1},
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX"},
}
NO_ENCODER = {  # families of this mapping whose text encoder jiantx does not run, or not alone
    *("bart", "mbart", "mvp", "perceiver", "modernvbert", "ultravbert", "neomme"),
    *("funnel", "mra", "reformer", "tapas"),
}
OTHER_FORM = {"mobilebert", "ultrabert"}
FAMILIES = sorted(set(MODEL_FOR_MASKED_LM_MAPPING_NAMES) - NO_ENCODER)


def masked_lm_folder(family: str, tokenizer: Any, folder: Path, **changes: Any) -> Path:
    """A tiny random `…ForMaskedLM` of a family."""
    values = {**SIZES, **CHANGES.get(family, {}), "vocab_size": len(tokenizer), **changes}
    if family == "esm":
        values["mask_token_id"] = tokenizer.mask_token_id
    config = AutoConfig.for_model(family, **values)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForMaskedLM.from_config(config)
        for parameter in model.parameters():  # biases and norms that are not all 0 or 1
            if parameter.dim() == 1:
                parameter.data += 0.05 * torch.randn(parameter.shape)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def masked_scores(
    folder: Path, task: jx.Task, model: jx.MultitaskModel
) -> tuple[torch.Tensor, torch.Tensor]:
    """(masked positions, vocabulary) scores of ours and of transformers' own class."""
    batch = batch_of(task, model.tokenizer)
    lengths = batch["lengths"].tolist()
    mask = torch.arange(max(lengths)) < batch["lengths"][:, None]
    rows = torch.nn.utils.rnn.pad_sequence(batch["input_ids"].split(lengths), batch_first=True)
    plain = AutoModelForMaskedLM.from_pretrained(folder, dtype=model.dtype).eval()
    embedding = model.get_input_embeddings().weight
    with torch.inference_mode():
        (states,) = model.states(
            **{name: value for name, value in batch.items() if name != "token_type_ids"}
        )
        actual = model.heads["lines"].scores(states[batch["masked_positions"]], embedding)
        expected = plain(input_ids=rows, attention_mask=mask.long()).logits[mask]
    return actual, expected[batch["masked_positions"]].float()


@pytest.mark.parametrize("family", FAMILIES)
def test_guesses_are_transformers_own(
    family: str, tiny_tasks, bert_tokenizer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    transformers.logging.enable_propagation()
    folder = masked_lm_folder(family, bert_tokenizer, tmp_path / "plain")
    model = jx.MultitaskModel.from_pretrained(folder, [tiny_tasks["mlm"]])
    if family in OTHER_FORM:
        assert "is of a form that jiantx cannot read" in caplog.text
        return
    assert "guesses mean nothing" not in caplog.text
    actual, expected = masked_scores(folder, tiny_tasks["mlm"], model)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
    model.save_pretrained(tmp_path / "saved")
    again = jx.MultitaskModel.from_pretrained(tmp_path / "saved", [tiny_tasks["mlm"]])
    torch.testing.assert_close(
        masked_scores(folder, tiny_tasks["mlm"], again)[0], actual, atol=0, rtol=0
    )


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("roberta", {"hidden_act": "relu"}),  # whose masked-LM head has GELU still
        ("bert", {"hidden_act": "relu"}),
        ("albert", {"hidden_act": "gelu_new"}),
        ("deberta", {"legacy": False}),
        ("deberta-v2", {"legacy": False}),
        ("bert", {"tie_word_embeddings": False}),
        ("xlm-roberta", {"tie_word_embeddings": False}),
    ],
)
def test_other_forms_of_a_family(
    family: str, changes: dict[str, Any], tiny_tasks, bert_tokenizer, tmp_path: Path
) -> None:
    folder = masked_lm_folder(family, bert_tokenizer, tmp_path, **changes)
    model = jx.MultitaskModel.from_pretrained(folder, [tiny_tasks["mlm"]])
    actual, expected = masked_scores(folder, tiny_tasks["mlm"], model)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_a_head_in_half_precision(tiny_tasks, bert_tokenizer, tmp_path: Path) -> None:
    folder = masked_lm_folder("albert", bert_tokenizer, tmp_path, hidden_act="gelu_new")
    model = jx.MultitaskModel.from_pretrained(folder, [tiny_tasks["mlm"]], dtype=torch.bfloat16)
    assert model.config.heads["lines"]["form"]["activation"] == "gelu_new"
    actual, expected = masked_scores(folder, tiny_tasks["mlm"], model)
    torch.testing.assert_close(actual, expected, atol=0.1, rtol=0.1)


def test_a_new_head_says_that_it_is_new(
    model_of: ModelOf, tiny_tasks, caplog: pytest.LogCaptureFixture
) -> None:
    transformers.logging.enable_propagation()
    model_of([tiny_tasks["mlm"]])  # the folder holds an encoder alone
    assert "The masked-LM head of" in caplog.text and "is missing" in caplog.text
    caplog.clear()
    model_of([tiny_tasks["tagging"]])
    assert "masked-LM" not in caplog.text
