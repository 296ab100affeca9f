"""Temporal commonsense."""

from jiantx.metrics import group_exact_match, group_f1_of
from jiantx.sources import Hub, Row
from jiantx.task_types import Classification
from jiantx.tasks.registry import register


def sentence_and_question(row: Row) -> str:
    """One text before the answer."""
    return f"{row['sentence']} {row['question']}"


def mctaco_question(row: Row) -> tuple[str, str]:
    """A question is asked of one sentence, and has several answers."""
    return row["sentence"], row["question"]


# Zhou et al. 2019 (1909.03065). There are no training rows: its authors train on validation.
mctaco = register(
    Classification(
        name="mctaco",
        source=Hub(
            "CogComp/mc_taco", "plain_text", splits={"validation": "validation", "test": "test"}
        ),
        text=sentence_and_question,
        text_pair="answer",
        labels=("no", "yes"),
        metrics=(group_exact_match, group_f1_of("yes", name="f1")),
        group=mctaco_question,
        named_groups="category",
    )
)
