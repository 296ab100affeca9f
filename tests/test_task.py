"""What every task has: its name, its labels, its errors, its main score."""

from __future__ import annotations

import functools
import math
import re
import subprocess
import sys
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, Sequence, Value
from sklearn.metrics import precision_score

import jiantx as jx
from jiantx.fields import RESERVED
from jiantx.metrics import (
    accuracy,
    accuracy_at_1,
    chunk_f1,
    f1_of,
    group_f1_of,
    macro_f1,
    metric_name,
    micro_f1,
    named,
    recall,
    squad_f1,
    token_accuracy,
)
from jiantx.sources import DataError
from jiantx.tasks import TASKS, get_task, register

LABELS = ("no", "yes")


def rows(*labels: Any, **columns: Any) -> list[dict[str, Any]]:
    return [{"text": f"text {i}", "label": label, **columns} for i, label in enumerate(labels)]


def task(source: Any = None, **fields: Any) -> jx.Classification:
    if isinstance(source, list | Dataset):
        source = jx.Rows({"train": source})
    fields = {"name": "mood", "labels": LABELS, **fields}
    return jx.Classification(source=source or jx.Rows({"train": rows("no", "yes")}), **fields)


def error_of(task: jx.Task, split: str = "train", language: str = "en", **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        list(task.examples(split, language, **options))
    return str(caught.value)


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", "Mood", "mood-2", "2mood", "mood.en", "a b", "_mood", "änd", "mood\n"]
)
@pytest.mark.parametrize("field", ["name", "head"])
def test_names_that_cannot_be(name: str, field: str) -> None:
    if field == "head" and not name:
        pytest.skip("an empty head is none")
    with pytest.raises(ValueError, match="small letters, digits and _"):
        task(**{field: name})


def test_reserved_names_are_those_of_torch() -> None:
    """An attribute of `nn.ModuleDict` cannot name a head (tried: `keys`, `type`, `train`)."""
    # in a process of its own: libraries that other tests load add attributes to `nn.Module`
    program = "import torch; print(*dir(torch.nn.ModuleDict()))"
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert {name for name in printed.split() if re.fullmatch(r"[a-z][a-z0-9_]*", name)} == RESERVED
    for name in ("keys", "type", "train", "to", "training"):
        with pytest.raises(ValueError, match=f"'{name}' cannot be a name"):
            task(name=name)
        with pytest.raises(ValueError, match=f"'{name}' cannot be a name"):
            task(head=name)


def test_head_name_follows_the_name_unless_given() -> None:
    assert task().head_name == "mood"
    assert task().replace(name="other").head_name == "other"
    assert task(head="shared").replace(name="other").head_name == "shared"
    assert task(head="shared").head == "shared" and task().head is None


def test_tasks_are_values() -> None:
    one = task()
    assert (
        one.replace() == one
        and one.replace(max_length=128).max_length == 128
        and one.max_length == 256
    )
    with pytest.raises(AttributeError):
        one.name = "other"  # type: ignore[misc]


def test_registered_once_and_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    get_task("xnli")  # the library is there
    monkeypatch.setattr(TASKS, "_values", dict(TASKS._values))
    mine = task(name="my_own_task")
    assert register(mine) is mine is get_task("my_own_task")
    with pytest.raises(ValueError, match=r"A task named 'xnli' is registered already"):
        register(task(name="xnli"))
    assert register(task(name="xnli"), overwrite=True) is get_task("xnli")


