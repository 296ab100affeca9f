"""Edge probing, WiC and WSC: the files, the labels, the scores that count, and real rows."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jiantx as jx
from jiantx import get_task
from jiantx.features import load_features
from jiantx.metrics import metric_name
from jiantx.sources import DataError, read_dependencies, read_edges
from jiantx.tasks.edge_probing import entity_spans

HUB = Path(jx.__file__).parents[2] / "shared" / "hub"
real = pytest.mark.skipif(not (HUB / "edges").is_dir(), reason=f"no real slices at {HUB}")
EDGES = "spr1 spr2 dpr semeval dep edge_ner edge_pos edge_coref edge_srl edge_nonterminal".split()
# labels, spans of a target, file of the validation split
EXPECTED = {
    "spr1": (18, 2, "spr1/spr1.dev.json"),
    "spr2": (20, 2, "spr2/edges.dev.json"),
    "dpr": (2, 2, "dpr/dev.json"),
    "semeval": (19, 2, "semeval/dev.json"),
    "dep": (57, 2, "dep_ewt/en_ewt-ud-dev.json"),
    "edge_ner": (18, 1, "ontonotes/ner/development.json"),
    "edge_pos": (48, 1, "ontonotes/const/pos/development.json"),
    "edge_coref": (2, 2, "ontonotes/coref/development.json"),
    "edge_srl": (66, 2, "ontonotes/srl/development.json"),
    "edge_nonterminal": (30, 1, "ontonotes/const/nonterminal/development.json"),
}
SENTENCE = {
    "text": "Ann saw Bo .",
    "info": {"id": 1},
    "targets": [
        {"span1": [1, 2], "span2": [0, 1], "label": "X", "info": {}},
        {"span1": [1, 2], "span2": [2, 3], "label": "Y"},
    ],
}


def write(path: Path, *objects: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(one)}\n" for one in objects), encoding="utf-8")
    return path


# --- files ----------------------------------------------------------------------------------------


def test_a_target_is_a_row(tmp_path: Path) -> None:
    several = {"text": "a b", "targets": [{"span1": [0, 1], "label": []}]}
    path = write(tmp_path / "x.json", SENTENCE, {"text": "none", "targets": []}, several)
    first, second, third = read_edges(path)
    assert first == {"text": "Ann saw Bo .", "span1": [1, 2], "span2": [0, 1], "label": ["X"]}
    assert second["span2"] == [2, 3] and second["label"] == ["Y"]
    assert third == {"text": "a b", "span1": [0, 1], "label": []}


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ({"targets": []}, r"object 2: expected .*found the keys \['targets'\]"),
        ({"text": "a", "targets": {}}, "object 2: expected"),
        ({"text": "a", "targets": [{"label": "X"}]}, "object 2, target 0: expected a span1"),
        ({"text": "a", "targets": [{"span1": [0, 1]}]}, "target 0: expected a span1 and a label"),
        ({"text": "a", "targets": [{"span1": 0, "label": "X"}]}, "expected span1 to be"),
        ({"text": "a", "targets": [{"span1": [0, 1], "label": 1}]}, "expected a label or a list"),
    ],
)
def test_files_that_cannot_be(sentence: Any, said: str, tmp_path: Path) -> None:
    path = write(tmp_path / "x.json", SENTENCE, sentence)
    with pytest.raises(DataError, match=said) as error:
        list(read_edges(path))
    assert str(path) in str(error.value)


def test_dependencies_are_arcs(tmp_path: Path) -> None:
    columns = [
        ("1-2", "dann's", "_", "_"),
        ("1", "dann", "2", "advmod"),
        ("2", "es", "0", "root"),
        ("2.1", "leer", "_", "_"),
        ("3", "geht", "1", "nmod:poss"),
    ]
    lines = [f"{id}\t{form}\t_\tX\t_\t_\t{head}\t{rel}\t_\t_" for id, form, head, rel in columns]
    path = tmp_path / "de_x-ud-dev.conllu"
    path.write_text("\n".join([*lines, "", ""]), encoding="utf-8")
    rows = list(read_dependencies(path))
    assert {tuple(row["text"]) for row in rows} == {("dann", "es", "geht")}
    arcs = [(row["span1"], row["span2"], row["label"]) for row in rows]
    assert arcs == [
        ([0, 1], [1, 2], "advmod"),
        ([1, 2], [1, 2], "root"),  # the root's head is itself
        ([2, 3], [0, 1], "nmod:poss"),
    ]
    path.write_text(lines[1].replace("\t2\t", "\t7\t") + "\n\n", encoding="utf-8")
    with pytest.raises(DataError, match="word 1 has the head 7, and there are 1 words"):
        list(read_dependencies(path))


@pytest.mark.parametrize(
    ("head", "relation", "said"),
    [
        ("0", "_", "the relation '_': this file has no dependencies"),
        ("_", "nsubj", "the relation 'nsubj' and no head"),
    ],
)
def test_a_word_without_a_head_is_no_root(
    head: str, relation: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "de_x-ud-dev.conllu"
    path.write_text(f"1\tdann\t_\tX\t_\t_\t{head}\t{relation}\t_\t_\n\n", encoding="utf-8")
    with pytest.raises(DataError, match=said):
        list(read_dependencies(path))


def test_an_underscore_is_a_word_and_masked_sentences_are_skipped(tmp_path: Path) -> None:
    sentences = (["a", "_", "b"], ["_", "_", "b"], ["_"])
    path = tmp_path / "de_x-ud-dev.conllu"
    with path.open("w", encoding="utf-8") as file:
        for forms in sentences:
            for number, word in enumerate(forms, 1):
                relation = "root" if number == 1 else "dep"
                file.write(f"{number}\t{word}\t_\tX\t_\t_\t{number - 1}\t{relation}\t_\t_\n")
            file.write("\n")
    assert [row["text"] for row in read_dependencies(path)] == [["a", "_", "b"]] * 3


# --- declarations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EDGES)
def test_declarations(name: str, tmp_path: Path) -> None:
    """Every file of jiant v1 is read, and gold scores 100; missing ones say where they come from."""
    task: Any = get_task(name)
    labels, spans, file = EXPECTED[name]
    assert len(task.label_names) == len(set(task.label_names)) == labels and task.multi_label
    assert task.head_config()["spans"] == spans
    jx.data_root(tmp_path)
    ldc = "LDC2013T19" if name.startswith("edge_") else "LDC99T42" if name == "spr1" else "jiant's"
    with pytest.raises(DataError, match=rf"Task {name}, .*{file} .*Get it from .*{ldc}"):
        task.rows("validation")
    target: dict[str, Any] = {"span1": [0, 1], "span2": [2, 3]}
    if spans == 1:
        del target["span2"]
    targets = [{**target, "label": label} for label in task.label_names]
    write(tmp_path / "edges" / file, {"text": "Ann saw Bo .", "targets": targets})
    examples = list(task.examples("validation", labelled=True))
    assert len(examples) == labels
    references = [task.reference(example) for example in examples]
    assert [task.compute(m, references, references) for m in task.metrics] == [100.0]


def test_coreference_is_scored_on_what_corefers() -> None:
    task = get_task("edge_coref")
    (metric,) = task.metrics
    gold = [("1",), ("0",), ("0",), ("1",)]
    predicted = [("1",), ("0",), ("1",), ("0", "1")]
    assert task.compute(metric, predicted, gold) == pytest.approx(100 * 4 / 5)
    assert metric_name(metric) == "f1_1"


def test_roles_are_scored_without_continued_and_referring_ones() -> None:
    task = get_task("edge_srl")
    (metric,) = task.metrics
    gold = [("ARG0",), ("R-ARG0",), ("C-ARG1",), ("ARG1",)]
    predicted = [("ARG0", "R-ARG1"), (), ("ARG1",), ()]
    assert task.compute(metric, predicted, gold) == pytest.approx(100 * 2 / 4)
    assert metric_name(metric) == "clean_micro_f1"


def test_wic_and_wsc_may_share_a_head() -> None:
    """They share none by default."""
    wic, wsc = get_task("wic"), get_task("wsc")
    assert wic.head_config() == wsc.head_config() and wic.head_name != wsc.head_name
    assert wic.label_names == ("False", "True")


# --- real rows ------------------------------------------------------------------------------------


@real
@pytest.mark.parametrize("name", ["spr1", "spr2", "dpr", "semeval"])
def test_labels_are_those_of_the_files(name: str) -> None:
    jx.data_root(HUB)
    path = HUB / "edges" / name / "labels.txt"
    if path.is_file():
        assert sorted(get_task(name).label_names) == sorted(path.read_text().split("\n")[:-1])
    for split in ("train", "test"):
        assert list(get_task(name).examples(split, labelled=True))


@real
@pytest.mark.parametrize("name", ["wic", "wsc", "spr2", "dpr", "semeval", "dep"])
def test_real_spans_are_decoded(name: str, tokenizer: Any, tmp_path: Path) -> None:
    """The pieces of a span hold its letters, and few others; gold scores 100."""
    jx.data_root(HUB)
    task: Any = get_task(name)
    features = load_features(task, "validation", "en", tokenizer, max_examples=100)
    examples = features.examples()
    assert features.count("lost_targets") == 0
    references = [task.reference(example) for example in examples]
    assert None not in references
    assert [task.compute(m, references, references) for m in task.metrics] == [100.0]
    exact = 0
    index = 0
    for row in features.table:
        for target in range(len(row["labels"])):
            start = row["span2_positions"][target]
            pieces = row["input_ids"][start : start + row["span2_sizes"][target]]
            example = examples[index]
            index += 1
            first, stop = example.spans[1]
            text = (example.text_pair or example.text)[first:stop]
            alone = tokenizer(text, add_special_tokens=False)["input_ids"]
            decoded = ["".join(tokenizer.decode(ids).split()) for ids in (pieces, alone)]
            assert decoded[1] in decoded[0]
            exact += decoded[0] == decoded[1]
    assert index == len(examples) and exact >= 0.97 * index


@real
@pytest.mark.parametrize("language", ["de", "tr", "zh"])
@pytest.mark.parametrize("name", ["ud_dep", "edge_udpos"])
def test_universal_dependencies(name: str, language: str, tokenizer: Any) -> None:
    """Targets of a sentence share its input, in many languages; gold scores 100."""
    jx.data_root(HUB)
    task: Any = get_task(name)
    rows = task.rows("validation", language)
    examples = list(task.examples("validation", language, rows=rows, labelled=True))
    assert len(examples) > 1000
    references = [task.reference(example) for example in examples]
    assert {len(labels) for labels in references} == {1}
    assert [task.compute(m, references, references) for m in task.metrics] == [100.0]
    table = task.features(examples[:300], tokenizer, task.max_length)
    assert sum(map(len, table["labels"])) == 300 and len(table["labels"]) < 60
    assert sum(table["lost_targets"]) == 0


@real
@pytest.mark.parametrize("language", ["sv", "zh_Hant"])
def test_entities_are_targets(language: str) -> None:
    """As many as the tags begin, with the tags' types and words."""
    jx.data_root(HUB)
    tags = get_task("universal_ner").examples("validation", language)
    begun = Counter(tag[2:] for example in tags for tag in example.tags if tag[:2] == "B-")
    targets = list(get_task("edge_uner").examples("validation", language))
    assert Counter(label for target in targets for label in target.label) == begun
    assert all(target.text[slice(*target.spans[0])].strip() for target in targets)


