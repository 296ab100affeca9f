"""Natural language inference, trained on MNLI and scored in other languages."""

from jiantx.sources import DataError, Hub, Row
from jiantx.task_types import Classification
from jiantx.tasks import languages
from jiantx.tasks.nli import NLI_LABELS
from jiantx.tasks.registry import register


def nli_label(row: Row) -> str | None:
    """A number, which AfriXNLI's files do not name, in XNLI's order; or a name.

    Raises:
        DataError: It is another number.
    """
    label: str | int | None = row["label"]
    if label is None or isinstance(label, str):
        return label
    if label == -1:  # hidden
        return None
    if label not in range(len(NLI_LABELS)):
        raise DataError(f"The label is {label!r}; expected 0, 1 or 2, or a name.")
    return NLI_LABELS[label]


# Ebrahimi et al. 2022 (2104.08726): XNLI's Spanish pairs in ten languages of the Americas.
americas_nli = register(
    Classification(
        name="americas_nli",
        source=Hub("nala-cub/americas_nli", "{language}", languages=languages.AMERICAS_NLI),
        text="premise",
        text_pair="hypothesis",
        labels=NLI_LABELS,
        train_on=("mnli",),
        head="nli",
    )
)

# Adelani et al. 2025, IrokoBench (2406.03368).
afrixnli = register(
    americas_nli.replace(
        name="afrixnli",
        source=Hub("masakhane/afrixnli", "{language}", languages=languages.AFRIXNLI),
        label=nli_label,
    )
)

# Aggarwal et al. 2022 (2204.08776): XNLI, translated by machine.
indicxnli = register(
    americas_nli.replace(
        name="indicxnli",
        source=Hub("Divyanshu/indicxnli", "{language}", languages=languages.INDICXNLI),
    )
)
