"""How far languages are from English: a table, URIEL through lang2vec, or the artificial world.

And what an encoder's tokenizer says of it: how many pieces a word has, and how many of the pieces
of running text are those of English.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from measure import piece_shares, tokens_per_word

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
        by_language = _from_world(languages)
    elif source == "lang2vec":
        by_language = _from_lang2vec(languages)
    else:
        by_language = _from_table(source)
    missing = [language for language in languages if language not in by_language]
    if missing:
        print(f"No distance in {source}, and left out: {', '.join(missing)}")
    return {language: by_language[language] for language in languages if language in by_language}


def _from_world(languages: Sequence[str]) -> Distances:
    by_language = {}
    for code in languages:
        if code in synthetic.LANGUAGES:
            by_kind = synthetic.distance(synthetic.LANGUAGES[code])
            # The first kind is the one that the study draws.
            by_language[code] = {"overall": by_kind.pop("overall"), **by_kind}
    return by_language


def _from_table(path: str) -> Distances:
    lines = [line for line in Path(path).read_text().splitlines() if line[0] != "#"]
    kinds = lines[0].split(",")[1:]
    by_language = {}
    for line in lines[1:]:
        language, *values = line.split(",")
        by_language[language] = dict(zip(kinds, map(float, values), strict=True))
    return by_language


def _from_lang2vec(languages: Sequence[str]) -> Distances:
    """Return distances of URIEL's vectors (Littell et al. 2017).

    All kinds are cosine distances but the geographic one. A language that has no feature, or no
    relative, has distance 1.
    """
    from lang2vec.lang2vec import get_features  # type: ignore[import-not-found, unused-ignore]

    by_language: Distances = {language: {} for language in languages}
    for kind, features in URIEL_FEATURES.items():
        vectors = get_features(["en", *languages], features)
        english = np.array(vectors["en"], float)
        for language in languages:
            vector = np.array(vectors[language], float)
            norms = np.linalg.norm(english) * np.linalg.norm(vector)
            by_language[language][kind] = float(1 - english @ vector / norms) if norms else 1.0
    vectors = get_features(["en", *languages], "geo", header=True)
    locations = _locations(vectors)
    for language in languages:
        cosine = np.clip(locations["en"] @ locations[language], -1, 1)
        by_language[language]["geographic"] = float(np.arccos(cosine) / np.pi)
    return by_language


def _locations(vectors: Mapping[str, Sequence[object]]) -> dict[str, np.ndarray]:
    """Find where languages are spoken from their distances to fixed points.

    Args:
        vectors: URIEL's "geo" features by language: great-circle distances as shares of half the
            equator. Those of "CODE" are the points, such as "GC_-45_-32": latitude and longitude.

    Returns:
        Unit vectors (3,) from the centre of the earth, by language.
    """
    degrees = [str(name).split("_")[1:] for name in vectors["CODE"]]
    latitudes, longitudes = np.radians(np.array(degrees, float)).T
    points = np.stack(
        [
            np.cos(latitudes) * np.cos(longitudes),
            np.cos(latitudes) * np.sin(longitudes),
            np.sin(latitudes),
        ],
        axis=1,
    )  # (points, 3)
    locations = {}
    for language, values in vectors.items():
        if language != "CODE":
            cosines = np.cos(np.pi * np.array(values, float))
            location, *_ = np.linalg.lstsq(points, cosines, rcond=None)
            locations[language] = location / np.linalg.norm(location)
    return locations


def tokenizer_distances(encoder: str, languages: Sequence[str]) -> Distances:
    """Return what an encoder's tokenizer says of languages beside English.

    "lexical" is 1 - the share of pieces in running text that are the same as English's: over all
    pieces, the sum of the smaller of the two shares. "pieces a word" is the number of pieces over
    that of words.

    Args:
        encoder: Hub id or folder.
        languages: Codes of the languages; those without tagged text are left out.
    """
    rates, _ = tokens_per_word(encoder, languages)
    shares = piece_shares(encoder, ["en", *languages])
    by_language: Distances = {}
    for language in languages:
        if language in rates and "en" in shares:
            overlap = np.minimum(shares["en"], shares[language]).sum()
            by_language[language] = {
                "lexical": float(1 - overlap),
                "pieces a word": rates[language],
            }
    return by_language
