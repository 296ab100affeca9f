"""Claims: what evidence says of them, and what they rest on."""

from jiantx.sources import Files, Hub, Row, read_tsv
from jiantx.task_types import Classification, MultipleChoice
from jiantx.tasks.nli import NLI_LABELS
from jiantx.tasks.registry import register

ARCT = Files(
    "arct/{split}.txt",
    read_tsv,
    splits={"train": "train-full", "validation": "dev-full", "test": "test-only-data"},
    origin="https://github.com/UKPLab/argument-reasoning-comprehension-task "
    "(mturk/annotation-task/data/exported-SemEval2018-train-dev-test)",
)


def argument_warrants(row: Row) -> list[str]:
    """Two arguments that differ in their warrant, as jiant writes them."""
    return [f"And since {row[f'warrant{index}']}, {row['claim']}" for index in range(2)]


def right_warrant(row: Row) -> int:
    """A number that the file spells."""
    return int(row["correctLabelW0orW1"])


# Thorne et al. 2018 (1803.05355), as pairs: Nie et al. 2019 (1811.07039). In this copy the claim is
# the premise; evidence comes first here, as in other NLI data and in jiant.
fever_nli = register(
    Classification(
        name="fever_nli",
        source=Hub("pietrolesci/nli_fever"),
        text="hypothesis",
        text_pair="premise",
        labels=NLI_LABELS,
    )
)

# Habernal et al. 2018 (1708.01425).
arct = register(
    MultipleChoice(
        name="arct",
        source=ARCT,
        prompt="reason",
        choices=argument_warrants,
        label=right_warrant,
        max_length=128,
    )
)
