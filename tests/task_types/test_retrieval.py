"""Pairs and rankings."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ModelOf
from transformers import TrainingArguments
from transformers.utils import logging

import jiantx as jx
from jiantx.evaluation import predict_splits
from jiantx.features import encode_examples
from jiantx.layer_sweeps import group_by_pass
from jiantx.metrics import (
    accuracy_at_1,
    mean_average_precision,
    mean_reciprocal_rank,
    mined_f1,
    mined_precision,
    mined_recall,
)
from jiantx.sources import DataError

TASK = jx.Retrieval(name="pairing", source=jx.Rows({}), top=2)
PAIRS = [("the cat", "猫"), ("a dog eats", "狗 吃 的"), ("red house", "红色 房子")]


@pytest.fixture
def held() -> list[Any]:
    rows = [{"query": query, "candidate": candidate} for query, candidate in PAIRS]
    return [TASK.example(row, id=f"r{i}", language="zh") for i, row in enumerate(rows)]


@pytest.mark.parametrize("kind", ["tokenizer", "bert_tokenizer", "roberta_tokenizer"])
def test_a_pair_is_two_sequences(
    kind: str, held: list[Any], request: pytest.FixtureRequest
) -> None:
    tokenizer = request.getfixturevalue(kind)
    for feature, pair in zip(encode_examples(TASK, held, tokenizer), PAIRS, strict=True):
        one, two = (tokenizer(text) for text in pair)
        assert feature["input_ids"] == one["input_ids"] + two["input_ids"]
        assert feature["lengths"] == [len(one["input_ids"]), len(two["input_ids"])] and feature[
            "labels"
        ] == [0]
        if "token_type_ids" in one:
            assert feature["token_type_ids"] == one["token_type_ids"] + two["token_type_ids"]


@pytest.mark.parametrize(
    ("query", "candidate"), [("a " * 60, "b"), ("a", "b " * 60), ("a " * 60, "b " * 60)]
)
def test_either_side_may_be_cut(query: str, candidate: str, tokenizer: Any) -> None:
    example = TASK.example({"query": query, "candidate": candidate}, id="0", language="en")
    (feature,) = encode_examples(TASK, [example], tokenizer, 10)
    assert feature["truncated"] == 1 and max(feature["lengths"]) == 10


def test_rankings_are_ids(held: list[Any]) -> None:
    outputs = {
        "ranking": np.array([[0, 2], [0, 1], [2, 1]]),
        "scores": np.array([[0.9, 0.1], [0.8, 0.7], [0.6, 0.5]]),
    }
    decoded = TASK.decode(outputs, None, held)
    assert [p.value for p in decoded] == [("r0", "r2"), ("r0", "r1"), ("r2", "r1")]
    assert [p.id for p in decoded] == ["r0", "r1", "r2"] and decoded[1].confidence == (0.8, 0.7)
    references = [TASK.reference(example) for example in held]
    gold = [("r0",), ("r1",), ("r2",)]
    assert references == gold
    assert accuracy_at_1([p.value for p in decoded], gold) == pytest.approx(200 / 3)


def test_accuracy_takes_the_first_of_a_ranking() -> None:
    assert (
        accuracy_at_1([("a", "b")], [("b", "a")]) == 100.0
        and accuracy_at_1([("a", "b")], [("b",)]) == 0.0
    )
    assert math.isnan(accuracy_at_1([], []))
    with pytest.raises(ValueError, match="1 predictions for 2 references"):
        accuracy_at_1([("a",)], [("a",), ("b",)])


@pytest.mark.parametrize("row", [{"query": " ", "candidate": "b"}, {"query": "a", "candidate": ""}])
def test_empty_sides(row: dict[str, str]) -> None:
    with pytest.raises(DataError, match="is an empty text"):
        TASK.example(row, id="0", language="en")


# --- a corpus -------------------------------------------------------------------------------------

QUESTIONS = [
    {"id": "q0", "query": "the cat", "relevant": ["de_1"]},
    {"id": "q1", "query": "a dog", "relevant": []},
]
SENTENCES = {
    "de": [
        {"id": f"de_{i}", "candidate": text}
        for i, text in enumerate(("der hund", "die katze", "ein haus"))
    ],
    "en": [{"id": "en_0", "candidate": "the cat"}],
}
SEARCH = jx.Retrieval(
    name="searching",
    source=jx.Rows(
        {"train": [{"id": "p0", "query": "a", "candidate": "b"}], "validation": {"de": QUESTIONS}}
    ),
    corpus=jx.Rows({"validation": SENTENCES, "test": SENTENCES}),
    max_query_length=4,
)


def test_training_rows_are_pairs_and_others_are_queries(tokenizer: Any) -> None:
    (pair,) = SEARCH.for_training.examples("train")
    assert (pair.query, pair.positives, pair.negatives) == ("a", ("b",), ())
    queries = list(SEARCH.examples("validation", "de", labelled=True))
    assert [e.candidate for e in queries] == [None, None] and [e.relevant for e in queries] == [
        ("de_1",),
        (),
    ]
    assert SEARCH.corpus_task is not None
    actual = list(SEARCH.corpus_task.examples("validation", "de"))
    assert [(e.id, e.query, e.candidate) for e in actual][1] == ("de_1", None, "die katze")
    features = encode_examples(SEARCH, queries, tokenizer)
    assert all(len(lengths) == 1 and lengths[0] <= 4 for lengths in features["lengths"])
    assert features["truncated"] == [
        int(len(tokenizer(row["query"])["input_ids"]) > 4) for row in QUESTIONS
    ]
    assert SEARCH.candidate_languages("validation", "de") == ("de",)
    assert SEARCH.replace(pool="all").candidate_languages("validation", "de") == ("de", "en")


@pytest.mark.parametrize(("pool", "size"), [("language", 3), ("all", 4)])
def test_the_pool_is_one_language_or_all(
    pool: Any, size: int, model_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = SEARCH.replace(pool=pool, metrics=(mean_average_precision,))
    model = model_of([task])
    report = jx.evaluate(model, [task], languages=["de"])
    assert {s.metric: s.examples for s in report} == {"map@20": 2, "main_score": 2}
    # a candidate of the row's own is no part of the pool
    (actual,) = jx.predict(
        model, task, [{"query": "the cat", "candidate": "the cat"}], language="de"
    )
    assert len(actual.ranking) == size == len(set(actual.ranking))
    if pool == "all":  # the same text has the cosine 1 with itself
        assert actual.ranking[0] == "en_0" and actual.scores[0] == pytest.approx(1.0, abs=1e-5)


def test_a_corpus_that_lacks_the_language_is_an_error(model_of: Any) -> None:
    task = SEARCH.replace(corpus=jx.Rows({"validation": {"en": SENTENCES["en"]}}))
    with pytest.raises(
        DataError,
        match="Task searching, split 'validation', language 'de': There is no language 'de'",
    ):
        jx.evaluate(model_of([task]), [task], languages=["de"])


def test_training_pairs_of_a_task_with_a_corpus(model_of: Any, tmp_path: Any) -> None:
    task = SEARCH.replace(pooling="pooler")
    model = model_of([task])
    before = model.heads["searching"].dense.weight.clone()
    arguments = TrainingArguments(
        str(tmp_path), max_steps=2, report_to="none", save_strategy="no", disable_tqdm=True
    )
    rows = [
        {"id": f"p{i}", "query": f"the cat {i}", "candidate": f"der hund {i}"} for i in range(8)
    ]
    jx.Trainer(model, arguments, tasks=[task.replace(source=jx.Rows({"train": rows}))]).train()
    assert not before.equal(model.heads["searching"].dense.weight)


SWAPPED = [  # each query is the next row's candidate, so all are wrong
    {"query": "the cat", "candidate": "a dog"},
    {"query": "a dog", "candidate": "red house"},
    {"query": "red house", "candidate": "the cat"},
]


@pytest.mark.parametrize("ids", [None, (None, None, None), ("", "", ""), ("a", "b", "c")])
def test_rows_without_an_id_are_different_candidates(ids: Any, model_of: Any) -> None:
    """All rows had the id "None" or "", so every candidate was the right one."""
    rows = SWAPPED if ids is None else [{**r, "id": i} for r, i in zip(SWAPPED, ids, strict=True)]
    task = TASK.replace(source=jx.Rows({"validation": rows}))
    model = model_of([task])
    assert jx.evaluate(model, [task]).mean() == 0.0
    assert [p.ranking[0] for p in jx.predict(model, task, SWAPPED)] == ["2", "0", "1"]


def test_one_id_for_different_candidates_is_refused(model_of: Any) -> None:
    rows = [{**row, "id": id} for row, id in zip(SWAPPED, ("x", "y", "x"), strict=True)]
    task = TASK.replace(source=jx.Rows({"validation": rows}))
    with pytest.raises(DataError, match=r"pairing.*'en': rows 0 and 2 have the same id 'x'"):
        jx.evaluate(model_of([task]), [task])
    # several questions about one passage are no mistake
    rows = [{"id": "p", "query": text, "candidate": "the cat"} for text in ("the cat", "a dog")]
    task = TASK.replace(source=jx.Rows({"validation": rows}))
    assert jx.evaluate(model_of([task]), [task]).mean() == 100.0
    assert jx.predict(model_of([task]), task, rows)[0].ranking == ("p",)


def found(relevant: list[str], corpus: Any, **fields: Any) -> jx.Retrieval:
    query = [{"id": "q0", "query": "the cat", "relevant": relevant}]
    metrics = (mean_average_precision, mean_reciprocal_rank, accuracy_at_1)
    source, corpus = jx.Rows({"validation": query}), jx.Rows({"validation": corpus})
    return SEARCH.replace(source=source, corpus=corpus, metrics=metrics, **fields)


def test_metrics_that_read_other_rankings_are_refused() -> None:
    """F1 of 20 candidates a query is no F1 of pairs, and MAP of 5 is no map@20."""
    for metric in (mined_f1, mined_precision, mined_recall):
        with pytest.raises(ValueError, match=r"is a score of mined pairs.*mining=True, or top=1"):
            TASK.replace(metrics=(metric,))
        assert TASK.replace(metrics=(metric,), top=1).top == 1
    for metric in (mean_average_precision, mean_reciprocal_rank):
        with pytest.raises(ValueError, match=r"@20' reads 20 candidates.* top=19. Give top=20"):
            TASK.replace(metrics=(metric,), top=19)


def test_an_id_on_several_candidates_counts_once(model_of: Any) -> None:
    """Passages of a document, or one passage in several languages, gave a MAP of 300."""
    passages = [("d1", "the cat"), ("d1", "a cat"), ("d1", "cat"), ("d2", "red house")]
    corpus = [{"id": id, "candidate": text} for id, text in passages]
    parallel = {code: [{"id": "d1", "candidate": "the cat"}] for code in ("en", "de", "zh")}
    for task in (found(["d1"], corpus), found(["d1"], parallel, pool="all")):
        report = jx.evaluate(model_of([task]), [task])
        assert {s.value for s in report} == {100.0}
    top = found(["d1"], corpus).replace(top=2, metrics=(accuracy_at_1,))
    (prediction,) = jx.predict(model_of([top]), top, [{"query": "the cat"}])
    assert prediction.ranking == ("d1", "d2"), "two documents, not two passages"
    assert len(prediction.scores) == 2 and prediction.scores[0] == pytest.approx(1.0, abs=1e-5)


def test_relevant_ids_that_are_not_in_the_corpus(
    model_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    corpus = [{"id": id, "candidate": text} for id, text in (("d1", "the cat"), ("d2", "a dog"))]
    nowhere = found(["D1"], corpus)
    with pytest.raises(
        DataError,
        match=r"searching, language 'en': 1 of 1 queries .* 'D1' of query 'q0'.* such as 'd1'",
    ):
        jx.evaluate(model_of([nowhere]), [nowhere])
    half = found(["d1", "d9"], corpus)
    logging.enable_propagation()
    try:
        report = jx.evaluate(model_of([half]), [half])
    finally:
        logging.disable_propagation()
    assert {s.metric: s.value for s in report}["map@20"] == 50.0
    assert "such as 'd9' of query 'q0'" in caplog.text


def test_a_corpus_has_ids_in_all_rows_or_in_none(model_of: Any) -> None:
    corpus = [{"id": id, "candidate": text} for id, text in (("1", "the cat"), (None, "a dog"))]
    task = found(["1"], corpus)
    with pytest.raises(DataError, match=r"'en': row 1 of the corpus has no id"):
        jx.evaluate(model_of([task]), [task])
    numbered = found(["1"], [{"candidate": "a dog"}, {"candidate": "the cat"}])
    assert jx.evaluate(model_of([numbered]), [numbered]).mean() == 100.0


@pytest.mark.parametrize(
    "options",
    [
        {"per_device_train_batch_size": 1},
        {"per_device_train_batch_size": 2, "sampling": jx.Sampling(mix=2)},
        {"per_device_train_batch_size": 8, "sampling": jx.Sampling(batch_size={"pairing": 1})},
        {"per_device_train_batch_size": 8, "rows": 1},
    ],
)
def test_a_batch_of_one_pair_is_refused(options: Any, model_of: Any, tmp_path: Any) -> None:
    """Its only candidate is the right one, so the loss was 0 at every step."""
    task = TASK.replace(source=jx.Rows({"train": SWAPPED[: options.get("rows", 3)]}))
    sampling = options.get("sampling")
    options = {name: options[name] for name in options if name.startswith("per_device")}
    arguments = TrainingArguments(str(tmp_path), max_steps=1, report_to="none", **options)
    trainer = jx.Trainer(model_of([task]), arguments, tasks=[task], sampling=sampling)
    with pytest.raises(ValueError, match="Task pairing: a batch of 1 pair has no wrong candidates"):
        trainer.train()


# --- mining ---------------------------------------------------------------------------------------

SATZ = ["die katze", "der hund", "ein haus", "noch etwas"]
MINING = jx.Retrieval(
    name="mining",
    source=jx.Rows(
        {
            split: {
                "de": [
                    {"id": f"de-{i}", "query": text, "relevant": [f"en-{i}"] if i < 2 else []}
                    for i, text in enumerate(SATZ)
                ]
            }
            for split in ("validation", "test")
        }
    ),
    corpus=jx.Rows(
        {
            split: {"de": [{"id": f"en-{i}", "candidate": text} for i, text in enumerate(SATZ[:3])]}
            for split in ("validation", "test")
        }
    ),
    mining=True,
    metrics=(mined_f1, mined_precision, mined_recall),
    main_metrics=(mined_f1,),
)


def test_mined_pairs_are_one_to_one_from_the_threshold_on(model_of: Any) -> None:
    """BUCC: the threshold is set on validation, and applied to test."""
    model = model_of([MINING])
    for split in ("validation", "test"):
        (actual,) = predict_splits(model, MINING, split, ["de"])
        pairs = {p.id: p.ranking for p in actual.predictions}
        assert all(len(ranking) <= 1 for ranking in pairs.values())
        assert pairs["de-0"] == ("en-0",) and pairs["de-1"] == ("en-1",) and pairs["de-3"] == ()
    report = jx.evaluate(model, [MINING], split="test")
    assert {s.metric: s.value for s in report}["recall"] == 100.0


def test_mining_is_scored_by_the_f1_of_pairs_unless_metrics_are_given(model_of: Any) -> None:
    """By default it was the accuracy of the first candidate: an error, since there may be none."""
    source, corpus = MINING.source, MINING.corpus
    task = jx.Retrieval(name="mining", source=source, corpus=corpus, mining=True)
    assert task.metrics == (mined_f1,)
    assert {s.metric for s in jx.evaluate(model_of([task]), [task])} == {"f1", "main_score"}
    assert task.replace(mining=False).metrics == TASK.metrics == (accuracy_at_1,)
    assert TASK.replace(mining=True).metrics == (mined_f1,)
    explicit = TASK.replace(mining=True, metrics=(accuracy_at_1,))
    assert explicit.replace(top=1).metrics == (accuracy_at_1,)


def test_the_threshold_of_another_split() -> None:
    def said(*scores: float) -> list[Any]:
        outputs = {
            "ranking": np.array([[0], [1], [2]]),
            "scores": np.array(scores)[:, None],
            "candidates": np.array(["a", "b", "c"], dtype=object),
        }
        return MINING.decode(outputs, None, examples)

    examples = [
        MINING.example({"query": "x", "relevant": [r]}, id=f"q{r}", language="de") for r in "abz"
    ]
    references = [MINING.reference(example) for example in examples]
    threshold = MINING.best_threshold(said(1.3, 1.1, 0.9), references)  # type: ignore[arg-type]
    assert threshold == pytest.approx(1.0)
    remaining = MINING.apply_threshold(said(1.05, 0.95, 1.2), threshold)
    assert [p.ranking for p in remaining] == [("a",), (), ("c",)]
    with pytest.raises(DataError, match="no pair of the split 'validation' is gold"):
        MINING.best_threshold(said(1.0, 1.0, 1.0), [(), (), ()])


def test_a_repeated_sentence_cannot_be_paired() -> None:
    """XTREME gives sentences that occur twice no id; with ids, F1 is too high."""
    examples = [
        MINING.example({"query": "x", "relevant": ["a"]}, id=id, language="de")
        for id in ("", "q1", "q2")
    ]
    outputs = {
        "ranking": np.array([[0], [1], [-1]]),
        "scores": np.array([[1.2], [1.1], [np.nan]]),
        "candidates": np.array(["a", ""], dtype=object),
    }
    assert [p.ranking for p in MINING.decode(outputs, None, examples)] == [(), (), ()]


# --- metrics --------------------------------------------------------------------------------------


def test_average_precision_by_hand() -> None:
    ranking = [str(i) for i in range(30)]
    assert mean_average_precision([ranking], [("0", "2")]) == pytest.approx(
        100 * (1 / 1 + 2 / 3) / 2
    )
    assert mean_average_precision([ranking], [("25",)]) == 0.0, "beyond the twentieth"
    assert mean_average_precision([ranking], [tuple(ranking)]) == 100.0, (
        "no more than 20 can be found"
    )
    assert mean_average_precision([ranking, ranking], [("0",), ()]) == 100.0, "nothing to find"
    assert math.isnan(mean_average_precision([], []))


def test_an_id_that_is_ranked_twice_counts_at_its_first_place() -> None:
    assert mean_average_precision([["a", "a", "b"]], [["a"]]) == 100.0
    assert mean_average_precision([["a", "a", "b"]], [["a", "b"]]) == pytest.approx(
        100 * (1 / 1 + 2 / 3) / 2
    )
    assert mean_average_precision([["b", "a", "a"]], [["a"]]) == 50.0
    assert mined_precision([["a", "a"]], [["a"]]) == mined_f1([["a", "a"]], [["a"]]) == 100.0


def test_an_empty_ranking_is_a_miss() -> None:
    values = [(), ("a",)]
    gold = [("a",), ("a",)]
    for metric in (accuracy_at_1, mean_average_precision, mean_reciprocal_rank):
        assert metric(values, gold) == 50.0


def test_reciprocal_rank_by_hand() -> None:
    ranking = [str(i) for i in range(30)]
    assert mean_reciprocal_rank([ranking, ranking], [("3",), ("20",)]) == pytest.approx(
        100 * (1 / 4) / 2
    )
    gold = [("3",), ("0",), ("19",)]
    assert mean_reciprocal_rank([ranking] * 3, gold) == pytest.approx(
        mean_average_precision([ranking] * 3, gold)
    )


def test_mined_pairs_by_hand() -> None:
    values, gold = [("a",), (), ("c",)], [("a",), ("b",), ()]
    assert (mined_precision(values, gold), mined_recall(values, gold), mined_f1(values, gold)) == (
        50.0,
        50.0,
        50.0,
    )
    assert mined_precision([()], [("a",)]) == 0.0 and mined_f1([()], [("a",)]) == 0.0
    assert math.isnan(mined_f1([()], [()]))


# --- layers ---------------------------------------------------------------------------------------


def test_a_sweep_over_layers_gives_what_each_layer_gives(model_of: Any, tiny_tasks: Any) -> None:
    """Layer 0 is the embeddings; one pass gives the scores of all."""
    task = tiny_tasks["retrieval"]
    model = model_of([task])
    depth = model.encoder.config.num_hidden_layers
    swept = jx.evaluate(model, [task], layers=range(depth + 1))
    for layer in range(depth + 1):
        original = task.replace(layer=layer)
        one = jx.evaluate(model_of([original]), [original])
        assert swept.where(layer=layer).mean() == one.mean()
    assert set(swept.mean(by="layer")) == set(range(depth + 1))
    with pytest.raises(ValueError, match=rf"Layer {depth + 1} of an encoder with {depth}"):
        jx.evaluate(model, [task], layers=[depth + 1])
    with pytest.raises(
        ValueError, match="A sweep over layers is for retrieval; mood is something else"
    ):
        jx.evaluate(model, [tiny_tasks["classification"]], layers=[1])


@pytest.mark.parametrize("shares_head", [True, False])
def test_tasks_that_differ_in_their_layer_share_one_pass(
    shares_head: bool,
    model_of: Any,
    tiny_tasks: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    pairing = tiny_tasks["retrieval"]
    variants = []
    for layer in (2, 0, 1):
        name = f"pairing_{layer}"
        variants.append(
            pairing.replace(name=name, layer=layer, head="pairing" if shares_head else None)
        )
    model = model_of([pairing, tiny_tasks["classification"], *([] if shares_head else variants)])
    separate = [jx.evaluate(model, [task], predictions=tmp_path / "separate") for task in variants]
    encoded: list[int] = []
    encode = type(model).states

    def states(self: Any, input_ids: Any, *arguments: Any, **options: Any) -> Any:
        encoded.append(len(input_ids))
        return encode(self, input_ids, *arguments, **options)

    monkeypatch.setattr(type(model), "states", states)
    jx.evaluate(model, [pairing])
    tokens_of_one = sum(encoded)
    encoded.clear()
    together = jx.evaluate(model, variants, predictions=tmp_path / "together")
    assert sum(encoded) == tokens_of_one, "each sentence once"
    expected = [record for report in separate for record in report]
    assert together.records == expected, "to the last digit, in the order of the tasks"
    predictions = set()
    for path in (tmp_path / "separate").iterdir():
        predictions.add(path.read_text())
        assert (tmp_path / "together" / path.name).read_text() == path.read_text()
    assert len(predictions) == 3, "each layer has other scores"
    encoded.clear()
    separate_tasks = [
        tiny_tasks["classification"],
        variants[0].replace(name="shorter", max_length=5),
    ]
    if shares_head:
        jx.evaluate(model, [*variants, *separate_tasks])
        assert sum(encoded) > tokens_of_one, "what else differs is read by itself"


def test_tasks_whose_heads_have_learned_something_else_are_run_by_themselves(
    model_of: Any, tiny_tasks: Any
) -> None:
    variants = [
        tiny_tasks["retrieval"].replace(name=f"pairing_{layer}", layer=layer, pooling="pooler")
        for layer in (1, 2)
    ]
    model = model_of(variants)
    assert group_by_pass(model, variants) == [[variants[0]], [variants[1]]]
    model.heads["pairing_2"].load_state_dict(model.heads["pairing_1"].state_dict())
    assert group_by_pass(model, variants) == [variants]


def test_layers_are_in_the_head_s_config() -> None:
    config = TASK.replace(layer=7, pooling="cls").head_config()
    assert (config["layer"], config["pooling"], config["top"]) == (7, "cls", 2)


def test_rows_of_one_candidate_are_named(model_of: Any, caplog: Any) -> None:
    """Only a row's own id is right: of questions with one answer, all but the first are wrong."""
    from transformers.utils import logging

    texts = [("who", "a cat"), ("what", "a cat"), ("which", "a cat"), ("where", "a house")]
    rows = [{"query": query, "candidate": candidate} for query, candidate in texts]
    task = jx.Retrieval("faq", jx.Rows({"validation": rows}))
    logging.enable_propagation()
    jx.evaluate(model_of([task]), [task])
    logging.disable_propagation()
    assert "3 of 4 rows have the candidate of another row" in caplog.text


def test_pooled_candidates_need_ids_of_their_own(model_of: ModelOf) -> None:
    """Row 3 of one language is not row 3 of another."""
    corpus = {code: [{"candidate": f"{code} {i}"} for i in range(4)] for code in ("de", "en")}
    queries = {"validation": {"en": [{"query": "who", "relevant": ["3"]}]}}
    task = jx.Retrieval("rows", jx.Rows(queries), corpus=jx.Rows({"validation": corpus}))
    model = model_of([task])
    assert jx.evaluate(model, task).records
    with pytest.raises(DataError, match=r"ranked together \(pool='all'\), .* have no ids"):
        jx.evaluate(model, task.replace(pool="all"))
