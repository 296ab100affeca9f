"""What the artificial data root holds: every table and file, as the real datasets have them."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import pytest

import jiantx as jx
from jiantx.synthetic import LANGUAGES, TABLES, Table, lexicon, write_root

TRAIN_EXAMPLES = 24
EVAL_EXAMPLES = 24
TRANSLATED_EXAMPLES = TRAIN_EXAMPLES // 4


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_root(
        tmp_path_factory.mktemp("synthetic") / "root",
        train_examples=TRAIN_EXAMPLES,
        eval_examples=EVAL_EXAMPLES,
        text_lines=900,
    )


@pytest.fixture
def as_data_root(root: Path) -> None:
    jx.data_root(root)


def load(root: Path, repo: str, config: str, split: str) -> datasets.Dataset:
    return datasets.load_dataset(str(root / repo), config, split=split)


def read_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in read_lines(path)]


# --- tables of the Hub ----------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.repo}:{table.config}")
def test_every_table_loads_as_declared(root: Path, table: Table) -> None:
    config, language = list(table.configs().items())[-1]
    for split in table.splits.split():
        dataset = load(root, table.repo, config, split)
        assert dataset.column_names == list(table.fields())
        if not split.startswith("train"):
            assert dataset.num_rows == EVAL_EXAMPLES
        elif language.code == "en":
            assert dataset.num_rows == TRAIN_EXAMPLES
        else:
            assert dataset.num_rows == TRANSLATED_EXAMPLES
        for column, (_, column_type) in table.fields().items():
            if isinstance(column_type, tuple):
                assert dataset.features[column].names == list(column_type)
                unlabelled = {-1} if table.repo == "stanfordnlp/snli" else set()
                assert set(dataset[column]) - unlabelled <= set(range(len(column_type)))


def test_labels_are_parallel_over_languages(root: Path) -> None:
    for repo in ("facebook/xnli", "google-research-datasets/paws-x"):
        english = load(root, repo, "en", "test")["label"][:]
        assert len(set(english)) > 1
        for language in ("de", "es", "zh"):
            assert load(root, repo, language, "test")["label"][:] == english
    english_start = load(root, "facebook/xnli", "en", "train")[:TRANSLATED_EXAMPLES]["label"]
    assert load(root, "facebook/xnli", "zh", "train")["label"][:] == english_start


def test_tatoeba_pairs_end_in_a_newline_and_share_their_english(root: Path) -> None:
    english = load(root, "google/xtreme", "tatoeba.deu", "validation")["target_sentence"][:]
    assert len(set(english)) == len(english)
    for language in ("deu", "spa", "rus", "ara", "cmn"):
        dataset = load(root, "google/xtreme", f"tatoeba.{language}", "validation")
        assert dataset["target_sentence"][:] == english
        assert all(text.endswith(".\n") for text in dataset["source_sentence"])


QA_CONFIGS = [
    ("rajpurkar/squad", "plain_text"),
    ("rajpurkar/squad_v2", "squad_v2"),
    *[("google/xquad", f"xquad.{language}") for language in LANGUAGES],
    *[("google/xtreme", f"MLQA.{language}.{language}") for language in "en de es ar zh".split()],
    ("google-research-datasets/tydiqa", "secondary_task"),
]


@pytest.mark.parametrize(("repo", "config"), QA_CONFIGS)
def test_answers_stand_at_their_offsets(root: Path, repo: str, config: str) -> None:
    unanswerable = 0
    for row in load(root, repo, config, "validation"):
        texts = row["answers"]["text"]
        for text, start in zip(texts, row["answers"]["answer_start"], strict=True):
            assert text
            assert row["context"][start:].startswith(text)
        unanswerable += not texts
    assert (unanswerable > 0) == (repo == "rajpurkar/squad_v2")


def test_entity_tags_are_well_formed(root: Path) -> None:
    for language in LANGUAGES:
        dataset = load(root, "unimelb-nlp/wikiann", language, "test")
        names = dataset.features["ner_tags"].feature.names
        for row in dataset:
            tags = [names[tag] for tag in row["ner_tags"]]
            assert len(tags) == len(row["tokens"]) == len(row["langs"])
            assert any(tag != "O" for tag in tags)
            for left, right in itertools.pairwise(["O", *tags]):
                assert not right.startswith("I-") or left[2:] == right[2:], (language, row)
            assert sum(tag.startswith("B-") for tag in tags) == len(row["spans"])


# --- every declared task --------------------------------------------------------------------------


ONE_SPLIT = ("xquad", "tatoeba", "mnli_mismatched")
# The world has the rows of the paper's tasks and of their kin; the others have tests of their own.
IN_THE_WORLD = sorted(
    {*jx.XTREME, *jx.XTREME_R, *jx.XSTILTS_INTERMEDIATE}
    | set("anli copa mlm mnli_mismatched siqa snli stsb udpos_hub".split())
)


@pytest.mark.usefixtures("as_data_root")
@pytest.mark.parametrize("name", IN_THE_WORLD)
def test_every_task_finds_rows(name: str) -> None:
    task = jx.get_task(name)
    languages_of = {split: task.languages(split) for split in ("train", "validation", "test")}
    splits_with_rows = [split for split, languages in languages_of.items() if languages]
    assert "validation" in splits_with_rows
    assert len(splits_with_rows) >= (1 if name in ONE_SPLIT else 2)
    declared = set(getattr(task.source, "languages", ("en",)))
    available = set(itertools.chain.from_iterable(languages_of.values()))
    assert available >= (declared & set(LANGUAGES)) - {"en"}
    for split, languages in languages_of.items():
        for language in languages:
            assert list(task.examples(split, language, labelled=True)), (split, language)


# --- published files ------------------------------------------------------------------------------


def read_squad(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """The titles and the paragraphs of a file in SQuAD's format."""
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    titles = [article["title"] for article in articles]
    paragraphs = itertools.chain.from_iterable(article["paragraphs"] for article in articles)
    return titles, list(paragraphs)


