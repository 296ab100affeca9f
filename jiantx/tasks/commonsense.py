"""Commonsense reasoning, as a choice between completions."""

from jiantx.sources import Hub, Row
from jiantx.task_types import MultipleChoice
from jiantx.tasks import languages
from jiantx.tasks.registry import register

XCOPA = Hub(
    "cambridgeltl/xcopa",
    "{language}",
    languages=languages.XCOPA,
    revision="042f78955ba48e6404616762fa6e05e839c3907a",
)


def hellaswag_endings(row: Row) -> list[str]:
    """The second half of the context belongs to each ending (WikiHow's rows have none)."""
    return [f"{row['ctx_b']} {ending}".strip() for ending in row["endings"]]


def choice_texts(row: Row) -> list[str]:
    """CommonsenseQA keeps its choices as a dictionary of lists."""
    texts: list[str] = row["choices"]["text"]
    return texts


def context_and_question(row: Row) -> str:
    """One text before the answer, as jiant and XTREME-R join them."""
    return f"{row['context']} {row['question']}"


def cosmosqa_answers(row: Row) -> list[str]:
    """Four columns."""
    return [row[f"answer{index}"] for index in range(4)]


def siqa_answers(row: Row) -> list[str]:
    """Three columns."""
    return [row[f"answer{letter}"] for letter in "ABC"]


def siqa_label(row: Row) -> int:
    """Counted from 1."""
    return int(row["label"]) - 1


def copa_prompt(row: Row) -> str:
    """The premise and what is asked of it, in English for every language (XTREME-R,
    `run_xcopa.py`).
    """
    return f"{row['premise']} What was the {row['question']}?"


def copa_choices(row: Row) -> list[str]:
    """Two columns."""
    return [row["choice1"], row["choice2"]]


def copa_label(row: Row) -> int | None:
    """A number (XCOPA), or the chosen column's name (COPA's class names), which is None in its test
    split.
    """
    label: int | str | None = row["label"]
    return ("choice1", "choice2").index(label) if isinstance(label, str) else label


# Zellers et al. 2019 (1905.07830).
hellaswag = register(
    MultipleChoice(
        name="hellaswag",
        source=Hub("Rowan/hellaswag", revision="218ec52e09a7e7462a5400043bb9a69a41d06b76"),
        prompt="ctx_a",
        choices=hellaswag_endings,
    )
)

# Huang et al. 2019 (1909.00277); the Hub's parquet copy.
cosmosqa = register(
    MultipleChoice(
        name="cosmosqa",
        source=Hub("allenai/cosmos_qa", revision="ed50fe83db62b355759053b1cd5eef344ee371e0"),
        prompt=context_and_question,
        choices=cosmosqa_answers,
    )
)

# Talmor et al. 2019 (1811.00937).
commonsenseqa = register(
    MultipleChoice(
        name="commonsenseqa",
        source=Hub("tau/commonsense_qa", revision="94630fe30dad47192a8546eb75f094926d47e155"),
        prompt="question",
        choices=choice_texts,
        label="answerKey",
    )
)

# Sap et al. 2019 (1904.09728).
siqa = register(
    MultipleChoice(
        name="siqa",
        source=Hub("lighteval/siqa", revision="54c6a1f8cb6daf4f5abf24a601852612fb35eb25"),
        prompt=context_and_question,
        choices=siqa_answers,
        label=siqa_label,
        head="copa",
        max_length=128,
    )
)

# Roemmele et al. 2011, in SuperGLUE.
copa = register(
    MultipleChoice(
        name="copa",
        source=Hub("aps/super_glue", "copa", revision="3de24cf8022e94f4ee4b9d55a6f539891524d646"),
        prompt=copa_prompt,
        choices=copa_choices,
        label=copa_label,
        head="copa",
        max_length=128,
    )
)

# Ponti et al. 2020 (2005.00333). `question` is wrong in some rows of id, it, sw, th, tr, and used
# as it is.
xcopa = register(
    MultipleChoice(
        name="xcopa",
        source=XCOPA,
        prompt=copa_prompt,
        choices=copa_choices,
        label=copa_label,
        train_on=("siqa", "copa"),
        head="copa",
        max_length=128,
    )
)
