"""Paraphrase identification."""

from jiantx.metrics import accuracy, f1_of
from jiantx.sources import Concat, Hub, Row
from jiantx.task_types import Classification
from jiantx.tasks import languages
from jiantx.tasks.registry import register


def both_questions(row: Row, language: str) -> bool:
    """Quora's pairs hold a few blank questions.

    Args:
        row: A row as stored.
        language: The file's language; not needed here.
    """
    return bool(row["question1"].strip() and row["question2"].strip())


def sentence1(row: Row) -> str:
    """What was not translated is NS in PAWS-X, or blank; official scores count these rows too."""
    return str(row["sentence1"]).strip() or "NS"


def sentence2(row: Row) -> str:
    """The other one."""
    return str(row["sentence2"]).strip() or "NS"


QQP = Hub(
    "nyu-mll/glue",
    "qqp",
    splits={"train": "train", "validation": "validation"},
    where=both_questions,
    revision="bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
)
QQP_TEST = Hub(  # whole and without labels: for GLUE's leaderboard
    "nyu-mll/glue",
    "qqp",
    splits={"test": "test"},
    revision="bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
)
# From its own repository: XTREME's copy on the Hub lost rows to csv quoting.
PAWSX = Hub(
    "google-research-datasets/paws-x",
    "{language}",
    languages=languages.PAWSX,
    revision="4cd8187c404bda33cb1f62b49b001115862acf37",
)

# Quora Question Pairs, as in GLUE (Wang et al. 2019); main score: mean of accuracy and F1 of the
# duplicates.
qqp = register(
    Classification(
        name="qqp",
        source=Concat(QQP, QQP_TEST),
        text="question1",
        text_pair="question2",
        labels=("not_duplicate", "duplicate"),
        metrics=(accuracy, f1_of("duplicate", name="f1")),
    )
)

# Yang et al. 2019 (1908.11828); 1 is a paraphrase.
pawsx = register(
    Classification(
        name="pawsx",
        source=PAWSX,
        text=sentence1,
        text_pair=sentence2,
        labels=("0", "1"),
    )
)
