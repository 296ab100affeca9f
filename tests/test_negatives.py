"""Hard negatives: near, wrong, and not too near."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from conftest import ModelOf
from test_trainer import arguments

import jiantx as jx
from jiantx import negatives
from jiantx.nearest_neighbors import nearest_allowed
from jiantx.negatives import MinedNegatives

ROWS = [
    {"query": "the cat", "candidate": "a cat"},
    {"query": "the cat", "candidate": "cat cat"},  # a second positive of the same query
    {"query": "a dog eats", "candidate": "the dog"},
    {"query": "red house", "candidate": "the red house"},
    {"query": "tall house", "candidate": "green house"},
    {"query": "who sees", "candidate": "a cat"},  # a text that is another query's positive, too
]
TASK = jx.Retrieval(
    name="pairs",
    source=jx.Rows({"train": ROWS, "validation": ROWS[2:4]}),
    query_prefix="who: ",
    max_query_length=12,
)


def plain_negatives(model: jx.MultitaskModel, count: int, margin: float) -> list[list[str]]:
    """The definition, text by text."""
    texts = list(dict.fromkeys(row["candidate"] for row in ROWS))
    candidates = jx.encode(model, texts, TASK)
    queries = jx.encode(model, [row["query"] for row in ROWS], TASK, prefix="who: ", max_length=12)
    positives: dict[str, set[str]] = {}
    for row in ROWS:
        positives.setdefault(row["query"], set()).add(row["candidate"])
    negatives = []
    for row, query in zip(ROWS, queries, strict=True):
        scores = candidates @ query
        ceiling = scores[texts.index(row["candidate"])] - margin
        order = np.argsort(-scores, kind="stable")
        allowed = [
            texts[i]
            for i in order
            if texts[i] not in positives[row["query"]] and scores[i] <= ceiling
        ]
        negatives.append(allowed[:count])
    return negatives


@pytest.mark.parametrize(("count", "margin"), [(1, 0.0), (2, 0.0), (10, -2.0), (2, 0.02)])
def test_negatives_are_the_nearest_that_are_allowed(
    count: int, margin: float, model_of: ModelOf
) -> None:
    model = model_of([TASK])
    mined = jx.mine_negatives(model, TASK, count=count, margin=margin)
    rows = mined.rows("train", "en")
    assert list(rows["negatives"]) == plain_negatives(model, count, margin)
    assert [dict(row) for row in rows.remove_columns("negatives")] == ROWS
    assert mined.rows("validation", "en").column_names == ["query", "candidate"]
    assert mined.available("validation") == ("en",) and "MinedNegatives" in repr(mined)
    german = MinedNegatives(
        jx.Rows({"train": [{"query": "a", "candidate": "b"}]}, language="de"), {}
    )
    assert german.only_language == "de"
    if margin == -2.0:  # nothing is too close, so only known positives are left out
        assert list(map(len, rows["negatives"])) == [3, 3, 4, 4, 4, 4]


def test_a_random_choice_is_the_seed_s(model_of: ModelOf) -> None:
    model = model_of([TASK])

    def choose(seed: int) -> Any:
        mined = jx.mine_negatives(model, TASK, count=1, among=3, margin=-2.0, seed=seed)
        return list(mined.rows("train", "en")["negatives"])

    assert choose(1) == choose(1)
    assert len({str(choose(seed)) for seed in range(5)}) > 1
    nearest = plain_negatives(model, 3, -2.0)
    for (negative,), allowed in zip(choose(1), nearest, strict=True):
        assert negative in allowed


def test_mined_negatives_are_trained_on_and_are_part_of_the_run(
    model_of: ModelOf, tmp_path: Any
) -> None:
    model = model_of([TASK])
    mined = jx.mine_negatives(model, TASK, count=2, margin=-2.0)
    task = TASK.replace(source=mined, negatives="negatives")
    args = arguments(tmp_path, max_steps=2, save_strategy="steps", save_steps=1)
    trainer = jx.Trainer(model, args, tasks=[task])
    trainer.train()
    (features,) = trainer.features.values()
    assert [len(lengths) for lengths in features.table["lengths"]] == [4] * 6
    other = task.replace(source=jx.mine_negatives(model, TASK, count=1, margin=-2.0))
    with pytest.raises(ValueError, match="training features of task pairs in en"):
        jx.Trainer(model, args, tasks=[other]).train(resume_from_checkpoint=True)


def test_rows_that_have_too_few_are_named(
    model_of: ModelOf, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING", "jiantx"):
        mined = jx.mine_negatives(model_of([TASK]), TASK, margin=2.0)
    assert list(mined.rows("train", "en")["negatives"]) == [[]] * 6
    assert "pairs, language 'en': 6 of 6 rows have fewer than 1 negatives" in caplog.text


def test_bad_arguments(model_of: ModelOf, tiny_tasks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of([TASK, tiny_tasks["classification"]])
    with pytest.raises(ValueError, match="among=2 is less than count=3"):
        jx.mine_negatives(model, TASK, count=3, among=2)
    with pytest.raises(ValueError, match="is no retrieval task"):
        jx.mine_negatives(model, tiny_tasks["classification"])
    with monkeypatch.context() as patch:
        patch.setattr(negatives, "encode", lambda *args, **options: 1 / 0)
        with pytest.raises(jx.DataError, match="'fr'"):  # before anything is encoded
            jx.mine_negatives(model, TASK, languages=["en", "fr"])
    with pytest.raises(ValueError, match=r"count=0\. Expected a whole number"):
        jx.mine_negatives(model, TASK, count=0)


def test_nearest_allowed_does_not_depend_on_the_blocks() -> None:
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(40, 5, generator=generator)
    corpus = torch.randn(60, 5, generator=generator)
    scores = queries @ corpus.T
    ceilings = scores.quantile(0.8, dim=1)
    excluded = torch.nonzero(torch.rand(40, 60, generator=generator) < 0.3).T
    allowed = scores.masked_fill(scores > ceilings[:, None], -torch.inf)
    allowed[excluded[0], excluded[1]] = -torch.inf
    expected = allowed.sort(dim=1, descending=True, stable=True)
    order = expected.indices.masked_fill(expected.values == -torch.inf, -1)
    for memory in (1 << 28, 4 * 700, 4 * 50):
        actual = nearest_allowed(
            queries, corpus, 50, ceilings=ceilings, excluded=excluded, memory=memory
        )
        assert torch.equal(actual, order[:, :50])


def test_one_language_may_be_a_text(model_of: Any, tiny_tasks: Any) -> None:
    task = tiny_tasks["retrieval"]
    model = model_of([task])
    as_text, as_list = (
        jx.mine_negatives(model, task, count=1, languages=languages) for languages in ("en", ["en"])
    )
    rows, expected = (mined.rows("train", "en").to_list() for mined in (as_text, as_list))
    assert rows == expected
