"""How far languages are from English: a table, URIEL through lang2vec, or the artificial world's own measure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jiantx import synthetic

URIEL = {
    "syntactic": "syntax_knn",
    "phonological": "phonology_knn",
    "inventory": "inventory_knn",
    "genetic": "fam",
}
TABLE = str(Path(__file__).with_name("distances.csv"))
Distances = dict[str, dict[str, float]]  # language -> kind -> distance


def distances(source: str, codes: Sequence[str]) -> Distances:
    """From a table's file, "lang2vec" or "world", of the languages that have one; the others are named."""
    if source == "world":  # measured on its lexicon and its sentences; what is first is drawn
        world = synthetic.LANGUAGES
        measured = {code: synthetic.distance(world[code]) for code in codes if code in world}
        known = {code: {"overall": found["overall"], **found} for code, found in measured.items()}
    elif source == "lang2vec":
        known = from_lang2vec(codes)
    else:
        header, *lines = [
            line.split(",") for line in Path(source).read_text().splitlines() if line[0] != "#"
        ]
        known = {
            line[0]: dict(zip(header[1:], map(float, line[1:]), strict=True)) for line in lines
        }
    print(
        f"No distance in {source}, and left out: {', '.join(code for code in codes if code not in known) or 'none'}"
    )
    return {code: known[code] for code in codes if code in known}


def from_lang2vec(codes: Sequence[str]) -> Distances:
    """Cosine distances of URIEL's vectors (Littell et al. 2017); 1 for a language without relatives."""
    from lang2vec.lang2vec import get_features  # type: ignore[import-not-found, unused-ignore]

    found: Distances = {code: {} for code in codes}
    for kind, name in URIEL.items():
        vectors = {
            code: np.array(vector, float)
            for code, vector in get_features(["en", *codes], name).items()
        }
        for code in codes:
            norms = np.linalg.norm(vectors["en"]) * np.linalg.norm(vectors[code])
            found[code][kind] = float(1 - vectors["en"] @ vectors[code] / norms) if norms else 1.0
    return found
