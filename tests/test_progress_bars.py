"""`jx.progress(False)` and `disable_tqdm`: no bar of any library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
import transformers

import jiantx as jx
from jiantx.progress_bars import are_bars_hidden

SCRIPT = """
import sys
import jiantx as jx
from transformers import TrainingArguments
from transformers.utils import logging
logging.set_verbosity_error()  # warnings are no bars
rows = [{"text": f"{word} cat", "label": word} for word in ("the", "a")] * 8
source = jx.Rows({"train": rows, "validation": rows})
task = jx.Classification(name="articles", source=source, labels=("the", "a"))
model = jx.MultitaskModel.from_pretrained(sys.argv[1], [task])
def train(disable_tqdm):
    arguments = TrainingArguments(
        "runs", max_steps=2, logging_steps=1, eval_strategy="steps", eval_steps=1,
        report_to="none", use_cpu=True, save_strategy="no", disable_tqdm=disable_tqdm,
    )
    jx.Trainer(model, arguments, tasks=[task]).train()
train(True)
with jx.progress(False):
    train(False)
print("with bars", file=sys.stderr)
train(False)
"""


@pytest.mark.slow
def test_a_training_without_bars_prints_nothing_on_stderr(encoder_folder, tmp_path: Path) -> None:
    environment = {**os.environ, "JIANTX_CACHE": str(tmp_path), "HF_HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(encoder_folder())],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(Path(jx.__file__).parents[1])},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    without_bars, _, with_bars = result.stderr.partition("with bars\n")
    assert without_bars == ""
    assert "training on articles: 100%" in with_bars
    assert result.stdout.count("'eval_score'") == 6, "logs are no bars"


def test_a_block_without_bars_ends(tiny_tasks) -> None:
    shown = transformers.utils.logging.is_progress_bar_enabled()
    datasets_shown = not datasets.are_progress_bars_disabled()
    with jx.progress(True):
        assert transformers.utils.logging.is_progress_bar_enabled()
        with jx.progress(False):
            assert are_bars_hidden() and datasets.are_progress_bars_disabled()
            assert not transformers.utils.logging.is_progress_bar_enabled()
        assert not are_bars_hidden() and not datasets.are_progress_bars_disabled()
    assert transformers.utils.logging.is_progress_bar_enabled() == shown
    assert datasets.are_progress_bars_disabled() != datasets_shown
