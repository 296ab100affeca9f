"""The small world: what is written, and that languages are parallel and as far apart as they say."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import datasets
import pytest

from jiantx import synthetic
from jiantx.synthetic import LANGUAGES, TABLES, Event, Phrase, distance, lexicon, render, write_root

SIZES = {"train_examples": 24, "eval_examples": 24, "text_lines": 900}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_root(tmp_path_factory.mktemp("synthetic") / "root", **SIZES)


def load(root: Path, repo: str, config: str, split: str) -> datasets.Dataset:
    return datasets.load_dataset(str(root / repo), config, split=split)


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_seed_decides_everything(root: Path, tmp_path: Path) -> None:
    same, other = write_root(tmp_path / "same", **SIZES), write_root(tmp_path / "other", seed=1, **SIZES)
    assert contents(same) == contents(root)
    assert contents(other).keys() == contents(root).keys()
    changed = [name for name, held in contents(root).items() if contents(other)[name] != held]
    assert {Path(name).suffix for name in changed} == {".parquet", ".conllu", ".txt", ".json", ".md"}


def test_complete_root_is_left_alone(root: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert write_root(root, **SIZES) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert list(root.parent.iterdir()) == [root], "a draft was left behind"
    with pytest.raises(FileExistsError, match="something else"):
        write_root(root, seed=7, **SIZES)


def test_killed_run_leaves_nothing_that_looks_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "_write_treebanks", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_root(tmp_path / "root", **SIZES)
    assert not (tmp_path / "root").exists()


def test_distances_rise_in_the_order_of_the_languages() -> None:
    measured = [distance(language) for language in LANGUAGES.values()]
    for name in ("lexicon", "order", "script", "overall"):
        values = [values[name] for values in measured]
        assert values == sorted(values) and values[0] == 0 and max(values) <= 1, name
    overall = [values["overall"] for values in measured]
    assert min(far - near for near, far in itertools.pairwise(overall)) > 0.05


def test_lexicons_are_one_to_one() -> None:
    for code in LANGUAGES:
        forms = list(lexicon(code).values())
        assert 200 <= len(forms) <= 400 and len(set(forms)) == len(forms), code


@pytest.mark.parametrize(
    ("event", "ask", "expected"),
    [
        (Event(Phrase("cook", "happy"), "open", Phrase("jar", count=3)), "", "the happy cook opened 3 jars."),
        (Event(Phrase("Mira", name="Vance"), "paint", Phrase("boat"), place=Phrase("lake", name="Velden"),
               time="monday", negated=True), "",
         "Mira Vance did not paint the boat in Velden Lake on monday."),
        (Event(Phrase("cook"), "close", Phrase("jar", "red"), place=Phrase("Selby")), "object",
         "what did the cook close in Selby?"),
        (Event(Phrase("cook"), "close", Phrase("jar")), "agent", "who closed the jar?"),
    ],
)  # fmt: skip
def test_english_reads_as_english(event: Event, ask: str, expected: str) -> None:
    assert render(event, LANGUAGES["en"], ask=ask).text == expected


def test_word_order_follows_the_language() -> None:
    event = Event(Phrase("cook"), "open", Phrase("jar", "red"), place=Phrase("Selby"))
    for code, expected in {"es": "agent verb object.noun object.adjective place",
                           "ar": "place verb agent object.noun object.adjective",
                           "zh": "place agent object.adjective object.noun verb"}.items():  # fmt: skip
        content = [w.key for w in render(event, LANGUAGES[code]).words if w.upos not in ("DET", "ADP", "PUNCT")]
        assert " ".join(key if key.startswith("object") else key.split(".")[0] for key in content) == expected
    assert [w.upos for w in render(event, LANGUAGES["zh"]).words][:2] == ["PROPN", "ADP"]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.repo}:{table.config}")
def test_every_table_loads_as_declared(root: Path, table: synthetic.Table) -> None:
    code = table.languages[-1]
    config = table.config.format(language=code, language3=LANGUAGES[code].code3)
    for split, size in table.splits.items():
        rows = load(root, table.repo, config, split)
        share = 4 if size == synthetic.TRAIN and code != "en" else 1
        assert rows.num_rows == SIZES[size] // share and rows.column_names == list(table.columns)
        for column, (_, kind) in table.columns.items():
            if isinstance(kind, tuple):
                assert rows.features[column].names == list(kind)
                assert set(rows[column]) <= set(range(len(kind)))


def test_labels_are_parallel_over_languages(root: Path) -> None:
    for repo in ("facebook/xnli", "google-research-datasets/paws-x"):
        labels = [load(root, repo, code, "test")["label"][:] for code in ("en", "de", "es", "zh")]
        assert all(column == labels[0] for column in labels) and len(set(labels[0])) > 1
    english = load(root, "facebook/xnli", "en", "train")[:6]["label"]
    assert load(root, "facebook/xnli", "zh", "train")["label"][:] == english


def test_tatoeba_pairs_end_in_a_newline_and_share_their_english(root: Path) -> None:
    sets = [
        load(root, "google/xtreme", f"tatoeba.{code}", "validation") for code in ("deu", "spa", "rus", "ara", "cmn")
    ]
    assert all(rows["target_sentence"][:] == sets[0]["target_sentence"][:] for rows in sets)
    assert all(text.endswith(".\n") for rows in sets for text in rows["source_sentence"])
    assert len(set(sets[0]["target_sentence"])) == len(sets[0])


def test_answers_stand_at_their_offsets(root: Path) -> None:
    configs = [("rajpurkar/squad", "plain_text"), ("rajpurkar/squad_v2", "squad_v2")]
    configs += [("google/xquad", f"xquad.{code}") for code in LANGUAGES]
    for repo, config in configs:
        empty = 0
        for row in load(root, repo, config, "validation"):
            texts, starts = row["answers"]["text"], row["answers"]["answer_start"]
            assert all(
                text and row["context"][start:].startswith(text) for text, start in zip(texts, starts, strict=True)
            )
            empty += not texts
        assert (empty > 0) == (repo == "rajpurkar/squad_v2")


def test_entity_tags_are_well_formed(root: Path) -> None:
    for code in LANGUAGES:
        rows = load(root, "unimelb-nlp/wikiann", code, "test")
        names = rows.features["ner_tags"].feature.names
        for row in rows:
            tags = [names[tag] for tag in row["ner_tags"]]
            assert len(tags) == len(row["tokens"]) == len(row["langs"]) and any(tag != "O" for tag in tags)
            for left, right in itertools.pairwise(["O", *tags]):
                assert not right.startswith("I-") or left[2:] == right[2:], (code, row)
            assert sum(tag.startswith("B-") for tag in tags) == len(row["spans"])


def test_treebanks_are_valid(root: Path) -> None:
    fused = 0
    paths = sorted((root / "ud-treebanks-v2.5").rglob("*.conllu"))
    assert len(paths) == 2 * len(LANGUAGES) + 1
    for path in paths:
        for block in path.read_text(encoding="utf-8").strip().split("\n\n"):
            lines = block.split("\n")
            rows = [line.split("\t") for line in lines if not line.startswith("#")]
            assert all(len(row) == 10 for row in rows)
            words = [row for row in rows if "-" not in row[0]]
            heads = [int(row[6]) for row in words]
            assert [int(row[0]) for row in words] == list(range(1, len(words) + 1)) and heads.count(0) == 1
            for node in range(1, len(words) + 1):  # every word reaches the root
                for _ in words:
                    node = heads[node - 1] if node else 0
                assert node == 0
            text, skip = "", 0
            for row in rows:
                if "-" in row[0]:
                    fused, (first, last) = fused + 1, map(int, row[0].split("-"))
                    skip = last - first + 1
                elif skip:
                    skip -= 1
                    continue
                text += row[1] + ("" if "SpaceAfter=No" in row[9] else " ")
            assert f"# text = {text.strip()}" in lines
    assert fused


def test_hypothesis_alone_tells_nothing() -> None:
    """The second text has as many details, and as often a negation, under every label."""
    rng, seen = random.Random(0), {0: [0, 0, 0], 1: [0, 0, 0], 2: [0, 0, 0]}
    for _ in range(3000):
        row = synthetic.nli(rng)(LANGUAGES["en"])
        counts = seen[row["label"]]
        counts[0] += 1
        counts[1] += len(row["second"].split())
        counts[2] += " not " in row["second"]
    lengths = [words / total for total, words, _ in seen.values()]
    negated = [count / total for total, _, count in seen.values()]
    assert max(lengths) - min(lengths) < 0.3 and max(negated) - min(negated) < 0.05


def test_tokenizer_has_the_layout_of_xlmr(root: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    synthetic.train_tokenizer(root, tmp_path / "tokenizer", vocab_size=1000)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    assert tokenizer.convert_tokens_to_ids(["<s>", "<pad>", "</s>", "<unk>"]) == [0, 1, 2, 3]
    assert tokenizer.mask_token_id == len(tokenizer) - 1 and tokenizer.is_fast and tokenizer.model_max_length == 384
    pair = tokenizer("the", "cook")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(pair) == ["<s>", "▁the", "</s>", "</s>", "▁cook", "</s>"]
    for code in LANGUAGES:
        lines = (root / "mlm" / f"{code}.validation.txt").read_text(encoding="utf-8").splitlines()
        ids = tokenizer(lines)["input_ids"]
        assert not any(tokenizer.unk_token_id in row for row in ids), code
        assert tokenizer.batch_decode(ids, skip_special_tokens=True) == lines
    assert synthetic.encoder_config(len(tokenizer)).vocab_size == len(tokenizer)


def test_default_root_lies_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIANTX_CACHE", str(tmp_path))
    monkeypatch.setattr(synthetic, "SIZES", SIZES)
    path = synthetic.default_root()
    assert path.parent == tmp_path == synthetic.cache_dir() and path.name.startswith(f"synthetic-{synthetic.VERSION}-")
    assert synthetic.default_root() == path
    monkeypatch.setattr(synthetic, "SIZES", {**SIZES, "seed": 1})
    assert synthetic.default_root() != path