def test_entities_end_where_another_begins() -> None:
    tags = "I-PER I-PER B-PER O B-ORG I-LOC B-OTH I-OTH O".split()
    row = {"tokens": list("abcdefghi"), "ner_tags": tags}
    entities = [(target["span1"], target["label"]) for target in entity_spans(row)]
    assert entities == [([0, 2], "PER"), ([2, 3], "PER"), ([4, 5], "ORG"), ([5, 6], "LOC")]


@real
def test_wsc_finds_the_words_that_it_names() -> None:
    """Traps 9 and 10: case and punctuation differ, and one index is off by a word."""
    jx.data_root(HUB)
    task: Any = get_task("wsc")
    for split in ("train", "validation", "test"):
        rows = task.rows(split)
        examples = list(task.examples(split, rows=rows))
        differing = 0
        for row, example in zip(rows, examples, strict=True):
            for number, (start, stop) in enumerate(example.spans, 1):
                differing += example.text[start:stop].lower() != row[f"span{number}_text"].lower()
        assert not differing, split
    by_index = {row["idx"]: index for index, row in enumerate(task.rows("validation"))}
    example = list(task.examples("validation"))[by_index[42]]
    start, stop = example.spans[1]
    assert example.text[start:stop] == "it", "its index points at `use`"
    assert task.label_names == ("False", "True") == get_task("wic").label_names


@real
def test_wic_spans_are_characters() -> None:
    jx.data_root(HUB)
    task: Any = get_task("wic")
    rows = task.rows("validation")
    heads = []
    for row, example in zip(rows, task.examples("validation"), strict=True):
        (start1, stop1), (start2, stop2) = example.spans
        assert (start1, stop1) == (row["start1"], row["end1"])
        assert example.text == row["sentence1"] and example.text_pair == row["sentence2"]
        heads.append(example.text_pair[start2:stop2].lower() == row["word"].lower())
    assert 0.6 < np.mean(heads) < 1, "spans are inflected words, not the lemma"
