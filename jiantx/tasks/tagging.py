"""Tags for words: parts of speech, named entities."""

from jiantx.metrics import chunk_f1, token_accuracy
from jiantx.sources import Files, Hub, read_conllu
from jiantx.task import register
from jiantx.task_types import TokenClassification
from jiantx.tasks import languages

UNIVERSAL_TAGS = tuple("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split())
ENTITY_TAGS = tuple("O B-PER I-PER B-ORG I-ORG B-LOC I-LOC".split())

# Universal Dependencies 2.5, all treebanks of a language, surface words. Official score: chunk F1 on bare tags.
udpos = register(
    TokenClassification(
        name="udpos",
        source=Files(
            "ud-treebanks-v2.5/*/{language}_*-ud-{split}.conllu",
            read_conllu,
            languages=languages.UDPOS,
            splits={"train": "train", "validation": "dev", "test": "test"},
            origin="LINDAT, http://hdl.handle.net/11234/1-3105 (ud-treebanks-v2.5.tgz)",
        ),
        labels=UNIVERSAL_TAGS,
        metrics=(chunk_f1, token_accuracy),
    )
)

# WikiANN (Pan et al. 2017) in the splits of Rahimi et al. 2019.
panx = register(
    TokenClassification(
        name="panx",
        source=Hub("unimelb-nlp/wikiann", "{language}", languages=languages.PANX),
        tags="ner_tags",
        labels=ENTITY_TAGS,
        metrics=(chunk_f1, token_accuracy),
    )
)
