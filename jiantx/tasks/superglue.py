"""SuperGLUE (Wang et al. 2019, 1905.00537): pairs of texts. COPA is among the commonsense tasks."""

from jiantx.metrics import (
    accuracy,
    f1_of,
    gender_parity,
    group_exact_match,
    macro_f1,
    matthews,
)
from jiantx.sources import Hub, Row
from jiantx.task_types import Classification
from jiantx.tasks.registry import register

SUPERGLUE_REVISION = "3de24cf8022e94f4ee4b9d55a6f539891524d646"
ENTAILMENT = ("entailment", "not_entailment")


def superglue(config: str) -> Hub:
    """A configuration of the Hub's copy. The test labels of all but AX-b and AX-g are hidden."""
    return Hub("aps/super_glue", config, revision=SUPERGLUE_REVISION)


def question_and_answer(row: Row) -> str:
    """One text beside the paragraph, which is longer and so the one that is cut."""
    return f"{row['question']} {row['answer']}"


def multirc_question(row: Row) -> int:
    """The number of a question, which is unique in a split."""
    question: int = row["idx"]["question"]
    return question


def axg_pair(row: Row) -> int:
    """Two rows that differ in the pronoun follow each other."""
    return int(row["idx"]) // 2


# Clark et al. 2019 (1905.10044).
boolq = register(
    Classification(
        name="boolq",
        source=superglue("boolq"),
        text="question",
        text_pair="passage",
        labels=("False", "True"),
    )
)

# De Marneffe et al. 2019. Not the order of labels of other NLI sets.
cb = register(
    Classification(
        name="cb",
        source=superglue("cb"),
        text="premise",
        text_pair="hypothesis",
        labels=("entailment", "contradiction", "neutral"),
        metrics=(accuracy, macro_f1),
    )
)

# Khashabi et al. 2018: F1a of all answers, and EM of the questions.
multirc = register(
    Classification(
        name="multirc",
        source=superglue("multirc"),
        text="paragraph",
        text_pair=question_and_answer,
        labels=("False", "True"),
        metrics=(f1_of("True", name="f1a"), group_exact_match),
        group=multirc_question,
        max_length=512,
    )
)

# GLUE's RTE, with other columns and some other quotation marks; the same head.
superglue_rte = register(
    Classification(
        name="superglue_rte",
        source=superglue("rte"),
        text="premise",
        text_pair="hypothesis",
        labels=ENTAILMENT,
        head="rte",
    )
)

# GLUE's diagnostic set with two labels.
axb = register(
    Classification(
        name="axb",
        source=superglue("axb"),
        text="sentence1",
        text_pair="sentence2",
        labels=ENTAILMENT,
        metrics=(matthews,),
        train_on=("superglue_rte",),
        head="rte",
    )
)

# Rudinger et al. 2018 (1804.09301), as pairs; parity means nothing without the accuracy.
axg = register(
    superglue_rte.replace(
        name="axg",
        source=superglue("axg"),
        metrics=(accuracy, gender_parity),
        main_metrics=(accuracy,),
        group=axg_pair,
        train_on=("superglue_rte",),
    )
)