@pytest.mark.parametrize("language", LANGUAGES)
def test_lareqa_asks_the_questions_of_xquad(root: Path, language: str) -> None:
    rows = load(root, "google/xquad", f"xquad.{language}", "validation")
    _, paragraphs = read_squad(root / "lareqa" / "xquad-r" / f"{language}.json")
    for row, paragraph in zip(rows, paragraphs, strict=True):
        context = paragraph["context"]
        assert context == row["context"]
        assert paragraph["qas"][0]["id"] == row["id"]
        sentences = [context[start:end] for start, end in paragraph["sentence_breaks"]]
        assert sentences == paragraph["sentences"]
        assert " ".join(sentences) == context
        assert 3 <= len(sentences) <= 4
        assert all(sentence.endswith(".") for sentence in sentences)


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_translations_are_the_first_questions_of_squad(root: Path, language: str) -> None:
    english = load(root, "rajpurkar/squad", "plain_text", "train")
    folder = root / "xtreme_translations" / "SQuAD" / "translate-train"
    titles, paragraphs = read_squad(folder / f"squad.translate.train.en-{language}.json")
    ids = [paragraph["qas"][0]["id"] for paragraph in paragraphs]
    assert ids == english["id"][:TRANSLATED_EXAMPLES]
    assert titles == english["title"][: len(titles)]
    for paragraph in paragraphs:
        (answer,) = paragraph["qas"][0]["answers"]
        assert paragraph["context"][answer["answer_start"] :].startswith(answer["text"])


@pytest.mark.parametrize(
    ("language", "split"), itertools.product(("de", "ru", "zh"), ("sample", "training"))
)
def test_bucc_pairs_stand_on_both_sides(root: Path, language: str, split: str) -> None:
    prefix = root / "bucc2018" / f"{language}-en" / f"{language}-en.{split}"
    sentences_of = {}
    for side in (language, "en"):
        lines = read_lines(prefix.with_name(f"{prefix.name}.{side}"))
        sentences = dict(line.split("\t") for line in lines)
        sentences_of[side] = sentences
        assert len(lines) == len(sentences) == EVAL_EXAMPLES + 1
        repetitions = sorted(Counter(sentences.values()).values())
        assert repetitions[-2:] == [1, 2], "one sentence occurs twice"
    gold = [line.split("\t") for line in read_lines(prefix.with_name(f"{prefix.name}.gold"))]
    assert len(gold) == EVAL_EXAMPLES * 2 // 5
    assert {foreign_id for foreign_id, _ in gold} <= sentences_of[language].keys()
    assert {english_id for _, english_id in gold} <= sentences_of["en"].keys()
    repetitions_of = Counter(sentences_of[language].values())
    paired = [sentences_of[language][foreign_id] for foreign_id, _ in gold]
    assert len(set(paired)) == len(paired)
    assert all(repetitions_of[sentence] == 1 for sentence in paired), (
        "the sentence that occurs twice has no partner"
    )


@pytest.mark.usefixtures("as_data_root")
@pytest.mark.parametrize(("name", "per_query"), [("lareqa", len(LANGUAGES)), ("mewslix", 1)])
def test_relevant_candidates_are_in_the_pool(name: str, per_query: int) -> None:
    task = jx.get_task(name)
    assert isinstance(task, jx.Retrieval)
    assert task.corpus_task
    pool = {}
    for language in task.corpus_task.languages("test"):
        for row in task.corpus_task.rows("test", language):
            pool[row["id"]] = row["candidate"]
    assert len(set(pool.values())) == len(pool)
    for split, language in itertools.product(("validation", "test"), task.languages("test")):
        for example in task.examples(split, language, labelled=True):
            assert isinstance(example.relevant, tuple)
            assert len(example.relevant) == per_query
            assert set(example.relevant) <= pool.keys()


