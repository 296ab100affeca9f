"""The cache of features: what hits, what misses, what is left behind; and what features say of
themselves.
"""

from __future__ import annotations

import copy
import gc
import importlib.util
import logging
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, Value
from datasets import Features as Columns
from test_encoders import folder_of
from tokenizers import processors

import jiantx as jx
from jiantx import features as features_module
from jiantx.features import Features, encode_examples, load_features
from jiantx.sources import DataError, read_jsonl

ROWS = [
    {"text": f"the cat sees {i}", "pair": "a dog", "label": ("no", "yes")[i % 2], "note": i}
    for i in range(12)
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JIANTX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


def task(rows: Any = ROWS, **fields: Any) -> jx.Classification:
    return jx.Classification(
        **{"name": "mood", "source": jx.Rows({"train": rows}), "labels": ("no", "yes"), **fields}
    )


def files(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir()} if cache.exists() else set()


def hits(
    cache: Path, tokenizer: Any, one: jx.Task, other: jx.Task, again: Any = None, **options: Any
) -> bool:
    """Whether the second task takes the first one's file."""
    load_features(one, "train", "en", tokenizer)
    before = files(cache)
    load_features(other, "train", "en", again or tokenizer, **options)
    assert len(before) == 1 and before <= files(cache)
    return files(cache) == before


def module(path: Path, text: str) -> Any:
    """A module from a file of its own, all under one name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("mine", path)
    assert spec and spec.loader
    actual = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(actual)
    return actual


# --- hits -----------------------------------------------------------------------------------------


def test_second_time_writes_nothing(cache: Path, tokenizer: Any) -> None:
    first = load_features(task(), "train", "en", tokenizer)
    (path,) = cache.iterdir()
    time = path.stat().st_mtime_ns
    second = load_features(task(), "train", "en", tokenizer)
    assert list(cache.iterdir()) == [path] and path.stat().st_mtime_ns == time
    assert list(first.table) == list(second.table)
    assert path.name.startswith("mood-en-") and path.suffix == ".arrow"


def test_hit_reads_no_examples(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    load_features(task(), "train", "en", tokenizer)
    monkeypatch.setattr(jx.Classification, "features", lambda *_: pytest.fail("made again"))
    load_features(task(), "train", "en", tokenizer)


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics": (jx.metrics.f1_of("yes"),)},
        {"head": "shared"},
        {"train_on": ("mnli",)},
        {"train_languages": ("de",)},
        {"language_exponent": 0.3},
        {"labels": lambda: ("no", "yes")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_features_do_not_depend_on(
    changes: dict[str, Any], cache: Path, tokenizer: Any
) -> None:
    assert hits(cache, tokenizer, task(), task().replace(**changes))


def test_columns_that_are_not_read_do_not_matter(cache: Path, tokenizer: Any) -> None:
    assert hits(cache, tokenizer, task(), task([{**row, "note": 0, "pair": "x"} for row in ROWS]))


def test_same_data_at_another_path(cache: Path, tokenizer: Any, tmp_path: Path) -> None:
    sources = []
    for name in ("one", "two"):
        path = tmp_path / name / "en.jsonl"
        path.parent.mkdir()
        Dataset.from_list(ROWS).to_json(str(path))
        sources.append(jx.Files(str(path), read_jsonl))
    assert hits(cache, tokenizer, *(task(source=source) for source in sources))


def test_same_rows_in_other_chunks(cache: Path, tokenizer: Any) -> None:
    from datasets import concatenate_datasets

    full = Dataset.from_list(ROWS)
    items = concatenate_datasets([full.select(range(5)), full.select(range(5, 12))])
    assert hits(cache, tokenizer, task(full), task(items))
    assert hits(cache, tokenizer, task(full), task(full.select(list(range(12)))))


def test_same_tokenizer_loaded_again(cache: Path, tokenizer: Any, tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer.save_pretrained(tmp_path / "saved")
    again = PreTrainedTokenizerFast.from_pretrained(tmp_path / "saved")
    tokenizer(
        "the cat", padding="max_length", truncation=True, max_length=7
    )  # leaves settings behind
    assert hits(cache, tokenizer, task(), task(), again)


def test_a_tokenizer_is_not_kept_alive(tokenizer: Any) -> None:
    """One of 250,000 pieces takes 300 MB, and a table trains hundreds of models."""
    copied = copy.deepcopy(tokenizer)
    reference = weakref.ref(copied)
    load_features(task(), "train", "en", copied)
    del copied
    gc.collect()
    assert reference() is None


def test_same_function_in_another_file(cache: Path, tokenizer: Any, tmp_path: Path) -> None:
    text = "def text(row):\n    return row['text']\n"
    one, two = (module(tmp_path / name / "mine.py", text).text for name in ("one", "two"))
    assert hits(cache, tokenizer, task(text=one), task(text=two))


# --- misses ---------------------------------------------------------------------------------------


def changed(**change: Any) -> list[dict[str, Any]]:
    return [*ROWS[:-1], {**ROWS[-1], **change}]


@pytest.mark.parametrize(
    "other",
    [
        task(changed(text="the dog")),
        task(changed(label="no")),
        task(ROWS[:-1]),
        task(ROWS[::-1]),
        task(labels=("yes", "no")),
        task(labels=("no", "yes", "perhaps")),
        task(text="pair"),
        task(text_pair="pair"),
        task(multi_label=True, label=lambda row: [row["label"]]),
        task(max_length=128),
        task(name="other"),
    ],
    ids="text label fewer order labels more-labels column pair multi-label max_length name".split(),
)
def test_another_task_misses(other: jx.Task, cache: Path, tokenizer: Any) -> None:
    assert not hits(cache, tokenizer, task(), other)


def test_another_language_misses(cache: Path, tokenizer: Any) -> None:
    mine = task({"en": ROWS, "de": ROWS})
    load_features(mine, "train", "en", tokenizer)
    load_features(mine, "train", "de", tokenizer)
    assert len(files(cache)) == 2


@pytest.mark.parametrize("max_length", [255, 16])
def test_another_length_misses(max_length: int, cache: Path, tokenizer: Any) -> None:
    """Jiant's cache was named by the model's type alone."""
    assert not hits(cache, tokenizer, task(), task(), max_length=max_length)


def test_length_of_the_task_is_the_same_given_by_hand(cache: Path, tokenizer: Any) -> None:
    assert hits(cache, tokenizer, task(), task(max_length=100), max_length=256)


def test_another_tokenizer_misses(
    cache: Path, tokenizer: Any, bert_tokenizer: Any, roberta_tokenizer: Any
) -> None:
    for item in (tokenizer, bert_tokenizer, roberta_tokenizer):
        load_features(task(), "train", "en", item)
    assert len(files(cache)) == 3


def test_added_token_misses(cache: Path, tokenizer: Any, tmp_path: Path) -> None:
    """The same type and file, another vocabulary."""
    from transformers import PreTrainedTokenizerFast

    tokenizer.save_pretrained(tmp_path / "saved")
    mine = PreTrainedTokenizerFast.from_pretrained(tmp_path / "saved")
    before = load_features(task(), "train", "en", mine).table[0]["input_ids"]
    mine.add_tokens(["sees"])
    after = load_features(task(), "train", "en", mine).table[0]["input_ids"]
    assert before != after and len(files(cache)) == 2


def test_unlabelled_features_are_kept_apart(cache: Path, tokenizer: Any) -> None:
    """Else a run that needs gold would trust a file that was made without asking for it."""
    rows = changed(label=None)
    load_features(task(rows), "train", "en", tokenizer, labelled=False)
    with pytest.raises(DataError, match="row 11: The row has no gold"):
        load_features(task(rows), "train", "en", tokenizer)


# A module, where $ stands for what changes.
TEXT = "def text(row):\n    return "
BODIES = {
    "body": f"{TEXT}row['text'] + $\n",
    "helper": f"def f(x):\n    return x + $\n\n{TEXT}f(row['text'])\n",
    "helper-of-helper": f"def g(x):\n    return x + $\n\ndef f(x):\n    return g(x)\n\n{TEXT}f(row['text'])\n",
    "constant": f"END = $\n\n{TEXT}row['text'] + END\n",
    "table": f"ENDS = {{'a': [$], 'b': {{'x', 'y', 'z'}}}}\n\n{TEXT}row['text'] + ENDS['a'][0]\n",
    "default": "def text(row, end=$):\n    return row['text'] + end\n",
    "keyword-default": "def text(row, *, end=$):\n    return row['text'] + end\n",
    "closure": "def make(e):\n    def text(row):\n        return row['text'] + e\n    return text\n\ntext = make($)\n",
    "inner": f"END = $\n\n{TEXT}''.join(c + END for c in row['text'])\n",
    "lambda": "text = lambda row: row['text'] + $\n",
    "partial": "import functools\n\ndef f(m, row):\n    return row['text'] + m\n\ntext = functools.partial(f, $)\n",
    "cached-helper": f"import functools\n\n@functools.cache\ndef f(x):\n    return x + $\n\n{TEXT}f(row['text'])\n",
    "decorated": (
        "import functools\n\ndef twice(f):\n    @functools.wraps(f)\n    def g(row):\n        return f(row) * 2\n"
        f"    return g\n\n@twice\n{TEXT}row['text'] + $\n"
    ),
    "pattern": f"import re\n\nEND = re.compile($)\n\n{TEXT}row['text'] + END.pattern\n",
    "object": "class End:\n    def __call__(self, row):\n        return row['text'] + $\n\ntext = End()\n",
    "state": (
        "class End:\n    def __init__(self, mark):\n        self.mark = mark\n    def __call__(self, row):\n"
        "        return row['text'] + self.mark\n\ntext = End($)\n"
    ),
    "method": (
        "class End:\n    def __init__(self, mark):\n        self.mark = mark\n    def text(self, row):\n"
        "        return row['text'] + self.mark\n\ntext = End($).text\n"
    ),
    "helper-in-a-class": f"class A:\n    @staticmethod\n    def f(x):\n        return x + $\n\n{TEXT}A.f(str(row))\n",
    "lambda-of-lines": "text = dict(\n    text=lambda row: row['text']\n    + $,\n)['text']\n",
    "enum": f"from enum import Enum\n\nclass A(Enum):\n    END = $\n\n{TEXT}row['text'] + A.END.value\n",
    "class-constant": f"class A:\n    END = $\n\n{TEXT}row['text'] + A.END\n",
    "helper-object": f"class A:\n    def f(self, x):\n        return x + $\n\na = A()\n\n{TEXT}a.f(row['text'])\n",
}


@pytest.mark.parametrize("which", BODIES)
def test_changed_column_function_misses(
    which: str, cache: Path, tokenizer: Any, tmp_path: Path
) -> None:
    """Tried: an imported function hashes the same to `datasets` after its body changed."""
    one, two = (
        module(tmp_path / name / "mine.py", BODIES[which].replace("$", repr(name))).text
        for name in "ab"
    )
    assert not hits(cache, tokenizer, task(text=one), task(text=two))


@pytest.mark.parametrize("which", BODIES)
def test_unchanged_column_function_hits(
    which: str, cache: Path, tokenizer: Any, tmp_path: Path
) -> None:
    """No address in memory, no order of a set is in the key."""
    one, two = (
        module(tmp_path / name / "mine.py", BODIES[which].replace("$", "'.'")).text for name in "ab"
    )
    assert hits(cache, tokenizer, task(text=one), task(text=two))


def test_changed_helper_in_a_module_of_one_s_own_misses(
    cache: Path, tokenizer: Any, tmp_path: Path
) -> None:
    actual = []
    for mark in ("'!'", "'!'", "'?'"):
        mine = module(tmp_path / "mine.py", f"{TEXT}helpers.clean(row['text'])\n")
        mine.helpers = module(tmp_path / "helpers.py", f"def clean(x):\n    return x + {mark}\n")
        load_features(task(text=mine.text), "train", "en", tokenizer)
        actual.append(len(files(cache)))
    assert actual == [1, 1, 2]


def test_changed_task_type_of_one_s_own_misses(cache: Path, tokenizer: Any, tmp_path: Path) -> None:
    text = "import jiantx as jx\n\nclass Mine(jx.Classification):\n    def example(self, row, **more):\n"
    text += "        return super().example({**row, 'text': row['note'] + $}, **more)\n"
    fields = {"name": "mood", "labels": ("no", "yes")}
    actual = []
    for mark, note in (("'!'", "a"), ("'!'", "a"), ("'?'", "a"), ("'?'", "b")):
        kind = module(tmp_path / "mine.py", text.replace("$", mark)).Mine
        mine = kind(**fields, source=jx.Rows({"train": [{**row, "note": note} for row in ROWS]}))
        load_features(mine, "train", "en", tokenizer)
        actual.append(len(files(cache)))
    assert actual == [1, 1, 2, 3]


def test_function_from_an_interpreter(cache: Path, tokenizer: Any) -> None:
    actual: list[Callable[[Any], str]] = []
    for mark in ("''", "'!'", "''"):
        space: dict[str, Any] = {}
        exec(f"def text(row):\n    return row['text'] + {mark}\n", space)
        actual.append(space["text"])
    assert not hits(cache, tokenizer, task(text=actual[0]), task(text=actual[1]))
    load_features(task(text=actual[2]), "train", "en", tokenizer)
    assert len(files(cache)) == 2


def test_function_may_read_any_column(cache: Path, tokenizer: Any) -> None:
    def text(row: dict[str, Any]) -> str:
        return f"{row['text']} {row['note']}"

    assert not hits(cache, tokenizer, task(text=text), task(changed(note=99), text=text))


def test_names_of_classes_are_part_of_the_data(cache: Path, tokenizer: Any) -> None:
    """The same numbers under other names are other labels."""
    coded = [
        Dataset.from_dict(
            {"text": ["a", "b"], "label": [0, 1]},
            features=Columns({"text": Value("string"), "label": ClassLabel(names=names)}),
        )
        for names in (["no", "yes"], ["yes", "no"])
    ]
    one, two = (load_features(task(rows), "train", "en", tokenizer) for rows in coded)
    assert one.table["labels"][:] == [[0], [1]] and two.table["labels"][:] == [[1], [0]]


# --- writing --------------------------------------------------------------------------------------


def test_failed_writer_leaves_no_file(
    cache: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_module, "_BATCH", 5)
    with pytest.raises(DataError, match="row 11"):
        load_features(task(changed(label="?")), "train", "en", tokenizer)
    assert files(cache) == set()


def test_killed_writer_leaves_no_file(
    cache: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        load_features(task(), "train", "en", tokenizer)
    assert files(cache) == set()


def test_many_batches_are_as_one(
    cache: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = load_features(task(), "train", "en", tokenizer).table
    monkeypatch.setattr(features_module, "_BATCH", 5)
    items = load_features(task(name="other"), "train", "en", tokenizer).table
    assert list(full) == list(items)
    assert list(items["example"]) == list(range(12))


def test_no_rows(tokenizer: Any) -> None:
    with pytest.raises(
        DataError, match=r"Task mood, split 'train', language 'en': there are no rows"
    ):
        load_features(task(Dataset.from_list(ROWS).select([])), "train", "en", tokenizer)
    with pytest.raises(DataError, match="Task mood: there are no rows"):
        encode_examples(task(), [], tokenizer)


@pytest.mark.parametrize(("size", "kind"), [(2**16, pa.uint16()), (2**16 + 1, pa.int32())])
def test_smallest_type_that_holds_the_vocabulary(
    size: int, kind: pa.DataType, tokenizer: Any
) -> None:
    class Large(type(tokenizer)):  # type: ignore[misc]
        def __len__(self) -> int:
            return size

    large = Large(tokenizer_object=tokenizer.backend_tokenizer, model_max_length=512)
    table = load_features(task(), "train", "en", large).table
    assert table.data.schema.field("input_ids").type == pa.list_(kind)
    assert table[0]["input_ids"] == tokenizer(ROWS[0]["text"])["input_ids"]


def test_features_are_mapped_from_disk(tokenizer: Any) -> None:
    assert load_features(task(), "train", "en", tokenizer).table.cache_files


def test_examples_in_memory_are_encoded_alike(cache: Path, tokenizer: Any) -> None:
    loaded = load_features(task(), "train", "en", tokenizer)
    before = files(cache)
    assert list(encode_examples(task(), loaded.examples(), tokenizer)) == list(loaded.table)
    assert files(cache) == before


# --- lengths and parts ----------------------------------------------------------------------------


def test_never_longer_than_the_tokenizer_allows(tokenizer: Any) -> None:
    long = task([{"text": "a " * 2000, "label": "no"}], max_length=4096)
    actual = load_features(long, "train", "en", tokenizer)
    assert actual.max_length == 512 == len(actual.table[0]["input_ids"])
    assert load_features(long, "train", "en", tokenizer, max_length=9).max_length == 9


def test_max_examples_is_a_random_part(tokenizer: Any) -> None:
    """Jiant took the first 500 rows."""
    rows = [{"text": f"cat {i}", "label": "no"} for i in range(200)]

    def texts(**options: Any) -> list[str]:
        actual = load_features(task(rows), "train", "en", tokenizer, max_examples=20, **options)
        assert len(actual.table) == len(actual.rows) == len(actual.examples()) == 20
        return [example.text for example in actual.examples()]

    first = texts(seed=1)
    assert first == texts(seed=1) != texts(seed=2)
    assert max(int(text.split()[1]) for text in first) > 100
    assert len(load_features(task(rows), "train", "en", tokenizer, max_examples=500).table) == 200


# --- notes ----------------------------------------------------------------------------------------


def loaded(mine: jx.Task, tokenizer: Any, **options: Any) -> Features:
    return load_features(mine, "train", "en", tokenizer, **options)


def test_cut_inputs_are_counted(tokenizer: Any) -> None:
    rows = [
        {"text": "cat " * n, "label": "no"} for n in (1, 6, 7, 9)
    ]  # 3 tokens a word at most, and two special ones
    exact = len(tokenizer(rows[1]["text"])["input_ids"])
    actual = loaded(task(rows), tokenizer, max_length=exact)
    assert actual.count("truncated") == 2 and actual.count("realigned") == 0
    assert actual.notes() == [
        f"mood train en: 2 of 4 inputs had text cut off (max_length {exact})."
    ]
    one = loaded(task(rows[:3]), tokenizer, max_length=exact)
    assert one.notes() == [f"mood train en: 1 of 3 inputs had text cut off (max_length {exact})."]
    assert loaded(task(rows), tokenizer).notes() == []


def test_large_counts_are_readable(tokenizer: Any) -> None:
    rows = [{"text": "cat cat cat", "label": "no"}] * 1001
    assert loaded(task(rows), tokenizer, max_length=4).notes() == [
        "mood train en: 1,001 of 1,001 inputs had text cut off (max_length 4)."
    ]


@pytest.mark.parametrize(
    ("moved", "said"),
    [(0, None), (1, "1 answer was not where its"), (3, "3 answers were not where their")],
)
def test_moved_answers_are_counted_once(moved: int, said: str | None, tokenizer: Any) -> None:
    """The Hub's XQuAD and TyDi QA have offsets that are off by stripped white space."""
    context = "the cat sees a dog " * 20
    rows = [
        {
            "question": "who",
            "context": context,
            "answers": {"text": ["dog"], "answer_start": [15 + (2 if i < moved else 0)]},
        }
        for i in range(4)
    ]
    mine = jx.QuestionAnswering(
        name="asked", source=jx.Rows({"train": rows}), max_length=32, stride=8
    )
    actual = loaded(mine, tokenizer)
    assert len(actual.table) > 4 * 3, "several windows an example"
    assert actual.count("realigned") == moved
    suffix = (
        f" offset said and {'was' if moved == 1 else 'were'} moved to the nearest exact occurrence "
        "(first in row 0)."
    )
    assert actual.notes() == ([f"asked train en: {said}{suffix}"] if said else [])


def test_evaluation_says_them(
    model_of: Any, tokenizer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"text": "cat " * 9, "label": "no"}] * 2
    mine = task(source=jx.Rows({"validation": rows}))
    with caplog.at_level(logging.WARNING, logger="jiantx"):
        jx.evaluate(model_of([mine]), [mine], max_length=5)
    assert "mood validation en: 2 of 2 inputs had text cut off (max_length 5)." in caplog.text


