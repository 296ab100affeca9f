"""The sets of today, and jiant's remaining ones: what is read of their rows, and their names."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import published_rows
import pytest

import jiantx as jx
from jiantx import get_task
from jiantx.features import load_features
from jiantx.metrics import metric_name
from jiantx.sources import DataError, Files
from jiantx.tasks import intents, languages, training_tasks

HUB = Path(jx.__file__).parents[2] / "shared" / "hub"
real = pytest.mark.skipif(not HUB.is_dir(), reason=f"no real slices at {HUB}")
SPLITS = ("train", "validation", "test")


def example(name: str, row: dict[str, Any], language: str = "en") -> Any:
    return get_task(name).example(row, id="0", language=language)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published_rows.write_published(tmp_path_factory.mktemp("published"))


@pytest.fixture
def over_published(published: Path) -> None:
    jx.data_root(published)


# --- languages ------------------------------------------------------------------------------------


def test_flores_languages_have_one_code_each() -> None:
    assert len(languages.FLORES) == len(set(languages.FLORES.values())) == 204
    assert len(languages.SIB200) == 205
    two_scripts = {code for code in languages.FLORES if "_" in code}
    assert {code.split("_")[0] for code in two_scripts} <= set(languages.FLORES)
    assert two_scripts == set(
        "ace_Arab ar_Latn bjn_Arab kr_Arab ks_Deva min_Arab taq_Tfng zh_Hant".split()
    )


@pytest.mark.parametrize("name", published_rows.NAMES)
def test_codes_are_iso_639_with_a_script_where_it_tells_apart(name: str) -> None:
    source: Any = get_task(name).source
    three_letters = {word.split("_")[0] for word in languages.FLORES.values()}
    for code in source.languages:
        assert re.fullmatch("[a-z]{2,3}(_[A-Z][a-z]{3})?", code)
        if len(code) == 3 and code in three_letters:  # then it has no code of two letters
            assert code in languages.SIB200


def test_one_code_for_one_language_in_all_sets() -> None:
    """A search for a language finds all of its tasks."""
    swahili = set(jx.list_tasks(language="sw"))
    assert swahili >= set(
        "sib200 masakhaner2 masakhanews afrisenti afrixnli massive_intent flores xnli".split()
    )
    quechua = set(jx.list_tasks(language="qu"))
    assert quechua >= {"americas_nli", "sib200", "flores", "xcopa", "panx"}
    assert set(jx.list_tasks(language="zh_Hant")) >= {"sib200", "massive_slots", "universal_ner"}
    assert "americas_nli" in jx.list_tasks(language="shp")


def test_languages_are_listed_quickly_and_without_data(tmp_path: Path) -> None:
    jx.data_root(tmp_path)
    jx.list_tasks()
    started = time.process_time()
    for code in languages.SIB200:
        jx.list_tasks(language=code)
    assert time.process_time() - started < 2  # 205 times


def test_rows_in_memory_are_listed_by_their_languages() -> None:
    rows = [{"text": "a", "label": "x"}]
    source = jx.Rows({"train": rows, "test": {"fy": rows}})
    task = jx.Classification(name="frisian", source=source, labels=("x",))
    from jiantx.tasks import TASKS

    jx.register(task)
    try:
        assert jx.list_tasks(language="fy") == ("frisian",)
        assert "frisian" in jx.list_tasks(language="en")
    finally:
        del TASKS._values["frisian"]


@pytest.mark.parametrize("benchmark", [jx.AFRICAN, jx.AMERICAN], ids=lambda b: b.name)
def test_benchmarks_of_continents(benchmark: jx.Benchmark) -> None:
    for name, codes in benchmark.languages.items():
        source: Any = get_task(name).source
        assert codes and set(codes) <= set(source.languages), name
        assert not {"en", "fr", "pt", "es"} & set(codes)
    assert jx.list_tasks(benchmark=benchmark.name) == tuple(benchmark)


def test_what_the_benchmarks_count() -> None:
    assert {name: len(codes) for name, codes in jx.AFRICAN.languages.items()} == {
        "sib200": 57,
        "afrixnli": 16,
        "masakhanews": 14,
        "afrisenti": 13,
        "masakhaner2": 20,
        "flores": 56,
    }
    assert len(jx.AMERICAN.languages["americas_nli"]) == 10


# --- natural language inference, sentiment, topics ------------------------------------------------


@pytest.mark.parametrize(
    ("label", "read"),
    [(0, "entailment"), (1, "neutral"), (2, "contradiction"), ("neutral", "neutral"), (-1, None)],
)
def test_afrixnli_s_numbers_are_xnli_s(label: Any, read: str | None) -> None:
    row = {"premise": "a", "hypothesis": "b", "label": label}
    assert example("afrixnli", row).label == read


def test_another_number_is_an_error() -> None:
    with pytest.raises(DataError, match=r"The label is 3; expected 0, 1 or 2, or a name\."):
        example("afrixnli", {"premise": "a", "hypothesis": "b", "label": 3})


@pytest.mark.parametrize("name", ["americas_nli", "afrixnli", "indicxnli"])
def test_transferred_nli_learns_from_mnli(name: str) -> None:
    (training,) = training_tasks(get_task(name))
    assert training.name == "mnli" and get_task(name).head_name == "nli"


def test_evidence_comes_before_the_claim() -> None:
    row = {"premise": "The claim.", "hypothesis": "The evidence.", "label": "neutral"}
    read = example("fever_nli", row)
    assert (read.text, read.text_pair) == ("The evidence.", "The claim.")


def test_arct_reads_its_file_s_text_as_a_number() -> None:
    row = {"reason": "R.", "claim": "C", "warrant0": "w", "warrant1": "v"}
    read = example("arct", {**row, "correctLabelW0orW1": "1"})
    assert read.choices == ("And since w, C", "And since v, C") and read.label == 1
    assert example("arct", row).label is None  # the test file


# --- entities -------------------------------------------------------------------------------------


def test_other_entities_are_outside() -> None:
    """Trap 30: Universal NER's files hold OTH, which the Hub's labels lack; English lacks dates."""
    tags = ["B-OTH", "I-OTH", "B-PER", "B-DATE", "I-DATE", "O"]
    row = {"tokens": list("abcdef"), "ner_tags": tags}
    for name in ("universal_ner", "masakhaner2"):
        assert example(name, row).tags == ("O", "O", "B-PER", "O", "O", "O")


def test_an_unknown_entity_stays_an_error() -> None:
    row = {"tokens": ["a"], "ner_tags": ["B-MISC"]}
    for name in ("universal_ner", "masakhaner2", "masakhaner2_dates"):
        with pytest.raises(DataError, match="Unknown label 'B-MISC'"):
            example(name, row)


def test_entities_share_a_head_that_english_trains() -> None:
    for name in ("masakhaner2", "universal_ner_pud"):
        (training,) = training_tasks(get_task(name))
        assert training.name == "universal_ner" and training.train_languages == ("en",)
        assert get_task(name).head_config() == training.head_config()
    from_panx = get_task("masakhaner2").replace(train_on=("panx",), head="panx")
    assert from_panx.head_config() == get_task("panx").head_config()
    assert get_task("masakhaner2_dates").head_name == "masakhaner2_dates"


# --- intents and slots ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotated", "words", "tags"),
    [
        ("play [song_name : yesterday]", "play yesterday", "O B-song_name"),
        ("[date : this week] please", "this week please", "B-date I-date O"),
        ("[time : six] [time : seven]", "six seven", "B-time B-time"),
        ("[person : ann] and [person : bo lee]", "ann and bo lee", "B-person O B-person I-person"),
        ("at [time:six]?", "at six?", "O B-time"),
        ("stop", "stop", "O"),
    ],
)
def test_slots_become_tags(annotated: str, words: str, tags: str) -> None:
    row = {"locale": "en-US", "utt": words, "annot_utt": annotated}
    read = example("massive_slots", row)
    assert read.words == tuple(words.split()) and read.tags == tuple(tags.split())


def test_chinese_and_japanese_are_tagged_by_character() -> None:
    row = {
        "locale": "zh-TW",
        "annot_utt": "播放 [radio_name : bbc 電台] 吧",
        "utt": "播放 bbc 電台 吧",
    }
    read = example("massive_slots", row, "zh_Hant")
    assert read.words == ("播", "放", "bbc", "電", "台", "吧")
    assert read.tags == ("O", "O", "B-radio_name", "I-radio_name", "I-radio_name", "O")
    thai = {"locale": "th-TH", "annot_utt": "เปิด [song_name : เพลง]", "utt": "เปิด เพลง"}
    assert example("massive_slots", thai, "th").words == ("เปิด", "เพลง")


@pytest.mark.parametrize("annotated", ["[time six]", "[time : six", "six]", "[time : [date : x]]"])
def test_broken_annotations_are_errors(annotated: str) -> None:
    row = {"locale": "en-US", "utt": "six", "annot_utt": annotated}
    with pytest.raises(DataError, match="is not annotated as"):
        example("massive_slots", row)


@pytest.mark.parametrize("annotated", ["pre[time : six] ok", "[time : ] six"])
def test_a_slot_that_begins_no_word_is_an_error(annotated: str) -> None:
    row = {"locale": "en-US", "utt": "six", "annot_utt": annotated}
    with pytest.raises(DataError, match=r"The slot 'time' of the request .* begins no word"):
        example("massive_slots", row)


def test_raw_requests_have_words_and_no_tags() -> None:
    for row in ({"annot_utt": ""}, {}):
        read = example("massive_slots", {"locale": "en-US", "utt": "wake me", **row})
        assert read.words == ("wake", "me") and read.tags is None


def test_massive_has_60_intents_and_55_slots() -> None:
    assert len(set(intents.INTENTS)) == 60 and len(set(intents.SLOTS)) == 55
    assert len(languages.MASSIVE) == 52 and len(intents.SLOT_TAGS) == 111


@pytest.mark.slow
@pytest.mark.usefixtures("over_published")
def test_two_heads_read_the_same_rows(model_of: Any) -> None:
    """Intents and slots: one source, two heads, one encoder."""
    tasks = [get_task("massive_intent"), get_task("massive_slots")]
    assert tasks[0].source is tasks[1].source
    report = jx.evaluate(model_of(tasks), tasks, split="test", languages=["en", "zh"])
    assert {score.task for score in report} == {"massive_intent", "massive_slots"}


# --- reading --------------------------------------------------------------------------------------


def mrqa_row(spans: list[dict[str, list[int]]]) -> dict[str, Any]:
    return {
        "subset": "NewsQA",
        "context": "A cat sat on a cat.",
        "question": "Who?",
        "detected_answers": {"text": ["cat"], "char_spans": spans},
    }


def test_mrqa_s_spans_end_at_their_last_character() -> None:
    read = example("newsqa", mrqa_row([{"start": [2, 15], "end": [4, 17]}]))
    assert read.answers == ("cat", "cat") and read.starts == (2, 15)


@pytest.mark.parametrize(("start", "last"), [(2, 19), (-1, 3), (5, 4)])
def test_mrqa_s_spans_outside_are_errors(start: int, last: int) -> None:
    with pytest.raises(DataError, match=rf"at characters {start} to {last} of a passage of 19"):
        example("newsqa", mrqa_row([{"start": [start], "end": [last]}]))


@pytest.mark.usefixtures("over_published")
def test_mrqa_s_sets_are_told_apart() -> None:
    for name, subset in (
        ("newsqa", "NewsQA"),
        ("mrqa_natural_questions", "NaturalQuestionsShort"),
    ):
        rows = get_task(name).rows("validation")
        assert len(rows) == 2 and set(rows["subset"]) == {subset}


@pytest.mark.usefixtures("over_published")
def test_quoref_leaves_out_answers_of_several_spans() -> None:
    assert [len(row["text"]) for row in get_task("quoref").rows("train")["answers"]] == [1, 1]


# --- one file, several splits ---------------------------------------------------------------------


@pytest.mark.usefixtures("over_published")
def test_senteval_s_splits_are_told_by_a_column() -> None:
    for name in published_rows.SENTEVAL_LABELS:
        task = get_task(f"senteval_{name}")
        counts = [len(task.rows(split)) for split in SPLITS]
        assert counts == [len(published_rows.SENTEVAL_LABELS[name].split())] * 3
        assert set(task.rows("test")["split"]) == {"te"}


@pytest.mark.usefixtures("over_published")
def test_content_words_are_read_from_the_file() -> None:
    assert get_task("senteval_word_content").label_names == ("boat", "shop", "tree")


@pytest.mark.usefixtures("over_published")
def test_folds_are_those_of_the_metadata() -> None:
    """The data's own `split` is "dev" in all rows."""
    task = get_task("acceptability_whwords")
    for split, word in zip(SPLITS, ("train", "dev", "test"), strict=True):
        assert [text.split()[0] for text in task.rows(split)["context"]] == [word, word]
    assert isinstance(task.source, Files)
    other = task.replace(source=replace(task.source, split_column="fold2"))
    with pytest.raises(DataError, match=r"no column 'fold2' \(asked for by split_column\)"):
        other.rows("train")


