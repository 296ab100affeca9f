"""The encoder that the package ships: its folder, what it was made of, and its card."""

from __future__ import annotations

import hashlib
import itertools
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from jiantx.checkpoints import find_problem, write_json
from jiantx.synthetic.languages import LANGUAGES, lexicon
from jiantx.synthetic.published_files import plain_text

SHIPPED_ENCODER = Path(__file__).parent / "synthetic-encoder"
RECORD = "pretraining.json"  # what an encoder was made of
_WEIGHTS = "model.safetensors"
_HASHED_LINES = 100  # of each language
_CARD = """\
---
license: apache-2.0
library_name: transformers
pipeline_tag: fill-mask
tags:
- jiantx
---
# The encoder of jiantx's artificial world

A small XLM-R, pretrained by masked language modelling on the artificial world of
`jiantx.synthetic`. `jiantx.default_encoder()` returns its folder. It knows six artificial languages
that borrow the codes of real ones, and nothing of any real language except plain English words.

| | |
|---|---|
| Layers, hidden size | {layers}, {hidden} |
| Vocabulary | {vocab_size} pieces |
| Pretraining | {steps} steps of {batch_size} lines, {mask_percent} % of the tokens masked |
| Languages of the text | {languages} |
| Weights | stored in float16, loaded in float32 |
| Accuracy at masked tokens of the validation text | {accuracies} |
| SHA-256 of the weights | `{sha256}` |
| Made | {date}, in {minutes} minutes of CPU time |
| Versions | {versions} |

What made it, in the repository:

    {command}

`pretraining.json` has all settings, and a hash of the world's text. On another processor the
command gives an encoder of the same kind, whose weights differ in their last digits and then more.
"""


def check_shipped_encoder() -> Path:
    """Return the folder of the shipped encoder.

    Raises:
        RuntimeError: Files are missing or damaged.
    """
    problem = find_problem(SHIPPED_ENCODER)
    if problem is not None:
        raise RuntimeError(
            f"The encoder in {SHIPPED_ENCODER} is damaged: {problem}. Install jiantx again, or "
            "run `make encoder` in its repository."
        )
    return SHIPPED_ENCODER


def world_hash() -> str:
    """Hash the lexicons and the first lines of the text, on which the encoder was pretrained.

    Returns:
        16 hexadecimal digits. An encoder whose record has others belongs to another world.
    """
    digest = hashlib.sha256()
    for language in LANGUAGES.values():
        digest.update(json.dumps(lexicon(language.code)).encode())
        for line in itertools.islice(plain_text(language, 0, "train"), _HASHED_LINES):
            digest.update(line.encode())
    return digest.hexdigest()[:16]


def store_in_half(folder: Path) -> None:
    """Round the weights of a checkpoint to float16, which halves its file.

    The config still says float32, in which transformers loads them.

    Args:
        folder: Of the checkpoint.

    Raises:
        ValueError: A weight is too large for float16 or no number.
    """
    path = folder / _WEIGHTS
    rounded = {}
    for name, weight in load_file(path).items():
        rounded[name] = weight.to(torch.float16)
        if not rounded[name].isfinite().all():
            raise ValueError(f"{name} in {path} has values that float16 cannot hold.")
    save_file(rounded, path, metadata={"format": "pt"})


def write_record(
    folder: Path, settings: Mapping[str, Any], measured: Mapping[str, Any], command: str
) -> None:
    """Write what an encoder was made of, and its card.

    Args:
        folder: Of the encoder.
        settings: `hidden`, `layers`, `languages`, `mask_share` and the `arguments` of the training.
        measured: `accuracy` by language, in percent, and the `cpu_minutes` that it took.
        command: What made it.
    """
    names = ("torch", "transformers", "tokenizers", "sentencepiece")
    versions = {"python": platform.python_version()} | {name: version(name) for name in names}
    sha256 = hashlib.sha256((folder / _WEIGHTS).read_bytes()).hexdigest()
    date = datetime.now(UTC).date().isoformat()
    record = {
        "world": world_hash(),
        "command": command,
        "settings": dict(settings),
        "measured": dict(measured),
        "versions": versions,
        "weights_sha256": sha256,
        "date": date,
    }
    write_json(folder / RECORD, record)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    arguments = settings["arguments"]
    accuracies = [f"{code} {value:.1f}" for code, value in measured["accuracy"].items()]
    card = _CARD.format(
        layers=settings["layers"],
        hidden=settings["hidden"],
        vocab_size=config["vocab_size"],
        steps=arguments["max_steps"],
        batch_size=arguments["per_device_train_batch_size"],
        mask_percent=round(100 * settings["mask_share"]),
        languages=", ".join(settings["languages"]),
        accuracies=", ".join(accuracies),
        sha256=sha256,
        date=date,
        minutes=measured["cpu_minutes"],
        versions=", ".join(f"{name} {number}" for name, number in versions.items()),
        command=command,
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
