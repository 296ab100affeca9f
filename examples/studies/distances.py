"""How far languages are from English: a table, URIEL through lang2vec, or the artificial world."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jiantx import synthetic

TABLE = str(Path(__file__).with_name("distances.csv"))
URIEL_FEATURES = {  # kind of distance -> lang2vec's name of the features
    "syntactic": "syntax_knn",
    "phonological": "phonology_knn",
    "inventory": "inventory_knn",
    "genetic": "fam",
}
Distances = dict[str, dict[str, float]]  # language -> kind -> distance


def distances(source: str, languages: Sequence[str]) -> Distances:
    """Return the distances from English, and print which languages have none.

    Args:
        source: The file of a table such as `distances.csv`, "lang2vec" (URIEL) or "world" (measured
            on the artificial world).
        languages: Codes of the languages.

    Returns:
        The distances of each kind, by language, without the languages that have none.
    """
    if source == "world":
        known = _from_world(languages)
    elif source == "lang2vec":
        known = _from_lang2vec(languages)
    else:
        known = _from_table(source)
    missing = [language for language in languages if language not in known]
    print(f"No distance in {source}, and left out: {', '.join(missing) or 'none'}")
    return {language: known[language] for language in languages if language in known}


def _from_world(languages: Sequence[str]) -> Distances:
    known = {}
    for code in languages:
        if code in synthetic.LANGUAGES:
            by_kind = synthetic.distance(synthetic.LANGUAGES[code])
            # The first kind is the one that the study draws.
            known[code] = {"overall": by_kind.pop("overall"), **by_kind}
    return known


def _from_table(path: str) -> Distances:
    lines = [line for line in Path(path).read_text().splitlines() if line[0] != "#"]
    kinds = lines[0].split(",")[1:]
    known = {}
    for line in lines[1:]:
        language, *values = line.split(",")
        known[language] = dict(zip(kinds, map(float, values), strict=True))
    return known


def _from_lang2vec(languages: Sequence[str]) -> Distances:
    """Return cosine distances of URIEL's vectors (Littell et al. 2017).

    A language that has no feature, or no relative, has distance 1.
    """
    from lang2vec.lang2vec import get_features  # type: ignore[import-not-found, unused-ignore]

    known: Distances = {language: {} for language in languages}
    for kind, features in URIEL_FEATURES.items():
        vectors = get_features(["en", *languages], features)
        english = np.array(vectors["en"], float)
        for language in languages:
            vector = np.array(vectors[language], float)
            norms = np.linalg.norm(english) * np.linalg.norm(vector)
            known[language][kind] = float(1 - english @ vector / norms) if norms else 1.0
    return known
