"""Semantic similarity, as a number."""

from jiantx.sources import Hub
from jiantx.task_types import Regression
from jiantx.tasks import languages
from jiantx.tasks.registry import register

STSB = Hub(
    "PhilipMay/stsb_multi_mt",
    "{language}",
    languages=languages.STSB,
    splits={"train": "train", "validation": "dev", "test": "test"},
)

# STS benchmark (Cer et al. 2017), machine-translated into nine languages; 0 (unrelated) to 5 (the
# same).
stsb = register(
    Regression(
        name="stsb",
        source=STSB,
        text="sentence1",
        text_pair="sentence2",
        label="similarity_score",
        high=5.0,
    )
)
