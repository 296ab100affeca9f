"""How many rows the official test sets of XTREME and XTREME-R have, by task and language.

From the files of https://github.com/google-research/xtreme and the papers (Hu et al. 2020, Ruder et
al. 2021). UDPOS and BUCC are missing, so the sizes of their splits are not checked.
"""

from __future__ import annotations

from collections.abc import Mapping

from jiantx.tasks.benchmarks import XTREME, XTREME_R

# PAN-X has fewer rows in these languages than in the others.
_PANX_SMALL = "af az bn hi kk ml mr ms sw ta te tl ur".split()
_PANX_TINY = "gu jv my pa qu yo".split()

OFFICIAL_SIZES: dict[str, Mapping[str, int]] = {
    "xnli": dict.fromkeys(XTREME.languages["xnli"], 5010),
    "pawsx": dict.fromkeys(XTREME.languages["pawsx"], 2000),
    "panx": {
        **dict.fromkeys(XTREME_R.languages["panx"], 10000),
        **dict.fromkeys(_PANX_SMALL, 1000),
        **dict.fromkeys(_PANX_TINY, 100),
    },
    "xquad": dict.fromkeys(XTREME_R.languages["xquad"], 1190),
    "mlqa": {"ar": 5335, "de": 4517, "en": 11590, "es": 5253, "hi": 4918, "vi": 5495, "zh": 5137},
    "tydiqa": {
        "ar": 921,
        "bn": 113,
        "en": 440,
        "fi": 782,
        "id": 565,
        "ko": 276,
        "ru": 812,
        "sw": 499,
        "te": 669,
    },
    "tatoeba": {
        **dict.fromkeys(XTREME_R.languages["tatoeba"], 1000),
        **{"jv": 205, "ka": 746, "kk": 575, "ml": 687, "sw": 390, "ta": 307, "te": 234, "th": 548},
    },
    "xcopa": dict.fromkeys(XTREME_R.languages["xcopa"], 500),
    "mewslix": {
        "ar": 1501,
        "de": 1551,
        "en": 1490,
        "es": 1552,
        "fa": 458,
        "ja": 1519,
        "pl": 1562,
        "ro": 672,
        "ta": 1567,
        "tr": 1215,
        "uk": 1537,
    },
}
