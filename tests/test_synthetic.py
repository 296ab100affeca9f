"""The artificial world: seeds, languages, items, and the default root and encoder.

`test_synthetic_files.py` reads what the data root holds.
"""

from __future__ import annotations

import itertools
import multiprocessing
import random
from collections import Counter
from pathlib import Path

import pytest

from jiantx.cache import cache_dir
from jiantx.synthetic import LANGUAGES, TABLES, Event, Phrase, distance, lexicon, render, write_root
from jiantx.synthetic import pretraining as synthetic_pretraining
from jiantx.synthetic.hub_datasets import draw_many
from jiantx.synthetic.items import nli
from jiantx.synthetic.languages import inflect
from jiantx.synthetic.question_items import consequence
from jiantx.synthetic.root import VERSION
from jiantx.synthetic.world import VERBS

SIZES = {"train_examples": 24, "eval_examples": 24, "text_lines": 900}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_root(tmp_path_factory.mktemp("synthetic") / "root", **SIZES)


def read_all(root: Path) -> dict[str, bytes]:
    paths = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


# --- the root as a whole --------------------------------------------------------------------------


@pytest.mark.slow
def test_seed_decides_everything(root: Path, tmp_path: Path) -> None:
    files = read_all(root)
    assert read_all(write_root(tmp_path / "same", **SIZES)) == files

    other_files = read_all(write_root(tmp_path / "other", seed=1, **SIZES))
    assert other_files.keys() == files.keys()
    changed = [name for name, content in files.items() if other_files[name] != content]
    suffixes = {Path(name).suffix for name in files}
    changed_suffixes = {Path(name).suffix for name in changed}
    assert suffixes == changed_suffixes
    assert len(files) - len(changed) <= 1, "tags_to_id.json may stay"


def test_complete_root_is_left_alone(root: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert write_root(root, **SIZES) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert list(root.parent.iterdir()) == [root], "a draft was left behind"
    with pytest.raises(FileExistsError, match="something else"):
        write_root(root, seed=7, **SIZES)


def test_the_working_directory_is_no_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"'\.' is the working directory"):
        write_root(".", **SIZES)


def test_killed_run_leaves_nothing_that_looks_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("jiantx.synthetic.root.write_treebanks", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_root(tmp_path / "root", **SIZES)
    assert not (tmp_path / "root").exists()


@pytest.mark.slow
def test_several_write_one_root(root: Path, tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    workers = []
    for _ in range(3):
        worker = fork.Process(target=write_root, args=(tmp_path / "root",), kwargs=SIZES)
        worker.start()
        workers.append(worker)
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert read_all(tmp_path / "root") == read_all(root)
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


# --- languages ------------------------------------------------------------------------------------


def test_distances_rise_in_the_order_of_the_languages() -> None:
    distances = [distance(language) for language in LANGUAGES.values()]
    for kind in ("lexicon", "order", "script", "overall"):
        values = [by_kind[kind] for by_kind in distances]
        assert values == sorted(values), kind
        assert values[0] == 0, kind
        assert max(values) <= 1, kind
    overall = [by_kind["overall"] for by_kind in distances]
    assert min(far - near for near, far in itertools.pairwise(overall)) > 0.05


def test_lexicons_are_one_to_one() -> None:
    for language in LANGUAGES:
        forms = list(lexicon(language).values())
        assert 200 <= len(forms) <= 400, language
        assert len(set(forms)) == len(forms), language


HAPPY_COOK = Event(Phrase("cook", "happy"), "open", Phrase("jar", count=3))
NEGATED = Event(
    Phrase("Mira", name="Vance"),
    "paint",
    Phrase("boat"),
    location=Phrase("lake", name="Velden"),
    time="monday",
    negated=True,
)
IN_SELBY = Event(Phrase("cook"), "close", Phrase("jar", "red"), location=Phrase("Selby"))


@pytest.mark.parametrize(
    ("event", "ask", "expected"),
    [
        (HAPPY_COOK, "", "the happy cook opened 3 jars."),
        (NEGATED, "", "Mira Vance did not paint the boat in Velden Lake on monday."),
        (IN_SELBY, "object", "what did the cook close in Selby?"),
        (Event(Phrase("cook"), "close", Phrase("jar")), "agent", "who closed the jar?"),
    ],
)
def test_english_reads_as_english(event: Event, ask: str, expected: str) -> None:
    assert render(event, LANGUAGES["en"], ask=ask).text == expected


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("es", "agent.noun verb object.noun object.adjective location.noun"),
        ("ar", "location.noun verb agent.noun object.noun object.adjective"),
        ("zh", "location.noun agent.noun object.adjective object.noun verb"),
    ],
)
def test_word_order_follows_the_language(language: str, expected: str) -> None:
    sentence = render(IN_SELBY, LANGUAGES[language])
    content_words = [
        word for word in sentence.syntactic_words if word.upos not in ("DET", "ADP", "PUNCT")
    ]
    assert " ".join(word.key for word in content_words) == expected


