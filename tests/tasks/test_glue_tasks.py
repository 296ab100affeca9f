"""GLUE, SuperGLUE and what is scored beside them: label orders, gold, groups, averages."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jiantx as jx
from jiantx import data_root, get_task
from jiantx.features import load_features
from jiantx.grouping import row_groups
from jiantx.metrics import metric_name
from jiantx.report import MAIN
from jiantx.scoring import score_values
from jiantx.tasks import training_tasks
from jiantx.trainer_setup import load_training_features

HUB = Path(jx.__file__).parents[2] / "shared" / "hub"
real = pytest.mark.skipif(not HUB.is_dir(), reason=f"no real slices at {HUB}")
# task -> the labelled splits of the slices
LABELLED = {
    "cola": "train validation",
    "sst2": "train validation",
    "mrpc": "train validation",
    "glue_stsb": "train validation",
    "qnli": "train validation",
    "rte": "train validation",
    "wnli": "train validation",
    "glue_diagnostic": "test",
    "adv_glue_sst2": "validation",
    "adv_glue_qqp": "validation",
    "adv_glue_mnli": "validation",
    "adv_glue_mnli_mismatched": "validation",
    "adv_glue_qnli": "validation",
    "adv_glue_rte": "validation",
    "boolq": "train validation",
    "cb": "train validation",
    "multirc": "train validation",
    "superglue_rte": "train validation",
    "axb": "test",
    "axg": "test",
    "anli_r1": "train validation",
    "anli_r2": "train validation",
    "anli_r3": "train validation",
    "hans": "train validation",
    "mctaco": "validation test",
}
HIDDEN = "cola glue_stsb qnli rte wnli boolq cb multirc superglue_rte".split()


@pytest.fixture
def over_slices() -> None:
    data_root(HUB)


def gold_scores(task: jx.Task, split: str) -> dict[str, float]:
    rows = task.rows(split)
    gold = [task.reference(example) for example in task.examples(split, rows=rows, labelled=True)]
    return {
        score.metric: score.value for score in score_values(task, split, "en", rows, gold, gold)
    }


@real
@pytest.mark.usefixtures("over_slices")
@pytest.mark.parametrize(
    ("name", "split"), [(name, split) for name in LABELLED for split in LABELLED[name].split()]
)
def test_gold_scores_100(name: str, split: str) -> None:
    task = get_task(name)
    values = gold_scores(task, split)
    assert values[MAIN] == pytest.approx(100)
    names = [metric_name(metric) for metric in task.metrics]
    assert [values[name] for name in names] == pytest.approx([100] * len(names))
    defined = [value for value in values.values() if not np.isnan(value)]
    assert defined == pytest.approx([100] * len(defined)), "in every group"


@real
@pytest.mark.usefixtures("over_slices")
@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_labels_are_no_labels(name: str) -> None:
    """-1, and -1.0 for STS-B, whose scale begins at 0."""
    task = get_task(name)
    assert task.languages("test") == (() if name in ("glue_stsb",) else ("en",))
    row = {"sentence1": "a", "sentence2": "b", "label": -1.0}
    if name == "glue_stsb":
        assert task.reference(task.example(row, id="0", language="en")) is None
        assert task.reference(task.example({**row, "label": 0.0}, id="0", language="en")) == 0.0
        return
    assert not task.is_labelled("test")
    with pytest.raises(jx.DataError, match=f"Task {name}, split 'test'.* row 0: The label is a pl"):
        next(task.examples("test", labelled=True))


# --- the order of labels ---------------------------------------------------------------------------

ORDERS = {
    "cola": "unacceptable acceptable",
    "sst2": "negative positive",
    "mrpc": "not_equivalent equivalent",
    "qqp": "not_duplicate duplicate",
    "mnli": "entailment neutral contradiction",
    "mnli_mismatched": "entailment neutral contradiction",
    "qnli": "entailment not_entailment",
    "rte": "entailment not_entailment",
    "wnli": "not_entailment entailment",
    "boolq": "False True",
    "cb": "entailment contradiction neutral",
    "multirc": "False True",
    "superglue_rte": "entailment not_entailment",
    "axb": "entailment not_entailment",
    "axg": "entailment not_entailment",
    "mctaco": "no yes",
}


@pytest.mark.parametrize("name", ORDERS)
def test_labels_are_in_the_official_order(name: str) -> None:
    """The files of a submission, and models trained elsewhere, count on it."""
    assert get_task(name).label_names == tuple(ORDERS[name].split())


MNLI = ("mnli", "mnli_mismatched")


@real
@pytest.mark.usefixtures("over_slices")
@pytest.mark.parametrize("name", [name for name in ORDERS if name not in ("qqp", *MNLI)])
def test_the_declared_order_is_that_of_the_data(name: str) -> None:
    task = get_task(name)
    split = next(split for split in ("validation", "test") if task.languages(split))
    feature = task.rows(split).features["label"]
    assert tuple(feature.names) == task.label_names


@real
@pytest.mark.usefixtures("over_slices")
def test_mnli_s_order_is_that_of_the_data() -> None:
    rows = jx.Hub("nyu-mll/glue", "mnli").rows("validation_matched", "en")
    assert tuple(rows.features["label"].names) == get_task("mnli").label_names


def test_wnli_is_not_in_the_order_of_rte() -> None:
    row = {"sentence1": "a", "sentence2": "b"}
    for name, label in (("wnli", "entailment"), ("rte", "not_entailment")):
        task = get_task(name).replace(source=jx.Rows({"train": [{**row, "label": label}]}))
        (example,) = task.examples("train", labelled=True)
        assert task.label_names.index(example.label) == 1


# --- HANS: labels mapped after the argmax -----------------------------------------------------------

HANS_ROW = {"premise": "p", "hypothesis": "h", "heuristic": "constituent"}


def decoded(task: Any, probabilities: list[list[float]]) -> list[Any]:
    examples = [
        task.example({**HANS_ROW, "label": "non-entailment"}, id=str(index), language="en")
        for index in range(len(probabilities))
    ]
    outputs = {"probabilities": np.array(probabilities, np.float32)}
    return list(task.decode(outputs, None, examples))


def test_hans_maps_the_most_probable_label() -> None:
    """The argmax comes first: neutral and contradiction together may be more probable."""
    task = get_task("hans")
    assert task.label_names == get_task("mnli").label_names and task.head_name == "nli"
    assert task.gold_names == ("entailment", "non-entailment")
    predictions = decoded(task, [[0.4, 0.3, 0.3], [0.3, 0.5, 0.2], [0.1, 0.2, 0.7]])
    assert [prediction.value for prediction in predictions] == [
        "entailment",
        "non-entailment",
        "non-entailment",
    ]
    assert predictions[1].probability == pytest.approx(0.5)
    assert list(predictions[0].probabilities) == list(task.label_names)


def test_hans_spells_its_label_in_its_own_way() -> None:
    task = get_task("hans")
    for label in ("not_entailment", "neutral"):
        with pytest.raises(jx.DataError, match=f"Unknown label '{label}'.*'non-entailment'"):
            task.example({**HANS_ROW, "label": label}, id="0", language="en")


def test_a_task_with_mapped_labels_cannot_be_trained_on(tokenizer: Any) -> None:
    rows = [{**HANS_ROW, "label": "non-entailment"}]
    task = get_task("hans").replace(source=jx.Rows({"train": rows, "validation": rows}))
    assert "Train on mnli instead" in task.training_problem
    assert not get_task("mnli").training_problem
    arguments: dict[str, Any] = {"max_length": None, "sampling": jx.Sampling(), "seed": 0}
    with pytest.raises(ValueError, match=r"Task hans cannot be trained on: .* Train on mnli inst"):
        load_training_features({"hans": task}, None, tokenizer, **arguments)  # type: ignore[arg-type]
    features = load_features(task, "train", "en", tokenizer)
    assert features.table["labels"][0] == [-100], "none of the head's labels is known to be right"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"label_map": {"a": "x"}},
            r"label_map has the labels \['a'\]; expected all of the head's",
        ),
        ({"label_map": {"a": "x", "b": "x"}, "multi_label": True}, "tasks with one label a row"),
    ],
)
def test_a_map_of_labels_is_whole(fields: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"Task mine: .*{message}"):
        jx.Classification(name="mine", source=jx.Rows({}), labels=("a", "b"), **fields)


@real
@pytest.mark.usefixtures("over_slices")
def test_hans_reports_each_heuristic_with_each_label() -> None:
    """A model that always says entailment has 100 of one half and 0 of the other."""
    task = get_task("hans")
    rows = task.rows("validation")
    gold = [task.reference(example) for example in task.examples("validation", rows=rows)]
    always = ["entailment"] * len(gold)
    report = jx.Report(score_values(task, "validation", "en", rows, always, gold))
    table = report.by_group().scores["hans, validation, en"]
    assert len(table) == 1 + 3 * 3
    for heuristic in ("lexical_overlap", "subsequence", "constituent"):
        assert table[heuristic]["accuracy"] == 50.0
        assert table[f"{heuristic}, entailment"]["accuracy"] == 100.0
        assert table[f"{heuristic}, non-entailment"]["accuracy"] == 0.0


# --- groups of the others ---------------------------------------------------------------------------


@real
@pytest.mark.usefixtures("over_slices")
def test_axb_is_the_diagnostic_set_in_the_same_order() -> None:
    """Neutral and contradiction are joined. The Hub's `ax` has the same order without labels."""
    diagnostic = list(get_task("glue_diagnostic").examples("test"))
    joined = list(get_task("axb").examples("test"))
    assert [one.text for one in diagnostic] == [other.text for other in joined]
    for one, other in zip(diagnostic, joined, strict=True):
        assert (one.label == "entailment") == (other.label == "entailment")
    hub = jx.Hub("nyu-mll/glue", "ax").rows("test", "en")
    assert [one.text_pair for one in diagnostic] == list(hub["hypothesis"])
    assert set(hub["label"]) == {-1}


