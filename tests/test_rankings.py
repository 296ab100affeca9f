"""Metrics of rankings at any k, beside trec_eval's formulas and scikit-learn."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from conftest import ModelOf
from sklearn.metrics import ndcg_score

import jiantx as jx
from jiantx.metrics import (
    accuracy_at_1,
    mean_average_precision,
    mean_reciprocal_rank,
    metric_name,
    mined_f1,
    ranking_metric,
    recall_at,
)
from jiantx.metrics.rankings import (
    candidates_read,
    map_at,
    map_of_ranking,
    mrr_at,
    mrr_at_10,
    ndcg_at,
    ndcg_at_10,
    recall_at_10,
)

CUTS = (1, 3, 10, 50)


def random_judgements(seed: int) -> tuple[list[list[str]], list[dict[str, float]]]:
    """Rankings of 30 candidates, and grades 0 to 3; some queries without any relevant one."""
    rng = np.random.default_rng(seed)
    rankings, grades = [], []
    for query in range(25):
        ids = [f"d{i}" for i in rng.permutation(30)]
        rankings.append(ids[: rng.integers(0, 31)])
        values = rng.choice([0, 0, 0, 1, 2, 3], size=30) * (query % 6 != 0)
        grades.append({f"d{i}": float(value) for i, value in enumerate(values)})
    return rankings, grades


def trec_eval(ranking: list[str], grades: dict[str, float], k: int) -> dict[str, float]:
    """The formulas of trec_eval's recall, ndcg_cut, recip_rank and map_cut, on one query."""
    gains = np.array([grades.get(id, 0.0) for id in ranking][:k])
    relevant = np.array(sorted((g for g in grades.values() if g > 0), reverse=True))
    is_hit = gains > 0
    ranks = np.arange(1, len(gains) + 1)
    discounts = np.log2(np.arange(2, k + 2))
    ideal = (relevant[:k] / discounts[: len(relevant[:k])]).sum()
    return {
        "recall": is_hit.sum() / len(relevant),
        "ndcg": (gains / discounts[: len(gains)]).sum() / ideal,
        "mrr": (is_hit / ranks).max(initial=0.0),
        "map": ((np.cumsum(is_hit) / ranks) * is_hit).sum() / len(relevant),
    }


@pytest.mark.parametrize("k", CUTS)
@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_trec_eval_s_formulas(seed: int, k: int) -> None:
    rankings, grades = random_judgements(seed)
    judged = [
        (ranking, values)
        for ranking, values in zip(rankings, grades, strict=True)
        if any(value > 0 for value in values.values())
    ]
    assert 0 < len(judged) < len(rankings), "queries without relevant candidates are left out"
    expected = [trec_eval(ranking, values, k) for ranking, values in judged]
    for family, make in (
        ("recall", recall_at),
        ("ndcg", ndcg_at),
        ("mrr", mrr_at),
        ("map", map_at),
    ):
        mean = 100 * np.mean([scores[family] for scores in expected])
        assert make(k)(rankings, grades) == pytest.approx(mean, abs=1e-9)
        assert metric_name(make(k)) == f"{family}_at_{k}"
    binary = [tuple(id for id, value in values.items() if value > 0) for values in grades]
    for make in (recall_at, mrr_at, map_at):
        assert make(k)(rankings, binary) == make(k)(rankings, grades)


@pytest.mark.parametrize("k", [1, 5, None])
def test_ndcg_is_scikit_learn_s_without_ties(k: int | None) -> None:
    rng = np.random.default_rng(1)
    scores = rng.random((20, 12))
    grades = rng.integers(0, 4, size=(20, 12)).astype(float)
    grades[:, 0] = 1
    rankings = [[str(i) for i in np.argsort(-row)] for row in scores]
    references = [{str(i): grade for i, grade in enumerate(row)} for row in grades]
    expected = 100 * ndcg_score(grades, scores, k=k)
    assert ndcg_at(k)(rankings, references) == pytest.approx(expected, abs=1e-9)


def test_by_hand() -> None:
    ranking = ["a", "b", "c", "d"]
    assert recall_at(2)([ranking], [("b", "d")]) == 50.0
    assert mrr_at_10([ranking], [("c",)]) == pytest.approx(100 / 3)
    assert map_of_ranking([ranking], [("b", "d")]) == pytest.approx(100 * (1 / 2 + 2 / 4) / 2)
    assert map_of_ranking([ranking], [("b", "nowhere")]) == 25.0
    assert ndcg_at_10([ranking], [{"b": 2.0, "a": 1.0}]) == pytest.approx(
        100 * (1 + 2 / math.log2(3)) / (2 + 1 / math.log2(3))
    )
    assert recall_at_10([["a", "a", "b"]], [("a", "b")]) == 100.0
    assert recall_at(2)([["a", "a", "b"]], [("a", "b")]) == 100.0, "an id counts once"
    assert recall_at_10([()], [("a",)]) == 0.0
    assert math.isnan(recall_at_10([("a",)], [()])) and math.isnan(ndcg_at_10([], []))
    with pytest.raises(ValueError, match="1 predictions for 2 references"):
        recall_at_10([("a",)], [("a",), ("b",)])


