"""Pseudo-log-likelihoods: those of a plain loop, whatever the batch; ties, cuts, words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoConfig, AutoModelForMaskedLM

import jiantx as jx
from jiantx.batching import collate
from jiantx.features import encode_examples, load_features
from jiantx.sources import DataError
from jiantx.task_types.sentence_ranking import RankingExample

PAIRS = [
    {"better": "the cat sees a dog.", "worse": "the cat see a dog."},
    {"better": "猫 看见 红色 房子", "worse": "房子 of 红色"},
    {"better": "the quickly seeing river in the house", "worse": "a"},
    {"better": "xyzzy 12", "worse": "straßen und häuser, grün und rot; nicht schnell"},
]
LONG = {"better": "the cat sees a red house " * 9, "worse": "the dog eats " * 14}
TASK = jx.SentenceRanking(name="pairs", source=jx.Rows({"validation": PAIRS}))
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 514,
    "initializer_range": 0.2,
    "pad_token_id": 1,
}
TOKENIZERS = {"xlm-roberta": "tokenizer", "bert": "bert_tokenizer", "roberta": "roberta_tokenizer"}


def folder_of(family: str, tokenizer: Any, folder: Path) -> Path:
    """A small masked LM with random weights."""
    pad = tokenizer.pad_token_id
    config = AutoConfig.for_model(
        family, **{**SIZES, "vocab_size": len(tokenizer), "pad_token_id": pad}
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of("xlm-roberta", tokenizer, tmp_path_factory.mktemp("masked_lm"))


@torch.no_grad()
def plain_scores(folder: Path, dtype: torch.dtype, mask: str, max_length: int) -> list[float]:
    """Pseudo-log-likelihoods, by one pass of transformers' own model for each piece."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = AutoModelForMaskedLM.from_pretrained(folder, dtype=dtype).eval()
    totals = []
    for text in [text for pair in PAIRS for text in (pair["better"], pair["worse"])]:
        encoded = tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt")
        word_ids = encoded.word_ids()
        ids = encoded["input_ids"]
        total = 0.0
        for position in range(1, len(word_ids) - 1):  # between the special tokens
            masked = ids.clone()
            for other in range(position, len(word_ids)):
                same_word = mask == "word" and word_ids[other] == word_ids[position]
                if other == position or same_word:
                    masked[0, other] = tokenizer.mask_token_id
            logits = model(**{**encoded, "input_ids": masked}).logits[0, position]
            total += float(logits.log_softmax(dim=0)[ids[0, position]])
        totals.append(total)
    return totals


def scores(predictions: list[Any]) -> np.ndarray:
    return np.concatenate([prediction.log_likelihoods for prediction in predictions])


# --- the score ------------------------------------------------------------------------------------


