"""Flat equals padded, and who cannot run flat is noticed."""

from __future__ import annotations

import logging

import pytest
import torch
from conftest import ModelOf, batch_of, config_of
from torch import Tensor
from transformers import AutoConfig
from transformers.utils import logging as theirs

import jiantx as jx
from jiantx import attention, encoder_traits
from jiantx.attention import SequenceLayout, flat_attention, layers_of
from jiantx.batching import Batch
from jiantx.encoder_traits import probe_flat_attention
from jiantx.trainer_setup import note_attention_dropout

FLAT = ("xlm-r", "bert", "roberta", "distilbert", "electra", "modernbert")
ALSO_FLAT = ("albert", "camembert", "xlm-r-xl", "xmod")
PADDED = ("mpnet", "deberta-v2", "rembert", "t5")
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


def train_on(model: jx.MultitaskModel, batch: Batch) -> tuple[float, dict[str, Tensor]]:
    """The loss per item and every gradient."""
    model.train().zero_grad()
    output = model(**batch)
    loss = output.loss / output.num_items
    loss.backward()
    return loss.item(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def assert_same_step(flat: jx.MultitaskModel, padded: jx.MultitaskModel, batch: Batch) -> None:
    assert flat.padding_free and not padded.padding_free
    assert all(
        torch.equal(value, padded.state_dict()[name]) for name, value in flat.state_dict().items()
    )
    (loss, gradients), (expected, expected_gradients) = (
        train_on(flat, batch),
        train_on(padded, batch),
    )
    assert loss == pytest.approx(expected, abs=1e-5)
    assert gradients.keys() == expected_gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(
            gradient, expected_gradients[name], atol=1e-4, rtol=1e-4, msg=name
        )


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("family", FLAT)
def test_flat_equals_padded(
    family: str, kind: str, model_of: ModelOf, tiny_tasks, tokenizer_of
) -> None:
    task = tiny_tasks[kind]
    flat, padded = (model_of([task], family, padding_free=way) for way in ("auto", False))
    batch = batch_of(task, tokenizer_of(family))
    assert batch["lengths"].unique().numel() > 2  # else nothing is padded
    if family == "modernbert":
        shorter = kind in ("regression", "multi_label", "choice", "retrieval")
        assert shorter or batch["longest"] > flat.encoder.config.local_attention
    assert_same_step(flat, padded, batch)
    flat.eval(), padded.eval()
    with torch.inference_mode():
        ours, expected = flat(**batch), padded(**batch)
    if ours.loss is not None:
        assert float(ours.loss / ours.num_items) == pytest.approx(
            float(expected.loss / expected.num_items), abs=1e-5
        )
    for name, value in ours.outputs.items():
        torch.testing.assert_close(value, expected.outputs[name], atol=1e-5, rtol=1e-4)
    if kind != "retrieval":  # whose rankings may hold ties
        rows = list(task.rows("train"))
        for one, other in zip(
            jx.predict(flat, task, rows), jx.predict(padded, task, rows), strict=True
        ):
            if kind == "regression":
                assert one.number == pytest.approx(other.number, abs=1e-4)
            elif kind == "qa":
                assert (one.answer, one.start) == (other.answer, other.start)
            else:
                assert one.value == other.value


@pytest.mark.parametrize("kind", ["classification", "qa"])
@pytest.mark.parametrize("family", ALSO_FLAT)
def test_flat_equals_padded_elsewhere(
    family: str, kind: str, model_of: ModelOf, tiny_tasks, tokenizer_of
) -> None:
    task = tiny_tasks[kind]
    flat, padded = (model_of([task], family, padding_free=way) for way in ("auto", False))
    assert_same_step(flat, padded, batch_of(task, tokenizer_of(family)))


@pytest.mark.parametrize("family", FLAT)
def test_checkpointing_changes_nothing(
    family: str, model_of: ModelOf, tiny_tasks, tokenizer_of
) -> None:
    task = tiny_tasks["tagging"]
    flat, padded = (model_of([task], family, padding_free=way) for way in ("auto", False))
    batch = batch_of(task, tokenizer_of(family))
    plain = train_on(flat, batch)[1]
    for model in (flat, padded):
        model.gradient_checkpointing_enable()
        assert model.is_gradient_checkpointing
    assert_same_step(flat, padded, batch)
    for name, gradient in train_on(flat, batch)[1].items():
        torch.testing.assert_close(gradient, plain[name], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("family", PADDED)
def test_who_cannot_run_flat_is_noticed(family: str, model_of: ModelOf, tiny_tasks) -> None:
    task = tiny_tasks["classification"]
    model = model_of([task], family)
    assert not model.padding_free
    assert model.encoder.config._attn_implementation != attention.NAME
    report = jx.evaluate(model, [task], languages=["en"])
    assert [score.examples for score in report.records] == [12, 12]
    with pytest.raises(ValueError, match="cannot run without padding"):
        model_of([task], family, padding_free=True)


@pytest.mark.parametrize("family", [*FLAT, *ALSO_FLAT, *PADDED])
def test_published_spread_of_weights(family: str, tokenizer_of) -> None:
    # with the small weights of published configs the difference is small too, and must be seen all
    # the same
    config = config_of(
        family, tokenizer_of(family), **({} if family == "t5" else {"initializer_range": 0.02})
    )
    offset = probe_flat_attention(config)
    if family in PADDED:
        assert offset is None
    else:
        pad = tokenizer_of(family).pad_token_id
        assert offset == (
            pad + 1 if family in ("xlm-r", "roberta", "camembert", "xlm-r-xl", "xmod") else 0
        )


def test_probe_leaves_randomness_alone_and_is_cached(
    tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of("bert", tokenizer, hidden_size=48)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    encoder_traits._probe.cache_clear()
    assert probe_flat_attention(config) == 0
    assert torch.equal(torch.get_rng_state(), before)

    def probed(config: object) -> None:
        raise AssertionError("probed")

    monkeypatch.setattr(encoder_traits, "encoder_class", probed)
    assert probe_flat_attention(config_of("bert", tokenizer, hidden_size=48)) == 0
    with pytest.raises(AssertionError, match="probed"):
        probe_flat_attention(config_of("bert", tokenizer, hidden_size=64))


def test_probe_follows_the_window(tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    # an attention that forgets the window is found out, because the probe's sequences are longer
    # than it
    config = config_of("modernbert", tokenizer, local_attention=32, max_position_embeddings=512)
    monkeypatch.setattr(attention, "_sliding_window_mask", lambda *args: None)
    encoder_traits._probe.cache_clear()
    assert probe_flat_attention(config) is None
    monkeypatch.undo()
    encoder_traits._probe.cache_clear()
    assert probe_flat_attention(config) == 0


def test_deep_configs_are_probed_on_two_layers() -> None:
    config = AutoConfig.for_model("modernbert", num_hidden_layers=22, vocab_size=50368)
    small = encoder_traits._twin_config(config.to_dict(), 2)
    assert small.num_hidden_layers == 2 and small.vocab_size < 50368
    assert len(small.layer_types) == 2
    assert small.hidden_size == config.hidden_size


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("window", "scale"), [(None, None), (None, 0.3), (3, 0.3)])
def test_each_sequence_attends_to_itself(
    window: int | None, scale: float | None, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    lengths = [1, 5, 9]
    query, key, value = (torch.randn(1, 2, sum(lengths), 4).to(dtype) for _ in range(3))
    sequences = SequenceLayout(torch.tensor(lengths), 9)
    states, weights = flat_attention(
        torch.nn.Module(),
        query,
        key,
        value,
        scaling=scale,
        sliding_window=window,
        sequences=sequences,
    )
    assert weights is None and states.shape == (1, 15, 2, 4) and states.dtype == dtype
    query, key, value = (x.float() for x in (query, key, value))
    owner = torch.repeat_interleave(torch.arange(3), torch.tensor(lengths))
    seen = owner[:, None] == owner
    if window is not None:
        seen &= (torch.arange(15)[:, None] - torch.arange(15)).abs() < window
    scores = ((scale or 0.5) * query @ key.transpose(2, 3)).masked_fill(~seen, -torch.inf)
    expected = (scores.softmax(-1) @ value).transpose(1, 2)
    tolerance = None if dtype == torch.float32 else 3e-2  # None: as usual in float32
    torch.testing.assert_close(states.float(), expected, atol=tolerance, rtol=tolerance)


def test_attention_without_sequences_says_so() -> None:
    states = torch.zeros(1, 1, 2, 4)
    with pytest.raises(ValueError, match="not told where the sequences lie"):
        flat_attention(torch.nn.Module(), states, states, states)


def test_bounds() -> None:
    sequences = SequenceLayout(torch.tensor([2, 3, 1]), 3)
    assert sequences.bounds.tolist() == [0, 2, 5, 6] and sequences.bounds.dtype is torch.int32


def test_layers_of(model_of: ModelOf, tiny_tasks) -> None:
    assert len(layers_of(model_of([tiny_tasks["mlm"]], "xlm-r").encoder) or ()) == 2
    assert layers_of(model_of([tiny_tasks["mlm"]], "albert").encoder) is None


def test_dropout_of_attention_is_said(
    model_of: ModelOf, tiny_tasks, caplog: pytest.LogCaptureFixture
) -> None:
    theirs.get_logger("jiantx.trainer").warning_once.cache_clear()
    theirs.enable_propagation()
    try:
        with caplog.at_level(logging.WARNING, "jiantx"):
            flat = model_of([tiny_tasks["pair"]], attention_probs_dropout_prob=0.1)
            padded = model_of(
                [tiny_tasks["pair"]], attention_probs_dropout_prob=0.1, padding_free=False
            )
            note_attention_dropout(padded)
            assert caplog.text == "", "predicting has no dropout, and padded batches keep it"
            note_attention_dropout(flat)
            assert "attention dropout is off" in caplog.text
            caplog.clear()
            note_attention_dropout(flat)
            assert caplog.text == "", "once is enough"
    finally:
        theirs.disable_propagation()
