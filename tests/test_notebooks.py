"""The notebooks run from top to bottom, and what they keep came from the cells that they show."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "docs" / "start"
# Before the first cell: a small world, and short trainings. Here it counts that all cells run.
SHORT = """
from transformers import TrainingArguments
from jiantx.synthetic import pretraining

pretraining.SIZES = {"train_examples": 48, "eval_examples": 12, "text_lines": 3000}
checked = TrainingArguments.__post_init__

def with_few_steps(arguments):
    arguments.max_steps = min(arguments.max_steps, 4)
    checked(arguments)

TrainingArguments.__post_init__ = with_few_steps
"""


def notebook(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["first_hour", "papers_table"])
def test_all_cells_run(name, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("JIANTX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FOLDER.parents[1])]))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    book = notebook(name)
    book.cells.insert(0, nbformat.v4.new_code_cell(SHORT))
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    kinds = {output.output_type for cell in book.cells for output in cell.get("outputs", [])}
    assert "execute_result" in kinds
    assert "error" not in kinds


@pytest.mark.parametrize("name", ["first_hour", "papers_table"])
def test_what_it_keeps_is_whole(name) -> None:
    code = [cell for cell in notebook(name).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not any(output.get("name") == "stderr" for output in outputs)
