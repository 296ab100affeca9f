"""Tags for words: parts of speech, named entities, supertags."""

import json
from pathlib import Path

from jiantx.metrics import chunk_f1, token_accuracy
from jiantx.sources import (
    Concat,
    DataError,
    Files,
    Hub,
    data_root,
    read_ccgbank,
    read_conllu,
    read_supertags,
)
from jiantx.task_types import TokenClassification
from jiantx.tasks import languages
from jiantx.tasks.registry import register

UNIVERSAL_TAGS = tuple(
    "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()
)
ENTITY_TAGS = tuple("O B-PER I-PER B-ORG I-ORG B-LOC I-LOC".split())
_SPLITS_OF_JIANT = {"train": "train", "validation": "dev", "test": "test"}

UD = Files(
    "ud-treebanks-v2.5/*/{language}_*-ud-{split}.conllu",
    read_conllu,
    languages=languages.UDPOS,
    splits=_SPLITS_OF_JIANT,
    origin="LINDAT, http://hdl.handle.net/11234/1-3105 (ud-treebanks-v2.5.tgz)",
)
UD_R = Files(  # the languages that XTREME-R adds
    "ud-treebanks-v2.7/*/{language}_*-ud-{split}.conllu",
    read_conllu,
    languages=tuple(code for code in languages.UDPOS_R if code not in languages.UDPOS),
    splits=_SPLITS_OF_JIANT,
    origin="LINDAT, http://hdl.handle.net/11234/1-3424 (ud-treebanks-v2.7.tgz)",
)
_LDC = (
    "CCGbank, LDC2005T13 (https://catalog.ldc.upenn.edu/LDC2005T13), "
    "for which the LDC sells licences"
)
CCG = Files(
    "ccg/ccg.{split}",
    read_supertags,
    splits=_SPLITS_OF_JIANT,
    origin=f"{_LDC}; one sentence a line, words<TAB>tags",
)
# CCGbank's own derivations: `get_task("ccg").replace(source=CCGBANK)`. Sections as in jiant, not
# the parsers' 02-21.
CCGBANK = Files(
    "ccgbank/data/AUTO/{split}/*.auto",
    read_ccgbank,
    splits={
        split: [f"{section:02}" for section in range(first, last + 1)]
        for split, first, last in (("train", 0, 18), ("validation", 19, 21), ("test", 22, 24))
    },
    origin=_LDC,
)


def supertags() -> tuple[str, ...]:
    """CCG's categories, from jiant's `tags_to_id.json` in its order or else, sorted, from CCGbank's
    derivations (`CCGBANK`) or jiant's files (`CCG`).

    Raises:
        DataError: There are none of these files.
    """
    path = (data_root() or Path.cwd()) / "ccg" / "tags_to_id.json"
    if path.is_file():
        numbers = json.loads(path.read_text(encoding="utf-8"))
        return tuple(sorted(numbers, key=numbers.__getitem__))
    tags: set[str] = set()
    for source in (CCGBANK, CCG):
        for split in ("train", "validation", "test"):
            if source.available(split):
                tags.update(*source.rows(split, "en")["tags"])
        if tags:
            break
    if not tags:
        raise DataError(
            f"CCG's tags are read from {path} (a dictionary of tags and numbers), or from the "
            f"files of CCGbank, and neither is there. They come from {_LDC}."
        )
    return tuple(sorted(tags))


# Universal Dependencies 2.5, all treebanks of a language, surface words. Official score: chunk F1
# on bare tags.
udpos = register(
    TokenClassification(
        name="udpos",
        source=Concat(UD, UD_R),
        labels=UNIVERSAL_TAGS,
        metrics=(chunk_f1, token_accuracy),
    )
)

# The Hub's copy: other words, and other languages mixed in (docs/tasks.md). For comparison only.
udpos_hub = register(
    udpos.replace(
        name="udpos_hub",
        source=Hub("google/xtreme", "udpos.{language}", languages=languages.UDPOS_HUB),
        tags="pos_tags",
    )
)

# WikiANN (Pan et al. 2017) in the splits of Rahimi et al. 2019 (1902.00193).
panx = register(
    TokenClassification(
        name="panx",
        source=Hub(
            "unimelb-nlp/wikiann",
            "{language}",
            languages=languages.PANX_R,
            revision="f0a3be6dc5564c0cc4150bb660144800a1f539d4",
        ),
        tags="ner_tags",
        labels=ENTITY_TAGS,
        metrics=(chunk_f1, token_accuracy),
    )
)

# Hockenmaier and Steedman 2007.
ccg = register(
    TokenClassification(
        name="ccg",
        source=CCG,
        labels=supertags,
        metrics=(token_accuracy,),
        main_metrics=(),
    )
)