def test_a_cell_that_runs_again_registers_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An equal task replaces the first, also with functions that were made anew."""
    get_task("xnli")  # the library is there
    monkeypatch.setattr(TASKS, "_values", dict(TASKS._values))

    def cell(rate: int = 3, **fields: Any) -> jx.Task:
        text = f"lambda row: 'yes' if row['rate'] > {rate} else 'no'"
        return register(task(name="rated", label=eval(text), metrics=(f1_of("yes"),), **fields))

    first = cell()
    assert cell() is get_task("rated") is not first
    for changes, names in (
        ({"rate": 4}, "label"),
        ({"labels": ("yes", "no"), "max_length": 9}, "max_length, labels"),
        ({"source": rows("no", "no")}, "source"),
    ):
        with pytest.raises(
            ValueError,
            match=rf"'rated' is registered already, with other {names}\. .*overwrite=True",
        ):
            cell(**changes)


def test_misspelt_name_is_answered_with_near_ones() -> None:
    with pytest.raises(LookupError, match=r"^No task is named 'xnly'\. Did you mean 'xnli'"):
        get_task("xnly")


def test_unregistered_task_is_usable() -> None:
    mine = task(name="nowhere_registered")
    assert [e.label for e in mine.examples("train", labelled=True)] == ["no", "yes"]
    assert "nowhere_registered" not in TASKS


def test_labels_from_a_function_are_asked_for_once() -> None:
    calls = []

    def labels() -> tuple[str, ...]:
        calls.append(1)
        return LABELS

    mine = task(labels=labels)
    assert not calls
    assert mine.label_names == LABELS == mine.label_names and len(calls) == 1
    assert [e.label for e in mine.examples("train")] == ["no", "yes"]


# --- labels by name -------------------------------------------------------------------------------


def coded(labels: list[Any], names: list[str]) -> Dataset:
    features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
    return Dataset.from_dict({"text": ["t"] * len(labels), "label": labels}, features=features)


@pytest.mark.parametrize("names", [["no", "yes"], ["yes", "no"]])
def test_order_of_classes_never_matters(names: list[str]) -> None:
    """Swapped labels went unnoticed."""
    actual = list(task(coded([0, 1], names)).examples("train"))
    assert [e.label for e in actual] == names


@pytest.mark.parametrize("names", [["no", "maybe"], ["no"], ["no", "yes", "perhaps"]])
def test_other_names_than_the_task_s_print_both_lists(names: list[str]) -> None:
    message = error_of(task(coded([0], names)))
    assert str(names) in message and str(list(LABELS)) in message
    assert "Task mood, split 'train', language 'en'" in message


def test_names_inside_lists_are_compared_too() -> None:
    features = Features(
        {"tokens": Sequence(Value("string")), "tags": Sequence(ClassLabel(names=["O", "X"]))}
    )
    example_rows = Dataset.from_dict({"tokens": [["a"]], "tags": [[1]]}, features=features)
    mine = jx.TokenClassification(
        name="tags", source=jx.Rows({"train": example_rows}), labels=("O", "Y")
    )
    message = error_of(mine)
    assert "['O', 'X']" in message and "['O', 'Y']" in message


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("maybe", r"Unknown label 'maybe'\. The task's labels are \['no', 'yes'\]"),
        ("No", "Unknown label 'No'"),
        (1, "The label is 1, and the data set does not say what it stands for"),
        (True, "The label is True, and the data set does not say"),
        (0.5, "The label is 0.5"),
    ],
)
def test_labels_that_cannot_be_matched(label: Any, said: str) -> None:
    assert re.search(said, error_of(task([{"text": "t", "label": label}])))


def test_column_function_says_what_integers_mean() -> None:
    mine = task([{"text": "t", "label": 1}], label=lambda row: LABELS[row["label"]])
    assert [e.label for e in mine.examples("train", labelled=True)] == ["yes"]


# --- errors name the place ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"text": "", "label": "no"}, "Column 'text' is an empty text"),
        ({"text": " \t\n", "label": "no"}, "Column 'text' is an empty text"),
        ({"text": None, "label": "no"}, "Column 'text' holds None; expected text"),
        ({"text": "t", "label": "??"}, "Unknown label"),
    ],
)
def test_message_has_task_split_language_row(bad: dict[str, Any], said: str) -> None:
    good = {"text": "t", "label": "no", "pair": "p"}
    by_language = {"de": [good, good, bad]}
    message = error_of(task(jx.Rows({"dev": by_language})), "dev", "de")
    assert message.startswith("Task mood, split 'dev', language 'de', row 2: ")
    assert said in message


def test_column_function_that_asks_for_a_missing_column() -> None:
    def joined(row: dict[str, Any]) -> str:
        return f"{row['text']} {row['pair']}"

    message = error_of(task(rows("no"), text=joined))
    assert (
        "row 0: The row has no column 'pair' (asked for by joined). It has: text, label." in message
    )


def test_missing_column_lists_those_there_are() -> None:
    message = error_of(task(rows("no"), text="premise"))
    assert "row 0: The row has no column 'premise'. It has: text, label." in message
    message = error_of(task(rows("no"), label="gold"), labelled=True)
    assert "The row has no column 'gold'. It has: text, label." in message


def test_raw_rows_need_no_gold() -> None:
    (example,) = task([{"text": "t"}]).examples("train")
    assert example.label is None and task().reference(example) is None


def test_missing_split_and_language_name_the_task() -> None:
    assert error_of(task(), "test").startswith(
        "Task mood, split 'test', language 'en': The rows have no split 'test'"
    )
    assert error_of(task(), "train", "de").startswith(
        "Task mood, split 'train', language 'de': There is no language"
    )


def test_no_words() -> None:
    example_rows = [{"tokens": ["a"], "tags": ["O"]}, {"tokens": [], "tags": []}]
    mine = jx.TokenClassification(
        name="tags", source=jx.Rows({"train": example_rows}), labels=("O",)
    )
    assert "row 1: The sentence has no words." in error_of(mine)


@pytest.mark.parametrize("placeholder", [-1, None])
def test_withheld_labels_say_which_split_has_some(placeholder: Any) -> None:
    """XTREME's test sets hold placeholders: scoring them must not give 0.33."""
    splits = {"train": coded([1], list(LABELS)), "test": coded([placeholder], list(LABELS))}
    mine = task(jx.Rows({**splits, "validation": coded([0], list(LABELS))}))
    assert [e.label for e in mine.examples("test")] == [None], "predicting is allowed"
    message = error_of(mine, "test", labelled=True)
    assert message.endswith(
        "row 0: The label is a placeholder, so nothing can be scored. Splits with labels: train, validation."
    )
    alone = task(jx.Rows({"test": splits["test"]}))
    assert error_of(alone, "test", labelled=True).endswith("Splits with labels: none.")