def test_chinese_has_postpositions() -> None:
    sentence = render(IN_SELBY, LANGUAGES["zh"])
    assert [word.upos for word in sentence.syntactic_words[:2]] == ["PROPN", "ADP"]


# --- items ----------------------------------------------------------------------------------------


def test_some_pairs_of_snli_are_undecided() -> None:
    (snli,) = (table for table in TABLES if table.repo == "stanfordnlp/snli")
    items = draw_many(snli.item, "snli", 3000)
    labels = Counter(item(LANGUAGES["en"])["label"] for item in items)
    assert 30 < labels[-1] < 90
    assert min(labels[label] for label in range(3)) > 800


def test_consequences_follow_the_order_of_the_verbs() -> None:
    for item in draw_many(consequence, "copa", 300):
        row = item(LANGUAGES["en"])
        choices = [row["choice0"], row["choice1"]]
        assert choices[0] != choices[1]
        premise_index = verb_index_of(row["first"])
        choice_index = verb_index_of(choices[row["label"]])
        step = (choice_index - premise_index) % len(VERBS)
        assert step == (1 if row["question"] == "effect" else len(VERBS) - 1)


def verb_index_of(text: str) -> int:
    """The first group of `VERBS` that has the verb of an English sentence."""
    forms = text.rstrip(".").split()
    for index, group in enumerate(VERBS):
        verbs = itertools.chain.from_iterable(group)
        if any(inflect(verb, "ed") in forms for verb in verbs):
            return index
    raise AssertionError(f"no verb in {text!r}")


def test_hypothesis_alone_tells_nothing() -> None:
    """The second text has as many words, and as often a negation, under every label."""
    rng = random.Random(0)
    pairs: Counter[int] = Counter()
    word_counts: Counter[int] = Counter()
    negated: Counter[int] = Counter()
    for _ in range(3000):
        row = nli(rng)(LANGUAGES["en"])
        label = row["label"]
        pairs[label] += 1
        word_counts[label] += len(row["second"].split())
        negated[label] += " not " in row["second"]
    mean_lengths = [word_counts[label] / pairs[label] for label in range(3)]
    negated_shares = [negated[label] / pairs[label] for label in range(3)]
    assert max(mean_lengths) - min(mean_lengths) < 0.3
    assert max(negated_shares) - min(negated_shares) < 0.05


# --- the default root and encoder -----------------------------------------------------------------


def test_tokenizer_has_the_layout_of_xlmr(root: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    synthetic_pretraining.train_tokenizer(root, tmp_path / "tokenizer", vocab_size=1000)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    assert tokenizer.convert_tokens_to_ids(["<s>", "<pad>", "</s>", "<unk>"]) == [0, 1, 2, 3]
    assert tokenizer.mask_token_id == len(tokenizer) - 1
    assert tokenizer.is_fast
    assert tokenizer.model_max_length == 384
    pair = tokenizer("the", "cook")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(pair) == ["<s>", "▁the", "</s>", "</s>", "▁cook", "</s>"]
    for language in LANGUAGES:
        path = root / "mlm" / f"{language}.validation.txt"
        lines = path.read_text(encoding="utf-8").splitlines()
        input_ids = tokenizer(lines)["input_ids"]
        assert not any(tokenizer.unk_token_id in ids for ids in input_ids), language
        assert tokenizer.batch_decode(input_ids, skip_special_tokens=True) == lines
    config = synthetic_pretraining.encoder_config(len(tokenizer))
    assert config.vocab_size == len(tokenizer)


@pytest.mark.slow
def test_default_root_lies_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIANTX_CACHE", str(tmp_path))
    monkeypatch.setattr(synthetic_pretraining, "SIZES", SIZES)
    path = synthetic_pretraining.default_root()
    assert path.parent == tmp_path == cache_dir()
    assert path.name.startswith(f"synthetic-{VERSION}-")
    assert synthetic_pretraining.default_root() == path
    monkeypatch.setattr(synthetic_pretraining, "SIZES", {**SIZES, "seed": 1})
    assert synthetic_pretraining.default_root() != path
