"""Readers of question answering: SQuAD's JSON, LAReQA's XQuAD-R."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jiantx.sources.base import DataError, Row, file_stats
from jiantx.sources.readers.tables import read_json

_TEXT_COLUMNS = ("id", "title", "context", "question")


def read_squad(path: Path, *, encoding: str = "utf-8") -> Iterator[Row]:
    """Read SQuAD's JSON (v1.1 and v2): one row a question.

    The columns are the Hub's: id, title, context, question, answers. An answer without
    `answer_start` starts where its text occurs, if that is once. A question without `answers` is
    unlabelled, and one with an empty list has no answer.

    Args:
        path: The file.
        encoding: Its encoding.

    Raises:
        DataError: The file is no SQuAD JSON, or does not say which occurrence an answer is.
    """
    document = read_json(path, encoding)
    json_path = "the top"  # of what is being read
    try:
        for i, article in enumerate(document["data"]):
            json_path = f"data[{i}]"
            for j, paragraph in enumerate(article["paragraphs"]):
                json_path = f"data[{i}].paragraphs[{j}]"
                for k, question in enumerate(paragraph["qas"]):
                    json_path = f"data[{i}].paragraphs[{j}].qas[{k}]"
                    yield _question_row(article, paragraph, question)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        problem = f"the key {error} is missing" if isinstance(error, KeyError) else str(error)
        raise DataError(
            f"{path}: expected SQuAD's JSON: data, paragraphs, qas, answers. At {json_path}, "
            f"{problem}."
        ) from None


def _question_row(
    article: Mapping[str, Any], paragraph: Mapping[str, Any], question: Mapping[str, Any]
) -> Row:
    answers = question.get("answers")
    if answers and question.get("is_impossible"):
        raise DataError(
            f"Question {question['id']!r} has is_impossible: true, and the answer "
            f"{answers[0].get('text')!r}. Correct one of them; answers that look right and are not "
            "stand in `plausible_answers`."
        )
    if answers is None and question.get("is_impossible"):
        answers = []
    gold = None  # where the file does not say, as in a hidden test split
    if answers is not None:
        starts = [_answer_start(answer, paragraph, question) for answer in answers]
        gold = {"text": [answer["text"] for answer in answers], "answer_start": starts}
    row = {
        "id": question["id"],
        "title": article.get("title", ""),
        "context": paragraph["context"],
        "question": question["question"],
        "answers": gold,
    }
    for name in _TEXT_COLUMNS:
        if type(row[name]) is not str:
            raise TypeError(f"{name} is {row[name]!r}")
    return row


def _answer_start(
    answer: Mapping[str, Any], paragraph: Mapping[str, Any], question: Mapping[str, Any]
) -> int:
    """Where an answer starts; if the file does not say, the only occurrence of its text."""
    if answer.get("answer_start") is not None:
        return answer["answer_start"]
    text = answer["text"]
    start = paragraph["context"].find(text)
    if not text or start < 0 or start != paragraph["context"].rfind(text):
        occurs = "is nowhere" if start < 0 else "occurs more than once"
        raise DataError(
            f"Question {question['id']!r}: the answer {text!r} has no answer_start, and {occurs} "
            "in its context. Add the index of its first character, or drop the question."
        )
    return start


def read_xquad_r(path: Path) -> Iterator[Row]:
    """Read the questions of LAReQA's XQuAD-R: SQuAD's columns and `relevant`.

    `relevant` holds the ids of the answers' sentences, in every language whose file is in the same
    folder.
    """
    sentence_of_question = [
        _answer_sentences(*stats)[1] for stats in file_stats(sorted(path.parent.glob("*.json")))
    ]
    for row in read_squad(path):
        sentence_ids = (sentences.get(row["id"]) for sentences in sentence_of_question)
        yield {**row, "relevant": [id for id in sentence_ids if id is not None]}


def read_xquad_r_sentences(path: Path) -> Iterator[Row]:
    """Read the candidates of LAReQA's XQuAD-R: rows `{"id", "candidate"}`.

    A candidate is a sentence followed by its paragraph.
    """
    (stats,) = file_stats([path])
    yield from _answer_sentences(*stats)[0]


@lru_cache(maxsize=32)
def _answer_sentences(file_name: str, size: int, modified: int) -> tuple[list[Row], dict[str, str]]:
    """The sentences of an XQuAD-R file in one state; and question id -> id of its sentence."""
    path = Path(file_name)
    rows: list[Row] = []
    sentence_of_question: dict[str, str] = {}
    document = read_json(path)
    try:
        paragraphs: list[Any] = []
        for article in document["data"]:
            paragraphs += article["paragraphs"]
        for paragraph_index, paragraph in enumerate(paragraphs):
            context = paragraph["context"]
            for sentence_index, (start, end) in enumerate(paragraph["sentence_breaks"]):
                id = f"{path.stem}_{paragraph_index}_{sentence_index}"
                candidate = (context[start:end] + context).replace("\n", "")
                rows.append({"id": id, "candidate": candidate})
                for question in paragraph["qas"]:
                    if start <= question["answers"][0]["answer_start"] < end:
                        sentence_of_question[question["id"]] = id
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(
            f"{path}: expected XQuAD-R's JSON: SQuAD's with sentence_breaks ({error!r})."
        ) from None
    return rows, sentence_of_question
