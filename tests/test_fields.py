"""Fields with few possible values, and those that hold several, are checked when declared."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import jiantx as jx
from jiantx import task_types
from jiantx.experiments import Recipe
from jiantx.fields import field_hints, fixed_values
from jiantx.metrics import accuracy
from jiantx.report import MAIN
from jiantx.task import Task

ROWS = jx.Rows({})
DECLARED: dict[Any, dict[str, Any]] = {  # class -> the fields that must be given
    jx.Classification: {"name": "mine", "source": ROWS, "labels": ("no", "yes")},
    jx.Regression: {"name": "mine", "source": ROWS},
    jx.TokenClassification: {"name": "mine", "source": ROWS, "labels": ("B-X", "O")},
    jx.QuestionAnswering: {"name": "mine", "source": ROWS},
    jx.MultipleChoice: {"name": "mine", "source": ROWS},
    jx.SpanClassification: {"name": "mine", "source": ROWS, "labels": ("no", "yes")},
    jx.Retrieval: {"name": "mine", "source": ROWS},
    jx.MaskedLM: {"name": "mine", "source": ROWS},
    jx.SentenceRanking: {"name": "mine", "source": ROWS},
    jx.Files: {"pattern": "a.csv", "read": jx.read_csv},
    jx.Hub: {"path": "a/b"},
    Recipe: {"encoder": "a", "output": "b"},
}


def fields_where(is_wanted: Callable[[Any], Any]) -> Iterator[Any]:
    for declared in DECLARED:
        for name, hint in field_hints(declared).items():
            if is_wanted(hint):
                yield pytest.param(declared, name, hint, id=f"{declared.__name__}.{name}")


def test_every_task_type_is_walked() -> None:
    types = {getattr(task_types, name) for name in task_types.__all__}
    assert {kind for kind in types if issubclass(kind, Task)} <= set(DECLARED)
    for declared in DECLARED:
        assert set(field_hints(declared)) == {field.name for field in dataclasses.fields(declared)}


@pytest.mark.parametrize(("declared", "name", "hint"), fields_where(fixed_values))
def test_fields_with_few_values(declared: Any, name: str, hint: Any) -> None:
    for value in fixed_values(hint):
        if declared is not jx.TokenClassification:  # whose labels must be of the scheme
            declared(**{**DECLARED[declared], name: value})
    for typo in ("", "maybe", "True", 7):
        with pytest.raises(ValueError, match=rf"{name}={typo!r}\. Expected one of "):
            declared(**{**DECLARED[declared], name: typo})


def holds_several(hint: Any) -> bool:
    text = str(hint)
    return ("tuple[str" in text or "Sequence[str]" in text) and "Callable" not in text


@pytest.mark.parametrize(("declared", "name", "hint"), fields_where(holds_several))
def test_one_text_is_not_several(declared: Any, name: str, hint: Any) -> None:
    """It would be taken for its letters: "de" for the languages d and e."""
    if name == "splits" and declared is not Recipe:
        pytest.skip("a mapping")
    with pytest.raises(ValueError, match=rf"{name}='de'\. .* Write \('de',\)"):
        declared(**{**DECLARED[declared], name: "de"})
    declared(**{**DECLARED[declared], name: ("de",)})


@pytest.mark.parametrize(
    ("declared", "fields", "message"),
    [
        (jx.Classification, {"max_length": "128"}, "Expected a whole number of at least 1"),
        (jx.Classification, {"max_length": -5}, "Expected a whole number of at least 1"),
        (jx.Classification, {"max_length": 12.5}, "Expected a whole number"),
        (jx.Classification, {"language_exponent": float("nan")}, "Expected a number"),
        (jx.QuestionAnswering, {"n_best": 0}, "Expected a whole number of at least 1"),
        (jx.QuestionAnswering, {"max_answer_length": 0}, "Expected a whole number of at least 1"),
        (jx.Retrieval, {"top": 0}, "Expected a whole number of at least 1"),
        (jx.Retrieval, {"layer": 1.5}, "Expected a whole number"),
        (jx.Retrieval, {"layer": True}, "Expected a whole number"),
        (jx.Regression, {"low": 1, "high": 1}, "Expected a scale"),
        (jx.Regression, {"low": "0"}, "Expected a number"),
    ],
)
def test_numbers(declared: Any, fields: dict[str, Any], message: str) -> None:
    """An answer of 0 tokens, a ranking of none, a scale without width: scores that mean nothing."""
    with pytest.raises(ValueError, match=f"Task mine: {next(iter(fields))}=.*{message}"):
        declared(**{**DECLARED[declared], **fields})


def test_numbers_of_numpy() -> None:
    numbers: dict[str, Any] = {"top": np.int64(3), "depth": np.float32(0.5), "layer": 0}
    mine = jx.Retrieval(**DECLARED[jx.Retrieval], **numbers)
    assert (mine.top, mine.depth) == (3, 0.5)


@pytest.mark.parametrize("name", ["metrics", "main_metrics"])
def test_one_function_is_not_several(name: str) -> None:
    with pytest.raises(ValueError, match=r"found one function\. Write \(accuracy,\)"):
        jx.Classification(**{**DECLARED[jx.Classification], name: accuracy})


@pytest.mark.parametrize(
    ("fields", "near"),
    [
        ({"pooling": "poler"}, "Task mine: pooling='poler'.*Did you mean 'pooler'"),
        ({"pool": "langauge"}, "Task mine: pool='langauge'.*Did you mean 'language'"),
        ({"mining": "yes"}, "Task mine: mining='yes'. Expected one of True, False"),
    ],
)
def test_near_values_are_named(fields: dict[str, Any], near: str) -> None:
    with pytest.raises(ValueError, match=near):
        jx.Retrieval(**{**DECLARED[jx.Retrieval], **fields})
    with pytest.raises(ValueError, match=near):
        jx.Retrieval(**DECLARED[jx.Retrieval]).replace(**fields)


def test_a_source_of_one_s_own_is_checked_too() -> None:
    @dataclass(frozen=True)
    class Mine(jx.Source):
        codes: tuple[str, ...] = ("en",)

        def rows(self, split: str, language: str) -> Any: ...
        def available(self, split: str) -> tuple[str, ...]:
            return self.codes

    assert Mine().available("train") == ("en",)
    with pytest.raises(ValueError, match="Mine: codes='de'"):
        Mine("de")  # type: ignore[arg-type]


# --- arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: jx.MultitaskModel.from_pretrained("a", heads="nwe"),  # type: ignore[arg-type]
            "heads='nwe'.*Did you mean 'new'",
        ),
        (
            lambda: jx.score_xtreme("a", "b", seqeval="1.2"),  # type: ignore[arg-type]
            "seqeval='1.2'.*Did you mean '1.2.2'",
        ),
        (lambda: jx.score_xtreme("a", "b", "xtrem"), "Did you mean 'xtreme"),  # type: ignore[arg-type]
        (
            lambda: jx.metrics.chunk_f1([["O"]], [["O"]], scheme="BIOLU"),  # type: ignore[arg-type]
            "scheme='BIOLU'.*Did you mean 'BILOU'",
        ),
        (
            lambda: jx.MultitaskModel.set_padding_free(None, "Auto"),  # type: ignore[arg-type]
            "padding_free='Auto'.*Did you mean 'auto'",
        ),
        (lambda: jx.list_tasks(type="regresion"), "Did you mean 'regression'"),
        (lambda: jx.list_tasks(benchmark="xtremer"), "Did you mean 'xtreme"),
    ],
)
def test_arguments_with_few_values(call: Callable[[], Any], message: str) -> None:
    with pytest.raises((ValueError, LookupError), match=message):
        call()


def test_one_task_to_compare_needs_no_list() -> None:
    """Its letters would be the columns, and tasks whose names are in its name would count."""
    scores = [jx.Score(name, "test", "en", MAIN, 50.0, 9, {"seed": 1}) for name in ("nli", "xnli")]
    baseline = jx.Report(replace(score, tags={"run": "a"}) for score in scores)
    report = jx.Report(replace(score, tags={"run": "b"}) for score in scores)
    columns = report.compare(baseline, tasks="xnli").columns
    assert columns == report.compare(baseline, tasks=["xnli"]).columns == ("xnli",)


# --- recipes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"adapt": "lorra"}, "Recipe: adapt='lorra'.*Did you mean 'lora'"),
        (
            {"target": {"learning_rat": 1}},
            "target holds 'learning_rat'.*Did you mean 'learning_rate'",
        ),
        ({"intermediate": {"max_step": 1}}, "intermediate holds 'max_step'.*'max_steps'"),
        ({"by_task": {"mnli": {"num_epochs": 1}}}, r"by_task\['mnli'\] holds 'num_epochs'"),
        ({"target": {"seed": 1}}, "target holds 'seed', which the recipe sets. Use seeds"),
    ],
)
def test_recipe_s_fields(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe(**DECLARED[Recipe], **fields)
