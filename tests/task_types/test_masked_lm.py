"""Masking: decided by the keys alone, in the shares it says, never on special tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jiantx as jx
from jiantx.features import encode_examples
from jiantx.task_types.masked_lm import masked_accuracy

TASK = jx.MaskedLM(name="lines", source=jx.Rows({}))
LINES = ["the cat sees a dog", "猫 看见 红色 房子", "بيت ولد", "xyzzy xyzzy", "a"]


@pytest.fixture(params=["tokenizer", "bert_tokenizer", "roberta_tokenizer"])
def any_tokenizer(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def batch(*sequences: list[int]) -> dict[str, np.ndarray]:
    return {
        "input_ids": np.array([i for ids in sequences for i in ids], dtype=np.int64),
        "lengths": np.array(list(map(len, sequences)), dtype=np.int64),
    }


def keys(*places: int) -> list[tuple[Any, ...]]:
    return [(0, "lines", "en", index) for index in places]


def apart(found: dict[str, np.ndarray]) -> list[tuple[list[int], list[int], list[int]]]:
    """(ids, places in the sequence, labels) of each sequence of a masked batch."""
    starts = np.cumsum(found["lengths"]) - found["lengths"]
    items, done = [], 0
    for start, size, count in zip(starts, found["lengths"], found["counts"], strict=True):
        positions = found["masked_positions"][done : done + count]
        assert ((positions >= start) & (positions < start + size)).all()
        labels = found["labels"][done : done + count]
        items.append(
            (
                found["input_ids"][start : start + size].tolist(),
                (positions - start).tolist(),
                labels.tolist(),
            )
        )
        done += count
    assert done == len(found["labels"]) == len(found["masked_positions"])
    return items


def text(tokenizer: Any, size: int, seed: int = 0) -> list[int]:
    """A line of ordinary pieces between the special tokens."""
    special = set(tokenizer.all_special_ids)
    ordinary = [i for i in range(len(tokenizer)) if i not in special]
    first, last = tokenizer("a")["input_ids"][0], tokenizer("a")["input_ids"][-1]
    return [first, *np.random.default_rng(seed).choice(ordinary, size).tolist(), last]


def test_lines_are_encoded_and_cut(any_tokenizer: Any) -> None:
    task_examples = [
        TASK.example({"text": line}, id=str(i), language="en") for i, line in enumerate(LINES)
    ]
    table = encode_examples(TASK, task_examples, any_tokenizer, 5)
    for feature, line in zip(table, LINES, strict=True):
        full = any_tokenizer(line)["input_ids"]
        assert feature["truncated"] == int(len(full) > 5) and feature["lengths"] == [
            min(len(full), 5)
        ]
        assert feature["input_ids"][:-1] == full[: feature["lengths"][0] - 1]


def test_the_key_decides(any_tokenizer: Any) -> None:
    """The same line at the same place of the run is masked alike, in whatever batch."""
    lines = [text(any_tokenizer, size, size) for size in (50, 3, 80, 1, 20)]
    full = apart(TASK.augment(batch(*lines), any_tokenizer, keys(*range(5))))
    assert full == apart(TASK.augment(batch(*lines), any_tokenizer, keys(*range(5))))
    for order in ([4, 2, 0], [1], [3, 1, 0, 4, 2]):
        actual = apart(TASK.augment(batch(*(lines[i] for i in order)), any_tokenizer, keys(*order)))
        assert actual == [full[i] for i in order]
    assert full != apart(TASK.augment(batch(*lines), any_tokenizer, keys(*range(5, 10)))), (
        "the next epoch is masked anew"
    )
    reseeded = [(1, *key[1:]) for key in keys(*range(5))]
    assert full != apart(TASK.augment(batch(*lines), any_tokenizer, reseeded))


def test_global_generators_do_not_matter(tokenizer: Any) -> None:
    line = text(tokenizer, 60)
    np.random.seed(0)
    first = apart(TASK.augment(batch(line), tokenizer, keys(0)))
    np.random.seed(1)
    assert first == apart(TASK.augment(batch(line), tokenizer, keys(0)))


@pytest.mark.parametrize("share", [0.15, 0.3])
def test_shares(share: float, any_tokenizer: Any) -> None:
    """15 % are chosen; of these 80 % are masked, 10 % another piece, 10 % as they are."""
    size, lines = 500, 80
    arguments = batch(*(text(any_tokenizer, size, seed) for seed in range(lines)))
    actual = TASK.replace(mask_share=share).augment(arguments, any_tokenizer, keys(*range(lines)))
    positions, total = actual["masked_positions"], size * lines
    assert (actual["labels"] == arguments["input_ids"][positions]).all()
    chosen = len(positions)
    assert abs(chosen / total - share) < 5 * (share * (1 - share) / total) ** 0.5
    after, before = actual["input_ids"][positions], arguments["input_ids"][positions]
    masked, remaining = after == any_tokenizer.mask_token_id, after == before
    for item, expected in ((masked, 0.8), (~masked & ~remaining, 0.1), (remaining, 0.1)):
        assert abs(item.mean() - expected) < 5 * (
            expected * (1 - expected) / chosen
        ) ** 0.5 + 1 / len(any_tokenizer)
    remaining_ = after[~masked & ~remaining]
    assert (
        remaining_.min() >= 0
        and remaining_.max() < len(any_tokenizer)
        and len(np.unique(remaining_)) > len(any_tokenizer) / 4
    )
    untouched = np.ones(len(arguments["input_ids"]), bool)
    untouched[positions] = False
    assert (actual["input_ids"][untouched] == arguments["input_ids"][untouched]).all()


def test_the_given_batch_stays_as_it_was(tokenizer: Any) -> None:
    arguments = batch(text(tokenizer, 100))
    before = arguments["input_ids"].copy()
    actual = TASK.augment({**arguments, "extra": np.arange(3)}, tokenizer, keys(0))
    assert (arguments["input_ids"] == before).all() and actual["extra"].tolist() == [0, 1, 2]


def test_special_tokens_are_never_masked(any_tokenizer: Any) -> None:
    special = [i for i in any_tokenizer.all_special_ids if i != any_tokenizer.unk_token_id]
    everything = TASK.replace(mask_share=1.0)
    ordinary = text(any_tokenizer, 30)
    line = [*special, *ordinary, *special]
    ((_, positions, labels),) = apart(everything.augment(batch(line), any_tokenizer, keys(0)))
    assert (
        positions == [i for i, token in enumerate(line) if token not in special]
        and len(positions) == 30
    )
    assert not set(labels) & set(special)
    unknown = any_tokenizer.unk_token_id
    ((_, positions, labels),) = apart(
        everything.augment(batch([special[0], unknown, unknown]), any_tokenizer, keys(0))
    )
    assert positions == [1, 2] and labels == [unknown, unknown], (
        "what is unknown is text all the same"
    )


def test_line_with_nothing_masked(tokenizer: Any) -> None:
    lines = [text(tokenizer, 0), text(tokenizer, 40), text(tokenizer, 0)]
    actual = TASK.replace(mask_share=1.0).augment(batch(*lines), tokenizer, keys(0, 1, 2))
    assert actual["counts"].tolist() == [0, 40, 0]
    none = TASK.replace(mask_share=0.0).augment(batch(*lines), tokenizer, keys(0, 1, 2))
    assert none["counts"].tolist() == [0, 0, 0] and len(none["labels"]) == 0


def test_decoding_gives_each_line_its_pieces() -> None:
    task_examples = [
        TASK.example({"text": line}, id=str(i), language="en") for i, line in enumerate(LINES[:3])
    ]
    outputs = {
        "counts": np.array([2, 0, 3]),
        "token_ids": np.array([5, 6, 7, 8, 9]),
        "correct": np.array([1.0, 0.0, 1.0, 1.0, 0.0]),
    }
    decoded = TASK.decode(outputs, None, task_examples)
    assert [p.token_ids for p in decoded] == [(5, 6), (), (7, 8, 9)]
    assert [p.value for p in decoded] == [(True, False), (), (True, True, False)]
    assert (
        masked_accuracy([p.value for p in decoded], [TASK.reference(e) for e in task_examples])
        == 60.0
    )


def test_accuracy_counts_pieces_and_not_batches() -> None:
    """A mean of batch means forgets how many pieces each held."""
    assert masked_accuracy([(True,), (False,) * 9], [(True,), (True,)]) == 10.0
    assert np.isnan(masked_accuracy([(), ()], [(True,)] * 2))
    with pytest.raises(ValueError, match="1 predictions for 2 references"):
        masked_accuracy([(True,)], [(True,)] * 2)
