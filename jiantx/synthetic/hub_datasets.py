"""The Hub's datasets of the data root: one `Table` per dataset, written as Parquet files."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from jiantx.synthetic.items import (
    BIO_LABELS,
    NLI_LABELS,
    UNIVERSAL_TAGS,
    Item,
    entities,
    nli,
    paraphrase,
    question_pair,
    similarity,
    tagged,
    translation,
)
from jiantx.synthetic.languages import ENGLISH, LANGUAGES, Language
from jiantx.synthetic.question_items import (
    consequence,
    ending,
    knowledge,
    reading,
    reading_anywhere,
)

# Keys of `sizes`, and arguments of `write_root`: rows of a training split, and of any other split.
TRAIN = "train_examples"
EVALUATION = "eval_examples"

_ANSWERS = {"text": ["string"], "answer_start": ["int32"]}
# Column types that `Table.columns` names: a dtype's name, a list or a dictionary of types, or a
# tuple of label names.
TYPES: dict[str, Any] = {
    "strings": ["string"],
    "answers": _ANSWERS,
    "answers_mlqa": dict(sorted(_ANSWERS.items())),  # MLQA has the two fields in this order
    "choices": {"label": ["string"], "text": ["string"]},
    "nli": NLI_LABELS,
    "duplicate": ("not_duplicate", "duplicate"),
    "binary": ("0", "1"),
    "copa": ("choice1", "choice2"),
    "bio": [BIO_LABELS],
    "universal": [UNIVERSAL_TAGS],
}


@dataclass(frozen=True)
class Table:
    """A dataset of the Hub, and how its rows are drawn.

    Args:
        repo: The Hub id, which is also the folder in the data root.
        config: The configuration's name. `{language}`, `{language3}` or `{name}` in it make one
            configuration per language.
        item: Draws an item; see `items`.
        columns: The column names, each with the item's field and its type: `column=field:type`.
            The field may be left out where it equals the column's name, and the type where it is
            a string. A type is a key of `TYPES` or a dtype's name.
        splits: Names of the splits. Those that begin with "train" have `train_examples` rows.
        languages: Codes of the languages.
    """

    repo: str
    config: str
    item: Callable[[random.Random], Item]
    columns: str
    splits: str = "train validation"
    languages: str = "en"

    def fields(self) -> dict[str, tuple[str, Any]]:
        """Parse `columns` into column -> (field, type), with types as in `TYPES`."""
        parsed = {}
        for declaration in self.columns.split():
            names, _, type_name = declaration.partition(":")
            column, _, field = names.partition("=")
            column_type = TYPES.get(type_name, type_name or "string")
            parsed[column] = (field or column, column_type)
        return parsed

    def configs(self) -> dict[str, Language]:
        """Return the language of each configuration, by the configuration's name."""
        language_of = {}
        for code in self.languages.split():
            language = LANGUAGES[code]
            config = self.config.format(
                language=language.code, language3=language.code3, name=language.name
            )
            language_of[config] = language
        return language_of


_THREE_SPLITS = "train validation test"
_ALL_LANGUAGES = " ".join(LANGUAGES)
_ANLI_SPLITS = "train_r1 train_r2 train_r3 dev_r1 dev_r2 dev_r3 test_r1 test_r2 test_r3"
_NLI_COLUMNS = "premise=first hypothesis=second label:nli"
_QA_COLUMNS = "id title context question answers:answers"
_COPA_COLUMNS = "premise=first choice1=choice0 choice2=choice1 question"
_UDPOS_COLUMNS = "tokens:strings pos_tags=tags:universal"
TABLES = (
    Table(
        "nyu-mll/glue",
        "mnli",
        nli,
        f"{_NLI_COLUMNS} idx=index:int32",
        splits="train validation_matched validation_mismatched",
    ),
    Table(
        "nyu-mll/glue",
        "qqp",
        question_pair,
        "question1=first question2=second label:duplicate idx=index:int32",
    ),
    Table(
        "PhilipMay/stsb_multi_mt",
        "{language}",
        similarity,
        "sentence1=first sentence2=second similarity_score=score:float32",
        splits="train dev test",
        languages="en de es ru zh",
    ),
    Table("rajpurkar/squad", "plain_text", reading, _QA_COLUMNS),
    Table("rajpurkar/squad_v2", "squad_v2", partial(reading, answerable=0.67), _QA_COLUMNS),
    Table(
        "Rowan/hellaswag",
        "default",
        ending,
        "ind=index:int32 activity_label=activity ctx_a=first ctx_b=second ctx=context "
        "endings:strings source_id=source split split_type=indomain label=label_text",
    ),
    Table(
        "tau/commonsense_qa",
        "default",
        knowledge,
        "id question question_concept=concept choices:choices answerKey=key",
    ),
    Table(
        "facebook/xnli",
        "{language}",
        nli,
        _NLI_COLUMNS,
        splits=_THREE_SPLITS,
        languages=_ALL_LANGUAGES,
    ),
    Table(
        "google-research-datasets/paws-x",
        "{language}",
        paraphrase,
        "id=index:int32 sentence1=first sentence2=second label:binary",
        splits=_THREE_SPLITS,
        languages="en de es zh",
    ),
    Table(
        "unimelb-nlp/wikiann",
        "{language}",
        entities,
        "tokens:strings ner_tags=tags:bio langs=languages:strings spans:strings",
        splits=_THREE_SPLITS,
        languages=_ALL_LANGUAGES,
    ),
    Table(
        "google/xquad",
        "xquad.{language}",
        reading,
        "id context question answers:answers",
        splits="validation",
        languages=_ALL_LANGUAGES,
    ),
    Table(
        "google/xtreme",
        "tatoeba.{language3}",
        translation,
        "source_sentence=first target_sentence=second source_lang=language target_lang=english",
        splits="validation",
        languages="de es ru ar zh",
    ),
    Table(
        "facebook/anli",
        "plain_text",
        nli,
        f"uid=id {_NLI_COLUMNS} reason=none",
        splits=_ANLI_SPLITS,
    ),
    Table(
        "stanfordnlp/snli",
        "plain_text",
        partial(nli, undecided=0.02),
        _NLI_COLUMNS,
        splits=_THREE_SPLITS,
    ),
    Table(
        "allenai/cosmos_qa",
        "default",
        partial(consequence, choices=4),
        "id context question=asked answer0=choice0 answer1=choice1 answer2=choice2 "
        "answer3=choice3 label:int32",
    ),
    Table(
        "lighteval/siqa",
        "default",
        partial(consequence, choices=3),
        "context=first question=asked answerA=choice0 answerB=choice1 answerC=choice2 label=number",
    ),
    Table("aps/super_glue", "copa", consequence, f"{_COPA_COLUMNS} idx=index:int32 label:copa"),
    Table(
        "cambridgeltl/xcopa",
        "{language}",
        consequence,
        f"{_COPA_COLUMNS} label:int32 idx=index:int32 changed:bool",
        splits="validation test",
        languages="zh",
    ),
    Table(
        "google/xtreme",
        "MLQA.{language}.{language}",
        reading,
        "id title context question answers:answers_mlqa",
        splits="validation test",
        languages="en de es ar zh",
    ),
    Table("google/xtreme", "udpos.{name}", tagged, _UDPOS_COLUMNS, splits=_THREE_SPLITS),
    Table(
        "google/xtreme",
        "udpos.{name}",
        tagged,
        _UDPOS_COLUMNS,
        splits="validation test",
        languages="de es ru ar zh",
    ),
    Table("google-research-datasets/tydiqa", "secondary_task", reading_anywhere, _QA_COLUMNS),
)

