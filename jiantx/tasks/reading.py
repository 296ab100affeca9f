"""Reading comprehension, as a choice between answers."""

from jiantx.metrics import exact_match, squad_f1
from jiantx.sources import DataError, Hub, Row
from jiantx.task_types import MultipleChoice
from jiantx.tasks import languages
from jiantx.tasks.commonsense import context_and_question
from jiantx.tasks.registry import register


def article_and_question(row: Row) -> str:
    """One text before the answer, as in jiant. The blanks of some questions stay."""
    return f"{row['article']} {row['question']}"


def flores_passage_and_question(row: Row) -> str:
    """One text before the answer."""
    return f"{row['flores_passage']} {row['question']}"


def belebele_answers(row: Row) -> list[str]:
    """Four columns."""
    return [row[f"mc_answer{number}"] for number in range(1, 5)]


def story_and_question(row: Row) -> str:
    """One text before the answer. The data set writes a line feed as a word."""
    story = row["story"].replace("\\newline", " ")
    return f"{story} {row['question']}"


def mctest_answers(row: Row) -> list[str]:
    """One for each letter."""
    return [row["answer_options"][letter] for letter in "ABCD"]


def record_entities(row: Row) -> list[str]:
    """The different texts of entities, sorted: their order differs between builds of the data."""
    return sorted(set(row["entities"]))


def record_queries(row: Row) -> list[str]:
    """The query, with each entity in the place that it leaves open.

    Raises:
        DataError: It leaves none open, so that all choices would be the same text.
    """
    if "@placeholder" not in row["query"]:
        raise DataError(f"The query {row['query']!r} leaves nothing open; expected '@placeholder'.")
    return [row["query"].replace("@placeholder", entity) for entity in record_entities(row)]


# Zhang et al. 2018 (1810.12885), in SuperGLUE.
record = register(
    MultipleChoice(
        name="record",
        source=Hub("aps/super_glue", "record", revision="3de24cf8022e94f4ee4b9d55a6f539891524d646"),
        prompt="passage",
        choices=record_queries,
        label="answers",
        scored_texts=record_entities,
        metrics=(exact_match, squad_f1),
        max_length=512,
    )
)

# Lai et al. 2017 (1704.04683).
race = register(
    MultipleChoice(
        name="race",
        source=Hub("ehovy/race", "all"),
        prompt=article_and_question,
        choices="options",
        label="answer",
        head="race",
        max_length=512,
    )
)
race_middle = register(race.replace(name="race_middle", source=Hub("ehovy/race", "middle")))
race_high = register(race.replace(name="race_high", source=Hub("ehovy/race", "high")))

# Bandarkar et al. 2023 (2308.16884).
belebele = register(
    MultipleChoice(
        name="belebele",
        source=Hub("facebook/belebele", "{language}", languages=languages.BELEBELE),
        prompt=flores_passage_and_question,
        choices=belebele_answers,
        label="correct_answer_num",
        labels_from=1,
        train_on=("race",),
        head="race",
        max_length=512,
    )
)

# Rogers et al. 2020 (AAAI).
quail = register(
    MultipleChoice(
        name="quail",
        source=Hub(
            "textmachinelab/quail",
            splits={"train": "train", "validation": "validation", "test": "challenge"},
        ),
        prompt=context_and_question,
        choices="answers",
        label="correct_answer_id",
        max_length=512,
    )
)

# Richardson et al. 2013 (D13-1020).
mctest160 = register(
    MultipleChoice(
        name="mctest160",
        source=Hub("sagnikrayc/mctest", "mc160"),
        prompt=story_and_question,
        choices=mctest_answers,
        label="answer",
        head="mctest",
        max_length=512,
    )
)
mctest500 = register(mctest160.replace(name="mctest500", source=Hub("sagnikrayc/mctest", "mc500")))
