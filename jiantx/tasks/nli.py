"""Natural language inference."""

from jiantx.sources import Hub
from jiantx.task import register
from jiantx.task_types import Classification
from jiantx.tasks import languages

NLI_LABELS = ("entailment", "neutral", "contradiction")

# Williams et al. 2018 (1704.05426). Development scores are on the matched half.
mnli = register(
    Classification(
        name="mnli",
        source=Hub("nyu-mll/glue", "mnli", splits={"train": "train", "validation": "validation_matched"}),
        text="premise",
        text_pair="hypothesis",
        labels=NLI_LABELS,
        head="nli",
    )
)

# Conneau et al. 2018 (1809.05053): 2,490 development and 5,010 test pairs in each of 15 languages.
xnli = register(
    Classification(
        name="xnli",
        source=Hub("facebook/xnli", "{language}", languages=languages.XNLI),
        text="premise",
        text_pair="hypothesis",
        labels=NLI_LABELS,
        train_on=("mnli",),
        head="nli",
    )
)