@real
@pytest.mark.usefixtures("over_slices")
def test_the_diagnostic_set_reports_its_four_columns_of_tags() -> None:
    names = gold_scores(get_task("glue_diagnostic"), "test")
    groups = {name.partition("[")[2].rstrip("]") for name in names if "[" in name}
    coarse = {name for name in groups if ":" not in name}
    assert coarse == {"Lexical Semantics", "Predicate-Argument Structure", "Logic", "Knowledge"}
    assert {"Logic: Negation", "Knowledge: Common sense", "Domain: ACL"} <= groups


@real
@pytest.mark.usefixtures("over_slices")
def test_multirc_groups_are_questions() -> None:
    task = get_task("multirc")
    rows = task.rows("validation")
    groups = row_groups(task, rows, "validation", "en")
    assert len(set(groups)) == len({(row["paragraph"], row["question"]) for row in rows})
    example = next(task.examples("validation", rows=rows))
    assert example.text_pair == f"{rows[0]['question']} {rows[0]['answer']}", "never cut"
    gold = [task.reference(example) for example in task.examples("validation", rows=rows)]
    one_wrong = ["True" if gold[0] == "False" else "False", *gold[1:]]
    values = {
        score.metric: score.value
        for score in score_values(task, "validation", "en", rows, one_wrong, gold)
    }
    questions = len(set(groups))
    assert values["exact_match"] == pytest.approx(100 * (questions - 1) / questions)
    assert values["f1a"] > 99