def test_names() -> None:
    assert recall_at(10) is recall_at_10 is ranking_metric("recall_at_10")
    assert ranking_metric("map") is map_of_ranking and metric_name(map_of_ranking) == "map"
    assert ranking_metric("ndcg_at_7") is ndcg_at(7)
    assert ranking_metric("accuracy") is accuracy_at_1 and ranking_metric("f1") is mined_f1
    assert ranking_metric("map@20") is mean_average_precision
    assert ranking_metric("recall@3") is recall_at(3)
    assert metric_name(pickle.loads(pickle.dumps(ndcg_at(7)))) == "ndcg_at_7"
    for name in ("recall_at_", "recall_at_0", "recal_at_5", "map_at_x", "accuracy_at_1"):
        with pytest.raises(ValueError, match=f"'{name}' names no metric of rankings"):
            ranking_metric(name)
    with pytest.raises(ValueError, match=r"Did you mean|Nearest|recall"):
        ranking_metric("recal_at_5")
    for k in (0, -1, 2.5, "3"):
        with pytest.raises((ValueError, TypeError), match="Expected a whole number"):
            recall_at(k)  # type: ignore[arg-type]


# --- tasks ----------------------------------------------------------------------------------------

TASK = jx.Retrieval(name="pairs", source=jx.Rows({}))


def test_a_ranking_is_as_long_as_the_metrics_read() -> None:
    assert TASK.ranked == 20 and TASK.replace(top=3).ranked == 3
    by_name = TASK.replace(metrics=("recall_at_100", "mrr_at_5"), main_metrics=("mrr_at_5",))
    assert by_name.metrics == (recall_at(100), mrr_at(5)) and by_name.main_metrics == (mrr_at(5),)
    assert by_name.ranked == 100 and by_name.head_config()["top"] == 100
    assert TASK.replace(metrics=("map",)).ranked is None
    assert TASK.replace(metrics=(mean_average_precision, mean_reciprocal_rank)).ranked == 20
    assert candidates_read(mined_f1) == 1
    with pytest.raises(ValueError, match=r"'recall_at_100' reads 100 candidates .*Give top=100"):
        TASK.replace(metrics=("recall_at_100",), top=20)
    with pytest.raises(ValueError, match=r"'map' reads all candidates .*Leave `top` out"):
        TASK.replace(metrics=("map",), top=20)
    with pytest.raises(ValueError, match="Task pairs: No metric of rankings is named 'recal_at_3'"):
        TASK.replace(metrics=("recal_at_3",))


WORDS = ("cat", "dog", "house", "river", "tree")
DOCUMENTS = [{"id": f"d{i}", "candidate": f"the {w} {i}"} for i, w in enumerate(WORDS * 6)]
QUERIES = [
    {"query": "the cat 0", "relevant": ["d0", "d5", "d7"], "grades": [3, 1, 0]},
    {"query": "a dog", "relevant": ["d1"], "grades": [2]},
    {"query": "no", "relevant": [], "grades": []},
]


def graded(**changes: Any) -> jx.Retrieval:
    fields: dict[str, Any] = {
        "source": jx.Rows({"validation": QUERIES}),
        "corpus": jx.Rows({"validation": DOCUMENTS}),
        "metrics": ("ndcg_at_5", "recall_at_25", "map"),
        "grades": "grades",
    }
    return TASK.replace(**{**fields, **changes})


def test_graded_relevance_in_an_evaluation(model_of: ModelOf, tmp_path: Any) -> None:
    """All metrics, from the rankings that `predict` gives."""
    task = graded()
    model = model_of([task])
    report = jx.evaluate(model, task, predictions=tmp_path)
    rankings = [p.ranking for p in jx.predict(model, task, QUERIES)]
    assert [len(ranking) for ranking in rankings] == [30, 30, 30], "map reads the whole ranking"
    references: list[Any] = [{"d0": 3.0, "d5": 1.0}, {"d1": 2.0}, {}]
    values = {score.metric: score.value for score in report}
    for metric in task.metrics:
        assert values[metric_name(metric)] == metric(rankings, references)
    assert '"gold": {"d0": 3.0, "d5": 1.0}' in next(tmp_path.iterdir()).read_text()
    plain = jx.evaluate(model, graded(grades=None))
    assert plain.mean() != report.mean(), "d7 is relevant without grades"


