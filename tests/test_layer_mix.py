"""Heads that read a learned mix of layers, over a frozen encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import EncoderFolder, batch_of
from test_trainer import TYPES, Stop, arguments
from transformers import AutoModelForMaskedLM

import jiantx as jx
from jiantx.batching import merge_batches
from jiantx.heads import LayerMix, mixed_layers
from jiantx.model.new_heads import with_new_heads
from jiantx.report.scores import CENTER_OF_GRAVITY, LAYER_WEIGHT
from jiantx.trainer_setup import decay_parameter_names


def mixed(folder: Path, tasks: list[jx.Task], layers: Any = "all", **kwargs: Any) -> Any:
    torch.manual_seed(0)
    return jx.MultitaskModel.from_pretrained(folder, tasks, layer_mix=layers, **kwargs)


def test_the_mix_is_a_scaled_average() -> None:
    mix = LayerMix([0, 2, 3])
    states = [torch.randn(5, 4) for _ in range(3)]
    torch.testing.assert_close(mix(states), torch.stack(states).mean(dim=0))
    mix.scores.data = torch.tensor([0.5, -1.0, 2.0])
    mix.scale.data = torch.tensor([3.0])
    shares = np.exp([0.5, -1.0, 2.0]) / np.exp([0.5, -1.0, 2.0]).sum()
    expected = 3 * sum(share * layer.numpy() for share, layer in zip(shares, states))
    np.testing.assert_allclose(mix(states).detach().numpy(), expected, rtol=1e-5)
    assert mix.numbers() == pytest.approx(
        {
            **{f"{LAYER_WEIGHT}{layer}": share for layer, share in zip((0, 2, 3), shares)},
            CENTER_OF_GRAVITY: 2 * shares[1] + 3 * shares[2],
        }
    )
    assert mix([layer.bfloat16() for layer in states]).dtype == torch.bfloat16


@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("kind", ["classification", "tagging"])
def test_the_mix_of_one_layer_is_that_layer(
    layer: int, kind: str, encoder_folder: EncoderFolder, tiny_tasks, tokenizer
) -> None:
    """And it learns nothing: its head has the parameters of one without a mix."""
    task = tiny_tasks[kind]
    model = mixed(encoder_folder(), [task], [layer])
    plain = mixed(encoder_folder(), [task], None)
    batch = batch_of(task, tokenizer)
    (states,) = model.states(**batch, layers=[layer])
    expected = plain._run_head(plain.heads[task.head_name], states, batch)
    output = model(**batch)
    assert output.loss.item() == expected.loss.item()
    for name, values in output.outputs.items():
        torch.testing.assert_close(values, expected.outputs[name], atol=0, rtol=0)
    assert model.heads.state_dict().keys() == plain.heads.state_dict().keys()


def test_the_mix_up_to_layer_0_is_the_embeddings(
    encoder_folder: EncoderFolder, tiny_tasks, tokenizer
) -> None:
    """No layer of the encoder runs."""
    task = tiny_tasks["tagging"]
    model = mixed(encoder_folder(), [task], range(1))
    ran: list[int] = []
    for index, layer in enumerate(model.encoder.encoder.layer):
        layer.register_forward_hook(lambda *_, index=index: ran.append(index))
    model(**batch_of(task, tokenizer))
    assert not ran
    lower = with_new_heads(model, [task], layer_mix=range(2))
    lower(**batch_of(task, tokenizer))
    assert ran == [0]


@pytest.mark.parametrize("kind", TYPES)
def test_gradient_reaches_the_mix_and_the_head_alone(
    kind: str, encoder_folder: EncoderFolder, tiny_tasks, tokenizer
) -> None:
    task = tiny_tasks[kind]
    model = mixed(encoder_folder(), [task]).freeze_encoder().train()
    model(**batch_of(task, tokenizer)).loss.backward()
    head_names = {
        f"heads.{task.head_name}.{name}"
        for name, _ in model.heads[task.head_name].named_parameters()
    }
    assert {f"heads.{task.head_name}.layer_mix.{name}" for name in ("scores", "scale")} < head_names
    assert {name for name, p in model.named_parameters() if p.grad is not None} == head_names
    assert model.heads[task.head_name].layer_mix.scores.grad.abs().min() > 0


def test_a_frozen_encoder_drops_nothing_out(
    encoder_folder: EncoderFolder, tiny_tasks, tokenizer
) -> None:
    task = tiny_tasks["classification"]
    model = mixed(encoder_folder(hidden_dropout_prob=0.3), [task])
    batch = batch_of(task, tokenizer)
    model.train()
    first, second = (model.states(**batch)[0] for _ in range(2))
    assert not torch.equal(first, second)
    model.freeze_encoder()
    first, second = (model.states(**batch)[0] for _ in range(2))
    assert torch.equal(first, second) and model.heads.training
    assert not model.train().encoder.training and not first.requires_grad


def test_heads_of_a_mixed_batch_read_their_own_mixes(
    encoder_folder: EncoderFolder, tiny_tasks, tokenizer
) -> None:
    tasks = [tiny_tasks["classification"], tiny_tasks["tagging"]]
    model = mixed(encoder_folder(), tasks, [0, 2])
    for task, scores in zip(tasks, ([1.0, -1.0], [-2.0, 0.5])):
        model.heads[task.head_name].layer_mix.scores.data = torch.tensor(scores)
    batches = [batch_of(task, tokenizer, slice(4)) for task in tasks]
    losses = [model(**batch).loss.item() for batch in batches]
    together = model(**merge_batches(batches))
    assert [output.loss.item() for output in together.sub_outputs] == pytest.approx(losses)


def test_a_saved_mix_is_the_same_mix(
    encoder_folder: EncoderFolder, tiny_tasks, tokenizer, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    model = mixed(encoder_folder(), [task], [0, 2])
    head = model.heads["mood"]
    head.layer_mix.scores.data = torch.tensor([1.0, -0.5])
    head.layer_mix.scale.data = torch.tensor([2.0])
    model.save_pretrained(tmp_path)
    expected = model(**batch_of(task, tokenizer)).outputs["probabilities"]
    for options in ({}, {"tasks": [task]}, {"tasks": [task], "layer_mix": (0, 2)}):
        loaded = jx.MultitaskModel.from_pretrained(tmp_path, **options)
        actual = loaded(**batch_of(task, tokenizer)).outputs["probabilities"]
        assert torch.equal(actual, expected)
        assert loaded.heads["mood"].layer_mix.layers == (0, 2)
    with pytest.raises(ValueError, match=r"'mood' reads a mix of the layers \[0, 2\], and a mix"):
        mixed(tmp_path, [task], "all")
    assert mixed(tmp_path, [task], "all", heads="new").heads["mood"].layer_mix.layers == (0, 1, 2)
    with pytest.raises(ValueError, match="give the tasks too"):
        jx.MultitaskModel.from_pretrained(tmp_path, layer_mix="all")
    with pytest.raises(ValueError, match="reads a mix of layers, which no exported model can"):
        model.export(task, tmp_path / "exported")


@pytest.mark.slow
def test_a_resumed_probe_is_the_same_probe(
    encoder_folder: EncoderFolder, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["tagging"]

    def trainer(name: str, layers: Any = "all", **kwargs: Any) -> jx.Trainer:
        saving = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "weight_decay": 0.1}
        model = mixed(encoder_folder(), [task], layers).freeze_encoder()
        return jx.Trainer(model, arguments(tmp_path / name, **saving), tasks=[task], **kwargs)

    straight = trainer("straight")
    straight.train()
    with pytest.raises(KeyboardInterrupt):
        trainer("resumed", callbacks=[Stop(2)]).train()
    resumed = trainer("resumed")
    resumed.train(resume_from_checkpoint=True)
    for name, value in straight.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name
    mix = straight.model.heads[task.head_name].layer_mix
    assert mix.scores.abs().min() > 0 and mix.scale.item() != 1
    trainer("two", [0, 2]).train()
    with pytest.raises(ValueError, match=r"layer_mix of head entities: \[0, 1\] here, \[0, 2\]"):
        trainer("two", [0, 1]).train(resume_from_checkpoint=str(tmp_path / "two/checkpoint-2"))


def test_a_mix_does_not_decay(encoder_folder: EncoderFolder, tiny_tasks) -> None:
    model = mixed(encoder_folder(), [tiny_tasks["classification"]])
    names = decay_parameter_names(model, lambda module: [n for n, _ in module.named_parameters()])
    assert "heads.mood.dense.weight" in names
    assert not [name for name in names if "layer_mix" in name]


def test_a_report_holds_the_mix_beside_the_scores(
    encoder_folder: EncoderFolder, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    model = mixed(encoder_folder(), [task], [1, 2])
    model.heads["mood"].layer_mix.scores.data = torch.tensor([0.0, np.log(3.0)])
    report = jx.evaluate(model, task)
    values = {s.metric: s.value for s in report.where(language="zh")}
    assert values[f"{LAYER_WEIGHT}1"] == pytest.approx(0.25)
    assert values[f"{LAYER_WEIGHT}2"] == pytest.approx(0.75)
    assert values[CENTER_OF_GRAVITY] == pytest.approx(1.75)
    scores = [s.value for s in report if s.metric == "accuracy"]
    assert report.mean() == pytest.approx(np.mean(scores)) and len(scores) == 3
    model.report = report
    model.write_card(tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "accuracy" in card and LAYER_WEIGHT not in card and CENTER_OF_GRAVITY not in card


def test_a_sweep_needs_heads_of_one_layer(encoder_folder: EncoderFolder, tiny_tasks) -> None:
    task = tiny_tasks["retrieval"]
    model = mixed(encoder_folder(), [task])
    with pytest.raises(ValueError, match="that of task pairing reads a mix"):
        jx.evaluate(model, task, layers=(0, 1))
    other = task.replace(name="other", layer=1)
    model = mixed(encoder_folder(), [task, other])
    model.heads["pairing"].layer_mix.scores.data[0] = 5.0
    scores = {
        s.task: s.value for s in jx.evaluate(model, [task, other]) if s.metric == CENTER_OF_GRAVITY
    }
    assert scores["pairing"] < 0.1 and scores["other"] == pytest.approx(1.0)


def test_a_layer_beside_a_mix_is_refused(encoder_folder: EncoderFolder, tiny_tasks) -> None:
    """It would change nothing, and each layer would have the mix's score."""
    task = tiny_tasks["retrieval"]
    model = mixed(encoder_folder(), [task])
    jx.evaluate(model, task)
    for change in ({"layer": 0}, {"depth": 0.3}):
        with pytest.raises(ValueError, match=r"reads .*, so that .* would change nothing"):
            jx.evaluate(model, task.replace(**change))
    for layer in (0, 1):
        with pytest.raises(ValueError, match=r"reads a mix|would change nothing"):
            jx.encode(model, ["the cat"], task, layer=layer)


def test_a_masked_lm_head_reads_a_mix_with_its_own_weights(
    encoder_folder: EncoderFolder, tiny_tasks
) -> None:
    folder = encoder_folder(auto=AutoModelForMaskedLM)
    task = tiny_tasks["mlm"]
    states = mixed(folder, [task]).heads["lines"].state_dict()
    expected = mixed(folder, [task], None).heads["lines"].state_dict()
    assert states.keys() - expected.keys() == {"layer_mix.scores", "layer_mix.scale"}
    assert all(torch.equal(states[name], value) for name, value in expected.items())


@pytest.mark.parametrize("layers", [[3], [], [0, 0], [-1], "most", 2, [True], [1.0]])
def test_layers_that_cannot_be_mixed(layers: Any) -> None:
    with pytest.raises(ValueError, match=r'The layers to mix are .*; expected "all", or'):
        mixed_layers(layers, 2)


def test_layers_are_mixed_in_their_order() -> None:
    assert mixed_layers("all", 2) == [0, 1, 2]
    assert mixed_layers((2, 0), 2) == [0, 2]
    assert mixed_layers(range(2), 2) == [0, 1]
