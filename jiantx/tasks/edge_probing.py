"""Edge probing (Tenney et al. 2019, 1905.06316): labels for one span of a sentence or for two.

The published score is the F1 of all decisions whether a target has a label. Dropout, sizes and
pooling are the paper's. To probe, freeze the encoder.
"""

from dataclasses import replace

from jiantx.metrics import f1_of, micro_f1, micro_f1_of
from jiantx.sources import (
    Concat,
    Files,
    Row,
    Unfold,
    read_dependencies,
    read_edges,
    read_word_tags,
)
from jiantx.task_types import SpanClassification
from jiantx.tasks.entities import UNER, three_types
from jiantx.tasks.registry import register
from jiantx.tasks.tagging import UD, UD_R, UNIVERSAL_TAGS

PENN_TAGS = tuple(
    """$ '' , -LRB- -RRB- . : ADD AFX CC CD DT EX FW HYPH IN JJ JJR JJS LS MD NFP NN NNP NNPS NNS
    PDT POS PRP PRP$ RB RBR RBS RP SYM TO UH VB VBD VBG VBN VBP VBZ WDT WP WP$ WRB ``""".split()
)
PHRASES = tuple(
    """ADJP ADVP CONJP EMBED FRAG INTJ LST META NAC NML NP NX PP PRN PRT QP RRC S SBAR SBARQ SINV SQ
    TOP UCP VP WHADJP WHADVP WHNP WHPP X""".split()
)
ONTONOTES_ENTITIES = tuple(
    """CARDINAL DATE EVENT FAC GPE LANGUAGE LAW LOC MONEY NORP ORDINAL ORG PERCENT PERSON PRODUCT
    QUANTITY TIME WORK_OF_ART""".split()
)
ROLES = tuple(
    """ARG0 ARG1 ARG2 ARG3 ARG4 ARG5 ARGA ARGM-ADJ ARGM-ADV ARGM-CAU ARGM-COM ARGM-DIR ARGM-DIS
    ARGM-DSP ARGM-EXT ARGM-GOL ARGM-LOC ARGM-LVB ARGM-MNR ARGM-MOD ARGM-NEG ARGM-PNC ARGM-PRD
    ARGM-PRP ARGM-PRR ARGM-PRX ARGM-REC ARGM-TMP""".split()
)
# continued arguments and references to them, which the published score leaves out
OTHER_ROLES = tuple(
    """C-ARG0 C-ARG1 C-ARG2 C-ARG3 C-ARG4 C-ARGM-ADJ C-ARGM-ADV C-ARGM-CAU C-ARGM-COM C-ARGM-DIR
    C-ARGM-DIS C-ARGM-DSP C-ARGM-EXT C-ARGM-LOC C-ARGM-MNR C-ARGM-MOD C-ARGM-NEG C-ARGM-PRP
    C-ARGM-TMP R-ARG0 R-ARG1 R-ARG2 R-ARG3 R-ARG4 R-ARG5 R-ARGM-ADV R-ARGM-CAU R-ARGM-COM
    R-ARGM-DIR R-ARGM-EXT R-ARGM-GOL R-ARGM-LOC R-ARGM-MNR R-ARGM-MOD R-ARGM-PNC R-ARGM-PRD
    R-ARGM-PRP R-ARGM-TMP""".split()
)
UNIVERSAL_RELATIONS = tuple(
    """acl advcl advmod amod appos aux case cc ccomp clf compound conj cop csubj dep det discourse
    dislocated expl fixed flat goeswith iobj list mark nmod nsubj nummod obj obl orphan parataxis
    punct reparandum root vocative xcomp""".split()
)
# English EWT's, of UD 2.2 (jiant's 49) and of later releases
_ENGLISH_SUBTYPES = tuple(
    """acl:relcl advcl:relcl aux:pass cc:preconj compound:prt csubj:outer csubj:pass det:predet
    flat:foreign nmod:desc nmod:npmod nmod:poss nmod:tmod nmod:unmarked nsubj:outer nsubj:pass
    obl:agent obl:npmod obl:tmod obl:unmarked""".split()
)
_PROTOROLES = tuple(
    """awareness change_of_location change_of_state changes_possession existed_after existed_before
    existed_during exists_as_physical instigation location_of_event makes_physical_contact
    predicate_changed_argument sentient stationary volition""".split()
)
SPR1_PROPERTIES = (*_PROTOROLES, *"created destroyed manipulated_by_another".split())
SPR2_PROPERTIES = (
    *_PROTOROLES,
    *"""change_of_possession change_of_state_continuous partitive was_for_benefit
    was_used""".split(),
)
_SEMEVAL_PAIRS = tuple(
    """Cause-Effect Component-Whole Content-Container Entity-Destination Entity-Origin
    Instrument-Agency Member-Collection Message-Topic Product-Producer""".split()
)
SEMEVAL_RELATIONS = (
    *(f"{pair}(e1,e2)" for pair in _SEMEVAL_PAIRS),
    *(f"{pair}(e2,e1)" for pair in _SEMEVAL_PAIRS),
    "Other",
)

_CONVERTED = "as jiant's scripts convert them (nyu-mll/jiant-v1-legacy, probing/data)"