@pytest.mark.slow  # a pass of transformers for each piece
@pytest.mark.parametrize("mask", ["piece", "word"])
@pytest.mark.parametrize("family", TOKENIZERS)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-9)], ids=["32", "64"]
)
def test_the_score_is_that_of_a_plain_loop(
    family: str,
    mask: Any,
    dtype: torch.dtype,
    tolerance: float,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    folder = folder_of(family, request.getfixturevalue(TOKENIZERS[family]), tmp_path / "plain")
    task = TASK.replace(mask=mask, max_length=20)
    model = jx.MultitaskModel.from_pretrained(folder, [task], dtype=dtype)
    assert model.padding_free
    actual = scores(jx.predict(model, task, PAIRS))
    expected = plain_scores(folder, dtype, mask, 20)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


def test_words_are_scored_from_the_left(folder: Path) -> None:
    """Where words have several pieces, masking the rest of a word changes the score."""
    model = jx.MultitaskModel.from_pretrained(folder, [TASK])
    by_piece = scores(jx.predict(model, TASK, PAIRS[:1]))
    by_word = scores(jx.predict(model, TASK.replace(mask="word"), PAIRS[:1]))
    assert (by_piece != by_word).any()


@pytest.mark.parametrize("padding_free", [True, False])
def test_the_batch_does_not_matter(folder: Path, padding_free: bool) -> None:
    model = jx.MultitaskModel.from_pretrained(folder, [TASK], padding_free=padding_free)
    rows = [*PAIRS, LONG]
    together = scores(jx.predict(model, TASK, rows))
    alone = np.concatenate([scores(jx.predict(model, TASK, [row])) for row in rows])
    np.testing.assert_allclose(together, alone, rtol=0, atol=2e-4)


def test_scores_are_written_beside_the_index(folder: Path, tmp_path: Path) -> None:
    model = jx.MultitaskModel.from_pretrained(folder, [TASK])
    report = jx.evaluate(model, TASK, predictions=tmp_path, batch_size=3)
    predictions = jx.predict(model, TASK, PAIRS)
    right = [p.log_likelihoods[0] > p.log_likelihoods[1] for p in predictions]
    assert report.mean(by="task")["pairs"] == 100 * sum(right) / len(right)
    assert [p.value == 0 for p in predictions] == right
    lines = (tmp_path / "pairs-validation-en.jsonl").read_text().splitlines()
    assert len(lines) == len(PAIRS)


# --- what is right --------------------------------------------------------------------------------


def test_a_tie_is_an_error(folder: Path) -> None:
    """The good text must be strictly more probable."""
    model = jx.MultitaskModel.from_pretrained(folder, [TASK])
    (tie,) = jx.predict(model, TASK, [{"better": "the cat", "worse": "the cat"}])
    assert tie.log_likelihoods[0] == tie.log_likelihoods[1]
    assert tie.value == -1 != TASK.reference(RankingExample(id="0", language="en", texts=("a",)))


def test_rounding_does_not_decide_between_equal_pieces(bert_tokenizer: Any) -> None:
    """As of two texts that differ in what a tokenizer drops: blanks, capitals, accents."""
    rows = [{"better": "the cat", "worse": "the  cat"}, {"better": "the cat", "worse": "a dog"}]
    examples = [TASK.example(row, id="0", language="en") for row in rows]
    table = encode_examples(TASK, examples, bert_tokenizer)
    counts = np.array([len(positions) for positions in table["masked_positions"]])
    scores = np.repeat(np.array([-1, -1.0001, -1, -2], dtype=np.float32), counts)
    outputs = {"counts": counts, "log_probabilities": scores}
    assert [p.choice for p in TASK.decode(outputs, table, examples)] == [-1, 0]


def test_pairs_of_texts_are_rows(folder: Path) -> None:
    model = jx.MultitaskModel.from_pretrained(folder, [TASK])
    row = PAIRS[0]
    as_texts = jx.predict(model, TASK, [(row["better"], row["worse"])])
    assert as_texts == jx.predict(model, TASK, [row])


def test_several_worse_texts(folder: Path) -> None:
    model = jx.MultitaskModel.from_pretrained(folder, [TASK])
    texts = ["the cat", "a dog", "the river in the house"]
    (joined,) = jx.predict(model, TASK, [{"better": texts[0], "worse": texts[1:]}])
    pairs = jx.predict(model, TASK, [{"better": texts[0], "worse": text} for text in texts[1:]])
    expected = [pairs[0].log_likelihoods[0], *(pair.log_likelihoods[1] for pair in pairs)]
    assert joined.log_likelihoods == pytest.approx(expected, abs=1e-4)
    assert joined.value == int(np.argmax(expected))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"better": "a"}, "'worse'"),
        ({"better": "a", "worse": ""}, "empty text"),
        ({"better": "a", "worse": []}, "Expected a list of texts"),
        ({"better": "a", "worse": ["b", " "]}, "Expected a list of texts"),
        ({"better": None, "worse": "b"}, "expected text"),
    ],
)
def test_bad_rows(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        TASK.example(row, id="0", language="en")


def test_a_text_without_pieces_is_refused(bert_tokenizer: Any) -> None:
    """Its sum would be 0, above that of every other text."""
    example = TASK.example({"better": "the cat", "worse": "\u200b"}, id="7", language="en")
    with pytest.raises(DataError, match=r"Task pairs, language 'en', example '7': .* no piece"):
        encode_examples(TASK, [example], bert_tokenizer)


# --- features -------------------------------------------------------------------------------------


def test_long_texts_are_counted_once_as_cut(tokenizer: Any) -> None:
    task = TASK.replace(source=jx.Rows({"validation": [*PAIRS, LONG]}), max_length=20)
    features = load_features(task, "validation", "en", tokenizer)
    full_lengths = [
        len(tokenizer(text)["input_ids"])
        for row in [*PAIRS, LONG]
        for text in (row["better"], row["worse"])
    ]
    assert features.count("truncated") == sum(length > 20 for length in full_lengths) > 1
    assert max(length for lengths in features.table["lengths"] for length in lengths) == 20


def test_features_bound_the_copies_of_a_batch(tokenizer: Any) -> None:
    task = TASK.replace(max_length=300)
    example = task.example({**LONG, "better": "the cat " * 140}, id="0", language="en")
    table = encode_examples(task, [example], tokenizer)
    copies = [len(positions) for positions in table["masked_positions"]]
    tokens = [count * lengths[0] for count, lengths in zip(copies, table["lengths"], strict=True)]
    assert max(copies) <= 16
    assert max(tokens) <= 512
    of_text = [n for n, text in zip(copies, table["text"], strict=True) if text == 0]
    assert sum(of_text) == len(tokenizer("the cat " * 140)["input_ids"]) - 2


@pytest.mark.parametrize("name", ["tokenizer", "bert_tokenizer"])
def test_each_copy_has_one_mask(name: str, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(name)
    examples = [TASK.example(row, id="0", language="en") for row in PAIRS]
    table = encode_examples(TASK, examples, tokenizer).with_format("arrow")
    batch = collate(TASK, table[:], tokenizer)
    is_mask = batch["input_ids"] == tokenizer.mask_token_id
    assert torch.equal(is_mask.nonzero()[:, 0], batch["masked_positions"])
    assert int(batch["lengths"].sum()) == len(batch["input_ids"]) == len(batch["position_ids"])
    assert ("token_type_ids" in batch) == (name == "bert_tokenizer")
    restored = batch["input_ids"].clone()
    restored[batch["masked_positions"]] = batch["labels"]
    texts = [text for example in examples for text in example.texts]
    copies = [ids for ids in map(tokenizer, texts) for _ in range(len(ids["input_ids"]) - 2)]
    assert restored.tolist() == [i for ids in copies for i in ids["input_ids"]]


# --- the head -------------------------------------------------------------------------------------


def test_a_model_without_the_head_says_so(
    tokenizer: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    transformers.logging.enable_propagation()
    config = AutoConfig.for_model("xlm-roberta", **SIZES, vocab_size=len(tokenizer))
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    jx.MultitaskModel.from_pretrained(tmp_path, [TASK])
    assert "its guesses mean nothing until it is trained" in caplog.text


def test_the_head_is_shared_with_masked_lm(folder: Path) -> None:
    lines = jx.MaskedLM(name="lines", source=jx.Rows({"train": [{"text": "a"}]}), head="lm")
    model = jx.MultitaskModel.from_pretrained(folder, [lines, TASK.replace(head="lm")])
    assert list(model.heads) == ["lm"]


def test_the_exported_model_is_the_masked_lm(folder: Path, tmp_path: Path) -> None:
    jx.MultitaskModel.from_pretrained(folder, [TASK]).export(TASK, tmp_path)
    scores = plain_scores(tmp_path, torch.float32, "piece", 64)
    assert scores == pytest.approx(plain_scores(folder, torch.float32, "piece", 64), abs=1e-4)


def test_there_is_no_training_of_its_own() -> None:
    assert "train a MaskedLM task with head='pairs'" in TASK.training_problem


def test_an_encoder_without_a_mask_token_is_refused(tokenizer: Any) -> None:
    example = TASK.example(PAIRS[0], id="0", language="en")
    without = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer, unk_token="<unk>")
    with pytest.raises(DataError, match="has no mask token"):
        TASK.features([example], without, 20)
