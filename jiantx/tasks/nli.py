"""Natural language inference."""

from jiantx.sources import Concat, Hub, Row
from jiantx.task_types import Classification
from jiantx.tasks import languages
from jiantx.tasks.registry import register

NLI_LABELS = ("entailment", "neutral", "contradiction")
_ROUNDS = (1, 2, 3)
# HANS has two labels, and is scored with MNLI's head.
HANS_LABELS = {
    "entailment": "entailment",
    "neutral": "non-entailment",
    "contradiction": "non-entailment",
}


def has_label(row: Row, language: str) -> bool:
    """SNLI's annotators did not agree on some pairs, which carry no label.

    Args:
        row: A row as stored.
        language: The file's language; not needed here.
    """
    return row["label"] is not None


def anli_round(number: int) -> Hub:
    """One round of ANLI."""
    splits = {"train": "train", "validation": "dev", "test": "test"}
    return Hub(
        "facebook/anli",
        splits={split: f"{word}_r{number}" for split, word in splits.items()},
        revision=ANLI_REVISION,
    )


def hans_groups(row: Row) -> tuple[str, str]:
    """The heuristic of a row, and the heuristic with its label: a half each."""
    return row["heuristic"], f"{row['heuristic']}, {row['label']}"


ANLI_REVISION = "8e4813d81f46d313dac7892e1c28076917cfcdf9"
XNLI_REVISION = "b8dd5d7af51114dbda02c0e3f6133f332186418e"
MNLI = Hub(
    "nyu-mll/glue",
    "mnli",
    splits={"train": "train", "validation": "validation_matched"},
    revision="bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
)
MNLI_TEST = Hub(  # without labels: for GLUE's leaderboard
    "nyu-mll/glue",
    "mnli",
    splits={"test": "test_matched"},
    revision="bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
)
MNLI_TRANSLATED = Hub(  # by machine, for XNLI: to train on
    "facebook/xnli",
    "{language}",
    languages=tuple(code for code in languages.XNLI if code != "en"),
    splits={"train": "train"},
    revision=XNLI_REVISION,
)
SNLI = Hub(
    "stanfordnlp/snli",
    splits={split: split for split in ("train", "validation", "test")},
    where=has_label,
    revision="cdb5c3d5eed6ead6e5a341c8e56e669bb666725b",
)
ANLI = Hub(
    "facebook/anli",
    splits={
        split: [f"{word}_r{round_number}" for round_number in _ROUNDS]
        for split, word in {"train": "train", "validation": "dev", "test": "test"}.items()
    },
    revision=ANLI_REVISION,
)

# Williams et al. 2018 (1704.05426). Development scores are on the matched half.
mnli = register(
    Classification(
        name="mnli",
        source=Concat(MNLI, MNLI_TRANSLATED, MNLI_TEST),
        text="premise",
        text_pair="hypothesis",
        labels=NLI_LABELS,
        head="nli",
    )
)

# Bowman et al. 2015 (1508.05326).
snli = register(mnli.replace(name="snli", source=SNLI))

# Nie et al. 2020 (1910.14599), rounds 1 to 3.
anli = register(mnli.replace(name="anli", source=ANLI))

# Each round alone, as papers report them.
anli_r1 = register(anli.replace(name="anli_r1", source=anli_round(1)))
anli_r2 = register(anli.replace(name="anli_r2", source=anli_round(2)))
anli_r3 = register(anli.replace(name="anli_r3", source=anli_round(3)))

# The paper's ANLI+: the three data sets as one task, drawn in proportion to their rows.
anli_plus = register(mnli.replace(name="anli_plus", source=Concat(ANLI, MNLI, SNLI)))

# Conneau et al. 2018 (1809.05053): 2,490 development and 5,010 test pairs in each of 15 languages.
xnli = register(
    Classification(
        name="xnli",
        source=Hub("facebook/xnli", "{language}", languages=languages.XNLI, revision=XNLI_REVISION),
        text="premise",
        text_pair="hypothesis",
        labels=NLI_LABELS,
        train_on=("mnli",),
        head="nli",
    )
)

# Khot et al. 2018: science questions as pairs.
scitail = register(
    Classification(
        name="scitail",
        source=Hub("allenai/scitail", "tsv_format"),
        text="premise",
        text_pair="hypothesis",
        labels=("entails", "neutral"),
    )
)

# McCoy et al. 2019 (1902.01007): the label is "non-entailment", mapped after MNLI's argmax.
hans = register(
    Classification(
        name="hans",
        source=Hub("jhu-clsp/hans", "plain_text"),
        text="premise",
        text_pair="hypothesis",
        labels=NLI_LABELS,
        label_map=HANS_LABELS,
        named_groups=hans_groups,
        train_on=("mnli",),
        head="nli",
    )
)
