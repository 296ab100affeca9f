"""Commonsense reasoning, as a choice between completions."""

from jiantx.sources import DataError, Hub, Row
from jiantx.task_types import MultipleChoice
from jiantx.tasks import languages
from jiantx.tasks.registry import register

XCOPA = Hub(
    "cambridgeltl/xcopa",
    "{language}",
    languages=languages.XCOPA,
    revision="042f78955ba48e6404616762fa6e05e839c3907a",
)

XSTORYCLOZE = Hub(
    "juletxara/xstory_cloze",
    "{language}",
    languages=languages.XSTORYCLOZE,
    splits={"train": "train", "test": "eval"},
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


def answer_index(row: Row) -> int | None:
    """The answer's place among the row's own keys: letters or numbers from 1, and 3 to 5 of them
    (ARC).
    """
    key = row["answerKey"]
    return row["choices"]["label"].index(key) if key else None


def xcsqa_question(row: Row) -> str:
    """CommonsenseQA's question, one level deeper."""
    text: str = row["question"]["stem"]
    return text


def xcsqa_choices(row: Row) -> list[str]:
    """Six German rows have a choice without text, which stays a choice."""
    return [text.strip() or "." for text in row["question"]["choices"]["text"]]


def piqa_solutions(row: Row) -> list[str]:
    """Two columns."""
    return [row["sol1"], row["sol2"]]


def swag_endings(row: Row) -> list[str]:
    """The second sentence begins before each ending."""
    return [f"{row['sent2']} {row[f'ending{index}']}" for index in range(4)]


def explanations(row: Row) -> list[str]:
    """What happened between two observations, with the second one."""
    hypotheses = (row["hypothesis_1"], row["hypothesis_2"])
    return [f"{hypothesis} {row['observation_2']}" for hypothesis in hypotheses]


def story(row: Row) -> str:
    """Four sentences."""
    return " ".join(row[f"input_sentence_{number}"] for number in range(1, 5))


def story_endings(row: Row) -> list[str]:
    """Two columns."""
    return [row["sentence_quiz1"], row["sentence_quiz2"]]


def text_before_blank(row: Row) -> str:
    """The sentence up to its blank; the blank itself if nothing comes before it."""
    text: str = row["sentence"].partition("_")[0].strip()
    return text or "_"


def filled_blanks(row: Row) -> list[str]:
    """Each option with the rest of the sentence.

    Raises:
        DataError: The sentence has no blank.
    """
    _, blank, rest = row["sentence"].partition("_")
    if not blank:
        raise DataError(f"The sentence {row['sentence']!r} has no blank; expected '_' in it.")
    return [f"{row[option]}{rest}" for option in ("option1", "option2")]


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
        labels_from=1,
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

# Clark et al. 2018 (1803.05457).
arc_easy = register(
    MultipleChoice(
        name="arc_easy",
        source=Hub("allenai/ai2_arc", "ARC-Easy"),
        prompt="question",
        choices=choice_texts,
        label=answer_index,
        head="arc",
        max_length=128,
    )
)
arc_challenge = register(
    arc_easy.replace(name="arc_challenge", source=Hub("allenai/ai2_arc", "ARC-Challenge"))
)

# Bisk et al. 2020 (1911.11641).
piqa = register(
    MultipleChoice(
        name="piqa",
        source=Hub("ybisk/piqa"),
        prompt="goal",
        choices=piqa_solutions,
    )
)

# Zellers et al. 2018 (1808.05326).
swag = register(
    MultipleChoice(
        name="swag",
        source=Hub("allenai/swag", "regular"),
        prompt="sent1",
        choices=swag_endings,
        max_length=128,
    )
)

# Bhagavatula et al. 2020 (1908.05739).
abductive_nli = register(
    MultipleChoice(
        name="abductive_nli",
        source=Hub("allenai/art", "anli"),
        prompt="observation_1",
        choices=explanations,
        labels_from=1,
        max_length=128,
    )
)

# Sakaguchi et al. 2020 (1907.10641).
winogrande = register(
    MultipleChoice(
        name="winogrande",
        source=Hub("allenai/winogrande", "winogrande_xl"),
        prompt=text_before_blank,
        choices=filled_blanks,
        label="answer",
        labels_from=1,
        max_length=128,
    )
)

# Tikhonov and Ryabinin 2021 (2106.12066).
xwinograd = register(
    MultipleChoice(
        name="xwinograd",
        source=Hub("Muennighoff/xwinograd", "{language}", languages=languages.XWINOGRAD),
        prompt=text_before_blank,
        choices=filled_blanks,
        label="answer",
        labels_from=1,
        train_on=("winogrande",),
        head="winogrande",
        max_length=128,
    )
)

# Lin et al. 2022 (2112.10668).
xstorycloze = register(
    MultipleChoice(
        name="xstorycloze",
        source=XSTORYCLOZE,
        prompt=story,
        choices=story_endings,
        label="answer_right_ending",
        labels_from=1,
        train_on=("siqa", "copa"),
        head="copa",
        max_length=128,
    )
)

# Lin et al. 2021 (2106.06937).
xcsqa = register(
    MultipleChoice(
        name="xcsqa",
        source=Hub("INK-USC/xcsr", "X-CSQA-{language}", languages=languages.XCSQA),
        prompt=xcsqa_question,
        choices=xcsqa_choices,
        label="answerKey",
        train_on=("commonsenseqa",),
        head="commonsenseqa",
    )
)
