"""Probing sentence vectors: SentEval's ten tasks, and function words in sentences."""

from dataclasses import replace

from jiantx.sources import Files, read_dnc_folds, read_senteval
from jiantx.task_types import Classification
from jiantx.tasks.registry import register

ACCEPTABILITY_LABELS = ("acceptable", "unacceptable")
TOP_CONSTITUENTS = tuple(
    """ADVP_NP_VP_. CC_ADVP_NP_VP_. CC_NP_VP_. IN_NP_VP_. NP_ADVP_VP_. NP_NP_VP_. NP_PP_. NP_VP_.
    OTHER PP_NP_VP_. RB_NP_VP_. SBAR_NP_VP_. SBAR_VP_. S_CC_S_. S_NP_VP_. S_VP_. VBD_NP_VP_. VP_.
    WHADVP_SQ_. WHNP_SQ_.""".split()
)
SENTEVAL = Files(
    "senteval/bigram_shift.txt",
    read_senteval,
    splits={"train": "tr", "validation": "va", "test": "te"},
    split_column="split",
    origin="https://github.com/facebookresearch/SentEval (data/probing)",
)
WORD_CONTENT = replace(SENTEVAL, pattern="senteval/word_content.txt")
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
    return tuple(sorted(set(WORD_CONTENT.rows("train", "en")["label"])))


# Conneau et al. 2018 (1805.01070), where the encoder is frozen. Two neighbouring words inverted?
senteval_bigram_shift = register(
    Classification(
        name="senteval_bigram_shift",
        source=SENTEVAL,
        labels=("I", "O"),
        max_length=128,
    )
)

# Two coordinated clauses inverted?
senteval_coordination_inversion = register(
    senteval_bigram_shift.replace(
        name="senteval_coordination_inversion",
        source=replace(SENTEVAL, pattern="senteval/coordination_inversion.txt"),
        labels=("I", "O"),
    )
)

# The object's number.
senteval_obj_number = register(
    senteval_bigram_shift.replace(
        name="senteval_obj_number",
        source=replace(SENTEVAL, pattern="senteval/obj_number.txt"),
        labels=("NN", "NNS"),
    )
)

# A noun or verb changed?
senteval_odd_man_out = register(
    senteval_bigram_shift.replace(
        name="senteval_odd_man_out",
        source=replace(SENTEVAL, pattern="senteval/odd_man_out.txt"),
        labels=("C", "O"),
    )
)

# The main verb's tense.
senteval_past_present = register(
    senteval_bigram_shift.replace(
        name="senteval_past_present",
        source=replace(SENTEVAL, pattern="senteval/past_present.txt"),
        labels=("PAST", "PRES"),
    )
)

# The sentence's length, in bins. The paper has six; a seventh costs nothing.
senteval_sentence_length = register(
    senteval_bigram_shift.replace(
        name="senteval_sentence_length",
        source=replace(SENTEVAL, pattern="senteval/sentence_length.txt"),
        labels=tuple("0123456"),
    )
)

# The subject's number.
senteval_subj_number = register(
    senteval_bigram_shift.replace(
        name="senteval_subj_number",
        source=replace(SENTEVAL, pattern="senteval/subj_number.txt"),
        labels=("NN", "NNS"),
    )
)

# The constituents below the root.
senteval_top_constituents = register(
    senteval_bigram_shift.replace(
        name="senteval_top_constituents",
        source=replace(SENTEVAL, pattern="senteval/top_constituents.txt"),
        labels=TOP_CONSTITUENTS,
    )
)

# The depth of the syntactic tree.
senteval_tree_depth = register(
    senteval_bigram_shift.replace(
        name="senteval_tree_depth",
        source=replace(SENTEVAL, pattern="senteval/tree_depth.txt"),
        labels=tuple("5 6 7 8 9 10 11 12".split()),
    )
)

# Which of 1,000 words is in the sentence?
senteval_word_content = register(
    senteval_bigram_shift.replace(
        name="senteval_word_content",
        source=WORD_CONTENT,
        labels=content_words,
    )
)

# Kim et al. 2019 (1904.11544): are articles right?
acceptability_definiteness = register(
    Classification(
        name="acceptability_definiteness",
        source=ACCEPTABILITY,
        text="context",
        labels=ACCEPTABILITY_LABELS,
        max_length=128,
    )
)

# Conjunctions.
acceptability_coord = register(
    acceptability_definiteness.replace(
        name="acceptability_coord",
        source=replace(
            ACCEPTABILITY, pattern="dnc/acceptability-coordinating-conjunctions_data.json"
        ),
    )
)

# Ends of sentences: two texts, split where a sentence ends or elsewhere.
acceptability_eos = register(
    acceptability_definiteness.replace(
        name="acceptability_eos",
        source=replace(ACCEPTABILITY, pattern="dnc/acceptability-eos_data.json"),
        text_pair="hypothesis",
    )
)

# Question words.
acceptability_whwords = register(
    acceptability_definiteness.replace(
        name="acceptability_whwords",
        source=replace(ACCEPTABILITY, pattern="dnc/acceptability-whwords_data.json"),
    )
)