T = TypeVar("T")


def draw_many(draw: Callable[[random.Random], T], seed: str, count: int) -> list[T]:
    """Call `draw` repeatedly with one random generator.

    Args:
        draw: Draws one value.
        seed: Any text; the same text gives the same values.
        count: How many values to draw.

    Returns:
        The values.
    """
    rng = random.Random(seed)
    return [draw(rng) for _ in range(count)]


def _feature(column_type: Any) -> Any:
    """Return the `datasets` feature of a type as in `TYPES`."""
    from datasets import ClassLabel, List, Value

    if isinstance(column_type, dict):
        return {name: _feature(inner) for name, inner in column_type.items()}
    if isinstance(column_type, list):
        return List(_feature(column_type[0]))
    if isinstance(column_type, str):
        return Value(column_type)
    return ClassLabel(names=list(column_type))


def write_table(root: Path, table: Table, seed: int, sizes: Mapping[str, int]) -> None:
    """Write the Parquet files of a table, one per configuration and split.

    All languages say the same meanings: the random generator depends on the split, not on the
    language. A training split in another language than English has the first quarter of the
    English rows.

    Args:
        root: The data root.
        table: One of `TABLES`.
        seed: The seed of the whole root.
        sizes: Rows of a split, under the keys `TRAIN` and `EVALUATION`.
    """
    import pyarrow
    import pyarrow.parquet
    from datasets import Features

    columns = table.fields()
    features = {column: _feature(column_type) for column, (_, column_type) in columns.items()}
    schema = Features(features).arrow_schema
    for split in table.splits.split():
        is_train = split.startswith("train")
        size = sizes[TRAIN if is_train else EVALUATION]
        items = draw_many(table.item, f"{seed} {table.repo} {table.config} {split}", size)
        for config, language in table.configs().items():
            is_translation = is_train and language != ENGLISH
            rows = []
            for index, item in enumerate(items[: size // 4] if is_translation else items):
                general_fields = {
                    "index": index,
                    "id": f"{split}-{index}",
                    "split": split,
                    "none": "",
                }
                fields = {**general_fields, **item(language)}
                rows.append({column: fields[field] for column, (field, _) in columns.items()})
            path = root / table.repo / config / f"{split}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), path)


def write_dataset_cards(root: Path) -> None:
    """Write a README per repository, whose `configs` tell `datasets` which file is which.

    `datasets` caches a local folder under a hash of its README alone. Without the hash of the
    files in the README's descriptions, it would take two roots of the same layout for one another.
    """
    for repo in {table.repo for table in TABLES}:
        description = _hash_files(sorted((root / repo).rglob("*.parquet")))
        lines = ["---", "configs:"]
        for table in TABLES:
            if table.repo != repo:
                continue
            for config in table.configs():
                lines.append(f"- config_name: {config}")
                lines.append(f"  description: {description}")
                lines.append("  data_files:")
                for split in table.splits.split():
                    lines.append(f"  - split: {split}")
                    lines.append(f"    path: {config}/{split}-*")
        lines.append("---")
        lines.append(
            f"Artificial rows in the columns of {repo}, written by jiantx.synthetic; "
            "language codes are borrowed."
        )
        (root / repo / "README.md").write_text("\n".join([*lines, ""]), encoding="utf-8")


def _hash_files(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