def test_mewslix_entities_are_described_in_all_languages(root: Path) -> None:
    entities = read_jsonl(root / "mewsli-x" / "candidate_set_entities.jsonl")
    assert {entity["description_language"] for entity in entities} == set(LANGUAGES)
    assert all(entity["title"] in entity["description"] for entity in entities)
    assert all(len(entity["sentence_spans"]) == 2 for entity in entities)


def test_mentions_name_their_entities(root: Path) -> None:
    folder = root / "mewsli-x"
    entities = read_jsonl(folder / "candidate_set_entities.jsonl")
    entity_ids = {entity["entity_id"] for entity in entities}
    news = []
    pairs = []
    for split in ("dev", "test"):
        for document in read_jsonl(folder / f"wikinews_mentions-{split}.jsonl"):
            news += [(document["context"], mention) for mention in document["mentions"]]
    for split in ("train", "dev"):
        for pair in read_jsonl(folder / f"wikipedia_pairs-{split}.jsonl"):
            mention = pair["contextual_mention"]["mention"]
            pairs.append((pair["contextual_mention"]["context"], mention))
            assert pair["entity"]["description_language"] == "en"
            assert pair["entity"]["entity_id"] == mention["entity_id"]
    assert {context["language"] for context, _ in news} == {"en", "de", "es", "ar"}
    example_ids = {mention["example_id"] for _, mention in news}
    assert len(example_ids) == len(news) > len(pairs) > 10
    for context, mention in [*news, *pairs]:
        span = mention["mention_span"]
        assert context["text"][span["start"] : span["end"]] == span["text"]
        assert mention["entity_id"] in entity_ids
        stem = lexicon(context["language"])[mention["entity_id"]]
        assert span["text"].lower().startswith(stem.lower())
        sentence_spans = context["sentence_spans"]
        assert any(
            sentence["start"] <= span["start"] < span["end"] <= sentence["end"]
            for sentence in sentence_spans
        )


# --- treebanks ------------------------------------------------------------------------------------


def test_supertags_are_all_listed(root: Path) -> None:
    tag_ids = json.loads((root / "ccg" / "tags_to_id.json").read_text(encoding="utf-8"))
    assert sorted(tag_ids.values()) == list(range(len(tag_ids)))
    used = set()
    for split in ("train", "dev", "test"):
        for line in read_lines(root / "ccg" / f"ccg.{split}"):
            forms, tags = (side.split(" ") for side in line.split("\t"))
            assert len(forms) == len(tags)
            assert any(r"S[dcl]\NP" in tag or "S[q]" in tag for tag in tags)
            used.update(tags)
    assert used == set(tag_ids)
    assert len(used) > 10


def test_treebanks_are_valid(root: Path) -> None:
    paths = sorted((root / "ud-treebanks-v2.5").rglob("*.conllu"))
    assert len(paths) == 2 * len(LANGUAGES) + 1
    multiword_tokens = 0
    for path in paths:
        for block in path.read_text(encoding="utf-8").strip().split("\n\n"):
            lines = block.split("\n")
            columns = [line.split("\t") for line in lines if not line.startswith("#")]
            assert all(len(fields) == 10 for fields in columns)
            check_tree([fields for fields in columns if "-" not in fields[0]])
            assert f"# text = {text_of(columns)}" in lines
            multiword_tokens += sum("-" in fields[0] for fields in columns)
    assert multiword_tokens


def check_tree(words: list[list[str]]) -> None:
    """Check that ids count from 1, that there is one root, and that every word reaches it."""
    assert [int(fields[0]) for fields in words] == list(range(1, len(words) + 1))
    heads = [int(fields[6]) for fields in words]
    assert heads.count(0) == 1
    for node in range(1, len(words) + 1):
        for _ in words:
            node = heads[node - 1] if node else 0
        assert node == 0


def text_of(columns: list[list[str]]) -> str:
    """The text that the forms and `SpaceAfter=No` of a CoNLL-U block spell."""
    text = ""
    last_covered = 0  # the last word of the latest multiword token
    for fields in columns:
        if "-" in fields[0]:
            last_covered = int(fields[0].split("-")[1])
        elif int(fields[0]) <= last_covered:
            continue
        text += fields[1] + ("" if "SpaceAfter=No" in fields[9] else " ")
    return text.strip()