def test_placeholder_in_the_midst_is_found() -> None:
    mine = task([{"text": "t", "label": "no"}, {"text": "t", "label": ""}])
    assert "row 1: The row has no gold" in error_of(mine, labelled=True)


def test_ids_are_the_rows_own_or_their_numbers() -> None:
    assert [e.id for e in task(rows("no", "yes")).examples("train")] == ["0", "1"]
    example_rows = [{"id": 7, "text": "t", "label": "no"}, {"id": 9, "text": "t", "label": "no"}]
    assert [
        (e.id, e.language)
        for e in task(jx.Rows({"train": {"tr": example_rows}})).examples("train", "tr")
    ] == [
        ("7", "tr"),
        ("9", "tr"),
    ]


def test_languages_are_the_source_s() -> None:
    mine = task(jx.Rows({"train": {"de": rows("no"), "zh": rows("no")}}))
    assert mine.languages("train") == ("de", "zh") and mine.languages("test") == ()


# --- the main score -------------------------------------------------------------------------------


def test_main_score_is_the_mean_of_the_main_metrics() -> None:
    f1 = f1_of("yes")
    both = task(metrics=(accuracy, f1))
    (name,) = {metric_name(f1)}
    assert both.main_score({"accuracy": 80.0, name: 60.0}) == 70.0
    one = task(metrics=(accuracy, f1), main_metrics=(accuracy,))
    assert one.main_score({"accuracy": 80.0, name: 60.0}) == 80.0
    assert math.isnan(both.main_score({"accuracy": 80.0})), "a missing part is no zero"
    assert task(metrics=(micro_f1,)).main_score({"micro_f1": 3.0, "accuracy": 9.0}) == 3.0


