"""The publishers' own files read by the library's tasks, and what features keep of gold: every
span, every tag.

A file that the Hub does not have in this form needs a reader and perhaps a function of the row, no
more: `LAYOUTS` shows it for each of the data sets under shared/data."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_library import HUB, UNLABELLED_TESTS, gold_scores, listed
from transformers import AutoTokenizer

import jiantx as jx
from jiantx import data_root, get_task
from jiantx.features import encode_examples
from jiantx.metrics import best_threshold, metric_name
from jiantx.sources import (
    DataError,
    Row,
    read_bucc,
    read_conll,
    read_conllu,
    read_csv,
    read_jsonl,
    read_laser,
    read_lines,
    read_squad,
    read_tsv,
    read_xquad_r,
    read_xquad_r_sentences,
    read_xtreme_tsv,
)
from jiantx.tasks import languages
from jiantx.tasks.languages import TATOEBA, TYDIQA
from jiantx.tokenization import tokenize

SHARED = HUB.parent
DATA = SHARED / "data"
TINY_XLM = SHARED / "models" / "tiny-xlm"
real = pytest.mark.skipif(not DATA.is_dir(), reason=f"no published files at {DATA}")


# --- what a user writes: columns of their rows ----------------------------------------------------


def csqa_stem(row: Row) -> str:
    stem: str = row["question"]["stem"]
    return stem


def csqa_choices(row: Row) -> list[str]:
    return [choice["text"] for choice in row["question"]["choices"]]


def xnli_mt_label(row: Row) -> str:
    """XNLI-MT says `contradictory`."""
    return "contradiction" if row["label"] == "contradictory" else row["label"]


def anli_label(row: Row) -> str:
    return {"e": "entailment", "n": "neutral", "c": "contradiction"}[row["label"]]


def of_language(row: Row, language: str) -> bool:
    """One file of all languages."""
    return bool(row["language"] == language)


# --- which task reads which file, and how ---------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """A task, a pattern of paths under shared/data with its groups `split` and `language`, a
    reader, and columns.
    """

    task: str
    path: str
    read: Callable[[Path], Any]
    columns: dict[str, Any] = field(default_factory=dict)
    mixed: tuple[str, ...] = ()  # the languages of a file that holds several
    header: bool = False  # whether the manifest counts the header as a record


TAGS = {"tags": "tags"}
PAIR = {"text": "sentence1", "text_pair": "sentence2"}
MIXED = {"xnli": tuple("ar de en es fr sw tr zh".split()), "original": languages.XNLI}
LAYOUTS = [
    Layout("squad_v1", r"squad_v1\.1/(?P<split>\w+)\.json", read_squad),
    Layout("squad_v2", r"squad_v2\.0/(?P<split>\w+)\.json", read_squad),
    Layout("xquad", r"xquad/xquad\.(?P<language>..)\.json", read_squad),
    Layout(
        "mlqa",
        r"mlqa/MLQA_V1/(?P<split>dev)/dev-context-(?P<language>..)-question-..\.json",
        read_squad,
    ),
    Layout("tydiqa", r"tydiqa/.+-goldp-(?P<split>\w+)-(?P<language>\w+)\.json", read_squad),
    Layout(
        "hellaswag",
        r"(original_format_excerpts/)?hellaswag/hellaswag_(?P<split>\w+)\.jsonl",
        read_jsonl,
    ),
    Layout("cosmosqa", r"cosmosqa/(?P<split>\w+)\.csv", read_csv),
    Layout(
        "commonsenseqa",
        r"commonsenseqa/(?P<split>[a-z]+)_rand_split\w*\.jsonl",
        read_jsonl,
        {"prompt": csqa_stem, "choices": csqa_choices},
    ),
    Layout(
        "siqa",
        r"social_iqa/socialIQa_v1\.4_(?P<split>\w+)\.jsonl",
        read_jsonl,
        {"label": "correct"},
    ),
    Layout("copa", r"copa_en/(?P<split>\w+)\.en\.jsonl", read_jsonl),
    Layout("xcopa", r"xcopa/../(?P<split>\w+)\.(?P<language>..)\.jsonl", read_jsonl),
    Layout(
        "mnli",
        r"xnli_mt/multinli\.(?P<split>\w+)\.(?P<language>..)\.tsv",
        read_tsv,
        {"text_pair": "hypo", "label": xnli_mt_label},
    ),
    Layout(
        "mnli",
        r"original_format_excerpts/xnli/XNLI-MT-1\.0/multinli/multinli\.(?P<split>\w+)\.(?P<language>..)\.tsv",
        read_tsv,
        {"text_pair": "hypo", "label": xnli_mt_label},
        header=True,
    ),
    Layout(
        "mnli",
        r"original_format_excerpts/multinli/.+_(?P<split>train|dev)\w*\.jsonl",
        read_jsonl,
        {**PAIR, "label": "gold_label"},
    ),
    Layout(
        "mnli",
        r"original_format_excerpts/(multinli/multinli_1.0/multinli_1\.0_|glue/MNLI/)(?P<split>[a-z]+)\w*\.(txt|tsv)",
        read_tsv,
        {**PAIR, "label": "gold_label"},
        header=True,
    ),
    Layout("snli", r"snli/snli_(?P<split>\w+)\.jsonl", read_jsonl, {**PAIR, "label": "gold_label"}),
    Layout(
        "snli",
        r"original_format_excerpts/snli/snli_1\.0/snli_1\.0_(?P<split>\w+)\.txt",
        read_tsv,
        {**PAIR, "label": "gold_label"},
        header=True,
    ),
    Layout(
        "anli",
        r"(original_format_excerpts/anli/)?anli(_v0\.1)?/R./(?P<split>\w+)\.jsonl",
        read_jsonl,
        {"text": "context", "label": anli_label},
    ),
    Layout(
        "xnli",
        r"xnli/xtreme/(?P<split>\w+)-(?P<language>..)(\.nolabel)?\.tsv",
        read_xtreme_tsv,
        PAIR,
    ),
    Layout(
        "xnli",
        r"xnli/XNLI-1\.0/xnli\.(?P<split>\w+)\.jsonl",
        read_jsonl,
        {**PAIR, "label": "gold_label"},
        mixed=MIXED["xnli"],
    ),
    Layout(
        "xnli",
        r"xnli/XNLI-1\.0/xnli\.(?P<split>\w+)\.tsv",
        read_tsv,
        {**PAIR, "label": "gold_label"},
        mixed=MIXED["xnli"],
    ),
    Layout(
        "xnli",
        r"original_format_excerpts/xnli/XNLI-1\.0/xnli\.(?P<split>\w+)\.tsv",
        read_tsv,
        {**PAIR, "label": "gold_label"},
        mixed=MIXED["original"],
        header=True,
    ),
    Layout(
        "xnli",
        r"original_format_excerpts/xnli/XNLI-1\.0/xnli\.(?P<split>\w+)\.jsonl",
        read_jsonl,
        {**PAIR, "label": "gold_label"},
        mixed=("ar",),
    ),
    Layout(  # the test sets translated into English; `language` is what they were translated from
        "xnli",
        r"original_format_excerpts/xnli/XNLI-MT-1\.0/xnli/xnli\.(?P<split>\w+)\.en\.jsonl",
        read_jsonl,
        {**PAIR, "label": "gold_label"},
    ),
    Layout(
        "xnli",
        r"original_format_excerpts/xnli/XNLI-MT-1\.0/xnli/xnli\.(?P<split>\w+)\.en\.tsv",
        read_tsv,
        {**PAIR, "label": "gold_label"},
        header=True,
    ),
    Layout(
        "pawsx",
        r"pawsx/xtreme/(?P<split>\w+)-(?P<language>..)(\.placeholders)?\.tsv",
        read_xtreme_tsv,
    ),
    Layout("pawsx", r"pawsx/x-final/(?P<language>..)/(?P<split>\w+)_2k\.tsv", read_tsv),
    Layout(
        "pawsx",
        r"original_format_excerpts/paws-x/x-final/(?P<language>..)/(translated_)?(?P<split>[a-z]+)(_2k)?\.tsv",
        read_tsv,
        header=True,
    ),
    Layout("udpos", r"ud/UD_[^/]+/(?P<language>..)_\w+-ud-(?P<split>\w+)\.conllu", read_conllu),
    Layout("udpos", r"udpos_xtreme/(?P<split>\w+)-(?P<language>..)\.tsv", read_conll),
    Layout(
        "panx", r"wikiann/(?P<language>..)/(?P<split>\w+)", partial(read_conll, prefixed=True), TAGS
    ),
    Layout(
        "panx",
        r"uner/UNER_[^/]+/(?P<language>..)_\w+-ud-(?P<split>\w+)\.iob2",
        partial(read_conll, token=1, tag=2),
        TAGS,
    ),
    Layout("tatoeba", r"tatoeba/v1/tatoeba\.(?P<language>...)-eng\.(?!eng)...", read_laser),
    Layout("bucc2018", r"bucc2018/(?P<language>zh)-en\.(?P<split>dev)\.zh", read_bucc),
    Layout("lareqa", r"lareqa/xquad-r/(?P<language>..)\.json", read_xquad_r),
    Layout("mlm", r"mlm_text/(?P<language>..)\.(?P<split>\w+)\.txt", read_lines),
]
# read with another file; not a data set
BESIDE = r"tatoeba/.*\.eng|bucc2018/.*\.(en|gold)|xtreme_mock_test_data/.*"
SPLIT_NAMES = {"trn": "train", "dev": "validation", "val": "validation", "valid": "validation"}
CODES = {word: code for codes in (TATOEBA, TYDIQA) for code, word in codes.items()}
UNLABELLED = r"commonsenseqa/test|xnli/xtreme/test-en\.nolabel|.*/hellaswag_test|.*/glue/MNLI/test"


@dataclass(frozen=True)
class Case:
    """A file, or the part of it in one language, and the number of rows that the manifest says it
    has.
    """

    layout: Layout
    path: str
    split: str
    language: str
    count: int

    @property
    def task(self) -> jx.Task:
        """The library's task over this file."""
        data = str(DATA / self.path)
        files = partial(jx.Files, languages=(self.language,), splits={self.split: ""})
        source = files(data, self.layout.read, where=of_language if self.layout.mixed else None)
        columns = dict(self.layout.columns)
        if self.layout.task == "bucc2018":
            columns["corpus"] = files(data.removesuffix("zh") + "en", read_bucc)
        if self.layout.task == "lareqa":
            columns["corpus"] = files(data, read_xquad_r_sentences)
        return get_task(self.layout.task).replace(source=source, **columns)


