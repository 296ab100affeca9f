"""Probes: each head by itself, over states that are computed once."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from conftest import EncoderFolder, ModelOf
from test_trainer import arguments

import jiantx as jx
from jiantx.model.hidden_states import hidden_states
from jiantx.report import layer_weights
from jiantx.report.scores import LAYER_WEIGHT


@pytest.fixture(autouse=True)
def _own_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIANTX_CACHE", str(tmp_path / "cache"))


def probed(encoder: Any, tasks: Any, folder: Path, **options: Any) -> tuple[jx.Report, int]:
    """The report of a probe, and how many batches the encoder encoded."""
    changes = {"max_steps": 4, "seed": 5} | options.pop("changes", {})
    with patch("jiantx.model.model.hidden_states", wraps=hidden_states) as encode:
        report = jx.probe(encoder, tasks, arguments(folder, **changes), **options)
    return report, encode.call_count


def values(report: jx.Report) -> dict[tuple[str, str, str], float]:
    return {(s.task, s.language, s.metric): s.value for s in report}


@pytest.mark.slow
def test_stored_or_not_the_numbers_are_the_same(
    encoder_folder: EncoderFolder, tiny_tasks, tmp_path: Path
) -> None:
    tasks = [tiny_tasks[kind] for kind in ("classification", "tagging")]
    stored, _ = probed(encoder_folder(), tasks, tmp_path)
    direct, encoded = probed(encoder_folder(), tasks, tmp_path, store=None)
    assert values(stored) == pytest.approx(values(direct), abs=1e-5) and encoded > 8
    assert {score.tags["layers"] for score in stored} == {"0-2"}
    for weights in layer_weights(stored).values():
        assert sum(weights.values()) == pytest.approx(1) and weights[0] != weights[1]


@pytest.mark.slow
def test_ten_probes_encode_each_text_once(
    encoder_folder: EncoderFolder, tiny_tasks, tmp_path: Path
) -> None:
    """Of one task or of several over the same texts, for any layers, in any number of epochs."""
    task = tiny_tasks["tagging"]
    tasks = [task.replace(name=f"tags{i}") for i in range(10)]
    texts = len({tuple(tokens) for tokens in task.rows("train")["tokens"]})
    report, encoded = probed(encoder_folder(), tasks, tmp_path, changes={"max_steps": 3})
    assert encoded == -(-texts // 8)  # per_device_eval_batch_size
    assert len(report.mean(by="task")) == 10
    for layers in ([1], range(2)):
        _, encoded = probed(encoder_folder(), tasks[:1], tmp_path, layers=layers)
        assert encoded == 0


@pytest.mark.slow
def test_spans_are_probed_over_stored_states(encoder_folder: EncoderFolder, tmp_path: Path) -> None:
    """Edge probing runs the encoder once per text, and not at each step."""
    rows = [
        {"text": text, "span1": [0, 1], "label": label}
        for text, label in [("the cat sat", "a"), ("a dog", "b"), ("the dog ran", "a")]
    ]
    task = jx.SpanClassification(
        name="roles", source=jx.Rows({"train": rows, "validation": rows}), labels=("a", "b")
    )
    stored, encoded = probed(encoder_folder(), task, tmp_path)
    assert encoded == 1
    direct, _ = probed(encoder_folder(), task, tmp_path, store=None)
    assert values(stored) == pytest.approx(values(direct), abs=1e-5)


@pytest.mark.slow
def test_a_probe_does_not_depend_on_other_tasks(
    encoder_folder: EncoderFolder, tiny_tasks, tmp_path: Path
) -> None:
    tasks = [tiny_tasks[kind] for kind in ("regression", "classification")]
    together, _ = probed(encoder_folder(), tasks, tmp_path)
    alone, _ = probed(encoder_folder(), tasks[1], tmp_path, languages=["de"])
    expected = values(together.where(task="mood", language="de"))
    assert values(alone) == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_a_model_in_memory_stays_as_it_is(model_of: ModelOf, tiny_tasks, tmp_path: Path) -> None:
    task = tiny_tasks["classification"]
    model = model_of([tiny_tasks["tagging"]])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    report, _ = probed(model, task, tmp_path, layers=[1])
    assert {score.tags["layers"] for score in report} == {"1"}
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.train().encoder.training and model.stored_states is None


@pytest.mark.parametrize("mode", [True, False])
def test_the_mode_of_a_model_in_memory_stays(
    mode: bool, model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    model = model_of([tiny_tasks["tagging"]]).train(mode)
    probed(model, tiny_tasks["classification"], tmp_path, layers=[1])
    assert model.training == mode and model.encoder.training == mode


def test_probes_that_had_finished_are_told_if_another_fails(
    encoder_folder: EncoderFolder, tiny_tasks, tmp_path: Path
) -> None:
    """And a bad row of a scored split is found before any training."""
    task = tiny_tasks["classification"]
    other = tiny_tasks["tagging"]

    def fails(*args: Any) -> Any:
        return torch.tensor(math.nan, requires_grad=True).expand(args[0].shape[0])

    with pytest.raises(FloatingPointError) as caught:
        probed(encoder_folder(), [task, other], tmp_path, losses={other.name: fails})
    note = caught.value.__notes__[-1]
    assert note.startswith("Probes that had finished:") and f"| {task.name} |" in note
    rows = [*task.rows("validation", "en"), {"text": "a", "label": "nobody's"}]
    source = jx.Rows({"train": task.rows("train", "en"), "validation": rows})
    bad = task.replace(name="bad", source=source)
    folder = tmp_path / "second"
    with pytest.raises(jx.DataError, match="Unknown label"):
        probed(encoder_folder(), [task, bad], folder, store=None)
    assert not folder.exists()


@pytest.mark.slow
def test_a_head_is_trained_on_the_tasks_that_train_it(
    encoder_folder: EncoderFolder, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["classification"]
    german = {"validation": {"de": task.rows("validation", "de")}}
    target = task.replace(name="other_mood", head="mood", source=jx.Rows(german))
    with pytest.raises(jx.DataError, match="A probe of other_mood has nothing to train on"):
        probed(encoder_folder(), target, tmp_path)
    with pytest.raises(ValueError, match="'own' is to be trained on mnli, which has another head"):
        probed(encoder_folder(), target.replace(head="own", train_on=("mnli",)), tmp_path)
    report, _ = probed(encoder_folder(), [task, target], tmp_path, max_examples=8)
    by_task = {
        name: values(report.where(task=name, language="de")) for name in ("mood", "other_mood")
    }
    assert [*by_task["mood"].values()] == [*by_task["other_mood"].values()]


def test_masked_lm_is_encoded_as_it_is_masked(
    encoder_folder: EncoderFolder, tiny_tasks, tmp_path: Path
) -> None:
    task = tiny_tasks["mlm"]
    report, encoded = probed(encoder_folder(), task, tmp_path, languages=["en"])
    assert encoded >= 4 and report.where(metric=f"{LAYER_WEIGHT}2")


@pytest.mark.parametrize("languages", [["en", "ge"], "deu"])
def test_a_misspelt_language_is_refused_before_training(
    languages: Any, model_of: ModelOf, tiny_tasks, tmp_path: Path
) -> None:
    model = model_of([tiny_tasks["tagging"]])
    with pytest.raises(jx.DataError, match=r"language(s|\(s\)) (ge|deu)"):
        jx.probe(model, tiny_tasks["tagging"], arguments(tmp_path), languages=languages)
    assert not list(tmp_path.iterdir())


def test_noise_at_the_embeddings_is_refused(
    encoder_folder: EncoderFolder, tiny_tasks, tmp_path: Path
) -> None:
    changes = {"neftune_noise_alpha": 5.0}
    with pytest.raises(ValueError, match=r"neftune_noise_alpha=5\.0\) adds noise"):
        probed(encoder_folder(), tiny_tasks["tagging"], tmp_path, changes=changes)


def test_a_loss_of_a_probe(encoder_folder: EncoderFolder, tiny_tasks, tmp_path: Path) -> None:
    task = tiny_tasks["classification"]
    encoder = encoder_folder()
    plain, _ = probed(encoder, task, tmp_path)
    focal, _ = probed(encoder, task, tmp_path, losses={task.name: jx.FocalLoss(gamma=2.0)})
    layers = [name for _, _, name in values(plain) if name.startswith(LAYER_WEIGHT)]
    key = (task.name, "en", layers[0])
    assert values(plain)[key] != values(focal)[key]
    with pytest.raises(ValueError, match="losses names 'moody', and the trained tasks are"):
        probed(encoder, task, tmp_path, losses={"moody": jx.FocalLoss(gamma=2.0)})
