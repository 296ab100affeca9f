"""Print the table of docs/published.md.

    python -m tests.published
    python -m tests.published --encoder intfloat/multilingual-e5-small --data-root hub

By default the encoder is the 4-bit copy beside the repository, and the data are the slices there.
The exit status is 1 if jiantx differs from the plain computation, or, with --encoder, by more than
0.1 points from what is published.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import jiantx as jx

from .tatoeba import PUBLISHED, LanguageScores, score

SHARED = Path(jx.__file__).resolve().parents[2] / "shared"
UNPACK = SHARED / "models/me5-small/unpack.py"
SLICES = SHARED / "hub-large"
TOLERANCE = 0.1  # points, for the original weights


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    with tempfile.TemporaryDirectory() as folder:
        encoder = options.encoder or unpack(Path(folder) / "me5-small")
        jx.data_root(None if options.data_root == "hub" else options.data_root)
        scores = score(encoder, options.languages)
    print(to_markdown(scores))
    differs = any(abs(row.ours - row.plain) > 1e-9 for row in scores)
    if options.encoder:
        differs = differs or any(abs(row.ours - row.published) > TOLERANCE for row in scores)
    return 1 if differs else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.published",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--encoder", help="a folder or an id on the Hub (default: the copy)")
    parser.add_argument("--data-root", default=str(SLICES), help="a folder, or hub")
    parser.add_argument("--languages", nargs="+", default=list(PUBLISHED), choices=PUBLISHED)
    return parser.parse_args(arguments)


def unpack(folder: Path) -> str:
    """Write the 4-bit copy of multilingual-e5-small, in float16."""
    if not UNPACK.exists():
        sys.exit(f"{UNPACK} is not here. Give --encoder.")
    subprocess.run([sys.executable, str(UNPACK), str(folder)], check=True, capture_output=True)
    return str(folder)


def to_markdown(scores: Sequence[LanguageScores]) -> str:
    """A line per language, and the mean."""
    columns = ("published", "ours", "plain")
    table = []
    for row in scores:
        accuracies = [f"{getattr(row, column):.1f}" for column in columns]
        table.append([row.language, *accuracies, f"{row.ours - row.published:+.1f}"])
    means = [fmean(getattr(row, column) for row in scores) for column in columns]
    mean_cells = [f"{mean:.1f}" for mean in means]
    table.append(["**mean**", *mean_cells, f"{means[1] - means[0]:+.1f}"])
    header = ["language", "published", "jiantx", "transformers and numpy", "difference"]
    return jx.report.markdown_table(header, table)


if __name__ == "__main__":
    sys.exit(main())