def test_missing_metadata_is_named(tmp_path: Path) -> None:
    (tmp_path / "dnc").mkdir()
    (tmp_path / "dnc" / "acceptability-eos_data.json").write_text("[]")
    jx.data_root(tmp_path)
    with pytest.raises(DataError, match=r"eos_metadata.json is missing: it has the folds"):
        get_task("acceptability_eos").rows("train")


def test_a_line_of_senteval_needs_three_fields(tmp_path: Path) -> None:
    (tmp_path / "senteval").mkdir()
    (tmp_path / "senteval" / "tree_depth.txt").write_text("tr\t5\tA b .\ntr\t6\n")
    jx.data_root(tmp_path)
    with pytest.raises(
        DataError, match=r"tree_depth\.txt, line 2: found 2 fields, expected a split"
    ):
        get_task("senteval_tree_depth").rows("train")


@pytest.mark.usefixtures("over_published")
def test_flores_pairs_lines_with_the_english_ones() -> None:
    task = get_task("flores")
    assert task.languages("test") == ("ace_Arab", "sw")
    read = list(task.examples("validation", "sw"))[2]
    assert (read.query, read.candidate, read.relevant) == ("eng_Latn 2", "swh_Latn 2", ("2",))


# --- real slices ----------------------------------------------------------------------------------

