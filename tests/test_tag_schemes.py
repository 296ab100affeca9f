"""Tags are read by their scheme, or refused; the chunks are counted by hand."""

from __future__ import annotations

import random
import warnings
from typing import Any

import pytest

import jiantx as jx
from jiantx.metrics import chunk_f1, chunk_f1_seqeval1, chunk_scores, token_accuracy

# One word list in every scheme. Gold: PER 0-1, PER 2-4, LOC 6. Predicted: PER 0-1, LOC 2-4,
# PER 6. One of three chunks is right.
GOLD = "PER 0-1, PER 2-4, LOC 6-6"
PREDICTED = "PER 0-1, LOC 2-4, PER 6-6"
LETTERS = {  # first, inner, last and only word of a chunk
    "IOB2": "BIIB",
    "IOE2": "IIEE",
    "IOBES": "BIES",
    "BILOU": "BILU",
    "BMES": "BMES",
    "BMEW": "BMEW",
}
FORMS = ["{letter}-{type}", "{letter}_{type}", "{type}-{letter}", "{type}_{letter}"]
OTHER_MARKS = ["{letter}:{type}", "{letter}.{type}", "{letter}/{type}", "{letter}–{type}"]


def tags_of(chunks: str, letters: str, form: str = FORMS[0]) -> list[str]:
    tags = ["O"] * 8
    for chunk in chunks.split(", "):
        chunk_type, bounds = chunk.split()
        first, last = map(int, bounds.split("-"))
        for index in range(first, last + 1):
            position = (
                1 if first < index < last else 0 if index < last else 2 if first < last else 3
            )
            tags[index] = form.format(letter=letters[position], type=chunk_type)
    return tags


def f1(predicted: str, gold: str, **options: Any) -> float:
    return chunk_f1([predicted.split()], [gold.split()], **options)


@pytest.mark.parametrize("chunk_type", ["PER", "A-B", "A-B-C", "A_B"])
@pytest.mark.parametrize("form", [*FORMS, *OTHER_MARKS])
@pytest.mark.parametrize("name", LETTERS)
def test_every_scheme_gives_the_same_score(name: str, form: str, chunk_type: str) -> None:
    predicted = tags_of(PREDICTED.replace("PER", chunk_type), LETTERS[name], form)
    gold = tags_of(GOLD.replace("PER", chunk_type), LETTERS[name], form)
    assert chunk_f1([predicted], [gold]) == pytest.approx(100 / 3)
    assert chunk_f1_seqeval1([predicted], [gold]) == pytest.approx(100 / 3)
    lower = [[tag.lower() for tag in tags] for tags in (predicted, gold)]
    assert chunk_f1(lower[:1], lower[1:]) == pytest.approx(100 / 3)
    assert chunk_f1([gold], [gold]) == 100.0


@pytest.mark.parametrize(
    ("predicted", "gold", "expected"),
    [
        # what follows the first hyphen is the type: 1 of 4 chunks each
        (
            "B-OPI-POS B-OPI-NEG B-ASP-NEG B-ASP-POS",
            "B-ASP-POS B-ASP-NEG B-ASP-NEG B-OPI-POS",
            25.0,
        ),
        ("I-PER I-PER B-PER", "I-PER I-PER B-PER", 100.0),  # IOB1: B only after its own type
        ("I-PER I-PER I-PER", "I-PER I-PER B-PER", 0.0),
        ("I-PER E-PER I-PER", "I-PER E-PER I-PER", 100.0),  # IOE1
        ("B-PER L-PER O U-LOC O U-LOC", "B-PER L-PER O U-LOC O O", 80.0),  # 2 of 3, 2 of 2
        ("B-PER I-PER L-PER", "U-PER U-PER U-PER", 0.0),
        ("B I O B", "B I O O", 200 / 3),  # no types
        ("B I I B", "B I B I", 0.0),
        ("B E S S", "B E B E", 40.0),  # words of Chinese: 1 of 3, 1 of 2
        ("B M E S", "B E S S", 40.0),
        # types alone: neighbours of one type are a chunk, whatever letter they begin with
        ("EVENT EVENT O", "EVENT O O", 0.0),
        ("BRAND BRAND O SIZE", "BRAND BRAND O O", 200 / 3),
        ("ORG ORG O", "ORG ORG O", 100.0),
        ("b-per i-per o", "b-per i-per o", 100.0),
        ("per per o", "per o o", 0.0),
    ],
)
def test_chunks_counted_by_hand(predicted: str, gold: str, expected: float) -> None:
    assert f1(predicted, gold) == pytest.approx(expected)


