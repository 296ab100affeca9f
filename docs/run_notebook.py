"""Run a notebook in an empty folder and keep what it prints (`make notebooks`).

python docs/run_notebook.py docs/start/first_hour.ipynb
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

SECONDS_PER_CELL = 600


def run(path: Path) -> nbformat.NotebookNode:
    """Run all cells of a notebook.

    Args:
        path: The notebook.

    Returns:
        The notebook with its outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=SECONDS_PER_CELL, resources=resources).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of day, which would change at every run
    return notebook


def main() -> None:
    """Run the notebook of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    path = parser.parse_args().path
    nbformat.write(run(path), path)


if __name__ == "__main__":
    main()
