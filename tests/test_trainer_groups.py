"""Parameters by name: frozen ones, learning rates and decays, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import ModelOf
from test_trainer import arguments
from transformers import AutoConfig

import jiantx as jx
from jiantx.attention import encoder_class
from jiantx.trainer_groups import layer_factors, matches


def settings_of(trainer: jx.Trainer) -> dict[str, tuple[float, float]]:
    """Name of a parameter -> its learning rate and weight decay."""
    optimizer = trainer.create_optimizer()
    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def test_patterns_match_whole_names_in_a_row() -> None:
    name = "encoder.encoder.layer.11.output.dense.weight"
    assert matches("encoder", name) and matches("encoder.layer.11", name)
    assert (
        matches("layer.1?", name) and matches("*.dense", name) and matches("layer.*.output", name)
    )
    assert not matches("layer.1", name) and not matches("encoder.output", name)
    assert not matches("dense.weight.extra", name)


def test_each_parameter_has_the_rates_that_its_name_asks_for(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    tasks = [tiny_tasks["classification"], tiny_tasks["tagging"]]
    trainer = jx.Trainer(
        model_of(tasks),
        arguments(tmp_path, learning_rate=1e-3, weight_decay=0.1),
        tasks=tasks,
        learning_rates={"heads": 1e-2, "mood": 3e-2},
        weight_decays={"heads.entities": 0.5},
        layer_decay=0.5,
    )
    rates = settings_of(trainer)
    assert rates.keys() == dict(trainer.model.named_parameters()).keys()
    assert rates["encoder.embeddings.word_embeddings.weight"] == (1e-3 / 4, 0.1)
    assert rates["encoder.encoder.layer.0.output.dense.weight"] == (1e-3 / 2, 0.1)
    assert rates["encoder.encoder.layer.1.output.dense.weight"] == (1e-3, 0.1)
    assert rates["encoder.encoder.layer.1.output.dense.bias"] == (1e-3, 0.0)
    assert rates["heads.mood.out.weight"] == (3e-2, 0.1)
    assert rates["heads.entities.out.weight"] == (1e-2, 0.5)
    assert rates["heads.entities.out.bias"] == (1e-2, 0.0)
    assert trainer.optimizer.param_groups[0]["lr"] == 1e-3, "the one that is logged"


def test_without_settings_the_groups_are_those_of_transformers(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    trainer = jx.Trainer(model_of([task]), arguments(tmp_path), tasks=[task])
    groups = trainer.create_optimizer().param_groups
    assert len(groups) == 2, "checkpoints of earlier versions fit"


@pytest.mark.slow
def test_groups_and_sparse_embeddings_change_no_result(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    """Unused embeddings decay by the rate and the decay of their own group."""
    task = tiny_tasks["classification"]
    weights = []
    for sparse in (True, False):
        model = model_of([task])
        jx.Trainer(
            model,
            arguments(tmp_path, weight_decay=0.1),
            tasks=[task],
            learning_rates={"word_embeddings": 1e-2},
            weight_decays={"word_embeddings": 0.7},
            layer_decay=0.8,
            sparse_embeddings=sparse,
        ).train()
        weights.append(model.state_dict())
    start = model_of([task]).state_dict()
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], atol=1e-6, rtol=1e-5)
        assert not torch.equal(value, start[name])


def test_frozen_parameters_stay_and_are_trained_again_afterwards(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    model = model_of([task])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    args = arguments(tmp_path, max_steps=2, weight_decay=0.1)
    freeze = ["embeddings", "encoder.layer.0"]
    jx.Trainer(model, args, tasks=[task], freeze=freeze).train()
    changed = {n for n, value in model.state_dict().items() if not torch.equal(value, before[n])}
    still = {n for n in before if ".embeddings." in n or ".layer.0." in n}
    assert changed == set(before) - still
    assert all(parameter.requires_grad for parameter in model.parameters())
    with pytest.raises(ValueError, match="they are frozen"):
        jx.Trainer(model, args, tasks=[task], freeze=freeze, sparse_embeddings=True).train()
    assert all(parameter.requires_grad for parameter in model.parameters()), "also after an error"


@pytest.mark.slow
def test_a_resumed_run_with_groups_ends_as_one_that_was_not_stopped(
    model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    options = {"learning_rates": {"heads": 1e-2}, "layer_decay": 0.5, "freeze": ["layer.0.output"]}
    saves = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}
    straight = model_of([task])
    args = arguments(tmp_path, **saves)
    jx.Trainer(straight, args, tasks=[task], **options).train()  # type: ignore[arg-type]
    resumed = model_of([task], seed=7)
    trainer = jx.Trainer(resumed, args, tasks=[task], **options)  # type: ignore[arg-type]
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    for name, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_what_cannot_work_is_refused(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    task = tiny_tasks["classification"]
    model = model_of([task])

    def trainer(**settings: Any) -> jx.Trainer:
        return jx.Trainer(model, arguments(tmp_path), tasks=[task], **settings)

    for settings, message in (
        (
            {"freeze": ["encoder.layers.0"]},
            r"'encoder.layers.0' matches no parameter\..* There are",
        ),
        ({"freeze": ["encoder.layers.0"]}, "heads.mood.out; # is the number of a layer"),
        ({"learning_rates": {"head": 1e-3}}, r"learning_rates=…\): 'head' matches no parameter"),
        ({"freeze": "embeddings"}, "expected a list of patterns"),
        ({"freeze": ["*"]}, "leaves no parameter to train"),
        ({"freeze": ["heads"], "learning_rates": {"mood": 1e-3}}, "all parameters of 'mood'"),
        ({"learning_rates": {"heads": 0.0}}, "name them in `freeze`"),
        ({"weight_decays": {"*.bias": 0.1}}, "only parameters that do not decay"),
        ({"layer_decay": 1.5}, "at most 1"),
    ):
        with pytest.raises(ValueError, match=message):
            trainer(**settings)
    own_optimizer = torch.optim.AdamW(model.parameters())
    with pytest.raises(ValueError, match="the trainer was given an optimizer"):
        trainer(layer_decay=0.9, optimizers=(own_optimizer, None))
    albert = model_of([task], "albert")
    with pytest.raises(ValueError, match="AlbertModel has no layers with parameters of their own"):
        jx.Trainer(albert, arguments(tmp_path), tasks=[task], layer_decay=0.9)


def factors_of(family: str, **settings: Any) -> dict[str, float]:
    """Name of a parameter -> the factor of its learning rate, with a decay of one half."""
    config = AutoConfig.for_model(family, vocab_size=50, **settings)
    encoder = encoder_class(config)._from_config(config)
    factors = layer_factors(SimpleNamespace(encoder=encoder), 0.5)
    return {name: factors.get(id(p), 1.0) for name, p in encoder.named_parameters()}


def test_the_parts_of_a_layer_decay_together() -> None:
    """XLM has four lists, of attentions, feed-forward networks and two norms."""
    factors = factors_of("xlm", emb_dim=8, n_layers=3, n_heads=2)
    for name, factor in factors.items():
        layer = re.search(r"(?:attentions|ffns|layer_norm[12])\.(\d)", name)
        assert factor == (0.5 ** (2 - int(layer[1])) if layer else 0.5**3), name


def test_tables_of_relative_positions_decay_as_embeddings() -> None:
    sizes = {"hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2}
    sizes["intermediate_size"] = 8
    positions = {"relative_attention": True, "pos_att_type": ["p2c"], "position_buckets": 4}
    deberta = factors_of("deberta-v2", **sizes, **positions)
    assert deberta["encoder.rel_embeddings.weight"] == 0.5**3
    mpnet = factors_of("mpnet", **sizes)
    assert mpnet["encoder.relative_attention_bias.weight"] == 0.5**3
    assert mpnet["encoder.layer.2.output.dense.weight"] == 1
