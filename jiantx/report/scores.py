"""Scores: one number for each metric, task, split, language and run."""

import json
import math
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

# a metric beside the others: how many inputs had text cut off, where any had
TRUNCATED = "truncated"
# as above: how many targets have a span that is cut off or has no piece, and count as wrong
LOST_TARGETS = "lost_targets"
# of heads that mix layers: the weight of layer 3 is the metric "layer_weight_3"
LAYER_WEIGHT = "layer_weight_"
CENTER_OF_GRAVITY = "center_of_gravity"
MAIN = "main_score"  # the metric that holds each task's main score: 0–100, higher is better

Tag = str | int
TagSet = frozenset[tuple[str, Tag]]

_LARGEST = sys.float_info.max


@dataclass(frozen=True)
class Score:
    """One number: a metric of one task, on one split, in one language.

    Args:
        task: Name of the task, such as "xnli".
        split: Name of the split, such as "validation".
        language: Language code, such as "sw".
        metric: Name of the metric. `MAIN` is the task's main score, from 0 to 100.
        value: The score; NaN where the metric is undefined.
        examples: How many examples the score was computed on.
        tags: The run that the score comes from, such as {"intermediate": "mnli", "seed": 1}.
            Values are text or whole numbers; names differ from those of the fields.

    Raises:
        ValueError: If a tag has the name of a field, or the value is infinite.
        TypeError: If a tag is neither text nor a whole number.
    """

    task: str
    split: str
    language: str
    metric: str
    value: float
    examples: int
    tags: Mapping[str, Tag] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        # NumPy's numbers become Python's, because JSON refuses them.
        object.__setattr__(self, "value", float(self.value))
        object.__setattr__(self, "examples", int(self.examples))
        object.__setattr__(self, "tags", dict(self.tags))
        if math.isinf(self.value):
            raise ValueError(
                f"{self.metric} of {self.task}, {self.language}: {self.value!r} is no score. "
                "Expected a finite number, or NaN if it is undefined."
            )
        for name, tag in self.tags.items():
            if name in FIELDS:
                raise ValueError(f"A tag cannot be named {name!r}, like a field of Score.")
            if not isinstance(tag, (str, int)) or isinstance(tag, bool):
                raise TypeError(f"The tag {name!r} is {tag!r}. Tags are text or whole numbers.")


FIELDS = tuple(field.name for field in fields(Score) if field.name != "tags")
_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "value": (int, float, type(None)),
    "examples": (int,),
}


def is_about_run(metric: str) -> bool:
    """Whether a metric tells how scores came about, and not how good they are."""
    about_run = (TRUNCATED, LOST_TARGETS, CENTER_OF_GRAVITY)
    return metric in about_run or metric.startswith(LAYER_WEIGHT)


def score_key(score: Score) -> tuple[Any, ...]:
    """Return everything that tells one score from another: all but its value and examples."""
    tags = frozenset(score.tags.items())
    return score.task, score.split, score.language, score.metric, tags


def comparable_value(score: Score) -> tuple[float | None, int]:
    """Return the value and the examples of a score, with None for NaN, so that NaN equals NaN."""
    value = None if math.isnan(score.value) else score.value
    return value, score.examples


def flat_record(score: Score) -> dict[str, Any]:
    """Return the fields of a score, and its tags beside them, in one dictionary."""
    record = {name: getattr(score, name) for name in FIELDS}
    return {**record, **score.tags}


def matches(score: Score, wanted: Mapping[str, Collection[Any]]) -> bool:
    """Whether the fields and tags of a score have wanted values.

    Args:
        score: The score.
        wanted: Field or tag -> wanted values.
    """
    coordinates = flat_record(score)
    return all(coordinates.get(name) in values for name, values in wanted.items())


# --- Groups ---------------------------------------------------------------------------------------


def group_metric(metric: str, group: str) -> str:
    """Name a metric of one group of examples: "accuracy[negation]".

    Args:
        metric: The metric's name.
        group: The group's name.
    """
    return f"{metric}[{group}]"


def split_group_metric(metric: str) -> tuple[str, str]:
    """Split a metric's name into the metric of all examples, and the group or "".

    >>> split_group_metric("accuracy[negation]"), split_group_metric("accuracy")
    (('accuracy', 'negation'), ('accuracy', ''))
    """
    name, bracket, group = metric.partition("[")
    return (name, group[:-1]) if bracket and group.endswith("]") else (metric, "")


# --- Tags -----------------------------------------------------------------------------------------


def run_tags(score: Score) -> TagSet:
    """Return the tags that name the run of a score: all but "seed"."""
    return without_tag(score.tags.items(), "seed")


def without_tag(tags: Iterable[tuple[str, Tag]], name: str) -> TagSet:
    """Drop one tag.

    Args:
        tags: Pairs of a tag's name and its value.
        name: Name of the tag to drop.

    Returns:
        The other tags.
    """
    return frozenset(tag for tag in tags if tag[0] != name)


def describe_tags(tags: Iterable[tuple[str, Tag]]) -> str:
    """Write tags as text, sorted by name: "intermediate=mnli, seed=1"."""
    return ", ".join(f"{name}={tag}" for name, tag in sorted(tags))


def label_runs(runs: Sequence[TagSet]) -> list[str]:
    """Name runs by their tag "intermediate" and the tags in which they differ.

    Runs without the tag "intermediate" are named by all their tags; without any tag: "report".
    """
    common = frozenset.intersection(*runs)
    labels = []
    for tags in runs:
        label = describe_tags(tags) or "report"
        intermediate = dict(tags).get("intermediate")
        if intermediate is not None:
            details = describe_tags(without_tag(tags - common, "intermediate"))
            label = f"{intermediate} ({details})" if details else str(intermediate)
        labels.append(label)
    return labels


# --- JSON -----------------------------------------------------------------------------------------


def to_json_line(score: Score) -> str:
    """Write a score as one JSON object with sorted keys, and with null for NaN."""
    record = flat_record(score)
    if math.isnan(score.value):
        record["value"] = None
    return json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False)


def from_json_records(records: Any) -> Iterator[Score]:
    """Check what a JSON file holds, and yield its scores.

    Raises:
        TypeError: If `records` is no list, or a field has a wrong type.
        ValueError: If a field is missing, a value is infinite, or a text is no valid Unicode.
    """
    if not isinstance(records, list):
        raise TypeError(f"expected a list of scores, found {type(records).__name__}.")
    for index, record in enumerate(records):
        _check_record(index, record)
        tags = {name: tag for name, tag in record.items() if name not in FIELDS}
        coordinates = {name: record[name] for name in FIELDS}
        if coordinates["value"] is None:
            coordinates["value"] = math.nan
        yield Score(**coordinates, tags=tags)


def _check_record(index: int, record: Any) -> None:
    for name in FIELDS:
        if not isinstance(record, dict) or name not in record:
            raise ValueError(f"score {index} has no {name!r}.")
        types = _JSON_TYPES.get(name, (str,))
        if not isinstance(record[name], types) or isinstance(record[name], bool):
            raise TypeError(f"score {index}: its {name!r} is {record[name]!r}.")
    value = record["value"]
    if value is not None and not abs(value) <= _LARGEST:
        raise ValueError(
            f"score {index}: its 'value' is {value!r}; expected a finite number, or null."
        )
    # Half of a surrogate pair raises here; such a text could not be written again.
    json.dumps(record, ensure_ascii=False).encode()
