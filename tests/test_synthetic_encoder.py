"""The artificial world's encoder: the one that the package ships, and the command that makes it."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

import jiantx as jx
from jiantx.checkpoints import find_problem
from jiantx.synthetic import LANGUAGES, lexicon, pretraining, shipped_encoder
from jiantx.synthetic.published_files import plain_text
from jiantx.synthetic.shipped_encoder import SHIPPED_ENCODER, store_in_half, world_hash

REPOSITORY = Path(__file__).parents[1]
# `make encoder` prints it; the weights change with the world, the settings and the machine.
WEIGHTS_SHA256 = "be16e6039ff39609c68b8417944291af785d699dd82d5728b46921fc7d8e3839"


def record_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "pretraining.json").read_text(encoding="utf-8"))


def lines_of(code: str, count: int) -> list[str]:
    return list(itertools.islice(plain_text(LANGUAGES[code], 0, "validation"), count))


# --- the shipped encoder --------------------------------------------------------------------------


def test_the_default_encoder_is_there_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("JIANTX_CACHE", str(tmp_path))
    monkeypatch.setenv("WORLD_SIZE", "2")  # any number of processes may ask for it
    assert jx.default_encoder() == SHIPPED_ENCODER
    assert jx.default_encoder(hidden=160, max_steps=1500, languages=list(LANGUAGES)) == (
        SHIPPED_ENCODER
    )
    assert not list(tmp_path.iterdir())


def test_the_shipped_files_are_those_that_were_made():
    weights = (SHIPPED_ENCODER / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == WEIGHTS_SHA256
    assert record_of(SHIPPED_ENCODER)["weights_sha256"] == WEIGHTS_SHA256
    assert WEIGHTS_SHA256 in (SHIPPED_ENCODER / "README.md").read_text(encoding="utf-8")
    assert find_problem(SHIPPED_ENCODER, verify="full") is None
    assert len(weights) < 3.5e6


def test_the_shipped_encoder_belongs_to_the_present_world():
    record = record_of(SHIPPED_ENCODER)
    assert record["world"] == world_hash(), "the world has changed, run: make encoder"
    assert record["settings"] == pretraining._settings(), "the settings have changed: make encoder"
    assert record["command"] == "make encoder"


def test_the_shipped_tokenizer_knows_every_word():
    tokenizer = AutoTokenizer.from_pretrained(SHIPPED_ENCODER)
    for code in LANGUAGES:
        lines = lines_of(code, 100)
        input_ids = tokenizer(lines)["input_ids"]
        assert not any(tokenizer.unk_token_id in ids for ids in input_ids), code
        assert tokenizer.batch_decode(input_ids, skip_special_tokens=True) == lines


def test_the_shipped_weights_are_stored_in_half_and_loaded_in_float32(tiny_tasks):
    stored = load_file(SHIPPED_ENCODER / "model.safetensors")
    assert {weight.dtype for weight in stored.values()} == {torch.float16}
    ours = jx.MultitaskModel.from_pretrained(SHIPPED_ENCODER, [tiny_tasks["classification"]])
    plain = AutoModel.from_pretrained(SHIPPED_ENCODER, add_pooling_layer=False)
    for encoder in (ours.encoder, plain):
        for name, weight in encoder.named_parameters():
            assert weight.dtype == torch.float32
            assert torch.equal(weight, stored[f"roberta.{name}"].float()), name


@pytest.mark.slow
def test_the_shipped_encoder_guesses_masked_words_as_well_as_its_record_says():
    text = {code: [{"text": line} for line in lines_of(code, 60)] for code in LANGUAGES}
    task = jx.get_task("mlm").replace(
        source=jx.Rows({"validation": text}), mask_share=pretraining.MASK_SHARE
    )
    model = jx.MultitaskModel.from_pretrained(jx.default_encoder(), [task])
    accuracy = jx.evaluate(model, [task]).mean(by="language")
    recorded = record_of(SHIPPED_ENCODER)["measured"]["accuracy"]
    assert set(accuracy) == set(recorded) == set(LANGUAGES)
    for code in LANGUAGES:  # a fifth of the lines that the record counts
        assert accuracy[code] == pytest.approx(recorded[code], abs=6), code
        assert accuracy[code] > 30


def test_a_damaged_installation_is_refused(tmp_path, monkeypatch):
    damaged = tmp_path / "encoder"
    shutil.copytree(SHIPPED_ENCODER, damaged)
    with open(damaged / "model.safetensors", "ab") as file:
        file.write(b"x")
    monkeypatch.setattr(shipped_encoder, "SHIPPED_ENCODER", damaged)
    with pytest.raises(RuntimeError, match=r"is damaged: model.safetensors has .* bytes"):
        jx.default_encoder()
    shutil.rmtree(damaged)
    with pytest.raises(RuntimeError, match="Install jiantx again"):
        jx.default_encoder()


def test_a_built_package_has_the_encoder(tmp_path):
    pytest.importorskip("setuptools")
    project = tmp_path / "project"
    shutil.copytree(REPOSITORY / "jiantx" / "synthetic", project / "jiantx" / "synthetic")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "jiantx/__init__.py"):
        shutil.copy(REPOSITORY / name, project / name)
    setup = "from setuptools import setup; setup()"
    command = [sys.executable, "-c", setup, "-q", "build_py", "--build-lib", str(tmp_path / "lib")]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    built = tmp_path / "lib" / "jiantx" / "synthetic" / SHIPPED_ENCODER.name
    assert find_problem(built) is None
    assert (built / "README.md").is_file()


# --- making one -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_makes_an_encoder(world, tmp_path, monkeypatch, capsys):
    for name in ("one", "two"):
        arguments = ["pretraining", str(tmp_path / name), "--max-steps", "2"]
        monkeypatch.setattr(sys, "argv", arguments)
        pretraining.main()
    folder = tmp_path / "one"
    assert find_problem(folder) is None
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two"}
    assert "pretraining the artificial world's encoder (160x4)" in capsys.readouterr().err
    record = record_of(folder)
    assert record["settings"]["arguments"]["max_steps"] == 2
    assert "max_steps=2" in record["command"]
    assert set(record["measured"]["accuracy"]) == set(LANGUAGES)
    weights = (folder / "model.safetensors").read_bytes()
    assert weights == (tmp_path / "two" / "model.safetensors").read_bytes()
    assert record["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    shipped = load_file(SHIPPED_ENCODER / "model.safetensors")
    made = load_file(folder / "model.safetensors")
    assert made.keys() == shipped.keys()
    # the small world's vocabulary is smaller, the rest has the shipped encoder's shapes
    for name, weight in made.items():
        assert weight.dtype == torch.float16
        assert weight.shape[1:] == shipped[name].shape[1:]
    tasks = [jx.get_task("udpos")]
    assert jx.MultitaskModel.from_pretrained(folder, tasks).config.encoder.hidden_size == 160


@pytest.mark.slow
def test_another_encoder_is_made_once_and_in_one_process(world, monkeypatch):
    options: dict[str, Any] = {"hidden": 16, "layers": 2, "languages": ["en"], "max_steps": 1}
    with monkeypatch.context() as patch:
        patch.setenv("WORLD_SIZE", "2")
        with pytest.raises(RuntimeError, match="is made in one process"):
            jx.default_encoder(**options)
    folder = jx.default_encoder(**options)
    assert folder != SHIPPED_ENCODER
    assert folder.parent == jx.default_root().parent
    made = record_of(folder)
    assert made["settings"]["languages"] == ["en"]
    assert jx.default_encoder(**options) == folder
    assert record_of(folder) == made


def test_weights_that_do_not_fit_float16_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"small": torch.tensor([0.5]), "large": torch.tensor([1e6])}, path)
    with pytest.raises(ValueError, match=r"large in .* float16 cannot hold"):
        store_in_half(tmp_path)
    assert load_file(path)["small"].dtype == torch.float32


def test_the_hash_of_the_world_sees_its_words(monkeypatch):
    before = world_hash()
    assert before == world_hash()
    changed = dict(lexicon("de"), cook="kokk")
    monkeypatch.setattr(
        shipped_encoder, "lexicon", lambda code: changed if code == "de" else lexicon(code)
    )
    assert world_hash() != before