def edges(pattern: str, origin: str, *, validation: str = "dev", train: str = "train") -> Files:
    """Edge probing's files.

    Args:
        pattern: Below `edges/`, with `{split}`.
        origin: Where the data come from.
        validation: The validation split's name.
        train: The training split's name.
    """
    splits = {"train": train, "validation": validation, "test": "test"}
    return Files(f"edges/{pattern}", read_edges, splits=splits, origin=f"{origin}, {_CONVERTED}")


def ontonotes(folder: str) -> Files:
    """OntoNotes' files.

    Args:
        folder: Below `edges/ontonotes/`.
    """
    return edges(
        f"ontonotes/{folder}/{{split}}.json",
        "OntoNotes 5.0, LDC2013T19 (https://catalog.ldc.upenn.edu/LDC2013T19), for which the LDC "
        "gives licences",
        validation="development",
    )


def universal_relation(row: Row) -> str:
    """A relation without its subtype, which differs by treebank."""
    relation: str = row["label"]
    return relation.partition(":")[0]


def entity_spans(row: Row) -> list[Row]:
    """A row for each entity of a sentence: its words and its type."""
    tags = [*map(str, three_types(row)), "O"]
    targets = []
    start = 0
    for index, tag in enumerate(tags):
        previous_type = tags[start][2:]
        if previous_type and index > start and tag == f"I-{previous_type}":
            continue
        if previous_type and index > start:
            target = {"text": row["tokens"], "span1": [start, index], "label": previous_type}
            targets.append(target)
        start = index
    return targets


# Weischedel et al. 2013: OntoNotes 5.0. Parts of speech.
edge_pos = register(
    SpanClassification(
        name="edge_pos",
        source=ontonotes("const/pos"),
        labels=PENN_TAGS,
        multi_label=True,
        dropout=0.3,
        metrics=(micro_f1,),
    )
)

# Constituents.
edge_nonterminal = register(
    edge_pos.replace(name="edge_nonterminal", source=ontonotes("const/nonterminal"), labels=PHRASES)
)

# Named entities, whose spans are given.
edge_ner = register(
    edge_pos.replace(name="edge_ner", source=ontonotes("ner"), labels=ONTONOTES_ENTITIES)
)

# Semantic roles: span1 is the predicate, span2 the argument.
edge_srl = register(
    edge_pos.replace(
        name="edge_srl",
        source=ontonotes("srl"),
        labels=(*ROLES, *OTHER_ROLES),
        span2="span2",
        metrics=(micro_f1_of(ROLES, name="clean_micro_f1"),),
    )
)

# Coreference: do two mentions name the same thing?
edge_coref = register(
    edge_pos.replace(
        name="edge_coref",
        source=ontonotes("coref"),
        labels=("0", "1"),
        span2="span2",
        metrics=(f1_of("1"),),
    )
)

# Silveira et al. 2014: Universal Dependencies, English Web Treebank. The root's head is itself.
dep = register(
    edge_pos.replace(
        name="dep",
        source=edges(
            "dep_ewt/en_ewt-ud-{split}.json",
            "Universal Dependencies, https://github.com/UniversalDependencies/UD_English-EWT",
        ),
        labels=(*UNIVERSAL_RELATIONS, *_ENGLISH_SUBTYPES),
        span2="span2",
    )
)

# Reisinger et al. 2015: semantic proto-roles, on PropBank. A property is true above 3 of 5.
spr1 = register(
    dep.replace(
        name="spr1",
        source=edges(
            "spr1/spr1.{split}.json",
            "the annotations of http://decomp.io and the text of the Penn Treebank, LDC99T42 "
            "(https://catalog.ldc.upenn.edu/LDC99T42), for which the LDC sells licences",
        ),
        labels=SPR1_PROPERTIES,
    )
)

# White et al. 2016: semantic proto-roles, on the English Web Treebank. True from 4 of 5.
spr2 = register(
    dep.replace(
        name="spr2",
        source=edges("spr2/edges.{split}.json", "http://decomp.io"),
        labels=SPR2_PROPERTIES,
    )
)

# Rahman and Ng 2012, recast by White et al. 2017: definite pronouns.
dpr = register(
    dep.replace(
        name="dpr",
        source=edges("dpr/{split}.json", "http://decomp.io (inference_is_everything.zip)"),
        labels=("entailed", "not-entailed"),
    )
)

# Hendrickx et al. 2010: SemEval-2010 task 8, relations of nominals.
semeval = register(
    dep.replace(
        name="semeval",
        source=edges(
            "semeval/{split}.json",
            "SemEval-2010 task 8",
            train="train.0.85",
        ),
        labels=SEMEVAL_RELATIONS,
    )
)

# Universal Dependencies in all languages of `udpos`: arcs between syntactic words, and the tags of
# surface words.
ud_dep = register(
    dep.replace(
        name="ud_dep",
        source=Concat(replace(UD, read=read_dependencies), replace(UD_R, read=read_dependencies)),
        labels=UNIVERSAL_RELATIONS,
        label=universal_relation,
    )
)
edge_udpos = register(
    edge_pos.replace(
        name="edge_udpos",
        source=Concat(replace(UD, read=read_word_tags), replace(UD_R, read=read_word_tags)),
        labels=UNIVERSAL_TAGS,
    )
)

# Mayhew et al. 2024 (2311.09122): the entities of Universal NER, whose spans are given.
edge_uner = register(
    edge_pos.replace(
        name="edge_uner", source=Unfold(UNER, entity_spans), labels=("LOC", "ORG", "PER")
    )
)
