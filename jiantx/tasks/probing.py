"""Probing sentence vectors: SentEval's ten tasks, and function words in sentences."""

from dataclasses import replace

from jiantx.sources import Files, read_dnc_folds, read_senteval
from jiantx.task import Labels
from jiantx.task_types import Classification
from jiantx.tasks.registry import register

ACCEPTABILITY_LABELS = ("acceptable", "unacceptable")
TOP_CONSTITUENTS = tuple(
    """ADVP_NP_VP_. CC_ADVP_NP_VP_. CC_NP_VP_. IN_NP_VP_. NP_ADVP_VP_. NP_NP_VP_. NP_PP_. NP_VP_.
    OTHER PP_NP_VP_. RB_NP_VP_. SBAR_NP_VP_. SBAR_VP_. S_CC_S_. S_NP_VP_. S_VP_. VBD_NP_VP_. VP_.
    WHADVP_SQ_. WHNP_SQ_.""".split()
)
SENTEVAL = Files(
    "senteval/word_content.txt",
    read_senteval,
    splits={"train": "tr", "validation": "va", "test": "te"},
    split_column="split",
    origin="https://github.com/facebookresearch/SentEval (data/probing)",
)
ACCEPTABILITY = Files(  # the first of ten folds
    "dnc/acceptability-definiteness_data.json",
    read_dnc_folds,
    splits={"train": "train", "validation": "dev", "test": "test"},
    split_column="fold1",
    origin="https://github.com/decompositional-semantics-initiative/DNC "
    "(function_words/ACCEPTABILITY)",
)


def content_words() -> tuple[str, ...]:
    """The 1,000 words of `senteval_word_content`, from its file, sorted.

    Raises:
        DataError: The file is not there.
    """
    return tuple(sorted(set(SENTEVAL.rows("train", "en")["label"])))


def _senteval(name: str, labels: Labels) -> Classification:
    return Classification(
        name=f"senteval_{name}",
        source=replace(SENTEVAL, pattern=f"senteval/{name}.txt"),
        labels=labels,
        max_length=128,
    )


def _acceptability(name: str, file: str, text_pair: str | None = None) -> Classification:
    return Classification(
        name=f"acceptability_{name}",
        source=replace(ACCEPTABILITY, pattern=f"dnc/acceptability-{file}_data.json"),
        text="context",
        text_pair=text_pair,
        labels=ACCEPTABILITY_LABELS,
        max_length=128,
    )


# Conneau et al. 2018 (1805.01070), where the encoder is frozen. I is inverted, C changed, O the
# original. The paper has six bins of lengths; a seventh, as in jiant, costs nothing.
senteval_bigram_shift = register(_senteval("bigram_shift", ("I", "O")))
senteval_coordination_inversion = register(_senteval("coordination_inversion", ("I", "O")))
senteval_obj_number = register(_senteval("obj_number", ("NN", "NNS")))
senteval_odd_man_out = register(_senteval("odd_man_out", ("C", "O")))
senteval_past_present = register(_senteval("past_present", ("PAST", "PRES")))
senteval_sentence_length = register(_senteval("sentence_length", tuple("0123456")))
senteval_subj_number = register(_senteval("subj_number", ("NN", "NNS")))
senteval_top_constituents = register(_senteval("top_constituents", TOP_CONSTITUENTS))
senteval_tree_depth = register(_senteval("tree_depth", tuple("5 6 7 8 9 10 11 12".split())))
senteval_word_content = register(_senteval("word_content", content_words))

# Kim et al. 2019 (1904.11544): articles, conjunctions, question words, and ends of sentences, where
# two texts are split where a sentence ends or elsewhere.
acceptability_definiteness = register(_acceptability("definiteness", "definiteness"))
acceptability_coord = register(_acceptability("coord", "coordinating-conjunctions"))
acceptability_whwords = register(_acceptability("whwords", "whwords"))
acceptability_eos = register(_acceptability("eos", "eos", text_pair="hypothesis"))
