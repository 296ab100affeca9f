"""The whole data root: all tables and files, written once, complete or not at all."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tqdm.auto import tqdm

from jiantx.progress_bars import are_bars_hidden
from jiantx.sources.base import ARTIFICIAL_WORLD as MANIFEST
from jiantx.synthetic.hub_datasets import (
    EVALUATION,
    TABLES,
    TRAIN,
    write_dataset_cards,
    write_table,
)
from jiantx.synthetic.languages import LANGUAGES
from jiantx.synthetic.published_files import (
    write_bucc_files,
    write_mewslix_files,
    write_plain_text,
    write_squad_files,
)
from jiantx.synthetic.treebanks import write_treebanks

# In the name of `default_root`'s folder: raise it with every change of what is written.
VERSION = "2"


def write_root(
    path: Path | str,
    *,
    seed: int = 0,
    train_examples: int = 6000,
    eval_examples: int = 200,
    text_lines: int = 40000,
) -> Path:
    """Write a data root: the files of all built-in tasks, as `jiantx.data_root` reads them.

    The folder is written beside `path` and renamed when it is complete. So a killed run leaves
    nothing that looks finished, and several runs may write the same root at once. A root that is
    complete already is left as it is.

    Args:
        path: The folder to write.
        seed: The same arguments write the same files; another seed writes other rows.
        train_examples: Rows of a training split. Languages other than English have a quarter of
            them, translations of the first English rows, if the task has training rows in them.
        eval_examples: Rows of a validation or test split.
        text_lines: Lines of plain text over all languages. Each language has the same number, and
            they are not parallel.

    Returns:
        `path`.

    Raises:
        FileExistsError: If `path` holds anything else than this complete root.
        ValueError: `path` is the working directory, which cannot be replaced by another folder.
    """
    path = Path(path)
    sizes = {TRAIN: train_examples, EVALUATION: eval_examples}
    manifest = {"version": VERSION, "seed": seed, **sizes, "text_lines": text_lines}
    if _is_complete(path, manifest):
        return path
    if path.absolute() == Path.cwd():
        raise ValueError(
            f"{str(path)!r} is the working directory, and the root is a new folder. Name one."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        draft = Path(folder) / path.name
        draft.mkdir()
        writers = _writers(draft, seed, sizes, text_lines)
        label = f"writing the artificial world to {path}, once"
        for write in tqdm(writers, desc=label, unit="part", disable=are_bars_hidden()):
            write()
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        try:
            draft.rename(path)
        except OSError:  # another process was faster
            if not _is_complete(path, manifest):
                raise
    return path


def _writers(
    root: Path, seed: int, sizes: Mapping[str, int], text_lines: int
) -> list[Callable[[], None]]:
    """Return the functions that write the root's files, in their order."""
    writers: list[Callable[[], None]] = []
    for table in TABLES:
        writers.append(partial(write_table, root, table, seed, sizes))
    for language in LANGUAGES.values():
        lines = text_lines // len(LANGUAGES)
        writers.append(partial(write_plain_text, root, language, seed, lines))
    for write in (write_treebanks, write_squad_files, write_bucc_files, write_mewslix_files):
        writers.append(partial(write, root, seed, sizes))
    writers.append(partial(write_dataset_cards, root))  # hashes what the tables wrote
    return writers


def _is_complete(path: Path, manifest: Mapping[str, object]) -> bool:
    """Return whether `path` holds the root of this manifest; raise if it holds anything else."""
    if not path.exists() or not any(path.iterdir()):
        return False
    manifest_file = path / MANIFEST
    existing = json.loads(manifest_file.read_text()) if manifest_file.exists() else "no manifest"
    if existing != manifest:
        raise FileExistsError(
            f"{path} holds something else: found {existing}, expected {manifest}. "
            "Remove it or choose another path."
        )
    return True
