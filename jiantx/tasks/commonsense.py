"""Commonsense reasoning, as a choice between completions."""

from jiantx.sources import Hub, Row
from jiantx.task import register
from jiantx.task_types import MultipleChoice


def hellaswag_endings(row: Row) -> list[str]:
    """The second half of the context belongs to each ending (WikiHow's rows have none)."""
    return [f"{row['ctx_b']} {ending}".strip() for ending in row["endings"]]


def choice_texts(row: Row) -> list[str]:
    """CommonsenseQA keeps its choices as a dictionary of lists."""
    texts: list[str] = row["choices"]["text"]
    return texts


# Zellers et al. 2019 (1905.07830).
hellaswag = register(
    MultipleChoice(
        name="hellaswag",
        source=Hub("Rowan/hellaswag"),
        prompt="ctx_a",
        choices=hellaswag_endings,
    )
)

# Talmor et al. 2019 (1811.00937).
commonsenseqa = register(
    MultipleChoice(
        name="commonsenseqa",
        source=Hub("tau/commonsense_qa"),
        prompt="question",
        choices=choice_texts,
        label="answerKey",
    )
)