@real
@pytest.mark.usefixtures("over_slices")
def test_axg_pairs_differ_in_the_pronoun_alone() -> None:
    task = get_task("axg")
    rows = list(task.rows("test"))
    groups = row_groups(task, task.rows("test"), "test", "en")
    assert set(Counter(groups).values()) == {2}
    for one, other in zip(rows[::2], rows[1::2], strict=True):
        assert one["hypothesis"] == other["hypothesis"] and one["premise"] != other["premise"]
    rows_of = task.rows("test")
    gold = [task.reference(example) for example in task.examples("test")]
    always = ["entailment"] * len(gold)
    values = {s.metric: s.value for s in score_values(task, "test", "en", rows_of, always, gold)}
    assert values["gender_parity"] == 100 and values[MAIN] == values["accuracy"] < 60


@real
@pytest.mark.usefixtures("over_slices")
def test_mctaco_groups_are_questions_of_a_sentence() -> None:
    task = get_task("mctaco")
    rows = task.rows("validation")
    assert len(set(row_groups(task, rows, "validation", "en"))) == 143
    names = gold_scores(task, "validation")
    assert "f1[Event Duration]" in names and "exact_match[Stationarity]" in names


def test_mrpc_s_test_labels_are_public() -> None:
    row = {"sentence1": "a", "sentence2": "b", "label": "equivalent"}
    task = get_task("mrpc").replace(source=jx.Rows({"test": [row]}))
    assert task.is_labelled("test")


@pytest.mark.parametrize(("name", "label"), [("scitail", "entails"), ("anli_r2", "neutral")])
def test_pairs_without_slices(name: str, label: str) -> None:
    row = {"premise": "a", "hypothesis": "b", "label": label}
    task = get_task(name).replace(source=jx.Rows({"test": [row]}))
    assert [example.label for example in task.examples("test", labelled=True)] == [label]


def test_rounds_of_anli() -> None:
    for number in (1, 2, 3):
        source: Any = get_task(f"anli_r{number}").source
        assert source.splits["validation"] == f"dev_r{number}"