def first(predictions: Any, references: Any) -> float:
    return 10.0


class Constant:
    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, predictions: Any, references: Any) -> float:
        return self.value


@pytest.mark.parametrize(
    "metrics",
    [
        (lambda p, r: 10.0, lambda p, r: 20.0),
        (functools.partial(Constant(1.0)), functools.partial(Constant(2.0))),
        (Constant(1.0), Constant(2.0)),
        (accuracy, named("accuracy")(first)),
        (f1_of("no"), f1_of("no")),
    ],
)
def test_metrics_of_one_name_are_refused(metrics: Any) -> None:
    """One overwrote the other, and the main score counted the last one twice."""
    with pytest.raises(ValueError, match="Task mood: several metrics are named"):
        task(metrics=metrics)
    one, other = metrics
    assert task(metrics=(named("one")(one), named("other")(other))).metrics
    assert task(metrics=(one,)).metrics == (one,)


FIELDS: dict[Any, dict[str, Any]] = {
    jx.Classification: {"labels": LABELS},
    jx.SpanClassification: {"labels": LABELS},
    jx.TokenClassification: {"labels": ("O", "B-X"), "main_metrics": ()},
}


@pytest.mark.parametrize(
    ("kind", "metric", "module"),
    [
        (jx.TokenClassification, accuracy, "tagging"),  # as sets of tags: (B, O) for (O, B) was 100
        (jx.QuestionAnswering, accuracy, "answers"),  # always 0
        (jx.QuestionAnswering, functools.partial(accuracy), "answers"),
        (jx.Retrieval, named("mine")(accuracy), "rankings"),
        (jx.Classification, token_accuracy, "labels"),  # letter by letter
        (jx.Classification, accuracy_at_1, "labels"),
        (jx.MultipleChoice, squad_f1, "labels"),
        (jx.SpanClassification, chunk_f1, "labels"),
        (jx.Regression, chunk_f1, "labels"),
    ],
)
def test_metrics_of_other_predictions_are_refused(kind: Any, metric: Any, module: str) -> None:
    fields = {"name": "mine", "source": jx.Rows({}), **FIELDS.get(kind, {})}
    with pytest.raises(
        ValueError, match=rf"scores another kind of .* Choose from jiantx.metrics.{module}"
    ):
        kind(metrics=(metric,), **fields)
    assert kind(metrics=(first,), **fields).metrics == (first,), "one's own may read anything"


def test_metrics_that_take_references_first_are_refused() -> None:
    """Precision and recall would be swapped, and 0.8 be averaged with 80."""
    for metric in (precision_score, functools.partial(precision_score, average="macro")):
        with pytest.raises(ValueError, match=r"'precision_score' takes \('y_true', 'y_pred'\)"):
            task(metrics=(metric,))

    def swapped(references: Any, predictions: Any) -> float:
        return recall(predictions, references)

    with pytest.raises(ValueError, match=r"takes \('references', 'predictions'\)\. Expected"):
        task(metrics=(swapped,))


@pytest.mark.parametrize("score", [None, "33", (1.0, 2.0)])
def test_a_score_that_is_no_number_is_refused(score: Any) -> None:
    def odd(predictions: Any, references: Any) -> Any:
        return score

    with pytest.raises(TypeError, match=r"The metric 'odd' returned .* expected a number between"):
        task(metrics=(odd,)).compute(odd, ["yes"], ["no"])


@pytest.mark.parametrize(
    "labels",
    [{"no", "yes"}, {"no": 0, "yes": 1}, ()],  # a set has another order in each process
)
def test_labels_are_a_tuple_of_names(labels: Any) -> None:
    expected = "Task mood: labels are .*; expected a tuple of names"
    with pytest.raises(ValueError, match=expected):
        task(labels=labels)
    from_function = task(labels=lambda: labels)
    with pytest.raises(ValueError, match=expected):
        from_function.head_config()


def test_f1_of_a_label_that_the_task_does_not_have() -> None:
    with pytest.raises(ValueError, match=r"'f1_yess' is the F1 of 'yess'.* Did you mean 'yes'"):
        task(metrics=(f1_of("yess"),))


