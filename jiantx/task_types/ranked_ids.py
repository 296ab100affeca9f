"""The ids of retrieval: of candidates, and of what is relevant to a query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jiantx.sources import DataError

if TYPE_CHECKING:
    from jiantx.task_types.retrieval import PairExample


def check_own_candidates(task: str, examples: Sequence[PairExample]) -> None:
    """Refuse ids that name different candidates: the wrong ones would count as right.

    Args:
        task: Its name, for messages.
        examples: Each with its candidate.

    Raises:
        DataError: Two have one id and different candidates.
    """
    rows: dict[str, int] = {}
    for row, example in enumerate(examples):
        first = rows.setdefault(example.id, row)
        if example.id and example.candidate != examples[first].candidate:
            raise DataError(
                f"Task {task}, language {example.language!r}: rows {first} and {row} have "
                f"the same id {example.id!r} and different candidates. Ids tell candidates "
                "apart: give each row its own, or drop the column `id`."
            )
    ids_of: dict[str, set[str]] = {}
    for example in examples:
        if example.id and example.candidate is not None:
            ids_of.setdefault(example.candidate, set()).add(example.id)
    repeated = sum(len(ids) for ids in ids_of.values() if len(ids) > 1)
    if repeated:
        from transformers.utils import logging

        logging.get_logger("jiantx.retrieval").warning_once(
            f"Task {task}, language {examples[0].language!r}: {repeated:,} of {len(examples):,} "
            "rows have the candidate of another row. Only a row's own id counts as right, so of "
            "equal texts all but the first count as wrong. To score by text, give each text once "
            "as a `corpus`, and its id as `relevant`."
        )


def check_relevant(
    task: str, examples: Sequence[PairExample], candidate_ids: set[str], *, mining: bool
) -> None:
    """Say which relevant ids no candidate has; refuse gold that fits no candidate at all.

    Args:
        task: Its name, for messages.
        examples: Queries.
        candidate_ids: Of the corpus.
        mining: The task mines pairs, so that some ids cannot be found on purpose.

    Raises:
        DataError: No candidate is relevant to any query.
    """
    gold = [(example.id, set(example.relevant)) for example in examples if example.relevant]
    lacking = [(id, relevant - candidate_ids) for id, relevant in gold]
    lacking = [(id, missing) for id, missing in lacking if missing]
    if not lacking:
        return
    query_id, missing = lacking[0]
    text = (
        f"Task {task}, language {examples[0].language!r}: {len(lacking):,} of "
        f"{len(gold):,} queries have relevant ids that are not in the corpus, such as "
        f"{min(missing)!r} of query {query_id!r}. The corpus has {len(candidate_ids):,} ids, "
        f"such as {min(candidate_ids)!r}."
    )
    if all(candidate_ids.isdisjoint(relevant) for _, relevant in gold):
        raise DataError(
            f"{text} No relevant id is there, so nothing can be scored. Compare the ids of "
            'both sides; pool="all" searches all languages.'
        )
    if not mining:  # there, texts without an id cannot be found on purpose
        from transformers.utils import logging

        logging.get_logger("jiantx.retrieval").warning_once(f"{text} Such ids count as not found.")


def graded_ids(relevant: Sequence[str], grades: Any) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The ids with a grade above 0, and their grades.

    Args:
        relevant: Ids.
        grades: The number of each.

    Raises:
        DataError: There are not as many numbers as ids, or an id has two.
    """
    values = [grades] if isinstance(grades, int | float) else grades
    is_list = isinstance(values, list | tuple)
    if not is_list or not all(isinstance(value, int | float) for value in values):
        raise DataError(f"The grades are {grades!r}; expected a list of numbers.")
    if len(values) != len(relevant) or len(set(relevant)) != len(relevant):
        raise DataError(
            f"There are {len(values)} grades for the ids {list(relevant)}. Expected one grade for "
            "each id, and each id once."
        )
    positive = [(id, float(value)) for id, value in zip(relevant, values) if value > 0]
    return tuple(id for id, _ in positive), tuple(grade for _, grade in positive)
