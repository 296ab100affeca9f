"""Sentence retrieval across languages."""

from jiantx.sources import Hub, Row
from jiantx.task import register
from jiantx.task_types import Retrieval
from jiantx.tasks import languages


def english(row: Row) -> str:
    """The English side; the Hub's copy ends every sentence in a line feed."""
    return str(row["target_sentence"]).strip()


def foreign(row: Row) -> str:
    """The other side."""
    return str(row["source_sentence"]).strip()


# Artetxe and Schwenk 2019; XTREME's direction: English asks, the other language is searched; layer 14 of 24, mean.
tatoeba = register(
    Retrieval(
        name="tatoeba",
        source=Hub(
            "google/xtreme",
            "tatoeba.{language}",
            languages=languages.TATOEBA,
            splits={"validation": "validation", "test": "validation"},
        ),
        query=english,
        candidate=foreign,
        depth=14 / 24,
    )
)
