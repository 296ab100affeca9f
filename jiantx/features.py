"""Examples to features: tokenised in batches, cached on disk, memory-mapped.

The cache file's name is its key: a hash over everything that the features depend on. It is written
under a temporary name and renamed, so that runs can share it and a killed one leaves nothing that
another trusts."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa

from jiantx.cache import cache_dir, load_or_write
from jiantx.columns import row_id
from jiantx.feature_columns import check_columns
from jiantx.fields import check_count
from jiantx.fingerprints import UncacheableError, fingerprint_text, rows_hash
from jiantx.sampling import subset
from jiantx.sources import HELD, DataError, in_memory
from jiantx.task import Task
from jiantx.tokenization import backend_of

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger("jiantx.features")

VERSION = 5  # of the code that makes features; a new number makes new caches
CHANGE_COUNTS = (
    "truncated",
    "realigned",
    "answer_outside_windows",
    "lost_targets",
)  # columns that count what was changed to make features
_BATCH = 1000  # examples encoded together
# What a task has that its features do not depend on.
_NOT_IN_KEY = set(
    """name source metrics main_metrics group named_groups head max_length train_on
    train_languages language_exponent""".split()
)
_NOT_IN_KEY |= set("pool mining layer depth pooling top".split())  # of retrieval
_NOT_IN_KEY |= set("normalize center temperature symmetric training_pool".split())  # likewise
_NOT_IN_KEY |= set("share_pooling projection_size classifier classifier_size dropout".split())


@dataclass(frozen=True)
class Features:
    """The features of one task, split and language, with the rows they were made from."""

    task: Task
    split: str
    language: str
    rows: datasets.Dataset
    table: datasets.Dataset  # memory-mapped; see `Task.features` for its columns
    max_length: int

    def examples(self) -> list[Any]:
        """The examples again, for decoding and scoring."""
        return list(self.task.examples(self.split, self.language, rows=self.rows))

    def count(self, column: str) -> int:
        """The sum of a column: of "truncated" features, of "realigned" answers, of
        "answer_outside_windows" ones, of "lost_targets"; 0 without it.
        """
        if column not in self.table.column_names:
            return 0
        return int(self.table.with_format("numpy")[column][:].sum())

    def notes(self) -> list[str]:
        """What was changed to make the features, one sentence each; none where nothing was."""
        _, moved, outside, lost_count = map(self.count, CHANGE_COUNTS)
        notes = cut_notes(self.task, self.table, self.max_length) + self._long_answer_notes()
        if moved:
            one = "answer was not where its offset said and was"
            many = "answers were not where their offset said and were"
            is_moved = np.asarray(self.table.with_format("numpy")["realigned"][:]) > 0
            index = self.table[int(np.flatnonzero(is_moved)[0])]["example"]
            id_text = row_id(self.rows[index], index)
            first_row = f"row {index}" if id_text.isdigit() else f"row {index}, id {id_text!r}"
            notes.append(
                f"{moved:,} {one if moved == 1 else many} moved to the nearest exact occurrence "
                f"(first in {first_row})."
            )
        if outside:
            one = "answer is longer than a window, and trains"
            many = "answers are longer than a window, and train"
            notes.append(f"{outside:,} {one if outside == 1 else many} as if there were none.")
        if lost_count:
            one = "target has a span without a piece, or spans that do not fit, and is"
            many = "targets have a span without a piece, or spans that do not fit, and are"
            notes.append(
                f"{lost_count:,} {one if lost_count == 1 else many} scored wrong and not "
                f"trained on (max_length {self.max_length})."
            )
        return [f"{self.task.name} {self.split} {self.language}: {note}" for note in notes]

    def _long_answer_notes(self) -> list[str]:
        """Say how many gold answers no prediction can equal, since they are too long."""
        longest = getattr(self.task, "max_answer_length", None)
        if longest is None or "end_positions" not in self.table.column_names:
            return []
        columns = self.table.with_format("numpy")
        lengths = columns["end_positions"][:] - columns["start_positions"][:] + 1
        # an answer may be in several windows
        too_long = len(np.unique(columns["example"][:][np.ravel(lengths) > longest]))
        if not too_long:
            return []
        answers = "answer is" if too_long == 1 else "answers are"
        return [
            f"{too_long:,} {answers} longer than max_answer_length ({longest} tokens), and cannot "
            "be predicted whole."
        ]


def cut_notes(task: Task, table: datasets.Dataset, max_length: int) -> list[str]:
    """Say how many inputs had text cut off, in a sentence; none where none had.

    Args:
        task: The task.
        table: Its features.
        max_length: Tokens of a sequence.
    """
    if CHANGE_COUNTS[0] not in table.column_names:
        return []
    cut = int(table.with_format("numpy")[CHANGE_COUNTS[0]][:].sum())
    if not cut:
        return []
    question_length = getattr(task, "max_question_length", None)
    if question_length is None:
        return [f"{cut:,} of {len(table):,} inputs had text cut off (max_length {max_length})."]
    # passages become windows, a row each, and only questions are cut
    questions = len(np.unique(table.with_format("numpy")["example"][:]))
    limit = f"max_question_length {question_length}"
    return [f"{cut:,} of {questions:,} questions had text cut off ({limit})."]


def load_features(
    task: Task,
    split: str,
    language: str,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int | None = None,
    max_examples: int | None = None,
    seed: int = 0,
    labelled: bool = True,
) -> Features:
    """Features of a split, from the cache where they are there.

    Args:
        task: The task.
        split: The split.
        language: An ISO 639 code.
        tokenizer: A fast tokenizer.
        max_length: Tokens a sequence: the task's own if None, and never more than the tokenizer's
            `model_max_length`.
        max_examples: So many rows, chosen at random by `seed` (default: all).
        seed: Of that choice.
        labelled: Refuse rows without gold.

    Raises:
        DataError: A row is bad; names task, split, language and row.
    """
    from transformers.utils.logging import tqdm

    rows = task.rows(split, language)
    if max_examples is not None and max_examples < len(rows):
        rows = rows.select(subset(seed, task.name, language, len(rows), max_examples))
    if not len(rows):
        raise DataError(
            f"Task {task.name}, split {split!r}, language {language!r}: there are no rows."
        )
    length = _length(task, tokenizer, max_length)

    def make() -> Iterator[pa.Table]:
        examples = task.examples(split, language, rows=rows, labelled=labelled)
        bar = tqdm(
            examples, f"features of {task.name} {split} {language}", len(rows), leave=False, delay=1
        )
        return _tables(task, bar, tokenizer, length)

    try:
        key = _key(task, rows, language, tokenizer, length, labelled)
        table = load_or_write(cache_dir() / "features" / f"{key}.arrow", make)
    except UncacheableError as error:
        logger.warning("The features of %s are not cached: %s.", task.name, error)
        table = in_memory(pa.concat_tables(make()))
    return Features(task, split, language, rows, table, length)


def used_token_ids(
    task: Task, split: str, language: str, tokenizer: PreTrainedTokenizerBase, *, max_length: int
) -> np.ndarray:
    """The token ids that occur in the features of a split.

    Only the ids are cached, not the features.

    Args:
        task: The task.
        split: The split; its rows need no gold.
        language: An ISO 639 code.
        tokenizer: A fast tokenizer.
        max_length: Tokens of a sequence, at most the tokenizer's `model_max_length`.

    Returns:
        (ids,) in increasing order, each once.

    Raises:
        DataError: A row is bad, or there are none; names task, split, language and row.
    """
    rows = task.rows(split, language)
    length = _length(task, tokenizer, max_length)

    def make() -> Iterator[pa.Table]:
        is_used = np.zeros(len(tokenizer), dtype=bool)
        for table in _tables(task, task.examples(split, language, rows=rows), tokenizer, length):
            is_used[table["input_ids"].combine_chunks().flatten().to_numpy()] = True
        yield pa.table({"token_ids": np.flatnonzero(is_used).astype(np.int32)})

    try:
        key = _key(task, rows, language, tokenizer, length, False)
        table = load_or_write(cache_dir() / "token_ids" / f"{key}.arrow", make)
    except UncacheableError:
        table = in_memory(pa.concat_tables(make()))
    return np.asarray(table.with_format("numpy")["token_ids"][:])


def mark_token_ids(table: datasets.Dataset, is_used: np.ndarray) -> None:
    """Mark the token ids that some features hold.

    Args:
        table: The features.
        is_used: (vocabulary,) booleans, set to True in place.
    """
    ids = table.select_columns(["input_ids"]).with_format("arrow")
    for block in ids.iter(batch_size=10_000):
        is_used[block["input_ids"].combine_chunks().flatten().to_numpy()] = True


def encode_examples(
    task: Task,
    examples: Sequence[Any],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int | None = None,
) -> datasets.Dataset:
    """Features of examples in memory, without the cache.

    Args:
        task: The examples' task.
        examples: What `task.example` returned.
        tokenizer: A fast tokenizer.
        max_length: Tokens a sequence (default: the task's own).
    """
    length = _length(task, tokenizer, max_length)
    tables = list(_tables(task, examples, tokenizer, length))
    return in_memory(pa.concat_tables(tables))


def _length(task: Task, tokenizer: PreTrainedTokenizerBase, max_length: int | None) -> int:
    """Tokens of a sequence; ValueError if that is no number of tokens."""
    length = task.max_length if max_length is None else max_length
    check_count(f"Task {task.name}: max_length", length)
    return min(length, tokenizer.model_max_length)


def _tables(
    task: Task, examples: Iterable[Any], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> Iterator[pa.Table]:
    """Feature tables of a thousand examples each, all of one schema."""
    schema = None
    first_example = 0
    iterator = iter(examples)
    while batch := list(itertools.islice(iterator, _BATCH)):
        columns: dict[str, Any] = dict(task.features(batch, tokenizer, max_length))
        check_columns(task, columns)
        for index, lengths in zip(columns["example"], columns.get("lengths", ())):
            if 0 in lengths:
                _refuse_without_tokens(task, batch[index], tokenizer)
        columns["example"] = np.add(columns["example"], first_example)
        schema = schema or _schema(columns, len(tokenizer))
        yield pa.Table.from_arrays(
            [_array(columns[field.name], field.type) for field in schema], schema=schema
        )
        first_example += len(batch)
    if schema is None:
        raise DataError(f"Task {task.name}: there are no rows.")


def _refuse_without_tokens(task: Task, example: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise a DataError for a text that leaves no token, and so no state to predict from."""
    raise DataError(
        f"Task {task.name}, language {example.language!r}, example {example.id!r}: "
        f"{type(tokenizer).__name__} makes no token of a text, and adds no special token. Drop "
        "such rows, or give the tokenizer a post-processor that adds one."
    )


def _schema(columns: Mapping[str, Sequence[Any]], vocabulary: int) -> pa.Schema:
    """Token ids in the smallest type that holds the vocabulary; other integers in 32 bits."""
    small = {
        "input_ids": pa.uint16() if vocabulary <= 1 << 16 else pa.int32(),
        "token_type_ids": pa.uint8(),
    }

    def type_of(name: str, sample: Any) -> pa.DataType:
        if isinstance(sample, int | np.integer):
            return pa.int32()
        floats = any(isinstance(x, float | np.floating) for x in sample)
        return pa.list_(small.get(name, pa.float32() if floats else pa.int32()))

    return pa.schema([(name, type_of(name, values[0])) for name, values in columns.items()])


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """A column of one or more features.

    Arrays are concatenated first: Arrow would convert a list of them number by number.
    """
    if not (pa.types.is_list(kind) and isinstance(values[0], np.ndarray)):
        return pa.array(values, kind)
    offsets = np.cumsum([0, *map(len, values)], dtype=np.int32)
    numbers = pa.array(np.concatenate(values)).cast(kind.value_type)
    return pa.ListArray.from_arrays(offsets, numbers).cast(kind)


# --- the key --------------------------------------------------------------------------------------


def _key(
    task: Task,
    rows: datasets.Dataset,
    language: str,
    tokenizer: PreTrainedTokenizerBase,
    length: int,
    labelled: bool,
) -> str:
    """A hash over the data that the task reads, its values, its column functions' text, the
    tokenizer and the rest.
    """
    values = {
        f.name: getattr(task, f.name) for f in dataclasses.fields(task) if f.name not in _NOT_IN_KEY
    }
    if "labels" in values:
        values["labels"] = task.label_names
    if "corpus" in values:
        values["corpus"] = values["corpus"] is not None
    user_classes = task.user_classes()
    # a column function or a type of one's own may read any column; without one, only those that are
    # named are read
    any_column = bool(user_classes) or any(map(callable, values.values()))
    columns = [c for c in rows.column_names if any_column or c in ("id", HELD, *values.values())]
    kinds = [(c, str(rows.features[c])) for c in columns]
    made_by = (
        VERSION,
        task.task_type,
        user_classes,
        language,
        length,
        labelled,
        _tokenizer_hash(tokenizer),
    )
    parts_text = fingerprint_text(
        (*made_by, values, kinds, rows_hash(rows.select_columns(columns)))
    )
    digest = hashlib.blake2b(parts_text.encode(), digest_size=16)
    return f"{task.name}-{language}-{digest.hexdigest()}"


def _tokenizer_settings(tokenizer: PreTrainedTokenizerBase) -> tuple[Any, ...]:
    """What may be set after a tokenizer was used: a language of NLLB's, another normalizer."""
    backend = tokenizer.backend_tokenizer
    steps = (backend.normalizer, backend.pre_tokenizer, backend.post_processor)
    states = [None if step is None else step.__getstate__() for step in steps]
    return (*states, str(tokenizer.special_tokens_map), *tokenizer.model_input_names)


# tokenizer -> (size, settings) -> hash; one of 250,000 pieces takes 300 MB, so none is kept alive
_tokenizer_hashes: WeakKeyDictionary[Any, dict[tuple[Any, ...], str]] = WeakKeyDictionary()


def _tokenizer_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """A hash of the tokenizer's own file; made anew after tokens were added or settings changed."""
    state = (len(tokenizer), *_tokenizer_settings(tokenizer))
    hashes = _tokenizer_hashes.setdefault(tokenizer, {})
    if state not in hashes:
        special_tokens = sorted(tokenizer.special_tokens_map.items(), key=str)
        with backend_of(tokenizer) as backend:  # how a batch was last cut is no property of it
            text = f"{backend.to_str()}{special_tokens}{tokenizer.model_input_names}"
        hashes[state] = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return hashes[state]
