"""Retrieval across languages: of translations, of answers, of entities."""

import re
from dataclasses import replace

from jiantx.metrics import (
    mean_average_precision,
    mean_reciprocal_rank,
    mined_f1,
    mined_precision,
    mined_recall,
)
from jiantx.sources import (
    Concat,
    Files,
    Hub,
    Row,
    read_bucc,
    read_flores,
    read_laser,
    read_mewslix,
    read_xquad_r,
    read_xquad_r_sentences,
)
from jiantx.task_types import Retrieval
from jiantx.tasks import languages
from jiantx.tasks.registry import register

# Layer 14 of XLM-R large's 24 and as far up in other encoders: 7 of 12, where XTREME takes 8. Mean
# of all tokens.
DEPTH = 14 / 24


def english(row: Row) -> str:
    """The English side; the Hub's copy ends every sentence in a line feed."""
    return str(row["target_sentence"]).strip()


def foreign(row: Row) -> str:
    """The other side."""
    return str(row["source_sentence"]).strip()


def answer_passage(row: Row) -> str:
    """The sentence that answers, followed by its paragraph (XTREME-R, `evaluate_retrieval.py`)."""
    if "candidate" in row:
        return str(row["candidate"])
    context = row["context"]
    start = row["answers"]["answer_start"][0]
    # XQuAD-R's sentences are given; SQuAD's, to train on, are found by their ends
    ends = [match.end() for match in re.finditer(r"[.!?]+(?=\s|$)", context)]
    first = max((end for end in ends if end <= start), default=0)
    last = min((end for end in ends if end > start), default=len(context))
    return str(context[first:last].strip() + context)


def of_language(row: Row, language: str) -> bool:
    """Mewsli-X keeps the mentions of all languages in one file.

    Args:
        row: A row as stored.
        language: The language that is asked for.
    """
    return bool(row["language"] == language)


_ONE_SET = {"validation": "validation", "test": "validation"}
TATOEBA = Hub("google/xtreme", "tatoeba.{language}", languages=languages.TATOEBA, splits=_ONE_SET)
TATOEBA_R = Files(  # the languages that XTREME-R adds
    "tatoeba/v1/tatoeba.{language}-eng.{language}",
    read_laser,
    languages=languages.TATOEBA_R,
    splits=_ONE_SET,
    origin="https://github.com/facebookresearch/LASER (data/tatoeba/v1)",
)
FLORES = Files(
    "flores200_dataset/{split}/{language}.{split}",
    read_flores,
    languages={code: word for code, word in languages.FLORES.items() if code != "en"},
    splits={"validation": "dev", "test": "devtest"},
    origin="https://dl.fbaipublicfiles.com/nllb/flores200_dataset.tar.gz (unpacked)",
)
BUCC = Files(
    "bucc2018/{language}-en/{language}-en.{split}.{language}",
    read_bucc,
    languages=languages.BUCC,
    splits={"validation": "sample", "test": "training"},
    origin="https://comparable.limsi.fr/bucc2018 "
    "(bucc2018-<language>-en.{sample,training}-gold.tar.bz2, unpacked)",
)
BUCC_ENGLISH = replace(BUCC, pattern="bucc2018/{language}-en/{language}-en.{split}.en")
LAREQA = Files(
    "lareqa/xquad-r/{language}.json",
    read_xquad_r,
    languages=languages.XQUAD_R,
    splits=_ONE_SET,
    origin="https://github.com/google-research-datasets/lareqa (xquad-r)",
)
LAREQA_SENTENCES = replace(LAREQA, read=read_xquad_r_sentences)
_MEWSLIX = "https://huggingface.co/datasets/izhx/mewsli-x (raw.tar.gz, unpacked)"
MEWSLIX = Concat(
    Files(
        "mewsli-x/wikipedia_pairs-{split}.jsonl",
        read_mewslix,
        splits={"train": "train"},
        origin=_MEWSLIX,
    ),
    Files(
        "mewsli-x/wikinews_mentions-{split}.jsonl",
        read_mewslix,
        languages=languages.MEWSLIX,
        splits={"validation": "dev", "test": "test"},
        where=of_language,
        origin=_MEWSLIX,
    ),
)
MEWSLIX_ENTITIES = Files(  # descriptions in 50 languages: one pool
    "mewsli-x/candidate_set_entities.jsonl",
    read_mewslix,
    languages=("mul",),
    splits=_ONE_SET,
    origin=_MEWSLIX,
)


# Artetxe and Schwenk 2019 (1812.10464). English asks, the other language is searched.
tatoeba = register(
    Retrieval(
        name="tatoeba",
        source=Concat(TATOEBA, TATOEBA_R),
        query=english,
        candidate=foreign,
        depth=DEPTH,
    )
)

# NLLB Team et al. 2022 (2207.04672): tatoeba's task in 203 languages.
flores = register(tatoeba.replace(name="flores", source=FLORES))

# Zweigenbaum et al. 2018. The sample sets set the threshold.
bucc2018 = register(
    Retrieval(
        name="bucc2018",
        source=BUCC,
        corpus=BUCC_ENGLISH,
        query="text",
        candidate="text",
        mining=True,
        depth=DEPTH,
        metrics=(mined_f1, mined_precision, mined_recall),
        main_metrics=(mined_f1,),
    )
)

# Roy et al. 2020 (2004.05484).
lareqa = register(
    Retrieval(
        name="lareqa",
        source=LAREQA,
        corpus=LAREQA_SENTENCES,
        pool="all",
        query="question",
        candidate=answer_passage,
        pooling="pooler",
        max_length=256,
        max_query_length=96,
        train_on=("squad_v1",),
        metrics=(mean_average_precision,),
    )
)

# Ruder et al. 2021 (2104.07412).
mewslix = register(
    Retrieval(
        name="mewslix",
        source=MEWSLIX,
        corpus=MEWSLIX_ENTITIES,
        pool="all",
        pooling="pooler",
        max_length=64,
        metrics=(mean_reciprocal_rank,),
    )
)