def cases() -> Iterator[Any]:
    """A case for each file of the manifest and each of its languages."""
    for path, count in manifest().items():
        for layout in LAYOUTS:
            if match := re.fullmatch(layout.path, path):
                groups = match.groupdict()
                word = groups.get("split", "validation")
                split = SPLIT_NAMES.get(word, word)
                one = groups.get("language", "en")
                spoken = layout.mixed or (CODES.get(one, one),)
                for language in spoken:
                    case = Case(
                        layout, path, split, language, (count - layout.header) // len(spoken)
                    )
                    yield pytest.param(case, id=f"{path}-{language}")


@cache
def manifest() -> dict[str, int]:
    """Path -> records."""
    if not DATA.is_dir():
        return {}
    lines = (DATA / "MANIFEST.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return {line.split("\t")[0]: int(line.split("\t")[2]) for line in lines}


CASES = list(cases())
# Lines that are no rows of their own: BUCC's sentences that occur twice, as in XTREME's code.
TWICE = {"bucc2018/zh-en.dev.zh": 1}
# Questions whose gold cannot score: "una" is an article, which MLQA's script drops, and no words
# score F1 0.
LOST = {"mlqa/MLQA_V1/dev/dev-context-es-question-es.json": {"f1": 1}}


@real
def test_every_published_file_has_its_task() -> None:
    counts = dict.fromkeys(manifest(), 0)
    for layout in LAYOUTS:
        for path in counts:
            counts[path] += bool(re.fullmatch(layout.path, path))
    odd = [path for path, n in counts.items() if n != 1 and not re.fullmatch(BESIDE, path)]
    assert not odd and len(CASES) > 200


@real
def test_readme_and_manifest_agree() -> None:
    """So the counts that the manifest gives are the README's."""
    listed = 0
    text = (DATA / "README.md").read_text(encoding="utf-8")
    for section in text.split("\n## ")[1:]:
        folder = section.split(" - ")[0]
        for path, count in re.findall(r"^\| `([^`]+)` \| ([\d,]+) \|", section, re.MULTILINE):
            assert manifest()[f"{folder}/{path}"] == int(count.replace(",", "")), path
            listed += 1
    assert listed > 140
    pairs = re.search(r"^Pairs: (.+)\.$", text, re.MULTILINE)
    assert pairs
    for pair in pairs[1].split(", "):
        language, count = pair.split()
        assert manifest()[f"tatoeba/v1/tatoeba.{language}-eng.eng"] == int(count.replace(",", ""))


@real
@pytest.mark.parametrize("case", [p for p in CASES if not re.match(UNLABELLED, p.values[0].path)])
def test_published_file(case: Case) -> None:
    task = case.task
    rows = task.rows(case.split, case.language)
    assert len(rows) == case.count - TWICE.get(case.path, 0)
    examples = list(task.examples(case.split, case.language, rows=rows, labelled=True))
    known_losses = LOST.get(case.path, {})
    expected = {
        metric_name(metric): 100.0 * (1 - known_losses.get(metric_name(metric), 0) / len(rows))
        for metric in task.metrics
    }
    scores = gold_scores(task, examples)
    assert scores == pytest.approx(expected)
    assert task.main_score(scores) == pytest.approx(task.main_score(expected))


@real
@pytest.mark.parametrize("case", [p for p in CASES if re.match(UNLABELLED, p.values[0].path)])
def test_published_file_without_labels(case: Case) -> None:
    task = case.task
    assert len(task.rows(case.split, case.language)) == case.count
    assert all(
        task.reference(example) is None for example in task.examples(case.split, case.language)
    )
    with pytest.raises(
        DataError,
        match=f"Task {task.name}, split '{case.split}', language 'en', row 0.*: .*(label|answerKey)",
    ):
        next(task.examples(case.split, case.language, labelled=True))


# --- features: what a perfect head says of them, decoded ------------------------------------------

TOKENIZERS = ("tiny_xlm", "tokenizer", "bert_tokenizer", "roberta_tokenizer")


@pytest.fixture(scope="session")
def tiny_xlm() -> Any:
    if not TINY_XLM.is_dir():
        pytest.skip(f"no tokenizer at {TINY_XLM}")
    return AutoTokenizer.from_pretrained(TINY_XLM)


@pytest.fixture(scope="session")
def tokenizers(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {name: request.getfixturevalue(name) for name in TOKENIZERS}


def some(rows: Any, number: int = 60) -> Any:
    """Rows from all over a data set."""
    return rows.select(range(0, len(rows), -(-len(rows) // number)))


def perfect(task: jx.Task, table: Any) -> dict[str, np.ndarray]:
    """The outputs of a head that has learnt the features by heart."""
    columns = table.with_format("numpy")[:]
    labels = np.concatenate(list(columns["labels"]))
    assert (labels >= 0).all()
    if isinstance(task, jx.Classification):
        return {"probabilities": np.eye(len(task.label_names))[labels]}
    if isinstance(task, jx.Regression):
        return {"numbers": np.concatenate(list(columns["targets"]))}
    if isinstance(task, jx.TokenClassification):
        return {"tags": labels, "probabilities": np.ones(len(labels))}
    if isinstance(task, jx.MultipleChoice):
        sizes = np.array([len(lengths) for lengths in columns["lengths"]])
        scores = np.zeros(sizes.sum())
        scores[np.cumsum(sizes) - sizes + labels] = 1.0
        return {"scores": scores}
    assert isinstance(task, jx.QuestionAnswering)
    sizes = np.array([len(ids) for ids in columns["input_ids"]])
    first = np.cumsum(sizes) - sizes
    outputs = {}
    for side in ("start", "end"):
        logits = np.full(sizes.sum(), -9.0)
        logits[first + np.concatenate(list(columns[f"{side}_positions"]))] = 9.0
        outputs[f"{side}_logits"] = logits
    return outputs


class Spans:
    """Where the first answer of each question begins and ends: as given, and by the features'
    tokens.
    """

    def __init__(self, task: jx.QuestionAnswering, examples: list[Any], tokenizer: Any) -> None:
        table = encode_examples(task, examples, tokenizer)
        columns = table.with_format("numpy")[:]
        spans_of_example: list[set[tuple[int, int]]] = [set() for _ in examples]
        for index, start, end, head, starts, ends in zip(
            *(
                columns[name]
                for name in ("example", "start_positions", "end_positions", "context_start")
            ),
            *(columns[name] for name in ("offset_starts", "offset_ends")),
            strict=True,
        ):
            if start[0]:
                first, last = start[0] - head[0], end[0] - head[0]
                spans_of_example[index].add((int(starts[first]), int(ends[last])))
                gold = (
                    examples[index].starts[0],
                    examples[index].starts[0] + len(examples[index].answers[0]),
                )
                assert ends[first] > gold[0] and starts[last] < gold[1], (
                    "a token at the border is not the answer's"
                )
        self.wider, self.cut, self.longer = 0, 0, 0
        self.texts: dict[int, str] = {}
        for index, (example, spans) in enumerate(zip(examples, spans_of_example, strict=True)):
            assert len(spans) == 1 or not (spans and example.answers), (
                "windows differ, or hold what is no answer"
            )
            if spans:
                self.texts[index] = self._compare(example, *spans.pop())
            elif example.answers:
                # windows overlap by at least so much; a longer answer may be cut by all of them
                overlap = task.max_length - task.max_question_length - 4 - task.stride
                assert len(tokenize(tokenizer, [example.answers[0]])[0].ids) > overlap
                self.longer += 1

    def _compare(self, example: Any, start: int, end: int) -> str:
        context, first = example.context, example.starts[0]
        last = first + len(example.answers[0])
        text: str = context[start:end].strip()
        start += len(context[start:end]) - len(context[start:end].lstrip())
        dropped_text = context[first:start] + context[start + len(text) : last]
        assert all(c.isspace() or unicodedata.category(c) == "Cf" for c in dropped_text), (
            "a letter of the answer has no token"
        )
        self.cut += bool(dropped_text)
        self.wider += start < first or start + len(text) > last
        return text


def check_round_trip(
    task: jx.Task, examples: list[Any], tokenizer: Any, max_length: int | None = None
) -> None:
    """Gold comes back from features: as labels, as tags, as spans."""
    if isinstance(task, jx.QuestionAnswering):
        task = task.replace(max_answer_length=384)
    table = encode_examples(task, examples, tokenizer, max_length)
    values = [prediction.value for prediction in task.decode(perfect(task, table), table, examples)]
    if isinstance(task, jx.QuestionAnswering):
        spans = Spans(task, examples, tokenizer)
        for index, example in enumerate(examples):
            if index in spans.texts:
                assert values[index].text == spans.texts[index] and values[index].no_answer < 0
            elif task.unanswerable:
                assert not example.answers and values[index].no_answer > 0
    elif isinstance(task, jx.Regression):
        assert values == pytest.approx([task.reference(example) for example in examples], abs=1e-5)
    elif isinstance(task, jx.MultipleChoice) and task.scored_texts:
        for value, example in zip(values, examples, strict=True):
            right: Any = task.reference(example)
            assert value.text in right.texts
    else:
        assert values == [task.reference(example) for example in examples]


def asked(kind: type[jx.Task] | tuple[type[jx.Task], ...]) -> list[Any]:
    return [p for p in CASES if isinstance(get_task(p.values[0].layout.task), kind)]


LEARNT = (
    jx.Classification,
    jx.MultipleChoice,
    jx.QuestionAnswering,
    jx.Regression,
    jx.TokenClassification,
)


@real
@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [p for p in asked(LEARNT) if not re.match(UNLABELLED, p.values[0].path)]
)
def test_round_trip_of_published_files(case: Case, tokenizers: dict[str, Any]) -> None:
    task = case.task
    rows = some(task.rows(case.split, case.language))
    examples = list(task.examples(case.split, case.language, rows=rows, labelled=True))
    for tokenizer in tokenizers.values():
        check_round_trip(task, examples, tokenizer)
        if isinstance(task, jx.TokenClassification):  # split and merged: no word is lost
            check_round_trip(task, examples, tokenizer, max_length=32)


def hub_rows(task: jx.Task, split: str) -> int:
    """How many rows of a split the card of the slices lists for a task."""
    total = 0
    for source in getattr(task.source, "sources", (task.source,)):
        if isinstance(source, jx.Hub):
            names = split if source.splits is None else source.splits.get(split, ())
            dataset_words = (
                source.languages.values()
                if isinstance(source.languages, dict)
                else source.languages
            )
            configs = {
                source.config and source.config.format(language=word) for word in dataset_words
            }
            for (repository, config, listed_split), count in listed().items():
                if repository == source.path and listed_split in (
                    (names,) if isinstance(names, str) else names
                ):
                    total += count if configs & {config, None} else 0
    return total


ON_THE_HUB = [
    pytest.param(name, split, id=f"{name}-{split}")
    for name in jx.list_tasks()
    for split in ("train", "validation", "test")
    if isinstance(get_task(name), LEARNT) and (name == "udpos" or hub_rows(get_task(name), split))
    if not get_task(name).training_problem  # whose labels are not those of its head
]


@real
@pytest.mark.slow
@pytest.mark.parametrize(("name", "split"), ON_THE_HUB)
def test_round_trip_of_hub_slices(name: str, split: str, tokenizers: dict[str, Any]) -> None:
    data_root(HUB)
    task, read = get_task(name), 0
    for language in task.languages(split):
        rows = task.rows(split, language)
        read += len(rows)
        if split == "test" and name in UNLABELLED_TESTS:  # whose labels are placeholders
            continue
        examples = list(task.examples(split, language, rows=some(rows, 40), labelled=True))
        for tokenizer in tokenizers.values():
            check_round_trip(task, examples, tokenizer)
            if isinstance(task, jx.TokenClassification):
                check_round_trip(task, examples, tokenizer, max_length=32)
    assert read == hub_rows(task, split) or name == "udpos"


# --- spans that cannot come back to the letter: how many, and why ---------------------------------

# With tiny-xlm's pieces, of all questions of a file: (wider, cut, longer).
# wider: a piece holds the answer's border and its neighbours: "(118)" for "118", ")." for ")",
# "년부터" for "년".
# cut: the answer begins or ends with white space (TyDi QA) or with U+200B (MLQA's Spanish), which
# have no piece.
# longer: no window holds the whole answer.
SPANS: dict[str, tuple[int, int, int]] = {
    "mlqa/MLQA_V1/dev/dev-context-de-question-de.json": (5, 0, 0),
    "mlqa/MLQA_V1/dev/dev-context-de-question-en.json": (5, 0, 0),
    "mlqa/MLQA_V1/dev/dev-context-en-question-en.json": (7, 0, 0),
    "mlqa/MLQA_V1/dev/dev-context-es-question-de.json": (3, 5, 0),
    "mlqa/MLQA_V1/dev/dev-context-es-question-es.json": (7, 10, 0),
    "squad_v1.1/dev.json": (6, 0, 0),
    "squad_v1.1/train.json": (23, 0, 0),
    "squad_v2.0/dev.json": (6, 0, 0),
    "squad_v2.0/train.json": (18, 0, 0),
    "tydiqa/tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-english.json": (16, 0, 0),
    "tydiqa/tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-korean.json": (133, 0, 0),
    "tydiqa/tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-swahili.json": (39, 0, 0),
    "tydiqa/tydiqa-goldp-v1.1-train/tydiqa-goldp-train-english.json": (46, 6, 1),
    "tydiqa/tydiqa-goldp-v1.1-train/tydiqa-goldp-train-swahili.json": (21, 0, 0),
    "xquad/xquad.ar.json": (24, 0, 0),
    "xquad/xquad.de.json": (8, 0, 0),
    "xquad/xquad.en.json": (13, 0, 0),
    "xquad/xquad.es.json": (16, 0, 0),
    "xquad/xquad.tr.json": (11, 0, 0),
    "xquad/xquad.zh.json": (2, 0, 0),
}


@real
@pytest.mark.slow
@pytest.mark.parametrize("case", asked(jx.QuestionAnswering))
def test_spans_that_do_not_come_back_to_the_letter(case: Case, tiny_xlm: Any) -> None:
    task: Any = case.task
    examples = list(task.examples(case.split, case.language, labelled=True))
    assert not sum(example.realigned for example in examples)
    spans = Spans(task, examples, tiny_xlm)
    assert (spans.wider, spans.cut, spans.longer) == SPANS[case.path]


# --- languages that no slice has ------------------------------------------------------------------

PASSAGES = {  # passage, question, answer
    "th": ("แม่น้ำโขงไหลผ่านหกประเทศและยาวประมาณ 4,350 กิโลเมตร", "แม่น้ำโขงยาวเท่าไร", "4,350 กิโลเมตร"),
    "hi": (
        "गंगा नदी हिमालय से निकलती है और बंगाल की खाड़ी में गिरती है।",
        "गंगा कहाँ गिरती है?",
        "बंगाल की खाड़ी में",
    ),
    "sw": (
        "Mlima Kilimanjaro uko Tanzania; kimo chake ni mita 5,895.",
        "Mlima uko wapi?",
        "Tanzania",
    ),
    "tr": ("Ağrı Dağı'nın yüksekliği 5.137 metredir; İğdır'dadır.", "Nerededir?", "İğdır"),
    "ar": ("يبلغ طول نهر النيل حوالي ٦٦٥٠ كيلومترًا.", "كم يبلغ طول النيل؟", "٦٦٥٠ كيلومترًا"),
    "zh": ("长江全长约6300公里，流经十一个省份。", "长江多长？", "6300公里"),
}


@pytest.mark.parametrize("language", PASSAGES)
def test_round_trip_in_other_scripts(language: str, tokenizers: dict[str, Any]) -> None:
    """Jiant lower-cased XLM-R's text to align it, which moves what follows a Turkish İ.

    Here offsets are given.
    """
    context, question, answer = PASSAGES[language]
    start = context.index(answer)
    row = {
        "question": question,
        "context": context,
        "answers": {"text": [answer], "answer_start": [start]},
    }
    tokens = list(context) if language in ("th", "zh") else context.split()
    # a word of marks alone, one of a space that is none, and one that many pieces write
    tokens = [word for word in tokens if word.strip()] + ["ั", "\u200b", "ก" * 120]
    tags = [("O", "B-PER", "I-PER")[index % 3] for index in range(len(tokens))]
    rows: dict[str, dict[str, Any]] = {
        "xquad": row,
        "panx": {"tokens": tokens, "ner_tags": tags},
        "xnli": {"premise": context, "hypothesis": answer, "label": "neutral"},
        "siqa": {
            "context": context,
            "question": question,
            **{f"answer{x}": answer + x for x in "ABC"},
            "label": "2",
        },
        "stsb": {"sentence1": context, "sentence2": answer, "similarity_score": 3.2},
    }
    for name, split_rows in rows.items():
        task = get_task(name)
        if name == "xquad":  # several windows
            task = task.replace(max_length=192, stride=64)
        example = task.example(split_rows, id="1", language=language)
        for tokenizer in tokenizers.values():
            check_round_trip(task, [example], tokenizer)
            if name == "panx":
                check_round_trip(task, [example], tokenizer, max_length=32)


# --- traps of the data and of its scores ----------------------------------------------------------


@real
def test_mining_does_not_read_the_hub_s_bucc() -> None:
    """The Hub's copy holds the gold pairs alone, and nothing to tell them from."""
    data_root(HUB)
    assert isinstance(get_task("bucc2018").source, jx.Files)
    examples = list(get_task("bucc2018").examples("validation", "zh"))
    pairs = sum(len(example.relevant) for example in examples)
    assert pairs == listed()["google/xtreme", "bucc18.zh", "validation"] < len(examples) / 20


@pytest.mark.parametrize(
    ("language", "other"), [("el", "grc"), ("zh", "lzh"), ("de", "gsw"), ("fr", "fro")]
)
def test_treebanks_are_chosen_by_file_prefix(language: str, other: str, tmp_path: Path) -> None:
    """The Hub's udpos takes Ancient Greek for Greek, and Swiss German for German."""
    for code in (language, other):
        path = tmp_path / f"ud-treebanks-v2.5/UD_{code}-X/{code}_x-ud-dev.conllu"
        path.parent.mkdir(parents=True)
        path.write_text(f"1\t{code}\t_\tNOUN\t_\t_\t0\t_\t_\t_\n\n")
    data_root(tmp_path)
    assert [example.words for example in get_task("udpos").examples("validation", language)] == [
        (language,)
    ]


def test_tags_are_scored_as_xtreme_scores_them() -> None:
    """Chunks of bare tags, CCONJ and SCONJ apart; the share of right words is beside it."""
    for name in ("udpos", "udpos_hub"):
        task: Any = get_task(name)
        chunks, word_accuracy = task.metrics
        assert task.main_metrics == (chunks,)
        gold = [("NOUN", "NOUN", "CCONJ", "VERB")]
        assert chunks([("NOUN", "NOUN", "SCONJ", "VERB")], gold) == pytest.approx(200 / 3)
        assert chunks([("NOUN", "VERB", "CCONJ", "VERB")], gold) == pytest.approx(400 / 7), (
            "equal neighbours are one"
        )
        assert word_accuracy([("NOUN", "VERB", "CCONJ", "VERB")], gold) == 75


def test_pawsx_is_read_from_its_own_repository() -> None:
    """XTREME's copy on the Hub lost rows. 1 is a paraphrase."""
    task: Any = get_task("pawsx")
    assert task.source.path == "google-research-datasets/paws-x"
    row = {"sentence1": "It is so.", "sentence2": "So it is.", "label": "1"}
    assert task.reference(task.example(row, id="1", language="en")) == "1" == task.labels[1]


@real
def test_placeholders_of_pawsx_are_kept() -> None:
    """XTREME's scores count them."""
    (case,) = (param.values[0] for param in CASES if "placeholders" in param.values[0].path)
    examples = list(case.task.examples(case.split, case.language, labelled=True))
    assert len(examples) == 48 and all("NS" in (e.text, e.text_pair) for e in examples)


def test_tydiqa_s_languages_are_told_apart() -> None:
    """Jiant trained its English on all nine languages."""
    source = get_task("tydiqa").source
    assert isinstance(source, jx.Hub) and source.where is not None
    ids = [f"{word}-1-0" for word in TYDIQA.values()]
    for language, word in TYDIQA.items():
        assert [id for id in ids if source.where({"id": id}, language)] == [f"{word}-1-0"]


@pytest.mark.parametrize("name", ["xquad", "tydiqa"])
def test_one_set_is_development_and_test(name: str) -> None:
    """Their scores as development and as test are of the same questions."""
    source = get_task(name).source
    assert isinstance(source, jx.Hub) and source.splits is not None
    assert source.splits["validation"] == source.splits["test"] == "validation"


def hubs() -> list[jx.Hub]:
    sources = [get_task(name).source for name in jx.list_tasks()]
    joined = [inner for source in sources for inner in getattr(source, "sources", (source,))]
    return list({inner.path: inner for inner in joined if isinstance(inner, jx.Hub)}.values())


@pytest.mark.parametrize("source", hubs(), ids=lambda source: source.path)
def test_no_data_set_needs_a_script(source: jx.Hub) -> None:
    """`datasets` runs no scripts. Where a repository had one, a commit with parquet is named."""
    assert source.revision in (None, "refs/convert/parquet") or re.fullmatch(
        "[0-9a-f]{40}", source.revision
    )
    assert not list((HUB / source.path).rglob("*.py"))


@real
def test_xcopa_s_wrong_questions_are_used_as_they_are() -> None:
    """So that scores are those of others."""
    data_root(HUB)
    questions = [
        example.prompt.rsplit(" ", 1)[1]
        for example in get_task("xcopa").examples("validation", "tr")
    ]
    assert questions == ["effect?"] * 100


@pytest.mark.parametrize("mark", ["\ufeff", " ", "\u200b"])
def test_passage_that_begins_with_what_is_no_letter(mark: str, tokenizers: dict[str, Any]) -> None:
    """Some of XQuAD's passages begin with U+FEFF."""
    row = {
        "question": "Wann?",
        "context": f"{mark}Am Abend kam er.",
        "answers": {"text": ["Am"], "answer_start": [1]},
    }
    for tokenizer in tokenizers.values():
        task: Any = get_task("xquad")
        example = task.example(row, id="1", language="de")
        assert Spans(task, [example], tokenizer).texts[0].strip("\ufeff\u200b") == "Am"


def test_threshold_at_the_last_candidate() -> None:
    """Where all mined pairs are right, XTREME's and jiant's code reads behind the last one."""
    assert best_threshold([0.9, 0.8], [True, True], 2) == (0.8, 100.0)
    assert best_threshold([0.7], [True], 1) == (0.7, 100.0)
