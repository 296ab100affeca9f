"""What any encoder can do is tested on a twin, and holds for the encoder itself."""

from __future__ import annotations

import copy
import importlib.util
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from conftest import EncoderFolder, ModelOf, batch_of
from tokenizers import processors
from torch import Tensor
from transformers import AutoModel, AutoTokenizer, PreTrainedConfig
from transformers.utils import logging as theirs

import jiantx as jx
from jiantx.attention import encoder_class, text_encoder
from jiantx.encoder_traits import probe_encoder
from jiantx.model.config import MultitaskConfig

DOCS = Path(__file__).parents[1] / "docs"


def _make_encoders() -> Any:
    spec = importlib.util.spec_from_file_location("make_encoders", DOCS / "make_encoders.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_encoders = _make_encoders()
FAMILIES = {name: (kind, changes) for name, kind, changes in make_encoders.FAMILIES}
# transformers collects what leaves a block, so its first states are not the embeddings
COLLECTED_LATER = ("mamba", "rwkv")


def config_of(name: str, tokenizer: Any = None) -> PreTrainedConfig:
    """The config of a family in the table, for a tokenizer's vocabulary if there is one."""
    kind, changes = FAMILIES[name]
    config = make_encoders.config_of(kind, changes)
    if tokenizer is not None:
        config.vocab_size = len(tokenizer)
        config.pad_token_id = tokenizer.pad_token_id
    return config


def folder_of(name: str, tokenizer: Any, folder: Path) -> Path:
    """A tiny encoder of a family, saved by plain transformers."""
    config = config_of(name, tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = encoder_class(config)._from_config(config)
    for parameter in encoder.parameters():
        generator = torch.Generator().manual_seed(parameter.numel())
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    encoder.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def texts_of_lengths(config: PreTrainedConfig, lengths: list[int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(4, 90, (length,), generator=generator) for length in lengths]


def flat_inputs(texts: list[Tensor]) -> dict[str, Any]:
    return {
        "input_ids": torch.cat(texts),
        "lengths": torch.tensor([len(text) for text in texts]),
        "position_ids": torch.cat([torch.arange(len(text)) for text in texts]),
        "longest": max(len(text) for text in texts),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_the_table_of_encoders_holds(name: str) -> None:
    config = config_of(name)
    traits = probe_encoder(config)
    if traits.refusal is not None:
        return
    torch.manual_seed(0)
    plain = encoder_class(config)._from_config(copy.deepcopy(config), dtype=torch.float32).eval()
    for parameter in plain.parameters():
        parameter.data += 0.02 * torch.randn(parameter.shape)
    head = {"type": "classification", "labels": ["no", "yes"], "multi_label": False}
    model = jx.MultitaskModel(MultitaskConfig(encoder=config, heads={"mood": head}))
    model.encoder.load_state_dict(plain.state_dict(), strict=False)
    model.set_padding_free("auto")
    model.eval()
    texts = texts_of_lengths(config, [9, 14, 3])
    depth = config.num_hidden_layers
    layers = [depth] if traits.inner_layers == "none" else [0, 1, depth]
    with torch.no_grad():
        states = model.states(**flat_inputs(texts), layers=layers)
        outputs = [
            text_encoder(plain)(input_ids=text[None], output_hidden_states=True) for text in texts
        ]
        (head_changed,) = model.states(**flat_inputs([torch.cat([texts[0][:1], texts[1][:8]])]))
    (actual,) = states[-1:]
    assert actual.shape == (26, config.hidden_size)
    assert torch.isfinite(actual).all()
    if not traits.depends_on_padding:
        expected = torch.cat([output.last_hidden_state[0] for output in outputs])
        torch.testing.assert_close(actual, expected, atol=2e-5, rtol=1e-4)
        assert torch.allclose(head_changed[0], actual[0], atol=1e-6) == traits.is_causal
        if len(layers) > 1 and name not in COLLECTED_LATER:
            for layer in (0, 1):
                collected = [
                    output.hidden_states[layer][0, : len(text)]
                    for output, text in zip(outputs, texts, strict=True)
                ]
                torch.testing.assert_close(
                    states[layer], torch.cat(collected), atol=2e-5, rtol=1e-4
                )
    labels = torch.tensor([0, 1, 0])
    model.train()
    output = model(head="mood", **flat_inputs(texts), labels=labels)
    output.loss.backward()
    gradients = [p.grad for p in model.encoder.parameters() if p.grad is not None]
    assert torch.isfinite(output.loss) and gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.slow
def test_the_page_of_encoders_has_not_drifted() -> None:
    page = (DOCS / "encoders.md").read_text(encoding="utf-8")
    if f"with transformers {transformers.__version__}." not in page:
        pytest.skip("the page was written with another transformers")
    assert page == make_encoders.page(), "run: make docs"


# --- causal encoders ------------------------------------------------------------------------------

CAUSAL = ("bert, is_decoder=True", "modernbert-decoder", "llama")


@pytest.mark.parametrize("kind", ["classification", "regression", "choice"])
@pytest.mark.parametrize("name", CAUSAL)
def test_a_causal_encoder_tells_texts_apart(
    name: str, kind: str, tiny_tasks, bert_tokenizer, tmp_path: Path
) -> None:
    task = tiny_tasks[kind]
    model = jx.MultitaskModel.from_pretrained(folder_of(name, bert_tokenizer, tmp_path), [task])
    head = model.heads[task.head_name]
    assert head.config["cls_pooling"] == "last"
    batch = batch_of(task, bert_tokenizer)
    with torch.inference_mode():
        names = ("input_ids", "lengths", "position_ids", "longest")
        (states,) = model.states(*(batch[name] for name in names))
        last = states[batch["lengths"].cumsum(0) - 1]
        scores = head.scores(
            states, {**batch, "starts": batch["lengths"].cumsum(0) - batch["lengths"]}
        )
        torch.testing.assert_close(scores, head.out(torch.tanh(head.dense(last))))
    assert len({tuple(row) for row in scores.tolist()}) > 1  # the first token gives one for all


def test_a_causal_encoder_ranks_by_the_last_token(
    tiny_tasks, bert_tokenizer, tmp_path: Path
) -> None:
    task = tiny_tasks["retrieval"].replace(pooling="cls")
    folder = folder_of(CAUSAL[0], bert_tokenizer, tmp_path / "plain")
    model = jx.MultitaskModel.from_pretrained(folder, [task])
    with torch.inference_mode():
        vectors = model(**batch_of(task, bert_tokenizer)).outputs["embeddings"]
    assert (vectors - vectors[0]).abs().max() > 1e-2
    model.save_pretrained(tmp_path / "saved")
    again = jx.MultitaskModel.from_pretrained(tmp_path / "saved")
    with torch.inference_mode():
        torch.testing.assert_close(
            again(**batch_of(task, bert_tokenizer)).outputs["embeddings"], vectors
        )


def test_a_causal_encoder_without_a_first_token_keeps_the_mean(
    tiny_tasks, t5_tokenizer, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    model = jx.MultitaskModel.from_pretrained(folder_of("llama", t5_tokenizer, tmp_path), [task])
    assert model.heads["mood"].config["cls_pooling"] == "mean"


def test_encoders_that_see_to_the_right_read_the_first_token(model_of: ModelOf, tiny_tasks) -> None:
    for family in ("xlm-r", "bert", "modernbert", "mpnet"):
        head = model_of([tiny_tasks["classification"]], family).heads["mood"]
        assert "cls_pooling" not in head.config


# --- encoders that serve --------------------------------------------------------------------------

SERVES = (
    "bert, pad_token_id=-1",
    "xlnet",
    "funnel",
    "falcon",
    "gptj",
    "gpt_neo",
    "squeezebert",
    "mobilebert",
    "bart",
    "mbart",
    "m2m_100",
    "marian",
    "pegasus",
)


@pytest.mark.parametrize("name", SERVES)
def test_a_family_loads_and_predicts(name: str, tiny_tasks, bert_tokenizer, tmp_path: Path) -> None:
    tasks = [tiny_tasks["classification"], tiny_tasks["tagging"], tiny_tasks["mlm"]]
    folder = folder_of(name, bert_tokenizer, tmp_path / "plain")
    model = jx.MultitaskModel.from_pretrained(folder, tasks)
    assert model.tokenizer is not None and model.tokenizer.model_max_length > 0
    for task in tasks:
        output = model.train()(**batch_of(task, bert_tokenizer))
        assert torch.isfinite(output.loss)
    model.eval()
    rows = list(tasks[0].rows("train"))
    predictions = jx.predict(model, tasks[0], rows)
    assert len(predictions) == len(rows)
    model.save_pretrained(tmp_path / "saved")
    again = jx.MultitaskModel.from_pretrained(tmp_path / "saved")
    assert jx.predict(again, tasks[0], rows) == predictions
    model.save_encoder(tmp_path / "encoder")
    AutoModel.from_pretrained(tmp_path / "encoder")


def test_an_encoder_decoder_is_read_at_its_encoder(
    tiny_tasks, bert_tokenizer, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    folder = folder_of("mbart", bert_tokenizer, tmp_path)
    model = jx.MultitaskModel.from_pretrained(folder, [task])
    (text,) = texts_of_lengths(model.encoder.config, [8])
    with torch.no_grad():
        plain = AutoModel.from_pretrained(folder)(input_ids=text[None], output_hidden_states=True)
        states = model.states(**flat_inputs([text]), layers=[0, 1, None])
    expected = [*plain.encoder_hidden_states[:2], plain.encoder_last_hidden_state]
    for actual, layer_states in zip(states, expected, strict=True):
        torch.testing.assert_close(actual, layer_states[0], atol=1e-5, rtol=1e-4)


def test_states_that_stand_another_way_round_are_turned(
    tiny_tasks, bert_tokenizer, tmp_path: Path
) -> None:
    # as many sequences as tokens, so that the shape does not give it away
    task = tiny_tasks["retrieval"].replace(layer=1)
    for name in ("xlnet", "squeezebert"):
        folder = folder_of(name, bert_tokenizer, tmp_path / name)
        model = jx.MultitaskModel.from_pretrained(folder, [task])
        texts = texts_of_lengths(model.encoder.config, [5] * 5)
        rows = torch.stack(texts)
        with torch.no_grad():
            plain = AutoModel.from_pretrained(folder)(input_ids=rows, output_hidden_states=True)
            (states,) = model.states(**flat_inputs(texts), layers=[1])
        torch.testing.assert_close(
            states, plain.hidden_states[1].flatten(0, 1), atol=1e-5, rtol=1e-4
        )


def test_an_inner_layer_without_a_state_for_each_token_is_refused(
    tiny_tasks, bert_tokenizer, tmp_path: Path
) -> None:
    task = tiny_tasks["retrieval"].replace(layer=1)
    folder = folder_of("funnel", bert_tokenizer, tmp_path)
    model = jx.MultitaskModel.from_pretrained(folder, [task])
    with pytest.raises(ValueError, match=r"FunnelModel gives no state .* layer 1 of 2 .* layer=2"):
        model(**batch_of(task, bert_tokenizer))


# --- encoders that do not -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("whisper", "WhisperModel .* reads input_features, not token ids"),
        ("vit", "ViTModel .* reads pixel_values, not token ids"),
        ("clip", "CLIPModel .* no hidden_size .*text_config"),
        ("perceiver", "PerceiverModel .* reads inputs, not token ids"),
        ("canine", "CanineModel .* no embeddings of token ids"),
        (
            "reformer",
            "ReformerModel .*reformer.* If training, make sure that config.axial_pos_shape",
        ),
        ("funnel, without decoder", "FunnelBaseModel .* give states of shape"),
        ("xmod, no default_language", "XmodModel .* language unknown.* default_language="),
    ],
)
def test_who_cannot_serve_is_refused_by_name(
    name: str, reason: str, tiny_tasks, tokenizer, tmp_path: Path
) -> None:
    config_of(name).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=reason):
        jx.MultitaskModel.from_pretrained(tmp_path, [tiny_tasks["classification"]])


def test_xmod_runs_in_the_language_that_is_given(tiny_tasks, tokenizer, tmp_path: Path) -> None:
    task = tiny_tasks["classification"]
    folder = folder_of("xmod, no default_language", tokenizer, tmp_path / "plain")
    model = jx.MultitaskModel.from_pretrained(folder, [task], default_language="en_XX")
    assert model.padding_free
    rows = list(task.rows("train"))
    predictions = jx.predict(model, task, rows)
    model.save_pretrained(tmp_path / "saved")
    again = jx.MultitaskModel.from_pretrained(tmp_path / "saved")
    assert jx.predict(again, task, rows) == predictions


# --- padding --------------------------------------------------------------------------------------


def test_token_dropout_is_seen_by_the_probe() -> None:
    # it scales a text's states by its share of mask tokens, and flat texts would share one
    assert probe_encoder(config_of("esm")).first_position == 0
    config = config_of("esm, token_dropout")
    assert probe_encoder(config).first_position is None
    torch.manual_seed(0)
    plain = encoder_class(config)._from_config(copy.deepcopy(config)).eval()
    model = jx.MultitaskModel(MultitaskConfig(encoder=config))
    model.encoder.load_state_dict(plain.state_dict(), strict=False)
    model.set_padding_free("auto")
    model.eval()
    texts = texts_of_lengths(config, [9, 4])
    texts[0][3:6] = config.mask_token_id
    with torch.no_grad():
        (states,) = model.states(**flat_inputs(texts))
        expected = [plain(input_ids=text[None]).last_hidden_state[0] for text in texts]
    torch.testing.assert_close(states, torch.cat(expected), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["convbert", "fnet", "mobilebert", "nystromformer", "yoso"])
def test_a_dependence_on_padding_is_said_once(name: str, caplog: pytest.LogCaptureFixture) -> None:
    theirs.get_logger("jiantx.model").warning_once.cache_clear()
    theirs.enable_propagation()
    config = config_of(name)
    try:
        with caplog.at_level(logging.WARNING, "jiantx"):
            for _ in range(2):
                jx.MultitaskModel(MultitaskConfig(encoder=config)).set_padding_free("auto")
    finally:
        theirs.disable_propagation()
    name_of_class = encoder_class(config).__name__
    assert caplog.text.count(f"The states of {name_of_class} depend on the padding") == 1


def test_grouped_queries_run_flat(tiny_tasks, tokenizer, tmp_path: Path) -> None:
    task = tiny_tasks["classification"]
    folder = folder_of("eurobert, grouped queries", tokenizer, tmp_path)
    flat, padded = (
        jx.MultitaskModel.from_pretrained(folder, [task], padding_free=way)
        for way in ("auto", False)
    )
    assert flat.padding_free and not padded.padding_free
    batch = batch_of(task, tokenizer)
    names = ("input_ids", "lengths", "position_ids", "longest")
    with torch.inference_mode():
        states = [model.states(*(batch[name] for name in names))[0] for model in (flat, padded)]
    torch.testing.assert_close(*states, atol=1e-5, rtol=1e-4)


def test_the_last_token_is_read_where_the_tokenizer_puts_cls_last(
    encoder_folder: EncoderFolder, tiny_tasks, tmp_path: Path
) -> None:
    folder = encoder_folder("bert")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("[SEP]", "[CLS]")]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A [SEP] [CLS]", pair="$A [SEP] $B [SEP] [CLS]", special_tokens=ids
    )
    AutoModel.from_pretrained(folder).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = jx.MultitaskModel.from_pretrained(tmp_path, [tiny_tasks["classification"]])
    assert model.heads["mood"].config["cls_pooling"] == "last"


@pytest.mark.parametrize("name", ["xlnet", "funnel", "bert", "gpt2"])
def test_segments_are_given_to_whom_they_tell_apart(
    name: str, bert_tokenizer, tiny_tasks, tmp_path: Path
) -> None:
    folder = folder_of(name, bert_tokenizer, tmp_path)  # whose pairs have two segments
    task = tiny_tasks["pair"]
    model = jx.MultitaskModel.from_pretrained(folder, [task])
    plain = AutoModel.from_pretrained(folder).eval()
    batch = batch_of(task, bert_tokenizer, [3])
    inputs = {"input_ids": batch["input_ids"][None]}
    if name != "gpt2":  # it would look them up among its tokens
        inputs["token_type_ids"] = batch["token_type_ids"][None]
    with torch.no_grad():
        expected = plain(**inputs).last_hidden_state[0]
        torch.testing.assert_close(model.states(**batch)[0], expected, atol=1e-6, rtol=0)
