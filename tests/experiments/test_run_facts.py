"""What a page says of the run comes from what its stages noted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from recipe_fixtures import score

import jiantx as jx
from jiantx.experiments.run_facts import data_table, describe_run

INTERMEDIATE = {"max_steps": 150, "per_device_train_batch_size": 16, "learning_rate": 1e-5}
TARGET = {"num_train_epochs": 3, "per_device_train_batch_size": 8, "max_steps": -1}


def stage(arguments: Any, seconds: float, **noted: Any) -> dict[str, Any]:
    inputs = {
        "encoder": "xlm-r-1234",
        "data_root": "None",
        "version": "0.1.0",
        "trained": [["mnli", "en", 256, "hash"]],
        "arguments": arguments,
    }
    return {"name": "stage", "inputs": inputs, "seconds": seconds, **noted}


def test_facts_of_a_run() -> None:
    software = {"jiantx": "0.2.0", "torch": "2.13.0"}
    stages = [
        stage(INTERMEDIATE, 3700, finished="2026-11-29T22:00:00+00:00", software=software),
        stage([TARGET], 61.4, finished="2026-11-29T23:05:00+00:00", software=software),
    ]
    report = jx.Report([score("none", 1, 70.0)])
    targets = [jx.get_task("xnli")]
    facts = dict(describe_run(stages, report, "python program.py", None, targets))
    assert facts == {
        "Command": "`python program.py`",
        "Time": "2026-11-29 23:05 UTC; 2 stages took 1 h 2 min in all",
        "Encoder": "`xlm-r-1234`",
        "Data": "the Hugging Face Hub",
        "Intermediate training": "mnli: 150 steps of 16 examples per device, learning rate 1e-05",
        "Fine-tuning": "mnli: 3 epochs of 8 examples per device",
        "Seeds": "1: 1",
        "Versions": "jiantx 0.2.0, torch 2.13.0",
    }


def test_data_and_processes_of_a_run(tmp_path: Path) -> None:
    task = jx.Classification(
        "mine", jx.Csv({"train": [tmp_path / "a.csv"]}, split={"train": "80%"})
    )
    report = jx.Report([score("none", 1, 70.0, "mine")])
    stages = [stage(INTERMEDIATE, 1, processes=8), stage([TARGET], 1)]
    facts = dict(describe_run(stages, report, "python", None, [task]))
    assert "Data" not in facts, "the data root has none of these rows"
    assert "1 and 8: batches are larger with more processes" in facts["Processes"]
    assert data_table(report, [task], "validation").rows[0][1] == str(tmp_path / "a.csv")
    mixed = jx.Report([score("mnli", 1, 70.0, "mine")])
    assert "Data" in dict(describe_run(stages[:1], mixed, "python", None, [task]))
    facts = dict(describe_run(stages[:1], mixed, "python", None, [task]))
    assert facts["Processes"] == "8 in each training"


def test_stages_of_an_earlier_version_lack_what_they_did_not_note() -> None:
    facts = dict(describe_run([stage(INTERMEDIATE, 61.4)], jx.Report(), "python"))
    assert facts["Time"] == "1 stage took 1 min 1 s in all"
    assert facts["Versions"] == "jiantx 0.1.0" and "Seeds" not in facts


def test_the_size_of_the_encoder_is_read_from_its_config(encoder_folder: Any) -> None:
    facts = dict(describe_run([], jx.Report(), "python", encoder_folder()))
    assert "parameters without embeddings" in facts["Encoder"] and "layers" in facts["Encoder"]
    missing = dict(describe_run([], jx.Report(), "python", "no/such-encoder-here"))
    assert missing["Encoder"] == "`no/such-encoder-here`"


def test_the_data_of_each_target(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"train": [{"text": "a", "label": "x"}], "validation": [{"text": "b", "label": "x"}]}
    task = jx.Classification(name="mine", source=jx.Rows(rows), labels=("x", "y"))
    report = jx.Report([score("none", 1, 70.0, "mine", examples=1500)])
    table = data_table(report, [task], "validation")
    assert table.rows == [["mine", "Rows", "mine", "1: en", "1,500"]]
    assert data_table(report, [task], "test").rows == []
    jx.data_root(None)
    hub = jx.Hub("org/data", revision="abcdef1234567890")
    on_hub = task.replace(source=hub, train_on=("mnli",))
    monkeypatch.setattr("jiantx.experiments.run_facts.training_tasks", lambda target: ())
    read_from = data_table(report, [on_hub], "validation").rows[0][1:3]
    assert read_from == ["org/data at abcdef123456", "nothing"]
