"""Two versions of seqeval, each in a folder and a process of its own."""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from .comparison import Sample

OLD: Literal["0.0.12"] = "0.0.12"  # XTREME's scores rest on it
NEW: Literal["1.2.2"] = "1.2.2"
DEFAULT_FOLDER = Path(tempfile.gettempdir()) / f"jiantx-seqeval-{getpass.getuser()}"
SITE_PACKAGES = Path(sysconfig.get_path("purelib"))

# The process sees one version alone. 0.0.12 needs NumPy only: its Keras callback is not imported.
_PROGRAM = """
import json, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
from seqeval import metrics
assert metrics.__file__.startswith(sys.argv[1]), metrics.__file__

def scores(predictions, references):
    scorers = [metrics.precision_score, metrics.recall_score, metrics.f1_score]
    return [100 * float(scorer(references, predictions)) for scorer in scorers]

scores_of = {}
for data, samples in json.load(sys.stdin).items():
    scores_of[data] = [scores(*sample) for sample in samples]
print(json.dumps(scores_of))
"""


def find(seqeval_folder: Path, version: str) -> Path | None:
    """The folder with this version: below `seqeval_folder`, or this environment's packages."""
    for folder in (seqeval_folder / version, SITE_PACKAGES):
        if (folder / f"seqeval-{version}.dist-info").is_dir():
            return folder
    return None


def fetch(seqeval_folder: Path, version: str) -> Path | None:
    """`find`, and let pip download the version if it is missing; None if that fails."""
    if find(seqeval_folder, version) is None:
        options = ["--quiet", "--disable-pip-version-check", "--no-deps"]
        target = ["--target", str(seqeval_folder / version)]
        command = [sys.executable, "-m", "pip", "install", *options, *target]
        subprocess.run([*command, f"seqeval=={version}"], check=False)
    return find(seqeval_folder, version)


def chunk_scores(
    folder: Path, samples_of: Mapping[str, Sequence[Sample]]
) -> dict[str, list[tuple[float, float, float]]]:
    """Score samples of tags in one process, as importing seqeval takes seconds.

    Args:
        folder: Holds a version of seqeval.
        samples_of: Data -> samples.

    Returns:
        Data -> precision, recall and F1 of each sample.
    """
    process = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(folder)],
        input=json.dumps(samples_of),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(process.stdout)
