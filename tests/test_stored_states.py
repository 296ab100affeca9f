"""States of a frozen encoder on disk: the encoder's own numbers, whole files, each text once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ModelOf, batch_of
from test_trainer import said  # noqa: F401

import jiantx as jx
from jiantx.features import load_features
from jiantx.stored_states import StoredStates


@pytest.fixture(autouse=True)
def states_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JIANTX_CACHE", str(tmp_path))
    return tmp_path / "states"


def frozen(model_of: ModelOf, task: jx.Task, family: str = "xlm-r", **changes: Any) -> Any:
    return model_of([task], family, **changes).freeze_encoder()


def stored_of(model: Any, task: jx.Task, **options: Any) -> StoredStates:
    stored = StoredStates(model, **options)
    stored.add(model, [load_features(task, "train", "en", model.tokenizer).table], batch_size=5)
    return stored


def calls_of(model: Any) -> list[int]:
    """One entry for each pass of the encoder from now on."""
    calls: list[int] = []
    first_layer = model.encoder.encoder.layer[0]
    first_layer.register_forward_hook(lambda *_: calls.append(1))
    return calls


@pytest.mark.parametrize("family", ["xlm-r", "bert", "albert", "deberta-v2", "t5"])
@pytest.mark.parametrize("layers", [(0, 1, 2), (None,), (2, 0)])
def test_stored_states_are_those_of_the_encoder(
    family: str, layers: tuple[int | None, ...], model_of: ModelOf, tiny_tasks
) -> None:
    """Padded and flat, with segments and without, whatever the batches."""
    task = tiny_tasks["pair"]
    model = frozen(model_of, task, family)
    batch = batch_of(task, model.tokenizer, [3, 0, 7])
    expected = model.states(**batch, layers=layers)
    model.stored_states = stored_of(model, task)
    for actual, wanted in zip(model.states(**batch, layers=layers), expected, strict=True):
        torch.testing.assert_close(actual, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["qa", "choice", "retrieval"])
def test_features_of_several_sequences(kind: str, model_of: ModelOf, tiny_tasks) -> None:
    task = tiny_tasks[kind]
    model = frozen(model_of, task)
    batch = batch_of(task, model.tokenizer, slice(6))
    expected = model(**batch).outputs
    calls = calls_of(model)
    model.stored_states = stored_of(model, task)
    assert calls
    calls.clear()
    for name, values in model(**batch).outputs.items():
        torch.testing.assert_close(values, expected[name], atol=1e-5, rtol=0)
    assert not calls


def test_each_text_is_stored_once(model_of: ModelOf, tiny_tasks, states_folder: Path) -> None:
    task = tiny_tasks["classification"]
    model = frozen(model_of, task)
    stored = stored_of(model, task)
    assert len(stored) == len(set(task.rows("train")["text"]))
    size = sum(path.stat().st_size for path in states_folder.iterdir())
    calls = calls_of(model)
    table = load_features(task, "train", "en", model.tokenizer).table
    stored.add(model, [table, table])
    again = stored_of(model, task)
    assert len(again) == len(stored) and not calls
    assert sum(path.stat().st_size for path in states_folder.iterdir()) == size
    half = stored_of(model, task, dtype="float16")
    assert sum(path.stat().st_size for path in states_folder.iterdir()) == 1.5 * size
    batch = batch_of(task, model.tokenizer)
    (expected,) = model.states(**batch)
    model.stored_states = half
    (actual,) = model.states(**batch)
    assert actual.dtype == torch.float32 and 0 < (actual - expected).abs().max() < 1e-2


def test_a_text_that_is_not_stored_is_encoded(model_of: ModelOf, tiny_tasks) -> None:
    task = tiny_tasks["classification"]
    model = frozen(model_of, task)
    expected = jx.predict(model, task, ["the river", "a dog sees"])
    model.stored_states = stored_of(model, task)
    calls = calls_of(model)
    assert jx.predict(model, task, ["the river", "a dog sees"]) == expected
    assert calls


def test_a_file_that_was_cut_is_written_again(
    model_of: ModelOf, tiny_tasks, states_folder: Path
) -> None:
    task = tiny_tasks["classification"]
    model = frozen(model_of, task)
    stored_of(model, task)
    (path,) = states_folder.iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:-8])
    stored_of(model, task)
    assert path.read_bytes() == content and [*states_folder.iterdir()] == [path]


def test_an_error_leaves_no_file(
    model_of: ModelOf, tiny_tasks, states_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny_tasks["classification"]
    model = frozen(model_of, task)
    encode = model.states
    batches: list[int] = []

    def fail_at_the_third(**batch: Any) -> Any:
        batches.append(1)
        if len(batches) == 3:
            raise MemoryError
        return encode(**batch)

    monkeypatch.setattr(model, "states", fail_at_the_third)
    with pytest.raises(MemoryError):
        stored_of(model, task)
    assert not [*states_folder.iterdir()]


def test_the_size_is_said_and_limited(
    model_of: ModelOf,
    tiny_tasks,
    states_folder: Path,
    said: Callable[[], str],  # noqa: F811
) -> None:
    task = tiny_tasks["classification"]
    model = frozen(model_of, task)
    table = load_features(task, "train", "en", model.tokenizer).table
    with pytest.raises(
        ValueError, match=r"3 layers of 32 numbers in float32, .* limit is 1e-06 GB"
    ):
        StoredStates(model).add(model, [table], max_bytes=1000)
    assert not [*states_folder.iterdir()]
    stored_of(model, task)
    (path,) = states_folder.iterdir()
    tokens = path.stat().st_size // (4 * 3 * 32)
    assert f"The states of {tokens:,} tokens in 16 sequences, 3 layers of 32 numbers" in said()


def test_states_of_other_weights_are_not_read(
    model_of: ModelOf,
    tiny_tasks,
    said: Callable[[], str],  # noqa: F811
) -> None:
    task = tiny_tasks["classification"]
    model = frozen(model_of, task)
    model.stored_states = stored_of(model, task)
    batch = batch_of(task, model.tokenizer)
    calls = calls_of(model)
    model.load_state_dict(model.state_dict())  # as when a run resumes
    model.states(**batch)
    assert not calls
    weights = model.encoder.encoder.layer[1].output.dense.weight
    with torch.no_grad():
        weights *= 2
    (changed,) = model.states(**batch)
    assert calls and "those of other weights" in said()
    other = stored_of(model, task)
    assert other.key != model.stored_states.key
    model.stored_states = other
    torch.testing.assert_close(model.states(**batch)[0], changed, atol=1e-5, rtol=0)
    weights.requires_grad_(True)
    calls.clear()
    model.states(**batch)
    assert calls


def test_an_encoder_that_is_trained_has_no_states(model_of: ModelOf, tiny_tasks) -> None:
    with pytest.raises(ValueError, match=r"call\s+model\.freeze_encoder\(\) first"):
        StoredStates(model_of([tiny_tasks["classification"]]))


def test_a_state_that_is_too_large(model_of: ModelOf, tiny_tasks, states_folder: Path) -> None:
    task = tiny_tasks["classification"]
    model = frozen(model_of, task)
    model.encoder.embeddings.LayerNorm.weight.data *= 1e6
    with pytest.raises(ValueError, match=r'which float16 cannot hold\. Store "float32"'):
        stored_of(model, task, dtype="float16")
    assert not [*states_folder.iterdir()]
    assert np.isfinite(stored_of(model, task)._positions.popitem()[1][0]).all()
