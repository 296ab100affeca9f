"""Named entities that people annotated, in many languages."""

from jiantx.metrics import chunk_f1, token_accuracy
from jiantx.sources import Hub, Row
from jiantx.task_types import TokenClassification
from jiantx.tasks import languages
from jiantx.tasks.registry import register
from jiantx.tasks.tagging import ENTITY_TAGS

# Types of which the other data sets know nothing: dates (MasakhaNER) and others (Universal NER).
_DROPPED_TAGS = frozenset(("B-DATE", "I-DATE", "B-OTH", "I-OTH"))
UNER = Hub("universalner/universal_ner", "{language}", languages=languages.UNER)
UNER_PUD = Hub(
    "universalner/universal_ner",
    "{language}",
    languages=languages.UNER_PUD,
    splits={"test": "test"},
)
MASAKHANER = Hub("masakhane/masakhaner2", "{language}", languages=languages.MASAKHANER)


def three_types(row: Row) -> list[str]:
    """Persons, organisations and locations; dates and other entities become O."""
    return ["O" if tag in _DROPPED_TAGS else tag for tag in row["ner_tags"]]


# Mayhew et al. 2024 (2311.09122), on the words of Universal Dependencies. Trained on English EWT.
universal_ner = register(
    TokenClassification(
        name="universal_ner",
        source=UNER,
        tags=three_types,
        labels=ENTITY_TAGS,
        metrics=(chunk_f1, token_accuracy),
    )
)

# Its parallel sentences.
universal_ner_pud = register(
    universal_ner.replace(
        name="universal_ner_pud",
        source=UNER_PUD,
        train_on=("universal_ner",),
        head="universal_ner",
    )
)

# Adelani et al. 2022 (2210.12391). From English, where dates are no entities: they are not scored.
masakhaner2 = register(
    universal_ner.replace(
        name="masakhaner2",
        source=MASAKHANER,
        train_on=("universal_ner",),
        head="universal_ner",
    )
)

# With dates, trained in its languages.
masakhaner2_dates = register(
    universal_ner.replace(
        name="masakhaner2_dates",
        source=MASAKHANER,
        tags="ner_tags",
        labels=(*ENTITY_TAGS, "B-DATE", "I-DATE"),
        train_languages=tuple(languages.MASAKHANER),
    )
)
