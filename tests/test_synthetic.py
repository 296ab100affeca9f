"""The small world: what is written, and that languages are parallel and as far apart as they say."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import random
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import pytest

import jiantx as jx
from jiantx import synthetic
from jiantx.synthetic import LANGUAGES, TABLES, Event, Phrase, distance, lexicon, render, write_root

SIZES = {"train_examples": 24, "eval_examples": 24, "text_lines": 900}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_root(tmp_path_factory.mktemp("synthetic") / "root", **SIZES)


def load(root: Path, repo: str, config: str, split: str) -> datasets.Dataset:
    return datasets.load_dataset(str(root / repo), config, split=split)


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_seed_decides_everything(root: Path, tmp_path: Path) -> None:
    same, other = (
        write_root(tmp_path / "same", **SIZES),
        write_root(tmp_path / "other", seed=1, **SIZES),
    )
    assert contents(same) == contents(root)
    assert contents(other).keys() == contents(root).keys()
    changed = [name for name, held in contents(root).items() if contents(other)[name] != held]
    same_suffixes = {Path(name).suffix for name in contents(root)} - {
        Path(name).suffix for name in changed
    }
    assert not same_suffixes and len(contents(root)) - len(changed) <= 1, "tags_to_id.json may stay"


def test_complete_root_is_left_alone(root: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert write_root(root, **SIZES) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert list(root.parent.iterdir()) == [root], "a draft was left behind"
    with pytest.raises(FileExistsError, match="something else"):
        write_root(root, seed=7, **SIZES)


def test_killed_run_leaves_nothing_that_looks_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        synthetic, "_write_treebanks", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        write_root(tmp_path / "root", **SIZES)
    assert not (tmp_path / "root").exists()


def test_several_write_one_root(root: Path, tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    workers = [
        fork.Process(target=write_root, args=(tmp_path / "root",), kwargs=SIZES) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert contents(tmp_path / "root") == contents(root) and [
        p.name for p in tmp_path.iterdir()
    ] == ["root"]


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
        content = [
            w.key
            for w in render(event, LANGUAGES[code]).words
            if w.upos not in ("DET", "ADP", "PUNCT")
        ]
        assert (
            " ".join(key if key.startswith("object") else key.split(".")[0] for key in content)
            == expected
        )
    assert [w.upos for w in render(event, LANGUAGES["zh"]).words][:2] == ["PROPN", "ADP"]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.repo}:{table.config}")
def test_every_table_loads_as_declared(root: Path, table: synthetic.Table) -> None:
    code = table.languages.split()[-1]
    config = list(table.configs())[-1]
    for split in table.splits.split():
        size = synthetic.TRAIN if split.startswith("train") else synthetic.EVALUATION
        rows = load(root, table.repo, config, split)
        share = 4 if size == synthetic.TRAIN and code != "en" else 1
        assert rows.num_rows == SIZES[size] // share and rows.column_names == list(table.fields())
        for column, (_, kind) in table.fields().items():
            if isinstance(kind, tuple):
                assert rows.features[column].names == list(kind)
                unlabelled = {-1} if table.repo == "stanfordnlp/snli" else set()
                assert set(rows[column]) - unlabelled <= set(range(len(kind)))


def test_labels_are_parallel_over_languages(root: Path) -> None:
    for repo in ("facebook/xnli", "google-research-datasets/paws-x"):
        labels = [load(root, repo, code, "test")["label"][:] for code in ("en", "de", "es", "zh")]
        assert all(column == labels[0] for column in labels) and len(set(labels[0])) > 1
    english = load(root, "facebook/xnli", "en", "train")[:6]["label"]
    assert load(root, "facebook/xnli", "zh", "train")["label"][:] == english


def test_tatoeba_pairs_end_in_a_newline_and_share_their_english(root: Path) -> None:
    sets = [
        load(root, "google/xtreme", f"tatoeba.{code}", "validation")
        for code in ("deu", "spa", "rus", "ara", "cmn")
    ]
    assert all(rows["target_sentence"][:] == sets[0]["target_sentence"][:] for rows in sets)
    assert all(text.endswith(".\n") for rows in sets for text in rows["source_sentence"])
    assert len(set(sets[0]["target_sentence"])) == len(sets[0])


def test_answers_stand_at_their_offsets(root: Path) -> None:
    configs = [("rajpurkar/squad", "plain_text"), ("rajpurkar/squad_v2", "squad_v2")]
    configs += [("google/xquad", f"xquad.{code}") for code in LANGUAGES]
    configs += [("google/xtreme", f"MLQA.{code}.{code}") for code in ("en", "de", "es", "ar", "zh")]
    configs += [("google-research-datasets/tydiqa", "secondary_task")]
    for repo, config in configs:
        empty = 0
        for row in load(root, repo, config, "validation"):
            texts, starts = row["answers"]["text"], row["answers"]["answer_start"]
            assert all(
                text and row["context"][start:].startswith(text)
                for text, start in zip(texts, starts, strict=True)
            )
            empty += not texts
        assert (empty > 0) == (repo == "rajpurkar/squad_v2")


@pytest.fixture
def over_root(root: Path) -> None:
    jx.data_root(root)


@pytest.mark.usefixtures("over_root")
@pytest.mark.parametrize("name", jx.list_tasks())
def test_every_task_finds_rows(name: str) -> None:
    task = jx.get_task(name)
    found = {split: task.languages(split) for split in ("train", "validation", "test")}
    assert found["validation"] and sum(map(bool, found.values())) >= (
        1 if name in ("xquad", "tatoeba") else 2
    )
    declared = set(getattr(task.source, "languages", ("en",)))
    assert {code for codes in found.values() for code in codes} >= (declared & set(LANGUAGES)) - {
        "en"
    }
    for split, codes in found.items():
        for code in codes:
            assert list(task.examples(split, code, labelled=True)), (split, code)


def test_json_paragraphs_are_the_tables_rows(root: Path) -> None:
    """The translations say SQuAD's first questions, LAReQA asks XQuAD's; both are parallel."""
    translated = root / "xtreme_translations" / "SQuAD" / "translate-train"
    english = load(root, "rajpurkar/squad", "plain_text", "train")
    for code in LANGUAGES:
        rows = list(load(root, "google/xquad", f"xquad.{code}", "validation"))
        data = json.loads(
            (root / "lareqa" / "xquad-r" / f"{code}.json").read_text(encoding="utf-8")
        )["data"]
        paragraphs = [paragraph for article in data for paragraph in article["paragraphs"]]
        for row, paragraph in zip(rows, paragraphs, strict=True):
            assert (paragraph["context"], paragraph["qas"][0]["id"]) == (row["context"], row["id"])
            said = [paragraph["context"][start:end] for start, end in paragraph["sentence_breaks"]]
            assert " ".join(said) == paragraph["context"] and said == paragraph["sentences"]
            assert 3 <= len(said) <= 4 and all(sentence.endswith(".") for sentence in said)
        if code == "en":
            continue
        data = json.loads(
            (translated / f"squad.translate.train.en-{code}.json").read_text(encoding="utf-8")
        )["data"]
        paragraphs = [paragraph for article in data for paragraph in article["paragraphs"]]
        assert [p["qas"][0]["id"] for p in paragraphs] == english["id"][
            : SIZES["train_examples"] // 4
        ]
        assert [article["title"] for article in data] == english["title"][: len(data)]
        for paragraph in paragraphs:
            (answer,) = paragraph["qas"][0]["answers"]
            assert paragraph["context"][answer["answer_start"] :].startswith(answer["text"])


def test_bucc_pairs_stand_on_both_sides(root: Path) -> None:
    for code, split in itertools.product(("de", "ru", "zh"), ("sample", "training")):
        stem, sides = root / "bucc2018" / f"{code}-en" / f"{code}-en.{split}", []
        for side in (code, "en"):
            lines = stem.with_name(f"{stem.name}.{side}").read_text(encoding="utf-8").splitlines()
            sides.append(dict(line.split("\t") for line in lines))
            assert len(lines) == len(sides[-1]) == SIZES["eval_examples"] + 1
            assert sorted(Counter(sides[-1].values()).values())[-2:] == [1, 2], (
                "one sentence occurs twice"
            )
        lines = stem.with_name(f"{stem.name}.gold").read_text(encoding="utf-8").splitlines()
        gold = [line.split("\t") for line in lines]
        assert len(gold) == SIZES["eval_examples"] * 2 // 5
        assert all(one in sides[0] and other in sides[1] for one, other in gold)
        paired = [sides[0][one] for one, _ in gold]
        assert max(Counter([*paired, *sides[0].values()]).values()) == 2, (
            "what occurs twice has no partner"
        )


@pytest.mark.usefixtures("over_root")
def test_relevant_candidates_are_in_the_pool() -> None:
    for name, per_query in (("lareqa", len(LANGUAGES)), ("mewslix", 1)):
        task = jx.get_task(name)
        assert isinstance(task, jx.Retrieval) and task.corpus_task
        pool = {
            row["id"]: row["candidate"]
            for code in task.corpus_task.languages("test")
            for row in task.corpus_task.rows("test", code)
        }
        assert len(set(pool.values())) == len(pool)
        for split, code in itertools.product(("validation", "test"), task.languages("test")):
            for example in task.examples(split, code, labelled=True):
                assert isinstance(example.relevant, tuple) and len(example.relevant) == per_query
                assert set(example.relevant) <= pool.keys()


def test_mentions_name_their_entities(root: Path) -> None:
    def lines(name: str) -> list[dict[str, Any]]:
        text = (root / "mewsli-x" / f"{name}.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    entities = {entity["entity_id"]: entity for entity in lines("candidate_set_entities")}
    assert {entity["description_language"] for entity in entities.values()} == set(LANGUAGES)
    assert all(entity["title"] in entity["description"] for entity in entities.values())
    assert all(len(entity["sentence_spans"]) == 2 for entity in entities.values())
    found = [(line["context"], own) for split in ("dev", "test") for line in lines(f"wikinews_mentions-{split}")
             for own in line["mentions"]]  # fmt: skip
    assert {context["language"] for context, _ in found} == {"en", "de", "es", "ar"}
    pairs = [line for split in ("train", "dev") for line in lines(f"wikipedia_pairs-{split}")]
    assert all(pair["entity"]["description_language"] == "en" for pair in pairs)
    mentioned = [tuple(pair["contextual_mention"].values()) for pair in pairs]
    assert [own["entity_id"] for _, own in mentioned] == [
        pair["entity"]["entity_id"] for pair in pairs
    ]
    assert len({own["example_id"] for _, own in found}) == len(found) > len(pairs) > 10
    for context, own in [*found, *mentioned]:
        span, stem = own["mention_span"], lexicon(context["language"])[own["entity_id"]]
        assert context["text"][span["start"] : span["end"]] == span["text"]
        assert span["text"].lower().startswith(stem.lower()) and own["entity_id"] in entities
        assert any(
            s["start"] <= span["start"] < span["end"] <= s["end"] for s in context["sentence_spans"]
        )


def test_supertags_are_all_listed(root: Path) -> None:
    listed = json.loads((root / "ccg" / "tags_to_id.json").read_text(encoding="utf-8"))
    assert sorted(listed.values()) == list(range(len(listed)))
    used = set()
    for split in ("train", "dev", "test"):
        for line in (root / "ccg" / f"ccg.{split}").read_text(encoding="utf-8").splitlines():
            words, tags = (side.split(" ") for side in line.split("\t"))
            assert (
                len(words) == len(tags)
                and sum(r"S[dcl]\NP" in tag or "S[q]" in tag for tag in tags) >= 1
            )
            used.update(tags)
    assert used == set(listed) and len(used) > 10


def test_some_pairs_of_snli_are_undecided() -> None:
    labels = Counter(
        item(LANGUAGES["en"])["label"] for item in synthetic._drawn(snli_pair, "snli", 3000)
    )
    assert 30 < labels[-1] < 90 and min(labels[label] for label in range(3)) > 800


def snli_pair(rng: random.Random) -> synthetic.Item:
    return next(table for table in TABLES if table.repo == "stanfordnlp/snli").item(rng)


def test_consequences_follow_the_order_of_the_verbs() -> None:
    order = [group[0] for group in synthetic.VERBS]
    for item in synthetic._drawn(synthetic.consequence, "copa", 300):
        row = item(LANGUAGES["en"])
        choices = [row["choice0"], row["choice1"]]
        assert choices[0] != choices[1]
        now, then = (
            next(
                i
                for i, group in enumerate(synthetic.VERBS)
                if any(spoken(verb, text) for w in group for verb in w)
            )
            for text in (row["first"], choices[row["label"]])
        )
        assert (then - now) % len(order) == (1 if row["question"] == "effect" else len(order) - 1)


def spoken(verb: str, text: str) -> bool:
    return synthetic._inflect(verb, "ed") in text.rstrip(".").split()


def test_entity_tags_are_well_formed(root: Path) -> None:
    for code in LANGUAGES:
        rows = load(root, "unimelb-nlp/wikiann", code, "test")
        names = rows.features["ner_tags"].feature.names
        for row in rows:
            tags = [names[tag] for tag in row["ner_tags"]]
            assert len(tags) == len(row["tokens"]) == len(row["langs"]) and any(
                tag != "O" for tag in tags
            )
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
            assert [int(row[0]) for row in words] == list(range(1, len(words) + 1)) and heads.count(
                0
            ) == 1
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
    assert (
        tokenizer.mask_token_id == len(tokenizer) - 1
        and tokenizer.is_fast
        and tokenizer.model_max_length == 384
    )
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
    assert path.parent == tmp_path == synthetic.cache_dir() and path.name.startswith(
        f"synthetic-{synthetic.VERSION}-"
    )
    assert synthetic.default_root() == path
    monkeypatch.setattr(synthetic, "SIZES", {**SIZES, "seed": 1})
    assert synthetic.default_root() != path