@pytest.mark.parametrize(
    ("grades", "message"),
    [
        ([1], "There are 1 grades for the ids"),
        (["x", "y"], "expected a list of numbers"),
        (None, "expected a list of numbers"),
    ],
)
def test_bad_grades(grades: Any, message: str) -> None:
    rows = [{"query": "a", "relevant": ["d0", "d1"], "grades": grades}]
    with pytest.raises(jx.DataError, match=message):
        list(graded(source=jx.Rows({"validation": rows})).examples("validation"))
    with pytest.raises(ValueError, match="`grades` are of the relevant ids of a `corpus`"):
        TASK.replace(grades="grades")


def test_of_candidates_with_the_same_score_the_first_is_ranked_first(model_of: ModelOf) -> None:
    corpus = [{"id": id, "candidate": "the cat"} for id in ("d3", "d1", "d2")]
    task = graded(corpus=jx.Rows({"validation": corpus}), grades=None)
    (prediction,) = jx.predict(model_of([task]), task, [{"query": "a cat"}])
    assert prediction.ranking == ("d3", "d1", "d2")


# --- vectors that are compared --------------------------------------------------------------------


def test_prefixes_are_put_before_the_texts(model_of: ModelOf, tokenizer: Any) -> None:
    rows = [{"query": f"the {w}", "candidate": f"a {w}"} for w in WORDS]
    task = TASK.replace(source=jx.Rows({"validation": rows}))
    prefixed = task.replace(query_prefix="who: ", candidate_prefix="not: ")
    by_hand = task.replace(
        query=lambda row: "who: " + row["query"], candidate=lambda row: "not: " + row["candidate"]
    )
    model = model_of([task])
    first, second, plain = (jx.predict(model, t, rows) for t in (prefixed, by_hand, task))
    assert [p.scores for p in first] == [p.scores for p in second] != [p.scores for p in plain]
    assert jx.evaluate(model, prefixed).records == jx.evaluate(model, by_hand).records
    queries = [{"query": row["query"], "relevant": ["d0"]} for row in rows]
    of_corpus = graded(
        source=jx.Rows({"validation": queries}), grades=None, candidate_prefix="not: "
    )
    (ranking, *_) = jx.predict(model, of_corpus, queries)
    vectors = jx.encode(model, [str(d["candidate"]) for d in DOCUMENTS], task, prefix="not: ")
    query = jx.encode(model, ["the cat"], task)[0]
    assert ranking.scores[0] == pytest.approx(float((vectors @ query).max()), abs=1e-6)


def test_vectors_are_centred_language_by_language(model_of: ModelOf) -> None:
    """With a pool of all languages, each language's candidates lose their own mean."""
    texts = {"en": ["the cat", "a dog", "red house"], "de": ["die katze", "der hund"]}
    corpus = {
        code: [{"id": f"{code}{i}", "candidate": text} for i, text in enumerate(values)]
        for code, values in texts.items()
    }
    questions = ["the cat", "who", "not a dog"]
    queries = [{"query": text, "relevant": ["en0"]} for text in questions]
    task = TASK.replace(
        source=jx.Rows({"validation": queries}),
        corpus=jx.Rows({"validation": corpus}),
        pool="all",
        center=True,
    )
    model = model_of([task])
    predictions = jx.predict(model, task, queries)

    def centered(values: list[str]) -> np.ndarray:
        raw = jx.encode(model, values, task, normalize=False).astype(np.float64)
        raw -= raw.mean(axis=0)
        return raw / np.linalg.norm(raw, axis=1, keepdims=True)

    candidates = np.concatenate([centered(values) for values in texts.values()])
    expected = centered(questions) @ candidates.T
    for prediction, scores in zip(predictions, expected, strict=True):
        np.testing.assert_allclose(prediction.scores, np.sort(scores)[::-1], atol=1e-4)
    assert not task.has_independent_rows
    with pytest.raises(ValueError, match="center=True subtracts the mean of a language's vectors"):
        jx.predict(model, task, queries[:1])
    depth = model.encoder.config.num_hidden_layers
    swept = jx.evaluate(model, task, layers=range(depth + 1))
    assert swept.where(layer=depth).mean() == jx.evaluate(model, task).mean()


def test_inner_products_of_vectors_that_are_not_normalised(model_of: ModelOf) -> None:
    rows = [{"query": f"the {w}", "candidate": f"a {w}"} for w in WORDS]
    task = TASK.replace(normalize=False)
    model = model_of([task])
    candidates = jx.encode(model, [row["candidate"] for row in rows], task)
    query = jx.encode(model, [rows[0]["query"]], task)[0]
    assert abs(np.linalg.norm(query) - 1) > 1e-3
    expected = np.sort(candidates @ query)[::-1]
    np.testing.assert_allclose(jx.predict(model, task, rows)[0].scores, expected, rtol=1e-4)
    with pytest.raises(ValueError, match="mined by the margins of cosines"):
        task.replace(mining=True)
