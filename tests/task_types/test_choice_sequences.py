"""Joined tokens of prompts and choices equal what the tokenizer makes of each pair."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

import jiantx as jx
from jiantx.task_types import choice_sequences, classification
from jiantx.task_types.choice_sequences import Choices, choice_features, pair_features
from jiantx.tokenization import encode, grouped_features, sequence_features

TOKENIZERS = ["tokenizer", "bert_tokenizer", "roberta_tokenizer", "t5_tokenizer"]
SHARED = Path(jx.__file__).parents[2] / "shared"
WORDS = "the a cat dog sees 猫 看见 घर बड़ा كتاب sträße U.S. 12,5 … “x” \u00a0 a\u0301".split(" ")


def texts_of(rng: random.Random, longest: int) -> str:
    spaces = (" ", " ", "  ", "\n", "")
    spaced = [rng.choice(WORDS) + rng.choice(spaces) for _ in range(rng.randint(1, longest))]
    return rng.choice(("", " ")) + "".join(spaced)


def groups_of(seed: int) -> list[Choices]:
    """One to six choices; either side may be the longer one, and some texts are repeated."""
    rng = random.Random(seed)
    groups = []
    for _ in range(25):
        prompt = texts_of(rng, rng.choice((1, 5, 40)))
        choices = [texts_of(rng, rng.choice((1, 5, 40))) for _ in range(rng.randint(1, 6))]
        groups.append((prompt, (*choices, choices[0])))
    return [*groups, groups[0]]


def pair_by_pair(tokenizer: Any, groups: list[Choices], max_length: int) -> dict[str, Any]:
    prompts = [prompt for prompt, choices in groups for _ in choices]
    second_sides = [choice for _, choices in groups for choice in choices]
    encodings = iter(encode(tokenizer, prompts, second_sides, max_length=max_length, cut="start"))
    encoded = [list(islice(encodings, len(choices))) for _, choices in groups]
    return grouped_features(tokenizer, encoded)


def as_lists(columns: dict[str, Any]) -> dict[str, Any]:
    lists = {"truncated": columns["truncated"]}
    for name in set(columns) - {"truncated"}:
        lists[name] = [[int(number) for number in row] for row in columns[name]]
    return lists


def check_equal(tokenizer: Any, groups: list[Choices], max_length: int) -> None:
    actual = as_lists(choice_features(tokenizer, groups, max_length))
    assert actual == as_lists(pair_by_pair(tokenizer, groups, max_length))


def is_joined(tokenizer: Any, groups: list[Choices], max_length: int) -> bool:
    return choice_sequences._joiner(tokenizer, groups, max_length, "start") is not None


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("max_length", [6, 7, 9, 16, 33, 64, 512])
def test_equal_to_each_pair(name: str, max_length: int, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(name)
    groups = groups_of(max_length)
    assert is_joined(tokenizer, groups, max_length)
    check_equal(tokenizer, groups, max_length)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no tokenizers at {SHARED}")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["me5-small", "tiny-xlm"])
@pytest.mark.parametrize("max_length", [8, 40, 256])
def test_equal_with_published_tokenizers(name: str, max_length: int) -> None:
    tokenizer = AutoTokenizer.from_pretrained(SHARED / "models" / name)
    groups = groups_of(max_length)
    assert is_joined(tokenizer, groups, max_length)
    check_equal(tokenizer, groups, max_length)


def letter_tokenizer(pair: str, letters: str = "ab") -> Any:
    """One token for each letter; others leave none."""
    ids = {piece: index for index, piece in enumerate(("[P]", "[S]", *letters))}
    tokenizer = Tokenizer(models.BPE(ids, []))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[S] $A", pair=pair, special_tokens=[("[S]", 1)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512)


@pytest.mark.parametrize("pair", ["[S] $B [S] $A", "$A [S] $B $A", "[S] $A [S] $B $B"])
def test_other_templates_are_left_to_the_tokenizer(pair: str) -> None:
    tokenizer = letter_tokenizer(pair)
    groups: list[Choices] = [("a b a", ("b", "a a")), ("b", ("a", "b b b"))]
    assert not is_joined(tokenizer, groups, 12)
    check_equal(tokenizer, groups, 12)


def test_a_tokenizer_that_knows_no_latin_letter() -> None:
    tokenizer = letter_tokenizer("[S] $A [S] $B", "猫看")
    groups: list[Choices] = [("猫", ("看", "猫 看"))]
    assert not is_joined(tokenizer, groups, 12)
    check_equal(tokenizer, groups, 12)


@pytest.mark.parametrize("max_length", [4, 5])
def test_no_room_for_text(tokenizer: Any, max_length: int) -> None:
    groups = groups_of(0)
    check_equal(tokenizer, groups, max_length)


# --- pairs that share their first text ------------------------------------------------------------


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("max_length", [9, 16, 33, 512])
def test_pairs_are_cut_at_their_end(
    name: str, max_length: int, request: pytest.FixtureRequest
) -> None:
    tokenizer = request.getfixturevalue(name)
    texts: list[str] = []
    pairs: list[str] = []
    for prompt, choices in groups_of(max_length):
        texts += [prompt] * len(choices)
        pairs += choices
    encodings = encode(tokenizer, texts, pairs, max_length=max_length)
    actual = as_lists(pair_features(tokenizer, texts, pairs, max_length))
    assert actual == as_lists(sequence_features(tokenizer, encodings))


def test_a_paragraph_is_tokenized_once(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in MultiRC, where each answer of each question comes with the paragraph."""
    task = jx.Classification(
        name="answers", source=jx.Rows({}), labels=("no", "yes"), text_pair="pair"
    )
    rows = [{"text": "the cat sees a dog " * 9, "pair": f"a {word}"} for word in WORDS]
    examples = [task.example(row, id="0", language="en") for row in rows]
    joined = task.features(examples, tokenizer, 24)
    monkeypatch.setattr(classification, "_REPEATED", len(rows) + 1)
    one_by_one = task.features(examples, tokenizer, 24)
    del joined["example"], one_by_one["example"]
    assert as_lists(dict(joined)) == as_lists(dict(one_by_one))
    monkeypatch.setattr(classification, "_REPEATED", 4)
    monkeypatch.setattr(classification, "encode", None)
    task.features(examples, tokenizer, 24)
    with pytest.raises(TypeError):
        task.features(examples[:2], tokenizer, 24)
