"""Named lists of tasks."""

from __future__ import annotations

from jiantx.report import Benchmark
from jiantx.tasks import languages as L

# Hu et al. 2020 (2003.11080), in the order of its tables.
XTREME = Benchmark(
    "xtreme",
    {
        "classification": {"xnli": L.XNLI, "pawsx": L.PAWSX},
        "tagging": {"udpos": L.UDPOS, "panx": L.PANX},
        "qa": {"xquad": L.XQUAD_R, "mlqa": L.MLQA, "tydiqa": tuple(L.TYDIQA)},
        "retrieval": {"bucc2018": L.BUCC, "tatoeba": tuple(L.TATOEBA)},
    },
)
# Ruder et al. 2021 (2104.07412). Its Tatoeba is scored after fine-tuning on SQuAD.
XTREME_R = Benchmark(
    "xtreme_r",
    {
        "classification": {"xnli": L.XNLI, "xcopa": L.XCOPA},
        "tagging": {"udpos": L.UDPOS_R, "panx": L.PANX_R},
        "qa": {"xquad": L.XQUAD, "mlqa": L.MLQA, "tydiqa": tuple(L.TYDIQA)},
        "retrieval": {
            "tatoeba": (*L.TATOEBA, *L.TATOEBA_R),
            "mewslix": L.MEWSLIX,
            "lareqa": L.XQUAD_R,
        },
    },
)
# Phang et al. 2020 (2005.13013): its nine English intermediate tasks.
XSTILTS_INTERMEDIATE = Benchmark(
    "xstilts_intermediate",
    {
        "sentence_pair": dict.fromkeys(("anli_plus", "mnli", "qqp"), ("en",)),
        "qa": dict.fromkeys(("squad_v2", "squad_v1"), ("en",)),
        "commonsense": dict.fromkeys(("hellaswag", "cosmosqa", "commonsenseqa"), ("en",)),
        "tagging": {"ccg": ("en",)},
    },
)
# Wang et al. 2019 (1804.07461), in the groups of its table 1. MNLI is one task with two halves;
# WNLI counts, the diagnostic set does not.
GLUE = Benchmark(
    "glue",
    {
        "single_sentence": dict.fromkeys(("cola", "sst2"), ("en",)),
        "similarity": dict.fromkeys(("mrpc", "glue_stsb", "qqp"), ("en",)),
        "inference": dict.fromkeys(("mnli", "mnli_mismatched", "qnli", "rte", "wnli"), ("en",)),
    },
    count_once=(("mnli", "mnli_mismatched"),),
)
# Wang et al. 2019 (1905.00537), in the kinds of its table 1. AX-b and AX-g do not count.
SUPERGLUE = Benchmark(
    "superglue",
    {
        "qa": dict.fromkeys(("boolq", "copa", "multirc", "record"), ("en",)),
        "inference": dict.fromkeys(("cb", "superglue_rte"), ("en",)),
        "word_sense": {"wic": ("en",)},
        "coreference": {"wsc": ("en",)},
    },
)


def _foreign(*codes: str) -> tuple[str, ...]:
    """Without the languages of Europe that a data set also has."""
    return tuple(code for code in codes if code not in ("en", "fr", "pt"))


# Languages of Africa. The classic sets of XTREME have two of them, Swahili and Yoruba.
AFRICAN = Benchmark(
    "african",
    {
        "classification": {
            "sib200": L.AFRICA,
            "afrixnli": _foreign(*L.AFRIXNLI),
            "masakhanews": _foreign(*L.MASAKHANEWS),
            "afrisenti": _foreign(*L.AFRISENTI),
        },
        "tagging": {"masakhaner2": tuple(L.MASAKHANER)},
        "retrieval": {"flores": tuple(code for code in L.AFRICA if code in L.FLORES)},
    },
)
# Indigenous and creole languages of the Americas.
AMERICAN = Benchmark(
    "american",
    {
        "classification": {"americas_nli": tuple(L.AMERICAS_NLI), "sib200": L.AMERICAS},
        "commonsense": {"xcopa": ("ht", "qu")},
        "retrieval": {"flores": L.AMERICAS},
    },
)
BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        XTREME,
        XTREME_R,
        XSTILTS_INTERMEDIATE,
        GLUE,
        SUPERGLUE,
        AFRICAN,
        AMERICAN,
    )
}