# Task -> language -> rows of (train, validation, test).
SLICES = {
    "sib200": dict.fromkeys("ar de en fr sw tr yo zh".split(), (361, 47, 101)),
    "masakhaner2": dict.fromkeys("ha sw yo".split(), (700, 250, 300)),
    "masakhaner2_dates": dict.fromkeys("ha sw yo".split(), (700, 250, 300)),
    "universal_ner": {"sv": (600, 200, 200), "zh_Hant": (600, 200, 200)},
    "americas_nli": {
        "nah": (0, 361, 362),
        **dict.fromkeys("ay gn qu".split(), (0, 362, 360)),
    },
}
REAL = [
    pytest.param(name, language, counts, id=f"{name}-{language}")
    for name, by_language in SLICES.items()
    for language, counts in by_language.items()
]


@real
@pytest.mark.slow
@pytest.mark.parametrize(("name", "language", "counts"), REAL)
def test_real_rows_are_read_and_their_gold_is_perfect(
    name: str, language: str, counts: tuple[int, int, int], tokenizer: Any
) -> None:
    jx.data_root(HUB)
    task = get_task(name)
    for split, count in zip(SPLITS, counts, strict=True):
        if not count:
            assert language not in task.languages(split)
            continue
        examples = list(task.examples(split, language, labelled=True))
        assert len(examples) == count
        gold = [task.reference(example) for example in examples]
        assert {metric_name(m): task.compute(m, gold, gold) for m in task.metrics} == {
            metric_name(m): 100.0 for m in task.metrics
        }
    features = load_features(task, "test", language, tokenizer, max_examples=20)
    assert len(features.table) >= 20


@real
@pytest.mark.slow
def test_sib200_is_parallel_and_has_seven_topics() -> None:
    jx.data_root(HUB)
    task = get_task("sib200")
    topics = {}
    for language in SLICES["sib200"]:
        rows = task.rows("test", language)
        topics[language] = dict(zip(rows["index_id"], rows["category"]))
    assert all(by_id == topics["en"] for by_id in topics.values())
    assert set(topics["en"].values()) <= set(task.label_names) and len(task.label_names) == 7


@real
@pytest.mark.slow
def test_masakhaner_s_dates_are_dropped_and_kept() -> None:
    jx.data_root(HUB)
    dropped = [read.tags for read in get_task("masakhaner2").examples("test", "sw")]
    dated = [read.tags for read in get_task("masakhaner2_dates").examples("test", "sw")]
    undated = [tuple("O" if "DATE" in tag else tag for tag in tags) for tags in dated]
    assert dropped == undated and dropped != dated
