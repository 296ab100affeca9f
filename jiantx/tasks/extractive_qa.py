"""Extractive question answering beyond SQuAD: MRQA's training sets, Quoref."""

from dataclasses import replace
from typing import Any

from jiantx.sources import DataError, Hub, Row
from jiantx.task_types import QuestionAnswering
from jiantx.tasks.registry import register


def natural_questions(row: Row, language: str) -> bool:
    """MRQA's splits hold six data sets.

    Args:
        row: A row as stored.
        language: The file's language; not needed here.
    """
    return bool(row["subset"] == "NaturalQuestionsShort")


def newsqa_only(row: Row, language: str) -> bool:
    """As `natural_questions`.

    Args:
        row: A row as stored.
        language: The file's language; not needed here.
    """
    return bool(row["subset"] == "NewsQA")


def has_one_span(row: Row, language: str) -> bool:
    """Several spans are one answer together, which no single span is.

    Args:
        row: A row as stored.
        language: The file's language; not needed here.
    """
    return len(row["answers"]["text"]) <= 1


def detected_answers(row: Row) -> dict[str, list[Any]]:
    """All spans where MRQA found an accepted answer; their last character belongs to them.

    Raises:
        DataError: A span lies outside the passage.
    """
    context = row["context"]
    texts = []
    starts = []
    for spans in row["detected_answers"]["char_spans"]:
        for start, last in zip(spans["start"], spans["end"], strict=True):
            if not 0 <= start <= last < len(context):
                raise DataError(
                    f"An answer is at characters {start} to {last} of a passage of {len(context)}."
                )
            texts.append(context[start : last + 1])
            starts.append(start)
    return {"text": texts, "answer_start": starts}


MRQA = Hub(
    "mrqa-workshop/mrqa",
    splits={"train": "train", "validation": "validation"},
    where=natural_questions,
)

# Kwiatkowski et al. 2019, short answers, as MRQA 2019 has them (Fisch et al., 1910.09753).
mrqa_natural_questions = register(
    QuestionAnswering(
        name="mrqa_natural_questions",
        source=MRQA,
        answers=detected_answers,
    )
)

# Trischler et al. 2017 (1611.09830), as MRQA 2019 has it.
newsqa = register(
    mrqa_natural_questions.replace(
        name="newsqa",
        source=replace(MRQA, where=newsqa_only),
    )
)

# Dasigi et al. 2019 (1908.05803), the questions that one span answers.
quoref = register(
    QuestionAnswering(
        name="quoref",
        source=Hub("allenai/quoref", where=has_one_span),
    )
)