def test_numbers_are_as_they_were(tokenizer: Any) -> None:
    mine = jx.Regression(
        name="stars", source=jx.Rows({"train": [{"text": "a", "label": 2.5}]}), high=5.0
    )
    actual = loaded(mine, tokenizer).table.with_format("numpy")[0]
    assert actual["targets"].dtype == np.float32 and actual["targets"].tolist() == [0.5]
    assert actual["labels"].tolist() == [0]


@pytest.mark.parametrize("length", [0, -1, 2.5])
def test_a_maximum_length_is_a_number_of_tokens(length: Any, cache, tokenizer) -> None:
    """0 was the task's own, and -1 an error of the tokenizer's."""
    with pytest.raises(ValueError, match=f"max_length={length}. Expected a whole number"):
        load_features(task(), "train", "en", tokenizer, max_length=length)
    with pytest.raises(ValueError, match=f"max_length={length}. Expected a whole number"):
        load_features(task(max_length=length), "train", "en", tokenizer)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_a_text_without_a_token_is_refused(family: str, bert_tokenizer, tmp_path: Path) -> None:
    tokenizer = copy.deepcopy(bert_tokenizer)  # which puts no token before or after a text
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    folder = folder_of(family, tokenizer, tmp_path / family)
    mood = task([{"text": text, "label": "no"} for text in ("the cat", "\u200b", "a dog")])
    model = jx.MultitaskModel.from_pretrained(folder, [mood])
    assert len(jx.predict(model, mood, ["the cat", "a dog"])) == 2
    message = r"Task mood, language 'en', example '1': .* makes no token of a text"
    with pytest.raises(DataError, match=message):
        jx.predict(model, mood, ["the cat", "\u200b", "a dog"])
    with pytest.raises(DataError, match=message):
        jx.evaluate(model, mood, split="train")


def test_a_tokenizer_that_is_changed_in_place_makes_other_features(tokenizer) -> None:
    tokenizer = copy.deepcopy(tokenizer)
    tagging = jx.TokenClassification(
        name="tags",
        source=jx.Rows({"train": [{"tokens": ["the", "cat"], "tags": ["O", "O"]}]}),
        labels=("O", "B-X"),
    )

    def ends() -> list[int]:
        features = [load_features(one, "train", "en", tokenizer) for one in (task(), tagging)]
        return [of_task.table["input_ids"][0][-1] for of_task in features]

    assert ends() == [2, 2]
    ids = [("<s>", 0), ("</s>", 2)]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="</s> $A <s>", pair="</s> $A <s> $B <s>", special_tokens=ids
    )
    assert ends() == [0, 0]
