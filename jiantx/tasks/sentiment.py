"""Sentiment."""

from jiantx.sources import Hub
from jiantx.task_types import Classification
from jiantx.tasks import languages
from jiantx.tasks.registry import register

POLARITIES = ("negative", "neutral", "positive")

# Winata et al. 2023 (2205.15960): the same texts in English and eleven languages of Indonesia.
nusax = register(
    Classification(
        name="nusax",
        source=Hub("indonlp/NusaX-senti", "{language}", languages=languages.NUSAX),
        labels=POLARITIES,
    )
)

# Muhammad et al. 2023 (2302.08956). No English: trained on what it has, om and ti are zero-shot.
afrisenti = register(
    Classification(
        name="afrisenti",
        source=Hub("masakhane/afrisenti", "{language}", languages=languages.AFRISENTI),
        text="tweet",
        labels=POLARITIES,
        train_languages=tuple(code for code in languages.AFRISENTI if code not in ("om", "ti")),
    )
)
