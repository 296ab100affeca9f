"""Print the tables of docs/parity.md; the exit status is 1 if a figure differs.

    python -m tests.parity
    python -m tests.parity --data-root my/mirror --output parity.md

The gold is that of a data root: real slices beside the repository by default, and the artificial
world of `jiantx.synthetic` if there are none. pip fetches the versions of seqeval that are missing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jiantx as jx

from .gold import REAL_SLICES, write_artificial_root
from .seqeval_versions import DEFAULT_FOLDER, NEW, OLD, fetch
from .table import tables


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    seqeval_folders: dict[str, Path | None] = {}
    for version in (OLD, NEW):
        seqeval_folders[version] = fetch(options.seqeval_dir, version)
    with tempfile.TemporaryDirectory() as folder:
        if options.data_root.is_dir():
            root = options.data_root
            gold = "Gold: slices of the real data sets."
            if root != REAL_SLICES:
                gold = f"Gold: the data root {root}."
        else:
            root = write_artificial_root(Path(folder) / "root")
            gold = "Gold: artificial, by `jiantx.synthetic`."
        jx.data_root(root)
        markdown, differing_count = tables(seqeval_folders)
    page = f"{gold}\n\n{markdown}"
    print(page)
    if options.output:
        options.output.write_text(page + "\n", encoding="utf-8")
    return 1 if differing_count else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.parity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data-root", type=Path, default=REAL_SLICES, help="as jiantx.data_root")
    parser.add_argument("--output", type=Path, help="a file for the tables")
    parser.add_argument(
        "--seqeval-dir",
        type=Path,
        default=DEFAULT_FOLDER,
        help="where both versions of seqeval are, or are downloaded to",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
