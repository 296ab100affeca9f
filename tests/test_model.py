"""One encoder and its heads: loaded safely, saved whole, run as asked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from conftest import EncoderFolder, ModelOf, batch_of
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    TrainingArguments,
)

import jiantx as jx
from jiantx.attention import layers_of
from jiantx.batching import merge_batches

FLAT = ("xlm-r", "bert", "roberta", "distilbert", "electra", "modernbert")
TYPES = (
    "classification",
    "pair",
    "multi_label",
    "regression",
    "tagging",
    "qa",
    "choice",
    "retrieval",
    "mlm",
    "spans",
    "edges",
)


def assert_same_weights(one: torch.nn.Module, other: torch.nn.Module, atol: float = 0.0) -> None:
    state, expected = one.state_dict(), other.state_dict()
    compared = {name for name in expected if "pooler" not in name}
    assert {name for name in state if "pooler" not in name} == compared
    for name in compared:
        torch.testing.assert_close(state[name], expected[name], atol=atol, rtol=atol)


# --- loading is safe ------------------------------------------------------------------------------


def test_every_form_of_a_checkpoint_is_one_encoder(
    encoder_folder: EncoderFolder, tiny_tasks, tmp_path: Path
) -> None:
    tasks = [tiny_tasks["classification"]]
    with_head = encoder_folder("xlm-r", auto=AutoModelForMaskedLM)
    base = AutoModelForMaskedLM.from_pretrained(with_head).base_model
    assert type(base).__name__ == "XLMRobertaModel"
    plain, half = tmp_path / "plain", tmp_path / "half"
    for folder, dtype in ((plain, torch.float32), (half, torch.float16)):
        shutil.copytree(with_head, folder)
        base.to(dtype).save_pretrained(folder)
    assert (
        load_file(half / "model.safetensors")["embeddings.word_embeddings.weight"].dtype
        is torch.float16
    )
    base = AutoModel.from_pretrained(plain, add_pooling_layer=False)

    for folder, atol in ((with_head, 0), (plain, 0), (half, 1e-3)):
        model = jx.MultitaskModel.from_pretrained(folder, tasks)
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        assert not any("pooler" in name for name, _ in model.named_parameters())
        assert_same_weights(model.encoder, base, atol)
    assert_same_weights(
        jx.MultitaskModel.from_pretrained(with_head, [tiny_tasks["mlm"]]).encoder, base
    )


@pytest.mark.parametrize("kind", ["classification", "mlm"])
@pytest.mark.parametrize("change", ["renamed", "one_missing", "shape"])
def test_weights_that_do_not_match_are_an_error(
    kind: str, change: str, encoder_folder: EncoderFolder, tiny_tasks, tmp_path: Path
) -> None:
    folder = shutil.copytree(encoder_folder("xlm-r", auto=AutoModelForMaskedLM), tmp_path / "x")
    weights = load_file(folder / "model.safetensors")
    if change == "renamed":
        weights = {
            name.replace("roberta.", "bert.model."): value for name, value in weights.items()
        }
    elif change == "one_missing":
        del weights["roberta.encoder.layer.1.output.dense.weight"]
    else:
        weights["roberta.embeddings.word_embeddings.weight"] = torch.zeros(7, 32)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="does not hold the weights of a XLMRoberta") as error:
        jx.MultitaskModel.from_pretrained(folder, [tiny_tasks[kind]])
    named_ = {
        "renamed": "37 are missing or of another shape, such as ",
        "one_missing": "encoder.layer.1.output.dense.weight",
        "shape": "embeddings.word_embeddings.weight ((7, 32) instead of (186, 32))",
    }
    assert named_[change] in str(error.value) and "Its config says XLMRobertaForMaskedLM" in str(
        error.value
    )


def test_a_saved_model_that_lacks_weights_is_an_error(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    model_of([tiny_tasks["classification"]]).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["heads.mood.out.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"heads\.mood\.out\.weight"):
        jx.MultitaskModel.from_pretrained(tmp_path)


def test_an_encoder_without_tokenizer(
    encoder_folder: EncoderFolder, tiny_tasks, tmp_path: Path
) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(encoder_folder() / name, tmp_path)
    with pytest.raises(
        jx.DataError, match=r"has no tokenizer .*tokenizer\.save_pretrained\(folder\)"
    ):
        jx.MultitaskModel.from_pretrained(tmp_path, [tiny_tasks["tagging"]])


@pytest.mark.parametrize("kind", ["ByT5Tokenizer", "CanineTokenizer"])
def test_a_tokenizer_without_a_fast_form_says_so(
    kind: str, encoder_folder: EncoderFolder, tiny_tasks, tmp_path: Path
) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(encoder_folder() / name, tmp_path)
    getattr(transformers, kind)().save_pretrained(tmp_path)
    with pytest.raises(jx.DataError, match=rf"{kind} has no fast form .*character offsets"):
        jx.MultitaskModel.from_pretrained(tmp_path, [tiny_tasks["tagging"]])


def test_a_plain_encoder_needs_tasks(encoder_folder: EncoderFolder) -> None:
    with pytest.raises(ValueError, match="Give the tasks that its encoder is to learn"):
        jx.MultitaskModel.from_pretrained(encoder_folder())


@pytest.mark.parametrize("family", [*FLAT, "xlm-r-xl", "camembert"])
def test_masked_lm_head_is_the_checkpoints_own(
    family: str, encoder_folder: EncoderFolder, tiny_tasks, tokenizer_of
) -> None:
    folder = encoder_folder(family, auto=AutoModelForMaskedLM)
    model = jx.MultitaskModel.from_pretrained(folder, [tiny_tasks["mlm"], tiny_tasks["tagging"]])
    plain, info = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    batch = batch_of(tiny_tasks["mlm"], tokenizer_of(family))
    lengths = batch["lengths"].tolist()
    labels = torch.full_like(batch["input_ids"], -100)
    labels[batch["masked_positions"]] = batch["labels"]
    pad = torch.nn.utils.rnn.pad_sequence
    with torch.inference_mode():
        ours = model(**batch)
        reference = plain.eval()(
            input_ids=pad(batch["input_ids"].split(lengths), True, plain.config.pad_token_id),
            attention_mask=(torch.arange(max(lengths)) < batch["lengths"][:, None]).long(),
            labels=pad(labels.split(lengths), True, -100),
        )
    assert float(ours.loss / ours.num_items) == pytest.approx(float(reference.loss), abs=1e-5)


@pytest.mark.parametrize("family", ["bert", "electra"])
def test_masked_lm_from_pretraining_checkpoints(
    family: str, encoder_folder: EncoderFolder, tiny_tasks
) -> None:
    # BERT's holds a masked-LM head; ELECTRA's discriminator holds none, and gets a new one
    folder = encoder_folder(family, auto=AutoModelForPreTraining)
    model = jx.MultitaskModel.from_pretrained(folder, [tiny_tasks["mlm"]])
    full = AutoModelForPreTraining.from_pretrained(folder)
    assert_same_weights(model.encoder, full.base_model)
    if family == "bert":
        assert torch.equal(model.heads["lines"].bias, full.cls.predictions.bias)
    else:
        assert (
            not model.heads["lines"].bias.any() and model.heads["lines"].dense.weight.std() > 0.05
        )


@pytest.mark.parametrize("family", ["rembert", "deberta-v2", "mpnet", "albert"])
def test_masked_lm_on_families_without_a_known_head(
    family: str, model_of: ModelOf, tiny_tasks, tokenizer_of
) -> None:
    actual = model_of([tiny_tasks["mlm"]], family)(
        **batch_of(tiny_tasks["mlm"], tokenizer_of(family))
    )
    assert torch.isfinite(actual.loss)


def test_a_model_in_float64_computes_in_float64(model_of: ModelOf, tiny_tasks, tokenizer) -> None:
    model = model_of(list(tiny_tasks.values())).double()
    for task in tiny_tasks.values():
        loss = model.train()(**batch_of(task, tokenizer)).loss
        assert loss.dtype == torch.float64, task
        loss.backward()
        outputs = model.eval()(**batch_of(task, tokenizer)).outputs
        floats = {value.dtype for value in outputs.values() if value.is_floating_point()}
        assert floats <= {torch.float64}, task


def test_dtype(encoder_folder: EncoderFolder, tiny_tasks, tmp_path: Path) -> None:
    tasks = [tiny_tasks["classification"], tiny_tasks["retrieval"]]
    for question, dtype in (
        (torch.bfloat16, torch.bfloat16),
        ("auto", torch.float32),
        ("float16", torch.float16),
    ):
        model = jx.MultitaskModel.from_pretrained(encoder_folder(), tasks[:1], dtype=question)
        assert {parameter.dtype for parameter in model.parameters()} == {
            dtype
        } and model.dtype is dtype
        assert model.padding_free  # tried in float32, whatever the model's
    model = jx.MultitaskModel.from_pretrained(encoder_folder(), tasks[:1], dtype=torch.bfloat16)
    assert len(jx.predict(model, tasks[0], [{"text": "the cat"}])) == 1
    model.save_pretrained(tmp_path)
    again = jx.MultitaskModel.from_pretrained(tmp_path, tasks, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in again.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in jx.MultitaskModel.from_pretrained(tmp_path).parameters()} == {
        torch.float32
    }


def assert_nearly_equal(one: Any, other: Any) -> None:
    """Equal but for the last bits of numbers: a file's weights lie elsewhere in memory, where
    products may be summed in another order.
    """
    if isinstance(one, float):
        assert one == pytest.approx(other, abs=1e-6, nan_ok=True)
    elif isinstance(one, Mapping):
        assert list(one) == list(other)
        assert_nearly_equal(list(one.values()), list(other.values()))
    elif isinstance(one, list | tuple):
        for item, other_item in zip(one, other, strict=True):
            assert_nearly_equal(item, other_item)
    elif is_dataclass(one):
        assert type(one) is type(other)
        for field in fields(one):
            assert_nearly_equal(getattr(one, field.name), getattr(other, field.name))
    else:
        assert one == other


# --- saving ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "family", ["xlm-r", "bert", "modernbert", "albert", "deberta-v2", "xlm-r-xl", "t5"]
)
def test_saved_and_loaded_is_the_same(
    family: str, model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    tasks = [tiny_tasks[kind] for kind in TYPES if not (kind == "mlm" and family == "t5")]
    model = model_of(tasks, family)
    model.save_pretrained(tmp_path)
    assert "jiantx_flat" not in (tmp_path / "config.json").read_text()
    again = jx.MultitaskModel.from_pretrained(tmp_path)
    assert list(again.heads) == list(model.heads) == sorted(task.name for task in tasks)
    assert again.padding_free == model.padding_free
    assert_same_weights(again, model)
    for task in tasks:
        rows = list(task.rows("train"))
        for one, other in zip(
            jx.predict(model, task, rows), jx.predict(again, task, rows), strict=True
        ):
            assert_nearly_equal(one, other)
    named_ = jx.MultitaskModel.from_pretrained(tmp_path, tasks)
    assert_same_weights(named_, model)


def test_heads_are_kept_or_new(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    tagging, mood, stars = (
        tiny_tasks[kind] for kind in ("tagging", "classification", "regression")
    )
    model = model_of([tagging, mood])
    model.save_pretrained(tmp_path)
    remaining = jx.MultitaskModel.from_pretrained(tmp_path, [stars, tagging])
    assert list(remaining.heads) == ["entities", "stars"] == list(remaining.config.heads)
    assert_same_weights(remaining.heads["entities"], model.heads["entities"])
    assert_same_weights(remaining.encoder, model.encoder)
    new = jx.MultitaskModel.from_pretrained(tmp_path, [tagging, mood], heads="new")
    assert_same_weights(new.encoder, model.encoder)
    assert not torch.equal(new.heads["entities"].out.weight, model.heads["entities"].out.weight)
    assert new.heads["mood"].out.weight.std().item() == pytest.approx(
        0.1, rel=0.5
    )  # the encoder's own spread
    assert not new.heads["mood"].out.bias.any()
    remaining.save_pretrained(tmp_path / "again")
    assert list(jx.MultitaskModel.from_pretrained(tmp_path / "again").heads) == [
        "entities",
        "stars",
    ]


def test_a_saved_head_that_does_not_fit(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    model_of([tiny_tasks["tagging"]]).save_pretrained(tmp_path)
    other = tiny_tasks["tagging"].replace(labels=("B-X", "O"))
    with pytest.raises(
        ValueError, match=r"model's head 'entities' .*'O', 'B-X'.*'B-X', 'O'.*heads=\"new\""
    ):
        jx.MultitaskModel.from_pretrained(tmp_path, [other])
    loaded = jx.MultitaskModel.from_pretrained(tmp_path)  # without tasks, nothing was compared yet
    for use in (
        lambda: jx.predict(loaded, other, list(other.rows("train"))),
        lambda: loaded.export(other, tmp_path / "x"),
    ):
        with pytest.raises(ValueError, match="model's head 'entities'"):
            use()
    new = jx.MultitaskModel.from_pretrained(tmp_path, [other], heads="new")
    assert new.config.heads["entities"]["labels"] == ["B-X", "O"]


def test_tasks_share_a_head_by_name(model_of: ModelOf, tiny_tasks) -> None:
    mood, pairs = (tiny_tasks[kind].replace(head="shared") for kind in ("classification", "pair"))
    model = model_of([mood, pairs])
    assert list(model.heads) == ["shared"]
    topics = tiny_tasks["multi_label"].replace(head="shared")
    with pytest.raises(
        ValueError, match="'mood' and 'topics' share the head 'shared', but need different ones"
    ):
        model_of([mood, topics])


@pytest.mark.parametrize("family", ["xlm-r", "modernbert", "t5"])
def test_saved_encoder_is_a_plain_one(
    family: str, model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    model = model_of([tiny_tasks["classification"]], family)
    model.save_encoder(tmp_path)
    again = jx.MultitaskModel.from_pretrained(tmp_path, [tiny_tasks["tagging"]])
    assert_same_weights(again.encoder, model.encoder)
    if family != "t5":
        plain, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
        assert (
            not {name for name in info["missing_keys"] if "pooler" not in name}
            and not info["unexpected_keys"]
        )
        assert_same_weights(plain, model.encoder)
        assert plain.config._attn_implementation == "sdpa"
        assert model.tokenizer is not None
        ids = model.tokenizer("the cat sees the dog", return_tensors="pt")
        lengths = torch.tensor([ids["input_ids"].shape[1]])
        (flat,) = model.states(
            ids["input_ids"][0], lengths, torch.arange(int(lengths)), int(lengths)
        )
        expected = plain(
            input_ids=ids["input_ids"], attention_mask=ids["attention_mask"]
        ).last_hidden_state[0]
        torch.testing.assert_close(flat, expected, atol=1e-5, rtol=1e-5)


def test_config_says_all_of_itself(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    tasks = [tiny_tasks["classification"], tiny_tasks["retrieval"]]
    model = model_of(tasks)
    model.save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(config, jx.MultitaskConfig) and config.model_type == "jiantx"
    assert config.heads == model.config.heads == {task.name: task.head_config() for task in tasks}
    assert config.encoder is not None and type(config.encoder).__name__ == "XLMRobertaConfig"
    assert config.encoder.to_dict() == model.encoder.config.to_dict()
    assert (
        json.loads((tmp_path / "config.json").read_text())["encoder"]["model_type"] == "xlm-roberta"
    )
    assert jx.MultitaskConfig().encoder is None  # transformers makes one to see what differs


def test_config_leaves_a_loaded_encoder_as_it_is(encoder_folder: EncoderFolder) -> None:
    encoder = AutoModel.from_pretrained(encoder_folder(), attn_implementation="eager")
    jx.MultitaskConfig(encoder=encoder.config)
    assert encoder.config._attn_implementation == "eager"


def test_models_do_not_share_their_attention(model_of: ModelOf, tiny_tasks) -> None:
    tasks = [tiny_tasks["classification"]]
    flat = model_of(tasks)
    padded = model_of(tasks, padding_free=False)
    assert flat.encoder.config._attn_implementation == "jiantx_flat"
    assert padded.encoder.config._attn_implementation == "sdpa"


def test_can_be_pushed(model_of: ModelOf, tiny_tasks) -> None:
    assert callable(model_of([tiny_tasks["classification"]]).push_to_hub)


@pytest.mark.slow
def test_a_saved_model_loads_elsewhere(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    model = model_of([tiny_tasks["classification"]])
    model.save_pretrained(tmp_path)
    program = f"import jiantx as jx; m = jx.MultitaskModel.from_pretrained({str(tmp_path)!r}); print(list(m.heads))"
    actual = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert actual.stdout.strip() == "['mood']"


# --- running --------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["auto", False])
@pytest.mark.parametrize(
    "family", [*FLAT, "albert", "xlm-r-xl", "mpnet", "deberta-v2", "rembert", "t5"]
)
def test_fewer_layers_are_the_hidden_states(
    family: str, way: Any, model_of: ModelOf, tiny_tasks, tokenizer_of
) -> None:
    task = tiny_tasks["classification"]
    model = model_of([task], family, padding_free=way)
    batch = batch_of(task, tokenizer_of(family))
    names = ("input_ids", "lengths", "position_ids", "longest", "token_type_ids")
    inputs = {name: batch[name] for name in names if name in batch}
    lengths = batch["lengths"].tolist()
    plain = model_of([task], family, padding_free=False).encoder
    pad = plain.config.pad_token_id
    rows = {
        "input_ids": torch.nn.utils.rnn.pad_sequence(batch["input_ids"].split(lengths), True, pad)
    }
    if "token_type_ids" in batch and family not in ("distilbert", "modernbert"):
        rows["token_type_ids"] = torch.nn.utils.rnn.pad_sequence(
            batch["token_type_ids"].split(lengths), True, 0
        )
    mask = (torch.arange(max(lengths)) < batch["lengths"][:, None]).long()
    depth = plain.config.num_hidden_layers
    ran: list[int] = []
    for number, module in enumerate(layers_of(model.encoder) or ()):
        module.register_forward_hook(lambda *_, number=number: ran.append(number))
    with torch.inference_mode():
        states = plain(**rows, attention_mask=mask, output_hidden_states=True).hidden_states
        assert len(states) == depth + 1
        for layer in range(depth + 1):
            ran.clear()
            (actual,) = model.states(**inputs, layers=[layer])
            torch.testing.assert_close(actual, states[layer][mask.bool()], atol=1e-5, rtol=1e-4)
            if family != "albert":
                assert ran == list(range(layer))  # and no more


@pytest.mark.parametrize("checkpointing", [False, True])
def test_layers_that_are_not_run_learn_nothing(
    checkpointing: bool, model_of: ModelOf, tiny_tasks, tokenizer
) -> None:
    task = tiny_tasks["retrieval"].replace(layer=1)
    model = model_of([task]).train()
    if checkpointing:
        model.gradient_checkpointing_enable()
    actual = model(**batch_of(task, tokenizer))
    actual.loss.backward()
    layers = layers_of(model.encoder)
    assert layers is not None
    first, second = (list(layer.parameters()) for layer in layers)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in first if p.dim() > 1)
    assert all(p.grad is None for p in second)


def test_depth_chooses_a_layer(model_of: ModelOf, tiny_tasks) -> None:
    task = tiny_tasks["retrieval"]
    for depth, layer in ((1.0, 12), (14 / 24, 7), (0.0, 0)):
        assert (
            model_of([task.replace(depth=depth)], num_hidden_layers=12).heads["pairing"].layer
            == layer
        )
    assert model_of([task.replace(layer=1)]).heads["pairing"].layer == 1


@pytest.mark.parametrize(
    "change", [{"depth": 0.5}, {"layer": 0}, {"pooling": "cls"}, {"top": 2}, {"mining": True}]
)
def test_a_task_chooses_among_the_states_of_a_model_that_it_did_not_train(
    change: dict[str, Any], model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    """A retrieval head has no parameters that another layer or pooling would not read too."""
    task = tiny_tasks["retrieval"]
    other = task.replace(**change)
    rows = list(task.rows("train"))
    model = model_of([task])
    model.heads["pairing"].log_scale.data.fill_(1.5)
    before = jx.predict(model, task, rows)
    expected = jx.predict(model_of([other]), other, rows)
    assert jx.predict(model, other, rows) == expected
    assert jx.predict(model, task, rows) == before, "the model's own head is as it was"
    assert model.heads["pairing"].config == task.head_config()
    model.save_pretrained(tmp_path)
    loaded = jx.MultitaskModel.from_pretrained(tmp_path, [other])
    assert loaded.heads["pairing"].log_scale.item() == 1.5
    assert loaded.config.heads["pairing"] == other.head_config()
    assert jx.predict(loaded, other, rows) == expected
    arguments = TrainingArguments(str(tmp_path / "run"), report_to="none", save_strategy="no")
    with pytest.raises(ValueError, match=r"load it with from_pretrained\(folder, tasks\)"):
        jx.Trainer(model, arguments, tasks=[other])  # it would train on the model's own settings
    jx.Trainer(loaded, arguments, tasks=[other])


def test_a_layer_of_retrieval_that_would_be_lost(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    with_layer = tiny_tasks["retrieval"].replace(pooling="pooler")
    model_of([with_layer]).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"model's head 'pairing' .*heads=\"new\""):
        jx.MultitaskModel.from_pretrained(tmp_path, [tiny_tasks["retrieval"]])
    deeper = with_layer.replace(layer=1)
    loaded = jx.MultitaskModel.from_pretrained(tmp_path, [deeper])
    assert loaded.heads["pairing"].layer == 1 and loaded.heads["pairing"].dense.weight.any()


def test_without_a_first_token_the_mean_is_read(
    model_of: ModelOf, tiny_tasks, t5_tokenizer, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    model = model_of([task], "t5")
    assert (
        model.config.heads["mood"]["cls_pooling"]
        == model.heads["mood"].config["cls_pooling"]
        == "mean"
    )
    batch = batch_of(task, t5_tokenizer)
    names = ("input_ids", "lengths", "position_ids", "longest")
    with torch.inference_mode():
        (states,) = model.states(*(batch[name] for name in names))
        means = torch.stack([item.mean(0) for item in states.split(batch["lengths"].tolist())])
        head = model.heads["mood"]
        expected = head.out(torch.tanh(head.dense(means))).softmax(-1)
        torch.testing.assert_close(
            model(**batch).outputs["probabilities"], expected, atol=1e-6, rtol=1e-5
        )
    model.save_pretrained(tmp_path)
    for again in (
        jx.MultitaskModel.from_pretrained(tmp_path),
        jx.MultitaskModel.from_pretrained(tmp_path, [task]),
    ):
        assert again.heads["mood"].config["cls_pooling"] == "mean"
        assert jx.predict(again, task, list(task.rows("train"))) == jx.predict(
            model, task, list(task.rows("train"))
        )


def test_segments_reach_the_encoder(model_of: ModelOf, tiny_tasks, bert_tokenizer) -> None:
    task = tiny_tasks["pair"]
    model, batch = model_of([task], "bert"), batch_of(tiny_tasks["pair"], bert_tokenizer)
    actual = model(**batch).outputs["probabilities"]
    batch["token_type_ids"] = torch.zeros_like(batch["token_type_ids"])
    assert (model(**batch).outputs["probabilities"] - actual).abs().max() > 1e-4


@pytest.mark.parametrize("family", ["xlm-r", "t5", "mpnet", "modernbert", "distilbert"])
def test_segments_are_kept_from_who_knows_none(
    family: str, encoder_folder: EncoderFolder, tiny_tasks, bert_tokenizer
) -> None:
    model = jx.MultitaskModel.from_pretrained(
        encoder_folder(family, bert_tokenizer), [tiny_tasks["pair"]]
    )
    assert "token_type_ids" in batch_of(tiny_tasks["pair"], model.tokenizer)
    assert len(jx.predict(model, tiny_tasks["pair"], list(tiny_tasks["pair"].rows("train")))) == 16


@pytest.mark.parametrize(("family", "room"), [("xlm-r", 62), ("bert", 64), ("mpnet", 62)])
def test_a_tokenizer_that_knows_no_limit_learns_it(
    family: str, room: int, encoder_folder: EncoderFolder, tiny_tasks, tmp_path: Path
) -> None:
    folder = shutil.copytree(encoder_folder(family, max_position_embeddings=64), tmp_path / "x")
    message = json.loads((folder / "tokenizer_config.json").read_text())
    del message["model_max_length"]
    (folder / "tokenizer_config.json").write_text(json.dumps(message))
    task = tiny_tasks["classification"]
    model = jx.MultitaskModel.from_pretrained(folder, [task])
    assert model.tokenizer is not None and model.tokenizer.model_max_length == room
    assert len(jx.predict(model, task, [{"text": "the cat " * 200}])) == 1


def test_padding_free_is_what_was_asked_for(model_of: ModelOf, tiny_tasks) -> None:
    task = tiny_tasks["tagging"]
    assert [model_of([task], padding_free=way).padding_free for way in ("auto", True, False)] == [
        True,
        True,
        False,
    ]


# --- LoRA -----------------------------------------------------------------------------------------


def test_padding_may_be_chosen_again(model_of: ModelOf, tiny_tasks) -> None:
    task = tiny_tasks["classification"]
    model = model_of([task])
    expected = jx.evaluate(model, [task]).records
    for padding_free in (False, True, "auto", False):
        model.set_padding_free(padding_free)
        assert model.padding_free == bool(padding_free)
        assert jx.evaluate(model, [task]).records == expected


@pytest.mark.parametrize("head", ["query", "dense", "out", "encoder"])
def test_lora_leaves_layers_alone_that_are_named_like_a_head(
    head: str, model_of: ModelOf, tiny_tasks
) -> None:
    peft = pytest.importorskip("peft")
    model = model_of([tiny_tasks["classification"].replace(head=head)])
    adapted = peft.get_peft_model(model, model.lora_config(r=4))
    trained = [name for name, value in adapted.named_parameters() if value.requires_grad]
    assert all("lora_" in name or f"heads.{head}.modules_to_save" in name for name in trained)
    assert len([name for name in trained if "lora_" not in name]) == 4


def test_a_model_with_adapters(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    mood, pairing = tiny_tasks["classification"], tiny_tasks["retrieval"].replace(layer=2)
    model = model_of([mood, pairing])
    other = pairing.replace(layer=1, pooling="cls")
    expected = jx.evaluate(model, [mood, other]).records
    adapted = peft.get_peft_model(model, model.lora_config(init_lora_weights=False))
    torch.nn.init.normal_(model.heads["mood"].out.weight)
    with adapted.disable_adapter():  # a task may choose among states here too
        assert jx.evaluate(adapted, [mood, other]).records == expected
    assert jx.evaluate(adapted, [other]).mean() >= 0
    for write in (
        model.save_pretrained,
        adapted.save_encoder,
        lambda folder: adapted.export(mood, folder),
        lambda folder: adapted.export(pairing, folder),
    ):
        with pytest.raises(ValueError, match=r"PEFT's adapters.*merge_and_unload"):
            write(tmp_path / "never")
    assert not (tmp_path / "never").exists()
    scores = jx.evaluate(adapted, [mood, pairing]).records
    merged = adapted.merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    loaded = jx.MultitaskModel.from_pretrained(tmp_path / "merged")
    assert jx.evaluate(loaded, [mood, pairing]).records == scores
    merged.save_encoder(tmp_path / "encoder")
    merged.export(mood, tmp_path / "export")


@pytest.mark.slow
def test_lora_trains_heads_in_full(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    tasks = [tiny_tasks["classification"], tiny_tasks["tagging"]]
    model = model_of(tasks)
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    adapted = peft.get_peft_model(model, model.lora_config(r=4))
    trained = {name for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name or "modules_to_save" in name for name in trained)
    for head in ("mood", "entities"):
        assert any(f"heads.{head}" in name for name in trained)
    args = {"max_steps": 60, "learning_rate": 2e-2, "logging_steps": 20, "report_to": "none"}
    trainer = jx.Trainer(
        adapted,
        TrainingArguments(str(tmp_path), disable_tqdm=True, use_cpu=True, **args),
        tasks=tasks,
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < 0.8 * losses[0]
    after = {
        name.replace(".base_layer", ""): value for name, value in model.encoder.state_dict().items()
    }
    assert all(
        torch.equal(after[name], value) for name, value in before.items()
    )  # the encoder itself stays
    assert jx.evaluate(adapted, tasks[1:]).mean() > 0


def test_a_folder_in_a_folder(encoder_folder: EncoderFolder, tiny_tasks, tmp_path: Path) -> None:
    shutil.copytree(encoder_folder(), tmp_path / "deep")
    tasks, types = [tiny_tasks["classification"]], {torch.bfloat16}
    model = jx.MultitaskModel.from_pretrained(
        tmp_path, tasks, subfolder="deep", torch_dtype=torch.bfloat16
    )
    assert {parameter.dtype for parameter in model.parameters()} == types, (
        "torch_dtype is dtype's old name"
    )


def test_a_folder_that_holds_no_model(tmp_path: Path, tiny_tasks) -> None:
    task = tiny_tasks["classification"]
    with pytest.raises(ValueError, match=r"holds no config\.json"):
        jx.MultitaskModel.from_pretrained(tmp_path, [task])
    with pytest.raises(ValueError, match="There is no folder"):
        jx.MultitaskModel.from_pretrained(tmp_path / "absent", [task])


def test_saved_heads_that_are_left_are_named(
    model_of: ModelOf, tiny_tasks, tmp_path: Path, caplog
) -> None:
    task = tiny_tasks["classification"]
    model_of([task]).save_pretrained(tmp_path)
    jx.MultitaskModel.from_pretrained(tmp_path, [task.replace(name="moood")])
    assert "Heads kept: none; new: moood; dropped: mood." in caplog.text


def test_a_head_of_transformers_is_not_dropped_in_silence(
    model_of: ModelOf, tiny_tasks, tmp_path: Path, caplog
) -> None:
    task = tiny_tasks["classification"]
    model_of([task]).export(task, tmp_path)
    caplog.clear()
    jx.MultitaskModel.from_pretrained(tmp_path, [task])
    assert (
        "holds a fine-tuned XLMRobertaForSequenceClassification. Only its encoder is loaded"
        in caplog.text
    )
    with pytest.raises(ValueError, match="ForSequenceClassification and no saved jiantx model"):
        jx.load(tmp_path)


# --- mixed batches --------------------------------------------------------------------------------


@pytest.mark.parametrize("padding_free", ["auto", False])
def test_a_mixed_batch_is_its_parts(
    padding_free: Any, model_of: ModelOf, tiny_tasks, tokenizer
) -> None:
    """One pass of the encoder, states routed to each head: the loss and the gradients of separate
    passes.

    In float64: some gradients are sums of many terms that cancel, and in float32 only noise is left.
    """
    tasks = [
        task.replace(layer=1) if isinstance(task, jx.Retrieval) else task
        for task in tiny_tasks.values()
    ]
    model = model_of(
        tasks, padding_free=padding_free, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    model.double().train()
    items = [batch_of(task, tokenizer, slice(0, 4)) for task in tasks]

    def gradients(run: Any) -> tuple[float, dict[str, torch.Tensor]]:
        model.zero_grad()
        loss = run()
        loss.backward()
        return loss.item(), {
            name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None
        }

    mixed = model(**merge_batches(items))
    assert [item.loss.item() for item in mixed.sub_outputs] == pytest.approx(
        [model(**p).loss.item() for p in items], rel=1e-12
    )
    assert int(mixed.num_items) == sum(int(item.num_items) for item in mixed.sub_outputs)
    assert torch.equal(
        merge_batches(items)["labels"], torch.cat([item["labels"] for item in items])
    )
    one, separate = (
        gradients(lambda: model(**merge_batches(items)).loss),
        gradients(lambda: sum(model(**p).loss for p in items)),
    )
    assert one[0] == pytest.approx(separate[0], rel=1e-12)
    assert one[1].keys() == separate[1].keys() and len(one[1]) > 20
    for name, gradient in one[1].items():
        torch.testing.assert_close(gradient, separate[1][name], rtol=1e-9, atol=1e-12, msg=name)


def test_labels_that_were_found_in_other_rows_are_named(model_of: ModelOf, tiny_tasks) -> None:
    task = tiny_tasks["classification"]
    fewer = task.replace(labels=task.label_names[:2])
    with pytest.raises(ValueError, match=r"give it the head's: task\.replace\(labels=…\)"):
        model_of([task]).head_of(fewer)
