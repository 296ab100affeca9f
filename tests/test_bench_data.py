"""The peers in benchmarks/feature_peers.py and benchmarks/decoding.py do what jiantx does, so that
the programs stay true.
"""

from __future__ import annotations

import importlib.util
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import jiantx as jx
from jiantx.features import encode_examples
from jiantx.metrics import best_threshold

BENCH = Path(__file__).parents[1] / "benchmarks"
pytestmark = [
    pytest.mark.skipif(not (BENCH / "features.py").is_file(), reason="the benchmarks are not here"),
    pytest.mark.slow,  # alone: for torch and datasets, which the programs import
]
WORDS = """the a cat dog sees eats red green house river in on of and quickly slowly not where who
    tall""".split()


def program(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"bench_{name}", BENCH / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bench() -> Iterator[tuple[Any, Any]]:
    """benchmarks/feature_peers.py and decoding.py, which imports benchmarks/harness.py."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCH))
        yield program("feature_peers"), program("decoding")
    if "harness" not in before:
        sys.modules.pop("harness", None)


def questions(count: int, seed: int = 0) -> dict[str, list[Any]]:
    """Rows in columns: passages of 1 to 90 words, answers of 1 to 4 of them."""
    rng = random.Random(seed)
    columns: dict[str, list[Any]] = {"id": [], "question": [], "context": [], "answers": []}
    for index in range(count):
        passage = [rng.choice(WORDS) for _ in range(rng.randint(1, 90))]
        first = rng.randrange(len(passage))
        answer = " ".join(passage[first : first + rng.randint(1, 4)])
        start = len(" ".join([*passage[:first], ""]))
        columns["id"].append(str(index))
        columns["question"].append(" ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 9))))
        columns["context"].append(" ".join(passage))
        columns["answers"].append({"text": [answer], "answer_start": [start]})
    return columns


def squad(columns: dict[str, list[Any]], **changes: Any) -> tuple[Any, list[Any]]:
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    task = jx.QuestionAnswering(
        name="questions", source=jx.Rows({"train": rows}), stride=16, max_length=48, **changes
    )
    return task, list(task.examples("train"))


def spans(columns: Any) -> list[tuple[list[int], int, int]]:
    def one(value: Any) -> int:
        return int(value[0] if isinstance(value, list) else value)

    names = ("input_ids", "start_positions", "end_positions")
    return [
        (list(ids), one(start), one(end))
        for ids, start, end in zip(*(columns[n] for n in names), strict=True)
    ]


@pytest.mark.parametrize("kind", ["tokenizer", "bert_tokenizer"])
def test_windows(kind: str, bench: Any, request: pytest.FixtureRequest) -> None:
    tokenizer, columns = request.getfixturevalue(kind), questions(40)
    task, examples = squad(columns)
    ours = encode_examples(task, examples, tokenizer)
    assert len(ours) > 60
    assert spans(bench[0].looped_squad(columns, tokenizer, 48, 16)) == spans(ours[:])
    peer_spans = []  # its stride is what two windows share, and so depends on the question
    for row in range(len(examples)):
        one = {name: values[row : row + 1] for name, values in columns.items()}
        question_length = len(tokenizer(one["question"], add_special_tokens=False)["input_ids"][0])
        context_room = 48 - question_length - tokenizer.num_special_tokens_to_add(pair=True)
        peer_spans += spans(bench[0].batched_squad(one, tokenizer, 48, context_room - 16))
    assert peer_spans == spans(ours[:])


def test_pairs_and_tags(bench: Any, tokenizer: Any) -> None:
    rng = random.Random(0)
    texts = [
        [" ".join(rng.choices(WORDS, k=rng.randint(1, 20))) for _ in range(2)] for _ in range(30)
    ]
    pairs = {
        "premise": [t[0] for t in texts],
        "hypothesis": [t[1] for t in texts],
        "label": [0, 1, 2] * 10,
    }
    rows = [
        {"text": one, "pair": other, "label": "abc"[i % 3]} for i, (one, other) in enumerate(texts)
    ]
    nli = jx.Classification(
        name="nli",
        source=jx.Rows({"train": rows}),
        text_pair="pair",
        labels=("a", "b", "c"),
        max_length=24,
    )
    ours = encode_examples(nli, list(nli.examples("train")), tokenizer)[:]
    for peer in (bench[0].batched_nli, bench[0].looped_nli):
        peer_columns = peer(pairs, tokenizer, 24)
        assert (
            peer_columns["input_ids"] == ours["input_ids"]
            and [[x] for x in peer_columns["labels"]] == ours["labels"]
        )

    sentences = {"tokens": [rng.choices(WORDS, k=rng.randint(1, 9)) for _ in range(30)]}
    sentences["ner_tags"] = [
        [rng.randrange(3) for _ in sentence] for sentence in sentences["tokens"]
    ]
    rows = [
        {"tokens": tokens, "tags": ["OBI"[tag] for tag in tags]}
        for tokens, tags in zip(*sentences.values(), strict=True)
    ]
    tagging = jx.TokenClassification(
        name="tags", source=jx.Rows({"train": rows}), labels=("O", "B", "I")
    )
    ours = encode_examples(tagging, list(tagging.examples("train")), tokenizer)[:]
    for peer in (bench[0].batched_tags, bench[0].looped_tags):
        peer_columns = peer(sentences, tokenizer)
        assert peer_columns["input_ids"] == ours["input_ids"]
        assert [[x for x in labels if x != -100] for labels in peer_columns["labels"]] == ours[
            "labels"
        ]
        positions = [
            [i for i, x in enumerate(labels) if x != -100] for labels in peer_columns["labels"]
        ]
        assert positions == ours["word_positions"]


@pytest.mark.parametrize("unanswerable", [False, True])
def test_answers(unanswerable: bool, bench: Any, tokenizer: Any) -> None:
    task, examples = squad(questions(60, seed=1), unanswerable=unanswerable)
    table = encode_examples(task, examples, tokenizer)
    outputs = bench[1].random_logits(table)
    answers = [(p.answer, p.start, p.score) for p in task.decode(outputs, table, examples)]
    assert bench[1].looped(outputs, table, examples, unanswerable=unanswerable) == answers
    assert bench[1].looped(outputs, list(table), examples, unanswerable=unanswerable) == answers
    assert any(answer == "" for answer, _, _ in answers) == unanswerable


def test_threshold(bench: Any) -> None:
    scores, right = bench[1].mined(500)
    peer_threshold = bench[1].looped_threshold(scores, right, 300)
    assert peer_threshold == pytest.approx(best_threshold(scores, right, 300), abs=1e-9)