@pytest.mark.parametrize("metric", [group_f1_of("yess"), f1_of("yess"), named("f")(f1_of("yess"))])
@pytest.mark.parametrize("labels", [None, lambda: ("yes", "no"), ("yes", "no")])
def test_a_misspelt_label_of_a_metric_never_scores(metric: Any, labels: Any) -> None:
    """Where labels are found in the data, it is told before training and scoring."""
    rows = [{"text": "a", "label": label, "question": 1} for label in ("yes", "no")]
    with pytest.raises(ValueError, match="is the F1 of 'yess', which is not one of the labels"):
        jx.Classification(
            "mine", jx.Rows(rows), labels=labels, metrics=(metric,), group="question"
        ).head_config()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metrics": (accuracy,), "main_metrics": (micro_f1,)}, r"\['micro_f1'\] are not among"),
        ({"metrics": (first,), "main_metrics": (named("first")(accuracy),)}, "are not among"),
        ({"metrics": (accuracy,), "main_metrics": (accuracy, accuracy)}, "named 'accuracy'"),
        ({"metrics": (named("main_score")(first),)}, "cannot be named 'main_score'"),
        ({"metrics": (named("truncated")(first),)}, "cannot be named 'truncated'"),
        ({"metrics": ()}, "there are no metrics"),
        ({"metrics": accuracy}, "found one function"),
        ({"metrics": "accuracy"}, "found one text"),
        ({"metrics": {"accuracy"}}, "expected a tuple of functions"),
        (
            {"metrics": ("macro_f2",)},
            r"named 'macro_f2'. Did you mean 'macro_f1'.* Known: accuracy",
        ),
        ({"metrics": ("squad_f1",)}, "'squad_f1'.* for predictions of another kind: answers"),
        ({"metrics": ("accuracy", first), "main_metrics": ["frist"]}, "named 'frist'"),
    ],
)
def test_metrics_are_checked_when_declared(fields: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"Task mood: .*{message}"):
        task(**fields)


def test_metrics_by_name_are_the_functions() -> None:
    declared = task(metrics=["accuracy", "macro_f1", first], main_metrics=["first"])
    assert declared.metrics == (accuracy, macro_f1, first)
    assert declared.main_metrics == (first,)
    assert declared.replace(metrics=["recall"], main_metrics=()).metrics == (recall,)
    tagging = jx.TokenClassification(
        name="tags", source=jx.Rows({}), labels=("O", "B-X"), metrics=["accuracy", "f1"]
    )
    assert tagging.metrics == (token_accuracy, chunk_f1)
    choice = jx.MultipleChoice(name="choice", source=jx.Rows({}), metrics=["accuracy"])
    assert choice.metrics == (accuracy,)


def test_a_metric_of_no_module_is_one() -> None:
    """A function that `exec` defines has None for its module, which was taken for a text."""
    namespace: dict[str, Any] = {}
    exec("def mine(predictions, references): return 1.0", namespace)
    namespace["mine"].__module__ = None
    assert task(metrics=[namespace["mine"]]).metrics == (namespace["mine"],)


def test_a_default_main_metric_must_be_among_the_metrics() -> None:
    with pytest.raises(ValueError, match=r"\['f1'\] are not among the metrics \['accuracy'\]"):
        jx.TokenClassification(
            name="tags", source=jx.Rows({}), labels=("O",), metrics=(token_accuracy,)
        )


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((0, 1), "expected a tuple of names"),
        ("pos", "found one text"),
        (("a", "a"), "named twice"),
    ],
)
def test_labels_are_checked_when_declared(labels: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task(labels=labels)


def test_tags_that_chunk_f1_would_misread_are_refused() -> None:
    with pytest.raises(ValueError, match=r"cannot tell whether \['NONE', 'ORG'\] are outside"):
        jx.TokenClassification(name="ner", source=jx.Rows({}), labels=("NONE", "PER", "ORG"))
