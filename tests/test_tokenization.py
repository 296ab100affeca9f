"""Text to ids: special tokens read off the tokenizer, cutting, words."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from jiantx.sources import DataError
from jiantx.tokenization import (
    LONGEST_WORD,
    encode,
    has_segments,
    sequence_features,
    special_tokens,
    tokenize,
    tokenize_words,
)

KINDS = ("tokenizer", "bert_tokenizer", "roberta_tokenizer")


@pytest.fixture(params=KINDS)
def any_tokenizer(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


# --- frames ---------------------------------------------------------------------------------------

FRAMES = {
    "tokenizer": (["<s>"], ["</s>", "</s>"], ["</s>"]),
    "bert_tokenizer": (["[CLS]"], ["[SEP]"], ["[SEP]"]),
    "roberta_tokenizer": (["<s>"], ["</s>", "</s>"], ["</s>"]),
    "t5_tokenizer": ([], ["</s>"], ["</s>"]),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_frames(kind: str, request: pytest.FixtureRequest) -> None:
    """The context of a pair starts after <s> q </s></s>, one more than a list of names said."""
    tokenizer = request.getfixturevalue(kind)
    before, between, after = FRAMES[kind]
    one, two = special_tokens(tokenizer), special_tokens(tokenizer, pair=True)
    for actual, middle in ((one, []), (two, between)):
        assert tokenizer.convert_ids_to_tokens(actual.before.tolist()) == before
        assert tokenizer.convert_ids_to_tokens(actual.between.tolist()) == middle
        assert tokenizer.convert_ids_to_tokens(actual.after.tolist()) == after
        assert actual.size == len(before) + len(middle) + len(after)


def test_framed_ids_are_the_tokenizer_s_own(any_tokenizer: Any) -> None:
    first, second = "the cat sees", "red house in"
    apart = [
        np.array(any_tokenizer.encode(text, add_special_tokens=False)) for text in (first, second)
    ]
    for pair, texts in ((False, (first,)), (True, (first, second))):
        full = any_tokenizer(*texts)
        items = apart[: len(texts)]
        actual = special_tokens(any_tokenizer, pair=pair)
        assert actual.ids(*items).tolist() == full["input_ids"]
        if has_segments(any_tokenizer):
            assert actual.type_ids(*map(len, items)).tolist() == full["token_type_ids"]


def test_segments_only_where_the_model_has_them(tokenizer: Any, bert_tokenizer: Any) -> None:
    assert has_segments(bert_tokenizer) and not has_segments(tokenizer)
    assert "token_type_ids" not in sequence_features(
        tokenizer, encode(tokenizer, ["a"], max_length=8)
    )
    (types,) = sequence_features(
        bert_tokenizer, encode(bert_tokenizer, ["a"], ["b"], max_length=8)
    )["token_type_ids"]
    assert types == [0, 0, 0, 1, 1]


# --- cutting --------------------------------------------------------------------------------------


def spaced(number: int, letter: str) -> str:
    return " ".join([letter] * number)


def sides(tokenizer: Any, encoding: Any) -> tuple[list[str], list[str]]:
    """The words of both sides: those before and after the special tokens in the middle."""
    special = [
        0,
        *(i for i, id in enumerate(encoding.ids) if id in tokenizer.all_special_ids),
        len(encoding.ids),
    ]
    tokens = tokenizer.convert_ids_to_tokens(encoding.ids)
    stretches = [tokens[start + 1 : stop] for start, stop in pairwise(special)]
    one, two = [[t.strip("▁Ġ") for t in actual if t.strip("▁Ġ")] for actual in stretches if actual]
    return one, two


def test_nothing_is_cut_that_fits(any_tokenizer: Any) -> None:
    full = any_tokenizer("the cat", "red house")["input_ids"]
    for length in (len(full), 512):
        (actual,) = encode(any_tokenizer, ["the cat"], ["red house"], max_length=length)
        assert actual.ids == full and sequence_features(any_tokenizer, [actual])["truncated"] == [0]
    (actual,) = encode(any_tokenizer, ["the cat"], ["red house"], max_length=len(full) - 1)
    assert len(actual) == len(full) - 1 and sequence_features(any_tokenizer, [actual])[
        "truncated"
    ] == [1]


@pytest.mark.parametrize("cut", ["end", "start"])
@pytest.mark.parametrize(("first", "second"), [(30, 3), (3, 30), (20, 20)])
def test_the_longer_side_is_cut_first(
    any_tokenizer: Any, first: int, second: int, cut: Any
) -> None:
    left, right = [str(i % 10) for i in range(first)], [str((i + 5) % 10) for i in range(second)]
    (actual,) = encode(any_tokenizer, [" ".join(left)], [" ".join(right)], max_length=20, cut=cut)
    one, two = sides(any_tokenizer, actual)
    assert len(actual) == 20
    if min(first, second) == 3:
        assert len(one if first == 3 else two) == 3, "the short side stays whole"
    else:
        assert abs(len(one) - len(two)) <= 1
    for remaining, full in ((one, left), (two, right)):
        assert remaining == (
            full[: len(remaining)] if cut == "end" else full[len(full) - len(remaining) :]
        )


def test_earlier_settings_of_the_tokenizer_do_not_matter(any_tokenizer: Any) -> None:
    text = spaced(40, "a")
    full = any_tokenizer(text)["input_ids"]
    for _ in range(2):
        any_tokenizer(text, padding="max_length", truncation=True, max_length=8)
        (long,) = encode(any_tokenizer, [text], max_length=512)
        assert long.ids == full
        any_tokenizer(["a", text], padding=True, truncation=True, max_length=8, stride=2)
        assert [len(e) for e in encode(any_tokenizer, ["a", text], max_length=512)] == [
            len(any_tokenizer("a")["input_ids"]),
            len(full),
        ]
        any_tokenizer(text, truncation=True, max_length=6)
        (piece,) = tokenize(any_tokenizer, [text])
        assert len(piece) == len(full) - special_tokens(any_tokenizer).size
        any_tokenizer(text, padding="max_length", truncation=True, max_length=6)
        ((_, owner_ids),) = tokenize_words(any_tokenizer, [text.split()])
        assert len(set(owner_ids.tolist())) == 40
        any_tokenizer(text, padding="max_length", truncation=True, max_length=6)
        assert special_tokens(any_tokenizer).size == 2, (
            "the frame of a padded tokenizer is no longer than itself"
        )


def test_encode_leaves_no_setting_behind(any_tokenizer: Any) -> None:
    text = spaced(40, "a")
    encode(any_tokenizer, [text], max_length=8, cut="start")
    assert (
        len(any_tokenizer(text)["input_ids"])
        == len(any_tokenizer.encode(text, add_special_tokens=False)) + 2
    )


def test_tokenizer_without_a_fast_form() -> None:
    class Slow:
        pass

    with pytest.raises(DataError, match=r"Slow has no fast form"):
        encode(Slow(), ["a"], max_length=8)


# --- words ----------------------------------------------------------------------------------------


def test_every_word_has_a_piece(any_tokenizer: Any) -> None:
    sentences = [
        ["the", "", "cat"],
        ["\u200b", "dog"],
        ["eats", "\u200d", "\u200c", ""],
        [""],
        ["كتاب", "घर", "猫", "แมว", "xyzzy", "💡"],
        ["a" * (LONGEST_WORD + 1) + "💡" * LONGEST_WORD, "x"],
    ]
    for tokens, (ids, owner_ids) in zip(
        sentences, tokenize_words(any_tokenizer, sentences), strict=True
    ):
        assert len(ids) == len(owner_ids) and owner_ids.tolist() == sorted(owner_ids.tolist())
        assert set(owner_ids.tolist()) == set(range(len(tokens)))


@pytest.mark.parametrize("word", [""])
def test_word_without_pieces_is_unknown(word: str, any_tokenizer: Any) -> None:
    ((ids, owner_ids),) = tokenize_words(any_tokenizer, [["cat", word, "dog"]])
    inside = ids[owner_ids == 1]
    if "ByteLevel" in str(any_tokenizer.backend_tokenizer.pre_tokenizer):
        assert len(inside) == 1, "a byte-level tokenizer has a piece for the space before it"
    else:
        assert inside.tolist() in (
            [any_tokenizer.unk_token_id],
            any_tokenizer.convert_tokens_to_ids(["▁"]),
        )


def test_word_of_too_many_pieces_is_unknown(any_tokenizer: Any) -> None:
    long, fits = "q" * (2 * LONGEST_WORD + 2), "q" * (LONGEST_WORD // 2)
    ((ids, owner_ids),) = tokenize_words(any_tokenizer, [["cat", long, "dog", fits]])
    if len(any_tokenizer.encode(long, add_special_tokens=False)) > LONGEST_WORD:
        assert ids[owner_ids == 1].tolist() == [any_tokenizer.unk_token_id]
    ((alone, _),) = tokenize_words(any_tokenizer, [["dog"]])
    assert ids[owner_ids == 2].tolist() == alone.tolist(), "its neighbours are as they were"
    assert (owner_ids == 3).sum() <= LONGEST_WORD


def test_pieces_of_a_word_do_not_depend_on_its_neighbours(any_tokenizer: Any) -> None:
    tokens = ["cat", ",", "quickly", "(", "the", "straße", "dog"]
    ((ids, owner_ids),) = tokenize_words(any_tokenizer, [tokens])
    for number, word in enumerate(tokens):
        ((alone, _),) = tokenize_words(any_tokenizer, [[word]])
        assert ids[owner_ids == number].tolist() == alone.tolist()


def test_words_read_as_in_running_text(
    roberta_tokenizer: Any, bert_tokenizer: Any, tokenizer: Any
) -> None:
    """A byte-level tokenizer knows a word by the space before it."""
    tokens = ["the", "cat", "sees", "house"]
    for item in (roberta_tokenizer, bert_tokenizer, tokenizer):
        ((ids, _),) = tokenize_words(item, [tokens])
        running = " " + " ".join(tokens) if item is roberta_tokenizer else " ".join(tokens)
        assert ids.tolist() == item.encode(running, add_special_tokens=False)


def test_no_double_space_where_the_tokenizer_adds_one() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = {letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    ((ids, owner_ids),) = tokenize_words(tokenizer, [["ab", "c"]])
    assert tokenizer.convert_ids_to_tokens(ids.tolist()) == ["Ġ", "a", "b", "Ġ", "c"]
    assert owner_ids.tolist() == [0, 0, 0, 1, 1]


def test_a_tokenizer_that_replaces_spaces_reads_words_as_in_running_text() -> None:
    """Gemma's layout: a word's mark comes from the space before it, and not from a step."""
    from tokenizers import Tokenizer, models, normalizers
    from transformers import PreTrainedTokenizerFast

    pieces = ["▁", *"acdeghoinrst", "▁c", "▁ca", "▁cat"]
    backend = Tokenizer(
        models.BPE(
            vocab={piece: i for i, piece in enumerate(pieces)},
            merges=[("▁", "c"), ("▁c", "a"), ("▁ca", "t")],
        )
    )
    backend.normalizer = normalizers.Replace(" ", "▁")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    ((ids, owner_ids),) = tokenize_words(tokenizer, [["the", "cat", "cat"]])
    assert ids.tolist() == tokenizer.encode(" the cat cat", add_special_tokens=False)
    assert owner_ids.tolist() == [0, 0, 0, 0, 1, 2]


def test_a_word_of_too_many_pieces_without_an_unknown_piece() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate([*letters, "<end>"])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    sentence = ["a", "q" * LONGEST_WORD]
    with pytest.raises(DataError, match="no special token that could stand for a word"):
        tokenize_words(tokenizer, [sentence])
    tokenizer.eos_token = "<end>"
    ((ids, owner_ids),) = tokenize_words(tokenizer, [sentence])
    assert tokenizer.convert_ids_to_tokens(ids.tolist()) == ["Ġ", "a", "<end>"]
    assert owner_ids.tolist() == [0, 0, 1]


def test_threads_cut_at_their_own_lengths(tokenizer: Any) -> None:
    """The truncation is a state of the tokenizer, which threads share."""
    texts = ["the cat sees the dog " * 20] * 50

    def longest(max_length: int) -> set[int]:
        return {max(map(len, encode(tokenizer, texts, max_length=max_length))) for _ in range(20)}

    lengths = [8, 16, 32, 64]
    with ThreadPoolExecutor(len(lengths)) as pool:
        assert list(pool.map(longest, lengths)) == [{length} for length in lengths]
