"""Model cards: what a saved folder says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from transformers import TrainingArguments

import jiantx as jx
from jiantx.model import saving
from jiantx.model.model_card import model_card
from jiantx.report import MAIN, Report, Score

TASKS = {
    "xnli": {"head": "nli", "languages": ["en", "de"]},
    "ccg": {"head": "ccg", "languages": ["en"]},
}
HEADS = {
    "nli": {"type": "classification", "labels": ["yes", "no"]},
    "ccg": {"type": "token_classification", "labels": [f"tag{i}" for i in range(1363)]},
}


def test_tasks_labels_languages_and_scores() -> None:
    report = Report([Score("xnli", "validation", "sw", MAIN, 61.25, 10)])
    text = model_card("xlm-roberta", TASKS, HEADS, report)
    data = ModelCard(text).data
    assert data.language == ["de", "en", "sw"] and data.library_name == "jiantx"
    assert data.tags == ["jiantx", "classification", "token_classification"]
    assert "| xnli | nli | classification | yes, no | en, de |" in text
    assert "| ccg | ccg | token_classification | 1,363 labels | en |" in text
    assert "## Main scores (validation, 0 to 100)" in text and "61.2" in text
    assert "scores" not in model_card("bert", TASKS, HEADS, None)


def test_a_language_code_is_not_read_as_a_boolean() -> None:
    """Norwegian is `no`, which YAML takes for false."""
    text = model_card("bert", {"xnli": {"head": "nli", "languages": ["no"]}}, HEADS, None)
    assert ModelCard(text).data.language == ["no"]


def test_a_trained_model_is_saved_with_its_scores(
    tmp_path: Path, model_of: Any, tiny_tasks: Any
) -> None:
    task = tiny_tasks["classification"]
    model = model_of([task])
    arguments = TrainingArguments(
        str(tmp_path / "run"), max_steps=1, report_to="none", disable_tqdm=True
    )
    trainer = jx.Trainer(model, arguments, tasks=[task])
    trainer.train()
    score = trainer.evaluate()["eval_score"]
    model.save_pretrained(tmp_path / "saved")
    text = (tmp_path / "saved" / "README.md").read_text()
    assert (
        "| mood | mood | classification | no, perhaps, yes | en |" in text
        and f"{score:.1f}" in text
    )
    again = jx.MultitaskModel.from_pretrained(tmp_path / "saved")
    assert again.config.tasks == {"mood": {"head": "mood", "languages": ["en"]}}


def test_the_card_is_what_is_pushed(
    monkeypatch: pytest.MonkeyPatch, model_of: Any, tiny_tasks: Any, tmp_path: Path
) -> None:
    sent: dict[str, Any] = {}

    class Api:
        def __init__(self, token: Any) -> None:
            sent["token"] = token

        def create_repo(self, repo_id: str, **kwargs: Any) -> Any:
            return type("Url", (), {"repo_id": f"me/{repo_id}"})

        def upload_folder(self, *, folder_path: str, **kwargs: Any) -> str:
            sent.update(kwargs, files={p.name for p in Path(folder_path).iterdir()})
            sent["card"] = (Path(folder_path) / "README.md").read_text()
            return "url"

    monkeypatch.setattr(saving, "HfApi", Api)
    assert model_of([tiny_tasks["tagging"]]).push_to_hub("mine", token="t", create_pr=True) == "url"
    assert sent["repo_id"] == "me/mine" and sent["create_pr"] and sent["token"] == "t"
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json"} <= sent["files"]
    assert "| entities | entities | token_classification | O, B-X | not trained |" in sent["card"]
    sent.clear()
    model_of([tiny_tasks["tagging"]]).save_pretrained(
        tmp_path / "yours", push_to_hub=True, token="t"
    )
    assert (
        sent["repo_id"] == "me/yours"
        and "tokenizer.json" in sent["files"]
        and "| entities |" in sent["card"]
    )
