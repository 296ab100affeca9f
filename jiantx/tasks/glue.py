"""GLUE (Wang et al. 2019, 1804.07461) but for MNLI and QQP; Adversarial GLUE."""

from jiantx.metrics import accuracy, f1_of, matthews
from jiantx.sources import Files, Hub, Row, read_tsv
from jiantx.task_types import Classification
from jiantx.tasks.nli import NLI_LABELS, mnli
from jiantx.tasks.paraphrase import qqp
from jiantx.tasks.registry import register
from jiantx.tasks.similarity import stsb

GLUE_REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"
ENTAILMENT = ("entailment", "not_entailment")
MISMATCHED = {"validation": "validation_mismatched", "test": "test_mismatched"}
DIAGNOSTIC = Files(
    "glue_diagnostic/diagnostic-full.tsv",
    read_tsv,
    splits={"test": "test"},
    origin="https://gluebenchmark.com/diagnostics",
)
_TAG_COLUMNS = ("Lexical Semantics", "Predicate-Argument Structure", "Logic", "Knowledge")


def glue(config: str) -> Hub:
    """A configuration of the Hub's copy. The test labels of all but MRPC are hidden."""
    return Hub("nyu-mll/glue", config, revision=GLUE_REVISION)


def adversarial(config: str) -> Hub:
    """Adversarial GLUE has one split."""
    return Hub("AI-Secure/adv_glue", config, splits={"validation": "validation"})


def glue_similarity(row: Row) -> float | None:
    """0 to 5; -1 where the label is hidden."""
    score = float(row["label"])
    return None if score < 0 else score


def diagnostic_tags(row: Row) -> list[str]:
    """The coarse categories of a row, and its tags: "Logic" and "Logic: Negation"."""
    names = []
    for column in _TAG_COLUMNS:
        tags = [tag for tag in (row[column] or "").split(";") if tag]
        if tags:
            names.append(column)
        names += [f"{column}: {tag}" for tag in tags]
    return [*names, f"Domain: {row['Domain']}"]


# Warstadt et al. 2019 (1805.12471). GLUE's rows, which differ from those of CoLA 1.1 in ten places.
cola = register(
    Classification(
        name="cola",
        source=glue("cola"),
        text="sentence",
        labels=("unacceptable", "acceptable"),
        metrics=(matthews,),
    )
)

# Socher et al. 2013. The training rows are phrases, the others sentences.
sst2 = register(
    Classification(
        name="sst2",
        source=glue("sst2"),
        text="sentence",
        labels=("negative", "positive"),
    )
)

# Dolan and Brockett 2005. The labels of the test split are public.
mrpc = register(
    Classification(
        name="mrpc",
        source=glue("mrpc"),
        text="sentence1",
        text_pair="sentence2",
        labels=("not_equivalent", "equivalent"),
        metrics=(f1_of("equivalent", name="f1"), accuracy),
    )
)

# Cer et al. 2017: English alone, in GLUE's order and with its hidden test labels.
glue_stsb = register(
    stsb.replace(name="glue_stsb", source=glue("stsb"), label=glue_similarity, head="stsb")
)

# Williams et al. 2018 (1704.05426): the genres that are not in the training rows.
mnli_mismatched = register(
    mnli.replace(
        name="mnli_mismatched",
        source=Hub("nyu-mll/glue", "mnli", splits=MISMATCHED, revision=GLUE_REVISION),
        train_on=("mnli",),
    )
)

# Rajpurkar et al. 2016 (1606.05250) as pairs; version 2 of the data, since January 2019.
qnli = register(
    Classification(
        name="qnli",
        source=glue("qnli"),
        text="question",
        text_pair="sentence",
        labels=ENTAILMENT,
    )
)

# Dagan et al. 2006 and its successors, RTE 1, 2, 3 and 5.
rte = register(
    Classification(
        name="rte",
        source=glue("rte"),
        text="sentence1",
        text_pair="sentence2",
        labels=ENTAILMENT,
    )
)

# Levesque et al. 2012 as pairs. Not RTE's order of labels. Validation is adversarial: most of its
# premises are training premises with the other label.
wnli = register(
    Classification(
        name="wnli",
        source=glue("wnli"),
        text="sentence1",
        text_pair="sentence2",
        labels=("not_entailment", "entailment"),
    )
)

# GLUE's diagnostic set with its labels and tags, which the Hub's `ax` lacks; the same order.
glue_diagnostic = register(
    Classification(
        name="glue_diagnostic",
        source=DIAGNOSTIC,
        text="Premise",
        text_pair="Hypothesis",
        label="Label",
        labels=NLI_LABELS,
        metrics=(matthews,),
        named_groups=diagnostic_tags,
        train_on=("mnli",),
        head="nli",
    )
)

# Wang et al. 2021 (2111.02840): GLUE's rows under attack, for heads that GLUE trained.
adv_glue_sst2 = register(
    sst2.replace(
        name="adv_glue_sst2", source=adversarial("adv_sst2"), train_on=("sst2",), head="sst2"
    )
)
adv_glue_qqp = register(
    qqp.replace(name="adv_glue_qqp", source=adversarial("adv_qqp"), train_on=("qqp",), head="qqp")
)
adv_glue_mnli = register(
    mnli.replace(name="adv_glue_mnli", source=adversarial("adv_mnli"), train_on=("mnli",))
)
adv_glue_mnli_mismatched = register(
    adv_glue_mnli.replace(
        name="adv_glue_mnli_mismatched", source=adversarial("adv_mnli_mismatched")
    )
)
adv_glue_qnli = register(
    qnli.replace(
        name="adv_glue_qnli", source=adversarial("adv_qnli"), train_on=("qnli",), head="qnli"
    )
)
adv_glue_rte = register(
    rte.replace(name="adv_glue_rte", source=adversarial("adv_rte"), train_on=("rte",), head="rte")
)
