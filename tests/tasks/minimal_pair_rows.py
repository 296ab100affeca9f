"""Artificial rows in the form of the published minimal pairs, for tests without the real ones."""

from __future__ import annotations

from pathlib import Path

from datasets import Dataset

from jiantx.tasks.minimal_pairs import BLIMP

CONFIG = """- config_name: {name}
  data_files:
  - split: train
    path: {name}/train.parquet
"""


def write_minimal_pairs(root: Path) -> None:
    """Write `nyu-mll/blimp` with two pairs a paradigm, and `jumelet/multiblimp` in two languages.

    Args:
        root: The data root.
    """
    subjects = ("cat", "dog")
    pairs = [(f"The {noun} sees me.", f"The {noun} see me.") for noun in subjects]
    for name in BLIMP:
        rows = [
            {"sentence_good": good, "sentence_bad": bad, "field": "morphology", "UID": name}
            for good, bad in pairs
        ]
        _write(root / "nyu-mll" / "blimp", name, rows)
    for name in ("eng", "deu"):
        _write(
            root / "jumelet" / "multiblimp",
            name,
            [{"sen": good, "wrong_sen": bad, "phenomenon": "SV-#"} for good, bad in pairs],
        )
    for folder in (root / "nyu-mll" / "blimp", root / "jumelet" / "multiblimp"):
        names = sorted(path.name for path in folder.iterdir())
        configs = "".join(CONFIG.format(name=name) for name in names)
        (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")


def _write(repository: Path, config: str, rows: list[dict[str, str]]) -> None:
    folder = repository / config
    folder.mkdir(parents=True)
    Dataset.from_list(rows).to_parquet(str(folder / "train.parquet"))