@pytest.mark.slow  # where it is the first to import seqeval
def test_schemes_equal_seqeval() -> None:
    """In seqeval's own letters, its default rules are ours, also on tags that break the scheme."""
    seqeval = pytest.importorskip("seqeval.metrics")
    rng = random.Random(3)
    for letters in ("BI", "IE", "BIES"):
        for form, suffix in ((FORMS[0], False), (FORMS[2], True)):
            tags = [form.format(letter=i, type=t) for i in letters for t in ("ASP", "OPI")]
            gold = [rng.choices([*tags, "O"], k=rng.randint(1, 9)) for _ in range(50)]
            predicted = [
                [tag if rng.random() < 0.7 else rng.choice(tags) for tag in sentence]
                for sentence in gold
            ]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = 100 * seqeval.f1_score(gold, predicted, suffix=suffix)
            assert chunk_f1(predicted, gold) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ("B-PER I-PER O PER", r"Tags follow no scheme: \['B-PER', 'I-PER'\] beside \['PER'\]"),
        ("B-PER E-PER L-PER O", "Tags follow no scheme"),  # E and L are of different schemes
        ("B-PER I_PER O", "Tags follow no scheme"),
        ("B-LOC U-LOC L-LOC U_LOC O", "All but 'U_LOC' do: it may be a mistake in a row"),
        ("B-PER PER-I O", "Tags follow no scheme"),
        ("BPER IPER O", r"Tags follow no scheme: \['BPER', 'IPER'\]"),
        ("B-PER I-PER O [CLS]", r"beside \['\[CLS\]'\]"),
        ("B-PER I-PER 0", r"beside \['0'\]"),
        ("B-PER I-PER O-PER", "Tags follow no scheme"),
        ("b-per i-per none", r"beside \['none'\]"),
        ("B- I- O", "Tags follow no scheme"),
        ("0 PER LOC", r"cannot tell whether \['0'\] are outside"),
        ("NONE PER LOC", r"cannot tell whether \['NONE'\]"),
        ("OTHER PER LOC", r"cannot tell whether \['OTHER'\]"),
    ],
)
def test_tags_of_no_scheme_are_refused(tags: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        f1(tags, tags)
    with pytest.raises(ValueError, match=rf"Task ner: .*{message}[^!]*scheme=…"):
        task(labels=tuple(tags.split()))
    task(labels=tuple(tags.split()), metrics=(token_accuracy,), main_metrics=())


def test_labels_that_a_function_returns_are_checked_before_training() -> None:
    lazy = task(labels=lambda: ("B-PER", "PER"))
    with pytest.raises(ValueError, match="Task ner: Tags follow no scheme"):
        lazy.head_config()


def test_a_named_scheme_is_checked_and_followed() -> None:
    assert task(labels=("O", "B-X", "L-X"), scheme="BILOU").scheme == "BILOU"
    with pytest.raises(ValueError, match="not of the scheme IOBES: expected O, and types with one"):
        task(labels=("O", "B-X", "L-X"), scheme="IOBES")
    with pytest.raises(ValueError, match="not of the scheme IOB2"):
        task(labels=("O", "PER"), scheme="IOB2")
    # no letters, though they look like some
    assert f1("e-mail e-mail O", "e-mail O O", scheme="IO") == 0.0
    assert f1("S-ADJ S-ADJ V-X", "S-ADJ S-ADJ V-Y", scheme="seqeval") == pytest.approx(200 / 3)


def task(**fields: Any) -> jx.TokenClassification:
    return jx.TokenClassification(**{"name": "ner", "source": jx.Rows({}), **fields})


def test_a_task_reads_tags_by_its_labels_and_not_by_those_that_occur() -> None:
    """Of these labels, a split may have only one, which looks like a scheme without types."""
    sizes = task(labels=("O", "S", "M", "L", "XL"))
    assert sizes.compute(chunk_f1, [["S", "S", "O"]], [["S", "S", "O"]]) == 100.0
    assert sizes.compute(chunk_f1, [["S", "S", "O"]], [["S", "O", "O"]]) == 0.0


def test_bare_tags_without_o_stay_xtreme_s() -> None:
    tags = [["CCONJ", "NOUN"]], [["SCONJ", "NOUN"]]
    assert chunk_f1(*tags) == chunk_scores(*tags, seqeval="0.0.12").f1 == 50.0
    assert chunk_f1_seqeval1(*tags) == chunk_scores(*tags, seqeval="1.2.2").f1 == 100.0


@pytest.mark.parametrize("seqeval", ["0.0.12", "1.2.2"])
def test_a_version_of_seqeval_reads_any_tag(seqeval: str) -> None:
    assert chunk_scores([["B-PER", "PER"]], [["B-PER", "PER"]], seqeval=seqeval).f1 == 100.0