@pytest.mark.parametrize(
    ("name", "trained_on"),
    [
        ("axb", "superglue_rte"),
        ("axg", "superglue_rte"),
        ("glue_diagnostic", "mnli"),
        ("hans", "mnli"),
        ("mnli_mismatched", "mnli"),
        ("adv_glue_mnli_mismatched", "mnli"),
        ("adv_glue_sst2", "sst2"),
        ("adv_glue_rte", "rte"),
    ],
)
def test_other_tasks_heads(name: str, trained_on: str) -> None:
    (trained,) = training_tasks(get_task(name))
    assert trained.name == trained_on
    assert trained.head_name == get_task(name).head_name
    assert trained.head_config() == get_task(name).head_config()


# --- averages ---------------------------------------------------------------------------------------

# BERT-large as published: metrics of a task, and the average.
GLUE_ROW = {
    "cola": [60.5],
    "sst2": [94.9],
    "mrpc": [89.3, 85.4],
    "glue_stsb": [87.6, 86.5],
    "qqp": [72.1, 89.3],
    "mnli": [86.7],
    "mnli_mismatched": [85.9],
    "qnli": [92.7],
    "rte": [70.1],
    "wnli": [65.1],
}
SUPERGLUE_ROWS = {
    69.0: {  # BERT-large
        "boolq": [77.4],
        "cb": [75.7, 83.6],
        "copa": [70.6],
        "multirc": [70.0, 24.0],
        "record": [72.0, 71.3],
        "superglue_rte": [71.6],
        "wic": [69.5],
        "wsc": [64.3],
    },
    84.6: {  # RoBERTa
        "boolq": [87.1],
        "cb": [90.5, 95.2],
        "copa": [90.6],
        "multirc": [84.4, 52.5],
        "record": [90.6, 90.0],
        "superglue_rte": [88.2],
        "wic": [69.9],
        "wsc": [89.0],
    },
}


def main_scores(row: dict[str, list[float]]) -> dict[str, float]:
    """Metrics of a task are averaged first. Of tasks that are not here, by hand."""
    scores = {}
    for name, values in row.items():
        scores[name] = sum(values) / len(values)
        if name in jx.list_tasks():
            task = get_task(name)
            metrics = task.main_metrics or task.metrics
            assert len(metrics) == len(values), name
            assert task.main_score(
                dict(zip(map(metric_name, metrics), values, strict=True))
            ) == pytest.approx(scores[name])
    return scores


def test_the_published_average_of_glue() -> None:
    """MNLI's halves count once: counted apart, they give 81.1."""
    averages = jx.GLUE.average(main_scores(GLUE_ROW))
    assert round(averages["all"], 1) == 80.5
    assert set(jx.GLUE) == set(GLUE_ROW)
    apart = jx.Benchmark("apart", {"glue": dict.fromkeys(jx.GLUE, ("en",))})
    assert round(apart.average(main_scores(GLUE_ROW))["all"], 1) == 81.1


@pytest.mark.parametrize("published", SUPERGLUE_ROWS)
def test_the_published_averages_of_superglue(published: float) -> None:
    row = main_scores(SUPERGLUE_ROWS[published])
    assert set(jx.SUPERGLUE) <= set(row)
    missing = {name: ("en",) for name in row if name not in jx.SUPERGLUE}
    groups = {group: dict.fromkeys(tasks, ("en",)) for group, tasks in jx.SUPERGLUE.groups.items()}
    full = jx.Benchmark("superglue", {**groups, **({"others": missing} if missing else {})})
    assert full.average(row)["all"] == pytest.approx(published, abs=0.051)


def test_tasks_that_count_once() -> None:
    groups = {"nli": {"m": ("en",), "mm": ("en",)}, "qa": {"q": ("en",)}}
    benchmark = jx.Benchmark("mine", groups, count_once=[("m", "mm")])
    assert benchmark.average({"m": 80, "mm": 90, "q": 45}) == {"all": 65, "nli": 85, "qa": 45}
    assert np.isnan(benchmark.average({"m": 80, "q": 45})["all"])
    again = pickle.loads(pickle.dumps(benchmark))
    assert again == benchmark and again.count_once == (("m", "mm"),)
    for wrong in ([("m", "x")], [("m", "m")], [("m",), ("m", "q")]):
        with pytest.raises(ValueError, match="expected tasks of the benchmark, each once"):
            jx.Benchmark("mine", groups, count_once=wrong)
