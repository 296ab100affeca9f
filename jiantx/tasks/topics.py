"""Topics of sentences and of news, in many languages."""

from jiantx.sources import Hub
from jiantx.task_types import Classification
from jiantx.tasks import languages
from jiantx.tasks.registry import register

TOPICS = (
    "entertainment",
    "geography",
    "health",
    "politics",
    "science/technology",
    "sports",
    "travel",
)
NEWS_TOPICS = (
    "business",
    "entertainment",
    "health",
    "politics",
    "religion",
    "sports",
    "technology",
)

# Adelani et al. 2024 (2309.07445): sentences of FLORES-200, the same in all languages.
sib200 = register(
    Classification(
        name="sib200",
        source=Hub("Davlan/sib200", "{language}", languages=languages.SIB200),
        labels=TOPICS,
        label="category",
        max_length=164,
    )
)

# Adelani et al. 2023 (2304.09972). A headline and its article as one text.
masakhanews = register(
    Classification(
        name="masakhanews",
        source=Hub("masakhane/masakhanews", "{language}", languages=languages.MASAKHANEWS),
        text="headline_text",
        labels=NEWS_TOPICS,
    )
)
